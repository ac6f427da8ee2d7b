"""CSV files as tables: opened, also when compressed; their header read; refused with the row where they are no CSV.

Rows are numbered as a spreadsheet does: the header is row 1.
"""

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from sandtable.simulators.errors import InputError

BLANKS = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None"]

_BROKEN = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def require_file(path: Path, kinds: str) -> None:
    """Raise unless ``path`` is a file that can be opened and holds something.

    Args:
        path: The file.
        kinds: What to name instead of a folder, for example ``a CSV or Parquet file``.
    """
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name {kinds}")
    try:
        with path.open("rb") as handle:
            if not handle.read(1):
                raise InputError(f"{path}: the file is empty")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except OSError as error:
        raise InputError(f"{path}: the file cannot be opened ({error.strerror})") from error


def read_header(path: Path) -> list[str]:
    """Return the names in the first row of a CSV file, in lower case without spaces around them.

    Raises:
        InputError: The file is no CSV text, another character than the comma separates the columns, or the first row
            of data is longer than the header.
    """
    try:
        with _open(path) as handle:
            head = handle.read(2**16)
    except _BROKEN as error:
        raise _unreadable(path, error) from error
    _refuse_if_not_text(path, head)
    text = head.decode("utf-8-sig", errors="replace")
    records = csv.reader(io.StringIO(text, newline=""))
    header, first = next(records, []), next(records, [])
    if len(header) == 1:
        for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
            if mark in header[0]:
                raise InputError(f"{path}: the columns are separated by {name}; save the file with commas")
    if len(first) > len(header):
        raise InputError(f"{path}, row 2: {_too_many(len(first), len(header))}")
    return [" ".join(name.lower().split()) for name in header]


def read_columns(path: Path, names: Sequence[str], used: Sequence[str], text: Collection[str] = ()) -> pd.DataFrame:
    """Return columns of a CSV file; the index is the row number.

    Args:
        path: The file, which may be compressed: .gz, .bz2, .xz, .zip.
        names: What ``read_header`` returned.
        used: The columns to keep, each of which is among the names once.
        text: Those that stay text, in which ``NA`` may be a name.

    Raises:
        InputError: The file cannot be read or decompressed, is not UTF-8, or is no table.
    """
    labels = [name if name in used else f"{name} (column {i})" for i, name in enumerate(names)]
    try:
        with _open(path) as handle:
            table = pd.read_csv(
                cast(Any, handle),
                header=0,
                names=labels,
                index_col=False,
                dtype=dict.fromkeys((name for name in text if name in used), str),
                keep_default_na=False,
                na_values={name: BLANKS for name in used if name not in text},
                skip_blank_lines=False,  # rows keep their number
                low_memory=False,
                encoding="utf-8-sig",
            )[list(used)]
    except UnicodeDecodeError as error:
        row = _undecodable_line(path)
        raise InputError(f"{path}, row {row}: the text is not UTF-8; save the file as CSV UTF-8") from error
    except pd.errors.ParserError as error:
        raise InputError(_explain_parser_error(path, str(error))) from error
    except _BROKEN as error:
        raise _unreadable(path, error) from error
    table.index = pd.RangeIndex(2, 2 + len(table))
    return table


def _unreadable(path: Path, error: BaseException) -> InputError:
    return InputError(f"{path}: the file cannot be read or decompressed ({error})")


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
