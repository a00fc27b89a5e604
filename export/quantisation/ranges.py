"""A simulated network whose ranges are learnt: those of its results follow what the training pictures show."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from vigie.export.quantisation.simulated import SimulatedNetwork

_FOLLOWED = 0.01
"""How much of a batch's extremes goes into a range."""


class RangedNetwork(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Is called as the network in training is. `ranges` [places, 2] are the lowest and highest values, around 0.

    As in Jacob et al. 2018, section 3.1, they are moving averages of the extremes of batches.
    """

    def __init__(self, simulated: SimulatedNetwork, lowest_pixel: float, highest_pixel: float) -> None:
        super().__init__(name="ranged")
        self._simulated = simulated
        self._pixels = tf.constant([lowest_pixel, highest_pixel], tf.float32)
        self.ranges = tf.Variable(tf.zeros((simulated.places, 2)), trainable=False, name="ranges")

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]  # hundreds of operations, no loop
    def __call__(self, pictures: Any, training: bool = False) -> dict[str, dict[str, Any]]:
        """While training the ranges follow the batch; it is rounded with those before it."""
        seen = _Extremes(self._simulated.places)
        lowest, highest = (tf.unstack(column) for column in tf.unstack(self.ranges, axis=1))

        def rounding(place: int, values: Any) -> Any:
            if training:
                seen.see(place, values)
            return tf.quantization.fake_quant_with_min_max_vars(values, lowest[place], highest[place])

        outputs = self._simulated(pictures, rounding)
        if training:
            self.ranges.assign_add(_FOLLOWED * (self._around_zero(seen) - self.ranges))
        return outputs

    def calibrate(self, batches: Iterable[Any]) -> None:
        """Start with the means of what batches of pictures show without any rounding."""
        found = [self._observed(pictures) for pictures in batches]
        self.ranges.assign(tf.reduce_mean(tf.stack(found), axis=0))

    @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
    def _observed(self, pictures: Any) -> Any:
        seen = _Extremes(self._simulated.places)

        def watching(place: int, values: Any) -> Any:
            seen.see(place, values)
            return values

        self._simulated(pictures, watching, round_weights=False)
        return self._around_zero(seen)

    def _around_zero(self, seen: "_Extremes") -> Any:
        """Zero has to be one of the steps, for what lies beside a picture is zero. Of pixels the range is known."""
        extremes = seen.found()
        lowest, highest = tf.minimum(extremes[:, :1], 0.0), tf.maximum(extremes[:, 1:], 0.0)
        return tf.concat([self._pixels[None], tf.concat([lowest, highest], axis=1)[1:]], axis=0)


class _Extremes:
    """Of each place in one run of the network; a place can come several times."""

    def __init__(self, places: int) -> None:
        self._lowest: list[list[Any]] = [[] for _ in range(places)]
        self._highest: list[list[Any]] = [[] for _ in range(places)]

    def see(self, place: int, values: Any) -> None:
        self._lowest[place].append(tf.reduce_min(values))
        self._highest[place].append(tf.reduce_max(values))

    def found(self) -> Any:
        """[places, 2]"""
        lowest = [tf.reduce_min(tf.stack(values)) for values in self._lowest]
        highest = [tf.reduce_max(tf.stack(values)) for values in self._highest]
        return tf.stop_gradient(tf.stack([tf.stack(lowest), tf.stack(highest)], axis=1))
