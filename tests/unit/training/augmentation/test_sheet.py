from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vigie.cartoons import LABELS
from vigie.data.prepare import load_manifest, prepare, read_part
from vigie.data.synthetic import write_set
from vigie.drawing import PALETTE
from vigie.experiment import Augmentation, CompositeOf
from vigie.resizing import GREY
from vigie.training.augmentation.sheet import contact_sheet

FLIPPED = Augmentation(flip=1.0, scale=0.0)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheet")
    pictures = write_set(folder / "voc", pictures=30, seed=4, width=96, height=72, progress=False)
    prepare(pictures, folder / "records", classes=LABELS, progress=False)
    return folder / "records"


def _boxes(place: Axes) -> list[tuple[float, ...]]:
    patches = [patch for patch in place.patches if isinstance(patch, Rectangle)]
    return sorted((*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in patches)


def test_a_row_shows_the_picture_with_its_true_boxes_and_then_what_the_model_sees(records: Path) -> None:
    figure = contact_sheet(records, FLIPPED, 64, 48, pictures=2, variants=3)
    assert len(figure.axes) == 2 * 4
    for sample, places in zip(read_part(records, "train"), np.reshape(figure.axes, (2, 4)), strict=False):
        truth = [item.box for item in sample.objects]
        original, *variants = places
        np.testing.assert_array_equal(original.images[0].get_array(), sample.picture.rgb())
        drawn = sorted((box.left - 0.5, box.top - 0.5, box.width, box.height) for box in truth)
        np.testing.assert_allclose(_boxes(original), drawn, atol=0.01)
        mirrored = sorted(
            (64 - box.right * 64 / 96 - 0.5, box.top * 48 / 72 - 0.5, box.width * 64 / 96, box.height * 48 / 72)
            for box in truth
        )
        for variant in variants:
            assert variant.images[0].get_array().shape == (48, 64, 3)
            np.testing.assert_allclose(_boxes(variant), mirrored, atol=0.01)
    assert plt.get_fignums() == []


def test_letterboxed_pictures_are_shown_on_the_grey_that_the_model_sees(records: Path) -> None:
    plain = Augmentation(flip=0.0, scale=0.0)
    for place in contact_sheet(records, plain, 64, 64, pictures=1, variants=2, resize="letterbox").axes[1:]:
        pixels = place.images[0].get_array()
        # 96x72 comes to 64x48.
        assert (pixels[:8] == GREY).all()
        assert (pixels[56:] == GREY).all()
        assert (pixels[8:56] != GREY).any(axis=(1, 2)).all()


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 0), (0.1, 1), (0.5, 2), (1.0, 4)])
def test_the_last_variants_are_mosaics_as_their_chance_says(records: Path, chance: float, expected: int) -> None:
    figure = contact_sheet(records, Augmentation(mosaic=chance), 64, 64, pictures=1, variants=4)
    assert [place.get_title() for place in figure.axes[1:]] == [""] * (4 - expected) + ["mosaic"] * expected


def test_variants_differ_and_the_same_seed_gives_the_same_sheet(records: Path) -> None:
    spec = Augmentation(flip=0.5, crop=0.5, colour=1.0, mosaic=0.3)

    def pixels(seed: int) -> list[bytes]:
        figure = contact_sheet(records, spec, 64, 64, seed=seed, pictures=2, variants=3)
        return [place.images[0].get_array().tobytes() for place in figure.axes]

    first = pixels(1)
    assert len(set(first)) == len(first)
    assert pixels(1) == first
    assert pixels(2) != first


def test_composites_are_shown_as_the_class_that_they_make(records: Path) -> None:
    of = CompositeOf(upper="without_mask", lower="with_mask", makes="mask_weared_incorrect")
    plain, more = (
        contact_sheet(
            records, Augmentation(flip=0, scale=0, composite=chance, composite_of=of), 96, 72, pictures=12, variants=1
        ).axes
        for chance in (0.0, 1.0)
    )
    colours = [tuple(part / 255 for part in PALETTE[LABELS.index(label)]) for label in (of.upper, of.makes)]
    changed = [
        (before.get_edgecolor()[:3], after.get_edgecolor()[:3]) for one, other in zip(plain, more, strict=True)
        for before, after in zip(one.patches, other.patches, strict=True)
        if before.get_edgecolor() != after.get_edgecolor()
    ]  # fmt: skip
    assert changed
    assert set(changed) == {tuple(colours)}


def test_what_is_pasted_onto_a_variant_is_of_the_rarest_class(records: Path) -> None:
    plain, more = (
        contact_sheet(records, Augmentation(flip=0, scale=0, paste=chance), 96, 72, pictures=4, variants=3).axes
        for chance in (0.0, 1.0)
    )
    added = [
        patch.get_edgecolor() for one, other in zip(plain, more, strict=True)
        for patch in other.patches[len(one.patches) :]
    ]  # fmt: skip
    counts = load_manifest(records).parts["train"].boxes
    rarest = tuple(part / 255 for part in PALETTE[LABELS.index(min(LABELS, key=lambda label: counts[label]))])
    assert len(added) >= 6
    assert {colour[:3] for colour in added} == {rarest}
