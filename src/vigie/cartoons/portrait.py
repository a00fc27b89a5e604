"""How a cartoon person is drawn: in units of half a face, so that all sizes look the same."""

import math

import numpy as np

from vigie.cartoons.faces import ASPECT, Face, Looks
from vigie.cartoons.pen import Colour, Pen, Points, curve, oval, shade
from vigie.pictures import Pixels

_WHITE: Colour = (252, 252, 252)
_OUTLINE = 0.05  # width of a face's outline, in half widths
_MASK_TOP = {"nose": 0.12, "mouth": 0.41, "chin": 0.74}  # where the upper edge of the mask sits, in half heights


def draw_body(canvas: Pixels, face: Face) -> None:
    """Neck, torso and legs below the face, upright."""
    half = face.width / 2
    pen = Pen(canvas, (face.x, face.y + half * ASPECT), (half, half))
    looks = face.looks
    for side in (-1, 1):
        pen.rectangle(min(side * 0.1, side * 0.66), 2.3, max(side * 0.1, side * 0.66), 4.0, looks.trousers)
        pen.fill(oval(side * 0.46, 4.05, 0.42, 0.18), shade(looks.trousers, 0.5))
        sleeve = np.concatenate([curve((side * 0.5, 0.25), (side * 1.3, 0.2), (side * 1.34, 1.9)),
                                 curve((side * 0.95, 1.9), (side * 0.9, 1.0), (side * 0.5, 0.9))])  # fmt: skip
        pen.fill(sleeve, shade(looks.clothes, 0.82))
        pen.fill(oval(side * 1.14, 2.0, 0.2, 0.22), looks.skin)
    torso = np.concatenate([
        curve((-0.3, 0.12), (-0.95, 0.18), (-0.92, 0.8)), curve((-0.86, 2.3), (0.0, 2.75), (0.86, 2.3)),
        curve((0.92, 0.8), (0.95, 0.18), (0.3, 0.12)),
    ])  # fmt: skip
    pen.fill(torso, looks.clothes)
    pen.fill(oval(0, 0.1, 0.4, 0.32), shade(looks.skin, 0.8))


def draw_head(canvas: Pixels, face: Face) -> None:
    """Hair, ears, face and mask."""
    half = face.width / 2
    pen = Pen(canvas, (face.x, face.y), (half, half * ASPECT), face.tilt_rad)
    looks = face.looks
    _draw_hair_behind(pen, looks)
    for side in (-1, 1):
        pen.fill(oval(side * 1.0, 0.02, 0.17, 0.19), shade(looks.skin, 0.72))
        pen.fill(oval(side * 1.0, 0.02, 0.13, 0.15), shade(looks.skin, 0.92))
    pen.fill(oval(0, 0, 1, 1), shade(looks.skin, 0.62))
    pen.fill(oval(0, 0, 1 - _OUTLINE, 1 - _OUTLINE / ASPECT), looks.skin)
    if looks.beard:
        _draw_beard(pen, looks)
    _draw_features(pen, face)
    if face.label != "without_mask":
        _draw_mask(pen, looks, "nose" if face.label == "with_mask" else looks.low)
    _draw_hair_before(pen, looks)


def _draw_features(pen: Pen, face: Face) -> None:
    looks = face.looks
    for side in (-1, 1):
        pen.fill(oval(side * 0.55, 0.27, 0.17, 0.1), _blush(looks.skin))
        if face.blinking:
            pen.line(curve((side * 0.52, -0.14), (side * 0.38, -0.04), (side * 0.24, -0.14)), looks.eyes, 0.08)
        else:
            pen.fill(oval(side * 0.38, -0.16, 0.19, 0.16), _WHITE)
            pen.fill(oval(side * 0.37, -0.15, 0.135, 0.125), looks.eyes)
            pen.fill(oval(side * 0.37 + 0.045, -0.19, 0.05, 0.045), _WHITE)
        pen.line(curve((side * 0.58, -0.37), (side * 0.4, -0.46), (side * 0.2, -0.39)), shade(looks.hair, 0.8), 0.09)
        if looks.glasses:
            pen.line(oval(side * 0.4, -0.14, 0.3, 0.24), (44, 44, 52), 0.06, closed=True)
    if looks.glasses:
        pen.line(np.array([[-0.12, -0.16], [0.12, -0.16]]), (44, 44, 52), 0.06)
    pen.fill(oval(0, 0.2, 0.17, 0.15), shade(looks.skin, 0.66))
    pen.fill(oval(0, 0.17, 0.13, 0.11), shade(looks.skin, 0.86))
    _draw_mouth(pen, looks)


def _blush(skin: Colour) -> Colour:
    red, green, blue = skin
    return min(255, red + 6), round(green * 0.82), round(blue * 0.82)


def _draw_mouth(pen: Pen, looks: Looks) -> None:
    dark: Colour = (120, 34, 40)
    if looks.mouth == "smile":
        pen.line(curve((-0.34, 0.48), (0, 0.72), (0.34, 0.48)), dark, 0.11)
    elif looks.mouth == "flat":
        pen.line(curve((-0.28, 0.55), (0, 0.57), (0.28, 0.55)), dark, 0.11)
    elif looks.mouth == "round":
        pen.fill(oval(0, 0.55, 0.17, 0.13), dark)
    else:
        pen.fill(np.concatenate([curve((-0.36, 0.45), (0, 0.5), (0.36, 0.45)),
                                 curve((0.36, 0.45), (0, 0.95), (-0.36, 0.45))]), dark)  # fmt: skip
        pen.fill(np.concatenate([curve((-0.28, 0.47), (0, 0.5), (0.28, 0.47)),
                                 curve((0.28, 0.47), (0, 0.58), (-0.28, 0.47))]), _WHITE)  # fmt: skip


def _draw_beard(pen: Pen, looks: Looks) -> None:
    pen.fill(np.concatenate([curve((-0.97, 0.1), (-0.55, 0.45), (0, 0.34)), curve((0, 0.34), (0.55, 0.45), (0.97, 0.1)),
                             _jaw(0.1, 0.98)]), looks.hair)  # fmt: skip


def _jaw(top: float, reach: float) -> Points:
    """The outline of the face from the right at height `top` by the chin to the left."""
    start = math.asin(top)
    angles = np.linspace(start, math.pi - start, 19)
    return np.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach)


def _draw_mask(pen: Pen, looks: Looks, covers: str) -> None:
    top = _MASK_TOP[covers]
    # Over the nose it rises to the bridge, lower down it sags.
    bend = -0.16 if covers == "nose" else 0.06
    side = math.cos(math.asin(top))
    edge = shade(looks.mask, 0.62)
    for sign in (-1, 1):
        pen.line(np.array([[sign * side * 0.97, top + 0.02], [sign * 1.02, -0.06]]), edge, 0.07)
    reach = 1.05 if covers != "chin" else 1.1
    pen.fill(np.concatenate([curve((-side * 1.03, top), (0, top + bend), (side * 1.03, top)), _jaw(top, reach)]), edge)
    lower = top + 0.06
    rim = curve((-side * 0.95, lower), (0, lower + bend), (side * 0.95, lower))
    pen.fill(np.concatenate([rim, _jaw(lower, reach - 0.06)]), looks.mask)
    _draw_pattern(pen, looks, top, bend)


def _draw_pattern(pen: Pen, looks: Looks, top: float, bend: float) -> None:
    ink = shade(looks.mask, 0.8)
    depth = 1.0 - top
    if looks.pattern == "pleats":
        for part in (0.35, 0.65) if depth > 0.5 else (0.45,):
            v = top + depth * part
            half = 0.78 * math.cos(math.asin(v))
            pen.line(curve((-half, v), (0, v + bend / 2 + 0.1), (half, v)), ink, 0.05)
    elif looks.pattern == "stripes":
        for u in (-0.45, -0.15, 0.15, 0.45):
            foot = 0.9 * math.cos(math.asin(u))
            pen.line(np.array([[u, top + 0.14], [u, foot]]), ink, 0.1)
    elif looks.pattern == "dots":
        for u, part in ((-0.4, 0.35), (0.0, 0.3), (0.4, 0.35), (-0.2, 0.68), (0.2, 0.68)):
            pen.fill(oval(u, top + depth * part + 0.03, 0.07, 0.056), ink)


def _draw_hair_behind(pen: Pen, looks: Looks) -> None:
    hair = shade(looks.hair, 0.82)
    if looks.hair_style == "long":
        pen.fill(np.concatenate([curve((-1.0, -0.6), (0, -1.75), (1.0, -0.6)),
                                 curve((1.3, 0.5), (1.35, 1.1), (1.0, 1.2)),
                                 curve((-1.0, 1.2), (-1.35, 1.1), (-1.3, 0.5))]), hair)  # fmt: skip
    elif looks.hair_style == "afro":
        pen.fill(oval(0, -0.4, 1.35, 1.0), hair)
    elif looks.hair_style == "bun":
        pen.fill(oval(0, -1.2, 0.42, 0.34), hair)
    elif looks.hair_style == "scarf":
        pen.fill(oval(0, 0.05, 1.22, 1.2), shade(looks.clothes, 0.8))
    if looks.hair_style not in ("bald", "scarf"):
        pen.fill(oval(0, -0.28, 1.1, 0.86), hair)


def _draw_hair_before(pen: Pen, looks: Looks) -> None:
    style = looks.hair_style
    if style == "bald":
        pen.fill(oval(-0.3, -0.72, 0.16, 0.06), shade(looks.skin, 1.6))
        return
    if style == "scarf":
        pen.fill(_cap(-0.5, -0.5), looks.clothes)
        return
    if style == "cap":
        pen.fill(_cap(-0.42, -0.5), looks.clothes)
        brim = np.concatenate([curve((-1.02, -0.42), (0, -0.72), (1.02, -0.42)),
                               curve((1.15, -0.3), (0, -0.6), (-1.15, -0.3))])  # fmt: skip
        pen.fill(brim, shade(looks.clothes, 0.66))
        return
    parting = {"short": -0.78, "long": -0.9, "afro": -0.62, "bun": -0.74}[style]
    pen.fill(_cap(-0.42, parting), looks.hair)


def _cap(side_v: float, middle_v: float) -> Points:
    """What lies on the upper head: from ear to ear over the top, and back along the hairline."""
    start = math.asin(side_v)
    angles = np.linspace(math.pi - start, 2 * math.pi + start, 21)
    over = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (1.05, 1.07)
    u = math.cos(start)
    return np.concatenate([over, curve((u, side_v), (u * 0.55, middle_v), (0, middle_v)),
                           curve((0, middle_v), (-u * 0.55, middle_v), (-u, side_v))])  # fmt: skip
