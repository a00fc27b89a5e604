"""`data_augmentation_options`: what is done to a training picture, in the words of `vigie.experiment.Augmentation`.

Without any the file's training changed nothing, so everything that is not named is off.
Defaults are those of the TF Object Detection API's preprocessor.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from vigie.protobuf_text.sections import Found, Section
from vigie.training.pipeline_config.notes import Book

_CHANCES = ("flip", "crop", "scale", "colour", "blur", "jpeg", "mosaic")
_MILDEST_ZOOM_AREA = 0.25  # crops that keep at least so much are a zoom of up to 2; smaller ones look for an object
_SSD_OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
_SSD_PAD_OVERLAPS = _SSD_OVERLAPS[1:]
_SSD_KEPT_WHOLE = 0.15
_VIGIE_CROP = {"min_area": 0.1, "max_area": 1.0, "min_aspect_ratio": 0.5, "max_aspect_ratio": 2.0}
_CENTRE = "an object stays where its centre is seen"
_DISTORTION = 0.5  # of contrast and saturation in random_distort_color, which also turns hue by .2


@dataclass(frozen=True, slots=True)
class _Colour:
    """A step with the strength at which Vigie's `coloured` does as much, and what that was read from."""

    step: Section
    strength: float
    read: tuple[Found[float], ...]


def read_augmentation(train: Section, book: Book) -> None:
    """Every step, in the file's order; of two that set the same thing the later one counts."""
    colours: list[_Colour] = []
    for option in train.sections("data_augmentation_options"):
        for name in option.names():
            step = option.section(name)
            if step is None:
                continue
            if name in _COLOURS:
                colours.append(_COLOURS[name](step))
            elif name in _STEPS:
                _STEPS[name](step, book)
    _colour(colours, book)
    for chance in _CHANCES:
        if f"augmentation.{chance}" not in book.settings:
            book.take(f"augmentation.{chance}", 0.0, Found(f"{train.path}.data_augmentation_options", "off", ()))


def _flip(step: Section, book: Book) -> None:
    probability = step.number("probability", 0.5)
    book.take("augmentation.flip", probability.value, probability if probability.leaves else step)


def _random_crop(step: Section, book: Book) -> None:
    """A window anywhere, or one that shows an object."""
    area, kept = step.number("min_area", 0.1), step.number("random_coef", 0.0)
    covered = step.number("min_object_covered", 1.0)
    if covered.value == 0 and area.value >= _MILDEST_ZOOM_AREA:
        _zoom(step, area, kept, book)
        book.join("augmentation.scale", covered)
        return
    book.take("augmentation.crop", round(1 - kept.value, 4), kept if kept.leaves else step)
    book.take("augmentation.crop_min_overlaps", (covered.value,), covered)
    _crop_bounds(step, book)


def _zoom(step: Section, area: Found[float], kept: Found[float], book: Book) -> None:
    largest, why = step.number("max_area", 1.0), "approximate: a window of these areas, with the picture's aspect ratio"
    book.take("augmentation.scale", round(1 - kept.value, 4), kept if kept.leaves else step, why)
    book.take("augmentation.scale_max", _factor(area.value), area, why)
    book.take("augmentation.scale_min", 1.0, largest, "" if largest.value == 1 else why)
    for name, default in (("min_aspect_ratio", 0.75), ("max_aspect_ratio", 1.33)):
        book.leave(step.number(name, default), "a zoom keeps the picture's aspect ratio; crop would change it")
    book.leave(step.number("overlap_thresh", 0.3), _CENTRE)


def _factor(area: float) -> float:
    """How much larger things are where a window of so much of the picture fills the input."""
    return round(1 / math.sqrt(area), 4)


def _crop_bounds(step: Section, book: Book) -> None:
    for name, vigies in _VIGIE_CROP.items():
        bound = step.number(name, vigies)
        if bound.value == vigies:
            book.keep(bound, "as Vigie's crop")
        else:
            book.leave(bound, f"Vigie's crop has {vigies:g}")
    book.leave(step.number("overlap_thresh", 0.3), _CENTRE)


def _ssd_crop(step: Section, book: Book) -> None:
    _ssd_operations(step, _SSD_OVERLAPS, book)


def _ssd_crop_pad(step: Section, book: Book) -> None:
    _ssd_operations(step, _SSD_PAD_OVERLAPS, book)
    ratios = [operation.numbers("max_padded_size_ratio") for operation in step.sections("operations")]
    largest = max((max(ratio.value) for ratio in ratios if ratio.value), default=2.0)
    _pad(largest, ratios[0] if ratios and ratios[0].value else step, book)
    for ratio in ratios[1:]:
        if ratio.value:
            book.join("augmentation.scale_min", ratio)


def _ssd_operations(step: Section, overlaps: tuple[float, ...], book: Book) -> None:
    """One of the operations is drawn, and skipped at its own chance."""
    operations = step.sections("operations")
    if not operations:
        book.take("augmentation.crop", 1 - _SSD_KEPT_WHOLE, step)
        book.take("augmentation.crop_min_overlaps", overlaps, step)
        return
    covered = [operation.number("min_object_covered", 0.0) for operation in operations]
    kept = [operation.number("random_coef", 0.0) for operation in operations]
    book.take(
        "augmentation.crop", round(1 - fmean(found.value for found in kept), 4), _all_of(kept, step, "random_coef")
    )
    book.take(
        "augmentation.crop_min_overlaps",
        tuple(found.value for found in covered),
        _all_of(covered, step, "min_object_covered"),
    )
    for operation in operations:
        _crop_bounds(operation, book)


def _all_of(found: list[Found[float]], step: Section, name: str) -> Found[float] | Section:
    leaves = tuple(leaf for one in found for leaf in one.leaves)
    return Found(f"{step.path}.operations.{name}", found[0].value, leaves) if leaves else step


def _pad(largest: float, read: Found[tuple[float, ...]] | Section, book: Book) -> None:
    """The picture becomes a part of a larger one: things are smaller."""
    why = "approximate: on grey, up to so much smaller"
    book.take("augmentation.scale", 1.0, read, why)
    book.take("augmentation.scale_min", round(1 / max(largest, 1.0), 4), read, why)
    book.settings.setdefault("augmentation.scale_max", 1.0)


def _pad_image(step: Section, book: Book) -> None:
    if any(step.has(name) for name in ("min_image_height", "min_image_width", "max_image_height", "max_image_width")):
        book.leave(step, "a padding in pixels, whatever the picture's size; augmentation.scale_min is near it")
        return
    _pad(2.0, step, book)


def _square_crop(step: Section, book: Book) -> None:
    """A square of the longer side times a factor: the larger it is, the smaller the things in it."""
    smallest, largest = step.number("scale_min", 0.6), step.number("scale_max", 1.3)
    if min(smallest.value, largest.value) <= 0:
        book.leave(step, "a factor is above 0")
        return
    why = "approximate: with the picture's aspect ratio instead of a square"
    book.take("augmentation.scale", 1.0, step, why)
    book.take("augmentation.scale_min", round(min(1 / largest.value, 1.0), 4), largest, why)
    book.take("augmentation.scale_max", round(max(1 / smallest.value, 1.0), 4), smallest, why)


def _scale_crop_pad(step: Section, book: Book) -> None:
    smallest, largest = step.number("scale_min", 0.1), step.number("scale_max", 2.0)
    why = "approximate: with the picture's aspect ratio instead of a square"
    book.take("augmentation.scale", 1.0, step, why)
    book.take("augmentation.scale_min", min(smallest.value, 1.0), smallest, why)
    book.take("augmentation.scale_max", max(largest.value, 1.0), largest, why)


def _jpeg(step: Section, book: Book) -> None:
    kept, quality = step.number("random_coef", 0.0), step.whole("min_jpeg_quality", 0)
    best = step.whole("max_jpeg_quality", 100)
    book.take("augmentation.jpeg", round(1 - kept.value, 4), kept if kept.leaves else step)
    book.take("augmentation.jpeg_min_quality", quality.value, quality)
    if best.value >= 95:
        book.keep(best, "Vigie's best is 95")
    else:
        book.leave(best, "Vigie's best is 95")


def _colour(found: list[_Colour], book: Book) -> None:
    """Vigie has one strength for brightness, contrast, saturation and hue; the mean of what the steps ask for."""
    if not found:
        return
    strength = round(min(max(fmean(colour.strength for colour in found), 0.01), 1.0), 2)
    why = "approximate: one strength for brightness, contrast, saturation and hue together"
    for colour in found:
        book.take("augmentation.colour", 1.0, colour.step)
        for read in colour.read or (colour.step,):
            book.take("augmentation.colour_strength", strength, read, why)


def _brightness(step: Section) -> _Colour:
    delta = step.number("max_delta", 0.2)
    return _Colour(step, 2 * delta.value, (delta,))


def _range(step: Section) -> _Colour:
    lower, upper = step.number("min_delta", 0.8), step.number("max_delta", 1.25)
    return _Colour(step, fmean((abs(1 - lower.value), abs(upper.value - 1))), (lower, upper))


def _hue(step: Section) -> _Colour:
    delta = step.number("max_delta", 0.02)
    return _Colour(step, 4 * delta.value, (delta,))


def _distortion(step: Section) -> _Colour:
    return _Colour(step, _DISTORTION, ())


_STEPS: dict[str, Callable[[Section, Book], None]] = {
    "random_horizontal_flip": _flip,
    "random_crop_image": _random_crop,
    "ssd_random_crop": _ssd_crop,
    "ssd_random_crop_fixed_aspect_ratio": _ssd_crop,
    "ssd_random_crop_pad": _ssd_crop_pad,
    "ssd_random_crop_pad_fixed_aspect_ratio": _ssd_crop_pad,
    "random_pad_image": _pad_image,
    "random_square_crop_by_scale": _square_crop,
    "random_scale_crop_and_pad_to_square": _scale_crop_pad,
    "random_jpeg_quality": _jpeg,
}
# Strengths after vigie.training.augmentation.photometric.
_COLOURS: dict[str, Callable[[Section], _Colour]] = {
    "random_adjust_brightness": _brightness,
    "random_adjust_contrast": _range,
    "random_adjust_saturation": _range,
    "random_adjust_hue": _hue,
    "random_distort_color": _distortion,
}
