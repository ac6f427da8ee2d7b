"""The format of a cache of decoded games, and how one is opened.

The cache is a folder:

    manifest.json           schema, number of frames, the bytes of the 118 keys, and the games
    game_offset.npy         int64 [G + 1], where the frames of a game begin
    frame_offset.npy        int64 [F + 1], where the changed cells of a frame begin
    position, character, colour    uint16, uint8, uint8: the changed cells (see ``cells``)
    cursor, key, score, time, sent    uint8 [F, 2], uint8 [F], int32 [F], int64 [F], uint8 [F]

``key`` is a key's number, 255 for a byte that is none; ``sent`` who pressed it: 0 the agent, 1 a layer at a prompt, 2 a
layer that quit the game, 3 nobody knows.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.keyboard import CANONICAL_BYTES, KEYS

MANIFEST, SCHEMA = "manifest.json", "sandtable.nethack-cache/1"
CELL_ARRAYS: dict[str, type] = {"position": np.uint16, "character": np.uint8, "colour": np.uint8}
"""Arrays with an entry a changed cell, and their types."""
FRAME_ARRAYS: dict[str, type] = {"cursor": np.uint8, "key": np.uint8, "score": np.int32, "time": np.int64}
"""Arrays with an entry a frame, as far as a recording tells them."""
ARRAYS: dict[str, type] = {
    "game_offset": np.int64,
    "frame_offset": np.int64,
    **CELL_ARRAYS,
    **FRAME_ARRAYS,
    "sent": np.uint8,
}
"""All arrays."""
AGENT, LAYER_AT_PROMPT, LAYER_QUITS, NOBODY_KNOWS = range(4)
"""Who pressed a key: the entries of ``sent``."""


def is_cache(path: Path) -> bool:
    """Tell whether a path is a cache of imported games, by its manifest or the first of its arrays."""
    try:
        return (path / "game_offset.npy").is_file() or SCHEMA in (path / MANIFEST).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def map_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a cache, mapped into memory, by the names of ``ARRAYS``.

    Raises:
        InputError: One is missing, or of another type.
    """
    return {name: _mapped(folder / f"{name}.npy", kind) for name, kind in ARRAYS.items()}


def _mapped(path: Path, kind: type) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: the file is missing; import the recordings again") from None
    except (ValueError, EOFError):
        raise InputError(f"{path}: truncated, or not a .npy file; import the recordings again") from None
    if array.dtype != kind:
        raise InputError(f"{path}: {array.dtype} instead of {np.dtype(kind)}; import the recordings again")
    return np.asarray(array)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what ``manifest.json`` holds.

    Raises:
        InputError: It is missing, or not of this schema.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known = manifest["schema"] == SCHEMA
        sound = {"frames", "keys", "games"} <= set(manifest) and all(
            {"id", "source", "sha256", "frames", "complete"} <= set(game) for game in manifest["games"]
        )
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: not a cache of games, it has no {MANIFEST}; see sandtable data import") from None
    except (ValueError, KeyError, TypeError):
        known = sound = False
    if not known:
        raise InputError(f"{path}: not a manifest of schema {SCHEMA}; import the recordings again")
    if not sound:
        raise InputError(f"{path}: something is missing in the manifest; import the recordings again")
    if manifest["keys"] != list(CANONICAL_BYTES):
        raise InputError(f"{path}: other keys than the keyboard's {KEYS}; import the recordings again")
    return dict(manifest)


def require_agreement(folder: Path, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Raise unless the arrays have the sizes that the manifest tells.

    Raises:
        InputError: The first file that has not.
    """
    lengths = [game["frames"] for game in manifest["games"]]
    frames, cells = manifest["frames"], len(arrays["position"])
    again = "; import the recordings again"
    if not lengths or min(lengths) < 1 or sum(lengths) != frames:
        raise InputError(f"{folder / MANIFEST}: the games have {sum(lengths):,} frames, not {frames:,}{again}")
    if not np.array_equal(arrays["game_offset"], np.cumsum([0, *lengths])):
        raise InputError(f"{folder / 'game_offset.npy'}: the games are longer or shorter than in {MANIFEST}{again}")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(CELL_ARRAYS, (cells,))
    shapes |= dict.fromkeys([*FRAME_ARRAYS, "sent"], (frames,))
    shapes |= {"cursor": (frames, 2), "frame_offset": (frames + 1,)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            told = f"shape {list(arrays[name].shape)} instead of {list(shape)}"
            raise InputError(f"{folder / f'{name}.npy'}: {told}, by {MANIFEST}{again}")
    if arrays["frame_offset"][-1] != cells or arrays["frame_offset"][0] != 0:
        last = int(arrays["frame_offset"][-1])
        raise InputError(f"{folder / 'frame_offset.npy'}: {last:,} changed cells, but {cells:,} are there{again}")
