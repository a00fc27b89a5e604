"""Fields that need no translation: what Vigie does anyway, what never had an effect, and what it has no place for."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from vigie.protobuf_text.sections import Found, Section
from vigie.protobuf_text.text import Value, Word
from vigie.training.pipeline_config.notes import Book


@dataclass(frozen=True, slots=True)
class _Known:
    """Paths with `*` for anything. `same` are the values that change nothing, all of them where it is None; for others
    there is no counterpart."""

    pattern: str
    why: str
    same: tuple[str, ...] | None = ()


_TRAIN = "train_config"
_OPTION = f"{_TRAIN}.data_augmentation_options"
_SSD = "model.ssd"
_MATCHER = f"{_SSD}.matcher.argmax_matcher"
_NMS = f"{_SSD}.post_processing.batch_non_max_suppression"
_UNKNOWN = "a field that is not known here"
_SPEED = "how fast pictures are read, not which"
_RUN_BY = "how TensorFlow 1 or a TPU was run"
_DRAWN = "pictures in TensorBoard are Vigie's own"
_NO_KEYPOINTS = "there are no masks, key points or other channels"
_RESIZED = "the picture is brought to the input size afterwards: it would only lose sharpness"
_FOCAL = "the focal loss weighs all anchors"
_NO_SUCH_STEP = ("random_vertical_flip", "random_rotation90", "random_pixel_value_scale", "random_jitter_boxes",
                 "random_black_patches", "random_adjust_gamma", "adjust_gamma", "random_absolute_pad_image",
                 "scale_boxes_to_pixel_coordinates", "drop_label_probabilistically", "remap_labels",
                 "convert_class_logits_to_softmax", "rgb_to_gray")  # fmt: skip
_TRUE, _FALSE, _NONE = ("true", "t", "1"), ("false", "f", "0"), ("0",)

_KNOWN = (
    # The network
    _Known(f"{_SSD}.image_resizer.*.resize_method", "bilinear", ("BILINEAR",)),
    _Known(f"{_SSD}.image_resizer.*.convert_to_grayscale", "pictures are in colour", _FALSE),
    _Known(f"{_SSD}.image_resizer.*.per_channel_pad_value", "the rest of a letterbox is grey"),
    _Known(f"{_SSD}.feature_extractor.use_depthwise", "pyramid and head are of separable convolutions", _TRUE),
    _Known(f"{_SSD}.feature_extractor.override_base_feature_extractor_hyperparams", "one setting for all layers", None),
    _Known(f"{_SSD}.feature_extractor.pad_to_multiple", "an input is a multiple of 32", ("1", "32")),
    _Known(f"{_SSD}.feature_extractor.use_explicit_padding", "padded as convolutions are", _FALSE),
    _Known(f"{_SSD}.feature_extractor.replace_preprocessor_with_placeholder", _RUN_BY, None),
    _Known(f"{_SSD}.feature_extractor.num_layers", "the anchors' levels say it", None),
    _Known(f"{_SSD}.feature_extractor.fpn.use_native_resize_op", _RUN_BY, None),
    _Known(f"{_SSD}.feature_extractor.bifpn.*", "the pyramid is a plain FPN"),
    _Known(f"{_SSD}.*.conv_hyperparams.activation", "ReLU6 everywhere", ("RELU_6",)),
    _Known(f"{_SSD}.*.conv_hyperparams.op", "convolutions", ("CONV",)),
    _Known(f"{_SSD}.*.conv_hyperparams.force_use_bias", "no bias before batch norm", _FALSE),
    _Known(f"{_SSD}.*.conv_hyperparams.regularize_depthwise", "depthwise kernels do not decay", _FALSE),
    _Known(f"{_SSD}.*.conv_hyperparams.initializer*", "Model Garden's own initialisers"),
    _Known(f"{_SSD}.*.conv_hyperparams.*batch_norm.decay", "Vigie's is .97, which short trainings need"),
    _Known(f"{_SSD}.*.conv_hyperparams.*batch_norm.epsilon", ".001", ("0.001",)),
    _Known(f"{_SSD}.*.conv_hyperparams.*batch_norm.center", "with an offset", _TRUE),
    _Known(f"{_SSD}.*.conv_hyperparams.*batch_norm.scale", "with a scale", _TRUE),
    _Known(f"{_SSD}.*.conv_hyperparams.*batch_norm.train", "it learns; see training.frozen", _TRUE),
    _Known(f"{_SSD}.*.conv_hyperparams.*_norm*", "batch norm"),
    _Known(f"{_SSD}.*.conv_hyperparams.regularizer*", "weight decay, which is L2's"),
    _Known(f"{_SSD}.box_coder.faster_rcnn_box_coder.[xy]_scale", "10", ("10",)),
    _Known(f"{_SSD}.box_coder.faster_rcnn_box_coder.*_scale", "5", ("5",)),
    _Known(f"{_SSD}.box_coder.faster_rcnn_box_coder", "10, 10, 5, 5", None),
    _Known(f"{_SSD}.box_coder.*", "boxes are coded as Faster R-CNN's, with 10, 10, 5, 5"),
    _Known(f"{_MATCHER}.ignore_thresholds", "thresholds count", _FALSE),
    _Known(f"{_MATCHER}.negatives_lower_than_unmatched", "none counts between the thresholds", _TRUE),
    _Known(f"{_MATCHER}.force_match_for_each_row", "each object has its best anchor", _TRUE),
    _Known(f"{_MATCHER}.use_matmul_gather", _RUN_BY, None),
    _Known(f"{_SSD}.similarity_calculator.iou_similarity", "IoU", None),
    _Known(f"{_SSD}.similarity_calculator*", "IoU"),
    _Known(f"{_SSD}.box_predictor.*.kernel_size", "3", ("3",)),
    _Known(f"{_SSD}.box_predictor.*.box_code_size", "4", ("4",)),
    _Known(f"{_SSD}.box_predictor.*.class_prediction_bias_init", "-4.6, a probability of .01", ("-4.6", "-4.595")),
    _Known(f"{_SSD}.box_predictor.*.use_dropout", "no dropout", _FALSE),
    _Known(f"{_SSD}.box_predictor.*.dropout_keep_probability", "means nothing without use_dropout", None),
    _Known(f"{_SSD}.box_predictor.*.share_prediction_tower", "a tower for classes and one for boxes", _FALSE),
    _Known(f"{_SSD}.box_predictor.*.use_depthwise", "pyramid and head are of separable convolutions", _TRUE),
    _Known(f"{_SSD}.box_predictor.*.apply_sigmoid_to_scores", "the loss and the decoder do so", _FALSE),
    _Known(f"{_SSD}.box_predictor.*.m??_depth", "the head has as many filters as the pyramid"),
    _Known(f"{_SSD}.box_predictor.*.score_converter", "a sigmoid a class", ("IDENTITY", "SIGMOID")),
    _Known(f"{_SSD}.box_predictor.*.apply_batch_norm", "always", _TRUE),
    _Known(f"{_SSD}.box_predictor.*.additional_projection_layers", "none", _NONE),
    _Known(f"{_SSD}.box_predictor.*.box_encodings_clip_range*", "sizes are clipped at 62 times the anchor's"),
    _Known(f"{_SSD}.box_predictor.mask_rcnn_box_predictor*", "a head for two stages"),
    _Known(f"{_SSD}.box_predictor.rfcn_box_predictor*", "a head for two stages"),
    _Known(f"{_SSD}.anchor_generator.multiscale_anchor_generator.normalize_coordinates", "how boxes are stored", None),
    _Known(f"{_SSD}.anchor_generator.ssd_anchor_generator.*_offset", "anchors stand in the middle of their cells"),
    _Known(f"{_SSD}.anchor_generator.ssd_anchor_generator.*_stride", "a level's stride is a power of two"),
    _Known(f"{_SSD}.anchor_generator.ssd_anchor_generator.base_anchor_*", "sizes are in strides"),
    _Known(f"{_SSD}.anchor_generator.ssd_anchor_generator.scales", "approximate anchors span min_scale to max_scale"),
    # After the network
    _Known(f"{_NMS}.score_threshold", "score_threshold and thresholds of the bundle"),
    _Known(f"{_NMS}.iou_threshold", "nms_iou of the bundle, .5", ("0.5",)),
    _Known(f"{_NMS}.max_detections_per_class", "at most 100 in a picture", ("100",)),
    _Known(f"{_NMS}.max_total_detections", "at most 100 in a picture", ("100",)),
    _Known(f"{_NMS}.use_static_shapes", _RUN_BY, None),
    _Known(f"{_NMS}.use_combined_nms", _RUN_BY, None),
    _Known(f"{_NMS}.combined_nms", _RUN_BY, None),
    _Known(f"{_NMS}.change_coordinate_frame", _RUN_BY, None),
    _Known(f"{_NMS}.use_class_agnostic_nms", "each label by itself", _FALSE),
    _Known(f"{_NMS}.use_partitioned_nms", _RUN_BY, None),
    _Known(f"{_NMS}.max_classes_per_detection", "means nothing without use_class_agnostic_nms", None),
    _Known(f"{_NMS}.soft_nms_sigma", "hard, not soft", _NONE),
    _Known(f"{_SSD}.post_processing.score_converter", "a sigmoid a class", ("SIGMOID",)),
    _Known(f"{_SSD}.post_processing.logit_scale", "1", ("1",)),
    _Known(f"{_SSD}.post_processing.calibration_config*", "scores are as the network gives them"),
    # The loss
    _Known(f"{_SSD}.encode_background_as_zeros", "a sigmoid a class, none for background", _TRUE),
    _Known(f"{_SSD}.add_background_class", "background is column 0", _TRUE),
    _Known(f"{_SSD}.explicit_background_class", "background is column 0"),
    _Known(f"{_SSD}.normalize_loss_by_num_matches", "divided by the positive anchors", _TRUE),
    _Known(f"{_SSD}.negative_class_weight", "1", ("1",)),
    _Known(f"{_SSD}.inplace_batchnorm_update", _RUN_BY, None),
    _Known(f"{_SSD}.freeze_batchnorm", "batch norm learns with its part; see training.frozen", _FALSE),
    _Known(f"{_SSD}.return_raw_detections_during_predict", _RUN_BY, None),
    _Known(f"{_SSD}.weight_regression_loss_by_score", "boxes weigh the same", _FALSE),
    _Known(f"{_SSD}.use_confidences_as_targets", "targets are 0 and 1", _FALSE),
    _Known(f"{_SSD}.implicit_example_weight", "1", ("1",)),
    _Known(f"{_SSD}.mask_head_config*", _NO_KEYPOINTS),
    _Known(f"{_SSD}.loss.*.anchorwise_output", "deprecated there", None),
    _Known(f"{_SSD}.loss.hard_example_miner*", _FOCAL),
    _Known(f"{_SSD}.loss.random_example_sampler*", _FOCAL),
    _Known(f"{_SSD}.loss.equalization_loss*", "rare classes: balance.method"),
    _Known(f"{_SSD}.loss.expected_loss_weights", "none", ("NONE",)),
    _Known(f"{_SSD}.loss.*_negative_sampl*", _FOCAL),
    # Training
    _Known(f"{_TRAIN}.sync_replicas", _RUN_BY, None),
    _Known(f"{_TRAIN}.replicas_to_aggregate", _RUN_BY, None),
    _Known(f"{_TRAIN}.startup_delay_steps", _RUN_BY, None),
    _Known(f"{_TRAIN}.*queue*", _SPEED, None),
    _Known(f"{_TRAIN}.keep_checkpoint_every_n_hours", "the best and the last checkpoints are kept", None),
    _Known(f"{_TRAIN}.from_detection_checkpoint", "of a checkpoint that does not fit"),
    _Known(f"{_TRAIN}.load_all_detection_checkpoint_vars", "of a checkpoint that does not fit"),
    _Known(f"{_TRAIN}.fine_tune_checkpoint_version", "of a checkpoint that does not fit", None),
    _Known(f"{_TRAIN}.max_number_of_boxes", "at most 100 objects a picture", ("100",)),
    _Known(f"{_TRAIN}.unpad_groundtruth_tensors", _RUN_BY, None),
    _Known(f"{_TRAIN}.retain_original_images", _DRAWN, None),
    _Known(f"{_TRAIN}.summarize_gradients", _DRAWN, _FALSE),
    _Known(f"{_TRAIN}.freeze_variables", "names of variables; whole parts: training.frozen: [backbone]"),
    _Known(f"{_TRAIN}.update_trainable_variables", "names of variables; whole parts: training.frozen: [backbone]"),
    _Known(f"{_TRAIN}.bias_grad_multiplier", "1; parts have factors: training.rates", ("0", "1")),
    _Known(f"{_TRAIN}.use_bfloat16", "of a TPU; see hardware.precision", _FALSE),
    _Known(f"{_TRAIN}.merge_multiple_label_boxes", "a box has one label", _FALSE),
    # Augmentation
    _Known(f"{_OPTION}.*.keypoint_flip_permutation", _NO_KEYPOINTS),
    _Known(f"{_OPTION}.random_image_scale*", _RESIZED, None),
    _Known(f"{_OPTION}.resize_image*", _RESIZED, None),
    _Known(f"{_OPTION}.random_resize_method*", _RESIZED, None),
    _Known(f"{_OPTION}.random_downscale_to_target_pixels*", _RESIZED, None),
    _Known(f"{_OPTION}.normalize_image*", "Vigie normalises pixels itself"),
    _Known(f"{_OPTION}.subtract_channel_mean*", "Vigie normalises pixels itself"),
    _Known(f"{_OPTION}.random_self_concat_image*", "the nearest is augmentation.mosaic, of four pictures"),
    _Known(f"{_OPTION}.autoaugment_image*", "Vigie's augmentation is not learnt"),
    _Known(f"{_OPTION}.random_rgb_to_gray*", "augmentation.colour takes saturation away in part"),
    _Known(f"{_OPTION}.random_patch_gaussian*", "the nearest are augmentation.blur and jpeg"),
    _Known(f"{_OPTION}.random_crop_to_aspect_ratio*", "the nearest is augmentation.crop"),
    _Known(f"{_OPTION}.random_crop_pad_image*", "the nearest are augmentation.crop and scale_min"),
    _Known(f"{_OPTION}.*pad_color*", "padding is grey"),
    _Known(f"{_OPTION}.*.clip_boxes", "boxes are clipped", _TRUE),
    _Known(f"{_OPTION}.ssd_random_crop*.aspect_ratio", "Vigie's crop has 0.5 to 2"),
    _Known(f"{_OPTION}.ssd_random_crop_pad.operations.min_padded_size_ratio", "1", ("1",)),
    _Known(f"{_OPTION}.ssd_random_crop_pad*.*_padded_size_ratio", "one bound for all: augmentation.scale_min"),
    _Known(f"{_OPTION}.random_distort_color.color_ordering", "brightness, contrast, saturation, hue"),
    _Known(f"{_OPTION}.random_s*_crop*.output_size", "the input size", None),
    _Known(f"{_OPTION}.random_square_crop_by_scale.*", "Vigie draws from the whole range"),
    *(_Known(f"{_OPTION}.{name}*", "Vigie has no such augmentation") for name in _NO_SUCH_STEP),
    # Evaluation
    _Known("eval_config.metrics_set", "COCO's twelve numbers and VOC's AP50, always",
           ("coco_detection_metrics", "pascal_voc_detection_metrics")),
    _Known("eval_config.include_metrics_per_category", "always", None),
    _Known("eval_config.all_metrics_per_category", "always", None),
    _Known("eval_config.batch_size", "how fast it is evaluated", None),
    _Known("eval_config.max_evals", _RUN_BY, None),
    _Known("eval_config.num_examples", "all of them", None),
    _Known("eval_config.eval_interval_secs", "at every checkpoint; see training.validate_every", None),
    _Known("eval_config.save_graph", _RUN_BY, None),
    _Known("eval_config.eval_master", _RUN_BY, None),
    _Known("eval_config.retain_original_image*", _DRAWN, None),
    _Known("eval_config.eval_instance_masks", _NO_KEYPOINTS, _FALSE),
    _Known("eval_config.ignore_groundtruth", "compared with the true boxes", _FALSE),
    _Known("eval_config.export_path", "`vigie evaluate` writes a line a picture"),
    _Known("eval_config.*visual*", _DRAWN),
    _Known("eval_config.skip_*", _DRAWN),
    _Known("eval_config.min_score_threshold", _DRAWN),
    _Known("eval_config.recall_*_bound", "all of the curve"),
    # Reading
    _Known("*_input_reader.tf_record_input_reader", "names no file", None),
    _Known("*_input_reader.external_input_reader*", "records only"),
    _Known("*_input_reader.sample_1_of_n_examples", "all of them", ("1",)),
    _Known("*_input_reader.num_additional_channels", _NO_KEYPOINTS, _NONE),
    _Known("*_input_reader.num_keypoints", _NO_KEYPOINTS, _NONE),
    _Known("*_input_reader.load_*", _NO_KEYPOINTS, _FALSE),
    _Known("*_input_reader.mask_type", _NO_KEYPOINTS, None),
    _Known("*_input_reader.*keypoint*", _NO_KEYPOINTS),
    _Known("*_input_reader.max_number_of_boxes", "at most 100 objects a picture", ("100",)),
    _Known("*_input_reader.expand_labels_hierarchy", "labels have no hierarchy", _FALSE),
    _Known("*_input_reader.input_type", "an Example a picture", ("TF_EXAMPLE", "INPUT_DEFAULT")),
    _Known("train_input_reader.shuffle", "always", _TRUE),
    _Known("train_input_reader.num_epochs", "as often as there are steps", _NONE),
    _Known("eval_input_reader.shuffle", "an evaluation has no order", None),
    _Known("eval_input_reader.num_epochs", "once", ("0", "1")),
    _Known("*_input_reader.include_source_id", _RUN_BY, None),
    _Known("*_input_reader.name", "for people only", None),
    *(
        _Known(f"*_input_reader.{name}", _SPEED, None)
        for name in ("*shuffle_buffer_size", "num_readers", "num_parallel_*", "num_prefetch_batches", "queue_capacity",
                     "min_after_dequeue", "read_block_length", "prefetch_size")
    ),
    _Known("graph_rewriter*", "`vigie export` quantises a finished model"),
)  # fmt: skip


def sort_out_the_rest(root: Section, book: Book) -> None:
    """Note what no translation took: each value of the file is then in one of the lists."""
    for found in list(book.open(root)):
        known = next((known for known in _KNOWN if fnmatchcase(_unnumbered(found.path), known.pattern)), None)
        if known is None:
            book.leave(found, _UNKNOWN)
        elif known.same is None:
            book.keep(found, known.why)
        elif _plain(found) in {_plain_word(word) for word in known.same}:
            book.keep(found, f"as Vigie's: {known.why}")
        elif known.same:
            book.leave(found, f"Vigie's: {known.why}")
        else:
            book.leave(found, known.why)


def _unnumbered(path: str) -> str:
    return re.sub(r"\[\d+\]", "", path)


def _plain(found: Found[Value]) -> str:
    value = found.value
    return _plain_word(value.written) if isinstance(value, Word) else str(value)


def _plain_word(word: str) -> str:
    """One spelling for one value: 1.0 and 1, True and true; numbers to six digits."""
    try:
        return f"{float(word):.6g}"
    except ValueError:
        return word.lower() if word in {"True", "False"} else word
