"""Which picture is in which part, as lists: Pascal VOC's ImageSets/Main, or a CSV of filename and part."""

import csv
import posixpath
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from vigie.annotations import content_of, subfolders
from vigie.data.parts import PARTS, Part
from vigie.errors import BadData, BadSetting
from vigie.experiment import Split
from vigie.project import project_root

FOLDER = "ImageSets/Main"
_LIST_OF: dict[Part, str] = {"train": "train", "validation": "val", "test": "test"}
_PART_OF: dict[str, Part] = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_DEPTH = 2  # VOCdevkit/VOC2012/ImageSets
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a list. `where` is how messages call it."""

    name: str
    part: Part
    where: str


class PictureNames:
    """Finds the pictures that a name in a list may mean: by path, file name, or either without its ending.

    Pictures are called as the set calls them: by their path from its folder of pictures.
    """

    def __init__(self, pictures: Collection[str]) -> None:
        self._pictures = pictures

    @cached_property
    def _found(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for key in self._pictures:
            for name in {*_ends(key), *_ends(_stem(key))}:
                found[name].append(key)
        return found

    def own(self, pictures: Iterable[str]) -> list[str]:
        """Each one's name in a list: its path without the folders around all pictures and without the ending.

        The ending stays where two pictures differ in nothing else.
        """
        stems = Counter(map(_stem, self._pictures))
        around = _folder_of_all(self._pictures)
        stem_of = ((key, _stem(key)) for key in pictures)
        return [(key if stems[stem] > 1 else stem).removeprefix(around) for key, stem in stem_of]

    def find(self, name: str) -> list[str]:
        """The pictures of that name; folders above the set's are left out of account."""
        ends = _ends(name.replace("\\", "/"))
        return next((self._found[end] for end in ends if end in self._found), [])


def _stem(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    stem, _, ending = name.rpartition(".")
    return folder + slash + stem if stem and ending else key


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _folder_of_all(keys: Iterable[str]) -> str:
    """With its slash; empty where the pictures lie in several. So a set has the same names in every format."""
    folders = {key.rpartition("/")[0] for key in keys}
    common = posixpath.commonpath(folders) if folders else ""
    return f"{common}/" if common else ""


def _ends(name: str) -> list[str]:
    """The longest first: a/b.jpg, b.jpg."""
    parts = PurePosixPath(name).parts if "/" in name else (name,)
    return ["/".join(parts[start:]) for start in range(len(parts))]


def find_lists(root: Path, split: Split) -> Path | None:
    """The folder of lists or the CSV that the split asks for; None where the parts are to be drawn.

    Raises:
        BadSetting: what `lists` names is not there.
        BadData: the set has several folders of lists.
    """
    if split.lists == "none":
        return None
    if split.lists != "auto":
        given = project_root() / split.lists
        if given.is_dir() or (given.is_file() and given.suffix.lower() == ".csv"):
            return given
        raise BadSetting(
            f"split.lists: {split.lists}: there is no folder {given} with train.txt and val.txt, and no CSV of that "
            "name with the columns filename and part; correct it, or write auto or none"
        )
    mains = _main_folders(root, _DEPTH)
    whole = [main for main in mains if (main / "train.txt").is_file() and (main / "val.txt").is_file()]
    if len(whole) > 1:
        raise BadData(
            f"{root}: has several folders of lists: {', '.join(map(str, whole))}; "
            "name one in split.lists, or write none"
        )
    return whole[0] if whole else None


def _main_folders(root: Path, depth: int) -> list[Path]:
    below = subfolders(root)
    mains = [
        main for sets in below if sets.name.lower() == "imagesets"
        for main in subfolders(sets) if main.name.lower() == "main"
    ]  # fmt: skip
    deeper = [found for folder in below if depth for found in _main_folders(folder, depth - 1)]
    return mains + deeper


def read_lists(where: Path) -> list[Listed]:
    """All lines of the lists; those of single classes (cat_train.txt) and trainval.txt are left alone.

    Raises:
        BadData: a list cannot be read, or there is none for training or for validation.
    """
    listed = list(_rows(where) if where.is_file() else _lines(where))
    for part in ("train", "validation"):
        if not any(line.part == part for line in listed):
            what = "the CSV" if where.is_file() else f"{where} (it holds {content_of(where)})"
            raise BadData(f"{where}: {what} lists no picture for {part}; add them, or set split.lists to none")
    return listed


def _lines(folder: Path) -> Iterator[Listed]:
    for part, name in _LIST_OF.items():
        path = folder / f"{name}.txt"
        if path.is_file():
            for number, line in enumerate(_text(path).splitlines(), start=1):
                if line.strip():
                    yield Listed(line.strip(), part, f"{path}: line {number}")


def _rows(path: Path) -> Iterator[Listed]:
    rows = csv.DictReader(_text(path).splitlines())
    if not {"filename", "part"} <= set(rows.fieldnames or ()):
        raise BadData(f"{path}: expected the columns filename and part, found {', '.join(rows.fieldnames or ())}")
    for row in rows:
        name, part = (row["filename"] or "").strip(), (row["part"] or "").strip()
        where = f"{path}: line {rows.line_num}"
        if not name or part not in _PART_OF:
            raise BadData(f"{where}: expected a file name and {', '.join(_PART_OF)}, found {name!r} and {part!r}")
        yield Listed(name, _PART_OF[part], where)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path}: cannot be read as UTF-8 text: {error}") from error


def parts_listed(listed: Sequence[Listed], names: PictureNames) -> dict[str, Part]:
    """The part of each listed picture.

    Raises:
        BadData: lines that name no picture or several, and pictures in two lists, up to 20 at once.
    """
    first: dict[str, Listed] = {}
    problems: list[str] = []
    for line in listed:
        found = names.find(line.name)
        if len(found) != 1:
            several = f"may be any of {', '.join(map(_last, found))}; add folder and ending"
            none = "is no picture of the set; add the picture or remove the line"
            problems.append(f"{line.where}: {line.name!r} {several if found else none}")
        elif first.setdefault(found[0], line).part != line.part:
            before = first[found[0]]
            problems.append(
                f"{line.where}: {line.name!r} is for {line.part}, and for {before.part} at {before.where}; keep one"
            )
    if problems:
        more = [f"and {len(problems) - _MOST_SHOWN} more"] if len(problems) > _MOST_SHOWN else []
        raise BadData("\n  ".join([*problems[:_MOST_SHOWN], *more]))
    return {key: line.part for key, line in first.items()}


def parts_before(records: Path, names: PictureNames) -> dict[str, Part]:
    """The part of each picture that was in these records and still is in the set; none where the lists are missing."""
    try:
        listed = list(_lines(records / FOLDER))
    except BadData:
        return {}
    return {key: line.part for line in listed for key in names.find(line.name)}


def write_lists(records: Path, names: Mapping[Part, Sequence[str]]) -> None:
    """ImageSets/Main/{train,val,trainval,test}.txt, sorted."""
    folder = records / FOLDER
    folder.mkdir(parents=True)
    lists = {_LIST_OF[part]: names[part] for part in PARTS} | {"trainval": [*names["train"], *names["validation"]]}
    for name, listed in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in sorted(listed)), encoding="utf-8")
