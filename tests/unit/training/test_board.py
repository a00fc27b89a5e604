from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.plugins.hparams import metadata

from vigie.data.prepare import Sample, read_part
from vigie.domain import Detection
from vigie.pictures import Picture
from vigie.runs import Run
from vigie.training.board import Board, hyper_parameters_of
from vigie.training.evaluating.evaluation import Evaluation, evaluate


class AllFound:
    """Finds every true box, surely."""

    def __init__(self, samples: Sequence[Sample], labels: Sequence[str]) -> None:
        self.labels = labels
        self._samples = list(samples)

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        seen, self._samples = self._samples[: len(pictures)], self._samples[len(pictures) :]
        return [[Detection(marked.label, 0.9, marked.box) for marked in sample.objects] for sample in seen]


@pytest.fixture
def samples(tiny_run: Run) -> list[Sample]:
    return list(read_part(tiny_run.records, "validation"))


@pytest.fixture
def evaluation(tiny_run: Run, samples: list[Sample]) -> Evaluation:
    labels = tiny_run.experiment.classes
    return evaluate(AllFound(samples, labels), samples, labels=labels, progress=False)


def events_of(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={TENSORS: 0})
    events.Reload()
    return events


def scalars(folder: Path, tag: str) -> dict[int, float]:
    return {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events_of(folder).Tensors(tag)}


def test_training_and_validation_are_two_lines_of_one_chart(tmp_path: Path, evaluation: Evaluation) -> None:
    board = Board(tmp_path)
    board.trained(np.array([[1, 3, 2, 1], [2, 2.5, 1.75, 0.75]], np.float32), learning_rate=0.01, pictures_per_s=12.0)
    board.validated(2, evaluation, losses=(2.25, 1.5, 0.75))
    board.close()
    assert scalars(tmp_path / "train", "loss/total") == {1: 3.0, 2: 2.5}
    assert scalars(tmp_path / "train", "loss/box") == {1: 1.0, 2: 0.75}
    assert scalars(tmp_path / "train", "learning_rate") == {2: pytest.approx(0.01)}
    assert scalars(tmp_path / "train", "pictures_per_second") == {2: 12.0}
    assert scalars(tmp_path / "validation", "loss/total") == {2: 2.25}


def test_every_class_has_its_average_precision(tmp_path: Path, evaluation: Evaluation) -> None:
    board = Board(tmp_path)
    board.validated(20, evaluation)
    board.close()
    assert scalars(tmp_path / "validation", "metrics/mAP50") == {20: pytest.approx(1.0)}
    for label, found in evaluation.per_class.items():
        if found.count:
            assert scalars(tmp_path / "validation", f"AP50/{label}") == {20: pytest.approx(1.0)}


def test_curves_confusion_and_pictures_with_boxes_are_shown(
    tmp_path: Path, evaluation: Evaluation, samples: list[Sample]
) -> None:
    board = Board(tmp_path)
    board.validated(20, evaluation, samples=samples)
    board.close()
    events = events_of(tmp_path / "validation")
    for tag in ("precision_recall", "confusion", "pictures"):
        width, height, encoded = tf.make_ndarray(events.Tensors(tag)[0].tensor_proto)
        image = tf.io.decode_png(encoded)
        assert image.shape == (int(height), int(width), 3)
        assert np.asarray(image).std() > 5  # there is something on it


def test_a_run_stands_beside_others_with_what_its_experiment_chose(tmp_path: Path, tiny_run: Run) -> None:
    board = Board(tmp_path)
    board.compared(tiny_run.experiment, name="tiny")
    board.close()
    events = events_of(tmp_path)
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    started = metadata.parse_session_start_info_plugin_data(content)
    assert started.group_name == "tiny"
    assert started.hparams["training.batch"].number_value == 4
    assert started.hparams["model.anchors.aspect_ratios"].string_value == "1.0, 2.0, 0.5"


def test_what_is_looked_at_first_stands_in_the_first_columns(tmp_path: Path, tiny_run: Run) -> None:
    board = Board(tmp_path)
    board.compared(tiny_run.experiment, name="tiny")
    board.close()
    content = events_of(tmp_path).SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    table = metadata.parse_experiment_plugin_data(content)
    assert [info.name for info in table.hparam_infos][:3] == [
        "training.init",
        "training.steps",
        "training.learning_rate",
    ]
    assert {info.name for info in table.hparam_infos} == set(hyper_parameters_of(tiny_run.experiment))
    assert [(info.name.group, info.name.tag) for info in table.metric_infos] == [
        ("validation", "metrics/mAP50"),
        ("validation", "metrics/mAP"),
    ]


def test_what_cannot_be_compared_is_left_out(tiny_run: Run) -> None:
    chosen = hyper_parameters_of(tiny_run.experiment)
    assert not [name for name in chosen if name.startswith(("name", "classes", "split", "hardware"))]
    assert chosen["training.init"] == "from scratch"
