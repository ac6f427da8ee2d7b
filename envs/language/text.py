"""Programming tasks as Gymnasium environments of one step, text in and text out: ``sandtable/CompletionText-v0``.

Seen is a prompt; the action is what a language model would go on with; the reward is 1 if that passes the task's tests
in the sandbox, else 0. This is no array program, so it has adapters of its own, with the conventions of ``adapter``.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_shared_memory

from sandtable.envs.adapter import find_autoreset_mode, masked, next_episode
from sandtable.simulators.errors import InputError
from sandtable.simulators.language.tasks import Task
from sandtable.simulators.language.text_tasks import TextTasks
from sandtable.simulators.random import make_key

Transition = tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]
"""Observations, rewards, terminated, truncated and info of rows."""


class PromptSpace(gym.spaces.Text):
    """Texts that never travel through the shared memory of ``AsyncVectorEnv``, which would garble them."""


@create_shared_memory.register(PromptSpace)
def _refused(space: PromptSpace, n: int = 1, ctx: Any = None) -> NoReturn:
    raise InputError(
        "AsyncVectorEnv garbles texts in its shared memory: make it with shared_memory=False, or use the environment's "
        "own vector form, gymnasium.make_vec(id, num_envs=n), which grades all rows together"
    )


def _space(tasks: TextTasks) -> PromptSpace:
    """Return the space of prompts, and of completions."""
    return PromptSpace(tasks.max_length, min_length=0, charset=tasks.characters)


class CompletionTextEnv(gym.Env[str, str]):
    """A prompt is shown, the completion is graded, and the episode terminates: 1 for a pass, else 0.

    ``reset(seed=s)`` starts episode 0 of the key of seed s, ``reset()`` the next; ``options={"task_id": ...}`` names
    the task. ``info`` tells the ``task_id``, after the step also the ``status`` (``passed``, ``failed``, ``error``,
    ``cpu``, ``memory``, ``wall``, ``crash``, ``judge_error``). ``close`` ends the sandbox.

    Args:
        render_mode: ``"ansi"`` lets ``render`` return prompt, completion and status as text.
        **tasks: The arguments of ``TextTasks``.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc]

    def __init__(self, render_mode: str | None = None, **tasks: Any) -> None:
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode must be None or 'ansi', not {render_mode!r}")
        self.tasks, self.render_mode = TextTasks(**tasks), render_mode
        self.observation_space = self.action_space = _space(self.tasks)
        self._key: np.ndarray | None = None
        self._episode = 0
        self._place: int | None = None
        self._told = ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode; see the class."""
        super().reset(seed=seed)
        self._key, self._episode = next_episode(seed, self._key, self._episode, self.np_random)
        named = _task_id(options)
        self._place = int(self.tasks.drawn(self._key, np.array([self._episode]), named)[0])
        self._told = self._task.prompt
        return self._task.prompt, {"task_id": self._task.task_id}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Grade a completion.

        Raises:
            gymnasium.error.ResetNeeded: There was no ``reset``.
            ValueError: The action is no text, or too long.
        """
        if self._place is None:
            raise gym.error.ResetNeeded("call reset before step")
        (status,) = self.tasks.statuses([self._place], [action])
        reward = float(status == "passed")
        self._told = f"{self._task.prompt}{action}\n{status}"
        told = {"task_id": self._task.task_id, "status": status, "episode_return": reward, "episode_length": 1}
        return self._task.prompt, reward, True, False, told

    @property
    def _task(self) -> Task:
        assert self._place is not None
        return self.tasks.tasks[self._place]

    def render(self) -> str | None:  # type: ignore[override]
        """Return the prompt, and after the step the completion and its status; None without a render mode."""
        return None if self.render_mode is None else self._told

    def close(self) -> None:
        """End the sandbox."""
        self.tasks.close()


class CompletionTextVectorEnv(VectorEnv[tuple[str, ...], Sequence[str], np.ndarray]):
    """Rows of ``CompletionTextEnv`` whose completions are graded together; every step ends and starts an episode.

    Row i reset with ``seed=s`` sees what an environment reset with ``seed=s + i`` sees. Observations are tuples of
    texts. ``info`` holds the next tasks' ``task_id``, ``episode_return`` and ``episode_length``, and of the episodes
    that ended ``final_obs`` and ``final_info`` (``task_id`` and ``status``), each with its mask.

    Args:
        num_envs: Rows, at least 1.
        autoreset_mode: ``SAME_STEP``, which is the default.
        **tasks: The arguments of ``TextTasks``.
    """

    def __init__(self, num_envs: int = 1, autoreset_mode: AutoresetMode | str | None = None, **tasks: Any) -> None:
        if num_envs < 1 or int(num_envs) != num_envs:
            raise ValueError(f"num_envs must be a whole number, at least 1, not {num_envs}")
        if find_autoreset_mode(autoreset_mode or AutoresetMode.SAME_STEP) is not AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset_mode must be SAME_STEP, as every step is an episode, not {autoreset_mode!r}")
        self.tasks, self.num_envs = TextTasks(**tasks), num_envs
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = self.single_action_space = _space(self.tasks)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._key: np.ndarray | None = None
        self._episode = np.zeros(num_envs, np.int64)
        self._place: np.ndarray | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Start an episode in every row; ``options={"task_id": ...}`` names the task of all rows, or of each.

        Raises:
            ValueError: ``seed`` has another length than ``num_envs``.
        """
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seed = [int(seed) + row for row in range(self.num_envs)]
        if seed is not None and len(seed) != self.num_envs:
            raise ValueError(f"seed has {len(seed)} entries; there are {self.num_envs} sub-environments")
        if self._key is None:
            self._key = self.np_random.integers(-(2**63), 2**63 - 1, size=self.num_envs, dtype=np.int64)
        else:
            self._episode = self._episode + 1
        for row, one in enumerate(seed or ()):
            if one is not None:
                self._key[row], self._episode[row] = make_key(one), 0
        self._place = self.tasks.drawn(self._key, self._episode, _task_id(options))
        return self._shown(), masked({"task_id": self._ids()}, np.ones(self.num_envs, bool))

    def step(self, actions: Sequence[str]) -> Transition:
        """Grade a completion a row, all together, and start the next episodes.

        Raises:
            gymnasium.error.ResetNeeded: There was no ``reset``.
            ValueError: There is another number of actions, or one is no text or too long.
        """
        if self._place is None or self._key is None:
            raise gym.error.ResetNeeded("call reset before step")
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise ValueError(f"actions must be {self.num_envs} texts, one a row")
        status = np.array(self.tasks.statuses(self._place, actions), dtype=object)
        every = np.ones(self.num_envs, bool)
        reward = (status == "passed").astype(np.float64)
        ended = {
            "final_obs": self._shown(),
            "final_info": masked({"task_id": self._ids(), "status": status}, every),
            "episode_return": reward.copy(),
            "episode_length": np.ones(self.num_envs, np.int64),
        }
        self._episode = self._episode + 1
        self._place = self.tasks.drawn(self._key, self._episode)
        return self._shown(), reward, every.copy(), ~every, masked({**ended, "task_id": self._ids()}, every)

    def _shown(self) -> tuple[str, ...]:
        assert self._place is not None
        return tuple(self.tasks.tasks[place].prompt for place in self._place)

    def _ids(self) -> np.ndarray:
        assert self._place is not None
        return np.array([self.tasks.tasks[place].task_id for place in self._place], dtype=object)

    def close_extras(self, **kwargs: Any) -> None:
        """End the sandbox; of an environment whose making failed, which ``VectorEnv`` closes, too, there is none."""
        if hasattr(self, "tasks"):
            self.tasks.close()


def _task_id(options: dict[str, Any] | None) -> Any:
    """Return the one option of reset.

    Raises:
        ValueError: There is another.
    """
    others = sorted(set(options or ()) - {"task_id"})
    if others:
        raise ValueError(f"the option of reset is task_id, not {', '.join(others)}")
    return (options or {}).get("task_id")


def completion_text_env(render_mode: str | None = None, **tasks: Any) -> CompletionTextEnv:
    """Return programming tasks as an environment; ``tasks`` are the arguments of ``TextTasks``."""
    return CompletionTextEnv(render_mode, **tasks)


def completion_text_vector_env(
    num_envs: int = 1, autoreset_mode: AutoresetMode | str | None = None, **tasks: Any
) -> CompletionTextVectorEnv:
    """Return programming tasks as a vector environment; see ``CompletionTextVectorEnv``."""
    return CompletionTextVectorEnv(num_envs, autoreset_mode, **tasks)
