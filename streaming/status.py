"""What the live side is doing, and how far behind it is."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from vigie.errors import VigieError
from vigie.ports import Bus
from vigie.streaming import supervise
from vigie.streaming.messages import Topics
from vigie.streaming.supervise import Process


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """`records` counts what each topic ever got; `behind` is how many frames wait for the workers.

    The numbers are None, and `trouble` says why, where the bus does not answer.
    """

    processes: tuple[Process, ...]
    page: str | None
    facts: dict[str, str]
    records: dict[str, int] | None
    behind: int | None
    dead_letters: int | None
    trouble: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def table(self) -> str:
        lines = [
            f"{one.name:<12} {one.state:<10} {_uptime(one.uptime_s) if one.pid else '':>9}  {one.detail}".rstrip()
            for one in self.processes
        ] or ["nothing runs; start it with `vigie stream up`"]
        lines += [f"{name:<12} {value}" for name, value in {"page": self.page, **self.facts}.items() if value]
        lines += [f"{topic:<18} {count:>9} records" for topic, count in (self.records or {}).items()]
        if self.behind is not None:
            lines.append(f"the workers are {self.behind} frames behind; {self.dead_letters} dead letters")
        if self.trouble:
            lines.append(f"the bus does not answer: {self.trouble}")
        return "\n".join(lines)


def status(folder: Path, topics: Topics, open_bus: Callable[[str | None], Bus]) -> StreamStatus:
    """`open_bus` gets the name of the bus that the stream in `folder` uses, None where none was ever started."""
    facts = supervise.facts(folder)
    processes = tuple(supervise.processes(folder))
    page = supervise.page_address(folder)
    try:
        bus = open_bus(facts.get("bus"))
        try:
            records = {topic: sum(bus.end_offsets(topic).values()) for topic in topics.all}
            behind = bus.lag(topics.frames, topics.workers)
        finally:
            bus.close()
    except VigieError as error:
        return StreamStatus(processes, page, facts, None, None, None, trouble=str(error))
    return StreamStatus(processes, page, facts, records, behind, records[topics.dead_letters])


def _uptime(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
