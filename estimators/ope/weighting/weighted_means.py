"""Means in which episodes are weighted, each with its influence function: one number an episode.

A value and its influences are all that an interval needs: the standard error is that of a mean of the influences. All
weights enter as logarithms, and only what is in range leaves them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from sandtable.estimators.ope.weighting.importance_weights import ImportanceWeights


class Weighed(NamedTuple):
    """A value, and how each episode moves it.

    Attributes:
        value: The estimate; NaN where all weights that it divides by are 0.
        influence: [E], of sum 0: the standard error is the root of their sum of squares, times E / (E - 1).
    """

    value: float
    influence: np.ndarray


Weigh = Callable[[np.ndarray], Weighed]
"""From logarithms of how often each episode counts, [E], to the estimate; what a bootstrap calls again and again."""


def returns(weights: ImportanceWeights, reward: np.ndarray, discount: float) -> np.ndarray:
    """Return the discounted return of each episode, [E]."""
    return np.add.reduceat(discount**weights.step * reward, weights.first)


def weighted_returns(weights: ImportanceWeights, reward: np.ndarray, discount: float) -> np.ndarray:
    """Return w_T G of each episode, [E]; inf where it is out of range."""
    return _times(np.exp(_unlimited(weights.log_weight[weights.last])), returns(weights, reward, discount))


def weighted_sums(weights: ImportanceWeights, reward: np.ndarray, discount: float) -> np.ndarray:
    """Return the sum of gamma^t w_t r_t of each episode, [E]; inf where it is out of range."""
    # discount and weight are joined as logarithms: their product may be in range where the weight is not
    factor = np.exp(_unlimited(weights.log_weight + _log_discount(weights.step, discount)))
    return np.add.reduceat(_times(factor, reward), weights.first)


def mean_of_episodes(values: np.ndarray) -> Weigh:
    """Return what makes the mean of a number an episode, [E]."""
    return lambda log_share: weighted_mean(values, log_share)


def weighted_mean(values: np.ndarray, log_weight: np.ndarray) -> Weighed:
    """Return sum(w x) / sum(w), NaN where all weights are 0, and its influences w (x - mean) / sum(w)."""
    total = logsumexp(log_weight)
    if total == -np.inf:
        return Weighed(np.nan, np.zeros_like(values))
    share = np.exp(log_weight - total)
    scale = max(float(np.abs(values).max(initial=0.0)), 1.0)  # sums of numbers near the end of the range would leave it
    value = float(share @ (values / scale)) * scale if np.isfinite(scale) else np.inf
    return Weighed(value, share * (values - value) if np.isfinite(value) else np.zeros_like(values))


def log_totals(weights: ImportanceWeights, log_share: np.ndarray) -> np.ndarray:
    """Return log of the sum of all episodes' weights in each step, [T]; finished episodes keep their last one."""
    log_weight = weights.log_weight + log_share[weights.episode]
    end = weights.step[weights.last]
    finished = np.full(weights.horizon, -np.inf)
    finished[1:] = np.logaddexp.accumulate(_log_sums(log_weight[weights.last], end, weights.horizon))[:-1]
    return np.logaddexp(_log_sums(log_weight, weights.step, weights.horizon), finished)


class StepMeans(NamedTuple):
    """The weighted means of a quantity in each step, over all episodes.

    Attributes:
        mean: sum(w x) / sum(w), [T]; 0 where all weights of a step are 0.
        share: w / sum(w) of each row, [n].
        log_total: Logarithm of the sum of the weights, [T].
    """

    mean: np.ndarray
    share: np.ndarray
    log_total: np.ndarray


def means_by_step(weights: ImportanceWeights, values: np.ndarray, log_share: np.ndarray) -> StepMeans:
    """Return the weighted means of ``values`` [n] in each step, which count as 0 after an episode's end."""
    totals = log_totals(weights, log_share)
    divisor = np.where(totals == -np.inf, 0.0, totals)
    share = np.exp(weights.log_weight + log_share[weights.episode] - divisor[weights.step])
    return StepMeans(np.bincount(weights.step, share * values, weights.horizon), share, totals)


def weighted_by_step(
    weights: ImportanceWeights,
    values: np.ndarray,
    discount: float,
    log_share: np.ndarray,
    over_nothing: float = np.nan,
) -> Weighed:
    """Return sum_t gamma^t m_t, with m_t = sum(w_t x_t) / sum(w_t) over the episodes, and the episodes' influences.

    That of an episode is the sum of gamma^t w_t (x_t - m_t) / sum(w_t) over all steps, those after its end included,
    where x_t is 0 and its weight the last one.

    Args:
        weights: Of E episodes of at most T steps.
        values: x, [n].
        discount: In [0, 1].
        log_share: How often each episode counts, [E].
        over_nothing: m_t where all weights of a step are 0.
    """
    mean, share, totals = means_by_step(weights, values, log_share)
    empty = totals == -np.inf
    gamma = discount ** np.arange(weights.horizon)
    value = float(np.sum(gamma * np.where(empty, over_nothing, mean)))
    while_alive = np.add.reduceat(gamma[weights.step] * share * (values - mean[weights.step]), weights.first)
    after = _after_the_end(gamma * mean, np.where(empty, np.inf, totals), weights, log_share)
    return Weighed(value, while_alive - after)


def standard_error(influence: np.ndarray) -> float:
    """Return the standard error that influences of E >= 2 episodes give."""
    scale = float(np.abs(influence).max())
    if scale == 0:
        return 0.0
    episodes = len(influence)
    return scale * float(np.sqrt(episodes / (episodes - 1) * np.sum((influence / scale) ** 2)))


def _log_discount(step: np.ndarray, discount: float) -> np.ndarray:
    """Return log(discount^step), [n], with 0^0 = 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(step == 0, 0.0, step * np.log(discount))


def _unlimited(logarithm: np.ndarray) -> np.ndarray:
    """Return logarithms with those whose exponential is out of range as inf, which passes without a warning."""
    return np.where(logarithm > np.log(np.finfo(np.float64).max), np.inf, logarithm)


def _times(factor: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return products, inf where a factor is inf and its value not 0."""
    return np.where(np.isinf(factor) & (values != 0), np.inf, np.where(np.isinf(factor), 0.0, factor) * values)


def _log_sums(logarithm: np.ndarray, step: np.ndarray, horizon: int) -> np.ndarray:
    """Return the logarithm of the sums in each step, [T]; -inf for an empty sum."""
    largest = np.full(horizon, -np.inf)
    np.maximum.at(largest, step, logarithm)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return shift + np.log(np.bincount(step, np.exp(logarithm - shift[step]), horizon))


def _after_the_end(
    mean: np.ndarray, totals: np.ndarray, weights: ImportanceWeights, log_share: np.ndarray
) -> np.ndarray:
    """Return each episode's share of the weight times ``mean`` [T], summed over the steps after its end, [E]."""
    last = weights.log_weight[weights.last] + log_share
    end = weights.step[weights.last]
    both = []
    with np.errstate(divide="ignore"):
        for part in (np.maximum(mean, 0.0), np.maximum(-mean, 0.0)):
            # suffix sums as logarithms: neither a weight nor one over a total need be in range, but their product is
            suffix = np.logaddexp.accumulate((np.log(part) - totals)[::-1])[::-1]
            both.append(np.exp(last + np.append(suffix, -np.inf)[end + 1]))
    return both[0] - both[1]
