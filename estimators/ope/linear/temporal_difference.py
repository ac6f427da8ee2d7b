"""Expected temporal differences: params <- params + step (E phi r - (cov - discount cross) params)."""

from dataclasses import dataclass

import numpy as np

from sandtable.estimators.ope.linear.fqi import (
    UNSEEN,
    Regression,
    least_norm_influence,
    regression,
    relies_on_unseen,
)
from sandtable.estimators.ope.linear.linear_iteration import TOLERANCE, adjoint_iterates, check_iterations, iterates
from sandtable.estimators.ope.linear.linear_result import (
    Influence,
    LinearResult,
    check_settings,
    scalar,
    start_value,
    with_ridge,
)
from sandtable.estimators.ope.linear.linear_system import Solution, solve_system
from sandtable.estimators.ope.linear.lstd import fixed_point_influence
from sandtable.estimators.ope.value_estimate import Status
from sandtable.simulators.ope.moments import Moments


@dataclass(frozen=True)
class ExpectedTD:
    """TD(0) on the moments, from params 0: what its stochastic form does on average (Tsitsiklis and Van Roy 1997).

    It converges for small steps if and only if all eigenvalues of cov + ridge I - discount cross have positive real
    parts; that neither implies the convergence of FQI nor follows from it. Its limit is LSTD's solution. From 0 it
    never leaves the span of the rows' features, so redundant ones neither count nor change the value.

    Attributes:
        discount: In [0, 1].
        iterations: >= 1; None for the limit.
        step: Size of a step, > 0, on mean moments; None for the largest of those that shrink every mode of the error
            at most once, min Re(eigenvalue) / |eigenvalue|^2, or 1 / max |eigenvalue| where no step converges.
        ridge: Added to the diagonal of the mean covariance.
    """

    discount: float
    iterations: int | None = None
    step: float | None = None
    ridge: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self.discount, self.ridge)
        check_iterations(self.iterations)
        if self.step is not None and not 0 < self.step < np.inf:
            raise ValueError(f"step must be positive and finite, not {self.step}")

    def fit(self, moments: Moments) -> LinearResult:
        """Return the iterate or the limit; moments with a batch shape give one each.

        Where the iteration does not converge the status is ``"diverged"``: an iterate is given all the same, a limit
        is NaN. Where features that no row shows matter, it is ``"singular"``.
        """
        mean, covariance = with_ridge(moments, self.ridge)
        system = covariance - self.discount * mean.cross_covariance
        model = regression(moments, self.discount, self.ridge)
        stable, step, radius = self._step(system, model.rank)
        converged = stable & ((radius < 1) | (self.step is None))
        solution = solve_system(system, mean.reward_moment)
        lost = model.rank < moments.features
        if self.iterations is None:
            params, influence = self._limit(moments, system, solution, model, converged)
        else:
            params, influence = self._iterate(moments, np.eye(moments.features) - step[..., None, None] * system, step)
        status: Status = "ok" if converged.all() else "diverged"
        reason = ""
        if not converged.all():
            reason = "an eigenvalue of the system has no positive real part: no step converges"
            if stable.all():
                reason = f"the step {self.step} is too long"
        elif lost.any():
            reason = f"the features have rank {int(model.rank.min())} of {moments.features}"
            if relies_on_unseen(moments, self.discount, self.ridge).any():
                status, reason = "singular", f"{reason}; {UNSEEN}"
        return LinearResult(
            estimator="td",
            params=params,
            value=start_value(moments, params),
            discount=self.discount,
            ridge=self.ridge,
            rank=scalar(solution.rank),
            condition=scalar(solution.condition),
            converged=scalar(converged),
            iterations=self.iterations,
            spectral_radius=scalar(radius),
            status=status,
            reason=reason,
            rows=moments.rows,
            influence=influence,
            system=system if self.iterations is None and not lost.any() else None,
        )

    def _step(self, system: np.ndarray, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return whether some step converges, the step to take, and the spectral radius with it, [*batch] each.

        As many eigenvalues as the covariance lacks in rank are 0 and belong to directions that are never taken.
        """
        eigenvalues = np.linalg.eigvals(system)
        size = np.abs(eigenvalues)
        largest = size.max(axis=-1)
        idle = np.argsort(np.argsort(size, axis=-1), axis=-1) < (system.shape[-1] - rank)[..., None]
        stable = (np.where(idle, np.inf, eigenvalues.real).min(axis=-1) > TOLERANCE * largest) & (rank > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            shrinking = np.where(idle, np.inf, eigenvalues.real / size**2).min(axis=-1)
            fallback = np.where(largest > 0, 1.0 / largest, 1.0)
        step = np.where(stable, shrinking, fallback) if self.step is None else np.full(largest.shape, self.step)
        return stable, step, np.where(idle, 0.0, np.abs(1.0 - step[..., None] * eigenvalues)).max(axis=-1)

    def _limit(
        self, moments: Moments, system: np.ndarray, solution: Solution, model: Regression, converged: np.ndarray
    ) -> tuple[np.ndarray, Influence | None]:
        """Return the limits, NaN where there is none; where the features are redundant those of least norm."""
        params, lost = solution.x.copy(), model.rank < moments.features
        if lost.any():
            kept = np.eye(moments.features) - model.matrix[lost]
            params[lost] = solve_system(kept, model.offset[lost]).x
        params = np.where(converged[..., None], params, np.nan)
        if not converged.all():
            return params, None
        if lost.any():
            return params, least_norm_influence(moments, self.ridge, model.matrix, params)
        return params, fixed_point_influence(moments, system, params)

    def _iterate(
        self, moments: Moments, matrix: np.ndarray, step: np.ndarray
    ) -> tuple[np.ndarray, Influence | None]:
        assert self.iterations is not None
        path = iterates(matrix, step[..., None] * moments.mean().reward_moment, self.iterations)
        if path.ndim > 2 or not moments.initial_weight > 0 or not np.isfinite(path[-1]).all():
            return path[-1], None
        felt = adjoint_iterates(matrix, moments.initial_mean, self.iterations)
        return path[-1], Influence(step * felt, path[:-1].T, path[:-1].T)
