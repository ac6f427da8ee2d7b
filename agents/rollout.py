"""Run a policy through a process and keep what happened."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sandtable.simulators.arrays import Array
from sandtable.simulators.decision_process import DecisionProcess
from sandtable.simulators.errors import InputError

Trajectory = dict[str, np.ndarray]
"""Every entry of ``info`` and the ``reward``, float64 [periods, *batch]."""

MOST = 1e15  # above it, float64 no longer counts single units


def rollout(
    process: DecisionProcess,
    policy: Callable[[Any], Array],
    state: Any,
    periods: int | None = None,
    name: str = "policy",
    rows: Sequence[str] | None = None,
) -> Trajectory:
    """Play a policy from a state on, with numpy, and record every period.

    Args:
        process: The world.
        policy: Maps an observation to an action, [*batch, *action_space.shape]; [*batch] will do for one-dimensional
            ones. What it is shown it cannot write into.
        state: Where to start, as ``process.reset`` returns it.
        periods: How many steps; the horizon by default.
        name: Of the policy, for messages.
        rows: Names of the batch's rows, for messages; ``row 0``, ``row 1``, ... by default.

    Raises:
        InputError: The policy raises or returns something else than finite numbers >= 0 of the right shape; the message
            names policy, period (from 1) and row.
    """
    trajectory: list[dict[str, np.ndarray]] = []
    shape = (*state.key.shape, *(process.action_space.shape or ()))
    count = process.horizon if periods is None else periods
    for period in range(count):
        where = f"{name}, period {period + 1} of {count}"
        observation = _read_only(process.observe(state))
        try:
            action = policy(observation)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        step = process.step(state, checked_action(action, shape, where, rows))
        state = step.state
        trajectory.append({**step.info, "reward": step.reward})
    return {field: np.stack([row[field] for row in trajectory]).astype(np.float64) for field in trajectory[0]}


def _read_only(observation: Any) -> Any:
    """Keep a policy from writing into the world that its observation shows."""
    if isinstance(observation, dict):
        return {name: _read_only(array) for name, array in observation.items()}
    shown: np.ndarray = observation.view()
    shown.flags.writeable = False
    return shown


def checked_action(action: Any, shape: tuple[int, ...], where: str, rows: Sequence[str] | None = None) -> np.ndarray:
    """Return a policy's action as a float64 array of ``shape``, or say what is wrong with it.

    Args:
        action: What the policy returned: an array, a tensor or nested lists of numbers.
        shape: What is expected.
        where: Who returned it and when; messages start with it.
        rows: Names of the rows (the first axis), for messages.

    Raises:
        InputError: It is no finite numbers in [0, 1e15] of that shape.
    """
    kind = type(action).__name__
    if hasattr(action, "detach"):  # a tensor
        action = action.detach().cpu()
    try:
        numbers = np.asarray(action)
    except (TypeError, ValueError):
        numbers = np.asarray(None)
    if numbers.dtype.kind not in "biuf":
        of = f" of {numbers.dtype}" if kind == "ndarray" else ""
        raise InputError(f"{where}: it returned {kind}{of}, which is no array of numbers; return units to order")
    numbers = numbers.astype(np.float64)
    if numbers.shape == shape[:-1] and shape[-1:] == (1,):
        numbers = numbers[..., None]
    if numbers.shape != shape:
        raise InputError(
            f"{where}: it returned shape {list(numbers.shape)}; return units to order, of shape {list(shape)}"
        )
    wrong = ~(np.isfinite(numbers) & (numbers >= 0) & (numbers <= MOST))
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0])
        row = f"row {first[0]}" if rows is None else rows[first[0]]
        advice = f"orders are finite numbers from 0 to {MOST:.0e}"
        raise InputError(f"{where}: it returned {numbers[first]:g} for {row}; {advice}")
    return numbers
