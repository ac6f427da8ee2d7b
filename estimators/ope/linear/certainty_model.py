"""The certainty-equivalent model: how features and rewards follow from features, taken as if it were the truth."""

from dataclasses import dataclass, field

import numpy as np

from sandtable.estimators.ope.linear.fqi import UNSEEN, least_norm_influence, regression, relies_on_unseen
from sandtable.estimators.ope.linear.linear_iteration import TOLERANCE, spectral_radius
from sandtable.estimators.ope.linear.linear_result import LinearResult, check_settings, scalar, start_value, with_ridge
from sandtable.estimators.ope.linear.linear_system import solve_system
from sandtable.estimators.ope.linear.lstd import fixed_point_influence
from sandtable.simulators.ope.moments import Moments


@dataclass(frozen=True)
class CertaintyModelResult(LinearResult):
    """The value under the model, and the model.

    Attributes:
        transition: F with E phi'^T = phi^T F, [d, d]; for one-hot features the relative frequencies of the next pairs.
        reward: E r = phi^T reward, [d]; for one-hot features the mean rewards.
    """

    transition: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    reward: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)


@dataclass(frozen=True)
class CertaintyModel:
    """Regressions of phi' and of r on phi, and the value of the linear world that they describe.

    With one-hot features it is the maximum-likelihood model of a finite world; pairs that the log never shows get the
    value 0, the rank tells how many there are, and the status is ``"singular"`` where they matter. Where the regression
    is not singular the value is LSTD's.

    Attributes:
        discount: In [0, 1].
        ridge: Added to the diagonal of the mean covariance in both regressions.
    """

    discount: float
    ridge: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self.discount, self.ridge)

    def fit(self, moments: Moments) -> CertaintyModelResult:
        """Return the model and its value; moments with a batch shape give one each."""
        model = regression(moments, 1.0, self.ridge)
        d = moments.features
        radius = self.discount * spectral_radius(model.matrix)
        solution = solve_system(np.eye(d) - self.discount * model.matrix, model.offset)
        mean, covariance = with_ridge(moments, self.ridge)
        system = covariance - self.discount * mean.cross_covariance
        regular = bool((model.rank == d).all())
        singular = bool((solution.rank < d).any())
        stable = radius < 1 - TOLERANCE
        if regular:
            influence = fixed_point_influence(moments, system, solution.x)
        else:
            influence = least_norm_influence(moments, self.ridge, self.discount * model.matrix, solution.x)
        reason = "" if regular else f"the features have rank {int(model.rank.min())} of {d}: least-norm regressions"
        if not regular and relies_on_unseen(moments, self.discount, self.ridge).any():
            singular, reason = True, f"{reason}; {UNSEEN}"
        if not stable.all():
            reason = f"the model's sum diverges (spectral radius {np.max(radius):.6g}): its fixed point is given"
        return CertaintyModelResult(
            estimator="model",
            params=solution.x,
            value=start_value(moments, solution.x),
            discount=self.discount,
            ridge=self.ridge,
            rank=scalar(model.rank),
            condition=scalar(solution.condition),
            converged=scalar(stable),
            spectral_radius=scalar(radius),
            status="singular" if singular else "ok",
            reason=reason,
            rows=moments.rows,
            influence=influence,
            system=system if regular else None,
            transition=model.matrix,
            reward=model.offset,
        )
