"""Anchors in numbers where an experiment asks for `anchors: auto`."""

import logging
from pathlib import Path

import numpy as np

from vigie.anchors import AnchorSpec
from vigie.data.doctor.anchor_fit import MATCH_IOU, fitted, share_matched
from vigie.data.manifest import load_manifest
from vigie.data.summary import boxes_at_input
from vigie.experiment import Experiment, ModelSpec
from vigie.fitted_anchors import FittedAnchors, what_is_asked, write_fitted
from vigie.runs import Run

logger = logging.getLogger(__name__)


def fit_anchors(run: Run) -> None:
    """Fit them to the boxes of the run's training part as large as they are at its input; `run.experiment` has them
    from then on. Nothing is done where the experiment has numbers, or where these boxes had theirs before.

    Raises:
        BadData: the records are missing or half-made.
    """
    if run.asked.model.anchors != "auto":
        return
    pictures = load_manifest(run.records).source_hash
    before = run.fitted_anchors()
    if before is not None and before.pictures == pictures:
        logger.info("anchors already fitted: file=%s", run.anchors_file)
        return
    spec, why = _fit(run.records, run.asked.model)
    write_fitted(run.anchors_file, FittedAnchors(anchors=spec, asked=what_is_asked(run.asked), pictures=pictures), why)
    logger.info("anchors: file=%s", run.anchors_file)


def with_fitted_anchors(records: Path, experiment: Experiment) -> Experiment:
    """The experiment for these records alone, without a run: its anchors in numbers where they are auto.

    Raises:
        BadData: the records are missing or half-made.
    """
    if experiment.model.anchors != "auto":
        return experiment
    return experiment.with_anchors(_fit(records, experiment.model)[0])


def _fit(records: Path, model: ModelSpec) -> tuple[AnchorSpec, str]:
    """And what came of it, in a line."""
    boxes = boxes_at_input(records, model.input_width, model.input_height, model.resize)
    # There are such: of each class a picture to train on is asked for when records are made.
    corners = boxes[boxes["part"] == "train"][["left_px", "top_px", "right_px", "bottom_px"]].to_numpy(np.float64)
    size = model.input_width, model.input_height
    usual = AnchorSpec()
    spec = fitted(corners, usual, *size)
    why = (
        f"Fitted to {len(corners)} boxes of the training part at {size[0]}x{size[1]} ({model.resize}): "
        f"{share_matched(corners, spec, *size):.1%} of them have an anchor with IoU {MATCH_IOU}, "
        f"the usual anchors would match {share_matched(corners, usual, *size):.1%}"
    )
    logger.info("anchors: %s: %s", why, spec)
    return spec, why
