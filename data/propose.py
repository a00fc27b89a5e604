"""An experiment for pictures that nobody prepared: classes, input, anchors, schedule, balance and augmentation."""

import math
import re
from pathlib import Path

from vigie.anchors import AnchorSpec
from vigie.data.balance import repeat_factors
from vigie.data.propose_facts import SetFacts, read_facts
from vigie.data.propose_size import Size, anchors, input_size
from vigie.experiment import Augmentation, Balance, Experiment, ModelSpec, Schedule, Split
from vigie.proposal import Proposal, Reason, usable_name

_PARTS = 3
_MOST_NAMED = 20
_BATCH = 8
_EPOCHS = 30
_FEWEST_STEPS = 300
_LONGEST_S = 3600.0
_SECONDS_A_PIXEL = 0.7e-6  # of one picture in training on two cores, measured from 192 to 512 px
_HEADS_SHARE = 0.4  # of that; it grows with the number of anchors' cells, fourfold a finer level
_RARE = 0.3
_SIDES = {"left", "right"}


def propose(root: Path, name: str = "", *, progress: bool = True) -> Proposal:
    """Propose an experiment for a set of any known format; no picture is decoded. `name` is by default the folder's.

    Raises:
        BadData: no annotated pictures, none with a box, labels that look alike, or several broken files.
        BadAnnotation, BadPicture: one broken file.
    """
    facts = read_facts(root, progress=progress)
    size, why_size = input_size(facts)
    spec, why_anchors = anchors(facts, size)
    schedule, why_steps = _schedule(facts, size, spec)
    balance, why_balance = _balance(facts)
    augmentation, why_flip = _augmentation(facts)
    experiment = Experiment(
        name=usable_name(name or root.resolve().name),
        classes=facts.labels,
        model=ModelSpec(input_width=size[0], input_height=size[1], anchors=spec),
        training=schedule,
        balance=balance,
        augmentation=augmentation,
    )
    why_crop = "0.5, as colour: parts of the pictures and other colours stand in for pictures that were never taken"
    reasons = (
        Reason("classes", _why_classes(facts)),
        Reason("model.input_width", why_size),
        Reason("model.anchors", why_anchors),
        Reason("training.steps", why_steps),
        Reason("balance.method", why_balance),
        Reason("augmentation.flip", why_flip),
        Reason("augmentation.crop", why_crop),
    )
    return Proposal(experiment, reasons)


def _why_classes(facts: SetFacts) -> str:
    counted = [f"{label} {facts.boxes_of[label]}" for label in facts.labels]
    if len(counted) > _MOST_NAMED:
        counted = [*counted[:_MOST_NAMED], f"down to {counted[-1]}"]
    why = f"the labels found on {facts.pictures} pictures, with their boxes, most first: {', '.join(counted)}"
    few = [label for label in facts.labels if facts.pictures_of[label] < _PARTS]
    if few:
        why += (
            f". Too rare to learn and to measure, on fewer than {_PARTS} pictures each: {', '.join(few)}; "
            "add pictures of them, or remove their boxes"
        )
    return why


def _schedule(facts: SetFacts, size: Size, spec: AnchorSpec) -> tuple[Schedule, str]:
    split = Split()
    to_train_on = max(1, round(facts.pictures * (1 - split.validation - split.test)))
    wanted = max(_FEWEST_STEPS, math.ceil(_EPOCHS * to_train_on / _BATCH))
    second_a_step = _step_s(size, spec)
    steps = max(_FEWEST_STEPS, min(wanted, int(_LONGEST_S / second_a_step)))
    steps = math.ceil(steps / 50) * 50
    passes = steps * _BATCH / to_train_on
    seen = f"each of about {to_train_on} pictures to train on is seen {passes:.{0 if passes > 5 else 1}f} times"
    minutes = max(1, round(steps * second_a_step / 60))
    takes = f"about {minutes} minutes on two cores"
    less = f"; {_EPOCHS} times would be better, in {wanted} steps" if steps < wanted else ""
    return Schedule(steps=steps, batch=_BATCH, learning_rate=0.001), f"{steps}: {seen}, {_BATCH} a step; {takes}{less}"


def _step_s(size: Size, spec: AnchorSpec) -> float:
    finer = AnchorSpec().min_level - spec.min_level
    heads = _HEADS_SHARE * 4.0**finer
    return _BATCH * size[0] * size[1] * _SECONDS_A_PIXEL * (1 - _HEADS_SHARE + heads)


def _balance(facts: SetFacts) -> tuple[Balance, str]:
    # Of eighty classes hardly one is on a third of the pictures. Cut, so that an even share of them is not rare.
    threshold = math.floor(min(_RARE, 1 / len(facts.labels)) * 10_000) / 10_000
    rarest = min(facts.labels, key=lambda label: (facts.pictures_of[label], label))
    share = facts.pictures_of[rarest] / facts.pictures
    if share >= threshold:
        return Balance(threshold=threshold), (
            f"none: every class is on at least {share:.1%} of the pictures, and counts as rare under {threshold:.1%}"
        )
    factors = repeat_factors(facts.pictures_of, facts.pictures, threshold)
    rare = sum(factor > 1 for factor in factors.values())
    return Balance(method="repeat_factors", threshold=threshold), (
        f"repeat_factors: classes on under {threshold:.1%} of the pictures are rare, here {rare} of "
        f"{len(facts.labels)}: their pictures are seen more often, those of the rarest, "
        f"{rarest} ({share:.1%}), {factors[rarest]:.1f} times"
    )


def _augmentation(facts: SetFacts) -> tuple[Augmentation, str]:
    sided = [label for label in facts.labels if _SIDES & set(_words(label))]
    signs = [label for label in facts.labels if len(label) == 1]
    if sided:
        flip, why = 0.0, f"0, for {sided[0]} mirrored is another class"
    elif len(signs) == len(facts.labels) > 1:
        flip, why = 0.0, "0, for the classes are characters, and a mirrored one is none or another"
    else:
        flip, why = 0.5, "0.5: no label says left or right, so every other picture is mirrored"
    return Augmentation(flip=flip, crop=0.5, colour=0.5), why


def _words(label: str) -> list[str]:
    """Also those of turnLeft and arrow_right."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", label)]
