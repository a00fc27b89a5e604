"""Pictures that stand in the set twice are found, and how far their annotations agree."""

import json
from pathlib import Path
from typing import Any

import cv2
import needs
import numpy as np
import pytest

from vigie.data.doctor.check import check
from vigie.data.doctor.duplicates import Twins, twins_of
from vigie.data.doctor.findings import Finding
from vigie.data.doctor.picture_files import PictureFile
from vigie.data.likeness import MOST_TWINS
from vigie.data.looks import Fingerprint, perceptual_hash
from vigie.pictures import encode_jpeg


def found_in(root: Path, code: str) -> list[Finding]:
    return [found for found in check(root, progress=False).findings if found.code == code]


def smaller_and_coarser(path: Path) -> bytes:
    bgr = cv2.resize(cv2.imread(str(path)), (120, 90), interpolation=cv2.INTER_AREA)
    return encode_jpeg(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), quality=60)


def test_a_copy_is_identical_and_a_smaller_coarser_one_is_near(maker: Any) -> None:
    maker.add("a", ("cat", 1, 1, 80, 60))
    original = maker.root / "images" / "a.jpg"
    maker.add("b", ("cat", 1, 1, 80, 60), encoded=original.read_bytes())
    maker.picture("c", smaller_and_coarser(original))
    maker.add("d", ("cat", 1, 1, 80, 60))
    assert [(it.file, it.other) for it in found_in(maker.root, "picture-identical")] == [
        ("images/b.jpg", "images/a.jpg")
    ]
    assert [(it.file, it.other) for it in found_in(maker.root, "picture-near-duplicate")] == [
        ("images/c.jpg", "images/a.jpg")
    ]


def test_twins_that_agree_have_no_finding_of_disagreement(maker: Any) -> None:
    maker.add("a", ("cat", 1, 1, 80, 60))
    maker.add("b", ("cat", 1, 1, 80, 60), encoded=(maker.root / "images" / "a.jpg").read_bytes())
    assert not found_in(maker.root, "annotations-disagree") + found_in(maker.root, "annotations-ceiling")


def test_the_ceiling_is_what_annotators_agree_on(maker: Any) -> None:
    maker.add("a", ("cat", 1, 1, 100, 100), ("dog", 101, 1, 150, 50))
    twin = (maker.root / "images" / "a.jpg").read_bytes()
    maker.add("b", ("cat", 1, 1, 100, 72), ("cat", 101, 1, 150, 50), encoded=twin)
    [disagree] = found_in(maker.root, "annotations-disagree")
    assert (disagree.file, disagree.other) == ("annotations/b.xml", "annotations/a.xml")
    assert disagree.found == ("of 2 objects 0 have no partner in annotations/a.xml and 1 another class; mean IoU 0.86")
    # One of two agrees in class, at IoU .72: under five of the ten thresholds.
    [ceiling] = found_in(maker.root, "annotations-ceiling")
    assert ceiling.found == (
        "on 1 pairs of twins the 2 objects agree with a mean IoU of 0.86 and 50% in class: "
        "mAP@[.5:.95] ends at about 0.25"
    )


def picture(name: str, thumbnail: Any) -> PictureFile:
    return PictureFile(name, (32, 32), fingerprint=Fingerprint(name, perceptual_hash(thumbnail), thumbnail))


def test_thousands_of_pictures_are_compared_across_blocks() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (3000, 4, 4), np.uint8)
    looks = [np.asarray(cv2.resize(it, (32, 32), interpolation=cv2.INTER_CUBIC), np.uint8) for it in noise]
    looks[2900] = looks[3]
    found = twins_of([picture(str(number), look) for number, look in enumerate(looks)])
    assert Twins("3", "2900", False, 0, pytest.approx(1.0, abs=1e-5)) in found


def test_frames_of_one_camera_do_not_drown_the_report() -> None:
    look = np.random.default_rng(2).integers(0, 255, (32, 32), np.uint8)
    found = twins_of([picture(str(number), look) for number in range(300)])
    assert len(found) == sum(min(number, MOST_TWINS) for number in range(300))


def test_pictures_of_one_colour_are_no_twins() -> None:
    plain = [np.full((32, 32), grey, np.uint8) for grey in (0, 90, 255)]
    assert twins_of([picture(str(number), look) for number, look in enumerate(plain)]) == []


def test_the_known_faults_of_the_face_mask_set_are_found() -> None:
    data = needs.shared_data()
    known = json.loads((data / "facemask_known.json").read_text(encoding="utf-8"))
    findings = check(data / "facemask", progress=False).findings
    twins = {
        frozenset((Path(it.file).stem, Path(it.other or "").stem))
        for it in findings
        if it.code in ("picture-identical", "picture-near-duplicate")
    }
    near, scene = ({frozenset(pair) for pair in known[name]} for name in ("near_duplicates", "same_scene"))
    assert twins >= near
    assert len(twins - near - scene) <= 5
    outside = {(Path(it.file).stem, it.object) for it in findings if it.code.startswith("box-outside")}
    assert outside == {tuple(place) for place in known["outside"]}
