"""The contract of every world: a batched decision process, and its special case of horizon one, the task."""

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym

from sandtable.simulators.arrays import Array, namespace, tree_map
from sandtable.simulators.random import fold_in

Observation = Any
"""An array [*batch, k], or a dict of such arrays."""

State = Any
"""A NamedTuple of arrays; the shape of each ends with the batch shape or broadcasts to it."""


class Step(NamedTuple):
    """What one period brings.

    Attributes:
        state: The state after the step.
        reward: [*batch], float.
        terminated: [*batch], bool: the world has ended.
        truncated: [*batch], bool: the horizon cut the episode.
        info: Further results of the period, each [*batch]; never the future.
    """

    state: State
    reward: Array
    terminated: Array
    truncated: Array
    info: dict[str, Array]


class DecisionProcess(ABC):
    """A batched decision process, written once for numpy and torch.

    The methods are pure functions of arrays: nothing is changed in place, and all randomness is a function of the rows'
    keys. The library and device of the key decide those of everything else. A row's fate depends on nothing but its own
    key and its own actions.

    Attributes:
        observation_space: Space of one instance's observation; a batch adds axes in front.
        action_space: Space of one instance's action.
        horizon: Steps in an episode, at least 1; the last one sets ``truncated`` unless the world ended by itself.
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    horizon: int

    @abstractmethod
    def reset(self, key: Array, *, episode: Any = 0, **options: Any) -> State:
        """Start an episode a row.

        Args:
            key: int64 [*batch], one key a row.
            episode: Which episode of the row: an int, or int64 [*batch]. Its draws come from ``fold_in(key, episode)``.
            **options: What a process lets its user fix about the start, for example the product.

        Returns:
            A state with the fields ``key`` [*batch], ``episode`` and ``t`` ([] or [*batch]), and the world's own.
        """

    @abstractmethod
    def observe(self, state: State) -> Observation:
        """Return what the decision maker sees before acting: [*batch, k], or a dict of such arrays."""

    def encode(self, observation: Observation) -> Observation:
        """Return what networks are fed of an observation; the observation itself by default."""
        return observation

    @abstractmethod
    def step(self, state: State, action: Array) -> Step:
        """Act once.

        Args:
            state: As ``reset`` or ``step`` returned it.
            action: [*batch, *action_space.shape]. Differentiable wherever the world is.
        """

    def tally(self, info: dict[str, Array]) -> dict[str, Array]:
        """Return what of a step adds up over an episode, each [*batch], for ``summary``; nothing by default."""
        return {}

    def summary(self, tallies: dict[str, Array], steps: Array) -> dict[str, Array]:
        """Return what whole episodes came to.

        Args:
            tallies: Sums over each episode of what ``tally`` returned, each [*batch].
            steps: How many steps each episode had, [*batch], at least 1.

        Returns:
            Measures of the episodes, each [*batch]; none by default.
        """
        return {}

    def card(self) -> str:
        """Return the rules of the world in words: what is seen, what can be done, in what order things happen."""
        return inspect.cleandoc(type(self).__doc__ or type(self).__name__)


class Batch(NamedTuple):
    """Examples of a supervised task.

    Attributes:
        input: [*batch, d].
        target: [*batch, ...].
    """

    input: Array
    target: Array


class TaskState(NamedTuple):
    """The state of a one-step world: its example.

    Attributes:
        key: int64 [*batch].
        episode: int64, [*batch].
        t: int64, []; 0 before the step, 1 after it.
        example: What ``Task.draw`` returned, with the batch axes last, as in every state.
    """

    key: Array
    episode: Array
    t: Array
    example: Any


class Task(DecisionProcess):
    """A supervised task as a decision process of horizon one.

    The observation is the input, the action is the prediction, and the reward is minus the loss; the episode terminates
    after one step. So the expected return is minus the risk, and its pathwise gradient is supervised learning.
    """

    horizon: ClassVar[int] = 1  # type: ignore[misc]  # of every task, so no attribute of the instance

    @abstractmethod
    def sample(self, key: Array) -> Batch:
        """Draw one example a row, as networks are fed it.

        Args:
            key: int64 [*batch].

        Returns:
            ``input`` [*batch, d] and ``target`` [*batch, ...].
        """

    @abstractmethod
    def loss(self, output: Array, batch: Batch) -> Array:
        """Return the loss of each example, [*batch], of predictions ``output`` [*batch, *action_space.shape]."""

    def metrics(self, output: Array, batch: Batch) -> dict[str, Array]:
        """Return further measures of each example, [*batch]; none by default."""
        return {}

    def draw(self, key: Array) -> Any:
        """Draw one example a row, as the world holds it: a NamedTuple of arrays [*batch, ...].

        The first is what is observed; ``sample`` tells what networks make of the same draw. By default they are one.
        """
        return self.sample(key)

    def reset(self, key: Array, *, episode: Any = 0, **options: Any) -> TaskState:
        """Draw the example of each row; see ``DecisionProcess.reset``."""
        xp = namespace(key)
        return TaskState(
            key=key,
            episode=xp.zeros_like(key) + episode,
            t=xp.zeros((), dtype=xp.int64, device=key.device),
            example=tree_map(lambda array: _rotated(array, key.ndim), self.draw(fold_in(key, episode))),
        )

    def example(self, state: TaskState) -> Any:
        """Return the examples with the batch axes first again."""
        rows = state.key.ndim
        return tree_map(lambda array: _rotated(array, array.ndim - rows), state.example)

    def observe(self, state: TaskState) -> Observation:
        """Return what is observed of the example, [*batch, ...]."""
        return self.example(state)[0]

    def step(self, state: TaskState, action: Array) -> Step:
        """Score the prediction; the episode terminates."""
        batch = self.example(state)
        return self._ended(state, -self.loss(action, batch), self.metrics(action, batch))

    def _ended(self, state: TaskState, reward: Array, info: dict[str, Array]) -> Step:
        """Return the only step of an episode."""
        xp = namespace(state.key)
        ended = xp.ones(state.key.shape, dtype=xp.bool, device=state.key.device)
        return Step(state._replace(t=state.t + 1), reward, ended, ~ended, info)


def _rotated(array: Array, first: int) -> Array:
    """Return a view of an array whose first axes are its last."""
    if first in (0, array.ndim):
        return array
    return namespace(array).permute_dims(array, (*range(first, array.ndim), *range(first)))
