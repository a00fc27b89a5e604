"""Every detector through the same tests: the checkpoint, each file that is exported from it, and files of others.

To add a runtime is to add a line: to OURS where it runs what the untrained run became and finds what the checkpoint
finds, to ROUNDED where it does so but for the last digits, to OTHERS where it runs models of others.
"""

import functools
import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import needs
import numpy as np
import pytest
from PIL import Image

from vigie.bundle import FP16, FP32, INT8, POSTPROCESS, Bundle
from vigie.cartoons import random_scene
from vigie.detectors import load_detector
from vigie.domain import Detection
from vigie.errors import BadBundle, BadPicture
from vigie.pictures import Picture, Pixels, encode_jpeg
from vigie.ports import Detector
from vigie.resizing import GREY, resized
from vigie.runs import Run

Make = Callable[[float | None], Detector]
"""With a threshold, or with the model's own."""

Maker = Callable[[pytest.FixtureRequest, str], Make]
"""Of fixtures and the way of resizing."""


def checkpoint(request: pytest.FixtureRequest, resize: str) -> Make:
    from vigie.training.network.checkpoint_detector import checkpoint_detector

    run: Run = request.getfixturevalue("letterboxed_run" if resize == "letterbox" else "untrained_run")
    return lambda threshold: checkpoint_detector(run, **({} if threshold is None else {"score_threshold": threshold}))


def of_bundle(runtime: str, file: str | None = None, **options: object) -> Maker:
    def maker(request: pytest.FixtureRequest, resize: str) -> Make:
        name = "letterboxed_bundle" if resize == "letterbox" else "exported_bundle"
        bundle: Bundle = request.getfixturevalue(name)
        return lambda threshold: load_detector(
            bundle.folder, runtime=runtime, file=file, score_threshold=threshold, runtime_options=options
        )

    return maker


def of_server(request: pytest.FixtureRequest, resize: str) -> Make:
    bundle: Bundle = request.getfixturevalue("letterboxed_bundle" if resize == "letterbox" else "exported_bundle")
    options = {"url": request.getfixturevalue("served")(bundle), "total_timeout_s": 60, "timeout_s": 60}
    return lambda threshold: load_detector(
        bundle.folder, runtime="tf_serving", score_threshold=threshold, runtime_options=options
    )


def of_shared(model: str) -> Maker:
    """A file below shared/data/models that knows COCO's classes; its own threshold is .3 here."""

    def maker(_: pytest.FixtureRequest, __: str) -> Make:
        path = needs.shared_data() / "models" / model
        return lambda threshold: load_detector(path, score_threshold=0.3 if threshold is None else threshold)

    return maker


OURS: Mapping[str, Maker] = {
    "checkpoint": checkpoint,
    "tflite": of_bundle("tflite", FP32),
    "saved_model": of_bundle("saved_model"),
    "tf_serving": of_server,
    "onnxruntime": of_bundle("onnxruntime"),
    "openvino": of_bundle("openvino", precision="f32"),
}
ROUNDED: Mapping[str, Maker] = {
    "tflite fp16": of_bundle("tflite", FP16),
    "tflite int8": of_bundle("tflite", INT8),
    "tflite postprocess": of_bundle("tflite", POSTPROCESS),
    "openvino as it is deployed": of_bundle("openvino"),
}
OTHERS: Mapping[str, Maker] = {
    "tflite of others": of_shared("ssd_mobilenet_v1_coco_quant_tflite/detect.tflite"),
    "darknet": of_shared("yolo_darknet/yolo-fastest-1.1-xl.cfg"),
}
CASES = [(name, resize) for resize in ("stretch", "letterbox") for name in (*OURS, *ROUNDED)]
CASES += [(name, "") for name in OTHERS]


@dataclass(frozen=True)
class Case:
    """A model, and what may be asked of it: `picture` gives one by its number on which it finds something."""

    make: Make
    labels: Sequence[str] | None
    pixels: Callable[[int], Pixels]

    def picture(self, number: int) -> Picture:
        return Picture.from_bytes(encode_jpeg(self.pixels(number)))


@pytest.fixture(scope="session")
def made(request: pytest.FixtureRequest) -> Callable[[str, str], Make]:
    """Of the name of a runtime and the way of resizing; each detector is built once."""

    @functools.cache
    def make(name: str, resize: str) -> Make:
        return functools.cache({**OURS, **ROUNDED, **OTHERS}[name](request, resize))

    return make


@pytest.fixture(scope="session", params=CASES, ids=lambda given: " ".join(filter(None, given)))
def case(request: pytest.FixtureRequest, made: Callable[[str, str], Make]) -> Case:
    name, resize = request.param
    if name in OTHERS:
        return Case(made(name, resize), None, photograph)
    run: Run = request.getfixturevalue("untrained_run")
    return Case(made(name, resize), run.experiment.classes, cartoon_pixels)


@pytest.fixture(scope="session")
def letterboxing(made: Callable[[str, str], Make]) -> dict[str, Detector]:
    """One of each runtime; they find much."""
    return {name: made(name, "letterbox")(0.3) for name in OURS}


@pytest.fixture(scope="session")
def detector(case: Case) -> Detector:
    return case.make(None)


def cartoon_pixels(seed: int, width: int = 160, height: int = 120) -> Pixels:
    return random_scene(seed, width, height, max_faces=3)[0]


def cartoon(seed: int, width: int = 160, height: int = 120) -> Picture:
    return Picture.from_bytes(encode_jpeg(cartoon_pixels(seed, width, height)))


def photograph(number: int) -> Pixels:
    """With a person on a good part of it."""
    return Picture.from_file(_photographs()[number]).rgb()


@functools.cache
def _photographs() -> list[Path]:
    folder = needs.shared_data() / "coco_val200"
    told = json.loads((folder / "instances.json").read_text())
    (person,) = (one["id"] for one in told["categories"] if one["name"] == "person")
    images = {one["id"]: one for one in told["images"]}
    shown = {one["image_id"]: one["bbox"][2] * one["bbox"][3] for one in told["annotations"]
             if one["category_id"] == person}  # fmt: skip
    large = (images[key] for key, area in shown.items() if area > 0.2 * images[key]["width"] * images[key]["height"])
    return [folder / "images" / one["file_name"] for one in large]


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


def test_the_labels_are_those_of_the_experiment_in_its_order(case: Case, detector: Detector) -> None:
    if case.labels is None:  # COCO's, however they are spelt
        assert len(detector.labels) == 80
        assert detector.labels[0] == "person"
    else:
        assert tuple(detector.labels) == tuple(case.labels)


def test_no_picture_gives_no_entry(detector: Detector) -> None:
    assert detector.detect([]) == []


def test_every_picture_gets_its_own_entry_in_order_and_a_batch_equals_singles(case: Case, detector: Detector) -> None:
    pictures = [case.picture(seed) for seed in range(11)]
    entries = detector.detect(pictures)
    assert len(entries) == len(pictures)
    singles = [found(detector.detect([picture])[0]) for picture in pictures]
    assert len({tuple(detection.score for detection in single) for single in singles}) == len(pictures)
    for entry, single in zip(entries, singles, strict=True):
        assert single
        assert_same(found(entry), single)


def test_frames_of_several_cameras_and_sizes_go_through_together(case: Case, detector: Detector) -> None:
    sizes = [(160, 120), (97, 203), (640, 360), (96, 64), (1280, 720)]
    frames = [Image.fromarray(case.pixels(number)).resize(size) for number, size in enumerate(sizes)]
    pictures = [Picture.from_pixels(np.asarray(frame)) for frame in frames]
    entries = [found(entry) for entry in detector.detect(pictures)]
    assert any(entries)
    for entry, picture in zip(entries, pictures, strict=True):
        assert_same(entry, found(detector.detect([picture])[0]))
        assert all(one.box.right <= picture.width and one.box.bottom <= picture.height for one in entry)


def test_the_same_picture_gives_the_same_detections_again(case: Case, detector: Detector) -> None:
    assert found(detector.detect([case.picture(1)])[0])
    assert detector.detect([case.picture(1)]) == detector.detect([case.picture(1)])


def test_a_bad_picture_is_an_entry_and_leaves_the_others_unharmed(case: Case, detector: Detector) -> None:
    whole = encode_jpeg(case.pixels(5))
    out = io.BytesIO()
    Image.new("RGB", (160, 120)).save(out, "PNG")
    broken = Picture.from_bytes(out.getvalue()[:60])  # its header is fine
    first, bad, last = detector.detect([case.picture(1), broken, Picture.from_bytes(whole)])
    assert isinstance(bad, BadPicture)
    assert "160x120 that cannot be decoded" in str(bad)
    assert_same(found(first), found(detector.detect([case.picture(1)])[0]))
    assert_same(found(last), found(detector.detect([Picture.from_bytes(whole)])[0]))


def test_bad_pictures_alone_give_entries_alone(detector: Detector) -> None:
    out = io.BytesIO()
    Image.new("RGB", (160, 120)).save(out, "PNG")
    entries = detector.detect([Picture.from_bytes(out.getvalue()[:60])] * 2)
    assert [type(entry) for entry in entries] == [BadPicture, BadPicture]


def test_the_best_come_first_and_reach_the_threshold(case: Case) -> None:
    scores = [detection.score for detection in found(case.make(0.3).detect([case.picture(2)])[0])]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.3


def test_a_lower_threshold_finds_more_and_the_same_above(case: Case) -> None:
    few, many = case.make(0.5), case.make(0.3)
    more = 0
    for picture in map(case.picture, range(3, 7)):
        above, all_of_it = found(few.detect([picture])[0]), found(many.detect([picture])[0])
        assert_same([detection for detection in all_of_it if detection.score >= 0.5], above)
        assert above
        more += len(all_of_it) - len(above)
    assert more


@pytest.mark.parametrize(("width", "height"), [(640, 480), (96, 64), (33, 400), (1, 1), (4000, 10), (1, 300)])
def test_boxes_lie_inside_the_original_picture_whatever_its_size(detector: Detector, width: int, height: int) -> None:
    pixels = np.asarray(Image.fromarray(random_scene(4, 160, 120, max_faces=3)[0]).resize((width, height)))
    for detection in found(detector.detect([Picture.from_pixels(pixels)])[0]):
        box = detection.box
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
        assert detection.label in detector.labels


def test_a_picture_twice_as_large_has_boxes_twice_as_large(case: Case, detector: Detector) -> None:
    # The model's own size: both reach it unchanged.
    small = cartoon_pixels(6, 96, 64) if case.labels else resized(case.pixels(6), detector.input_size)  # type: ignore[attr-defined]
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    ones = found(detector.detect([Picture.from_pixels(small)])[0])
    twos = found(detector.detect([Picture.from_pixels(large)])[0])
    assert ones
    for one, two in zip(ones, twos, strict=True):
        assert (two.box.left, two.box.bottom) == pytest.approx((one.box.left * 2, one.box.bottom * 2), abs=0.05)


@pytest.mark.parametrize("runtime", OURS)
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
    of_checkpoint, *of_files = (found(letterboxing[runtime].detect([picture])[0]) for runtime in OURS)
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


def test_the_file_for_phones_is_run_alone_as_it_is_in_its_bundle_and_one_with_raw_heads_asks_for_its_folder(
    exported_bundle: Bundle, tmp_path: Path
) -> None:
    alone = Path(shutil.copy(exported_bundle.file(POSTPROCESS), tmp_path))  # its labels and its input stand in it
    one, other = (
        load_detector(exported_bundle.folder, file=POSTPROCESS, score_threshold=0.3),
        load_detector(alone, score_threshold=0.3),
    )
    assert list(one.labels) == list(other.labels)
    pictures = [cartoon(number) for number in range(3)]
    assert one.detect(pictures) == other.detect(pictures)
    assert all(found(entry) for entry in one.detect(pictures))
    with pytest.raises(BadBundle, match="a file of our own exports is run by the folder that it is in"):
        load_detector(Path(shutil.copy(exported_bundle.file(FP32), tmp_path)))
