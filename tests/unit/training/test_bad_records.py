"""Records that a training cannot learn from are named before or when it meets them, and nothing is lost."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from vigie.errors import BadData
from vigie.runs import Run, load_run
from vigie.training.train import train
from vigie.training.usable import check_records

CopyRun = Callable[..., Run]


def edit_manifest(run: Run, edit: Callable[[dict[str, Any]], None]) -> None:
    path = run.records / "manifest.json"
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))


def write_label_map(run: Run, text: str) -> None:
    (run.records / "label_map.pbtxt").write_text(text)
    edit_manifest(run, lambda values: values["files"]["label_map.pbtxt"].update(bytes=len(text)))


def test_records_of_a_whole_run_are_right(tiny_run: Run) -> None:
    check_records(tiny_run)


def test_classes_of_another_order_are_told_with_both(trained_run: Run, copied: CopyRun) -> None:
    run = copied(trained_run, {})
    weights = {path: path.read_bytes() for path in run.checkpoints.rglob("ckpt-*")}
    text = (run.folder / "experiment.yaml").read_text()
    names = run.experiment.classes
    values = yaml.safe_load(text)
    values["classes"].reverse()
    (run.folder / "experiment.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(BadData, match=rf"has the classes {', '.join(names)}, the experiment has {names[-1]}, "):
        train(load_run(run.folder), progress=False)
    assert {path: path.read_bytes() for path in run.checkpoints.rglob("ckpt-*")} == weights


def test_another_label_map_is_told(tiny_run: Run, copied: CopyRun) -> None:
    run = copied(tiny_run, {})
    write_label_map(run, "item {\n  id: 1\n  name: 'cat'\n}\n")
    with pytest.raises(BadData, match=r"label_map\.pbtxt: says 1 cat; the records were made with with_mask, "):
        check_records(run)


@pytest.mark.parametrize(
    ("facts", "what"),
    [({"pictures": 0}, "no picture"), ({"boxes": {}}, r"no object on its \d+ pictures")],
    ids=["no pictures", "no objects"],
)
def test_an_empty_validation_part_is_told_before_the_training(
    tiny_run: Run, copied: CopyRun, facts: dict[str, Any], what: str
) -> None:
    run = copied(tiny_run, {})
    edit_manifest(run, lambda values: values["parts"]["validation"].update(facts))
    with pytest.raises(BadData, match=rf"the part validation holds {what}, and the best weights are chosen by it"):
        train(run, progress=False)
    assert not run.checkpoints.exists()


def test_a_picture_that_is_none_is_told_by_its_name_and_the_checkpoint_stays(tiny_run: Run, copied: CopyRun) -> None:
    import tensorflow as tf

    run = copied(tiny_run, {"training": {"steps": 12, "checkpoint_every": 100}})
    (path,) = run.records.glob("train-*.tfrecord")
    records = [tf.train.Example.FromString(one) for one in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    spoilt = records[3].features.feature
    spoilt["image/encoded"].bytes_list.value[0] = spoilt["image/encoded"].bytes_list.value[0][:100]
    name = spoilt["image/filename"].bytes_list.value[0].decode()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in records:
            writer.write(one.SerializeToString())
    edit_manifest(run, lambda values: values["files"][path.name].update(bytes=path.stat().st_size))
    with pytest.raises(BadData, match=rf"^{name}: cannot be decoded; .*The checkpoint of step 0 is kept"):
        train(run, progress=False)
    assert (run.checkpoints / "ckpt-0.index").is_file()
