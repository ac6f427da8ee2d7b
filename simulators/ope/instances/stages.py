"""Worlds of a fixed number of stages: how errors grow as estimates are carried back through a horizon."""

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import FiniteMDP


def wang_foster_kakade(*, horizon: int = 4, width: int = 4, reward: float = 1.0) -> FiniteMDP:
    """Return the hard instance of Wang, Foster and Kakade (arXiv 2010.11895), at discount 1.

    Each of H stages has the states c = 1 .. w and a last one, s*. Action a_1, the target policy's, leads to s* of the
    next stage; a_2 keeps c. In s* both do the same. The features of a stage have a block of their own, 2 w numbers:
    (s_c, a_1) has e_c, (s_c, a_2) has e_{w + c}, and s* has w^{-1/2} (e_1 + ... + e_w). The data is uniform over the
    states s_c and both actions; episodes start in s* of the first stage, of which the data tell nothing directly.
    Errors grow by w^{1/2} a stage as they come down to it: FQI and LSTD converge, and need more data than anyone has.

    State (h, c) has the number (h - 1) (w + 1) + c - 1, with c = w + 1 for s*; the end is the last.

    Args:
        horizon: H, at least 1.
        width: w (in the paper d-hat), at least 2.
        reward: r_0 in [0, 1]: mean of the rewards, -1 or +1, of a_1 in the last stage's states s_c.
    """
    for name, value, least in (("horizon", horizon, 1), ("width", width, 2)):
        if int(value) != value or value < least:
            raise InputError(f"wang-foster-kakade: {name} is {value}; it must be a whole number, at least {least}")
    if not 0 <= reward <= 1:
        raise InputError(f"wang-foster-kakade: reward is {reward}; it must lie in [0, 1]")
    h, w = int(horizon), int(width)
    n = h * (w + 1) + 1  # states
    stage = np.arange(n - 1) // (w + 1)
    star = np.arange(n - 1) % (w + 1) == w
    stars, others = np.flatnonzero(star), np.flatnonzero(~star)

    block = np.zeros((w + 1, 2, 2 * w))
    block[:w, 0, :w], block[:w, 1, w:] = np.eye(w), np.eye(w)
    block[w, :, :w] = w**-0.5
    features = np.zeros((n, 2, 2 * w * h))
    for one in range(h):
        features[one * (w + 1) : (one + 1) * (w + 1), :, 2 * w * one : 2 * w * (one + 1)] = block

    last = stage == h - 1
    moves = np.zeros((n, 2, n))
    moves[np.arange(n - 1), 0, np.where(last, n - 1, (stage + 1) * (w + 1) + w)] = 1
    moves[np.arange(n - 1), 1, np.where(last, n - 1, np.arange(n - 1) + w + 1)] = 1
    moves[n - 1, :, n - 1] = 1

    growth = float(w) ** ((h - 1 - np.arange(h)) / 2)
    rewards, noise = np.zeros((n, 2)), np.zeros((n, 2))
    rewards[stars] = (reward * (w**0.5 - 1) * growth)[:, None]
    rewards[stars[-1]] = reward * w**0.5
    ends = others[-w:]
    rewards[ends] = reward, reward / w**0.5
    noise[ends] = np.sqrt(1 - rewards[ends] ** 2)

    data = np.zeros((n, 2))
    data[others] = 1 / (2 * len(others))
    return FiniteMDP(
        name="wang-foster-kakade",
        features=features,
        transitions=moves,
        pair_rewards=rewards,
        terminal=np.arange(n) == n - 1,
        initial=np.eye(n)[w],
        target=np.tile([1.0, 0.0], (n, 1)),
        data=data,
        behaviour=np.full((n, 2), 0.5),
        discount=1.0,
        theta=(reward * growth[:, None] * np.repeat([1.0, w**-0.5], w)).ravel(),
        reward_noise=noise,
        reward_law="sign",
        horizon=h,
    )


def cobs_graph(
    *, horizon: int = 4, slip: float = 0.25, target: float = 0.2, behaviour: float = 0.8, discount: float = 0.98
) -> FiniteMDP:
    """Return the graph of Voloshin et al. (arXiv 1911.06854), with a reward at every step.

    From the start one goes through H layers of two nodes. Action 0 leads to the node that pays +1, action 1 to that
    which pays -1; with probability ``slip`` one arrives at the other. The last layer ends the episode. The features are
    indicators of pairs. The data is where the behaviour policy's steps are.

    State 0 is the start, 2 l - 1 and 2 l are the nodes +1 and -1 of layer l.

    Args:
        horizon: H, at least 1.
        slip: In [0, 1].
        target: The target policy's probability of action 0, in [0, 1].
        behaviour: The behaviour policy's.
        discount: gamma.
    """
    if int(horizon) != horizon or horizon < 1:
        raise InputError(f"cobs-graph: horizon is {horizon}; it must be a whole number, at least 1")
    for name, value in (("slip", slip), ("target", target), ("behaviour", behaviour)):
        if not 0 <= value <= 1:
            raise InputError(f"cobs-graph: {name} is {value}; it must lie in [0, 1]")
    h = int(horizon)
    n, going = 2 * h + 1, 2 * h - 1  # states, and those that are not the end
    layer = (np.arange(n) + 1) // 2
    good = 2 * layer[:going] + 1
    moves = np.zeros((n, 2, n))
    for action, certain in ((0, 1 - slip), (1, slip)):
        moves[np.arange(going), action, good] = certain
        moves[np.arange(going), action, good + 1] = 1 - certain
    moves[np.arange(going, n), :, np.arange(going, n)] = 1

    policy = np.tile([behaviour, 1 - behaviour], (n, 1))
    visits = np.eye(n)[0]
    for one in range(1, h):  # of the layer
        visits += (visits * (layer == one - 1)) @ np.einsum("sa,sat->st", policy, moves)
    data = visits[:, None] * policy * (np.arange(n) < going)[:, None] / h
    return FiniteMDP(
        name="cobs-graph",
        features=np.eye(2 * n)[:, : 2 * going].reshape(n, 2, 2 * going),
        transitions=moves,
        pair_rewards=np.zeros((n, 2)),
        arrival_rewards=np.where(np.arange(n) % 2 == 1, 1.0, -1.0) * (np.arange(n) > 0),
        terminal=np.arange(n) >= going,
        initial=np.eye(n)[0],
        target=np.tile([target, 1 - target], (n, 1)),
        data=data,
        behaviour=policy,
        discount=discount,
        horizon=h,
    )
