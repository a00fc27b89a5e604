"""The same way as on the live side, onto the disk, whole or not at all."""

import io
import json
import time
from pathlib import Path
from threading import Event
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from stream_parts import TOPICS, AwayBus, BrightHalf, Pictures, all_of, embedded, half, working

from vigie.cartoons import MovingScene
from vigie.domain import Box
from vigie.errors import BadData, BadSetting
from vigie.pictures import Picture
from vigie.streaming.ingest import ingest
from vigie.streaming.messages import detections_from_json, detections_of
from vigie.streaming.predict import Predicted, predict
from vigie.streaming.spec import open_source
from vigie.streaming.voc_labels import whole_pixels


def predicted(source: object, out: Path, **options: object) -> Predicted:
    opened = open_source(str(source), {"paced": False, **options})
    return predict(BrightHalf(), opened, out, model="m/1", video_name="seen", show_progress=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seq, name in enumerate(["a.jpg", "b.jpg", "c.jpg"]):
        (pictures / name).write_bytes(half("left" if seq % 2 else "right", seed=seq))
    cv2.imwrite(str(pictures / "a.png"), Picture.from_bytes(half("left")).rgb())
    return pictures


def names_in(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_each_picture_of_a_folder_is_drawn_under_its_own_name(folder: Path, tmp_path: Path) -> None:
    result = predicted(folder, tmp_path / "out")
    assert (result.frames, result.bad, result.objects) == (4, {}, {"left": 2, "right": 2})
    assert names_in(tmp_path / "out") == ["a.jpg", "a.png.jpg", "b.jpg", "c.jpg", "detections.json"]
    frames = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [frame["file"] for frame in frames] == ["a.jpg", "a.png", "b.jpg", "c.jpg"]
    assert [detections_from_json(json.dumps(frame)).detections[0].label for frame in frames] == [
        "right",
        "left",
        "left",
        "right",
    ]


def test_a_video_becomes_a_video_of_the_same_rate_and_length(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (64, 48))
    for seq in range(9):
        bgr = cv2.cvtColor(Picture.from_bytes(half("right", seed=seq)).rgb(), cv2.COLOR_RGB2BGR)
        writer.write(bgr)
    writer.release()
    assert predicted(path, tmp_path / "out").frames == 9
    assert names_in(tmp_path / "out") == ["detections.json", "seen.mp4"]
    video = cv2.VideoCapture(str(tmp_path / "out" / "seen.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == 12.5
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 9
    assert video.read()[1].shape == (48, 64, 3)


def test_detections_equal_those_of_the_stream(folder: Path, tmp_path: Path) -> None:
    predict(BrightHalf(), open_source(str(folder)), tmp_path / "out", model="m/1", camera="door", show_progress=False)
    bus = AwayBus(embedded(tmp_path))
    ingest(open_source(str(folder)), camera="door", bus=bus, topics=TOPICS, stop=Event())
    with working(bus, BrightHalf()):
        consumer = bus.consumer([TOPICS.detections], "test", member="test")
        live = [consumer.poll(5, 1)[0].message for _ in range(4)]
    assert [message.headers["ce_id"] for message in live] == [
        detections_of(message).frame_id for message in all_of(bus, TOPICS.detections)
    ]
    frames = json.loads((tmp_path / "out" / "detections.json").read_text())
    for frame, message in zip(frames, live, strict=True):
        offline, streamed = detections_from_json(json.dumps(frame)), detections_of(message)
        assert (offline.frame_id, offline.seq, offline.detections) == (
            streamed.frame_id,
            streamed.seq,
            streamed.detections,
        )


def test_a_bad_picture_is_told_and_the_others_are_done(folder: Path, tmp_path: Path) -> None:
    (folder / "b.jpg").write_bytes(b"garbage")
    result = predicted(folder, tmp_path / "out")
    assert result.frames == 3
    assert result.bad == {"b.jpg": "b.jpg: not a picture: its 7 bytes start with b'garbage'"}
    assert "b.jpg" not in names_in(tmp_path / "out")


def test_nothing_readable_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"garbage")
    with pytest.raises(BadData, match=r"none of 1 pictures could be read: bad\.jpg: not a picture"):
        predicted(tmp_path / "bad.jpg", tmp_path / "out")
    assert names_in(tmp_path) == ["bad.jpg"]


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    class Breaks(Pictures):
        def captures(self):  # type: ignore[no-untyped-def]
            yield from super().captures()
            raise BadSetting("the disk was pulled out")

    source = Breaks([half("left")] * 20)
    with pytest.raises(BadSetting, match="pulled out"):
        predict(BrightHalf(), source, tmp_path / "out", model="m/1", show_progress=False)
    assert names_in(tmp_path) == []
    assert source.closed


def test_an_earlier_result_is_replaced_and_nothing_else_ever(folder: Path, tmp_path: Path) -> None:
    predicted(folder, tmp_path / "out")
    (folder / "b.jpg").unlink()
    predicted(folder, tmp_path / "out")
    assert names_in(tmp_path / "out") == ["a.jpg", "a.png.jpg", "c.jpg", "detections.json"]
    assert names_in(tmp_path) == ["out", "pictures"]
    with pytest.raises(BadSetting, match="exists and is no earlier result of predict"):
        predicted(folder, folder)


def test_a_source_without_an_end_needs_one(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="the source has no end: say when to stop"):
        predicted("synthetic", tmp_path / "out")


def test_so_many_frames_are_an_end(folder: Path, tmp_path: Path) -> None:
    assert until(tmp_path / "drawn", "synthetic:width=64,height=64,faces=1", frames=3).frames == 3
    assert until(tmp_path / "of-all", folder, frames=2).frames == 2
    assert [frame["file"] for frame in json.loads((tmp_path / "of-all" / "detections.json").read_text())] == [
        "a.jpg",
        "a.png",
    ]


def test_so_many_seconds_are_an_end_even_of_a_source_that_gives_nothing_more(tmp_path: Path) -> None:
    start = time.monotonic()
    done = until(tmp_path / "out", "synthetic:width=64,height=64,faces=1,fps=20", paced=True, seconds=0.5)
    assert time.monotonic() - start < 3
    assert 2 <= done.frames <= 12
    watched = tmp_path / "watched"
    watched.mkdir()
    with pytest.raises(BadData, match="not a single picture came before the end"):
        until(tmp_path / "none", watched, watch=True, seconds=0.5)
    assert names_in(tmp_path) == ["out", "watched"]


def until(
    out: Path, source: object, *, seconds: float | None = None, frames: int | None = None, **more: object
) -> Predicted:
    opened = open_source(str(source), {"paced": False, **more})
    return predict(
        BrightHalf(), opened, out, model="m/1", video_name="seen", seconds=seconds, frames=frames, show_progress=False
    )


@pytest.fixture
def turned(folder: Path) -> Path:
    """One that is stored lying on its side: its EXIF says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(io.BytesIO(half("left")))
    picture.save(folder / "turned.jpg", exif=exif)
    return folder / "turned.jpg"


def labelled(out: Path) -> dict[str, list[tuple[str, tuple[int, int, int, int]]]]:
    """As LabelImg reads: the label file by the picture's stem, whole numbers taken as pixels of the upright picture."""
    found = {}
    for picture in sorted((out / "images").iterdir()):
        root = ElementTree.parse(out / "Annotations" / f"{picture.stem}.xml").getroot()
        assert root.findtext("filename") == picture.name
        shown = ImageOps.exif_transpose(Image.open(picture))
        assert (root.findtext("size/width"), root.findtext("size/height")) == tuple(map(str, shown.size))
        objects = []
        for one in root.iter("object"):
            assert one.findtext("difficult") == "0"
            left, top, right, bottom = (
                int(one.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")
            )  # type: ignore[arg-type]
            assert 1 <= left <= right <= shown.width
            assert 1 <= top <= bottom <= shown.height
            objects.append((one.findtext("name") or "", (left, top, right, bottom)))
        found[picture.name] = objects
    return found


def test_labels_for_labelimg_stand_beside_copies_of_the_pictures(folder: Path, turned: Path, tmp_path: Path) -> None:
    (folder / "b.jpg").write_bytes(b"garbage")
    out = tmp_path / "out"
    opened = open_source(str(folder), {"paced": False})
    result = predict(BrightHalf(), opened, out, model="m/1", voc=True, show_progress=False)
    assert list(result.bad) == ["b.jpg"]
    assert (out / "predefined_classes.txt").read_text() == "left\nright\n"
    assert labelled(out) == {
        "a.jpg": [("right", (33, 1, 64, 48))],
        "a_2.png": [("left", (1, 1, 32, 48))],  # a label file is found by the stem
        "c.jpg": [("right", (33, 1, 64, 48))],
        "turned.jpg": [("left", (1, 1, 24, 64))],
    }
    for name in ("a.jpg", "c.jpg", "turned.jpg"):
        assert (out / "images" / name).read_bytes() == (folder / name).read_bytes()
    assert (out / "images" / "a_2.png").read_bytes() == (folder / "a.png").read_bytes()
    assert {"a.jpg", "a.png.jpg", "detections.json"} <= set(names_in(out))  # what there is without labels is there too


def test_the_set_that_was_written_is_read_back_and_has_the_layout_of_an_export(folder: Path, tmp_path: Path) -> None:
    from vigie.data.export_voc import export_voc

    opened = open_source(str(folder), {"paced": False})
    predict(BrightHalf(), opened, tmp_path / "out", model="m/1", voc=True, show_progress=False)
    done = export_voc(tmp_path / "out", tmp_path / "again", progress=False)
    assert (done.pictures, done.objects, done.unlabelled, done.renamed) == (4, 4, 0, {})
    assert labelled(tmp_path / "again") == labelled(tmp_path / "out")
    assert names_in(tmp_path / "again") == ["Annotations", "exported.json", "images", "predefined_classes.txt"]


def test_the_frames_of_a_camera_become_pictures_to_be_labelled(tmp_path: Path) -> None:
    opened = open_source("synthetic:frames=3,width=160,height=120,faces=1", {"paced": False})
    predict(BrightHalf(), opened, tmp_path / "out", model="m/1", video_name="door", voc=True, show_progress=False)
    assert list(labelled(tmp_path / "out")) == ["door_000000.jpg", "door_000001.jpg", "door_000002.jpg"]
    drawn, clean = (MovingScene(1, 160, 120, 1).at(2)[0], Picture.from_file(tmp_path / "out/images/door_000002.jpg"))
    assert np.abs(drawn.astype(int) - clean.rgb()).mean() < 5  # without boxes


SIDES = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@example(width=3, height=1, across=[0.5, 0.625], down=[0.0, 1.0])
@given(width=st.integers(1, 5000), height=st.integers(1, 5000), across=SIDES, down=SIDES)
def test_a_box_on_whole_pixels_is_in_the_picture_and_off_by_half_a_pixel_at_most(
    width: int, height: int, across: list[float], down: list[float]
) -> None:
    (left, right), (top, bottom) = [part * width for part in across], [part * height for part in down]
    assume(left < right and top < bottom)
    box = whole_pixels(Box(left, top, right, bottom), width, height)
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height
    assert box == Box(*map(int, (box.left, box.top, box.right, box.bottom)))
    for wanted, found, long in ((left, box.left, right - left), (right, box.right, right - left),
                                (top, box.top, bottom - top), (bottom, box.bottom, bottom - top)):  # fmt: skip
        assert abs(found - wanted) <= (0.5 if long >= 1 else 1)
