"""Folds of episodes: what is fitted on the others is applied to each, so that no episode judges itself."""

import numpy as np

from sandtable.simulators.random import fold_in, make_key, uniform

_FOLDS = 0x666F6C6473  # the stream that deals episodes


def episode_folds(episodes: int, folds: int, seed: int = 0) -> np.ndarray:
    """Return the fold of each episode, int64 [E] in [0, folds): sizes differ by at most one; the deal is random.

    Raises:
        ValueError: ``folds`` is not in [2, E].
    """
    if not 2 <= folds <= episodes:
        raise ValueError(f"folds must lie in [2, {episodes}], the number of episodes, not {folds}")
    order = np.argsort(uniform(fold_in(make_key(seed), _FOLDS), np.arange(episodes)), kind="stable")
    fold = np.empty(episodes, dtype=np.int64)
    fold[order] = np.arange(episodes) % folds
    return fold
