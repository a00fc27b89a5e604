"""Label files: can they be read, and which picture do they belong to?"""

from collections import defaultdict

from vigie.data.doctor.findings import Finding, finding
from vigie.data.doctor.reading import DataSet, Pair


def check_annotations(data: DataSet) -> list[Finding]:
    findings = [finding(problem.code, file, problem.found, number=problem.number) for file, problem in data.problems]
    findings += [
        finding(problem.code, pair.labels.name, problem.found, number=problem.number)
        for pair in data.pairs
        for problem in pair.labels.problems
    ]
    findings += [found for pair in data.pairs if (found := _without_picture(pair)) is not None]
    return findings + _shared(data)


def _without_picture(pair: Pair) -> Finding | None:
    if pair.picture is not None:
        return None
    named = f"it names {pair.labels.filename!r:.120}" if pair.labels.filename else "it names no picture"
    if pair.candidates:
        several = f"{named}, and several fit: {', '.join(pair.candidates)}"
        return finding("picture-ambiguous", pair.labels.name, several)
    return finding("picture-missing", pair.labels.name, f"{named}, and there is neither that nor one of its stem")


def _shared(data: DataSet) -> list[Finding]:
    owners: dict[str, list[str]] = defaultdict(list)
    for pair in data.pairs:
        if pair.picture is not None:
            owners[pair.picture.name].append(pair.labels.name)
    return [
        finding("picture-shared", name, f"its picture {picture} belongs to {names[0]} too", other=names[0])
        for picture, names in owners.items()
        for name in names[1:]
    ]
