"""What is proposed for sets that nobody prepared."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import needs
import numpy as np
import pytest
import yaml
from other_formats import as_coco, as_yolo

from vigie import voc
from vigie.anchors import AnchorSpec
from vigie.data.doctor.anchor_fit import ENOUGH, MATCH_IOU, best_ious
from vigie.data.propose import propose
from vigie.data.propose_facts import read_facts
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData
from vigie.experiment import Experiment, load_experiment
from vigie.proposal import load_proposal, usable_name

CLASSES = ("with_mask", "without_mask", "mask_weared_incorrect")


def marked(root: Path, objects: Sequence[Sequence[LabelledBox]], width: int = 400, height: int = 300) -> Path:
    """A set of pictures with these objects; the pictures themselves are a few bytes that nobody decodes."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    for number, boxes in enumerate(objects):
        (root / "images" / f"{number}.jpg").write_bytes(b"never decoded")
        voc.write_annotation(root / "annotations" / f"{number}.xml", f"{number}.jpg", width, height, tuple(boxes))
    return root


def one(label: str, left: float = 100, top: float = 100, width: float = 60, height: float = 60) -> LabelledBox:
    return LabelledBox(label, Box(left, top, left + width, top + height))


def proposed(root: Path) -> Experiment:
    return propose(root, progress=False).experiment


def why(root: Path, field: str) -> str:
    return {reason.field: reason.why for reason in propose(root, progress=False).reasons}[field]


def test_photographs_of_masks_get_an_input_and_anchors_that_fit_small_faces() -> None:
    root = needs.shared_data() / "facemask"
    proposal = propose(root, progress=False)
    experiment = proposal.experiment
    assert (experiment.name, experiment.classes) == ("facemask", CLASSES)
    size = (experiment.model.input_width, experiment.model.input_height)
    boxes = read_facts(root, progress=False).boxes * (*size, *size)
    assert ((boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= 8).mean() >= 0.95
    assert (best_ious(boxes, experiment.model.anchors, *size) >= MATCH_IOU).mean() >= ENOUGH
    assert (best_ious(boxes, AnchorSpec(), *size) >= MATCH_IOU).mean() < ENOUGH
    assert experiment.balance.method == "repeat_factors"
    said = "\n".join(map(str, proposal.reasons))
    assert "with_mask 2433, without_mask 570, mask_weared_incorrect 99" in said
    assert "mask_weared_incorrect (11.4%), 1.6 times" in said
    assert f"model.input_width: {size[0]}x{size[1]}: the smallest" in said


def test_a_coco_set_of_75_classes_reaches_the_largest_input_and_tells_what_stays_small() -> None:
    root = needs.shared_data() / "coco_val200"
    experiment = proposed(root)
    assert len(experiment.classes) == 75
    assert experiment.classes[:2] == ("person", "car")
    assert experiment.model.input_width * experiment.model.input_height <= 512**2
    assert "5.8% of the boxes stay under 8 px" in why(root, "model.input_width")
    assert "on fewer than 3 pictures each: hot dog," in why(root, "classes")
    assert experiment.balance.threshold < 0.02


def test_the_same_set_gets_the_same_experiment_in_each_format(cartoon_set: Path, tmp_path: Path) -> None:
    wanted = proposed(cartoon_set)
    devkit = tmp_path / "set" / "devkit"
    shutil.copytree(cartoon_set / "images", devkit / "JPEGImages")
    shutil.copytree(cartoon_set / "annotations", devkit / "Annotations")
    beside = tmp_path / "beside"
    shutil.copytree(cartoon_set / "images", beside)
    shutil.copytree(cartoon_set / "annotations", beside, dirs_exist_ok=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "y").mkdir()
    for root in (devkit, beside, as_coco(cartoon_set, tmp_path / "c", CLASSES)):
        assert proposed(root).model_copy(update={"name": wanted.name}) == wanted
    yolo = proposed(as_yolo(cartoon_set, tmp_path / "y", CLASSES))
    assert (yolo.classes, yolo.training, yolo.model) == (wanted.classes, wanted.training, wanted.model)


def test_pictures_of_one_shape_get_an_input_of_that_shape_and_mixed_ones_a_square(tmp_path: Path) -> None:
    video = proposed(marked(tmp_path / "video", [[one("car")]] * 4, 1280, 720)).model
    assert video.input_width / video.input_height == pytest.approx(16 / 9, rel=0.1)
    upright = proposed(marked(tmp_path / "phone", [[one("car")]] * 4, 300, 400)).model
    assert upright.input_height > upright.input_width
    mixed = marked(tmp_path / "mixed", [[one("car")]] * 4, 640, 360)
    for number in (0, 1):
        voc.write_annotation(mixed / "annotations" / f"{number}.xml", f"{number}.jpg", 360, 640, (one("car"),))
    model = proposed(mixed).model
    assert model.input_width == model.input_height


def test_smaller_boxes_get_a_larger_input(tmp_path: Path) -> None:
    sides = [
        proposed(marked(tmp_path / str(side), [[one("nut", width=side, height=side)]] * 4, 400, 400)).model.input_width
        for side in (100, 12, 8, 2)
    ]
    assert sides == [192, 288, 416, 512]


def test_boxes_that_the_usual_anchors_match_keep_them(tmp_path: Path) -> None:
    root = marked(tmp_path, [[one("cat", 100, 100, 120, 120)]] * 4, 400, 400)
    assert proposed(root).model.anchors == AnchorSpec()
    assert why(root, "model.anchors") == "the usual ones, which match 100.0% of the boxes at IoU 0.5"


def test_a_set_of_any_number_of_pictures_is_trained_for_a_sensible_time(tmp_path: Path) -> None:
    few = marked(tmp_path / "few", [[one("cat")]] * 5)
    assert proposed(few).training.steps == 300
    many = marked(tmp_path / "many", [[one("cat", width=4, height=4)]] * 2500, 400, 400)
    assert 300 < proposed(many).training.steps < 30 * 2500 * 0.7 / 8
    assert "would be better" in why(many, "training.steps")


def test_classes_that_share_the_pictures_evenly_are_not_rare_and_one_that_lacks_is_seen_more_often(
    tmp_path: Path,
) -> None:
    letters = [[one(f"kind {number}")] for number in range(7)]
    assert proposed(marked(tmp_path / "even", letters * 3)).balance.method == "none"
    uneven = marked(tmp_path / "uneven", [[one("cat")]] * 11 + [[one("dog")]])
    assert proposed(uneven).balance.method == "repeat_factors"
    assert why(uneven, "balance.method").endswith("here 1 of 2: their pictures are seen more often, those of the "
                                                  "rarest, dog (8.3%), 1.9 times")  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "flip"),
    [(("cat", "dog"), 0.5), (("arrow_left", "dog"), 0.0), (("TurnRight", "cat"), 0.0), (("leftover", "cat"), 0.5),
     (("b", "d", "0", "O"), 0.0)],
)  # fmt: skip
def test_pictures_are_not_mirrored_where_that_makes_another_class(
    labels: tuple[str, ...], flip: float, tmp_path: Path
) -> None:
    root = marked(tmp_path, [[one(label) for label in labels]] * 3)
    assert proposed(root).augmentation.flip == flip
    assert set(proposed(root).classes) == set(labels)
    assert proposed(root).balance.method == "none"


def test_the_yaml_tells_each_reason_above_its_field_and_is_read_back(tmp_path: Path) -> None:
    root = marked(tmp_path / "my set", [[one("no: entry"), one("été # 2")], [one("yes")], [one("- 5")]])
    proposal = propose(root, progress=False)
    assert proposal.experiment.name == "my-set"
    path = tmp_path / "proposed.yaml"
    path.write_text(proposal.to_yaml(), encoding="utf-8")
    assert load_experiment(path) == proposal.experiment
    asked = proposal.overridden(steps=7)
    text = asked.to_yaml()
    assert yaml.safe_load(text) == proposal.experiment.overridden(steps=7).model_dump(mode="json")
    assert "  # 7, as asked for\n  steps: 7\n" in text
    lines = text.splitlines()
    above = lines[lines.index(next(line for line in lines if line.startswith("  input_width:"))) - 1]
    assert above.startswith("  # ")
    assert max(map(len, lines)) <= 120
    (tmp_path / "proposal.json").write_text(proposal.to_json())
    assert load_proposal(tmp_path / "proposal.json") == proposal


@pytest.mark.parametrize(
    ("text", "name"),
    [("My faces (v1.2)", "My-faces-v1.2"), ("..hidden", "hidden"), ("Tête à tête", "Tete-a-tete"), ("猫", "pictures")],
)
def test_a_folder_of_any_name_gives_one_that_a_run_can_have(text: str, name: str) -> None:
    assert usable_name(text) == name


def test_labels_that_look_like_one_class_are_not_merged_in_silence(tmp_path: Path) -> None:
    root = marked(tmp_path, [[one("with_mask"), one("dog")], [one("With mask")], [one("with_mask")]])
    with pytest.raises(BadData) as refused:
        propose(root, progress=False)
    assert "'with_mask' (2 boxes) and 'With mask' (1 boxes). `vigie data check` lists" in str(refused.value)


def test_a_set_that_cannot_be_learnt_from_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match=r"found nothing\. Expected one of: Pascal VOC"):
        propose(tmp_path / "empty", progress=False)
    with pytest.raises(BadData, match="none of its 3 annotated pictures has a box; mark the objects first"):
        propose(marked(tmp_path / "bare", [[]] * 3), progress=False)
    with pytest.raises(BadData, match="holds 2 annotated pictures"):
        propose(marked(tmp_path / "two", [[one("cat")]] * 2), progress=False)


def test_broken_files_are_all_named_at_once(tmp_path: Path) -> None:
    root = marked(tmp_path, [[one("cat")]] * 5)
    (root / "annotations" / "1.xml").write_text("<annotation")
    with pytest.raises(BadAnnotation, match=r"1\.xml: not well-formed"):
        propose(root, progress=False)
    (root / "images" / "3.jpg").unlink()
    with pytest.raises(BadData) as refused:
        propose(root, progress=False)
    assert "2 pictures cannot be used as they stand" in str(refused.value)
    assert "1.xml: not well-formed" in str(refused.value)
    assert "3.xml: <filename> names the picture '3.jpg'" in str(refused.value)
    assert str(refused.value).endswith("`vigie data check` tells the repair of each")


def test_the_size_is_taken_from_the_header_where_no_label_file_tells_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for number in range(3):
        done, encoded = cv2.imencode(".png", np.zeros((90, 160, 3), np.uint8))
        assert done
        (tmp_path / "images" / f"{number}.png").write_bytes(encoded.tobytes()[:60])  # the header alone
        images.append({"id": number, "file_name": f"{number}.png"})
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [16, 9, 80, 45]})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    facts = read_facts(tmp_path, progress=False)
    assert facts.aspects == pytest.approx(160 / 90)
    assert facts.boxes[0] == pytest.approx([0.1, 0.1, 0.6, 0.6])
