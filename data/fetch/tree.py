"""Files of a folder: their checksum as a whole, and a copy of them."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vigie.errors import BadData
from vigie.progress import progress as progress_bar


@dataclass(frozen=True, slots=True)
class TreeFacts:
    sha256: str
    bytes: int
    files: int


def tree_facts(folder: Path, *, without: str = "") -> TreeFacts:
    """SHA-256 over the paths and bytes of all files, sorted, except the one named `without` at the top.

    Raises:
        BadData: a file cannot be read.
    """
    whole, size, count = hashlib.sha256(), 0, 0
    for path in files_in(folder, without=without):
        relative = path.relative_to(folder).as_posix()
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                size += os.fstat(stream.fileno()).st_size
        except OSError as error:
            raise BadData(f"{path}: cannot be read: {error.strerror}") from error
        whole.update(os.fsencode(f"{relative}\0{digest}\n"))
        count += 1
    return TreeFacts(whole.hexdigest(), size, count)


def files_in(folder: Path, *, without: str = "") -> Iterator[Path]:
    """All files below, sorted by their path; a link to a file counts as the file.

    Raises:
        BadData: there is a link to a folder, a link to nothing or a device.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not path.is_file():
            raise BadData(f"{path}: is a link to a folder or to nothing; put the files themselves there")
        if path.is_dir():
            yield from files_in(path)
        elif not path.is_file():
            raise BadData(f"{path}: is no file and no folder; remove it")
        elif path.name != without:
            yield path


def copy_tree(folder: Path, out: Path, *, without: str, progress: bool) -> None:
    """Copy all files into `out`, which exists.

    Raises:
        BadData: see `files_in`; a file cannot be copied.
    """
    found = list(files_in(folder, without=without))
    for path in progress_bar(found, total=len(found), description="Copying", unit="file", show=progress):
        place = out / path.relative_to(folder)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        except OSError as error:
            raise BadData(f"{path}: cannot be copied: {error.strerror}") from error
