from vigie.demo import Verdict, count_found
from vigie.domain import Box, Detection, LabelledBox

FACE = Box(10, 10, 50, 60)
ELSEWHERE = Box(100, 10, 140, 60)
TRUTH = [LabelledBox("with_mask", FACE), LabelledBox("without_mask", ELSEWHERE)]


def test_a_face_counts_as_found_by_a_box_of_its_class_in_its_place() -> None:
    assert count_found(TRUTH, [Detection("with_mask", 0.9, Box(12, 12, 52, 62))]) == 1
    assert count_found(TRUTH, [Detection("without_mask", 0.9, FACE)]) == 0
    assert count_found(TRUTH, [Detection("with_mask", 0.9, Box(30, 35, 70, 85))]) == 0
    assert count_found(TRUTH, []) == 0


def test_one_box_counts_for_one_face() -> None:
    twice = [LabelledBox("with_mask", FACE), LabelledBox("with_mask", Box(11, 11, 51, 61))]
    assert count_found(twice, [Detection("with_mask", 0.9, FACE)]) == 1


def test_the_demo_is_good_when_four_of_five_frames_are_right_and_never_without_frames() -> None:
    assert Verdict(frames=10, right=8, faces=30, found=20).good
    assert not Verdict(frames=10, right=7, faces=30, found=20).good
    assert not Verdict(frames=0, right=0, faces=0, found=0).good
    assert "no annotated frame" in str(Verdict(0, 0, 0, 0))
    assert str(Verdict(10, 8, 30, 21)) == "10 annotated frames, a right box in 80% of them, 70% of all faces found"
