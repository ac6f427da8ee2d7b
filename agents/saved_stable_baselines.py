"""Policies that Stable-Baselines3 saved to a file."""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from sandtable.agents.policy_spec import Turn
from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.random import fold_in, make_key
from sandtable.simulators.user_function import on_one_line

DRAW = 0x736233
"""The stream of the draws: an environment may take the same seed for its key."""


@dataclass(frozen=True)
class Saved:
    """A model that was loaded.

    Attributes:
        name: As the user gave it.
        model: Of Stable-Baselines3, on the CPU.
        digest: SHA-256 of its file.
    """

    name: str
    model: Any
    digest: str


def load_saved(spec: str, option: str, *, trust: bool) -> Saved:
    """Load a model.

    Args:
        spec: ``sb3:ALGO:FILE``.
        option: The option that it was given with, for messages.
        trust: Whether FILE may be loaded: that unpickles it, which runs whatever it holds.

    Raises:
        InputError: There is no such algorithm or file, or the file is not trusted or cannot be read.
        MissingExtraError: Stable-Baselines3 is not installed.
    """
    algorithm, colon, file = spec.removeprefix("sb3:").partition(":")
    if not (algorithm and colon and file):
        raise InputError(f"{option} {spec}: write it as sb3:ALGO:FILE, for example sb3:PPO:policy.zip")
    path = Path(file) if Path(file).is_file() else Path(file + ".zip")
    if not path.is_file():
        raise InputError(f"{option} {spec}: there is no file {file}")
    if not trust:
        raise InputError(
            f"{option} {spec}: loading this file unpickles it, which runs whatever code it holds; pass --trust if you "
            "know where it comes from"
        )
    try:
        import stable_baselines3
    except ImportError as error:
        raise MissingExtraError(f"{option} {spec}", "rl") from error
    kind = getattr(stable_baselines3, algorithm, None)
    if not (inspect.isclass(kind) and hasattr(kind, "load")):
        raise InputError(f"{option} {spec}: Stable-Baselines3 has no algorithm {algorithm}; PPO, A2C or DQN")
    try:
        model = kind.load(path, device="cpu")
    except Exception as error:
        raise InputError(f"{option} {spec}: the file cannot be loaded as {algorithm} ({on_one_line(error)})") from error
    return Saved(spec, model, hashlib.sha256(path.read_bytes()).hexdigest())


@dataclass(frozen=True)
class SavedPolicy:
    """A model as a policy.

    It sees one game a call: what a matrix product rounds to depends on how many rows it has. Where the model gives
    probabilities, an action is drawn by the game's seed and the step; models of Q-values and deterministic actors act
    as they do when they are not exploring.

    Attributes:
        saved: The model.
        deterministic: Whether the likeliest action is taken instead.
    """

    saved: Saved
    deterministic: bool
    batched: ClassVar[bool] = False

    @classmethod
    def serving(
        cls, saved: Saved, observation_space: gym.Space[Any], action_space: gym.Space[Any], deterministic: bool
    ) -> "SavedPolicy":
        """Return the policy for an environment.

        Raises:
            InputError: The model was trained for other spaces.
        """
        trained = {"observations": saved.model.observation_space, "actions": saved.model.action_space}
        asked = {"observations": observation_space, "actions": action_space}
        for what, space in asked.items():
            if trained[what] != space:
                raise InputError(f"--policy {saved.name}: it was trained for {what} {trained[what]}; here are {space}")
        return cls(saved, deterministic or not hasattr(saved.model.policy, "get_distribution"))

    @property
    def source(self) -> str:
        """Return the digest of the file, and how it acts."""
        return f"{self.saved.digest} {'likeliest' if self.deterministic else 'drawn'}"

    def act(self, turns: Sequence[Turn]) -> list[Any]:
        """See ``Policy``; a game's memory is that of the model."""
        from torch import default_generator

        actions = []
        for turn in turns:
            if not self.deterministic:
                default_generator.manual_seed(int(fold_in(fold_in(make_key([turn.seed]), DRAW), turn.step)[0]))
            try:
                action, turn.memory = self.saved.model.predict(
                    turn.observation, turn.memory, np.array([turn.step == 0]), self.deterministic
                )
            except Exception as error:
                raise InputError(f"--policy {self.saved.name}: it raised {on_one_line(error)}") from error
            actions.append(action)
        return actions
