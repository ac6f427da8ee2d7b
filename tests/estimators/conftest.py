"""Logs whose rows, or weighted rows, are exactly what an infinite log would hold, and one with noise."""

import numpy as np
import pytest

from sandtable.simulators.ope.finite_mdp import FiniteMDP
from sandtable.simulators.ope.logged_steps import LoggedSteps


def _log_of(episodes, features, next_features, reward, terminated, **further):
    """Return a log of one action; ``episodes`` are their lengths, and an episode that does not end is truncated."""
    episode = np.repeat(np.arange(len(episodes)), episodes)
    last = np.append(np.diff(episode) > 0, True)
    return LoggedSteps(
        actions=1,
        episode=episode,
        step=np.concatenate([np.arange(length) for length in episodes]),
        action=np.zeros(len(episode), dtype=np.int64),
        reward=np.asarray(reward, dtype=np.float64),
        terminated=np.asarray(terminated, dtype=bool),
        truncated=last & ~np.asarray(terminated, dtype=bool),
        features=np.asarray(features, dtype=np.float64),
        next_features=np.asarray(next_features, dtype=np.float64),
        **further,
    )


def _expected_log(mdp: FiniteMDP, noise: float, copies: int = 1) -> LoggedSteps:
    """Return transitions of a world of one action, each pair, next state and noise of + or - ``noise`` as often as it
    is likely: sample moments are exact ones. The probabilities must be multiples of 1 / 60."""
    phi, rows = mdp.features[:, 0], []
    for state in np.flatnonzero(mdp.data[:, 0] > 0):
        for following in np.flatnonzero(mdp.transitions[state, 0] > 0):
            times = 120 * mdp.data[state, 0] * mdp.transitions[state, 0, following]
            assert abs(times - round(times)) < 1e-9
            rows += [(state, following, sign) for sign in (-1, 1)] * (round(times) * copies)
    state, following, sign = np.array(rows).T
    paid = mdp.rewards[state, 0] + sign * noise
    ended = mdp.terminal[following]
    start = (mdp.initial @ phi)[None]
    one_each = np.ones(len(rows), dtype=np.int64)
    return _log_of(one_each, phi[state], phi[following], paid, ended, initial_features=start, independent=True)


def boyan_features(state: int) -> np.ndarray:
    """Return the features of Boyan's chain (Boyan 2002): hats at states 12, 8, 4 and 0, [4]."""
    return np.maximum(0.0, 1 - np.abs(np.array([12, 8, 4, 0]) - state) / 4)


def _boyan_episodes(steps: int | None = None) -> LoggedSteps:
    """Return every episode of Boyan's chain, weighted by its probability; cut after ``steps`` from every state.

    The terminal state's features are left as they are, (0, 0, 0, 1).
    """
    lengths, rows, weights = [], [], []

    def walk(state, path, weight):
        if state == 0 or len(path) == steps:
            lengths.append(len(path))
            rows.extend(path)
            weights.extend([weight] * len(path))
            return
        jumps = [1] if state == 1 else [1, 2]
        for jump in jumps:
            reward = -2.0 if state == 1 else -3.0
            walk(state - jump, [*path, (state, state - jump, reward)], weight / len(jumps))

    for start in [12] if steps is None else range(1, 13):
        walk(start, [], 1.0)
    state, following, reward = (np.array(column) for column in zip(*rows, strict=True))
    phi = np.array([boyan_features(one) for one in range(13)])
    return _log_of(
        lengths, phi[state.astype(int)], phi[following.astype(int)], reward, following == 0, weight=np.array(weights)
    )


def _noisy_log(n=2000, d=5, seed=0) -> LoggedSteps:
    """Return one episode of noise, in which the features shrink and the rewards are linear but for noise."""
    generator = np.random.default_rng(seed)
    phi = generator.normal(size=(n, d))
    following = 0.6 * phi + 0.5 * generator.normal(size=(n, d))
    return _log_of([n], phi, following, phi @ np.arange(d) + generator.normal(size=n), np.zeros(n))


@pytest.fixture(scope="session")
def log_of():
    return _log_of


@pytest.fixture(scope="session")
def expected_log():
    return _expected_log


@pytest.fixture(scope="session")
def boyan_episodes():
    return _boyan_episodes


@pytest.fixture(scope="session")
def noisy_log():
    return _noisy_log
