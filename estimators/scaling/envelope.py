"""Approach 1: the lower envelope of training curves, and lines through it (arXiv 2203.15556, 3.1).

At every compute the curve of lowest loss is looked up. A size's part of the envelope gives one point, its mean in ln C:
a line through the stairs themselves, which the paper fits, is too flat by a factor 1 - 1/m^2 of m sizes.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.log_line import LinesOptimum, LogLine, fit_log_line, joined_interval, joined_params
from sandtable.estimators.scaling.power_law import correlated
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs import Finding, Runs, Size

POINTS = 1500
FEW_SIZES = 5


class Curves(NamedTuple):
    """Curves of one loss a size, at common points of compute; NaN where a size has no curve there.

    Attributes:
        sizes: Increasing, [s].
        log_flops: [g].
        loss: [s, g].
        log_data: [s, g].
        rows: The first line of each size, [s].
    """

    sizes: np.ndarray
    log_flops: np.ndarray
    loss: np.ndarray
    log_data: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Envelope:
    """Approach 1.

    Curves are interpolated in ln L against ln C, those of one size averaged. A point of the envelope counts where the
    next smaller and the next larger size have curves too, so that both were beaten.

    Attributes:
        size: Which count of parameters is fitted.
        method: Of the interval: ``"t"`` or ``"hc3"``, on the sizes.
        level: Of the interval.
        points: At how many computes the envelope is read.
    """

    size: Size = "parameters"
    method: Literal["t", "hc3"] = "t"
    level: float = 0.95
    points: int = POINTS

    def fit(self, curves: Runs) -> LawResult:
        """Fit the law to curves with flops, data, loss, run and the count of parameters, ordered by run and step.

        Raises:
            InputError: Fewer than two sizes are best anywhere, among neighbours that were run as far.
        """
        if self.method not in ("t", "hc3"):
            raise InputError(f"approach1 has intervals by t or hc3 on its sizes, not by {self.method}")
        curves = curves.complete("flops", "data", "loss", self.size)
        common = self.interpolate(curves)
        best = _best(common)
        reigns = [index for index in range(len(common.sizes)) if (best == index).any()]
        if len(reigns) < 2:
            raise InputError(
                f"approach1 needs two sizes at least that are best between a smaller and a larger one that were run as "
                f"far; {len(reigns)} of {len(common.sizes)} are"
            )
        table = _points(common, best, reigns)
        lengths = np.array([(best == index).sum() for index in reigns], float)
        lines = {
            name: fit_log_line(table["flops"], table[name], self.method, weights=lengths)
            for name in ("parameters", "data")
        }
        params, cov, _, _ = joined_params(lines)
        line = lines["parameters"]
        return LawResult(
            law="approach1",
            params=params,
            cov=cov,
            objective="ls-log",
            objective_sum=float(lengths @ line.residuals**2),
            fitted=line.fitted,
            residuals=line.residuals,
            rows=common.rows[reigns],
            interval=joined_interval(lines, self.method, self.level),
            rank=4,
            condition_number=line.condition_number,
            optimum_function=LinesOptimum(("parameters", "data")),
            minima=table,
            statistics={"durbin_watson": line.durbin_watson},
            warnings=_findings(curves, common, best, line, reigns),
        )

    def interpolate(self, curves: Runs) -> Curves:
        """Return the curves of each size at common points of compute."""
        log_flops, log_loss = np.log(curves.column("flops")), np.log(curves.column("loss"))
        log_data, size = np.log(curves.column("data")), curves.size(self.size)
        grid = np.linspace(log_flops.min(), log_flops.max(), self.points)
        sizes = np.unique(size)
        names = _names(curves)
        loss = np.full((len(sizes), len(grid)), np.nan)
        data, rows = loss.copy(), np.empty(len(sizes), np.int64)
        for index, one in enumerate(sizes):
            own = size == one
            rows[index] = curves.rows[own].min()
            parts = [np.flatnonzero(own & (names == name)) for name in dict.fromkeys(names[own])]
            read = np.array([_interpolated(grid, log_flops[part], log_loss[part]) for part in parts])
            counted = np.array([_interpolated(grid, log_flops[part], log_data[part]) for part in parts])
            loss[index], data[index] = np.exp(_mean(read)), _mean(counted)
        return Curves(sizes, grid, loss, data, rows)


def _names(curves: Runs) -> np.ndarray:
    """Return what tells one curve from another, text [n]."""
    names = curves.column("run").astype(str)
    return names if curves.seed is None else np.char.add(np.char.add(names, "\0"), curves.seed.astype(str))


def _interpolated(grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.interp(grid, x, y, left=np.nan, right=np.nan)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the curves that are there, [k, g] to [g]; NaN where none is."""
    there = np.isfinite(values)
    count = there.sum(axis=0)
    return np.where(count > 0, np.where(there, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _best(common: Curves) -> np.ndarray:
    """Return the best size of each point, int64 [g]; -1 where a neighbour was not run as far, or is not there."""
    known = np.isfinite(common.loss)
    best = np.where(known, common.loss, np.inf).argmin(axis=0)
    padded = np.vstack([np.zeros(known.shape[1], bool), known, np.zeros(known.shape[1], bool)])
    points = np.arange(known.shape[1])
    beaten = padded[best, points] & padded[best + 1, points] & padded[best + 2, points]
    return np.where(beaten, best, -1)


def _points(common: Curves, best: np.ndarray, reigns: list[int]) -> pd.DataFrame:
    rows = []
    for index in reigns:
        at = best == index
        rows.append(
            {
                "flops": np.exp(common.log_flops[at].mean()),
                "parameters": common.sizes[index],
                "data": np.exp(common.log_data[index, at].mean()),
                "loss": np.exp(np.log(common.loss[index, at]).mean()),
                "return": np.nan,
                "on_edge": False,
            }
        )
    return pd.DataFrame(rows)


def _findings(
    curves: Runs, common: Curves, best: np.ndarray, line: LogLine, reigns: list[int]
) -> tuple[Finding, ...]:
    findings: tuple[Finding, ...] = ()
    dropped = float(np.mean(best < 0))
    if dropped > 0.5:
        message = (
            f"on {dropped:.0%} of the range of compute the best curve has no smaller or larger neighbour that was run "
            f"as far, so it may not be the best; that part is left out"
        )
        findings += (Finding("edge_minimum", message),)
    if len(reigns) < FEW_SIZES:
        findings += (Finding("few_sizes", f"{len(reigns)} sizes make the envelope; its slope is left to chance"),)
    if curves.data_planned is not None:
        early = curves.column("data") < 0.95 * curves.data_planned
        if early.any():
            message = (
                "curves are read in the middle of their learning-rate schedules, where losses are higher than those of "
                "schedules that end there"
            )
            findings += (Finding("mixed_schedule", message, tuple(int(row) for row in curves.rows[early])),)
    if line.df > 0:
        findings += correlated(line.durbin_watson, len(reigns), "residuals of the sizes", common.rows[reigns])
    return findings
