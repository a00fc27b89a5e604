"""An experiment as YAML whose comments say where its numbers come from."""

from collections.abc import Iterable, Iterator, Mapping

import yaml

from vigie.experiment import Experiment

_WIDE = 10**6  # PyYAML folds longer lines, and a comment after a folded line would be in its middle


def annotated_yaml(experiment: Experiment, head: Iterable[str], comments: Mapping[str, str]) -> str:
    """`comments` are of settings by their dotted names; `head` are lines above all. Only what was set is written."""
    values = experiment.model_dump(mode="json", exclude_unset=True)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=_WIDE)
    lines = text.splitlines()
    for setting, line in _lines_of(yaml.compose(text, Loader=yaml.SafeLoader)):
        if setting in comments:
            lines[line] += f"  # {_printable(comments[setting])}"
    return "".join(f"{line}\n" for line in [*(f"# {_printable(line)}".rstrip() for line in head), *lines])


def _lines_of(node: yaml.Node | None, path: str = "") -> Iterator[tuple[str, int]]:
    """Each setting with the line that a comment may follow."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        setting = f"{path}.{key.value}" if path else key.value
        if isinstance(value, yaml.CollectionNode) or value.start_mark.line == value.end_mark.line:
            yield setting, key.start_mark.line
        yield from _lines_of(value, setting)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
