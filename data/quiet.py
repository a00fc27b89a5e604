"""TensorFlow without its wall of start-up messages."""

import logging
import os
import warnings

_NATIVE_FATAL_ONLY = "3"  # its errors come as exceptions too; without a GPU it calls that an error


def quiet_tensorflow() -> None:
    """Import TensorFlow, and let it, absl and Orbit speak of errors only.

    The native half reads its level once, when TensorFlow is first imported: call this before anything else imports it.
    A level that the environment already names is left alone.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _NATIVE_FATAL_ONLY)
    os.environ.setdefault("TF_CPP_MAX_VLOG_LEVEL", "0")
    warnings.filterwarnings("ignore", module=r"(tensorflow|tf_keras|keras|official|google\.protobuf)\b.*")
    import tensorflow  # noqa: F401, PLC0415 - in a notebook the import itself sets the level of its logger
    from absl import logging as absl_logging  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with TensorFlow

    absl_logging.set_verbosity(absl_logging.ERROR)
    for name in ("tensorflow", "tf_keras"):
        logging.getLogger(name).setLevel(logging.ERROR)
