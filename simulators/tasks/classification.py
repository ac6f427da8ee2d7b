"""What the supervised tasks share: a class is to be told, and the answer is paid by feedback of one of two kinds."""

from abc import abstractmethod
from typing import Any, Literal, NamedTuple, get_args

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, namespace
from sandtable.simulators.decision_process import Batch, Step, Task, TaskState
from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.memory import require_memory
from sandtable.simulators.random import fold_in, integers

Feedback = Literal["bandit", "full"]
"""Whether a class is told and found right or wrong, or the loss of an output is known."""

Loss = Literal["cross-entropy", "hinge", "square"]
"""What an output costs."""

LARGEST_SET = 2**53  # examples: beyond it indices are not drawn evenly
_INDEX = 0x696E646578  # the stream of the examples' indices
_BOUND = 10.0


class Examples(NamedTuple):
    """Examples as a world shows and scores them.

    Attributes:
        observation: [*batch, ...].
        target: int64 [*batch], the class.
        clean_target: int64 [*batch], the class before noise; the same where there is none.
        index: int64 [*batch], which example of the data set; -1 where every example is fresh.
    """

    observation: Array
    target: Array
    clean_target: Array
    index: Array


class Classification(Task):
    """A task whose target is one of C classes.

    Feedback is of one of two kinds, which see different worlds: never compare their numbers of steps.

    - ``"bandit"``: the action is a class; the reward is 1 if it is the target, else 0.
    - ``"full"``: the action is an output f; the reward is minus its loss, which depends on the target.

    The loss is also that of supervised learning, whatever the feedback. With y = 1 - 2 target:

    - ``"cross-entropy"``: ``log(sum_c exp(f_c)) - f_target``, of C logits. Where there are two classes, one output f in
      place of the logits (f, 0) will do for ``loss``: ``log(1 + exp(-y f))``.
    - ``"hinge"``: ``max(1 - y f, 0)``, of one output, for two classes;
    - ``"square"``: ``(y - f)^2``, of one output, for two classes.

    Args:
        observation_space: Of one example.
        classes: C, at least 2.
        inputs: How many numbers a network is fed.
        size: Examples in the data set, None where every example is fresh.
        feedback: ``"bandit"`` or ``"full"``.
        loss: ``"cross-entropy"``, ``"hinge"`` or ``"square"``.

    Attributes:
        action_space: A class, or outputs [C] or [1]. Bounds of +-10 are for agents that need finite ones: any real
            numbers are scored.
        outputs: How many numbers a network answers: C, or 1.

    Raises:
        InputError: An argument is out of its range.
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        classes: int,
        inputs: int,
        size: int | None,
        feedback: str,
        loss: str,
    ) -> None:
        require_name("feedback", feedback, get_args(Feedback))
        require_name("loss", loss, get_args(Loss))
        if classes < 2:
            raise InputError(f"a task needs at least two classes; there is {classes}")
        if loss != "cross-entropy" and classes != 2:
            raise InputError(f"loss {loss!r} is for two classes and there are {classes}; use 'cross-entropy'")
        self.observation_space = observation_space
        self.classes, self.inputs, self.size = classes, inputs, size
        self.feedback, self.loss_name = feedback, loss
        self.outputs = classes if loss == "cross-entropy" else 1
        self.action_space: gym.Space[Any] = (
            gym.spaces.Discrete(classes)
            if feedback == "bandit"
            else gym.spaces.Box(-_BOUND, _BOUND, (self.outputs,), np.float32)
        )

    @property
    def optimal_reward(self) -> float | None:
        """The largest mean reward of any rule under bandit feedback; None where it is not known."""
        return 1.0

    @abstractmethod
    def examples(self, index: Array) -> Examples:
        """Return the examples of the data set with these indices, int64 [*batch] in [0, size)."""

    def draw(self, key: Array) -> Examples:
        """Draw one example a row, each of the data set equally likely.

        Raises:
            ValueError: There is no data set.
        """
        return self.examples(self._drawn_index(key))

    def sample(self, key: Array) -> Batch:
        """Draw one example a row: ``input`` float32 [*batch, inputs] and ``target`` int64 [*batch]."""
        drawn = self.draw(key)
        return Batch(self.encode(drawn.observation), drawn.target)

    def dataset(self, device: str | None = None) -> Batch:
        """Return every example of the data set in the order of the indices, [size, ...].

        Args:
            device: None for numpy arrays; a torch device, as text, for tensors that live there.

        Raises:
            InputError: It does not fit into memory.
            ValueError: There is no data set.
        """
        size = self._known_size()
        needed = 12 * size * (self.inputs + 4)  # what is observed and fed, and numbers on the way
        require_memory(needed, f"a data set of {size} examples", "draw from it by sample instead")
        index: Array = np.arange(size)
        if device is not None:
            import torch

            index = torch.arange(size, device=device)
        every = self.examples(index)
        return Batch(self.encode(every.observation), every.target)

    def loss(self, output: Array, batch: Batch) -> Array:
        """Return the loss of each example, [*batch]; ``output`` is [*batch, outputs]."""
        xp = namespace(output)
        if self.loss_name == "cross-entropy" and self.classes > 2:
            return cross_entropy(output, batch.target)
        margin = self._margin(output, batch.target)
        if self.loss_name == "hinge":
            return xp.clip(1 - margin, min=0)
        if self.loss_name == "square":
            return (margin - 1) ** 2  # as y^2 = 1
        size = xp.abs(margin)  # exp overflows nowhere, and the gradient at 0 is the mean of its neighbours
        return xp.log1p(xp.exp(-size)) + (size - margin) / 2

    def loss_gradient(self, output: Array, batch: Batch) -> Array:
        """Return the gradient of each example's loss in its output, [*batch, outputs]."""
        xp = namespace(output)
        if self.loss_name == "cross-entropy" and self.classes > 2:
            weights = xp.exp(output - xp.max(output, axis=-1, keepdims=True))
            told = xp.arange(self.classes, device=output.device) == batch.target[..., None]
            return weights / xp.sum(weights, axis=-1, keepdims=True) - xp.astype(told, output.dtype)
        sign = 1 - 2 * xp.astype(batch.target, output.dtype)
        margin = self._margin(output, batch.target)
        if self.loss_name == "hinge":
            slope = -xp.astype(margin <= 1, output.dtype)
        elif self.loss_name == "square":
            slope = 2 * (margin - 1)
        else:
            slope = -0.5 * (1 - xp.tanh(margin / 2))  # minus the logistic function of -margin
        gradient = (sign * slope)[..., None]
        return gradient if output.shape[-1] == 1 else xp.concat((gradient, -gradient), axis=-1)

    def metrics(self, output: Array, batch: Batch) -> dict[str, Array]:
        """Return ``accuracy``: 1 where the class of the largest output is the target, 0 elsewhere, [*batch]."""
        xp = namespace(output)
        if self.classes == 2:
            right = self._margin(output, batch.target) > 0
        else:
            right = xp.argmax(output, axis=-1) == batch.target
        return {"accuracy": xp.astype(right, xp.float32)}

    def step(self, state: TaskState, action: Array) -> Step:
        """Score the class or the output; the episode terminates."""
        xp = namespace(state.key)
        shown: Examples = self.example(state)
        if self.feedback == "bandit":
            reward = xp.astype(action == shown.target, xp.float32)
        else:
            reward = -self.loss(action, Batch(shown.observation, shown.target))
        return self._ended(state, reward, self._told(shown))

    def _told(self, shown: Examples) -> dict[str, Array]:
        """Return what is told after the action."""
        return {"target": shown.target, "index": shown.index}

    def _margin(self, output: Array, target: Array) -> Array:
        """Return y f of two classes, [*batch], where f is the one output or the difference of the two logits."""
        f = output[..., 0] if output.shape[-1] == 1 else output[..., 0] - output[..., 1]
        return f * (1 - 2 * namespace(output).astype(target, f.dtype))

    def _drawn_index(self, key: Array) -> Array:
        return integers(fold_in(key, _INDEX), 0, self._known_size())

    def _known_size(self) -> int:
        if self.size is None:
            raise ValueError("every example is fresh: there is no data set")
        return self.size


def cross_entropy(output: Array, target: Array) -> Array:
    """Return minus the logarithm of the target's probability, [*batch], of logits [*batch, C]."""
    xp = namespace(output)
    shifted = output - xp.max(output, axis=-1, keepdims=True)
    chosen = xp.take_along_axis(shifted, target[..., None], axis=-1)[..., 0]
    return xp.log(xp.sum(xp.exp(shifted), axis=-1)) - chosen
