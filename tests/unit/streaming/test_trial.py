from pathlib import Path

import cv2
import pytest

from vigie.bundle import open_bundle
from vigie.errors import BadSetting
from vigie.pictures import Picture
from vigie.streaming.trial import record_video, run_trial


def test_a_trial_answers_every_frame_in_order_with_a_picture(tiny_bundle: Path) -> None:
    trial = run_trial(open_bundle(tiny_bundle), "synthetic:seed=4,frames=12,width=160,height=120", show_progress=False)
    assert [found.seq for found in trial.detections] == list(range(12))
    assert set(trial.pictures) == {found.frame_id for found in trial.detections}
    assert (trial.picture(3).width, trial.picture(3).height) == (160, 120)
    assert trial.reasons == ()
    assert trial.detections[0].times_ms.keys() >= {"queue", "decode", "detect", "draw"}


def test_a_bad_picture_is_a_reason_and_the_others_are_answered(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    video = record_video("synthetic:seed=4,width=96,height=96", tmp_path / "short.mp4", frames=1)
    _, first = cv2.VideoCapture(str(video)).read()
    cv2.imwrite(str(folder / "a.jpg"), first)
    (folder / "b.jpg").write_bytes(b"no picture")
    trial = run_trial(open_bundle(tiny_bundle), str(folder), show_progress=False)
    assert len(trial.detections) == 1
    assert len(trial.reasons) == 1
    assert "not a picture" in trial.reasons[0]


def test_a_source_without_end_is_refused_before_anything_runs(tiny_bundle: Path) -> None:
    with pytest.raises(BadSetting, match=r"needs a source that ends; give a synthetic one frames=N"):
        run_trial(open_bundle(tiny_bundle), "synthetic", show_progress=False)


def test_a_recorded_video_holds_the_first_frames_of_its_source(tmp_path: Path) -> None:
    video = record_video("synthetic:seed=4,width=160,height=120", tmp_path / "deep" / "short.mp4", frames=5)
    capture = cv2.VideoCapture(str(video))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    read, bgr = capture.read()
    assert read
    assert Picture.from_pixels(bgr).width == 160
    assert [path.name for path in video.parent.iterdir()] == ["short.mp4"]
