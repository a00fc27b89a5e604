"""The whole examination of a data set."""

import logging
from collections.abc import Sequence
from pathlib import Path

from vigie.anchors import AnchorSpec
from vigie.data.doctor.annotations import check_annotations
from vigie.data.doctor.boxes import check_boxes
from vigie.data.doctor.duplicates import check_duplicates
from vigie.data.doctor.findings import Report, worst_first
from vigie.data.doctor.labels import check_labels
from vigie.data.doctor.pictures import check_pictures
from vigie.data.doctor.reading import DataSet, read_set
from vigie.data.doctor.training_fit import check_training_fit
from vigie.experiment import Anchors
from vigie.resizing import InputSize, Resize

logger = logging.getLogger(__name__)
_DEFAULT_ANCHORS = AnchorSpec()


def check(
    folder: Path,
    *,
    classes: Sequence[str] | None = None,
    input_size: tuple[int, int] = (320, 320),
    anchors: Anchors = _DEFAULT_ANCHORS,
    resize: Resize = "stretch",
    progress: bool = True,
) -> Report:
    """Everything that is wrong with a VOC set. A broken file is a finding; the set is not touched.

    `classes` are the experiment's; without them any label is a class. `input_size` is the detector's width and height,
    `resize` how pictures come to it; anchors that are auto are those that the boxes of the set would get.

    Raises:
        BadData: the folder is absent, or holds neither label files nor pictures.
    """
    data = read_set(folder, progress=progress)
    return examine(data, classes=classes, input_size=input_size, anchors=anchors, resize=resize)


def examine(
    data: DataSet,
    *,
    classes: Sequence[str] | None,
    input_size: tuple[int, int],
    anchors: Anchors,
    resize: Resize = "stretch",
) -> Report:
    """Everything that is wrong with a set that was read; see `check`."""
    findings = check_annotations(data) + check_pictures(data) + check_boxes(data) + check_labels(data, classes)
    findings += check_duplicates(data) + check_training_fit(data, InputSize(*input_size, resize), anchors)
    objects = sum(len(pair.labels.objects) for pair in data.pairs)
    report = Report(len(data.pictures), len(data.pairs), objects, worst_first(findings))
    logger.info(
        "checked: pictures=%d objects=%d errors=%d warnings=%d",
        report.pictures, report.objects, report.errors, report.warnings,
    )  # fmt: skip
    return report
