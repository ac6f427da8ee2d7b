"""Scaling laws of a table of runs: all that its columns allow, how far each is to be trusted, and what it foretells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sandtable.analysis.scaling.laws import Job, Skipped, fit_law, fit_with_interval, plan
from sandtable.analysis.scaling.settings import ScalingLawSettings
from sandtable.analysis.scaling.suggestions import Suggestion, suggest
from sandtable.estimators.scaling.bootstrap import MOST_FAILED
from sandtable.estimators.scaling.forecast import HoldOut, compute_optimal, hold_out
from sandtable.estimators.scaling.isoflop import IsoFlop, ProcedureBias, procedure_bias
from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.next_run import budgets_of
from sandtable.estimators.scaling.power_law import PowerLaw
from sandtable.estimators.scaling.residual_trends import Trend, residual_trends
from sandtable.estimators.scaling.sensitivity import Sensitivity, sensitivity
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs import Finding, Runs
from sandtable.simulators.scaling.runs_file import Dropped, RunsFile
from sandtable.simulators.scaling.synthetic_runs import Surface

FAR = 10.0
"""A forecast is an extrapolation from this multiple of the largest budget that was fitted on."""


@dataclass(frozen=True)
class Fit:
    """A law of a group, and what is to be known of it.

    Attributes:
        job: What was fitted, and to which runs.
        result: The law.
        optimum: By budget, the compute-optimal parameters, data and loss, each estimate, low, high; empty where the law
            knows none.
        trends: Of its residuals.
        sensitivity: The law without some of its runs.
        hold_outs: By name, forecasts of the runs that were held out.
        suggestions: What to run next.
        bias: Of Approach 2, on the surface of Approach 3 at the user's own sizes; None where there is none.
    """

    job: Job
    result: LawResult
    optimum: Mapping[float, Mapping[str, np.ndarray]] = field(default_factory=dict)
    trends: tuple[Trend, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    hold_outs: Mapping[str, HoldOut] = field(default_factory=dict)
    suggestions: tuple[Suggestion, ...] = ()
    bias: ProcedureBias | None = None

    @property
    def main(self) -> bool:
        """Whether total parameters are counted; what counts others stands beside."""
        return self.job.size == "parameters"


@dataclass(frozen=True)
class ScalingLaws:
    """What was found.

    Attributes:
        file: The runs, what was left out and what is odd.
        settings: What the user decided.
        fits: The laws, those that the answer prefers first.
        skipped: The laws that were left out, and why.
        warnings: What was found in the file and in the fits.
    """

    file: RunsFile
    settings: ScalingLawSettings
    fits: tuple[Fit, ...]
    skipped: tuple[Skipped, ...]
    warnings: tuple[Finding, ...]

    def of(self, law: str) -> list[Fit]:
        """Return the fits of a law, those that count total parameters first."""
        return sorted((fit for fit in self.fits if fit.job.law == law), key=lambda fit: not fit.main)


def fit_runs(
    file: RunsFile, settings: ScalingLawSettings, stage: Callable[[str], None] = lambda title: None
) -> ScalingLaws:
    """Fit what the columns allow.

    Args:
        file: As ``runs_file.read_runs`` returned it.
        settings: What the user decided.
        stage: Told the title of each stage as it begins.

    Raises:
        InputError: No law can be fitted, or the one that was asked for cannot; the message says why.
    """
    file = within(file, settings)
    jobs, skipped = plan(file, settings)
    fits: list[Fit] = []
    failed: list[Skipped] = []
    for job in jobs:
        stage(f"fitting {job.name}" + ("" if job.size == "parameters" else ", non-embedding parameters"))
        try:
            result = fit_with_interval(job, job.runs, settings)
        except InputError as error:
            if settings.law != "auto":
                raise
            about = ", ".join(filter(None, [job.group, "" if job.size == "parameters" else "non-embedding parameters"]))
            failed.append(Skipped(job.law, f"{about}: {error}" if about else str(error)))
            continue
        fits.append(Fit(job, result))
    if not fits:
        reasons = "; ".join(f"{one.law}: {one.reason}" for one in failed or skipped)
        raise InputError(f"no law can be fitted: {reasons}")
    if settings.holdout_above is not None:
        stage("forecasting what was held out")
        fits = _with_hold_outs(fits, settings)
    stage("doubting")
    fits = [_doubted(fit, fits, settings) for fit in fits]
    return ScalingLaws(
        file=file,
        settings=settings,
        fits=tuple(fits),
        skipped=tuple(dict.fromkeys([*failed, *skipped])),
        warnings=tuple(_warnings(file, fits, settings)),
    )


def within(file: RunsFile, settings: ScalingLawSettings) -> RunsFile:
    """Return the file with the runs of the budgets that are asked for; the others are told as dropped.

    Raises:
        InputError: Budgets are bounded and no run has flops, or none lies within.
    """
    low, high = settings.min_flops or 0.0, settings.max_flops or np.inf
    if low == 0.0 and high == np.inf:
        return file
    if not file.runs.has("flops"):
        raise InputError("--min-flops and --max-flops need runs with flops, or with parameters and data")
    dropped = list(file.dropped)
    parts: list[Runs | None] = []
    for runs in (file.runs, file.curves):
        if runs is None:
            parts.append(None)
            continue
        flops = runs.column("flops")
        bounds = ((flops < low * (1 - 1e-9), "less", "--min-flops"), (flops > high * (1 + 1e-9), "more", "--max-flops"))
        for out, word, option in bounds:
            known = {one.row for one in dropped}
            dropped += [
                Dropped(int(row), f"it has {word} compute than {option}") for row in runs.rows[out] if row not in known
            ]
        parts.append(runs.select(~(bounds[0][0] | bounds[1][0])))
    if not len(parts[0] or ()):
        raise InputError("no run lies between --min-flops and --max-flops")
    assert parts[0] is not None
    return replace(file, runs=parts[0], curves=parts[1], dropped=tuple(sorted(dropped)))


def _with_hold_outs(fits: list[Fit], settings: ScalingLawSettings) -> list[Fit]:
    """Return the fits with forecasts of what lies above the budget; raise where no law has any."""
    above = settings.holdout_above or 0.0
    told, reasons = [], []
    for fit in fits:
        found: dict[str, HoldOut] = {}
        if fit.main and fit.job.response and fit.job.runs.has("flops", fit.job.response):
            for name, law in _forecasters(fit.job, settings).items():
                try:
                    found[name] = hold_out(law, fit.job.runs, above, fit.job.response, settings.level)
                except (InputError, ValueError) as error:
                    reasons.append(f"{name}: {error}")
        told.append(replace(fit, hold_outs=found))
    if not any(fit.hold_outs for fit in told):
        why = "; ".join(reasons) or "no law that was fitted predicts runs"
        raise InputError(f"--holdout-above {settings.holdout_above:g}: {why}")
    return told


def _forecasters(job: Job, settings: ScalingLawSettings) -> dict[str, Callable[[Runs], LawResult]]:
    """Return what fits the law below the budget; a power law of compute with and without an offset too."""

    def law(runs: Runs) -> LawResult:
        return fit_with_interval(job, runs, settings)

    found: dict[str, Callable[[Runs], LawResult]] = {job.law: law}
    if job.law == "compute":
        for name, offset in (("pure", False), ("offset", True)):
            form = PowerLaw(offset=offset, level=settings.level)
            found[f"compute:{name}"] = _power_law(form, job.response)
    return found


def _power_law(form: PowerLaw, response: str) -> Callable[[Runs], LawResult]:
    return lambda runs: form.fit(runs.column("flops"), runs.column(response), runs.rows)


def _doubted(fit: Fit, fits: list[Fit], settings: ScalingLawSettings) -> Fit:
    """Return a fit with its optimum, the trends of its residuals, its sensitivity and what to run next."""
    job, result = fit.job, fit.result
    optimum: dict[float, Mapping[str, np.ndarray]] = {}
    if result.optimum_function is not None:
        budgets = forecast_budgets(job.runs, settings)
        optimum = dict(zip(budgets.tolist(), compute_optimal(result, budgets, settings.level), strict=True))
    if not fit.main:
        return replace(fit, optimum=optimum)
    changed = sensitivity(lambda runs: fit_law(job, runs, settings), job.runs, result.names)
    return replace(
        fit,
        optimum=optimum,
        trends=tuple(_trends(job, result)),
        sensitivity=tuple(changed),
        suggestions=tuple(suggest(job, result, optimum, settings)),
        bias=_bias(fit, fits, settings) if job.law == "approach2" else None,
    )


def forecast_budgets(runs: Runs, settings: ScalingLawSettings) -> np.ndarray:
    """Return the budgets that are foretold: those that were asked for, else the largest, and ten times it."""
    if settings.predict:
        return np.array(settings.predict, float)
    return budgets_of(runs)[-1] * np.array([1.0, 10.0])


def _trends(job: Job, result: LawResult) -> list[Trend]:
    """Return the trends of residuals of a law that is fitted to runs, rather than to minima."""
    if job.law not in ("approach3", "compute", "return"):
        return []
    place = {row: index for index, row in enumerate(job.runs.rows.tolist())}
    runs = job.runs.select(np.array([place[row] for row in result.rows.tolist()]))
    inputs = {"approach3": ("parameters", "data"), "compute": ("flops",), "return": ("loss",)}[job.law]
    variables = {name: runs.column(name) for name in ("parameters", "data", "flops") if runs.has(name)}
    return residual_trends(result, variables, tuple(runs.column(name) for name in inputs))


def _bias(fit: Fit, fits: list[Fit], settings: ScalingLawSettings) -> ProcedureBias | None:
    """Return what Approach 2 answers on the noise-free surface of Approach 3 at the same sizes."""
    found = [one for one in fits if one.job.law == "approach3" and one.job.group == fit.job.group and one.main]
    if not found:
        return None
    params = found[0].result.params
    try:
        surface = Surface(*(float(params[name]) for name in ("E", "A", "B", "alpha", "beta")))
        return procedure_bias(
            IsoFlop(), fit.job.runs, surface, forecast_budgets(fit.job.runs, settings), settings.flops_factor
        )
    except (InputError, ValueError):
        return None


def _warnings(file: RunsFile, fits: list[Fit], settings: ScalingLawSettings) -> list[Finding]:
    """Return what was found in the file, in the fits, and in what they foretell; each once."""
    found = list(file.warnings)
    for fit in fits:
        count = "" if fit.main else ", non-embedding parameters"
        name = f"{fit.job.name}{count}"
        for one in fit.result.warnings:
            message = one.message if one.message.startswith(name) else f"{name}: {one.message}"
            found.append(Finding(one.code, message, one.rows))
        interval = fit.result.interval
        if interval is not None and interval.failed > MOST_FAILED * max(interval.resamples, 1):
            message = (
                f"{name}: {interval.failed} of {interval.resamples} resampled fits failed, over {MOST_FAILED:.0%}; it "
                f"has no intervals"
            )
            found.append(Finding("not_converged", message))
        found += _extrapolation(fit, name)
    return list(dict.fromkeys(found))


def _extrapolation(fit: Fit, name: str) -> list[Finding]:
    if not fit.optimum:
        return []
    budgets = budgets_of(fit.job.runs)
    low, high = budgets[0] / FAR * (1 - 1e-9), budgets[-1] * FAR * (1 + 1e-9)
    far = [flops for flops in fit.optimum if not low <= flops <= high]
    if not far:
        return []
    told = ", ".join(f"{flops:.3g}" for flops in far)
    message = (
        f"{name}: budgets of {told} FLOP lie more than {FAR:g} times beyond those that were fitted "
        f"({budgets[0]:.3g} to {budgets[-1]:.3g}); intervals know nothing of a law that changes"
    )
    return [Finding("extrapolation", message.replace("e+", "e"))]
