import hashlib
from pathlib import Path

import pytest

from vigie import voc
from vigie.cartoons import LABELS
from vigie.data.synthetic import write_set
from vigie.errors import BadData, BadSetting
from vigie.pictures import Picture


def digest(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_a_set_is_in_the_layout_of_the_real_one_and_its_boxes_need_no_clipping(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", pictures=20, seed=3, width=160, height=120, progress=False)
    folder = voc.open_folder(root)
    assert len(folder.annotations) == len(folder.pictures) == 20
    labels: set[str] = set()
    for path in folder.annotations:
        annotation = voc.read_annotation(path)
        picture = Picture.from_file(folder.picture_of(annotation))
        assert annotation.size == (picture.width, picture.height) == (160, 120)
        assert voc.clipped(annotation.objects, 160, 120) == (annotation.objects, ())
        labels |= {labelled.label for labelled in annotation.objects}
    assert labels == set(LABELS)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_pictures(tmp_path: Path) -> None:
    sets = [
        write_set(tmp_path / name, pictures=6, seed=seed, width=96, height=96, progress=False)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    one, same, other = (digest(root) for root in sets)
    assert one == same
    assert not set(one.values()) & set(other.values())


def test_an_older_set_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_set(tmp_path / "set", pictures=5, seed=1, width=96, height=96, progress=False)
    write_set(tmp_path / "set", pictures=2, seed=1, width=96, height=96, progress=False)
    assert len(list((tmp_path / "set" / "images").iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(BadData, match="holds files of another kind"):
        write_set(tmp_path, pictures=1, seed=1, progress=False)
    assert (tmp_path / "holiday.jpg").exists()


@pytest.mark.parametrize(("pictures", "seed", "width"), [(0, 1, 320), (5, -1, 320), (5, 1, 20)])
def test_numbers_that_cannot_be_drawn_are_refused(tmp_path: Path, pictures: int, seed: int, width: int) -> None:
    with pytest.raises(BadSetting, match=f"asked for {pictures} of {width}x240 with seed {seed}"):
        write_set(tmp_path / "set", pictures=pictures, seed=seed, width=width, progress=False)
    assert not list(tmp_path.iterdir())
