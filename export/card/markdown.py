"""Words, numbers and tables as Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def triple(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def text(words: str) -> str:
    """Nothing in it is Markdown's, or ends a table's cell."""
    for sign in "\\|*`<>[]":
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())
