"""Everything of a set that the checks look at, read once; a broken file is a problem in it, never an error."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from vigie.annotations import AnnotatedSet
from vigie.coco import CocoFolder
from vigie.data.doctor.coco_files import read_coco_file
from vigie.data.doctor.findings import WHOLE_SET
from vigie.data.doctor.label_files import Corners, LabelFile, MarkedObject, Problem, read_label_file
from vigie.data.doctor.listing import Pictures, listed
from vigie.data.doctor.picture_files import PictureFile, read_picture_file
from vigie.data.doctor.yolo_files import read_yolo_file
from vigie.data.orientation import orientation_of, upright
from vigie.data.parallel import in_order
from vigie.domain import Box
from vigie.errors import BadAnnotation
from vigie.progress import progress as progress_bar
from vigie.yolo import YoloFolder


@dataclass(frozen=True, slots=True)
class GoodObject:
    """An object whose box has an area inside its picture. `box` is clipped to it."""

    number: int
    label: str
    box: Box


@dataclass(frozen=True, slots=True)
class Pair:
    """What is said of a picture, and the picture: None where none or several were found, see `candidates`."""

    labels: LabelFile
    picture: PictureFile | None
    candidates: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int] | None:
        """The picture's, else what the label file claims."""
        return self.picture.size if self.picture is not None and self.picture.size else self.labels.size

    def good_objects(self) -> tuple[GoodObject, ...]:
        """Those that training would see; labels are stripped of space."""
        if self.size is None:
            return ()
        size = self.size
        clipped = ((marked, clipped_box(marked, size)) for marked in self.labels.objects)
        return tuple(GoodObject(it.number, it.label.strip(), box) for it, box in clipped if box is not None)


@dataclass(frozen=True, slots=True)
class DataSet:
    """A set as it stands. `pictures` are all, those that no label file stands for too.

    `problems` belong to no picture: the file they are in, "." for the set as a whole, and what is wrong.
    """

    pairs: tuple[Pair, ...]
    pictures: tuple[PictureFile, ...]
    problems: tuple[tuple[str, Problem], ...] = ()


def clipped_box(marked: MarkedObject, size: tuple[int, int]) -> Box | None:
    """The part inside a picture of that width and height, in pixels from 0; None where nothing is."""
    corners = marked.corners
    left, top = max(corners.xmin - corners.first, 0.0), max(corners.ymin - corners.first, 0.0)
    right, bottom = min(corners.xmax, float(size[0])), min(corners.ymax, float(size[1]))
    return Box(left, top, right, bottom) if corners.ordered and left < right and top < bottom else None


def read_set(root: Path, *, progress: bool) -> DataSet:
    """Read all label files and decode all pictures of a set in any of the formats, on all cores.

    Raises:
        BadData: there is no such folder, or neither a label file nor a picture in it.
    """
    found, paths, problem = listed(root)
    looked = in_order(lambda path: read_picture_file(path, path.relative_to(root).as_posix()), paths)
    shown = progress_bar(looked, total=len(paths), description="Examining", unit="picture", show=progress)
    with warnings.catch_warnings():  # a giant is a finding
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        pictures = Pictures(dict(zip(paths, shown, strict=True)))
    if found is None:
        return DataSet((), pictures.all, () if problem is None else ((WHOLE_SET, problem),))
    pairs, problems = _read(found, root, pictures)
    return DataSet(tuple(pairs), pictures.all, tuple(problems))


def _read(found: AnnotatedSet, root: Path, pictures: Pictures) -> tuple[list[Pair], list[tuple[str, Problem]]]:
    if isinstance(found, CocoFolder):
        return _coco(found, root, pictures)
    if isinstance(found, YoloFolder):
        return _yolo(found, root, pictures)
    labels = [path for path in found.files if path.suffix.lower() == ".xml"]
    read = [(path, read_label_file(path, path.relative_to(root).as_posix())) for path in labels]
    return [_pair(it, root, *pictures.of(found, path, it.filename)) for path, it in read], []


def _pair(labels: LabelFile, root: Path, picture: PictureFile | None, candidates: tuple[str, ...]) -> Pair:
    """Boxes that were drawn before the picture was turned upright are turned with it."""
    if picture is None or not picture.lies_at(labels.size):
        return Pair(labels, picture, candidates)
    width, height = labels.size or (0, 0)
    orientation = orientation_of(root / picture.name)
    objects = tuple(replace(it, corners=_turned(it.corners, orientation, width, height)) for it in labels.objects)
    return Pair(replace(labels, objects=objects), picture, candidates)


def _turned(corners: Corners, orientation: int, width: int, height: int) -> Corners:
    if not corners.ordered:
        return corners
    first = corners.first
    box = upright(
        Box(corners.xmin - first, corners.ymin - first, corners.xmax, corners.ymax), orientation, width, height
    )
    return Corners(box.left + first, box.top + first, box.right, box.bottom, first)


def _coco(found: CocoFolder, root: Path, pictures: Pictures) -> tuple[list[Pair], list[tuple[str, Problem]]]:
    name = found.path.relative_to(root).as_posix()
    labels, problems = read_coco_file(found.path, name)
    pairs = [_pair(it, root, *pictures.of(found, found.path, it.filename)) for it in labels]
    return pairs, [(name, problem) for problem in problems]


def _yolo(found: YoloFolder, root: Path, pictures: Pictures) -> tuple[list[Pair], list[tuple[str, Problem]]]:
    """A picture without a text file is one without objects, as the format has it."""
    problems: list[tuple[str, Problem]] = []
    try:
        classes = found.classes
    except (BadAnnotation, ValueError) as error:  # YAML's reader lets a month 99 through as the latter
        classes = None
        problems = [(found.names_file.relative_to(root).as_posix(), Problem("classes-unreadable", str(error)))]
    pairs = []
    own = {found.names_file, *found.pictures.values()}
    for path in (path for path in found.files if path not in own):
        picture, candidates = pictures.of(found, path, None)
        size = picture.size if picture is not None else None
        labels = read_yolo_file(path, path.relative_to(root).as_posix(), classes, size)
        pairs.append(Pair(labels, picture, candidates))
    named = {name for pair in pairs for name in pair.candidates}
    lonely = [picture for picture in pictures.all if picture.name not in named]
    return pairs + [Pair(LabelFile(it.name, Path(it.name).stem), it, (it.name,)) for it in lonely], problems
