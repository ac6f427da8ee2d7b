"""A sales file as a table: it is opened, its columns are found, and its rows keep their number in the file."""

import bz2
import csv
import difflib
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd

from sandtable.simulators.errors import InputError, MissingExtraError

REQUIRED = ("sku", "date", "units")
TABLES = ("price", "cost", "in_stock", "on_hand", "on_order")
CONSTANTS = ("lead_time", "minimum_order", "batch_size", "capacity")
COLUMNS = (*REQUIRED, *TABLES, *CONSTANTS)
BLANKS = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None"]

_SYNONYMS = {
    "sku": "product product_id product_code item item_id article stockcode stock_code id asin material",
    "date": "day week month period time timestamp datetime invoicedate order_date ds",
    "units": "quantity qty sales sold units_sold sales_units demand amount volume y",
}
_BROKEN = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


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
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a CSV or Parquet file")
    try:
        with path.open("rb") as handle:
            if not handle.read(1):
                raise InputError(f"{path}: the file is empty")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except OSError as error:
        raise InputError(f"{path}: the file cannot be opened ({error.strerror})") from error
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
    try:
        with _open(path) as handle:
            head = handle.read(2**16)
        _refuse_if_not_text(path, head)
        names = _find_columns(str(path), _read_header(path, head))
        used = [name for name in COLUMNS if name in names]
        labels = [name if name in used else f"{name} (column {i})" for i, name in enumerate(names)]
        with _open(path) as handle:
            table = pd.read_csv(
                cast(Any, handle),
                header=0,
                names=labels,
                index_col=False,
                dtype={"sku": str, "date": str},
                keep_default_na=False,  # "NA" may be a product
                na_values={name: BLANKS for name in used if name not in ("sku", "date")},
                skip_blank_lines=False,  # rows keep their number
                low_memory=False,
                encoding="utf-8-sig",
            )[used]
    except InputError:
        raise
    except UnicodeDecodeError as error:
        row = _undecodable_line(path)
        raise InputError(f"{path}, row {row}: the text is not UTF-8; save the file as CSV UTF-8") from error
    except pd.errors.ParserError as error:
        raise InputError(_explain_parser_error(path, str(error))) from error
    except _BROKEN as error:
        raise InputError(f"{path}: the file cannot be read or decompressed ({error})") from error
    table.index = pd.RangeIndex(2, 2 + len(table))
    return table


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, decompressed by its extension."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
            if len(members) != 1:
                raise InputError(f"{path}: the archive holds {len(members)} files; it must hold one")
            with archive.open(members[0]) as handle:
                yield handle
    else:
        openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
        with openers.get(suffix, open)(path, "rb") as handle:
            yield handle


def _refuse_if_not_text(path: Path, head: bytes) -> None:
    """Raise if the beginning of the (decompressed) file shows that it is no CSV text."""
    if not head.strip():
        raise InputError(f"{path}: the file is empty")
    signs = {
        b"PAR1": "is a Parquet file; name it .parquet",
        b"PK\x03\x04": "is a workbook or a zip archive; export the sheet as CSV, or name the archive .zip",
        b"\xd0\xcf\x11\xe0": "is an old workbook; export the sheet as CSV",
        b"\x1f\x8b": "is compressed; name it .gz",
        b"BZh": "is compressed; name it .bz2",
        b"\xfd7zXZ": "is compressed; name it .xz",
        b"\xff\xfe": "is UTF-16 text; save it as CSV UTF-8",
        b"\xfe\xff": "is UTF-16 text; save it as CSV UTF-8",
    }
    for sign, problem in signs.items():
        if head.startswith(sign):
            raise InputError(f"{path}: the file {problem}")
    if b"\x00" in head:
        raise InputError(f"{path}: the file is binary, not CSV text")


def _read_header(path: Path, head: bytes) -> list[str]:
    """Return the names in the first row of a CSV file.

    Raises:
        InputError: Another character than the comma separates the columns, or the first row of data is longer.
    """
    text = head.decode("utf-8-sig", errors="replace")
    records = csv.reader(io.StringIO(text, newline=""))
    header, first = next(records, []), next(records, [])
    if len(header) == 1:
        for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
            if mark in header[0]:
                raise InputError(f"{path}: the columns are separated by {name}; save the file with commas")
    if len(first) > len(header):
        raise InputError(f"{path}, row 2: {_too_many(len(first), len(header))}")
    return header


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


def _too_many(values: int, columns: int) -> str:
    return f"{values} values where the header names {columns} columns; a comma inside a value needs quotes around it"


def _undecodable_line(path: Path) -> int:
    """Return the number of the first line that is not UTF-8."""
    with _open(path) as handle:
        for number, line in enumerate(handle, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _explain_parser_error(path: Path, message: str) -> str:
    """Return one line on what the CSV parser stumbled over."""
    if match := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        return f"{path}, row {match[2]}: {_too_many(int(match[3]), int(match[1]))}"
    if match := re.search(r"EOF inside string starting at row (\d+)", message):
        return f"{path}, row {int(match[1]) + 1}: a quotation mark is opened and never closed"
    return f"{path}: the file is not a CSV table ({' '.join(message.split())})"


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
