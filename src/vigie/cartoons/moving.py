"""A camera's view in motion, as a pure function of the seed and the number of the frame."""

import math
from dataclasses import dataclass

import numpy as np

from vigie.cartoons.backdrops import camera_backdrop
from vigie.cartoons.faces import ASPECT, LABELS, Face, Looks, random_looks
from vigie.cartoons.scenes import LARGEST, SMALLEST, draw_scene, noise_field, random_light
from vigie.domain import LabelledBox
from vigie.errors import BadSetting
from vigie.pictures import Pixels

MOST_FACES = 12
_NOISE_MARGIN_PX = 64
_BLINK_FRAMES = 2


@dataclass(frozen=True, slots=True)
class _Actor:
    """One person in a cell of the picture; periods in frames, phases in turns."""

    looks: Looks
    left: float
    top: float
    cell_width: float
    cell_height: float
    width: float
    periods: tuple[float, float, float]
    phases: tuple[float, float, float]
    first_label: int
    label_step: int
    label_frames: int
    label_offset: int
    blink_frames: int

    def at(self, seq: int) -> Face:
        across, down, breath = (
            math.sin(2 * math.pi * (seq / period + phase))
            for period, phase in zip(self.periods, self.phases, strict=True)
        )
        # Leaning widens a face: with at most .12 rad it stays within 1.01 of its width.
        width = self.width * (1 + 0.12 * breath)
        room_x, room_y = self.cell_width - width * 1.01, self.cell_height - width * ASPECT
        hop = abs(math.sin(math.pi * (seq / 9 + self.phases[0]))) * 0.05 * width
        scene = (seq + self.label_offset) // self.label_frames
        return Face(
            label=LABELS[(self.first_label + scene * self.label_step) % len(LABELS)],
            x=self.left + self.cell_width / 2 + across * room_x / 2,
            y=self.top + self.cell_height / 2 + down * (room_y - 0.05 * width) / 2 - hop + 0.025 * width,
            width=width,
            looks=self.looks,
            tilt_rad=0.12 * math.sin(2 * math.pi * (seq / (self.periods[0] * 0.7) + self.phases[2])),
            blinking=(seq + self.label_offset) % self.blink_frames < _BLINK_FRAMES,
        )


class MovingScene:
    """People who wander, hop and blink before a street, a park or a shop, and change their class every ten seconds
    or so at ten frames a second. Each keeps to its own cell, so no face covers another. Nothing in it
    changes, so threads may share it.
    """

    def __init__(self, seed: int, width: int = 640, height: int = 480, faces: int = 3) -> None:
        """Raises BadSetting where the size or the number of faces cannot be drawn."""
        if not 1 <= faces <= MOST_FACES:
            raise BadSetting(f"a synthetic camera shows 1 to {MOST_FACES} faces, not {faces}")
        if width < 64 or height < 64:
            raise BadSetting(f"a synthetic camera needs at least 64x64 pixels, not {width}x{height}")
        self.width, self.height = width, height
        self._seed = seed
        rng = np.random.default_rng([0x63616D, seed])
        self._backdrop = camera_backdrop(rng, width, height)
        self._light = random_light(rng, min(width, height))
        self._actors = _cast(rng, width, height, faces)
        margin = _NOISE_MARGIN_PX
        self._noise = noise_field(rng, width + margin, height + margin, max(1.0, self._light.noise_sigma))

    def at(self, seq: int) -> tuple[Pixels, tuple[LabelledBox, ...]]:
        """The picture number `seq`, from 0, and the true boxes on it."""
        x, y = np.random.default_rng([self._seed, seq]).integers(0, _NOISE_MARGIN_PX, 2)
        noise = self._noise[y : y + self.height, x : x + self.width]
        return draw_scene(self._backdrop, self._faces(seq), self._light, noise), self.truth(seq)

    def truth(self, seq: int) -> tuple[LabelledBox, ...]:
        """The true boxes of picture `seq`, without drawing it."""
        return tuple(face.labelled(self.width, self.height) for face in self._faces(seq))

    def _faces(self, seq: int) -> list[Face]:
        return [actor.at(seq) for actor in self._actors]


def _cast(rng: np.random.Generator, width: int, height: int, count: int) -> list[_Actor]:
    rows = 1 if count <= 3 else 2 if count <= 8 else 3
    columns = math.ceil(count / rows)
    cell_width, cell_height = width / columns, height / rows
    first = int(rng.integers(len(LABELS)))
    actors = []
    for number in range(count):
        row, column = divmod(number, columns)
        actors.append(_actor(rng, (column * cell_width, row * cell_height, cell_width, cell_height),
                             min(width, height), first + number))  # fmt: skip
    return actors


def _actor(rng: np.random.Generator, cell: tuple[float, float, float, float], short_side: int, label: int) -> _Actor:
    left, top, cell_width, cell_height = cell
    # A face breathes by 12 % and needs some room to wander.
    largest = min(short_side * LARGEST / 1.12, cell_width / 1.3, cell_height / (1.4 * ASPECT))
    smallest = min(short_side * SMALLEST * 1.3, largest)
    return _Actor(
        looks=random_looks(rng),
        left=left,
        top=top,
        cell_width=cell_width,
        cell_height=cell_height,
        width=float(smallest * (largest / smallest) ** rng.random()),
        periods=(float(rng.uniform(70, 130)), float(rng.uniform(90, 170)), float(rng.uniform(120, 220))),
        phases=(float(rng.random()), float(rng.random()), float(rng.random())),
        first_label=label,
        label_step=int(rng.integers(1, len(LABELS))),
        label_frames=int(rng.integers(80, 121)),
        label_offset=int(rng.integers(0, 40)),
        blink_frames=int(rng.integers(28, 50)),
    )
