"""`train_config`: steps, batch, optimizer, learning rate, where it starts.

The file's rates are those of SGD with momentum on the same loss (both divide by the positive anchors of the batch), so
they hold for Vigie's SGD as they stand; they are no rates for Adam, whose steps do not grow with the gradients.
"""

from dataclasses import dataclass, replace

from vigie.errors import BadSetting
from vigie.protobuf_text.sections import Found, Section
from vigie.training.pipeline_config.notes import Book
from vigie.training.pipeline_config.objective import SGD_MOMENTUM

_FLAT_EPSILON = 0.1  # from here on RMSProp's divisor hardly depends on the gradients
_CHECKPOINT_EVERY = 1000  # model_main_tf2.py's --checkpoint_every_n
_KERAS_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
_WARMUP_SHARE = 0.1


def read_learning(train: Section, evaluation: Section | None, book: Book) -> None:
    """How long and how fast it learns, and from what.

    Raises:
        BadSetting: the file does not say for how many steps.
    """
    batch = train.whole("batch_size", 32)
    book.take("training.batch", batch.value, batch)
    optimizer = train.section("optimizer")
    rate = _optimizer(optimizer, book) if optimizer is not None else None
    _steps(train, rate, book)
    if rate is not None:
        _rate(rate, book)
    if optimizer is not None:
        _average(optimizer, evaluation, book)
    _start(train, book)
    clip = train.number("gradient_clipping_by_norm", 0.0)
    if clip.value > 0:
        book.take("training.clip_norm", clip.value, clip)
    else:
        book.keep(clip, "0 clips nothing")


@dataclass(frozen=True, slots=True)
class _Rate:
    """A schedule in the file, as a peak in Vigie's terms."""

    schedule: Section
    factor: float = 1.0
    why: str = ""


def _optimizer(optimizer: Section, book: Book) -> _Rate | None:
    momentum, rms = optimizer.section("momentum_optimizer"), optimizer.section("rms_prop_optimizer")
    adam = optimizer.section("adam_optimizer")
    chosen = momentum or rms or adam
    if chosen is None:
        book.leave(optimizer, "Vigie's are sgd and adam")
        return None
    if momentum is not None:
        factor, why = _long_run(momentum, book)
        kind, rate = "sgd", _schedule(momentum, factor, why)
        reason = "with Nesterov's momentum; on the same loss, so the rate holds; Adam's would be another"
    elif rms is not None:
        kind, reason, rate = _rms_prop(rms, book)
    else:
        kind, reason, rate = "adam", "", _schedule(chosen, 1.0, "")
        book.keep(chosen.number("epsilon", 1e-8), "Keras' 1e-7 is as good as none too")
    book.take("training.optimizer", kind, chosen, reason)
    return rate


def _schedule(optimizer: Section, factor: float, why: str) -> _Rate | None:
    rates = optimizer.section("learning_rate")
    return None if rates is None else _Rate(rates, factor, why)


def _long_run(momentum: Section, book: Book) -> tuple[float, str]:
    """What the rate is multiplied by for the same step in the long run, rate / (1 - momentum)."""
    value = momentum.number("momentum_optimizer_value", SGD_MOMENTUM)
    if value.value == SGD_MOMENTUM:
        book.keep(value, "Vigie's momentum")
        return 1.0, ""
    if not 0 <= value.value < 1:
        raise momentum.bad(value.leaves[0], f"a momentum is at least 0 and below 1, found {value.written}")
    book.leave(value, f"Vigie's momentum is {SGD_MOMENTUM}; the learning rate makes up for it")
    factor = (1 - SGD_MOMENTUM) / (1 - value.value)
    return factor, f"times {factor:.3g}, for momentum {SGD_MOMENTUM} instead of {value.value:g}"


def _rms_prop(rms: Section, book: Book) -> tuple[str, str, _Rate | None]:
    """With the format's epsilon of 1 RMSProp divides by nearly 1 and is SGD; with a small one it is close to Adam."""
    epsilon = rms.number("epsilon", 1.0)
    book.leave(rms.number("decay", 0.9), "Adam's means have decays of their own, SGD has none")
    if epsilon.value >= _FLAT_EPSILON:
        factor, why = _long_run(rms, book)
        book.keep(epsilon, "so large that RMSProp divides by nearly the same always: SGD with momentum")
        return "sgd", "RMSProp with an epsilon so large is SGD; with Nesterov's momentum", _schedule(rms, factor, why)
    momentum = rms.number("momentum_optimizer_value", SGD_MOMENTUM)
    if not 0 <= momentum.value < 1:
        raise rms.bad(momentum.leaves[0], f"a momentum is at least 0 and below 1, found {momentum.written}")
    factor = 1 / (1 - momentum.value)
    book.tell("training.learning_rate", "", momentum, "Adam averages gradients, RMSProp adds them up")
    book.leave(epsilon, "Adam's is Keras' 1e-7")
    why = f"times {factor:.3g}: Adam averages gradients, RMSProp adds them up with momentum {momentum.value:g}"
    return "adam", "the nearest to RMSProp", _schedule(rms, factor, why)


def _steps(train: Section, rate: _Rate | None, book: Book) -> None:
    steps = train.whole("num_steps", 0)
    cosine = rate.schedule.section("cosine_decay_learning_rate") if rate is not None else None
    total = cosine.whole("total_steps", 4_000_000) if cosine is not None else None
    if steps.value > 0:
        book.take("training.steps", steps.value, steps)
        if total is not None:
            differs = "the cosine ends with the training" if total.value != steps.value else ""
            book.join("training.steps", total, differs)
    elif total is not None and total.leaves:
        book.take("training.steps", total.value, total, "num_steps is 0, for ever; the cosine ends here")
        book.leave(steps, "0 is for ever; Vigie trains so many steps")
    else:
        raise BadSetting(f"{train.where}: line {train.line}: {train.path}: holds no num_steps above 0; add one")
    every = min(_CHECKPOINT_EVERY, book.settings["training.steps"])
    book.take("training.checkpoint_every", every, Found("model_main_tf2.py --checkpoint_every_n", every, ()))


def _rate(rate: _Rate, book: Book) -> None:
    kinds = {
        "cosine_decay_learning_rate": _cosine,
        "exponential_decay_learning_rate": _exponential,
        "manual_step_learning_rate": _manual_steps,
        "constant_learning_rate": _constant,
    }
    for name, read in kinds.items():
        schedule = rate.schedule.section(name)
        if schedule is not None:
            read(schedule, rate, book)
            return
    book.leave(rate.schedule, "names no schedule that is known; Vigie's is a cosine")


def _peak(peak: Found[float], rate: _Rate, book: Book, shape: str = "") -> None:
    value = float(f"{peak.value * rate.factor:.6g}")
    book.take("training.learning_rate", value, peak, "; ".join(filter(None, [rate.why, shape])))


def _warmup(steps: Found[int], start: Found[float], peak: float, book: Book) -> None:
    book.take("training.warmup_steps", steps.value, steps)
    share = start.value / peak if peak else 0.0
    if steps.value == 0 or abs(share - _WARMUP_SHARE) < 0.005:
        book.keep(start, "a warm-up begins at a tenth of the peak" if steps.value else "there is no warm-up")
    else:
        book.leave(start, "a warm-up begins at a tenth of the peak")


def _cosine(schedule: Section, rate: _Rate, book: Book) -> None:
    peak = schedule.number("learning_rate_base", 0.002)
    _peak(peak, rate, book)
    start = schedule.number("warmup_learning_rate", 0.0002)
    _warmup(schedule.whole("warmup_steps", 10_000), start, peak.value, book)
    hold = schedule.whole("hold_base_rate_steps", 0)
    if hold.value:
        book.leave(hold, "the cosine begins to fall at once")
    else:
        book.keep(hold, "0 holds nothing")


def _exponential(schedule: Section, rate: _Rate, book: Book) -> None:
    peak = schedule.number("initial_learning_rate", 0.002)
    _peak(peak, rate, book, "falls as a cosine, not exponentially")
    steps = schedule.whole("burnin_steps", 0)
    _warmup(steps, schedule.number("burnin_learning_rate", 0.0), peak.value, book)
    for found in (
        schedule.whole("decay_steps", 4_000_000),
        schedule.number("decay_factor", 0.95),
        schedule.flag("staircase", default=True),
        schedule.number("min_learning_rate", 0.0),
    ):
        book.leave(found, "the rate falls as a cosine, to 0")


def _manual_steps(schedule: Section, rate: _Rate, book: Book) -> None:
    """The peak is the highest of the rates: a schedule may climb before it falls."""
    first = schedule.number("initial_learning_rate", 0.002)
    later = [(step.number("learning_rate", 0.002), step.whole("step", 0)) for step in schedule.sections("schedule")]
    peak = max([first, *(number for number, _ in later)], key=lambda found: found.value)
    _peak(peak, rate, book, "falls as a cosine, not in steps")
    warms, reached = schedule.flag("warmup", default=False), later[0][1] if later else None
    if warms.value and reached is not None:
        _warmup(reached, first, peak.value, book)
        book.join("training.warmup_steps", warms)
    else:
        book.take("training.warmup_steps", 0, warms)
    for found in (first, *(one for pair in later for one in pair)):
        if found not in (peak, reached if warms.value else None) and not (warms.value and found is first):
            book.leave(found, "the rate falls as a cosine, to 0")


def _constant(schedule: Section, rate: _Rate, book: Book) -> None:
    value = schedule.number("learning_rate", 0.002)
    _peak(value, rate, book, "falls as a cosine, not constant")
    book.take("training.warmup_steps", 0, replace(value, leaves=()))


def _average(optimizer: Section, evaluation: Section | None, book: Book) -> None:
    """Averaged weights count only where the evaluation, and with it the export, is told to use them."""
    averaged = optimizer.flag("use_moving_average", default=True)
    decay = optimizer.number("moving_average_decay", 0.9999)
    used = evaluation.flag("use_moving_averages", default=False) if evaluation is not None else None
    if averaged.value and used is not None and used.value:
        book.take("training.ema_decay", decay.value, decay)
        book.join("training.ema_decay", averaged)
        book.join("training.ema_decay", used)
        return
    book.take("training.ema_decay", 0.0, averaged, "" if not averaged.value else "averaged, but never evaluated")
    book.keep(decay, "no averaged weights are used")
    if used is not None:
        book.keep(used, "no averaged weights are used")


def _start(train: Section, book: Book) -> None:
    checkpoint = train.text("fine_tune_checkpoint")
    kind = train.text("fine_tune_checkpoint_type")
    if not checkpoint.value:
        book.keep(checkpoint, "trained from scratch")
        book.keep(kind, "there is no checkpoint")
        return
    width = book.settings.get("model.backbone_width", 1.0)
    if width not in _KERAS_WIDTHS:
        book.leave(checkpoint, f"its layers are others, and Keras has no ImageNet weights of width {width}")
    else:
        why = "its layers are others than Vigie's, so no such checkpoint fits; ImageNet's weights are the start instead"
        book.take("training.init", "imagenet", checkpoint, why)
    book.leave(kind, "of a checkpoint that does not fit")
