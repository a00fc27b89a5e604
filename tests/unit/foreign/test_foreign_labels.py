"""Names of classes, as the files that people have give them."""

from pathlib import Path

import needs
import pytest

from vigie.errors import BadBundle, BadSetting
from vigie.foreign import labels
from vigie.foreign.sidecar import Sidecar, read_sidecar
from vigie.foreign.spellings import spelled_as

NOTHING = Sidecar()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "detect.tflite"
    path.write_bytes(b"")
    return path


def beside(model: Path, name: str, text: str) -> None:
    model.with_name(name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["labelmap.txt", "labels.txt", "labels_coco_dataset_80.txt", "coco_labels.txt", "detect.txt", "coco.names"]
)
def test_a_labels_file_beside_the_model_is_found_by_its_usual_names(model: Path, name: str) -> None:
    beside(model, name, "person\ncat\n\n")
    assert labels.rows_of(model, NOTHING) == ["person", "cat"]


def test_the_sidecar_counts_more_than_the_file_and_that_more_than_what_lies_beside_it(model: Path) -> None:
    beside(model, "labels.txt", "beside\n")
    beside(model, "other.lst", "named\n")
    assert labels.rows_of(model, Sidecar(labels=("told", "so"))) == ["told", "so"]
    assert labels.rows_of(model, Sidecar(labels="other.lst"), ["packed"]) == ["named"]
    assert labels.rows_of(model, NOTHING, ["packed"]) == ["packed"]
    assert labels.rows_of(model, NOTHING) == ["beside"]


def test_no_labels_are_asked_for_by_name(model: Path) -> None:
    with pytest.raises(
        BadBundle, match=r"detect\.tflite: has no labels in it .* put labelmap\.txt .* detect\.tflite\.yaml"
    ):
        labels.rows_of(model, NOTHING)
    with pytest.raises(BadBundle, match=r"absent\.txt: the labels cannot be read"):
        labels.rows_of(model, Sidecar(labels="absent.txt"))
    beside(model, "labels.txt", "\n\n???\n")
    with pytest.raises(BadBundle, match=r"labels\.txt: has no labels in it"):
        labels.rows_of(model, NOTHING)


def test_two_files_that_might_both_be_meant_are_named(model: Path) -> None:
    beside(model, "labels_en.txt", "person\n")
    beside(model, "labels_fr.txt", "personne\n")
    with pytest.raises(BadBundle, match=r"beside it lie labels_en\.txt, labels_fr\.txt; name one under `labels`"):
        labels.rows_of(model, NOTHING)


def test_a_label_map_of_the_object_detection_api_has_gaps_where_numbers_are_missing(model: Path) -> None:
    beside(model, "label_map.pbtxt", 'item { id: 1 name: "person" }\nitem { id: 3 name: "car" }\n')
    assert labels.of_classes(labels.rows_of(model, NOTHING), 3, None, "x") == ["person", None, "car"]


def test_numbers_before_the_names_are_places() -> None:
    assert labels.rows_in("0 person\n2  traffic light\n") == ["person", "???", "traffic light"]
    assert labels.rows_in("0: person\r\n1: car\r\n") == ["person", "car"]
    assert labels.rows_in("\ufeff3 musketeers\nperson\n") == ["3 musketeers", "person"]


@pytest.mark.parametrize("first", ["???", "background", "Background"])
def test_classes_of_decoded_boxes_count_from_the_first_that_is_not_the_background(first: str) -> None:
    assert labels.of_classes([first, "person", "???", "car"], 3, None, "x") == ["person", None, "car"]
    assert labels.of_classes(["person", "???", "car"], 3, None, "x") == ["person", None, "car"]


def test_a_sidecar_may_say_that_the_background_is_counted_or_that_a_row_only_looks_like_it() -> None:
    assert labels.of_classes(["nothing", "person"], 2, True, "x") == [None, "person"]
    assert labels.of_columns(["nothing", "person"], 2, True, "x") == [None, "person"]
    assert labels.of_columns(["background", "person"], 2, False, "x") == ["background", "person"]


def test_fewer_labels_than_classes_are_refused_and_more_are_harmless() -> None:
    with pytest.raises(BadBundle, match=r"x\.tflite: tells 90 classes apart and has 2 labels"):
        labels.of_classes(["person", "car"], 90, None, "x.tflite")
    assert labels.of_classes(["person", "car"], 1, None, "x") == ["person", "car"]


@pytest.mark.parametrize("rows", [["background", "cat", "dog"], ["cat", "dog"]])
def test_the_backgrounds_score_has_no_label_whether_or_not_its_row_is_there(rows: list[str]) -> None:
    assert labels.of_columns(rows, 3, None, "x") == [None, "cat", "dog"]


def test_a_row_for_a_background_that_has_no_score_is_dropped() -> None:
    assert labels.of_columns(["background", "cat", "dog"], 2, None, "x") == ["cat", "dog"]
    assert labels.of_columns(["cat", "dog"], 2, None, "x") == ["cat", "dog"]


@pytest.mark.parametrize("rows", [["cat"], ["cat", "dog", "cow", "hen"], ["background", "cat"]])
def test_labels_that_do_not_count_up_to_the_scores_are_refused(rows: list[str]) -> None:
    with pytest.raises(BadBundle, match=f"x: gives 3 scores a box and has {len(rows)} labels"):
        labels.of_columns(rows, 3, None, "x")


def test_a_sidecar_is_strict_about_its_words(model: Path) -> None:
    assert read_sidecar(model) == NOTHING
    beside(model, "detect.tflite.yaml", "score_threshold: .4\ninput: {mean: 127.5, std: [1, 2, 3]}\nlabels: [a, b]\n")
    found = read_sidecar(model)
    assert (found.score_threshold, found.input.mean, found.input.std, found.labels) == (
        0.4,
        127.5,
        (1, 2, 3),
        ("a", "b"),
    )
    beside(model, "detect.tflite.yaml", "score_treshold: .4\n")
    with pytest.raises(BadSetting, match=r"detect\.tflite\.yaml: score_treshold: there is no such setting"):
        read_sidecar(model)
    beside(model, "detect.tflite.yaml", "input: {mean: 3}\n")
    with pytest.raises(BadSetting, match="mean and std belong together"):
        read_sidecar(model)
    beside(model, "detect.tflite.yaml", "a: [b\n")
    with pytest.raises(BadSetting, match=r"detect\.tflite\.yaml: cannot be read as YAML"):
        read_sidecar(model)


def test_the_two_spellings_of_coco_are_one_label_where_only_the_other_is_known() -> None:
    assert spelled_as("sofa", ["couch", "tv"]) == "couch"
    assert spelled_as("tv", ["tvmonitor"]) == "tvmonitor"
    assert spelled_as("sofa", ["sofa", "couch"]) == "sofa"
    assert spelled_as("sofa", ["person"]) == "sofa"
    assert spelled_as("person", ["couch"]) == "person"


def test_the_sidecar_in_the_documentation_is_one(model: Path) -> None:
    text = (needs.ROOT / "docs" / "models.md").read_text()
    beside(model, "detect.tflite.yaml", text.split("`<file>.yaml`")[1].split("```yaml\n")[1].split("```")[0])
    told = read_sidecar(model)
    assert told.raw is not None
    assert told.model_fields_set == set(Sidecar.model_fields) - {"order", "max_detections"}
