"""Off-policy evaluation of a log: every estimator that it serves, and whether it can tell the value at all."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandtable.analysis.ope.curves import Curves, curves
from sandtable.analysis.ope.estimates import estimates, lstd_intervals
from sandtable.analysis.ope.prepare import Prepared
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.estimators.ope.linear.intervals import bootstrap_moments
from sandtable.estimators.ope.linear.verdict import Verdict, verdict
from sandtable.estimators.ope.value_estimate import ValueEstimate
from sandtable.estimators.ope.weighting.importance_weights import Overlap, overlap, why_unweighted

DIAGNOSTICS = (
    "distribution_shift", "norm", "spectral_radius", "spectral_radius_ci", "symmetric_part",
    "smallest_singular_value", "rank", "condition_G", "condition_covariance", "lyapunov_norm", "lyapunov_condition",
    "iterations_to_1e-6", "td_stable", "coverage", "regime", "regime_certain",
)  # fmt: skip
FEWEST_EFFECTIVE = 10.0
"""Effective episodes from which on a weighted estimate is worth naming."""
MOST_WORK = 200 * 250**3
"""Resamples times cubed features that the verdict may take; with more features it makes fewer, 20 at least."""
MOST_SUMS = 4 * 10**11
"""Resamples times episodes times squared features that it may take, a minute of one core; then likewise."""


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        prepared: The log and its moments.
        settings: What the user decided.
        estimates: One of each estimator, in the order of ``estimates.ESTIMATORS``.
        intervals: LSTD's value with each kind of interval; empty where it has none.
        verdict: What the log can tell, with its sampling error; None where no value is fitted to it.
        overlap: How well the log covers the target policy.
        chosen: The estimator that the answer names; None where none is to be trusted.
        curves: LSTD, FQI and the spectral radius against iterations, ridge and rows; None likewise.
        warnings: What was assumed, mended, or is not known, a sentence each.
    """

    prepared: Prepared
    settings: EvaluateSettings
    estimates: list[ValueEstimate]
    intervals: list[ValueEstimate]
    verdict: Verdict | None
    overlap: Overlap
    chosen: str | None
    curves: Curves | None
    warnings: tuple[str, ...]

    @property
    def regime(self) -> str:
        """Return the verdict in one sentence, or why there is none."""
        return self.verdict.sentence if self.verdict else f"No value is fitted: {self.prepared.reason}."

    @property
    def doubt(self) -> str:
        """Return why the answer would not name LSTD."""
        if self.verdict is None:
            return "no value is fitted"
        if self.verdict.starts_left:
            return "the log does not determine what linear values are at its starts"
        return "LSTD is not certain to be consistent here"

    def estimate(self, name: str) -> ValueEstimate:
        """Return the estimate of one estimator."""
        return next(one for one in self.estimates if one.estimator == name)


def evaluate(
    prepared: Prepared, settings: EvaluateSettings, stage: Callable[[str], None] = lambda title: None
) -> Evaluation:
    """Return the evaluation of a log.

    Args:
        prepared: As ``prepare.prepare`` returned it.
        settings: What the user decided.
        stage: Told the title of each stage as it begins.
    """
    told = list(prepared.warnings)
    fitted = prepared.moments is not None
    if fitted:
        stage("diagnosing")
    found = _verdict(prepared, settings, told) if fitted else None
    stage("estimating")
    values = estimates(prepared, settings, stage)
    covered = overlap(prepared.log)
    if len(prepared.log.first) < 2:
        told.append("the log holds one episode, so no sampling error can be told")
    if fitted:
        stage("moving iterations, ridge and rows")
    return Evaluation(
        prepared=prepared,
        settings=settings,
        estimates=values,
        intervals=lstd_intervals(prepared, settings) if values[0].interval != "none" else [],
        verdict=found,
        overlap=covered,
        chosen=choose(values, found, covered),
        curves=curves(prepared, settings) if fitted else None,
        warnings=tuple(dict.fromkeys(told)),
    )


def _verdict(prepared: Prepared, settings: EvaluateSettings, told: list[str]) -> Verdict:
    """Return what the moments can tell; what is to be known of it is added to ``told``."""
    log, resamples = prepared.featured.weighted, resamples_of(prepared, settings)
    if resamples < settings.bootstrap:
        told.append(
            f"with {prepared.features_count:,} features and {log.episodes:,} episodes (or independent rows) the "
            f"regime's sampling error comes from {resamples} resamples, not {settings.bootstrap}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = verdict(
            log, settings.discount, ridge=settings.ridge, alpha=settings.alpha, replicates=resamples,
            seed=settings.seed, next_taken=prepared.featured.next_taken,
            next_covariance=prepared.featured.next_covariance,
            resampled=bootstrap_moments(log, resamples, settings.seed, prepared.featured.next_taken),
        )  # fmt: skip
    if settings.ridge:
        told.append(
            f"diagnostics: of the moments with the ridge of {settings.ridge:g}; only where they are singular, or leave "
            "the starts open, without it, regime and coverage say so"
        )
    if settings.discount == 1 and found.diagnostics.spectral_radius >= 1 - 1e-9:
        told.append(
            "at discount 1 the spectral radius is not below 1: as far as the log tells, the target policy may never "
            "end an episode, and its value be infinite"
        )
    if found.linearity is not None and found.linearity.degrees and found.linearity.p_value < settings.alpha:
        told.append(
            f"the log speaks against a value that is linear in these features (p = {found.linearity.p_value:.2g}): the "
            "linear estimates may be biased, and their intervals do not tell by how much"
        )
    return found


def resamples_of(prepared: Prepared, settings: EvaluateSettings) -> int:
    """Return how many resamples the verdict makes: those that were asked for, or what the features leave time for."""
    squared = prepared.features_count**2
    most = min(MOST_WORK // (squared * prepared.features_count), MOST_SUMS // (squared * prepared.log.episodes))
    return int(min(settings.bootstrap, max(20, most)))


def choose(values: list[ValueEstimate], found: Verdict | None, covered: Overlap) -> str | None:
    """Return which estimator the answer names, by a rule that does not look at the values.

    LSTD where it is consistent and the log determines the value at the starts; else the weighted doubly robust
    estimate, and then weighted importance sampling, where the weights leave as much as ten episodes; else none.
    """
    by_name = {one.estimator: one for one in values}
    if found is not None and found.lstd == "consistent" and by_name["lstd"].status == "ok" and not found.starts_left:
        return "lstd"
    if covered.effective_sample_size >= FEWEST_EFFECTIVE:
        for name in ("wdr", "wis"):
            if by_name[name].status == "ok":
                return name
    return None


def answer(result: Evaluation) -> str:
    """Return the outcome in one sentence."""
    log, discount = result.prepared.log, result.settings.discount
    size = f"{len(log):,} independent transitions" if log.independent else f"{log.episodes:,} episodes"
    if result.chosen is None:
        return (
            f"This log of {size} does not tell what the target policy is worth at discount {discount:g}: "
            f"{result.doubt}, and its weights leave too few episodes to average."
        )
    estimate = result.estimate(result.chosen)
    low, high = estimate.conf_int(result.settings.alpha)
    level = f"{1 - result.settings.alpha:.0%} interval"
    sure = f"{level} {number(low)} to {number(high)}" if np.isfinite(low) else "how sure that is cannot be told"
    name = estimate.estimator.upper()
    worth = f"The target policy is worth {number(estimate.value)} ({sure}) at discount {discount:g}"
    return f"{worth}, by {name} from {size}."


def number(value: float) -> str:
    """Return four significant digits with a true minus sign."""
    text = f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3g}"
    return text.replace("-", "−")


def document(result: Evaluation, report: str) -> dict[str, Any]:
    """Return what ``sandtable evaluate --json`` prints; what is not finite is None, with a warning.

    Args:
        result: The evaluation.
        report: Where the report is.
    """
    prepared, settings, warned = result.prepared, result.settings, list(result.warnings)
    rows = []
    for one in result.estimates:
        low, high = one.conf_int(settings.alpha)
        if one.interval == "none" and np.isfinite(one.value):
            warned.append(f"estimates.{one.estimator}.ci: null, for no interval can be told")
        rows.append(
            {
                "estimator": one.estimator,
                "value": one.value,
                "se": one.se,
                "ci": [None, None] if one.interval == "none" else [low, high],
                "interval": one.interval,
                "alpha": settings.alpha,
                "status": one.status,
                "reason": one.reason,
                "iterations": one.iterations,
                "params": None if one.params is None else np.asarray(one.params).tolist(),
            }
        )
    told = {
        "schema": 1,
        "n": len(prepared.log),
        "episodes": prepared.log.episodes,
        "actions": prepared.log.actions,
        "features": prepared.features_count,
        "discount": settings.discount,
        "value_scale": "unnormalised",
        "initial": prepared.initial,
        "estimates": [finite(row, f"estimates.{row['estimator']}", warned, row["status"] == "not run") for row in rows],
        "diagnostics": _diagnostics_of(result, warned),
        "overlap": finite(_overlap_of(result, warned), "overlap", warned),
        "warnings": warned,
        "report": report,
    }
    return told


def _diagnostics_of(result: Evaluation, warned: list[str]) -> dict[str, Any]:
    """Return the diagnostics; what is not finite, or not known, is None, with the reason."""
    if result.verdict is None:
        warned.append(f"diagnostics: null, for {result.prepared.reason}")
        return dict.fromkeys(DIAGNOSTICS)
    found, reasons = result.verdict.diagnostics.as_json(), result.verdict.diagnostics.reasons
    for name in DIAGNOSTICS:
        if name in found and found[name] is None:
            warned.append(f"diagnostics.{name}: null, for {reasons.get(name, 'it is infinite')}")
    found |= {
        "spectral_radius_ci": list(result.verdict.spectral_radius_ci),
        "regime_certain": result.verdict.regime_certain,
    }
    return dict(finite({name: found[name] for name in DIAGNOSTICS}, "diagnostics", warned))


def _overlap_of(result: Evaluation, warned: list[str]) -> dict[str, Any]:
    """Return the overlap's numbers; what the log does not tell is None, with the reason."""
    log, covered = result.prepared.log, result.overlap
    reason = "the log does not hold both policies' probabilities above 0" if log.independent else why_unweighted(log)
    told = {
        "ess": covered.effective_sample_size,
        "max_weight": covered.max_weight,
        "zero_behaviour_rows": covered.zero_behaviour_rows,
        "unsupported_mass": covered.unsupported_mass,
    }
    for name, value in told.items():
        if np.isnan(value):
            unseen = "the target policy's probabilities of every action are not known"
            why = unseen if name == "unsupported_mass" else reason
            warned.append(f"overlap.{name}: null, for {why}")
    return {name: None if np.isnan(value) else value for name, value in told.items()}


def finite(value: Any, name: str, warned: list[str], silent: bool = False) -> Any:
    """Return a value with None for numbers that JSON lacks; each is told, once a name.

    Args:
        value: Of dicts, lists and numbers.
        name: What to call it.
        warned: Takes the warnings.
        silent: Whether the reason is told elsewhere.
    """
    if isinstance(value, dict):
        return {key: finite(one, f"{name}.{key}", warned, silent) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one, name, warned, silent) for one in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        if np.isfinite(value):
            return float(value)
        text = f"{name}: null, for it is {'not a number' if np.isnan(value) else 'infinite'}"
        if not silent and text not in warned:
            warned.append(text)
        return None
    return int(value) if isinstance(value, np.integer) else value
