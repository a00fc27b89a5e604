"""The commands as a person types them."""

import json
import re
import shlex
from pathlib import Path

import pytest
from stream_parts import half
from typer.testing import CliRunner

from vigie.bundle import open_bundle
from vigie.cli import app
from vigie.errors import BadBundle, BadSetting, BusUnavailable, Unavailable

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "200")


def said(*words: str) -> str:
    result = RUNNER.invoke(app, words)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    "command", ["stream ingest", "stream worker", "stream web", "stream up", "stream status", "stream stop", "predict"]
)
def test_each_command_explains_itself_with_an_example(command: str) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", said(*command.split(), "--help"))
    assert f"Example: vigie {command}" in text.replace("`", "")
    assert "--marker" not in text


def test_ingest_sends_a_source_with_its_options(tmp_path: Path) -> None:
    options = ["--option", "seed=4", "--option", "frames=3", "--fps", "100"]
    assert said("stream", "ingest", "--source", "synthetic", "--bus", "embedded", *options) == "frames: 3\n"
    told = json.loads(said("stream", "status", "--bus", "embedded", "--json"))
    assert told["records"]["frames"] == told["behind"] == 3


def test_predict_tells_what_it_found_and_what_it_could_not_read(tmp_path: Path, tiny_bundle: Path) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    (pictures / "good.jpg").write_bytes(half("left", width=320, height=240))
    (pictures / "bad.jpg").write_bytes(b"garbage")
    text = said("predict", str(tiny_bundle), str(pictures), "--out", str(tmp_path / "out"))
    assert "frames: 1\n" in text
    assert "not readable: 1: bad.jpg\n  left out: bad.jpg: not a picture: its 7 bytes start with b'garbage'\n" in text
    told = json.loads(said("predict", str(tiny_bundle), str(pictures), "--out", str(tmp_path / "out"), "--json"))
    assert (told["frames"], list(told["bad"])) == (1, ["bad.jpg"])


def test_predict_writes_labels_and_tells_how_to_open_them(tmp_path: Path, tiny_bundle: Path) -> None:
    out = tmp_path / "my out"
    text = said("predict", str(tiny_bundle), "synthetic", "--frames", "2", "--voc", "--out", str(out))
    assert "frames: 2\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("correct it: ")]
    program, images, classes, annotations = shlex.split(line.removeprefix("correct it: "))
    assert program == "labelImg"
    assert [path.name for path in sorted(Path(images).iterdir())] == [f"synthetic_00000{n}.jpg" for n in range(2)]
    assert [path.name for path in sorted(Path(annotations).iterdir())] == [f"synthetic_00000{n}.xml" for n in range(2)]
    assert Path(classes).read_text().splitlines() == list(open_bundle(tiny_bundle).manifest.labels)


def test_predict_on_a_camera_that_is_not_there_is_one_clear_error(tmp_path: Path, tiny_bundle: Path) -> None:
    with pytest.raises(Unavailable, match=r"camera 99: there is no /dev/video99"):
        said("predict", str(tiny_bundle), "99", "--out", str(tmp_path / "out"))
    with pytest.raises(
        Unavailable, match=r"^rtsp://127\.0\.0\.1:1/live: the camera does not answer \(Connection refused"
    ):
        said("predict", str(tiny_bundle), "rtsp://me:secret@127.0.0.1:1/live", "--out", str(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == []


def test_wrong_words_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="--option 'seed': write --option NAME=VALUE"):
        said("stream", "ingest", "--source", "synthetic", "--option", "seed")
    with pytest.raises(BadSetting, match="camera 'door' stands under `cameras` in no settings"):
        said("stream", "ingest", "--camera", "door", "--bus", "embedded")
    with pytest.raises(BadSetting, match=r"no-such\.yaml"):
        said("stream", "status", "--config", str(tmp_path / "no-such.yaml"))
    with pytest.raises(BadBundle, match="there is no such model bundle"):
        said("predict", str(tmp_path / "none"), "synthetic:frames=1", "--out", str(tmp_path / "out"))


def test_a_dead_broker_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("VIGIE_BUS__KAFKA__START_TIMEOUT_S", "1")
    with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:1"):
        said("stream", "ingest", "--source", "synthetic:frames=1", "--bus", "kafka")
