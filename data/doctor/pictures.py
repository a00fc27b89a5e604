"""Pictures: can they be decoded, are they of the size that the boxes were drawn on, is anything marked on them?"""

from vigie.data.doctor.findings import Finding, finding
from vigie.data.doctor.reading import DataSet, Pair


def check_pictures(data: DataSet) -> list[Finding]:
    findings = [
        finding(picture.problem.code, picture.name, picture.problem.found)
        for picture in data.pictures
        if picture.problem is not None
    ]
    findings += [found for pair in data.pairs if (found := _size(pair)) is not None]
    annotated = {name for pair in data.pairs for name in pair.candidates}
    findings += [
        finding("picture-unannotated", picture.name, "no label file stands for it")
        for picture in data.pictures
        if picture.name not in annotated
    ]
    return findings


def _size(pair: Pair) -> Finding | None:
    if pair.picture is None or pair.picture.size is None or pair.labels.size in (None, pair.picture.size):
        return None
    width, height = pair.picture.size
    claimed = pair.labels.size or (0, 0)
    found = (
        f"the label file says {claimed[0]}x{claimed[1]}, the picture {pair.picture.name} has {width}x{height} pixels"
    )
    if pair.picture.turned:
        found += " once its EXIF orientation is applied"
    return finding("size-before-turning" if pair.picture.lies_at(claimed) else "size-differs", pair.labels.name, found)
