"""The three parts of a data set and the samples in them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from vigie.domain import LabelledBox
from vigie.pictures import Picture

Part: TypeAlias = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Sample:
    """One annotated picture. `source_id` counts the set's pictures from 1; boxes lie inside, in its pixels."""

    source_id: int
    filename: str
    picture: Picture
    objects: tuple[LabelledBox, ...]
