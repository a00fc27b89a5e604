"""What is exported equals the checkpoint, and appears whole, once."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vigie.bundle import Bundle, open_bundle
from vigie.data.prepare import Sample, read_part
from vigie.detectors import load_detector
from vigie.domain import LabelledBox
from vigie.errors import BadRun
from vigie.ports import Detector
from vigie.resizing import normalised, stretched
from vigie.runs import Run

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")


from vigie.export.export import evaluate_files, export, files_table, publish, staged_files
from vigie.training.checkpoint_detector import checkpoint_detector
from vigie.training.evaluation import EVALUATION_SCORE_THRESHOLD, evaluate

Raw = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Marked:
    """A picture of the test part with other objects."""

    filename: str
    picture: Any
    objects: tuple[LabelledBox, ...]


def pictures(run: Run) -> list[Sample]:
    return list(read_part(run.records, "train"))[:12]


def inputs(run: Run) -> npt.NDArray[np.uint8]:
    spec = run.experiment.model
    return np.stack([stretched(one.picture.rgb(), spec.input_width, spec.input_height) for one in pictures(run)])


def of_checkpoint(run: Run) -> Raw:
    from vigie.training.model import raw_model

    found = raw_model(run.experiment, run.checkpoints)(inputs(run), training=False)
    return found["raw_boxes"].numpy(), found["scores"].numpy()


def of_saved_model(run: Run, bundle: Bundle) -> Raw:
    import tensorflow as tf

    model = tf.saved_model.load(str(bundle.folder))
    found = model.signatures["serving_default"](pictures=tf.constant(inputs(run)))
    return found["raw_boxes"].numpy(), found["scores"].numpy()


def of_tflite(run: Run, bundle: Bundle) -> Raw:
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(model_path=str(bundle.folder / "model_fp32.tflite"), num_threads=1)
    runner = model.get_signature_runner("serving_default")
    spec = bundle.manifest.input
    ones = [runner(pictures=one[None]) for one in normalised(inputs(run), spec.mean_rgb, spec.std_rgb)]
    return np.concatenate([one["raw_boxes"] for one in ones]), np.concatenate([one["scores"] for one in ones])


def boxes_px(raw: npt.NDArray[np.float32], bundle: Bundle) -> npt.NDArray[np.float32]:
    """Centres and sizes in pixels of the input, as in Ren et al. 2015."""
    decoder = bundle.decoder()
    size = decoder.anchors[:, 2:] - decoder.anchors[:, :2]
    centre = decoder.anchors[:, :2] + size / 2
    weights = np.asarray(decoder.box_weights)
    return np.concatenate(
        [centre + raw[..., :2] / weights[:2] * size, np.exp(raw[..., 2:] / weights[2:]) * size], axis=-1
    )


@pytest.mark.parametrize("run_file", [of_saved_model, of_tflite])
def test_a_file_gives_the_checkpoints_boxes_and_scores(
    run_file: Any, untrained_run: Run, exported_bundle: Bundle
) -> None:
    boxes, scores = of_checkpoint(untrained_run)
    file_boxes, file_scores = run_file(untrained_run, exported_bundle)
    assert boxes.shape == (12, len(exported_bundle.decoder().anchors), 4)
    assert scores.std(axis=0).mean() > 0.01  # it does look at the pictures
    assert np.abs(file_scores - scores).max() <= 1e-4
    assert np.abs(boxes_px(file_boxes, exported_bundle) - boxes_px(boxes, exported_bundle)).max() <= 0.01


def test_a_file_has_the_checkpoints_average_precision(untrained_run: Run, exported_bundle: Bundle) -> None:
    # Of an untrained model every average precision is nought: what it is sure of itself is the truth here.
    samples = pictures(untrained_run)
    sure = checkpoint_detector(untrained_run, score_threshold=0.4).detect([one.picture for one in samples])
    marked = [
        Marked(one.filename, one.picture, tuple(LabelledBox(found.label, found.box) for found in entry))  # type: ignore[union-attr]
        for one, entry in zip(samples, sure, strict=True)
    ]

    def precision(detector: Detector) -> float:
        evaluation = evaluate(detector, marked, labels=untrained_run.experiment.classes, progress=False)
        return float(evaluation.to_json()["mAP"])

    low = EVALUATION_SCORE_THRESHOLD
    ours = precision(checkpoint_detector(untrained_run, score_threshold=low))
    assert ours > 0.9
    for file in ("saved_model.pb", "model_fp32.tflite"):
        theirs = precision(load_detector(exported_bundle.folder, file=file, score_threshold=low))
        assert theirs == pytest.approx(ours, abs=5e-4), file


def test_the_saved_model_stands_where_tf_serving_looks_and_takes_uint8_batches(exported_bundle: Bundle) -> None:
    import tensorflow as tf

    assert exported_bundle.folder.name == "1"
    assert (exported_bundle.folder / "variables" / "variables.index").is_file()
    signature = tf.saved_model.load(str(exported_bundle.folder)).signatures["serving_default"]
    _, arguments = signature.structured_input_signature
    assert (arguments["pictures"].dtype, arguments["pictures"].shape.as_list()) == (tf.uint8, [None, 64, 96, 3])
    assert set(signature.structured_outputs) == {"raw_boxes", "scores"}


def test_the_manifest_tells_what_the_bundle_was_made_from(untrained_run: Run, exported_bundle: Bundle) -> None:
    from vigie.data.prepare import load_manifest

    manifest = exported_bundle.manifest
    trained = json.loads((untrained_run.checkpoints / "trained.json").read_text())
    assert manifest.labels == untrained_run.experiment.classes
    assert manifest.data_hash == load_manifest(untrained_run.records).source_hash
    assert (manifest.training_key, manifest.step) == (trained["key"], 1)
    assert (manifest.default, manifest.name, manifest.version) == ("model_fp32.tflite", "untrained", 1)
    assert exported_bundle.trial_source().startswith("synthetic:seed=")
    assert manifest.code.startswith("0.")


def test_each_file_has_its_own_figures_in_manifest_table_and_card(exported_bundle: Bundle) -> None:
    files = ["model_fp32.tflite", "saved_model.pb"]
    assert sorted(exported_bundle.manifest.metrics) == files
    table = files_table(exported_bundle)
    assert sorted(table.index) == files
    assert list(table.columns) == ["runtime", "MB", "mAP", "mAP50", "mAP75"]
    assert (table["MB"] > 0.5).all()
    card = (exported_bundle.folder / "README.md").read_text()
    for file in files:
        figures = exported_bundle.manifest.metrics[file]
        assert table.loc[file, "mAP"] == figures["mAP"]
        assert f"| {file} | {figures['mAP']:.3f} | {figures['mAP50']:.3f} |" in card
    assert "96x64" in card
    assert "with_mask, without_mask, mask_weared_incorrect" in card


def test_the_same_training_again_gives_the_same_bundle(untrained_run: Run, exported_bundle: Bundle) -> None:
    again = export(untrained_run, exported_bundle.folder.parent, progress=False)
    assert again == exported_bundle
    assert [path.name for path in exported_bundle.folder.parent.iterdir()] == ["1"]


def test_a_bundle_that_is_there_can_still_be_measured(untrained_run: Run, exported_bundle: Bundle) -> None:
    with staged_files(untrained_run, exported_bundle.folder.parent) as staged:
        evaluations = evaluate_files(staged, progress=False)
        assert publish(staged, evaluations) == exported_bundle
    measured = {file: evaluation.to_json()["mAP"] for file, evaluation in evaluations.items()}
    assert measured == {file: figures["mAP"] for file, figures in exported_bundle.manifest.metrics.items()}


def test_another_training_is_the_next_version_and_photographs_travel_with_it(
    untrained_run: Run, exported_bundle: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "untrained"
    shutil.copytree(exported_bundle.folder, out / "1")
    manifest = json.loads((out / "1" / "manifest.json").read_text())
    (out / "1" / "manifest.json").write_text(json.dumps({**manifest, "training_key": "another"}))
    photographs = dataclasses.replace(untrained_run, pictures=tmp_path / "photographs")
    bundle = export(photographs, out, progress=False)
    assert (bundle.folder.name, bundle.manifest.trial_source) == ("2", "trial")
    assert open_bundle(out) == bundle
    shown = sorted(Path(bundle.trial_source()).iterdir())
    in_test = [one.picture.jpeg() for one in read_part(untrained_run.records, "test") if one.objects]
    assert [path.read_bytes() for path in shown] == in_test[:12]
    assert "trial/01.jpg" in bundle.manifest.files


def test_an_export_that_breaks_off_leaves_nothing(untrained_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "untrained"

    def interrupted() -> None:
        with staged_files(untrained_run, out) as staged:
            assert load_detector(staged.bundle.folder).detect([]) == []  # it can be run where it is
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(out.iterdir()) == []


def test_a_training_that_is_not_whole_is_not_exported(untrained_run: Run, tmp_path: Path) -> None:
    half = shutil.copytree(untrained_run.folder, tmp_path / "half")
    (half / "checkpoints" / "trained.json").unlink()
    run = dataclasses.replace(untrained_run, folder=half, prepared=untrained_run.records)
    with pytest.raises(BadRun, match="holds no whole training"):
        export(run, tmp_path / "models", progress=False)
    assert not (tmp_path / "models").exists()
