"""Sales files: a long table of product, date and units becomes a ``SalesHistory``.

The way down the page is the way of the data. The file is opened and its columns are found; products, dates and numbers
are checked row by row; rows are summed into review periods; the tables of the history are filled. What cannot be used
raises an ``InputError`` that names the file, the row (as a spreadsheet counts: the header is row 1) and the column.
What can be mended in only one way is mended and counted in ``SalesHistory.repairs``.
"""

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
from sandtable.simulators.inventory.history import SalesHistory

REQUIRED = ("sku", "date", "units")
TABLES = ("price", "cost", "in_stock", "on_hand", "on_order")
CONSTANTS = ("lead_time", "minimum_order", "batch_size", "capacity")

_SYNONYMS = {
    "sku": "product product_id product_code item item_id article stockcode stock_code id asin material",
    "date": "day week month period time timestamp datetime invoicedate order_date ds",
    "units": "quantity qty sales sold units_sold sales_units demand amount volume y",
}
_BLANKS = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None"]
_BROKEN = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_LONGEST_SILENCE = 5 * 366  # days without any row; beyond it a date is taken for a slip


@dataclass(frozen=True)
class ReviewPeriods:
    """A calendar cut into review periods: days, weeks, months, quarters or years, or a fixed number of them.

    Attributes:
        alias: The pandas offset alias whose ``date_range`` gives the first days: ``D``, ``W-MON``, ``2W-MON``, ``MS``.
        multiple: How many base periods make one review period.
        days: Days in a base period (1 or 7), or 0 if it is made of months.
        months: Months in a base period (1, 3 or 12), or 0 if it is made of days.
        weekday: First day of the week, 0 for Monday; 0 unless ``days`` is 7.
    """

    alias: str
    multiple: int
    days: int
    months: int
    weekday: int = 0

    @classmethod
    def from_alias(cls, alias: str) -> "ReviewPeriods":
        """Return the calendar of ``D``, ``W`` (from Monday), ``W-SUN``, ``M``, ``Q``, ``Y`` or a multiple like ``2W``.

        Months, quarters and years begin on their first day, so ``M``, ``ME`` and ``MS`` mean the same here.

        Raises:
            InputError: The alias is none of these.
        """
        match = re.fullmatch(r"([1-9]\d{0,2})?(D|W(?:-(\w{3}))?|([MQY])[SE]?)", str(alias).strip().upper())
        if match is None or match[3] not in (None, *_WEEKDAYS):
            raise InputError(f"review period {alias!r} is not known; use D, W, W-SUN, MS, QS, YS or a multiple like 2W")
        multiple = int(match[1] or 1)
        prefix = str(multiple) if multiple > 1 else ""
        if match[4]:
            return cls(f"{prefix}{match[4]}S", multiple, 0, _MONTHS[match[4]])
        if match[2] == "D":
            return cls(f"{prefix}D", multiple, 1, 0)
        day = match[3] or "MON"
        return cls(f"{prefix}W-{day}", multiple, 7, 0, _WEEKDAYS.index(day))

    def base(self, days: np.ndarray) -> np.ndarray:
        """Return the number of the base period that holds each day, counted from 1970: int64, the shape of ``days``."""
        if self.months:
            return days.astype("datetime64[M]").astype(np.int64) // self.months
        monday = 4 if self.days == 7 else 0  # 1970-01-05 was a Monday
        return (days.astype("datetime64[D]").astype(np.int64) - monday - self.weekday) // self.days

    def starts(self, first: np.datetime64, periods: int) -> np.ndarray:
        """Return the first days of ``periods`` review periods, datetime64[D]; the first of them holds ``first``."""
        base = self.base(np.asarray([first]))[0] + self.multiple * np.arange(periods)
        if self.months:
            return (base * self.months).astype("datetime64[M]").astype("datetime64[D]")
        monday = 4 if self.days == 7 else 0
        return (base * self.days + monday + self.weekday).astype("datetime64[D]")

    def index(self, days: np.ndarray, first: np.datetime64) -> np.ndarray:
        """Return which review period holds each day; period 0 is that of ``first``."""
        return (self.base(days) - self.base(np.asarray([first]))[0]) // self.multiple


@dataclass
class _Rows:
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
            free = [name for name in names if name and name not in (*REQUIRED, *TABLES, *CONSTANTS)]
            known = [name for name in free if name.replace(" ", "_") in _SYNONYMS[wanted].split()]
            likely = known or difflib.get_close_matches(wanted, free, n=1)
            if likely:
                hints.append(f"rename {likely[0]} to {wanted}")
        columns = f"column {missing[0]} is" if len(missing) == 1 else f"columns {', '.join(missing)} are"
        found = ", ".join(name or "(blank)" for name in names[:12]) + (", ..." if len(names) > 12 else "")
        advice = f"; {', '.join(hints)}" if hints else ""
        raise InputError(f"{file}: {columns} missing; found {found}{advice}")
    for name in (*REQUIRED, *TABLES, *CONSTANTS):
        if names.count(name) > 1:
            raise InputError(f"{file}: column {name} is there {names.count(name)} times; keep one")
    return names


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


def _too_many(values: int, columns: int) -> str:
    return f"{values} values where the header names {columns} columns; a comma inside a value needs quotes around it"


def _read_csv(path: Path) -> pd.DataFrame:
    """Return the known columns of a CSV file; the index is the row number."""
    try:
        with _open(path) as handle:
            head = handle.read(2**16)
        _refuse_if_not_text(path, head)
        names = _find_columns(str(path), _read_header(path, head))
        used = [name for name in (*REQUIRED, *TABLES, *CONSTANTS) if name in names]
        labels = [name if name in used else f"{name} (column {i})" for i, name in enumerate(names)]
        with _open(path) as handle:
            table = pd.read_csv(
                cast(Any, handle),
                header=0,
                names=labels,
                index_col=False,
                dtype={"sku": str, "date": str},
                keep_default_na=False,  # "NA" may be a product
                na_values={name: _BLANKS for name in used if name not in ("sku", "date")},
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
        raise MissingExtraError("Reading Parquet", "parquet") from error
    try:
        stored = pyarrow.parquet.read_schema(path).names
        names = _find_columns(str(path), stored)
        used = {name: stored[names.index(name)] for name in (*REQUIRED, *TABLES, *CONSTANTS) if name in names}
        table = pyarrow.parquet.read_table(path, columns=list(used.values())).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: the file cannot be read as Parquet ({' '.join(str(error).split())})") from error
    table = table[list(used.values())]
    table.columns = pd.Index(list(used))
    table.index = pd.RangeIndex(1, 1 + len(table))
    return table


def _read_rows(path: Path) -> _Rows:
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
    rows = _Rows(str(path), _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path))
    empty = np.array(rows.table["units"].isna())
    if empty.any():
        suspects = rows.table[empty]
        empty[empty] = (suspects.isna() | (suspects == "")).all(axis=1).to_numpy()
        rows.note("blank rows left out", empty.sum())
        rows.table = rows.table[~empty]
    if rows.table.empty:
        raise InputError(f"{path}: the file has a header and no rows")
    return rows


def _products(rows: _Rows) -> tuple[np.ndarray, list[str]]:
    """Return for each row the index of its product, int64 [n], and the names of the products in text order."""
    column = rows.table["sku"]
    if pd.api.types.is_integer_dtype(column):
        column = column.astype(str)
    elif isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if not pd.api.types.is_string_dtype(column.dropna()):
        raise InputError(f"{rows.file}: column sku holds {column.dtype} values; store it as text")
    codes, found = pd.factorize(column.fillna(""))
    trimmed = [str(name).strip() for name in found]
    rows.refuse(np.asarray([not name for name in trimmed])[codes], "sku", "names no product; every row needs a sku")
    spaced = np.asarray([name != short for name, short in zip(found, trimmed, strict=True)])
    rows.note("rows whose sku had spaces around it, trimmed", spaced[codes].sum())
    names = sorted(set(trimmed))
    place = {name: i for i, name in enumerate(names)}
    return np.asarray([place[name] for name in trimmed], dtype=np.int64)[codes], names


def _days(rows: _Rows, date_format: str | None) -> np.ndarray:
    """Return the day of each row, datetime64[D] [n]; the time of day is left out."""
    column = rows.table["date"]
    if pd.api.types.is_datetime64_any_dtype(column):
        days = column.dt.tz_localize(None).to_numpy().astype("datetime64[D]")
        rows.refuse(np.isnat(days), "date", "is no date; every row needs one")
    else:
        codes, found = pd.factorize(column, use_na_sentinel=False)
        texts = pd.Series(["" if pd.isna(value) else str(value).strip() for value in found], dtype=str)
        rows.refuse((texts == "").to_numpy()[codes], "date", "is no date; every row needs one")
        days = _parse_dates(rows, codes, texts, date_format)[codes]
    years = days.astype("datetime64[Y]").astype(np.int64) + 1970
    slip = "are its digits reversed?"
    rows.refuse((years < 1900) | (years > 2100), "date", f"lies outside the years 1900 to 2100; {slip}")
    distinct = np.unique(days)
    gaps = np.diff(distinct).astype(np.int64)
    if gaps.size and gaps.max() > _LONGEST_SILENCE:
        after = days > distinct[np.argmax(gaps)]
        few = after if 2 * after.sum() <= after.size else ~after
        rows.refuse(few, "date", f"lies {gaps.max() // 365} years apart from the other dates; {slip}")
    return days


def _parse_dates(rows: _Rows, codes: np.ndarray, texts: pd.Series, date_format: str | None) -> np.ndarray:
    """Return the day of each distinct text, datetime64[D].

    Args:
        rows: For messages.
        codes: Index of each row's text, int [n]; texts are numbered in the order in which they appear.
        texts: The distinct texts, not empty.
        date_format: How to read them (``strptime``), or None to find out.
    """
    if date_format is not None:
        try:
            parsed = pd.to_datetime(texts, format=date_format, errors="coerce")
        except ValueError as error:
            raise InputError(f"{rows.file}: --date-format {date_format!r} cannot be used ({error})") from error
        rows.refuse(parsed.isna().to_numpy()[codes], "date", f"does not have the date format {date_format!r}")
        return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    zone = texts.str.extract(r":\d{2}(?:\.\d+)? ?(Z|UTC|[+-]\d{2}(?::?\d{2})?)$", expand=False).fillna("")
    rows.refuse(
        (zone != zone.iloc[0]).to_numpy()[codes],
        "date",
        f"has another time zone than the first row's '{texts.iloc[0]}'; write local dates without a time zone",
    )
    # the shortest text that is read here is 2011-1-2 or 20110102, or a month as 2011-01
    iso = texts.str.fullmatch(r"\d{4}-\d{1,2}(-\d{1,2}([T ].*)?)?|\d{8}").to_numpy()
    if not iso[0]:
        return _parse_other_dates(rows, codes, texts)
    local = texts.str.slice(0, -len(zone.iloc[0])) if zone.iloc[0] else texts
    parsed = pd.to_datetime(local.where(iso), format="ISO8601", errors="coerce")
    rows.refuse(parsed.isna().to_numpy()[codes], "date", "is not a date; write it as 2011-01-31")
    return parsed.to_numpy().astype("datetime64[D]")


def _parse_other_dates(rows: _Rows, codes: np.ndarray, texts: pd.Series) -> np.ndarray:
    """Read dates like 31/12/2011, whose order of day, month and year the file as a whole must settle; datetime64[D]."""
    dates = texts.str.replace(r"[T ]+\d{1,2}:\d{2}.*$", "", regex=True)
    mark = re.sub(r"\d", "", dates.iloc[0])[:1] or "/"
    formats = [form.replace("/", mark) for form in ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")]
    readings = [pd.to_datetime(dates, format=form, errors="coerce") for form in formats]
    failed = [reading.isna().to_numpy()[codes] for reading in readings]
    best = int(np.argmin([failures.sum() for failures in failed]))
    if failed[best].all():
        advice = 'write it as 2011-01-31, or pass --date-format, for example "%m/%d/%y" or "%d %b %Y"'
        rows.refuse(failed[best], "date", f"is not a date that can be read; {advice}")
    rows.refuse(failed[best], "date", f"is not a date of the form {formats[best]}, as other rows are")
    if best == 0 and not failed[1].any():
        unsettled = (readings[0] != readings[1]).to_numpy()[codes]
        reason = "may be read with the day or the month first, and no row of the file settles it"
        rows.refuse(unsettled, "date", f'{reason}; pass --date-format "{formats[0]}" or "{formats[1]}"')
    rows.note(f"dates read as {formats[best]}", len(codes))
    return readings[best].to_numpy().astype("datetime64[D]")


def _numbers(rows: _Rows, column: str) -> np.ndarray:
    """Return a column as float64 [n], NaN where it is blank.

    Raises:
        InputError: A value is no finite number. ``in_stock`` may also hold true and false.
    """
    raw = rows.table[column]
    if pd.api.types.is_bool_dtype(raw) or not pd.api.types.is_numeric_dtype(raw):
        text = raw.astype(object).where(raw.notna(), "").astype(str).str.strip()
        if column == "in_stock":
            lower = text.str.lower()
            text = text.mask(lower == "true", "1").mask(lower == "false", "0")
        blank = text.isin(_BLANKS).to_numpy()
        values = pd.to_numeric(text.mask(blank), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.isnan(values) & ~blank
        if wrong.any():
            shown = text.iloc[int(np.argmax(wrong))]
            grouped = re.fullmatch(r"[+-]?\d{1,3}([., '\u00a0\u202f]\d{3})+([.,]\d+)?", shown)
            problem = "has a thousands separator" if grouped else "is not a number"
            rows.refuse(wrong, column, f"{problem}; write it as 1234.5")
    else:
        values = raw.to_numpy(dtype=np.float64, na_value=np.nan)
    rows.refuse(
        np.abs(values) > 1e15, column, "is infinite or beyond 1e15; correct it, or leave it blank if it is unknown"
    )
    return values


def _check_ranges(rows: _Rows, values: dict[str, np.ndarray]) -> None:
    """Raise for values that no mending makes sense of; the arrays hold one value a row, NaN where it is blank."""
    for column in ("cost", "on_order", "lead_time", "minimum_order", "batch_size", "capacity"):
        if column in values:
            rows.refuse(values[column] < 0, column, "is negative; correct it, or leave it blank if it is unknown")
    for column in ("batch_size", "capacity"):
        if column in values:
            rows.refuse(values[column] == 0, column, "must be positive; leave it blank if there is none")
    if "in_stock" in values:
        wrong = (values["in_stock"] < 0) | (values["in_stock"] > 1)
        rows.refuse(wrong, "in_stock", "is not a share in stock; write 0, 1, true, false or a share between them")


def _mend(rows: _Rows, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns with what can be mended in one way only mended, and count it."""
    mended = dict(values)
    mended["units"] = np.maximum(values["units"], 0.0)
    rows.note("negative units (returns) set to 0", (values["units"] < 0).sum())
    if "price" in values:
        mended["price"] = np.where(values["price"] > 0, values["price"], np.nan)
        rows.note("prices of zero or less treated as unknown", (values["price"] <= 0).sum())
        rows.note("blank prices treated as unknown", np.isnan(values["price"]).sum())
    if "on_hand" in values:
        mended["on_hand"] = np.where(values["on_hand"] < 0, 0.0, values["on_hand"])
        rows.note("negative stock on hand set to 0", (values["on_hand"] < 0).sum())
    return mended


def _day_of_month(days: np.ndarray) -> np.ndarray:
    return (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1


def _monthly(distinct: np.ndarray) -> tuple[int, int] | None:
    """Return (shift, day) if all dates, ``shift`` days later, are one day of the month; shift 1 is for last days."""
    for shift in (0, 1):
        day = np.unique(_day_of_month(distinct + shift))
        if len(distinct) > 1 and len(day) == 1:
            return shift, int(day[0])
    return None


def _expected(between: np.ndarray, distinct: np.ndarray) -> bool:
    """Tell whether the file would have rows on some of the days ``between``, judging by its dates.

    A shop that never sells on Saturdays has no rows on Saturdays; a weekly file has one day of the week, a monthly file
    one day of the month or its last day. Both arguments are datetime64[D]; ``distinct`` is sorted.
    """
    monthly = _monthly(distinct)
    if monthly is not None:
        return bool((_day_of_month(between + monthly[0]) == monthly[1]).any())
    return bool(np.isin(between.astype(np.int64) % 7, distinct.astype(np.int64) % 7).any())


def _refuse_coarse(rows: _Rows, distinct: np.ndarray, periods: ReviewPeriods) -> None:
    """Raise if the file is weekly, monthly or coarser and its dates lie two review periods or more apart."""
    if len(distinct) < 4 or np.diff(periods.base(distinct)).min() < 2 * periods.multiple:
        return
    gaps = np.diff(distinct).astype(np.int64)
    weeks, rest = divmod(int(np.gcd.reduce(gaps)), 7)
    if _monthly(distinct) is not None:
        fitting = "MS" if gaps.min() < 32 else "QS" if gaps.min() < 93 else "YS"
    elif rest == 0:
        fitting = "W" if weeks == 1 else f"{weeks}W"
    else:
        return
    apart = f"the dates are {gaps.min()} days or more apart, coarser than the review period {periods.alias}"
    raise InputError(f"{rows.file}: {apart}; pass --review-period {fitting}, or a file with more dates")


def _last_known(values: np.ndarray, slot: np.ndarray, order: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the last known value of each slot and its position among the rows (-1: none).

    Args:
        values: float64 [n], NaN unknown.
        slot: int64 [n], in [0, size).
        order: int64 [n], the rows by date.
        size: Number of slots.
    """
    known = order[~np.isnan(values[order])]
    last = np.full(size, -1, dtype=np.int64)
    last[slot[known]] = known  # of repeated indices, the last one counts
    found = np.full(size, np.nan)
    found[last >= 0] = values[last[last >= 0]]
    return found, last


def _weighted_mean(values: np.ndarray, weight: np.ndarray, slot: np.ndarray, size: int) -> np.ndarray:
    """Return the mean of the known values of each slot by weight, NaN where the known values have no weight."""
    weight = np.where(np.isnan(values), 0.0, weight)
    total = np.bincount(slot, weight, size)
    summed = np.bincount(slot, weight * np.nan_to_num(values), size)
    return np.divide(summed, total, out=np.full(size, np.nan), where=total > 0)


def _constants(
    rows: _Rows, values: dict[str, np.ndarray], product: np.ndarray, days: np.ndarray, names: list[str]
) -> dict[str, np.ndarray]:
    """Return what is constant for a product, float64 [N] a column; the last value by date counts."""
    constants, rows_of = {}, {}
    order = np.argsort(days, kind="stable")
    for column in CONSTANTS:
        given = values.get(column, np.full(len(product), np.nan))
        constants[column], rows_of[column] = _last_known(given, product, order, len(names))
        differs = ~np.isnan(given) & (given != constants[column][product])
        rows.note(f"products whose {column} varied: the last by date kept", len(np.unique(product[differs])))
    beyond = constants["minimum_order"] > constants["capacity"]
    if beyond.any():
        first = rows_of["minimum_order"][beyond].min()
        limit = constants["capacity"][product[first]]
        wrong = np.arange(len(product)) == first
        rows.refuse(wrong, "minimum_order", f"is above the capacity {limit:g} of sku {names[product[first]]!r}")
    return constants


def _cut(rows: _Rows, days: np.ndarray, periods: ReviewPeriods) -> np.ndarray:
    """Return the first days of the review periods and, as last entry, the day after them: datetime64[D] [T + 1].

    Raises:
        InputError: There are fewer than two complete periods, or the file is coarser than they are.
    """
    distinct = np.unique(days)
    first, last = distinct[0], distinct[-1]
    _refuse_coarse(rows, distinct, periods)
    edges = periods.starts(first, int(periods.index(distinct, first)[-1]) + 2)
    rows.note("incomplete first period kept", _expected(np.arange(edges[0], first), distinct))
    if _expected(np.arange(last + 1, edges[-1]), distinct):
        rows.note("incomplete last period dropped", 1)
        edges = edges[:-1]
    if len(edges) < 3:
        count = "no complete review period" if len(edges) == 1 else "only one review period"
        raise InputError(f"{rows.file}: the dates {first} to {last} hold {count} of {periods.alias}; two are needed")
    filled = len(edges) - 1 - len(np.unique(periods.index(distinct[distinct < edges[-1]], first)))
    rows.note("calendar gaps (periods without any row) filled with zero sales", filled)
    return edges


def read_sales(
    path: str | Path, *, review_period: str = "W", date_format: str | None = None, min_sale_days: int = 1
) -> SalesHistory:
    """Read past sales from a CSV file (also .gz, .bz2, .xz, .zip) or a Parquet file.

    The format is long: a row for each product and date. Columns, in any order and any case: ``sku`` (text), ``date``
    and ``units``; optionally ``price`` (> 0) and ``cost`` (>= 0) a unit, ``in_stock`` (0, 1, true, false or a share),
    ``on_hand`` and ``on_order`` (units at the end of the day), and, constant for a product, ``lead_time`` (review
    periods), ``minimum_order``, ``batch_size`` and ``capacity`` (units). Other columns are ignored.

    Dates are ISO (2011-01-31, also with a time of day, which is left out); other orders of day, month and year are read
    if the file as a whole settles them. Of a period, units are summed; price is the mean by units sold, NaN without a
    sale; cost and in_stock are means over rows; on_hand and on_order are the last known (of one day: the last row's).
    A period without rows is one without sales. The last period is left out if the file ends before it does, judging by
    the weekdays (or the day of the month) on which the file has rows; an incomplete first period is kept.

    Mended and counted in ``repairs``: spaces around a sku; rows without units (left out); negative units (set to 0);
    several rows of a product on a day (summed); prices that are blank or not positive (unknown); negative stock (set to
    0); a lead time, minimum order, batch size or capacity that varies (the last by date counts); blank rows; dates not
    in ISO order; an incomplete first or last period; periods without any row; products below ``min_sale_days``.

    Args:
        path: The file.
        review_period: ``D``, ``W`` (weeks from Monday), ``W-SUN``, ``MS`` (months), ``QS``, ``YS``, or a multiple like
            ``2W``; a multiple is counted from the file's first period.
        date_format: How dates are written, in the codes of ``strptime``; None finds out.
        min_sale_days: Keep products with at least this many distinct dates with units > 0 in the whole file and, unless
            it is 0, some units within the history.

    Returns:
        The history; products in text order.

    Raises:
        InputError: The file cannot be used; the message names the row and column and says what to do.
        MissingExtraError: The file is Parquet and pyarrow is not installed.
    """
    periods = ReviewPeriods.from_alias(review_period)
    if isinstance(min_sale_days, bool) or not isinstance(min_sale_days, int) or min_sale_days < 0:
        raise InputError(f"min_sale_days must be a whole number of 0 or more, not {min_sale_days!r}")
    path = Path(path)
    rows = _read_rows(path)
    product, names = _products(rows)
    days = _days(rows, date_format)
    values = {column: _numbers(rows, column) for column in rows.table.columns if column not in ("sku", "date")}
    _check_ranges(rows, values)

    given = ~np.isnan(values["units"])
    rows.note("rows without units dropped", (~given).sum())
    if not given.any():
        raise InputError(f"{path}: no row has units")
    rows.table, product, days = rows.table[given], product[given], days[given]
    values = _mend(rows, {column: array[given] for column, array in values.items()})

    edges = _cut(rows, days, periods)
    constants = _constants(rows, values, product, days, names)
    inside = days < edges[-1]
    chosen = _sale_days(rows, product, days, values["units"], len(names)) >= min_sale_days
    rows.note(f"products with sales on fewer than {min_sale_days} dates left out", (~chosen).sum())
    if min_sale_days:
        late = chosen & (np.bincount(product, inside * values["units"], len(names)) == 0)
        rows.note("products with sales in the dropped last period only left out", late.sum())
        chosen &= ~late
    if not chosen.any():
        before = f"sales on {min_sale_days} dates or more and some before {edges[-1]}"
        raise InputError(f"{path}: no product has {before}; ask for fewer dates or a shorter review period")

    kept = chosen[product] & inside
    number, width = len(edges) - 1, int(chosen.sum())
    slot = periods.index(days[kept], edges[0]) * width + (np.cumsum(chosen) - 1)[product[kept]]
    tables = _fill_tables({column: array[kept] for column, array in values.items()}, days[kept], slot, number * width)
    return SalesHistory(
        source=path.name,
        skus=tuple(name for name, keep in zip(names, chosen, strict=True) if keep),
        starts=edges[:-1],
        review_period=periods.alias,
        repairs=rows.repairs,
        **{column: table.reshape(number, width) for column, table in tables.items()},
        **{column: constant[chosen] for column, constant in constants.items()},
    )


def _sale_days(rows: _Rows, product: np.ndarray, days: np.ndarray, units: np.ndarray, products: int) -> np.ndarray:
    """Return on how many dates each product sold, int64 [N]; count the rows that share a product and a date."""
    day = (days - days.min()).astype(np.int64)
    pair = product * (day.max() + 1) + day
    rows.note("further rows of the same product and date, added to the first", len(pair) - len(pd.unique(pair)))
    sold = pd.unique(pair[units > 0])
    return np.bincount(sold // (day.max() + 1), minlength=products)


def _fill_tables(values: dict[str, np.ndarray], days: np.ndarray, slot: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Return units and each of ``TABLES`` as float64 [size]; ``slot`` is where each row belongs."""
    units, ones, unknown = values["units"], np.ones(len(slot)), np.full(len(slot), np.nan)
    order = np.argsort(days, kind="stable")
    return {
        "units": np.bincount(slot, units, size),
        "price": _weighted_mean(values.get("price", unknown), units, slot, size),
        "cost": _weighted_mean(values.get("cost", unknown), ones, slot, size),
        "in_stock": _weighted_mean(values.get("in_stock", unknown), ones, slot, size),
        "on_hand": _last_known(values.get("on_hand", unknown), slot, order, size)[0],
        "on_order": _last_known(values.get("on_order", unknown), slot, order, size)[0],
    }


def describe_sales(history: SalesHistory) -> dict[str, Any]:
    """Return what a history holds, in values that JSON can hold.

    Returns:
        ``source``, ``review_period``, ``products``, ``periods``, ``start`` and ``end`` (first and last day, ISO),
        ``units`` (in all), ``zero_share`` (share of product-periods without a sale), ``known`` (the share of entries
        that is known, for each optional column that is known at all), ``censoring_known`` (whether any in_stock is
        known), ``units_per_period`` and ``zero_share_of_product`` (quartiles over products of velocity and of
        intermittency), ``repairs``.
    """
    known = {name: float(np.mean(~np.isnan(getattr(history, name)))) for name in (*TABLES, *CONSTANTS)}
    periods = ReviewPeriods.from_alias(history.review_period)
    zero = history.units == 0

    def quartiles(values: np.ndarray) -> list[float]:
        return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]

    return {
        "source": history.source,
        "review_period": history.review_period,
        "products": len(history.skus),
        "periods": len(history.starts),
        "start": str(history.starts[0]),
        "end": str(periods.starts(history.starts[-1], 2)[1] - 1),
        "units": float(history.units.sum()),
        "zero_share": float(zero.mean()),
        "known": {name: share for name, share in known.items() if share > 0},
        "censoring_known": known["in_stock"] > 0,
        "units_per_period": quartiles(history.units.mean(axis=0)),
        "zero_share_of_product": quartiles(zero.mean(axis=0)),
        "repairs": dict(history.repairs),
    }
