"""The rules of an episode on an engine: prompts, reward, ends, and what is known of the game."""

import re
from typing import NoReturn

import numpy as np

from sandtable.envs.nethack.engine import Engine
from sandtable.envs.nethack.settings import OBSERVATIONS, NetHackSettings
from sandtable.simulators.errors import InputError
from sandtable.simulators.random import bits, fold_in, make_key

ENDS = ("death", "ascended", "quit", "step_limit", "no_progress", "lost")
"""How an episode can end: three ways of the game's, two of the settings', and ``lost``, when the engine failed."""

MEASURES = ("score", "turns", "depth", "max_depth", "experience_level")
"""What ``Game.measures`` tells, in its order."""

AT_PROMPT, CLOSING = 1, 2
"""Why a key was sent by this layer: to answer a prompt, or to close a recorded game."""

_SPACE, _ESCAPE, _QUIT, _YES = 0x20, 0x1B, 0xF1, 0x79
_ALWAYS_ASKED = re.compile(rb"eat|attack|direction\?|pray")  # of NLE: questions that reach the agent in any case
_SCORE, _DEPTH, _LEVEL, _TURNS = 9, 12, 18, 20  # in blstats
_DEEPEST, _ASKS_KEY, _ASKS_LINE, _WAITS = 0, 1, 2, 3  # in internal
_GAME_OVER, _IN_MOVE_LOOP = 0, 3  # in program_state
_PANICKED, _TRICKED, _QUITTED, _ESCAPED, _ASCENDED = 11, 12, 13, 14, 15  # NetHack's ways to end; those below are deaths
_RULED_BY = ("blstats", "message", "internal", "program_state")


def nethack_seeds(seed: int, episode: int) -> tuple[int, int]:
    """Return NetHack's seeds (core, disp) of an episode of the key of ``seed``, each in [0, 2**63)."""
    key = fold_in(make_key([seed]), episode)
    return int(bits(key, 0)[0]) & (2**63 - 1), int(bits(key, 1)[0]) & (2**63 - 1)


class Game:
    """One game after another on one engine, each an episode.

    Args:
        settings: The environment's arguments.
        buffers: Arrays in which the engine writes what it shows, by name; those that the rules need besides are made.

    Attributes:
        steps: Steps done in this episode.
        total: Sum of this episode's rewards.
        end: One of ``ENDS``, or None while the episode goes on.
        seeds: NetHack's seeds (core, disp) of this episode.
        keys: Keys pressed in this game, by the agent and by this layer.
        sent: Of the keys that this layer pressed, the position among all (from 0), and ``AT_PROMPT`` or ``CLOSING``.
        live: Whether a game is being played.
    """

    def __init__(self, settings: NetHackSettings, buffers: dict[str, np.ndarray]) -> None:
        own = {name: np.zeros(*OBSERVATIONS[name][:2]) for name in _RULED_BY if name not in buffers}
        self.settings, self.engine = settings, Engine(settings, buffers | own)
        self._limit = settings.max_episode_steps
        arrays = self.engine.buffers
        self._stats, self._message = arrays["blstats"], arrays["message"]
        self._last_stats = np.zeros_like(self._stats)  # those of the last screen that showed a game
        # numbers are read through memory views: a Python integer costs a third of numpy's scalar
        self._stat, self._last_stat = self._stats.data, self._last_stats.data
        self._internal, self._state = arrays["internal"].data, arrays["program_state"].data
        self._settles, self._asks_all = settings.prompts != "all", settings.prompts != "skip"
        self._timeout = settings.no_progress_timeout
        self._begin((0, 0))
        self.live = False

    def _begin(self, seeds: tuple[int, int]) -> None:
        """Set what is counted in an episode."""
        self.seeds = seeds
        self.steps = self.keys = 0
        self.total = 0.0
        self.end: str | None = None
        self.sent: list[tuple[int, int]] = []
        self._score = self._turns = self._idle = 0
        self.live = True

    @property
    def reproducible(self) -> bool:
        """Whether the seeds and the keys alone decide this game."""
        return self.engine.reproducible

    def start(self, seeds: tuple[int, int], level_seed: int | None = None, character: str | None = None) -> None:
        """Begin an episode; the first screen is in the buffers. A game that goes on is given up.

        Args:
            seeds: NetHack's (core, disp).
            level_seed: Of the levels' layout; see ``Engine.start``.
            character: Instead of the settings'.

        Raises:
            InputError: The engine cannot start, or the game does not begin.
        """
        self._give_up()
        self.engine.start(*seeds, level_seed, character)
        self._begin(seeds)
        while not self._state[_IN_MOVE_LOOP]:
            if self.keys == 1000 or self._send(_SPACE, AT_PROMPT):
                self.live = False
                self.engine.close()
                raise InputError("the game does not begin: look at game_options")
        self._last_stats[:] = self._stats
        self._score, self._turns = self._stat[_SCORE], self._stat[_TURNS]

    def step(self, byte: int) -> tuple[float, bool, bool]:
        """Press a key, answer the prompts that the agent is not asked; the screen is in the buffers.

        After the last step of an episode ``blstats`` is that of the last screen that showed the game. If the episode
        was truncated, the whole screen is the one at which it was.

        Args:
            byte: The key, in [0, 255].

        Returns:
            The reward, whether the game is over, and whether the episode was truncated.

        Raises:
            RuntimeError: No game is being played.
            InputError: The recording of the game was cut short.
        """
        if not self.live:
            raise RuntimeError("no game is being played: call start first")
        over = self.engine.press(byte)
        self.keys += 1
        internal = self._internal
        asks = internal[_WAITS] or internal[_ASKS_LINE] or internal[_ASKS_KEY]
        if asks and (self._settles or self._state[_GAME_OVER]) and not over:
            over = self._settle(self._asks_all)
        self.steps += 1
        stat = self._stat
        shown = not (over or self._state[_GAME_OVER]) or self.engine.shows_game()
        score, turns = stat[_SCORE], stat[_TURNS]
        reward = float(score - self._score) if shown else 0.0
        if turns == self._turns:
            reward += self.settings.penalty_step
            self._idle += 1
        else:
            self._idle = 0
        self._score, self._turns = score, turns
        self.total += reward
        if shown:
            self._last_stats[:] = self._stats
        if over:
            return self._game_ended(reward)
        if self.steps >= self._limit:
            return self._truncate(reward, "step_limit")
        if self._timeout is not None and self._idle >= self._timeout:
            return self._truncate(reward, "no_progress")
        return reward, False, False

    def measures(self) -> tuple[int, int, int, int, int]:
        """Return the ``MEASURES`` of the last screen that showed the game: score, turns, depths, experience level."""
        last = self._last_stat
        depth = last[_DEPTH]
        return last[_SCORE], last[_TURNS], depth, max(depth, self._internal[_DEEPEST]), last[_LEVEL]

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: what the engine's memory holds cannot be read."""
        raise TypeError("a game of NetHack cannot be copied: play its seed and keys again")

    def close(self) -> None:
        """End the engine; a game that is being played is given up. ``start`` opens it again.

        Raises:
            InputError: The recording was cut short.
        """
        self._give_up()
        self.engine.close()

    def _give_up(self) -> None:
        """Leave a game that is being played; if it is recorded, by quitting, so that its files are whole."""
        if self.live:
            self.live = False
            self._close_recording(over=False)

    def _game_ended(self, reward: float) -> tuple[float, bool, bool]:
        """Say how the game ended."""
        how = self.engine.how_done()
        named = {_ASCENDED: "ascended", _QUITTED: "quit", _ESCAPED: "quit", _PANICKED: "lost", _TRICKED: "lost"}
        self.end = named.get(how, "death")
        self.live = False
        self._close_recording(over=True)
        self._stats[:] = self._last_stats
        return reward, self.end != "lost", self.end == "lost"

    def _truncate(self, reward: float, end: str) -> tuple[float, bool, bool]:
        """End the episode though the game is not over."""
        self.end = end
        self.live = False
        self._close_recording(over=False)
        return reward, False, True

    def _close_recording(self, over: bool) -> None:
        """Close the file of a recorded game, which quits the game first; the buffers keep the screen."""
        if self.engine.recording is None:
            return
        kept = {name: array.copy() for name, array in self.engine.buffers.items()}
        if not over:
            self._quit()
        self.engine.close()
        for name, array in kept.items():
            self.engine.buffers[name][...] = array

    def _quit(self) -> None:
        """Leave the game as a player would, so that it is in the list of games; from within menus and texts, too."""
        for _ in range(5):
            over = self._settle(asks_all=False, why=CLOSING)
            for byte in (_ESCAPE, _ESCAPE, _ESCAPE, _QUIT, _YES):
                over = over or self._send(byte, CLOSING)
            if over or self._settle(asks_all=False, why=CLOSING):
                return

    def _send(self, byte: int, why: int) -> bool:
        """Press a key of this layer's own; return whether the game is over."""
        self.sent.append((self.keys, why))
        self.keys += 1
        return self.engine.press(byte)

    def _settle(self, asks_all: bool, why: int = AT_PROMPT) -> bool:
        """Answer prompts as NLE does, until the game waits for a command or asks the agent; return whether it is over.

        Spaces at ``--More--``, escape at a line of text and at a question of one key, after which NLE looks no further.
        """
        internal = self._internal
        while True:
            if internal[_WAITS]:
                byte = _SPACE
            elif internal[_ASKS_LINE]:
                byte = _ESCAPE
            else:
                break
            if self.engine.shows_game():
                self._last_stats[:] = self._stats
            if self._send(byte, why):
                return True
        if not internal[_ASKS_KEY]:
            return False
        if why == AT_PROMPT:
            if asks_all:
                return False
            if _ALWAYS_ASKED.search(self._message.data):
                return False
        return self._send(_ESCAPE, why)
