import functools
import json
import re
import shutil
import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import needs
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.vision.tasks.retinanet import RetinaNetTask

from vigie.errors import BadSetting
from vigie.experiment import Experiment
from vigie.resizing import normalised
from vigie.runs import Run
from vigie.training.checkpoints import write_best
from vigie.training.network.checkpoint_weights import named_variables
from vigie.training.network.config import task_config
from vigie.training.network.keras_weights import KERAS_EPSILON, downloaded_weights, file_weights
from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB, build_network
from vigie.training.network.restoring import RestoreReport, initialise

CLASSES = ["cat", "dog", "owl"]
SMALL: dict[str, Any] = {
    "input_width": 64,
    "input_height": 64,
    "backbone_width": 0.35,
    "fpn_filters": 16,
    "head_convs": 1,
    "anchors": {"min_level": 3, "max_level": 4},
}

Weights = dict[str, np.ndarray[Any, Any]]


def experiment(
    init: Path | str | None = None, classes: list[str] = CLASSES, model: dict[str, Any] | None = None, **training: Any
) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "small",
            "classes": classes,
            "model": {**SMALL, **(model or {})},
            "training": {"steps": 8, "init": str(init) if init else None, **training},
        }
    )


def values_of(network: tf_keras.Model) -> Weights:
    return {name: variable.numpy() for name, variable in named_variables(network).items()}


def same(one: Weights, other: Weights) -> set[str]:
    return {name for name in one.keys() & other.keys() if np.array_equal(one[name], other[name])}


def scrambled(network: tf_keras.Model, seed: int) -> tf_keras.Model:
    """Values of its own in every variable, as after a training."""
    random = np.random.default_rng(seed)
    for variable in network.variables:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return network


def saved_run(folder: Path, network: tf_keras.Model, made_by: Experiment) -> Path:
    """A run as far as the next training looks at it."""
    checkpoint = tf.train.Checkpoint(model=network, step=tf.Variable(8))
    tf.train.CheckpointManager(checkpoint, str(folder / "checkpoints"), 3).save(8)
    (folder / "experiment.yaml").write_text(made_by.to_yaml())
    return folder


@pytest.fixture(scope="module")
def source() -> tf_keras.Model:
    return scrambled(build_network(experiment()), 1)


@pytest.fixture(scope="module")
def run(source: tf_keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_run(tmp_path_factory.mktemp("runs") / "source", source, experiment())


@pytest.fixture(scope="module")
def same_form() -> tf_keras.Model:
    return build_network(experiment())


@pytest.fixture
def network(same_form: tf_keras.Model) -> tf_keras.Model:
    return scrambled(same_form, 2)


@pytest.fixture(scope="module")
def higher() -> tf_keras.Model:
    """One class less and one level more, so that TensorFlow numbers the pyramid's layers otherwise."""
    return build_network(experiment(classes=CLASSES[:2], model={"anchors": {"min_level": 3, "max_level": 5}}))


@pytest.fixture(scope="module")
def wider() -> tf_keras.Model:
    return build_network(experiment(model={"backbone_width": 0.5}))


@pytest.fixture(scope="module")
def donor() -> tf_keras.Model:
    """Keras' network of width .35 with its classifier."""
    return scrambled(tf_keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10), 6)


@pytest.fixture(scope="module")
def saved(donor: tf_keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keras 2's layout and Keras 3's, without and with the classifier."""
    folder = tmp_path_factory.mktemp("keras")
    headless = tf_keras.Model(donor.input, donor.get_layer("out_relu").output)
    headless.save_weights(folder / "old.h5")
    headless.save_weights(folder / "new.weights.h5")
    donor.save_weights(folder / "top.h5")
    donor.save_weights(folder / "top.weights.h5")
    return folder


def told(report: RestoreReport | None) -> RestoreReport:
    assert report is not None
    return report


def test_a_training_from_scratch_restores_nothing(network: tf_keras.Model) -> None:
    before = values_of(network)
    assert initialise(network, experiment()) is None
    assert len(same(before, values_of(network))) == len(before)


def test_a_run_of_the_same_form_is_loaded_whole(source: tf_keras.Model, run: Path, network: tf_keras.Model) -> None:
    report = told(initialise(network, experiment(run)))
    assert same(values_of(network), values_of(source)) == set(report.loaded) == set(named_variables(network))
    assert report.source == str(run / "checkpoints" / "ckpt-8")
    assert (report.left_out, report.not_in_source, report.other_shape, report.note) == ((), (), (), "")
    assert list(report.sizes) == ["backbone", "fpn", "head"]
    assert sum(report.sizes.values()) == len(network.variables)
    assert f"backbone 255 of 255, fpn {report.sizes['fpn']} of {report.sizes['fpn']}, head" in report.as_text()
    assert json.loads(json.dumps(report.to_json()))["loaded"] == list(report.loaded)


@pytest.mark.parametrize("form", ["checkpoints", "checkpoints/ckpt-8", "checkpoints/ckpt-8.index"])
def test_a_checkpoint_can_be_named_as_folder_or_file(
    source: tf_keras.Model, run: Path, network: tf_keras.Model, form: str
) -> None:
    initialise(network, experiment(run / form))
    assert len(same(values_of(network), values_of(source))) == len(source.variables)


def test_the_best_weights_of_a_run_come_before_its_newest(
    run: Path, source: tf_keras.Model, network: tf_keras.Model, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    write_best(folder / "checkpoints" / "best", tf.train.Checkpoint(model=network), 4)
    best = values_of(network)
    for init in (folder, folder / "checkpoints"):
        report = told(initialise(scrambled(network, 3), experiment(init)))
        assert report.source.endswith("best/ckpt-4")
        assert len(same(values_of(network), best)) == len(best)


def test_the_classifier_of_other_classes_is_left_out_and_this_is_said(
    run: Path, source: tf_keras.Model, network: tf_keras.Model, caplog: pytest.LogCaptureFixture
) -> None:
    report = told(initialise(network, experiment(run, classes=["dog", "cat", "owl"])))
    classifier = {"head/scores/depthwise_kernel", "head/scores/pointwise_kernel", "head/scores/bias"}
    assert set(report.left_out) == classifier
    assert same(values_of(network), values_of(source)) == set(named_variables(network)) - classifier
    said = "Classes of data and checkpoint differ: the data have dog, cat, owl, .* has cat, dog, owl"
    assert re.search(said, report.note)
    assert re.search(said, report.as_text())
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [report.note]


def test_other_levels_and_classes_keep_what_fits_by_the_names_of_layers(
    run: Path, source: tf_keras.Model, higher: tf_keras.Model
) -> None:
    scrambled(higher, 4)
    asked = experiment(run, CLASSES[:2], {"anchors": {"min_level": 3, "max_level": 5}}, init_parts=["backbone"])
    report = told(initialise(higher, asked))
    assert same(values_of(higher), values_of(source)) == set(report.loaded)
    assert {"fpn/lateral_3/bias", "fpn/norm_4/gamma", "head/classnet-conv-norm_4_0/beta"} <= set(report.loaded)
    assert {"fpn/norm_5/gamma", "head/boxnet-conv-norm_5_0/beta"} <= set(report.not_in_source)
    assert [str(other) for other in report.other_shape] == [
        "head/scores/pointwise_kernel has shape (1, 1, 16, 24) there and (1, 1, 16, 18) here",
        "head/scores/bias has shape (24,) there and (18,) here",
    ]


def test_a_pyramid_that_is_not_loaded_whole_is_refused(run: Path, higher: tf_keras.Model) -> None:
    before = values_of(higher)
    with pytest.raises(BadSetting, match=r"variables of the fpn can be loaded.*fpn/lateral_5/\w+ is not there.* more"):
        initialise(higher, experiment(run, CLASSES[:2]))
    assert len(same(before, values_of(higher))) == len(before)


def test_a_head_of_other_classes_is_refused_where_it_must_be_whole(run: Path, network: tf_keras.Model) -> None:
    with pytest.raises(BadSetting, match=r"scores/bias is of other classes.*Classes of data and checkpoint differ"):
        initialise(network, experiment(run, classes=["dog", "cat", "owl"], init_parts=["head"]))


def test_a_run_of_another_width_is_refused(run: Path, wider: tf_keras.Model) -> None:
    with pytest.raises(
        BadSetting, match=r"training\.init: .*ckpt-8: only \d+ of 255 variables of the backbone.* has shape \(1, 1, "
    ):
        initialise(wider, experiment(run))


def test_model_gardens_own_checkpoint_is_loaded_but_for_the_layer_that_nothing_reads(
    network: tf_keras.Model, tmp_path: Path
) -> None:
    theirs = RetinaNetTask(task_config(experiment())).build_model()
    theirs(tf.zeros((1, 64, 64, 3)), training=False)
    scrambled(theirs, 5)
    tf.train.Checkpoint(model=theirs, global_step=tf.Variable(3)).write(str(tmp_path / "ckpt-3"))
    report = told(initialise(network, experiment(tmp_path / "ckpt-3")))
    assert len(report.loaded) == len(network.variables)
    assert re.search("The classes of .*ckpt-3 are not known; its classifier was taken", report.note)
    assert {name.rpartition("/")[0] for name in report.left_out} == {
        "backbone/block_18/conv0",
        "backbone/block_18/norm0",
    }
    assert len(same(values_of(network), values_of(theirs))) == len(network.variables)


def test_a_trained_run_is_loaded_whole(trained_run: Run) -> None:
    values = trained_run.experiment.model_dump()
    values["training"]["init"] = str(trained_run.folder)
    asked = Experiment.model_validate(values)
    report = told(initialise(build_network(asked), asked))
    assert {part: report.sizes[part] for part in report.sizes} == {
        part: sum(name.startswith(f"{part}/") for name in report.loaded) for part in report.sizes
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist; name a trained run"),
        (lambda path: path.mkdir(), "holds no checkpoint; name a trained run"),
        (lambda path: path.write_bytes(b"no weights" * 99), r"cannot be read as HDF5 weights \(.*signature not found"),
    ],
)
def test_a_source_that_is_none_is_refused(
    network: tf_keras.Model, tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "weights.h5")
    with pytest.raises(BadSetting, match=rf"training\.init: .*weights\.h5:? {message}"):
        initialise(network, experiment(tmp_path / "weights.h5"))


def test_a_checkpoint_that_is_cut_off_is_refused_and_changes_nothing(
    run: Path, network: tf_keras.Model, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    (data,) = (folder / "checkpoints").glob("*.data-*")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    before = values_of(network)
    with pytest.raises(BadSetting, match=r"ckpt-8: cannot be read .* it may be cut off"):
        initialise(network, experiment(folder))
    assert len(same(before, values_of(network))) == len(before)


def test_a_checkpoint_of_another_kind_of_network_is_refused(network: tf_keras.Model, tmp_path: Path) -> None:
    other = tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(3,))])
    write_best(tmp_path, tf.train.Checkpoint(model=other), 1)
    with pytest.raises(BadSetting, match="ckpt-1: holds no RetinaNet"):
        initialise(network, experiment(tmp_path))


class TestKerasWeights:
    @pytest.mark.parametrize("name", ["old.h5", "new.weights.h5", "top.h5", "top.weights.h5"])
    def test_both_layouts_give_the_backbone_what_keras_computes(
        self, donor: tf_keras.Model, saved: Path, network: tf_keras.Model, name: str
    ) -> None:
        report = told(initialise(network, experiment(saved / name)))
        assert set(report.loaded) == {key for key in named_variables(network) if key.startswith("backbone/")}
        assert report.left_out[:2] == ("Conv_1/kernel", "Conv_1_bn/gamma")
        assert len(report.left_out) == (7 if "top" in name else 5)
        for ours, theirs in (("block_5/conv1/depthwise_kernel", "block_4_depthwise"), ("block_17/norm2/beta", "")):
            value = donor.get_layer(theirs or "block_16_project_BN").weights[1 if "beta" in ours else 0]
            assert np.array_equal(values_of(network)[f"backbone/{ours}"], value)

    def test_weights_of_another_width_are_of_other_shape(self, saved: Path, wider: tf_keras.Model) -> None:
        with pytest.raises(
            BadSetting, match=r"only \d+ of 255 variables of the backbone.*conv2/kernel has shape \(1, "
        ):
            initialise(wider, experiment(saved / "old.h5"))

    def test_keras_downloads_what_imagenet_names(
        self, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
        (tmp_path / "served").mkdir()
        shutil.copy(saved / "old.h5", tmp_path / "served" / name)
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".keras").mkdir()
        with served(tmp_path / "served") as address:
            monkeypatch.setattr("tf_keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", address)
            found = downloaded_weights(0.35, KERAS_EPSILON)
        expected = file_weights(saved / "old.h5", KERAS_EPSILON)
        assert same(found.values, expected.values) == found.values.keys() == expected.values.keys()
        assert found.others == expected.others
        assert (tmp_path / ".keras" / "models" / name).is_file()
        assert capsys.readouterr().out == ""

    def test_without_a_network_the_error_names_the_other_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".keras").mkdir()
        with served(tmp_path) as address:
            monkeypatch.setattr("tf_keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", address)
            with pytest.raises(BadSetting, match=r"could not download .*404.* give the path of a \.h5 file"):
                downloaded_weights(0.35, KERAS_EPSILON)

    def test_a_width_that_imagenet_weights_do_not_have_is_refused(self) -> None:
        with pytest.raises(
            BadSetting, match=r"widths 0\.35, 0\.5, 0\.75, 1\.0, 1\.3, 1\.4, model\.backbone_width is 0\.6"
        ):
            downloaded_weights(0.6, KERAS_EPSILON)

    def test_another_architecture_is_refused(self, tmp_path: Path) -> None:
        other = tf_keras.Sequential([tf_keras.Input((1,)), *(tf_keras.layers.Dense(1) for _ in range(104))])
        other.save_weights(tmp_path / "other.h5")
        other.save_weights(tmp_path / "other.weights.h5")
        for name in ("other.h5", "other.weights.h5"):
            with pytest.raises(BadSetting, match=r"holds no weights of MobileNetV2: dense\w* has .* where .* Conv1 is"):
                file_weights(tmp_path / name, KERAS_EPSILON)

    def test_a_small_network_is_no_mobilenet(self, tmp_path: Path) -> None:
        tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(2)]).save_weights(tmp_path / "small.h5")
        with pytest.raises(BadSetting, match="has 1 layers with weights, MobileNetV2 has 104"):
            file_weights(tmp_path / "small.h5", KERAS_EPSILON)

    def test_a_file_that_is_cut_off_is_refused(self, saved: Path, tmp_path: Path) -> None:
        whole = (saved / "old.h5").read_bytes()
        (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BadSetting, match=r"cut\.h5: cannot be read as HDF5 weights .*truncated"):
            file_weights(tmp_path / "cut.h5", KERAS_EPSILON)

    def test_without_h5py_the_error_says_so(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "h5py", None)
        with pytest.raises(BadSetting, match="pip install h5py"):
            file_weights(saved / "old.h5", KERAS_EPSILON)

    def test_another_epsilon_of_batch_norm_is_folded_into_gamma(self, saved: Path) -> None:
        same_epsilon, other = (file_weights(saved / "old.h5", epsilon).values for epsilon in (KERAS_EPSILON, 0.1))
        norm = "backbone/block_3/norm1"
        variance = same_epsilon[f"{norm}/moving_variance"]
        assert other[f"{norm}/gamma"] / np.sqrt(variance + 0.1) == pytest.approx(
            same_epsilon[f"{norm}/gamma"] / np.sqrt(variance + KERAS_EPSILON), rel=1e-5
        )
        assert "backbone/block_3/conv1/depthwise_kernel" in same(same_epsilon, other)

    def test_imagenets_features_are_those_of_keras_on_photographs(self) -> None:
        weights = needs.shared_data() / "models" / "mobilenet_v2_imagenet.weights.h5"
        photographs = sorted((needs.shared_data() / "coco_val200").rglob("*.jpg"))[:2]
        large = {"backbone_width": 1.0, "input_width": 640, "input_height": 640}
        network = build_network(experiment(model={**large, "anchors": {"min_level": 3, "max_level": 5}}))
        assert initialise(network, experiment(weights)) is not None
        donor = tf_keras.applications.MobileNetV2((640, 640, 3), include_top=False, weights=None)
        donor.load_weights(weights)
        before = {"2": "block_3_expand", "3": "block_6_expand", "4": "block_13_expand", "5": "Conv_1"}
        features = tf_keras.Model(donor.input, {level: donor.get_layer(name).input for level, name in before.items()})
        pixels = np.stack([cv2.resize(cv2.imread(str(path))[..., ::-1], (640, 640)) for path in photographs])
        theirs = features(pixels.astype(np.float32) / 127.5 - 1)
        ours = network.backbone(normalised(pixels, PIXEL_MEAN_RGB, PIXEL_STD_RGB))
        # The border's grey reaches as far as the layers see: 245 px at the last.
        for level, margin in (("2", 3), ("3", 4), ("4", 9), ("5", 8)):
            difference = np.abs(theirs[level] - ours[level])
            assert difference[:, margin:-margin, margin:-margin].max() < 1e-3, level
            assert difference.mean() < 0.01 * np.abs(theirs[level]).mean(), level


class served:  # noqa: N801
    """A folder over HTTP on loopback."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
