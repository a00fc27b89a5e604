import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import needs
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vigie import voc
from vigie.cartoons import LABELS
from vigie.data.prepare import PARTS, Manifest, label_map, load_manifest, part_files, prepare, read_part, source_hash
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData, BadPicture, BadSetting
from vigie.experiment import Split
from vigie.pictures import Picture


def prepared(root: Path, out: Path, **changes: object) -> Manifest:
    asked: dict[str, object] = {"classes": LABELS, "pictures_per_shard": 8, "progress": False}
    return prepare(root, out, **(asked | changes))  # type: ignore[arg-type]


def digest(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def first_annotation(root: Path) -> Path:
    return min((root / "annotations").iterdir())


def test_every_picture_comes_back_with_its_bytes_and_its_boxes(cartoon_set: Path, tmp_path: Path) -> None:
    manifest = prepared(cartoon_set, tmp_path / "records")
    samples = [sample for part in PARTS for sample in read_part(tmp_path / "records", part)]
    folder = voc.open_folder(cartoon_set)
    assert sorted(sample.source_id for sample in samples) == list(range(1, 31))
    for sample in samples:
        path = folder.annotations[sample.source_id - 1]
        true = voc.read_annotation(path)
        assert sample.filename == true.filename
        assert sample.picture.jpeg() == (cartoon_set / "images" / sample.filename).read_bytes()
        assert [found.label for found in sample.objects] == [wanted.label for wanted in true.objects]
        for found, wanted in zip(sample.objects, true.objects, strict=True):
            assert found.box.iou(wanted.box) > 0.999
    assert load_manifest(tmp_path / "records") == manifest


def test_model_gardens_own_decoder_reads_what_is_written(cartoon_set: Path, tmp_path: Path) -> None:
    import tensorflow as tf
    from official.vision.dataloaders.tf_example_decoder import TfExampleDecoder

    prepared(cartoon_set, tmp_path / "records")
    decoder = TfExampleDecoder()
    for part in PARTS:
        samples = list(read_part(tmp_path / "records", part))
        dataset = tf.data.TFRecordDataset([str(path) for path in part_files(tmp_path / "records", part)])
        decoded = [decoder.decode(record) for record in dataset]
        assert len(decoded) == len(samples) > 0
        for tensors, sample in zip(decoded, samples, strict=True):
            width, height = sample.picture.width, sample.picture.height
            assert int(tensors["source_id"].numpy()) == sample.source_id
            assert (tensors["height"].numpy(), tensors["width"].numpy()) == (height, width)
            assert tensors["image"].numpy().shape == (height, width, 3)
            assert [LABELS[number - 1] for number in tensors["groundtruth_classes"].numpy()] == [
                labelled.label for labelled in sample.objects
            ]
            boxes = [(o.box.top, o.box.left, o.box.bottom, o.box.right) for o in sample.objects]
            found = tensors["groundtruth_boxes"].numpy() * [height, width, height, width]
            assert np.allclose(found, np.array(boxes), atol=0.01)
            areas = [labelled.box.area for labelled in sample.objects]
            assert np.allclose(tensors["groundtruth_area"].numpy(), areas, rtol=0.01)
            assert not tensors["groundtruth_is_crowd"].numpy().any()


def test_the_same_pictures_and_seed_give_the_same_bytes_and_another_seed_another_split(
    cartoon_set: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepared(cartoon_set, tmp_path / name, split=Split(seed=seed))
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a")["train_labels.csv"] != digest(tmp_path / "c")["train_labels.csv"]


def test_the_bytes_are_the_same_in_another_process(cartoon_set: Path, tmp_path: Path) -> None:
    prepared(cartoon_set, tmp_path / "here")
    code = (
        "import sys; from pathlib import Path; from vigie.data.prepare import prepare\n"
        f"prepare(Path(sys.argv[1]), Path(sys.argv[2]), classes={LABELS!r},\n"
        "        pictures_per_shard=8, progress=False)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run(
        [sys.executable, "-c", code, str(cartoon_set), str(tmp_path / "there")],
        check=True,
        env=environment,
        timeout=120,
    )
    assert digest(tmp_path / "here") == digest(tmp_path / "there")


def test_the_folder_holds_label_map_tables_shards_and_a_manifest_that_counts_them(
    cartoon_set: Path, tmp_path: Path
) -> None:
    out = tmp_path / "records"
    manifest = prepared(cartoon_set, out)
    assert (out / "label_map.pbtxt").read_text() == label_map(LABELS)
    boxes = 0
    for part in PARTS:
        facts = manifest.parts[part]
        table = pd.read_csv(out / f"{part}_labels.csv")
        assert list(table.columns) == ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
        assert table["class"].value_counts().to_dict() == {name: n for name, n in facts.boxes.items() if n}
        assert (table["xmin"] >= 1).all()
        assert (table["xmax"] <= table["width"]).all()
        samples = list(read_part(out, part))
        assert facts.pictures == len(samples)
        assert facts.without_objects == sum(not sample.objects for sample in samples)
        assert [path.name for path in part_files(out, part)] == list(facts.shards)
        boxes += len(table)
    assert boxes == sum(len(voc.read_annotation(path).objects) for path in (cartoon_set / "annotations").iterdir())
    assert len(manifest.parts["train"].shards) == 3
    assert manifest.parts["train"].shards[0] == "train-00000-of-00003.tfrecord"
    assert manifest.source_hash == source_hash(cartoon_set)
    found = digest(out)
    assert {name: facts.sha256 for name, facts in manifest.files.items()} == {
        name: value for name, value in found.items() if name != "manifest.json"
    }


def test_the_label_map_counts_from_one_and_quotes_names() -> None:
    assert label_map(["cat", "dog's"]) == "item {\n  id: 1\n  name: 'cat'\n}\nitem {\n  id: 2\n  name: 'dog\\'s'\n}\n"


def test_other_formats_and_turned_pictures_become_upright_jpegs(small_set: Path, tmp_path: Path, add_picture) -> None:
    png, objects = add_picture(small_set, "lossless.png")
    turned_rgb = np.zeros((128, 96, 3), np.uint8)
    turned_rgb[:20] = (255, 0, 0)  # its upper edge: to the right once turned
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(turned_rgb).save(small_set / "images" / "turned.jpg", exif=exif)
    box = LabelledBox("with_mask", Box(100, 10, 120, 30))
    voc.write_annotation(small_set / "annotations" / "turned.xml", "turned.jpg", 128, 96, [box])
    prepared(small_set, tmp_path / "records")
    samples = {sample.filename: sample for part in PARTS for sample in read_part(tmp_path / "records", part)}
    lossless, turned = samples["lossless.png"], samples["turned.jpg"]
    assert lossless.picture.format == turned.picture.format == "jpeg"
    assert len(lossless.objects) == len(objects)
    difference = np.abs(lossless.picture.rgb().astype(int) - Picture.from_file(png).rgb())
    assert difference.mean() < 6
    assert (turned.picture.width, turned.picture.height, turned.picture.turned) == (128, 96, False)
    assert turned.picture.rgb()[50, 120, 0] > 200
    assert turned.picture.rgb()[50, 20, 0] < 50
    assert turned.objects == (box,)


def test_pictures_without_objects_are_kept_and_those_without_a_label_file_counted(
    small_set: Path, tmp_path: Path, add_picture
) -> None:
    for number in range(4):
        add_picture(small_set, f"empty{number}.jpg", ())
    add_picture(small_set, "lonely.jpg")
    (small_set / "annotations" / "lonely.xml").unlink()
    manifest = prepared(small_set, tmp_path / "records")
    assert sum(facts.pictures for facts in manifest.parts.values()) == 16
    assert sum(facts.without_objects for facts in manifest.parts.values()) == 4
    assert manifest.unannotated == 1


def test_boxes_are_clipped_with_a_report(small_set: Path, tmp_path: Path, add_picture) -> None:
    over, outside = LabelledBox("with_mask", Box(100, 10, 129, 40)), LabelledBox("with_mask", Box(128, 0, 140, 9))
    add_picture(small_set, "over.jpg", (LabelledBox("without_mask", Box(0, 0, 128, 96)), over, outside))
    manifest = prepared(small_set, tmp_path / "records")
    assert [cut.model_dump() for cut in manifest.clipped] == [
        {
            "file": "over.xml",
            "object": 2,
            "label": "with_mask",
            "before": (100, 10, 129, 40),
            "after": (100, 10, 128, 40),
        },
        {"file": "over.xml", "object": 3, "label": "with_mask", "before": (128, 0, 140, 9), "after": None},
    ]
    samples = [sample for part in PARTS for sample in read_part(tmp_path / "records", part)]
    (clipped,) = [sample for sample in samples if sample.filename == "over.jpg"]
    assert [labelled.box for labelled in clipped.objects] == [Box(0, 0, 128, 96), Box(100, 10, 128, 40)]


def test_a_label_file_without_size_takes_the_pictures_own(small_set: Path, tmp_path: Path) -> None:
    path = first_annotation(small_set)
    text = path.read_text()
    path.write_text(text[: text.index("<size>")] + text[text.index("</size>") + len("</size>") :])
    manifest = prepared(small_set, tmp_path / "records")
    assert sum(facts.pictures for facts in manifest.parts.values()) == 12


def refused(root: Path, out: Path, kind: type[Exception], **changes: object) -> str:
    with pytest.raises(kind) as caught:
        prepared(root, out, **changes)
    assert not out.exists()
    assert not list(out.parent.glob(".*unfinished*"))
    return str(caught.value)


def test_an_unknown_label_names_file_object_label_and_the_known_ones(small_set: Path, tmp_path: Path) -> None:
    path = first_annotation(small_set)
    label = voc.read_annotation(path).objects[0].label
    edit(path, f"<name>{label}</name>", "<name>helmet</name>")
    assert refused(small_set, tmp_path / "records", BadAnnotation) == (
        f"{path}: object 1: the label 'helmet' is none of the classes with_mask, without_mask, mask_weared_incorrect; "
        "correct it or add the class to the experiment"
    )


def test_a_size_that_differs_from_the_pictures_is_refused(small_set: Path, tmp_path: Path) -> None:
    path = edit(first_annotation(small_set), "<width>128</width>", "<width>64</width>")
    assert refused(small_set, tmp_path / "records", BadAnnotation) == (
        f"{path}: <size> says 64x96, the picture {path.stem}.jpg has 128x96 pixels; "
        "correct <size> and the boxes, or replace the picture"
    )


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.bmp"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_picture_that_was_cut_short_is_refused(
    small_set: Path, tmp_path: Path, add_picture, name: str, kept: float
) -> None:
    path, _ = add_picture(small_set, name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    message = refused(small_set, tmp_path / "records", BadPicture)
    assert message.startswith(f"{path}: cannot be decoded to its end: ")
    assert message.endswith("get a whole copy of it")


def test_a_jpeg_that_is_corrupt_in_the_middle_is_refused_and_nothing_is_left_behind(
    cartoon_set: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(cartoon_set, tmp_path / "in" / "set")
    picture = root / "images" / "cartoon_00004.jpg"
    content = bytearray(picture.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 160] = content[:160]
    picture.write_bytes(content)
    with pytest.raises(BadPicture, match=r"cartoon_00004\.jpg: cannot be decoded to its end: .*get a whole copy"):
        prepared(root, tmp_path / "out" / "records")
    assert list((tmp_path / "out").iterdir()) == []


def test_garbage_and_an_empty_file_are_no_pictures(small_set: Path, tmp_path: Path) -> None:
    first, second = sorted((small_set / "images").iterdir())[:2]
    first.write_bytes(b"garbage")
    second.write_bytes(b"")
    message = refused(small_set, tmp_path / "records", BadPicture)
    assert f"{first}: not a picture" in message
    assert f"{second}: the picture is empty" in message


def test_a_missing_picture_is_named(small_set: Path, tmp_path: Path) -> None:
    (small_set / "images" / "cartoon_00003.jpg").unlink()
    message = refused(small_set, tmp_path / "records", BadAnnotation)
    assert "cartoon_00003.xml: <filename> names the picture 'cartoon_00003.jpg', and" in message


def test_two_label_files_of_one_picture_are_refused(small_set: Path, tmp_path: Path) -> None:
    edit(first_annotation(small_set), "cartoon_00000.jpg", "cartoon_00001.jpg")
    message = refused(small_set, tmp_path / "records", BadAnnotation)
    assert "cartoon_00000.xml: its picture cartoon_00001.jpg belongs to another label file too" in message
    assert "cartoon_00001.xml: its picture" in message


def test_all_problems_are_told_at_once_up_to_twenty(tmp_path: Path, cartoon_set: Path) -> None:
    root = shutil.copytree(cartoon_set, tmp_path / "voc")
    for path in sorted((root / "annotations").iterdir())[:24]:
        edit(path, "<width>160</width>", "<width>1</width>")
    sorted((root / "images").iterdir())[29].write_bytes(b"")
    message = refused(root, tmp_path / "records", BadData)
    lines = message.splitlines()
    assert lines[0] == f"{root}: 25 problems:"
    assert len(lines) == 22
    assert all("<size> says 1x120" in line for line in lines[1:21])
    assert lines[21].strip() == "and 5 more"


def test_too_few_pictures_and_a_class_that_no_picture_shows_are_refused(small_set: Path, tmp_path: Path) -> None:
    message = refused(small_set, tmp_path / "records", BadData, classes=(*LABELS, "helmet"))
    assert "no picture to train on shows the class 'helmet'; add annotated pictures" in message
    for path in sorted((small_set / "annotations").iterdir())[2:]:
        path.unlink()
    assert "2 pictures leave the part" in refused(small_set, tmp_path / "records", BadData)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ()}, "expected one or more different names"),
        ({"classes": ("a", "a")}, r"found \['a', 'a'\]"),
        ({"classes": ("a", " b")}, "expected one or more different names"),
        ({"classes": ("a\nb",)}, "expected one or more different names"),
        ({"pictures_per_shard": 0}, "expected at least 1, found 0"),
    ],
)
def test_classes_and_sizes_that_make_no_sense_are_refused(
    cartoon_set: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BadSetting, match=message):
        prepared(cartoon_set, tmp_path / "records", **changes)


def test_a_folder_of_another_kind_is_not_replaced(cartoon_set: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(BadData, match="holds files of another kind"):
        prepared(cartoon_set, tmp_path)
    assert (tmp_path / "mine").exists()


def test_records_that_are_absent_half_or_of_another_version_are_told_apart(cartoon_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "records"
    with pytest.raises(BadData, match=r"holds no records, manifest\.json cannot be read .* first"):
        load_manifest(out)
    prepared(cartoon_set, out)
    path = out / "manifest.json"
    whole = path.read_text()
    shard = part_files(out, "train")[0]
    content = shard.read_bytes()
    shard.write_bytes(content[:-5])
    with pytest.raises(BadData, match=rf"{shard.name}: has {len(content) - 5} bytes, not {len(content)}; .* again"):
        list(read_part(out, "train"))
    shard.unlink()
    with pytest.raises(BadData, match=f"{shard.name}: is missing"):
        load_manifest(out)
    damaged = bytearray(content)
    damaged[200] ^= 255
    shard.write_bytes(bytes(damaged))
    with pytest.raises(BadData, match=f"{shard.name}: is damaged"):
        list(read_part(out, "train"))
    path.write_text(whole[:100])
    with pytest.raises(BadData, match="damaged or of another version"):
        load_manifest(out)
    path.write_text(json.dumps(json.loads(whole) | {"version": 1}))
    with pytest.raises(BadData, match=r"version: input should be 2, found 1.*another version"):
        load_manifest(out)


def test_a_run_killed_in_the_middle_leaves_nothing_taken_for_whole_and_the_next_succeeds(
    cartoon_set: Path, tmp_path: Path
) -> None:
    out = tmp_path / "records"
    code = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from vigie.data import prepare as module, shards
        write = shards.put_together
        def slowly(pieces):
            write(pieces)
            time.sleep(60)
        shards.put_together = slowly
        module.prepare(Path(sys.argv[1]), Path(sys.argv[2]), classes={LABELS!r}, progress=False)
    """)
    process = subprocess.Popen([sys.executable, "-c", code, str(cartoon_set), str(out)])
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".records.unfinished-*/*.tfrecord")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(tmp_path.glob(".records.unfinished-*"))
    with pytest.raises(BadData, match="holds no records"):
        load_manifest(out)
    prepared(cartoon_set, out)
    assert load_manifest(out).parts["train"].pictures > 0
    assert [path.name for path in tmp_path.iterdir()] == ["records"]


def test_the_hash_of_a_set_changes_with_any_name_or_byte_and_nothing_else(small_set: Path) -> None:
    before = source_hash(small_set)
    assert len(before) == 64
    (small_set / "notes.txt").write_text("not part of it")
    os.utime(first_annotation(small_set), (0, 0))
    assert source_hash(small_set) == before
    picture = small_set / "images" / "cartoon_00000.jpg"
    picture.write_bytes(picture.read_bytes() + b"\0")
    changed = source_hash(small_set)
    picture.rename(picture.with_name("other.jpg"))
    assert len({before, changed, source_hash(small_set)}) == 3


def test_the_real_face_mask_set_prepares_with_its_known_counts(tmp_path: Path) -> None:
    root = needs.shared_data() / "facemask"
    started = time.perf_counter()
    manifest = prepared(root, tmp_path / "records", pictures_per_shard=256)
    assert time.perf_counter() - started < 60
    counts = {name: sum(manifest.parts[part].boxes[name] for part in PARTS) for name in LABELS}
    assert counts == {"with_mask": 2433, "without_mask": 570, "mask_weared_incorrect": 99}
    assert sum(facts.pictures for facts in manifest.parts.values()) == 683
    known = json.loads((root.parent / "facemask_known.json").read_text())["outside"]
    assert {(cut.file, cut.object) for cut in manifest.clipped} == {(f"{stem}.xml", number) for stem, number in known}
    assert all(cut.after is not None for cut in manifest.clipped)
    assert all(manifest.parts[part].boxes[name] for part in PARTS for name in LABELS)
    sample = next(read_part(tmp_path / "records", "test"))
    assert cv2.imdecode(np.frombuffer(sample.picture.jpeg(), np.uint8), cv2.IMREAD_COLOR) is not None
