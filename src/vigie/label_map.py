"""Label maps of the TF Object Detection API: `label_map.pbtxt`, in protobuf's text format."""

from pathlib import Path

from vigie.errors import BadSetting
from vigie.protobuf_text.sections import Section
from vigie.protobuf_text.text import read_text

_KNOWLEDGE_GRAPH = "/m/"


def labels_by_id(path: Path, *, display: bool = False) -> dict[int, str]:
    """Names by id; `display` takes the display names where there are such.

    Raises:
        BadSetting: the file cannot be read, an item lacks its id or name, or an id stands there twice.
    """
    labels: dict[int, str] = {}
    for item in Section(read_text(path), "", str(path)).sections("item"):
        identity, name, shown = item.whole("id", -1), item.text("name"), item.text("display_name")
        # Names of the knowledge graph, such as /m/01g317, are in no record; those beside them are.
        readable = shown.value if shown.value and (display or name.value.startswith(_KNOWLEDGE_GRAPH)) else name.value
        label = readable or shown.value
        if identity.value < 0 or not label or identity.value in labels:
            raise BadSetting(f"{path}: line {item.line}: an item needs an id of its own and a name")
        labels[identity.value] = label
    return labels
