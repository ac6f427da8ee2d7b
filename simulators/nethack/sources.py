"""Which recorded games lie in folders, and what is written beside them.

A game is a file of terminal frames and keys (``nle.<process>.<episode>.ttyrec3.bz2``). Beside it may lie NetHack's own
account of finished games (``nle.<process>.xlogfile``, a line a game) and, for games that this package recorded,
``game.json``. Games are found by their files: one without an account is a game all the same.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.ttyrec import require_keys, version_of

GAME_FILE, GAME_SCHEMA = "game.json", "sandtable.nethack-game/1"


@dataclass(frozen=True)
class Account:
    """What NetHack wrote of a finished game.

    Attributes:
        role: Three letters, for example ``"Mon"``.
        race: Three letters.
        points: The final score.
        turns: How many turns it took.
    """

    role: str
    race: str
    points: int
    turns: int


@dataclass(frozen=True)
class Recording:
    """A recorded game.

    Attributes:
        path: The file.
        version: 3 or 4.
        id: Its name: that of its folder, with the file's own name behind where the folder holds several games.
        sha256: Of the file.
        account: What NetHack wrote of it, None if it wrote nothing.
        sent: (position, kind) of the keys that a layer and not the agent sent, by ``game.json``; None without one.
    """

    path: Path
    version: int
    id: str
    sha256: str
    account: Account | None
    sent: tuple[tuple[int, int], ...] | None


def find_recordings(sources: Sequence[Path]) -> tuple[list[Recording], list[str]]:
    """Return the recorded games of files and folders, in the order of their ids, and warnings.

    Args:
        sources: Files, or folders with games at any depth; all games of a folder are of one ttyrec version.

    Raises:
        InputError: A source is not there, is empty, mixes versions, or holds games without keys.
    """
    found: list[Recording] = []
    warnings: list[str] = []
    for path in dict.fromkeys(path for source in sources for path in _files(source)):
        account, warning = read_account(path)
        warnings += [warning] if warning else []
        found.append(Recording(path, require_keys(path), "", _sha256(path), account, read_sent(path)))
    first: dict[str, Recording] = {}
    for one in found:
        if one.sha256 in first:
            warnings.append(f"{one.path}: the same game as {first[one.sha256].path}; it is taken once")
        first.setdefault(one.sha256, one)
    named = [replace(one, id=name) for one, name in zip(first.values(), _ids(first.values()), strict=True)]
    return sorted(named, key=lambda one: natural(one.id)), warnings


def natural(name: str) -> tuple[Any, ...]:
    """Return what sorts names by the numbers in them: ``"2"`` before ``"10"``."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part)


def is_source(path: Path) -> bool:
    """Tell whether a path is a recorded game, or a folder with one."""
    if path.is_dir():
        return any(True for _ in path.rglob("*.ttyrec*.bz2"))
    return path.is_file() and version_of(path) is not None


def read_account(recording: Path) -> tuple[Account | None, str | None]:
    """Return what NetHack wrote of a game, and a warning where it wrote nothing that can be used."""
    process = re.sub(r"\.\d+\.ttyrec\d*\.bz2$", "", recording.name)
    path = recording.with_name(f"{process}.xlogfile")
    if not path.is_file():
        return None, f"{recording}: no {path.name} beside it; role, race, score and turns are unknown"
    rows = [
        dict(field.split("=", 1) for field in line.split("\t") if "=" in field)
        for line in path.read_text(encoding="latin-1").splitlines()
        if line.strip()
    ]
    alone = len(rows) == 1 and "ttyrecname" not in rows[0]
    row = next((row for row in reversed(rows) if alone or row.get("ttyrecname") == recording.name), None)
    if row is None:
        reason = "is empty" if not rows else f"has no line of {recording.name}"
        return None, f"{path}: the file {reason}; role, race, score and turns are unknown"
    try:
        return Account(row["role"], row["race"], int(row["points"]), int(row["turns"])), None
    except (KeyError, ValueError):
        return None, f"{path}: the line of {recording.name} cannot be read; role, race, score and turns are unknown"


def read_sent(recording: Path) -> tuple[tuple[int, int], ...] | None:
    """Return which keys a layer sent, as the game's ``game.json`` says; None where there is none.

    Raises:
        InputError: The file is no account of a game.
    """
    path = recording.with_name(GAME_FILE)
    if not path.is_file():
        return None
    try:
        game = json.loads(path.read_text(encoding="utf-8"))
        if game["schema"] != GAME_SCHEMA:
            raise InputError(f"{path}: schema {game['schema']!r} instead of {GAME_SCHEMA!r}; record the game again")
        sent = tuple((int(position), int(kind)) for position, kind in game["sent"])
    except InputError:
        raise
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not the account of a recorded game; record it again, or remove the file") from None
    if any(position < 0 or kind not in (1, 2) for position, kind in sent):
        raise InputError(f"{path}: 'sent' must hold pairs of a position and 1 or 2; record the game again")
    return sent


def _files(source: Path) -> list[Path]:
    """Return the recordings of a source, sorted by the numbers in their paths."""
    if not source.exists():
        raise InputError(f"{source}: there is no such file or folder")
    if not source.is_dir():
        return [source]
    found = sorted((path for path in source.rglob("*.ttyrec*.bz2") if path.is_file()), key=lambda p: natural(str(p)))
    if not found:
        raise InputError(f"{source}: no recorded game is in it (*.ttyrec3.bz2 or *.ttyrec4.bz2)")
    example = {version_of(path): path for path in reversed(found)}
    if len(example) > 1:
        one, other = sorted(example.items(), key=lambda item: item[0] or 0)[:2]
        versions = f"{one[1]} is ttyrec{one[0]}, {other[1]} is ttyrec{other[0]}"
        raise InputError(f"{source}: mixed versions: {versions}; put each version into a folder of its own")
    return found


def _ids(recordings: Iterable[Recording]) -> list[str]:
    """Return a name for each game, as short as they stay distinct."""
    paths = [one.path.absolute() for one in recordings]
    folders = Counter(path.parent for path in paths)
    short = [
        path.parent.name if folders[path.parent] == 1 else f"{path.parent.name}/{path.name.split('.ttyrec')[0]}"
        for path in paths
    ]
    times = Counter(short)
    return [name if times[name] == 1 else str(path) for name, path in zip(short, paths, strict=True)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
