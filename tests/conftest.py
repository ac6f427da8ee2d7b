"""Worlds small enough to enumerate."""

import shutil
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch

from sandtable.simulators.arrays import like, namespace
from sandtable.simulators.decision_process import DecisionProcess, Step
from sandtable.simulators.random import fold_in, uniform

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell: Ctrl-C is tested all the same
    signal.signal(signal.SIGINT, signal.default_int_handler)


class FiniteState(NamedTuple):
    key: Any
    episode: Any
    t: Any
    place: Any


class FiniteProcess(DecisionProcess):
    """A Markov decision process with finitely many states and actions.

    Args:
        transition: [S, A, S].
        reward: [S, A].
        initial: Distribution of the first state, [S].
        horizon: Steps an episode.
        terminal: States that end an episode.
        terminates: Whether the horizon terminates an episode, or cuts it.
    """

    def __init__(self, transition, reward, initial, horizon, terminal=(), terminates=False):
        self.transition, self.reward = np.asarray(transition, np.float64), np.asarray(reward, np.float32)
        self.states, self.actions = self.reward.shape
        self.initial, self.horizon, self.terminates = np.asarray(initial, np.float64), horizon, terminates
        self.terminal = np.isin(np.arange(self.states), terminal)
        self.observation_space = gym.spaces.Discrete(self.states)
        self.action_space = gym.spaces.Discrete(self.actions)

    def reset(self, key, *, episode=0, **options):
        xp = namespace(key)
        stream = fold_in(fold_in(key, episode), 0)
        place = _drawn(uniform(stream, 0), like(key, self.initial))
        zero = xp.zeros((), dtype=xp.int64, device=key.device)
        return FiniteState(key, zero + episode, zero, place)

    def observe(self, state):
        return state.place

    def step(self, state, action):
        xp = namespace(state.key)
        stream = fold_in(fold_in(state.key, state.episode), 1)
        place = _drawn(uniform(stream, state.t), like(state.key, self.transition)[state.place, action])
        t = state.t + 1
        last = xp.zeros(place.shape, dtype=xp.bool, device=place.device) | (t >= self.horizon)
        there = like(state.key, self.terminal)[place]
        reward = like(state.key, self.reward)[state.place, action]
        ends = (there | last, there & False) if self.terminates else (there, last & ~there)
        return Step(state._replace(t=t, place=place), reward, *ends, {})

    def exact_return(self, logits):
        """Return the expected return of one episode of a softmax policy, by enumeration; differentiable in logits."""
        policy = logits.double().softmax(-1)
        transition, reward = torch.as_tensor(self.transition), torch.as_tensor(self.reward).double()
        goes_on = torch.as_tensor(~self.terminal).double()
        value = torch.zeros(self.states, dtype=torch.float64)
        for _ in range(self.horizon):
            value = (policy * (reward + transition @ (goes_on * value))).sum(-1)
        return torch.as_tensor(self.initial) @ value


def _drawn(u, distribution):
    xp = namespace(u)
    return xp.sum(xp.astype(xp.cumulative_sum(distribution, axis=-1)[..., :-1] <= u[..., None], xp.int64), axis=-1)


@pytest.fixture
def finite_process():
    """Return the class of finite Markov decision processes."""
    return FiniteProcess


@pytest.fixture
def worlds(tmp_path, monkeypatch):
    """The current folder, with the module ``worlds`` in it; its environments are ``worlds:Lengths-v0`` and so on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    shutil.copy(Path(__file__).parent / "worlds.py", tmp_path)
    sys.modules.pop("worlds", None)
    known = set(gym.registry)
    yield tmp_path
    sys.modules.pop("worlds", None)
    for name in set(gym.registry) - known:
        del gym.registry[name]
