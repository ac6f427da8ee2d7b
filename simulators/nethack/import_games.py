"""From recordings to a cache of decoded frames: each game is played once on nle's terminal, then all are put together.

While games are imported, those that are done lie in a folder beside it, ``<cache>.partial``, each a file named by the
SHA-256 of its recording. So an import that was cut goes on where it stopped, to the same bytes. The cache itself
appears all at once.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.nethack.assembly import assemble
from sandtable.simulators.nethack.cache import CELL_ARRAYS, FRAME_ARRAYS, MANIFEST
from sandtable.simulators.nethack.cells import KEY_FRAME, Changes
from sandtable.simulators.nethack.keyboard import KEY_OF_BYTE, UNKNOWN_KEY
from sandtable.simulators.nethack.screens import read_screens
from sandtable.simulators.nethack.sources import Recording, find_recordings
from sandtable.simulators.nethack.ttyrec import first_unknown_key, require_sound

UnknownKeys = Literal["error", "mask"]
Spread = Callable[[Callable[["Job"], str | None], Iterable["Job"]], Iterable[str | None]]
"""What calls a function on each of many jobs, such as the built-in ``map``."""

_TURN = re.compile(rb"T:(\d+)")


@dataclass(frozen=True)
class Job:
    """A game to be decoded.

    Attributes:
        recording: The game.
        part: The file to be written.
        unknown_keys: Whether a byte that is no key is an error.
    """

    recording: Recording
    part: Path
    unknown_keys: UnknownKeys


def import_games(
    sources: list[Path],
    cache: Path,
    unknown_keys: UnknownKeys = "error",
    spread: Spread = map,
    progress: Callable[[int, int], None] = lambda done, games: None,
) -> tuple[dict[str, Any], list[str]]:
    """Decode recorded games into a cache; games that were decoded before an interruption are not decoded again.

    Args:
        sources: Files and folders.
        cache: The folder to be made; one that holds these games already is left as it is.
        unknown_keys: Whether a byte that is no key is an error, or only left out of the mask.
        spread: How the games are decoded: one after the other, or by many processes.
        progress: Called with the number of games that are done, and of all.

    Returns:
        The manifest, and warnings.

    Raises:
        InputError: A source cannot be used, or the folder holds something else.
        MissingExtraError: nle is not installed.
        OSError: A file cannot be written; the disk is full.
    """
    if find_spec("nle") is None:
        raise MissingExtraError("reading recorded games", "nethack")
    recordings, warnings = find_recordings(sources)
    there = _there(cache, recordings)
    if there is not None:
        return there, warnings
    partial = cache.absolute().with_name(f"{cache.absolute().name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        parts = {one.sha256: partial / f"{one.sha256}.npz" for one in recordings}
        jobs = []
        for one in recordings:
            if not parts[one.sha256].is_file():
                jobs.append(Job(one, parts[one.sha256], unknown_keys))
            elif unknown_keys == "error":  # an import that masks may have been interrupted
                with np.load(parts[one.sha256]) as part:
                    _require_known(one, part["key"])
        _decode_all(jobs, spread, lambda done: progress(len(recordings) - len(jobs) + done, len(recordings)))
        manifest = assemble(recordings, parts, partial / "cache")
        if cache.is_dir():
            cache.rmdir()
        os.rename(partial / "cache", cache)
        shutil.rmtree(partial, ignore_errors=True)
        return manifest, warnings
    finally:
        _tidy(partial)


def _decode_all(jobs: list[Job], spread: Spread, progress: Callable[[int], None]) -> None:
    """Decode games; at the first that cannot be, those that are under way are given up."""
    refusals = iter(spread(decode, jobs))
    try:
        for done, refusal in enumerate(refusals, start=1):
            if refusal:
                raise InputError(refusal)
            progress(done)
    finally:
        if isinstance(refusals, Generator):
            refusals.close()


def decode(job: Job) -> str | None:
    """Write the part of a game; return what is wrong with its recording, or that the disk is full."""
    try:
        with _native_errors_silenced():
            arrays = _decoded(job.recording)
        if job.unknown_keys == "error":
            _require_known(job.recording, arrays["key"])
        _write_atomically(job.part, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    except InputError as error:
        return str(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        return f"{job.part.parent}: the disk is full; free some space and run the same command again"
    return None


def _decoded(recording: Recording) -> dict[str, np.ndarray]:
    """Return the arrays of a game: the cells and what comes with each frame, ``count`` cells a frame, the last turn."""
    types: dict[str, type] = {"count": np.int64} | CELL_ARRAYS | FRAME_ARRAYS
    columns: dict[str, list[np.ndarray]] = {name: [] for name in types}
    changes, turn = Changes(), -1
    for screens in read_screens(recording.path, recording.version, KEY_FRAME):
        found = changes.find(screens.chars, screens.colours)
        fields = (*found, screens.cursor, KEY_OF_BYTE[screens.key], screens.score, screens.time)
        for (name, kind), field in zip(types.items(), fields, strict=True):
            columns[name].append(field.astype(kind))
        turn = _last_turn(screens.chars, turn)
    if not columns["key"]:
        require_sound(recording.path, recording.version)
        raise InputError(f"{recording.path}: no key is recorded with an answer; leave the file out")
    return {name: np.concatenate(blocks) for name, blocks in columns.items()} | {"turn": np.array(turn)}


def _last_turn(chars: np.ndarray, before: int) -> int:
    """Return the last turn that the bottom line of a block of screens shows; ``before`` if none does."""
    for screen in chars[::-1, -2:]:
        shown = _TURN.search(screen.tobytes())
        if shown:
            return int(shown[1])
    return before


def _require_known(recording: Recording, key: np.ndarray) -> None:
    if (key == UNKNOWN_KEY).any():
        where = first_unknown_key(recording.path, recording.version)
        raise InputError(f"{where} is none of the keyboard's 118; with --unknown-keys mask it is masked")


def _there(cache: Path, recordings: list[Recording]) -> dict[str, Any] | None:
    """Return the manifest of a cache that holds these games; None where there is nothing yet.

    Raises:
        InputError: Something else is there.
    """
    if not cache.exists() or (cache.is_dir() and not any(cache.iterdir())):
        return None
    other = f"{cache}: something else is there already; name another folder, or remove it"
    try:
        manifest = json.loads((cache / MANIFEST).read_text(encoding="utf-8"))
        games = [(game["id"], game["sha256"]) for game in manifest["games"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(other) from None
    if games != [(one.id, one.sha256) for one in recordings]:
        raise InputError(f"{cache}: a cache of other games is there already; name another folder, or remove it")
    return dict(manifest)


def _write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Let ``write`` fill a file that appears under its name when it is whole."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")  # a process of a killed import may go on
    try:
        with unfinished.open("wb") as file:
            write(file)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _tidy(partial: Path) -> None:
    """Remove what is unfinished, and the folder if nothing finished is in it."""
    shutil.rmtree(partial / "cache", ignore_errors=True)
    for unfinished in partial.glob("*.tmp"):
        unfinished.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        partial.rmdir()


@contextlib.contextmanager
def _native_errors_silenced() -> Iterator[None]:
    """Let what the converter prints on the terminal go nowhere: what is wrong is said in one line, by an error."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
