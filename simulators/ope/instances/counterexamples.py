"""Counterexamples: worlds in which an estimator that looks sound diverges, or the data cannot tell the value."""

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import FiniteMDP
from sandtable.simulators.ope.instances.reward_process import reward_process

DASHED, SOLID = 0, 1


def baird(*, discount: float = 0.99) -> FiniteMDP:
    """Return Baird's star (Baird 1995): TD(0) diverges, with 8 features for 7 states and data on all states.

    The dashed action leads to one of the first six states, the solid one to the seventh. The target policy is solid
    everywhere. The features are those of the state, 2 e_i + e_8 (the seventh: e_7 + 2 e_8), and every reward is 0. The
    data is uniform over the states with the solid action; episodes play dashed six times of seven.
    """
    phi = np.hstack([2 * np.eye(7), np.ones((7, 1))])
    phi[6, [6, 7]] = 1, 2
    moves = np.zeros((7, 2, 7))
    moves[:, DASHED, :6] = 1 / 6
    moves[:, SOLID, 6] = 1
    return FiniteMDP(
        name="baird",
        features=np.stack([phi, phi], axis=1),
        transitions=moves,
        pair_rewards=np.zeros((7, 2)),
        terminal=np.zeros(7, bool),
        initial=np.full(7, 1 / 7),
        target=np.tile([0.0, 1.0], (7, 1)),
        data=np.tile([0.0, 1 / 7], (7, 1)),
        behaviour=np.tile([6 / 7, 1 / 7], (7, 1)),
        discount=discount,
        theta=np.zeros(8),
    )


def tsitsiklis_van_roy(*, epsilon: float = 0.01, discount: float = 0.99) -> FiniteMDP:
    """Return the two states of Tsitsiklis and Van Roy (1996), features 1 and 2, uniform data, every reward 0.

    The first leads to the second, which stays with probability 1 - ``epsilon`` (in [0, 1]) and ends else. An iteration
    of FQI multiplies the parameter by ``discount (6 - 4 epsilon) / 5``.
    """
    if not 0 <= epsilon <= 1:
        raise InputError(f"tsitsiklis-van-roy: epsilon is {epsilon}; it must lie in [0, 1]")
    moves = [[0, 1], [0, 1 - epsilon]]
    name = "tsitsiklis-van-roy"
    return reward_process(name, [[1], [2]], moves, [0.5, 0.5], discount, theta=[0], ends=epsilon > 0)


def amortila(*, theta: float = 1.0, discount: float = 0.9) -> FiniteMDP:
    """Return the world of Amortila, Jiang and Xie (arXiv 2011.01075): no amount of data tells its value.

    The first state, all that is logged, leads to the second without reward; the second stays and pays
    ``(1 - discount) theta`` a step. The features, ``discount`` and 1, give the values with the one parameter ``theta``.
    """
    if not 0 < discount < 1:
        raise InputError(f"amortila: discount is {discount}; it must lie between 0 and 1")
    features, moves = [[discount], [1]], [[0, 1], [0, 1]]
    rewards = [0, (1 - discount) * theta]
    return reward_process(
        "amortila", features, moves, [1, 0], discount, theta=[theta], rewards=rewards, initial=[1, 0]
    )


_KOLTER_VALUES = np.array([1.0, 1.05])


def kolter(*, epsilon: float = 0.001, discount: float = 0.99) -> FiniteMDP:
    """Return Kolter's two states (NeurIPS 2011): an almost perfect feature, and any error LSTD can make.

    Both states lead to either with probability 1/2; the values are (1, 1.05), the one feature (1, 1.05 + ``epsilon``),
    so with ``epsilon`` 0 the value is linear. The data is free, uniform here; near ``kolter_singular`` the parameter
    that LSTD finds is beyond every bound, and with ``epsilon`` 0 there it is not determined.
    """
    if not np.isfinite(epsilon):
        raise InputError(f"kolter: epsilon is {epsilon}; it must be finite")
    values, b = _KOLTER_VALUES, _KOLTER_VALUES[1] + epsilon
    moves = np.full((2, 2), 0.5)
    theta = [1.0] if epsilon == 0 else None
    rewards = values - discount * (moves @ values)
    return reward_process("kolter", [[1], [b]], moves, [0.5, 0.5], discount, theta=theta, rewards=rewards)


def kolter_singular(epsilon: float = 0.001, discount: float = 0.99) -> float:
    """Return the share of the first state in the data at which the system of ``kolter`` is singular.

    With features 1 and b, and m = (1 + b) / 2 after either state, a share p gives
    ``G(p) = p + (1 - p) b^2 - discount m (p + (1 - p) b)``, which is 0 at
    ``p = b (b - discount m) / ((b - 1) (b + 1 - discount m))``.

    Raises:
        InputError: There is none in [0, 1].
    """
    b = float(_KOLTER_VALUES[1]) + epsilon
    after = discount * (1 + b) / 2
    divisor = (b - 1) * (b + 1 - after)
    share = b * (b - after) / divisor if divisor else np.inf
    if not 0 <= share <= 1:
        raise InputError(f"kolter: no data makes the system singular with epsilon {epsilon} and discount {discount}")
    return share
