"""Games recorded to files, a folder a game: what the command line calls.

    OUT/<seed>/
        nle.<n>.<game>.ttyrec3.bz2    screens, keys and scores, as nle.dataset reads them
        nle.<n>.xlogfile              how the game ended, in NetHack's words
        game.json                     what was played, and which of the keys were not the policy's

A game is played in a folder of another name, gets its ``game.json`` when it has ended, and its own name last: so what
is there is whole, and a recording that was killed goes on with the games that are missing.
"""

import errno
import functools
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym

from sandtable.analysis.play.environment import EnvironmentChoice
from sandtable.analysis.play.games import GameRow, close_quietly
from sandtable.analysis.play.prepared import Prepared
from sandtable.analysis.play.process import Job
from sandtable.analysis.play.settings import GameSettings
from sandtable.analysis.play.workers import played
from sandtable.analysis.store import to_plain, write_atomically
from sandtable.envs.nethack.engine import LONGEST_PATH
from sandtable.simulators.errors import InputError

GAME, SCHEMA, SUMMARY = "game.json", "sandtable.nethack-game/1", "sandtable.recording/1"
_UNFINISHED = re.compile(r"\.\d+\.(\d+)\.tmp")  # the seed and the process that plays it


def about(prepared: Prepared) -> dict[str, Any]:
    """Return what all games of a recording have in common, as ``game.json`` tells it."""
    return {
        "schema": SCHEMA,
        "environment": prepared.choice.id,
        "arguments": prepared.choice.told,
        "policy": prepared.policy,
        "deterministic": prepared.options.deterministic,
        "policy_sha256": hashlib.sha256(prepared.source.encode()).hexdigest(),
        "versions": prepared.versions,
    }


def record(
    folder: Path,
    prepared: Prepared,
    settings: GameSettings,
    progress: Callable[[int, int, dict[str, Any]], None] = lambda done, games, row: None,
) -> dict[str, Any]:
    """Play and record the games that are missing in a folder.

    Args:
        folder: ``OUT``; made if it is not there.
        prepared: The environment and the policy.
        settings: Which games.
        progress: Told how many games there are, of how many.

    Returns:
        What ``sandtable data record --json`` prints.

    Raises:
        InputError: The environment does not record, the folder holds other games, or it cannot be written to.
    """
    common = about(prepared)
    if not prepared.nethack:
        raise InputError(
            f"--env {prepared.choice.id}: it cannot record its games; sandtable/NetHackScore-v0 and "
            "sandtable/NetHackChallenge-v0 can"
        )
    seeds = range(settings.seed, settings.seed + settings.games)
    longest = len(os.fsencode(_place(folder.absolute(), seeds[-1], 2**22)))
    if longest > LONGEST_PATH:
        raise InputError(f"{folder}: a path of {longest} bytes, with the names in it, is too long for NetHack")
    missing = [seed for seed in seeds if not recorded(folder, seed, common)]
    done = settings.games - len(missing)
    lost = []
    progress(done, settings.games, {})
    if missing:
        for seed in missing:
            shutil.rmtree(folder / str(seed), ignore_errors=True)  # one that is not whole, as was looked into
        sweep(folder)
        host = functools.partial(Recorded, folder=folder.absolute(), common=common)
        job = Job(prepared.choice, prepared.policy, prepared.options, host)
        for row in played(job, missing, settings.workers, settings.workers):
            if row.lost:
                lost.append({"seed": row.seed, "reason": row.reason})
            done += 1
            progress(done, settings.games, {})
        sweep(folder)
    return {
        "schema": SUMMARY,
        "folder": str(folder),
        "env": prepared.choice.id,
        "arguments": common["arguments"],
        "policy": prepared.policy,
        "seeds": [seeds[0], seeds[-1]],
        "games": settings.games - len(lost),
        "recorded": len(missing) - len(lost),
        "lost": sorted(lost, key=lambda one: one["seed"]),
        "versions": prepared.versions,
    }


def recorded(folder: Path, seed: int, common: dict[str, Any]) -> bool:
    """Tell whether a game is there, whole.

    Args:
        folder: ``OUT``.
        seed: Of the game.
        common: What it must have been recorded with, see ``about``; of the versions those of the engine.

    Raises:
        InputError: There is another game, or something that is no part of one.
    """
    place = folder / str(seed)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: this is a file; name a folder")
    if not place.exists():
        return False
    try:
        told = json.loads((place / GAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        foreign = [path.name for path in place.iterdir() if not path.name.startswith("nle.")]
        if foreign:
            raise InputError(f"{place}: {foreign[0]} is no part of a recorded game; name another folder") from None
        return False
    except (OSError, ValueError) as error:
        raise InputError(f"{place / GAME}: it cannot be read; remove {place}, or name another folder") from error
    theirs, ours = (_compared(one) for one in (told if isinstance(told, dict) else {}, to_plain(common)))
    for name, value in ours.items():
        if theirs.get(name) != value:
            said = f"it was recorded with {name} {theirs.get(name)!r}, not {value!r}"
            raise InputError(f"{place / GAME}: {said}; name another folder")
    return True


def _compared(told: dict[str, Any]) -> dict[str, Any]:
    """Return what two games of one recording must have in common."""
    engine = told.get("versions") or {}
    return {**told, "versions": {name: engine.get(name) for name in ("nle", "nethack")}}


def _place(folder: Path, seed: int, process: int) -> Path:
    """Return where a process plays a game, until it has ended."""
    return folder / f".{seed}.{process}.tmp"


def sweep(folder: Path) -> None:
    """Remove what processes left behind that were killed in the middle of a game."""
    for place in folder.glob(".*.tmp"):
        name = _UNFINISHED.fullmatch(place.name)
        if name and not _lives(int(name[1])):
            shutil.rmtree(place, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Recorded:
    """Gives every game an environment and a folder of its own; see ``games.Host``.

    Args:
        choice: The environment.
        folder: ``OUT``.
        common: What ``game.json`` tells of all games.
    """

    def __init__(self, choice: EnvironmentChoice, folder: Path, common: dict[str, Any]) -> None:
        self.choice, self.folder, self.common = choice, folder, common
        self._open: dict[int, tuple[gym.Env[Any, Any], Path]] = {}

    def begin(self, seed: int) -> gym.Env[Any, Any]:
        """See ``Host``."""
        place = _place(self.folder, seed, os.getpid())
        env = self.choice.make(record=str(place))
        self._open[seed] = env, place
        return env

    def end(self, env: gym.Env[Any, Any], row: GameRow) -> None:
        """See ``Host``; a game that was lost leaves nothing.

        Raises:
            InputError: The files could not be written whole.
        """
        _, place = self._open[row.seed]
        if row.lost:
            self._drop(row.seed)
            return
        env.close()  # ends the files; keys that this takes are told of, too
        game = env.unwrapped.game  # type: ignore[attr-defined]
        told = self.common | {
            "seed": row.seed,
            "nethack_seeds": list(game.seeds),
            "score": row.score,
            "return": row.total,
            "length": row.length,
            "end": row.end,
            "sent": [list(one) for one in game.sent],
        }
        write_atomically(place / GAME, json.dumps(to_plain(told), allow_nan=False) + "\n")
        del self._open[row.seed]
        try:
            place.rename(self.folder / str(row.seed))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(place)  # another process has recorded the same game meanwhile

    def close(self) -> None:
        """See ``Host``."""
        for seed in list(self._open):
            self._drop(seed)

    def _drop(self, seed: int) -> None:
        env, place = self._open.pop(seed)
        close_quietly(env)
        shutil.rmtree(place, ignore_errors=True)
