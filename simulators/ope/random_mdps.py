"""Random finite worlds by the thousand: arrays [n, ...] of n worlds of one shape, with exact moments.

Transitions, and the distribution of the data, are drawn from Dirichlet(0.1): most rows lead almost surely to one state,
and the data hardly show some pairs. Such worlds lie in every regime but the singular one, whose chance is nil.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from sandtable.simulators.ope.moments import Moments
from sandtable.simulators.random import fold_in, make_key, normal, uniform

CONCENTRATION = 0.1
_FEATURES, _TRANSITIONS, _DATA, _TARGET, _THETA, _INITIAL = range(6)


@dataclass(frozen=True)
class RandomMDPs:
    """n worlds of S states, A actions and d features; no state is terminal, and the features give the values exactly.

    Attributes:
        index: Number of each world, int64 [n]: world i of a seed is the same however many are drawn.
        features: [n, S, A, d]: one-hot, or standard normal.
        transitions: [n, S, A, S].
        rewards: Means, [n, S, A]: those with which ``features @ theta`` are the values of the target policy.
        initial: Distribution of the first state, [n, S]: uniform.
        target: The policy to be evaluated, [n, S, A]; uniform over policies.
        data: Distribution of the logged pairs, [n, S, A].
        theta: [n, d]; standard normal.
        discount: In [0, 1).
    """

    index: np.ndarray
    features: np.ndarray
    transitions: np.ndarray
    rewards: np.ndarray
    initial: np.ndarray
    target: np.ndarray
    data: np.ndarray
    theta: np.ndarray
    discount: float

    def __len__(self) -> int:
        return len(self.index)

    def next_features(self) -> np.ndarray:
        """Return the mean features after each pair under the target policy, [n, S, A, d]."""
        return _next_features(self.features, self.transitions, self.target)

    def moments(self) -> Moments:
        """Return the exact moments of one transition from the data distribution, batched [n]."""
        n, d = len(self), self.features.shape[-1]
        phi, following, mu = (
            array.reshape(n, -1, width)
            for array, width in ((self.features, d), (self.next_features(), d), (self.data, 1))
        )
        weighted = np.swapaxes(phi * mu, -1, -2)
        arrived = np.einsum("nsa,nsat->nt", self.data, self.transitions)
        after = (arrived[..., None] * self.target).reshape(n, -1, 1)
        rewards = self.rewards.reshape(n, -1, 1)
        return Moments(
            weight=1.0,
            rows=0,
            covariance=weighted @ phi,
            cross_covariance=weighted @ following,
            reward_moment=(weighted @ rewards)[..., 0],
            reward_square=(mu * rewards**2).sum((-2, -1)),
            initial_features=np.einsum("ns,nsa,nsad->nd", self.initial, self.target, self.features),
            initial_weight=1.0,
            next_covariance=np.swapaxes(phi * after, -1, -2) @ phi,
            next_features="mean",
            next_covariance_from="enumerated",
        )


def random_mdps(
    index: Any, seed: int = 0, *, states: int, features: int | None = None, actions: int = 1, discount: float = 0.9
) -> RandomMDPs:
    """Return the random worlds with the given numbers.

    Args:
        index: Numbers of the worlds, ints [n].
        seed: Of all of them.
        states: S >= 1.
        features: d >= 1, at most S A so that they are independent; None: one-hot, S A of them (tabular).
        actions: A >= 1.
        discount: In [0, 1).

    Raises:
        ValueError: An argument is out of range.
    """
    if min(states, actions) < 1 or not 1 <= (features or states * actions) <= states * actions:
        raise ValueError(f"there must be states, actions and 1 to S A features, not {states}, {actions}, {features}")
    if not 0 <= discount < 1:
        raise ValueError(f"discount must lie in [0, 1), not {discount}")
    index = np.atleast_1d(np.asarray(index, dtype=np.int64))
    n, pairs, key = len(index), states * actions, fold_in(make_key(seed), index)
    transitions = _dirichlet(fold_in(key, _TRANSITIONS), (pairs, states), CONCENTRATION)
    transitions = transitions.reshape(n, states, actions, states)
    target = _dirichlet(fold_in(key, _TARGET), (states, actions), 1.0)
    if features is None:
        phi = np.broadcast_to(np.eye(pairs), (n, pairs, pairs))
    else:
        phi = _draws(normal, fold_in(key, _FEATURES), (pairs, features))
    phi = phi.reshape(n, states, actions, -1)
    theta = _draws(normal, fold_in(key, _THETA), (phi.shape[-1],))
    temporal = phi - discount * _next_features(phi, transitions, target)
    return RandomMDPs(
        index=index,
        features=phi,
        transitions=transitions,
        rewards=np.einsum("nsad,nd->nsa", temporal, theta),
        initial=np.full((n, states), 1.0 / states),
        target=target,
        data=_dirichlet(fold_in(key, _DATA), (pairs,), CONCENTRATION).reshape(n, states, actions),
        theta=theta,
        discount=discount,
    )


def assorted_mdps(count: int, seed: int = 0, discount: float = 0.9) -> Iterator[RandomMDPs]:
    """Yield ``count`` worlds of 2 to 5 states and one action, those of one shape at a time.

    Worlds of even number are tabular; the others have 1 to 3 features, no more than states.
    """
    number = np.arange(count)
    states, odd = 2 + number // 2 % 4, number % 2 == 1
    features = np.where(odd, 1 + number // 8 % np.minimum(3, states), 0)
    for shape in np.unique(np.stack([states, features]), axis=1).T:
        chosen = number[(states == shape[0]) & (features == shape[1])]
        yield random_mdps(chosen, seed, states=int(shape[0]), features=int(shape[1]) or None, discount=discount)


def _next_features(features: np.ndarray, transitions: np.ndarray, target: np.ndarray) -> np.ndarray:
    n, states, actions, _ = transitions.shape
    of_states = np.einsum("nsa,nsad->nsd", target, features)
    return (transitions.reshape(n, states * actions, states) @ of_states).reshape(n, states, actions, -1)


def _draws(draw: Any, key: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return independent draws for each key, [n, *shape]."""
    return draw(key[:, None], np.arange(int(np.prod(shape)))).reshape(len(key), *shape)


def _dirichlet(key: np.ndarray, shape: tuple[int, ...], concentration: float) -> np.ndarray:
    """Return draws of the symmetric Dirichlet distribution along the last axis, [n, *shape], by normalised gammas."""
    gammas = special.gammaincinv(concentration, _draws(uniform, key, shape) + 2.0**-54)
    return gammas / gammas.sum(-1, keepdims=True)
