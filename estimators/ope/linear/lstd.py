"""LSTD: the value function whose temporal-difference errors no feature is correlated with (Bradtke and Barto 1996).

It is two-stage least squares with the instruments phi and the regressors phi - discount phi', and the solution of every
linear method that uses these moments and has one: the certainty-equivalent model, the limits of FQI and of temporal
differences, minimax weights and values.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sandtable.estimators.ope.linear.linear_result import (
    Influence,
    LinearResult,
    check_settings,
    scalar,
    start_value,
    with_ridge,
)
from sandtable.estimators.ope.linear.linear_system import Solution, solve_system
from sandtable.estimators.ope.moments.accumulate import features_of, moments_of_log, starts_of, total_weight
from sandtable.estimators.ope.moments.accumulator import chunk_rows
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import Moments

FEW_DIGITS = 1e12
"""Condition number from which on the result says that few digits of the parameters are right."""


class RankWarning(UserWarning):
    """The data do not determine the parameters: those of least norm were taken."""


@dataclass(frozen=True)
class LSTD:
    """Least-squares temporal differences: (cov + ridge I - discount cross) params = E phi r, in mean moments.

    Attributes:
        discount: In [0, 1].
        ridge: Added to the diagonal of the mean covariance, so that its meaning does not change with the number of
            rows. The limit of FQI with the same ridge is the same solution.
        solver: ``"lu"``: equilibrated LU with a step of refinement, and the least-norm solution where that leaves no
            digit; ``"svd"``: the least-norm solution at once; ``"qr"``: of the rows, see ``instrument_qr``: what the
            condition number of the features multiplies is not squared.
    """

    discount: float
    ridge: float = 0.0
    solver: Literal["lu", "qr", "svd"] = "lu"

    def __post_init__(self) -> None:
        check_settings(self.discount, self.ridge)
        if self.solver not in ("lu", "qr", "svd"):
            raise ValueError(f"solver must be 'lu', 'qr' or 'svd', not {self.solver!r}")

    def fit(self, source: Moments | LoggedSteps) -> LinearResult:
        """Return the solution; moments with a batch shape give one each.

        A singular system warns with ``RankWarning``, and the result's rank and status tell of it.

        Args:
            source: Moments, or a log with features; the solver ``"qr"`` needs the log.

        Raises:
            ValueError: The solver is ``"qr"`` and the source are moments.
        """
        if self.solver == "qr":
            if isinstance(source, Moments):
                raise ValueError("the solver 'qr' works on rows: give it the log, or take 'lu' or 'svd'")
            return self._fit_rows(source)
        moments = moments_of_log(source) if isinstance(source, LoggedSteps) else source
        mean, covariance = with_ridge(moments, self.ridge)
        matrix = covariance - self.discount * mean.cross_covariance
        solution = solve_system(matrix, mean.reward_moment, self.solver)
        influence = fixed_point_influence(moments, matrix, solution.x)
        return self._result(solution, start_value(moments, solution.x), matrix, influence, moments.rows)

    def _fit_rows(self, log: LoggedSteps) -> LinearResult:
        triangle, across, reward = instrument_qr(log, self.ridge)
        matrix = triangle - self.discount * across
        solution = solve_system(matrix, reward)
        total, starts = total_weight(log), starts_of(log)
        value, influence = np.nan, None
        if starts is not None:
            start = starts.share @ starts.features
            value = float(start @ solution.x)
            # the mean system is triangle^T matrix / total, so h solves it from the right and then from the left
            instrument = total * solve_system(triangle, solve_system(matrix.T, start).x).x
            influence = Influence(instrument[:, None], solution.x[:, None], solution.x[:, None])
        return self._result(solution, value, triangle.T @ matrix / total, influence, len(log))

    def _result(
        self, solution: Solution, value: Any, system: np.ndarray, influence: Influence | None, rows: Any
    ) -> LinearResult:
        params, rank, condition = solution
        d = params.shape[-1]
        deficient = bool((rank < d).any())
        reason = ""
        if deficient:
            reason = f"the system has rank {int(rank.min())} of {d}: the least-norm parameters were taken"
            warnings.warn(f"LSTD: {reason}", RankWarning, stacklevel=3)
        elif (condition > FEW_DIGITS).any():
            reason = f"the condition number is {condition.max():.2g}: few digits are right"
            reason += "" if self.solver == "qr" else "; solver 'qr', on rows, loses half as many"
        return LinearResult(
            estimator="lstd",
            params=params,
            value=value,
            discount=self.discount,
            ridge=self.ridge,
            rank=scalar(rank),
            condition=scalar(condition),
            solver=self.solver,
            status="singular" if deficient else "ok",
            reason=reason,
            rows=rows,
            influence=influence,
            system=system,
        )


def fixed_point_influence(moments: Moments, matrix: np.ndarray, params: np.ndarray) -> Influence | None:
    """Return how rows move the value of a fixed point: one instrument h with matrix^T h = the mean start."""
    if matrix.ndim > 2 or not moments.initial_weight > 0:
        return None
    instrument = solve_system(matrix.T, moments.initial_mean).x
    return Influence(instrument[:, None], params[:, None], params[:, None])


def instrument_qr(log: LoggedSteps, ridge: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return R, Q^T phi' and Q^T r of the decomposition phi = Q R, [d, d], [d, d] and [d], in one pass over the rows.

    ``(R - discount Q^T phi') params = Q^T r`` is LSTD's system times R^-T: for every discount the same solution, with
    the condition number of the features instead of its square. The triangle of the rows so far is stacked upon each
    chunk and decomposed again, so that no more than a chunk is held.

    Args:
        log: With features; its weights and terminations are heeded.
        ridge: As of ``LSTD``: it starts the triangle.
    """
    phi, following = features_of(log)
    d = phi.shape[1]
    held = np.concatenate([np.sqrt(ridge * total_weight(log)) * np.eye(d), np.zeros((d, d + 1))], axis=1)
    step = max(chunk_rows(d), 4 * d)
    for start in range(0, len(log), step):
        part = slice(start, start + step)
        ahead = np.where(log.terminated[part, None], 0.0, following[part])
        rows = np.concatenate([phi[part], ahead, log.reward[part, None]], axis=1, dtype=np.float64)
        if log.weight is not None:
            rows *= np.sqrt(log.weight[part, None])
        stacked = np.concatenate([held, rows])
        orthogonal, triangle = np.linalg.qr(stacked[:, :d])
        held = np.concatenate([triangle, orthogonal.T @ stacked[:, d:]], axis=1)
    return held[:, :d], held[:, d:-1], held[:, -1]
