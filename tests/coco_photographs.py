"""How well a detector of COCO's classes does on 200 photographs of its validation part."""

from collections.abc import Mapping

import needs
import pytest

from vigie.errors import BadPicture
from vigie.foreign.spellings import spelled_as
from vigie.pictures import Picture
from vigie.ports import Detector


def map50(detector: Detector, *, renamed: Mapping[str, str] | None = None) -> float:
    """COCO's, over the classes that the detector has; `renamed` are labels that COCO calls something else."""
    pytest.importorskip("pycocotools", reason="pycocotools is not installed: install vigie[train]")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    folder = needs.shared_data() / "coco_val200"
    truth = COCO(str(folder / "instances.json"))
    ids = {category["name"]: category["id"] for category in truth.dataset["categories"]}
    of_label = {label: ids[spelled_as((renamed or {}).get(label, label), ids)] for label in detector.labels}
    results = []
    for image in truth.dataset["images"]:
        [entry] = detector.detect([Picture.from_file(folder / "images" / image["file_name"])])
        assert not isinstance(entry, BadPicture)
        for one in entry:
            sides = [one.box.left, one.box.top, one.box.width, one.box.height]
            results.append(
                {"image_id": image["id"], "category_id": of_label[one.label], "bbox": sides, "score": one.score}
            )
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.params.catIds = sorted(of_label.values())
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[1])
