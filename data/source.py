"""Read a whole VOC set and find everything that is wrong with it at once."""

import hashlib
import io
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vigie import voc
from vigie.data.parallel import in_order
from vigie.data.parts import Sample
from vigie.domain import LabelledBox
from vigie.errors import BadAnnotation, BadData, BadPicture, VigieError
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar

logger = logging.getLogger(__name__)
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Source:
    """An annotated picture that was found good; boxes are clipped to it. Light: it holds no pixels."""

    source_id: int
    path: Path
    annotation: Path
    width: int
    height: int
    objects: tuple[LabelledBox, ...]
    cuts: tuple[voc.Cut, ...]


def source_hash(root: Path) -> str:
    """SHA-256 over the names and bytes of all label files and pictures, in hexadecimal.

    Raises:
        BadData: it is no data set, or a file cannot be read.
    """
    folder = voc.open_folder(root)
    files = [*folder.annotations, *folder.pictures.values()]
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
    folder = voc.open_folder(root)
    numbered = list(enumerate(folder.annotations, start=1))

    def look(item: tuple[int, Path]) -> Source | VigieError:
        try:
            return _source(folder, *item, classes)
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


def read_voc(root: Path) -> Iterator[Sample]:
    """Annotated pictures as they stand in a VOC folder, boxes clipped, one after the other.

    Raises:
        BadData, BadAnnotation, BadPicture: when it comes to what is wrong.
    """
    folder = voc.open_folder(root)
    for number, path in enumerate(folder.annotations, start=1):
        source = _source(folder, number, path, classes=None)
        yield Sample(source.source_id, source.path.name, Picture.from_file(source.path), source.objects)


def _source(folder: voc.VocFolder, number: int, path: Path, classes: Sequence[str] | None) -> Source:
    annotation = voc.read_annotation(path)
    for position, labelled in enumerate(annotation.objects, start=1):
        if classes is not None and labelled.label not in classes:
            raise BadAnnotation(
                f"{path}: object {position}: the label {labelled.label!r} is none of the classes "
                f"{', '.join(classes)}; correct it or add the class to the experiment"
            )
    picture_path = folder.picture_of(annotation)
    picture = whole_picture(picture_path)
    if annotation.size not in (None, (picture.width, picture.height)):
        raise BadAnnotation(_sizes_differ(annotation, picture_path, picture))
    objects, cuts = voc.clipped(annotation.objects, picture.width, picture.height)
    return Source(number, picture_path, path, picture.width, picture.height, objects, cuts)


def _sizes_differ(annotation: voc.Annotation, path: Path, picture: Picture) -> str:
    width, height = annotation.size or (0, 0)
    upright = " once its EXIF orientation is applied" if picture.turned else ""
    return (
        f"{annotation.path}: <size> says {width}x{height}, the picture {path.name} has "
        f"{picture.width}x{picture.height} pixels{upright}; correct <size> and the boxes, or replace the picture"
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
