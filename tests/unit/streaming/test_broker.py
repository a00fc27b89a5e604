"""What the broker says on a machine that lacks something. Java and Maven are stood in for by scripts of their names."""

from pathlib import Path

import pytest

from vigie.errors import Unavailable
from vigie.settings import BusSettings, KafkaBus, load_settings
from vigie.streaming.broker import broker_running, needs_local_kafka, start_broker, start_local, stop_broker, stop_local
from vigie.streaming.jars import kafka_jars

JAVA_21 = "echo 'openjdk version \"21.0.1\" 2023-10-17' >&2"

FINDS_FOLDER = 'for a in "$@"; do case $a in -DoutputDirectory=*) out=${a#*=};; esac; done'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def complaint(folder: Path) -> str:
    with pytest.raises(Unavailable) as caught:
        start_broker(folder, port=19_092)
    assert broker_running(folder) is None
    return str(caught.value)


def test_without_java_the_message_says_what_to_install(programs: Path, tmp_path: Path) -> None:
    message = complaint(tmp_path / "kafka")
    assert "apt-get install openjdk-17-jre-headless" in message
    assert "BUS=embedded" in message


def test_a_java_that_is_too_old_is_named_with_its_version(programs: Path, tmp_path: Path) -> None:
    install(programs, "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    assert f"{programs / 'java'} is 11; install" in complaint(tmp_path / "kafka")


def test_java_home_is_looked_at_first(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(programs, "java", JAVA_21)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert f"there is no '{tmp_path}/gone/bin/java'" in complaint(tmp_path / "kafka")


def test_without_maven_the_message_says_what_to_install(programs: Path, tmp_path: Path) -> None:
    install(programs, "java", JAVA_21)
    assert "apt-get install maven" in complaint(tmp_path / "kafka")


def test_what_maven_says_is_told_and_half_of_the_jars_are_never_taken_for_all(programs: Path, tmp_path: Path) -> None:
    libs = tmp_path / "kafka" / "libs"
    half = "PATH=/bin:/usr/bin; mkdir -p $out; touch $out/kafka_2.13-4.3.1.jar; echo '[ERROR] no route'; exit 1"
    install(programs, "java", JAVA_21)
    install(programs, "mvn", f"{FINDS_FOLDER}; {half}")
    assert "no route" in complaint(tmp_path / "kafka")
    assert not libs.exists()
    install(programs, "mvn", f"{FINDS_FOLDER}; {half.replace('exit 1', 'touch $out/b.jar')}")
    assert kafka_jars(libs) == libs
    assert {path.name for path in libs.glob("*.jar")} == {"kafka_2.13-4.3.1.jar", "b.jar"}


def test_a_folder_of_jars_without_its_stamp_is_fetched_anew_and_with_it_never_again(
    programs: Path, tmp_path: Path
) -> None:
    libs = tmp_path / "libs"
    libs.mkdir()
    (libs / "kafka_old.jar").touch()
    install(programs, "mvn", f"{FINDS_FOLDER}; PATH=/bin:/usr/bin; mkdir -p $out; touch $out/kafka_new.jar")
    kafka_jars(libs)
    assert [path.name for path in libs.glob("*.jar")] == ["kafka_new.jar"]
    (programs / "mvn").unlink()
    assert kafka_jars(libs) == libs


def test_a_folder_without_a_broker_has_none_to_stop(tmp_path: Path) -> None:
    assert broker_running(tmp_path) is None
    assert not stop_broker(tmp_path)
    assert not stop_broker(tmp_path / "never made")


def test_a_stale_lock_file_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "broker.lock").write_text('{"pid": 1, "address": "127.0.0.1:9092"}')
    assert broker_running(tmp_path) is None
    assert not stop_broker(tmp_path)


def test_a_broker_elsewhere_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path))
    assert load_settings().runs == tmp_path
    assert start_local() == "the settings name the broker kafka.example:9092; none is started on this machine"
    assert stop_local() == "no Kafka of ours is running"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("adapter", "servers", "given", "needed"),
    [
        ("kafka", "127.0.0.1:9092", None, True),
        ("embedded", "127.0.0.1:9092", "kafka", True),
        ("kafka", "127.0.0.1:9092", "embedded", False),
        ("embedded", "127.0.0.1:9092", None, False),
        ("kafka", "127.0.0.1:1", None, False),
        ("kafka", "broker.example:9092", None, False),
    ],
)
def test_a_broker_is_started_only_where_nobody_has_named_a_bus_or_a_broker(
    adapter: str, servers: str, given: str | None, needed: bool
) -> None:
    settings = BusSettings(adapter=adapter, kafka=KafkaBus(bootstrap_servers=servers))
    assert needs_local_kafka(settings, given) is needed
