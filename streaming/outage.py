"""Waiting until the bus, or the server that runs the model, is back."""

import logging
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from vigie.errors import BusUnavailable, Unavailable

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0

_Value = TypeVar("_Value")


class Stopped(Exception):
    """We were asked to end while it was away."""


def outlast(action: Callable[[], _Value], *, stop: Event, what: str) -> _Value:
    """Do `action` again until it succeeds, with growing pauses, while the bus or the model server is away.

    Raises:
        Stopped: `stop` was set before it succeeded.
    """
    pause_s = FIRST_PAUSE_S
    away = ""
    while True:
        try:
            value = action()
        except (BusUnavailable, Unavailable) as error:
            away = "bus" if isinstance(error, BusUnavailable) else "model server"
            logger.warning("%s waits for the %s, next try in %.1f s: %s", what, away, pause_s, error)
        else:
            if away:
                logger.info("%s goes on: the %s is back", what, away)
            return value
        if stop.wait(pause_s):
            raise Stopped
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
