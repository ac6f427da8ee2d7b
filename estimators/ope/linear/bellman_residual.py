"""Bellman-residual minimisation: least squares of the temporal-difference error itself (Baird 1995)."""

from dataclasses import dataclass

import numpy as np

from sandtable.estimators.ope.linear.linear_result import LinearResult, check_settings, scalar, start_value, with_ridge
from sandtable.estimators.ope.linear.linear_system import solve_system
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.moments import Moments

DOUBLE_SAMPLING = (
    "minimises the squared temporal-difference error, which holds the variance of the next value over next states and "
    "actions: biased unless transitions and policy are deterministic (two independent next states would be needed)"
)


@dataclass(frozen=True)
class BellmanResidual:
    """The parameters of least mean (r + discount phi'^T params - phi^T params)^2 + ridge |params|^2.

    Every result's ``reason`` tells of the bias, see ``DOUBLE_SAMPLING``.

    Attributes:
        discount: In [0, 1].
        ridge: Added to the diagonal of the mean squared regressors.
    """

    discount: float
    ridge: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self.discount, self.ridge)

    def fit(self, moments: Moments) -> LinearResult:
        """Return the minimiser; moments with a batch shape give one each.

        Raises:
            InputError: The moments hold no next covariance, or no products of next features and rewards.
        """
        mean, covariance = with_ridge(moments, self.ridge)
        if mean.next_covariance is None or mean.next_reward_moment is None:
            raise InputError(
                "Bellman-residual minimisation needs the covariance of next features over drawn or enumerated actions, "
                "and their products with the reward; these moments were made of mean features alone"
            )
        cross = mean.cross_covariance
        across = cross + np.swapaxes(cross, -1, -2)
        matrix = covariance - self.discount * across + self.discount**2 * mean.next_covariance
        solution = solve_system(matrix, mean.reward_moment - self.discount * mean.next_reward_moment)
        deficient = bool((solution.rank < moments.features).any())
        return LinearResult(
            estimator="brm",
            params=solution.x,
            value=start_value(moments, solution.x),
            discount=self.discount,
            ridge=self.ridge,
            rank=scalar(solution.rank),
            condition=scalar(solution.condition),
            status="singular" if deficient else "ok",
            reason=DOUBLE_SAMPLING,
            rows=moments.rows,
        )
