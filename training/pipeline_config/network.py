"""`model.ssd`: input size, width, levels, anchors, losses and assignment."""

import math
from typing import Any

from vigie.errors import BadSetting
from vigie.experiment import ModelSpec
from vigie.protobuf_text.sections import Found, Section
from vigie.training.pipeline_config.notes import Book

_EXACT = ("ssd_mobilenet_v2_fpn_keras", "ssd_mobilenet_v2_fpn")
_LEVELS = {"min_level": 3, "max_level": 7}  # the format's defaults, of pyramids and anchors
_ONE_SIZE = "an input has one size, so it is filled up with grey"
_REFUSED = {"faster_rcnn": "a detector in two stages", "center_net": "a detector without anchors"}
_SMALLEST_STRIDES = 4  # an anchor of SSD is seen by a layer whose stride is about a quarter of it


def ssd_of(root: Section) -> Section:
    """The part that describes the network.

    Raises:
        BadSetting: it is another kind of model, or there is none.
    """
    model = root.section("model")
    if model is None:
        raise BadSetting(f"{root.where}: holds no `model`; is this a pipeline.config? found {', '.join(root.names())}")
    ssd = model.section("ssd")
    if ssd is None or len(model.names()) > 1:
        kinds = [name for name in model.names() if name != "ssd"] or ["nothing"]
        what = _REFUSED.get(kinds[0], "no SSD")
        raise BadSetting(
            f"{root.where}: line {model.line}: model: {kinds[0]} is {what}; Vigie trains SSD MobileNet V2 FPNLite: "
            "begin with config/experiments/facemask-320.yaml and your label map"
        )
    return ssd


def read_network(ssd: Section, book: Book) -> None:
    """The input, the network and its anchors."""
    _input(ssd, book)
    extractor = ssd.section("feature_extractor")
    if extractor is not None:
        _backbone(extractor, book)
        _pyramid(extractor, book)
    _head(ssd, book)
    _anchors(ssd, book)


def _input(ssd: Section, book: Book) -> None:
    resizer = ssd.section("image_resizer")
    kind = resizer.names()[0] if resizer is not None and resizer.names() else ""
    inner = resizer.section(kind) if resizer is not None and kind else None
    if inner is None:
        return
    if kind == "fixed_shape_resizer":
        for side in ("height", "width"):
            size = inner.whole(side, 300)
            book.take(f"model.input_{side}", size.value, size)
        book.take("model.resize", "stretch", inner)
    elif kind == "keep_aspect_ratio_resizer":
        _letterbox(inner, book)
    else:
        book.leave(inner, f"the input stays {ModelSpec().input_width}x{ModelSpec().input_height}: Vigie's is fixed")


def _letterbox(resizer: Section, book: Book) -> None:
    largest, smallest = resizer.whole("max_dimension", 1024), resizer.whole("min_dimension", 600)
    padded = resizer.flag("pad_to_max_dimension", default=False)
    book.take("model.input_height", largest.value, largest)
    book.take("model.input_width", largest.value, largest)
    book.take("model.resize", "letterbox", padded, "the rest is grey, not black" if padded.value else _ONE_SIZE)
    if smallest.value == largest.value:
        book.join("model.input_height", smallest)
    else:
        book.leave(smallest, "the longer side decides")


def _covered(section: Section, setting: str, book: Book) -> None:
    """An empty message is all defaults."""
    if not section.names():
        book.join(setting, section, "all the format's defaults")


def _backbone(extractor: Section, book: Book) -> None:
    width, kind = extractor.number("depth_multiplier", 1.0), extractor.text("type")
    book.take("model.backbone_width", width.value, width)
    if kind.value in _EXACT:
        book.keep(kind, "MobileNet V2 with FPNLite, as Vigie's")
    else:
        book.leave(kind, "Vigie trains MobileNet V2 with a feature pyramid (FPNLite) instead")
    narrowest = extractor.whole("min_depth", 16)
    if width.value < 1 and narrowest.value != 8:
        book.leave(narrowest, "the narrowest layer has 8 channels")
    else:
        book.keep(narrowest, "the network has no narrower layer")


def _pyramid(extractor: Section, book: Book) -> None:
    fpn, bifpn = extractor.section("fpn"), extractor.section("bifpn")
    if fpn is not None:
        depth = fpn.whole("additional_layer_depth", 256)
        book.take("model.fpn_filters", depth.value, depth)
    elif bifpn is not None:
        depth = bifpn.whole("num_filters", 64)
        book.take("model.fpn_filters", depth.value, depth, "the pyramid is a plain FPN")
    for pyramid in filter(None, (fpn, bifpn)):
        for name, default in _LEVELS.items():
            level = pyramid.whole(name, default)
            book.take(f"model.anchors.{name}", level.value, level)


def _head(ssd: Section, book: Book) -> None:
    predictor = ssd.section("box_predictor")
    shared = predictor.section("weight_shared_convolutional_box_predictor") if predictor is not None else None
    plain = predictor.section("convolutional_box_predictor") if predictor is not None else None
    for head in filter(None, (shared, plain)):
        layers = head.whole("num_layers_before_predictor", 0)
        book.take("model.head_convs", layers.value, layers)
    if shared is None:
        return
    depth, filters = shared.whole("depth", 0), book.settings.get("model.fpn_filters", ModelSpec().fpn_filters)
    if depth.value == filters:
        book.join("model.fpn_filters", depth)
    else:
        book.leave(depth, f"the head has as many filters as the pyramid, {filters}")


def _anchors(ssd: Section, book: Book) -> None:
    generator = ssd.section("anchor_generator")
    if generator is None:
        return
    multiscale, plain = generator.section("multiscale_anchor_generator"), generator.section("ssd_anchor_generator")
    if multiscale is not None:
        _multiscale(multiscale, book)
    elif plain is not None:
        _of_ssd(plain, book)
    else:
        book.leave(generator, "Vigie's own anchors stay; `anchors: auto` fits some to the boxes")


def _multiscale(generator: Section, book: Book) -> None:
    for name, default in _LEVELS.items():
        level, setting = generator.whole(name, default), f"model.anchors.{name}"
        if book.settings.get(setting, level.value) == level.value:
            book.take(setting, level.value, level)
        else:
            book.leave(level, f"differs from the pyramid's, which counts: {book.settings[setting]}")
    scale, scales = generator.number("anchor_scale", 4.0), generator.whole("scales_per_octave", 2)
    book.take("model.anchors.size", scale.value, scale)
    book.take("model.anchors.scales", scales.value, scales)
    ratios = generator.numbers("aspect_ratios")
    if ratios.value:
        _ratios(ratios, book)
    _covered(generator, "model.anchors.size", book)


def _ratios(ratios: Found[tuple[float, ...]], book: Book) -> None:
    if min(ratios.value) <= 0:
        book.leave(ratios, "an aspect ratio is above 0")
    else:
        book.take("model.anchors.aspect_ratios", ratios.value, ratios)


def _of_ssd(generator: Section, book: Book) -> None:
    """Anchors whose sides grow by the layer in even steps, as powers of two that span the same range."""
    why = "approximate: sizes double with each level instead of growing in even steps"
    smallest, largest = generator.number("min_scale", 0.2), generator.number("max_scale", 0.95)
    reduced = generator.flag("reduce_boxes_in_lowest_layer", default=True)
    side = book.settings.get("model.input_width", ModelSpec().input_width)
    least = (0.1 if reduced.value else smallest.value) * side
    spec = _spanning(least, largest.value * side)
    book.take("model.anchors.size", spec["size"], smallest, why)
    book.join("model.anchors.size", reduced, why)
    book.take("model.anchors.min_level", spec["min_level"], smallest, why)
    book.take("model.anchors.max_level", spec["max_level"], largest, why)
    book.join("model.anchors.max_level", generator.whole("num_layers", 6), why)
    book.take("model.anchors.scales", 2, generator.number("interpolated_scale_aspect_ratio", 1.0), why)
    ratios = generator.numbers("aspect_ratios")
    if ratios.value:
        _ratios(ratios, book)
    _covered(generator, "model.anchors.size", book)


def _spanning(least_px: float, largest_px: float) -> dict[str, Any]:
    """Levels and a size whose anchors reach from one side to the other."""
    lowest = min(max(round(math.log2(max(least_px, 1) / _SMALLEST_STRIDES)), 2), 5)
    size = round(max(least_px, 1) / 2**lowest, 2)
    highest = lowest
    while highest < 7 and size * 2 ** (highest + 0.5) < largest_px:
        highest += 1
    return {"size": size, "min_level": lowest, "max_level": highest}
