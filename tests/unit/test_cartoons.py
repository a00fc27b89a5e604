import dataclasses
from itertools import pairwise

import cv2
import numpy as np
import pytest

from vigie.cartoons import LABELS, Face, Light, MovingScene, draw_scene, random_scene
from vigie.cartoons.faces import random_looks
from vigie.cartoons.scenes import covered
from vigie.domain import LabelledBox
from vigie.errors import BadSetting


def a_face(label: str = "without_mask", **changes: object) -> Face:
    return dataclasses.replace(Face(label, 80.0, 90.0, 60.0, random_looks(np.random.default_rng(3))), **changes)  # type: ignore[arg-type]


def test_the_same_seed_draws_the_same_picture_and_another_seed_another() -> None:
    rgb, objects = random_scene(5, 320, 240, 4)
    again, same_objects = random_scene(5, 320, 240, 4)
    other, _ = random_scene(6, 320, 240, 4)
    assert np.array_equal(rgb, again)
    assert objects == same_objects
    assert not np.array_equal(rgb, other)


def test_training_pictures_hold_one_to_n_faces_of_all_classes_inside_the_picture() -> None:
    seen: set[str] = set()
    counts = set()
    for seed in range(60):
        rgb, objects = random_scene(seed, 320, 240, 4)
        assert rgb.shape == (240, 320, 3)
        assert rgb.dtype == np.uint8
        counts.add(len(objects))
        seen |= {labelled.label for labelled in objects}
        assert all(o.box.left >= 0 and o.box.top >= 0 and o.box.right <= 320 and o.box.bottom <= 240 for o in objects)
        assert overlap_of(objects) < 0.2
    assert seen == set(LABELS)
    assert counts == {1, 2, 3, 4}


def test_training_faces_range_from_small_to_large() -> None:
    widths = [labelled.box.width for seed in range(80) for labelled in random_scene(seed, 320, 240, 4)[1]]
    assert min(widths) < 0.16 * 240
    assert max(widths) > 0.36 * 240
    assert min(widths) > 0.1 * 240


@pytest.mark.parametrize("tilt", [0.0, 0.25, -0.3])
def test_the_box_of_a_face_is_that_of_its_drawn_oval(tilt: float) -> None:
    # The same person bald, on white, with and without the oval's colours changed: what differs is the oval.
    looks = dataclasses.replace(a_face().looks, hair_style="bald", beard=False, glasses=False)
    face = a_face(looks=looks, tilt_rad=tilt)
    drawn = np.zeros((200, 200), np.uint8)
    centre, axes = (face.x - 0.5, face.y - 0.5), (face.width, face.width * 1.25)
    cv2.ellipse(drawn, (centre, axes, np.degrees(tilt)), 255, -1)
    rows, columns = np.nonzero(drawn.max(axis=1))[0], np.nonzero(drawn.max(axis=0))[0]
    expected = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    box = face.box
    assert np.allclose((box.left, box.top, box.right, box.bottom), expected, atol=1.5)
    # And the picture does have the skin's outline there: the face is drawn where its box says.
    rgb = draw_scene(np.full((200, 200, 3), 255, np.uint8), [face], Light())
    assert not np.array_equal(rgb[round(box.top) + 1, round(face.x + np.sin(tilt) * face.width * 0.6)], (255, 255, 255))
    assert np.array_equal(rgb[round(box.top) - 3, round(face.x + np.sin(tilt) * face.width * 0.6)], (255, 255, 255))


def test_the_classes_differ_clearly_at_24_pixels() -> None:
    backdrop = np.full((60, 60, 3), 160, np.uint8)
    for seed in range(20):
        looks = random_looks(np.random.default_rng(seed))
        pictures = [draw_scene(backdrop, [Face(label, 30, 28, 24, looks)], Light()).astype(int) for label in LABELS]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            changed = np.abs(pictures[one] - pictures[other]).sum(axis=2) > 60
            assert changed.sum() >= 25, f"seed {seed}: {LABELS[one]} looks like {LABELS[other]}"


def test_a_moving_scene_is_a_pure_function_of_its_seed_and_the_frame_number() -> None:
    one, other = MovingScene(2, 320, 240, 3), MovingScene(2, 320, 240, 3)
    one.at(0)
    rgb, objects = one.at(57)
    again, same = other.at(57)
    assert np.array_equal(rgb, again)
    assert objects == same == one.truth(57)
    assert not np.array_equal(rgb, one.at(58)[0])


@pytest.mark.parametrize("faces", [1, 3, 5, 8, 12])
def test_moving_faces_go_smoothly_inside_the_picture_and_never_cover_each_other(faces: int) -> None:
    scene = MovingScene(faces, 640, 480, faces)
    before = scene.truth(0)
    moved = 0.0
    for seq in range(1, 400):
        now = scene.truth(seq)
        assert len(now) == faces
        assert overlap_of(now) == 0.0
        for old, new in zip(before, now, strict=True):
            step = abs(new.box.left - old.box.left) + abs(new.box.top - old.box.top)
            assert step < 40, "a face jumps"
            moved += step
            assert new.box.left >= 0
            assert new.box.top >= 0
            assert new.box.right <= 640
            assert new.box.bottom <= 480
        before = now
    assert moved > 400


def test_moving_faces_keep_their_class_for_about_ten_seconds_and_show_all_in_turn() -> None:
    scene = MovingScene(9, faces=3)
    for person in range(3):
        labels = [scene.truth(seq)[person].label for seq in range(700)]
        changes = [seq for seq in range(1, 700) if labels[seq] != labels[seq - 1]]
        assert set(labels) == set(LABELS)
        assert all(80 <= later - earlier <= 120 for earlier, later in pairwise(changes))
    assert {labelled.label for labelled in scene.truth(0)} <= set(LABELS)


@pytest.mark.parametrize(
    ("size", "faces", "found"), [((640, 480), 0, "0"), ((640, 480), 13, "13"), ((10, 480), 2, "10x480")]
)
def test_a_scene_that_cannot_be_drawn_is_refused(size: tuple[int, int], faces: int, found: str) -> None:
    with pytest.raises(BadSetting, match=found):
        MovingScene(1, *size, faces)


def test_a_face_of_no_known_class_is_refused() -> None:
    with pytest.raises(ValueError, match="with_mask, without_mask, mask_weared_incorrect, not 'hat'"):
        a_face("hat")


def overlap_of(objects: tuple[LabelledBox, ...]) -> float:
    pairs = [(one.box, other.box) for i, one in enumerate(objects) for other in objects[:i]]
    return max((max(one.iou(other), covered(one, other)) for one, other in pairs), default=0.0)
