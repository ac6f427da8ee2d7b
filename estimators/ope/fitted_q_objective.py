"""The objective of fitted Q evaluation: a log's rows as tensors, a target network in the carry, and a squared error."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.random import fold_in, integers
from sandtable.training import Objective
from sandtable.training.objectives import Carry, Metrics

_ROWS = 0x726F7773  # the stream that draws rows


class Replay(NamedTuple):
    """The rows of a log as tensors.

    Attributes:
        observation: float32 [n, k], standardised, or int64 [n], numbers of states.
        action: int64 [n].
        reward: float32 [n], divided by the scale of returns.
        next_observation: As ``observation``; anything after a termination.
        next_probability: The target policy's, float32 [n, K].
        alive: float32 [n], 0 after a termination and 1 elsewhere.
        weight: float32 [n], of mean 1.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    next_probability: Tensor
    alive: Tensor
    weight: Tensor


class Iteration(NamedTuple):
    """What fitted Q evaluation carries from step to step.

    Attributes:
        step: int64 [].
        target: The parameters of the target network, by name.
        rows: Of the replay, int64 [R, B].
        goal: What they are regressed on, [R, B].
    """

    step: Tensor
    target: dict[str, Tensor]
    rows: Tensor
    goal: Tensor


@dataclass(frozen=True)
class FittedQ(Objective):
    """The mean squared error of Q(s, a) to r + gamma sum_a' pi(a' | s') Q_target(s', a') over rows of a log.

    Attributes:
        replay: The log.
        states: How many there are, where observations are their numbers; 0 where they are vectors.
        discount: In [0, 1].
        batch: Rows a step and replica, drawn with replacement; None takes all rows in every step.
        target_every: Steps after which the target network becomes the network, at least 1.
    """

    replay: Replay
    states: int
    discount: float
    batch: int | None
    target_every: int

    def start(self, network: nn.Module, key: Tensor) -> Iteration:
        """Return the network itself as target."""
        target = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        rows = self._draw(key)
        return Iteration(torch.zeros_like(key[0]), target, rows, self.replay.reward[rows])

    def collect(self, network: nn.Module, key: Tensor, carry: Carry) -> Iteration:
        """Draw rows, and tell what they are regressed on."""
        renew = carry.step % self.target_every == 0
        current = dict(network.named_parameters())
        target = {name: torch.where(renew, current[name], held) for name, held in carry.target.items()}
        replay, rows = self.replay, self._draw(key)
        after = torch.func.functional_call(network, target, (encoded(replay.next_observation[rows], self.states),))
        value = (replay.next_probability[rows] * after).sum(-1)
        goal = replay.reward[rows] + self.discount * replay.alive[rows] * value
        return Iteration(carry.step + 1, target, rows, goal)

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the mean squared error, [R]."""
        replay = self.replay
        q = network(encoded(replay.observation[carry.rows], self.states))
        q = q.gather(-1, replay.action[carry.rows][..., None])[..., 0]
        return (replay.weight[carry.rows] * (q - carry.goal).square()).mean(-1), {}, carry

    def _draw(self, key: Tensor) -> Tensor:
        """Return rows of the replay, int64 [R, B]."""
        count = len(self.replay.action)
        if self.batch is None:
            return torch.arange(count, device=key.device).expand(len(key), count)
        drawn: Tensor = integers(fold_in(key, _ROWS)[:, None], torch.arange(self.batch, device=key.device), count)
        return drawn


def encoded(observation: Tensor, states: int) -> Tensor:
    """Return what the network sees: vectors as they are, and one-hot vectors of the numbers of states."""
    return functional.one_hot(observation, states).float() if states else observation


@dataclass(frozen=True)
class Coding:
    """How observations become tensors.

    Attributes:
        states: How many there are, where observations are their numbers; 0 where they are vectors.
        centre: Mean of the vectors in the log, [k].
        spread: Their standard deviation, [k]; 1 where it is 0.
    """

    states: int
    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, log: LoggedSteps) -> "Coding":
        """Return that of a log."""
        observation = required(log, "observation")
        if holds_states(observation):
            return cls(int(max(observation.max(), where_alive(log).max())) + 1, np.zeros(0), np.ones(0))
        vectors = observation.reshape(len(log), -1).astype(np.float64)
        spread = vectors.std(axis=0)
        return cls(0, vectors.mean(axis=0), np.where(spread > 0, spread, 1.0))

    @property
    def inputs(self) -> int:
        """Return how many numbers the network sees."""
        return self.states or len(self.centre)

    def tensor(self, observation: np.ndarray) -> Tensor:
        """Return states [n] as they are, and vectors standardised, float32 [n, k]."""
        if self.states:
            return torch.as_tensor(np.asarray(observation, dtype=np.int64))
        return torch.as_tensor((observation.reshape(len(observation), -1) - self.centre) / self.spread).float()


def replay_of(log: LoggedSteps, coding: Coding, scale: float, device: str) -> Replay:
    """Return a log as tensors."""
    next_probability = np.where(log.terminated[:, None], 0.0, required(log, "next_target_probability"))
    weight = np.ones(len(log)) if log.weight is None else log.weight / log.weight.mean()
    tensors = (
        coding.tensor(required(log, "observation")),
        torch.as_tensor(log.action),
        torch.as_tensor(log.reward / scale).float(),
        coding.tensor(where_alive(log)),
        torch.as_tensor(next_probability).float(),
        torch.as_tensor(~log.terminated).float(),
        torch.as_tensor(weight).float(),
    )
    return Replay(*(tensor.to(device) for tensor in tensors))


def required(log: LoggedSteps, name: str) -> np.ndarray:
    """Return an array that the log must have."""
    array: np.ndarray | None = getattr(log, name)
    if array is None:
        raise ValueError(f"the log holds no {name}")
    return array


def holds_states(observation: np.ndarray) -> bool:
    """Return whether observations are the numbers of states."""
    return observation.ndim == 1 and np.issubdtype(observation.dtype, np.integer)


def where_alive(log: LoggedSteps) -> np.ndarray:
    """Return the next observations, and after a termination the row's own, which is sure to be one."""
    observation, following = required(log, "observation"), required(log, "next_observation")
    return np.where(log.terminated.reshape(-1, *[1] * (observation.ndim - 1)), observation, following)
