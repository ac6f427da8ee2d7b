"""Approach 2: a parabola through the losses of every budget, and lines through the vertices (arXiv 2203.15556, 3.2)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.log_line import LinesOptimum, LogLine, fit_log_line, joined_interval, joined_params
from sandtable.estimators.scaling.power_law import correlated
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs import Finding, Runs, Size, split_budgets
from sandtable.simulators.scaling.synthetic_runs import Surface

FEW_SIZES = 5
FEW_BUDGETS = 5
OFF_CENTRE = 0.5  # of the half-range of ln N, by which a vertex may lie off the middle of the sizes


class Vertex(NamedTuple):
    """The lowest point of a budget's parabola.

    Attributes:
        flops: Geometric mean of the budget's compute.
        parameters: N at the vertex; NaN where the parabola has no minimum.
        data: D at the vertex, by a parabola of ln D in ln N (a line where C = k N D counts the same N).
        loss: Of the parabola at the vertex.
        on_edge: Whether the vertex lies outside the sizes that were run.
        sizes: Distinct sizes.
        offset: Of the vertex from the middle of the sizes, in half-ranges of ln N.
        rows: Lines of the budget's runs.
    """

    flops: float
    parameters: float
    data: float
    loss: float
    on_edge: bool
    sizes: int
    offset: float
    rows: tuple[int, ...]


@dataclass(frozen=True)
class IsoFlop:
    """Approach 2.

    The loss (in nats, not its logarithm) of each budget is fitted by a parabola in ln N; replicates count as points.
    The vertices that lie within their sizes give ln N and ln D against ln C by least squares.

    Attributes:
        size: Which count of parameters is fitted.
        method: Of the interval: ``"t"`` or ``"hc3"``, on the vertices.
        level: Of the interval.
    """

    size: Size = "parameters"
    method: Literal["t", "hc3"] = "t"
    level: float = 0.95

    def fit(self, runs: Runs) -> LawResult:
        """Fit the law to runs with flops, data, loss and the count of parameters; budgets are split where absent.

        Raises:
            InputError: Fewer than two budgets, or than two with a minimum, are there.
        """
        if self.method not in ("t", "hc3"):
            raise InputError(f"approach2 has intervals by t or hc3 on its vertices, not by {self.method}")
        runs = runs.complete("flops", "data", "loss", self.size)
        vertices = list(self.vertices(runs))
        if len(vertices) < 2:
            raise InputError(f"approach2 needs runs at two budgets at least; all {len(runs)} have one")
        used = [one for one in vertices if np.isfinite(one.parameters) and not one.on_edge]
        if len(used) < 2:
            rows = ", ".join(str(row) for one in vertices for row in one.rows[:1])
            raise InputError(
                f"approach2 needs two budgets with a minimum within their sizes; {len(used)} of {len(vertices)} have "
                f"one (budgets begin at rows {rows}); run more sizes at each budget"
            )
        flops = np.array([one.flops for one in used])
        lines = {
            "parameters": fit_log_line(flops, [one.parameters for one in used], self.method),
            "data": fit_log_line(flops, [one.data for one in used], self.method),
        }
        params, cov, _, _ = joined_params(lines)
        line = lines["parameters"]
        return LawResult(
            law="approach2",
            params=params,
            cov=cov,
            objective="ls-log",
            objective_sum=float(line.residuals @ line.residuals),
            fitted=line.fitted,
            residuals=line.residuals,
            rows=np.array([one.rows[0] for one in used]),
            interval=joined_interval(lines, self.method, self.level),
            rank=4,
            condition_number=line.condition_number,
            optimum_function=LinesOptimum(("parameters", "data")),
            minima=_table(vertices),
            statistics={"durbin_watson": line.durbin_watson},
            warnings=(*_findings(vertices), *_of_line(line, used)),
        )

    def vertices(self, runs: Runs) -> Iterable[Vertex]:
        """Yield the vertex of each budget, by increasing compute."""
        flops, size = runs.column("flops"), runs.size(self.size)
        data, loss = runs.column("data"), runs.column("loss")
        budget = split_budgets(flops) if runs.budget is None else runs.budget
        for label in np.unique(budget):
            at = budget == label
            yield _vertex(flops[at], size[at], data[at], loss[at], tuple(int(row) for row in runs.rows[at]))


def _vertex(flops: np.ndarray, size: np.ndarray, data: np.ndarray, loss: np.ndarray, rows: tuple[int, ...]) -> Vertex:
    log_size, log_flops = np.log(size), float(np.log(flops).mean())
    low, high = log_size.min(), log_size.max()
    middle, half = (low + high) / 2, (high - low) / 2
    unknown = Vertex(float(np.exp(log_flops)), np.nan, np.nan, np.nan, False, _distinct(size), np.nan, rows)
    if unknown.sizes < 3:
        return unknown
    place = (log_size - middle) / half
    quadratic, linear, constant = np.polyfit(place, loss, 2)
    if quadratic <= 0:
        return unknown
    offset = float(-linear / (2 * quadratic))
    return unknown._replace(
        parameters=float(np.exp(middle + half * offset)),
        data=float(np.exp(np.polyval(np.polyfit(place, np.log(data), 2), offset))),
        loss=float(constant - linear**2 / (4 * quadratic)),
        on_edge=abs(offset) > 1,
        offset=offset,
    )


def _distinct(size: np.ndarray) -> int:
    """Return how many sizes there are, where those within 1e-6 of each other are one."""
    return int(1 + np.sum(np.diff(np.sort(np.log(size))) > 1e-6))


def _table(vertices: list[Vertex]) -> pd.DataFrame:
    table = pd.DataFrame(vertices)[["flops", "parameters", "data", "loss", "on_edge"]]
    table.insert(4, "return", np.nan)  # a parabola of losses tells none
    return table


def _findings(vertices: list[Vertex]) -> Iterable[Finding]:
    def about(code: str, chosen: list[Vertex], what: str) -> Iterable[Finding]:
        if chosen:
            budgets = ", ".join(f"{one.flops:.3g}" for one in chosen)
            rows = tuple(sorted(row for one in chosen for row in one.rows))
            yield Finding(code, f"{what} (budgets of {budgets} FLOP)", rows)

    two = [one for one in vertices if one.sizes < 3]
    few = [one for one in vertices if 3 <= one.sizes < FEW_SIZES]
    flat = [one for one in vertices if one.sizes >= 3 and not np.isfinite(one.parameters)]
    edge = [one for one in vertices if one.on_edge]
    off = [one for one in vertices if not one.on_edge and abs(one.offset) > OFF_CENTRE]
    yield from about("few_sizes", two, "fewer than three sizes have no parabola, and are left out")
    yield from about("few_sizes", few, f"fewer than {FEW_SIZES} sizes leave the vertex of a parabola to chance")
    yield from about("no_minimum", flat, "the losses have no minimum in size, and are left out")
    yield from about("edge_minimum", edge, "the minimum lies beyond the sizes that were run; it is left out")
    yield from about("off_centre", off, "the minimum lies far from the middle of the sizes, so its parabola is biased")


def _of_line(line: LogLine, used: list[Vertex]) -> Iterable[Finding]:
    if len(used) < FEW_BUDGETS:
        yield Finding("few_budgets", f"a line through the minima of {len(used)} budgets has wide intervals, or none")
    rows = np.array([one.rows[0] for one in used])
    if line.df > 0:
        yield from correlated(line.durbin_watson, len(used), "vertices' residuals", rows)


@dataclass(frozen=True)
class ProcedureBias:
    """What a procedure answers on runs of which the truth is known, at the sizes and budgets of the user's own.

    Attributes:
        flops: [m].
        N_exponent: Fitted less true.
        size_factor: Fitted over true optimal size at each of ``flops``, [m].
        fit: The procedure's fit.
    """

    flops: np.ndarray
    N_exponent: float
    size_factor: np.ndarray
    fit: LawResult


def procedure_bias(
    procedure: IsoFlop, runs: Runs, surface: Surface, flops: np.ndarray, flops_factor: float = 6.0
) -> ProcedureBias:
    """Return the bias of Approach 2 without noise: the whole of it, on a surface's losses at the runs' own sizes.

    Args:
        procedure: What is examined.
        runs: The user's runs; their losses do not matter.
        surface: The truth, for example that of a parametric fit to the runs.
        flops: Budgets at which optimal sizes are compared, [m].
        flops_factor: k of C = k N D.
    """
    exact = replace(runs, loss=surface.loss(runs.size(procedure.size), runs.column("data")))
    fit = procedure.fit(exact)
    flops = np.atleast_1d(np.asarray(flops, float))
    factor = fit.optimum(flops)["parameters"] / surface.optimum(flops, flops_factor)["parameters"]
    return ProcedureBias(flops, float(fit.params["N_exponent"]) - surface.N_exponent, factor, fit)
