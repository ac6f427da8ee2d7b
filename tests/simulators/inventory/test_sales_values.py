import numpy as np
import pytest

BASE = ("a,2011-01-03,4", "a,2011-01-09,1")


def rows(*lines, header="sku,date,units"):
    return "\n".join([header, *lines]) + "\n"


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


def test_a_product_may_be_called_na_or_null(sales):
    assert sales(rows("NA,2011-01-03,1", "null,2011-01-16,2")).skus == ("NA", "null")


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
