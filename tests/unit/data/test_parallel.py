import threading
import time

import pytest

from vigie.data.parallel import in_order


def test_results_come_in_the_order_of_the_items() -> None:
    def work(number: int) -> int:
        time.sleep(0.001 * (7 - number % 7))
        return number * number

    assert list(in_order(work, range(50))) == [number * number for number in range(50)]


def test_only_a_few_items_are_taken_ahead_of_the_reader() -> None:
    taken = []

    def items() -> object:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(lambda number: number, items())  # type: ignore[arg-type]
    assert next(results) == 0
    assert len(taken) <= 2 * threading.active_count() + 64
    assert len(taken) < 1000
    results.close()  # type: ignore[attr-defined]


def test_an_error_reaches_the_reader() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 // number, [1, 0, 1]))
