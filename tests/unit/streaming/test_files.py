"""What the files source takes, what it keeps as it is, and what it refuses at the start."""

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import needs
import numpy as np
import pytest
from PIL import Image

from vigie import adapters
from vigie.errors import BadSetting
from vigie.pictures import Picture, encode_jpeg
from vigie.ports import FrameSource
from vigie.streaming import folder as folder_module

RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
JPEG = encode_jpeg(PIXELS)


def files(path: Path, **options: object) -> Any:
    source: FrameSource = adapters.build("source", "files", {"path": path, **options})
    return source


def encoded(path: Path, **options: object) -> list[bytes]:
    return [capture.encoded for capture in files(path, **options).captures()]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    contents = {f"{number:02}.jpg": JPEG + bytes([number]) for number in (3, 1, 2)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".01.jpg").write_bytes(b"unfinished")
    assert encoded(tmp_path) == [contents[name] for name in sorted(contents)]


def test_jpeg_files_keep_their_bytes_and_others_are_encoded_once(tmp_path: Path) -> None:
    (tmp_path / "a.JPG").write_bytes(JPEG)
    cv2.imwrite(str(tmp_path / "b.png"), PIXELS[..., ::-1])
    kept, made = encoded(tmp_path)
    assert kept == JPEG
    assert Picture.from_bytes(made).format == "jpeg"
    assert made == encode_jpeg(PIXELS)


def test_a_picture_that_lies_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    (made,) = encoded(tmp_path)
    shown = Picture.from_bytes(made)
    assert (shown.width, shown.height, shown.turned) == (48, 64, False)


def test_what_is_no_picture_goes_on_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"garbage")
    (tmp_path / "b.png").write_bytes(b"")
    assert encoded(tmp_path) == [b"garbage", b""]


def test_one_picture_is_a_source_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    source = files(tmp_path / "a.jpg")
    assert source.length == 1
    assert [capture.encoded for capture in source.captures()] == [JPEG]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("missing", None, {}, r"missing: there is no such file or folder"),
        ("empty", "folder", {}, r"empty: no picture in this folder; expected \.bmp, \.jpeg"),
        ("empty.mp4", b"", {}, r"empty\.mp4: this video is empty, damaged"),
        ("broken.mp4", b"garbage" * 999, {}, r"broken\.mp4: this video is empty, damaged"),
        ("notes.txt", b"text", {}, r"notes\.txt: \.txt is no known kind; expected"),
        ("a.jpg", JPEG, {"watch": True}, r"a\.jpg: watch goes with a folder"),
        ("a.jpg", JPEG, {"fps": 0}, r"source files: fps: input should be greater than 0, found 0"),
        ("a.jpg", JPEG, {"speed": 2}, r"source files: speed: there is no such setting"),
    ],
)
def test_what_cannot_be_a_source_is_one_clear_error(
    tmp_path: Path, name: str, content: Any, options: dict[str, object], message: str
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSetting, match=message):
        files(path, **options)


def test_a_video_keeps_its_own_rate_unless_told_otherwise() -> None:
    path = needs.shared_data() / "videos" / "one-by-one-person-detection.mp4"
    assert files(path).fps == 10
    assert files(path, fps=4).fps == 4
    assert files(path).length == sum(1 for _ in files(path, paced=False).captures()) == 1394


class Watched:
    """A watched folder whose captures gather in the background."""

    def __init__(self, path: Path) -> None:
        self.source = files(path, watch=True)
        self.seen: list[bytes] = []
        self._thread = threading.Thread(target=self._gather)
        self._thread.start()

    def _gather(self) -> None:
        for capture in self.source.captures():
            self.seen.append(capture.encoded)

    def wait_for(self, count: int, timeout_s: float = 8) -> list[bytes]:
        deadline = time.monotonic() + timeout_s
        while len(self.seen) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return list(self.seen)

    def close(self) -> None:
        self.source.close()
        self._thread.join(5)
        assert not self._thread.is_alive()


def test_a_watched_folder_gives_what_is_there_and_what_comes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG + b"a")
    watched = Watched(tmp_path)
    try:
        assert watched.wait_for(1) == [JPEG + b"a"]
        for name in ("b", "c"):
            (tmp_path / f"{name}.jpg").write_bytes(JPEG + name.encode())
        assert sorted(watched.wait_for(3)) == [JPEG + b"a", JPEG + b"b", JPEG + b"c"]
        (tmp_path / ".d.jpg").write_bytes(JPEG + b"d")
        (tmp_path / ".d.jpg").rename(tmp_path / "d.jpg")
        assert watched.wait_for(4)[3] == JPEG + b"d"
    finally:
        watched.close()
    assert len(watched.seen) == 4


def test_a_file_that_is_still_written_is_not_read_half(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    try:
        with (tmp_path / "slow.jpg").open("wb") as file:
            for start in range(0, len(JPEG), len(JPEG) // 4):
                file.write(JPEG[start : start + len(JPEG) // 4])
                file.flush()
                # Longer than what usually passes for written: only the missing end tells.
                time.sleep(folder_module.SETTLE_S + 0.2)
                if start + len(JPEG) // 4 < len(JPEG):
                    assert watched.seen == []
        assert watched.wait_for(1) == [JPEG]
    finally:
        watched.close()


def test_a_picture_that_never_gets_its_end_goes_on_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "PATIENCE_S", 1.0)
    watched = Watched(tmp_path)
    try:
        (tmp_path / "cut.jpg").write_bytes(JPEG[:100])
        assert watched.wait_for(1) == [JPEG[:100]]
    finally:
        watched.close()
