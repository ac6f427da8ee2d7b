import numpy as np
import pandas as pd
import pytest

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.sales_file import read_sales


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
