"""The same way as on the live side, onto the disk, whole or not at all."""

import json
from pathlib import Path
from threading import Event

import cv2
import pytest
from stream_parts import TOPICS, AwayBus, BrightHalf, Pictures, all_of, embedded, half, working

from vigie.errors import BadData, BadSetting
from vigie.pictures import Picture
from vigie.streaming.ingest import ingest
from vigie.streaming.messages import detections_from_json, detections_of
from vigie.streaming.predict import Predicted, predict
from vigie.streaming.spec import open_source


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


def test_a_source_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="a source that ends"):
        predicted("synthetic", tmp_path / "out")


def test_a_drawn_camera_becomes_a_video(tmp_path: Path) -> None:
    assert predicted("synthetic:frames=5,width=160,height=120,faces=1,fps=5", tmp_path / "out").frames == 5
    assert names_in(tmp_path / "out") == ["detections.json", "seen.mp4"]
