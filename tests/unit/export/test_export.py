"""What is exported equals the checkpoint, and appears whole, once."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vigie.bundle import (
    FP16,
    FP32,
    INT8,
    ONNX,
    POSTPROCESS,
    SAVED_MODEL,
    Bundle,
    ModelFacts,
    ThresholdFacts,
    open_bundle,
)
from vigie.data.prepare import Sample, read_part
from vigie.detectors import load_detector
from vigie.domain import Detection, LabelledBox
from vigie.errors import BadRun, BadSetting
from vigie.pictures import Picture
from vigie.resizing import InputSize, normalised, resized, stretched
from vigie.runs import Run

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")


from vigie.export import staged as staging
from vigie.export.export import Exported, Gated, evaluate_files, export, pass_gate, publish
from vigie.export.gate.results import read_gate
from vigie.export.gate.tolerances import TOLERANCES
from vigie.export.staged import Staged, staged_files
from vigie.export.tables import files_table, gate_table, refusals_table, thresholds_table

Raw = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def pictures(run: Run) -> list[Sample]:
    return list(read_part(run.records, "train"))[:12]


def inputs(run: Run) -> npt.NDArray[np.uint8]:
    spec = run.experiment.model
    return np.stack([stretched(one.picture.rgb(), spec.input_width, spec.input_height) for one in pictures(run)])


@pytest.fixture(scope="module")
def of_checkpoint(untrained_run: Run) -> Raw:
    from vigie.training.network.model import raw_model

    found = raw_model(untrained_run.experiment, untrained_run.checkpoints)(inputs(untrained_run), training=False)
    return found["raw_boxes"].numpy(), found["scores"].numpy()


def of_saved_model(run: Run, bundle: Bundle) -> Raw:
    import tensorflow as tf

    model = tf.saved_model.load(str(bundle.folder))
    found = model.signatures["raw_heads"](pictures=tf.constant(inputs(run)))
    return found["raw_boxes"].numpy(), found["scores"].numpy()


def of_tflite(run: Run, bundle: Bundle) -> Raw:
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(model_path=str(bundle.folder / FP32), num_threads=1)
    runner = model.get_signature_runner("serving_default")
    spec = bundle.manifest.input
    ones = [runner(pictures=one[None]) for one in normalised(inputs(run), spec.mean_rgb, spec.std_rgb)]
    return np.concatenate([one["raw_boxes"] for one in ones]), np.concatenate([one["scores"] for one in ones])


def of_onnx(run: Run, bundle: Bundle) -> Raw:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: install vigie[train]")
    spec = bundle.manifest.input
    session = onnxruntime.InferenceSession(str(bundle.folder / ONNX), providers=["CPUExecutionProvider"])
    found = session.run(["raw_boxes", "scores"], {"pictures": normalised(inputs(run), spec.mean_rgb, spec.std_rgb)})
    return found[0], found[1]


def boxes_px(raw: npt.NDArray[np.float32], bundle: Bundle) -> npt.NDArray[np.float32]:
    """Centres and sizes in pixels of the input, as in Ren et al. 2015."""
    decoder = bundle.decoder()
    size = decoder.anchors[:, 2:] - decoder.anchors[:, :2]
    centre = decoder.anchors[:, :2] + size / 2
    weights = np.asarray(decoder.box_weights)
    return np.concatenate(
        [centre + raw[..., :2] / weights[:2] * size, np.exp(raw[..., 2:] / weights[2:]) * size], axis=-1
    )


@pytest.mark.parametrize("run_file", [of_saved_model, of_tflite, of_onnx])
def test_a_file_gives_the_checkpoints_boxes_and_scores(
    run_file: Any, of_checkpoint: Raw, untrained_run: Run, exported_bundle: Bundle
) -> None:
    boxes, scores = of_checkpoint
    file_boxes, file_scores = run_file(untrained_run, exported_bundle)
    assert boxes.shape == (12, len(exported_bundle.decoder().anchors), 4)
    assert scores.std(axis=0).mean() > 0.01  # it does look at the pictures
    assert np.abs(file_scores - scores).max() <= 1e-4
    assert np.abs(boxes_px(file_boxes, exported_bundle) - boxes_px(boxes, exported_bundle)).max() <= 0.01


def test_the_saved_model_stands_where_tf_serving_looks(exported_bundle: Bundle) -> None:
    assert exported_bundle.folder.name == "1"
    for file in ("variables/variables.index", "assets.extra/tf_serving_warmup_requests"):
        assert (exported_bundle.folder / file).is_file()
        assert file in exported_bundle.manifest.files


def test_the_manifest_tells_what_the_bundle_was_made_from(untrained_run: Run, exported_bundle: Bundle) -> None:
    from vigie.data.prepare import load_manifest

    manifest = exported_bundle.manifest
    trained = json.loads((untrained_run.checkpoints / "trained.json").read_text())
    assert manifest.labels == untrained_run.experiment.classes
    assert manifest.data_hash == load_manifest(untrained_run.records).source_hash
    assert (manifest.training_key, manifest.step) == (trained["key"], 1)
    assert (manifest.default, manifest.name, manifest.version) == (INT8, "untrained", 1)
    assert exported_bundle.trial_source().startswith("synthetic:seed=")
    assert manifest.code.startswith("0.")


def test_each_file_has_its_own_figures_in_manifest_gate_table_and_card(exported_bundle: Bundle) -> None:
    files = sorted(TOLERANCES)
    assert sorted(exported_bundle.manifest.metrics) == files
    table = files_table(exported_bundle)
    assert sorted(table.index) == files
    assert list(table.columns) == ["runtime", "MB", "mAP", "mAP50", "mAP75"]
    assert (table["MB"] > 0.1).all()
    gate = read_gate(exported_bundle)
    shown = gate_table(gate)
    assert shown.index[0] == "checkpoint"
    assert sorted(shown.index[1:]) == files
    assert refusals_table(gate).empty
    card = (exported_bundle.folder / "README.md").read_text()
    for one in gate.files:
        assert one.passed
        assert one.bytes == sum(
            exported_bundle.manifest.files[name].bytes for name in names_of(one.file, exported_bundle)
        )
        assert f"| `{one.file}` | {one.bytes / 1e6:.2f} |" in card
    assert "gate.json" in exported_bundle.manifest.files


def names_of(file: str, bundle: Bundle) -> list[str]:
    others = {*TOLERANCES, "labels.txt", "gate.json"} - {SAVED_MODEL}
    return [name for name in bundle.manifest.files if name not in others] if file == SAVED_MODEL else [file]


def test_the_same_training_again_gives_the_same_bundle(untrained_run: Run, exported_bundle: Bundle) -> None:
    again = export(untrained_run, exported_bundle.folder.parent, progress=False)
    assert again == Exported(exported_bundle, ())
    assert [path.name for path in exported_bundle.folder.parent.iterdir()] == ["1"]


def test_what_was_found_of_a_bundle_that_is_there_can_be_told_again(
    untrained_run: Run, exported_bundle: Bundle
) -> None:
    with staged_files(untrained_run, exported_bundle.folder.parent, progress=False) as staged:
        assert staged.published
        gated = pass_gate(staged, progress=False)
        assert gated.gate == read_gate(exported_bundle)
        evaluations = evaluate_files(staged, gated, progress=False)
        assert publish(staged, gated, evaluations) == Exported(exported_bundle, ())
    measured = {file: evaluation.to_json()["mAP"] for file, evaluation in evaluations.items()}
    assert measured == {file: figures["mAP"] for file, figures in exported_bundle.manifest.metrics.items()}
    assert next(iter(evaluations)) == exported_bundle.manifest.default


@contextmanager
def staged_copy(run: Run, bundle: Bundle, out: Path, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> Iterator[Staged]:
    """As `staged_files`, with the files of a bundle in place of built ones: building takes long."""
    with monkeypatch.context() as patched:
        patched.setattr(staging, "build_files", copied(bundle))
        with staged_files(run, out, progress=False, **asked) as staged:
            yield staged


def copied(bundle: Bundle) -> Callable[..., ModelFacts]:
    def build(run: Run, trained: object, folder: Path, *, files: Sequence[str], progress: bool) -> ModelFacts:
        for name in bundle.manifest.files:
            if name not in {"gate.json", "labels.txt"}:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(bundle.folder / name, folder / name)
        kept = bundle.manifest.model_dump(include=set(ModelFacts.model_fields))
        return ModelFacts.model_validate({**kept, "default": FP32, "metrics": {}})

    return build


def exported(staged: Staged) -> Exported:
    gated = pass_gate(staged, timed=False, progress=False)
    return publish(staged, gated, evaluate_files(staged, gated, progress=False))


def test_a_file_outside_of_the_tolerance_is_not_in_the_bundle_and_another_becomes_the_default(
    untrained_run: Run, exported_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "untrained"
    with staged_copy(untrained_run, exported_bundle, out, monkeypatch, precision=0.9) as staged:
        for file in (INT8, SAVED_MODEL):
            whole = (staged.bundle.folder / file).read_bytes()
            (staged.bundle.folder / file).write_bytes(whole[:1000])
        # Another model's weights in place of this one's.
        shutil.copy(staged.bundle.folder / FP16, staged.bundle.folder / FP32)
        done = exported(staged)
    assert {one.file for one in done.refused} == {INT8, FP32, SAVED_MODEL}
    assert done.bundle is not None
    assert open_bundle(out) == done.bundle
    assert done.bundle.manifest.default == FP16
    assert {file for file in TOLERANCES if file in done.bundle.manifest.files} == {FP16, ONNX, POSTPROCESS}
    assert not [path for path in done.bundle.folder.rglob("*") if path.is_dir() and path.name != "card"]
    assert load_detector(done.bundle.folder).labels == untrained_run.experiment.classes
    card = (done.bundle.folder / "README.md").read_text()
    for one in done.refused:
        assert f"`{one.file}` was refused" in card
    assert sorted(refusals_table(read_gate(done.bundle)).index.unique()) == sorted(one.file for one in done.refused)
    # Of an untrained model no threshold is any good.
    chosen = done.bundle.manifest.chosen_thresholds
    assert {facts.chosen_by for facts in chosen.values()} == {"precision 0.90 is not reached by any threshold"}
    assert set(done.bundle.manifest.thresholds.values()) == {done.bundle.manifest.score_threshold}
    # It is what was exported, as long as nothing changes.
    assert export(untrained_run, out, precision=0.9, progress=False) == done


def test_where_no_file_passes_there_is_no_bundle(
    untrained_run: Run, exported_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "untrained"
    with staged_copy(untrained_run, exported_bundle, out, monkeypatch) as staged:
        for file in TOLERANCES:
            (staged.bundle.folder / file).write_bytes(b"no model")
        done = exported(staged)
    assert done.bundle is None
    assert {one.file for one in done.refused} == set(TOLERANCES)
    assert list(out.iterdir()) == []


def test_the_thresholds_of_labels_are_those_that_a_detector_uses(
    untrained_run: Run, exported_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = pictures(untrained_run)
    low = found(load_detector(exported_bundle.folder, score_threshold=0.01), samples)
    scores = sorted(one.score for one in low if one.label == "with_mask")
    chosen = ThresholdFacts(
        threshold=scores[len(scores) // 2], low=0.1, high=0.9, chosen_by="best F1", precision=0.5, recall=0.5, boxes=7
    )
    gated = Gated(read_gate(exported_bundle), {"with_mask": chosen})
    with staged_copy(untrained_run, exported_bundle, tmp_path / "m", monkeypatch) as staged:
        done = publish(staged, gated, evaluate_files(staged, gated, progress=False))
    assert done.bundle is not None
    manifest = done.bundle.manifest
    assert (manifest.thresholds, manifest.chosen_thresholds) == ({"with_mask": chosen.threshold}, {"with_mask": chosen})
    shown = found(load_detector(done.bundle.folder), samples)
    general = manifest.score_threshold
    for label in manifest.labels:
        least = manifest.thresholds.get(label, general)
        assert all(one.score >= least for one in shown if one.label == label)
    assert any(one.score == pytest.approx(chosen.threshold) for one in shown if one.label == "with_mask")
    table = thresholds_table(manifest.chosen_thresholds)
    assert table.loc["with_mask", "chosen_by"] == "best F1"
    assert "best F1" in (done.bundle.folder / "README.md").read_text()


def found(detector: Any, samples: list[Sample]) -> list[Detection]:
    return [one for entry in detector.detect([sample.picture for sample in samples]) for one in entry]


def test_another_precision_is_another_export_and_one_out_of_range_none(
    untrained_run: Run, exported_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "untrained"
    shutil.copytree(exported_bundle.folder, out / "1")
    with staged_copy(untrained_run, exported_bundle, out, monkeypatch) as staged:
        assert staged.published
    with staged_copy(untrained_run, exported_bundle, out, monkeypatch, precision=0.9) as staged:
        assert not staged.published
    for wrong in (0.0, 1.1, -1.0):
        with pytest.raises(BadSetting, match="a precision lies above 0 and is at most 1"):
            export(untrained_run, out, precision=wrong, progress=False)


def test_the_files_that_are_asked_for_are_built_alone(
    untrained_run: Run, exported_bundle: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "untrained"
    done = export(untrained_run, out, files=[INT8, FP16], qat=False, timed=False, progress=False)
    assert done.bundle is not None
    built = {file for file in exported_bundle.manifest.files if (done.bundle.folder / file).exists()}
    assert {FP16} <= built <= {FP16, INT8, "labels.txt", "gate.json"}  # int8 loses too much of some untrained models
    assert done.bundle.manifest.default in {INT8, FP16}
    assert {one.file for one in read_gate(done.bundle).files} == {INT8, FP16}
    assert export(untrained_run, out, files=[FP16, INT8], qat=False, progress=False) == done  # in whatever order
    with pytest.raises(BadSetting, match=r"there is no file model\.pt to export; there are: saved_model\.pb"):
        export(untrained_run, out, files=["model.pt"], progress=False)


def test_another_training_is_the_next_version_and_photographs_travel_with_it(
    untrained_run: Run, exported_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vigie.export.building import trial

    out = tmp_path / "untrained"
    shutil.copytree(exported_bundle.folder, out / "1")
    manifest = json.loads((out / "1" / "manifest.json").read_text())
    (out / "1" / "manifest.json").write_text(json.dumps({**manifest, "training_key": "another"}))
    photographs = dataclasses.replace(untrained_run, pictures=tmp_path / "photographs")
    build = copied(exported_bundle)

    def build_with_trial(run: Run, trained: object, folder: Path, **asked: Any) -> ModelFacts:
        facts = build(run, trained, folder, **asked)
        return facts.model_copy(update={"trial_source": trial(run, folder)})

    monkeypatch.setattr(staging, "build_files", build_with_trial)
    gated = Gated(read_gate(exported_bundle), {})
    with staged_files(photographs, out, progress=False) as staged:
        bundle = publish(staged, gated, evaluate_files(staged, gated, progress=False)).bundle
    assert bundle is not None
    assert (bundle.folder.name, bundle.manifest.trial_source) == ("2", "trial")
    assert open_bundle(out) == bundle
    shown = sorted(Path(bundle.trial_source()).iterdir())
    in_test = [one.picture.jpeg() for one in read_part(untrained_run.records, "test") if one.objects]
    assert [path.read_bytes() for path in shown] == in_test[:12]
    assert "trial/01.jpg" in bundle.manifest.files


def test_an_export_that_breaks_off_leaves_nothing(
    untrained_run: Run, exported_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "untrained"

    def interrupted() -> None:
        with staged_copy(untrained_run, exported_bundle, out, monkeypatch) as staged:
            assert load_detector(staged.bundle.folder).detect([]) == []  # it can be run where it is
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(out.iterdir()) == []


def test_int8_takes_its_ranges_from_pictures_of_the_training_part_spread_over_it(untrained_run: Run) -> None:
    from vigie.export.building import training_pixels

    spec = untrained_run.experiment.model
    size = InputSize(spec.input_width, spec.input_height)
    in_training = [resized(one.picture.rgb(), size).tobytes() for one in read_part(untrained_run.records, "train")]
    few = [one.tobytes() for one in training_pixels(untrained_run, size, 5)]
    assert few == in_training[:: len(in_training) // 5][:5]
    assert [one.tobytes() for one in training_pixels(untrained_run, size, 1000)] == in_training


def test_a_training_that_is_not_whole_is_not_exported(untrained_run: Run, tmp_path: Path) -> None:
    half = shutil.copytree(untrained_run.folder, tmp_path / "half")
    (half / "checkpoints" / "trained.json").unlink()
    run = dataclasses.replace(untrained_run, folder=half, prepared=untrained_run.records)
    with pytest.raises(BadRun, match="holds no whole training"):
        export(run, tmp_path / "models", progress=False)
    assert not (tmp_path / "models").exists()


@pytest.fixture(scope="module")
def sure_run(untrained_run: Run) -> Run:
    """The same weights, and pictures on which is marked what these find: there is average precision to lose."""
    from vigie.data.prepare import prepare
    from vigie.runs import load_run
    from vigie.training.network.checkpoint_detector import checkpoint_detector
    from vigie.training.train import training_key
    from vigie.voc import open_folder, write_annotation

    folder = untrained_run.folder.with_name("sure")
    shutil.copytree(untrained_run.folder, folder)
    shutil.rmtree(folder / "data")
    run = load_run(folder)
    detector = checkpoint_detector(run, score_threshold=0.3)
    voc = open_folder(run.pictures)
    for annotation in voc.annotations:
        path = next(voc.pictures_in.glob(f"{annotation.stem}.*"))
        picture = Picture.from_file(path)
        marked = [LabelledBox(one.label, one.box) for one in found_on(detector, picture)]
        write_annotation(annotation, path.name, picture.width, picture.height, marked)
    prepare(run.pictures, run.records, classes=run.experiment.classes, split=run.experiment.split, progress=False)
    done = run.checkpoints / "trained.json"
    done.write_text(json.dumps({**json.loads(done.read_text()), "key": training_key(run)}))
    return run


def found_on(detector: Any, picture: Picture) -> list[Detection]:
    [entry] = detector.detect([picture])
    return list(entry)


@pytest.mark.slow
def test_the_files_of_a_model_with_something_to_lose_pass_and_int8_learns_on_where_it_loses(
    sure_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    from vigie.export.quantisation import quantisation_aware

    learn = partial(quantisation_aware.quantisation_aware, steps=4)
    monkeypatch.setattr(quantisation_aware, "quantisation_aware", learn)
    done = export(sure_run, tmp_path / "sure", progress=False)
    assert done.bundle is not None
    gate = read_gate(done.bundle)
    assert gate.checkpoint.mAP is not None
    assert gate.checkpoint.mAP > 0.5
    results = {one.file: one for one in gate.files}
    # On six pictures a single box is more than half precision may lose: of FP16 nothing is asked.
    for file in (FP32, ONNX, SAVED_MODEL):
        assert results[file].reasons == ()
    assert results[SAVED_MODEL].mAP_in_graph == pytest.approx(gate.checkpoint.mAP, abs=5e-4)
    # Of numbers drawn by lot, rounding loses a lot: it learnt on, which a real training needs less.
    assert results[INT8].quantisation_aware
    assert done.bundle.manifest.default in {INT8, FP32}
    assert (INT8 in done.bundle.manifest.files) is results[INT8].passed
    assert set(done.bundle.manifest.thresholds) == set(done.bundle.manifest.chosen_thresholds) != set()
    for one in gate.files:
        assert set(one.milliseconds) == {1, 2}


@pytest.mark.slow
def test_letterboxed_files_pass_too(letterboxed_run: Run, tmp_path: Path) -> None:
    done = export(letterboxed_run, tmp_path / "letterboxed", progress=False, timed=False)
    assert done.refused == ()
    assert done.bundle is not None
    assert done.bundle.manifest.input.resize == "letterbox"
    assert set(TOLERANCES) <= set(done.bundle.manifest.files)
