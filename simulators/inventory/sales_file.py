"""Sales files: a long table of product, date and units becomes a ``SalesHistory``.

The way of the data is the way down ``read_sales``. The file is opened and its columns are found (``sales_table``);
dates, products and numbers are checked row by row (``sales_dates``, ``sales_values``); rows are summed into review
periods (``sales_periods``). What cannot be used raises an ``InputError`` that names the file, the row (as a spreadsheet
counts: the header is row 1) and the column. What can be mended in only one way is mended and counted in
``SalesHistory.repairs``.
"""

from pathlib import Path
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.review_periods import ReviewPeriods
from sandtable.simulators.inventory.sales_dates import row_days
from sandtable.simulators.inventory.sales_periods import count_sale_days, cut_calendar, fill_tables, product_constants
from sandtable.simulators.inventory.sales_table import CONSTANTS, TABLES, read_rows
from sandtable.simulators.inventory.sales_values import check_ranges, mend, product_index, row_numbers


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
    rows = read_rows(path)
    product, names = product_index(rows)
    days = row_days(rows, date_format)
    values = {column: row_numbers(rows, column) for column in rows.table.columns if column not in ("sku", "date")}
    check_ranges(rows, values)

    given = ~np.isnan(values["units"])
    rows.note("rows without units dropped", (~given).sum())
    if not given.any():
        raise InputError(f"{path}: no row has units")
    rows.table, product, days = rows.table[given], product[given], days[given]
    values = mend(rows, {column: array[given] for column, array in values.items()})

    edges = cut_calendar(rows, days, periods)
    constants = product_constants(rows, values, product, days, names)
    inside = days < edges[-1]
    chosen = count_sale_days(rows, product, days, values["units"], len(names)) >= min_sale_days
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
    tables = fill_tables({column: array[kept] for column, array in values.items()}, days[kept], slot, number * width)
    return SalesHistory(
        source=path.name,
        skus=tuple(name for name, keep in zip(names, chosen, strict=True) if keep),
        starts=edges[:-1],
        review_period=periods.alias,
        repairs=rows.repairs,
        **{column: table.reshape(number, width) for column, table in tables.items()},
        **{column: constant[chosen] for column, constant in constants.items()},
    )


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
