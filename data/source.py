"""Read a whole set of annotated pictures and find everything that is wrong with it at once."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vigie.annotations import PICTURE_ENDINGS, AnnotatedSet, Annotation, Cut, clipped
from vigie.data.looking import Batch, Look, ShortWay
from vigie.data.looks import Grey, small_grey
from vigie.data.notes import NO_SHA256, CutRow, Looked, Marked, Notes, sha256_of
from vigie.data.orientation import orientation_of, upright
from vigie.data.parallel import in_order
from vigie.data.parts import Sample
from vigie.data.spool import LOOKS
from vigie.data.workers import Workers
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData, BadPicture, VigieError
from vigie.layouts import open_set
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar
from vigie.voc import VocFolder, corners

logger = logging.getLogger(__name__)
MOST_SHOWN = 20
MANY = 512  # pictures from which on starting processes takes less time than they save
_LARGEST_BATCH, _SMALLEST_BATCH = 128, 16
_BATCHES = 16  # at least, where there are pictures enough: so that all cores end at about the same time
_SPELT = frozenset(form for ending in PICTURE_ENDINGS for form in (ending, ending.upper()))


@dataclass(frozen=True, slots=True, eq=False)
class CheckedSet:
    """A set in which nothing is wrong: a row for each annotated picture, whose number in the set is that from 1.

    `pictures` are keys of `found.pictures`; `sha256` has 32 bytes a row, `bits` the perceptual hashes, `boxes` counts,
    a column for each of the classes asked for. What was cut is told by row. A picture's record lies in the file of
    `spools` that `spool` numbers, `record` bytes from `offset` on, its rows of a table right behind it.
    `source_hash` is what the function of that name gives.
    """

    found: AnnotatedSet
    folder: Path
    pictures: Sequence[str]
    sha256: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.uint64]
    boxes: npt.NDArray[np.int32]
    cuts: Mapping[int, Sequence[CutRow]]
    spools: Sequence[str]
    spool: npt.NDArray[np.uint16]
    offset: npt.NDArray[np.uint64]
    record: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.uint32]
    source_hash: str

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def looks(self) -> Path:
        """The thumbnails, 32 x 32 bytes each, one behind the other."""
        return self.folder / LOOKS


def source_hash(root: Path) -> str:
    """SHA-256 over the names and bytes of all label files and pictures, in hexadecimal.

    Raises:
        BadData: it is no data set, or a file cannot be read.
    """
    found = open_set(root)
    return _hash_of_all(_names_of_files(found, root), in_order(_digest, found.files))


def _names_of_files(found: AnnotatedSet, root: Path) -> Iterator[str]:
    """From the folder on, in the order of `found.files`."""
    start = f"{root.as_posix()}/"
    if not isinstance(found, VocFolder):
        return (path.as_posix().removeprefix(start) for path in found.files)
    labels, pictures = (f"{folder.as_posix()}/".removeprefix(start) for folder in (found.labels_in, found.pictures_in))
    return chain((labels + name for name in found.labels), (pictures + name for name in found.pictures))


def _hash_of_all(names: Iterable[str], digests: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for name, digest in zip(names, digests, strict=True):
        whole.update(f"{name}\0{digest.hex()}\n".encode())
    return whole.hexdigest()


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise BadData(f"{path}: cannot be read: {error.strerror}") from error


def checked_set(
    root: Path,
    classes: Sequence[str],
    spool: Path,
    *,
    progress: bool,
    found: AnnotatedSet | None = None,
    workers: Workers | None = None,
) -> CheckedSet:
    """Check every label file against its picture, decode every picture once, clip the boxes, make the records.

    These go to files in the folder `spool`, which is the caller's. Many pictures are shared among `workers`, of which
    there are some for this alone where none are given. `found` is the set in `root` where it was listed already.

    Raises:
        BadData: the folder is no data set, or several kinds of things are wrong in it.
        BadAnnotation, BadPicture: one thing, or only things of that kind; up to 20 are named.
        Unavailable: a worker ended.
    """
    found = found or open_set(root)
    count = len(found.names)
    short = None
    if isinstance(found, VocFolder):
        short = ShortWay(f"{found.labels_in}/", f"{found.pictures_in}/", beside=found.labels_in == found.pictures_in)
    batches: list[Looked] = []
    with (
        nullcontext(workers) if workers else Workers() as these,
        progress_bar(total=count, description="Checking pictures", unit="picture", show=progress) as bar,
    ):
        look = Look(root, tuple(classes), spool, short)
        for looked in these.in_order(look, _batches(found), many=count >= MANY):
            batches.append(looked)
            bar.update(len(looked.pictures) + len(looked.problems))
    bad = dict(problem for looked in batches for problem in looked.problems)
    pictures = [picture for looked in batches for picture in looked.pictures]
    problems = [*bad.values(), *_shared_pictures(found, [name for name in found.names if name not in bad], pictures)]
    if problems:
        raise _together(root, problems)
    if not pictures:
        raise BadData(f"{root}: no picture is annotated; add label files")
    return _checked(root, found, spool, pictures, batches)


def _batches(found: AnnotatedSet) -> Iterator[Batch]:
    names = found.names
    of_stem = _only_of_stem(found.pictures) if isinstance(found, VocFolder) else {}
    size = min(_LARGEST_BATCH, max(_SMALLEST_BATCH, len(names) // _BATCHES))
    for start in range(0, len(names), size):
        some = names[start : start + size]
        yield Batch(start + 1, some, [of_stem.get(name.rpartition(".")[0]) for name in some])


def _only_of_stem(pictures: Iterable[str]) -> dict[str, str | None]:
    """None where several pictures have the stem."""
    found: dict[str, str | None] = {}
    for name in pictures:
        stem, dot, ending = name.rpartition(".")
        if dot + ending in _SPELT:
            found[stem] = None if stem in found else name
    return found


def _checked(
    root: Path, found: AnnotatedSet, spool: Path, pictures: list[str], batches: Sequence[Looked]
) -> CheckedSet:
    spools = list(dict.fromkeys(looked.spool for looked in batches))
    number_of = {name: number for number, name in enumerate(spools)}
    starts = np.cumsum([0, *(len(looked.pictures) for looked in batches)]).tolist()
    cuts: dict[int, list[CutRow]] = {}
    for start, looked in zip(starts, batches, strict=False):
        for place, cut in looked.cuts:
            cuts.setdefault(start + place, []).append(cut)
    sha256 = b"".join(looked.sha256 for looked in batches)
    labels = b"".join(looked.label_sha256 for looked in batches)
    return CheckedSet(
        found, spool, pictures, np.frombuffer(sha256, np.uint8).reshape(-1, 32),
        np.concatenate([looked.bits for looked in batches]),
        np.concatenate([looked.boxes for looked in batches]),
        cuts, [str(spool / name) for name in spools],
        np.repeat([number_of[looked.spool] for looked in batches], np.diff(starts)).astype(np.uint16),
        np.concatenate([looked.offset for looked in batches]),
        np.concatenate([looked.record for looked in batches]),
        np.concatenate([looked.rows for looked in batches]),
        _hash_of_all(_names_of_files(found, root), _digests(found, pictures, sha256, labels)),
    )  # fmt: skip


def _digests(found: AnnotatedSet, pictures: Sequence[str], sha256: bytes, labels: bytes) -> Iterator[bytes]:
    """Of all files of a set, in their order; only those that nobody looked at are read."""
    if isinstance(found, VocFolder):
        yield from (labels[start : start + 32] for start in range(0, len(labels), 32))
    else:
        yield from in_order(_digest, found.files[: len(found.files) - len(found.pictures)])
    row_of = {picture: row for row, picture in enumerate(pictures)}
    rest = iter(in_order(_digest, [found.pictures[key] for key in found.pictures if key not in row_of]))
    for key in found.pictures:
        row = row_of.get(key)
        yield next(rest) if row is None else sha256[32 * row : 32 * row + 32]


class LongWay:
    """Looks at pictures of any kind and format, one at a time; the set is listed when it is first needed."""

    def __init__(self, root: Path, classes: tuple[str, ...]) -> None:
        self._root = root
        self._classes = classes

    @cached_property
    def found(self) -> AnnotatedSet:
        return open_set(self._root)

    @cached_property
    def _key_of(self) -> dict[Path, str]:
        return {path: key for key, path in self.found.pictures.items()}

    def look(self, notes: Notes, number: int, name: str) -> None:
        """Note a picture that is good.

        Raises:
            BadAnnotation, BadPicture: what is wrong.
        """
        annotation = self.found.read(name)
        seen = _examined(self.found, annotation, self._classes)
        # A file that speaks of all pictures is hashed once, at the end; YOLO does without one for no objects.
        own = annotation.entry is None and isinstance(self.found, VocFolder)
        boxes = [labelled.box for labelled in seen.objects]
        marked = Marked(
            seen.path.name, number, seen.picture.width, seen.picture.height,
            [labelled.label.encode() for labelled in seen.objects],
            [_corners(box) for box in boxes], [corners(box) for box in boxes],
        )  # fmt: skip
        notes.add(
            self._key_of[seen.path], marked, _jpeg(seen), sha256=sha256_of(seen.encoded), grey=seen.grey,
            label_sha256=_digest(annotation.path) if own else NO_SHA256,
            cuts=[_cut_row(name, cut) for cut in seen.cuts],
        )  # fmt: skip


def _cut_row(name: str, cut: Cut) -> CutRow:
    return name, cut.number, cut.label, _corners(cut.before), None if cut.after is None else _corners(cut.after)


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


@dataclass(frozen=True, slots=True)
class _Examined:
    """A picture that was found good; boxes are clipped to it. `grey` is small."""

    path: Path
    encoded: bytes
    picture: Picture
    grey: Grey
    objects: tuple[LabelledBox, ...]
    cuts: tuple[Cut, ...]


def read_set(root: Path) -> Iterator[Sample]:
    """Annotated pictures as they stand in a set of any format, boxes clipped, one after the other.

    Raises:
        BadData, BadAnnotation, BadPicture: when it comes to what is wrong.
    """
    found = open_set(root)
    for number, name in enumerate(found.names, start=1):
        seen = _examined(found, found.read(name), classes=None)
        yield Sample(number, seen.path.name, seen.picture, seen.objects)


def _examined(found: AnnotatedSet, annotation: Annotation, classes: Sequence[str] | None) -> _Examined:
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
    return _Examined(path, encoded, picture, grey, objects, cuts)


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
        return picture, small_grey(encoded)
    except Exception as error:  # Pillow's decoders raise whatever damaged data makes them stumble on
        raise BadPicture(f"{path}: cannot be decoded to its end: {error}; get a whole copy of it") from error


def _jpeg(seen: _Examined) -> bytes:
    try:
        return seen.picture.jpeg()
    except BadPicture as error:
        raise BadPicture(f"{seen.path}: {error}") from error


def _shared_pictures(found: AnnotatedSet, names: Iterable[str], pictures: Sequence[str]) -> list[VigieError]:
    times = Counter(pictures)
    if len(times) == len(pictures):
        return []
    shared = [(name, key) for name, key in zip(names, pictures, strict=True) if times[key] > 1]
    return [
        BadAnnotation(
            f"{found.read(name).path}: its picture {found.pictures[key].name} belongs to another label file too; "
            "keep one"
        )
        for name, key in shared
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
