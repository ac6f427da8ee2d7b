"""A log as an npz file of arrays, read without pickle."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from sandtable.simulators.csv_file import require_file
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.log_rows import REQUIRED, LogRows

AXES = {
    "episode": (1,),
    "step": (1,),
    "action": (1,),
    "reward": (1,),
    "terminated": (1,),
    "truncated": (1,),
    "observation": (1, 2, 3, 4, 5),
    "next_observation": (1, 2, 3, 4, 5),
    "behaviour_probability": (1,),
    "target_probability": (1, 2),
    "next_target_probability": (2,),
    "features": (2,),
    "next_features": (2,),
    "initial_features": (2,),
    "weight": (1,),
}
"""The arrays, and how many axes each may have."""


def read_npz_log(path: Path) -> LogRows:
    """Return what an npz file holds; rows are counted from 0.

    Raises:
        InputError: The file is no npz file, an array is missing, holds objects, or has another shape than it should.
    """
    require_file(path, "a CSV or npz file")
    try:
        held = np.load(path, allow_pickle=False)
        if not isinstance(held, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: this is one array, not an npz file of named ones; see numpy.savez")
        with held:
            missing = [name for name in REQUIRED if name not in held.files]
            if missing:
                arrays = f"array {missing[0]} is" if len(missing) == 1 else f"arrays {', '.join(missing)} are"
                raise InputError(f"{path}: {arrays} missing; found {', '.join(held.files) or 'none'}")
            raw = {name: _array(path, held, name) for name in AXES if name in held.files}
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        told = "it is neither npz nor npy" if "pickle" in str(error) else " ".join(str(error).split())
        raise InputError(f"{path}: the file cannot be read as npz ({told})") from error
    return rows_of_arrays(str(path), raw)


def _array(path: Path, held: "np.lib.npyio.NpzFile", name: str) -> np.ndarray:
    """Return an array of the file."""
    try:
        return np.asarray(held[name])
    except ValueError as error:
        if "pickle" in str(error):
            raise InputError(f"{path}, array {name}: it holds Python objects; save it as numbers or text") from error
        raise


def rows_of_arrays(file: str, raw: dict[str, np.ndarray], actions: int | None = None) -> LogRows:
    """Return arrays as rows on their way to a log, rows counted from 0.

    Args:
        file: The file, for messages.
        raw: The arrays, by the names of ``AXES``.
        actions: How many actions there are, where that is known.

    Raises:
        InputError: An array does not hold numbers, or has another shape than it should.
    """
    n = len(raw["episode"]) if raw["episode"].ndim else 0
    rows = LogRows(file, np.arange(n), {}, noun="array", actions=actions)
    for name, array in raw.items():
        if array.ndim not in AXES[name]:
            axes = " or ".join(map(str, AXES[name][:2]))
            raise InputError(f"{file}, array {name}: it has shape {list(array.shape)}; {axes} axes are needed")
        if len(array) != n and name != "initial_features":
            raise InputError(f"{file}, array {name}: it has {len(array)} rows, and episode has {n}")
        if name == "episode":
            if array.dtype.kind == "S":
                array = np.char.decode(array, "utf-8", "replace")
            if array.dtype.kind not in "iuUf":
                raise InputError(f"{file}, array episode: it holds {array.dtype}; whole numbers or text are needed")
            rows.fields[name] = array
            continue
        if array.dtype.kind not in "biuf":
            raise InputError(f"{file}, array {name}: it holds {array.dtype}; numbers are needed")
        rows.fields[name] = array.astype(np.float64)
    seen = raw.get("observation")
    if seen is None and "next_observation" in raw:
        raise InputError(f"{file}: array next_observation is there, and observation is not; give both")
    rows.discrete = seen is not None and seen.ndim == 1 and seen.dtype.kind in "iu"
    if seen is not None and seen.ndim == 1 and not rows.discrete:
        for name in ("observation", "next_observation"):
            if name in rows.fields:
                rows.fields[name] = rows.fields[name].reshape(n, -1)
    return rows
