"""What a folder of records holds, written last: a folder without it is not whole."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vigie.adapters import explain
from vigie.data.parts import PARTS, Part
from vigie.errors import BadData
from vigie.experiment import Split

FILE = "manifest.json"
_AGAIN = "run `vigie data prepare` (or `make data`)"


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartFacts(_Facts):
    """One part. `without_objects` pictures are negatives: nothing on them is to be found."""

    pictures: int
    without_objects: int
    boxes: dict[str, int] = Field(description="label -> how many, in the order of the classes, zeros too")
    shards: tuple[str, ...]


class ClippedBox(_Facts):
    """A box that reached outside its picture. Corners are left, top, right, bottom in pixels from 0."""

    file: str
    object: int = Field(description="its number in the label file, from 1")
    label: str
    before: tuple[float, float, float, float]
    after: tuple[float, float, float, float] | None = Field(description="None: nothing was left, the object is dropped")


class Division(_Facts):
    """How the parts came to be."""

    groups: int = Field(description="of pictures that look alike; a picture without a twin is one too")
    torn_groups: int = Field(description="groups in several parts, because lists or older records wanted it")
    lists: str | None = Field(description="the lists that told the parts; None: they were drawn")
    kept: int = Field(description="pictures that kept their part from the records before")
    left_out: int = Field(description="annotated pictures that are in no list")


class FileFacts(_Facts):
    bytes: int
    sha256: str


class Manifest(_Facts):
    """Everything that is known of a folder of records. It tells no time and no path: the same input, the same bytes."""

    version: Literal[2]
    source: str = Field(description="name of the folder that the pictures came from")
    source_hash: str = Field(description="see `vigie.data.prepare.input_hash`")
    classes: tuple[str, ...] = Field(description="ids count from 1 in this order")
    split: Split
    division: Division
    parts: dict[Part, PartFacts]
    clipped: tuple[ClippedBox, ...]
    unannotated: int = Field(description="pictures that no label file stands for; they are left out")
    files: dict[str, FileFacts] = Field(description="by their path in the folder")


def file_facts(path: Path) -> FileFacts:
    """Size and checksum of a file."""
    with path.open("rb") as stream:
        return FileFacts(bytes=path.stat().st_size, sha256=hashlib.file_digest(stream, "sha256").hexdigest())


def load_manifest(records: Path) -> Manifest:
    """Read and check `manifest.json`: every file that it lists is there in its full length.

    Raises:
        BadData: the records are missing, not whole or of another version.
    """
    manifest = read_manifest(records)
    for name, facts in manifest.files.items():
        found = (records / name).stat().st_size if (records / name).is_file() else None
        if found != facts.bytes:
            is_what = "is missing" if found is None else f"has {found} bytes, not {facts.bytes}"
            raise BadData(f"{records / name}: {is_what}; {_AGAIN} again")
    return manifest


def read_manifest(records: Path) -> Manifest:
    """Read `manifest.json` alone, whatever became of the other files.

    Raises:
        BadData: it is missing, damaged or of another version.
    """
    path = records / FILE
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BadData(
            f"{records}: holds no records, {FILE} cannot be read ({error.strerror}); {_AGAIN} first"
        ) from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BadData(f"{explain(error, str(path))}; it is damaged or of another version, {_AGAIN} again") from error
    if set(manifest.parts) != set(PARTS):
        raise BadData(f"{path}: has the parts {', '.join(manifest.parts)}, not {', '.join(PARTS)}; {_AGAIN} again")
    return manifest


def part_files(records: Path, part: Part) -> list[Path]:
    """The shards of a part, in order.

    Raises:
        BadData: see `load_manifest`.
    """
    return [records / name for name in load_manifest(records).parts[part].shards]
