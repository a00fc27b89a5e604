"""The anchors of a run that asks for `anchors: auto`."""

import logging

import numpy as np

from vigie.anchors import AnchorSpec
from vigie.data.doctor.anchor_fit import MATCH_IOU, fitted, share_matched
from vigie.data.manifest import load_manifest
from vigie.data.summary import boxes_at_input
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
    model = run.asked.model
    boxes = boxes_at_input(run.records, model.input_width, model.input_height, model.resize)
    # There are such: of each class a picture to train on is asked for when records are made.
    corners = boxes[boxes["part"] == "train"][["left_px", "top_px", "right_px", "bottom_px"]].to_numpy(np.float64)
    size = model.input_width, model.input_height
    usual, spec = AnchorSpec(), fitted(corners, AnchorSpec(), *size)
    why = (
        f"Fitted to {len(corners)} boxes of the training part at {size[0]}x{size[1]} ({model.resize}): "
        f"{share_matched(corners, spec, *size):.1%} of them have an anchor with IoU {MATCH_IOU}, "
        f"of the usual anchors {share_matched(corners, usual, *size):.1%}"
    )
    write_fitted(run.anchors_file, FittedAnchors(anchors=spec, asked=what_is_asked(run.asked), pictures=pictures), why)
    logger.info("anchors: %s: %s; file=%s", why, spec, run.anchors_file)
