"""Trends of a law's residuals against size, data and compute: what the law leaves that its inputs could tell.

A law that fits leaves residuals in which nothing can be seen. Their slope and bend against ln N, ln D and ln C are
tested together, beside the directions in which the law itself can move: a trend that the fit has taken up already
counts for nothing, so the test keeps its size.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from sandtable.estimators.scaling.law_result import LawResult, gradient_of


class Trend(NamedTuple):
    """A trend of residuals against the logarithm of a variable.

    Attributes:
        variable: ``"parameters"``, ``"data"`` or ``"flops"``.
        slope: Of the residuals over a factor e of the variable; 0 where the law takes up every slope.
        bend: Of the residuals over the square of its centred logarithm.
        p_value: Of the F test that both are 0; NaN where too few runs are left, or the variable does not vary.
    """

    variable: str
    slope: float
    bend: float
    p_value: float


def residual_trends(
    result: LawResult, variables: Mapping[str, np.ndarray], inputs: tuple[np.ndarray, ...] = ()
) -> list[Trend]:
    """Test residuals for trends.

    Args:
        result: The law; its residuals [n] are in the order of the variables.
        variables: By name, > 0, [n].
        inputs: What the law's ``function`` takes beside the parameters, each [n]; without, only a mean and what is
            tested are taken out of the residuals.
    """
    residuals = result.residuals
    moves = _directions(result, inputs)
    return [_trend(name, np.log(values), residuals, moves) for name, values in variables.items()]


def _directions(result: LawResult, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return an orthonormal basis of what the law's parameters can do to the fitted values, [n, at most p]."""
    constant = np.ones((len(result.residuals), 1))
    if result.function is None or not inputs:
        return constant / np.sqrt(len(constant))
    function, log = result.function, result.objective != "ls"

    def fitted(params: np.ndarray) -> np.ndarray:
        values = function(params, *inputs)
        return np.log(values) if log else values

    jacobian = gradient_of(fitted, result.params.to_numpy())
    jacobian = jacobian[:, np.isfinite(jacobian).all(axis=0)]
    lengths = np.linalg.norm(jacobian, axis=0)
    scaled = jacobian[:, lengths > 0] / lengths[lengths > 0]
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    return left[:, sizes > 1e-7 * sizes[0]]


def _trend(name: str, logs: np.ndarray, residuals: np.ndarray, moves: np.ndarray) -> Trend:
    known = np.isfinite(logs) & np.isfinite(residuals)
    if not known.all() or np.ptp(logs) < 1e-9:
        return Trend(name, float("nan"), float("nan"), float("nan"))
    centred = logs - logs.mean()
    design = np.column_stack([centred, centred**2])
    rest = residuals - moves @ (moves.T @ residuals)
    free = design - moves @ (moves.T @ design)
    free[:, np.linalg.norm(free, axis=0) < 1e-6 * np.linalg.norm(design, axis=0)] = 0  # the law's own directions
    lengths = np.maximum(np.linalg.norm(free, axis=0), 1e-300)
    scaled, _, rank, _ = np.linalg.lstsq(free / lengths, rest, rcond=1e-6)
    solution = scaled / lengths
    df = len(residuals) - moves.shape[1] - int(rank)
    if df < 1 or rank == 0:
        return Trend(name, float("nan"), float("nan"), float("nan"))
    before = float(rest @ rest)
    after = float(np.sum((rest - free @ solution) ** 2))
    if before <= 1e-24 * len(residuals):  # residuals are the rounding of the losses, and nothing else
        return Trend(name, float(solution[0]), float(solution[1]), float("nan"))
    statistic = (before - after) / rank / (after / df)
    return Trend(name, float(solution[0]), float(solution[1]), float(stats.f.sf(statistic, rank, df)))

