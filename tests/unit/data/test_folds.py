"""The folds are those of scikit-learn, whatever way they are found."""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from vigie.data.folds import Folds


@pytest.mark.parametrize(("count", "groups", "folds"), [(12, 12, 3), (200, 180, 20), (400, 90, 7)])
def test_the_folds_are_those_of_the_base(count: int, groups: int, folds: int) -> None:
    dice = np.random.default_rng(count)
    for state in range(3):
        strata = dice.choice(4, count, p=[0.6, 0.3, 0.07, 0.03])
        group_of = dice.integers(0, groups, count)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found, wanted = (
                list(kind(folds, shuffle=True, random_state=state).split(strata, strata, group_of))
                for kind in (Folds, StratifiedGroupKFold)
            )
        assert [held.tolist() for _, held in found] == [held.tolist() for _, held in wanted]


def test_the_base_still_asks_for_the_best_fold() -> None:
    assert hasattr(StratifiedGroupKFold, "_find_best_fold")
