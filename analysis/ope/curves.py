"""How the estimate depends on what one chose: FQI's iterations, the ridge, and how much was logged."""

import warnings
from dataclasses import dataclass, replace

import numpy as np

from sandtable.analysis.ope.estimates import FEWEST_CLUSTERS
from sandtable.analysis.ope.prepare import Prepared
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.estimators.ope.linear.fqi import FQI, regression
from sandtable.estimators.ope.linear.intervals import cluster, hc0
from sandtable.estimators.ope.linear.linear_iteration import spectral_radius
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.ope.diagnostics import whitened
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import Moments

LEAST_ITERATIONS, MOST_ITERATIONS = 50, 500
RIDGES = np.logspace(-8, 1, 37)
SIZES = 9


@dataclass(frozen=True)
class Curves:
    """What the figures draw; empty where there is nothing to draw.

    Attributes:
        eigenvalues: Of the whitened matrix A with the ridge, complex [r].
        iterates: FQI's value after 0 .. T iterations, [T + 1].
        ridges: In units of the mean variance of a feature, [k].
        ridge_values: LSTD's value at each, [k].
        ridge_radii: FQI's spectral radius at each, [k].
        sizes: Episodes (independent rows) from the start of the log, int [m].
        size_values: LSTD's value of each part, [m].
        size_intervals: Its interval, [m, 2].
    """

    eigenvalues: np.ndarray
    iterates: np.ndarray
    ridges: np.ndarray
    ridge_values: np.ndarray
    ridge_radii: np.ndarray
    sizes: np.ndarray
    size_values: np.ndarray
    size_intervals: np.ndarray


def curves(prepared: Prepared, settings: EvaluateSettings) -> Curves:
    """Return the curves of a log."""
    moments, discount = prepared.known_moments, settings.discount
    mean = moments.mean()
    ridged = replace(mean, covariance=mean.covariance + settings.ridge * np.eye(moments.features))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        eigenvalues = np.linalg.eigvals(whitened(ridged, discount))
        known = bool(np.all(np.asarray(moments.initial_weight) > 0))
        iterates = _iterates(moments, settings, eigenvalues) if known else np.zeros(0)
        scale = float(np.trace(mean.covariance)) / moments.features
        ridges = RIDGES if moments.features <= 400 else RIDGES[::4]
        values, radii = _against_ridge(mean, discount, ridges * scale)
        sizes, size_values, size_intervals = _against_size(prepared, settings)
    return Curves(eigenvalues, iterates, ridges, values, radii, sizes, size_values, size_intervals)


def _iterates(moments: Moments, settings: EvaluateSettings, eigenvalues: np.ndarray) -> np.ndarray:
    """Return FQI's value after each iteration, for as many as it takes to see where it goes."""
    radius = float(np.abs(eigenvalues).max(initial=0.0))
    needed = np.log(1e-3) / np.log(radius) if 0 < radius < 1 else LEAST_ITERATIONS
    count = int(np.clip(max(needed, settings.iterations or 0), LEAST_ITERATIONS, MOST_ITERATIONS))
    path = FQI(settings.discount, count, settings.ridge).path(moments)
    return np.asarray(path @ moments.initial_mean)


def _against_ridge(mean: Moments, discount: float, ridges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return LSTD's value and FQI's spectral radius at each ridge."""
    values, radii = np.full(len(ridges), np.nan), np.full(len(ridges), np.nan)
    for i, ridge in enumerate(ridges):
        values[i] = LSTD(discount, float(ridge)).fit(mean).value
        radii[i] = spectral_radius(regression(mean, discount, float(ridge)).matrix)
    return values, radii


def _against_size(prepared: Prepared, settings: EvaluateSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return LSTD's value with its interval from ever more of the log's episodes, in its order."""
    log = prepared.featured.weighted
    total = log.episodes
    least = min(total, 10)
    sizes = np.unique(np.geomspace(least, total, SIZES).round().astype(np.int64))
    values, ends = np.full(len(sizes), np.nan), np.full((len(sizes), 2), np.nan)
    estimator = LSTD(settings.discount, settings.ridge)
    for i, size in enumerate(sizes):
        part = _first_episodes(log, int(size))
        result = estimator.fit(moments_of_log(part, next_taken=prepared.featured.next_taken))
        values[i] = result.value
        if result.influence is not None and np.isfinite(result.value):
            told = cluster if not log.independent and size >= FEWEST_CLUSTERS else hc0
            ends[i] = told(result, part).conf_int(settings.alpha)
    return sizes, values, ends


def _first_episodes(log: LoggedSteps, count: int) -> LoggedSteps:
    """Return the first episodes of a log, as far as moments need them."""
    if count == log.episodes:
        return log
    rows = int(log.first[count])
    initial, weight = log.initial_features, log.initial_weight
    if initial is not None and not log.independent and len(initial) == log.episodes:
        initial = initial[:count]
    assert log.features is not None
    assert log.next_features is not None
    return LoggedSteps(
        actions=log.actions,
        episode=log.episode[:rows],
        step=log.step[:rows],
        action=log.action[:rows],
        reward=log.reward[:rows],
        terminated=log.terminated[:rows],
        truncated=log.truncated[:rows],
        features=log.features[:rows],
        next_features=log.next_features[:rows],
        initial_features=initial,
        initial_weight=None if weight is None else weight[:count],
        weight=None if log.weight is None else log.weight[:rows],
        independent=log.independent,
    )
