import bz2
import gzip
import json
import lzma
import sys
import zipfile
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.inventory.sales_file import ReviewPeriods, describe_sales, read_sales
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales

PERIODS = ("D", "W", "W-SUN", "2W", "3D", "MS", "QS", "2MS", "YS")

# two whole weeks from Monday 3 January 2011
TWO_WEEKS = "sku,date,units\n00123,2011-01-03,4\n9,2011-01-05,1\n9,2011-01-09,2\n00123,2011-01-16,6\n"


@pytest.fixture
def sales(tmp_path):
    """Write text (or bytes) to a file, and read it."""

    def write_and_read(content, name="sales.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_sales(path, **options)

    return write_and_read


@pytest.fixture
def refusal(sales, tmp_path):
    """Return the message with which a file is refused, the folder cut off; it is one line."""

    def refuse(content, name="sales.csv", **options):
        with pytest.raises(InputError) as caught:
            sales(content, name, **options)
        message = str(caught.value)
        assert "\n" not in message
        return message.replace(f"{tmp_path}/", "")

    return refuse


def rows(*lines, header="sku,date,units"):
    return "\n".join([header, *lines]) + "\n"


def equal(one, other, but=("repairs", "source")):
    for field in fields(one):
        if field.name not in but:
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


# what a file becomes


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


def test_column_names_ignore_case_and_spaces_and_other_columns_are_ignored(sales):
    text = "remark, Date ,UNITS, Sku\nx,2011-01-03,4,00123\n,2011-01-05,1,9\n,2011-01-09,2,9\n,2011-01-16,6,00123\n"
    equal(sales(text), sales(TWO_WEEKS))


def test_price_is_the_mean_by_units_sold_and_unknown_without_a_sale(sales):
    text = rows(
        "a,2011-01-03,1,10", "a,2011-01-04,3,6", "a,2011-01-09,0,99", "a,2011-01-16,0,5", header="sku,date,units,price"
    )
    history = sales(text)
    np.testing.assert_array_equal(history.price, [[7], [np.nan]])


def test_stock_is_the_last_known_and_cost_and_in_stock_are_means(sales):
    header = "sku,date,units,cost,in_stock,on_hand,on_order"
    text = rows(
        "a,2011-01-09,1,4,false,,7",
        "a,2011-01-03,1,2,TRUE,50,3",
        "a,2011-01-05,1,,1,20,",
        "a,2011-01-16,1,,0.5,,",
        header=header,
    )
    history = sales(text)
    np.testing.assert_array_equal(history.cost, [[3], [np.nan]])
    np.testing.assert_allclose(history.in_stock, [[2 / 3], [0.5]])
    np.testing.assert_array_equal(history.on_hand, [[20], [np.nan]])
    np.testing.assert_array_equal(history.on_order, [[7], [np.nan]])


def test_what_is_constant_for_a_product_may_be_given_once(sales):
    header = "sku,date,units,lead_time,minimum_order,batch_size,capacity"
    history = sales(rows("a,2011-01-03,1,2,10,5,100", "a,2011-01-16,1,,,,", "b,2011-01-16,1,,,,", header=header))
    np.testing.assert_array_equal(history.lead_time, [2, np.nan])
    np.testing.assert_array_equal(history.minimum_order, [10, np.nan])
    np.testing.assert_array_equal(history.batch_size, [5, np.nan])
    np.testing.assert_array_equal(history.capacity, [100, np.nan])
    assert history.repairs == {}


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("s.csv.gz", gzip.compress),
        ("s.csv.bz2", bz2.compress),
        ("s.csv.xz", lzma.compress),
        ("s.CSV.GZ", gzip.compress),
    ],
)
def test_compressed_files_read_the_same(sales, name, compress):
    equal(sales(compress(TWO_WEEKS.encode()), name), sales(TWO_WEEKS))


def test_zip_archive_of_one_file_reads_the_same_and_of_two_is_refused(sales, tmp_path):
    path = tmp_path / "sales.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.csv", TWO_WEEKS)
    equal(read_sales(path), sales(TWO_WEEKS))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.csv", TWO_WEEKS)
    with pytest.raises(InputError, match="the archive holds 2 files; it must hold one"):
        read_sales(path)


def test_byte_order_mark_and_windows_line_ends_are_fine(sales):
    equal(sales(b"\xef\xbb\xbf" + TWO_WEEKS.replace("\n", "\r\n").encode()), sales(TWO_WEEKS))


def test_parquet_reads_as_csv_does(sales, tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    text = rows(
        "00123,2011-01-03,4,1.5,1", "9,2011-01-09,2,,0", "9,2011-01-16,3,2,1", header="SKU,Date,units,price,in_stock"
    )
    (tmp_path / "sales.csv").write_text(text)
    table = pd.read_csv(tmp_path / "sales.csv", dtype={"SKU": str})
    expected = read_sales(tmp_path / "sales.csv")
    for dates in (
        table["Date"],
        pd.to_datetime(table["Date"]),
        pd.to_datetime(table["Date"]).dt.date,
        pd.to_datetime(table["Date"]).dt.tz_localize("Asia/Tokyo"),
        table["Date"].astype("category"),
    ):
        table.assign(Date=dates, in_stock=table["in_stock"] == 1).to_parquet(tmp_path / "sales.parquet")
        equal(read_sales(tmp_path / "sales.parquet"), expected)


def test_integer_skus_of_a_parquet_file_become_text(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    table = pd.DataFrame({"sku": [10, 9], "date": ["2011-01-03", "2011-01-16"], "units": [1, 2]})
    table.to_parquet(tmp_path / "sales.parquet")
    assert read_sales(tmp_path / "sales.parquet").skus == ("10", "9")
    table.assign(sku=[1.5, 2.0]).to_parquet(tmp_path / "sales.parquet")
    with pytest.raises(InputError, match="column sku holds float64 values; store it as text"):
        read_sales(tmp_path / "sales.parquet")


def test_parquet_errors_name_the_row_counted_from_one(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    path = tmp_path / "sales.parquet"
    pd.DataFrame({"sku": ["a", "a"], "date": ["2011-01-03", "x"], "units": [1, 2]}).to_parquet(path)
    with pytest.raises(InputError, match="row 2, column date: 'x' is not a date"):
        read_sales(path)
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_sales(path)


def test_parquet_without_pyarrow_names_the_extra(sales, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingExtraError, match=r"Reading Parquet needs an optional dependency: .*sandtable\[parquet\]"
    ):
        sales(b"PAR1", "sales.parquet")


# review periods


@pytest.mark.parametrize(
    ("alias", "canonical", "starts"),
    [
        ("D", "D", ["2011-02-16", "2011-02-17"]),
        ("W", "W-MON", ["2011-02-14", "2011-02-21"]),
        ("w-sun", "W-SUN", ["2011-02-13", "2011-02-20"]),
        ("W-WED", "W-WED", ["2011-02-16", "2011-02-23"]),
        ("2W", "2W-MON", ["2011-02-14", "2011-02-28"]),
        ("10D", "10D", ["2011-02-16", "2011-02-26"]),
        ("M", "MS", ["2011-02-01", "2011-03-01"]),
        ("ME", "MS", ["2011-02-01", "2011-03-01"]),
        ("Q", "QS", ["2011-01-01", "2011-04-01"]),
        ("2MS", "2MS", ["2011-02-01", "2011-04-01"]),
        ("YS", "YS", ["2011-01-01", "2012-01-01"]),
    ],
)
def test_review_periods_begin_where_the_calendar_says(alias, canonical, starts):
    periods = ReviewPeriods.from_alias(alias)
    assert periods.alias == canonical
    found = periods.starts(np.datetime64("2011-02-16"), 2)
    assert found.tolist() == [np.datetime64(day) for day in starts]


@given(
    alias=st.sampled_from(PERIODS),
    first=st.dates(pd.Timestamp("1901-01-01").date(), pd.Timestamp("2090-01-01").date()),
    later=st.integers(0, 3000),
)
def test_every_day_lies_in_the_review_period_of_its_index(alias, first, later):
    periods = ReviewPeriods.from_alias(alias)
    first = np.datetime64(first)
    day = first + later
    index = int(periods.index(np.asarray([day]), first)[0])
    starts = periods.starts(first, index + 2)
    assert starts[0] <= first
    assert starts[index] <= day < starts[index + 1]
    expected = pd.date_range(starts[0], periods=index + 2, freq=periods.alias).to_numpy().astype("datetime64[D]")
    np.testing.assert_array_equal(starts, expected)


@pytest.mark.parametrize("alias", ["", "X", "W-FOO", "0W", "-1W", "1.5D", "QS-FEB", "h", "week", "1234D"])
def test_unknown_review_period_is_refused(refusal, alias):
    expected = f"review period {alias!r} is not known; use D, W, W-SUN, MS, QS, YS or a multiple like 2W"
    assert refusal(TWO_WEEKS, review_period=alias) == expected


def test_incomplete_last_period_is_dropped_and_incomplete_first_one_kept(sales):
    days = pd.date_range("2011-01-05", "2011-01-20")
    history = sales(rows(*(f"a,{day.date()},1" for day in days)))
    np.testing.assert_array_equal(history.units[:, 0], [5, 7])
    assert history.repairs == {"incomplete first period kept": 1, "incomplete last period dropped": 1}


def test_week_is_complete_when_only_days_without_trade_are_missing(sales):
    days = pd.bdate_range("2011-01-03", "2011-01-14")
    history = sales(rows(*(f"a,{day.date()},1" for day in days)))
    np.testing.assert_array_equal(history.units[:, 0], [5, 5])
    assert history.repairs == {}


@pytest.mark.parametrize("weekday", ["2011-01-03", "2011-01-06", "2011-01-09"])
def test_weekly_file_gives_all_its_weeks_whatever_day_labels_them(sales, weekday):
    days = pd.date_range(weekday, periods=5, freq="7D")
    history = sales(rows(*(f"a,{day.date()},1" for day in days)))
    np.testing.assert_array_equal(history.units[:, 0], [1, 1, 1, 1, 1])
    assert history.repairs == {}


@pytest.mark.parametrize("freq", ["MS", "ME"])
def test_monthly_file_gives_all_its_months_and_whole_quarters(sales, freq):
    days = pd.date_range("2011-01-01", periods=6, freq=freq)
    text = rows(*(f"a,{day.date()},1" for day in days))
    monthly = sales(text, review_period="MS")
    np.testing.assert_array_equal(monthly.units[:, 0], np.ones(6))
    np.testing.assert_array_equal(sales(text, review_period="QS").units[:, 0], [3, 3])
    assert monthly.repairs == {}
    fewer = sales(text.rsplit("a,", 1)[0] + "", review_period="MS")
    assert len(fewer.starts) == 5


def test_months_may_be_written_without_a_day(sales):
    history = sales(rows("a,2011-01,1", "a,2011-02,2", "a,2011-03,3"), review_period="M")
    np.testing.assert_array_equal(history.units[:, 0], [1, 2, 3])


def test_periods_without_any_row_are_zero_and_counted(sales):
    history = sales(rows("a,2011-01-03,1", "a,2011-01-09,1", "a,2011-01-30,5"))
    np.testing.assert_array_equal(history.units[:, 0], [2, 0, 0, 5])
    assert history.repairs == {"calendar gaps (periods without any row) filled with zero sales": 2}


@pytest.mark.parametrize(
    ("freq", "period", "days", "alias", "fitting"),
    [
        ("7D", "D", 7, "D", "W"),
        ("14D", "W", 14, "W-MON", "2W"),
        ("MS", "W", 28, "W-MON", "MS"),
        ("ME", "D", 28, "D", "MS"),
        ("QS", "MS", 90, "MS", "QS"),
        ("YS", "QS", 365, "QS", "YS"),
    ],
)
def test_file_coarser_than_the_review_period_is_refused(refusal, freq, period, days, alias, fitting):
    dates = pd.date_range("2011-01-01", periods=6, freq=freq)
    message = refusal(rows(*(f"a,{day.date()},1" for day in dates)), review_period=period)
    assert message == (
        f"sales.csv: the dates are {days} days or more apart, coarser than the review period {alias}; "
        f"pass --review-period {fitting}, or a file with more dates"
    )


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        (["a,2011-01-03,1", "a,2011-01-09,1"], "2011-01-03 to 2011-01-09 hold only one review period"),
        (
            ["a,2011-01-03,1", "a,2011-01-08,1", "a,2011-01-11,1"],
            "2011-01-03 to 2011-01-11 hold only one review period",
        ),
        (
            ["a,2011-01-03,1", "b,2011-01-08,1", "c,2011-01-04,1"],
            "2011-01-03 to 2011-01-08 hold only one review period",
        ),
    ],
)
def test_fewer_than_two_complete_periods_are_refused(refusal, lines, held):
    message = refusal(rows(*lines))
    if "2011-01-08" in held:  # no row tells that the shop trades on Sundays
        assert message == f"sales.csv: the dates {held} of W-MON; two are needed"
    else:
        assert message.endswith("of W-MON; two are needed")
        assert held in message


# what is mended and counted


@pytest.mark.parametrize(
    ("header", "line", "repair"),
    [
        ("sku,date,units", "a,2011-01-05,", "rows without units dropped"),
        ("sku,date,units", "a,2011-01-05,NA", "rows without units dropped"),
        ("sku,date,units", "a,2011-01-05", "rows without units dropped"),
        ("sku,date,units", "a,2011-01-05,-3", "negative units (returns) set to 0"),
        ("sku,date,units", " a ,2011-01-05,0", "rows whose sku had spaces around it, trimmed"),
        ("sku,date,units", "a,2011-01-03,0", "further rows of the same product and date, added to the first"),
        ("sku,date,units", "", "blank rows left out"),
        ("sku,date,units", ",,", "blank rows left out"),
        ("sku,date,units", "b,2011-01-05,0", "products with sales on fewer than 1 dates left out"),
        ("sku,date,units,price", "a,2011-01-05,0,0", "prices of zero or less treated as unknown"),
        ("sku,date,units,price", "a,2011-01-05,0,-1", "prices of zero or less treated as unknown"),
        ("sku,date,units,price", "a,2011-01-05,0,", "blank prices treated as unknown"),
        ("sku,date,units,on_hand", "a,2011-01-05,0,-2", "negative stock on hand set to 0"),
        ("sku,date,units,lead_time", "a,2011-01-05,0,9", "products whose lead_time varied: the last by date kept"),
        ("sku,date,units,capacity", "a,2011-01-05,0,9", "products whose capacity varied: the last by date kept"),
    ],
)
def test_what_can_be_mended_is_mended_and_counted_once(sales, header, line, repair):
    extra = ",1" if header.count(",") == 3 else ""
    text = rows(f"a,2011-01-03,4{extra}", line, f"a,2011-01-16,6{extra}", header=header)
    history = sales(text)
    assert history.repairs == {repair: 1}
    assert history.skus == ("a",)
    np.testing.assert_array_equal(history.units, [[4], [6]])
    for name in ("lead_time", "capacity"):
        assert getattr(history, name)[0] == 1 or np.isnan(getattr(history, name)[0])


def test_duplicate_rows_are_summed_and_their_price_is_weighted_by_units(sales):
    text = rows("a,2011-01-03,1,10", "a,2011-01-03,3,6", "a,2011-01-16,1,5", header="sku,date,units,price")
    history = sales(text)
    np.testing.assert_array_equal(history.units, [[4], [1]])
    np.testing.assert_array_equal(history.price, [[7], [5]])


def test_a_product_may_be_called_na_or_null(sales):
    assert sales(rows("NA,2011-01-03,1", "null,2011-01-16,2")).skus == ("NA", "null")


@pytest.mark.parametrize(
    ("dates", "form"),
    [
        (("03/01/2011", "16/01/2011"), "%d/%m/%Y"),
        (("3.1.2011", "16.1.2011"), "%d.%m.%Y"),
        (("01/03/2011", "01/16/2011 13:45"), "%m/%d/%Y"),
        (("01-03-2011", "1-16-2011"), "%m-%d-%Y"),
        (("2011/01/03", "2011/1/16"), "%Y/%m/%d"),
    ],
)
def test_dates_in_another_order_are_read_if_the_file_settles_it(sales, dates, form):
    history = sales(rows(f"a,{dates[0]},1", f"a,{dates[1]},2"))
    assert history.starts.tolist() == [np.datetime64("2011-01-03"), np.datetime64("2011-01-10")]
    assert history.repairs == {f"dates read as {form}": 2}


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2011-01-03 23:59", "2011-01-16 00:01"),
        ("2011-01-03T23:59:59.5", "2011-01-16T00:01:00"),
        ("2011-01-03T23:59:59Z", "2011-01-16T00:01:00Z"),
        ("2011-01-03T00:01:00+09:00", "2011-01-16T23:59:00+09:00"),
        ("20110103", "20110116"),
        ("2011-1-3", " 2011-01-16 "),
    ],
)
def test_iso_dates_count_by_their_day_as_written(sales, first, last):
    history = sales(rows(f"a,{first},1", f"a,{last},2"))
    assert history.starts.tolist() == [np.datetime64("2011-01-03"), np.datetime64("2011-01-10")]
    assert history.repairs == {}


def test_date_format_settles_what_the_file_does_not(sales):
    text = rows("a,01/02/2011,1", "a,01/03/2011,2", "a,01/04/2011,2")
    assert len(sales(text, date_format="%d/%m/%Y", review_period="MS").starts) == 3
    assert len(sales(text, date_format="%m/%d/%Y", review_period="D").starts) == 3
    assert sales(rows("a,3 Jan 11,1", "a,16 Jan 11,1"), date_format="%d %b %y").units.sum() == 2


# what is refused


BASE = ("a,2011-01-03,4", "a,2011-01-09,1")


@pytest.mark.parametrize(
    ("line", "blame"),
    [
        ("a,2011-01-16,abc", "column units: 'abc' is not a number; write it as 1234.5"),
        ("a,2011-01-16,True", "column units: 'True' is not a number; write it as 1234.5"),
        ("a,2011-01-16,5 pcs", "column units: '5 pcs' is not a number; write it as 1234.5"),
        ('a,2011-01-16,"1,5"', "column units: '1,5' is not a number; write it as 1234.5"),
        ('a,2011-01-16,"1,234"', "column units: '1,234' has a thousands separator; write it as 1234.5"),
        ("a,2011-01-16,12 345", "column units: '12 345' has a thousands separator; write it as 1234.5"),
        (
            "a,2011-01-16,inf",
            "column units: 'inf' is infinite or beyond 1e15; correct it, or leave it blank if it is unknown",
        ),
        (
            "a,2011-01-16,-1e300",
            "column units: '-1e+300' is infinite or beyond 1e15; correct it, or leave it blank if it is unknown",
        ),
        (",2011-01-16,1", "column sku: '' names no product; every row needs a sku"),
        ("   ,2011-01-16,1", "column sku: '' names no product; every row needs a sku"),
        ("a,,1", "column date: '' is no date; every row needs one"),
        ("a,yesterday,1", "column date: 'yesterday' is not a date; write it as 2011-01-31"),
        ("a,2011-02-30,1", "column date: '2011-02-30' is not a date; write it as 2011-01-31"),
        ("a,16/01/2011,1", "column date: '16/01/2011' is not a date; write it as 2011-01-31"),
        ("a,2011,1", "column date: '2011' is not a date; write it as 2011-01-31"),
        ("a,1102-01-16,1", "column date: '1102-01-16' lies outside the years 1900 to 2100; are its digits reversed?"),
        ("a,2911-01-16,1", "column date: '2911-01-16' lies outside the years 1900 to 2100; are its digits reversed?"),
        (
            "a,2091-01-16,1",
            "column date: '2091-01-16' lies 80 years apart from the other dates; are its digits reversed?",
        ),
        (
            "a,1911-01-16,1",
            "column date: '1911-01-16' lies 100 years apart from the other dates; are its digits reversed?",
        ),
    ],
)
def test_bad_value_is_refused_with_its_row(refusal, line, blame):
    assert refusal(rows(*BASE, line, "a,2011-01-17,2")) == f"sales.csv, row 4, {blame}"
    assert refusal(rows(BASE[0], "", BASE[1], "", line)) == f"sales.csv, row 6, {blame}"


@pytest.mark.parametrize(
    ("column", "value", "blame"),
    [
        ("price", "free", "'free' is not a number; write it as 1234.5"),
        ("price", "inf", "'inf' is infinite or beyond 1e15; correct it, or leave it blank if it is unknown"),
        ("cost", "-0.5", "'-0.5' is negative; correct it, or leave it blank if it is unknown"),
        ("on_order", "-1", "'-1' is negative; correct it, or leave it blank if it is unknown"),
        ("lead_time", "-1", "'-1' is negative; correct it, or leave it blank if it is unknown"),
        ("minimum_order", "-1", "'-1' is negative; correct it, or leave it blank if it is unknown"),
        ("batch_size", "-6", "'-6' is negative; correct it, or leave it blank if it is unknown"),
        ("batch_size", "0", "'0' must be positive; leave it blank if there is none"),
        ("capacity", "0", "'0' must be positive; leave it blank if there is none"),
        ("capacity", "-2", "'-2' is negative; correct it, or leave it blank if it is unknown"),
        ("in_stock", "1.2", "'1.2' is not a share in stock; write 0, 1, true, false or a share between them"),
        ("in_stock", "-0.1", "'-0.1' is not a share in stock; write 0, 1, true, false or a share between them"),
        ("in_stock", "yes", "'yes' is not a number; write it as 1234.5"),
        ("on_hand", "-inf", "'-inf' is infinite or beyond 1e15; correct it, or leave it blank if it is unknown"),
    ],
)
def test_bad_optional_value_is_refused_with_its_row(refusal, column, value, blame):
    text = rows("a,2011-01-03,4,", f"a,2011-01-09,1,{value}", "a,2011-01-16,1,1", header=f"sku,date,units,{column}")
    assert refusal(text) == f"sales.csv, row 3, column {column}: {blame}"


def test_minimum_order_above_capacity_names_the_product_and_its_row(refusal):
    header = "sku,date,units,minimum_order,capacity"
    text = rows("b,2011-01-03,1,5,10", "a,2011-01-09,1,50,", "a,2011-01-16,1,,40", header=header)
    assert refusal(text) == "sales.csv, row 3, column minimum_order: '50' is above the capacity 40 of sku 'a'"


@pytest.mark.parametrize("order", [("%d/%m/%Y", "%m/%d/%Y"), ("%d.%m.%Y", "%m.%d.%Y")])
def test_ambiguous_dates_ask_for_a_date_format(refusal, order):
    mark = order[0][2]
    lines = [f"a,0{month}{mark}0{day}{mark}2011,1" for month, day in ((1, 1), (1, 2), (3, 4))]
    assert refusal(rows(*lines)) == (
        f"sales.csv, row 3, column date: '01{mark}02{mark}2011' may be read with the day or the month first, "
        f'and no row of the file settles it; pass --date-format "{order[0]}" or "{order[1]}"'
    )


@pytest.mark.parametrize(
    ("dates", "row", "blame"),
    [
        (
            ("13/01/2011", "14/01/2011", "01/15/2011"),
            4,
            "'01/15/2011' is not a date of the form %d/%m/%Y, as other rows are",
        ),
        (
            ("13/01/2011", "30/02/2011", "14/01/2011"),
            3,
            "'30/02/2011' is not a date of the form %d/%m/%Y, as other rows are",
        ),
        (
            ("13/01/2011", "2011-01-14", "14/01/2011"),
            3,
            "'2011-01-14' is not a date of the form %d/%m/%Y, as other rows are",
        ),
        (
            ("1/13/11", "1/14/11", "1/15/11"),
            2,
            "'1/13/11' is not a date that can be read; write it as 2011-01-31, "
            'or pass --date-format, for example "%m/%d/%y" or "%d %b %Y"',
        ),
        (
            ("2011-01-03T00:00Z", "2011-01-04T00:00Z", "2011-01-05T00:00"),
            4,
            "'2011-01-05T00:00' has another time zone than the first row's '2011-01-03T00:00Z'; "
            "write local dates without a time zone",
        ),
        (
            ("2011-01-03T00:00+01:00", "2011-01-04T00:00+02:00", "2011-01-05T00:00+01:00"),
            3,
            "'2011-01-04T00:00+02:00' has another time zone than the first row's '2011-01-03T00:00+01:00'; "
            "write local dates without a time zone",
        ),
    ],
)
def test_dates_that_do_not_agree_are_refused(refusal, dates, row, blame):
    assert refusal(rows(*(f"a,{date},1" for date in dates))) == f"sales.csv, row {row}, column date: {blame}"


def test_date_format_that_does_not_fit_is_refused(refusal):
    message = refusal(TWO_WEEKS, date_format="%d/%m/%Y")
    assert message == "sales.csv, row 2, column date: '2011-01-03' does not have the date format '%d/%m/%Y'"
    assert refusal(TWO_WEEKS, date_format="%Q").startswith("sales.csv: --date-format '%Q' cannot be used (")


@pytest.mark.parametrize(
    ("header", "blame"),
    [
        ("sku,date,quantity", "column units is missing; found sku, date, quantity; rename quantity to units"),
        (
            "StockCode,InvoiceDate,Qty",
            "columns sku, date, units are missing; found stockcode, invoicedate, qty; "
            "rename stockcode to sku, rename invoicedate to date, rename qty to units",
        ),
        ("sku,dates,units", "column date is missing; found sku, dates, units; rename dates to date"),
        ("sku,,units", "column date is missing; found sku, (blank), units"),
        ("sku,date,units,Units", "column units is there 2 times; keep one"),
        ("sku;date;units", "the columns are separated by semicolons; save the file with commas"),
        ("sku\tdate\tunits", "the columns are separated by tabs; save the file with commas"),
        ("sku|date|units", "the columns are separated by vertical bars; save the file with commas"),
        ("a,2011-01-03,4", "columns sku, date, units are missing; found a, 2011-01-03, 4"),
    ],
)
def test_bad_header_is_refused_with_advice(refusal, header, blame):
    assert (
        refusal(rows(*(["a,2011-01-03,4,1"] if header.count(",") == 3 else BASE), header=header))
        == f"sales.csv: {blame}"
    )


@pytest.mark.parametrize(
    "names", [[f"W{i}" for i in range(52)], [f"2011-{i:02d}-01" for i in range(1, 13)], [f"d_{i}" for i in range(1, 9)]]
)
def test_wide_format_is_refused_by_name(refusal, names):
    message = refusal(rows("a," + ",".join("1" for _ in names), header="sku," + ",".join(names)))
    assert message == (
        f"sales.csv: one column for each period ({names[0].lower()} .. {names[-1].lower()}) is the wide format; "
        "the long format is needed: columns sku, date, units and one row for each product and period"
    )


@pytest.mark.parametrize(
    ("content", "name", "blame"),
    [
        (b"", "sales.csv", ": the file is empty"),
        (b"", "sales.parquet", ": the file is empty"),
        (b" \n\n", "sales.csv", ": the file is empty"),
        (gzip.compress(b""), "sales.csv.gz", ": the file is empty"),
        (b"sku,date,units\n", "sales.csv", ": the file has a header and no rows"),
        (b"sku,date,units", "sales.csv", ": the file has a header and no rows"),
        (b"sku,date,units\n\n,,\n", "sales.csv", ": the file has a header and no rows"),
        (b"sku,date,units\na,2011-01-03,\nb,2011-01-16,\n", "sales.csv", ": no row has units"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "sales.csv", ": the file is binary, not CSV text"),
        (b"PAR1\x15\x04", "sales.csv", ": the file is a Parquet file; name it .parquet"),
        (gzip.compress(TWO_WEEKS.encode()), "sales.csv", ": the file is compressed; name it .gz"),
        (TWO_WEEKS.encode("utf-16"), "sales.csv", ": the file is UTF-16 text; save it as CSV UTF-8"),
        (
            b"PK\x03\x04\x14\x00",
            "sales.xlsx",
            ": the file is a workbook or a zip archive; export the sheet as CSV, or name the archive .zip",
        ),
        (
            b"sku,date,units\na,2011-01-03,4\ncaf\xe9,2011-01-16,1\n",
            "sales.csv",
            ", row 3: the text is not UTF-8; save the file as CSV UTF-8",
        ),
        (
            b"sku,date,units\na,2011-01-03,1,234\n",
            "sales.csv",
            ", row 2: 4 values where the header names 3 columns; a comma inside a value needs quotes around it",
        ),
        (
            b"sku,date,units\na,2011-01-03,4\n\na,2011-01-16,1,234\n",
            "sales.csv",
            ", row 4: 4 values where the header names 3 columns; a comma inside a value needs quotes around it",
        ),
        (
            b"sku,date,units\n\na,2011-01-16,1,234\n",
            "sales.csv",
            ", row 3: 4 values where the header names 3 columns; a comma inside a value needs quotes around it",
        ),
        (
            b'sku,date,units\na,2011-01-03,4\n"a,2011-01-16,1\n',
            "sales.csv",
            ", row 3: a quotation mark is opened and never closed",
        ),
    ],
)
def test_file_that_is_no_table_is_refused(refusal, content, name, blame):
    assert refusal(content, name) == f"{name}{blame}"


@pytest.mark.parametrize("name", ["sales.csv.gz", "sales.csv.bz2", "sales.csv.xz", "sales.zip"])
def test_file_that_does_not_decompress_is_refused(refusal, name):
    assert refusal(TWO_WEEKS, name).startswith(f"{name}: the file cannot be read or decompressed (")


def test_truncated_archive_is_refused(refusal):
    half = gzip.compress(TWO_WEEKS.encode() * 20)[:-12]
    assert refusal(half, "sales.csv.gz").startswith("sales.csv.gz: the file cannot be read or decompressed (")


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: there is no such file"):
        read_sales(tmp_path / "none.csv")
    with pytest.raises(InputError, match="this is a folder; name a CSV or Parquet file"):
        read_sales(tmp_path)


def test_products_with_few_sale_days_are_left_out(sales, refusal):
    history = sales(TWO_WEEKS.replace("9,2011-01-09,2", "9,2011-01-05,2"), min_sale_days=2)
    assert history.skus == ("00123",)
    assert history.repairs["products with sales on fewer than 2 dates left out"] == 1
    assert sales(TWO_WEEKS, min_sale_days=0).skus == ("00123", "9")
    assert refusal(TWO_WEEKS, min_sale_days=3) == (
        "sales.csv: no product has sales on 3 dates or more and some before 2011-01-17; "
        "ask for fewer dates or a shorter review period"
    )


def test_product_that_sold_only_in_the_dropped_period_is_left_out(sales, refusal):
    lines = ["a,2011-01-03,1", "a,2011-01-09,1", "a,2011-01-12,0", "b,2011-01-18,5"]
    history = sales(rows(*lines))
    assert history.skus == ("a",)
    assert history.repairs["products with sales in the dropped last period only left out"] == 1
    np.testing.assert_array_equal(sales(rows(*lines), min_sale_days=0).units, [[2, 0], [0, 0]])
    message = refusal(rows("b,2011-01-03,0", "b,2011-01-09,0", "b,2011-01-18,5"))
    assert message.startswith("sales.csv: no product has sales on 1 dates or more and some before 2011-01-17;")


@pytest.mark.parametrize("days", [-1, 1.5, True, None])
def test_min_sale_days_must_be_a_count(refusal, days):
    expected = f"min_sale_days must be a whole number of 0 or more, not {days!r}"
    assert refusal(TWO_WEEKS, min_sale_days=days) == expected


# properties


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


# what a history tells


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


# real files


def test_data_folder_is_the_one_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("SANDTABLE_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("SANDTABLE_DATA", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"SANDTABLE_DATA: .* is not a folder; correct or unset it"):
        data_folder()


@pytest.fixture(scope="module")
def uci():
    folder = data_folder()
    if folder is None or not (folder / "inventory").is_dir():
        pytest.skip("real sales data are absent: set SANDTABLE_DATA to their folder")
    return folder / "inventory"


def test_uci_online_retail_gives_53_weeks_of_1906_products(uci):
    """The file runs from Wednesday 1 December 2010 to Friday 9 December 2011.

    The weeks from that of Monday 29 November 2010 to that of 28 November 2011 are 53. The week of 5 December 2011 lacks
    its Sunday, a day of trade (Saturday is not), and is dropped. The shop was shut in the week of 27 December 2010.
    """
    history = read_sales(uci / "uci_online_retail_daily.csv.gz", min_sale_days=52)
    assert history.units.shape == (53, 1906)
    assert history.starts[0] == np.datetime64("2010-11-29")
    assert history.starts[-1] == np.datetime64("2011-11-28")
    assert history.repairs == {
        "incomplete first period kept": 1,
        "incomplete last period dropped": 1,
        "calendar gaps (periods without any row) filled with zero sales": 1,
        "products with sales on fewer than 52 dates left out": 3787 - 1906,
    }
    assert np.flatnonzero(history.units.sum(axis=1) == 0).tolist() == [4]
    assert np.isnan(history.cost).all()
    assert np.isnan(history.in_stock).all()
    assert np.array_equal(np.isnan(history.price), history.units == 0)
    assert all(isinstance(sku, str) for sku in history.skus)


def test_uci_online_retail_keeps_every_unit_and_its_revenue(uci):
    path = uci / "uci_online_retail_daily.csv.gz"
    table = pd.read_csv(path, dtype={"sku": str})
    daily = read_sales(path, review_period="D")
    assert daily.units.shape == (374, 3787)
    assert daily.units.sum() == table["units"].sum()
    revenue = np.nansum(daily.units * daily.price)
    assert revenue == pytest.approx((table["units"] * table["price"]).sum(), rel=1e-12)
    weekly = read_sales(path)
    assert weekly.units.shape == (53, 3786)
    assert weekly.repairs["products with sales in the dropped last period only left out"] == 1
    assert weekly.units.sum() == table.loc[table["date"] < "2011-12-05", "units"].sum()


def test_uci_weekly_file_is_wide_and_refused(uci):
    with pytest.raises(InputError, match=r"one column for each period \(w0 \.\. w51\) is the wide format"):
        read_sales(uci / "uci_sales_transactions_weekly.csv.gz")
