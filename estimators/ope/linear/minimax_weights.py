"""Minimax weights with linear classes (arXiv 1910.12809): the ratio of the target's occupancy to the data's.

Both players have the features phi. The weights w = phi^T a then solve (cov - discount cross)^T a = the mean start, and
the mean of w r is LSTD's value: it is the same system read from its other side, and DualDICE's too.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from sandtable.estimators.ope.linear.linear_result import LinearResult, check_settings, scalar, with_ridge
from sandtable.estimators.ope.linear.linear_system import solve_system
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.moments import Moments


@dataclass(frozen=True)
class MinimaxResult(LinearResult):
    """The weights, and beside them, as ``params``, the values that the same system gives (minimax values, MQL).

    Attributes:
        coefficients: Of the weights on the features, unnormalised, [d].
    """

    coefficients: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)

    def ratio(self, features: np.ndarray) -> np.ndarray:
        """Return sum_t discount^t P(pair at t) / data's probability at features [..., d]: of mean 1 / (1 - discount).

        The mean of ``ratio * reward`` over the data is ``value``.
        """
        return features @ self.coefficients

    def normalised_ratio(self, features: np.ndarray) -> np.ndarray:
        """Return the ratio of two distributions, of mean 1: (1 - discount) times ``ratio``; 0 at discount 1."""
        return (1 - self.discount) * self.ratio(features)

    @property
    def normalised_value(self) -> Any:
        """Return the mean reward a step under the discounted occupancy: (1 - discount) ``value``."""
        return (1 - self.discount) * self.value


@dataclass(frozen=True)
class MinimaxWeights:
    """Linear minimax weight learning; its value is unnormalised, like every other's here.

    Attributes:
        discount: In [0, 1].
        ridge: Added to the diagonal of the mean covariance.
    """

    discount: float
    ridge: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self.discount, self.ridge)

    def fit(self, moments: Moments) -> MinimaxResult:
        """Return the weights and the value; moments with a batch shape give one each.

        Raises:
            InputError: The moments know no start: the weights are defined by it.
        """
        if not (np.asarray(moments.initial_weight) > 0).all():
            raise InputError("minimax weights need the features at the start: the log must tell where episodes start")
        values = LSTD(self.discount, self.ridge).fit(moments)
        mean, covariance = with_ridge(moments, self.ridge)
        system = covariance - self.discount * mean.cross_covariance
        starts = np.broadcast_to(moments.initial_mean, mean.reward_moment.shape)
        coefficients = solve_system(np.swapaxes(system, -1, -2), starts).x
        held = {entry.name: getattr(values, entry.name) for entry in fields(values)}
        held |= {"estimator": "minimax", "value": scalar((coefficients * mean.reward_moment).sum(axis=-1))}
        return MinimaxResult(**held, coefficients=coefficients)
