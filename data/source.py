"""Read a whole set of annotated pictures and find everything that is wrong with it at once."""

import hashlib
import io
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vigie.annotations import AnnotatedSet, Annotation, Cut, clipped
from vigie.data.orientation import orientation_of, upright
from vigie.data.parallel import in_order
from vigie.data.parts import Sample
from vigie.domain import LabelledBox
from vigie.errors import BadAnnotation, BadData, BadPicture, VigieError
from vigie.layouts import open_set
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar

logger = logging.getLogger(__name__)
MOST_SHOWN = 20


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


def source_hash(root: Path) -> str:
    """SHA-256 over the names and bytes of all label files and pictures, in hexadecimal.

    Raises:
        BadData: it is no data set, or a file cannot be read.
    """
    files = open_set(root).files
    whole = hashlib.sha256()
    for path, digest in zip(files, in_order(_digest, files), strict=True):
        whole.update(f"{path.relative_to(root).as_posix()}\0{digest}\n".encode())
    return whole.hexdigest()


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadData(f"{path}: cannot be read: {error.strerror}") from error


def read_sources(root: Path, classes: Sequence[str], *, progress: bool) -> list[Source]:
    """Check every label file against its picture, decode every picture once, clip the boxes.

    Raises:
        BadData: the folder is no data set, or several kinds of things are wrong in it.
        BadAnnotation, BadPicture: one thing, or only things of that kind; up to 20 are named.
    """
    found = open_set(root)
    numbered = list(enumerate(found.names, start=1))

    def look(item: tuple[int, str]) -> Source | VigieError:
        try:
            return _source(found, *item, classes)
        except (BadAnnotation, BadPicture) as problem:
            return problem

    looked = progress_bar(
        in_order(look, numbered), total=len(numbered), description="Checking pictures", unit="picture",
        show=progress,
    )  # fmt: skip
    outcomes: list[Source | VigieError] = list(looked)
    sources = [outcome for outcome in outcomes if isinstance(outcome, Source)]
    problems = [outcome for outcome in outcomes if isinstance(outcome, VigieError)] + _shared_pictures(sources)
    if problems:
        raise _together(root, problems)
    return sources


def read_set(root: Path) -> Iterator[Sample]:
    """Annotated pictures as they stand in a set of any format, boxes clipped, one after the other.

    Raises:
        BadData, BadAnnotation, BadPicture: when it comes to what is wrong.
    """
    found = open_set(root)
    for number, name in enumerate(found.names, start=1):
        source = _source(found, number, name, classes=None)
        yield Sample(source.source_id, source.path.name, Picture.from_file(source.path), source.objects)


def _source(found: AnnotatedSet, number: int, name: str, classes: Sequence[str] | None) -> Source:
    annotation = found.read(name)
    for position, labelled in enumerate(annotation.objects, start=1):
        if classes is not None and labelled.label not in classes:
            raise BadAnnotation(
                f"{annotation.where}: object {position}: the label {labelled.label!r} is none of the classes "
                f"{', '.join(classes)}; correct it or add the class to the experiment"
            )
    path = found.picture_of(annotation)
    picture = whole_picture(path)
    objects, cuts = clipped(_upright_objects(annotation, path, picture), picture.width, picture.height)
    return Source(number, name, path, annotation.path, picture.width, picture.height, objects, cuts)


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


def whole_picture(path: Path) -> Picture:
    """Read a picture and decode it to the end.

    Raises:
        BadPicture: naming the file; it is cut short or damaged.
    """
    picture = Picture.from_file(path)
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            # An eighth of the size takes a third of the time and still reads every byte; only JPEG can.
            image.draft(image.mode, (image.width // 8, image.height // 8))
            image.load()
    except Exception as error:  # Pillow's decoders raise whatever damaged data makes them stumble on
        raise BadPicture(f"{path}: cannot be decoded to its end: {error}; get a whole copy of it") from error
    return picture


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
