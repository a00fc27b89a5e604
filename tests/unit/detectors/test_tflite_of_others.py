"""TensorFlow Lite files that people have: nothing of them is known but what is in them and beside them."""

import itertools
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import flatbuffers
import needs
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from typer.testing import CliRunner

from vigie.cli import app
from vigie.data.prepare import read_set
from vigie.detectors import load_detector
from vigie.detectors.tflite import Network, pixel_table
from vigie.domain import Detection
from vigie.errors import BadBundle, BadData, BadPicture
from vigie.foreign.metadata import told_by
from vigie.pictures import Picture
from vigie.training.evaluating.measuring import detector_of, input_size_of

V1 = "ssd_mobilenet_v1_coco_quant_tflite"
TOLD, UNTOLD = f"{V1}/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite", f"{V1}/detect.tflite"
FPNLITE = "ssd_mobilenet_v2_fpnlite_coco80_int8/ssd_mobilenet_v2_fpnlite_10_256_int8.tflite"
FPNLITE_SIDECAR = "raw: {coding: corners, order: xyxy}\n"


def shared(model: str) -> Path:
    return needs.shared_data() / "models" / model


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """The file without metadata, and nothing beside it."""
    return Path(shutil.copy(shared(UNTOLD), tmp_path / "detect.tflite"))


@pytest.fixture
def fpnlite(tmp_path: Path) -> Path:
    path = Path(shutil.copy(shared(FPNLITE), tmp_path / "fpnlite.tflite"))
    shutil.copy(shared(FPNLITE).with_name("labels_coco_dataset_80.txt"), tmp_path)
    path.with_name("fpnlite.tflite.yaml").write_text(FPNLITE_SIDECAR)
    return path


@pytest.fixture(scope="module")
def photographs() -> list[Picture]:
    folder = needs.shared_data() / "coco_val200" / "images"
    return [Picture.from_file(path) for path in sorted(folder.iterdir())[:4]]


def rewritten(path: Path, *, order: Sequence[int] = (0, 1, 2, 3), **settings: bool | float) -> None:
    """Give the outputs in another order, as other exporters do, or set the operation that decodes boxes otherwise."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    graph.outputs = [graph.outputs[place] for place in order]
    operation = graph.operators[-1]
    was = flexbuffers.GetRoot(bytearray(operation.customOptions)).AsMap.Value
    operation.customOptions = list(flexbuffers.Dumps({**was, **settings}))
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def found(path: Path, pictures: Sequence[Picture], **options: float) -> list[list[Detection]]:
    entries = load_detector(path, **{"score_threshold": 0.4, **options}).detect(pictures)  # type: ignore[arg-type]
    assert not any(isinstance(entry, BadPicture) for entry in entries)
    return entries  # type: ignore[return-value]


def test_metadata_tells_labels_normalisation_and_outputs() -> None:
    told = told_by(shared(TOLD))
    assert (len(told.labels), told.labels[:2], told.labels[11]) == (90, ("person", "bicycle"), "???")
    assert (told.mean_rgb, told.std_rgb) == ((127.5,) * 3, (127.5,) * 3)
    assert told.outputs == ("locations", "classes", "scores", "number of detections")
    assert told.postprocess is not None
    assert (told.postprocess.classes, told.postprocess.regular_nms) == (90, False)


@pytest.mark.parametrize("place", [-4, 0, 8, 16, 40])
def test_broken_metadata_is_left_out_or_harmless(tmp_path: Path, place: int, photographs: list[Picture]) -> None:
    path = tmp_path / "detect.tflite"
    whole = shared(TOLD).read_bytes()
    start = whole.index(b"M001") + place
    path.write_bytes(whole[:start] + b"\xf0\xff\xff\x7f" + whole[start + 4 :])
    assert found(path, photographs[:1]) == found(shared(TOLD), photographs[:1])  # the labels are in the zip


def test_a_file_without_metadata_tells_its_operation_alone() -> None:
    told = told_by(shared(UNTOLD))
    assert (told.labels, told.mean_rgb, told.outputs) == ((), None, ())
    assert told.postprocess == told_by(shared(TOLD)).postprocess


def test_with_and_without_metadata_the_same_is_found_and_no_sidecar_is_needed(photographs: list[Picture]) -> None:
    of_told, of_untold = found(shared(TOLD), photographs), found(shared(UNTOLD), photographs)
    assert of_told == of_untold
    assert all("person" in {one.label for one in entry} for entry in of_told)


def test_it_knows_80_labels_and_none_for_the_gaps_between_them() -> None:
    detector = load_detector(shared(UNTOLD))
    assert len(detector.labels) == len(set(detector.labels)) == 80
    assert "???" not in detector.labels
    assert input_size_of(shared(UNTOLD)) == detector.input_size  # type: ignore[attr-defined]


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (3, 2, 1, 0), (1, 3, 0, 2)], ids=["TF2", "backwards", "mixed"])
def test_outputs_in_another_order_are_told_by_what_they_are(
    alone: Path, photographs: list[Picture], order: tuple[int, ...]
) -> None:
    shutil.copy(shared(UNTOLD).with_name("labelmap.txt"), alone.parent)
    expected = found(alone, photographs[:2])
    rewritten(alone, order=order)
    names = [output.names[0] for output in Network(alone, 1).outputs]
    assert names == [f"TFLite_Detection_PostProcess{f':{place}' if place else ''}" for place in order]
    assert found(alone, photographs[:2]) == expected


@pytest.mark.parametrize(
    ("order", "message"), [((0,), "are those of no detector"), ((0, 2), "classes and which scores cannot be told")]
)
def test_a_file_whose_outputs_are_not_a_detectors_is_refused_with_those_it_has(
    alone: Path, order: tuple[int, ...], message: str
) -> None:
    shutil.copy(shared(UNTOLD).with_name("labelmap.txt"), alone.parent)
    rewritten(alone, order=order)
    with pytest.raises(BadBundle, match=rf"detect\.tflite: .*{message}.* TFLite_Detection_PostProcess 1x10x4"):
        load_detector(alone)


def test_an_operation_that_is_wrong_on_several_threads_runs_on_one(
    alone: Path, photographs: list[Picture], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shutil.copy(shared(UNTOLD).with_name("labelmap.txt"), alone.parent)
    rewritten(alone, use_regular_nms=True, detections_per_class=100, nms_score_threshold=0.2)
    one = [load_detector(alone, threads=threads, score_threshold=0.4).detect(photographs) for threads in (1, 4)]
    assert one[0] == one[1]
    assert all(one[0])
    assert caplog.text.count("runs on 1 thread") == 1


def test_a_file_that_has_no_labels_asks_for_them(alone: Path) -> None:
    with pytest.raises(BadBundle, match=r"detect\.tflite: has no labels in it and none beside it"):
        load_detector(alone)


def test_labels_that_do_not_count_up_to_the_classes_are_refused(alone: Path) -> None:
    alone.with_name("labels.txt").write_text("person\nbicycle\n")
    with pytest.raises(BadBundle, match=r"detect\.tflite: tells 90 classes apart and has 2 labels"):
        load_detector(alone)


def test_a_labels_file_that_begins_with_the_background_gives_the_same_names(
    alone: Path, photographs: list[Picture]
) -> None:
    rows = shared(UNTOLD).with_name("labelmap.txt").read_text()
    alone.with_name("labelmap.txt").write_text(f"???\n{rows}")
    assert found(alone, photographs[:1]) == found(shared(UNTOLD), photographs[:1])


def test_thresholds_of_the_sidecar_hold_until_others_are_asked_for(alone: Path, photographs: list[Picture]) -> None:
    shutil.copy(shared(UNTOLD).with_name("labelmap.txt"), alone.parent)
    alone.with_name("detect.tflite.yaml").write_text("score_threshold: .45\nthresholds: {person: .7}\nnms_iou: .6\n")
    entries = [one for entry in load_detector(alone).detect(photographs) for one in entry]  # type: ignore[union-attr]
    assert 0.45 <= min(one.score for one in entries if one.label != "person") < 0.7
    assert min(one.score for one in entries if one.label == "person") >= 0.7
    many = [one for entry in found(alone, photographs, score_threshold=0.3) for one in entry]
    assert len(many) > len(entries)
    for entry in found(alone, photographs, score_threshold=0.3):
        for one, other in itertools.combinations(entry, 2):
            assert one.label != other.label or one.box.iou(other.box) <= 0.6


def test_raw_heads_of_others_are_refused_until_a_sidecar_says_how_they_become_boxes(fpnlite: Path) -> None:
    assert "person" in load_detector(fpnlite).labels
    fpnlite.with_name("fpnlite.tflite.yaml").unlink()
    with pytest.raises(
        BadBundle, match=r"raw boxes bboxes_concat 1x6820x4 and scores classes_softmax 1x6820x81.*`raw:`"
    ):
        load_detector(fpnlite)


def test_raw_heads_find_what_the_other_model_finds(fpnlite: Path, photographs: list[Picture]) -> None:
    assert len(load_detector(fpnlite).labels) == 80  # the background is none
    pairs = zip(found(fpnlite, photographs), found(shared(UNTOLD), photographs), strict=True)
    people = [[[one for one in entry if one.label == "person"][:1] for entry in pair] for pair in pairs]
    both = [(one[0].box, other[0].box) for one, other in people if one and other]
    assert len(both) >= 3
    assert all(one.iou(other) > 0.6 for one, other in both)


def test_raw_heads_need_labels_that_count_up_to_their_scores(fpnlite: Path) -> None:
    fpnlite.with_name("labels_coco_dataset_80.txt").write_text("cat\ndog\n")
    with pytest.raises(BadBundle, match=r"fpnlite\.tflite: gives 81 scores a box and has 2 labels"):
        load_detector(fpnlite)


def test_a_file_that_is_none_of_tensorflow_lites_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "model.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(BadBundle, match=r"model\.tflite: cannot be loaded by LiteRT"):
        load_detector(broken)
    broken.write_bytes(shared(UNTOLD).read_bytes()[:100_000])
    with pytest.raises(BadBundle, match=r"model\.tflite: cannot be loaded by LiteRT"):
        load_detector(broken)


class Input:
    """What a table asks of a network."""

    def __init__(self, kind: type, scale: float = 0.0, zero: int = 0) -> None:
        self.kind, self.quantisation = np.dtype(kind), (scale, zero)


def test_a_float_input_gets_the_normalised_numbers_themselves() -> None:
    table = pixel_table(Input(np.float32), (10, 20, 30), (2, 4, 8))  # type: ignore[arg-type]
    pixels = np.arange(256, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(table, (pixels - np.float32([10, 20, 30])) / np.float32([2, 4, 8]))


@pytest.mark.parametrize(("kind", "zero"), [(np.int8, -14), (np.int8, -128), (np.uint8, 114)])
def test_a_quantised_input_gets_the_nearest_step_halves_away_from_zero_and_no_overflow(kind: type, zero: int) -> None:
    table = pixel_table(Input(kind, 0.25, zero), (100, 100, 100), (8, 16, 1))  # type: ignore[arg-type]
    assert table.dtype == kind
    limits = np.iinfo(kind)
    for value, row in enumerate(table.tolist()):
        for std, step in zip((8, 16, 1), row, strict=True):
            exact = (value - 100) / std / 0.25  # no rounding: all are sums of powers of two
            rounded = int(np.copysign(np.floor(abs(exact) + 0.5), exact)) + zero
            assert step == min(max(rounded, limits.min), limits.max)


def test_a_quantised_input_without_a_word_of_normalisation_gets_the_pixels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for model in (TOLD, UNTOLD):
        load_detector(shared(model))
    assert "does not say" not in caplog.text  # that is asked of float inputs


@pytest.mark.slow
@pytest.mark.parametrize(("model", "least"), [(TOLD, 0.28), (UNTOLD, 0.28), (FPNLITE, 0.25)])
def test_it_is_as_good_on_photographs_as_it_is_known_to_be(fpnlite: Path, model: str, least: float) -> None:
    from vigie.training.evaluating.evaluation import evaluate

    detector = detector_of(fpnlite if model == FPNLITE else shared(model))
    samples = read_set(needs.shared_data() / "coco_val200")
    measured = evaluate(detector, samples, labels=detector.labels, intervals=False, progress=False)
    assert measured.pictures == 200
    assert measured.coco["mAP50"] >= least  # type: ignore[operator]


@pytest.fixture
def few_photographs(tmp_path: Path) -> Path:
    """Six of COCO's with their boxes, among them two whose label COCO spells in another way than the model's labels."""
    whole = needs.shared_data() / "coco_val200"
    told = json.loads((whole / "instances.json").read_text())
    sofas = {one["id"] for one in told["categories"] if one["name"] == "sofa"}
    shown = {one["image_id"] for one in told["annotations"] if one["category_id"] in sofas}
    chosen = [one for one in told["images"] if one["id"] in shown][:2] + [
        one for one in told["images"] if one["id"] not in shown
    ][:4]
    ids = {one["id"] for one in chosen}
    part = {**told, "images": chosen, "annotations": [one for one in told["annotations"] if one["image_id"] in ids]}
    folder = tmp_path / "photographs"
    (folder / "images").mkdir(parents=True)
    (folder / "instances.json").write_text(json.dumps(part))
    for one in chosen:
        shutil.copy(whole / "images" / one["file_name"], folder / "images")
    return folder


def test_a_file_is_evaluated_and_shown_by_its_path(few_photographs: Path, tmp_path: Path) -> None:
    model = str(shared(UNTOLD))
    report, seen = tmp_path / "report", tmp_path / "seen"
    evaluated = CliRunner().invoke(app, ["evaluate", model, "--data", str(few_photographs), "--out", str(report)])
    assert evaluated.exit_code == 0, evaluated.output
    metrics = json.loads((report / "metrics.json").read_text())
    assert metrics["pictures"] == 6
    assert metrics["per_class"]["couch"]["count"] >= 2
    assert metrics["mAP50"] > 0.2
    predicted = CliRunner().invoke(app, ["predict", model, str(few_photographs / "images"), "--out", str(seen)])
    assert predicted.exit_code == 0, predicted.output
    rows = json.loads((seen / "detections.json").read_text())
    assert len(rows) == 6
    assert {row["model"] for row in rows} == {"detect.tflite"}
    assert sum(len(row["detections"]) for row in rows) > 6


def test_a_set_with_labels_that_the_model_does_not_know_is_refused_by_their_names(
    few_photographs: Path, tmp_path: Path
) -> None:
    told = few_photographs / "instances.json"
    told.write_text(told.read_text().replace('"person"', '"passer-by"'))
    done = CliRunner().invoke(
        app, ["evaluate", str(shared(UNTOLD)), "--data", str(few_photographs), "--out", str(tmp_path / "report")]
    )
    assert isinstance(done.exception, BadData)
    assert "is marked with passer-by" in str(done.exception)
