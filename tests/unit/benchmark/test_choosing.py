"""From given measurements to the choice."""

import pytest

from vigie.benchmark.candidates import Candidate
from vigie.benchmark.choosing import Rate, Timing, arrangements, finalists, thread_counts, winners

LITERT = Candidate("tflite", "model_fp32.tflite", "f32")
HALF = Candidate("tflite", "model_fp16.tflite", "f32")
OPENVINO = Candidate("openvino", "model.onnx", "f32", {"precision": "f32"})
BFLOAT = Candidate("openvino", "model.onnx", "reduced", {"precision": "bf16"})
INTEGERS = Candidate("tflite", "model_int8.tflite", "int8")
PHONES = Candidate("tflite", "model_postprocess.tflite", "f32", deployable=False)


def timing(candidate: Candidate, threads: int, ms: float) -> Timing:
    return Timing(candidate, threads, (ms, ms, ms * 3))


def given(*rows: tuple[Candidate, dict[int, float]]) -> list[Timing]:
    return [timing(one, threads, ms) for one, row in rows for threads, ms in row.items()]


def rate(candidate: Candidate, processes: int, threads: int, frames_per_s: float) -> Rate:
    return Rate(candidate, processes, threads, frames_per_s)


def test_the_median_and_the_slow_end_of_a_timing() -> None:
    one = Timing(LITERT, 1, tuple(float(ms) for ms in range(100, 0, -1)))
    assert one.median_ms == 50.5
    assert one.p95_ms == 96.0
    assert Timing(LITERT, 1, (7.0,)).p95_ms == 7.0


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, [(1, 1)]),
        (2, [(1, 2), (2, 1)]),
        (4, [(1, 4), (2, 2), (4, 1)]),
        (6, [(1, 6), (2, 3), (4, 1), (6, 1)]),
        (7, [(1, 7), (2, 3), (4, 1), (7, 1)]),
    ],
)
def test_the_arrangements_of_so_many_cores(cores: int, expected: list[tuple[int, int]]) -> None:
    assert arrangements(cores) == expected


def test_no_arrangement_asks_for_more_than_there_is_or_for_threads_that_were_not_measured() -> None:
    for cores in range(1, 130):
        assert all(processes * threads <= cores for processes, threads in arrangements(cores))
        assert {threads for _, threads in arrangements(cores)} <= set(thread_counts(cores))
        assert {1, cores} <= set(thread_counts(cores))


def test_the_most_promising_of_each_class_go_on_and_the_one_for_phones_never() -> None:
    measured = given(
        (PHONES, {1: 1.0, 2: 1.0}),
        (LITERT, {1: 21.0, 2: 11.0}),
        (OPENVINO, {1: 20.0, 2: 11.5}),
        (HALF, {1: 29.0, 2: 16.0}),
        (INTEGERS, {1: 10.0, 2: 5.0}),
    )
    assert finalists(measured, "throughput", 2) == [OPENVINO, LITERT, INTEGERS]
    assert finalists(measured, "latency", 2) == [LITERT, INTEGERS]


def test_one_file_of_a_runtime_goes_on_the_first_of_those_that_are_alike() -> None:
    alike = given((LITERT, {1: 20.2}), (HALF, {1: 20.0}), (OPENVINO, {1: 20.1}))
    assert finalists(alike, "throughput", 1) == [OPENVINO, LITERT]
    assert finalists(alike, "latency", 1) == [OPENVINO]
    faster = given((LITERT, {1: 20.2}), (HALF, {1: 19.0}), (OPENVINO, {1: 30.0}))
    assert finalists(faster, "throughput", 1) == [HALF]


def test_what_scales_badly_may_still_give_the_most_frames() -> None:
    measured = given((LITERT, {1: 20.0, 2: 10.0}), (OPENVINO, {1: 16.0, 2: 15.0}))
    assert finalists(measured, "throughput", 2) == [OPENVINO]
    assert finalists(measured, "latency", 2) == [LITERT]


def test_the_winner_of_each_class_by_frames_a_second_with_its_quickest_way() -> None:
    measured = given((LITERT, {1: 20.0, 2: 10.0}), (OPENVINO, {1: 18.0, 2: 12.0}), (INTEGERS, {1: 9.0, 2: 9.5}))
    rates = [
        rate(LITERT, 1, 2, 100.0), rate(LITERT, 2, 1, 98.0),
        rate(OPENVINO, 1, 2, 80.0), rate(OPENVINO, 2, 1, 110.0),
        rate(INTEGERS, 1, 2, 180.0), rate(INTEGERS, 2, 1, 170.0),
    ]  # fmt: skip
    best = winners(measured, rates, "throughput")
    assert {kind: one.candidate for kind, one in best.items()} == {"f32": OPENVINO, "int8": INTEGERS}
    assert [(one.processes, one.threads) for one in best["f32"].rates] == [(2, 1), (1, 2)]
    assert best["f32"].latency.threads == 2
    assert best["int8"].latency.threads == 1
    assert winners(measured, rates, "latency")["f32"].candidate == LITERT


def test_the_same_file_in_two_precisions_is_two_candidates() -> None:
    assert {OPENVINO.name, BFLOAT.name} == {"model.onnx: openvino f32", "model.onnx: openvino bf16"}
    best = winners(
        given((OPENVINO, {1: 20.0}), (BFLOAT, {1: 10.0})), [rate(OPENVINO, 1, 1, 50.0), rate(BFLOAT, 1, 1, 100.0)],
        "throughput",
    )  # fmt: skip
    assert {kind: one.candidate for kind, one in best.items()} == {"f32": OPENVINO, "reduced": BFLOAT}
