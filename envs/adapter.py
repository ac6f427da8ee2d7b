"""One pair of Gymnasium adapters for every decision process: an environment, and a batch as a vector environment.

Sub-environment i of a vector environment reset with ``seed=s`` has the key of seed ``s + i``, Gymnasium's convention.
So it sees the same rows as an environment reset with ``seed=s + i``, and as the process reset with that key.
"""

from functools import lru_cache
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sandtable.simulators.arrays import Array, like, namespace, tree_map
from sandtable.simulators.decision_process import DecisionProcess, State
from sandtable.simulators.random import make_key


def next_episode(
    seed: int | None, key: np.ndarray | None, episode: int, generator: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Return key, int64 [1], and number of the episode that a reset of a single environment starts.

    Args:
        seed: Starts episode 0 of its key; None goes on to the next episode of ``key``.
        key: The present one; None before the first reset, which then draws one.
        episode: The present one.
        generator: Draws a key where neither is given.
    """
    if seed is not None:
        return make_key([seed]), 0
    if key is None:
        return generator.integers(-(2**63), 2**63 - 1, size=1, dtype=np.int64), 0
    return key, episode + 1


class ProcessEnv(gym.Env[Any, Any]):
    """A decision process as a Gymnasium environment, with numpy.

    ``reset(seed=s)`` starts episode 0 of the key of seed s, ``reset()`` the next episode; the entries of ``options``
    are the process's options of reset. ``info`` holds the step's results as numbers (or arrays) and, at the end of an
    episode, ``episode_return``, ``episode_length`` and the process's ``summary`` of it.

    Args:
        process: The world.
        render_mode: ``"ansi"`` lets ``render`` return the observation and the last reward as text.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc]

    def __init__(self, process: DecisionProcess, render_mode: str | None = None) -> None:
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode must be None or 'ansi', not {render_mode!r}")
        self.process, self.render_mode = process, render_mode
        self.observation_space, self.action_space = process.observation_space, process.action_space
        self._key: Array = None
        self._episode = 0
        self._state: State = None
        self._reward, self._return, self._length = 0.0, 0.0, 0
        self._tallies: dict[str, Array] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see the class."""
        super().reset(seed=seed)
        self._key, self._episode = next_episode(seed, self._key, self._episode, self.np_random)
        self._state = self.process.reset(self._key, episode=self._episode, **(options or {}))
        self._reward, self._return, self._length, self._tallies = 0.0, 0.0, 0, {}
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act once.

        Raises:
            gymnasium.error.ResetNeeded: There was no ``reset``.
            ValueError: The action has another shape than ``action_space``, or is not finite.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("call reset before step")
        batch = _checked_action(np.asarray(action)[None], (1, *(self.action_space.shape or ())), self.action_space)
        self._state, reward, terminated, truncated, info = self.process.step(self._state, batch)
        self._reward = float(reward[0])
        self._return += self._reward
        self._length += 1
        self._tallies = _added(self._tallies, self.process.tally(info))
        ended = bool(terminated[0]), bool(truncated[0])
        results = {name: value[0].item() if value.ndim == 1 else np.array(value[0]) for name, value in info.items()}
        if any(ended):
            results |= {"episode_return": self._return, "episode_length": self._length}
            summary = self.process.summary(self._tallies, np.array([self._length]))
            results |= {name: value[0].item() for name, value in summary.items()}
        return self._observation(), self._reward, *ended, results

    def render(self) -> str | None:  # type: ignore[override]
        """Return the step, the last reward and the observation as lines of text; None without a render mode."""
        if self.render_mode is None or self._state is None:
            return None
        observation = self._observation()
        named = observation if isinstance(observation, dict) else {"observation": observation}
        lines = [f"{name}: {np.array2string(value, precision=3)}" for name, value in named.items()]
        return "\n".join([f"step {self._length}, reward {self._reward:g}", *lines])

    def _observation(self) -> Any:
        """Return what is seen, as arrays of its own; of a Discrete space, as a number of numpy's."""
        return tree_map(lambda array: np.array(array[0])[()], self.process.observe(self._state))


class ProcessVectorEnv(VectorEnv[Any, Any, Any]):
    """A decision process as a Gymnasium vector environment: one batch, no loop over sub-environments.

    ``reset`` takes ``seed=None`` (the next episode of every row), an int, or a list with one or None a row; of
    ``options``, ``reset_mask`` [num_envs] resets those rows alone, and the other entries are the process's options of
    reset (one value for all, or an array with one a row). ``info`` holds the step's results, each [num_envs], with a
    mask ``_name`` of the rows that have one; when episodes end, also ``episode_return``, ``episode_length`` and the
    process's ``summary`` of them. Under SAME_STEP the last observation and results of the episodes that ended are
    ``final_obs``, batched like any observation, and ``final_info``.

    Args:
        process: The world.
        num_envs: Rows, at least 1.
        autoreset_mode: What becomes of a row whose episode ended: a ``gymnasium.vector.AutoresetMode`` or its value. By
            default ``NEXT_STEP``; ``SAME_STEP`` for worlds of one step, half of whose steps would else be ignored.
        device: None for numpy arrays; a torch device, as text, for tensors that live there. No gradient passes: for
            that, step the process itself.
    """

    def __init__(
        self,
        process: DecisionProcess,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str | None = None,
        device: str | None = None,
    ) -> None:
        if num_envs < 1 or int(num_envs) != num_envs:
            raise ValueError(f"num_envs must be a whole number, at least 1, not {num_envs}")
        if autoreset_mode is None:
            autoreset_mode = AutoresetMode.SAME_STEP if process.horizon == 1 else AutoresetMode.NEXT_STEP
        self.autoreset_mode = find_autoreset_mode(autoreset_mode)
        self.process, self.num_envs, self.device = process, num_envs, device
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = process.observation_space
        self.single_action_space = process.action_space
        self.observation_space = batch_space(process.observation_space, num_envs)
        self.action_space = batch_space(process.action_space, num_envs)
        self._key: Array = None
        self._episode: Array = None
        self._state: State = None
        self._reward: Array = None
        self._ended: Array = None
        self._some_ended = False
        self._returns: Array = None
        self._lengths: Array = None
        self._tallies: dict[str, Array] = {}

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every row, or in those of ``options["reset_mask"]``; see the class.

        Raises:
            ValueError: ``seed`` has another length than ``num_envs``; ``reset_mask`` is no boolean array [num_envs],
                holds no row, or comes before the first full reset.
        """
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seed = [int(seed) + row for row in range(self.num_envs)]
        options = dict(options or {})
        mask = options.pop("reset_mask", None)
        mask = np.ones(self.num_envs, bool) if mask is None else self._checked_mask(mask)
        self._reseed(seed, mask)
        self._restart(like(self._key, mask), options)
        self._ended = like(self._key, ~mask) if mask.all() else self._ended & ~like(self._key, mask)
        self._some_ended = bool(self._ended.any())
        return self._observation(), {}

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Act once in every row.

        Args:
            actions: [num_envs, *single_action_space.shape].

        Returns:
            The observation, the reward (float), terminated and truncated (bool), each [num_envs], and the info.

        Raises:
            gymnasium.error.ResetNeeded: There was no ``reset``; or autoreset is disabled and an episode has ended.
            ValueError: The actions have another shape, or one is not finite (only numpy's are
                looked at: for a GPU's one would have to wait).
        """
        if self._state is None:
            raise gym.error.ResetNeeded("call reset before step")
        if self._some_ended and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded("an episode ended: reset it, options={'reset_mask': terminated | truncated}")
        actions = actions.detach() if hasattr(actions, "detach") else actions
        shape = (self.num_envs, *(self.single_action_space.shape or ()))
        actions = _checked_action(like(self._key, actions), shape, self.single_action_space)
        xp = namespace(self._key)
        acted = ~self._ended
        if self._some_ended:  # under NEXT_STEP these rows start anew instead
            self._restart(self._ended, {})
        begun = self._state
        if self._some_ended and not bool(acted.any()):
            self._ended, self._some_ended = acted, False
            reward, terminated, truncated = (xp.zeros_like(array) for array in (self._reward, acted, acted))
            return self._observation(), reward, terminated, truncated, {}
        self._state, reward, terminated, truncated, info = self.process.step(begun, actions)
        if self._some_ended:
            self._state = tree_map(lambda new, old: self._where(acted, new, old), self._state, begun)
            reward, terminated, truncated = xp.where(acted, reward, 0 * reward), terminated & acted, truncated & acted
        tally = self.process.tally(info)
        if self._some_ended:
            tally = {name: xp.where(acted, value, 0 * value) for name, value in tally.items()}
        self._tallies = _added(self._tallies, tally)
        self._reward = reward
        self._returns = self._returns + reward
        self._lengths = self._lengths + (acted if self._some_ended else 1)
        self._ended = terminated | truncated
        self._some_ended = _any(self._ended)
        infos = self._end_of_episodes(info, acted) if self._some_ended else masked(info, acted)
        return self._observation(), reward, terminated, truncated, infos

    def _end_of_episodes(self, info: dict[str, Array], acted: Array) -> dict[str, Any]:
        """Return the info of a step in which episodes ended; under SAME_STEP start the next ones."""
        ended = self._ended & acted  # an array of the caller's own
        totals = {"episode_return": self._returns, "episode_length": self._lengths}
        steps = self._lengths + (self._lengths == 0)  # rows that have just begun did none; they are masked out
        totals = masked(totals | self.process.summary(self._tallies, steps), ended)
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            return masked(info, acted) | totals
        infos = masked(info, ~ended) | totals
        infos |= {"final_obs": self._observation(), "_final_obs": ended}
        infos |= {"final_info": masked(info, ended), "_final_info": ended}
        self._restart(self._ended, {})
        self._ended, self._some_ended = namespace(ended).zeros_like(ended), False
        return infos

    def _checked_mask(self, mask: Any) -> np.ndarray:
        """Return the rows to reset, or refuse them."""
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must be booleans of shape [{self.num_envs}], at least one of them true")
        if self._key is None and not mask.all():
            raise ValueError("reset_mask leaves rows out that were never reset; reset all of them first")
        return mask

    def _reseed(self, seed: list[int | None] | None, mask: np.ndarray) -> None:
        """Set the rows' keys and episodes: of the seed where one is given, else the row's next episode."""
        rows = np.flatnonzero(mask)
        if seed is not None and len(seed) != self.num_envs:
            raise ValueError(f"seed has {len(seed)} entries; there are {self.num_envs} sub-environments")
        if self._key is None:
            key = self.np_random.integers(-(2**63), 2**63 - 1, size=self.num_envs, dtype=np.int64)
            episode = np.zeros_like(key) - 1
            self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)
        else:
            key, episode = (np.array(self._to_numpy(array)) for array in (self._key, self._episode))
        for row in rows if seed is not None else ():
            if seed is not None and seed[row] is not None:
                key[row], episode[row] = make_key(seed[row]), -1
        self._key, self._episode, self._returns, self._lengths = (
            self._on_device(array) for array in (key, episode, self._returns, self._lengths)
        )

    def _restart(self, mask: Array, options: dict[str, Any]) -> None:
        """Start the next episode of the rows of ``mask`` [num_envs]; the others stay where they are."""
        xp = namespace(self._key)
        self._episode = self._episode + mask
        self._returns = xp.where(mask, 0 * self._returns, self._returns)
        self._lengths = xp.where(mask, 0 * self._lengths, self._lengths)
        self._tallies = {name: xp.where(mask, 0 * total, total) for name, total in self._tallies.items()}
        if bool(mask.all()):
            self._state = self.process.reset(self._key, episode=self._episode, **options)
            return
        rows = xp.nonzero(mask)[0]
        own = {name: value[self._to_numpy(rows)] if np.ndim(value) else value for name, value in options.items()}
        fresh = self.process.reset(self._key[rows], episode=self._episode[rows], **own)
        self._state = tree_map(lambda old, new: self._with_rows(old, new, rows), self._state, fresh)

    def _with_rows(self, old: Array, new: Array, rows: Array) -> Array:
        """Return ``old`` [..., num_envs] with ``new`` [..., len(rows)] in those rows; what rows share stays short."""
        if self._shared(old) and _equal(old, new):
            return old
        xp = namespace(old)
        if self._shared(old):
            old = xp.broadcast_to(old, (*old.shape[:-1], self.num_envs))
        whole = xp.asarray(old, copy=True)
        whole[..., rows] = new
        return whole

    def _where(self, mask: Array, chosen: Array, other: Array) -> Array:
        """Return the rows of ``chosen`` where ``mask`` holds, of ``other`` elsewhere; what rows share stays short."""
        shared = chosen is other or (self._shared(chosen) and self._shared(other) and _equal(chosen, other))
        return chosen if shared else namespace(mask).where(mask, chosen, other)

    def _shared(self, array: Array) -> bool:
        """Tell whether an array of the state holds one value for all rows."""
        return array.ndim == 0 or array.shape[-1] != self.num_envs

    def _observation(self) -> Any:
        """Return what is seen, [num_envs, ...], in arrays of its own."""
        return tree_map(_copied, self.process.observe(self._state))

    def _on_device(self, array: Array) -> Array:
        """Return an array in the library and on the device of this environment."""
        if self.device is None or not isinstance(array, np.ndarray):
            return array
        import torch

        return torch.as_tensor(array, device=self.device)

    def _to_numpy(self, array: Array) -> np.ndarray:
        """Return a numpy view or copy of an array."""
        return np.asarray(array if isinstance(array, np.ndarray) else array.cpu())


def find_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """Return Gymnasium's mode; ``same_step`` and ``same-step`` will do for ``SameStep``.

    Raises:
        ValueError: There is no such mode.
    """
    text = mode.value if isinstance(mode, AutoresetMode) else str(mode)
    known = {one.value.lower(): one for one in AutoresetMode}
    found = known.get(text.replace("_", "").replace("-", "").lower())
    if found is None:
        modes = ", ".join(repr(one.value) for one in AutoresetMode)
        raise ValueError(f"autoreset_mode must be one of {modes}, not {mode!r}")
    return found


def _any(rows: Array) -> bool:
    """Tell whether one of the booleans holds; for numpy at a third of the cost of its ``any``."""
    return bool(np.count_nonzero(rows)) if isinstance(rows, np.ndarray) else bool(rows.any())


def _copied(array: Array) -> Array:
    """Return an array of its own, in the order of memory that its shape says."""
    return np.array(array, order="C") if isinstance(array, np.ndarray) else array.clone()


def _added(totals: dict[str, Array], tally: dict[str, Array]) -> dict[str, Array]:
    """Return the totals of an episode with a step's tally added."""
    return {name: totals[name] + value for name, value in tally.items()} if totals else tally


def _equal(some: Array, others: Array) -> bool:
    """Tell whether two arrays are the same."""
    return some is others or bool(namespace(some).all(some == others))


def masked(info: dict[str, Any], rows: Array) -> dict[str, Any]:
    """Return the entries of ``info``, each with Gymnasium's mask ``_name`` of the rows to which it belongs."""
    return {**info, **dict.fromkeys(_mask_names(tuple(info)), rows)}


@lru_cache(maxsize=64)
def _mask_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the masks of entries of ``info``."""
    return tuple(f"_{name}" for name in names)


def _checked_action(action: Array, shape: tuple[int, ...], space: gym.Space[Any]) -> Array:
    """Return a batch of actions in the element type of ``space``, or refuse them."""
    if tuple(action.shape) != shape:
        raise ValueError(f"action has shape {list(action.shape)}, rows first; it must be {list(shape)}")
    if isinstance(space, gym.spaces.Discrete):
        return _checked_choice(action, space)
    if isinstance(action, np.ndarray):
        if np.count_nonzero(np.isfinite(action)) < action.size:
            row = np.argwhere(~np.isfinite(action))[0]
            raise ValueError(f"action is {action[tuple(row)]} in row {row[0]}; it must be finite")
        return action.astype(space.dtype, copy=False)
    xp = namespace(action)
    return xp.astype(action, getattr(xp, np.dtype(space.dtype).name))


def _checked_choice(action: Array, space: gym.spaces.Discrete) -> Array:
    """Return the numbers of chosen actions, [rows] int64, or refuse them; a tensor's values are not looked at."""
    xp = namespace(action)
    if not xp.isdtype(action.dtype, "integral"):
        raise ValueError(f"action is of type {action.dtype}; it must be whole numbers, as in {space}")
    first, beyond = int(space.start), int(space.start + space.n)
    if isinstance(action, np.ndarray):
        wrong = (action < first) | (action >= beyond)
        if np.count_nonzero(wrong):
            row = int(np.argmax(wrong))
            raise ValueError(f"action is {action[row]} in row {row}; it must lie in [{first}, {beyond})")
    return xp.astype(action, xp.int64, copy=False)
