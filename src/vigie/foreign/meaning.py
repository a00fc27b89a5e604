"""Which output of a detector is what: by its shape, its values on trial pictures and its name, never by its place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vigie.errors import BadBundle
from vigie.foreign.sidecar import OutputSection

Values = npt.NDArray[np.float32]
TRIALS = 4

_SCORES = re.compile("score|conf|prob", re.IGNORECASE)
_CLASSES = re.compile("class|categ|label", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Output:
    """An output tensor; `names` are all that the file has for it, the first of them for people. Batch first."""

    names: tuple[str, ...]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.names[0]} {'x'.join(map(str, self.shape)) or 'scalar'}"

    @property
    def is_boxes(self) -> bool:
        return len(self.shape) == 3 and self.shape[2] == 4

    @property
    def is_count(self) -> bool:
        return len(self.shape) < 2 and int(np.prod(self.shape)) == 1


@dataclass(frozen=True, slots=True)
class Decoded:
    """Places of the outputs of a model that gives boxes: boxes B x N x 4, classes and scores B x N, their number B."""

    boxes: int
    classes: int
    scores: int
    count: int | None


@dataclass(frozen=True, slots=True)
class Raw:
    """Places of raw heads: offsets B x N x 4, scores B x N x C; and of the anchors, where the model gives them."""

    boxes: int
    scores: int
    anchors: int | None


def trial_pictures(width: int, height: int) -> npt.NDArray[np.uint8]:
    """TRIALS x height x width x 3: enough going on that a detector's outputs differ."""
    random = np.random.default_rng(6)
    grid = random.integers(0, 256, (TRIALS, 9, 9, 3), np.uint8)
    rows, columns = np.arange(height) * 9 // height, np.arange(width) * 9 // width
    return np.asarray(grid[:, rows][:, :, columns], np.uint8)


def meaning_of(
    outputs: Sequence[Output], trials: Sequence[Values], named: OutputSection, known: Mapping[str, int], where: str
) -> Decoded | Raw:
    """`trials` has what each output gave on `trial_pictures`; `known` places by the words of `OutputSection`.

    Raises:
        BadBundle: the outputs are none of a detector's, or may be read in several ways.
    """
    places = {**known, **_named(outputs, named, where)}
    scores = places.get("scores")
    if scores is not None and len(outputs[scores].shape) == 3:
        return _raw(outputs, trials, places, where)
    if _boxes_alone(outputs) and any(len(one.shape) == 2 for one in outputs):
        return _decoded(outputs, trials, places, where)
    return _raw(outputs, trials, places, where)


def _named(outputs: Sequence[Output], named: OutputSection, where: str) -> dict[str, int]:
    places = {}
    for word, name in named.model_dump(exclude_none=True).items():
        found = [place for place, output in enumerate(outputs) if name in output.names]
        if len(found) != 1:
            raise BadBundle(f"{where}: its sidecar names the output {name}, and it has {_listed(outputs)}")
        places[word] = found[0]
    return places


def _boxes_alone(outputs: Sequence[Output]) -> bool:
    return sum(output.is_boxes for output in outputs) == 1


def _decoded(outputs: Sequence[Output], trials: Sequence[Values], places: Mapping[str, int], where: str) -> Decoded:
    boxes = places.get("boxes", next(place for place, output in enumerate(outputs) if output.is_boxes))
    number = outputs[boxes].shape[1]
    if "classes" in places and "scores" in places:
        classes, scores = places["classes"], places["scores"]
    else:
        classes, scores = _classes_and_scores(outputs, trials, places, number, where)
    counts = [place for place, output in enumerate(outputs) if output.is_count and place not in (classes, scores)]
    return Decoded(boxes, classes, scores, places.get("count", counts[0] if len(counts) == 1 else None))


def _classes_and_scores(
    outputs: Sequence[Output], trials: Sequence[Values], places: Mapping[str, int], number: int, where: str
) -> tuple[int, int]:
    rows = [place for place, output in enumerate(outputs) if output.shape[1:] == (number,)]
    pairs = [
        (classes, scores)
        for classes in rows
        for scores in rows
        if classes != scores
        and places.get("classes", classes) == classes
        and places.get("scores", scores) == scores
        and _could_be_classes(trials[classes])
        and _could_be_scores(trials[scores])
    ]
    if len(pairs) > 1:  # the values allow both: the names decide
        pairs = [pair for pair in pairs if _fits(outputs[pair[0]], _CLASSES) and _fits(outputs[pair[1]], _SCORES)]
    if len(pairs) != 1:
        raise BadBundle(
            f"{where}: which of its outputs are classes and which scores cannot be told; it has {_listed(outputs)}; "
            "name them under `outputs` in its sidecar"
        )
    return pairs[0]


def _could_be_classes(values: Values) -> bool:
    return bool(np.isfinite(values).all() and (values == np.round(values)).all() and (values >= -1).all())


def _could_be_scores(values: Values) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _fits(output: Output, words: re.Pattern[str]) -> bool:
    return any(words.search(name) for name in output.names)


def _raw(outputs: Sequence[Output], trials: Sequence[Values], places: Mapping[str, int], where: str) -> Raw:
    squares = [place for place, output in enumerate(outputs) if output.is_boxes]
    constant = [place for place in squares if all(np.array_equal(trials[place][0], one) for one in trials[place])]
    anchors = places.get("anchors", constant[0] if len(constant) == 1 and len(squares) > 1 else None)
    boxes = [places["boxes"]] if "boxes" in places else [place for place in squares if place != anchors]
    if len(boxes) == 1 and "scores" not in places:
        number = outputs[boxes[0]].shape[1]
        scores = [
            place
            for place, output in enumerate(outputs)
            if len(output.shape) == 3 and output.shape[1] == number and place not in (boxes[0], anchors)
        ]
    else:
        scores = [places["scores"]] if "scores" in places else []
    if len(boxes) != 1 or len(scores) != 1:
        raise BadBundle(
            f"{where}: its outputs are those of no detector; it has {_listed(outputs)}; expected are boxes, "
            "classes, scores and their number, or raw boxes and scores; name them under `outputs` in its sidecar"
        )
    return Raw(boxes[0], scores[0], anchors)


def _listed(outputs: Sequence[Output]) -> str:
    return ", ".join(map(str, outputs)) or "none"
