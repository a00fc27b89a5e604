"""What `runtimes.py` measured, in tables; each returns what is not as it should be."""

from collections.abc import Sequence
from statistics import mean, median

from references import reference_ms
from runtimes_turns import ROUNDS, Measured

from vigie.benchmark.measuring import Benchmark
from vigie.bundle import Bundle

OVERHEAD, OWN_BENCHMARK, DECODING_MS = 1.08, 0.10, 0.5
OWN_TURNS = 2
ALIKE = 0.03
"""Two sides that differ by less are alike: of the one that was chosen nothing more can be asked."""


def paired(these: Sequence[float], those: Sequence[float]) -> float:
    """How many times as long, turn by turn: each with that beside it, for a machine is not always as quick."""
    return median(one / other for one, other in zip(these, those, strict=True))


def judge_frames(sides: Sequence[Measured], threads: int) -> list[str]:
    print(f"\nwhole frame, {threads} threads: milliseconds, median of {ROUNDS} turns")
    print(f"  {'':<18}{'precision':<11}{'bare loop':>10}{'vigie':>9}{'ratio':>8}   objects found")
    missed: list[str] = []
    for one in sides:
        bare = one.frame_ms("bare")
        line = f"  {one.name:<18}{one.precision:<11}{bare:10.2f}"
        if one.vigie is not None:
            ratio = paired(one.frame["vigie"], one.frame["bare"])
            line += f"{one.frame_ms('vigie'):9.2f}{ratio:8.3f}"
            if ratio > OVERHEAD:
                missed.append(
                    f"{one.name} ({one.precision}), {threads} threads: our detector costs {ratio - 1:.1%} more"
                )
        else:
            line += f"{'':17}"
        print(f"{line}   {', '.join(map(str, one.found.values()))}")
    for precision in {one.precision for one in sides}:
        found = [count for one in sides if one.precision == precision for count in one.found.values()]
        if max(found) - min(found) > 0.01 * max(found):
            missed.append(f"{precision}: not the same objects were found: {found}")
    return missed


def judge_alone(bundle: Bundle, sides: Sequence[Measured], threads: int) -> list[str]:
    """In turns with each runtime's own benchmark; of each the best turn, for what else the machine does only adds."""
    print(f"\nthe model alone, {threads} threads: milliseconds")
    print(f"  {'':<18}{'precision':<11}{'bare loop':>10}{'its own benchmark':>20}{'ratio':>8}")
    missed: list[str] = []
    for one in sides:
        alone: list[float] = []
        own: list[float] = []
        for number in range(2 * OWN_TURNS + 1):
            if number % 2 == 0:
                one.infer, one.own = [], []
                one.turn("bare")
                # The benchmark of ONNX Runtime tells the mean.
                alone.append(mean(one.infer) if one.runtime == "onnxruntime" else median(one.infer))
                own += [median(one.own)] if one.own else []
            elif one.runtime != "opencv":
                own.append(reference_ms(bundle.folder, one.runtime, one.file, one.option, threads))
        ratio = min(alone) / min(own)
        print(f"  {one.name:<18}{one.precision:<11}{min(alone):10.2f}{min(own):20.2f}{ratio:8.3f}")
        if ratio > 1 + OWN_BENCHMARK:
            missed.append(f"{one.name} ({one.precision}), {threads} threads: {ratio - 1:.1%} over its own benchmark")
    return missed


def judge_decoding(sides: Sequence[Measured]) -> list[str]:
    told = [turn for one in sides if one.runtime == "tflite" and one.precision == "f32" for turn in one.decoding]
    if not told:
        return []
    deployed, evaluation = (median(turn[f"{name}_ms"] for turn in told) for name in ("deployed", "evaluation"))
    print(
        f"\nboxes and suppression at the deployed thresholds: {deployed:.3f} ms (under {DECODING_MS}); "
        f"at .01: {evaluation:.3f} ms"
    )
    return [] if deployed < DECODING_MS else [f"boxes and suppression take {deployed:.3f} ms"]


def judge_choice(found: Benchmark, sides: Sequence[Measured], threads: int) -> list[str]:
    """Of each precision what `vigie benchmark` would choose beside every other runtime, bare or ours."""
    print(f"\nwhat `vigie benchmark` chooses beside the fastest of the others, {threads} threads")
    missed: list[str] = []
    for precision, winner in found.winners.items():
        own = winner.candidate
        key = own.runtime, own.options.get("precision", "")
        chosen = next((one for one in sides if (one.runtime, one.option, one.precision) == (*key, precision)), None)
        others = {
            f"{one.name}, {kind}": times
            for one in sides
            if one.precision == precision and one is not chosen
            for kind, times in one.frame.items()
            if times
        }
        if chosen is None:
            continue
        ours = chosen.frame["vigie"]
        best = max(others, key=lambda name: paired(ours, others[name]), default=None)
        ratio = 0.0 if best is None else paired(ours, others[best])
        beside = "no other" if best is None else f"{best} {median(others[best]):.2f} ms, ratio {ratio:.3f}"
        print(f"  {precision:<9}{own.name:<36}{median(ours):8.2f} ms   {beside}")
        if ratio > 1 + ALIKE:
            missed.append(f"{precision}, {threads} threads: {own.name} takes {ratio:.3f} times as long as {best}")
    return missed
