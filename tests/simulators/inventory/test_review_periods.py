import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.inventory.review_periods import ReviewPeriods

PERIODS = ("D", "W", "W-SUN", "2W", "3D", "MS", "QS", "2MS", "YS")
# two whole weeks from Monday 3 January 2011
TWO_WEEKS = "sku,date,units\n00123,2011-01-03,4\n9,2011-01-05,1\n9,2011-01-09,2\n00123,2011-01-16,6\n"


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
