"""What is written for supervisord, what it tells becomes words, and one `up` at a time."""

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import UnhosedConfigParser

from vigie.errors import BusUnavailable, Unavailable
from vigie.ports import Bus
from vigie.streaming import supervise
from vigie.streaming.messages import Topics
from vigie.streaming.processes import identity_of
from vigie.streaming.status import status
from vigie.streaming.supervise import Plan, Process, configuration

INFO = {"name": "worker", "statename": "RUNNING", "start": 100, "now": 160, "pid": 7, "exitstatus": 0, "spawnerr": ""}


def plan(root: Path, services: dict[str, tuple[str, ...]] | None = None) -> Plan:
    chosen = services or {"worker": ("python", "-m", "vigie"), "web": ("python",)}
    return Plan(root, chosen, {"ingest": ("python", "it's 100%")}, {"bus": "embedded"})


def test_cameras_begin_by_hand_and_end_first_and_only_a_failure_is_begun_again(tmp_path: Path) -> None:
    parser = UnhosedConfigParser()
    parser.read_string(configuration(plan(tmp_path), tmp_path / "s.sock"))
    assert {name: parser[f"program:{name}"]["autostart"] for name in ("worker", "web", "ingest")} == {
        "worker": "true",
        "web": "true",
        "ingest": "false",
    }
    assert int(parser["program:ingest"]["priority"]) > int(parser["program:worker"]["priority"])
    assert parser["program:ingest"]["autorestart"] == "unexpected"
    assert parser["program:ingest"]["exitcodes"] == "0"
    assert parser["unix_http_server"]["chmod"] == "0700"


def test_a_percent_sign_in_a_command_is_doubled(tmp_path: Path) -> None:
    assert """command=python 'it'"'"'s 100%%'\n""" in configuration(plan(tmp_path), tmp_path / "s.sock")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, Process("worker", "running", 7, 60.0)),
        ({"statename": "STARTING"}, Process("worker", "starting", 7, 0.0)),
        ({"statename": "STOPPED", "pid": 0}, Process("worker", "stopped", None, 0.0)),
        (
            {"statename": "EXITED", "pid": 0, "description": "at noon"},
            Process("worker", "finished", None, 0.0, "at noon"),
        ),
        ({"statename": "EXITED", "exitstatus": 1, "description": "x"}, Process("worker", "failed", None, 0.0, "x")),
        (
            {"statename": "BACKOFF", "pid": 0, "spawnerr": "soon"},
            Process("worker", "failed", None, 0.0, "soon"),
        ),
        ({"statename": "FATAL", "pid": 0, "spawnerr": "gave up"}, Process("worker", "failed", None, 0.0, "gave up")),
    ],
)
def test_a_state_of_supervisors_becomes_a_word(told: dict[str, Any], expected: Process) -> None:
    assert supervise._process({**INFO, **told}) == expected


def test_what_a_program_named_as_its_error_is_all_that_is_told(tmp_path: Path) -> None:
    assert supervise.why(tmp_path, "web") == "it said nothing"
    log = tmp_path / "web.log"
    log.write_text("\n".join(f"line {number}" for number in range(20)))
    assert supervise.why(tmp_path, "web").splitlines()[0] == "its last lines:"
    assert supervise.why(tmp_path, "web").splitlines()[-1] == "  line 19"
    log.write_text("line\nvigie: port 8000 is in use\nline\nvigie: port 8000 is in use\n")
    assert supervise.why(tmp_path, "web") == "port 8000 is in use"


def test_a_child_that_hangs_without_its_supervisor_is_shown_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "ORPHAN_GRACE_S", 0.3)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout
            child.stdout.readline()
            identity = identity_of(child.pid)
            assert identity
            marker = {"identity": asdict(identity), "ready": True, "address": ""}
            supervise.marker_of(tmp_path, "web").write_text(json.dumps(marker))
            (tmp_path / supervise.PLAN_FILE).write_text(json.dumps({"programs": ["worker", "web"], "facts": {}}))
            assert [(one.name, one.state) for one in supervise.processes(tmp_path)] == [("web", "orphaned")]
            assert supervise.down(tmp_path)
            assert child.wait(5) == -signal.SIGKILL
        finally:
            child.kill()
    assert supervise.processes(tmp_path) == []
    assert not supervise.down(tmp_path)


def test_two_cannot_start_or_stop_at_once(tmp_path: Path) -> None:
    with supervise._alone(tmp_path), pytest.raises(Unavailable, match="another `vigie stream up` or `stop` is at work"):
        supervise.down(tmp_path)


def test_where_nothing_was_ever_started_nothing_runs(tmp_path: Path) -> None:
    assert supervise.down(tmp_path / "never") is False
    assert supervise.processes(tmp_path / "never") == []
    assert supervise.facts(tmp_path / "never") == {}


def test_a_status_without_its_bus_says_so_and_shows_the_rest(tmp_path: Path) -> None:
    def away(name: str | None) -> Bus:
        raise BusUnavailable("no broker at 127.0.0.1:9092")

    found = status(tmp_path, Topics(), away)
    assert (found.records, found.behind, found.trouble) == (None, None, "no broker at 127.0.0.1:9092")
    assert found.table().splitlines() == [
        "nothing runs; start it with `vigie stream up`",
        "the bus does not answer: no broker at 127.0.0.1:9092",
    ]
