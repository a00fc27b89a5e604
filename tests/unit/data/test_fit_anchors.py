"""`anchors: auto` becomes numbers that all stages of a run share."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vigie import voc
from vigie.anchors import AnchorSpec
from vigie.cartoons import random_scene
from vigie.data.doctor.anchor_fit import ENOUGH, MATCH_IOU, best_ious
from vigie.data.doctor.of_run import findings_of
from vigie.data.fit_anchors import fit_anchors, with_fitted_anchors
from vigie.data.of_run import records_of
from vigie.data.summary import boxes_at_input
from vigie.domain import Box, LabelledBox
from vigie.errors import BadData, BadSetting
from vigie.pictures import encode_jpeg
from vigie.runs import Run, load_run, open_run

EXPERIMENT: dict[str, Any] = {
    "name": "poles",
    "classes": ["pole"],
    "model": {"input_width": 256, "input_height": 128, "anchors": "auto"},
    "training": {"steps": 1},
}
USUAL = AnchorSpec()


def pole(random: np.random.Generator) -> LabelledBox:
    """Thin and tall: no usual anchor overlaps it by half."""
    left, top, height = random.uniform(0, 140), random.uniform(0, 50), random.uniform(50, 64)
    return LabelledBox("pole", Box(left, top, left + height / 12, top + height))


def picture_of_poles(root: Path, number: int, poles: int) -> None:
    random = np.random.default_rng(number)
    (root / "images" / f"{number:02}.jpg").write_bytes(encode_jpeg(random_scene(number, 160, 120, 3)[0]))
    objects = tuple(pole(random) for _ in range(poles))
    voc.write_annotation(root / "annotations" / f"{number:02}.xml", f"{number:02}.jpg", 160, 120, objects)


def run_on(folder: Path, *, pictures: int = 12, poles: int = 4, **model: Any) -> Run:
    root = folder / "poles"
    for name in ("images", "annotations"):
        (root / name).mkdir(parents=True)
    for number in range(pictures):
        picture_of_poles(root, number, poles)
    asked = folder / "poles.yaml"
    asked.write_text(yaml.safe_dump({**EXPERIMENT, "model": {**EXPERIMENT["model"], **model}}))
    return open_run(folder / "run", experiment=asked, voc=root)


def edited(run: Run, **model: Any) -> Run:
    path = run.folder / "experiment.yaml"
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**values, "model": {**values["model"], **model}}))
    return load_run(run.folder)


def training_boxes(run: Run) -> np.ndarray:
    model = run.experiment.model
    boxes = boxes_at_input(run.records, model.input_width, model.input_height, model.resize)
    found: np.ndarray = boxes[boxes["part"] == "train"][["left_px", "top_px", "right_px", "bottom_px"]].to_numpy()
    return found


def share(run: Run, spec: AnchorSpec) -> float:
    model = run.experiment.model
    overlaps = best_ious(training_boxes(run), spec, model.input_width, model.input_height)
    return float((overlaps >= MATCH_IOU).mean())


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_preparing_a_run_fits_anchors_that_match_its_training_boxes_where_the_usual_ones_do_not(
    tmp_path: Path, resize: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = run_on(tmp_path, resize=resize)
    with pytest.raises(BadSetting, match="fitted to the boxes of a run when its pictures are prepared"):
        _ = run.experiment.model.grid
    records_of(run, progress=False)
    after, before = share(run, run.experiment.model.grid), share(run, USUAL)
    assert before < 0.1
    assert after >= ENOUGH
    why = f"Fitted to {len(training_boxes(run))} boxes of the training part at 256x128 ({resize}): {after:.1%} of them"
    assert why in caplog.text
    assert f"the usual anchors would match {before:.1%}" in caplog.text
    assert (run.folder / "anchors.yaml").read_text().startswith(f"# {why}")


def test_every_stage_that_opens_the_run_has_the_same_numbers_and_its_experiment_still_says_auto(tmp_path: Path) -> None:
    run = run_on(tmp_path)
    records_of(run, progress=False)
    again = load_run(run.folder)
    assert again.experiment.model.grid == run.experiment.model.grid == run.experiment.model.anchors != USUAL
    assert "anchors: auto" in (run.folder / "experiment.yaml").read_text()
    assert again.experiment.with_anchors(USUAL).model.grid == USUAL


def test_what_was_fitted_is_fitted_again_only_when_the_boxes_at_the_input_change(tmp_path: Path) -> None:
    run = run_on(tmp_path)
    records_of(run, progress=False)
    file, first = run.anchors_file, run.anchors_file.read_text()
    file.write_text(first + "# still the same\n")
    records_of(run, progress=False)
    assert file.read_text().endswith("# still the same\n")

    larger = edited(run, input_width=512, input_height=512)
    assert larger.experiment.model.anchors == "auto"  # the numbers of another input are not taken for these
    records_of(larger, progress=False)
    assert "at 512x512" in file.read_text()
    assert larger.experiment.model.grid != run.asked.with_anchors(USUAL).model.grid

    back = edited(run, input_width=256, input_height=128)
    records_of(back, progress=False)
    assert file.read_text() == first

    picture_of_poles(run.pictures, 50, 9)
    records_of(back, progress=False)
    assert file.read_text() != first
    assert share(back, back.experiment.model.grid) >= ENOUGH


def test_numbers_in_the_experiment_count_instead_and_auto_again_fits_again(tmp_path: Path) -> None:
    run = run_on(tmp_path)
    records_of(run, progress=False)
    fitted = run.experiment.model.grid
    own = edited(run, anchors={"size": 2.0})
    records_of(own, progress=False)
    assert own.experiment.model.grid == AnchorSpec(size=2.0)
    auto = edited(run, anchors="auto")
    records_of(auto, progress=False)
    assert auto.experiment.model.grid == fitted


@pytest.mark.parametrize("left", ["", "anchors: {size: 3", "anchors: {size: -3}\nasked: a\npictures: b\n"])
def test_a_file_that_was_damaged_counts_as_none_and_is_made_again(tmp_path: Path, left: str) -> None:
    run = run_on(tmp_path)
    records_of(run, progress=False)
    whole = run.anchors_file.read_text()
    run.anchors_file.write_text(left)
    assert run.experiment.model.anchors == "auto"
    records_of(run, progress=False)
    assert run.anchors_file.read_text() == whole


def test_the_training_key_is_that_of_the_numbers(tmp_path: Path) -> None:
    run = run_on(tmp_path)
    unfitted = run.training_key("data")
    records_of(run, progress=False)
    fitted = run.training_key("data")
    assert fitted != unfitted
    assert edited(run, anchors=run.experiment.model.grid.model_dump(mode="json")).training_key("data") == fitted
    assert edited(run, anchors={"size": 2.0}).training_key("data") != fitted


def test_records_that_were_prepared_elsewhere_are_fitted_to_as_well(tmp_path: Path) -> None:
    made = run_on(tmp_path)
    records_of(made, progress=False)
    run = open_run(tmp_path / "other", experiment=tmp_path / "poles.yaml", records=made.records)
    records_of(run, progress=False)
    assert run.experiment.model.grid == made.experiment.model.grid


def test_without_a_run_the_numbers_are_the_same_and_nothing_is_written(tmp_path: Path) -> None:
    run = run_on(tmp_path)
    records_of(run, progress=False)
    fitted = run.experiment
    run.anchors_file.unlink()
    assert with_fitted_anchors(run.records, run.asked) == fitted
    assert with_fitted_anchors(run.records, fitted) is fitted
    assert not run.anchors_file.exists()


def test_without_records_there_is_nothing_to_fit_to(tmp_path: Path) -> None:
    with pytest.raises(BadData):
        fit_anchors(run_on(tmp_path))


def test_the_doctor_looks_with_the_anchors_that_the_boxes_would_get(tmp_path: Path) -> None:
    run = run_on(tmp_path)
    assert "anchors-miss" not in findings_of(run, progress=False)
    records_of(run, progress=False)
    assert "anchors-miss" not in findings_of(run, progress=False)
    assert "anchors-miss" in findings_of(edited(run, anchors={}), progress=False)
