"""Expected temporal differences: params <- params + step (E phi r - (cov - discount cross) params)."""

from dataclasses import dataclass

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
from sandtable.simulators.ope.moments import Moments


@dataclass(frozen=True)
class ExpectedTD:
    """TD(0) on the moments, from params 0: what its stochastic form does on average (Tsitsiklis and Van Roy 1997).

    It converges for small steps if and only if all eigenvalues of cov + ridge I - discount cross have positive real
    parts; that neither implies the convergence of FQI nor follows from it. Its limit is LSTD's solution.

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
        is NaN.
        """
        mean, covariance = with_ridge(moments, self.ridge)
        system = covariance - self.discount * mean.cross_covariance
        stable, step = self._step(system)
        matrix = np.eye(moments.features) - step[..., None, None] * system
        radius = spectral_radius(matrix)
        converged = stable & ((radius < 1) | (self.step is None))
        solution = solve_system(system, mean.reward_moment)
        if self.iterations is None:
            params = np.where(converged[..., None], solution.x, np.nan)
            influence = fixed_point_influence(moments, system, params) if converged.all() else None
        else:
            params, influence = self._iterate(moments, matrix, step)
        reason = "" if converged.all() else "an eigenvalue of the system has no positive real part: no step converges"
        if stable.all() and not converged.all():
            reason = f"the step {self.step} is too long"
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
            status="ok" if converged.all() else "diverged",
            reason=reason,
            rows=moments.rows,
            influence=influence,
            system=system if self.iterations is None else None,
        )

    def _step(self, system: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whether some step converges, and the step to take, [*batch] each."""
        eigenvalues = np.linalg.eigvals(system)
        size = np.abs(eigenvalues)
        largest = size.max(axis=-1)
        stable = eigenvalues.real.min(axis=-1) > TOLERANCE * largest
        if self.step is not None:
            return stable, np.full(largest.shape, self.step)
        with np.errstate(divide="ignore", invalid="ignore"):
            shrinking = (eigenvalues.real / size**2).min(axis=-1)
            fallback = np.where(largest > 0, 1.0 / largest, 1.0)
        return stable, np.where(stable, shrinking, fallback)

    def _iterate(
        self, moments: Moments, matrix: np.ndarray, step: np.ndarray
    ) -> tuple[np.ndarray, Influence | None]:
        assert self.iterations is not None
        path = iterates(matrix, step[..., None] * moments.mean().reward_moment, self.iterations)
        if path.ndim > 2 or not moments.initial_weight > 0 or not np.isfinite(path[-1]).all():
            return path[-1], None
        felt = adjoint_iterates(matrix, moments.initial_mean, self.iterations)
        return path[-1], Influence(step * felt, path[:-1].T, path[:-1].T)
