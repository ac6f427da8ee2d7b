"""Logs of experience: a CSV file, an npz file or a Minari dataset becomes ``LoggedSteps``.

Each format has a reader that finds its fields (``log_csv``, ``log_npz``, ``log_minari``); what they found is checked in
one place (``log_checks``). What cannot be used raises an ``InputError`` that names the file, the row (of a CSV file as
a spreadsheet counts: the header is row 1; else counted from 0) and the column, and says what to do.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.log_checks import Unfinished, checked
from sandtable.simulators.ope.log_rows import LogRows
from sandtable.simulators.ope.logged_steps import LoggedSteps


def read_log(path: str | os.PathLike[str], *, unfinished: Unfinished | None = None) -> LoggedSteps:
    """Read logged experience.

    CSV, a row a step: ``episode, step, action, reward`` and the marks ``terminated, truncated`` (0 or 1); ``state`` (a
    whole number) or ``observation_0..``; ``next_state`` or ``next_observation_0..`` (default: the row that follows;
    required where truncated is 1); ``behaviour_probability`` of the logged action; ``target_probability_0..K-1`` and
    ``next_target_probability_0..K-1`` (default: the row that follows), or ``target_probability`` of the logged action;
    ``feature_0..`` and ``next_feature_0..``, the mean under the target policy; ``weight``. Other columns are ignored.

    npz, arrays of the same names with a row a step: ``observation [n, ..]`` (integers [n] are states),
    ``target_probability [n, K]`` or ``[n]``, ``features [n, d]``, ``next_features``, ``initial_features [E, d]``, the
    mean features at starts; with them, episodes of one step of which some are truncated are independent draws.

    Args:
        path: A CSV file (also .gz, .bz2, .xz, .zip), an npz file, ``minari:ID`` or the directory of a Minari dataset.
        unfinished: What the end of an episode with neither mark is taken for; None refuses it. Where ``truncated``
            needs a next observation that is not there, the episode ends a row earlier.

    Raises:
        InputError: The log cannot be used.
        MissingExtraError: It is a Minari dataset, and the package is not installed.
    """
    if unfinished not in (None, "truncated", "terminated"):
        raise InputError(f"--unfinished {unfinished}: write truncated or terminated")
    return checked(_rows(str(path)), unfinished)


def _rows(name: str) -> LogRows:
    """Return what the log holds, unchecked."""
    if name.startswith("minari:") or Path(name).is_dir():
        from sandtable.simulators.ope.log_minari import read_minari_log

        return read_minari_log(name)
    if Path(name).suffix.lower() == ".npz":
        from sandtable.simulators.ope.log_npz import read_npz_log

        return read_npz_log(Path(name))
    from sandtable.simulators.ope.log_csv import read_csv_log

    return read_csv_log(Path(name))


def log_paths(name: str) -> list[Path]:
    """Return the files that hold a log, in the order of their names.

    Raises:
        InputError: There is no such file.
    """
    if name.startswith("minari:"):
        from sandtable.simulators.ope.log_minari import minari_folder

        return log_paths(str(minari_folder(name)))
    path = Path(name)
    if path.is_dir():
        return sorted(one for one in path.rglob("*") if one.is_file())
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    return [path]


def is_log(name: str) -> bool:
    """Say whether a file is one of logged experience, and not of sales, by its kind and the names of its columns."""
    if name.startswith("minari:") or Path(name).is_dir() or Path(name).suffix.lower() == ".npz":
        return True
    if not Path(name).is_file() or Path(name).suffix.lower() in (".parquet", ".pq"):
        return False
    from sandtable.simulators.csv_file import read_header

    return {"action", "reward"} <= set(read_header(Path(name)))


def describe_log(log: LoggedSteps) -> dict[str, Any]:
    """Return what a log holds, in values that JSON can hold.

    Returns:
        ``source``, ``rows``, ``episodes``, ``actions``, ``steps_per_episode`` (quartiles), ``terminated`` and
        ``truncated`` (episodes that end so), ``reward`` (mean and the ends of its range), ``return_undiscounted`` (mean
        over episodes), ``states`` (how many different ones, where they are whole numbers) or ``observation`` (the shape
        of one), ``action_shares``, ``known`` (which optional fields there are), ``independent``, ``warnings``.
    """
    lengths = log.last - log.first + 1
    optional = (
        "behaviour_probability", "target_probability", "next_target_probability", "features", "next_features",
        "initial_features", "weight",
    )  # fmt: skip
    told: dict[str, Any] = {
        "source": Path(log.source).name if os.path.exists(log.source) else log.source,
        "rows": len(log),
        "episodes": log.episodes,
        "actions": log.actions,
        "steps_per_episode": [float(value) for value in np.quantile(lengths, [0.25, 0.5, 0.75])],
        "terminated": int(log.terminated.sum()),
        "truncated": int(log.truncated.sum()),
        "reward": {
            "mean": float(log.reward.mean()), "least": float(log.reward.min()), "largest": float(log.reward.max()),
        },
        "return_undiscounted": float(log.reward.sum() / log.episodes),
        "action_shares": (np.bincount(log.action, minlength=log.actions) / len(log)).tolist(),
        "known": [name for name in optional if getattr(log, name) is not None],
        "independent": log.independent,
        "warnings": list(log.warnings),
    }  # fmt: skip
    if log.observation is not None and log.observation.dtype.kind == "i":
        told["states"] = len(np.unique(log.observation))
    elif log.observation is not None:
        told["observation"] = list(log.observation.shape[1:])
    return told
