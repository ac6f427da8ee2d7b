"""Stable-Baselines3 on our worlds: a ``VecEnv`` over a vector environment, stepped as one batch."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from sandtable.envs.adapter import ProcessVectorEnv
from sandtable.simulators.arrays import tree_map
from sandtable.simulators.errors import InputError, MissingExtraError

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise MissingExtraError("Stable-Baselines3 on these environments", "rl") from error

ACTIONS = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)
"""Action spaces that Stable-Baselines3 supports."""


def to_sb3(vector_env: gym.vector.VectorEnv[Any, Any, Any]) -> "ProcessVecEnv":
    """Return a vector environment of ours as Stable-Baselines3's ``VecEnv``.

    Args:
        vector_env: As ``gymnasium.make_vec("sandtable/LostSales-v0", num_envs=64)`` makes it. One that does not
            reset in the same step is made anew, so that it does, for the same process.

    Raises:
        InputError: It is no vector environment of a process, lives on a device, or has an action space that
            Stable-Baselines3 does not support.
    """
    ours = vector_env.unwrapped if isinstance(vector_env, gym.vector.VectorEnv) else vector_env
    if not isinstance(ours, ProcessVectorEnv):
        kind = type(vector_env).__name__
        raise InputError(f"to_sb3 takes a vector environment of this package (gymnasium.make_vec), not {kind}")
    if ours is not vector_env:
        raise InputError(f"to_sb3 would drop the wrapper {type(vector_env).__name__}; wrap what it returns instead")
    if ours.device is not None:
        raise InputError(f"to_sb3 needs numpy arrays: make the vector environment without device={ours.device!r}")
    if not isinstance(ours.single_action_space, ACTIONS):
        names = ", ".join(space.__name__ for space in ACTIONS)
        raise InputError(f"Stable-Baselines3 acts in {names}; the action space here is {ours.single_action_space}")
    _check_actions(ours.single_action_space)
    if ours.autoreset_mode is not AutoresetMode.SAME_STEP:
        ours = ProcessVectorEnv(ours.process, ours.num_envs, AutoresetMode.SAME_STEP)
    return ProcessVecEnv(ours)


def _check_actions(space: gym.Space[Any]) -> None:
    """Refuse supported kinds of spaces with bounds or starts that Stable-Baselines3 does not take."""
    if isinstance(space, gym.spaces.Box) and not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise InputError(f"Stable-Baselines3 needs finite bounds of actions; the action space here is {space}")
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete) and np.any(space.start):
        raise InputError(f"Stable-Baselines3 counts actions from 0; the action space here is {space}")


class ProcessVecEnv(VecEnv):
    """A vector environment with SAME_STEP autoreset, as Stable-Baselines3 expects one.

    ``dones`` are terminated or truncated. Where an episode ended, the row's info has ``terminal_observation``,
    ``episode`` (``r``, its return, ``l``, its length, and the process's summary of it) and ``TimeLimit.truncated``,
    which is true only where it did not terminate. Other rows' infos hold ``TimeLimit.truncated`` alone, unless
    ``step_infos`` asks for the results of every step; those of the last step are also in ``last_info``, as arrays.

    Attributes:
        vector_env: What is stepped.
        step_infos: Whether every row's info holds the results of every step; it costs a loop over rows a step.
        last_info: The vector environment's info of the last step, each entry [num_envs].
    """

    def __init__(self, vector_env: ProcessVectorEnv, step_infos: bool = False) -> None:
        self.vector_env, self.step_infos = vector_env, step_infos
        self.last_info: dict[str, Any] = {}
        self._actions: np.ndarray | None = None
        super().__init__(vector_env.num_envs, vector_env.single_observation_space, vector_env.single_action_space)

    def reset(self) -> Any:
        """Start an episode in every row: with the seeds of ``seed``, once, else the next one of each."""
        options = next((one for one in self._options if one), None)
        if options and any(one != options for one in self._options):
            raise InputError("options must be the same for all rows; a row's own value goes into an array of them")
        seeds = list(self._seeds) if any(seed is not None for seed in self._seeds) else None
        observation, _ = self.vector_env.reset(seed=seeds, options=options)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return self._typed(observation)

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of the next step, [num_envs, *action_space.shape]."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Act; return observations, rewards (float32), dones and one info a row."""
        observation, reward, terminated, truncated, info = self.vector_env.step(self._actions)
        done = terminated | truncated
        self.last_info = info
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        if self.step_infos:
            for name, values in _named(info, self.num_envs).items():
                for row in np.flatnonzero(info[f"_{name}"]):
                    infos[row][name] = values[row].item()
        if done.any():
            self._ends(infos, np.flatnonzero(done), truncated & ~terminated, info)
        return self._typed(observation), reward.astype(np.float32), np.array(done), infos

    def _ends(self, infos: list[dict[str, Any]], rows: np.ndarray, cut: np.ndarray, info: dict[str, Any]) -> None:
        """Write what is known of the episodes that ended."""
        final = self._typed(info["final_obs"])
        last = _named(info["final_info"], self.num_envs) if self.step_infos else {}
        told = ("episode_return", "episode_length")
        # entries of the rows that ended, and of no others, are about whole episodes
        summary = {
            name: values
            for name, values in _named(info, self.num_envs).items()
            if name not in told and np.array_equal(info[f"_{name}"], info["_final_obs"])
        }
        for row in rows:
            infos[row] |= {name: values[row].item() for name, values in last.items()}
            infos[row]["TimeLimit.truncated"] = bool(cut[row])
            infos[row]["terminal_observation"] = tree_map(lambda array, row=row: array[row], final)
            infos[row]["episode"] = {
                "r": float(info["episode_return"][row]),
                "l": int(info["episode_length"][row]),
                **{name: values[row].item() for name, values in summary.items()},
            }

    def _typed(self, observation: Any) -> Any:
        """Return observations in the element types of their spaces, which the policy's input has."""
        if isinstance(self.observation_space, gym.spaces.Dict):
            spaces = self.observation_space.spaces
            return {name: observation[name].astype(space.dtype, copy=False) for name, space in spaces.items()}
        return observation.astype(self.observation_space.dtype, copy=False)

    def close(self) -> None:
        """Close the vector environment."""
        self.vector_env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of the vector environment or its process, once a row asked for: all rows share it.

        Raises:
            AttributeError: Neither has it.
        """
        value = getattr(self._owner(attr_name), attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the vector environment or its process, for all rows at once.

        Raises:
            InputError: ``indices`` leaves rows out.
        """
        if len(set(self._get_indices(indices))) != self.num_envs:
            raise InputError(f"rows share {attr_name}: set it for all of them (indices=None)")
        setattr(self._owner(attr_name), attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method of the vector environment or its process once, and return its result a row asked for."""
        value = getattr(self._owner(method_name), method_name)(*method_args, **method_kwargs)
        return [value for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Say for each row whether it does what the wrapper would: of them only ``Monitor``, which tells episodes."""
        return [wrapper_class.__name__ == "Monitor" for _ in self._get_indices(indices)]

    def get_images(self) -> list[None]:
        """Return nothing: these worlds have no picture."""
        return [None] * self.num_envs

    def _owner(self, name: str) -> Any:
        """Return whose attribute it is: the vector environment's, or else its process's."""
        return self.vector_env if hasattr(self.vector_env, name) else self.vector_env.process


def _named(info: dict[str, Any], rows: int) -> dict[str, np.ndarray]:
    """Return the entries of an info that have a value a row, without masks."""
    return {
        name: values
        for name, values in info.items()
        if not name.startswith("_") and isinstance(values, np.ndarray) and values.shape == (rows,)
    }
