"""MAGIC: a blend of a model's value and weighted doubly robust estimates of every length (arXiv 1604.00923).

The return of length j follows the log for j + 1 steps, and the model from there on:

    g_j = mean of V(s_0) + sum_{t <= j} gamma^t (sum of w_t delta_t over sum of w_t)

so that g_{-1} is the model's value and the longest return WDR. Short ones inherit the model's bias, long ones the
weights' variance. With Omega the covariance of the returns and b_j how far g_j lies outside of WDR's interval, the
blend x that minimises x^T (Omega + b b^T) x on the simplex is an estimate of the one of least mean squared error.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import optimize

from sandtable.estimators.ope.value_estimate import ValueEstimate
from sandtable.estimators.ope.weighting.doubly_robust import Corrections, WeightedDoublyRobust
from sandtable.estimators.ope.weighting.importance_weights import ImportanceWeights
from sandtable.estimators.ope.weighting.weighted_means import means_by_step, standard_error, weighted_mean


@dataclass(frozen=True)
class Magic(WeightedDoublyRobust):
    """MAGIC, with the percentile bootstrap for WDR's interval.

    Its own interval has the width of WDR's. That of a resampled blend would be narrower and wrong: where the blend is
    the model, resamples that leave the model as it is hardly move, and what is not known is the model.

    Attributes:
        lengths: How many returns are blended at most, at least 2: the model, WDR, and others at even distances.
        confidence: Of WDR's interval, in (0, 1).
    """

    lengths: int = 25
    confidence: float = 0.9
    name: ClassVar[str] = "magic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lengths < 2:
            raise ValueError(f"lengths must be at least 2, not {self.lengths}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie strictly between 0 and 1, not {self.confidence}")

    def _correct(self, weights: ImportanceWeights, terms: Corrections, note: str) -> ValueEstimate:
        episodes = len(terms.start)
        if episodes < 2:
            return ValueEstimate.not_run(self.name, "one episode does not tell how much the returns vary")
        count = min(self.lengths, weights.horizon + 1)
        steps = np.linspace(-1, weights.horizon - 1, count).round().astype(np.int64)
        weigh = self._combine(weights, terms)
        whole = weigh(weights.log_share)
        resampled = np.array([weigh(weights.log_share + drawn).value for drawn in self._resamples(episodes)])
        tails = [(1 - self.confidence) / 2, (1 + self.confidence) / 2]
        low, high = np.quantile(resampled[np.isfinite(resampled)], tails)
        returns = self._returns(weights, terms, steps)
        bias = returns - np.clip(returns, min(low, whole.value), max(high, whole.value))
        blend = least_squared_error(self._covariance(weights, terms, steps), bias)
        value, told = float(blend @ returns), f"{blend[0]:.0%} of the blend is the model, {blend[-1]:.0%} WDR"
        note = f"{note}; {told}" if note else told
        if self.interval == "none":
            return ValueEstimate(self.name, value, reason=note)
        if self.interval == "cluster":
            return ValueEstimate(self.name, value, standard_error(whole.influence), "cluster", reason=note)
        se = float(np.std(resampled[np.isfinite(resampled)], ddof=1))
        replicates = resampled + (value - whole.value)
        return ValueEstimate(self.name, value, se, "episode_bootstrap", replicates, reason=note)

    def _returns(self, weights: ImportanceWeights, terms: Corrections, steps: np.ndarray) -> np.ndarray:
        """Return g_j for each j of ``steps``, [J]."""
        mean = means_by_step(weights, terms.errors, weights.log_share).mean
        summed = np.cumsum(self.discount ** np.arange(weights.horizon) * mean)
        return weighted_mean(terms.start, weights.log_share).value + np.append(summed, 0.0)[steps]  # -1: no step

    def _covariance(self, weights: ImportanceWeights, terms: Corrections, steps: np.ndarray) -> np.ndarray:
        """Return Omega, [J, J]: E times the sample covariance of the episodes' parts of the returns."""
        episodes = len(terms.start)
        share = np.exp(weights.log_share - weights.log_share.max())
        part = means_by_step(weights, terms.errors, weights.log_share).share * terms.errors
        part *= self.discount**weights.step
        cell = weights.episode * len(steps) + np.searchsorted(steps, weights.step)
        of_episode = np.bincount(cell, part, episodes * len(steps)).reshape(episodes, len(steps)).cumsum(axis=1)
        of_episode += (terms.start * share / share.sum())[:, None]
        centred = of_episode - of_episode.mean(axis=0)
        covariance: np.ndarray = episodes / (episodes - 1) * centred.T @ centred
        return covariance


def least_squared_error(covariance: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the x that minimises x^T (covariance + bias bias^T) x with x >= 0 and sum(x) = 1.

    With L^T L the matrix, the y >= 0 of the least |L y|^2 + (sum(y) - 1)^2 is proportional to x: on the ray of any x
    that sum has the minimum f / (1 + f), f = |L x|^2, which grows with f. So a solver of non-negative least squares,
    which ends after finitely many steps, solves the quadratic programme.

    Args:
        covariance: [J, J], positive semi-definite.
        bias: [J].
    """
    matrix = covariance + np.outer(bias, bias)
    scale = float(np.trace(matrix))
    if scale <= 0:
        return np.full(len(bias), 1 / len(bias))
    eigenvalues, vectors = np.linalg.eigh(matrix / scale)
    root = np.sqrt(np.maximum(eigenvalues, 0.0))[:, None] * vectors.T
    y, _ = optimize.nnls(np.concatenate([root, np.ones((1, len(bias)))]), np.append(np.zeros(len(bias)), 1.0))
    return np.asarray(y / y.sum())
