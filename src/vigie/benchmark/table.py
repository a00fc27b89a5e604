"""A benchmark as a person reads it, as a machine does, and as what is saved of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from vigie.arrangement import Entry, Latency, Throughput, input_text
from vigie.benchmark.candidates import PRECISIONS
from vigie.benchmark.choosing import Rate, Winner
from vigie.benchmark.measuring import Benchmark


def as_text(found: Benchmark) -> str:
    told = "" if found.bundle is None else f", {input_text(found.bundle)}"
    lines = [
        f"{found.name}{told} on {found.machine}: {found.pictures}, encoded picture to detections",
        "",
        *_table(_timing_rows(found)),
        "milliseconds a picture, one after the other: median (95 % are under)",
        "* is the fastest of its precision; of files of one runtime within 3 %, which is chance, the first one",
        "",
        *_table(_rate_rows(found)),
        "pictures a second, processes x threads of each",
        "",
    ]
    if found.failed:
        lines += ["not measured:", *(f"  {name}: {reason}" for name, reason in found.failed.items()), ""]
    chosen = found.chosen
    best = chosen.rates[0]
    lines += [
        f"chosen: {chosen.candidate.name}: {found.reason}",
        f"  throughput: {best.processes} x {best.threads} threads, {best.frames_per_s:.1f} pictures a second",
        f"  latency: {_threads(chosen.latency.threads)}, {chosen.latency.median_ms:.2f} ms",
    ]
    others = [one for one in PRECISIONS if one in found.winners and found.winners[one] is not chosen]
    if others:
        lines.append(f"  other precisions: {', '.join(f'--precision {one}' for one in others)}")
    return "\n".join(lines)


def as_json(found: Benchmark) -> dict[str, Any]:
    return {
        "model": found.name,
        "machine": found.machine.model_dump(),
        "pictures": found.pictures,
        "timings": [
            {**_facts(one.candidate), "threads": one.threads, "median_ms": one.median_ms, "p95_ms": one.p95_ms,
             "pictures": len(one.milliseconds)}
            for one in found.timings
        ],
        "rates": [_rate(one) for one in found.rates],
        "not_measured": found.failed,
        "fastest": {precision: found.winners[precision].candidate.name for precision in found.winners},
        "chosen": entry_of(found, datetime.now(UTC)).model_dump(mode="json"),
        "reason": found.reason,
    }  # fmt: skip


def entry_of(found: Benchmark, at: datetime) -> Entry:
    """What is saved of it."""
    chosen, facts = found.chosen, None if found.bundle is None else found.bundle.manifest
    return Entry(
        measured_at=at,
        version=None if facts is None else facts.version,
        input=None if found.bundle is None else input_text(found.bundle),
        training_key=None if facts is None else facts.training_key,
        file=chosen.candidate.file,
        runtime=chosen.candidate.runtime,
        precision=chosen.candidate.precision,
        options=dict(chosen.candidate.options),
        latency=Latency(threads=chosen.latency.threads, milliseconds=round(chosen.latency.median_ms, 3)),
        throughput=tuple(
            Throughput(processes=one.processes, threads=one.threads, frames_per_s=round(one.frames_per_s, 2))
            for one in chosen.rates
        ),
    )


def _timing_rows(found: Benchmark) -> list[list[str]]:
    threads = sorted({one.threads for one in found.timings})
    rows = [["", "file", "runtime", "precision", *map(_threads, threads)]]
    for name in dict.fromkeys(one.candidate.name for one in found.timings):
        own = {one.threads: one for one in found.timings if one.candidate.name == name}
        candidate = next(iter(own.values())).candidate
        cells = [f"{own[at].median_ms:.2f} ({own[at].p95_ms:.2f})" if at in own else "" for at in threads]
        note = "" if candidate.deployable else " (never chosen: for phones)"
        told = [candidate.file or found.name, candidate.runtime, candidate.precision + note]
        rows.append([_mark(found, name), *told, *cells])
    return rows


def _rate_rows(found: Benchmark) -> list[list[str]]:
    ways = list(dict.fromkeys((one.processes, one.threads) for one in found.rates))
    rows = [["", "file", "runtime", "precision", *(f"{processes} x {threads}" for processes, threads in ways)]]
    for name in dict.fromkeys(one.candidate.name for one in found.rates):
        own: dict[tuple[int, int], Rate] = {
            (one.processes, one.threads): one for one in found.rates if one.candidate.name == name
        }
        candidate = next(iter(own.values())).candidate
        cells = [f"{own[way].frames_per_s:.1f}" if way in own else "" for way in ways]
        rows.append([_mark(found, name), candidate.file or found.name, candidate.runtime, candidate.precision, *cells])
    return rows


def _mark(found: Benchmark, name: str) -> str:
    best: list[Winner] = list(found.winners.values())
    return "*" if any(one.candidate.name == name for one in best) else ""


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _facts(candidate: Any) -> dict[str, Any]:
    return {"file": candidate.file, "runtime": candidate.runtime, "precision": candidate.precision,
            "options": dict(candidate.options)}  # fmt: skip


def _rate(rate: Rate) -> dict[str, Any]:
    return {**_facts(rate.candidate), "processes": rate.processes, "threads": rate.threads,
            "frames_per_s": rate.frames_per_s}  # fmt: skip
