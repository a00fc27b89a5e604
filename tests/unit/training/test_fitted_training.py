"""A training with anchors that are auto, of letterboxed pictures."""

from typing import Any

import numpy as np
import pytest

from vigie.anchors import AnchorSpec
from vigie.data.prepare import read_part
from vigie.errors import BadRun
from vigie.fitted_anchors import FittedAnchors, what_is_asked, write_fitted
from vigie.pictures import Picture
from vigie.runs import Run, load_run

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")


def test_a_training_fits_the_anchors_that_its_detector_then_has(tiny_run: Run, copied: Any) -> None:
    from vigie.training.network.checkpoint_detector import checkpoint_detector
    from vigie.training.train import load_trained, train

    run = copied(
        tiny_run,
        {
            "model": {"resize": "letterbox", "anchors": "auto"},
            "training": {"steps": 2, "checkpoint_every": 2, "warmup_steps": 0},
        },
    )
    done = train(run, progress=False)
    again = load_run(run.folder)
    assert load_trained(again) == done
    assert again.experiment.model.grid == run.experiment.model.grid
    detector = checkpoint_detector(again, score_threshold=0.0)
    wide = Picture.from_pixels(np.tile(next(iter(read_part(run.records, "test"))).picture.rgb(), (1, 4, 1)))
    [found] = detector.detect([wide])
    assert found
    assert max(one.box.bottom for one in found) <= wide.height

    # Of other pictures the run has other anchors; its weights are still read with those that they were trained with.
    write_fitted(
        run.anchors_file,
        FittedAnchors(anchors=AnchorSpec(size=7.0), asked=what_is_asked(run.asked), pictures="others"),
        "for a test",
    )
    assert again.experiment.model.grid == AnchorSpec(size=7.0)
    [same] = checkpoint_detector(again, score_threshold=0.0).detect([wide])
    assert same == found
    with pytest.raises(BadRun, match="was trained on another experiment or other records"):
        load_trained(again)
