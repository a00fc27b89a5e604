"""What quantisation-aware training ends with: a model that tells the converter its ranges."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from vigie.export.quantisation.simulated import BOXES, CLASSES, SimulatedNetwork

Join: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
"""Takes logits and box codes by level; returns raw boxes B x N x 4 and scores B x N x C by name."""


class RoundedModel:
    """A `vigie.export.files.raw_model.RawModel` that computes as the int8 file does.

    The network's kernels are rounded here and now, and the `ranges` [places, 2] are fixed: the converter finds both as
    they were learnt, and has nothing to calibrate.
    """

    def __init__(self, simulated: SimulatedNetwork, ranges: Any, join: Join) -> None:
        self._simulated = simulated
        self._ranges = [(float(lowest), float(highest)) for lowest, highest in np.asarray(ranges)]
        self._join = join
        simulated.round_kernels()

    @property
    def variables(self) -> Sequence[Any]:
        return self._simulated.variables

    def __call__(self, pictures: Any, *, training: bool = False) -> dict[str, Any]:  # noqa: ARG002 - it learns no more
        """Normalised pictures, B x height x width x 3 float32."""
        found = self._simulated(pictures, self._rounded, round_weights=False)
        return self._join(found[CLASSES], found[BOXES])

    def _rounded(self, place: int, values: Any) -> Any:
        # Constants, not variables: the converter knows no others.
        return tf.quantization.fake_quant_with_min_max_args(values, *self._ranges[place])
