"""From the rows of a sales file to its review periods: which periods it covers, and what a period holds."""

import numpy as np
import pandas as pd

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.review_periods import ReviewPeriods
from sandtable.simulators.inventory.sales_table import CONSTANTS, SalesRows


def cut_calendar(rows: SalesRows, days: np.ndarray, periods: ReviewPeriods) -> np.ndarray:
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


def _refuse_coarse(rows: SalesRows, distinct: np.ndarray, periods: ReviewPeriods) -> None:
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


def _expected(between: np.ndarray, distinct: np.ndarray) -> bool:
    """Tell whether the file would have rows on some of the days ``between``, judging by its dates.

    A shop that never sells on Saturdays has no rows on Saturdays; a weekly file has one day of the week, a monthly file
    one day of the month or its last day. Both arguments are datetime64[D]; ``distinct`` is sorted.
    """
    monthly = _monthly(distinct)
    if monthly is not None:
        return bool((_day_of_month(between + monthly[0]) == monthly[1]).any())
    return bool(np.isin(between.astype(np.int64) % 7, distinct.astype(np.int64) % 7).any())


def _monthly(distinct: np.ndarray) -> tuple[int, int] | None:
    """Return (shift, day) if all dates, ``shift`` days later, are one day of the month; shift 1 is for last days."""
    for shift in (0, 1):
        day = np.unique(_day_of_month(distinct + shift))
        if len(distinct) > 1 and len(day) == 1:
            return shift, int(day[0])
    return None


def _day_of_month(days: np.ndarray) -> np.ndarray:
    return (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1


def count_sale_days(
    rows: SalesRows, product: np.ndarray, days: np.ndarray, units: np.ndarray, products: int
) -> np.ndarray:
    """Return on how many dates each product sold, int64 [N]; count the rows that share a product and a date."""
    day = (days - days.min()).astype(np.int64)
    pair = product * (day.max() + 1) + day
    rows.note("further rows of the same product and date, added to the first", len(pair) - len(pd.unique(pair)))
    sold = pd.unique(pair[units > 0])
    return np.bincount(sold // (day.max() + 1), minlength=products)


def product_constants(
    rows: SalesRows, values: dict[str, np.ndarray], product: np.ndarray, days: np.ndarray, names: list[str]
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


def fill_tables(values: dict[str, np.ndarray], days: np.ndarray, slot: np.ndarray, size: int) -> dict[str, np.ndarray]:
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
