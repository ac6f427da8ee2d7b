"""Every estimator on one log: what each needs, whether the log serves it, and its value with an interval."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sandtable.analysis.ope.prepare import Prepared
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.estimators.ope.linear.bellman_residual import BellmanResidual
from sandtable.estimators.ope.linear.certainty_model import CertaintyModel
from sandtable.estimators.ope.linear.fqi import FQI
from sandtable.estimators.ope.linear.intervals import cluster, episode_bootstrap, hc0, one_step_bootstrap
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.linear.minimax_weights import MinimaxWeights
from sandtable.estimators.ope.linear.temporal_difference import ExpectedTD
from sandtable.estimators.ope.value_estimate import ValueEstimate
from sandtable.estimators.ope.weighting.doubly_robust import DoublyRobust, WeightedDoublyRobust
from sandtable.estimators.ope.weighting.importance_sampling import (
    ImportanceSampling,
    PerDecisionImportanceSampling,
    WeightedImportanceSampling,
    WeightedPerDecisionImportanceSampling,
)
from sandtable.estimators.ope.weighting.magic import Magic
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.diagnostics import diagnose

LINEAR = ("lstd", "fqi", "td", "brm", "minimax", "model")
WEIGHTED = ("is", "wis", "pdis", "wpdis", "dr", "wdr", "magic")
ESTIMATORS = (*LINEAR, *WEIGHTED, "fqe")
FEWEST_CLUSTERS = 20
"""Episodes from which on their sums tell a standard error; with fewer, rows do."""
ENDLESS = "at discount 1 the value is finite only where episodes end, and no row of the log is terminated"
MOST_ENTRIES = 3e8
"""Entries of the moments of all episodes, or of all resamples, beyond which no estimator is fitted to each resample."""


def estimates(
    prepared: Prepared, settings: EvaluateSettings, stage: Callable[[str], None] = lambda title: None
) -> list[ValueEstimate]:
    """Return the estimate of every estimator, in the order of ``ESTIMATORS``; ``"not run"`` says why."""
    return [*_linear(prepared, settings), *_weighted(prepared, settings, stage), _networks(prepared, settings, stage)]


def interval_kind(prepared: Prepared) -> str:
    """Return which interval linear estimates get: of sums over episodes, where there are enough of them."""
    enough = not prepared.log.independent and prepared.log.episodes >= FEWEST_CLUSTERS
    return "cluster" if enough else "hc0"


def linear_estimators(settings: EvaluateSettings) -> dict[str, Any]:
    """Return the estimators that need the moments alone, by name."""
    discount, ridge, iterations = settings.discount, settings.ridge, settings.iterations
    return {
        "lstd": LSTD(discount, ridge),
        "fqi": FQI(discount, iterations, ridge),
        "td": ExpectedTD(discount, iterations, ridge=ridge),
        "brm": BellmanResidual(discount, ridge),
        "minimax": MinimaxWeights(discount, ridge),
        "model": CertaintyModel(discount, ridge),
    }


def _why_unserved(prepared: Prepared, settings: EvaluateSettings) -> str:
    """Return why no model of values is fitted to this log; empty where one is."""
    if prepared.moments is None:
        return prepared.reason
    return ENDLESS if settings.discount == 1 and not prepared.log.terminated.any() else ""


def _linear(prepared: Prepared, settings: EvaluateSettings) -> Iterator[ValueEstimate]:
    """Return the estimates that need the moments alone."""
    unserved = _why_unserved(prepared, settings)
    determined = not unserved and _determined(prepared, settings)
    for name, estimator in linear_estimators(settings).items():
        if unserved:
            yield ValueEstimate.not_run(name, unserved)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the status tells what they would
            try:
                yield _fitted(name, estimator, prepared, settings, determined)
            except InputError as error:
                yield ValueEstimate.not_run(name, str(error))


def _fitted(
    name: str, estimator: Any, prepared: Prepared, settings: EvaluateSettings, determined: bool
) -> ValueEstimate:  # fmt: skip
    """Return a linear estimate with the interval that can be told; ``determined`` as ``_determined`` has it."""
    log = prepared.featured.weighted
    result = estimator.fit(prepared.known_moments)
    if name == "brm" and not determined:  # its system may be regular where LSTD's is not
        determined = replace(estimator, ridge=0.0).fit(prepared.known_moments).status == "ok"
    if not determined and result.status in ("ok", "singular") and np.isfinite(result.value):
        return _without_interval(result.estimate(), settings)
    if result.status == "singular":
        result = replace(result, status="ok", reason=f"{result.reason}; all that fit give the starts the same value")
    if np.isfinite(result.value) and result.influence is not None:
        return cluster(result, log) if interval_kind(prepared) == "cluster" else hc0(result, log)
    taken = prepared.featured.next_taken
    if name == "brm" and taken == "drawn" and _can_be_refitted(prepared, settings):
        return episode_bootstrap(estimator, log, settings.bootstrap, settings.seed, taken)
    estimate: ValueEstimate = result.estimate()
    return estimate


def _without_interval(estimate: ValueEstimate, settings: EvaluateSettings) -> ValueEstimate:
    """Return an estimate of what the log does not determine: sampling errors do not tell how far off it is."""
    told = f"{estimate.reason}; " if estimate.reason else ""
    reason = "no interval, for the log does not determine the value at the starts"
    reason += ": the ridge does" if settings.ridge else ""
    return replace(estimate, status="singular", reason=f"{told}{reason}")


def _determined(prepared: Prepared, settings: EvaluateSettings) -> bool:
    """Say whether the log, without a ridge, determines the value at the starts, whatever the parameters are."""
    coverage = diagnose(prepared.known_moments, settings.discount).coverage
    return coverage is not None and bool(np.isfinite(coverage))


def _can_be_refitted(prepared: Prepared, settings: EvaluateSettings) -> bool:
    """Say whether there is time and room to fit an estimator to every resample of the episodes."""
    return max(prepared.log.episodes, settings.bootstrap) * prepared.known_moments.features**2 <= MOST_ENTRIES


def lstd_intervals(prepared: Prepared, settings: EvaluateSettings) -> list[ValueEstimate]:
    """Return LSTD with each kind of interval."""
    log, estimator = prepared.featured.weighted, LSTD(settings.discount, settings.ridge)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = estimator.fit(prepared.known_moments)
        found = [hc0(result, log)]
        if log.episodes > 1:
            found.append(cluster(result, log))
            found.append(one_step_bootstrap(result, log, settings.bootstrap, settings.seed))
            if _can_be_refitted(prepared, settings):
                taken = prepared.featured.next_taken
                found.append(episode_bootstrap(estimator, log, settings.bootstrap, settings.seed, taken))
    return found


def _weighted(
    prepared: Prepared, settings: EvaluateSettings, stage: Callable[[str], None]
) -> Iterator[ValueEstimate]:  # fmt: skip
    """Return the estimates that weight episodes by the policies' ratio."""
    stage("weighting episodes")
    common: dict[str, Any] = {
        "discount": settings.discount, "bootstrap": settings.bootstrap, "seed": settings.seed,
    }  # fmt: skip
    model = {**common, "ridge": settings.ridge, "features": settings.value}
    kinds: list[Any] = [
        ImportanceSampling(**common),
        WeightedImportanceSampling(**common),
        PerDecisionImportanceSampling(**common),
        WeightedPerDecisionImportanceSampling(**common),
        DoublyRobust(**model),
        WeightedDoublyRobust(**model),
        Magic(**model),
    ]
    unserved = _why_unserved(prepared, settings)
    for estimator in kinds:
        if isinstance(estimator, DoublyRobust) and unserved:
            yield ValueEstimate.not_run(estimator.name, unserved)
            continue
        try:
            yield estimator.fit(prepared.log)
        except InputError as error:
            yield ValueEstimate.not_run(estimator.name, str(error))


def _networks(prepared: Prepared, settings: EvaluateSettings, stage: Callable[[str], None]) -> ValueEstimate:
    """Return the estimate of FQE with networks."""
    if not settings.fqe_steps:
        return ValueEstimate.not_run("fqe", "left out by --fqe-steps 0")
    if unserved := _why_unserved(prepared, settings):
        return ValueEstimate.not_run("fqe", unserved)
    from sandtable.estimators.ope.fitted_q_network import FittedQNetwork, why_unfitted

    try:
        if reason := why_unfitted(prepared.log):
            return ValueEstimate.not_run("fqe", reason)
        stage("FQE: training networks")
        return FittedQNetwork(settings.discount, steps=settings.fqe_steps, seed=settings.seed).fit(prepared.log)
    except InputError as error:
        return ValueEstimate.not_run("fqe", str(error))
