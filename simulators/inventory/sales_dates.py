"""The dates of a sales file: ISO, or another order of day, month and year that the file as a whole settles."""

import re

import numpy as np
import pandas as pd

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.sales_table import SalesRows

_LONGEST_SILENCE = 5 * 366  # days without any row; beyond it a date is taken for a slip


def row_days(rows: SalesRows, date_format: str | None) -> np.ndarray:
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


def _parse_dates(rows: SalesRows, codes: np.ndarray, texts: pd.Series, date_format: str | None) -> np.ndarray:
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


def _parse_other_dates(rows: SalesRows, codes: np.ndarray, texts: pd.Series) -> np.ndarray:
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
