"""Darknet's networks in OpenCV: boxes worked out by hand, files that do not belong together, and Yolo-Fastest itself.

What all detectors promise is in tests/contracts/test_detectors.py.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import needs
import numpy as np
import pytest
from coco_photographs import map50

from vigie.detectors import load_detector
from vigie.domain import Detection
from vigie.errors import BadBundle, BadPicture, BadSetting, Unavailable
from vigie.pictures import Picture
from vigie.ports import Detector

SIDE = 64  # two cells of 32 px a side
ANCHORS = ((20, 30), (22, 30))


def cfg(*, classes: int = 2, anchors: Sequence[tuple[int, int]] = ANCHORS, net: str = "", yolo: str = "") -> str:
    """A network of one convolution: it sees each cell by itself."""
    return f"""
[net]
# what is trained with does not matter here
batch=1
width={SIDE}
height={SIDE}
channels=3
{net}
[convolutional]
size=1
stride=32
pad=0
filters={len(anchors) * (5 + classes)}
activation=linear

[yolo]
mask = {",".join(str(number) for number in range(len(anchors)))}
anchors = {", ".join(f"{width},{height}" for width, height in anchors)}
classes={classes}
num={len(anchors)}
{yolo}
"""


def weights(logits: Sequence[Sequence[float]], *, red: float = 0.0, header: Sequence[int] = (0, 2, 5, 0, 0)) -> bytes:
    """Of each anchor x, y, width, height, box and classes before any function; `red` adds to the box's by the pixel."""
    bias = np.array(logits, np.float32)
    kernel = np.zeros((*bias.shape, 3), np.float32)
    kernel[:, 4, 0] = red
    return np.array(header, np.int32).tobytes() + bias.tobytes() + kernel.tobytes()


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


CAT = [0.0, 0.0, 0.0, 0.0, 4.0, 3.0, -9.0]
NOTHING = [0.0, 0.0, 0.0, 0.0, -9.0, 0.0, 0.0]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(text: str, stored: bytes | None, names: str = "cat\ndog\n") -> Path:
        (tmp_path / "net.cfg").write_text(text)
        (tmp_path / "net.names").write_text(names)
        if stored is not None:
            (tmp_path / "net.weights").write_bytes(stored)
        return tmp_path / "net.cfg"

    return written


def grey(width: int, height: int) -> Picture:
    return Picture.from_pixels(np.full((height, width, 3), 99, np.uint8))


def found(detector: Detector, picture: Picture) -> list[Detection]:
    [entry] = detector.detect([picture])
    assert not isinstance(entry, BadPicture)
    return entry


def corners(detections: Sequence[Detection]) -> list[tuple[float, ...]]:
    boxes = (one.box for one in detections)
    return sorted((round(box.top, 2), round(box.left, 2), round(box.bottom, 2), round(box.right, 2)) for box in boxes)


def test_each_cell_gives_its_box_stretched_back_to_the_picture(write: Callable[..., Path]) -> None:
    detector = load_detector(write(cfg(), weights([CAT, NOTHING])))
    detections = found(detector, grey(128, 64))
    # Centres at a quarter and three quarters; 20 x 30 px of 64 x 64 are 40 x 30 of the picture.
    expected = [(y - 15, x - 20, y + 15, x + 20) for y in (16, 48) for x in (32, 96)]
    assert corners(detections) == [(max(top, 0), left, bottom, right) for top, left, bottom, right in expected[:2]] + [
        (top, left, min(bottom, 64), right) for top, left, bottom, right in expected[2:]
    ]
    assert {one.label for one in detections} == {"cat"}
    assert [one.score for one in detections] == pytest.approx([sigmoid(4) * sigmoid(3)] * 4, abs=1e-5)
    assert detector.labels == ("cat", "dog")


def test_a_letterboxed_network_gets_the_picture_with_its_aspect_ratio(write: Callable[..., Path]) -> None:
    detector = load_detector(write(cfg(net="letter_box=1"), weights([CAT, NOTHING])))
    # The picture lies in rows 16 to 48 of the input, at half its size: boxes reach over its edges.
    assert corners(found(detector, grey(128, 64))) == [
        (0.0, 12.0, 30.0, 52.0),
        (0.0, 76.0, 30.0, 116.0),
        (34.0, 12.0, 64.0, 52.0),
        (34.0, 76.0, 64.0, 116.0),
    ]


def test_pixels_come_as_red_green_blue_from_0_to_1(write: Callable[..., Path]) -> None:
    sees_red = [*NOTHING[:4], -4.0, 9.0, -9.0]
    detector = load_detector(write(cfg(), weights([sees_red, NOTHING], red=5.0)))
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:32, 32:] = (255, 0, 0)
    pixels[32:, :32] = (0, 255, 255)
    [only] = found(detector, Picture.from_pixels(pixels))
    assert (only.box.left, only.box.top) == pytest.approx((38, 1), abs=0.01)
    assert only.score == pytest.approx(sigmoid(1) * sigmoid(9), abs=1e-4)


def test_boxes_of_one_class_that_overlap_are_one_and_those_of_two_classes_are_two(write: Callable[..., Path]) -> None:
    weaker = [0.0, 0.0, 0.0, 0.0, 2.0, 3.0, -9.0]
    dog = [0.0, 0.0, 0.0, 0.0, 2.0, -9.0, 3.0]
    one = found(load_detector(write(cfg(), weights([weaker, CAT]))), grey(64, 64))
    assert [each.score for each in one] == pytest.approx([sigmoid(4) * sigmoid(3)] * 4, abs=1e-5)
    two = found(load_detector(write(cfg(), weights([CAT, dog]))), grey(64, 64))
    assert [each.label for each in two] == ["cat"] * 4 + ["dog"] * 4


def test_scores_below_opencvs_own_threshold_are_given_where_they_are_asked_for(write: Callable[..., Path]) -> None:
    path = write(cfg(yolo="thresh=.6\nnms_threshold=.4"), weights([[*CAT[:4], -4.0, 3.0, -9.0], NOTHING]))
    assert found(load_detector(path), grey(64, 64)) == []
    low = found(load_detector(path, score_threshold=0.01), grey(64, 64))
    assert [one.score for one in low] == pytest.approx([sigmoid(-4) * sigmoid(3)] * 4, abs=1e-5)


def test_a_sidecar_gives_labels_and_thresholds(write: Callable[..., Path]) -> None:
    path = write(cfg(), weights([CAT, [*CAT[:4], 4.0, -9.0, 2.0]]))
    sidecar = path.with_name("net.cfg.yaml")
    sidecar.write_text("labels: [mouse, bird]\nthresholds: {mouse: .99}\nnms_iou: .6\n")
    assert {one.label for one in found(load_detector(path), grey(64, 64))} == {"bird"}
    assert {one.label for one in found(load_detector(path, score_threshold=0.1), grey(64, 64))} == {"mouse", "bird"}
    sidecar.write_text("labels: [mouse]\n")
    with pytest.raises(BadBundle, match="finds 2 classes, and its sidecar gives it 1 labels"):
        load_detector(path)
    sidecar.write_text("raw: {}\ninput: {mean: 1, std: 2}\n")
    with pytest.raises(BadSetting, match="mean, raw, std mean nothing for a network of Darknet"):
        load_detector(path)


def test_opencv_takes_as_many_threads_as_are_given(write: Callable[..., Path]) -> None:
    before = cv2.getNumThreads()
    path = write(cfg(), weights([CAT, NOTHING]))
    try:
        taken = []
        for threads in (1, 2):
            load_detector(path, threads=threads)
            taken.append(cv2.getNumThreads())
    finally:
        cv2.setNumThreads(before)
    assert taken == [1, 2]


def test_missing_weights_are_named(write: Callable[..., Path]) -> None:
    with pytest.raises(BadBundle, match=r"net\.cfg: needs net\.weights beside it, which is not there"):
        load_detector(write(cfg(), None))


@pytest.mark.parametrize("change", [-4, -100, 4, -10_000], ids=["a number", "a few", "one too many", "nearly all"])
def test_weights_that_are_cut_short_or_of_another_network_are_refused(change: int, write: Callable[..., Path]) -> None:
    whole = weights([CAT, NOTHING])
    stored = whole[:change] or whole[:5] if change < 0 else whole + bytes(change)
    with pytest.raises(BadBundle, match=r"net\.weights: has \d+ bytes, (the 56 numbers of net.cfg take 244|not even)"):
        load_detector(write(cfg(), stored))


def test_weights_of_darknets_first_version_have_a_shorter_header(write: Callable[..., Path]) -> None:
    detector = load_detector(write(cfg(), weights([CAT, NOTHING], header=(0, 1, 0, 0))))
    assert len(found(detector, grey(64, 64))) == 4


def test_weights_that_are_not_numbers_are_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(BadBundle, match=r"net\.cfg: its outputs are not finite"):
        load_detector(write(cfg(), weights([[np.nan] * 7, NOTHING])))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not start with .net"),
        ("hello", "line 1 is 'hello', expected"),
        ("width=3", "line 1 is 'width=3', expected"),
        ("[convolutional]\nsize=1\n", "does not start with .net"),
        ("[net]\nwidth=64\nheight=64\nchannels=3\n", r"has no \[yolo\] layer"),
        (cfg().replace("width=64", "width=0"), "width is 0, expected a whole number from 1 to 4096"),
        (cfg().replace("height=64\n", ""), "height is missing"),
        (cfg().replace("classes=2", "classes=two"), "classes is two"),
        (cfg() + "[yolo]\nclasses=3\n", r"different numbers of classes: \[2, 3\]"),
        (cfg().replace("[convolutional]", "[transformer]"), "cannot be loaded by OpenCV: .*transformer"),
        (cfg().replace("filters=14", "filters=13"), "OpenCV|numbers of net.cfg"),
        ("\x89PNG\r\n", "line 1 is"),
    ],
)  # fmt: skip
def test_what_is_no_cfg_is_refused(text: str, words: str, write: Callable[..., Path]) -> None:
    with pytest.raises(BadBundle, match=words) as raised:
        load_detector(write(text, weights([CAT, NOTHING])))
    assert "net." in str(raised.value)


def test_a_binary_cfg_is_refused(write: Callable[..., Path]) -> None:
    path = write("", weights([CAT, NOTHING]))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadBundle, match="it is not text"):
        load_detector(path)


def test_labels_must_count_up_to_the_classes(write: Callable[..., Path]) -> None:
    path = write(cfg(), weights([CAT, NOTHING]), names="cat\ndog\nbird\n")
    with pytest.raises(BadBundle, match=r"finds 2 classes.* \(found: net\.names with 3\); put the labels into net"):
        load_detector(path)
    path.with_name("net.names").unlink()
    with pytest.raises(BadBundle, match=r"\(found: none\)"):
        load_detector(path)


def test_of_several_lists_of_labels_the_one_that_counts_up_is_taken(write: Callable[..., Path]) -> None:
    path = write(cfg(), weights([CAT, NOTHING]))
    folder = path.parent
    (folder / "net.names").rename(folder / "obj.names")
    (folder / "coco.names").write_text("".join(f"{number}\n" for number in range(80)))
    assert load_detector(path).labels == ("cat", "dog")
    (folder / "other.names").write_text("yes\nno\n")
    with pytest.raises(BadBundle, match="there are 2 beside it"):
        load_detector(path)
    (folder / "net.names").write_text("one\ntwo\n")
    assert load_detector(path).labels == ("one", "two")


def test_an_opencv_that_reads_no_darknet_files_is_named(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cv2.dnn, "readNetFromDarknet")
    with pytest.raises(Unavailable, match="install opencv-python-headless<5"):
        load_detector(write(cfg(), weights([CAT, NOTHING])))


def test_the_weights_of_yolov4_tiny_have_the_length_that_its_cfg_asks_for(tmp_path: Path) -> None:
    from vigie.zoo.catalogue import CATALOGUE

    offer = CATALOGUE["yolov4-tiny"]
    published = {part.name: part.bytes for part in offer.parts}["yolov4-tiny.weights"]
    assert published is not None
    darknet = needs.shared_data() / "models/yolo_darknet"
    shutil.copy(darknet / "yolov4-tiny.cfg", tmp_path / offer.run)
    shutil.copy(darknet / "coco.names", tmp_path / "yolov4-tiny.names")
    header = np.array([0, 2, 5, 0, 0], np.int32).tobytes()
    (tmp_path / "yolov4-tiny.weights").write_bytes(header + bytes(published - len(header)))
    assert len(load_detector(tmp_path / offer.run).labels) == 80


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "published", "floor"),
    [
        # What Darknet's own log tells of all of val2017, and what 200 of its pictures must give: .241 and .347 did.
        ("yolo-fastest-1.1", "24.40 %", 0.22),
        ("yolo-fastest-1.1-xl", "34.33 %", 0.32),
    ],
)
def test_yolo_fastest_finds_what_it_finds_in_darknet(name: str, published: str, floor: float) -> None:
    folder = needs.shared_data() / "models/yolo_darknet"
    log = folder / ("xl-mAP_log.txt" if name.endswith("xl") else "mAP_log.txt")
    assert published in log.read_text(encoding="utf-8", errors="replace")
    assert map50(load_detector(folder / f"{name}.cfg", score_threshold=0.005)) >= floor


@pytest.mark.slow
def test_the_network_for_bodies_finds_people() -> None:
    """.832 of the boxes' average precision were found."""
    folder = needs.shared_data() / "models/yolo_darknet"
    detector = load_detector(folder / "yolo-fastest-1.1_body.cfg", score_threshold=0.005)
    assert map50(detector, renamed={"body": "person"}) >= 0.78
