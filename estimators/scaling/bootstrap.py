"""Bootstrap intervals of Approach 3: the runs are resampled, whole seeds or clusters at a time, and fitted again.

BCa (Efron 1987) moves the quantiles of the refits by what they tell of bias, and by how the estimate's variance changes
with its value, which is read from refits without one cluster each. Every refit starts from the minima of the first fit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from scipy import stats

from sandtable.estimators.scaling.law_result import Interval
from sandtable.estimators.scaling.parametric import FITTED, ParametricResult, derive
from sandtable.estimators.scaling.variable_projection import refit
from sandtable.simulators import random
from sandtable.simulators.scaling.runs import Finding

Method = Literal["bca", "percentile"]

FEW_CLUSTERS = 10
MOST_FAILED = 0.05


@dataclass(frozen=True)
class BootstrapInterval(Interval):
    """Intervals from refits of resampled runs.

    Attributes:
        method: ``"bca"`` or ``"percentile"``.
        level: See ``Interval``.
        resamples: See ``Interval``.
        failed: See ``Interval``.
        estimate: The parameters, [8].
        refits: The parameters of the refits that converged, [resamples - failed, 8].
        jackknife: The parameters without one cluster each, [clusters, 8]; empty for percentiles.
    """

    method: str
    level: float
    resamples: int
    failed: int
    estimate: np.ndarray = field(repr=False)
    refits: np.ndarray = field(repr=False)
    jackknife: np.ndarray = field(repr=False)

    def ends(self, level: float) -> np.ndarray:
        """See ``Interval``."""
        return self._ends(self.estimate, self.refits, self.jackknife, level)

    def of(self, function: Callable[[np.ndarray], np.ndarray], level: float) -> np.ndarray:
        """See ``Interval``."""
        estimate = np.atleast_1d(function(self.estimate))

        def each(params: np.ndarray) -> np.ndarray:
            return np.array([np.atleast_1d(function(one)) for one in params]).reshape(len(params), len(estimate))

        return self._ends(estimate, each(self.refits), each(self.jackknife), level)

    def _ends(self, estimate: np.ndarray, refits: np.ndarray, jackknife: np.ndarray, level: float) -> np.ndarray:
        if self.failed > MOST_FAILED * self.resamples:
            return np.full((len(estimate), 2), np.nan)
        tails = np.broadcast_to([(1 - level) / 2, (1 + level) / 2], (len(estimate), 2))
        if self.method == "bca":
            tails = bca_tails(estimate, refits, jackknife, level)
        columns = zip(refits.T, tails, strict=True)
        return np.array([np.quantile(values, tail) if np.isfinite(tail).all() else tail for values, tail in columns])


def bca_tails(estimate: np.ndarray, refits: np.ndarray, jackknife: np.ndarray, level: float) -> np.ndarray:
    """Return at which shares of the refits the intervals end, [k, 2] (Efron 1987, equation 2.3).

    Args:
        estimate: [k].
        refits: [resamples, k].
        jackknife: Estimates without one cluster each, [clusters, k].
        level: In (0, 1).
    """
    count = len(refits)
    below = np.sum(refits < estimate, axis=0) + 0.5 * np.sum(refits == estimate, axis=0)
    bias = stats.norm.ppf(np.clip(below, 0.5, count - 0.5) / count)[:, None]
    distance = np.mean(jackknife, axis=0) - jackknife
    with np.errstate(divide="ignore", invalid="ignore"):
        acceleration = np.sum(distance**3, axis=0) / (6 * np.sum(distance**2, axis=0) ** 1.5)
    acceleration = np.where(np.isfinite(acceleration), acceleration, 0.0)[:, None]
    shifted = bias + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    with np.errstate(divide="ignore"):
        return stats.norm.cdf(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-12))


def bootstrap_interval(
    result: ParametricResult,
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    clusters: Any = None,
) -> BootstrapInterval:
    """Return intervals from refits of resampled runs.

    Args:
        result: The fitted law.
        method: ``"bca"`` or ``"percentile"``.
        level: In (0, 1).
        resamples: Refits, > 0.
        seed: Of the resampling.
        clusters: What is resampled whole: a label for each run, [n]; runs one by one by default.

    Returns:
        The intervals. A refit has failed where it did not converge, or where its resample has fewer different runs than
        the law has parameters; above 5 % of such the ends are NaN.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
    if not (0 < level < 1 and resamples > 0):
        raise ValueError(f"level must lie in (0, 1) and resamples be positive, not {level} and {resamples}")
    sample = result.sample
    index = cluster_index(clusters, result.nobs)
    weights = sample.weights * resample_counts(resamples, index, seed)
    refits, converged = _refit(result, weights)
    jackknife = np.empty((0, len(result.params)))
    if method == "bca":
        without = sample.weights * (np.arange(index.max() + 1)[:, None] != index)
        jackknife = _refit(result, without)[0]
    return BootstrapInterval(
        method=method,
        level=level,
        resamples=resamples,
        failed=int(np.sum(~converged)),
        estimate=result.params.to_numpy(),
        refits=refits[converged],
        jackknife=jackknife,
    )


def with_bootstrap(
    result: ParametricResult,
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    clusters: Any = None,
) -> ParametricResult:
    """Return the law with bootstrap intervals, and with a warning where they rest on fewer than ten clusters."""
    interval = bootstrap_interval(result, method, level, resamples, seed, clusters)
    count = int(cluster_index(clusters, result.nobs).max()) + 1
    warnings = result.warnings
    if count < FEW_CLUSTERS:
        message = f"The bootstrap of approach3 has {count} clusters; under {FEW_CLUSTERS} its intervals are too narrow"
        message += ", those by BCa more than percentiles." if method == "bca" else "."
        warnings = (*warnings, Finding("few_budgets", message))
    return replace(result, interval=interval, warnings=warnings)


def cluster_index(clusters: Any, count: int) -> np.ndarray:
    """Return the number of each run's cluster, int64 [n], from 0; runs are clusters of their own without labels."""
    if clusters is None:
        return np.arange(count)
    labels = np.asarray(clusters)
    if labels.shape != (count,):
        raise ValueError(f"clusters must be a label for each of the {count} runs, not of shape {labels.shape}")
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


def resample_counts(resamples: int, index: np.ndarray, seed: int) -> np.ndarray:
    """Return how often each run is drawn in each resample of clusters, float64 [resamples, n]."""
    count = int(index.max()) + 1
    keys = random.fold_in(random.make_key(seed), np.arange(resamples))
    drawn = random.integers(keys[:, None], np.arange(count), count)
    flat = (np.arange(resamples)[:, None] * count + drawn).ravel()
    return np.bincount(flat, minlength=resamples * count).reshape(resamples, count)[:, index].astype(float)


def _refit(result: ParametricResult, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the parameters [m, 8] of refits with other weights [m, n], and which of them converged, bool [m]."""
    found = refit(result.sample, result.sample.losses, weights, result.starts)
    params = derive(result.sample.to_params(found.theta))
    enough = np.sum(weights > 0, axis=1) >= FITTED
    return params, found.converged & enough & np.isfinite(params).all(axis=1)
