"""A run's best weights, or its newest checkpoint, behind the Detector port."""

from vigie.data.quiet import quiet_tensorflow
from vigie.raw_heads import RawHeadsDetector
from vigie.runs import Run

_BATCH = 8


def checkpoint_detector(run: Run, *, score_threshold: float = 0.5) -> RawHeadsDetector:
    """The detector as it is trained so far, also while the training runs or after it was interrupted.

    Raises:
        BadRun: no checkpoint, or one of another model than the run's experiment.
    """
    quiet_tensorflow()
    from vigie.training.network.config import decoder  # noqa: PLC0415 - TensorFlow is quiet only when told before its import
    from vigie.training.network.heads import compiled_heads  # noqa: PLC0415
    from vigie.training.network.model import newest_checkpoint, raw_model  # noqa: PLC0415

    experiment = run.trained_experiment
    checkpoint = newest_checkpoint(run.checkpoints)
    heads = compiled_heads(experiment, raw_model(experiment, checkpoint))
    decoding = decoder(experiment, score_threshold=score_threshold)
    return RawHeadsDetector(heads, decoding, where=str(checkpoint), batch=_BATCH)
