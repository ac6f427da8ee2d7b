"""NetHack as Gymnasium environments: what makes ``sandtable/NetHackScore-v0`` and ``sandtable/NetHackChallenge-v0``.

A thin layer on the NetHack Learning Environment (NLE; Kuettler et al. 2020, arXiv 2006.13760), whose engine the extra
``nethack`` installs. Rewards and observations are NLE's for the same seeds and keys; what the layer adds is that the
arguments, the seed and the keys decide everything else, too.
"""

import inspect
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from sandtable.envs.nethack.engine import load_nle
from sandtable.envs.nethack.game import MEASURES, Game, nethack_seeds
from sandtable.envs.nethack.rendering import screen_image, screen_text
from sandtable.envs.nethack.settings import CHALLENGE, OBSERVATIONS, RENDER_MODES, RENDERED, NetHackSettings, restart
from sandtable.simulators.errors import InputError


class NetHackEnv(gym.Env[dict[str, np.ndarray], Any]):
    """NetHack as a Gymnasium environment.

    ``reset(seed=s)`` starts episode 0 of seed s, ``reset()`` the next episode of the same seed. Options of a reset:
    ``nethack_seeds`` [core, disp], ``level_seed`` and ``character``, each for that episode alone.

    ``info`` holds ``score`` (in-game), ``turns``, ``depth``, ``max_depth`` and ``experience_level`` as the last screen
    that showed the game had them, ``end`` (one of ``game.ENDS``; None while the episode goes on), ``nethack_seeds`` and
    ``reproducible``; when an episode ends, also ``episode_return`` and ``episode_length``.

    A game that is given up, by ``reset`` or ``close`` before its end, is quit if it is recorded, so that its files are
    whole; so it is when Gymnasium's ``TimeLimit`` ended the episode (``gym.make(id, max_episode_steps=k)`` keeps k to
    itself). It pickles, and copies between episodes, by its arguments; a game that is being played cannot be copied.

    Args:
        arguments: Those of ``NetHackSettings``.

    Attributes:
        game: The ``Game``: its seeds, keys, and which of them this layer sent.

    Raises:
        InputError: An argument cannot be.
        MissingExtraError: nle is not installed.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(RENDER_MODES), "render_fps": 20}  # type: ignore[misc]

    def __init__(self, **arguments: Any) -> None:
        load_nle()
        self._arguments = arguments
        self.settings = NetHackSettings(**arguments)
        self.render_mode = self.settings.render_mode
        self.observation_space, self.action_space = self.settings.observation_space(), self.settings.action_space()
        shown = dict.fromkeys((*self.settings.names, *(RENDERED if self.render_mode else ())))
        self._buffers = {name: np.zeros(*OBSERVATIONS[name][:2]) for name in shown}
        self.game = Game(self.settings, self._buffers)
        self._seed: int | None = None
        self._episode = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode; see the class.

        Raises:
            InputError: An option cannot be; the engine does not start.
        """
        asked = restart(options)
        super().reset(seed=seed)
        if seed is not None:
            self._seed, self._episode = int(seed), 0
        elif self._seed is None:
            self._seed = int(self.np_random.integers(2**63 - 1))
        else:
            self._episode += 1
        seeds = asked.seeds or nethack_seeds(self._seed, self._episode)
        self.game.start(seeds, asked.level_seed, asked.character)
        self._show()
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Act once.

        Args:
            action: The number of a key, in [0, ``action_space.n``).

        Raises:
            gymnasium.error.ResetNeeded: No episode is being played.
            InputError: There is no such action; a recording was cut short.
        """
        keys = self.settings.keys
        try:
            number = action.__index__()
        except (AttributeError, TypeError):
            raise InputError(f"action is {action!r}; it must be a whole number in [0, {len(keys)})") from None
        if not 0 <= number < len(keys):
            raise InputError(f"action is {number}; it must lie in [0, {len(keys)})")
        if not self.game.live:
            raise gym.error.ResetNeeded("call reset before step: no episode is being played")
        reward, terminated, truncated = self.game.step(keys[number])
        self._show()
        return self._observation(), reward, terminated, truncated, self._info()

    def render(self) -> str | np.ndarray | None:  # type: ignore[override]
        """Return the screen: text with colours, or an image uint8 [384, 640, 3]; None in other modes."""
        if self.render_mode == "ansi":
            return screen_text(*(self._buffers[name] for name in RENDERED))
        if self.render_mode == "rgb_array":
            return screen_image(*(self._buffers[name] for name in RENDERED))
        return None

    def close(self) -> None:
        """End the engine; a recorded game is quit first, so that its files are whole."""
        self.game.close()

    def _show(self) -> None:
        """In the mode for humans, print the screen where the last one was."""
        if self.render_mode == "human":
            print(f"\033[H\033[2J{screen_text(*(self._buffers[name] for name in RENDERED))}", flush=True)

    def _observation(self) -> dict[str, np.ndarray]:
        """Return what the agent sees, as arrays of its own."""
        return {name: self._buffers[name].copy() for name in self.settings.names}

    def _info(self) -> dict[str, Any]:
        """Return what is known of the game."""
        game = self.game
        info: dict[str, Any] = dict(zip(MEASURES, game.measures(), strict=True))
        info |= {"end": game.end, "nethack_seeds": list(game.seeds), "reproducible": game.reproducible}
        if game.end is not None:
            info |= {"episode_return": game.total, "episode_length": game.steps}
        return info

    def __getstate__(self) -> dict[str, Any]:
        """Return what makes another one like it."""
        return {"arguments": self._arguments, "spec": self.spec}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make one by its arguments; it plays no game."""
        self.__init__(**state["arguments"])  # type: ignore[misc]
        self.spec = state["spec"]

    def __copy__(self) -> "NetHackEnv":
        """Return one with the same arguments.

        Raises:
            TypeError: A game is being played.
        """
        if self.game.live:
            raise TypeError("a game of NetHack cannot be copied: play its seed and keys again")
        other = type(self)(**self._arguments)
        other.spec = self.spec
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> "NetHackEnv":
        """Return one with the same arguments; see ``__copy__``."""
        return self.__copy__()


def net_hack_score_env(**arguments: Any) -> NetHackEnv:
    """Return NetHack with the score as its aim, as NLE's ``NetHackScore``; see ``NetHackSettings``."""
    return NetHackEnv(**arguments)


def net_hack_challenge_env(**arguments: Any) -> NetHackEnv:
    """Return NetHack with the whole keyboard and every prompt, as NLE's ``NetHackChallenge``, but seeded."""
    return NetHackEnv(**CHALLENGE | arguments)


def net_hack_score_vector_env(num_envs: int = 1, **arguments: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Return many such games in a few processes; see ``net_hack_score_env`` and ``NetHackVectorEnv``."""
    from sandtable.envs.nethack.vector_env import NetHackVectorEnv

    return NetHackVectorEnv(num_envs, **arguments)


def net_hack_challenge_vector_env(num_envs: int = 1, **arguments: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Return many such games in a few processes; see ``net_hack_challenge_env`` and ``NetHackVectorEnv``."""
    from sandtable.envs.nethack.vector_env import NetHackVectorEnv

    return NetHackVectorEnv(num_envs, **CHALLENGE | arguments)


def _signature(defaults: dict[str, Any]) -> inspect.Signature:
    """Return the settings' own, with other defaults: who asks which arguments there are is told their names."""
    settings = inspect.signature(NetHackSettings)
    named = [
        one.replace(kind=one.KEYWORD_ONLY, default=defaults.get(name, one.default))
        for name, one in settings.parameters.items()
    ]
    return settings.replace(parameters=named, return_annotation=NetHackEnv)


net_hack_score_env.__signature__ = _signature({})  # type: ignore[attr-defined]
net_hack_challenge_env.__signature__ = _signature(CHALLENGE)  # type: ignore[attr-defined]
