from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sandtable.simulators.inventory.synthetic_sales import synthetic_sales

TABLES = ("units", "price", "cost", "in_stock", "on_hand", "on_order")
CONSTANTS = ("lead_time", "minimum_order", "batch_size", "capacity")


@pytest.fixture(scope="module")
def history():
    return synthetic_sales(products=4, periods=6)


@pytest.mark.parametrize("chosen", [[2, 0], [False, True, True, False]])
def test_selection_keeps_the_columns_of_the_chosen_products(history, chosen):
    chosen = np.asarray(chosen)
    selected = history.select(chosen)
    columns = np.arange(4)[chosen]
    assert selected.skus == tuple(history.skus[i] for i in columns)
    for name in TABLES:
        assert_array_equal(getattr(selected, name), getattr(history, name)[:, columns])
    for name in CONSTANTS:
        assert_array_equal(getattr(selected, name), getattr(history, name)[columns])
    assert_array_equal(selected.starts, history.starts)


@pytest.mark.parametrize("name", TABLES)
def test_table_of_another_shape_is_refused(history, name):
    with pytest.raises(ValueError, match=rf"{name} must have shape \(6, 4\), not \(4, 6\)"):
        replace(history, **{name: getattr(history, name).T})


@pytest.mark.parametrize("name", CONSTANTS)
def test_constant_of_another_shape_is_refused(history, name):
    with pytest.raises(ValueError, match=rf"{name} must have shape \(4,\), not \(3,\)"):
        replace(history, **{name: getattr(history, name)[:3]})


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_units_that_are_no_count_are_refused(history, wrong):
    with pytest.raises(ValueError, match="units must be finite and not negative"):
        replace(history, units=np.where(history.units == history.units.max(), wrong, history.units))
