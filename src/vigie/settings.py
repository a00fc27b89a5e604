"""Every knob, its default and its limits. Read once, at the entry; stages take values or one section, never the whole.

`config/vigie.yaml` < `.env` < the environment: `VIGIE_WEB__PORT=8001` is `web.port`, lists are JSON. A knob is added
here and in `config/vigie.yaml`, with the same default; a test compares the two.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from vigie.errors import BadSetting
from vigie.project import project_root

PREFIX = "VIGIE_"
KAFKA_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
NOT_SETTINGS = frozenset({"VIGIE_NO_SKIP", "VIGIE_PROGRESS_INTERVAL_S"})
"""Variables of ours that are no knobs: of the tests, and of a stage for the processes that it starts."""

DEFAULT_FILE = Path("config/vigie.yaml")
BENCHMARK_FILE = "benchmark.yaml"
"""What `vigie benchmark` saves, beside the settings."""

AUTO: Literal["auto"] = "auto"
Port = Annotated[int, Field(ge=0, le=65_535)]


def _count_or_auto(value: object) -> object:
    # Not left to the union, which would tell of two faults where there is one.
    if value == AUTO:
        return value
    text = str(value)
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise ValueError("should be a whole number from 1, or auto")
    return int(text)


CountOrAuto = Annotated[int | Literal["auto"], BeforeValidator(_count_or_auto)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EmbeddedBus(_Section):
    """See `vigie.streaming.buses.embedded.Options`. A relative `path` starts at the folder of the runs."""

    path: Path = Path("bus/log.db")
    max_topic_mb: Annotated[int, Field(ge=8)] = 512
    session_timeout_s: Annotated[float, Field(gt=0)] = 6.0


class KafkaBus(_Section):
    """See `vigie.streaming.buses.kafka.Options`."""

    bootstrap_servers: str = "127.0.0.1:9092"
    partitions: Annotated[int, Field(ge=1)] = 4
    max_topic_mb: Annotated[int, Field(ge=64)] = 2048
    start_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    delivery_timeout_s: Annotated[float, Field(ge=6)] = 60.0
    session_timeout_s: Annotated[float, Field(ge=6)] = 6.0


class BusSettings(_Section):
    adapter: str = "kafka"
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,200}$")] = ""
    embedded: EmbeddedBus = EmbeddedBus()
    kafka: KafkaBus = KafkaBus()

    def options(self, adapter: str) -> dict[str, Any]:
        """For `adapters.build("bus", adapter, ...)`; none for an adapter that has no section here."""
        section = getattr(self, adapter, None)
        return section.model_dump() if isinstance(section, _Section) else {}


class IngestSettings(_Section):
    max_lag: Annotated[int, Field(ge=1)] = 500


class TfServing(_Section):
    """See `vigie.detectors.tf_serving.Options`."""

    url: str = "http://127.0.0.1:8501"
    start_timeout_s: Annotated[float, Field(gt=0)] = 20.0
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    total_timeout_s: Annotated[float, Field(gt=0)] = 10.0


class WorkerSettings(_Section):
    runtime: str = AUTO
    threads: CountOrAuto = AUTO
    processes: CountOrAuto = AUTO
    batch: Annotated[int, Field(ge=1)] = 4
    poll_timeout_s: Annotated[float, Field(gt=0)] = 0.5
    tf_serving: TfServing = TfServing()

    def options(self, runtime: str | None) -> dict[str, Any]:
        """For `load_detector`, of the runtime that was chosen; none for one that has no section here."""
        section = getattr(self, runtime or "", None)
        return section.model_dump() if isinstance(section, _Section) else {}


class WebSettings(_Section):
    host: str = "127.0.0.1"
    port: Port = 8000
    allowed_hosts: tuple[str, ...] = ()
    viewers_limit: Annotated[int, Field(ge=1)] = 64
    ack_timeout_s: Annotated[float, Field(gt=0)] = 20.0


class CameraSettings(_Section):
    """`source` as `vigie stream ingest --source` takes it; `options` are the source's own."""

    id: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    options: dict[str, Any] = {}


class Settings(BaseSettings):
    """The whole. From `load_settings`, all its paths are absolute."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )

    runs: Path = Path("runs")
    models: Path = Path("models")
    bus: BusSettings = BusSettings()
    ingest: IngestSettings = IngestSettings()
    worker: WorkerSettings = WorkerSettings()
    web: WebSettings = WebSettings()
    cameras: tuple[CameraSettings, ...] = ()
    _file: Path | None = PrivateAttr(default=None)

    @property
    def benchmark_file(self) -> Path | None:
        """What `vigie benchmark` saves for these settings; None where `load_settings` did not read them."""
        return None if self._file is None else self._file.with_name(BENCHMARK_FILE)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library calls it so
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given to the constructor is the content of the file, which the environment overrules."""
        return env_settings, dotenv_settings, init_settings


def load_settings(path: Path | None = None, root: Path | None = None) -> Settings:
    """Read `path`, by default `config/vigie.yaml` of the project if there is one, with `.env` and the environment.

    Args:
        root: the folder that relative paths and `.env` start from; by default the project's.

    Raises:
        BadSetting: a file that was named is missing, a name is misspelt, a value is wrong; every fault is named.
    """
    root = (root or project_root()).resolve()
    file = root / (path or DEFAULT_FILE)
    values = _read_yaml(file) if path is not None or file.exists() else {}
    dotenv = root / ".env"
    given = {**_read_dotenv(dotenv), **{name: text for name, text in os.environ.items() if text}}
    faults = [*_misspelt_keys(file, values), *_misspelt_variables(given)]
    if faults:
        raise BadSetting("; ".join(faults))
    if KAFKA_VARIABLE in given:
        values = _with_kafka(values, given[KAFKA_VARIABLE])
    try:
        # mypy does not know the constructor's own parameter.
        settings = Settings(_env_file=dotenv if dotenv.is_file() else None, **values)  # type: ignore[call-arg]
    except ValidationError as error:
        raise BadSetting("; ".join(_explain(problem, file, given) for problem in error.errors())) from error
    except SettingsError as error:
        raise BadSetting(f"the environment: {error}; lists and sections are written as JSON") from error
    settings._file = file
    return _absolute(settings, root)


def _absolute(settings: Settings, root: Path) -> Settings:
    runs = (root / settings.runs.expanduser()).resolve()
    embedded = settings.bus.embedded
    log_file = (runs / embedded.path.expanduser()).resolve()
    bus = settings.bus.model_copy(update={"embedded": embedded.model_copy(update={"path": log_file})})
    models = (root / settings.models.expanduser()).resolve()
    return settings.model_copy(update={"runs": runs, "models": models, "bus": bus})


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSetting(f"{file}: the settings cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSetting(f"{file}: this is no YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise BadSetting(f"{file}: settings are names and values, found {type(values).__name__}")
    return values


def _read_dotenv(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    try:
        return {name: text for name, text in dotenv_values(file).items() if text}
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{file}: cannot be read: {error}") from error


def _with_kafka(values: Mapping[str, Any], bootstrap_servers: str) -> dict[str, Any]:
    bus = values.get("bus", {})
    kafka = bus.get("kafka", {}) if isinstance(bus, dict) else None
    if not isinstance(kafka, dict):
        return dict(values)  # the model says what is wrong with it
    return {**values, "bus": {**bus, "kafka": {**kafka, "bootstrap_servers": bootstrap_servers}}}


def variables(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """The environment variable of every knob."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from variables(field.annotation, f"{variable}__")
        else:
            yield variable


def _misspelt_variables(given: Mapping[str, str]) -> Iterator[str]:
    known = {*variables(), *NOT_SETTINGS}
    for name in sorted(given):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            yield f"environment variable {name}: there is no such setting{_nearest(name.upper(), known)}"


def _misspelt_keys(file: Path, values: object, model: type[BaseModel] = Settings, place: str = "") -> Iterator[str]:
    if isinstance(values, list):
        for number, value in enumerate(values):
            yield from _misspelt_keys(file, value, model, f"{place}{number}.")
    if not isinstance(values, Mapping):
        return  # the model says what is wrong with it
    for key, value in values.items():
        field = model.model_fields.get(str(key))
        if field is None:
            yield f"{file}: {place}{key}: there is no such setting{_nearest(str(key), model.model_fields, place)}"
            continue
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _misspelt_keys(file, value, inner, f"{place}{key}.")


def _nearest(name: str, known: Iterator[str] | Mapping[str, Any] | set[str], place: str = "") -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f", did you mean {place}{close[0]}?"
    return f"; there are: {', '.join(names)}"


def _explain(problem: ErrorDetails, file: Path, given: Mapping[str, str]) -> str:
    """Where the wrong value was given, what it is, what is wrong with it."""
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"][0].lower() + problem["msg"][1:]
    words = place.upper().split(".")
    # A variable may hold a whole section or list as JSON.
    variables_above = [PREFIX + "__".join(words[:count]) for count in range(len(words), 0, -1)]
    named = next((name for name in variables_above if name in given), None)
    where = (
        (f"environment variable {named}" + (f", {place}" if named != variables_above[0] else ""))
        if named
        else f"{file}: {place}"
    )
    return f"{where}: {message}, found {problem['input']!r}"
