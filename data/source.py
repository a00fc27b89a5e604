"""Read a whole set of annotated pictures and find everything that is wrong with it at once."""

import hashlib
import io
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from vigie.annotations import AnnotatedSet, Annotation, Cut, clipped
from vigie.data.doctor.picture_files import THUMBNAIL_SIDE, Fingerprint, perceptual_hash
from vigie.data.orientation import orientation_of, upright
from vigie.data.parallel import in_order
from vigie.data.parts import Sample
from vigie.data.workers import Workers
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData, BadPicture, VigieError
from vigie.layouts import open_set
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar

logger = logging.getLogger(__name__)
MOST_SHOWN = 20
MANY = 512  # pictures from which on starting processes takes less time than they save
_BATCH = 32
_SHRUNK_SIDE = 128  # see `vigie.data.doctor.picture_files`: the same, for the fingerprints are
Grey: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Source:
    """An annotated picture that was found good; boxes are clipped to it. Light: it holds no pixels.

    `name` is what reports call its label file, or its entry in the label file of all.
    """

    source_id: int
    name: str
    path: Path
    annotation: Path
    width: int
    height: int
    objects: tuple[LabelledBox, ...]
    cuts: tuple[Cut, ...]
    fingerprint: Fingerprint = field(compare=False)  # an array does not compare; its sha256 is that of the bytes


@dataclass(frozen=True, slots=True)
class CheckedSet:
    """A set in which nothing is wrong. `source_hash` is what the function of that name gives."""

    sources: list[Source]
    source_hash: str


def source_hash(root: Path) -> str:
    """SHA-256 over the names and bytes of all label files and pictures, in hexadecimal.

    Raises:
        BadData: it is no data set, or a file cannot be read.
    """
    return _hash_of_all(root, open_set(root).files, {})


def _hash_of_all(root: Path, files: Sequence[Path], known: Mapping[str, str]) -> str:
    """`known` are the digests of files that were read already, by their paths."""
    rest = [path for path in files if str(path) not in known]
    digests = {**known, **{str(path): digest for path, digest in zip(rest, in_order(_digest, rest), strict=True)}}
    whole = hashlib.sha256()
    for path in files:
        name = path.as_posix().removeprefix(f"{root.as_posix()}/")
        whole.update(f"{name}\0{digests[str(path)]}\n".encode())
    return whole.hexdigest()


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadData(f"{path}: cannot be read: {error.strerror}") from error


def read_sources(root: Path, classes: Sequence[str], *, progress: bool) -> list[Source]:
    """See `checked_set`."""
    return checked_set(root, classes, progress=progress).sources


def checked_set(root: Path, classes: Sequence[str], *, progress: bool, workers: Workers | None = None) -> CheckedSet:
    """Check every label file against its picture, decode every picture once, clip the boxes.

    Many pictures are shared among `workers`, of which there are some for this alone where none are given.

    Raises:
        BadData: the folder is no data set, or several kinds of things are wrong in it.
        BadAnnotation, BadPicture: one thing, or only things of that kind; up to 20 are named.
        Unavailable: a worker ended.
    """
    found = open_set(root)
    numbered = list(enumerate(found.names, start=1))
    batches = [numbered[start : start + _BATCH] for start in range(0, len(numbered), _BATCH)]
    sources: list[Source] = []
    problems: list[VigieError] = []
    digests: dict[str, str] = {}
    with (
        nullcontext(workers) if workers else Workers() as these,
        progress_bar(total=len(numbered), description="Checking pictures", unit="picture", show=progress) as bar,
    ):
        for looks in these.in_order(_Look(root, tuple(classes)), batches, many=len(numbered) >= MANY):
            for look in looks:
                if isinstance(look, VigieError):
                    problems.append(look)
                    continue
                source = unpacked(look.source)
                sources.append(source)
                digests[str(source.path)] = source.fingerprint.sha256
                if look.label_sha256:
                    digests[str(source.annotation)] = look.label_sha256
            bar.update(len(looks))
    problems += _shared_pictures(sources)
    if problems:
        raise _together(root, problems)
    return CheckedSet(sources, _hash_of_all(root, found.files, digests))


@dataclass(frozen=True)
class _Look:
    """Checks pictures of a set, given by number and name; the set is listed where that is done, once."""

    root: Path
    classes: tuple[str, ...]

    @cached_property
    def _found(self) -> AnnotatedSet:
        return open_set(self.root)

    def __call__(self, numbered: Sequence[tuple[int, str]]) -> list["_Good | VigieError"]:
        return [self._one(number, name) for number, name in numbered]

    def _one(self, number: int, name: str) -> "_Good | VigieError":
        try:
            annotation = self._found.read(name)
            source = _source(self._found, number, name, annotation, self.classes)
            # A file that speaks of all pictures is hashed once, at the end; YOLO does without one for no objects.
            own = annotation.entry is None and annotation.path.is_file()
            return _Good(packed(source), _digest(annotation.path) if own else None)
        except (BadAnnotation, BadPicture) as problem:
            return problem


class _Good(NamedTuple):
    source: "PackedSource"
    label_sha256: str | None


def read_set(root: Path) -> Iterator[Sample]:
    """Annotated pictures as they stand in a set of any format, boxes clipped, one after the other.

    Raises:
        BadData, BadAnnotation, BadPicture: when it comes to what is wrong.
    """
    found = open_set(root)
    for number, name in enumerate(found.names, start=1):
        source = _source(found, number, name, found.read(name), classes=None)
        yield Sample(source.source_id, source.path.name, Picture.from_file(source.path), source.objects)


def _source(
    found: AnnotatedSet, number: int, name: str, annotation: Annotation, classes: Sequence[str] | None
) -> Source:
    for position, labelled in enumerate(annotation.objects, start=1):
        if classes is not None and labelled.label not in classes:
            raise BadAnnotation(
                f"{annotation.where}: object {position}: the label {labelled.label!r} is none of the classes "
                f"{', '.join(classes)}; correct it or add the class to the experiment"
            )
    path = found.picture_of(annotation)
    encoded = _content(path)
    picture, grey = _whole(path, encoded)
    objects, cuts = clipped(_upright_objects(annotation, path, picture), picture.width, picture.height)
    fingerprint = _fingerprint(encoded, grey)
    return Source(number, name, path, annotation.path, picture.width, picture.height, objects, cuts, fingerprint)


def _upright_objects(annotation: Annotation, path: Path, picture: Picture) -> Sequence[LabelledBox]:
    """The objects on the picture as it is seen upright; the size in the label file tells how they were drawn.

    A file that tells none, and a picture whose turned size is the same, are taken to have been drawn upright.
    """
    if annotation.size in (None, (picture.width, picture.height)):
        return annotation.objects
    if picture.turned and annotation.size == (picture.height, picture.width):
        orientation = orientation_of(path)
        return [
            LabelledBox(labelled.label, upright(labelled.box, orientation, picture.height, picture.width))
            for labelled in annotation.objects
        ]
    raise BadAnnotation(_sizes_differ(annotation, path, picture))


def _sizes_differ(annotation: Annotation, path: Path, picture: Picture) -> str:
    width, height = annotation.size or (0, 0)
    turned = " once its EXIF orientation is applied" if picture.turned else ""
    # One picture of a file of many is told as such; a label file of one has the tag.
    said = "<size> says" if annotation.entry is None else "its size is given as"
    correct = "<size>" if annotation.entry is None else "the size"
    return (
        f"{annotation.where}: {said} {width}x{height}, the picture {path.name} has "
        f"{picture.width}x{picture.height} pixels{turned}; correct {correct} and the boxes, or replace the picture"
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadPicture(f"{path}: cannot be read: {error.strerror}") from error


def _whole(path: Path, encoded: bytes) -> tuple[Picture, Grey]:
    """Decode a picture to its end; grey, upright and small, as the doctor compares pictures.

    Raises:
        BadPicture: naming the file; it is cut short or damaged.
    """
    try:
        picture = Picture.from_bytes(encoded)
    except BadPicture as error:
        raise BadPicture(f"{path}: {error}") from error
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            # Grey and at a part of the size takes two thirds of the time and reads every byte; only JPEG can.
            image.draft("L", (_SHRUNK_SIDE, _SHRUNK_SIDE))
            image.load()
            stood = ImageOps.exif_transpose(image) if picture.turned else image
            return picture, np.asarray(stood.convert("L"))
    except Exception as error:  # Pillow's decoders raise whatever damaged data makes them stumble on
        raise BadPicture(f"{path}: cannot be decoded to its end: {error}; get a whole copy of it") from error


def _fingerprint(encoded: bytes, grey: Grey) -> Fingerprint:
    shrunk = cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    thumbnail = np.asarray(shrunk, np.uint8)
    return Fingerprint(hashlib.sha256(encoded).hexdigest(), perceptual_hash(thumbnail), thumbnail)


PackedSource: TypeAlias = tuple[Any, ...]
"""A source as plain values: between processes they go many times faster than classes do."""


def packed(source: Source) -> PackedSource:
    return (
        source.source_id, source.name, str(source.path), str(source.annotation), source.width, source.height,
        [(labelled.label, *_corners(labelled.box)) for labelled in source.objects],
        [(cut.number, cut.label, _corners(cut.before), cut.after and _corners(cut.after)) for cut in source.cuts],
        source.fingerprint.sha256, source.fingerprint.bits, source.fingerprint.thumbnail.tobytes(),
    )  # fmt: skip


def unpacked(values: PackedSource) -> Source:
    number, name, path, annotation, width, height, objects, cuts, sha256, bits, look = values
    return Source(
        number, name, Path(path), Path(annotation), width, height,
        tuple(LabelledBox(label, Box(*corners)) for label, *corners in objects),
        tuple(Cut(at, label, Box(*before), after and Box(*after)) for at, label, before, after in cuts),
        Fingerprint(sha256, bits, np.frombuffer(look, np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
    )  # fmt: skip


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


def _shared_pictures(sources: Sequence[Source]) -> list[VigieError]:
    times = Counter(source.path for source in sources)
    return [
        BadAnnotation(
            f"{source.annotation}: its picture {source.path.name} belongs to another label file too; keep one"
        )
        for source in sources
        if times[source.path] > 1
    ]


def _together(root: Path, problems: Sequence[VigieError]) -> VigieError:
    if len(problems) == 1:
        return problems[0]
    kinds = {type(problem) for problem in problems}
    lines = [str(problem) for problem in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        lines.append(f"and {len(problems) - MOST_SHOWN} more")
    kind = kinds.pop() if len(kinds) == 1 else BadData
    return kind(f"{root}: {len(problems)} problems:\n  " + "\n  ".join(lines))
