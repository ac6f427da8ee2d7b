"""An environment as the user names it: its id, its arguments, and after how many steps a game is cut."""

import copy
import inspect
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.user_function import on_one_line

STEP_LIMIT = "max_episode_steps"
"""What an environment calls its own limit of steps, if it has one: it may have to end its game."""


@dataclass(frozen=True)
class EnvironmentChoice:
    """Which environment is played.

    Attributes:
        id: As Gymnasium knows it.
        arguments: Of its constructor; what is not named keeps its default.
        max_steps: A game is cut after so many steps; None: as the environment is registered.
    """

    id: str
    arguments: dict[str, Any]
    max_steps: int | None = None

    @property
    def told(self) -> dict[str, Any]:
        """What decides a game beside seed and policy: the arguments, and the limit of steps if one was given."""
        return self.arguments | ({} if self.max_steps is None else {STEP_LIMIT: self.max_steps})

    def make(self, **further: Any) -> gym.Env[Any, Any]:
        """Return a new environment.

        Args:
            **further: Arguments beside those of the user.

        Raises:
            InputError: There is no such environment, or it cannot be made with these arguments.
            MissingExtraError: It needs what is not installed.
        """
        for name in (*self.arguments, *further):
            if not self._may_take(name):
                raise self._has_no(name)
        if self.max_steps is None:
            return self._made(further, None)
        if self._may_take(STEP_LIMIT):
            registered = self.spec().max_episode_steps
            try:
                return self._made(further | {STEP_LIMIT: self.max_steps}, registered and self.max_steps)
            except InputError as error:  # also in the words of an environment that looks at what is passed on
                if STEP_LIMIT not in str(error):
                    raise
        return self._made(further, self.max_steps)

    def _made(self, further: dict[str, Any], limit: int | None) -> gym.Env[Any, Any]:
        """Return a new environment, in Gymnasium's own limit of steps if one is given."""
        spec = copy.deepcopy(self.spec())
        spec.kwargs.update(self.arguments | further)
        try:
            return gym.make(spec, max_episode_steps=limit, disable_env_checker=True)
        except (InputError, MissingExtraError):
            raise
        except Exception as error:
            for name in (*self.arguments, *further):
                if f"unexpected keyword argument '{name}'" in str(error):
                    raise self._has_no(name) from error
            raise InputError(f"--env {self.id}: it cannot be made: {on_one_line(error)}") from error

    def spec(self) -> EnvSpec:
        """Return what Gymnasium knows of the environment.

        Raises:
            InputError: There is no such environment.
        """
        if os.getcwd() not in sys.path:  # package:ID imports a package first, as one's own may be
            sys.path.insert(0, os.getcwd())
        try:
            module, colon, _ = self.id.partition(":")
            if colon:
                __import__(module)
            return gym.spec(self.id.rpartition(":")[2])
        except gym.error.Error as error:
            raise InputError(f"--env {self.id}: {' '.join(str(error).split())}") from error
        except Exception as error:
            raise InputError(f"--env {self.id}: importing {module} raised {on_one_line(error)}") from error

    def _parameters(self) -> list[inspect.Parameter]:
        """Return the parameters of what makes the environment."""
        entry = self.spec().entry_point
        creator = load_env_creator(entry) if isinstance(entry, str) else entry
        return [] if creator is None else list(inspect.signature(creator).parameters.values())

    def _may_take(self, argument: str) -> bool:
        """Tell whether the environment can have an argument: it is named, or all are passed on."""
        return any(one.name == argument or one.kind is one.VAR_KEYWORD for one in self._parameters())

    def _has_no(self, argument: str) -> InputError:
        """Return the error that there is no such argument, with the names of those that there are."""
        known = self._named()
        named = f"; it has {', '.join(known)}" if known else ""
        return InputError(f"--set {argument}: {self.id} has no such argument{named}")

    def _named(self) -> list[str]:
        """Return the names of arguments, as far as they are named."""
        passed_on = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        return [one.name for one in self._parameters() if one.kind not in passed_on and one.name != "render_mode"]


def arguments_of(settings: Sequence[str]) -> dict[str, Any]:
    """Return arguments by name of ``--set ARGUMENT=VALUE``: values are JSON, or else texts.

    Raises:
        InputError: One is not of that form, or given twice.
    """
    arguments: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not (equals and name.isidentifier()):
            raise InputError(f"--set {text}: it must be ARGUMENT=VALUE, for example penalty_step=-0.01")
        if name in arguments:
            raise InputError(f"--set {name}: it is given twice")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments
