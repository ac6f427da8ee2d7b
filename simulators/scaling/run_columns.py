"""The columns of a table of runs: which names they go by, and what their numbers are multiplied by."""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sandtable.simulators.csv_file import BLANKS, read_columns, read_header, require_file
from sandtable.simulators.errors import InputError, require_name

ALIASES = {
    "parameters": ("N", "params", "n_params"),
    "parameters_non_embedding": (),
    "data": ("D", "tokens", "frames", "samples"),
    "flops": ("C", "compute"),
    "loss": ("L", "final_loss", "eval_loss", "dev_loss", "val_loss"),
    "loss_se": (),
    "return": ("R", "score", "mean_return"),
    "return_se": (),
    "run": ("run_id",),
    "step": (),
    "seed": (),
    "group": ("architecture", "arch", "family"),
    "budget": ("isoflop",),
    "data_planned": (),
    "data_unique": (),
    "status": (),
}
"""The names of the columns, and the other names that each goes by."""

TEXT = ("run", "seed", "group", "budget", "status")
COUNTS = ("parameters", "parameters_non_embedding", "data", "flops", "data_planned", "data_unique")
SUFFIXES = {"millions": 1e6, "billions": 1e9}


def _squeeze(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


_COLUMN_OF = {_squeeze(alias): column for column, others in ALIASES.items() for alias in (column, *others)}


def known_column(name: str) -> tuple[str, float] | None:
    """Return the column that a name stands for and the factor that it declares; None for an unknown name.

    Case, spaces, hyphens and underscores do not matter; the name of a count may end in ``_millions`` or ``_billions``.
    """
    squeezed = _squeeze(name)
    if squeezed in _COLUMN_OF:
        return _COLUMN_OF[squeezed], 1.0
    for suffix, factor in SUFFIXES.items():
        column = _COLUMN_OF.get(squeezed.removesuffix(suffix))
        if squeezed.endswith(suffix) and column in COUNTS:
            return column, factor
    return None


@dataclass
class RunRows:
    """What a file says, row by row.

    Attributes:
        path: The file.
        columns: By column, the name that the file has for it.
        table: The columns by their own names: float64, and text without spaces around it (empty where blank); its index
            is the line.
        others: Columns of other names, as text.
    """

    path: Path
    columns: dict[str, str]
    table: pd.DataFrame
    others: pd.DataFrame

    def fail(self, rows: np.ndarray | pd.Index, what: str) -> InputError:
        """Return the error that names rows of the file."""
        return InputError(f"{self.path}, {name_rows(rows)}: {what}")


def name_rows(rows: np.ndarray | pd.Index | list[int] | tuple[int, ...], most: int = 8) -> str:
    """Return ``row 7`` or ``rows 2, 3, 5``; of many, the first eight and how many more."""
    lines = [str(int(row)) for row in rows]
    told = ", ".join(lines[:most]) + (f" and {len(lines) - most} more" if len(lines) > most else "")
    return f"row {told}" if len(lines) == 1 else f"rows {told}"


def read_rows(path: Path, units: Mapping[str, float], loss_unit: str) -> RunRows:
    """Return the rows of a CSV file in counts, training FLOP and nats; see ``runs_file.read_runs``."""
    require_file(path, "a CSV file of runs")
    require_name("loss unit", loss_unit, ("nats", "bits"))
    names = read_header(path)
    columns, factors = _find_columns(path, names)
    _apply_units(path, units, columns, factors)
    for column in ("loss", "loss_se"):
        factors[column] = factors.get(column, 1.0) * (math.log(2) if loss_unit == "bits" else 1.0)
    others = [name for name in names if name and known_column(name) is None and names.count(name) == 1]
    text = [name for column, name in columns.items() if column in TEXT] + others
    raw = read_columns(path, names, [*columns.values(), *others], text=text)
    raw = raw[~(raw.isna() | raw.isin(BLANKS)).all(axis=1)]  # lines without anything in them
    if raw.empty:
        raise InputError(f"{path}: there are no rows below the header")
    rows = RunRows(path, columns, pd.DataFrame(index=raw.index), raw[others].fillna("").astype(str))
    for column, name in columns.items():
        rows.table[column] = _words(raw[name]) if column in TEXT else _numbers(rows, raw[name], name) * factors[column]
    return rows


def _find_columns(path: Path, names: list[str]) -> tuple[dict[str, str], dict[str, float]]:
    """Return, by column, the file's name for it and the factor that its suffix declares."""
    columns: dict[str, str] = {}
    factors: dict[str, float] = {}
    for name in names:
        known = known_column(name)
        if known is None:
            continue
        column, factor = known
        if columns.get(column) == name:
            raise InputError(f"{path}: column {name} is there {names.count(name)} times; keep one")
        if column in columns:
            raise InputError(f"{path}: columns {columns[column]} and {name} both mean {column}; keep one")
        columns[column], factors[column] = name, factor
    if not {"loss", "return", "parameters", "data"} & set(columns):
        close = [(name, difflib.get_close_matches(_squeeze(name), _COLUMN_OF, n=1, cutoff=0.7)) for name in names]
        hints = "".join(f"; rename {name} to {_COLUMN_OF[near[0]]}" for name, near in close if near)
        found = ", ".join(name or "(blank)" for name in names[:12])
        raise InputError(f"{path}: there is no column of losses, returns, parameters or data; found {found}{hints}")
    return columns, factors


def _apply_units(path: Path, units: Mapping[str, float], columns: dict[str, str], factors: dict[str, float]) -> None:
    """Multiply the factors by those that the user declares."""
    for name, factor in units.items():
        known = known_column(name)
        if known is None or known[0] not in columns:
            raise InputError(f"{path}: a unit is given for {name}, and there is no such column")
        column = known[0]
        if column in TEXT:
            raise InputError(f"{path}: a unit is given for {name}, which holds text")
        if not (np.isfinite(factor) and factor > 0):
            raise InputError(f"{path}: the unit of {name} must be a positive number, not {factor}")
        if factors[column] != 1.0:
            raise InputError(f"{path}: column {columns[column]} names its unit already; leave out the unit of {name}")
        factors[column] = float(factor)


def _words(column: pd.Series) -> pd.Series:
    return column.fillna("").astype(str).str.strip()


def _numbers(rows: RunRows, column: pd.Series, name: str) -> pd.Series:
    """Return a column as float64; raise where it holds something else than numbers."""
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    odd = column.index[(numbers.isna() & column.notna()).to_numpy()]
    if len(odd):
        raise rows.fail(odd, f"column {name} must hold numbers, not {str(column[odd[0]])[:40]!r}")
    return numbers
