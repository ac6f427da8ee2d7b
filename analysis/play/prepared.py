"""What is known before the first game: that environment and policy can be used together, and what they are."""

import contextlib
import re
import sys
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from sandtable.agents.policy_spec import PolicyOptions, load_policy
from sandtable.analysis.play.environment import EnvironmentChoice, arguments_of
from sandtable.analysis.play.games import close_quietly
from sandtable.analysis.play.settings import GameSettings
from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.user_function import on_one_line


@dataclass(frozen=True)
class Prepared:
    """An environment and a policy that serves it.

    Attributes:
        choice: The environment.
        policy: As the user named it.
        options: How the policy is loaded.
        source: What the policy does, as text.
        batched: Whether the policy gains from acting in several games at once.
        nethack: Whether the game is NetHack.
        versions: Of the packages that decide how a game goes, None where one does not take part.
    """

    choice: EnvironmentChoice
    policy: str
    options: PolicyOptions
    source: str
    batched: bool
    nethack: bool
    versions: dict[str, str | None]

    def identity(self) -> dict[str, Any]:
        """Return what decides how the game of a seed goes."""
        return {
            "env": self.choice.id,
            "arguments": self.choice.arguments,
            "max_steps": self.choice.max_steps,
            "policy": self.policy,
            "source": self.source,
            "deterministic": self.options.deterministic,
            "versions": {name: version for name, version in self.versions.items() if name != "sandtable"},
        }


def prepare(settings: GameSettings) -> Prepared:
    """Make the environment, start a game in it, and load the policy.

    Raises:
        InputError: A setting, the environment or the policy cannot be used, or the one does not serve the other.
        MissingExtraError: One of them needs what is not installed.
    """
    for name in ("games", "workers", "max_steps"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')}: {value} is less than 1")
    if settings.seed < 0:
        raise InputError(f"--seed: {settings.seed} is less than 0, where Gymnasium's seeds begin")
    choice = EnvironmentChoice(settings.env, arguments_of(settings.set), settings.max_steps)
    options = PolicyOptions(settings.trust, settings.deterministic)
    with contextlib.redirect_stdout(sys.stderr):  # what a user's code prints is not the command's output
        env = choice.make()
        nethack = type(env.unwrapped).__module__.startswith("sandtable.envs.nethack")
        if nethack and "record" in choice.arguments:
            raise InputError("--set record: sandtable data record OUT records games, each in a folder of its own")
        try:
            env.reset(seed=settings.seed)
            policy = load_policy(settings.policy, env.observation_space, env.action_space, options)
        except (InputError, MissingExtraError):
            raise
        except Exception as error:
            raise InputError(f"--env {choice.id}: it cannot be reset: {on_one_line(error)}") from error
        finally:
            close_quietly(env)
    return Prepared(choice, settings.policy, options, policy.source, policy.batched, nethack, versions(nethack))


def versions(nethack: bool) -> dict[str, str | None]:
    """Return versions of the packages that decide how a game goes."""
    return {
        "sandtable": metadata.version("sandtable"),
        "nle": metadata.version("nle") if nethack else None,
        "nethack": nethack_version() if nethack else None,
        "gymnasium": metadata.version("gymnasium"),
    }


def nethack_version() -> str | None:
    """Return which NetHack is in nle's library, as that says it itself."""
    found = util.find_spec("nle")
    if found is None or found.origin is None:
        return None
    try:
        library = (Path(found.origin).parent / "libnethack.so").read_bytes()
    except OSError:
        return None
    said = re.search(rb"NetHack Version (\d+\.\d+\.\d+)", library)
    return said[1].decode() if said else None
