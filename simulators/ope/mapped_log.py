"""Logs of features in npz files larger than memory: the arrays stay in the file, and are read where they are used.

``numpy.load`` does not map the members of an npz file; but ``numpy.savez`` stores each without compression, and an
array that is stored is as good as one in a file of its own.
"""

import os
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

_REQUIRED = ("features", "next_features", "reward")


def map_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file, read-only and memory-mapped; an array of another kind than numbers is refused.

    Raises:
        InputError: There is no such file, it is no npz file, or an array of it is compressed or holds objects.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            members = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            return {entry.filename.removesuffix(".npy"): _mapped(path, file, entry) for entry in members}
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: this is no npz file ({error}); see numpy.savez") from error


def _mapped(path: Path, file: IO[bytes], entry: zipfile.ZipInfo) -> np.ndarray:
    """Return a stored member as an array in the file."""
    name = entry.filename.removesuffix(".npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise InputError(
            f"{path}, array {name}: it is compressed, and cannot be read in place; "
            "save it with numpy.savez instead of numpy.savez_compressed"
        )
    file.seek(entry.header_offset)
    head = file.read(30)  # a member's own header may be longer than the directory says
    file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), os.SEEK_CUR)
    try:
        version = np.lib.format.read_magic(cast(Any, file))
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(cast(Any, file))
    except ValueError as error:
        raise InputError(f"{path}, array {name}: its header cannot be read ({error})") from error
    if dtype.hasobject:
        raise InputError(f"{path}, array {name}: it holds Python objects; save it as numbers or text")
    offset, size = file.tell(), int(np.prod(shape)) * dtype.itemsize
    if offset + size > path.stat().st_size:
        raise InputError(f"{path}, array {name}: the file ends within it; it was not written to its end")
    if not size:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def map_log(path: str | os.PathLike[str]) -> LoggedSteps:
    """Return a log whose features stay in the file; what is a number a row is read.

    The file holds ``features`` and ``next_features`` [n, d] and ``reward`` [n], and may hold ``weight``,
    ``terminated`` and ``truncated`` [n], ``initial_features`` [m, d], and ``episode`` and ``step`` [n]; rows without an
    episode are independent draws. Features are checked where they are used: ``moments_of_log`` names file and row.

    Raises:
        InputError: As of ``map_npz``; an array is missing, has another length, or episodes do not ascend from 0.
    """
    arrays = map_npz(path)
    for name in _REQUIRED:
        if name not in arrays:
            raise InputError(f"{path}: array {name} is missing; found {', '.join(arrays) or 'none'}")
    features = arrays["features"]
    n = len(features) if features.ndim == 2 else -1
    if n < 0 or arrays["next_features"].shape != features.shape:
        shapes = f"{features.shape} and {arrays['next_features'].shape}"
        raise InputError(f"{path}: features and next_features must both be [n, d], not {shapes}")

    def column(name: str, otherwise: Any, kind: type) -> np.ndarray:
        held = arrays.get(name, otherwise)
        if np.shape(held) != (n,):
            raise InputError(f"{path}, array {name}: it must have one number a row, [{n}], not {np.shape(held)}")
        return np.array(held, dtype=kind)

    independent = "episode" not in arrays
    episode = column("episode", np.arange(n), np.int64)
    starts = np.diff(episode, prepend=-1)
    if n and (episode[0] != 0 or not np.isin(starts, (0, 1)).all()):
        row = int(np.argmin(np.isin(starts, (0, 1)))) if episode[0] == 0 else 0
        raise InputError(f"{path}, row {row}: episodes must be numbered 0, 1, ... in the order of the rows")
    first = np.flatnonzero(starts)
    terminated = column("terminated", np.zeros(n), bool)
    last = np.zeros(n, dtype=bool)
    last[np.append(first[1:], n)[: len(first)] - 1] = True
    return LoggedSteps(
        actions=1,
        episode=episode,
        step=column("step", np.arange(n) - np.repeat(first, np.diff(np.append(first, n))), np.int64),
        action=np.zeros(n, dtype=np.int64),
        reward=column("reward", None, np.float64),
        terminated=terminated,
        truncated=column("truncated", last & ~terminated, bool),
        features=features,
        next_features=arrays["next_features"],
        initial_features=np.array(arrays["initial_features"], np.float64) if "initial_features" in arrays else None,
        weight=column("weight", None, np.float64) if "weight" in arrays else None,
        independent=independent,
        source=str(path),
    )
