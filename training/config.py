"""An experiment in the words of Model Garden: SSD MobileNet V2 FPNLite as its RetinaNet.

The box code weights, 10, 10, 5, 5, are those of `ssd_mobilenet_v2_fpnlite_320x320` in the TensorFlow detection zoo.
"""

from collections.abc import Sequence
from pathlib import Path

from official.core import config_definitions
from official.modeling import optimization
from official.vision.configs import backbones, common, decoders, retinanet

from vigie.anchors import anchors_yxyx_px
from vigie.decoding import Decoder
from vigie.experiment import Experiment

STEPS_PER_LOOP = 10  # between two looks at the losses; a loop in the graph costs nothing, leaving it does
VALIDATION_FOLDER = "validation"
_BOX_CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
_BATCH_NORM_MOMENTUM = 0.97  # Model Garden's .99 has not forgotten its start after a few hundred steps
_KEPT_CHECKPOINTS = 3
_WARMUP_START = 0.1  # of the peak


def decoder(experiment: Experiment, *, score_threshold: float = 0.5) -> Decoder:
    """How the raw outputs of this experiment's model are read."""
    model = experiment.model
    return Decoder(
        labels=experiment.classes,
        input_width=model.input_width,
        input_height=model.input_height,
        anchors=anchors_yxyx_px(model.grid, model.input_width, model.input_height),
        box_weights=_BOX_CODE_WEIGHTS,
        score_threshold=score_threshold,
        resize=model.resize,
    )


def task_config(experiment: Experiment) -> retinanet.RetinaNetTask:
    """The model and its losses, without data."""
    model, anchors, loss = experiment.model, experiment.model.grid, experiment.loss
    return retinanet.RetinaNetTask(
        model=retinanet.RetinaNet(
            num_classes=len(experiment.classes) + 1,  # column 0 is background
            input_size=[model.input_height, model.input_width, 3],
            min_level=anchors.min_level,
            max_level=anchors.max_level,
            anchor=retinanet.Anchor(
                num_scales=anchors.scales, aspect_ratios=list(anchors.aspect_ratios), anchor_size=anchors.size
            ),
            backbone=backbones.Backbone(
                type="mobilenet",
                mobilenet=backbones.MobileNet(model_id="MobileNetV2", filter_size_scale=model.backbone_width),
            ),
            decoder=decoders.Decoder(
                type="fpn", fpn=decoders.FPN(num_filters=model.fpn_filters, use_separable_conv=True)
            ),
            head=retinanet.RetinaNetHead(
                num_convs=model.head_convs, num_filters=model.fpn_filters, use_separable_conv=True
            ),
            detection_generator=retinanet.DetectionGenerator(
                box_coder_weights=list(_BOX_CODE_WEIGHTS), pre_nms_top_k=1000
            ),
            norm_activation=common.NormActivation(
                activation="relu6", use_sync_bn=False, norm_momentum=_BATCH_NORM_MOMENTUM
            ),
        ),
        losses=retinanet.Losses(
            focal_loss_alpha=loss.focal_alpha,
            focal_loss_gamma=loss.focal_gamma,
            huber_loss_delta=loss.huber_delta,
            box_loss_weight=loss.box_weight,
        ),
        train_data=retinanet.DataConfig(is_training=True, dtype="float32", parser=_parser()),
        annotation_file=None,
        use_coco_metrics=True,
        allow_image_summary=True,
    )


def experiment_config(
    experiment: Experiment, train_files: Sequence[Path], validation_files: Sequence[Path]
) -> config_definitions.ExperimentConfig:
    """Everything that `run_experiment` wants to know.

    The training data are read by `vigie.training.inputs`, which takes the batch and how labels are made from here; the
    validation data by Model Garden.
    """
    schedule = experiment.training
    task = task_config(experiment)
    task.train_data = retinanet.DataConfig(
        input_path=[str(path) for path in train_files],
        is_training=True,
        global_batch_size=schedule.batch,
        dtype="float32",
        parser=_parser(),
    )
    task.validation_data = retinanet.DataConfig(
        input_path=[str(path) for path in validation_files],
        is_training=False,
        global_batch_size=schedule.batch,
        dtype="float32",
        drop_remainder=False,
        deterministic=True,
        parser=_parser(),
    )
    loop = min(STEPS_PER_LOOP, schedule.checkpoint_every)
    return config_definitions.ExperimentConfig(
        task=task,
        trainer=config_definitions.TrainerConfig(
            optimizer_config=_optimizer(experiment),
            steps_per_loop=loop,
            summary_interval=loop,
            checkpoint_interval=schedule.checkpoint_every,
            max_to_keep=_KEPT_CHECKPOINTS,
            train_steps=schedule.steps,
            validation_steps=-1,
            validation_interval=schedule.checkpoint_every,
            validation_summary_subdir=VALIDATION_FOLDER,
            recovery_max_trials=-1,  # a loss that is no number ends the training; see vigie.training.recording
        ),
    )


def _parser() -> retinanet.Parser:
    """Pictures are stretched to the input, as they will be at detection, and never padded."""
    return retinanet.Parser(pad=False, keep_aspect_ratio=False)


def _optimizer(experiment: Experiment) -> optimization.OptimizationConfig:
    schedule = experiment.training
    # A warm-up as long as the training would never reach the peak.
    warmup = min(schedule.warmup_steps, schedule.steps // 4)
    values: dict[str, object] = {
        "optimizer": {"type": "adam", "adam": {}},
        "learning_rate": {
            "type": "cosine",
            "cosine": {"initial_learning_rate": schedule.learning_rate, "decay_steps": schedule.steps},
        },
    }
    if warmup:
        values["warmup"] = {
            "type": "linear",
            "linear": {"warmup_steps": warmup, "warmup_learning_rate": schedule.learning_rate * _WARMUP_START},
        }
    return optimization.OptimizationConfig(values)
