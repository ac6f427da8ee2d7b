"""A log as a file: what ``log_file.read_log`` reads, from what a simulator or one's own code recorded."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from sandtable.simulators.ope.logged_steps import LoggedSteps

_ALONE = ("episode", "step", "action", "reward", "terminated", "truncated", "behaviour_probability", "weight")
_STEMS = {
    "observation": "observation",
    "next_observation": "next_observation",
    "target_probability": "target_probability",
    "next_target_probability": "next_target_probability",
    "features": "feature",
    "next_features": "next_feature",
}


def write_log(log: LoggedSteps, path: str | os.PathLike[str]) -> None:
    """Write a log to a CSV file, or to an npz file by the ending of its name, atomically.

    A CSV file holds no features of starts: it is for whole episodes, whose first rows are the starts. An npz file holds
    everything.

    Raises:
        ValueError: The rows are independent draws, and the file is CSV.
    """
    path = Path(path)
    beside = path.with_name(f".unfinished.{path.name}")
    fields = {name: getattr(log, name) for name in (*_ALONE, *_STEMS) if getattr(log, name) is not None}
    if log.names is not None:
        fields["episode"] = np.asarray(log.names)[log.episode]
    if path.suffix.lower() == ".npz":
        if log.initial_features is not None:
            fields["initial_features"] = log.initial_features
        with open(beside, "wb") as file:
            np.savez(file, **fields)
    else:
        if log.independent:
            raise ValueError("path must end with .npz for independent draws: a CSV file holds no features of starts")
        _table(fields).to_csv(beside, index=False)
    os.replace(beside, path)


def _table(fields: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return fields as columns; what follows a termination is blank."""
    columns: dict[str, np.ndarray] = {}
    for name, array in fields.items():
        values = array.astype(np.int64) if array.dtype == bool else array
        if name in _ALONE:
            columns[name] = values
        elif values.ndim == 1:
            stem = {"observation": "state", "next_observation": "next_state"}.get(name, name)
            columns[stem] = values
        else:
            flat = values.reshape(len(values), -1)
            columns |= {f"{_STEMS[name]}_{i}": flat[:, i] for i in range(flat.shape[1])}
    table = pd.DataFrame(columns)
    for name in columns:
        if name.startswith(("next_state", "next_observation", "next_target")):
            table[name] = table[name].astype(object).mask(fields["terminated"].astype(bool), "")
    return table
