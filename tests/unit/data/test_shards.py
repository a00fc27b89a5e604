import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vigie.annotations import Cut
from vigie.cartoons import LABELS
from vigie.data import shards, source, tfrecords
from vigie.data.doctor.picture_files import Fingerprint, read_picture_file
from vigie.data.manifest import file_facts
from vigie.data.parts import PARTS, Part
from vigie.data.shards import records_key, write_records
from vigie.data.source import Source, checked_set, packed, read_sources, source_hash, unpacked
from vigie.domain import Box, LabelledBox
from vigie.errors import BadData, BadPicture

LOOK = Fingerprint("0" * 64, 1 << 63, np.arange(1024).astype(np.uint8).reshape(32, 32))


def dealt(sources: list[Source]) -> dict[Part, list[Source]]:
    return {"train": sources[:20], "validation": sources[20:25], "test": sources[25:]}


def written(folder: Path, parts: dict[Part, list[Source]], per_shard: int = 4) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    write_records(folder, parts, LABELS, per_shard, progress=False)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def a_source(**changes: object) -> Source:
    box, cut = Box(0.5, 1, 30.25, 40), Cut(2, "b", Box(-1, 0, 9, 9), None)
    objects = (LabelledBox("a", box), LabelledBox("é" * 200, Box(0, 0, 1000, 300)))
    made = Source(300, "x.xml", Path("x.jpg"), Path("x.xml"), 1000, 300, objects, (cut,), LOOK)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("objects", [a_source().objects, a_source().objects[:1], (), a_source().objects * 100])
@pytest.mark.parametrize("size", [0, 1, 127, 128, 70_000])
def test_an_example_has_the_bytes_that_tensorflow_gives_it(objects: tuple[LabelledBox, ...], size: int) -> None:
    import tensorflow as tf

    found = tfrecords.example(a_source(objects=objects), b"j" * size, ("a", *map(str, range(200)), "é" * 200))
    parsed = tf.train.Example.FromString(found)
    assert parsed.SerializeToString(deterministic=True) == found
    feature = parsed.features.feature
    assert len(feature) == 14
    assert feature["image/encoded"].bytes_list.value[0] == b"j" * size
    assert feature["image/width"].int64_list.value[0] == 1000
    assert list(feature["image/object/class/label"].int64_list.value) == [
        {"a": 1}.get(labelled.label, 202) for labelled in objects
    ]
    assert list(feature["image/object/bbox/xmax"].float_list.value) == pytest.approx(
        [labelled.box.right / 1000 for labelled in objects]
    )


def test_a_shard_has_the_bytes_that_tensorflows_writer_gives_it(tmp_path: Path) -> None:
    import tensorflow as tf

    records = [b"", b"one", os.urandom(100_000)]
    facts = tfrecords.write_shard(tmp_path / "ours", records)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert facts == file_facts(tmp_path / "theirs")
    assert {path.name for path in tmp_path.iterdir()} == {"ours", "theirs"}


def test_a_source_survives_the_way_between_processes() -> None:
    found = unpacked(packed(a_source()))
    assert found == a_source()
    assert (found.fingerprint.sha256, found.fingerprint.bits) == (LOOK.sha256, LOOK.bits)
    assert (found.fingerprint.thumbnail == LOOK.thumbnail).all()


def test_the_fingerprints_are_those_that_the_doctor_takes(cartoon_set: Path) -> None:
    for found_source in read_sources(cartoon_set, LABELS, progress=False):
        found, wanted = (
            found_source.fingerprint,
            read_picture_file(found_source.path, found_source.path.name).fingerprint,
        )
        assert wanted is not None
        assert (found.sha256, found.bits) == (wanted.sha256, wanted.bits)
        assert (found.thumbnail == wanted.thumbnail).all()


def test_the_bytes_and_the_hash_do_not_depend_on_processes(
    cartoon_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = checked_set(cartoon_set, LABELS, progress=False)
    one = written(tmp_path / "one", dealt(here.sources))
    for module in (shards, source):
        monkeypatch.setattr(module, "MANY", 1)
    there = checked_set(cartoon_set, LABELS, progress=False)
    assert there == here
    assert there.source_hash == source_hash(cartoon_set)
    assert written(tmp_path / "many", dealt(there.sources)) == one
    assert len(one) == 9


def test_problems_found_in_other_processes_are_told_as_here(
    cartoon_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(cartoon_set, tmp_path / "set")
    picture = root / "images" / "cartoon_00007.jpg"
    picture.write_bytes(picture.read_bytes()[:-300])
    monkeypatch.setattr(source, "MANY", 1)
    with pytest.raises(BadPicture, match=r"cartoon_00007\.jpg: cannot be decoded to its end"):
        read_sources(root, LABELS, progress=False)


def test_finished_shards_are_kept_and_the_rest_is_written(cartoon_set: Path, tmp_path: Path) -> None:
    parts = dealt(read_sources(cartoon_set, LABELS, progress=False))
    whole = written(tmp_path / "whole", parts)
    folder = tmp_path / "resumed"
    folder.mkdir()
    names = sorted(whole)
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
    assert written(folder, parts) == whole
    kept = [name for name in names if (folder / name).stat().st_mtime == 1]
    assert kept == [noted_whole]


def test_the_key_tells_all_that_the_bytes_depend_on(cartoon_set: Path) -> None:
    sources = read_sources(cartoon_set, LABELS, progress=False)
    parts = dealt(sources)
    other: dict[Part, list[Source]] = {**parts, "train": sources[1:20], "test": [*parts["test"], sources[0]]}
    keys = {
        records_key("a", parts, LABELS, 4), records_key("b", parts, LABELS, 4), records_key("a", other, LABELS, 4),
        records_key("a", parts, LABELS[::-1], 4), records_key("a", parts, LABELS, 5),
    }  # fmt: skip
    assert len(keys) == 5
    assert records_key("a", dict(reversed(parts.items())), LABELS, 4) in keys


def test_a_picture_that_changes_in_between_is_refused(cartoon_set: Path, tmp_path: Path) -> None:
    root = shutil.copytree(cartoon_set, tmp_path / "set")
    parts = dealt(read_sources(root, LABELS, progress=False))
    shutil.copy(root / "images" / "cartoon_00001.jpg", root / "images" / "cartoon_00000.jpg")
    with pytest.raises(BadData, match=r"cartoon_00000\.jpg: has changed since it was checked"):
        written(tmp_path / "records", parts)
    assert not list((tmp_path / "records").glob("*00000.jpg*"))


KILLED = textwrap.dedent(f"""
    import sys, time
    from pathlib import Path
    from vigie.data import prepare as module, tfrecords
    write = tfrecords.write_shard
    def slowly(path, examples):
        facts = write(path, examples)
        time.sleep(0.3)
        return facts
    tfrecords.write_shard = slowly
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
