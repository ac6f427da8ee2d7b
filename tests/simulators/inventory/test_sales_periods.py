import numpy as np
import pandas as pd
import pytest

# two whole weeks from Monday 3 January 2011
TWO_WEEKS = "sku,date,units\n00123,2011-01-03,4\n9,2011-01-05,1\n9,2011-01-09,2\n00123,2011-01-16,6\n"


def rows(*lines, header="sku,date,units"):
    return "\n".join([header, *lines]) + "\n"


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


def test_duplicate_rows_are_summed_and_their_price_is_weighted_by_units(sales):
    text = rows("a,2011-01-03,1,10", "a,2011-01-03,3,6", "a,2011-01-16,1,5", header="sku,date,units,price")
    history = sales(text)
    np.testing.assert_array_equal(history.units, [[4], [1]])
    np.testing.assert_array_equal(history.price, [[7], [5]])


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


def test_product_with_one_row_has_zero_sales_in_all_other_periods(sales):
    history = sales(rows("a,2011-01-03,1", "a,2011-01-30,1", "b,2011-01-12,7"))
    np.testing.assert_array_equal(history.units, [[1, 0], [0, 7], [0, 0], [1, 0]])
    assert history.repairs == {"calendar gaps (periods without any row) filled with zero sales": 1}


def test_file_of_one_product_is_a_history_of_one_column(sales):
    history = sales(rows("00123,2011-01-03,4", "00123,2011-01-16,6"))
    assert history.skus == ("00123",)
    assert history.units.shape == (2, 1)
    assert history.repairs == {}
