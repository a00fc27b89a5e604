import numpy as np
import pytest

from vigie.data.prepare import read_part
from vigie.domain import Detection
from vigie.errors import BadRun
from vigie.runs import Run
from vigie.training import plots
from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD, evaluate
from vigie.training.network.checkpoint_detector import checkpoint_detector


def test_losses_are_drawn_with_their_running_means(trained_run: Run) -> None:
    (axes,) = plots.loss_curve(trained_run).axes
    assert [text.get_text().split()[0] for text in axes.get_legend().get_texts()] == ["total", "class", "box"]
    assert {len(line.get_xdata()) for line in axes.lines} == {20}


def test_validations_are_drawn_with_the_best_one_marked(trained_run: Run) -> None:
    (axes,) = plots.validation_curve(trained_run).axes
    drawn = {text.get_text() for text in axes.get_legend().get_texts()}
    assert drawn == {"mAP", "mAP50", *(f"AP50 of {label}" for label in trained_run.experiment.classes)}
    assert [text.get_text().split()[0] for text in axes.texts] == ["best"]


def test_a_run_without_losses_has_no_curve(tiny_run: Run) -> None:
    with pytest.raises(BadRun, match=r"losses\.csv: holds no losses"):
        plots.loss_curve(tiny_run)


def test_every_picture_of_a_gallery_shows_true_and_found_boxes(tiny_run: Run) -> None:
    samples = list(read_part(tiny_run.records, "test"))[:3]
    found = [[Detection(marked.label, 0.9, marked.box) for marked in sample.objects] for sample in samples]
    figure = plots.gallery(samples, found, tiny_run.experiment.classes, columns=2)
    assert [axes.get_title() for axes in figure.axes] == [*(sample.filename for sample in samples), ""]
    for axes, sample in zip(figure.axes, samples, strict=False):
        (image,) = axes.get_images()
        assert np.any(np.asarray(image.get_array()) != sample.picture.rgb())


def test_the_table_of_an_evaluation_ends_with_the_mean(trained_run: Run) -> None:
    detector = checkpoint_detector(trained_run, score_threshold=EVALUATION_SCORE_THRESHOLD)
    samples = list(read_part(trained_run.records, "test"))
    evaluation = evaluate(detector, samples, labels=detector.labels, progress=False)
    table = plots.per_class(evaluation)
    assert table.index.tolist() == [*trained_run.experiment.classes, "mean"]
    assert table.columns.tolist() == ["AP", "AP50", "count"]
    assert table.loc["mean", "count"] == sum(len(sample.objects) for sample in samples)
    (axes,) = plots.precision_recall(evaluation).axes
    assert len(axes.lines) == sum(table["count"].iloc[:-1] > 0)
