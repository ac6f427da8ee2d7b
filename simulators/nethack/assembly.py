"""How decoded games are put together into a cache (see ``cache``), with what is known of each."""

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import IO, Any

import numpy as np

from sandtable.simulators.nethack.cache import (
    AGENT,
    CELL_ARRAYS,
    FRAME_ARRAYS,
    LAYER_QUITS,
    MANIFEST,
    NOBODY_KNOWS,
    SCHEMA,
)
from sandtable.simulators.nethack.keyboard import CANONICAL_BYTES
from sandtable.simulators.nethack.sources import Recording

_QUIT = re.compile(rb"\xf1y[ \x1b\r]*\Z")
"""How NLE ends a game that is not over: M-q, y, and whatever dismisses what is then shown."""


def assemble(recordings: list[Recording], parts: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Write a cache.

    Args:
        recordings: The games, in their order.
        parts: The file of each game's arrays, by the SHA-256 of its recording (see ``import_games.decode``).
        folder: The cache; what is there is removed.

    Returns:
        The manifest.

    Raises:
        OSError: A file cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    games, counts = [], [np.zeros(1, np.int64)]
    for one in recordings:
        with np.load(parts[one.sha256]) as part:
            counts.append(part["count"])
            games.append(_entry(one, part["score"], int(part["turn"])))
    frame_offset = np.cumsum(np.concatenate(counts))
    np.save(folder / "game_offset.npy", np.cumsum([0, *(game["frames"] for game in games)], dtype=np.int64))
    np.save(folder / "frame_offset.npy", frame_offset)
    frames, cells = len(frame_offset) - 1, int(frame_offset[-1])
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


def _entry(recording: Recording, score: np.ndarray, turn: int) -> dict[str, Any]:
    """Return what the manifest tells of a game with these scores, int32 [T], that shows ``turn`` last."""
    account = recording.account
    return {
        "id": recording.id,
        "source": str(recording.path),
        "sha256": recording.sha256,
        "frames": len(score),
        "complete": is_complete(score, turn, account.turns if account else None),
        "role": account.role if account else None,
        "race": account.race if account else None,
        "score": account.points if account else None,
        "turns": account.turns if account else None,
    }


def _write_header(file: IO[bytes], kind: np.dtype, shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


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
