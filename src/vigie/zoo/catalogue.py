"""Detectors of others that run here as they are, with where they come from.

A checksum stands here only if somebody published it; `known_by` tells who. Where nobody did, the first download is
trusted and pinned, see `vigie.zoo.fetching`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LARGEST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a model. `bytes` and `sha256` are None where they are not published."""

    name: str
    url: str
    bytes: int | None = None
    sha256: str | None = None
    known_by: str = ""

    @property
    def most_bytes(self) -> int:
        """What a download of it may have."""
        return self.bytes or _LARGEST_BYTES


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be fetched. Its first part is the large one, which a checksum given by hand speaks of.

    `run` is the part that detectors are given; `sidecar` says of it what the file does not, see `vigie.foreign`.
    """

    name: str
    what: str
    licence: str
    page: str
    run: str
    parts: Sequence[Part]
    sidecar: str = ""

    @property
    def main(self) -> Part:
        return self.parts[0]


_FPNLITE_SIDECAR = """\
# What the file does not say of itself.
background: true
raw: {coding: corners, order: xyxy}
labels: [
  person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
  stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe,
  backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball
  bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife,
  spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair,
  couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone,
  microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
  toothbrush
]
"""

_DARKNET = "https://raw.githubusercontent.com/AlexeyAB/darknet/master"
_ST_COMMIT = "6f10965e6a40e2a28abd9c181f43cac4de4111c5"
_ST_FOLDER = "object_detection/ssd_mobilenet_v2_fpnlite/ST_pretrainedmodel_public_dataset/coco_2017_80_classes"

CATALOGUE: Mapping[str, Offer] = {
    offer.name: offer
    for offer in (
        Offer(
            name="yolov4-tiny",
            what="YOLOv4-tiny, 416 px, 80 classes of COCO, mAP50 .40 there",
            licence="YOLO licence 2: the public domain",
            page="https://github.com/AlexeyAB/darknet",
            run="yolov4-tiny.cfg",
            parts=(
                Part(
                    "yolov4-tiny.weights",
                    "https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v4_pre/yolov4-tiny.weights",
                    24_251_276,
                    "cf9fbfd0f6d4869b35762f56100f50ed05268084078805f0e7989efe5bb8ca87",
                    "OpenVINO's Open Model Zoo, models/public/yolo-v4-tiny-tf/model.yml",
                ),
                Part(
                    "yolov4-tiny.cfg",
                    f"{_DARKNET}/cfg/yolov4-tiny.cfg",
                    3231,
                    "f858e3724962eedf3ac44e3b6cb3f0c3d9ed067c306bb831f539c578b924c90e",
                    "ZoneMinder's package for Arch Linux",
                ),
                Part(
                    "yolov4-tiny.names",
                    f"{_DARKNET}/data/coco.names",
                    625,
                    "634a1132eb33f8091d60f2c346ababe8b905ae08387037aed883953b7329af84",
                    "ApertureDB's example applications",
                ),
            ),
        ),
        Offer(
            name="efficientdet-lite0",
            what="EfficientDet-Lite0, 320 px, uint8, 90 classes of COCO, labels inside",
            licence="Apache-2.0",
            page="https://ai.google.dev/edge/mediapipe/solutions/vision/object_detector",
            run="efficientdet-lite0.tflite",
            parts=(
                Part(
                    "efficientdet-lite0.tflite",
                    # The number is that of the very file: another one under the same name has another number.
                    "https://storage.googleapis.com/mediapipe-assets/"
                    "coco_efficientdet_lite0_v1_1.0_quant_2021_09_06.tflite?generation=1661875692679200",
                    None,
                    "dee1b4af055a644804d5594442300ecc9e4f7080c25b7c044c98f527eeabb6cf",
                    "MediaPipe, third_party/external_files.bzl",
                ),
            ),
        ),
        Offer(
            name="ssd-mobilenet-v2-fpnlite",
            what="SSD MobileNet V2 FPNLite, 256 px, int8, 80 classes of COCO",
            licence="Apache-2.0",
            page="https://github.com/STMicroelectronics/stm32ai-modelzoo",
            run="ssd-mobilenet-v2-fpnlite.tflite",
            parts=(
                Part(
                    "ssd-mobilenet-v2-fpnlite.tflite",
                    f"https://raw.githubusercontent.com/STMicroelectronics/stm32ai-modelzoo/{_ST_COMMIT}/{_ST_FOLDER}/"
                    "ssd_mobilenet_v2_fpnlite_100_256/ssd_mobilenet_v2_fpnlite_100_256_int8.tflite",
                ),
            ),
            sidecar=_FPNLITE_SIDECAR,
        ),
    )
}
