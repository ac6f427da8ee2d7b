"""The alternatives to keyed alias tables: a finite world in plain Python, and the usual batch of numpy."""

from typing import Any

import gymnasium as gym
import numpy as np

from sandtable.simulators.ope.finite_mdp import FiniteMDP


class PlainTabular(gym.Env[np.int64, np.int64]):
    """A finite world as Gymnasium environments of this kind are written: ``choice`` from a row of the transitions."""

    def __init__(self, mdp: FiniteMDP) -> None:
        self.mdp = mdp
        self.observation_space = gym.spaces.Discrete(mdp.states)
        self.action_space = gym.spaces.Discrete(mdp.actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Draw the first state."""
        super().reset(seed=seed)
        self.t = 0
        self.state = np.int64(self.np_random.choice(self.mdp.states, p=self.mdp.initial))
        return self.state, {}

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Draw the next state."""
        mdp, pair = self.mdp, (self.state, action)
        self.state = np.int64(self.np_random.choice(mdp.states, p=mdp.transitions[pair]))
        reward = float(mdp.pair_rewards[pair] + mdp.arrival[self.state])
        self.t += 1
        ended = bool(mdp.terminal[self.state])
        return self.state, reward, ended, self.t >= mdp.horizon and not ended, {}


class InverseTable:
    """A batch of rows stepped by numpy, by the inverse distribution function of each row's pair."""

    def __init__(self, mdp: FiniteMDP) -> None:
        self.mdp, self.generator = mdp, np.random.default_rng(0)
        self.cumulative = mdp.transitions.cumsum(axis=2)
        self.cumulative[..., -1] = 1.0

    def step(self, state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the next state, the reward and whether the row terminated, each [n]."""
        drawn = self.generator.random(len(state))
        following = (self.cumulative[state, action] > drawn[:, None]).argmax(axis=1)
        reward = self.mdp.pair_rewards[state, action] + self.mdp.arrival[following]
        return following, reward, self.mdp.terminal[following]
