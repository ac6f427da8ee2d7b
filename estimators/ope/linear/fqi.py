"""Linear fitted Q-iteration (fitted Q-evaluation): regress r + discount phi'^T params on phi, again and again."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sandtable.estimators.ope.linear.linear_iteration import (
    TOLERANCE,
    adjoint_iterates,
    check_iterations,
    iterates,
    spectral_radius,
)
from sandtable.estimators.ope.linear.linear_result import (
    Influence,
    LinearResult,
    check_settings,
    scalar,
    start_value,
    with_ridge,
)
from sandtable.estimators.ope.linear.linear_system import solve_system
from sandtable.estimators.ope.linear.lstd import fixed_point_influence
from sandtable.estimators.ope.value_estimate import Status
from sandtable.simulators.ope.moments import Moments
from sandtable.simulators.ope.whitening import OUTSIDE, unseen_variance, whitening

UNSEEN = "what follows, or a start, has features that no row shows: their value was taken as 0"


class Regression(NamedTuple):
    """What one iteration does: params <- matrix params + offset.

    Attributes:
        matrix: discount (cov + ridge I)^-1 cross, [*batch, d, d].
        offset: (cov + ridge I)^-1 E phi r, [*batch, d].
        rank: Of the regression, [*batch]; below d it is the least-norm one.
        condition: Of its equilibrated covariance, [*batch].
    """

    matrix: np.ndarray
    offset: np.ndarray
    rank: np.ndarray
    condition: np.ndarray


def regression(moments: Moments, discount: float, ridge: float = 0.0) -> Regression:
    """Return the iteration of FQI, which is also the certainty-equivalent linear model."""
    mean, covariance = with_ridge(moments, ridge)
    sides = np.concatenate([discount * mean.cross_covariance, mean.reward_moment[..., None]], axis=-1)
    solved = solve_system(covariance, sides)
    return Regression(solved.x[..., :-1], solved.x[..., -1], solved.rank, solved.condition)


def least_norm_influence(
    moments: Moments, ridge: float, matrix: np.ndarray, params: np.ndarray
) -> Influence | None:
    """Return how rows move the value of the fixed point of least-norm regressions, while the features' span stays.

    The instrument is ``(cov + ridge I)^+ (I - matrix)^-T`` times the mean start.

    Args:
        moments: What was fitted.
        ridge: As of ``regression``.
        matrix: Of one iteration, the discount included, [d, d].
        params: The fixed point, [d].
    """
    if matrix.ndim > 2 or not moments.initial_weight > 0:
        return None
    felt = solve_system(np.eye(len(params)) - matrix.T, moments.initial_mean).x
    instrument = solve_system(with_ridge(moments, ridge)[1], felt).x
    return Influence(instrument[:, None], params[:, None], params[:, None])


def relies_on_unseen(moments: Moments, discount: float, ridge: float) -> np.ndarray:
    """Return whether what follows, or a start, has features that no row shows, bool [*batch].

    A least-norm regression gives them the value 0, which is a choice and no estimate.
    """
    mean, covariance = with_ridge(moments, ridge)
    cross = discount * mean.cross_covariance
    basis = whitening(covariance, unseen_variance(covariance, cross))
    beyond = np.abs(basis.matrix @ cross @ np.swapaxes(basis.hidden, -1, -2)).max((-2, -1)) > OUTSIDE
    if (np.asarray(moments.initial_weight) > 0).all():
        beyond = beyond | (np.abs(basis.hidden @ moments.initial_mean[..., None]).max((-2, -1)) > OUTSIDE)
    return np.asarray(beyond)


@dataclass(frozen=True)
class FQI:
    """FQI(T) from params 0, or its limit (arXiv 2203.04236, section 3).

    It converges for almost every reward if and only if the spectral radius of discount (cov + ridge I)^-1 cross is
    below 1. Then its limit is LSTD's solution with the same ridge; a ridge may also raise the radius.

    Attributes:
        discount: In [0, 1].
        iterations: T >= 1; None for the limit.
        ridge: Added to the diagonal of the mean covariance, in every regression.
    """

    discount: float
    iterations: int | None = None
    ridge: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self.discount, self.ridge)
        check_iterations(self.iterations)

    def path(self, moments: Moments) -> np.ndarray:
        """Return the parameters after 0, 1, ..., T iterations, [T + 1, *batch, d].

        Raises:
            ValueError: ``iterations`` is None.
        """
        if self.iterations is None:
            raise ValueError("a path needs a number of iterations")
        step = regression(moments, self.discount, self.ridge)
        return iterates(step.matrix, step.offset, self.iterations)

    def fit(self, moments: Moments) -> LinearResult:
        """Return the iterate or the limit; moments with a batch shape give one each.

        Where the radius is not below 1 the status is ``"diverged"``: an iterate is given all the same, a limit is NaN.
        Where features that no row shows matter, it is ``"singular"``.
        """
        step = regression(moments, self.discount, self.ridge)
        radius = spectral_radius(step.matrix)
        converged = radius < 1 - TOLERANCE
        system, influence = None, None
        if self.iterations is None:
            params, system = self._limit(moments, step, converged)
            if system is not None:
                influence = fixed_point_influence(moments, system, params)
            elif converged.all():
                influence = least_norm_influence(moments, self.ridge, step.matrix, params)
        else:
            params, influence = self._iterate(moments, step)
        worst = float(np.max(radius))
        status: Status = "ok" if converged.all() else "diverged"
        reason = ""
        if not converged.all():
            reason = f"the spectral radius is {worst:.6g}: FQI does not converge for almost every reward"
        elif (step.rank < moments.features).any():
            if relies_on_unseen(moments, self.discount, self.ridge).any():
                status = "singular"
            reason = f"the features have rank {int(step.rank.min())} of {moments.features}: least-norm regressions"
            reason += f"; {UNSEEN}" if status == "singular" else ""
        return LinearResult(
            estimator="fqi",
            params=params,
            value=start_value(moments, params),
            discount=self.discount,
            ridge=self.ridge,
            rank=scalar(step.rank),
            condition=scalar(step.condition),
            converged=scalar(converged),
            iterations=self.iterations,
            spectral_radius=scalar(radius),
            status=status,
            reason=reason,
            rows=moments.rows,
            influence=influence,
            system=system,
        )

    def _iterate(self, moments: Moments, step: Regression) -> tuple[np.ndarray, Influence | None]:
        assert self.iterations is not None
        path = iterates(step.matrix, step.offset, self.iterations)
        if path.ndim > 2 or not moments.initial_weight > 0 or not np.isfinite(path[-1]).all():
            return path[-1], None
        felt = adjoint_iterates(step.matrix, moments.initial_mean, self.iterations)
        _, covariance = with_ridge(moments, self.ridge)
        instruments = solve_system(covariance, felt).x
        return path[-1], Influence(instruments, path[:-1].T, path[1:].T)

    def _limit(
        self, moments: Moments, step: Regression, converged: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the limits, NaN where there is none, and the system that all of them solve, where there is one."""
        d = moments.features
        params = np.full(step.offset.shape, np.nan)
        if not converged.any():
            return params, None
        mean, covariance = with_ridge(moments, self.ridge)
        system = covariance - self.discount * mean.cross_covariance
        solved = solve_system(system[converged], np.broadcast_to(mean.reward_moment, params.shape)[converged]).x
        lost = step.rank[converged] < d  # then the system is singular, and the iteration knows more than it
        if lost.any():
            kept = np.eye(d) - step.matrix[converged][lost]
            solved[lost] = solve_system(kept, step.offset[converged][lost]).x
        params[converged] = solved
        return params, system if converged.all() and not lost.any() else None
