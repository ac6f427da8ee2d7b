"""The products and numbers of a sales file: what is wrong is refused with its row, what is slightly wrong is mended."""

import re

import numpy as np
import pandas as pd

from sandtable.simulators.csv_file import BLANKS
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.sales_table import SalesRows


def product_index(rows: SalesRows) -> tuple[np.ndarray, list[str]]:
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


def row_numbers(rows: SalesRows, column: str) -> np.ndarray:
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
        blank = text.isin(BLANKS).to_numpy()
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


def check_ranges(rows: SalesRows, values: dict[str, np.ndarray]) -> None:
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


def mend(rows: SalesRows, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
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
