"""What a model card is made of."""

from dataclasses import dataclass

from vigie.bundle import ModelFacts
from vigie.data.manifest import Manifest
from vigie.export.gate.results import Gate
from vigie.training.evaluating.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card is made of. `evaluation` is that of the default file on the test part."""

    name: str
    model: ModelFacts
    gate: Gate
    evaluation: Evaluation
    data: Manifest
    source: str
    data_licence: str
    weights_licence: str
    started_from: str
