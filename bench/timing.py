"""Two sides in one run: they take turns, so that what else the machine does hits both."""

import statistics
import time
from collections.abc import Callable, Mapping


def alternated(sides: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each side over the rounds, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, run in sides.items():
            begin = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def table(title: str, seconds: Mapping[str, float], items: int, unit: str, base: str) -> str:
    """A line a side: items a second, milliseconds an item, time relative to `base`."""
    lines = [title]
    for name, taken in seconds.items():
        lines.append(
            f"  {name:<28}{items / taken:9.1f} {unit}/s {1000 * taken / items:8.2f} ms  {taken / seconds[base]:.2f} x"
        )
    return "\n".join(lines)
