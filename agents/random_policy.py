"""The policy that draws its actions evenly: what every other one should beat."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from sandtable.agents.policy_spec import Turn
from sandtable.simulators.errors import InputError
from sandtable.simulators.random import fold_in, make_key, normal, uniform

ACTION = 0x616374
"""The stream of these draws: an environment may take the same seed for its key."""
BLOCK = 256
"""Steps that are drawn at once, since that costs hardly more than to draw one."""


class RandomPolicy:
    """Draws every action evenly from the action space, as a function of the game's seed and the step.

    Numbers of a ``Box`` are uniform between its bounds; as Gymnasium has it, exponential above or below a single bound,
    and normal where there is none.

    Args:
        action_space: ``Discrete``, ``MultiDiscrete``, ``MultiBinary``, ``Box``, or a ``Dict`` or ``Tuple`` of them.

    Raises:
        InputError: The space is of another kind.
    """

    source, batched = "random", False

    def __init__(self, action_space: gym.Space[Any]) -> None:
        self._parts = _parts(action_space)
        self._width = sum(width for width, _ in self._parts)
        self._assemble = _assembler(action_space)

    def act(self, turns: Sequence[Turn]) -> list[Any]:
        """See ``Policy``; a game's memory is the block of draws that it is in."""
        return [self._action(turn) for turn in turns]

    def _action(self, turn: Turn) -> Any:
        first = turn.step - turn.step % BLOCK
        if turn.memory is None or turn.memory[0] != first:
            turn.memory = first, self._block(turn.seed, first)
        arrays = turn.memory[1]
        return self._assemble(iter([array[turn.step - first] for array in arrays]))

    def _block(self, seed: int, first: int) -> list[np.ndarray]:
        """Return the actions of ``BLOCK`` steps from ``first`` on, an array [BLOCK, ..] a part of the space."""
        key = fold_in(make_key([seed]), ACTION)
        # element j of step t is draw t * width + j of the game's stream
        counter = (first + np.arange(BLOCK))[:, None] * self._width + np.arange(self._width)
        arrays, column = [], 0
        for width, draw in self._parts:
            arrays.append(draw(key, counter[:, column : column + width]))
            column += width
        return arrays


Draw = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _parts(space: gym.Space[Any]) -> list[tuple[int, Draw]]:
    """Return, for each simple space within a space, how many numbers it holds and what draws them."""
    if isinstance(space, gym.spaces.Dict):
        return [part for one in space.spaces.values() for part in _parts(one)]
    if isinstance(space, gym.spaces.Tuple):
        return [part for one in space.spaces for part in _parts(one)]
    if isinstance(space, gym.spaces.Discrete):
        count, start = int(space.n), int(space.start)
        return [(1, lambda key, at: start + (uniform(key, at)[:, 0] * count).astype(np.int64))]
    if isinstance(space, gym.spaces.MultiDiscrete):
        return [(space.nvec.size, _multi_discrete(space))]
    if isinstance(space, gym.spaces.MultiBinary):
        shape = space.shape
        return [(int(np.prod(shape)), lambda key, at: (uniform(key, at) < 0.5).reshape(-1, *shape).astype(np.int8))]
    if isinstance(space, gym.spaces.Box):
        return [(int(np.prod(space.shape)), _box(space))]
    raise InputError(f"--policy random: it draws no actions of {space}")


def _multi_discrete(space: gym.spaces.MultiDiscrete) -> Draw:
    """Return what draws several numbers, each below a count of its own."""
    starts = np.broadcast_to(space.start, space.nvec.shape)

    def draw(key: np.ndarray, at: np.ndarray) -> np.ndarray:
        drawn = np.floor(uniform(key, at).reshape(-1, *space.nvec.shape) * space.nvec)
        return (starts + drawn).astype(space.dtype)

    return draw


def _box(space: gym.spaces.Box) -> Draw:
    """Return what draws from a box."""
    low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    below, above = np.isfinite(low), np.isfinite(high)
    whole = np.dtype(space.dtype).kind in "iu"  # an integer's upper bound is one of its values
    shape, kind = space.shape, space.dtype
    start, size = np.where(below, low, 0.0), np.where(below & above, high - low + whole, 1.0)

    def draw(key: np.ndarray, at: np.ndarray) -> np.ndarray:
        even = uniform(key, at)
        if (below & above).all():
            values = start + even * size
        else:
            tail = -np.log1p(-even)
            values = np.where(
                below & above, start + even * size,
                np.where(below, start + tail, np.where(above, np.where(above, high, 0.0) - tail, normal(key, at))),
            )  # fmt: skip
        return (np.floor(values) if whole else values).reshape(-1, *shape).astype(kind)

    return draw


def _assembler(space: gym.Space[Any]) -> Callable[[Any], Any]:
    """Return what puts an action together from the values of its simple spaces, in their order."""
    if isinstance(space, gym.spaces.Dict):
        inner = {name: _assembler(one) for name, one in space.spaces.items()}
        return lambda values: {name: one(values) for name, one in inner.items()}
    if isinstance(space, gym.spaces.Tuple):
        ordered = [_assembler(one) for one in space.spaces]
        return lambda values: tuple(one(values) for one in ordered)
    return next
