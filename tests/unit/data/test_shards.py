import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vigie.cartoons import LABELS
from vigie.data import shards, source
from vigie.data.doctor.picture_files import read_picture_file
from vigie.data.examples import Corners, example, framed
from vigie.data.manifest import file_facts
from vigie.data.parts import PARTS
from vigie.data.shards import Rows, records_key, write_records
from vigie.data.source import CheckedSet, checked_set, source_hash
from vigie.data.spool import Pieces, put_together
from vigie.data.workers import Workers
from vigie.errors import BadPicture

PARTS_OF_30: Rows = {
    "train": np.arange(20), "validation": np.arange(20, 25), "test": np.arange(25, 30),
}  # fmt: skip
Check = Callable[[Path], CheckedSet]


@pytest.fixture
def check(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Check]:
    """Checks a set; what goes to the spool stays until the end of the test."""
    with Workers(2) as workers:
        yield lambda root: checked_set(root, LABELS, tmp_path_factory.mktemp("spool"), progress=False, workers=workers)


def written(folder: Path, checked: CheckedSet, per_shard: int = 4) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    with Workers(2) as workers:
        _, facts = write_records(folder, checked, PARTS_OF_30, per_shard, progress=False, workers=workers)
    assert facts == {path.name: file_facts(path) for path in folder.iterdir()}
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


BOXES: list[tuple[str, Corners]] = [("a", (0.5, 1, 30.25, 40)), ("é" * 200, (0, 0, 1000, 300))]


@pytest.mark.parametrize("boxes", [BOXES, BOXES[:1], [], BOXES * 100])
@pytest.mark.parametrize("size", [0, 1, 127, 128, 70_000])
def test_an_example_has_the_bytes_that_tensorflow_gives_it(boxes: list[tuple[str, Corners]], size: int) -> None:
    import tensorflow as tf

    ids = [{"a": 1}.get(label, 202) for label, _ in boxes]
    found = example(
        b"j" * size, filename="x.jpg", number=300, width=1000, height=300,
        labels=[label.encode() for label, _ in boxes], ids=ids, corners=[corners for _, corners in boxes],
    )  # fmt: skip
    parsed = tf.train.Example.FromString(found)
    assert parsed.SerializeToString(deterministic=True) == found
    feature = parsed.features.feature
    assert len(feature) == 14
    assert feature["image/encoded"].bytes_list.value[0] == b"j" * size
    assert feature["image/width"].int64_list.value[0] == 1000
    assert feature["image/source_id"].bytes_list.value[0] == b"300"
    assert list(feature["image/object/class/label"].int64_list.value) == ids
    assert list(feature["image/object/is_crowd"].int64_list.value) == [0] * len(boxes)
    for place, (name, side) in enumerate([("xmin", 1000), ("ymin", 300), ("xmax", 1000), ("ymax", 300)]):
        assert list(feature[f"image/object/bbox/{name}"].float_list.value) == pytest.approx(
            [corners[place] / side for _, corners in boxes]
        )


def test_a_file_put_together_has_the_bytes_that_tensorflows_writer_gives_it(tmp_path: Path) -> None:
    import tensorflow as tf

    records = [b"", b"one", os.urandom(100_000)]
    spools = [tmp_path / "a", tmp_path / "b"]
    for path, some in zip(spools, (records[1:], records[:1]), strict=True):
        path.write_bytes(b"before" + b"".join(map(framed, some)))
    lengths = np.array([len(framed(record)) for record in records], np.uint32)
    offsets = np.array([6, 6, 6 + lengths[1]], np.uint64)
    numbers = np.array([1, 0, 0], np.uint16)
    pieces = Pieces(str(tmp_path / "ours"), b"", [str(path) for path in spools], numbers, offsets, lengths)
    facts = put_together(pieces)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert facts == tuple(file_facts(tmp_path / "theirs").model_dump().values())
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "ours", "theirs"}
    spools[0].write_bytes(b"cut short")
    with pytest.raises(OSError, match="of 19 bytes at 6"):
        put_together(pieces)


def test_the_fingerprints_are_those_that_the_doctor_takes(cartoon_set: Path, check: Check) -> None:
    checked = check(cartoon_set)
    looks = np.fromfile(checked.looks, np.uint8).reshape(-1, 32, 32)
    assert len(looks) == len(checked) == 30
    for row, key in enumerate(checked.pictures):
        wanted = read_picture_file(checked.found.pictures[key], key).fingerprint
        assert wanted is not None
        assert (checked.sha256[row].tobytes().hex(), checked.bits[row]) == (wanted.sha256, wanted.bits)
        assert (looks[row] == wanted.thumbnail).all()


def test_the_bytes_and_the_hash_do_not_depend_on_processes(
    cartoon_set: Path, tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = check(cartoon_set)
    one = written(tmp_path / "one", here)
    for module in (shards, source):
        monkeypatch.setattr(module, "MANY", 1)
    monkeypatch.setattr(source, "_SMALLEST_BATCH", 4)
    there = check(cartoon_set)
    assert there.pictures == here.pictures
    assert (there.boxes == here.boxes).all()
    assert (there.bits == here.bits).all()
    assert there.source_hash == here.source_hash == source_hash(cartoon_set)
    assert written(tmp_path / "many", there) == one
    assert len(one) == 9 + 3


def test_problems_found_in_other_processes_are_told_as_here(
    cartoon_set: Path, tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(cartoon_set, tmp_path / "set")
    picture = root / "images" / "cartoon_00007.jpg"
    picture.write_bytes(picture.read_bytes()[:-300])
    monkeypatch.setattr(source, "MANY", 1)
    with pytest.raises(BadPicture, match=r"cartoon_00007\.jpg: cannot be decoded to its end"):
        check(root)


def test_finished_shards_are_kept_and_the_rest_is_written(cartoon_set: Path, tmp_path: Path, check: Check) -> None:
    checked = check(cartoon_set)
    whole = written(tmp_path / "whole", checked)
    folder = tmp_path / "resumed"
    folder.mkdir()
    names = sorted(name for name in whole if name.endswith(".tfrecord"))
    notes = []
    for name in names[:4]:
        (folder / name).write_bytes(whole[name])
        facts = file_facts(folder / name)
        notes.append(f'["{name}", {facts.bytes}, "{facts.sha256}"]')
        os.utime(folder / name, (1, 1))
    noted_whole, cut_short, damaged, not_noted = names[:4]
    (folder / cut_short).write_bytes(whole[cut_short][:-1])
    (folder / damaged).write_bytes(bytes(len(whole[damaged])))
    (folder / "finished.jsonl").write_text("\n".join(notes[:3]) + f'\n["{not_noted}", 12')
    (folder / ".half.tfrecord.part").write_bytes(b"half")
    (folder / "ImageSets").mkdir()
    (folder / "ImageSets" / "old").touch()
    assert written(folder, checked) == whole
    kept = [name for name in names if (folder / name).stat().st_mtime == 1]
    assert kept == [noted_whole]


def test_the_key_tells_all_that_the_bytes_depend_on() -> None:
    parts = PARTS_OF_30
    other = {**parts, "train": np.arange(1, 20), "test": np.array([*range(25, 30), 0])}
    keys = {
        records_key("a", parts, LABELS, 4), records_key("b", parts, LABELS, 4), records_key("a", other, LABELS, 4),
        records_key("a", parts, LABELS[::-1], 4), records_key("a", parts, LABELS, 5),
    }  # fmt: skip
    assert len(keys) == 5
    assert records_key("a", dict(reversed(list(parts.items()))), LABELS, 4) in keys


def test_a_picture_that_changes_after_it_was_looked_at_is_recorded_as_it_was(
    cartoon_set: Path, tmp_path: Path, check: Check
) -> None:
    whole = written(tmp_path / "whole", check(cartoon_set))
    root = shutil.copytree(cartoon_set, tmp_path / "set")
    checked = check(root)
    shutil.copy(root / "images" / "cartoon_00001.jpg", root / "images" / "cartoon_00000.jpg")
    assert written(tmp_path / "records", checked) == whole


KILLED = textwrap.dedent(f"""
    import sys, time
    from pathlib import Path
    from vigie.data import prepare as module, shards
    write = shards.put_together
    def slowly(pieces):
        facts = write(pieces)
        time.sleep(0.3)
        return facts
    shards.put_together = slowly
    module.prepare(Path(sys.argv[1]), Path(sys.argv[2]), classes={LABELS!r}, pictures_per_shard=2, progress=False)
""")


def test_a_killed_run_is_taken_up_where_it_was(cartoon_set: Path, tmp_path: Path) -> None:
    from vigie.data.prepare import prepare

    out = tmp_path / "records"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(cartoon_set), str(out)])
    notes: list[Path] = []
    try:
        deadline = time.monotonic() + 60
        while not notes or notes[0].read_text().count("\n") < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
            notes = list(tmp_path.glob(".records.unfinished-*/finished.jsonl"))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    noted = [line.split('"')[1] for line in notes[0].read_text().splitlines()]
    before = {name: (notes[0].parent / name).stat().st_mtime_ns for name in noted}
    prepare(cartoon_set, out, classes=LABELS, pictures_per_shard=2, progress=False)
    assert {name: (out / name).stat().st_mtime_ns for name in noted} == before
    prepare(cartoon_set, tmp_path / "at_once", classes=LABELS, pictures_per_shard=2, progress=False)
    first, second = (
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (out, tmp_path / "at_once")
    )
    assert first == second
    assert len([name for name in first if name.endswith(".tfrecord")]) >= len(PARTS)
    assert {path.name for path in tmp_path.iterdir()} == {"records", "at_once"}
