"""A `pipeline.config` of the TF Object Detection API as an experiment.

The file is a `TrainEvalPipelineConfig` in protobuf's text format. Each of its values ends in one of three lists:
translated, without a counterpart, or without an effect.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from vigie.adapters import explain
from vigie.errors import BadSetting
from vigie.experiment import Experiment
from vigie.protobuf_text.sections import Section
from vigie.protobuf_text.text import read_text
from vigie.training.pipeline_config.annotated import annotated_yaml
from vigie.training.pipeline_config.augmenting import read_augmentation
from vigie.training.pipeline_config.known import sort_out_the_rest
from vigie.training.pipeline_config.learning import read_learning
from vigie.training.pipeline_config.network import read_network, ssd_of
from vigie.training.pipeline_config.notes import Book, Note
from vigie.training.pipeline_config.objective import read_decay, read_objective
from vigie.training.pipeline_config.places import read_classes, read_records

_USUAL_NAME = "pipeline"


@dataclass(frozen=True, slots=True)
class Translated:
    """An experiment, and what became of each value of the file.

    `records` are the input paths of `train` and `validation` as the file names them. `left` has no counterpart; `same`
    changes nothing: Vigie always does so, or it never had an effect.
    """

    source: Path
    experiment: Experiment
    records: Mapping[str, tuple[str, ...]]
    translated: tuple[Note, ...]
    left: tuple[Note, ...]
    same: tuple[Note, ...]

    @property
    def approximate(self) -> tuple[Note, ...]:
        """Those of the translated that are not quite what they were, with the reason."""
        return tuple(note for note in self.translated if note.reason)

    def to_yaml(self) -> str:
        """The experiment, with comments that say where each number comes from and what was left."""
        head = [f"Translated from {self.source.name} of the TF Object Detection API. Records there:"]
        head += [f"  {part}: {', '.join(map(repr, paths)) or 'none'}" for part, paths in self.records.items()]
        head += ["Without a counterpart:", *(f"  {as_line(note)}" for note in self.left)]
        comments: dict[str, str] = {}
        for note in self.translated:
            first = comments.get(note.setting)
            comments[note.setting] = _origin(note) if first is None else first + _also(note, first)
        return annotated_yaml(self.experiment, head, comments)


def as_line(note: Note) -> str:
    """A note as a person reads it."""
    line = f" (line {note.line})" if note.line is not None else ""
    became = f" -> {note.setting}: {note.now}" if note.setting else ""
    return f"{note.field}{line}: {note.was}{became}" + (f"; {note.reason}" if note.reason else "")


def _origin(note: Note) -> str:
    was = f"line {note.line}" if note.line is not None else note.was
    return f"{note.field}, {was}" + (f" ({note.reason})" if note.reason else "")


def _also(note: Note, said: str) -> str:
    """A second field behind the same setting, in short; a default goes without saying."""
    where = f"; line {note.line}" if note.line is not None else ""
    return where + (f" ({note.reason})" if note.reason and note.reason not in said else "")


def read_pipeline_config(path: Path, *, name: str | None = None, label_map: Path | None = None) -> Translated:
    """Read `path`; `name` is the experiment's (else the file's, or its folder's where that is `pipeline`).

    `label_map` replaces the one that the file names, which is looked for near the file.

    Raises:
        BadSetting: it cannot be read, is no SSD, or misses what an experiment needs; with the line.
    """
    root = Section(read_text(path), "", str(path))
    ssd = ssd_of(root)
    train = root.section("train_config")
    if train is None:
        raise BadSetting(f"{path}: holds no `train_config`, so no steps and no batch")
    book = Book()
    book.settings["name"] = name or experiment_name(path)
    read_classes(root, ssd, path, label_map, book)
    read_network(ssd, book)
    read_objective(ssd, book)
    read_learning(train, root.section("eval_config"), book)
    read_decay(ssd, train, book)
    read_augmentation(train, book)
    records = read_records(root, path, book)
    sort_out_the_rest(root, book)
    try:
        experiment = Experiment.model_validate(book.nested())
    except ValidationError as error:
        raise BadSetting(explain(error, str(path))) from error
    left, same = (tuple(sorted(notes, key=lambda note: note.line or 0)) for notes in (book.left, book.same))
    return Translated(path, experiment, records, tuple(book.translated), left, same)


def experiment_name(path: Path) -> str:
    """A name for what is read from or written to `path`: its own, its folder's where it is called `pipeline`."""
    wanted = path.resolve().parent.name if path.stem == _USUAL_NAME else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).strip("._-") or _USUAL_NAME
