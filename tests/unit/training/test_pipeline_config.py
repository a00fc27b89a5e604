"""A `pipeline.config` of the TF Object Detection API as an experiment."""

import re
from pathlib import Path

import needs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.errors import BadSetting
from vigie.experiment import Augmentation, load_experiment
from vigie.protobuf_text.sections import Section
from vigie.protobuf_text.text import Field, Message, Word, parse, read_text
from vigie.training.pipeline_config.translate import Translated, as_line, read_pipeline_config

UNKNOWN = "a field that is not known here"
LABEL_MAP = """
# Ids have gaps, as COCO's have.
item { id: 3 name: 'dog\\'s' keypoints { id: 1 label: "nose" } }
item < id: 1, name: "cat" >
"""
FPNLITE = """
model {
  ssd {
    num_classes: 2
    image_resizer { fixed_shape_resizer { height: 300 width: 640 } }
    feature_extractor {
      type: "ssd_mobilenet_v2_fpn_keras"
      depth_multiplier: 0.75
      conv_hyperparams { regularizer { l2_regularizer { weight: 3.9999998989515007e-05 } } activation: RELU_6 }
      use_depthwise: true
      fpn { min_level: 3 max_level: 6 additional_layer_depth: 96 }
    }
    matcher { argmax_matcher { matched_threshold: 0.6 unmatched_threshold: 0.4 force_match_for_each_row: true } }
    box_predictor { weight_shared_convolutional_box_predictor { depth: 96 num_layers_before_predictor: 3 } }
    anchor_generator {
      multiscale_anchor_generator {
        min_level: 3 max_level: 6 anchor_scale: 3.0 aspect_ratios: [1.0, 0.6] scales_per_octave: 3
      }
    }
    post_processing { batch_non_max_suppression { iou_threshold: 0.6 max_total_detections: 100 } }
    loss {
      localization_loss { weighted_smooth_l1 { delta: 0.5 } }
      classification_loss { weighted_sigmoid_focal { gamma: 1.5 alpha: 0.3 } }
      localization_weight: 2.0
    }
    normalize_loc_loss_by_codesize: true
  }
}
train_config {
  batch_size: 16
  data_augmentation_options { random_horizontal_flip { } }
  optimizer {
    momentum_optimizer {
      learning_rate {
        cosine_decay_learning_rate {
          learning_rate_base: 0.07999999821186066 total_steps: 2000
          warmup_learning_rate: 0.00799999 warmup_steps: 200
        }
      }
      momentum_optimizer_value: 0.8999999761581421
    }
    use_moving_average: false
  }
  gradient_clipping_by_norm: 10.0
  fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED"
  num_steps: 2000
}
train_input_reader {
  label_map_path: "Tensorflow/annotations/labels.pbtxt"
  tf_record_input_reader { input_path: "records/train-?????-of-00002" }
}
eval_config { metrics_set: "coco_detection_metrics" }
eval_input_reader {
  label_map_path: "Tensorflow/annotations/labels.pbtxt"
  tf_record_input_reader { input_path: "records/val.record" input_path: "records/more.record" }
}
"""


# As the detection zoo of 2018 had it: no pyramid, anchors in even steps, RMSProp, hard examples.
WITHOUT_PYRAMID = """
model { ssd {
  num_classes: 2
  box_coder { faster_rcnn_box_coder { y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 } }
  matcher { argmax_matcher {
    matched_threshold: 0.5 unmatched_threshold: 0.5 ignore_thresholds: false
    negatives_lower_than_unmatched: true force_match_for_each_row: true } }
  similarity_calculator { iou_similarity { } }
  anchor_generator { ssd_anchor_generator {
    num_layers: 6 min_scale: 0.2 max_scale: 0.95
    aspect_ratios: 1.0 aspect_ratios: 2.0 aspect_ratios: 0.5 aspect_ratios: 3.0 aspect_ratios: 0.3333 } }
  image_resizer { fixed_shape_resizer { height: 300 width: 300 } }
  box_predictor { convolutional_box_predictor {
    min_depth: 0 max_depth: 0 num_layers_before_predictor: 0 use_dropout: false dropout_keep_probability: 0.8
    kernel_size: 1 box_code_size: 4 apply_sigmoid_to_scores: false
    conv_hyperparams {
      activation: RELU_6
      regularizer { l2_regularizer { weight: 0.00004 } }
      initializer { truncated_normal_initializer { stddev: 0.03 mean: 0.0 } }
      batch_norm { train: true, scale: true, center: true, decay: 0.9997, epsilon: 0.001 } } } }
  feature_extractor {
    type: 'ssd_mobilenet_v2' min_depth: 16 depth_multiplier: 1.0
    conv_hyperparams { activation: RELU_6 regularizer { l2_regularizer { weight: 0.00004 } } } }
  loss {
    classification_loss { weighted_sigmoid { } }
    localization_loss { weighted_smooth_l1 { } }
    hard_example_miner {
      num_hard_examples: 3000 iou_threshold: 0.99 loss_type: CLASSIFICATION max_negatives_per_positive: 3 }
    classification_weight: 1.0 localization_weight: 1.0 }
  normalize_loss_by_num_matches: true
  post_processing {
    batch_non_max_suppression {
      score_threshold: 1e-8 iou_threshold: 0.6 max_detections_per_class: 100 max_total_detections: 100 }
    score_converter: SIGMOID }
} }
train_config: {
  batch_size: 24
  optimizer { rms_prop_optimizer: {
    learning_rate: { exponential_decay_learning_rate {
      initial_learning_rate: 0.004 decay_steps: 800720 decay_factor: 0.95 } }
    momentum_optimizer_value: 0.9 decay: 0.9 epsilon: 1.0 } }
  fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED/model.ckpt"
  fine_tune_checkpoint_type: "detection"
  num_steps: 200000
  data_augmentation_options { random_horizontal_flip { } }
  data_augmentation_options { ssd_random_crop { } }
}
train_input_reader: {
  tf_record_input_reader { input_path: "PATH_TO_BE_CONFIGURED/mscoco_train.record-?????-of-00100" }
  label_map_path: "PATH_TO_BE_CONFIGURED/labels.pbtxt"
}
eval_config: { num_examples: 8000 max_evals: 10 }
eval_input_reader: {
  tf_record_input_reader { input_path: "PATH_TO_BE_CONFIGURED/mscoco_val.record-?????-of-00010" }
  label_map_path: "PATH_TO_BE_CONFIGURED/labels.pbtxt" shuffle: false num_readers: 1
}
"""
# As EfficientDet has it: another backbone, BiFPN, averaged weights, scale jitter.
EFFICIENTDET = """
model { ssd {
  inplace_batchnorm_update: true freeze_batchnorm: false num_classes: 2 add_background_class: false
  box_coder { faster_rcnn_box_coder { y_scale: 1.0 x_scale: 1.0 height_scale: 1.0 width_scale: 1.0 } }
  encode_background_as_zeros: true
  anchor_generator { multiscale_anchor_generator {
    min_level: 3 max_level: 7 anchor_scale: 4.0 aspect_ratios: [1.0, 2.0, 0.5] scales_per_octave: 3 } }
  image_resizer { keep_aspect_ratio_resizer { min_dimension: 512 max_dimension: 512 pad_to_max_dimension: true } }
  box_predictor { weight_shared_convolutional_box_predictor {
    depth: 64 class_prediction_bias_init: -4.6
    conv_hyperparams {
      force_use_bias: true activation: SWISH regularizer { l2_regularizer { weight: 0.00004 } }
      initializer { random_normal_initializer { stddev: 0.01 mean: 0.0 } }
      batch_norm { scale: true decay: 0.99 epsilon: 0.001 } }
    num_layers_before_predictor: 3 kernel_size: 3 use_depthwise: true } }
  feature_extractor {
    type: "ssd_efficientnet-b0_bifpn_keras"
    bifpn { min_level: 3 max_level: 7 num_iterations: 3 num_filters: 64 }
    conv_hyperparams { force_use_bias: true activation: SWISH } }
  loss {
    classification_loss { weighted_sigmoid_focal { alpha: 0.25 gamma: 1.5 } }
    localization_loss { weighted_smooth_l1 { } } }
  normalize_loc_loss_by_codesize: true
} }
train_config {
  fine_tune_checkpoint_version: V2
  use_bfloat16: true
  num_steps: 300000
  batch_size: 128
  data_augmentation_options { random_scale_crop_and_pad_to_square { output_size: 512 scale_min: 0.1 scale_max: 2.0 } }
  optimizer { momentum_optimizer {
    learning_rate { cosine_decay_learning_rate {
      learning_rate_base: 8e-2 total_steps: 300000 warmup_learning_rate: .001 warmup_steps: 2500 } }
    momentum_optimizer_value: 0.9 } use_moving_average: false }
  max_number_of_boxes: 100
  unpad_groundtruth_tensors: false
}
train_input_reader: { label_map_path: "labels.pbtxt" }
eval_config: { metrics_set: "coco_detection_metrics" use_moving_averages: false batch_size: 1; }
"""


def written(folder: Path, text: str = FPNLITE, *, label_map: str | None = LABEL_MAP) -> Path:
    """A configuration, with its label map beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "pipeline.config"
    config.write_text(text, encoding="utf-8")
    if label_map is not None:
        (folder / "labels.pbtxt").write_text(label_map, encoding="utf-8")
    return config


def translated(folder: Path, text: str = FPNLITE) -> Translated:
    return read_pipeline_config(written(folder, text))


def replaced(old: str, new: str, text: str = FPNLITE) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def with_options(*options: str) -> str:
    steps = "".join(f"data_augmentation_options {{ {option} }}\n" for option in options)
    return replaced("data_augmentation_options { random_horizontal_flip { } }", steps)


def with_optimizer(text: str, *, evaluation: str = "") -> str:
    before, _, rest = FPNLITE.partition("  optimizer {")
    _, _, after = rest.partition("  gradient_clipping_by_norm: 10.0\n")
    whole = f"{before}  optimizer {{ {text} }}\n{after}"
    return replaced('eval_config { metrics_set: "coco_detection_metrics" }', f"eval_config {{ {evaluation} }}", whole)


def in_no_list(result: Translated) -> set[str]:
    """Values of the file that the translation says nothing about."""
    plain = re.compile(r"\[\d+\](?=[^\[]*$)")  # values of a repeated field have one note
    told = {note.field for notes in (result.translated, result.left, result.same) for note in notes}
    below = [note.field for note in result.left]
    leaves = {leaf.path for leaf in Section(read_text(result.source), "", "").leaves()}
    return {
        path
        for path in leaves
        if path not in told and plain.sub("", path) not in told and not path.startswith(tuple(f"{b}." for b in below))
    }


def in_two_lists(result: Translated) -> set[str]:
    lists = [{note.field for note in notes} for notes in (result.translated, result.left, result.same)]
    return (lists[0] & lists[1]) | (lists[0] & lists[2]) | (lists[1] & lists[2])


def left_of(result: Translated) -> dict[str, str]:
    return {note.field.rpartition(".")[2]: note.reason for note in result.left}


def test_a_pipeline_config_becomes_an_experiment(tmp_path: Path) -> None:
    result = translated(tmp_path / "My detector, 2nd")
    spec = result.experiment

    assert spec.name == "My-detector-2nd"
    assert spec.classes == ("cat", "dog's")
    model = spec.model
    assert (model.input_height, model.input_width, model.resize) == (320, 640, "stretch")
    assert (model.backbone_width, model.fpn_filters, model.head_convs) == (0.75, 96, 3)
    anchors = model.anchors
    assert (anchors.min_level, anchors.max_level, anchors.scales, anchors.size) == (3, 6, 3, 3.0)
    assert anchors.aspect_ratios == (1.0, 0.6)
    assert (spec.assignment.method, spec.assignment.positive_iou, spec.assignment.negative_iou) == ("iou", 0.6, 0.4)
    loss = spec.loss
    assert (loss.focal_gamma, loss.focal_alpha, loss.huber_delta, loss.box_weight) == (1.5, 0.3, 0.5, 2.0)
    training = spec.training
    assert (training.steps, training.batch, training.optimizer) == (2000, 16, "sgd")
    assert (training.learning_rate, training.warmup_steps) == (0.08, 200)  # single precision has become what it was
    assert (training.clip_norm, training.ema_decay, training.init) == (10.0, 0.0, "imagenet")
    assert training.weight_decay == pytest.approx(4e-4)
    assert spec.augmentation == Augmentation(flip=0.5, scale=0.0)


def test_every_value_of_the_file_is_in_one_list(tmp_path: Path) -> None:
    result = translated(tmp_path)

    assert in_no_list(result) == set()
    assert in_two_lists(result) == set()


def test_a_note_says_where_it_stands_what_it_was_and_what_it_is(tmp_path: Path) -> None:
    lines = [as_line(note) for note in translated(tmp_path).translated]

    assert (
        "model.ssd.image_resizer.fixed_shape_resizer.height (line 5): 300 -> model.input_height: 320; "
        "model.input_height is at least 64, at most 1536, a multiple of 32"
    ) in lines
    assert "train_config.batch_size (line 30): 16 -> training.batch: 16" in lines


def test_the_yaml_is_the_experiment_and_says_where_its_numbers_come_from(tmp_path: Path) -> None:
    result = translated(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text(result.to_yaml(), encoding="utf-8")

    assert load_experiment(file) == result.experiment
    text = result.to_yaml()
    assert "\n  batch: 16  # train_config.batch_size, line 30\n" in text
    assert "#   train: 'records/train-?????-of-00002'\n" in text
    assert "iou_threshold (line 20): 0.6; Vigie's: nms_iou of the bundle, .5\n" in text


def test_labels_that_yaml_could_misread_stay_what_they_are(tmp_path: Path) -> None:
    label_map = (
        'item { id: 1 name: "no" } item { id: 2 name: "a: b # c\\n\\nd" } item { id: 3 name: "\\303\\251t\\303\\251" }'
    )
    config = written(tmp_path, label_map=label_map)
    file = tmp_path / "mine.yaml"
    file.write_text(read_pipeline_config(config).to_yaml(), encoding="utf-8")

    assert load_experiment(file).classes == ("no", "a: b # c\n\nd", "été")


def test_input_paths_are_told_as_they_stand_and_as_they_are_found(tmp_path: Path) -> None:
    config = written(tmp_path / "models" / "mine")
    (tmp_path / "records").mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "val.record"):
        (tmp_path / "records" / name).touch()

    result = read_pipeline_config(config)

    assert result.records == {
        "train": ("records/train-?????-of-00002",),
        "validation": ("records/val.record", "records/more.record"),
    }
    found = {note.setting: note.now for note in result.translated if note.setting.startswith("records")}
    assert found["records: train"].count("of-00002") == 2
    assert found["records: validation"].endswith("val.record")


@pytest.mark.parametrize("place", ["Tensorflow/annotations/labels.pbtxt", "a/b/labels.pbtxt", "a/labels.pbtxt"])
def test_the_label_map_is_looked_for_above_and_beside_the_file(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(LABEL_MAP, encoding="utf-8")
    (tmp_path / "a" / "b").mkdir(parents=True, exist_ok=True)
    config = written(tmp_path / "a" / "b", label_map=None)
    if place == "a/labels.pbtxt":
        config.write_text(FPNLITE.replace("Tensorflow/annotations/", ""), encoding="utf-8")

    assert read_pipeline_config(config).experiment.classes == ("cat", "dog's")


def test_a_path_of_windows_is_found_by_its_name(tmp_path: Path) -> None:
    text = FPNLITE.replace("Tensorflow/annotations/labels.pbtxt", "C:\\\\data\\\\labels.pbtxt")

    assert translated(tmp_path, text).experiment.classes == ("cat", "dog's")


def test_a_label_map_that_is_not_found_can_be_given(tmp_path: Path) -> None:
    config = written(tmp_path, FPNLITE.replace("Tensorflow/annotations/labels.pbtxt", "PATH_TO_BE_CONFIGURED"))
    with pytest.raises(BadSetting, match=r"line 49: train_input_reader.label_map_path: 'PATH_TO_BE.*--label-map"):
        read_pipeline_config(config)

    given = read_pipeline_config(config, label_map=tmp_path / "labels.pbtxt", name="given")

    assert (given.experiment.name, given.experiment.classes) == ("given", ("cat", "dog's"))


def test_a_number_of_classes_that_the_label_map_lacks_is_listed(tmp_path: Path) -> None:
    result = translated(tmp_path, replaced("num_classes: 2", "num_classes: 90"))

    assert left_of(result)["num_classes"] == "the label map has 2 classes, which count"


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        ("item { id: 1 }", "line 1: an item needs an id of its own and a name"),
        ("item { id: 1 name: 'a' }\nitem { id: 1 name: 'b' }", "line 2: an item needs an id of its own"),
        ("item { id: 0 name: 'a' }", "id 0 is the background's"),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", "has several ids for a"),
        ("model { }", "holds no item"),
        ("", "holds nothing"),
    ],
)
def test_a_label_map_that_cannot_be_used_is_refused(tmp_path: Path, label_map: str, message: str) -> None:
    with pytest.raises(BadSetting, match=rf"labels\.pbtxt: {message}"):
        read_pipeline_config(written(tmp_path, label_map=label_map))


def test_names_of_the_knowledge_graph_give_way_to_those_that_records_have(tmp_path: Path) -> None:
    label_map = 'item { name: "/m/01g317" id: 1 display_name: "person" } item { id: 0 name: "background" }'

    assert read_pipeline_config(written(tmp_path, label_map=label_map)).experiment.classes == ("person",)


@pytest.mark.parametrize("named", ["..", "**", "/", "a\\000b", "[", "~/x", "gs://bucket/x.pbtxt"])
def test_a_path_that_is_none_here_is_not_looked_for_far_and_wide(tmp_path: Path, named: str) -> None:
    with pytest.raises(BadSetting, match="give the label map with --label-map"):
        translated(tmp_path, FPNLITE.replace("Tensorflow/annotations/labels.pbtxt", named))


def test_an_input_that_keeps_its_aspect_ratio_is_a_letterbox(tmp_path: Path) -> None:
    text = replaced(
        "fixed_shape_resizer { height: 300 width: 640 }",
        "keep_aspect_ratio_resizer { min_dimension: 640 max_dimension: 640 pad_to_max_dimension: true }",
    )
    result = translated(tmp_path, text)

    model = result.experiment.model
    assert (model.input_height, model.input_width, model.resize) == (640, 640, "letterbox")
    assert in_no_list(result) == set()


def test_sizes_out_of_range_are_brought_into_it_and_said(tmp_path: Path) -> None:
    text = replaced("height: 300 width: 640", "height: 32 width: 4000", replaced("batch_size: 16", "batch_size: 0"))
    result = translated(tmp_path, replaced("additional_layer_depth: 96", "additional_layer_depth: 512", text))

    model = result.experiment.model
    assert (model.input_height, model.input_width, model.fpn_filters) == (64, 1536, 256)
    assert result.experiment.training.batch == 1
    assert {note.setting for note in result.approximate} >= {"model.input_height", "model.fpn_filters"}


def test_anchors_of_ssd_become_levels_that_span_the_same_sizes(tmp_path: Path) -> None:
    before, _, rest = FPNLITE.partition("multiscale_anchor_generator {")
    after = rest.partition("}\n")[2]
    text = f"""{before}ssd_anchor_generator {{
      num_layers: 6 min_scale: 0.2 max_scale: 0.95 aspect_ratios: 1.0 aspect_ratios: 2.0 }}\n{after}"""
    text = replaced("fpn { min_level: 3 max_level: 6 additional_layer_depth: 96 }", "", text)
    result = translated(tmp_path, replaced("height: 300 width: 640", "height: 300 width: 300", text))

    anchors = result.experiment.model.anchors
    smallest = anchors.size * 2**anchors.min_level
    assert smallest == pytest.approx(0.1 * 320)  # reduce_boxes_in_lowest_layer is on by default
    assert anchors.size * 2 ** (anchors.max_level + 0.5) >= 0.95 * 320
    assert any(note.setting == "model.anchors.size" and "approximate" in note.reason for note in result.translated)
    assert in_no_list(result) == set()


def test_a_box_loss_that_is_summed_over_the_coordinates_weighs_four_times_as_much(tmp_path: Path) -> None:
    text = replaced("normalize_loc_loss_by_codesize: true", "")
    summed = translated(tmp_path, replaced("localization_weight: 2.0", "classification_weight: 2.0", text))

    assert summed.experiment.loss.box_weight == 2.0  # 1 / 2 * 4


def test_another_loss_gives_way_to_the_focal_loss_and_is_listed(tmp_path: Path) -> None:
    text = replaced("weighted_sigmoid_focal { gamma: 1.5 alpha: 0.3 }", "weighted_sigmoid { }")
    text = replaced("weighted_smooth_l1 { delta: 0.5 }", "weighted_giou { }", text)
    text = replaced("localization_weight: 2.0", "hard_example_miner { num_hard_examples: 3000 }", text)
    result = translated(tmp_path, text)

    assert (result.experiment.loss.classification, result.experiment.loss.box) == ("focal", "giou")
    assert {"classification_loss", "num_hard_examples"} <= left_of(result).keys()
    assert in_no_list(result) == set()


def test_the_rates_of_sgd_stay_and_another_momentum_is_made_up_for(tmp_path: Path) -> None:
    rate = "learning_rate { constant_learning_rate { learning_rate: 0.01 } }"
    result = translated(tmp_path, with_optimizer(f"momentum_optimizer {{ {rate} momentum_optimizer_value: 0.95 }}"))

    training = result.experiment.training
    assert (training.optimizer, training.learning_rate, training.warmup_steps) == ("sgd", 0.02, 0)
    assert "momentum_optimizer_value" in left_of(result)


def test_rms_prop_with_its_large_epsilon_is_sgd_and_with_a_small_one_near_to_adam(tmp_path: Path) -> None:
    rate = """learning_rate { exponential_decay_learning_rate {
        initial_learning_rate: 0.004 decay_steps: 800720 decay_factor: 0.95 } }"""
    flat = translated(tmp_path / "flat", with_optimizer(f"rms_prop_optimizer {{ {rate} decay: 0.9 epsilon: 1.0 }}"))
    steep = translated(
        tmp_path / "steep",
        with_optimizer(f"rms_prop_optimizer {{ {rate} momentum_optimizer_value: 0.5 epsilon: 1e-7 }}"),
    )

    assert (flat.experiment.training.optimizer, flat.experiment.training.learning_rate) == ("sgd", 0.004)
    assert (steep.experiment.training.optimizer, steep.experiment.training.learning_rate) == ("adam", 0.008)
    assert {"decay_steps", "decay_factor", "decay"} <= left_of(flat).keys()
    assert in_no_list(flat) == in_no_list(steep) == set()


def test_a_schedule_in_steps_has_its_highest_rate_as_peak(tmp_path: Path) -> None:
    steps = "schedule { step: 500 learning_rate: 0.01 } schedule { step: 1500 learning_rate: 0.001 }"
    rate = f"learning_rate {{ manual_step_learning_rate {{ initial_learning_rate: 0.0001 {steps} warmup: true }} }}"
    result = translated(tmp_path, with_optimizer(f"adam_optimizer {{ {rate} }}"))

    training = result.experiment.training
    assert (training.optimizer, training.learning_rate, training.warmup_steps) == ("adam", 0.01, 500)
    assert in_no_list(result) == in_two_lists(result) == set()


@pytest.mark.parametrize(
    ("optimizer", "evaluation", "decay"),
    [
        ("use_moving_average: true moving_average_decay: 0.999", "use_moving_averages: true", 0.999),
        ("", "use_moving_averages: true", 0.9999),  # on by default
        ("use_moving_average: true", "", 0.0),  # averaged for nobody
    ],
)
def test_averaged_weights_count_where_the_evaluation_takes_them(
    tmp_path: Path, optimizer: str, evaluation: str, decay: float
) -> None:
    result = translated(tmp_path, with_optimizer(f"adam_optimizer {{ }} {optimizer}", evaluation=evaluation))

    assert result.experiment.training.ema_decay == decay


def test_without_augmentation_nothing_is_augmented(tmp_path: Path) -> None:
    assert translated(tmp_path, with_options()).experiment.augmentation == Augmentation(flip=0.0, scale=0.0)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("random_horizontal_flip { probability: 0.3 }", {"flip": 0.3}),
        ("ssd_random_crop { }", {"crop": 0.85, "crop_min_overlaps": (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)}),
        (
            "ssd_random_crop { operations { min_object_covered: 0.5 random_coef: 0.2 min_area: 0.1 max_area: 1.0 } "
            "operations { min_object_covered: 0.75 random_coef: 0.4 overlap_thresh: 0.5 } }",
            {"crop": 0.7, "crop_min_overlaps": (0.5, 0.75)},
        ),
        (
            "random_crop_image { min_object_covered: 0.0 min_aspect_ratio: 0.75 max_aspect_ratio: 3.0 min_area: 0.64 "
            "max_area: 1.0 overlap_thresh: 0.0 }",
            {"scale": 1.0, "scale_min": 1.0, "scale_max": 1.25},
        ),
        ("random_crop_image { random_coef: 0.5 }", {"crop": 0.5, "crop_min_overlaps": (1.0,)}),
        ("random_pad_image { }", {"scale": 1.0, "scale_min": 0.5, "scale_max": 1.0}),
        ("random_scale_crop_and_pad_to_square { output_size: 512 scale_min: 0.5 scale_max: 2.0 }",
         {"scale": 1.0, "scale_min": 0.5, "scale_max": 2.0}),
        ("random_square_crop_by_scale { scale_min: 0.5 scale_max: 1.25 }",
         {"scale": 1.0, "scale_min": 0.8, "scale_max": 2.0}),
        ("random_adjust_contrast { }", {"colour": 1.0, "colour_strength": 0.22}),
        ("random_adjust_hue { max_delta: 0.05 }", {"colour": 1.0, "colour_strength": 0.2}),
        ("random_distort_color { color_ordering: 1 }", {"colour": 1.0, "colour_strength": 0.5}),
        ("random_jpeg_quality { random_coef: 0.8 min_jpeg_quality: 30 max_jpeg_quality: 100 }",
         {"jpeg": 0.2, "jpeg_min_quality": 30}),
        # Resized to the input afterwards: what is seen stays the same.
        ("random_image_scale { min_scale_ratio: 0.5 }", {}),
        ("random_vertical_flip { probability: 0.5 }", {}),
        ("autoaugment_image { policy_name: 'v0' }", {}),
    ],
)  # fmt: skip
def test_a_step_of_the_augmentation_is_translated_or_told(
    tmp_path: Path, option: str, expected: dict[str, float]
) -> None:
    result = translated(tmp_path, with_options(option))

    assert result.experiment.augmentation == Augmentation.model_validate({"flip": 0.0, "scale": 0.0, **expected})
    assert in_no_list(result) == in_two_lists(result) == set()


STEPS = """
normalize_image random_horizontal_flip random_pixel_value_scale random_image_scale random_rgb_to_gray
random_adjust_brightness random_adjust_contrast random_adjust_hue random_adjust_saturation random_distort_color
random_jitter_boxes random_crop_image random_pad_image random_crop_pad_image random_crop_to_aspect_ratio
random_black_patches random_resize_method scale_boxes_to_pixel_coordinates resize_image subtract_channel_mean
ssd_random_crop ssd_random_crop_pad ssd_random_crop_fixed_aspect_ratio ssd_random_crop_pad_fixed_aspect_ratio
random_vertical_flip random_rotation90 rgb_to_gray convert_class_logits_to_softmax random_absolute_pad_image
random_self_concat_image autoaugment_image drop_label_probabilistically remap_labels random_jpeg_quality
random_downscale_to_target_pixels random_patch_gaussian random_square_crop_by_scale
random_scale_crop_and_pad_to_square adjust_gamma
"""


@pytest.mark.parametrize("step", STEPS.split())
def test_every_step_of_the_format_is_known(tmp_path: Path, step: str) -> None:
    result = translated(tmp_path, with_options(f"{step} {{ }}"))

    path = f"train_config.data_augmentation_options.{step}"
    notes = [note for notes in (result.translated, result.left, result.same) for note in notes if note.field == path]
    assert notes
    assert UNKNOWN not in {note.reason for note in notes}


def test_several_steps_of_colour_share_one_strength(tmp_path: Path) -> None:
    options = (
        "random_adjust_brightness { max_delta: 0.1 }",
        "random_adjust_saturation { min_delta: 0.6 max_delta: 1.4 }",
    )

    assert translated(tmp_path, with_options(*options)).experiment.augmentation.colour_strength == 0.3


def test_fields_that_nobody_knows_are_listed(tmp_path: Path) -> None:
    text = replaced("  num_steps: 2000", "  num_steps: 2000 num_stepz: 3 [acme.turbo] { on: true }")
    result = translated(tmp_path, text + "eval_input_configs { label_map_path: 'x' }")

    unknown = {note.field: note.was for note in result.left if note.reason == UNKNOWN}
    assert unknown == {
        "train_config.num_stepz": "3",
        "train_config.[acme.turbo].on": "true",
        "eval_input_configs.label_map_path": "'x'",
    }


def test_a_detector_without_a_pyramid_is_translated_as_near_as_it_goes(tmp_path: Path) -> None:
    result = translated(tmp_path, WITHOUT_PYRAMID)
    spec = result.experiment

    assert (spec.training.optimizer, spec.training.learning_rate, spec.training.batch) == ("sgd", 0.004, 24)
    assert (spec.training.ema_decay, spec.training.warmup_steps) == (0.0, 0)
    assert (spec.loss.classification, spec.loss.box_weight) == ("focal", 4.0)
    assert (spec.augmentation.flip, spec.augmentation.crop) == (0.5, 0.85)
    assert spec.model.head_convs == 1
    assert {"type", "classification_loss", "num_hard_examples", "kernel_size"} <= left_of(result).keys()
    assert UNKNOWN not in left_of(result).values()
    assert in_no_list(result) == in_two_lists(result) == set()


def test_an_efficientdet_is_translated_as_near_as_it_goes(tmp_path: Path) -> None:
    result = translated(tmp_path, EFFICIENTDET)
    spec = result.experiment

    assert (spec.model.input_width, spec.model.resize, spec.model.fpn_filters) == (512, "letterbox", 64)
    assert (spec.augmentation.scale, spec.augmentation.scale_min, spec.augmentation.scale_max) == (1.0, 0.1, 2.0)
    assert spec.training.init is None
    assert {"type", "y_scale", "activation", "num_iterations", "use_bfloat16"} <= left_of(result).keys()
    assert UNKNOWN not in left_of(result).values()
    assert in_no_list(result) == in_two_lists(result) == set()


def test_another_backbone_is_told_and_replaced(tmp_path: Path) -> None:
    result = translated(tmp_path, replaced("ssd_mobilenet_v2_fpn_keras", "ssd_resnet50_v1_fpn_keras"))

    assert "MobileNet V2" in left_of(result)["type"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FPNLITE + "\n}", r"line 5\d+|line 6\d: expected the name of a field, found '}'"),
        (FPNLITE.removesuffix("}\n"), r"line \d+: the message that begins here is never closed, '}' is missing"),
        (replaced("batch_size: 16", "batch_size: 1x6"), r"line 30: '1x6' is no number"),
        (replaced("batch_size: 16", "batch_size: 16.5"), "line 30: train_config.batch_size: expected a whole number"),
        (replaced("batch_size: 16", "batch_size: '16'"), "line 30: train_config.batch_size: expected a whole number"),
        (replaced("batch_size: 16", "batch_size { }"), "line 30: train_config.batch_size: expected a whole number"),
        (replaced("batch_size: 16", "batch_size: 16 batch_size: 8"), "batch_size: stands there a second time"),
        (replaced("depth_multiplier: 0.75", "depth_multiplier: nan"), "line 8: .*depth_multiplier: expected a number"),
        (replaced("use_moving_average: false", "use_moving_average: maybe"), "expected true or false, found maybe"),
        (replaced('"PATH_TO_BE_CONFIGURED"', '"PATH_TO'), "line 4[0-9]: String missing ending quote"),
        (replaced("model {\n  ssd {", "model {\n  faster_rcnn {"), "line 2: model: faster_rcnn is a detector in two"),
        (replaced("fpn { min_level: 3 max_level: 6 additional_layer_depth: 96 }", "fpn: 3"), "expected a message in"),
        (replaced("  num_steps: 2000", "").replace("total_steps: 2000", ""), "train_config: holds no num_steps"),
        (replaced("unmatched_threshold: 0.4", "unmatched_threshold: 0.7"), "negative_iou 0.7 is above"),
        ("item { id: 1 name: 'cat' }", "holds no `model`; is this a pipeline.config. found item"),
        ("model { ssd { } }", "holds no `train_config`"),
        ("model { }", "model: nothing is no SSD"),
        (" # only this\n", "holds nothing but space and comments"),
        ("", "holds nothing but space and comments"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    config = written(tmp_path, text)

    with pytest.raises(BadSetting, match=message) as refused:
        read_pipeline_config(config)
    assert str(refused.value).startswith(str(config))


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    config = written(tmp_path)
    for content, message in ((b"\x0a\x05\x00\xff\xfe", "is no text"), (b"model {\0}", "is binary")):
        config.write_bytes(content)
        with pytest.raises(BadSetting, match=message):
            read_pipeline_config(config)
    with pytest.raises(BadSetting, match=r"absent\.config: cannot be read"):
        read_pipeline_config(tmp_path / "absent.config")


def test_a_training_without_end_takes_the_steps_of_its_cosine(tmp_path: Path) -> None:
    assert translated(tmp_path, replaced("  num_steps: 2000", "  num_steps: 0")).experiment.training.steps == 2000


def test_the_file_of_a_known_face_mask_detector_is_read() -> None:
    reference = needs.shared_data() / "tfod_reference" / "finetuned_facemask_nafaaBG" / "pipeline.config"

    result = read_pipeline_config(reference)

    assert result.experiment.classes == ("with_mask", "mask_weared_incorrect", "without_mask")
    assert (result.experiment.training.steps, result.experiment.training.batch) == (50000, 4)
    assert (result.experiment.training.learning_rate, result.experiment.training.optimizer) == (0.0008, "sgd")
    augmentation = result.experiment.augmentation
    assert (augmentation.flip, augmentation.crop, augmentation.scale_max) == (0.5, 0.0, 1.1547)
    assert in_no_list(result) == in_two_lists(result) == set()
    assert set(left_of(result)) == {
        "mean", "stddev", "decay", "share_prediction_tower", "score_threshold", "iou_threshold",
        "min_aspect_ratio", "max_aspect_ratio", "overlap_thresh", "warmup_learning_rate", "fine_tune_checkpoint_type",
    }  # fmt: skip


def test_the_file_that_the_detection_zoo_ships_is_read_with_a_label_map() -> None:
    reference = needs.shared_data() / "tfod_reference"
    label_map = reference / "finetuned_facemask_nafaaBG" / "label_map.pbtxt"

    result = read_pipeline_config(reference / "pretrained" / "pipeline.config", label_map=label_map)

    assert (result.experiment.training.learning_rate, result.experiment.training.batch) == (0.08, 128)
    assert result.experiment.training.weight_decay == pytest.approx(4e-4)
    assert in_no_list(result) == in_two_lists(result) == set()


TOKENS = re.findall(r"\"[^\"]*\"|[\w.+-]+|\S", FPNLITE)


@given(
    st.integers(0, len(TOKENS) - 1),
    st.sampled_from(["", "0", "-1", "1e30", "nan", "true", "{", "}", "''", "{ }", "x: 1", "'..'"]),
)
@settings(max_examples=100, deadline=None)
def test_a_file_that_somebody_spoilt_is_translated_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, instead: str
) -> None:
    text = " ".join([*TOKENS[:place], instead, *TOKENS[place + 1 :]])
    config = written(tmp_path_factory.getbasetemp() / "spoilt", text)
    try:
        result = read_pipeline_config(config)
    except BadSetting as refused:
        said = str(refused)
    else:
        assert in_no_list(result) == in_two_lists(result) == set()
        return
    assert said.startswith(str(config))


# The text format by itself

names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
words = st.one_of(
    st.integers(-(2**63), 2**63).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["true", "false", "RELU_6", "inf", "-inf", "1.5f", "0x1F", ".5"]),
).map(Word)
messages = st.recursive(
    st.just(()),
    lambda inner: st.lists(st.tuples(names, st.one_of(words, st.text(), inner)), max_size=4).map(tuple),
    max_leaves=12,
)


def as_text(message: tuple[tuple[str, object], ...], draw: st.DataObject) -> str:
    """The message, each time in another of the spellings that the format allows."""
    parts = []
    for name, value in message:
        if isinstance(value, tuple):
            opened, closed = draw.draw(st.sampled_from(["{}", "<>"]))
            parts.append(f"{name}{draw.draw(st.sampled_from([' ', ': ']))}{opened} {as_text(value, draw)} {closed}")
        elif isinstance(value, str):
            cut = draw.draw(st.integers(0, len(value)))
            parts.append(f"{name}: {_quoted(value[:cut])} {_quoted(value[cut:])}")
        else:
            parts.append(f"{name}: {value}")
    return draw.draw(st.sampled_from([" ", "\n", ", ", "; ", " # } said\n"])).join(parts)


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\{byte:03o}" for byte in text.encode("utf-8", "surrogatepass")) + '"'


def plain(message: Message) -> tuple[tuple[str, object], ...]:
    return tuple(
        (field.name, plain(field.value) if isinstance(field.value, Message) else field.value)
        for field in message.fields
    )


@given(messages, st.data())
@settings(max_examples=100, deadline=None)
def test_a_message_is_read_in_every_spelling(message: tuple[tuple[str, object], ...], data: st.DataObject) -> None:
    assert plain(parse(as_text(message, data), "here")) == message


@given(st.text(alphabet=st.sampled_from("ab1.-+{}<>[]:;,#'\"\\ \n\té_"), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        message = parse(text, "here")
    except BadSetting as refused:
        said = str(refused)
    else:
        assert all(1 <= field.line <= text.count("\n") + 1 for field in message.fields)
        return
    assert said.startswith("here: line ")


def test_lists_extensions_and_lines_are_read() -> None:
    text = "a: [1, 2]\n[x.y/z] <\n b: [{c: 1}, <d: 'e' \"f\">]\n>"

    assert plain(parse(text, "here")) == (
        ("a", Word("1")),
        ("a", Word("2")),
        ("[x.y/z]", (("b", (("c", Word("1")),)), ("b", (("d", "ef"),)))),
    )
    assert [field.line for field in parse(text, "here").fields] == [1, 1, 2]
    assert parse("a: 'x'", "here").fields == (Field("a", "x", 1),)
    with pytest.raises(BadSetting, match="here: line 1: nested deeper than 64 messages"):
        parse("a {" * 100, "here")
