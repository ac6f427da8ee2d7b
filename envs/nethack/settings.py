"""What the NetHack environments can be told, and what they can be asked to show."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.nethack.keyboard import ACTIONS

_MAP, _SCREEN, _INVENTORY, _INT32 = (21, 79), (24, 80), (55,), (-(2**31), 2**31 - 1)

OBSERVATIONS: dict[str, tuple[tuple[int, ...], type, int, int]] = {
    "glyphs": (_MAP, np.int16, 0, 5976),
    "chars": (_MAP, np.uint8, 0, 255),
    "colors": (_MAP, np.uint8, 0, 15),
    "specials": (_MAP, np.uint8, 0, 255),
    "blstats": ((27,), np.int64, *_INT32),
    "message": ((256,), np.uint8, 0, 255),
    "program_state": ((6,), np.int32, *_INT32),
    "internal": ((9,), np.int32, *_INT32),
    "inv_glyphs": (_INVENTORY, np.int16, 0, 5976),
    "inv_strs": ((*_INVENTORY, 80), np.uint8, 0, 255),
    "inv_letters": (_INVENTORY, np.uint8, 0, 127),
    "inv_oclasses": (_INVENTORY, np.uint8, 0, 18),
    "screen_descriptions": ((*_MAP, 80), np.uint8, 0, 255),
    "tty_chars": (_SCREEN, np.uint8, 0, 255),
    "tty_colors": (_SCREEN, np.int8, 0, 31),
    "tty_cursor": ((2,), np.uint8, 0, 255),
    "misc": ((3,), np.int32, *_INT32),
}
"""The engine's arrays by NLE's names: shape, type, least and greatest value."""

RENDERED = ("tty_chars", "tty_colors", "tty_cursor")
"""The arrays that a picture of the screen is made of."""

_HIDDEN = ("program_state", "internal")  # the engine's own flags; NLE warns of them, and "all" leaves them out
PROMPTS = ("skip", "ask", "all")
RENDER_MODES = ("human", "ansi", "rgb_array")

_ROLES = {
    "arc": ("hum dwa gno", "law neu"),
    "bar": ("hum orc", "neu cha"),
    "cav": ("hum dwa gno", "law neu"),
    "hea": ("hum gno", "neu"),
    "kni": ("hum", "law"),
    "mon": ("hum", "law neu cha"),
    "pri": ("hum elf", "law neu cha"),
    "rog": ("hum orc", "cha"),
    "ran": ("hum elf gno orc", "neu cha"),
    "sam": ("hum", "law"),
    "tou": ("hum", "neu"),
    "val": ("hum dwa", "law neu"),
    "wiz": ("hum elf gno orc", "neu cha"),
}
_RACES = {"hum": "law neu cha", "elf": "cha", "dwa": "law", "gno": "neu", "orc": "cha"}

CHARACTERS: tuple[str, ...] = (
    "@",
    *(
        f"{role}-{race}-{alignment}-{gender}"
        for role, (races, alignments) in _ROLES.items()
        for race in races.split()
        for alignment in alignments.split()
        if alignment in _RACES[race].split()
        for gender in (("fem",) if role == "val" else ("mal", "fem"))
    ),
)
"""Role, race, alignment and gender as the game allows them (NetHack 3.6, role.c); ``@`` lets the seed choose."""


@dataclass(frozen=True)
class NetHackSettings:
    """The arguments of a NetHack environment: numbers, texts, lists of texts.

    Attributes:
        character: One of ``CHARACTERS``: ``"mon-hum-neu-mal"`` is a human monk, neutral and male; ``"@"`` any.
        observation: Names of ``OBSERVATIONS``, as a list or with commas between; or ``"all"``: all but the engine's
            own flags.
        actions: ``"score"``: NLE's 23; ``"keyboard"``: NLE's 121, in its order; ``"canonical"``: the 118 distinct
            bytes, ascending.
        prompts: Which questions reach the agent. ``"skip"``: ``--More--``, lines of text and most questions are
            answered for it, as NLE does by default (only what to eat, whom to attack, where to, and whether to pray is
            asked); ``"ask"``: it is asked every question of one key; ``"all"``: it sees menus, texts and ``--More--``.
        max_episode_steps: The episode is truncated at exactly this step.
        no_progress_timeout: Steps in a row in which the game's turn did not change, after which the episode is
            truncated; None for no such end.
        penalty_step: Reward of a step in which the turn did not change, beside the change of the score.
        game_options: NetHack's options, such as ``["autopickup", "pickup_types:$"]``, instead of NLE's.
        record: Folder for recordings (ttyrec3) and the list of games (xlogfile); None for none.
        render_mode: ``"human"`` prints every screen, ``"ansi"`` and ``"rgb_array"`` return it from ``render``.

    Raises:
        InputError: One of them is not among these.
    """

    character: str = "mon-hum-neu-mal"
    observation: str | Sequence[str] = "glyphs,blstats,message"
    actions: str = "score"
    prompts: str = "skip"
    max_episode_steps: int = 5000
    no_progress_timeout: int | None = None
    penalty_step: float = -0.01
    game_options: Sequence[str] | None = None
    record: str | os.PathLike[str] | None = None
    render_mode: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        require_character(self.character)
        require_name("actions", self.actions, ACTIONS)
        require_name("prompts", self.prompts, PROMPTS)
        if self.render_mode is not None:
            require_name("render_mode", self.render_mode, RENDER_MODES)
        if not isinstance(self.observation, str | list | tuple):
            raise InputError(f"observation must be names, or a list of them, not {self.observation!r}")
        for name in self.names:
            require_name("observation", name, (*OBSERVATIONS, "all"))
        if not self.names or len(set(self.names)) < len(self.names):
            raise InputError(f"observation {self.observation!r}: name at least one array, and each once")
        _require_count("max_episode_steps", self.max_episode_steps)
        if self.no_progress_timeout is not None:
            _require_count("no_progress_timeout", self.no_progress_timeout)
        if isinstance(self.penalty_step, bool) or not isinstance(self.penalty_step, int | float | np.number):
            raise InputError(f"penalty_step must be a number, not {self.penalty_step!r}")
        if not np.isfinite(self.penalty_step):
            raise InputError(f"penalty_step must be finite, not {self.penalty_step}")
        if self.game_options is not None:
            _require_options(self.game_options)
        if self.record is not None and not isinstance(self.record, str | os.PathLike):
            raise InputError(f"record must be the path of a folder, not {self.record!r}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The arrays of the observation, in the order given."""
        if self.observation == "all":
            return tuple(name for name in OBSERVATIONS if name not in _HIDDEN)
        given = self.observation.split(",") if isinstance(self.observation, str) else self.observation
        return tuple(name.strip() if isinstance(name, str) else name for name in given)

    @cached_property
    def keys(self) -> tuple[int, ...]:
        """The byte of each action."""
        return ACTIONS[self.actions]

    def observation_space(self) -> gym.spaces.Dict:
        """Return the space of the observations."""
        return gym.spaces.Dict({name: _box(name) for name in self.names})

    def action_space(self) -> gym.spaces.Discrete:
        """Return the space of the actions' numbers."""
        return gym.spaces.Discrete(len(self.keys))


CHALLENGE: dict[str, Any] = {
    "character": "@",
    "observation": "tty_chars,tty_colors,tty_cursor,blstats",
    "actions": "keyboard",
    "prompts": "all",
    "max_episode_steps": 1_000_000,
    "no_progress_timeout": 10_000,
    "penalty_step": 0.0,
}
"""Where the defaults of ``sandtable/NetHackChallenge-v0`` are others."""


class Restart(NamedTuple):
    """What the options of a reset ask for; None where they ask for nothing.

    Attributes:
        seeds: NetHack's own (core, disp), instead of those of the environment's seed.
        level_seed: Seed of the levels' layout alone.
        character: One of ``CHARACTERS``, for this episode.
    """

    seeds: tuple[int, int] | None = None
    level_seed: int | None = None
    character: str | None = None


def restart(options: Mapping[str, Any] | None) -> Restart:
    """Return what the options of a reset ask for: ``nethack_seeds``, ``level_seed`` and ``character``.

    Raises:
        InputError: There is another option, or a value cannot be.
    """
    options = options or {}
    for name in options:
        require_name("option of reset", name, ("nethack_seeds", "level_seed", "character"))
    seeds, level_seed, character = (options.get(name) for name in ("nethack_seeds", "level_seed", "character"))
    if seeds is not None:
        if not isinstance(seeds, list | tuple | np.ndarray) or len(seeds) != 2:
            raise InputError(f"nethack_seeds must be two numbers, core and disp, not {seeds!r}")
        seeds = _seed("nethack_seeds", seeds[0]), _seed("nethack_seeds", seeds[1])
    if level_seed is not None:
        level_seed = _seed("level_seed", level_seed)
    if character is not None:
        require_character(character)
    return Restart(seeds, level_seed, character)


def _seed(name: str, value: Any) -> int:
    """Return a seed of NetHack, or refuse it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < 2**63:
        raise InputError(f"{name}: a seed is a whole number in [0, 2**63), not {value!r}")
    return int(value)


def require_character(character: object) -> None:
    """Raise InputError unless it is one of ``CHARACTERS``."""
    if character not in CHARACTERS:
        raise InputError(
            f"character {character!r}: write role-race-alignment-gender as NetHack allows them, such as "
            "mon-hum-neu-mal or val-dwa-law-fem, or @ for any"
        )


def _require_count(name: str, value: Any) -> None:
    """Raise InputError unless the value is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer) or value < 1 or value != int(value):
        raise InputError(f"{name} must be a whole number, at least 1, not {value!r}")


def _require_options(options: Sequence[str]) -> None:
    """Raise InputError unless it is a list of options of NetHack that leave the character alone."""
    if not isinstance(options, list | tuple):
        raise InputError(f"game_options must be a list of texts, not {options!r}")
    for option in options:
        if not isinstance(option, str) or not option or set(option) & set(",\n\0") or not option.isascii():
            raise InputError(f"game_options: {option!r} is no option; write one in each text, without commas")
        if option.split(":")[0].strip() in ("name", "role", "race", "gender", "align"):
            raise InputError(f"game_options: {option!r} belongs in the argument character")


def _box(name: str) -> gym.spaces.Box:
    """Return the space of one array."""
    shape, dtype, low, high = OBSERVATIONS[name]
    return gym.spaces.Box(low, high, shape, dtype)
