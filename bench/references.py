"""What a runtime's own benchmark says of a file: milliseconds of the model alone.

LiteRT: `litert-benchmark` of the package ai-edge-litert. OpenVINO: `benchmark_app` of the package openvino, inference
only. ONNX Runtime: `onnxruntime_test` of the package onnxruntime, whose sessions are given the number of threads, for
which it has no option. TensorFlow: `tf.test.Benchmark`. OpenCV: what its `Net.getPerfProfile` says after each run, so
it is told by the side itself.
"""

# ruff: noqa: PLC0415 - TensorFlow is needed in a process of its own alone

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RUNS = 60
_BIN = Path(sys.executable).parent
_TIMEOUT_S = 120


def reference_ms(folder: Path, runtime: str, file: str, precision: str, threads: int) -> float:
    """
    Raises:
        SystemExit: the benchmark failed.
    """
    path = folder / file
    if runtime == "tflite":
        return _litert(path, threads)
    if runtime == "openvino":
        return _openvino(path, precision, threads)
    told = _said([sys.executable, __file__, str(path if runtime == "onnxruntime" else folder), str(threads)])
    return float(re.findall(r"avg latency: ([\d.]+) ms", told)[0])


def _litert(path: Path, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        words = [f"--num_runs={RUNS}", "--warmup_runs=10", f"--num_threads={threads}", f"--result_json={result}"]
        _said([str(_BIN / "litert-benchmark"), f"--model={path}", *words])
        return float(json.loads(result.read_text())["latency"]["median_ms"])


def _openvino(path: Path, precision: str, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        words = (
            f"-m {path} -d CPU -hint none -api sync -nstreams 1 -pin NO -inference_only -json_stats "
            f"-shape [1,320,320,3] -niter {RUNS} -nthreads {threads} -infer_precision {precision}"
            " -report_type no_counters"
        ).split()
        _said([str(_BIN / "benchmark_app"), *words, "-report_folder", folder])
        report = json.loads((Path(folder) / "benchmark_report.json").read_text())
        return float(report["execution_results"]["latency (ms)"])


def _said(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def run_onnxruntime(path: Path, threads: int) -> None:
    """Prints the mean latency."""
    import onnxruntime
    from onnxruntime.tools import onnxruntime_test

    plain = onnxruntime.InferenceSession

    def with_threads(model: str, sess_options: Any = None, **named: Any) -> Any:
        options = sess_options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return plain(model, sess_options=options, **named)

    onnxruntime.InferenceSession = with_threads
    onnxruntime_test.run_model(str(path), RUNS)


def tensorflow_ms(folder: Path, threads: int) -> float:
    """Of the signature `raw_heads`, by TensorFlow's own benchmark: the graph runs, nothing of it is fetched."""
    import numpy as np
    import tensorflow as tf

    legacy: Any = tf.compat.v1
    settings = legacy.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    with tf.Graph().as_default(), legacy.Session(config=settings) as session:
        loaded = legacy.saved_model.load(session, ["serve"], str(folder))
        signature = loaded.signature_def["raw_heads"]
        (taken,) = signature.inputs.values()
        outputs = [session.graph.get_tensor_by_name(one.name).op for one in signature.outputs.values()]
        shape = [1, *(side.size for side in taken.tensor_shape.dim[1:])]
        pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        told = tf.test.Benchmark().run_op_benchmark(
            session, outputs, feed_dict={taken.name: pictures}, burn_iters=10, min_iters=RUNS, store_trace=False,
            store_memory_usage=False, mbs=0,
        )  # fmt: skip
        return float(1000 * told["wall_time"])


if __name__ == "__main__":
    model, number = Path(sys.argv[1]), int(sys.argv[2])
    if model.is_dir():
        print(f"avg latency: {tensorflow_ms(model, number)} ms")
    else:
        run_onnxruntime(model, number)
