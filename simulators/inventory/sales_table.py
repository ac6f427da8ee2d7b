"""A sales file as a table: it is opened, its columns are found, and its rows keep their number in the file."""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sandtable.simulators.csv_file import read_columns, read_header, require_file
from sandtable.simulators.errors import InputError, MissingExtraError

REQUIRED = ("sku", "date", "units")
TABLES = ("price", "cost", "in_stock", "on_hand", "on_order")
CONSTANTS = ("lead_time", "minimum_order", "batch_size", "capacity")
COLUMNS = (*REQUIRED, *TABLES, *CONSTANTS)

_SYNONYMS = {
    "sku": "product product_id product_code item item_id article stockcode stock_code id asin material",
    "date": "day week month period time timestamp datetime invoicedate order_date ds",
    "units": "quantity qty sales sold units_sold sales_units demand amount volume y",
}


@dataclass
class SalesRows:
    """The rows of a file on their way to a history.

    Attributes:
        file: The file's path, for messages.
        table: The known columns under their lower-case names; the index is the row number in the file.
        repairs: What was mended, and how often.
    """

    file: str
    table: pd.DataFrame
    repairs: dict[str, int] = field(default_factory=dict)

    def refuse(self, wrong: Any, column: str, reason: str) -> None:
        """Raise an ``InputError`` about the first row where ``wrong`` holds, if there is one.

        Args:
            wrong: Booleans, one a row.
            column: The column to blame.
            reason: What follows the offending value.
        """
        wrong = np.asarray(wrong, dtype=bool)
        if wrong.any():
            first = int(np.argmax(wrong))
            value = self.table[column].iloc[first]
            text = f"{value:.15g}" if isinstance(value, float | np.floating) else str(value)
            shown = " ".join(text.split())[:60]
            raise InputError(f"{self.file}, row {self.table.index[first]}, column {column}: '{shown}' {reason}")

    def note(self, repair: str, count: Any) -> None:
        """Count a repair, if there was one."""
        if count:
            self.repairs[repair] = self.repairs.get(repair, 0) + int(count)


def read_rows(path: Path) -> SalesRows:
    """Read a file and leave out its blank rows."""
    require_file(path, "a CSV or Parquet file")
    rows = SalesRows(str(path), _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path))
    empty = np.array(rows.table["units"].isna())
    if empty.any():
        suspects = rows.table[empty]
        empty[empty] = (suspects.isna() | (suspects == "")).all(axis=1).to_numpy()
        rows.note("blank rows left out", empty.sum())
        rows.table = rows.table[~empty]
    if rows.table.empty:
        raise InputError(f"{path}: the file has a header and no rows")
    return rows


def _read_csv(path: Path) -> pd.DataFrame:
    """Return the known columns of a CSV file; the index is the row number."""
    names = _find_columns(str(path), read_header(path))
    return read_columns(path, names, [name for name in COLUMNS if name in names], text=("sku", "date"))


def _find_columns(file: str, header: list[str]) -> list[str]:
    """Return the header's names in lower case without spaces around them.

    Raises:
        InputError: A required column is missing, a known one is there twice, or the table is wide.
    """
    names = [" ".join(name.lower().split()) for name in header]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        periods = [name for name in names if re.fullmatch(r"(w|wk|week|d|d_|m|month)?[ _]?\d[\d ./-]*", name)]
        if len(periods) >= 6:
            raise InputError(
                f"{file}: one column for each period ({periods[0]} .. {periods[-1]}) is the wide format; "
                "the long format is needed: columns sku, date, units and one row for each product and period"
            )
        hints = []
        for wanted in missing:
            free = [name for name in names if name and name not in COLUMNS]
            known = [name for name in free if name.replace(" ", "_") in _SYNONYMS[wanted].split()]
            likely = known or difflib.get_close_matches(wanted, free, n=1)
            if likely:
                hints.append(f"rename {likely[0]} to {wanted}")
        columns = f"column {missing[0]} is" if len(missing) == 1 else f"columns {', '.join(missing)} are"
        found = ", ".join(name or "(blank)" for name in names[:12]) + (", ..." if len(names) > 12 else "")
        advice = f"; {', '.join(hints)}" if hints else ""
        raise InputError(f"{file}: {columns} missing; found {found}{advice}")
    for name in COLUMNS:
        if names.count(name) > 1:
            raise InputError(f"{file}: column {name} is there {names.count(name)} times; keep one")
    return names


def _read_parquet(path: Path) -> pd.DataFrame:
    """Return the known columns of a Parquet file; the index is the row number, counted from 1."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(f"{path}: reading Parquet", "parquet") from error
    try:
        stored = pyarrow.parquet.read_schema(path).names
        names = _find_columns(str(path), stored)
        used = {name: stored[names.index(name)] for name in COLUMNS if name in names}
        table = pyarrow.parquet.read_table(path, columns=list(used.values())).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: the file cannot be read as Parquet ({' '.join(str(error).split())})") from error
    table = table[list(used.values())]
    table.columns = pd.Index(list(used))
    table.index = pd.RangeIndex(1, 1 + len(table))
    return table
