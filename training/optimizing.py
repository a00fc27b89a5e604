"""What one step does with the gradients: clipping, the rate of each part, its curve, weight decay, averaged weights."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from official.modeling.optimization import lr_schedule

from vigie.experiment import NetworkPart, Schedule

WARMUP_START = 0.1
"""Where the warm-up begins, of the peak."""

_MOMENTUM = 0.9
_DECAYED = ("kernel", "pointwise_kernel")
_ATTRIBUTES: dict[NetworkPart, str] = {"backbone": "backbone", "fpn": "decoder", "head": "head"}


def network_parts(network: tf_keras.Model) -> dict[NetworkPart, tf_keras.Model]:
    """The parts of Model Garden's RetinaNet under the names that an experiment gives them."""
    return {part: getattr(network, attribute) for part, attribute in _ATTRIBUTES.items()}


class Optimizer(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Adam or SGD over a network's variables, with everything that a step needs to go on exactly.

    Make it under the scope of the distribution strategy and after the initial weights are in the network, since the
    averages start from what they find there. `apply` is called in replica context; gradients are summed over the
    replicas, so each replica's loss is divided by their number before.

    Frozen parts are made untrainable, which in Keras also keeps their batch norm at its moving statistics.
    """

    def __init__(self, network: tf_keras.Model, schedule: Schedule) -> None:
        super().__init__(name="optimizer")
        self._strategy = tf.distribute.get_strategy()
        parts = network_parts(network)
        for part in schedule.frozen:
            parts[part].trainable = False
        learning = [layers for part, layers in _seen(network).items() if part not in schedule.frozen]
        rates = {
            variable.ref(): schedule.rates.get(name, 1.0)
            for name, part in parts.items()
            for variable in part.trainable_variables
        }
        self.rate_factor = tf.Variable(1.0, trainable=False, name="rate_factor")
        self._curve = _curve(schedule)
        # Adam's slots are only saved with a variable that is saved, and all of these are in the network.
        self._network = network
        learnt = [variable for layer in learning for variable in layer.trainable_variables]
        self._learning = self._no_dependency(learnt)
        self._optimizer = _optimizer(schedule, lambda: self.learning_rate)
        self._optimizer.set_up(learnt, [rates[variable.ref()] for variable in learnt], schedule.weight_decay)
        if network.compute_dtype == "float16":
            self._optimizer = tf_keras.mixed_precision.LossScaleOptimizer(self._optimizer)
        self._ema_decay = schedule.ema_decay
        averaged = learnt + _statistics(learning) if schedule.ema_decay else []
        self._averaged = self._no_dependency(averaged)
        self._averages = [_copy(variable, self._strategy) for variable in averaged]

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """What learns, in the order in which `apply` takes gradients: without frozen parts and unused layers."""
        return tuple(self._learning)

    @property
    def step(self) -> tf.Variable:
        """Steps made, int64; those that were skipped because float16 overflowed count too."""
        return self._optimizer.iterations

    @property
    def learning_rate(self) -> tf.Tensor:
        """Of the next step, before the factor of a part."""
        return self._curve(self.step) * self.rate_factor

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to differentiate: under float16 multiplied so that small gradients do not vanish."""
        if isinstance(self._optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
            return self._optimizer.get_scaled_loss(loss)
        return loss

    def apply(self, gradients: Sequence[tf.Tensor | None]) -> None:
        """One step. `gradients` are those of `scaled(loss)` for `variables`; None leaves a variable as it is.

        Under float16 a step with a gradient that is no finite number changes no weight, and the scale is halved.
        """
        if isinstance(self._optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
            gradients = self._optimizer.get_unscaled_gradients(gradients)
        pairs = zip(gradients, self._learning, strict=True)
        self._optimizer.apply_gradients([(gradient, variable) for gradient, variable in pairs if gradient is not None])
        self._average()

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The network holds the averaged weights inside, and its own again after, whatever happens. Eager only."""
        local = self._strategy.experimental_local_results
        pairs = [
            pair
            for variable, average in zip(self._averaged, self._averages, strict=True)
            for pair in zip(local(variable), local(average), strict=True)
        ]
        own = [tf.identity(variable) for variable, _ in pairs]
        try:
            for variable, average in pairs:
                variable.assign(average)
            yield
        finally:
            for (variable, _), value in zip(pairs, own, strict=True):
                variable.assign(value)

    def _average(self) -> None:
        """Averages of the weights, and of batch norm's moving statistics: those are of the weights as they were.

        As in the training of EfficientNet (Tan and Le 2019, arXiv:1905.11946).
        """
        if not self._averages:
            return
        step = tf.cast(self.step, tf.float32)
        # A growing decay forgets the weights it started from; a fixed one keeps them for thousands of steps.
        decay = tf.minimum(self._ema_decay, (1 + step) / (10 + step))
        for average, variable in zip(self._averages, self._averaged, strict=True):
            average.assign_sub((1 - decay) * (average - variable))


class _PartRates:
    """Mixed into a Keras optimizer: a rate and a decay of its own for each variable.

    The update is scaled, not the gradient, which Adam would divide away again. Keras' legacy optimizers are the ones
    that update a variable in one operation.
    """

    def set_up(self: Any, variables: Sequence[tf.Variable], rates: Sequence[float], weight_decay: float) -> None:
        self._create_all_weights(variables)
        # Decoupled as in AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), in proportion to the rate as in Keras.
        # Not depthwise kernels: they have few weights and need them (Howard et al. 2017, arXiv:1704.04861).
        decays = [
            weight_decay if variable.name.rpartition("/")[2].partition(":")[0] in _DECAYED else 0.0
            for variable in variables
        ]
        local = tf.distribute.get_strategy().experimental_local_results
        self._rates_and_decays = {
            replica.ref(): pair
            for variable, *pair in zip(variables, rates, decays, strict=True)
            for replica in local(variable)
        }

    def _resource_apply_dense(self: Any, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None) -> Any:
        device = (var.device, var.dtype.base_dtype)
        of_all = apply_state[device]
        factor, decay = self._rates_and_decays[var.ref()]
        rate = of_all["lr_t"] if factor == 1 else of_all["lr_t"] * factor
        if decay:
            var.assign_sub(var * rate * decay, read_value=False)
        return super()._resource_apply_dense(grad, var, {device: {**of_all, "lr_t": rate}})  # type: ignore[misc]


class _Adam(_PartRates, tf_keras.optimizers.legacy.Adam):  # type: ignore[misc]
    """Adam (Kingma and Ba 2015, arXiv:1412.6980)."""


class _Sgd(_PartRates, tf_keras.optimizers.legacy.SGD):  # type: ignore[misc]
    """Stochastic gradient descent."""


def _optimizer(schedule: Schedule, rate: Any) -> Any:
    clip = {} if schedule.clip_norm is None else {"global_clipnorm": schedule.clip_norm}
    if schedule.optimizer == "sgd":
        return _Sgd(rate, momentum=_MOMENTUM, nesterov=True, **clip)
    return _Adam(rate, **clip)


def _curve(schedule: Schedule) -> Any:
    cosine = tf_keras.optimizers.schedules.CosineDecay(schedule.learning_rate, schedule.steps)
    # A warm-up as long as the training would never reach the peak.
    steps = min(schedule.warmup_steps, schedule.steps // 4)
    return lr_schedule.LinearWarmup(cosine, steps, schedule.learning_rate * WARMUP_START) if steps else cosine


def _seen(network: tf_keras.Model) -> dict[NetworkPart, tf_keras.Model]:
    """The parts, the backbone as far as the pyramid looks at it, which may be built of fewer levels."""
    highest = max(int(level) for level in network.decoder.output_specs)
    read = [output for level, output in network.backbone.output.items() if int(level) <= highest]
    return {**network_parts(network), "backbone": tf_keras.Model(network.backbone.inputs, read)}


def _statistics(layers: Sequence[tf_keras.Model]) -> list[tf.Variable]:
    return [variable for layer in layers for variable in layer.non_trainable_variables if variable.dtype.is_floating]


def _copy(variable: tf.Variable, strategy: tf.distribute.Strategy) -> tf.Variable:
    # Each replica has moving statistics of its own; averages that are alike need no talk between replicas.
    return tf.Variable(
        tf.identity(strategy.experimental_local_results(variable)[0]),
        trainable=False,
        name=f"average/{variable.name.partition(':')[0]}",
        synchronization=variable.synchronization,
        aggregation=variable.aggregation,
    )
