import numpy as np
import pytest

# two whole weeks from Monday 3 January 2011
TWO_WEEKS = "sku,date,units\n00123,2011-01-03,4\n9,2011-01-05,1\n9,2011-01-09,2\n00123,2011-01-16,6\n"


def rows(*lines, header="sku,date,units"):
    return "\n".join([header, *lines]) + "\n"


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
