"""Several detectors over the same pictures are measured as if each were alone."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from faked_evaluations import LABELS, Finds, cat, evaluated, found, sample

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.decoding import Decoder
from vigie.domain import Detection
from vigie.errors import BadBundle
from vigie.export.gate.side_by_side import evaluate_side_by_side
from vigie.pictures import Picture
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import InputSize
from vigie.training.evaluating.evaluation import evaluate

SAMPLES = [sample(number, cat(10 + number, 20)) for number in range(20)]
SIZE = InputSize(64, 64)
DECODER = Decoder(
    labels=LABELS, input_width=64, input_height=64, score_threshold=0.01,
    anchors=anchors_yxyx_px(AnchorSpec(min_level=3, max_level=4), 64, 64),
)  # fmt: skip


def entries(right: int) -> list[list[Detection]]:
    return [[found("cat", 0.9, 10 + number if number < right else 300, 20)] for number in range(len(SAMPLES))]


class Breaks:
    labels = LABELS

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        self.calls += 1
        if self.calls > 1:
            raise BadBundle("model: its scores are not finite")
        return [[] for _ in pictures]


class Noise:
    """Raw heads that depend on the picture, off by something."""

    def __init__(self, off: float) -> None:
        self.off = off

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        boxes, scores = [], []
        for pixels in rgb_u8:
            rng = np.random.default_rng(int(pixels.astype(np.int64).sum()))
            boxes.append(rng.normal(size=(len(DECODER.anchors), 4)))
            scores.append(rng.random((len(DECODER.anchors), 2)) ** 9 * (1 - self.off))
        return np.stack(boxes).astype(np.float32), np.stack(scores).astype(np.float32)


def test_each_is_measured_as_if_it_were_alone_and_a_broken_one_spoils_none() -> None:
    breaks = Breaks()
    leading, outcomes = evaluate_side_by_side(
        Finds(LABELS, entries(20)), {"half": Finds(LABELS, entries(10)), "broken": breaks}, SAMPLES,
        pictures=len(SAMPLES), input_size=SIZE, progress=False,
    )  # fmt: skip
    assert leading.coco == evaluated(SAMPLES, entries(20)).coco
    half = outcomes["half"].evaluation
    assert half is not None
    assert half.coco == evaluated(SAMPLES, entries(10)).coco
    assert half.per_class == evaluated(SAMPLES, entries(10)).per_class
    assert (outcomes["broken"].evaluation, outcomes["broken"].failed) == (None, "model: its scores are not finite")
    assert breaks.calls == 2  # it is not asked again


def test_raw_outputs_are_compared_and_decoded_as_each_detector_does_it_itself() -> None:
    ours, theirs = (RawHeadsDetector(Noise(off), DECODER, where="noise", batch=3) for off in (0.0, 0.001))
    leading, outcomes = evaluate_side_by_side(
        ours, {"same": ours, "off": theirs}, SAMPLES, pictures=len(SAMPLES), input_size=SIZE, progress=False
    )
    for detector, evaluation in ((ours, leading), (theirs, outcomes["off"].evaluation)):
        assert evaluation is not None
        alone = evaluate(detector, SAMPLES, labels=LABELS, progress=False)
        assert [one.result for one in evaluation.per_picture] == [one.result for one in alone.per_picture]
    same, off = outcomes["same"].differences, outcomes["off"].differences
    assert same is not None
    assert off is not None
    assert (same.boxes_px, same.score) == (0, 0)
    assert same.boxes > 100
    assert off.boxes_px == 0
    assert 0.0005 < off.score <= 0.001
    assert leading.analysis.by_size is not None
