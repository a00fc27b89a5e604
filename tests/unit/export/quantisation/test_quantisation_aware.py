"""A network that learns with its numbers rounded: the simulation is the file, and the weights get used to it."""

import json
import logging
import signal
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vigie.bundle import InputSpec
from vigie.data.prepare import read_part
from vigie.pictures import Pixels
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import InputSize, normalised, resized
from vigie.runs import Run, open_run

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")

from ai_edge_litert.interpreter import Interpreter
from tiny_network import tiny_network

from vigie.export.quantisation.quantisation_aware import quantisation_aware
from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD, evaluate
from vigie.training.network.config import decoder
from vigie.training.network.model import newest_checkpoint
from vigie.training.train import Trained, load_trained, train

logger = logging.getLogger(__name__)

Outputs = dict[str, npt.NDArray[np.float32]]
UNEVEN = 16.0  # from so many times smaller to so many times larger

LEARNABLE = """
name: learnable
data: synthetic
classes: [with_mask, without_mask, mask_weared_incorrect]
model:
  {input_width: 128, input_height: 128, backbone_width: 0.35, fpn_filters: 32, head_convs: 1, anchors: {max_level: 6}}
training: {steps: 600, batch: 16, learning_rate: 0.006, warmup_steps: 50, checkpoint_every: 200}
"""


def input_spec(run: Run) -> InputSpec:
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB

    model = run.experiment.model
    return InputSpec(width=model.input_width, height=model.input_height, mean_rgb=PIXEL_MEAN_RGB, std_rgb=PIXEL_STD_RGB)


def pictures(run: Run, number: int) -> list[Pixels]:
    spec = input_spec(run)
    size = InputSize(spec.width, spec.height, spec.resize)
    return [resized(one.picture.rgb(), size) for one in islice(read_part(run.records, "train"), number)]


def inputs(run: Run, number: int = 8) -> npt.NDArray[np.float32]:
    spec = input_spec(run)
    return normalised(np.stack(pictures(run, number)), spec.mean_rgb, spec.std_rgb)


def restored(run: Run) -> Any:
    from vigie.training.network.model import restored_network

    return restored_network(run.experiment, run.checkpoints)


def traced(run: Run, network: Any) -> Any:
    from vigie.export.quantisation.simulated import traced_heads

    spec = input_spec(run)
    return traced_heads(network, spec.height, spec.width)


def unrounded(_place: int, values: Any) -> Any:
    return values


def flat(nested: Any) -> npt.NDArray[np.float32]:
    import tensorflow as tf

    return np.concatenate([np.ravel(level) for level in tf.nest.flatten(nested)])


def of_int8(path: Path, spec: InputSpec) -> Callable[[npt.NDArray[np.uint8]], Outputs]:
    """The file's outputs as numbers of the model, picture by picture."""
    runner = Interpreter(model_path=str(path), num_threads=2).get_signature_runner()
    (scale, zero), given = runner.get_input_details()["pictures"]["quantization"], runner.get_output_details()

    def run(rgb_u8: npt.NDArray[np.uint8]) -> Outputs:
        ones: dict[str, list[Any]] = {name: [] for name in given}
        for picture in normalised(rgb_u8, spec.mean_rgb, spec.std_rgb):
            found = runner(pictures=np.clip(np.round(picture[None] / scale) + zero, -128, 127).astype(np.int8))
            for name, (step, offset) in ((name, one["quantization"]) for name, one in given.items()):
                ones[name].append((found[name].astype(np.float32) - offset) * step)
        return {name: np.concatenate(values) for name, values in ones.items()}

    return run


def test_without_rounding_the_simulation_is_the_network(untrained_run: Run) -> None:
    from vigie.export.quantisation.simulated import SimulatedNetwork

    network, batch = restored(untrained_run), inputs(untrained_run)
    classes, boxes, _ = network.head(network.decoder(network.backbone(batch, training=False)))
    found = SimulatedNetwork(traced(untrained_run, network))(batch, unrounded, round_weights=False)
    assert list(found["cls_outputs"]) == list(classes)
    np.testing.assert_allclose(flat(found), flat({"cls_outputs": classes, "box_outputs": boxes}), atol=1e-4)


def test_rounding_has_255_steps_a_channel_and_lets_gradients_through() -> None:
    import tensorflow as tf

    from vigie.export.quantisation.simulated import rounded_kernel

    kernel = tf.random.stateless_normal((3, 3, 40, 5), (1, 2)) * tf.constant([1e-3, 1.0, 30.0, 1.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        rounded = rounded_kernel(kernel, 3)
        loss = tf.reduce_sum(rounded * 3.0)
    np.testing.assert_allclose(tape.gradient(loss, kernel), 3.0)
    for channel in range(4):
        ours, exact = rounded[..., channel].numpy(), kernel[..., channel].numpy()
        step = np.abs(exact).max() / 127
        np.testing.assert_allclose(ours / step, np.round(ours / step), atol=1e-3)
        assert np.abs(ours - exact).max() <= step / 2 * 1.001
        assert len(np.unique(ours)) > 100
    assert not np.any(rounded[..., 4])
    np.testing.assert_allclose(rounded_kernel(rounded, 3), rounded, rtol=1e-5)  # the converter rounds once more


def test_uneven_channels_become_even_and_the_network_computes_the_same(untrained_run: Run) -> None:
    from vigie.export.quantisation.equalising import equalise

    network, batch = restored(untrained_run), inputs(untrained_run)
    operations = traced(untrained_run, network)

    def outputs() -> npt.NDArray[np.float32]:
        return flat(network.head(network.decoder(network.backbone(batch, training=False)))[:2])

    before = outputs()
    make_uneven(network)
    np.testing.assert_allclose(outputs(), before, atol=1e-3)
    equalise(operations)
    np.testing.assert_allclose(outputs(), before, atol=1e-3)
    for depthwise, pointwise in separable(network):
        first, second = np.abs(depthwise).max((0, 1, 3)), np.abs(pointwise).max((0, 1, 3))
        np.testing.assert_allclose(first, second, rtol=1e-3)


def separable(network: Any) -> Iterator[tuple[Any, Any]]:
    by_name = {variable.name: variable for variable in network.variables}
    for name, depthwise in by_name.items():
        if (second := name.replace("depthwise_kernel", "pointwise_kernel")) != name and second in by_name:
            yield depthwise, by_name[second]


def make_uneven(network: Any) -> None:
    """The same network in float, and a bad one in int8: channels of very different size share a range."""
    random = np.random.default_rng(1)
    for depthwise, pointwise in separable(network):
        scale = np.exp(random.uniform(-np.log(UNEVEN), np.log(UNEVEN), depthwise.shape[2])).astype(np.float32)
        depthwise.assign(depthwise * scale[:, None])
        pointwise.assign(pointwise / scale[:, None])


def shallow() -> tuple[Any, Any]:
    """A network, and its simulation: in a deep one a value that rounds the other way changes all after it."""
    from vigie.export.quantisation.simulated import SimulatedNetwork
    from vigie.export.quantisation.traced import TracedNetwork

    network = tiny_network()
    traced = TracedNetwork(lambda pixels: network(pixels, training=False), (None, 8, 8, 3))
    return network, SimulatedNetwork(traced)


SHALLOW_SPEC = InputSpec(width=8, height=8, mean_rgb=(120.0, 115.0, 105.0), std_rgb=(58.0, 57.0, 60.0))


def noise(number: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (number, 8, 8, 3), np.uint8)


def test_the_int8_file_computes_what_was_simulated_in_the_ranges_that_were_learnt(tmp_path: Path) -> None:
    from vigie.export.files.tflite import write_int8
    from vigie.export.quantisation.ranges import RangedNetwork
    from vigie.export.quantisation.rounded_model import RoundedModel

    network, simulated = shallow()
    batch = normalised(noise(32), SHALLOW_SPEC.mean_rgb, SHALLOW_SPEC.std_rgb)
    ranged = RangedNetwork(simulated, batch.min(), batch.max())
    ranged.calibrate([batch])
    exact = join(*network(batch, training=False).values())
    model = RoundedModel(simulated, ranged.ranges.numpy(), join)
    # One grey picture to calibrate on: had the converter used it, the ranges would be others.
    write_int8(model, tmp_path / "int8.tflite", SHALLOW_SPEC, [np.full((8, 8, 3), 110, np.uint8)])

    given = Interpreter(model_path=str(tmp_path / "int8.tflite")).get_signature_runner().get_output_details()
    step = given["raw_boxes"]["quantization"][0]
    assert step == pytest.approx(np.ptp(exact["raw_boxes"]) / 255, rel=0.01)
    found = of_int8(tmp_path / "int8.tflite", SHALLOW_SPEC)(noise(32))
    expected = model(batch, training=False)
    assert np.abs(found["raw_boxes"] - expected["raw_boxes"]).mean() < 0.05 * step
    assert np.abs(expected["raw_boxes"] - exact["raw_boxes"]).mean() > 0.2 * step  # it does round
    assert np.abs(found["scores"] - expected["scores"]).max() <= 1 / 256


def test_weights_and_ranges_learn_with_the_rounding_in_place() -> None:
    import tensorflow as tf
    import tf_keras

    from vigie.export.quantisation.ranges import RangedNetwork

    network, simulated = shallow()
    batch = tf.constant(normalised(noise(32), SHALLOW_SPEC.mean_rgb, SHALLOW_SPEC.std_rgb))
    wanted = tf.nest.map_structure(tf.identity, network(batch, training=False))
    make_uneven(network)
    ranged = RangedNetwork(simulated, -2.2, 2.7)
    ranged.calibrate([batch])
    optimizer = tf_keras.optimizers.legacy.Adam(0.003)
    learning = [one for one in network.trainable_variables if "unused" not in one.name]
    begin = ranged.ranges.numpy()

    def error(training: bool) -> Any:
        found = ranged(batch, training=training)
        pairs = zip(tf.nest.flatten(found), tf.nest.flatten(wanted), strict=True)
        return tf.add_n([tf.reduce_mean(tf.square(ours - theirs)) for ours, theirs in pairs])

    @tf.function  # type: ignore[untyped-decorator]
    def learn() -> Any:
        with tf.GradientTape() as tape:
            loss = error(training=True)
        gradients = tape.gradient(loss, learning)
        assert all(gradient is not None for gradient in gradients)
        optimizer.apply_gradients(zip(gradients, learning, strict=True))
        return loss

    before = float(error(training=False))
    np.testing.assert_array_equal(ranged.ranges.numpy(), begin)
    for _ in range(80):
        learn()
    assert float(error(training=False)) < before / 2
    moved = np.abs(ranged.ranges.numpy() - begin).max(axis=1)
    assert moved[0] == 0  # pixels are what they are
    assert (moved[1:] > 0).mean() > 0.9


def join(logits: Mapping[str, Any], boxes: Mapping[str, Any]) -> Any:
    """Of the tiny network's two levels."""
    import tensorflow as tf

    def joined(levels: Mapping[str, Any], columns: int) -> Any:
        return tf.concat(
            [
                tf.reshape(level, (-1, size * size * 2, columns))
                for level, size in zip(levels.values(), (4, 2), strict=True)
            ],
            1,
        )

    return {"raw_boxes": joined(boxes, 4), "scores": tf.sigmoid(joined(logits, 3))[..., 1:]}


def interrupted_after(text: str) -> logging.Handler:
    """Ctrl-C at the moment at which this is logged."""

    class Interrupt(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage():
                signal.raise_signal(signal.SIGINT)

    return Interrupt()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_an_interrupted_one_goes_on_to_the_same_end_and_a_stale_one_is_discarded(
    untrained_run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vigie")
    trained = load_trained(untrained_run)
    done = quantisation_aware(untrained_run, trained, steps=4, folder=tmp_path / "whole", progress=False)

    folder, log = tmp_path / "again", logging.getLogger("vigie.export.quantisation.fine_tuning")
    folder.mkdir()
    (folder / "key").write_text("of other weights")
    (folder / "ckpt-9.index").write_text("of other weights")
    log.addHandler(handler := interrupted_after("simulated int8: step=2"))
    try:
        with pytest.raises(KeyboardInterrupt):
            quantisation_aware(untrained_run, trained, steps=4, folder=folder, progress=False)
    finally:
        log.removeHandler(handler)
    assert sorted(path.name for path in folder.glob("ckpt-*.index")) == [f"ckpt-{step}.index" for step in (0, 1, 2)]
    again = quantisation_aware(untrained_run, trained, steps=4, folder=folder, progress=False)

    validated = [line.split(" mAP")[0] for line in caplog.messages if line.startswith("simulated int8")]
    assert validated == [f"simulated int8: step={step}" for step in (0, 1, 2, 3, 4, 0, 1, 2, 3, 4)]
    for name, values in done(inputs(untrained_run), training=False).items():
        np.testing.assert_allclose(again(inputs(untrained_run), training=False)[name], values, atol=1e-3)
    whole, resumed = (state(one / "ckpt-4") for one in (tmp_path / "whole", folder))
    assert len(whole) > 300  # weights, statistics, ranges, what Adam knows
    for name, values in whole.items():
        np.testing.assert_allclose(resumed[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    earlier = state(tmp_path / "whole" / "ckpt-2")
    learnt = [name for name, values in whole.items() if not np.array_equal(values, earlier[name])]
    assert any("kernel/.ATTRIBUTES" in name for name in learnt)
    assert any("ranges" in name for name in learnt)
    assert not any("moving_mean" in name or "moving_variance" in name for name in learnt)


def state(checkpoint: Path) -> dict[str, npt.NDArray[np.float32]]:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(checkpoint))
    kinds = reader.get_variable_to_dtype_map()
    return {name: reader.get_tensor(name) for name, kind in kinds.items() if kind.is_floating}


@pytest.fixture(scope="module")
def uneven_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Trained]:
    """Trained for a minute or two."""
    from vigie.data.prepare import prepare
    from vigie.data.synthetic import write_set

    folder = tmp_path_factory.mktemp("uneven")
    (folder / "learnable.yaml").write_text(LEARNABLE)
    run = open_run(folder / "run", experiment=folder / "learnable.yaml")
    write_set(run.pictures, pictures=500, seed=3, width=160, height=160, progress=False)
    prepare(run.pictures, run.records, classes=run.experiment.classes, progress=False)
    return run, trained_unevenly(run)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_it_wins_back_what_rounding_after_the_training_lost(uneven_run: tuple[Run, Trained], tmp_path: Path) -> None:
    from vigie.export.files.tflite import write_int8
    from vigie.training.network.checkpoint_detector import checkpoint_detector
    from vigie.training.network.model import raw_model

    run, trained = uneven_run
    spec, shown = input_spec(run), pictures(run, 100)
    write_int8(raw_model(run.experiment, run.checkpoints, normalised_input=True), tmp_path / "after", spec, shown)
    model = quantisation_aware(run, trained, steps=80, folder=tmp_path / "aware", progress=False)
    write_int8(model, tmp_path / "with", spec, shown)

    exact = mean_ap(run, checkpoint_detector(run, score_threshold=EVALUATION_SCORE_THRESHOLD))
    after, aware = (mean_ap(run, int8_detector(run, tmp_path / name)) for name in ("after", "with"))
    logger.info("mAP: float %.4f, int8 after training %.4f, trained with int8 %.4f", exact, after, aware)
    assert exact > 0.3
    assert after < exact - 0.05
    assert aware > exact - 0.016
    chosen = json.loads((tmp_path / "aware" / "best" / "best.json").read_text())["mAP"]
    assert aware == pytest.approx(chosen, abs=0.016)  # what was simulated


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_learning_alone_wins_back_a_part_of_what_equalising_would(
    uneven_run: tuple[Run, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from vigie.export.quantisation import fine_tuning

    caplog.set_level(logging.INFO, "vigie")
    monkeypatch.setattr(fine_tuning, "equalise", lambda _traced: None)
    quantisation_aware(*uneven_run, steps=80, folder=tmp_path, progress=False)
    reached = [float(line.split("mAP=")[1].split()[0]) for line in caplog.messages if line.startswith("simulated int8")]
    logger.info("mAP of simulated int8 while it learns: %s", reached)
    assert len(reached) == 5
    assert max(reached) > reached[0] + 0.01


def trained_unevenly(run: Run) -> Trained:
    """A training whose best weights are uneven, which changes nothing but what int8 makes of them."""
    import tensorflow as tf

    trained = train(run, progress=False)
    network = restored(run)
    make_uneven(network)
    tf.train.Checkpoint(model=network).write(str(newest_checkpoint(run.checkpoints)))
    return trained


def mean_ap(run: Run, detector: Detector) -> float:
    samples = read_part(run.records, "validation")
    found = evaluate(detector, samples, labels=run.experiment.classes, intervals=False, progress=False).coco["mAP"]
    assert found is not None
    return found


def int8_detector(run: Run, path: Path) -> Detector:
    outputs = of_int8(path, input_spec(run))

    def heads(rgb_u8: npt.NDArray[np.uint8]) -> tuple[Any, Any]:
        found = outputs(rgb_u8)
        return found["raw_boxes"], found["scores"]

    return RawHeadsDetector(heads, decoder(run.experiment, score_threshold=EVALUATION_SCORE_THRESHOLD), where=str(path))
