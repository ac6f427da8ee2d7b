"""A random world of a seed, as one instance; thousands at once are in ``random_mdps.py``."""

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import FiniteMDP, policy_of
from sandtable.simulators.ope.random_mdps import random_mdps


def random_world(
    *,
    seed: int = 0,
    states: int = 5,
    actions: int = 2,
    features: int = 3,
    tabular: bool | None = None,
    discount: float = 0.9,
) -> FiniteMDP:
    """Return a random world without an end: Dirichlet(0.1) transitions and data, values linear in the features.

    Args:
        seed: Which one, at least 0.
        states: S, at least 1.
        actions: A, at least 1.
        features: d of standard normal features, in [1, S A].
        tabular: Whether the features are indicators of the pairs instead; None: where ``seed`` is even.
        discount: gamma, in [0, 1).
    """
    for name, value, least in (("seed", seed, 0), ("states", states, 1), ("actions", actions, 1)):
        if int(value) != value or value < least:
            raise InputError(f"random: {name} is {value}; it must be a whole number, at least {least}")
    if int(features) != features or not 1 <= features <= states * actions:
        raise InputError(f"random: features is {features}; it must be a whole number in [1, {states * actions}]")
    if not 0 <= discount < 1:
        raise InputError(f"random: discount is {discount}; it must lie in [0, 1)")
    tabular = seed % 2 == 0 if tabular is None else tabular
    d = None if tabular else int(features)
    drawn = random_mdps([int(seed)], states=int(states), actions=int(actions), features=d, discount=discount)
    return FiniteMDP(
        name="random",
        features=drawn.features[0],
        transitions=drawn.transitions[0],
        pair_rewards=drawn.rewards[0],
        terminal=np.zeros(int(states), bool),
        initial=drawn.initial[0],
        target=drawn.target[0],
        data=drawn.data[0],
        behaviour=policy_of(drawn.data[0]),
        discount=discount,
        theta=drawn.theta[0],
    )
