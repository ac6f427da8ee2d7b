"""The section of the report that puts the methods side by side: every estimate, and what may make them differ."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sandtable.analysis.report import Block, Column, Interval, Note, Section, Table
from sandtable.analysis.scaling.answer import number, with_ends
from sandtable.analysis.scaling.fit_runs import Fit, ScalingLaws
from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.minima import disagreement

COUNT = {"parameters": "total", "parameters_non_embedding": "non-embedding"}
INTERVALS = {
    "t": "Student's t", "hc3": "HC3", "hac": "Newey and West", "profile": "profile", "bca": "BCa bootstrap",
    "percentile": "percentile bootstrap",
}  # fmt: skip
BESIDE = {
    "hc3": "HC3", "t": "equal variances", "hac": "residuals correlated along compute",
    "edge_free": "without minima at the edge", "interval_censored": "cells of the grid of sizes",
    "pure": "without an offset", "offset": "with an offset", "power": "power law", "saturating": "saturating",
}  # fmt: skip


def methods(found: ScalingLaws) -> Section:
    """Return the section."""
    level = f"{found.settings.level:.0%}"
    blocks: list[Block] = []
    exponents = [(name, size, one) for name, size, one in _answers(found) if "N_exponent" in one.names]
    if exponents:
        columns = [Column("law"), Column("parameters"), Column("N exponent", "number", 3),
                   Column("D exponent", "number", 3), Column("interval from")]  # fmt: skip
        cells = [
            (name, size, _cell(one, "N_exponent"), _cell(one, "D_exponent"), _method(one))
            for name, size, one in exponents
        ]
        blocks.append(Table(f"Exponents of optimal size and data in compute, with {level} intervals", columns, cells))
    for fit in found.of("minima"):
        if fit.main and "N_exponent" in fit.result.names:
            blocks.append(Note(disagreement(fit.result), "Do the answers for minima agree?"))
    blocks += [Note(text, "The bias of approach2 here") for text in _biases(found)]
    both = [_counts(found, fit) for fit in found.fits if not fit.main]
    blocks += [Note(text, "Which parameters are counted") for text in dict.fromkeys(filter(None, both))]
    blocks += [Note(text, "Offset, or pure power?") for text in _offsets(found)]
    rows = [
        (name_of(fit), name, with_ends(fit.result.params[name], *fit.result.conf_int().loc[name]),
         known_number(fit.result.bse[name]))
        for fit in found.fits
        for name in fit.result.names
    ]  # fmt: skip
    columns = [Column("law"), Column("parameter"), Column(f"estimate, {level} interval"), Column("standard error")]
    blocks.append(Table("Every parameter", columns, rows))
    blocks.append(_fits_table(found))
    return Section("The methods side by side", blocks=blocks)


def name_of(fit: Fit) -> str:
    """Return the law, its group and which parameters it counts, in words."""
    return fit.job.name + ("" if fit.main else ", non-embedding")


def known_number(value: float) -> str | None:
    """Return a number in words; None, which a table shows as a dash, where it is not known."""
    return number(float(value)) if np.isfinite(value) else None


def table_of_known(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]], note: str = "") -> Table:
    """Return a table without the columns in which nothing is known."""
    kept = [index for index in range(len(columns)) if any(row[index] is not None for row in rows)]
    chosen_columns = [columns[index] for index in kept]
    return Table(caption, chosen_columns, [[row[index] for index in kept] for row in rows], note=note)


def _answers(found: ScalingLaws) -> Iterable[tuple[str, str, LawResult]]:
    """Yield every fit, and what stands beside it: name, count of parameters, result."""
    for fit in found.fits:
        yield fit.job.name, COUNT[fit.job.size], fit.result
        for key, one in fit.result.beside.items():
            yield f"{fit.job.name}, {BESIDE.get(key, key)}", COUNT[fit.job.size], one


def _method(result: LawResult) -> str | None:
    return None if result.interval is None else INTERVALS.get(result.interval.method, result.interval.method)


def _cell(result: LawResult, name: str) -> Interval | None:
    if name not in result.names:
        return None
    low, high = result.conf_int().loc[name].to_numpy()
    return Interval(float(result.params[name]), float(low), float(high))


def _fits_table(found: ScalingLaws) -> Table:
    columns = [Column("law"), Column("runs or minima", "number", 0), Column("objective"), Column("its sum"),
               Column("converged"), Column("rank", "number", 0), Column("condition number"),
               Column("resampled")]  # fmt: skip
    rows = []
    for fit in found.fits:
        one, interval = fit.result, fit.result.interval
        resampled = None if interval is None or not interval.resamples else (
            f"{interval.resamples:,}, {interval.failed} failed"
        )  # fmt: skip
        rows.append(
            (name_of(fit), one.nobs, one.objective + (f", delta {one.delta:g}" if one.delta else ""),
             number(one.objective_sum), "yes" if one.converged else "no", one.rank, known_number(one.condition_number),
             resampled)
        )  # fmt: skip
    return table_of_known("How the fits ended", columns, rows)


def _biases(found: ScalingLaws) -> Iterable[str]:
    for fit in found.of("approach2"):
        if fit.bias is not None:
            exponent, factors = fit.bias.N_exponent, fit.bias.size_factor
            pairs = zip(factors, fit.bias.flops, strict=True)
            at = ", ".join(f"{number(factor)} at {number(flops)} FLOP" for factor, flops in pairs)
            yield (
                f"Run on the noise-free surface of approach3 at these very sizes, {name_of(fit)} misses the exponent "
                f"by {_signed(exponent)} and finds these multiples of the optimal size: {at}. "
                "Parabolas are bent where a surface is not symmetric, and no number of runs mends that."
            )


def _signed(value: float) -> str:
    return "0" if abs(value) < 5e-5 else f"{value:+.4f}".replace("-", "−")


def _counts(found: ScalingLaws, other: Fit) -> str:
    """Return how the count of parameters moves an exponent."""
    same = [fit for fit in found.of(other.job.law) if fit.main and fit.job.group == other.job.group]
    if not same or "N_exponent" not in other.result.names or "N_exponent" not in same[0].result.names:
        return ""
    total, without = (
        with_ends(fit.result.params["N_exponent"], *fit.result.conf_int().loc["N_exponent"]) for fit in (same[0], other)
    )
    return f"By {same[0].job.name} the exponent is {total} with total parameters and {without} without embeddings."


def _offsets(found: ScalingLaws) -> Iterable[str]:
    for fit in found.of("compute"):
        one = next(iter(fit.result.beside.values()), None)
        if one is None:
            continue
        mine = "with an offset" if "offset" in fit.result.names else "without an offset"
        text = (
            f"AICc prefers the law of compute {mine} ({number(fit.result.statistics['aicc'])} against "
            f"{number(one.statistics['aicc'])})."
        )
        scores = {
            name.removeprefix("compute:"): hold.rmse_log for name, hold in fit.hold_outs.items() if ":" in name
        }
        if len(scores) == 2:
            best = min(scores, key=lambda name: scores[name])
            told = ", ".join(f"{number(score)} {BESIDE[name]}" for name, score in scores.items())
            text += f" The hold-out prefers the one {BESIDE[best]} (errors of the logarithm: {told})."
        yield text
