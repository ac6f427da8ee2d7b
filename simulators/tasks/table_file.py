"""Tables of numbers with a column to be told: those bundled in statsmodels, and CSV files of one's own."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError, require_name

BUNDLED = {"randhie": "mdvis", "fair": "affairs"}
"""Names of the tables in statsmodels, and the columns that are to be told to be above 0 or not."""


@dataclass(frozen=True)
class Table:
    """Rows of numbers, each with a class.

    Attributes:
        columns: Names of the inputs, d of them.
        inputs: float64 [rows, d], finite.
        classes: What each class is, C of them, in ascending order.
        target: int64 [rows], in [0, C).
        row: int64 [rows], the number of each row in the table as it was, from 0; it is row ``row + 2`` of a file.
        left_out: Rows that are not here because a value is missing.
    """

    columns: tuple[str, ...]
    inputs: np.ndarray
    classes: tuple[Any, ...]
    target: np.ndarray
    row: np.ndarray
    left_out: int = 0


def find_table(data: str | Path, target: str | None) -> Table:
    """Return a bundled table or that of a CSV file.

    Args:
        data: ``"randhie"``, ``"fair"``, or the path of a file.
        target: Name of the column that holds the classes. None for what a bundled table is used for: whether ``mdvis``
            (visits to a doctor) or ``affairs`` is above 0.

    Raises:
        InputError: There is no such table, file or column, or it cannot be used.
    """
    if str(data) in BUNDLED:
        return bundled_table(str(data), None if target is None else target.strip().lower())
    path = Path(data)
    if not path.exists() and not path.suffix and path.name == str(data):
        require_name("data", str(data), [*BUNDLED, "the path of a CSV file"])
    return read_table(path, target)


@lru_cache(maxsize=4)
def bundled_table(name: str, target: str | None = None) -> Table:
    """Return a table that statsmodels brings along; see ``find_table``."""
    from importlib import import_module

    table = import_module(f"statsmodels.datasets.{name}").load_pandas().data
    if target not in (None, BUNDLED[name]):
        return _table(name, table, _required(name, str(target), list(table.columns)))
    column = BUNDLED[name]
    names = (f"{column} = 0", f"{column} > 0")
    above = (table[column] > 0).to_numpy().astype(np.int64)
    inputs = table.drop(columns=column)
    return Table(tuple(inputs.columns), inputs.to_numpy(np.float64), names, above, np.arange(len(table)))


def read_table(path: Path, target: str | None) -> Table:
    """Read a CSV file, plain or compressed, whose columns are numbers, but for the target's.

    Names of columns count in lower case without spaces around them. Rows in which a value is missing (blank, ``NA``,
    ``NaN``, ``null``) are left out, with a warning that tells how many.

    Args:
        path: The file.
        target: Name of the column that holds the classes, text or numbers.

    Raises:
        InputError: The file cannot be used; the message names the row and column and says what to do.
    """
    from sandtable.simulators.csv_file import read_columns, read_header, require_file

    require_file(path, "a CSV file")
    header = read_header(path)
    for number, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"{path}, row 1: column {number} has no name; name it, or leave the column out")
        if header.count(name) > 1:
            raise InputError(f"{path}: column {name} is there {header.count(name)} times; keep one")
    if target is None:
        raise InputError(f"{path}: say which column is to be told: target = one of {', '.join(header)}")
    column = _required(str(path), " ".join(target.lower().split()), header)
    return _table(str(path), read_columns(path, header, header, text=(column,)), column)


def _required(source: str, target: str, columns: list[str]) -> str:
    """Return the target's name, or refuse a table that lacks it."""
    if target not in columns:
        require_name(f"{source}: target column", target, columns)
    if len(columns) < 2:
        raise InputError(f"{source}: there is no column besides the target {target}; nothing can be told from it")
    return target


def _table(source: str, table: Any, target: str) -> Table:
    """Return the rows of a table of pandas, whose index is the number of the row, with their classes."""
    columns = [name for name in table.columns if name != target]
    inputs = np.stack([_numbers(source, table, name) for name in columns], axis=1)
    labels = table[target].to_numpy()
    blank = np.array([str(label).strip() in ("", "nan") for label in labels], dtype=bool)
    missing = np.column_stack([np.isnan(inputs), blank])
    kept = ~missing.any(axis=1)
    if not kept.any():
        emptiest = [*columns, target][int(missing.sum(axis=0).argmax())] if len(table) else None
        blame = f"column {emptiest} misses the most; leave it out" if emptiest else "the file has a header and no rows"
        raise InputError(f"{source}: no row is complete; {blame}")
    left_out = int((~kept).sum())
    if left_out:
        row, column = np.argwhere(missing)[0]
        warnings.warn(
            f"{source}: {left_out} of {len(table)} rows have missing values and are left out, the first of them "
            f"row {table.index[row]}, column {[*columns, target][column]}",
            stacklevel=2,
        )
    classes, index = _classes(source, target, labels[kept])
    return Table(tuple(columns), inputs[kept], classes, index, np.flatnonzero(kept), left_out)


def _numbers(source: str, table: Any, name: str) -> np.ndarray:
    """Return a column as numbers, float64 [rows]; NaN where the value is missing."""
    import pandas as pd

    values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    wrong = (np.isnan(values) & table[name].notna().to_numpy()) | np.isinf(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = " ".join(str(table[name].iloc[row]).split())[:60]
        raise InputError(
            f"{source}, row {table.index[row]}, column {name}: '{shown}' is no finite number; "
            "leave the column out, or write it as numbers"
        )
    return values


def _classes(source: str, target: str, labels: np.ndarray) -> tuple[tuple[Any, ...], np.ndarray]:
    """Return the distinct labels, as numbers if all of them are, in ascending order, and the class of each row."""
    try:
        values: np.ndarray = labels.astype(np.float64)
    except ValueError:
        values = np.array([" ".join(str(label).split()) for label in labels])
    distinct, index = np.unique(values, return_inverse=True)
    if len(distinct) < 2:
        raise InputError(f"{source}: column {target} has one class, {distinct[0]}; there must be at least two")
    if 2 * len(distinct) > len(values):
        raise InputError(
            f"{source}: column {target} has {len(distinct)} values in {len(values)} rows; that is no class to be told: "
            "group the values first"
        )
    return tuple(distinct.tolist()), index.reshape(-1).astype(np.int64)
