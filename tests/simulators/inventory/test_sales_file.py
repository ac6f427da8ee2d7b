import json
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.review_periods import ReviewPeriods
from sandtable.simulators.inventory.sales_file import describe_sales, read_sales
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales

PERIODS = ("D", "W", "W-SUN", "2W", "3D", "MS", "QS", "2MS", "YS")
# two whole weeks from Monday 3 January 2011
TWO_WEEKS = "sku,date,units\n00123,2011-01-03,4\n9,2011-01-05,1\n9,2011-01-09,2\n00123,2011-01-16,6\n"


def rows(*lines, header="sku,date,units"):
    return "\n".join([header, *lines]) + "\n"


def equal(one, other, but=("repairs", "source")):
    for field in fields(one):
        if field.name not in but:
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


def test_units_are_summed_by_week_and_missing_rows_are_zero(sales):
    history = sales(TWO_WEEKS)
    assert history.skus == ("00123", "9")
    assert history.starts.tolist() == [np.datetime64("2011-01-03"), np.datetime64("2011-01-10")]
    assert history.review_period == "W-MON"
    np.testing.assert_array_equal(history.units, [[4, 3], [6, 0]])
    assert history.source == "sales.csv"
    assert history.repairs == {}
    for name in ("price", "cost", "in_stock", "on_hand", "on_order", "lead_time", "minimum_order", "capacity"):
        assert np.isnan(getattr(history, name)).all()


@st.composite
def tables(draw):
    size = draw(st.integers(1, 40))
    day = st.integers(0, 400).map(lambda offset: str(np.datetime64("2019-11-20") + offset))
    return pd.DataFrame(
        {
            "sku": draw(st.lists(st.sampled_from(["007", "7", "a b", "ß"]), min_size=size, max_size=size)),
            "date": draw(st.lists(day, min_size=size, max_size=size)),
            "units": draw(st.lists(st.integers(-5, 50), min_size=size, max_size=size)),
            "price": draw(st.lists(st.sampled_from([0.25, 0.5, 1.0, 3.0]), min_size=size, max_size=size)),
        }
    )


def read_table(table, **options):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sales.csv"
        table.to_csv(path, index=False)
        try:
            return read_sales(path, **options)
        except InputError:
            return None


@given(table=tables(), period=st.sampled_from(PERIODS))
@settings(max_examples=150, deadline=None)
def test_units_are_conserved_up_to_the_end_of_the_last_period(table, period):
    history = read_table(table, review_period=period, min_sale_days=0)
    if history is None:
        return
    end = ReviewPeriods.from_alias(period).starts(history.starts[-1], 2)[1]
    inside = table[table["date"].to_numpy().astype("datetime64[D]") < end]
    expected = inside["units"].clip(lower=0).groupby(inside["sku"]).sum()
    for i, sku in enumerate(history.skus):
        assert history.units[:, i].sum() == expected.get(sku, 0)
    if "incomplete last period dropped" not in history.repairs:
        assert len(inside) == len(table)


@given(table=tables(), period=st.sampled_from(PERIODS), seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_order_of_rows_does_not_matter(table, period, seed):
    history = read_table(table, review_period=period)
    shuffled = read_table(table.sample(frac=1, random_state=seed), review_period=period)
    assert (history is None) == (shuffled is None)
    if history is not None:
        equal(history, shuffled, but=("source",))


@given(table=tables(), period=st.sampled_from(PERIODS))
@settings(max_examples=80, deadline=None)
def test_splitting_rows_into_duplicates_changes_nothing_but_the_count(table, period):
    table = table.assign(units=table["units"].abs())
    first = table["units"] // 2
    split = pd.concat([table.assign(units=first), table.assign(units=table["units"] - first)])
    history, halves = read_table(table, review_period=period), read_table(split, review_period=period)
    assert (history is None) == (halves is None)
    if history is not None:
        equal(history, halves)
        repair = "further rows of the same product and date, added to the first"
        assert halves.repairs[repair] == history.repairs.get(repair, 0) + len(table)


def assert_read_or_refused_in_one_line(path):
    message = ""
    try:
        read_sales(path)
    except InputError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


@given(content=st.binary(max_size=300), beginning=st.sampled_from(["", "sku,date,units\n", TWO_WEEKS]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused_in_one_line(content, beginning):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sales.csv"
        path.write_bytes(beginning.encode() + content)
        assert_read_or_refused_in_one_line(path)


@given(cells=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=3, max_size=3))
@settings(max_examples=200, deadline=None)
def test_any_text_in_a_row_is_read_or_refused_in_one_line(cells):
    table = pd.DataFrame([["a", "2011-01-03", "1"], cells, ["a", "2011-01-16", "1"]], columns=["sku", "date", "units"])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sales.csv"
        table.to_csv(path, index=False)
        assert_read_or_refused_in_one_line(path)


def test_numbers_are_float64_and_starts_are_days(sales):
    history = sales(TWO_WEEKS)
    assert history.starts.dtype == "datetime64[D]"
    for name in ("units", "price", "cost", "in_stock", "on_hand", "on_order", "lead_time", "batch_size", "capacity"):
        assert getattr(history, name).dtype == np.float64


def test_description_of_a_small_file(sales):
    text = rows(
        "a,2011-01-03,4,2", "a,2011-01-16,6,2", "b,2011-01-05,-1,", "b,2011-01-16,2,2", header="sku,date,units,price"
    )
    described = describe_sales(sales(text))
    assert described == {
        "source": "sales.csv",
        "review_period": "W-MON",
        "products": 2,
        "periods": 2,
        "start": "2011-01-03",
        "end": "2011-01-16",
        "units": 12.0,
        "zero_share": 0.25,
        "known": {"price": 0.75},
        "censoring_known": False,
        "units_per_period": [2.0, 3.0, 4.0],
        "zero_share_of_product": [0.125, 0.25, 0.375],
        "repairs": {"negative units (returns) set to 0": 1, "blank prices treated as unknown": 1},
    }
    assert json.loads(json.dumps(described)) == described


def test_description_of_the_synthetic_panel_knows_its_censoring():
    described = describe_sales(synthetic_sales(products=5, periods=10))
    assert described["censoring_known"]
    assert described["end"] == "2023-03-12"
    assert set(described["known"]) == {"price", "cost", "in_stock", "lead_time", "minimum_order", "batch_size"}
