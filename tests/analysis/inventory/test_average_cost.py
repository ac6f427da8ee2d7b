"""Long-run costs by simulation, against exact ones."""

import numpy as np
import pytest

from sandtable.agents.inventory.order_up_to import BaseStock
from sandtable.analysis.inventory.average_cost import average_cost
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.lost_sales import LostSales


@pytest.mark.parametrize(
    ("lead_time", "level", "exact", "digits"), [(0, 7.0, 3.27740, 5e-6), (1, 12.0, 4.163, 5e-4), (2, 16.0, 4.639, 5e-4)]
)
def test_base_stock_costs_what_the_exact_evaluation_says(lead_time, level, exact, digits):
    """Lead time 0 is the newsvendor's closed form; the others are the best base-stock levels of Zipkin's problem."""
    found = average_cost(LostSales(lead_time, horizon=600), BaseStock(level), rows=1500, warm_up=50)
    assert abs(found.mean - exact) < 4 * found.standard_error + digits
    assert found.standard_error < 0.01


def test_differences_are_paired():
    world = LostSales(2, horizon=200)
    some, others = (average_cost(world, BaseStock(level), rows=500) for level in (16.0, 17.0))
    difference = some.less(others)
    assert difference.mean == pytest.approx(some.mean - others.mean)
    assert difference.standard_error < 0.3 * (some.standard_error + others.standard_error)


def test_a_policy_that_returns_no_number_is_named():
    with pytest.raises(InputError, match=r"broken, period 0: .* nan"):
        average_cost(LostSales(horizon=20), lambda seen: np.full(len(seen), np.nan), rows=3, warm_up=2, name="broken")


@pytest.mark.parametrize(("rows", "warm_up"), [(1, 0), (5, 20), (5, -1)])
def test_arguments_out_of_range_are_refused(rows, warm_up):
    with pytest.raises(ValueError, match="rows"):
        average_cost(LostSales(horizon=20), BaseStock(5.0), rows, warm_up)
