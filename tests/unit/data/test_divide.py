"""Lists that are given, parts that are kept, and groups, on real folders of pictures."""

import json
import logging
import shutil
from pathlib import Path

import needs
import pytest

from vigie.cartoons import LABELS
from vigie.data.atomic import scratch_folder
from vigie.data.divide import Division, divide, input_hash
from vigie.data.manifest import Manifest
from vigie.data.parts import PARTS
from vigie.data.prepare import load_manifest, prepare, read_part, source_hash
from vigie.data.source import checked_set
from vigie.data.synthetic import write_set
from vigie.data.workers import Workers
from vigie.errors import BadData, BadSetting, VigieError
from vigie.experiment import Split

MAIN = "ImageSets/Main"


def divided(root: Path, before: Path, split: Split | None = None, classes: tuple[str, ...] = LABELS) -> Division:
    with Workers() as workers, scratch_folder(before) as spool:
        checked = checked_set(root, classes, spool, progress=False, workers=workers)
        return divide(root, checked, classes, split or Split(), before=before, workers=workers)


def prepared(root: Path, out: Path, split: Split | None = None, classes: tuple[str, ...] = LABELS) -> Manifest:
    return prepare(root, out, classes=classes, split=split or Split(), progress=False)


def lists_in(records: Path) -> dict[str, list[str]]:
    return {path.stem: path.read_text().splitlines() for path in (records / MAIN).iterdir()}


def write_lists(folder: Path, **lists: list[int | str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, listed in lists.items():
        lines = (entry if isinstance(entry, str) else f"cartoon_{entry:05d}" for entry in listed)
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


def stems(*numbers: int) -> list[str]:
    return [f"cartoon_{number:05d}" for number in numbers]


def test_the_lists_that_are_written_are_the_parts_of_the_records(cartoon_set: Path, tmp_path: Path) -> None:
    manifest = prepared(cartoon_set, tmp_path / "records")
    lists = lists_in(tmp_path / "records")
    for part, name in zip(PARTS, ("train", "val", "test"), strict=True):
        names = sorted(Path(sample.filename).stem for sample in read_part(tmp_path / "records", part))
        assert lists.pop(name) == names
    assert list(lists) == ["trainval"]
    assert len(lists["trainval"]) == manifest.parts["train"].pictures + manifest.parts["validation"].pictures
    assert manifest.division.model_dump() == {"groups": 30, "torn_groups": 0, "lists": None, "kept": 0, "left_out": 0}
    (tmp_path / "records" / MAIN / "val.txt").unlink()
    with pytest.raises(BadData, match=r"ImageSets/Main/val\.txt: is missing"):
        load_manifest(tmp_path / "records")


@pytest.mark.parametrize("place", [MAIN, "VOCdevkit/VOC2012/ImageSets/Main", "imagesets/main"])
def test_the_sets_own_lists_are_used_unless_told_otherwise(small_set: Path, tmp_path: Path, place: str) -> None:
    folder = write_lists(
        small_set / place, train=[0, 1, 2, 3, 4, 5, 6], val=[7, 8], test=[9, 10], cat_train=["cartoon_00011  1"],
        trainval=[0, 11],
    )  # fmt: skip
    division = divided(small_set, tmp_path / "none")
    assert {part: sorted(division.names[part]) for part in PARTS} == {
        "train": stems(*range(7)), "validation": stems(7, 8), "test": stems(9, 10),
    }  # fmt: skip
    assert (division.facts.lists, division.facts.left_out) == (place, 1)
    drawn = divided(small_set, tmp_path / "none", Split(lists="none"))
    assert (drawn.facts.lists, drawn.facts.left_out) == (None, 0)
    before = input_hash(small_set, Split())
    assert input_hash(small_set, Split(lists="none")) == source_hash(small_set) != before
    write_lists(folder, test=[9, 11])
    assert input_hash(small_set, Split()) != before


def test_without_a_list_for_the_test_it_is_drawn_out_of_those_to_train_on(cartoon_set: Path, tmp_path: Path) -> None:
    lists = write_lists(tmp_path / "lists", train=list(range(20)), val=list(range(20, 30)))
    split = Split(lists=str(lists), test=0.25)
    division = divided(cartoon_set, tmp_path / "none", split)
    assert sorted(division.names["validation"]) == stems(*range(20, 30))
    assert len(division.names["test"]) == 5
    assert sorted(division.names["train"] + division.names["test"]) == stems(*range(20))


def test_a_csv_tells_the_parts_and_the_records_follow_it(small_set: Path, tmp_path: Path) -> None:
    table = tmp_path / "parts.csv"
    rows = [
        f"images/cartoon_{n:05d}.jpg,{part}" for n, part in enumerate(["train"] * 8 + ["val", "validation", "test"])
    ]
    table.write_text("\n".join(["filename,part", *rows]))
    manifest = prepared(small_set, tmp_path / "records", Split(lists=str(table)))
    assert {part: manifest.parts[part].pictures for part in PARTS} == {"train": 8, "validation": 2, "test": 1}
    assert lists_in(tmp_path / "records")["val"] == stems(8, 9)
    assert manifest.division.left_out == 1


@pytest.mark.parametrize(
    ("lists", "kind", "message"),
    [
        ({"train": [0], "val": [1, "nobody"]}, BadData, r"val\.txt: line 2: 'nobody' is no picture of the set; add"),
        ({"train": [0], "val": [1, 0]}, BadData, r"val\.txt: line 2: 'cartoon_00000' is for validation, and for train"),
        ({"train": [0]}, BadData, r"lists no picture for validation"),
        ({}, BadSetting, r"split\.lists: .*lists: there is no folder"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    small_set: Path, tmp_path: Path, lists: dict[str, list[int | str]], kind: type[VigieError], message: str
) -> None:
    if lists:
        write_lists(tmp_path / "lists", **lists)
    with pytest.raises(kind, match=message):
        divided(small_set, tmp_path / "none", Split(lists=str(tmp_path / "lists")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,part\na,train\n", "expected the columns filename and part, found name, part"),
        ("filename,part\ncartoon_00000.jpg,learn\n", "line 2: expected a file name and train, .*found .* and 'learn'"),
    ],
)
def test_a_csv_of_another_kind_is_refused(small_set: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "parts.csv").write_text(text)
    with pytest.raises(BadData, match=message):
        divided(small_set, tmp_path / "none", Split(lists=str(tmp_path / "parts.csv")))


def test_pictures_of_one_name_in_two_folders_and_of_two_endings_are_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number, below in enumerate(("a", "b")):
        write_set(tmp_path / below, pictures=4, seed=number, width=128, height=96, progress=False)
        for path in [*(tmp_path / below / "images").iterdir(), *(tmp_path / below / "annotations").iterdir()]:
            (root / below).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / below)
    division = divided(root, tmp_path / "none")
    assert sorted(name for part in PARTS for name in division.names[part]) == [
        f"{below}/{stem}" for below in "ab" for stem in stems(0, 1, 2, 3)
    ]
    lists = write_lists(tmp_path / "lists", train=["a/cartoon_00000", "cartoon_00001"], val=["b/cartoon_00000"])
    with pytest.raises(BadData, match=r"train\.txt: line 2: 'cartoon_00001' may be any of .*; add folder and ending"):
        divided(root, tmp_path / "none", Split(lists=str(lists)))


def test_added_pictures_leave_the_old_ones_where_they_were_and_another_seed_does_not(
    cartoon_set: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(cartoon_set, tmp_path / "voc")
    late = [root / "annotations" / f"{stem}.xml" for stem in stems(*range(20, 30))]
    for path in late:
        path.rename(tmp_path / path.name)
    prepared(root, tmp_path / "records")
    before = lists_in(tmp_path / "records")
    for path in late:
        (tmp_path / path.name).rename(path)
    (root / "annotations" / f"{before['train'][0]}.xml").unlink()
    (root / "images" / f"{before['train'][0]}.jpg").unlink()
    manifest = prepared(root, tmp_path / "records")
    after = lists_in(tmp_path / "records")
    assert manifest.division.kept == 19
    assert set(before["train"][1:]) <= set(after["train"])
    assert all(set(before[name]) <= set(after[name]) for name in ("val", "test"))
    assert prepared(root, tmp_path / "records", Split(seed=2)).division.kept == 0


def test_copies_stay_together_and_lists_that_part_them_are_told(
    small_set: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        shutil.copy(small_set / "images" / "cartoon_00003.jpg", small_set / "images" / f"copy{number}.jpg")
        text = (small_set / "annotations" / "cartoon_00003.xml").read_text()
        (small_set / "annotations" / f"copy{number}.xml").write_text(
            text.replace("cartoon_00003.jpg", f"copy{number}.jpg")
        )
    division = divided(small_set, tmp_path / "none")
    family = {"cartoon_00003", "copy0", "copy1", "copy2", "copy3"}
    assert [family <= set(division.names[part]) for part in PARTS].count(True) == 1
    assert (division.facts.groups, division.facts.torn_groups) == (12, 0)
    lists = write_lists(tmp_path / "lists", train=[3, 4], val=["copy0"], test=[5])
    with caplog.at_level(logging.WARNING):
        assert divided(small_set, tmp_path / "none", Split(lists=str(lists))).facts.torn_groups == 1
    assert "groups=1 such as cartoon_00003 (train), copy0 (validation)" in caplog.text
    assert "annotated pictures are in no list and are left out: pictures=12" in caplog.text


def test_the_face_masks_are_divided_by_share_of_every_class_and_look_alikes_stay_together(tmp_path: Path) -> None:
    root = needs.shared_data() / "facemask"
    with Workers() as workers, scratch_folder(tmp_path / "none") as spool:
        checked = checked_set(root, LABELS, spool, progress=False, workers=workers)
        division = divide(root, checked, LABELS, Split(), before=tmp_path / "none", workers=workers)
    shares = {"train": 0.7, "validation": 0.15, "test": 0.15}
    for column, label in enumerate(LABELS):
        count = {part: int(checked.boxes[division.parts[part], column].sum()) for part in PARTS}
        total = sum(count.values())
        assert count == pytest.approx({part: share * total for part, share in shares.items()}, rel=0.03, abs=1), label
    part_of = {name: part for part in PARTS for name in division.names[part]}
    pairs = json.loads((root.parent / "facemask_known.json").read_text())["near_duplicates"]
    assert len(pairs) == 8
    assert [pair for pair in pairs if part_of[pair[0]] != part_of[pair[1]]] == []
    assert division.facts.torn_groups == 0


def test_fifty_face_masks_added_to_three_hundred_leave_those_where_they_were(tmp_path: Path) -> None:
    whole = needs.shared_data() / "facemask"
    root = tmp_path / "facemask"
    labels = sorted((whole / "annotations").iterdir())[:350]
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)

    def add(paths: list[Path]) -> None:
        for path in paths:
            shutil.copy(path, root / "annotations")
            (picture,) = (whole / "images").glob(f"{path.stem}.*")
            shutil.copy(picture, root / "images")

    add(labels[:300])
    assert prepared(root, tmp_path / "records").division.kept == 0
    before = lists_in(tmp_path / "records")
    add(labels[300:])
    manifest = prepared(root, tmp_path / "records")
    after = lists_in(tmp_path / "records")
    assert manifest.division.kept == 300
    assert all(set(before[name]) <= set(after[name]) for name in ("train", "val", "test"))
    assert {part: manifest.parts[part].pictures for part in PARTS} == pytest.approx(
        {"train": 245, "validation": 52.5, "test": 52.5}, abs=4
    )
