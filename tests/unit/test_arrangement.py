"""What a benchmark saved is used where it holds, and left alone with a word about it where it does not."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from vigie import arrangement
from vigie.arrangement import Entry, Latency, Machine, Throughput, arranged, read_saved, save, this_machine
from vigie.bundle import SAVED_MODEL
from vigie.errors import BadSetting
from vigie.settings import Settings, load_settings, variables

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(root=tmp_path)


def entry(**different: object) -> Entry:
    values = {
        "measured_at": NOON,
        "version": 1,
        "input": "96x96",
        "training_key": "untrained",
        "file": SAVED_MODEL,
        "runtime": "saved_model",
        "precision": "f32",
        "latency": Latency(threads=4, milliseconds=10.0),
        "throughput": (
            Throughput(processes=4, threads=1, frames_per_s=200.0),
            Throughput(processes=2, threads=3, frames_per_s=150.0),
            Throughput(processes=1, threads=6, frames_per_s=90.0),
        ),
    }
    return Entry.model_validate({**values, **different})


def saved(settings: Settings, **different: object) -> Path:
    assert settings.benchmark_file is not None
    save(settings.benchmark_file, "tiny", entry(**different))
    return settings.benchmark_file


def another_machine(path: Path, **different: object) -> None:
    values = yaml.safe_load(path.read_text())
    values["machine"].update(different)
    path.write_text(yaml.safe_dump(values))


def test_what_is_saved_is_read_again_and_stands_beside_the_settings(settings: Settings, tmp_path: Path) -> None:
    path = saved(settings, options={"precision": "f32"})
    assert path == tmp_path / "config/benchmark.yaml"
    found = read_saved(path)
    assert found is not None
    assert found.machine == this_machine()
    assert found.models == {"tiny": entry(options={"precision": "f32"})}


def test_another_settings_file_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere/mine.yaml"
    other.write_text("models: models\n")
    assert load_settings(other, root=tmp_path).benchmark_file == tmp_path / "elsewhere/benchmark.yaml"
    assert Settings().benchmark_file is None


def test_a_model_that_was_measured_is_run_as_it_was_chosen(settings: Settings, tiny_bundle: Path) -> None:
    saved(settings)
    for model in (tiny_bundle, tiny_bundle.parent):
        how = arranged(settings, model)
        assert (how.runtime, how.file, how.threads) == ("saved_model", SAVED_MODEL, 4)
    detector = arranged(settings, tiny_bundle).detector()
    assert type(detector._heads).__module__ == "vigie.detectors.saved_model"  # type: ignore[attr-defined]


def test_a_model_that_was_not_measured_is_run_as_it_is_by_itself(settings: Settings, tiny_bundle: Path) -> None:
    assert settings.benchmark_file is not None
    save(settings.benchmark_file, "another", entry())
    how = arranged(settings, tiny_bundle)
    assert (how.runtime, how.file, how.throughput) == (None, None, ())
    assert how.threads == min(2, len(os.sched_getaffinity(0)))
    assert how.workers(8) == (1, how.threads)


@pytest.mark.parametrize("asked", ["here", "in the settings"])
def test_a_runtime_that_is_named_stands_above_what_was_saved(
    asked: str, tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if asked == "in the settings":
        monkeypatch.setenv("VIGIE_WORKER__RUNTIME", "tflite")
    settings = load_settings(root=tmp_path)
    saved(settings)
    how = arranged(settings, tiny_bundle, runtime="tflite" if asked == "here" else None)
    assert (how.runtime, how.file) == ("tflite", None)
    assert how.workers(8) == (1, how.threads)


def test_auto_on_the_command_line_stands_above_a_runtime_in_the_settings(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_WORKER__RUNTIME", "tflite")
    settings = load_settings(root=tmp_path)
    saved(settings)
    assert arranged(settings, tiny_bundle, runtime="auto").runtime == "saved_model"


def test_threads_that_are_named_stand_above_what_was_saved_and_the_runtime_stays(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(load_settings(root=tmp_path))
    assert arranged(load_settings(root=tmp_path), tiny_bundle, threads=7).threads == 7
    monkeypatch.setenv("VIGIE_WORKER__THREADS", "3")
    how = arranged(load_settings(root=tmp_path), tiny_bundle)
    assert (how.runtime, how.threads, how.workers(8)) == ("saved_model", 3, (1, 3))


@pytest.mark.parametrize(
    ("most", "expected"), [(8, (4, 1)), (4, (4, 1)), (3, (2, 3)), (2, (2, 3)), (1, (1, 4))],
)  # fmt: skip
def test_as_many_workers_as_are_the_fastest_of_those_that_have_work(
    most: int, expected: tuple[int, int], settings: Settings, tiny_bundle: Path
) -> None:
    saved(settings)
    assert arranged(settings, tiny_bundle).workers(most) == expected


def test_one_worker_is_as_quick_as_it_can_be_where_one_gives_the_most_frames(
    settings: Settings, tiny_bundle: Path
) -> None:
    slower = Throughput(processes=2, threads=1, frames_per_s=1.0)
    saved(settings, throughput=(Throughput(processes=1, threads=6, frames_per_s=90.0), slower))
    assert arranged(settings, tiny_bundle).workers(8) == (1, 4)


def test_a_number_of_workers_that_was_not_measured_shares_the_cores(
    settings: Settings, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrangement, "usable_cores", lambda: 9)
    saved(settings)
    how = arranged(settings, tiny_bundle)
    assert [how.threads_of(count) for count in (1, 2, 3, 4, 20)] == [4, 3, 3, 1, 1]


@pytest.mark.parametrize("different", [{"processor": "Cray-1"}, {"cores": 4096}])
def test_what_was_measured_on_another_machine_is_not_used_and_the_log_says_so(
    different: dict[str, object], settings: Settings, tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(settings)
    another_machine(path, **different)
    with caplog.at_level(logging.WARNING):
        assert arranged(settings, tiny_bundle).runtime is None
    (told,) = caplog.messages
    assert str(path) in told
    assert "another machine" in told
    assert "vigie benchmark" in told
    assert all(str(value) in told for value in different.values())


@pytest.mark.parametrize(
    ("different", "why"), [({"file": "model.onnx"}, "has no model.onnx"), ({"input": "512x512"}, "takes 96x96")]
)
def test_an_entry_that_does_not_fit_this_version_of_the_model_is_not_used_and_the_log_says_why(
    different: dict[str, object], why: str, settings: Settings, tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(settings, **different)
    with caplog.at_level(logging.WARNING):
        assert arranged(settings, tiny_bundle).runtime is None
    assert why in caplog.text
    assert "--save` again" in caplog.text


def test_a_newer_version_keeps_the_choice(settings: Settings, tiny_bundle: Path) -> None:
    saved(settings, version=0, training_key="older")
    assert arranged(settings, tiny_bundle).runtime == "saved_model"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "this is no YAML"),
        ("models: {}\n", "machine: is missing"),
        ("just words\n", "found 'just words'"),
        ("machine: {processor: x, cores: 0}\nmodels: {}\n", "machine.cores"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(
    text: str, complaint: str, settings: Settings, tiny_bundle: Path
) -> None:
    path = saved(settings)
    path.write_text(text)
    with pytest.raises(BadSetting) as caught:
        arranged(settings, tiny_bundle)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert "vigie benchmark" in str(caught.value)
    assert arranged(settings, tiny_bundle, runtime="tflite").runtime == "tflite"


def test_entries_of_other_models_stay_when_one_is_saved(settings: Settings) -> None:
    path = saved(settings)
    save(path, "other", entry(version=9))
    save(path, "tiny", entry(version=2))
    found = read_saved(path)
    assert found is not None
    assert {name: one.version for name, one in found.models.items()} == {"tiny": 2, "other": 9}


@pytest.mark.parametrize("before", ["of another machine", "broken"])
def test_what_cannot_be_kept_is_replaced_and_the_log_says_so(
    before: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(settings)
    if before == "broken":
        path.write_text("{")
    else:
        another_machine(path, processor="Cray-1")
    with caplog.at_level(logging.WARNING):
        save(path, "other", entry())
    assert str(path) in caplog.text
    found = read_saved(path)
    assert found is not None
    assert (list(found.models), found.machine) == (["other"], this_machine())


def test_a_machine_says_what_it_is() -> None:
    assert str(Machine(processor="AMD EPYC", cores=2)) == "AMD EPYC, 2 cores"
    assert this_machine().cores == len(os.sched_getaffinity(0))
