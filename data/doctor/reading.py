"""Everything of a set that the checks look at, read once; a broken file is a problem in it, never an error."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vigie import voc
from vigie.data.doctor.label_files import LabelFile, MarkedObject, read_label_file
from vigie.data.doctor.picture_files import PictureFile, read_picture_file
from vigie.data.parallel import in_order
from vigie.domain import Box
from vigie.errors import BadData
from vigie.progress import progress as progress_bar

_LABEL_FOLDERS = ("annotations",)
_PICTURE_FOLDERS = ("images", "jpegimages")


@dataclass(frozen=True, slots=True)
class GoodObject:
    """An object whose box has an area inside its picture. `box` is clipped to it."""

    number: int
    label: str
    box: Box


@dataclass(frozen=True, slots=True)
class Pair:
    """A label file and its picture. `picture` is None where none or several were found, see `candidates`."""

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
    """A set as it stands. `pictures` are all, those that no label file stands for too."""

    pairs: tuple[Pair, ...]
    pictures: tuple[PictureFile, ...]


def clipped_box(marked: MarkedObject, size: tuple[int, int]) -> Box | None:
    """The part inside a picture of that width and height, in pixels from 0; None where nothing is."""
    corners = marked.corners
    left, top = max(corners.xmin - 1, 0.0), max(corners.ymin - 1, 0.0)
    right, bottom = min(corners.xmax, float(size[0])), min(corners.ymax, float(size[1]))
    return Box(left, top, right, bottom) if corners.ordered and left < right and top < bottom else None


def read_set(root: Path, *, progress: bool) -> DataSet:
    """Read all label files and decode all pictures, on all cores.

    Label files lie in `annotations/` or `Annotations/`, pictures in `images/` or `JPEGImages/`, or both in `root`.

    Raises:
        BadData: there is no such folder, or neither a label file nor a picture in it.
    """
    label_paths, picture_paths = _listed(root)
    labels = [read_label_file(path, path.relative_to(root).as_posix()) for path in label_paths]
    looked = in_order(lambda path: read_picture_file(path, path.relative_to(root).as_posix()), picture_paths)
    pictures = list(
        progress_bar(looked, total=len(picture_paths), description="Examining", unit="picture", show=progress)
    )
    by_name = {path.name: picture for path, picture in zip(picture_paths, pictures, strict=True)}
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in picture_paths:
        by_stem[path.stem].append(path.name)
    return DataSet(tuple(_pair(label_file, by_name, by_stem) for label_file in labels), tuple(pictures))


def _pair(labels: LabelFile, by_name: Mapping[str, PictureFile], by_stem: Mapping[str, list[str]]) -> Pair:
    if labels.filename is not None and labels.filename in by_name:
        return Pair(labels, by_name[labels.filename], (labels.filename,))
    candidates = tuple(by_stem.get(labels.stem, ()))
    return Pair(labels, by_name[candidates[0]] if len(candidates) == 1 else None, candidates)


def _listed(root: Path) -> tuple[list[Path], list[Path]]:
    if not root.is_dir():
        raise BadData(f"{root}: there is no such folder; name one that holds annotations/ and images/")
    labels = sorted(path for path in _folder(root, _LABEL_FOLDERS).iterdir() if path.suffix.lower() == ".xml")
    pictures = sorted(
        path for path in _folder(root, _PICTURE_FOLDERS).iterdir() if path.suffix.lower() in voc.PICTURE_ENDINGS
    )
    if not labels and not pictures:
        raise BadData(f"{root}: holds no label file and no picture; name a folder with annotations/ and images/")
    return labels, pictures


def _folder(root: Path, names: tuple[str, ...]) -> Path:
    return next((path for path in sorted(root.iterdir()) if path.is_dir() and path.name.lower() in names), root)
