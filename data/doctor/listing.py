"""Which files a set consists of, also one that is not whole, and which picture a label file speaks of."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from vigie.annotations import AnnotatedSet, Annotation, PathsIn, names_in, pictures_in
from vigie.coco import CocoFolder
from vigie.data.doctor.label_files import Problem
from vigie.data.doctor.picture_files import PictureFile
from vigie.errors import BadAnnotation, BadData
from vigie.layouts import open_set
from vigie.voc import VocFolder

_LABEL_FOLDERS = ("annotations",)
_PICTURE_FOLDERS = ("images", "jpegimages")
_DEPTH = 2


def listed(root: Path) -> tuple[AnnotatedSet | None, list[Path], Problem | None]:
    """The set, its pictures, sorted, and what is wrong with a folder that is none.

    Raises:
        BadData: there is no such folder, or nothing in it to examine.
    """
    if not root.is_dir():
        raise BadData(f"{root}: there is no such folder; name one that holds annotated pictures")
    try:
        return _opened(root)
    except OSError as error:
        raise BadData(f"{error.filename or root}: cannot be read: {error.strerror}; make it readable") from error


def _opened(root: Path) -> tuple[AnnotatedSet | None, list[Path], Problem | None]:
    try:
        found = open_set(root)
    except BadData as error:
        torn = _voc_as_it_stands(root)
        if torn is not None:
            return torn, list(torn.pictures.values()), None
        pictures = list(pictures_in(root, depth=_DEPTH).values())
        if not pictures:
            raise
        return None, pictures, Problem("set-unreadable", str(error))
    return found, list(found.pictures.values()), None


def _voc_as_it_stands(root: Path) -> VocFolder | None:
    """Label files without a folder of pictures; None where there are none."""
    labels_in, pictures_folder = _folder(root, _LABEL_FOLDERS), _folder(root, _PICTURE_FOLDERS)
    labels = names_in(labels_in, (".xml",))
    return VocFolder(root, PathsIn(labels_in, labels), pictures_in(pictures_folder)) if labels else None


def _folder(root: Path, names: tuple[str, ...]) -> Path:
    return next((path for path in sorted(root.iterdir()) if path.is_dir() and path.name.lower() in names), root)


class Pictures:
    """The examined pictures of a set, to be found by what a label file says."""

    def __init__(self, looks: Mapping[Path, PictureFile]) -> None:
        self._looks = looks
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in looks:
            self._by_stem[path.stem].append(path)

    @property
    def all(self) -> tuple[PictureFile, ...]:
        return tuple(self._looks.values())

    def of(
        self, found: AnnotatedSet, label_file: Path, filename: str | None
    ) -> tuple[PictureFile | None, tuple[str, ...]]:
        """The picture that a label file speaks of, and its name; without it the names of several that fit."""
        try:
            picture = self._looks[found.picture_of(Annotation(label_file, filename, None, ()))]
        except BadAnnotation:
            return None, self._several(found, label_file, filename)
        return picture, (picture.name,)

    def _several(self, found: AnnotatedSet, label_file: Path, filename: str | None) -> tuple[str, ...]:
        if isinstance(found, CocoFolder):
            wanted = Path(filename or "")
            fit = [path for path in self._by_stem[wanted.stem] if path.as_posix().endswith(f"/{wanted.as_posix()}")]
            return tuple(self._looks[path].name for path in fit) if len(fit) > 1 else ()
        fit = self._by_stem[label_file.stem]
        folders = [path.parent for path in fit]
        return tuple(self._looks[path].name for path in fit if folders.count(path.parent) > 1)
