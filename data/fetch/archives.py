"""Unpack an archive from a stranger: plain files and folders inside the target, bounded, or nothing."""

import bz2
import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from vigie.errors import BadData

EXPECTED = ".zip, .tar, .tar.gz, .tgz, .tar.bz2 or .tar.xz"
_CHUNK = 1 << 20
_MOST_AT_ONCE = 64 << 20
_LEFT_OUT = "__MACOSX"  # copies of the pictures' names that are no pictures
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may become. It may always unpack to `free_bytes`, above that `ratio` times its own size."""

    most_bytes: int = 200 << 30
    free_bytes: int = 512 << 20
    ratio: int = 100
    most_files: int = 5_000_000

    def bytes_from(self, archive_bytes: int) -> int:
        return min(self.most_bytes, max(self.free_bytes, self.ratio * archive_bytes))


def unpack_archive(archive: Path, folder: Path, *, name: str, limits: Limits) -> None:
    """Unpack into `folder`, which exists. `name` is what messages call the archive.

    Raises:
        BadData: it is no archive, damaged, encrypted, larger than the limits or the disk allow, or an entry is
            not a plain file or folder inside `folder`. What was written until then stays: the caller removes it.
    """
    room = _Room(name, folder, limits, archive.stat().st_size)
    try:
        if _starts_with(archive, b"PK\x03\x04", b"PK\x05\x06"):
            _unzip(archive, folder, name, room)
        else:
            _untar(archive, folder, name, room)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise BadData(f"{name}: the archive is damaged or cut short ({error}); get a whole copy of it") from error
    except NotImplementedError as error:  # zipfile's word for a compression or an encryption that it lacks
        raise BadData(f"{name}: is packed in a way that cannot be read here ({error}); pack it again as zip") from error
    except OSError as error:
        # bz2 and gzip tell damage as an OSError without a number.
        told = error.strerror or str(error)
        raise BadData(f"{name}: cannot be unpacked: {told}{f': {error.filename}' if error.filename else ''}") from error


class _Room:
    """Counts what is written and ends it where the limits are."""

    def __init__(self, name: str, folder: Path, limits: Limits, archive_bytes: int) -> None:
        self._name = name
        self._disk = shutil.disk_usage(folder).free
        self._most = min(limits.bytes_from(archive_bytes), self._disk)
        self._files_left = limits.most_files
        self._bytes_left = self._most

    def file(self) -> None:
        self._files_left -= 1
        if self._files_left < 0:
            raise BadData(f"{self._name}: holds too many files for a data set; unpack it by hand if it is trusted")

    def take(self, amount: int) -> None:
        self._bytes_left -= amount
        if self._bytes_left < 0:
            why = "there is room for on the disk" if self._most == self._disk else "an archive of its size should"
            raise BadData(
                f"{self._name}: unpacks to more than the {self._most} bytes {why}; unpack it by hand if it is trusted"
            )


def _starts_with(path: Path, *starts: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(8).startswith(starts)


def _unzip(archive: Path, folder: Path, name: str, room: _Room) -> None:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            room.file()
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BadData(_STRANGE.format(name, entry.filename))
            if entry.flag_bits & _ENCRYPTED:
                raise BadData(f"{name}: {entry.filename!r} is encrypted; unpack it by hand and fetch the folder")
            # Some tools of Windows write backslashes between folders.
            place = _place(folder, entry.orig_filename.replace("\\", "/"), name)
            if place is None:
                continue
            if entry.orig_filename.endswith(("/", "\\")):
                place.mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(entry) as content:
                _write(content, place, room, name)


_STRANGE = "{}: {!r} is a link or a device, which a data set does without; unpack it by hand if it is trusted"


def _untar(archive: Path, folder: Path, name: str, room: _Room) -> None:
    with archive.open("rb") as stored, _decompressed(stored) as stream:
        careful = _Careful(stream, name)
        try:
            opened = tarfile.open(fileobj=careful, mode="r:")  # noqa: SIM115  # closed below
        except tarfile.ReadError as error:
            page = "; it looks like a web page: the address leads to one, or asks for a login first"
            hint = page if _starts_with(archive, b"<") else ""
            raise BadData(f"{name}: is no archive ({EXPECTED}){hint}") from error
        with opened:
            for member in _members(opened):
                room.file()
                if not (member.isreg() or member.isdir()):
                    raise BadData(_STRANGE.format(name, member.name))
                place = _place(folder, member.name, name)
                if place is None:
                    continue
                try:
                    tarfile.data_filter(member, str(folder))
                except tarfile.FilterError as error:
                    raise BadData(f"{name}: {member.name!r} is refused: {error}") from error
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                content = opened.extractfile(member)
                assert content is not None  # a plain file has content
                _write(content, place, room, name, size=member.size)


def _members(opened: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """One after the other, none kept: the list of a large archive would fill the memory."""
    while (member := opened.next()) is not None:
        yield member
        opened.members = []  # type: ignore[attr-defined]


def _decompressed(stored: IO[bytes]) -> IO[bytes]:
    start = stored.read(6)
    stored.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stored))
    if start.startswith(b"BZh"):
        return bz2.BZ2File(stored)
    if start == b"\xfd7zXZ\x00":
        return lzma.LZMAFile(stored)
    return stored


class _Careful(io.RawIOBase):
    """A stream that tarfile cannot make read a gigabyte of a header into memory."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._archive = name

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise BadData(f"{self._archive}: a header of {size} bytes is none of an honest archive")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _place(folder: Path, entry: str, name: str) -> Path | None:
    """Where an entry goes; None for what is left out.

    Raises:
        BadData: it leads out of the folder.
    """
    parts = PurePosixPath(entry).parts
    if entry.startswith("/") or ".." in parts or "\\" in entry or "\0" in entry or entry[1:2] == ":":
        raise BadData(f"{name}: the entry {entry!r} leads out of the folder; nothing was unpacked")
    if not parts or parts[0] == _LEFT_OUT:
        return None
    return folder.joinpath(*parts)


def _write(content: IO[bytes], place: Path, room: _Room, name: str, *, size: int = 0) -> None:
    if size:  # as a tar declares it, before its zeros are read
        room.take(size)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        target = place.open("xb")
    except FileExistsError as error:
        raise BadData(f"{name}: holds {place.name!r} twice in the same folder; unpack it by hand") from error
    with target:
        while chunk := content.read(_CHUNK):
            if not size:
                room.take(len(chunk))
            target.write(chunk)
