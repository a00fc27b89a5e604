"""A source in one word."""

from pathlib import Path

import pytest

from vigie.errors import BadSetting
from vigie.streaming.spec import open_source, source_name, source_spec


def test_a_source_is_named_with_or_without_options(tmp_path: Path) -> None:
    assert source_spec("synthetic") == ("synthetic", {})
    assert source_spec("synthetic:seed=7, fps=5") == ("synthetic", {"seed": "7", "fps": "5"})
    assert source_spec(str(tmp_path)) == ("files", {"path": str(tmp_path)})


def test_a_number_is_a_camera_and_an_address_one_on_the_network() -> None:
    assert source_spec("0") == ("camera", {"device": "0"})
    assert source_spec("camera:device=2,width=1280") == ("camera", {"device": "2", "width": "1280"})
    for url in ("rtsp://me:pass,word=1@door:554/live?key=1,2", "RTSPS://door/live"):
        assert source_spec(url) == ("rtsp", {"url": url})


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rtsp://me:secret@door:8554/live/1?token=secret", "door-8554-live-1"),
        ("rtsp://me:se@cret@door/x", "door-x"),
        ("rtsp://me:1/cret@door/x", "rtsp"),
        ("rtsp://door:554/user=admin&password=secret&channel=1.sdp", "door-554"),
        ("rtsp:url=rtsp://me:secret@door,fps=2", "door"),
        ("3", "camera-3"),
        ("camera", "camera-0"),
        ("synthetic:frames=5", "synthetic-frames-5"),
    ],
)
def test_files_are_called_after_their_source_and_never_after_a_password(source: str, name: str) -> None:
    assert source_name(source) == name


@pytest.mark.parametrize("text", ["rstp://me:secret@door/live", "http://me:secret@door", "rtsp:rtsp://me:secret@door"])
def test_a_password_stands_in_no_error(text: str) -> None:
    with pytest.raises(BadSetting) as caught:
        source_spec(text)
    assert "secret" not in str(caught.value)


def test_a_path_with_a_colon_is_a_path(tmp_path: Path) -> None:
    odd = tmp_path / "a:b,c=d.jpg"
    odd.write_bytes(b"x")
    assert source_spec(str(odd)) == ("files", {"path": str(odd)})


@pytest.mark.parametrize("text", ["", "no/such/video.mp4", "http://door", "synthetics"])
def test_what_is_neither_is_refused_with_the_sources_that_there_are(text: str) -> None:
    with pytest.raises(
        BadSetting,
        match="neither a file, a folder nor a source; the sources are: camera, files, rtsp, synthetic, the number of",
    ):
        source_spec(text)


def test_an_option_without_a_value_is_refused() -> None:
    with pytest.raises(BadSetting, match="'seed' is no option; write synthetic:name=value"):
        source_spec("synthetic:seed")


def test_text_becomes_the_types_of_the_options_and_further_options_win() -> None:
    source = open_source("synthetic:frames=2,fps=100,seed=1", {"seed": 9})
    assert source.epoch == "synthetic:9:640x480:3"
    assert len(list(source.captures())) == 2
    with pytest.raises(BadSetting, match=r"source synthetic: fps: input should be a valid number.*found 'fast'"):
        open_source("synthetic:fps=fast")
