"""Which laws a table of runs allows, group by group, and how each is fitted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sandtable.analysis.scaling.settings import ScalingLawSettings
from sandtable.estimators.scaling.bootstrap import with_bootstrap
from sandtable.estimators.scaling.envelope import Envelope
from sandtable.estimators.scaling.isoflop import IsoFlop
from sandtable.estimators.scaling.law_result import LawResult, WaldInterval
from sandtable.estimators.scaling.minima import Minima
from sandtable.estimators.scaling.parametric import Approach3, ParametricResult
from sandtable.estimators.scaling.power_law import PowerLaw
from sandtable.estimators.scaling.profile import ProfileInterval, profiles
from sandtable.estimators.scaling.refits import with_percentiles
from sandtable.estimators.scaling.return_law import ReturnLaw
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.run_columns import name_rows
from sandtable.simulators.scaling.runs import Runs, Size
from sandtable.simulators.scaling.runs_file import RunsFile

LAWS = ("approach3", "approach2", "approach1", "minima", "compute", "return")
"""In the order in which the answer prefers them."""

COLUMN = {"return": "returns"}
"""Columns of ``Runs`` whose names differ from the file's."""

ALONG_A_LINE = 0.9
"""R² of ln N on ln C from which runs, one a budget, are taken for minima that are already found."""


@dataclass(frozen=True)
class Job:
    """A law to be fitted to the runs of a group.

    Attributes:
        law: One of ``LAWS``.
        group: Name of the group; empty without the column.
        runs: What it is fitted to; ``parameters`` holds the count that ``size`` names.
        response: Column of ``Runs`` that the law predicts of a run; empty where it predicts none.
        size: Which count of parameters.
        clusters: Labels of what is resampled together, [n]; None for runs one by one.
    """

    law: str
    group: str
    runs: Runs
    response: str = ""
    size: Size = "parameters"
    clusters: np.ndarray | None = None

    @property
    def name(self) -> str:
        """Return the law and its group in words."""
        return f"{self.law} of {self.group}" if self.group else self.law


@dataclass(frozen=True)
class Skipped:
    """A law that was left out, and why."""

    law: str
    reason: str


def plan(file: RunsFile, settings: ScalingLawSettings) -> tuple[list[Job], list[Skipped]]:
    """Return the laws to fit and those that the columns do not allow.

    Raises:
        InputError: The law that was asked for needs columns that are not there.
    """
    jobs, skipped = [], []
    for law in LAWS if settings.law == "auto" else (settings.law,):
        reason = _missing(law, file, settings)
        if reason and settings.law != "auto":
            raise InputError(f"--law {law}: {reason}")
        if reason:
            skipped.append(Skipped(law, reason))
            continue
        for job in _jobs(law, file, settings):
            reason = _unsuited(job) if settings.law == "auto" else ""
            if reason:
                skipped.append(Skipped(law, f"{reason}; --law {law} fits it"))
            else:
                jobs.append(job)
    return jobs, skipped


def _missing(law: str, file: RunsFile, settings: ScalingLawSettings) -> str:
    """Return what the file lacks for a law; empty if nothing."""
    runs = file.runs
    triple = "loss and two of parameters, data and flops"
    if law in ("approach2", "approach3") and not (len(runs) and runs.has("loss", "parameters", "data")):
        return f"it needs {triple}"
    if law == "approach1" and (file.curves is None or not file.curves.has("loss", "parameters", "data", "flops")):
        return f"it needs training curves: {triple}, with run and step, several rows a run"
    if law == "minima" and not (runs.has("flops") and any(runs.has(COLUMN.get(one, one)) for one in _RESPONSES)):
        return "it needs flops and any of parameters, data, loss and return"
    if law == "compute":
        if settings.response is None:
            return "it needs --response loss, return, parameters or data"
        if not runs.has("flops", COLUMN.get(settings.response, settings.response)):
            return f"it needs flops and {settings.response}"
    if law == "return" and not runs.has("loss", "returns"):
        return "it needs loss and return"
    return ""


_RESPONSES = ("parameters", "data", "loss", "return")


def _jobs(law: str, file: RunsFile, settings: ScalingLawSettings) -> Iterator[Job]:
    source = file.curves if law == "approach1" else file.runs
    assert source is not None  # or the law would be missing something
    columns = {"approach1": ("parameters", "data", "flops", "loss"), "return": ("loss", "returns")}
    columns["minima"] = ("flops",)
    response = {"compute": settings.response or "loss", "approach3": "loss", "return": "returns"}.get(law, "")
    response = COLUMN.get(response, response)
    needed = columns.get(law, ("flops", response) if law == "compute" else ("parameters", "data", "loss"))
    for group, runs in source.by_group().items():
        own = runs.complete(*needed)
        chosen = response
        if law == "minima":
            chosen = next(COLUMN.get(name, name) for name in ("loss", *_RESPONSES) if own.has(COLUMN.get(name, name)))
        yield Job(law, group, own, chosen, clusters=_clusters(file, own, settings))
        both = own.has("parameters", "parameters_non_embedding") and law not in ("compute", "return")
        if both:
            other = own.complete("parameters_non_embedding")
            counted = replace(other, parameters=other.parameters_non_embedding)
            labels = _clusters(file, other, settings)
            yield Job(law, group, counted, chosen, "parameters_non_embedding", labels)


def _clusters(file: RunsFile, runs: Runs, settings: ScalingLawSettings) -> np.ndarray | None:
    """Return what is resampled together: the declared clusters, else replicates, which differ in their seeds alone."""
    if settings.cluster is not None:
        return file.labels(settings.cluster, runs.rows)
    if runs.seed is None:
        return None
    names = ("parameters", "data", "flops", "budget")
    told = [np.asarray(getattr(runs, name)).astype(str) for name in names if getattr(runs, name) is not None]
    return np.array(["/".join(parts) for parts in zip(*told, strict=True)]) if told else None


def _unsuited(job: Job) -> str:
    """Return why a law that the columns allow would mislead on these runs; empty if it would not."""
    found = along_a_line(job.runs)
    if job.law == "minima" and not found:
        several = "several runs have one budget" if _budget_has_several(job.runs) else "the sizes do not follow compute"
        return f"{several}, so these runs are no minima"
    if job.law in ("approach2", "approach3") and found:
        return "there is one run a budget, and the sizes follow compute: these are minima, which lie along one line"
    return ""


def _budget_has_several(runs: Runs) -> bool:
    return runs.budget is not None and len(np.unique(runs.budget)) < len(runs)


def along_a_line(runs: Runs) -> bool:
    """Return whether there is one run a budget and its size follows compute, as minima do."""
    if runs.flops is None or _budget_has_several(runs) or len(runs) < 3:
        return False
    if runs.parameters is None or not np.isfinite(runs.parameters).all() or np.ptp(runs.parameters) == 0:
        return runs.parameters is None
    with np.errstate(invalid="ignore", divide="ignore"):
        share = float(np.corrcoef(np.log(runs.flops), np.log(runs.parameters))[0, 1] ** 2)
    return share >= ALONG_A_LINE


def fit_law(job: Job, runs: Runs, settings: ScalingLawSettings) -> LawResult:
    """Fit a job's law to runs of its group, with intervals by Student's t or HC3.

    Raises:
        InputError: The law cannot be fitted to these runs.
    """
    method: Literal["t", "hc3"] = "hc3" if settings.interval == "hc3" else "t"
    try:
        if job.law == "approach3":
            return _approach3(runs, settings)
        if job.law == "approach2":
            return IsoFlop(method=method, level=settings.level).fit(runs)
        if job.law == "approach1":
            return Envelope(method=method, level=settings.level).fit(runs)
        if job.law == "minima":
            return Minima(method=method, level=settings.level, flops_factor=settings.flops_factor).fit(runs)
        _require_positive(runs, job)
        if job.law == "compute":
            law = PowerLaw(offset=None, method=method, level=settings.level, response=settings.response or "loss")
            return law.fit(runs.column("flops"), runs.column(job.response), runs.rows)
        return _return_law(runs, settings)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{job.name}, {name_rows(runs.rows)}: {error}") from error


def _approach3(runs: Runs, settings: ScalingLawSettings) -> ParametricResult:
    law = Approach3(settings.objective, settings.delta, settings.flops_factor)
    errors = runs.loss_se if runs.loss_se is not None and np.isfinite(runs.loss_se).all() else None
    result = law.fit(runs.parameters, runs.data, runs.loss, loss_se=errors, rows=runs.rows)
    if settings.interval == "hc3":
        result = replace(result.beside["hc3"], beside={"t": result})  # type: ignore[assignment]
    assert isinstance(result.interval, WaldInterval)
    return replace(result, interval=replace(result.interval, level=settings.level))


def _return_law(runs: Runs, settings: ScalingLawSettings) -> LawResult:
    """Return the form of lower AICc, the other beside it."""
    method: Literal["t", "hc3"] = "hc3" if settings.interval == "hc3" else "t"
    straight = ReturnLaw("power", method=method, level=settings.level).fit(runs.loss, runs.returns, runs.rows)
    if len(runs) < 5:
        return straight
    curved = ReturnLaw("saturating", method=method, level=settings.level).fit(runs.loss, runs.returns, runs.rows)
    if curved.statistics["aicc"] < straight.statistics["aicc"]:
        return replace(curved, beside={"power": straight})
    return replace(straight, beside={"saturating": curved})


def _require_positive(runs: Runs, job: Job) -> None:
    values = runs.column(job.response)
    bad = values <= 0
    if bad.any():
        name = {"returns": "return"}.get(job.response, job.response)
        raise InputError(
            f"{job.name}, {name_rows(runs.rows[bad])}: {name} must be above 0 for a power law; shift it or leave these "
            "rows out"
        )


def interval_of(job: Job, settings: ScalingLawSettings) -> str:
    """Return by which method a law's intervals are made; laws other than Approach 3 have no profiles and no BCa."""
    if job.law != "approach3":
        return settings.interval if settings.interval in ("hc3", "percentile") else "t"
    return settings.interval or ("bca" if settings.objective == "huber-log" else "profile")


def fit_with_interval(job: Job, runs: Runs, settings: ScalingLawSettings) -> LawResult:
    """Fit a job's law to runs of its group, with the intervals that the user asked for.

    Raises:
        InputError: The law cannot be fitted to these runs.
    """
    result, method = fit_law(job, runs, settings), interval_of(job, settings)
    if method in ("t", "hc3"):
        return result
    clusters = job.clusters
    if clusters is not None and len(runs) < len(job.runs):  # of a part of the runs
        clusters = clusters[np.isin(job.runs.rows, runs.rows)]
    if not isinstance(result, ParametricResult):
        return _with_percentiles(job, runs, result, settings, clusters)
    if method == "profile":
        profiled = ProfileInterval(result, settings.level)
        return replace(result, interval=profiled, profiles=profiles(profiled))
    kind: Literal["bca", "percentile"] = "bca" if method == "bca" else "percentile"
    return with_bootstrap(result, kind, settings.level, settings.bootstrap, settings.seed, clusters)


def _with_percentiles(
    job: Job, runs: Runs, result: LawResult, settings: ScalingLawSettings, clusters: np.ndarray | None
) -> LawResult:
    """Return a law with intervals from the whole procedure on resampled runs; the form of the law stays."""
    budgets = runs.budget if job.law == "approach2" else None
    if job.law == "approach1" and settings.cluster is None:
        clusters = runs.column("run") if runs.seed is None else np.char.add(runs.column("run"), runs.seed)

    def again(part: Runs) -> LawResult:
        if job.law == "compute":
            law = PowerLaw(offset="offset" in result.names, level=settings.level)
            return law.fit(part.column("flops"), part.column(job.response), part.rows)
        if job.law == "return":
            return ReturnLaw("saturating" if "delta" in result.names else "power").fit(part.loss, part.returns)
        return fit_law(job, part, settings)

    drawn = with_percentiles(
        again, runs, level=settings.level, resamples=settings.bootstrap, seed=settings.seed, clusters=clusters,
        strata=budgets,
    )  # fmt: skip
    added = tuple(one for one in drawn.warnings if one not in result.warnings and one.code == "few_budgets")
    return replace(result, interval=drawn.interval, warnings=(*result.warnings, *added))
