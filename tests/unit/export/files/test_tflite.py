"""TensorFlow Lite files: what each takes and gives, and how far it is from the model."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from vigie.anchors import anchors_yxyx_px
from vigie.bundle import InputSpec
from vigie.data.prepare import Part, read_part
from vigie.decoding import Decoder
from vigie.errors import BadBundle
from vigie.pictures import Pixels
from vigie.resizing import normalised, stretched
from vigie.runs import Run

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")

from one_convolution import SPEC, OneConvolution

Raw = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Made:
    """The untrained model and its files; `model` gives raw boxes and scores of normalised pictures."""

    folder: Path
    model: Any
    spec: InputSpec
    decoder: Decoder
    calibration: Sequence[Pixels]
    unseen: Sequence[Pixels]

    def of_model(self) -> Raw:
        found = self.model(normalised(np.stack(self.unseen), self.spec.mean_rgb, self.spec.std_rgb), training=False)
        return found["raw_boxes"].numpy(), found["scores"].numpy()

    def of_file(self, name: str) -> Raw:
        """As numbers of the model, whatever the file gives them in."""
        runner = Interpreter(model_path=str(self.folder / name), num_threads=1).get_signature_runner()
        taken = runner.get_input_details()["pictures"]
        given = runner.get_output_details()
        ones = []
        for picture in normalised(np.stack(self.unseen), self.spec.mean_rgb, self.spec.std_rgb):
            outputs = runner(pictures=quantised(picture[None], taken))
            ones.append([dequantised(outputs[output], given[output]) for output in ("raw_boxes", "scores")])
        boxes, scores = zip(*ones, strict=True)
        return np.concatenate(boxes), np.concatenate(scores)


def quantised(values: npt.NDArray[np.float32], tensor: Mapping[str, Any]) -> npt.NDArray[Any]:
    if tensor["dtype"] == np.float32:
        return values
    scale, zero = tensor["quantization"]
    return np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)


def dequantised(values: npt.NDArray[Any], tensor: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    if values.dtype == np.float32:
        return values
    scale, zero = tensor["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale)


@pytest.fixture(scope="module")
def made(untrained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Made:
    from vigie.export.files.tflite import write_fp16, write_fp32, write_int8, write_postprocess
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB, raw_model

    asked = untrained_run.experiment.model
    spec = InputSpec(width=asked.input_width, height=asked.input_height, mean_rgb=PIXEL_MEAN_RGB, std_rgb=PIXEL_STD_RGB)

    def pictures(part: Part) -> list[Pixels]:
        return [
            stretched(one.picture.rgb(), spec.width, spec.height)
            for one in islice(read_part(untrained_run.records, part), 10)
        ]

    made = Made(
        folder=tmp_path_factory.mktemp("tflite"),
        model=raw_model(untrained_run.experiment, untrained_run.checkpoints, normalised_input=True),
        spec=spec,
        decoder=Decoder(
            labels=untrained_run.experiment.classes,
            input_width=spec.width,
            input_height=spec.height,
            anchors=anchors_yxyx_px(asked.grid, spec.width, spec.height),
            nms_iou=0.4,
            max_detections=20,
        ),
        calibration=pictures("train"),
        unseen=pictures("test"),
    )
    write_fp32(made.model, made.folder / "fp32", spec)
    write_fp16(made.model, made.folder / "fp16", spec)
    write_int8(made.model, made.folder / "int8", spec, made.calibration)
    write_postprocess(made.model, made.folder / "boxes", spec, made.decoder)
    return made


def largest(left: Raw, right: Raw) -> tuple[float, float]:
    """Differences of raw boxes and of scores."""
    return float(np.abs(left[0] - right[0]).max()), float(np.abs(left[1] - right[1]).max())


def test_float_files_give_what_the_model_gives(made: Made) -> None:
    assert made.of_model()[1].std(axis=0).mean() > 0.01  # it does look at the pictures
    boxes, scores = largest(made.of_file("fp32"), made.of_model())
    assert boxes < 1e-3
    assert scores < 1e-4
    boxes, scores = largest(made.of_file("fp16"), made.of_model())
    assert 1e-4 < boxes < 0.05 * np.abs(made.of_model()[0]).max()
    assert scores < 0.1


def test_half_precision_takes_half_the_room_and_int8_less(made: Made) -> None:
    fp32, fp16, int8 = ((made.folder / name).stat().st_size for name in ("fp32", "fp16", "int8"))
    assert fp16 < 0.6 * fp32
    assert int8 < fp16


def opened(path: Path) -> Interpreter:
    """With the operations that stand in the file, none of them replaced by a delegate's."""
    interpreter = Interpreter(
        model_path=str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    return interpreter


def tensor_kinds(path: Path) -> set[str]:
    """Of every tensor of the graph: weights, what is between the operations, inputs and outputs."""
    return {np.dtype(tensor["dtype"]).name for tensor in opened(path).get_tensor_details()}


def operations(path: Path) -> set[str]:
    return {operation["op_name"] for operation in opened(path)._get_ops_details()}


def test_int8_knows_whole_numbers_only(made: Made) -> None:
    assert "float32" in tensor_kinds(made.folder / "fp32")  # the walk would see one
    assert tensor_kinds(made.folder / "int8") == {"int8", "int32"}
    assert len(opened(made.folder / "int8").get_tensor_details()) > 100  # the whole network, not what a delegate left
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "LOGISTIC"} <= operations(made.folder / "int8")
    assert operations(made.folder / "int8") & {"DEQUANTIZE", "CUSTOM", "CAST"} == set()


def test_int8_takes_and_gives_int8(made: Made) -> None:
    runner = Interpreter(model_path=str(made.folder / "int8")).get_signature_runner()
    (taken,) = runner.get_input_details().values()
    assert taken["dtype"] == np.int8
    lowest, highest = (np.array([-128, 127]) - taken["quantization"][1]) * taken["quantization"][0]
    seen = normalised(np.stack(made.calibration), made.spec.mean_rgb, made.spec.std_rgb)
    assert lowest == pytest.approx(seen.min(), abs=0.02)
    assert highest == pytest.approx(seen.max(), abs=0.02)
    given = runner.get_output_details()
    assert {name: tensor["dtype"] for name, tensor in given.items()} == {"raw_boxes": np.int8, "scores": np.int8}
    assert given["scores"]["quantization"] == (1 / 256, -128)


def test_int8_is_near_the_model_on_pictures_it_never_saw(made: Made) -> None:
    boxes, scores = made.of_file("int8")
    model_boxes, model_scores = made.of_model()
    assert np.corrcoef(scores.ravel(), model_scores.ravel())[0, 1] > 0.9
    assert np.corrcoef(boxes.ravel(), model_boxes.ravel())[0, 1] > 0.9


def test_int8_cuts_off_what_its_pictures_did_not_show(tmp_path: Path) -> None:
    """Calibrated on black pictures alone, it takes every picture for one of them."""
    from vigie.export.files.tflite import write_int8

    shades = [np.full((SPEC.height, SPEC.width, 3), shade, np.uint8) for shade in (0, 128, 255)]
    write_int8(OneConvolution(), tmp_path / "all", SPEC, shades)
    write_int8(OneConvolution(), tmp_path / "black", SPEC, shades[:1])
    assert highest(tmp_path / "all") == pytest.approx((255 - SPEC.mean_rgb[2]) / SPEC.std_rgb[2], abs=0.03)
    assert highest(tmp_path / "black") < 0.03


def highest(path: Path) -> float:
    """What the file takes all larger numbers for."""
    (taken,) = Interpreter(model_path=str(path)).get_signature_runner().get_input_details().values()
    scale, zero = taken["quantization"]
    return float((127 - zero) * scale)


def test_int8_needs_pictures(tmp_path: Path) -> None:
    from vigie.export.files.tflite import write_int8

    with pytest.raises(ValueError, match="needs pictures"):
        write_int8(OneConvolution(), tmp_path / "none", SPEC, [])
    assert not (tmp_path / "none").exists()


def test_calibrating_shows_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vigie.export.files.tflite import write_int8

    noise = np.random.default_rng(1).integers(0, 256, (20, SPEC.height, SPEC.width, 3), np.uint8)
    write_int8(OneConvolution(), tmp_path / "shown", SPEC, list(noise), progress=True)
    assert "20/20" in capsys.readouterr().err
    write_int8(OneConvolution(), tmp_path / "silent", SPEC, list(noise))
    assert capsys.readouterr().err == ""
    assert (tmp_path / "silent").read_bytes() == (tmp_path / "shown").read_bytes()


def boxes_found(made: Made, pixels: Pixels, *, threads: int = 1) -> list[npt.NDArray[np.float32]]:
    """Boxes in pixels of the input, classes, scores, of the rows that count."""
    interpreter = Interpreter(model_path=str(made.folder / "boxes"), num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], normalised(pixels, *[(127.5,) * 3] * 2)[None])
    interpreter.invoke()
    boxes, classes, scores, number = (
        interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()
    )
    count = int(number[0])
    assert not scores[0, count:].any()
    return [boxes[0, :count] * np.tile([made.spec.height, made.spec.width], 2), classes[0, :count], scores[0, :count]]


def test_the_file_with_boxes_gives_them_in_the_order_that_phones_expect(made: Made) -> None:
    interpreter = Interpreter(model_path=str(made.folder / "boxes"))
    interpreter.allocate_tensors()
    assert [tuple(output["shape"]) for output in interpreter.get_output_details()] == [
        (1, 20, 4),
        (1, 20),
        (1, 20),
        (1,),
    ]
    named = interpreter.get_signature_runner().get_output_details()
    assert [named[name]["index"] for name in sorted(named)] == [
        output["index"] for output in interpreter.get_output_details()
    ]
    assert "TFLite_Detection_PostProcess" in operations(made.folder / "boxes")
    assert interpreter.get_input_details()[0]["dtype"] == np.float32


def test_boxes_found_inside_are_those_of_the_raw_heads(made: Made) -> None:
    raw_boxes, raw_scores = made.of_file("fp16")
    anchors = made.decoder.anchors
    size, centre = anchors[:, 2:] - anchors[:, :2], (anchors[:, 2:] + anchors[:, :2]) / 2
    for pixels, offsets, sure in zip(made.unseen, raw_boxes, raw_scores, strict=True):
        middle = centre + offsets[:, :2] / 10 * size
        half = np.exp(offsets[:, 2:] / 5) * size / 2
        all_boxes = np.concatenate([middle - half, middle + half], axis=1)
        boxes, classes, scores = boxes_found(made, pixels)
        assert len(boxes) == 20
        assert scores[0] == pytest.approx(sure.max(), abs=1e-3)
        assert (np.diff(scores) <= 0).all()
        for box, label, score in zip(boxes, classes, scores, strict=True):
            nearest = np.abs(all_boxes - box).max(axis=1) + 100 * np.abs(sure.max(axis=1) - score)
            anchor = int(nearest.argmin())
            assert nearest[anchor] < 0.5
            assert sure[anchor, int(label)] > sure[anchor].max() - 1e-3
        assert overlaps(boxes).max() <= made.decoder.nms_iou + 1e-3


def overlaps(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """IoU of each two different boxes."""
    top_left = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    iou: npt.NDArray[np.float32] = shared / (areas[:, None] + areas[None] - shared)
    return iou * (1 - np.eye(len(boxes), dtype=np.float32))


def test_two_threads_find_what_one_finds(made: Made) -> None:
    for pixels in made.unseen:
        for one, two in zip(boxes_found(made, pixels), boxes_found(made, pixels, threads=2), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-3)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    from vigie.export.files.tflite import outputs_of

    (tmp_path / "broken.tflite").write_bytes(b"nothing")
    with pytest.raises(BadBundle, match=r"broken\.tflite: cannot be loaded"):
        outputs_of(tmp_path / "broken.tflite")


NOISY = """
import os, sys
from vigie.export.files.native_noise import native_noise_held
with native_noise_held():
    os.write(2, b"native ")
    print("of Python", file=sys.stderr)
    {then}
print("after", file=sys.stderr)
os.write(2, b"native again")
"""


def said(then: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", NOISY.format(then=then)], check=False, capture_output=True, text=True, env=environment
    )
    return done.stderr


def test_native_noise_is_held_and_pythons_words_are_not() -> None:
    assert said("pass") == "of Python\nafter\nnative again"


def test_native_noise_is_shown_where_it_explains_a_failure() -> None:
    lines = said("raise OSError('broken')").splitlines()
    assert lines[:2] == ["of Python", "native Traceback (most recent call last):"]
    assert lines[-1] == "OSError: broken"


def test_a_model_frozen_for_several_files_gives_the_same_files(tmp_path: Path) -> None:
    from vigie.export.files.tflite import frozen, write_fp16, write_fp32

    once = frozen(OneConvolution(), SPEC)
    assert frozen(once, SPEC) is once
    for write in (write_fp32, write_fp16):
        write(OneConvolution(), tmp_path / "file", SPEC)
        write(once, tmp_path / "of frozen", SPEC)
        assert (tmp_path / "of frozen").read_bytes() == (tmp_path / "file").read_bytes()


def test_converting_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from vigie.export.files.tflite import write_fp32

    write_fp32(OneConvolution(), tmp_path / "file", SPEC)
    assert capfd.readouterr().err == ""
