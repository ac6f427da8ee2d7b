"""Scores of completions from preferences between pairs of them (Bradley and Terry, Biometrika 39, 1952)."""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

_TOLERANCE = 1e-12
_STEPS = 100


def bradley_terry_scores(n: int, preferences: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the most probable scores s, where i is preferred to j with probability ``sigmoid(s_i - s_j)``.

    Before anything is known the scores are independent and standard normal. So they are finite also where one wins
    every comparison, 0 for what was never compared, and sum to 0. The maximum of
    ``sum log sigmoid(s_winner - s_loser) - |s|^2 / 2``, which is strictly concave, is found by Newton's method, with
    steps halved until they ascend.

    Args:
        n: How many completions there are.
        preferences: Pairs (winner, loser) of places in [0, n); a pair may occur more than once.

    Returns:
        float64 [n].
    """
    winner, loser = np.array(preferences, np.int64).reshape(-1, 2).T
    wins = np.zeros((len(winner), n))
    wins[np.arange(len(winner)), winner] += 1
    wins[np.arange(len(winner)), loser] -= 1
    scores = np.zeros(n)

    def gain(s: np.ndarray) -> float:
        return float(-np.logaddexp(0, -wins @ s).sum() - s @ s / 2)

    for _ in range(_STEPS):
        surprise = expit(-wins @ scores)
        slope = surprise @ wins - scores
        if np.abs(slope).max(initial=0) < _TOLERANCE:
            break
        curvature = (wins.T * (surprise * (1 - surprise))) @ wins + np.eye(n)
        step, before = np.linalg.solve(curvature, slope), gain(scores)
        while gain(scores + step) < before and np.abs(step).max() > _TOLERANCE:
            step = step / 2
        scores = scores + step
    return scores
