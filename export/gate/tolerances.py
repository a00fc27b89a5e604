"""By how much each file may differ from the checkpoint."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from vigie.bundle import FP16, FP32, INT8, ONNX, POSTPROCESS, SAVED_MODEL


class Tolerance(BaseModel):
    """None: reported, not gated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mAP: float = Field(description="that may be lost")  # noqa: N815 - COCO's name, as in metrics.json
    either_way: bool = Field(default=False, description="no more of it may be won either: it is the same arithmetic")
    boxes_px: float | None = Field(default=None, description="of a raw box scored .05 or more, at the input's size")
    score: float | None = Field(default=None, description="of any label at any anchor")
    class_AP50: float | None = Field(  # noqa: N815
        default=None, description="of a class may be lost: the whole paired 95 % interval must not lie beyond it"
    )


_SAME = Tolerance(mAP=0.0005, either_way=True, boxes_px=0.01, score=0.001)
# Half precision and integers round; where that happens to find more, nothing is wrong with the file.
TOLERANCES: Mapping[str, Tolerance] = {
    FP32: _SAME,
    SAVED_MODEL: _SAME,
    ONNX: _SAME,
    FP16: Tolerance(mAP=0.002),
    INT8: Tolerance(mAP=0.016, class_AP50=0.02),
    # Its suppression of boxes knows no classes.
    POSTPROCESS: Tolerance(mAP=0.06),
}

FEWEST_BOXES = 50
"""With fewer true boxes a class is reported, not gated."""
