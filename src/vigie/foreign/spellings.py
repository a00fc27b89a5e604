"""Names that go by two spellings: COCO's own, and Pascal VOC's, which other sets and Darknet took over."""

from collections.abc import Collection

_COCO_AND_VOC = (
    ("airplane", "aeroplane"),
    ("couch", "sofa"),
    ("dining table", "diningtable"),
    ("motorcycle", "motorbike"),
    ("potted plant", "pottedplant"),
    ("tv", "tvmonitor"),
)
_OTHER = {one: other for pair in _COCO_AND_VOC for one, other in (pair, pair[::-1])}


def spelled_as(label: str, labels: Collection[str]) -> str:
    """The label as it stands in `labels`, where it stands there in its other spelling alone."""
    other = _OTHER.get(label, label)
    return other if label not in labels and other in labels else label
