"""The gate closes on a file that does otherwise than the checkpoint, and says which class lost."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from faked_evaluations import cat, evaluated, found, sample

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.bundle import FP16, FP32, INT8, ONNX, POSTPROCESS, SAVED_MODEL, InputSpec, ModelFacts
from vigie.data.parts import Sample
from vigie.decoding import Decoder
from vigie.domain import Box, Detection, LabelledBox
from vigie.export.gate.differences import Differences
from vigie.export.gate.gating import judge_files
from vigie.export.gate.judging import Ran, judge, measure
from vigie.export.gate.results import Asked, FileResult, Gate
from vigie.export.gate.tolerances import TOLERANCES, Tolerance
from vigie.export.publishing import seal
from vigie.pictures import Picture
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import normalised
from vigie.training.evaluating.evaluation import Evaluation

LABELS = ("red", "green", "blue")
INPUT = InputSpec(width=96, height=64, mean_rgb=(0.0, 0.0, 0.0), std_rgb=(255.0, 255.0, 255.0))
ANCHORS = AnchorSpec(min_level=3, max_level=3, scales=1, aspect_ratios=(1.0,), size=1.0)
CELL_PX = 8
DECODER = Decoder(
    labels=LABELS,
    input_width=INPUT.width,
    input_height=INPUT.height,
    anchors=anchors_yxyx_px(ANCHORS, INPUT.width, INPUT.height),
    score_threshold=0.01,
)

Change = Callable[[Any, Any], tuple[Any, Any]]


class Colours:
    """Finds each cell that has one of the three colours from edge to edge, as exactly that cell; then it is changed."""

    def __init__(self, change: Change = lambda boxes, scores: (boxes, scores)) -> None:
        self.variables: Sequence[Any] = ()
        self._change = change

    def __call__(self, pictures: Any, *, training: bool) -> dict[str, Any]:
        import tensorflow as tf

        brightness = tf.nn.avg_pool2d(pictures, CELL_PX, CELL_PX, "VALID")
        scores = tf.sigmoid(12 * (tf.reshape(brightness, (-1, len(DECODER.anchors), len(LABELS))) - 0.7))
        boxes = 0 * tf.concat([scores, scores[..., :1]], axis=2)
        return dict(zip(("raw_boxes", "scores"), self._change(boxes, scores), strict=True))


def pictures() -> list[Sample]:
    """Sixty with a red, a green and a blue cell each, of several strengths: scores are spread, and all are found."""
    rng = np.random.default_rng(4)
    cells = [(x, y) for y in range(INPUT.height // CELL_PX) for x in range(INPUT.width // CELL_PX)]
    samples = []
    for number in range(60):
        rgb = np.zeros((INPUT.height, INPUT.width, 3), np.uint8)
        objects = []
        for colour, place in enumerate(rng.choice(len(cells), 3, replace=False)):
            left, top = (CELL_PX * side for side in cells[place])
            rgb[top : top + CELL_PX, left : left + CELL_PX, colour] = rng.integers(150, 256)
            objects.append(LabelledBox(LABELS[colour], Box(left, top, left + CELL_PX, top + CELL_PX)))
        samples.append(Sample(number, f"{number}.png", Picture.from_pixels(rgb), tuple(objects)))
    return samples


SAMPLES = pictures()


def write_all(model: Colours, folder: Path) -> None:
    from vigie.export.files.metadata import add_metadata
    from vigie.export.files.onnx import write_onnx
    from vigie.export.files.saved_model import write_saved_model
    from vigie.export.files.tflite import write_fp16, write_fp32, write_int8, write_postprocess

    write_saved_model(model, folder, INPUT, DECODER)
    write_fp32(model, folder / FP32, INPUT)
    write_fp16(model, folder / FP16, INPUT)
    write_int8(model, folder / INT8, INPUT, [one.picture.rgb() for one in SAMPLES[:20]])
    write_postprocess(model, folder / POSTPROCESS, INPUT, DECODER)
    add_metadata(folder / POSTPROCESS, name="colours", labels=LABELS, spec=INPUT, postprocess=True)
    write_onnx(model, folder / ONNX, INPUT)


@pytest.fixture(scope="module")
def faithful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file of the model that is the checkpoint."""
    folder = tmp_path_factory.mktemp("faithful")
    write_all(Colours(), folder)
    return folder


@pytest.fixture
def files(faithful: Path, tmp_path: Path) -> Path:
    """To be broken."""
    return shutil.copytree(faithful, tmp_path / "files")


def judged(folder: Path, *, only: Sequence[str] | None = None, timed: bool = False) -> dict[str, FileResult]:
    model = Colours()

    def heads(rgb_u8: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        outputs = model(normalised(rgb_u8, INPUT.mean_rgb, INPUT.std_rgb), training=False)
        return outputs["raw_boxes"].numpy(), outputs["scores"].numpy()

    checkpoint = RawHeadsDetector(heads, DECODER, where="checkpoint")
    facts = ModelFacts(default=FP32, labels=LABELS, input=INPUT, anchors=ANCHORS, data_hash="none",
                       training_key="none", code="test", trial_source="synthetic:seed=1", step=0)  # fmt: skip
    bundle = seal(folder, facts, name="colours")
    found = judge_files(checkpoint, bundle, SAMPLES, pictures=len(SAMPLES), files=only, timed=timed, progress=False)
    assert found.checkpoint.coco["mAP"] == 1.0
    return {one.file: one for one in found.files}


def test_every_faithful_file_passes_and_its_numbers_are_told(faithful: Path) -> None:
    results = judged(faithful)
    assert set(results) == {FP32, FP16, INT8, POSTPROCESS, ONNX, SAVED_MODEL} == set(TOLERANCES)
    for one in results.values():
        assert one.reasons == (), one.file
        assert one.measured is not None
        assert {label: of.boxes for label, of in one.measured.per_class.items()} == dict.fromkeys(LABELS, 60)
        assert one.measured.mAP == pytest.approx(1.0, abs=one.tolerance.mAP)
        assert one.bytes > 1000
    for file in (FP32, ONNX, SAVED_MODEL):
        assert results[file].boxes_px == pytest.approx(0, abs=0.01)
        assert results[file].score == pytest.approx(0, abs=1e-5)
        assert results[file].boxes_compared >= 180
    assert results[SAVED_MODEL].mAP_in_graph == pytest.approx(1.0)
    assert results[SAVED_MODEL].bytes > (faithful / SAVED_MODEL).stat().st_size  # its variables too
    assert results[INT8].score > 1e-4  # type: ignore[operator]
    assert results[POSTPROCESS].boxes_px is None


def test_swapped_outputs_close_the_gate_and_the_classes_are_named(files: Path) -> None:
    import tensorflow as tf

    from vigie.export.files.tflite import write_fp32

    swapped = Colours(lambda boxes, scores: (boxes, tf.gather(scores, [1, 0, 2], axis=2)))
    write_fp32(swapped, files / FP32, INPUT)
    results = judged(files)
    [file] = [one for one in results.values() if not one.passed]
    assert file.file == FP32
    [lost] = [reason for reason in file.reasons if "mAP is" in reason]
    assert "under the checkpoint's 1.0000" in lost
    assert lost.endswith(("AP lost: red 1.0000, green 1.0000", "AP lost: green 1.0000, red 1.0000"))


def test_boxes_a_hair_off_close_the_gate_though_nothing_is_lost(files: Path) -> None:
    from vigie.export.files.onnx import write_onnx
    from vigie.export.files.tflite import write_fp32

    # .02 of a raw unit is .02 / 10 of the anchor's side of 8 px.
    moved = Colours(lambda boxes, scores: (boxes + 0.02, scores))
    write_fp32(moved, files / FP32, INPUT)
    write_onnx(moved, files / ONNX, INPUT)
    results = judged(files, only=[FP32, ONNX])
    for file in (FP32, ONNX):
        [reason] = results[file].reasons
        assert "px off the checkpoint's at the input's size, 0.01 px are allowed" in reason
        assert results[file].boxes_px == pytest.approx(0.016 + 0.016, abs=0.02)


def test_a_wrong_calibration_range_closes_the_gate_on_the_int8_file_alone(files: Path) -> None:
    from vigie.export.files.tflite import write_int8

    dark = [np.full((INPUT.height, INPUT.width, 3), number, np.uint8) for number in range(8)]
    write_int8(Colours(), files / INT8, INPUT, dark)
    results = judged(files)
    assert [one.file for one in results.values() if not one.passed] == [INT8]
    said = "; ".join(results[INT8].reasons)
    for label in LABELS:
        assert f"{label} loses " in said
    assert "on 60 boxes, 95 %:" in said
    assert "wholly beyond 0.02" in said


def test_only_the_class_that_lost_is_named(files: Path) -> None:
    import tensorflow as tf

    from vigie.export.files.tflite import write_int8

    weights = tf.constant([1.0, 1.0, 0.001])
    blind = Colours(lambda boxes, scores: (boxes, scores * weights))
    write_int8(blind, files / INT8, INPUT, [one.picture.rgb() for one in SAMPLES[:20]])
    said = "; ".join(judged(files, only=[INT8])[INT8].reasons)
    assert "blue loses 1.0000 AP50 on 60 boxes" in said
    assert "AP lost: blue 1.0000" in said
    assert "red" not in said
    assert "green" not in said


@pytest.mark.parametrize("file", [FP32, INT8, POSTPROCESS, ONNX, SAVED_MODEL])
def test_a_truncated_file_is_refused_and_the_others_are_judged(files: Path, file: str) -> None:
    whole = (files / file).read_bytes()
    (files / file).write_bytes(whole[: len(whole) // 2])
    results = judged(files, only=[file, FP16])
    assert results[FP16].passed
    assert results[file].measured is None
    [reason] = results[file].reasons
    assert str(files / file) in reason


def test_a_saved_model_is_judged_by_its_own_detections_too(files: Path) -> None:
    from dataclasses import replace

    from vigie.export.files.saved_model import write_saved_model

    shutil.rmtree(files / "variables")
    write_saved_model(Colours(), files, INPUT, replace(DECODER, score_threshold=0.9))
    result = judged(files, only=[SAVED_MODEL])[SAVED_MODEL]
    assert result.measured is not None
    assert result.measured.mAP == 1.0  # its raw heads are right
    [reason] = result.reasons
    assert reason.startswith("mAP of its own detections is ")


@pytest.mark.slow
def test_times_are_told_at_one_and_two_threads(faithful: Path) -> None:
    for one in judged(faithful, timed=True).values():
        assert set(one.milliseconds) == {1, 2}
        assert all(took is not None and took > 0 for took in one.milliseconds.values()), one.file


def evaluated_cats(hits: int, of: int, *, false: int = 0) -> Evaluation:
    samples = [sample(number, cat(10, 10)) for number in range(of)]
    entries: list[list[Detection]] = [[found("cat", 0.9, 10, 10)] if number < hits else [] for number in range(of)]
    for number in range(false):
        entries[number].append(found("cat", 0.95, 200, 10))
    return evaluated(samples, entries)


INTS = Tolerance(mAP=1.0, class_AP50=0.02)


def test_a_class_is_gated_from_fifty_boxes_on() -> None:
    for boxes, refused in ((49, False), (50, True)):
        ran = Ran(evaluated_cats(boxes // 2, boxes))
        measured, reasons = judge(evaluated_cats(boxes, boxes), ran, INTS)
        lost = measured.per_class["cat"].lost_AP50
        assert lost is not None
        assert 0.02 < lost.low < lost.value < lost.high  # reported for both
        assert bool(reasons) is refused
    assert "cat loses" in reasons[0]


def test_a_loss_within_the_noise_of_the_pictures_does_not_close_the_gate() -> None:
    measured, reasons = judge(evaluated_cats(100, 100), Ran(evaluated_cats(97, 100)), INTS)
    lost = measured.per_class["cat"].lost_AP50
    assert lost is not None
    assert lost.value == pytest.approx(0.03, abs=0.01)  # beyond, but not wholly
    assert lost.low < 0.02
    assert reasons == ()


def test_a_file_that_finds_more_is_no_equal_but_no_worse_either() -> None:
    less, more = evaluated_cats(50, 100), evaluated_cats(90, 100)
    _, same_arithmetic = judge(less, Ran(more), TOLERANCES[FP32])
    assert "over the checkpoint's" in same_arithmetic[0]
    assert "another model" in same_arithmetic[0]
    for file in (FP16, INT8, POSTPROCESS):
        assert judge(less, Ran(more), TOLERANCES[file])[1] == ()


@pytest.mark.parametrize(
    ("differences", "refused"),
    [
        (Differences(boxes_px=0.01, score=0.001), False),
        (Differences(boxes_px=0.0101), True),
        (Differences(score=0.0011), True),
        (Differences(boxes_px=float("nan")), True),
    ],
)
def test_equal_arithmetic_leaves_boxes_and_scores_where_they_are(differences: Differences, refused: bool) -> None:
    same = evaluated_cats(9, 10)
    assert bool(judge(same, Ran(same, differences), TOLERANCES[FP32])[1]) is refused


def test_differences_are_those_of_boxes_that_one_of_the_two_scores() -> None:
    anchors = len(DECODER.anchors)
    ours = np.zeros((anchors, 4), np.float32), np.zeros((anchors, 3), np.float32)
    theirs = ours[0].copy(), ours[1].copy()
    theirs[0][7] = 10.0, 0, 0, 0  # a whole anchor further down
    theirs[1][:, 0] = 0.049
    differences = Differences()
    differences.add(DECODER, ours, theirs)
    assert (differences.boxes, differences.boxes_px, differences.score) == (0, 0, pytest.approx(0.049))
    theirs[1][7, 2] = 0.05
    differences.add(DECODER, ours, theirs)
    assert (differences.boxes, differences.boxes_px) == (1, pytest.approx(8))


def test_the_default_file_is_int8_when_it_passed_else_fp32_and_none_when_none_did() -> None:
    def gate(*passed: str) -> Gate:
        measured = measure(evaluated_cats(1, 1))
        files = [
            FileResult(file=file, runtime="tflite", bytes=1, tolerance=INTS, measured=measured,
                       reasons=() if file in passed else ("it is broken",))
            for file in TOLERANCES
        ]  # fmt: skip
        return Gate(asked=Asked(), pictures=1, checkpoint=measured, files=tuple(files))

    assert gate(FP32, INT8, ONNX).default == INT8
    assert gate(FP32, FP16, ONNX).default == FP32
    assert gate(ONNX).default == ONNX
    assert gate().default is None
    assert [str(one) for one in gate(*set(TOLERANCES) - {INT8}).refusals] == [f"{INT8}: refused: it is broken"]
