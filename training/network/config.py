"""An experiment in the words of Model Garden: SSD MobileNet V2 FPNLite as its RetinaNet."""

from official.vision.configs import backbones, common, decoders, retinanet

from vigie.anchors import anchors_yxyx_px
from vigie.decoding import Decoder
from vigie.experiment import Experiment
from vigie.training.box_geometry import BOX_CODE_WEIGHTS

_BATCH_NORM_MOMENTUM = 0.97  # Model Garden's .99 has not forgotten its start after a few hundred steps


def decoder(experiment: Experiment, *, score_threshold: float = 0.5) -> Decoder:
    """How the raw outputs of this experiment's model are read."""
    model = experiment.model
    return Decoder(
        labels=experiment.classes,
        input_width=model.input_width,
        input_height=model.input_height,
        anchors=anchors_yxyx_px(model.grid, model.input_width, model.input_height),
        box_weights=BOX_CODE_WEIGHTS,
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
                type="fpn",
                # Keras' layers: upsampling by tiles, as it is without, has a gradient that takes ten times as long.
                fpn=decoders.FPN(num_filters=model.fpn_filters, use_separable_conv=True, use_keras_layer=True),
            ),
            head=retinanet.RetinaNetHead(
                num_convs=model.head_convs, num_filters=model.fpn_filters, use_separable_conv=True
            ),
            detection_generator=retinanet.DetectionGenerator(
                box_coder_weights=list(BOX_CODE_WEIGHTS), pre_nms_top_k=1000
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
    )
