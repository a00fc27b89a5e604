"""`model.ssd.loss` and `model.ssd.matcher`: what is minimised, and which anchors answer for an object."""

from vigie.protobuf_text.sections import Found, Section
from vigie.training.pipeline_config.notes import Book

SGD_MOMENTUM = 0.9  # of Vigie's sgd
_COORDINATES = 4


def read_objective(ssd: Section, book: Book) -> None:
    """The two losses, their weights and the thresholds of the assignment."""
    loss = ssd.section("loss")
    if loss is not None:
        _classification(loss, book)
        _box(loss, book)
        _weights(ssd, loss, book)
    _assignment(ssd, book)


def _classification(loss: Section, book: Book) -> None:
    kinds = loss.section("classification_loss")
    focal = kinds.section("weighted_sigmoid_focal") if kinds is not None else None
    if focal is None:
        if kinds is not None:
            book.leave(kinds, "Vigie's are focal and varifocal; the focal loss is taken, with its .25 and 2")
        return
    gamma, alpha = focal.number("gamma", 2.0), focal.number("alpha", 0.5)
    book.take("loss.focal_gamma", gamma.value, gamma)
    book.take("loss.focal_alpha", alpha.value, alpha, "" if alpha.leaves else "without alpha both sides weigh the same")


def _box(loss: Section, book: Book) -> None:
    kinds = loss.section("localization_loss")
    if kinds is None:
        return
    huber = kinds.section("weighted_smooth_l1")
    if huber is not None:
        delta = huber.number("delta", 1.0)
        book.take("loss.huber_delta", delta.value, delta if huber.names() else huber)
        return
    for name, why in (("weighted_giou", ""), ("weighted_iou", "1 - GIoU instead of 1 - IoU, which is flat far away")):
        overlap = kinds.section(name)
        if overlap is not None:
            book.take("loss.box", "giou", overlap, why)
            return
    book.leave(kinds, "Vigie's are huber, giou and diou; Huber with delta 1 is taken")


def _weights(ssd: Section, loss: Section, book: Book) -> None:
    """One weight, of the box loss; Vigie's Huber loss is the mean over the coordinates, its overlaps have none."""
    classes, boxes = loss.number("classification_weight", 1.0), loss.number("localization_weight", 1.0)
    by_size = ssd.flag("normalize_loc_loss_by_codesize", default=False)
    summed = not by_size.value and book.settings.get("loss.box", "huber") == "huber"
    if classes.value <= 0:
        book.leave(classes, "a detector that does not learn its classes")
        return
    weight = boxes.value / classes.value * (_COORDINATES if summed else 1)
    why = f"over classification_weight {classes.value:g}" if classes.value != 1 else ""
    sum_of = "times 4: the file sums over the coordinates (normalize_loc_loss_by_codesize), Vigie takes the mean"
    book.take("loss.box_weight", weight, boxes, "; ".join(filter(None, [why, sum_of if summed else ""])))
    whole = "" if classes.value == 1 else "the sum of both is not weighed, which only SGD's steps would show"
    book.join("loss.box_weight", classes, whole)
    if by_size.leaves:
        book.join("loss.box_weight", by_size)


def _assignment(ssd: Section, book: Book) -> None:
    matchers = ssd.section("matcher")
    if matchers is None:
        return
    matcher = matchers.section("argmax_matcher")
    if matcher is None:
        book.leave(matchers, "Vigie assigns by thresholds (iou) or adaptively (atss); thresholds of .5 are taken")
        return
    positive, negative = matcher.number("matched_threshold", 0.5), matcher.number("unmatched_threshold", 0.5)
    if matcher.flag("ignore_thresholds", default=False).value:
        for threshold in (positive, negative):
            book.leave(threshold, "counts for nothing where ignore_thresholds is true")
        return
    book.take("assignment.positive_iou", positive.value, positive)
    book.take("assignment.negative_iou", negative.value, negative)
    if not matcher.names():
        book.join("assignment.positive_iou", matcher, "all the format's defaults")


def read_decay(ssd: Section, train: Section, book: Book) -> None:
    """L2 of the kernels as decoupled decay, in proportion to the rate.

    Half the weight times the square: its gradient is weight times the kernel, which momentum adds up to ten times.
    """
    parts = [ssd.section("feature_extractor")]
    predictor = ssd.section("box_predictor")
    parts += [predictor.section(name) for name in predictor.names()] if predictor is not None else []
    weights = [weight for part in parts if part is not None for weight in _l2(part)]
    counted = train.flag("add_regularization_loss", default=True)
    if not weights or not counted.value:
        book.keep(counted, "no weight decay")
        for weight in weights:
            book.keep(weight, "add_regularization_loss is false")
        return
    sgd = book.settings.get("training.optimizer", "adam") == "sgd"
    why = "L2 of the loss becomes decay in proportion to the rate"
    first, *others = weights
    times = 1 / (1 - SGD_MOMENTUM) if sgd else 1
    decay = float(f"{first.value * times:.6g}")
    book.take("training.weight_decay", decay, first, f"{why}, times {times:.0f} for SGD's momentum" if sgd else why)
    for other in others:
        if other.value == first.value:
            book.join("training.weight_decay", other)
        else:
            book.leave(other, f"one decay for all parts, that of {first.path}")
    book.keep(counted, "it is added")


def _l2(part: Section) -> list[Found[float]]:
    layers = part.section("conv_hyperparams")
    regularizer = layers.section("regularizer") if layers is not None else None
    l2 = regularizer.section("l2_regularizer") if regularizer is not None else None
    return [] if l2 is None else [l2.number("weight", 1.0)]
