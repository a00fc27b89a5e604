"""One cartoon person: how it looks and where it is."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from vigie.cartoons.pen import Colour, shade
from vigie.domain import Box, LabelledBox

LABELS: tuple[str, ...] = ("with_mask", "without_mask", "mask_weared_incorrect")
"""In the order of the demo's label map."""

ASPECT = 1.25
"""Height of a face by its width."""

Hair: TypeAlias = Literal["short", "long", "afro", "bun", "bald", "cap", "scarf"]
HAIR: tuple[Hair, ...] = ("short", "long", "afro", "bun", "bald", "cap", "scarf")
Mouth: TypeAlias = Literal["smile", "laugh", "flat", "round"]
MOUTHS: tuple[Mouth, ...] = ("smile", "laugh", "flat", "round")
Pattern: TypeAlias = Literal["pleats", "stripes", "dots", "plain"]
PATTERNS: tuple[Pattern, ...] = ("pleats", "stripes", "dots", "plain")

SKINS: tuple[Colour, ...] = (
    (255, 224, 196), (247, 206, 170), (236, 188, 148), (222, 168, 124),
    (198, 140, 98), (168, 112, 74), (134, 86, 56), (98, 62, 44),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (38, 30, 30), (74, 48, 34), (112, 70, 40), (158, 102, 52),
    (222, 180, 96), (184, 72, 40), (170, 170, 176), (108, 66, 128),
)  # fmt: skip
MASKS: tuple[Colour, ...] = (
    (136, 196, 232), (244, 248, 250), (92, 190, 180), (246, 166, 190),
    (176, 160, 226), (250, 220, 110), (96, 132, 214), (150, 214, 132),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (214, 72, 72), (52, 104, 168), (246, 190, 70), (70, 148, 110), (126, 84, 156),
    (232, 128, 76), (60, 66, 84), (232, 232, 224), (84, 170, 196), (190, 92, 132),
)  # fmt: skip
EYES: tuple[Colour, ...] = ((52, 36, 28), (40, 60, 92), (44, 84, 60), (28, 28, 34))


@dataclass(frozen=True, slots=True)
class Looks:
    """What a person keeps while moving about."""

    skin: Colour
    hair: Colour
    hair_style: Hair
    eyes: Colour
    mouth: Mouth
    mask: Colour
    pattern: Pattern
    clothes: Colour
    trousers: Colour
    glasses: bool
    beard: bool
    low: Literal["mouth", "chin"]
    """What a badly worn mask still covers."""


@dataclass(frozen=True, slots=True)
class Face:
    """A person whose face is an oval of `width` pixels, `ASPECT` times as high, around (x, y), tilted clockwise."""

    label: str
    x: float
    y: float
    width: float
    looks: Looks
    tilt_rad: float = 0.0
    blinking: bool = False

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise ValueError(f"a cartoon face is one of {', '.join(LABELS)}, not {self.label!r}")
        if not self.width > 0:
            raise ValueError(f"a face needs a width, got {self.width}")

    @property
    def box(self) -> Box:
        """Around the oval of the face: without hair, ears and hat."""
        a, b = self.width / 2, self.width / 2 * ASPECT
        cos, sin = math.cos(self.tilt_rad), math.sin(self.tilt_rad)
        half_width, half_height = math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)
        return Box(self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height)

    @property
    def head(self) -> Box:
        """Around face and hair, whichever way it is worn, roughly."""
        a, b = self.width / 2, self.width / 2 * ASPECT
        return Box(self.x - 1.3 * a, self.y - 1.4 * b, self.x + 1.3 * a, self.y + 1.15 * b)

    def labelled(self, width: int, height: int) -> LabelledBox:
        """The part inside a picture of that size."""
        box = self.box
        left, top = max(box.left, 0.0), max(box.top, 0.0)
        return LabelledBox(self.label, Box(left, top, min(box.right, float(width)), min(box.bottom, float(height))))


def random_looks(rng: np.random.Generator) -> Looks:
    """A person drawn by lot; the mask differs clearly from the skin."""
    skin = SKINS[rng.integers(len(SKINS))]
    masks = [mask for mask in MASKS if sum(abs(a - b) for a, b in zip(mask, skin, strict=True)) > 110]
    return Looks(
        skin=skin,
        hair=HAIRS[rng.integers(len(HAIRS))],
        hair_style=HAIR[rng.integers(len(HAIR))],
        eyes=EYES[rng.integers(len(EYES))],
        mouth=MOUTHS[rng.integers(len(MOUTHS))],
        mask=masks[rng.integers(len(masks))],
        pattern=PATTERNS[rng.integers(len(PATTERNS))],
        clothes=CLOTHES[rng.integers(len(CLOTHES))],
        trousers=shade(CLOTHES[rng.integers(len(CLOTHES))], 0.6),
        glasses=bool(rng.random() < 0.2),
        beard=bool(rng.random() < 0.12),
        low="mouth" if rng.random() < 0.6 else "chin",
    )
