"""LinearResult: a fitted linear value function, with what could have gone wrong as fields."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from sandtable.estimators.ope.value_estimate import Status, ValueEstimate
from sandtable.simulators.ope.moments import Moments


class Influence(NamedTuple):
    """How a row moves the value, to first order: what sandwich and one-step intervals sum over rows.

    With weight w of total W, the row (phi, phi', r) moves it by
    ``w / W * sum_t (phi^T instruments[:, t]) (r + discount phi'^T before[:, t] - phi^T after[:, t])``.

    Attributes:
        instruments: [d, T]; T is 1 for a fixed point and the number of iterations for an iterate.
        before: The parameters of the target, [d, T].
        after: The parameters that are fitted to it, [d, T].
    """

    instruments: np.ndarray
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class LinearResult:
    """The fit of a linear estimator: Q(s, a) = phi(s, a)^T params, unnormalised.

    Of moments with a batch shape, every number and array has that shape in front.

    Attributes:
        estimator: Its name.
        params: [d]; NaN where the estimator has no limit.
        value: Mean of phi^T params over the starts; NaN where none is known.
        discount: In [0, 1].
        ridge: Added to the diagonal of the mean covariance.
        rank: Of the matrix that was solved; below d the least-norm parameters were taken.
        condition: Condition number of the equilibrated matrix that was solved (1-norm).
        solver: ``"lu"``, ``"qr"`` or ``"svd"``.
        converged: Whether the iteration that defines the estimator converges; True for what needs none.
        iterations: How many were made; None for a limit, and for what needs none.
        spectral_radius: Of that iteration; NaN for what needs none.
        status: As of ``ValueEstimate``.
        reason: One sentence where the status is not ``"ok"`` or something is to be known; else empty.
        cov: Covariance of the parameters, [d, d]; None until ``intervals.with_covariance`` has seen the rows.
        cov_type: ``"hc0"``, ``"cluster"`` or ``"homoskedastic"``; None without.
        rows: How many rows the moments sum; 0 for a distribution.
        influence: Of a row on the value; None where there is no start, no value, or a batch.
        system: The matrix with ``system @ params = E phi r``, in mean moments, [d, d]; None where the parameters are no
            solution of such a system.
    """

    estimator: str
    params: np.ndarray
    value: Any
    discount: float
    ridge: float
    rank: Any
    condition: Any
    solver: str = "lu"
    converged: Any = True
    iterations: int | None = None
    spectral_radius: Any = float("nan")
    status: Status = "ok"
    reason: str = ""
    cov: np.ndarray | None = field(default=None, repr=False)
    cov_type: str | None = None
    rows: Any = 0
    influence: Influence | None = field(default=None, repr=False)
    system: np.ndarray | None = field(default=None, repr=False)

    @property
    def bse(self) -> np.ndarray:
        """Return the standard errors of the parameters, [d].

        Raises:
            ValueError: No covariance was asked for.
        """
        if self.cov is None:
            raise ValueError("there is no covariance yet: intervals.with_covariance(result, log) makes it of the rows")
        return np.sqrt(np.diagonal(self.cov, axis1=-2, axis2=-1))

    def conf_int(self, alpha: float = 0.05) -> np.ndarray:
        """Return the ends of the parameters' normal confidence intervals, [d, 2]."""
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha}")
        half = stats.norm.ppf(1 - alpha / 2) * self.bse
        return np.stack([self.params - half, self.params + half], axis=-1)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the values of pairs (or states) with features [..., d]: [...]."""
        return features @ self.params

    def estimate(self) -> ValueEstimate:
        """Return the estimate of the value, without an interval."""
        return ValueEstimate(
            estimator=self.estimator,
            value=float(self.value),
            status=self.status,
            reason=self.reason,
            iterations=self.iterations,
            params=self.params,
        )

    def summary(self, alpha: float = 0.05) -> str:
        """Return a table of the parameters, as text; with standard errors where there is a covariance."""
        head = [
            f"{self.estimator}: value {float(self.value):.6g} at discount {self.discount:g}, {self.rows:,} rows",
            f"ridge {self.ridge:g}, solver {self.solver}, rank {self.rank} of {len(self.params)}, "
            f"condition number {float(self.condition):.3g}, status {self.status}",
        ]
        if self.reason:
            head.append(self.reason)
        if self.cov is None:
            lines = [f"{'feature':>8}{'coefficient':>14}"]
            lines += [f"{index:8d}{value:14.5g}" for index, value in enumerate(self.params)]
            return "\n".join([*head, *lines])
        ends = self.conf_int(alpha)
        lines = [f"{'feature':>8}{'coefficient':>14}{'std. error':>14}{'low':>14}{'high':>14}   {self.cov_type}"]
        lines += [
            f"{index:8d}{value:14.5g}{error:14.5g}{low:14.5g}{high:14.5g}"
            for index, (value, error, (low, high)) in enumerate(zip(self.params, self.bse, ends, strict=True))
        ]
        return "\n".join([*head, *lines])


def scalar(array: np.ndarray) -> Any:
    """Return a Python number of an array without axes, and any other array as it is."""
    return array.item() if array.ndim == 0 else array


def start_value(moments: Moments, params: np.ndarray) -> Any:
    """Return the mean value at the starts, [*batch]; NaN where the moments know none."""
    if not (np.asarray(moments.initial_weight) > 0).all():
        return scalar(np.full(params.shape[:-1], np.nan))
    return scalar((moments.initial_mean * params).sum(axis=-1))


def with_ridge(moments: Moments, ridge: float) -> tuple[Moments, np.ndarray]:
    """Return the mean moments, and their covariance with ``ridge`` added to its diagonal, [*batch, d, d]."""
    mean = moments.mean()
    return mean, mean.covariance + ridge * np.eye(moments.features)


def check_settings(discount: float, ridge: float = 0.0) -> None:
    """Check what every linear estimator takes.

    Raises:
        ValueError: The discount does not lie in [0, 1], or the ridge is negative or not finite.
    """
    if not 0 <= discount <= 1:
        raise ValueError(f"discount must lie in [0, 1], not {discount}")
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge must be finite and >= 0, not {ridge}")
