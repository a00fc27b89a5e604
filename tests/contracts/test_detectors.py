"""Every detector through the same tests: the checkpoint, and each file that is exported from it."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from vigie.bundle import Bundle
from vigie.cartoons import random_scene
from vigie.detectors import load_detector
from vigie.domain import Detection
from vigie.errors import BadPicture
from vigie.pictures import Picture, encode_jpeg
from vigie.ports import Detector
from vigie.resizing import GREY
from vigie.runs import Run

Make = Callable[[float | None], Detector]


RUNTIMES = ("checkpoint", "tflite", "saved_model")


def maker(request: pytest.FixtureRequest, runtime: str, *, letterboxed: bool) -> Make:
    if runtime == "checkpoint":
        from vigie.training.checkpoint_detector import checkpoint_detector

        run: Run = request.getfixturevalue("letterboxed_run" if letterboxed else "untrained_run")
        return lambda threshold: checkpoint_detector(
            run, **({} if threshold is None else {"score_threshold": threshold})
        )
    bundle: Bundle = request.getfixturevalue("letterboxed_bundle" if letterboxed else "exported_bundle")
    return lambda threshold: load_detector(bundle.folder, runtime=runtime, score_threshold=threshold)


@pytest.fixture(scope="session", params=[(name, resize) for resize in ("", "letterboxed") for name in RUNTIMES],
                ids=lambda given: " ".join(filter(None, given)))  # fmt: skip
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the detector, with a threshold or the model's own."""
    runtime, resize = request.param
    return maker(request, runtime, letterboxed=bool(resize))


@pytest.fixture(scope="session")
def letterboxing(request: pytest.FixtureRequest) -> dict[str, Detector]:
    """One of each runtime; they find much."""
    return {name: maker(request, name, letterboxed=True)(0.3) for name in RUNTIMES}


@pytest.fixture(scope="session")
def detector(make: Make) -> Detector:
    return make(None)


def cartoon(seed: int, width: int = 160, height: int = 120) -> Picture:
    return Picture.from_bytes(encode_jpeg(random_scene(seed, width, height, max_faces=3)[0]))


def found(entry: list[Detection] | BadPicture) -> list[Detection]:
    assert not isinstance(entry, BadPicture)
    return entry


def assert_same(one: list[Detection], other: list[Detection]) -> None:
    """Up to what another size of batch does to the last digits."""
    assert [detection.label for detection in one] == [detection.label for detection in other]
    for a, b in zip(one, other, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)
        for edge in ("left", "top", "right", "bottom"):
            assert getattr(a.box, edge) == pytest.approx(getattr(b.box, edge), abs=0.02)


def test_the_labels_are_those_of_the_experiment_in_its_order(detector: Detector, untrained_run: Run) -> None:
    assert tuple(detector.labels) == untrained_run.experiment.classes


def test_no_picture_gives_no_entry(detector: Detector) -> None:
    assert detector.detect([]) == []


def test_every_picture_gets_its_own_entry_in_order_and_a_batch_equals_singles(detector: Detector) -> None:
    pictures = [cartoon(seed) for seed in range(11)]
    entries = detector.detect(pictures)
    assert len(entries) == len(pictures)
    singles = [found(detector.detect([picture])[0]) for picture in pictures]
    assert len({tuple(detection.score for detection in single) for single in singles}) == len(pictures)
    for entry, single in zip(entries, singles, strict=True):
        assert single
        assert_same(found(entry), single)


def test_the_same_picture_gives_the_same_detections_again(detector: Detector) -> None:
    assert detector.detect([cartoon(1)]) == detector.detect([cartoon(1)])


def test_a_bad_picture_is_an_entry_and_leaves_the_others_unharmed(detector: Detector) -> None:
    whole = encode_jpeg(random_scene(5, 160, 120, max_faces=3)[0])
    out = io.BytesIO()
    Image.new("RGB", (160, 120)).save(out, "PNG")
    broken = Picture.from_bytes(out.getvalue()[:60])  # its header is fine
    first, bad, last = detector.detect([cartoon(1), broken, Picture.from_bytes(whole)])
    assert isinstance(bad, BadPicture)
    assert "160x120 that cannot be decoded" in str(bad)
    assert_same(found(first), found(detector.detect([cartoon(1)])[0]))
    assert_same(found(last), found(detector.detect([Picture.from_bytes(whole)])[0]))


def test_bad_pictures_alone_give_entries_alone(detector: Detector) -> None:
    out = io.BytesIO()
    Image.new("RGB", (160, 120)).save(out, "PNG")
    entries = detector.detect([Picture.from_bytes(out.getvalue()[:60])] * 2)
    assert [type(entry) for entry in entries] == [BadPicture, BadPicture]


def test_the_best_come_first_and_reach_the_threshold(make: Make) -> None:
    scores = [detection.score for detection in found(make(0.3).detect([cartoon(2)])[0])]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.3


def test_a_lower_threshold_finds_more_and_the_same_above(make: Make) -> None:
    few = found(make(0.5).detect([cartoon(3)])[0])
    many = found(make(0.3).detect([cartoon(3)])[0])
    assert len(many) > len(few) > 0
    assert_same([detection for detection in many if detection.score >= 0.5], few)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (96, 64), (33, 400), (1, 1), (4000, 10), (1, 300)])
def test_boxes_lie_inside_the_original_picture_whatever_its_size(detector: Detector, width: int, height: int) -> None:
    pixels = np.asarray(Image.fromarray(random_scene(4, 160, 120, max_faces=3)[0]).resize((width, height)))
    for detection in found(detector.detect([Picture.from_pixels(pixels)])[0]):
        box = detection.box
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
        assert detection.label in detector.labels


def test_a_picture_twice_as_large_has_boxes_twice_as_large(detector: Detector) -> None:
    small = random_scene(6, 96, 64, max_faces=2)[0]  # the model's own size: both reach it unchanged
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    ones = found(detector.detect([Picture.from_pixels(small)])[0])
    twos = found(detector.detect([Picture.from_pixels(large)])[0])
    assert ones
    for one, two in zip(ones, twos, strict=True):
        assert (two.box.left, two.box.bottom) == pytest.approx((one.box.left * 2, one.box.bottom * 2), abs=0.05)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("width", "height"), [(96, 32), (32, 64)], ids=["wide", "tall"])
def test_a_letterboxed_picture_has_the_boxes_that_it_has_with_the_grey_put_around_it_by_hand(
    letterboxing: dict[str, Detector], runtime: str, width: int, height: int
) -> None:
    detector = letterboxing[runtime]
    pixels = random_scene(7, width, height, max_faces=2)[0]
    whole = np.full((64, 96, 3), GREY, np.uint8)  # the model's own size: both reach it without resizing
    left, top = (96 - width) // 2, (64 - height) // 2
    whole[top : top + height, left : left + width] = pixels
    by_hand = found(detector.detect([Picture.from_pixels(whole)])[0])
    boxes = {detection.score: detection for detection in found(detector.detect([Picture.from_pixels(pixels)])[0])}
    # What reaches onto the grey is clipped, so of two that overlap another one may stay.
    inside = [one for one in by_hand if left <= one.box.left and one.box.right <= left + width
              and top <= one.box.top and one.box.bottom <= top + height]  # fmt: skip
    same = [(one, boxes[one.score]) for one in inside if one.score in boxes]
    assert len(same) >= 2
    for one, other in same:
        assert other.label == one.label
        assert (other.box.left, other.box.top) == pytest.approx((one.box.left - left, one.box.top - top), abs=0.01)
        assert (other.box.width, other.box.height) == pytest.approx((one.box.width, one.box.height), abs=0.01)


@pytest.mark.parametrize(("width", "height"), [(320, 80), (60, 200)], ids=["wide", "tall"])
def test_a_file_finds_on_a_letterboxed_picture_what_the_checkpoint_finds(
    letterboxing: dict[str, Detector], width: int, height: int
) -> None:
    picture = cartoon(3, width, height)
    of_checkpoint, *of_files = (found(letterboxing[runtime].detect([picture])[0]) for runtime in RUNTIMES)
    assert of_checkpoint
    for of_file in of_files:
        for one, other in zip(of_checkpoint, of_file, strict=True):
            assert (one.label, one.score) == (other.label, pytest.approx(other.score, abs=1e-4))
            assert (one.box.left, one.box.bottom) == pytest.approx((other.box.left, other.box.bottom), abs=0.1)


def test_anchors_that_were_fitted_are_in_the_manifest_as_numbers(
    letterboxed_run: Run, letterboxed_bundle: Bundle
) -> None:
    assert letterboxed_run.asked.model.anchors == "auto"
    assert letterboxed_bundle.manifest.anchors == letterboxed_run.experiment.model.grid
