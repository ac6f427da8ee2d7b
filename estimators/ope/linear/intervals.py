"""How sure a linear estimate is: sandwich and bootstrap intervals.

Each row moves the value, to first order, by its influence (``linear_result.Influence``); each start, where starts are a
sample, by its own value. What is summed over what is the assumption:

- ``hc0``: temporal-difference errors of different rows are uncorrelated, as they are if the value is linear in the
  features; their variance may differ from row to row.
- ``cluster``: only episodes are independent. Also valid where the value is not linear in the features.
- ``one_step_bootstrap``: episodes are resampled, and the estimate follows to first order, without a fit.
- ``episode_bootstrap``: episodes are resampled, and the estimator is fitted to each resample's moments.

Where the initial features come from the log, their sampling error is in every interval. A single initial vector is
taken as exact; several that belong to no episode are a sample of their own.
"""

import warnings
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from sandtable.estimators.ope.linear.linear_result import LinearResult
from sandtable.estimators.ope.linear.lstd import RankWarning
from sandtable.estimators.ope.moments.accumulate import (
    features_of,
    moments_by_episode,
    moments_of_log,
    starts_of,
    total_weight,
)
from sandtable.estimators.ope.moments.accumulator import chunk_rows
from sandtable.estimators.ope.value_estimate import Interval, ValueEstimate
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import Moments, NextFeatures
from sandtable.simulators.random import fold_in, integers, make_key

_EPISODES, _STARTS = 0x65706973, 0x73746172  # streams of what is resampled
BLOCK_BYTES = 2**27
"""Of the moments of episodes that are held at once."""


class LinearEstimator(Protocol):
    """What fits moments, also many at once."""

    def fit(self, moments: Moments, /) -> LinearResult:
        """Return the fit."""


class Influences(NamedTuple):
    """What each row, and each start, adds to the error of the value, to first order.

    Attributes:
        rows: [n].
        starts: [m]; None where the initial features are exact.
        of_episodes: Whether start e belongs to episode e of the log.
    """

    rows: np.ndarray
    starts: np.ndarray | None
    of_episodes: bool


def influences(result: LinearResult, log: LoggedSteps) -> Influences:
    """Return the influence of each row and start, in one pass over the log.

    Args:
        result: The fit to the moments of this log.
        log: With features; memory-mapped ones are read once, chunk by chunk.

    Raises:
        ValueError: The result knows no influence: it has no value, or is a batch, or minimises Bellman residuals.
    """
    if result.influence is None:
        raise ValueError(f"{result.estimator}: no influence of rows is known; the episode bootstrap serves it")
    phi, following = features_of(log)
    total = total_weight(log)
    rows = np.empty(len(log))
    step = chunk_rows(phi.shape[1])
    for start in range(0, len(log), step):
        part = slice(start, start + step)
        weight = 1.0 if log.weight is None else log.weight[part]
        moved = _moved(phi[part], following[part], log.reward[part], log.terminated[part], result)
        rows[part] = moved * weight / total
    starts = starts_of(log)
    if starts is None or (len(starts.features) == 1 and not starts.of_episodes):
        return Influences(rows, None, False)
    # the influence's instruments are those of the mean start, whatever start's own value is
    values = starts.features @ result.params
    return Influences(rows, starts.share * (values - starts.share @ values), starts.of_episodes)


def _moved(
    features: np.ndarray, next_features: np.ndarray, reward: np.ndarray, terminated: np.ndarray, result: LinearResult
) -> np.ndarray:
    """Return what each of some rows moves the value by, were it alone, [n]."""
    assert result.influence is not None
    instruments, before, after = result.influence
    seen = features @ np.concatenate([instruments, after], axis=1)  # one pass over phi
    ahead = next_features @ before
    if terminated.any():
        ahead[terminated] = 0.0
    columns = instruments.shape[1]
    errors = reward[:, None] + result.discount * ahead - seen[:, columns:]
    return np.einsum("nt,nt->n", seen[:, :columns], errors)


def hc0(result: LinearResult, log: LoggedSteps) -> ValueEstimate:
    """Return the value with the heteroscedasticity-consistent standard error (White 1980), rows taken one by one."""
    moved = influences(result, log)
    variance = float(moved.rows @ moved.rows)
    if moved.starts is not None:
        variance += float(moved.starts @ moved.starts)
    return _with(result, "hc0", se=np.sqrt(variance))


def cluster(result: LinearResult, log: LoggedSteps) -> ValueEstimate:
    """Return the value with the standard error of sums over episodes, times sqrt(E / (E - 1)); NaN for one episode."""
    by_episode, separate = _by_episode(result, log)
    count = len(by_episode)
    variance = count * float(by_episode.var(ddof=1)) if count > 1 else np.nan
    if separate is not None:
        variance += float(separate @ separate)
    return _with(result, "cluster", se=np.sqrt(variance))


def one_step_bootstrap(result: LinearResult, log: LoggedSteps, replicates: int = 200, seed: int = 0) -> ValueEstimate:
    """Return the value with percentiles of B resamples of the episodes' influences.

    Args:
        result: The fit to the moments of this log.
        log: With features.
        replicates: B, >= 2.
        seed: Of the resampling; a replicate does not depend on how many others there are.
    """
    by_episode, separate = _by_episode(result, log)
    values = np.full(replicates, float(result.value))
    for b in range(replicates):
        values[b] += by_episode[_drawn(seed, _EPISODES, b, len(by_episode))].sum() - by_episode.sum()
        if separate is not None:
            values[b] += separate[_drawn(seed, _STARTS, b, len(separate))].sum()
    return _with(result, "one_step_bootstrap", replicates=values)


def episode_bootstrap(
    estimator: LinearEstimator,
    log: LoggedSteps,
    replicates: int = 200,
    seed: int = 0,
    next_taken: NextFeatures = "mean",
) -> ValueEstimate:
    """Return the value with percentiles of B fits to resamples of the episodes, made of the episodes' moments.

    Only blocks of episodes are held at once; memory is that of B moments. Replicates that are not finite are left out
    of the percentiles, and the reason tells how many.

    Args:
        estimator: Any linear estimator.
        log: With features.
        replicates: B, >= 2.
        seed: As of ``one_step_bootstrap``.
        next_taken: As of ``moments_of_log``.
    """
    result = estimator.fit(moments_of_log(log, next_taken=next_taken))
    resampled = bootstrap_moments(log, replicates, seed, next_taken)
    weight, starting = np.asarray(resampled.weight), np.asarray(resampled.initial_weight)
    empty = (weight == 0) | (starting == 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankWarning)
        weight, starting = np.where(weight == 0, 1.0, weight), np.where(starting == 0, 1.0, starting)
        refits = estimator.fit(replace(resampled, weight=weight, initial_weight=starting))
    values = np.where(empty, np.nan, refits.value)
    told = [result.reason] if result.reason else []
    for count, what in (
        (int((~np.isfinite(values)).sum()), "have no value"),
        (int((np.asarray(refits.rank) < refits.params.shape[-1]).sum()), "have a singular system"),
    ):
        if count:
            told.append(f"{count} of {replicates} resamples {what}")
    return replace(_with(result, "episode_bootstrap", replicates=values), reason="; ".join(told))


def bootstrap_moments(
    log: LoggedSteps, replicates: int = 200, seed: int = 0, next_taken: NextFeatures = "mean"
) -> Moments:
    """Return the moments of B resamples of a log's episodes, of batch shape [B].

    Raises:
        ValueError: ``replicates`` is below 2.
    """
    if replicates < 2:
        raise ValueError(f"replicates must be at least 2, not {replicates}")
    features, episodes = features_of(log)[0].shape[1], log.episodes
    drawn = (_drawn(seed, _EPISODES, b, episodes) for b in range(replicates))
    counts = np.stack([np.bincount(one, minlength=episodes).astype(np.int32) for one in drawn])
    size = max(1, BLOCK_BYTES // (8 * 3 * features**2))
    total: Moments | None = None
    for start in range(0, episodes, size):
        part = slice(start, start + size)
        mixed = moments_by_episode(log, part, next_taken).combined(counts[:, part])
        total = mixed if total is None else total + mixed
    assert total is not None
    starts = starts_of(log)
    if starts is None or starts.of_episodes or len(starts.features) == 1:
        return total
    sample = starts.features
    means = np.stack([sample[_drawn(seed, _STARTS, b, len(sample))].mean(axis=0) for b in range(replicates)])
    return replace(total, initial_features=means, initial_weight=1.0)


def with_covariance(result: LinearResult, log: LoggedSteps, cov_type: str = "hc0") -> LinearResult:
    """Return the result with the covariance of its parameters, G^-1 Omega G^-T for its system G.

    Args:
        result: A fixed point: of LSTD, minimax, the model, or a limit.
        log: What it was fitted to.
        cov_type: ``"hc0"``: Omega sums w^2 e^2 phi phi^T over rows, e the temporal-difference error; ``"cluster"``: the
            outer products of its sums over episodes, times E / (E - 1); ``"homoskedastic"``: the mean of e^2 times the
            sum of w^2 phi phi^T, as statsmodels' IV2SLS with ``cov_type="nonrobust"`` but for its degrees of freedom.

    Raises:
        ValueError: The result solves no system, or there is no such ``cov_type``.
    """
    if cov_type not in ("hc0", "cluster", "homoskedastic"):
        raise ValueError(f"cov_type must be 'hc0', 'cluster' or 'homoskedastic', not {cov_type!r}")
    if result.system is None or result.system.ndim != 2:
        raise ValueError(f"{result.estimator}: the parameters are no solution of one linear system")
    phi, following = features_of(log)
    d, total = phi.shape[1], total_weight(log)
    omega = np.zeros((d, d))
    sums = np.zeros((log.episodes, d)) if cov_type == "cluster" else np.zeros((0, d))
    squares = 0.0
    step = chunk_rows(d)
    for start in range(0, len(log), step):
        part = slice(start, start + step)
        features = np.asarray(phi[part], dtype=np.float64)
        ahead = np.where(log.terminated[part], 0.0, following[part] @ result.params)
        errors = log.reward[part] + result.discount * ahead - features @ result.params
        weight = np.ones(len(errors)) if log.weight is None else log.weight[part]
        squares += float(weight @ errors**2)
        scores = features * (weight if cov_type == "homoskedastic" else weight * errors)[:, None]
        if cov_type == "cluster":
            np.add.at(sums, log.episode[part], scores)
        else:
            omega += scores.T @ scores
    if cov_type == "cluster":
        omega = sums.T @ sums * log.episodes / max(log.episodes - 1, 1)
    elif cov_type == "homoskedastic":
        omega *= squares / total
    half = np.linalg.solve(result.system, omega)
    cov = np.linalg.solve(result.system, half.T) / total**2
    return replace(result, cov=(cov + cov.T) / 2, cov_type=cov_type)


def _by_episode(result: LinearResult, log: LoggedSteps) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the influence of each episode, its start's included, [E], and that of starts of a sample of their own."""
    moved = influences(result, log)
    by_episode = np.bincount(log.episode, moved.rows, minlength=log.episodes)
    if moved.starts is None or not moved.of_episodes:
        return by_episode, moved.starts
    return by_episode + moved.starts, None


def _drawn(seed: int, stream: int, replicate: int, count: int) -> np.ndarray:
    """Return the numbers of a resample, int64 [count]."""
    key = fold_in(fold_in(make_key(seed), stream), replicate)
    return np.asarray(integers(key, np.arange(count), count))


def _with(result: LinearResult, interval: Interval, **found: Any) -> ValueEstimate:
    """Return the estimate of a value with an interval."""
    estimate = replace(result.estimate(), interval=interval, **found)
    if estimate.replicates is not None:
        finite = estimate.replicates[np.isfinite(estimate.replicates)]
        return replace(estimate, se=float(finite.std(ddof=1)) if len(finite) > 1 else float("nan"))
    return replace(estimate, se=float(estimate.se if estimate.se is not None else np.nan))
