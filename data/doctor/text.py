"""A report to read in a terminal."""

from itertools import groupby

from vigie.data.doctor.findings import WHOLE_SET, Finding, Report, counted

_SHOWN = 5


def as_text(report: Report, *, shown: int = _SHOWN) -> str:
    """Counts, then each code with its effect and repair and the first `shown` places, the worst first."""
    lines = [
        f"{report.pictures} pictures, {report.annotations} annotated, {report.objects} objects: "
        f"{report.errors} errors, {report.warnings} warnings"
    ]
    for code, group in groupby(report.findings, key=lambda found: found.code):
        found = list(group)
        lines += ["", f"{found[0].severity:7}  {code}  {len(found)}", f"  effect: {found[0].effect}"]
        lines += [f"  repair: {found[0].repair}"]
        lines += [f"  {_place(one)}: {one.found}" for one in found[:shown]]
        if len(found) > shown:
            lines.append(f"  and {len(found) - shown} more, see --json")
    return "\n".join(lines)


def _place(found: Finding) -> str:
    place = "the set" if found.file == WHOLE_SET else found.file
    return place if found.object is None else f"{place} {counted(found.file)} {found.object}"
