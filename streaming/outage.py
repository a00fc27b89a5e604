"""Waiting until the bus is back."""

import logging
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from vigie.errors import BusUnavailable

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0

_Value = TypeVar("_Value")


class Stopped(Exception):
    """We were asked to end while the bus was away."""


def outlast(action: Callable[[], _Value], *, stop: Event, what: str) -> _Value:
    """Do `action` again until the bus takes it, with growing pauses.

    Raises:
        Stopped: `stop` was set before it succeeded.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            value = action()
        except BusUnavailable as error:
            logger.warning("%s waits for the bus, next try in %.1f s: %s", what, pause_s, error)
        else:
            if pause_s > FIRST_PAUSE_S:
                logger.info("%s goes on: the bus is back", what)
            return value
        if stop.wait(pause_s):
            raise Stopped
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
