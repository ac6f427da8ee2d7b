"""What is in recorded games, or in a cache of them, and what is wrong with it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.cache import ARRAYS, NOBODY_KNOWS
from sandtable.simulators.nethack.cells import CELLS
from sandtable.simulators.nethack.games import Games
from sandtable.simulators.nethack.keyboard import KEY_NAMES, KEYS, UNKNOWN_KEY
from sandtable.simulators.nethack.screens import COLUMNS, ROWS
from sandtable.simulators.nethack.sources import find_recordings
from sandtable.simulators.nethack.ttyrec import first_unknown_key, keys_of, require_sound

_BLOCK = 2**22  # entries that are checked at a time
_SENT = ("agent", "layer_at_prompt", "layer_quits", "unknown")


def examine_recordings(path: Path, describe: bool) -> dict[str, Any]:
    """Return what was found in recorded games: warnings, and if asked what is there. It needs no nle.

    Raises:
        InputError: A recording cannot be used.
    """
    recordings, warnings = find_recordings([path])
    keys = []
    for one in recordings:
        keys.append(keys_of(require_sound(one.path, one.version), one.path, one.version))
        unknown = int((keys[-1] == UNKNOWN_KEY).sum())
        if unknown:
            where = first_unknown_key(one.path, one.version)
            warnings.append(f"{where} is none of the keyboard's {KEYS}, the first of {unknown:,} such keys")
    if not describe:
        return {"warnings": warnings}
    pressed = np.concatenate(keys)
    return {
        "warnings": warnings,
        "games": len(recordings),
        "frames": len(pressed),
        "ttyrec_versions": sorted({one.version for one in recordings}),
        "with_xlogfile": sum(one.account is not None for one in recordings),
        "with_game_json": sum(one.sent is not None for one in recordings),
        **_keys(pressed),
        "frames_by_game": {one.id: len(key) for one, key in zip(recordings, keys, strict=True)},
    }


def examine_cache(path: Path, describe: bool) -> dict[str, Any]:
    """Return what is in a cache, after each of its arrays was read.

    Raises:
        InputError: It disagrees with its manifest, or holds what no game can.
    """
    games = Games.open(path)
    _require_sound_arrays(games)
    if not describe:
        return {"warnings": []}
    entries, arrays = games.manifest["games"], games.arrays
    sent = np.bincount(arrays["sent"], minlength=len(_SENT))
    return {
        "warnings": [],
        "games": len(entries),
        "complete": sum(game["complete"] for game in entries),
        "frames": games.frames,
        "bytes_per_frame": round(sum((path / f"{name}.npy").stat().st_size for name in ARRAYS) / games.frames, 1),
        "changed_cells_per_frame": round(len(arrays["position"]) / games.frames, 1),
        "roles": dict(sorted(Counter(game["role"] or "unknown" for game in entries).items())),
        **_keys(arrays["key"]),
        "pressed_by": {name: int(count) for name, count in zip(_SENT, sent, strict=True) if count},
        "frames_by_game": {game["id"]: game["frames"] for game in entries},
    }


def _keys(key: np.ndarray) -> dict[str, Any]:
    """Return which keys occur, and how often the most frequent ones do."""
    counts = np.bincount(key, minlength=256)
    frequent = [int(one) for one in np.argsort(-counts[:KEYS], kind="stable")[:5] if counts[one]]
    return {
        "distinct_keys": int((counts[:KEYS] > 0).sum()),
        "unknown_keys": int(counts[UNKNOWN_KEY]),
        "most_frequent_keys": {KEY_NAMES[one]: round(float(counts[one] / len(key)), 4) for one in frequent},
    }


def _require_sound_arrays(games: Games) -> None:
    """Raise unless the entries of each array are in their range.

    Raises:
        InputError: The first file with one that is not, and its place.
    """
    arrays = games.arrays
    for start in range(0, games.frames, _BLOCK):
        falling = np.flatnonzero(np.diff(arrays["frame_offset"][start : start + _BLOCK + 1]) < 0)
        _require_none(games, "frame_offset", start, falling, "fewer changed cells than none")
        key = arrays["key"][start : start + _BLOCK]
        _require_none(games, "key", start, np.flatnonzero((key >= KEYS) & (key != UNKNOWN_KEY)), "no key's number")
        sent = arrays["sent"][start : start + _BLOCK]
        _require_none(games, "sent", start, np.flatnonzero(sent > NOBODY_KNOWS), "none of 0 to 3")
        outside = (arrays["cursor"][start : start + _BLOCK] >= (ROWS, COLUMNS)).any(1)
        _require_none(games, "cursor", start, np.flatnonzero(outside), "outside the screen")
    for start in range(0, len(arrays["position"]), _BLOCK):
        outside = arrays["position"][start : start + _BLOCK] >= CELLS
        _require_none(games, "position", start, np.flatnonzero(outside), "outside the screen")
        colour = arrays["colour"][start : start + _BLOCK]
        _require_none(games, "colour", start, np.flatnonzero(colour >= 32), "no colour")


def _require_none(games: Games, name: str, start: int, places: np.ndarray, wrong: str) -> None:
    if len(places):
        place = start + int(places[0])
        raise InputError(f"{games.folder / f'{name}.npy'}: entry {place:,} is {wrong}; import the recordings again")
