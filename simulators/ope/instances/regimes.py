"""One world for each regime of the linear estimators of a value (arXiv 2203.04236): R1 to R7, and their kin.

All have one action and rewards with which ``features @ theta`` are the values exactly. What sets them apart is which
condition of the estimators their moments meet.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import FiniteMDP
from sandtable.simulators.ope.instances.reward_process import reward_process


class _World(NamedTuple):
    """The defining arrays of one regime's world.

    Attributes:
        features: [n][d].
        transitions: [n][n]; what a row lacks of 1 leads to the end.
        data: [n].
        theta: [d].
    """

    features: Any
    transitions: Any
    data: Any
    theta: Any


_HALVES, _THIRDS = [0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]
_CYCLE = [[0, 0, 1], [0, 0, 0], [1, 0, 0]]

_WORLDS = {
    # low distribution shift, not complete: the data is the chain's own distribution
    "R1": _World([[1], [2]], [_HALVES, _HALVES], _HALVES, [1]),
    "R1b": _World([[1, 0], [0, 1], [1, 1]], [[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]], _THIRDS, [1, -1]),
    # low distribution shift and complete
    "R1c": _World([[1, 0], [0, 1]], [[0.9, 0.1], [0.1, 0.9]], _HALVES, [95 / 14, 45 / 14]),
    # contractive, not low shift: the features after the logged state cancel
    "R2": _World([[1], [2], [-2]], [[0, 0.5, 0.5], [0, 0, 0], [0, 0, 0]], [1, 0, 0], [1]),
    "R2b": _World([[1], [2], [-2]], [[0, 0.5, 0.5], [1, 0, 0], [0, 0, 0]], [1, 0, 0], [1]),
    # complete only: little data where everything leads
    "R3": _World([[1, 0], [0, 1]], [[0, 1], [0, 1]], [0.99, 0.01], [9, 10]),
    # stable only, and stable in both ways but not contractive: a nilpotent cross-covariance
    "R4": _World([[1, 0], [0, 1], [0, 3]], _CYCLE, [0.5, 0.5, 0], [1, 1]),
    "R4b": _World([[1, 0], [0, 1], [0, 1.5]], _CYCLE, [0.5, 0.5, 0], [1, 1]),
    # symmetric stable: a rotation that grows; FQI diverges and LSTD does not
    "R5": _World(
        [[1, 0], [0, 1], [0, -2], [2, 0]],
        [[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
        [0.5, 0.5, 0, 0],
        [1, 1],
    ),
    # invertible only: the features double, and the data stays where they do
    "R6": _World([[1], [2]], [[0, 1], [0, 0]], [1, 0], [1]),
    # singular: the features grow as fast as the discount shrinks, and every theta gives the same data; _r7 makes them
    "R7": _World([[1], [np.nan]], [[0, 1], [0, 0]], [1, 0], [1]),
}


def _regime(name: str, *, discount: float = 0.9, theta: Any = None) -> FiniteMDP:
    """Return the world of one regime.

    Args:
        name: Its number.
        discount: gamma. The rewards follow from it, so that ``theta`` gives the values; in which regime the world is
            was told for the default.
        theta: [d]; None: as published.
    """
    world = _WORLDS[name]
    features = np.asarray(world.features, float)
    if name == "R7":
        if not 0 < discount < 1:
            raise InputError(f"R7: discount is {discount}; it must lie between 0 and 1")
        features = np.asarray([[1.0], [1 / discount]])
    d = features.shape[1]
    theta = np.asarray(world.theta if theta is None else theta, float)
    if theta.shape != (d,):
        raise InputError(f"{name}: theta has shape {list(theta.shape)}; it must be [{d}]")
    ends = bool(np.any(np.sum(world.transitions, axis=1) < 0.5))
    return reward_process(name, features, world.transitions, world.data, discount, theta=theta, ends=ends)


REGIMES: dict[str, Callable[..., FiniteMDP]] = {name: partial(_regime, name) for name in _WORLDS}
"""Names of the worlds, and what builds each."""
