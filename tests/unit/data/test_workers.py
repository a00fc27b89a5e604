import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from vigie.data.workers import Workers
from vigie.errors import BadAnnotation, Unavailable
from vigie.voc import read_annotation


def ended(pids: set[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def pids_of(workers: Workers) -> set[int]:
    return {int(target) for target in workers.in_order(os.readlink, ["/proc/self"] * 40)}


def test_results_come_in_order_from_other_processes_which_end_with_the_block() -> None:
    with Workers(2) as workers:
        assert list(workers.in_order(abs, range(-50, 0))) == list(range(50, 0, -1))
        pids = pids_of(workers)
        assert 1 <= len(pids) <= 2
        assert os.getpid() not in pids
    assert ended(pids)


def test_few_items_start_no_process() -> None:
    with Workers(2) as workers:
        assert list(workers.in_order(os.readlink, ["/proc/self"], many=False)) == [str(os.getpid())]


def test_an_error_arrives_as_it_was_raised_and_the_worker_lives_on(tmp_path: Path) -> None:
    with Workers(1) as workers:
        with pytest.raises(ValueError, match="invalid literal for int"):
            list(workers.in_order(int, ["1", "x", "2", "3", "4"]))
        assert list(workers.in_order(abs, [-1])) == [1]
        bad = tmp_path / "bad.xml"
        bad.write_text("<html/>")
        with pytest.raises(BadAnnotation, match=r"bad\.xml: the outermost tag is <html>"):
            list(workers.in_order(read_annotation, [bad]))
        assert list(workers.in_order(abs, [-2])) == [2]


def test_what_a_job_prints_is_no_result(capfd: pytest.CaptureFixture[str]) -> None:
    with Workers(1) as workers:
        assert list(workers.in_order(print, ["to the terminal"])) == [None]
    assert capfd.readouterr().err == "to the terminal\n"


def test_a_killed_worker_is_a_clear_error() -> None:
    with Workers(1) as workers:
        (pid,) = pids_of(workers)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match=r"a worker process ended in the middle of its work .* run it again"):
            list(workers.in_order(abs, [-2]))


# A script without a guard, as people write them: what starts workers must not run it again.
SCRIPT = textwrap.dedent("""
    import os, sys, time
    from vigie.data.workers import Workers
    with Workers(2) as workers:
        pids = sorted(set(workers.in_order(os.readlink, ["/proc/self"] * 40)))
        print(*pids, flush=True)
        if "wait" in sys.argv:
            list(workers.in_order(time.sleep, [30, 30]))
""")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, ending: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("[30, 30]", "[0.5] * 60"))
    process = subprocess.Popen(
        [sys.executable, script, "wait"], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        pids = {int(pid) for pid in process.stdout.readline().split()}
        assert pids
        time.sleep(0.2)
        process.send_signal(ending)
        assert process.wait(timeout=10) != 0
        assert ended(pids)
    finally:
        process.kill()


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout.splitlines()) == 1


def test_jobs_that_nobody_waits_for_any_more_answer_no_other_question() -> None:
    with Workers(2) as workers:
        some = workers.in_order(abs, range(-100, 0))
        assert [next(some), next(some)] == [100, 99]
        some.close()
        assert list(workers.in_order(str, range(3))) == ["0", "1", "2"]


def test_large_items_and_results_do_not_block_each_other() -> None:
    large = bytes(3_000_000)
    with Workers(1) as workers:
        assert list(workers.in_order(bytes.upper, [large] * 4)) == [large] * 4
