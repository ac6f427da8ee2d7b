"""Run a policy through a process and keep what happened."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sandtable.simulators.arrays import Array
from sandtable.simulators.decision_process import DecisionProcess
from sandtable.simulators.errors import InputError

Trajectory = dict[str, np.ndarray]
"""Every entry of ``info`` and the ``reward``, float64 [periods, *batch]."""


def rollout(
    process: DecisionProcess, policy: Callable[[Any], Array], state: Any, periods: int | None = None, name: str = "policy"
) -> Trajectory:
    """Play a policy from a state on, with numpy, and record every period.

    Args:
        process: The world.
        policy: Maps an observation to an action, [*batch, *action_space.shape]; [*batch] will do for one-dimensional ones.
        state: Where to start, as ``process.reset`` returns it.
        periods: How many steps; the horizon by default.
        name: Of the policy, for messages.

    Raises:
        InputError: The policy returns another shape, or something that is no number.
    """
    rows: list[dict[str, np.ndarray]] = []
    shape = (*state.key.shape, *(process.action_space.shape or ()))
    for period in range(process.horizon if periods is None else periods):
        action = checked_action(policy(_read_only(process.observe(state))), shape, name, period)
        step = process.step(state, action)
        state = step.state
        rows.append({**step.info, "reward": step.reward})
    return {field: np.stack([row[field] for row in rows]).astype(np.float64) for field in rows[0]}


def _read_only(observation: Any) -> Any:
    """Keep a policy from writing into the world that its observation shows."""
    for array in observation.values() if isinstance(observation, dict) else [observation]:
        array.flags.writeable = False
    return observation


def checked_action(action: Any, shape: tuple[int, ...], name: str, period: int) -> np.ndarray:
    """Return a policy's action as an array of ``shape``, or say what is wrong with it."""
    try:
        action = np.asarray(action, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}, period {period}: it returned {type(action).__name__}, which is no array of numbers") from None
    if action.shape == shape[:-1] and shape[-1:] == (1,):
        action = action[..., None]
    if action.shape != shape:
        raise InputError(
            f"{name}, period {period}: it returned shape {list(action.shape)}; units to order have shape {list(shape)}"
        )
    if not np.isfinite(action).all():
        row = np.argwhere(~np.isfinite(action))[0]
        raise InputError(f"{name}, period {period}: it returned {action[tuple(row)]} for row {row[0]}")
    if (action < 0).any():
        row = np.argwhere(action < 0)[0]
        raise InputError(f"{name}, period {period}: it returned {action[tuple(row)]:g} for row {row[0]}; orders are not negative")
    return action
