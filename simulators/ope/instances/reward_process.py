"""Markov reward processes: worlds of one action, in which only the features, the chain and the data matter."""

from typing import Any

import numpy as np

from sandtable.simulators.ope.finite_mdp import FiniteMDP


def reward_process(
    name: str,
    features: Any,
    transitions: Any,
    data: Any,
    discount: float,
    *,
    theta: Any = None,
    rewards: Any = None,
    initial: Any = None,
    ends: bool = False,
    horizon: int = 100,
) -> FiniteMDP:
    """Return a world of one action.

    Args:
        name: Of the instance.
        features: phi of the n states that go on, [n, d].
        transitions: Between these states, [n, n]; what a row lacks of 1 leads to the end.
        data: mu over these states, [n].
        discount: In [0, 1].
        theta: [d]; the rewards are then those with which ``features @ theta`` are the values, unless they are given.
        rewards: [n]; one of both is needed.
        initial: Distribution of the first state, [n]; None: uniform.
        ends: Whether there is a terminal state, number n.
        horizon: Of a logged episode.
    """
    phi, chain = np.asarray(features, float), np.asarray(transitions, float)
    n = len(phi)
    if rewards is None:
        rewards = phi @ theta - discount * (chain @ (phi @ theta))
    terminal = np.arange(n + ends) == n
    moves = np.zeros((n + ends, n + ends))
    moves[:n, :n] = chain
    if ends:
        moves[:, n] = 1.0 - moves.sum(axis=1)
    pad = [(0, int(ends))]

    def one_action(values: Any) -> np.ndarray:
        return np.pad(np.asarray(values, float), pad)[:, None]

    return FiniteMDP(
        name=name,
        features=np.pad(phi, [*pad, (0, 0)])[:, None],
        transitions=moves[:, None],
        pair_rewards=one_action(rewards),
        terminal=terminal,
        initial=one_action(np.full(n, 1.0 / n) if initial is None else initial)[:, 0],
        target=np.ones((n + ends, 1)),
        data=one_action(data),
        behaviour=np.ones((n + ends, 1)),
        discount=discount,
        theta=None if theta is None else np.asarray(theta, float),
        horizon=horizon,
    )
