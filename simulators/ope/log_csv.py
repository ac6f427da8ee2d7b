"""A log as a CSV file: a row a step, its columns found by their names."""

import difflib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from sandtable.simulators.csv_file import BLANKS, read_columns, read_header, require_file
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.log_rows import REQUIRED, LogRows

SINGLE = (*REQUIRED, "terminated", "truncated", "behaviour_probability", "weight")
FAMILIES = {
    "observation": "observation",
    "next_observation": "next_observation",
    "target_probability": "target_probability",
    "next_target_probability": "next_target_probability",
    "feature": "features",
    "next_feature": "next_features",
}
"""The stems of numbered columns, ``observation_0``, ``observation_1``, ..., and the fields that they make."""
STATES = {"state": "observation", "next_state": "next_observation"}


def read_csv_log(path: Path) -> LogRows:
    """Return what a CSV file holds (also .gz, .bz2, .xz, .zip); columns in any order and any case.

    Raises:
        InputError: The file cannot be read, a column is missing or there twice, or a value is no number.
    """
    require_file(path, "a CSV or npz file")
    names = read_header(path)
    _check_names(path, names)
    families = {field: _numbered(path, names, stem) for stem, field in FAMILIES.items()}
    columns = {field: found for field, found in families.items() if found}
    columns |= {field: [name] for name, field in STATES.items() if name in names}
    columns |= {name: [name] for name in SINGLE if name in names}
    if "target_probability" in names:
        columns["target_probability"] = ["target_probability"]
    used = [name for found in columns.values() for name in found]
    table = read_columns(path, names, used, text=("episode",))
    blank = table.isna().all(axis=1) if "episode" not in table else table["episode"].isin(BLANKS)
    if blank.any():  # lines without anything in them
        table = table[~(blank & table.drop(columns="episode").isna().all(axis=1))]
    rows = LogRows(str(path), table.index.to_numpy(np.int64), {}, discrete="state" in names)
    for field, found in columns.items():
        if field == "episode":
            rows.fields[field] = table["episode"].fillna("").str.strip().to_numpy(dtype=object).astype(str)
            continue
        arrays = [_numbers(rows, table[name], name) for name in found]
        numbered = field in families and families[field]
        rows.fields[field] = np.column_stack(arrays) if numbered else arrays[0]
        rows.columns[field] = found
    return rows


def _check_names(path: Path, names: list[str]) -> None:
    """Refuse a header in which a required column is missing, a known one is there twice, or two exclude each other."""
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        free = [name for name in names if name not in REQUIRED]
        close = {name: difflib.get_close_matches(name, free, n=1, cutoff=0.7) for name in missing}
        hints = [f"rename {found[0]} to {name}" for name, found in close.items() if found]
        columns = f"column {missing[0]} is" if len(missing) == 1 else f"columns {', '.join(missing)} are"
        found = ", ".join(name or "(blank)" for name in names[:12]) + (", ..." if len(names) > 12 else "")
        raise InputError(f"{path}: {columns} missing; found {found}" + (f"; {', '.join(hints)}" if hints else ""))
    stems = "|".join(FAMILIES)
    for name in dict.fromkeys(names):
        known = name in (*SINGLE, *STATES, "target_probability") or re.fullmatch(rf"({stems})_\d+", name)
        if known and names.count(name) > 1:
            raise InputError(f"{path}: column {name} is there {names.count(name)} times; keep one")
    if "target_probability" in names and "target_probability_0" in names:
        raise InputError(f"{path}: columns target_probability and target_probability_0 are both there; keep one kind")
    for state, observation in (("state", "observation_0"), ("next_state", "next_observation_0")):
        if state in names and observation in names:
            raise InputError(f"{path}: columns {state} and {observation} are both there; keep one kind")
    for following, one in (("next_state", "state"), ("next_observation_0", "observation_0")):
        if following in names and one not in names:
            raise InputError(f"{path}: column {following} is there, and {one} is not; give both")


def _numbered(path: Path, names: list[str], stem: str) -> list[str]:
    """Return the columns of a family in the order of their numbers.

    Raises:
        InputError: A number is missing.
    """
    numbers = sorted(int(match[1]) for name in names if (match := re.fullmatch(rf"{stem}_(\d+)", name)))
    for expected, number in enumerate(numbers):
        if number != expected:
            raise InputError(f"{path}: column {stem}_{expected} is missing, and {stem}_{number} is there")
    return [f"{stem}_{number}" for number in numbers]


def _numbers(rows: LogRows, column: pd.Series, name: str) -> np.ndarray:
    """Return a column as float64 [n], NaN where it is blank.

    Raises:
        InputError: A value is no number; marks of ends may also be true and false.
    """
    if pd.api.types.is_bool_dtype(column):
        return np.array(column, dtype=np.float64)
    if pd.api.types.is_numeric_dtype(column):
        return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))
    text = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    if name in ("terminated", "truncated"):
        lower = text.str.lower()
        text = text.mask(lower == "true", "1").mask(lower == "false", "0")
    blank = text.isin(BLANKS).to_numpy()
    values = np.array(pd.to_numeric(text.mask(blank), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
    wrong = np.isnan(values) & ~blank
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = rows.text(text.iloc[row])
        raise InputError(f"{rows.place(row)}, column {name}: '{shown}' is not a number; write it as 1234.5")
    return values
