"""A pytest plugin: a run whose training is whole but for the learning, and what is exported from it.

Building and exporting the real network takes a few seconds, training it minutes. Its scores are spread so that
it finds something everywhere: enough to compare the files with the checkpoint.
"""

import json
import shutil
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vigie.bundle import Bundle
from vigie.resizing import normalised, stretched
from vigie.runs import Run

EXPERIMENT = """
name: untrained
data: synthetic
classes: [with_mask, without_mask, mask_weared_incorrect]
model:
  input_width: 96
  input_height: 64
  backbone_width: 0.35
  fpn_filters: 16
  head_convs: 1
  anchors: {min_level: 3, max_level: 6}
training: {steps: 1, batch: 1}
"""


@pytest.fixture(scope="session")
def untrained_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With records of drawn pictures and one checkpoint."""
    pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")
    from vigie.data.prepare import prepare
    from vigie.data.synthetic import write_set
    from vigie.runs import open_run

    folder = tmp_path_factory.mktemp("runs")
    (folder / "untrained.yaml").write_text(EXPERIMENT)
    run = open_run(folder / "untrained", experiment=folder / "untrained.yaml")
    write_set(run.pictures, pictures=40, seed=3, width=160, height=120, progress=False)
    prepare(run.pictures, run.records, classes=run.experiment.classes, progress=False)
    _checkpoint(run)
    return run


@pytest.fixture(scope="session")
def exported_bundle(untrained_run: Run) -> Bundle:
    """What `export` makes of it, as version 1, with all files: it has no average precision to lose, so int8 passes."""
    from vigie.export.export import export

    done = export(untrained_run, untrained_run.folder.parent / "models" / "untrained", progress=False, timed=False)
    assert done.bundle is not None, done.refused
    return done.bundle


@pytest.fixture(scope="session")
def letterboxed_run(untrained_run: Run) -> Run:
    """The same weights, for pictures that keep their aspect ratio, and with the same anchors as if they were fitted."""
    import yaml

    from vigie.data.prepare import load_manifest
    from vigie.fitted_anchors import FittedAnchors, what_is_asked, write_fitted
    from vigie.runs import load_run
    from vigie.training.train import TRAINED_FILE, training_key

    folder = untrained_run.folder.with_name("letterboxed")
    shutil.copytree(untrained_run.folder, folder)
    asked = folder / "experiment.yaml"
    values = yaml.safe_load(asked.read_text())
    values["model"] |= {"resize": "letterbox", "anchors": "auto"}
    asked.write_text(yaml.safe_dump(values))
    run = load_run(folder)
    anchors = FittedAnchors(
        anchors=untrained_run.experiment.model.grid,
        asked=what_is_asked(run.asked),
        pictures=load_manifest(run.records).source_hash,
    )
    write_fitted(run.anchors_file, anchors, "for tests")
    done = run.checkpoints / TRAINED_FILE
    done.write_text(json.dumps({**json.loads(done.read_text()), "key": training_key(run)}))
    return run


@pytest.fixture(scope="session")
def letterboxed_bundle(letterboxed_run: Run, exported_bundle: Bundle) -> Bundle:
    """What `export` makes of it, without the gate: its files are the same but for those that place pictures inside."""
    from vigie.bundle import ModelFacts
    from vigie.export.building import input_spec
    from vigie.export.files.saved_model import write_saved_model
    from vigie.export.publishing import new_staging, write_bundle
    from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD
    from vigie.training.network.config import decoder
    from vigie.training.network.model import raw_model

    out = exported_bundle.folder.parent.with_name("letterboxed")
    staged = new_staging(out)
    for name in (name for name in exported_bundle.manifest.files if name.startswith("model")):
        shutil.copy(exported_bundle.folder / name, staged / name)
    experiment, spec = letterboxed_run.experiment, input_spec(letterboxed_run)
    model = raw_model(experiment, letterboxed_run.checkpoints, normalised_input=True)
    write_saved_model(model, staged, spec, decoder(experiment, score_threshold=EVALUATION_SCORE_THRESHOLD))
    kept = exported_bundle.manifest.model_dump(include=set(ModelFacts.model_fields) - {"metrics"})
    return write_bundle(staged, out, ModelFacts.model_validate({**kept, "input": spec, "default": "model_fp32.tflite"}))


def _checkpoint(run: Run) -> None:
    import tensorflow as tf
    import tf_keras
    from official.vision.tasks.retinanet import RetinaNetTask

    import vigie.training.network.model  # noqa: F401 - registers the backbone
    from vigie.training.network.config import task_config
    from vigie.training.train import training_key

    tf_keras.utils.set_random_seed(5)
    model = RetinaNetTask(task_config(run.experiment)).build_model()
    _make_alive(model, _training_pictures(run))
    tf.train.Checkpoint(model=model).save(str(run.checkpoints / "ckpt"))
    done = {"key": training_key(run), "steps": 1, "seconds": 1.0, "losses": "losses.csv"}
    (run.checkpoints / "trained.json").write_text(json.dumps(done))


def _training_pictures(run: Run) -> npt.NDArray[np.float32]:
    from vigie.data.prepare import read_part
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB

    spec = run.experiment.model
    pixels = [
        stretched(one.picture.rgb(), spec.input_width, spec.input_height) for one in read_part(run.records, "train")
    ]
    return normalised(np.stack(pixels), PIXEL_MEAN_RGB, PIXEL_STD_RGB)


def _make_alive(model: Any, pictures: npt.NDArray[np.float32]) -> None:
    """A fresh network fades to nothing and scores .01 everywhere: set its statistics, and spread its last layers."""
    import tensorflow as tf
    import tf_keras

    model(pictures[:1], training=False)  # builds it
    for layer in model._flatten_layers():
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(pictures, training=True)
    for place, variable in enumerate(model.head.trainable_variables):
        if "/scores/" in variable.name or "/boxes/" in variable.name:
            spread = tf.random.stateless_normal(variable.shape, seed=(1, place), stddev=0.4)
            variable.assign(tf.fill(variable.shape, -2.0) if "/scores/bias" in variable.name else spread)
