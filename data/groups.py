"""Pictures that show the same: they must not be learned from in one part and judged by in another."""

from collections.abc import Sequence
from pathlib import Path

from vigie.data.doctor.duplicates import twins_of
from vigie.data.doctor.picture_files import PictureFile, read_picture_file
from vigie.data.parallel import in_order
from vigie.progress import progress as progress_bar


def groups_of(paths: Sequence[Path], *, progress: bool = False) -> list[int]:
    """The number of each picture's group, from 0 in the order of the pictures; one without a twin is its own.

    Every picture is decoded. Twins are those of `vigie data check`; a twin's twin is of the same group.
    """
    looked = in_order(lambda item: read_picture_file(item[1], str(item[0])), enumerate(paths))
    bar = progress_bar(looked, total=len(paths), description="Comparing pictures", unit="picture", show=progress)
    return groups_of_looks(list(bar))


def groups_of_looks(pictures: Sequence[PictureFile]) -> list[int]:
    """The same of pictures that were decoded before; their names must differ."""
    place = {picture.name: number for number, picture in enumerate(pictures)}
    leader = list(range(len(pictures)))

    def lead(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    for pair in twins_of(pictures):
        first, second = sorted((lead(place[pair.first]), lead(place[pair.second])))
        leader[second] = first
    numbers: dict[int, int] = {}
    return [numbers.setdefault(lead(number), len(numbers)) for number in range(len(pictures))]
