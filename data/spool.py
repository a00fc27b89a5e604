"""Records and rows of tables as they come from the checked pictures, in files that live as long as the run: in which
part a picture belongs is known only when all have been seen, and then they are copied, not made again."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

LOOKS = "looks.u8"
_BUFFER_BYTES = 1 << 20


@contextmanager
def spool_file(folder: Path) -> Iterator[tuple[BinaryIO, str]]:
    """The file of this thread of this process, to write behind what it holds already; and its name."""
    name = f"{os.getpid()}-{threading.get_ident()}"
    with (folder / name).open("ab", buffering=_BUFFER_BYTES) as stream:
        yield stream, name


def keep_looks(folder: Path, first: int, thumbnails: bytes, *, each: int) -> None:
    """Thumbnails of pictures from the number `first` (from 0) on, one behind the other."""
    held = os.open(folder / LOOKS, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(held, thumbnails, first * each)
    finally:
        os.close(held)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """A file to be put together out of pieces of spool files, in this order, behind a `head`."""

    path: str
    head: bytes
    spools: list[str]
    spool: npt.NDArray[np.uint16]
    offset: npt.NDArray[np.uint64]
    length: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.offset)


def put_together(pieces: Pieces) -> tuple[int, str]:
    """Write the file, which has its name once it is whole. Returns its size in bytes and its SHA-256."""
    path = Path(pieces.path)
    unfinished = path.with_name(f".{path.name}.part")
    whole = hashlib.sha256(pieces.head)
    size = len(pieces.head)
    held = [os.open(name, os.O_RDONLY) for name in pieces.spools]
    try:
        with unfinished.open("wb", buffering=_BUFFER_BYTES) as stream:
            stream.write(pieces.head)
            places = zip(pieces.spool.tolist(), pieces.offset.tolist(), pieces.length.tolist(), strict=True)
            for number, offset, length in places:
                piece = os.pread(held[number], length, offset)
                if len(piece) != length:
                    raise OSError(f"{pieces.spools[number]}: {len(piece)} of {length} bytes at {offset}")
                stream.write(piece)
                whole.update(piece)
                size += length
    finally:
        for one in held:
            os.close(one)
    unfinished.rename(path)
    return size, whole.hexdigest()
