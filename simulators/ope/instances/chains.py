"""Chains whose values are whole numbers or simple fractions: what every textbook tests its estimators on."""

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import FiniteMDP
from sandtable.simulators.ope.instances.reward_process import reward_process

_BOYAN_STATES, _BOYAN_FEATURES = 13, 4


def boyan(*, discount: float = 1.0) -> FiniteMDP:
    """Return Boyan's chain (Boyan 2002): 13 states, 4 features, values of -2 a state at discount 1.

    From state s = 12, ..., 2 one moves down by one or two, with equal probability and reward -3, from state 1 to 0 with
    -2. Here state i of the arrays is s = 12 - i, so the end, 0, is the last; its features, which the literature gives
    as e_4, are 0. Those of the others interpolate between e_1 at 12, e_2 at 8, e_3 at 4 and e_4 at 0. The data is
    uniform.
    """
    s = np.arange(_BOYAN_STATES - 1, 0, -1)
    knots = (_BOYAN_STATES - 1) / (_BOYAN_FEATURES - 1) * np.arange(_BOYAN_FEATURES - 1, -1, -1)
    features = np.clip(1 - np.abs(s[:, None] - knots) / (knots[0] - knots[1]), 0, None)
    moves = np.where(s[:, None] > 1, 0.5, 0) * np.isin(s[:, None] - s, (1, 2))
    rewards = np.where(s > 1, -3.0, -2.0)
    start = s == s.max()
    theta = [-24.0, -16.0, -8.0, 0.0] if discount == 1 else None
    return reward_process(
        "boyan",
        features,
        moves,
        np.full(len(s), 1 / len(s)),
        discount,
        theta=theta,
        rewards=rewards,
        initial=start.astype(float),
        ends=True,
    )


def random_walk(*, states: int = 5, discount: float = 1.0) -> FiniteMDP:
    """Return the random walk (Sutton 1988): from the middle, left or right with equal probability.

    Past the right end one is paid 1, past the left nothing. At discount 1 the i-th of n states is worth i / (n + 1).
    There is a feature a state, so the value is linear at every discount; the data is uniform. Both ends are states of
    their own, the last two.

    Args:
        states: n, odd, at least 1; the ends not counted.
        discount: gamma.
    """
    if int(states) != states or states < 1 or states % 2 == 0:
        raise InputError(f"random-walk: states is {states}; it must be an odd whole number, at least 1")
    n = int(states)
    left, right = n, n + 1
    moves = np.zeros((n + 2, 1, n + 2))
    for i in range(n):
        moves[i, 0, i - 1 if i else left] += 0.5
        moves[i, 0, i + 1 if i < n - 1 else right] += 0.5
    moves[[left, right], 0, [left, right]] = 1.0
    going = np.arange(n + 2) < n
    return FiniteMDP(
        name="random-walk",
        features=np.eye(n + 2)[:, None, :n],
        transitions=moves,
        pair_rewards=np.zeros((n + 2, 1)),
        arrival_rewards=np.eye(n + 2)[right],
        terminal=~going,
        initial=np.eye(n + 2)[n // 2],
        target=np.ones((n + 2, 1)),
        data=going[:, None] / n,
        behaviour=np.ones((n + 2, 1)),
        discount=discount,
        theta=np.arange(1, n + 1) / (n + 1) if discount == 1 else None,
    )
