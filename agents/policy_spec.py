"""Policies that play in an environment, as the command line names them: ``random``, ``module:name``, ``sb3:ALGO:FILE``.

A policy is asked for the actions of several games at once, but what it does in one is a function of that game alone: of
its seed, its step, and what was observed in it. So a game comes out the same whichever games are played beside it.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import gymnasium as gym
import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.user_function import load_function, on_one_line, source_of


@dataclass(slots=True)
class Turn:
    """A game that waits for an action.

    Attributes:
        seed: Of the game.
        step: How many actions it had so far; at 0 the episode starts.
        observation: What the environment showed last.
        memory: What the policy keeps of this game, for itself; None at the start.
    """

    seed: int
    step: int
    observation: Any
    memory: Any = None


class Policy(Protocol):
    """Acts in games."""

    @property
    def source(self) -> str:
        """What it does, as text: two policies of the same text are the same."""

    @property
    def batched(self) -> bool:
        """Whether it gains from acting in several games at once; it must not play otherwise for it."""

    def act(self, turns: Sequence[Turn]) -> list[Any]:
        """Return one action a game, each in the action space; the games' memories may be changed.

        Raises:
            InputError: The policy fails.
        """


@dataclass(frozen=True)
class PolicyOptions:
    """How a policy is loaded, where that is not plain from its name.

    Attributes:
        trust: Whether a file that is unpickled, which runs whatever it holds, may be loaded.
        deterministic: Whether the likeliest action is taken where the policy gives probabilities; else one is drawn.
    """

    trust: bool = False
    deterministic: bool = False


Loader = Callable[[str, gym.Space[Any], gym.Space[Any], PolicyOptions], Policy]
"""Makes a policy of what was typed, the spaces of observations and actions, and the options."""


def load_policy(
    spec: str,
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    options: PolicyOptions = PolicyOptions(),
) -> Policy:
    """Return the policy that ``--policy`` names.

    Args:
        spec: ``random``; ``module:name`` of a function or class of one's own; ``sb3:ALGO:FILE``, a policy saved by
            Stable-Baselines3.
        observation_space: Of the environment.
        action_space: Of the environment.
        options: How it is loaded.

    Raises:
        InputError: There is no such policy, it is not trusted, or it does not serve these spaces.
        MissingExtraError: Stable-Baselines3 is needed and not installed.
    """
    kind, colon, _ = spec.partition(":")
    if not colon and spec not in LOADERS:
        near = ", ".join([*(name for name in LOADERS if name != "sb3"), "module:function", "sb3:ALGO:FILE"])
        raise InputError(f"--policy {spec}: write {near}")
    return LOADERS.get(kind, user_policy)(spec, observation_space, action_space, options)


def random_policy(spec: str, seen: gym.Space[Any], acted: gym.Space[Any], options: PolicyOptions) -> Policy:
    """Return the policy that draws its actions evenly."""
    from sandtable.agents.random_policy import RandomPolicy

    return RandomPolicy(acted)


def stable_baselines_policy(spec: str, seen: gym.Space[Any], acted: gym.Space[Any], options: PolicyOptions) -> Policy:
    """Return a policy saved by Stable-Baselines3."""
    from sandtable.agents.saved_stable_baselines import SavedPolicy, load_saved

    return SavedPolicy.serving(load_saved(spec, "--policy", trust=options.trust), seen, acted, options.deterministic)


def user_policy(spec: str, seen: gym.Space[Any], acted: gym.Space[Any], options: PolicyOptions) -> Policy:
    """Return a function or class of the user's own as a policy."""
    loaded = load_function(spec, "--policy")
    source = source_of(loaded, spec)
    if inspect.isclass(loaded):
        return UserClass(spec, source, loaded, {"observation_space": seen, "action_space": acted})
    return UserFunction(spec, source, loaded)


@dataclass(frozen=True)
class UserFunction:
    """A function of the user's own: of an observation, to an action.

    Attributes:
        name: As the user gave it.
        source: The text of its file.
        function: The function.
    """

    name: str
    source: str
    function: Callable[[Any], Any]
    batched: ClassVar[bool] = False

    def act(self, turns: Sequence[Turn]) -> list[Any]:
        """See ``Policy``."""
        return [_called(self.name, self.function, turn.observation) for turn in turns]


@dataclass(frozen=True)
class UserClass:
    """A class of the user's own, of which every game has an object; called with an observation, it returns an action.

    Attributes:
        name: As the user gave it.
        source: The text of its file.
        kind: The class. Of ``observation_space``, ``action_space`` and ``seed`` (the game's) it is given those that its
            constructor names.
        spaces: The spaces, by those names.
    """

    name: str
    source: str
    kind: Callable[..., Any]
    spaces: dict[str, gym.Space[Any]]
    batched: ClassVar[bool] = False

    def act(self, turns: Sequence[Turn]) -> list[Any]:
        """See ``Policy``."""
        actions = []
        for turn in turns:
            if turn.step == 0:
                given = {**self.spaces, "seed": turn.seed}
                wanted = {name: given[name] for name in inspect.signature(self.kind).parameters if name in given}
                turn.memory = _called(self.name, self.kind, **wanted)
            actions.append(_called(self.name, turn.memory, turn.observation))
        return actions


def _called(name: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Return what code of the user's returns, or say what it raised."""
    try:
        return function(*given, **named)
    except Exception as error:
        raise InputError(f"--policy {name}: it raised {on_one_line(error)}") from error


LOADERS: dict[str, Loader] = {"random": random_policy, "sb3": stable_baselines_policy}
"""What comes before the first colon, and what makes the policy; anything else is a module of the user's."""


def checked_action(action: Any, space: gym.Space[Any], policy: str, turn: Turn) -> Any:
    """Return an action as the environment takes it, or say what is wrong with it.

    Args:
        action: What the policy returned; a tensor or an array of one number will do for a number.
        space: Of actions.
        policy: What the policy is called.
        turn: Whose action it is.

    Raises:
        InputError: It is not in the space.
    """
    if hasattr(action, "detach"):  # a tensor
        action = action.detach().cpu().numpy()
    usable = action
    if isinstance(space, gym.spaces.Discrete):
        if isinstance(action, int | np.integer) and space.start <= action < space.start + space.n:
            return action
        number = np.asarray(action)
        if number.size == 1 and number.dtype.kind in "iub":
            usable = number.reshape(()).astype(space.dtype)[()]
    elif isinstance(space, gym.spaces.Box | gym.spaces.MultiDiscrete | gym.spaces.MultiBinary):
        usable = _as_array(action, space)
    try:
        inside = usable is not None and space.contains(usable)
    except (TypeError, ValueError, AttributeError):
        inside = False
    if not inside:
        shown = " ".join(repr(action).split())
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise InputError(
            f"--policy {policy}, game of seed {turn.seed}, step {turn.step}: action {shown} is not in {space}"
        )
    return usable


def _as_array(action: Any, space: gym.Space[Any]) -> np.ndarray | None:
    """Return numbers as an array in the space's element type, whole ones where it asks for them; None for no such."""
    try:
        numbers = np.asarray(action)
    except ValueError:
        return None
    whole = np.dtype(space.dtype).kind in "iub"
    if numbers.dtype.kind not in ("iub" if whole else "iubf") or numbers.size != np.prod(space.shape or ()):
        return None
    return numbers.astype(space.dtype).reshape(space.shape or ())
