"""A bundle of the real network that has learnt nothing and yet finds a few things on every picture.

What a model costs depends on its shape, and decoding its boxes on how many scores reach a threshold. So the network's
statistics are set by pictures of the set and its scores stretched until, over all of them, so many a picture reach the
deployed and the evaluation's threshold as of a trained detector. No training is needed to measure it.
"""

# ruff: noqa: PLC0415 - TensorFlow is quiet only when it is told so before its import

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vigie.bundle import Bundle
from vigie.data.quiet import quiet_tensorflow
from vigie.experiment import Experiment
from vigie.runs import Run, open_run

FACE_MASK = Path(__file__).parents[2] / "shared" / "data" / "facemask"
CLASSES = ("with_mask", "without_mask", "mask_weared_incorrect")
SIZE = 320
FEW = 60
DEPLOYED, EVALUATED = 0.5, 0.01
REACH = {DEPLOYED: 30, EVALUATED: 600}
"""Scores a picture that reach a threshold: four faces, each with a bunch of boxes around it, and what is doubtful."""


def alive_bundle(folder: Path, *, size: int = SIZE) -> Bundle:
    """With all its files, of which none was judged: there is nothing that they could have lost."""
    quiet_tensorflow()
    from vigie.export.building import build_files
    from vigie.export.publishing import new_staging, write_bundle
    from vigie.training.train import Trained, training_key

    run = _run(folder, size)
    _checkpoint(run)
    trained = Trained(run.checkpoints, training_key(run), 1, 1.0, run.checkpoints / "losses.csv", 1)
    out = folder / "models" / "alive"
    staged = new_staging(out)
    return write_bundle(staged, out, build_files(run, trained, staged, progress=False))


def _run(folder: Path, size: int) -> Run:
    """On some of the face-mask pictures; on drawn ones where they are not here."""
    from vigie.data.prepare import prepare
    from vigie.data.synthetic import write_set

    model = {"input_width": size, "input_height": size}
    values = {"name": "alive", "classes": CLASSES, "model": model, "training": {"steps": 1, "batch": 1}}
    experiment = Experiment.model_validate(values)
    (folder / "alive.yaml").write_text(experiment.to_yaml())
    pictures = folder / "pictures"
    if FACE_MASK.is_dir():
        _copied(pictures)
    else:
        write_set(pictures, pictures=FEW, seed=3, progress=False)
    run = open_run(folder / "alive", experiment=folder / "alive.yaml", voc=pictures)
    prepare(run.pictures, run.records, classes=CLASSES, split=experiment.split, progress=False)
    return run


def _copied(pictures: Path) -> None:
    for kind in ("images", "annotations"):
        (pictures / kind).mkdir(parents=True)
    for annotation in sorted((FACE_MASK / "annotations").iterdir())[:FEW]:
        shutil.copy(annotation, pictures / "annotations")
        (picture,) = (FACE_MASK / "images").glob(f"{annotation.stem}.*")
        shutil.copy(picture, pictures / "images")


def _checkpoint(run: Run) -> None:
    import tensorflow as tf
    import tf_keras

    from vigie.training.network.model import build_network

    tf_keras.utils.set_random_seed(5)
    network = build_network(run.experiment)
    _make_alive(network, _pictures(run))
    tf.train.Checkpoint(model=network).save(str(run.checkpoints / "ckpt"))


def _pictures(run: Run) -> npt.NDArray[np.float32]:
    from vigie.data.prepare import read_part
    from vigie.resizing import normalised, stretched
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB

    spec = run.experiment.model
    pixels = [
        stretched(one.picture.rgb(), spec.input_width, spec.input_height) for one in read_part(run.records, "train")
    ]
    return normalised(np.stack(pixels[:16]), PIXEL_MEAN_RGB, PIXEL_STD_RGB)


def _make_alive(network: Any, pictures: npt.NDArray[np.float32]) -> None:
    import tensorflow as tf
    import tf_keras

    network(pictures[:1], training=False)  # builds it
    for layer in network._flatten_layers():
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(pictures, training=True)
    for place, variable in enumerate(network.head.trainable_variables):
        if "kernel" in variable.name and ("/scores/" in variable.name or "/boxes/" in variable.name):
            variable.assign(tf.random.stateless_normal(variable.shape, seed=(1, place), stddev=0.1))
        elif "bias" in variable.name and "/scores/" in variable.name:
            variable.assign(tf.zeros_like(variable))
    _stretch(network, pictures)


def _stretch(network: Any, pictures: npt.NDArray[np.float32]) -> None:
    """A straight line through the scores at which as many lie over each threshold as should."""
    levels = network(pictures, training=False)["cls_outputs"]
    logits = np.sort(np.concatenate([np.ravel(level) for level in levels.values()]))[::-1]
    found = [logits[count * len(pictures)] for count in REACH.values()]
    wanted = [np.log(threshold / (1 - threshold)) for threshold in REACH]
    factor = (wanted[0] - wanted[1]) / (found[0] - found[1])
    for variable in network.head.trainable_variables:
        if "/scores/" in variable.name and variable.name.endswith(("/kernel:0", "/pointwise_kernel:0")):
            variable.assign(variable * factor)
        elif "/scores/bias" in variable.name:
            variable.assign(variable * factor + wanted[0] - factor * found[0])


if __name__ == "__main__":
    sys.stdout.write(f"{alive_bundle(Path(sys.argv[1])).folder}\n")
