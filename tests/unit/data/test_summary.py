from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vigie import voc
from vigie.anchors import AnchorSpec
from vigie.cartoons import LABELS
from vigie.data import plots, summary
from vigie.data.prepare import PARTS, Manifest, prepare, read_set
from vigie.errors import BadData


@pytest.fixture(scope="module")
def records(cartoon_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    out = tmp_path_factory.mktemp("summary") / "records"
    return out, prepare(cartoon_set, out, classes=LABELS, progress=False)


def test_the_tables_count_what_the_manifest_counts(records: tuple[Path, Manifest]) -> None:
    _, manifest = records
    classes, pictures = summary.class_counts(manifest), summary.picture_counts(manifest)
    assert list(classes.index) == list(LABELS)
    assert list(classes.columns) == [*PARTS, "all"]
    assert (classes["all"] == classes["train"] + classes["validation"] + classes["test"]).all()
    assert classes.loc["with_mask", "train"] == manifest.parts["train"].boxes["with_mask"]
    assert pictures["pictures"].sum() == 30
    assert pictures["share"].sum() == pytest.approx(1)
    assert list(pictures["boxes"]) == [classes[part].sum() for part in PARTS]
    assert summary.clipped_boxes(manifest).empty


def test_box_sizes_are_those_at_the_detectors_input(records: tuple[Path, Manifest], cartoon_set: Path) -> None:
    out, _ = records
    sizes = summary.boxes_at_input(out, 80, 120)
    boxes = [o.box for path in (cartoon_set / "annotations").iterdir() for o in voc.read_annotation(path).objects]
    assert len(sizes) == len(boxes)
    assert sizes["width_px"].sum() == pytest.approx(sum(box.width for box in boxes) / 2)
    assert sizes["height_px"].sum() == pytest.approx(sum(box.height for box in boxes))
    assert sorted(sizes["left_px"] * 2) == pytest.approx(sorted(box.left for box in boxes))
    assert sorted(sizes["bottom_px"]) == pytest.approx(sorted(box.bottom for box in boxes))
    assert list(sizes["class"].cat.categories) == list(LABELS)
    with pytest.raises(BadData, match="holds no records"):
        summary.boxes_at_input(out / "nowhere", 80, 120)


def test_boxes_of_letterboxed_pictures_lie_where_the_picture_does(records: tuple[Path, Manifest]) -> None:
    out, _ = records
    # 160x120 comes to 80x60 of 80x120, from 30 on down.
    stretched, boxed = (
        summary.boxes_at_input(out, 80, height, resize) for height, resize in ((60, "stretch"), (120, "letterbox"))
    )
    for column, shift in (("left_px", 0), ("top_px", 30), ("right_px", 0), ("bottom_px", 30), ("side_px", 0)):
        np.testing.assert_allclose(boxed[column], stretched[column] + shift)


def test_the_figures_show_every_class_and_picture(records: tuple[Path, Manifest]) -> None:
    out, manifest = records
    shown = plots.samples(out, "validation", count=3, columns=2)
    assert [bool(axes.images) for axes in shown.axes] == [True, True, True, False]
    assert all(axes.patches for axes in shown.axes[:3])
    bars = plots.counts(manifest).axes[0]
    assert sorted(round(bar.get_height()) for bar in bars.patches) == sorted(
        count for part in PARTS for count in manifest.parts[part].boxes.values()
    )
    histogram = plots.box_sizes(summary.boxes_at_input(out, 160, 120))
    assert [text.get_text() for text in histogram.legends[0].get_texts()] == list(LABELS)


def test_positions_shapes_and_anchors_are_those_of_known_boxes() -> None:
    # A wide box of 40 x 20 in the upper left corner, eight times.
    boxes = pd.DataFrame({"class": pd.Categorical(["car"] * 8), "left_px": 0.0, "top_px": 0.0, "right_px": 40.0,
                          "bottom_px": 20.0, "width_px": 40.0, "height_px": 20.0, "side_px": 800**0.5})  # fmt: skip
    everywhere, cars = plots.positions(boxes, 64, 64).axes[:2]
    heat = everywhere.images[0].get_array()
    assert heat is not None
    assert (heat[:20, :40] == 1).all()
    assert heat.sum() == 20 * 40
    assert cars.get_title() == "car: 8 boxes"
    shapes = plots.aspect_ratios(boxes, AnchorSpec(aspect_ratios=(1.0, 2.0))).axes[0]
    assert "median 2.00" in shapes.get_title()
    assert [line.get_xdata()[0] for line in shapes.lines] == [0, 1]
    fitting = AnchorSpec(min_level=3, max_level=3, scales=1, aspect_ratios=(2.0,), size=800**0.5 / 8)
    tall = fitting.model_copy(update={"aspect_ratios": (0.25,)})
    assert "100% of the boxes" in plots.anchor_match(boxes, fitting, 64, 64).axes[0].get_title()
    assert "0% of the boxes" in plots.anchor_match(boxes, tall, 64, 64).axes[0].get_title()


def test_a_voc_folder_is_read_as_samples_without_records(cartoon_set: Path) -> None:
    samples = list(read_set(cartoon_set))
    assert [sample.source_id for sample in samples] == list(range(1, 31))
    first = voc.read_annotation(cartoon_set / "annotations" / "cartoon_00000.xml")
    assert samples[0].objects == first.objects
    assert samples[0].picture.rgb().shape == (120, 160, 3)
