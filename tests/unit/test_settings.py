"""Settings are read once and strict about spelling."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from needs import ROOT
from pydantic import ValidationError

from vigie.errors import BadSetting
from vigie.settings import NOT_SETTINGS, Settings, load_settings, variables
from vigie.streaming.buses import embedded, kafka


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*variables(), "KAFKA_BOOTSTRAP_SERVERS"]:
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, text: str) -> Path:
    path = folder / "vigie.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(BadSetting) as caught:
        load_settings(*args, **kwargs)
    return str(caught.value)


def test_the_yaml_file_holds_every_knob_with_the_models_default() -> None:
    in_file = yaml.safe_load((ROOT / "config/vigie.yaml").read_text(encoding="utf-8"))
    assert in_file == Settings.model_construct().model_dump(mode="json")


def test_every_knob_of_the_yaml_file_has_a_comment_on_its_line_or_a_name_that_says_it_all() -> None:
    lines = (ROOT / "config/vigie.yaml").read_text(encoding="utf-8").splitlines()
    bare = [line.strip() for line in lines if re.match(r"\s*\w+: \S", line) and "#" not in line]
    assert bare == ["port: 8000"]


def test_the_example_of_the_environment_names_real_knobs() -> None:
    named = re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert named
    assert set(named) <= {*variables(), "KAFKA_BOOTSTRAP_SERVERS"}


def test_without_a_file_the_defaults_hold_and_paths_are_absolute(tmp_path: Path) -> None:
    settings = load_settings(root=tmp_path)
    assert settings.web.port == 8000
    assert settings.runs == tmp_path / "runs"
    assert settings.models == tmp_path / "models"
    assert settings.bus.embedded.path == tmp_path / "runs/bus/log.db"


def test_runs_elsewhere_take_the_embedded_bus_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "elsewhere"))
    settings = load_settings(root=tmp_path / "project")
    assert settings.runs == tmp_path / "elsewhere"
    assert settings.bus.embedded.path == tmp_path / "elsewhere/bus/log.db"


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "web: {port: 1001, host: 0.0.0.0, viewers_limit: 7}")
    (tmp_path / ".env").write_text("VIGIE_WEB__PORT=1002\nVIGIE_WEB__VIEWERS_LIMIT=8\nAWS_SECRET=of others\n")
    monkeypatch.setenv("VIGIE_WEB__PORT", "1003")
    web = load_settings(path, tmp_path).web
    assert (web.port, web.viewers_limit, web.host) == (1003, 8, "0.0.0.0")


def test_kafkas_own_variable_names_the_broker_and_ours_wins_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "bus: {kafka: {bootstrap_servers: 'file:1', partitions: 2}}")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:2")
    kafka = load_settings(path, tmp_path).bus.kafka
    assert (kafka.bootstrap_servers, kafka.partitions) == ("kafka:2", 2)
    monkeypatch.setenv("VIGIE_BUS__KAFKA__BOOTSTRAP_SERVERS", "ours:3")
    assert load_settings(path, tmp_path).bus.kafka.bootstrap_servers == "ours:3"


def test_kafkas_own_variable_is_read_from_dotenv_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=kafka:2\n")
    assert load_settings(root=tmp_path).bus.kafka.bootstrap_servers == "kafka:2"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_RUNS", "")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
    settings = load_settings(root=tmp_path)
    assert settings.runs == tmp_path / "runs"
    assert settings.bus.kafka.bootstrap_servers == "127.0.0.1:9092"


def test_lists_stand_in_the_environment_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_CAMERAS", '[{"id": "door", "source": "synthetic"}]')
    (camera,) = load_settings(root=tmp_path).cameras
    assert (camera.id, camera.source, camera.options) == ("door", "synthetic", {})
    monkeypatch.setenv("VIGIE_CAMERAS", "door")
    assert "JSON" in complaint(root=tmp_path)


@pytest.mark.parametrize(
    ("text", "place", "nearest"),
    [
        ("wbe: {port: 1}", "wbe", "web"),
        ("web: {prot: 1}", "web.prot", "web.port"),
        ("bus: {embedded: {max_topic_md: 9}}", "bus.embedded.max_topic_md", "bus.embedded.max_topic_mb"),
        ("cameras: [{id: door, sorce: synthetic}]", "cameras.0.sorce", "cameras.0.source"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest_known_one(
    tmp_path: Path, text: str, place: str, nearest: str
) -> None:
    path = write(tmp_path, text)
    assert complaint(path, tmp_path) == f"{path}: {place}: there is no such setting, did you mean {nearest}?"


def test_a_key_like_no_other_is_answered_with_those_there_are(tmp_path: Path) -> None:
    message = complaint(write(tmp_path, "ingest: {zzz: 1}"), tmp_path)
    assert message.endswith("ingest.zzz: there is no such setting; there are: max_lag")


def test_a_misspelt_variable_is_named_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_WEB_PORT", "8001")
    expected = "environment variable VIGIE_WEB_PORT: there is no such setting, did you mean VIGIE_WEB__PORT?"
    assert complaint(root=tmp_path) == expected
    monkeypatch.delenv("VIGIE_WEB_PORT")
    (tmp_path / ".env").write_text("VIGIE_WEB_PORT=8001\n")
    assert complaint(root=tmp_path) == expected


def test_variables_of_ours_that_are_no_settings_are_let_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NOT_SETTINGS:
        monkeypatch.setenv(name, "1")
    assert load_settings(root=tmp_path).web.port == 8000


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    assert complaint(tmp_path / "gone.yaml", tmp_path).startswith(f"{tmp_path / 'gone.yaml'}: ")


@pytest.mark.parametrize(
    "text", ["a: [", "- a\n- b", "web: 3", "web:", "bus:", "bus: {kafka: 3}", "web: {port: high}", "web: {port: 70000}"]
)
@pytest.mark.parametrize("kafka", ["", "kafka:2"])
def test_a_file_that_is_no_settings_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, kafka: str
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    path = write(tmp_path, text)
    assert complaint(path, tmp_path).startswith(f"{path}: ")


def test_a_wrong_value_is_named_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_WEB__PORT", "high")
    message = complaint(root=tmp_path)
    assert message.startswith("environment variable VIGIE_WEB__PORT: ")
    assert message.endswith("found 'high'")


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_settings(root=tmp_path)
    with pytest.raises(ValidationError):
        settings.web.port = 1


def test_each_section_of_the_bus_has_the_options_of_its_adapter(tmp_path: Path) -> None:
    bus = load_settings(root=tmp_path).bus
    assert set(bus.options("embedded")) == set(embedded.Options.__dataclass_fields__)
    assert bus.options("kafka") == dataclasses.asdict(kafka.Options())
    assert bus.options("another") == {}


def test_what_is_wrong_in_json_of_the_environment_is_told_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_CAMERAS", '[{"id": "door"}]')
    with pytest.raises(BadSetting, match=r"^environment variable VIGIE_CAMERAS, cameras\.0\.source: field required"):
        load_settings(root=tmp_path)
