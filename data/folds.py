"""scikit-learn's StratifiedGroupKFold, several times as fast. It takes a second to load."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

_NEAR_RELATIVE, _NEAR = 1e-5, 1e-8  # those of np.isclose


class Folds(StratifiedGroupKFold):  # type: ignore[misc]
    """Deals the groups as its base does. A version of it that does not ask for the best fold as here is only slower."""

    def _find_best_fold(
        self,
        y_counts_per_fold: npt.NDArray[np.float64],
        y_cnt: npt.NDArray[np.intp],
        group_y_counts: npt.NDArray[np.float64],
    ) -> Any:
        """The fold that a group makes most even: all are tried at once, where the base tries one after the other."""
        count = len(y_counts_per_fold)
        tried = np.repeat(y_counts_per_fold[None], count, axis=0)  # which fold is tried x folds x classes
        tried[np.arange(count), np.arange(count)] += group_y_counts
        unevenness = np.std(tried / y_cnt, axis=1).mean(axis=1).tolist()
        sizes = y_counts_per_fold.sum(axis=1).tolist()
        best = 0
        for fold in range(1, count):
            near = abs(unevenness[fold] - unevenness[best]) <= _NEAR + _NEAR_RELATIVE * abs(unevenness[best])
            if unevenness[fold] < unevenness[best] or (near and sizes[fold] < sizes[best]):
                best = fold
        return best
