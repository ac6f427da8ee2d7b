"""What games tell of a policy: a mean and a median with their doubt, quantiles, the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Summary:
    """Of a number that every game has, such as its score; NaN is what so few games do not tell.

    Attributes:
        games: How many.
        mean: Their mean.
        se: Its standard error.
        ci: Interval of the mean, see ``mean_interval``.
        median: Their median.
        median_ci: Interval of the median, see ``median_interval``.
        q10: Quantile 0.1, linear between order statistics, as numpy has it by default.
        q90: Quantile 0.9.
        max: The largest.
    """

    games: int
    mean: float
    se: float
    ci: tuple[float, float]
    median: float
    median_ci: tuple[float, float]
    q10: float
    q90: float
    max: float


def summarise(values: Sequence[float] | np.ndarray, alpha: float = 0.05) -> Summary:
    """Return the summary of independent games.

    Args:
        values: [n], a number a game.
        alpha: Intervals hold the truth with probability 1 - alpha, in (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    x = np.asarray(values, dtype=np.float64)
    if not x.size:
        nothing = (np.nan, np.nan)
        return Summary(0, np.nan, np.nan, nothing, np.nan, nothing, np.nan, np.nan, np.nan)
    q10, median, q90 = np.quantile(x, [0.1, 0.5, 0.9])
    return Summary(
        games=x.size,
        mean=float(x.mean()),
        se=float(x.std(ddof=1) / np.sqrt(x.size)) if x.size > 1 else np.nan,
        ci=mean_interval(x, alpha),
        median=float(median),
        median_ci=median_interval(x, alpha),
        q10=float(q10),
        q90=float(q90),
        max=float(x.max()),
    )


def mean_interval(values: np.ndarray, alpha: float) -> tuple[float, float]:
    """Return an interval of the mean: Student's t, with the skewness of the values taken out of it.

    Scores of games are skewed: most are low and a few very high, and the plain t interval then misses the mean on its
    upper side. Hall's cubic transformation W of t = (mean - mu) / se has no skewness to first order and is monotone,

        W = t + k t^2 / 3 + k^2 t^3 / 27 + k / 6,    k = skewness / sqrt(n);

    the ends are where it equals the quantiles of Student's t with n - 1 degrees of freedom. Without skewness it is t.

    Args:
        values: [n].
        alpha: One minus the confidence.

    Returns:
        The ends; NaN for fewer than two values.

    Source: P. Hall, On the removal of skewness by transformation, JRSS B 54 (1992), 221-228.
    """
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    mean, deviation = float(values.mean()), float(values.std())
    if not deviation > 0:
        return (mean, mean) if deviation == 0 else (np.nan, np.nan)
    k = float(np.mean(((values - mean) / deviation) ** 3) / np.sqrt(n))
    quantile = float(stats.t.ppf(1 - alpha / 2, n - 1))
    error = deviation / float(np.sqrt(n - 1))
    return mean - _untransformed(quantile, k) * error, mean - _untransformed(-quantile, k) * error


def _untransformed(w: float, k: float) -> float:
    """Return the t whose transform is w."""
    if abs(k) < 1e-6:  # beyond it the terms in k are lost to rounding
        return w
    return float(3 / k * (np.cbrt(1 + k * (w - k / 6)) - 1))


def median_interval(values: np.ndarray, alpha: float) -> tuple[float, float]:
    """Return an interval of the median between two order statistics, whatever the distribution.

    The k-th smallest and the k-th largest, for the largest k with P(Binomial(n, 1/2) < k) <= alpha / 2: the interval
    misses the median with a probability of at most alpha.

    Args:
        values: [n].
        alpha: One minus the confidence.

    Returns:
        The ends; NaN where there are too few values for any (fewer than six at alpha = 0.05).
    """
    rank = _rank(len(values), alpha)
    if rank == 0:
        return np.nan, np.nan
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[-rank])


@cache
def _rank(n: int, alpha: float) -> int:
    """Return the largest k with P(Binomial(n, 1/2) < k) <= alpha / 2."""
    k = max(int(stats.binom.ppf(alpha / 2, n, 0.5)) - 1, 0) if n else 0
    while stats.binom.cdf(k, n, 0.5) <= alpha / 2:
        k += 1
    return k
