"""From recordings to a cache of decoded frames: each game is played once on nle's terminal, then all are put together.

The cache is a folder:

    manifest.json           schema, number of frames, the bytes of the 118 keys, and the games
    game_offset.npy         int64 [G + 1], where the frames of a game begin
    frame_offset.npy        int64 [F + 1], where the changed cells of a frame begin
    position, character, colour    uint16, uint8, uint8: the changed cells (see ``cells``)
    cursor, key, score, time, sent    uint8 [F, 2], uint8 [F], int32 [F], int64 [F], uint8 [F]

``key`` is a key's number, 255 for a byte that is none; ``sent`` who pressed it: 0 the agent, 1 a layer at a prompt, 2 a
layer that quit the game, 3 nobody knows.

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
from sandtable.simulators.nethack.cells import KEY_FRAME, Changes
from sandtable.simulators.nethack.keyboard import CANONICAL_BYTES, KEY_OF_BYTE, UNKNOWN_KEY
from sandtable.simulators.nethack.screens import read_screens
from sandtable.simulators.nethack.sources import MANIFEST, SCHEMA, Recording, find_recordings
from sandtable.simulators.nethack.ttyrec import first_unknown_key, require_sound

CELL_ARRAYS: dict[str, type] = {"position": np.uint16, "character": np.uint8, "colour": np.uint8}
FRAME_ARRAYS: dict[str, type] = {"cursor": np.uint8, "key": np.uint8, "score": np.int32, "time": np.int64}
AGENT, LAYER_AT_PROMPT, LAYER_QUITS, NOBODY_KNOWS = range(4)
UnknownKeys = Literal["error", "mask"]
Spread = Callable[[Callable[["Job"], str | None], Iterable["Job"]], Iterable[str | None]]
"""What calls a function on each of many jobs, such as the built-in ``map``."""

_TURN = re.compile(rb"T:(\d+)")
_QUIT = re.compile(rb"\xf1y[ \x1b\r]*\Z")
"""How NLE ends a game that is not over: M-q, y, and whatever dismisses what is then shown."""


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
        manifest = _assemble(recordings, parts, partial / "cache")
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


def who_pressed(key: np.ndarray, sent: tuple[tuple[int, int], ...] | None) -> np.ndarray:
    """Return who pressed each key of a game, uint8 [T].

    Args:
        key: The numbers of the keys, uint8 [T].
        sent: (position, kind) of the keys that a layer sent; None if nobody wrote that down. Then only keys can be told
            by which NLE quits a game that is not over.
    """
    if sent is None:
        who = np.full(len(key), NOBODY_KNOWS, np.uint8)
        table = np.array([*CANONICAL_BYTES, *[0] * (256 - len(CANONICAL_BYTES))], np.uint8)
        quitting = _QUIT.search(table[key[-100:]].tobytes())
        if quitting:
            who[len(who) - (quitting.end() - quitting.start()) :] = LAYER_QUITS
        return who
    who = np.full(len(key), AGENT, np.uint8)
    for position, kind in sent:
        if position < len(who):
            who[position] = kind
    return who


def is_complete(score: np.ndarray, turn: int, account_turns: int | None) -> bool:
    """Tell whether a recording goes to the end of its game: to the final score 0, and to NetHack's last turn.

    Args:
        score: int32 [T].
        turn: The last turn that was shown, -1 if none was.
        account_turns: How many turns NetHack counted; None if unknown. Then a score must have been lost at the end.
    """
    if score[-1] != 0:
        return False
    return bool((score > 0).any()) if account_turns is None or turn < 0 else turn >= account_turns


def _require_known(recording: Recording, key: np.ndarray) -> None:
    if (key == UNKNOWN_KEY).any():
        where = first_unknown_key(recording.path, recording.version)
        raise InputError(f"{where} is none of the keyboard's 118; with --unknown-keys mask it is masked")


def _assemble(recordings: list[Recording], parts: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Write the arrays of all games, then the manifest, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    sizes, counts, games = [], [], []
    for one in recordings:
        with np.load(parts[one.sha256]) as part:
            score, turn = part["score"], int(part["turn"])
            counts.append(part["count"])
        sizes.append(len(score))
        account = one.account
        games.append(
            {
                "id": one.id,
                "source": str(one.path),
                "sha256": one.sha256,
                "frames": len(score),
                "complete": is_complete(score, turn, account.turns if account else None),
                "role": account.role if account else None,
                "race": account.race if account else None,
                "score": account.points if account else None,
                "turns": account.turns if account else None,
            }
        )
    frames, cells = sum(sizes), int(sum(count.sum() for count in counts))
    np.save(folder / "game_offset.npy", np.cumsum([0, *sizes], dtype=np.int64))
    np.save(folder / "frame_offset.npy", np.cumsum(np.concatenate([[0], *counts]), dtype=np.int64))
    types: dict[str, type] = CELL_ARRAYS | FRAME_ARRAYS | {"sent": np.uint8}
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context((folder / f"{name}.npy").open("wb")) for name in types}
        for name, kind in types.items():
            shape = (cells,) if name in CELL_ARRAYS else (frames, 2) if name == "cursor" else (frames,)
            _write_header(files[name], np.dtype(kind), shape)
        for one in recordings:
            with np.load(parts[one.sha256]) as part:
                for name in CELL_ARRAYS | FRAME_ARRAYS:
                    files[name].write(part[name].data)
                files["sent"].write(who_pressed(part["key"], one.sent).data)
    manifest = {"schema": SCHEMA, "frames": frames, "keys": list(CANONICAL_BYTES), "games": games}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _write_header(file: IO[bytes], kind: np.dtype, shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


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
