"""A process that deals pictures to parts: scikit-learn takes a second to load, in which the pictures are looked at."""

# ruff: noqa: PLC0415

import sys
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import NamedTuple, Self

from vigie.data import split
from vigie.data.parts import Part
from vigie.data.split import Deck
from vigie.data.workers import Workers
from vigie.errors import Unavailable

_LOADED = "sklearn.model_selection"


class _Asked(NamedTuple):
    """The arguments of `vigie.data.split.draw`."""

    deck: Deck
    shares: Mapping[Part, float]
    seed: int
    kept: Mapping[int, Part] | None


class Dealer:
    """`draw` is `vigie.data.split.draw`; between `start` and it there is time for other things.

    Where scikit-learn was loaded before, as in a notebook's second run, no process is started.
    """

    def __init__(self) -> None:
        self._process = Workers(1)
        self._loading: Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)
        if self._loading is not None:
            self._loading.join()

    def start(self) -> None:
        if _LOADED in sys.modules:
            return
        self._process.start()
        self._loading = Thread(target=self._load)
        self._loading.start()

    def draw(
        self, deck: Deck, shares: Mapping[Part, float], *, seed: int, kept: Mapping[int, Part] | None = None
    ) -> list[Part]:
        if self._loading is None:
            return split.draw(deck, shares, seed=seed, kept=kept)
        self._loading.join()
        (parts,) = self._process.in_order(_deal, [_Asked(deck, shares, seed, kept)])
        return parts

    def _load(self) -> None:
        with suppress(Unavailable):  # it was ended before it was needed; who needs it is told
            list(self._process.in_order(_deal, [None]))


def _deal(asked: _Asked | None) -> list[Part]:
    """Without anything to deal it only loads what it takes."""
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]  # scikit-learn loads it for .3 s where it finds it
    import vigie.data.folds  # noqa: F401

    return [] if asked is None else split.draw(asked.deck, asked.shares, seed=asked.seed, kept=asked.kept)
