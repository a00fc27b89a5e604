"""The main job: a real video through a real Kafka broker and a real model, and the same as `vigie predict` sees."""

import json
import time
from pathlib import Path

import cv2
import needs
import pytest
from kafka_server import KafkaServer
from stream_parts import all_of

from vigie.domain import Detections
from vigie.settings import load_settings
from vigie.streaming.deploy import run_status, run_stop, run_up
from vigie.streaming.messages import Topics, annotated_of, detections_from_json, detections_of
from vigie.streaming.predict import DETECTIONS_FILE
from vigie.streaming.run import open_bus, run_predict

pytestmark = [pytest.mark.services]

ROOT = Path(__file__).parents[2]
FRAMES = 60
PREFIX = "stream-kafka."


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """The first frames of a real video."""
    original = cv2.VideoCapture(str(needs.shared_data() / "videos" / "one-by-one-person-detection.mp4"))
    path = tmp_path / "people.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (768, 432))
    for _ in range(FRAMES):
        writer.write(original.read()[1])
    writer.release()
    return path


def test_every_frame_of_a_video_goes_through_kafka_and_is_seen_as_predict_sees_it(
    kafka_server: KafkaServer, video: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VIGIE_WEB__PORT", "0")
    monkeypatch.setenv("VIGIE_BUS__TOPIC_PREFIX", PREFIX)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_server.address)
    settings = load_settings(root=ROOT)
    topics = Topics(PREFIX)
    try:
        run_up(settings, root=ROOT, source=str(video), model=tiny_bundle, bus="kafka")
        deadline = time.monotonic() + 60
        while (told := run_status(settings)).records is None or told.records[topics.annotated] < FRAMES or told.behind:
            assert time.monotonic() < deadline, told
            time.sleep(0.3)
        assert told.records == {
            topics.frames: FRAMES,
            topics.detections: FRAMES,
            topics.annotated: FRAMES,
            topics.dead_letters: 0,
        }
        assert {one.name: one.state for one in told.processes} == {
            "worker": "running",
            "web": "running",
            "ingest": "finished",
        }
    finally:
        run_stop(settings)

    run_predict(settings, tiny_bundle, str(video), tmp_path / "out", show_progress=False)
    frames = json.loads((tmp_path / "out" / DETECTIONS_FILE).read_text())
    offline = [detections_from_json(json.dumps(frame)) for frame in frames]
    bus = open_bus(settings.bus, "kafka")
    live = sorted((detections_of(message) for message in all_of(bus, topics.detections)), key=lambda found: found.seq)
    drawn = {annotated_of(message).found.frame_id for message in all_of(bus, topics.annotated)}
    bus.close()

    def facts(found: Detections) -> tuple[object, ...]:
        return found.frame_id, found.camera, found.seq, found.width, found.height, found.model, found.detections

    assert [facts(found) for found in live] == [facts(found) for found in offline]
    assert sum(len(found.detections) for found in live) > 0
    assert drawn == {found.frame_id for found in live}
    assert all(frame["camera"] == "camera" for frame in frames)
