"""The figures of a policy, computed by hand."""

import numpy as np
import pytest

from sandtable.analysis.inventory.measures import Scoring, product_groups
from sandtable.simulators.inventory.world import Economics

RUN = {
    "demand": [[4, 0], [2, 5], [3, 1]],
    "sales": [[4, 0], [1, 2], [3, 1]],
    "lost": [[0, 0], [1, 3], [0, 0]],
    "waiting": [[0, 0], [0, 0], [0, 0]],
    "on_hand": [[2, 6], [1, 0], [0, 4]],
    "received": [[0, 0], [0, 0], [2, 5]],
    "supplied": [[2, 5], [0, 0], [0, 0]],
    "in_transit": [[2, 5], [2, 5], [0, 0]],
    "revenue": [[40, 0], [10, 6], [30, 3]],
    "purchases": [[0, 0], [0, 0], [12, 10]],
    "holding_cost": [[0.2, 0.3], [0.1, 0.0], [0.0, 0.2]],
    "shortage_cost": [[0, 0], [1, 3], [0, 0]],
}
"""Two products over three periods; the first one's units cost 6 and sell at 10, the second's cost 2 and sell at 3."""

PROFIT = np.array(
    [
        [40 - 0.2 - 4 * 6, 0 - 0.3],  # cash, and 4 units of stock gone
        [10 - 0.1 - 1 - 1 * 6, 6 - 3 - 6 * 2],
        [30 - 12 - 1 * 6, 3 - 10 - 0.2 + 4 * 2],
    ]
)


@pytest.fixture
def run():
    return {name: np.array(values, dtype=np.float64) for name, values in RUN.items()}


@pytest.fixture
def scoring():
    return Scoring(
        counts=np.array([[True, False], [True, True], [True, True]]),
        cost=np.tile([6.0, 2.0], (3, 1)),
        economics=Economics(salvage=1.0),
        discount=1.0,
        block=1,
        periods_per_year=52.0,
    )


def test_profit_counts_the_change_in_the_worth_of_the_stock(run, scoring):
    run["on_hand"][1, 1] = 4.0
    counted = PROFIT.copy()
    counted[1, 1], counted[2, 1] = 6 - 3 - 2 * 2, 3 - 10 - 0.2
    counted[0, 1] = 0.0  # this period does not count for the second product
    np.testing.assert_allclose(scoring.profit(run), counted)


def test_profit_in_periods_that_do_not_count_is_left_out(run, scoring):
    expected = PROFIT * scoring.counts
    np.testing.assert_allclose(scoring.profit(run), expected)
    row = scoring.row("rule", "test", run, run, np.array([0, 1]))
    assert row.profit == pytest.approx(expected.sum())


def test_service_and_stock_of_two_products(run, scoring):
    row = scoring.row("rule", "test", run, run, np.array([0, 1]))
    assert (row.policy, row.split) == ("rule", "test")
    assert row.units_sold == 4 + 1 + 3 + 2 + 1
    assert row.units_lost == 1 + 3
    assert row.fill_rate == pytest.approx(11 / 15)
    assert row.stock_out_rate == pytest.approx(2 / 5)
    value = (6 * (2 + 1 + 0) + 2 * (0 + 4)) / 3
    assert row.average_stock == pytest.approx(value)
    assert row.stock_turns == pytest.approx(52 * (6 * 8 + 2 * 3) / 3 / value)


def test_service_of_one_of_the_products(run, scoring):
    row = scoring.row("rule", "unseen", run, run, np.array([1]))
    assert row.units_sold == 3
    assert row.fill_rate == pytest.approx(3 / 6)
    assert row.stock_out_rate == pytest.approx(1 / 2)
    assert np.isnan(row.profit_low)


def test_a_policy_differs_from_the_baseline_product_by_product(run, scoring):
    better = {**run, "revenue": run["revenue"] + np.array([[5.0, 100.0], [0.0, 0.0], [0.0, 2.0]])}
    row = scoring.row("better", "test", better, run, np.array([0, 1]))
    assert row.difference == pytest.approx(7.0)  # the 100 fall in a period that does not count
    assert row.difference_low <= row.difference <= row.difference_high
    same = scoring.row("same", "test", run, run, np.array([0, 1]))
    assert (same.difference, same.difference_low, same.difference_high) == (0.0, 0.0, 0.0)


def test_later_money_is_worth_less(run, scoring):
    halved = Scoring(scoring.counts, scoring.cost, Economics(salvage=0.0), 0.5, 1, 52.0)
    cash = run["revenue"] - run["purchases"] - run["holding_cost"] - run["shortage_cost"]
    np.testing.assert_allclose(halved.profit(run), cash * [[1.0], [0.5], [0.25]] * scoring.counts)


def test_units_that_customers_wait_for_at_the_end_are_not_sold(run, scoring):
    run["lost"], run["waiting"] = np.zeros((3, 2)), run["lost"] + np.array([[0, 0], [0, 0], [2, 0]])
    assert scoring.row("rule", "test", run, run, np.array([0, 1])).units_lost == 2


def test_a_policy_without_demand_or_stock_has_plain_figures(run, scoring):
    empty = {name: np.zeros((3, 2)) for name in run}
    row = scoring.row("rule", "test", empty, empty, np.array([0, 1]))
    assert (row.fill_rate, row.stock_turns, row.stock_out_rate, row.profit) == (1.0, 0.0, 0.0, 0.0)


def test_velocity_and_price_are_thirds():
    demand = np.tile([5.0, 1.0, 9.0, 3.0, 7.0, 2.0], (10, 1))
    price = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    groups = product_groups(demand, price)
    assert {name: list(members) for name, members in groups["velocity"].items()} == {
        "slow movers": [1, 5],
        "medium movers": [0, 3],
        "fast movers": [2, 4],
    }
    assert [list(members) for members in groups["price"].values()] == [[0, 1], [2, 3], [4, 5]]


def test_demand_classes_part_rare_from_frequent_and_even_from_uneven_demand():
    """One demand in 1.32 periods and a squared coefficient of variation of 0.49 are the borders."""
    even, uneven = [4.0] * 12, [1.0, 1.0, 20.0] * 4
    rare_even, rare_uneven = [4.0, 0.0] * 6, [1.0, 0.0, 0.0, 30.0, 0.0, 0.0] * 2
    demand = np.array([even, uneven, rare_even, rare_uneven]).T
    classes = product_groups(demand, np.ones(4))["demand class"]
    assert {name: list(members) for name, members in classes.items()} == {
        "smooth": [0],
        "erratic": [1],
        "intermittent": [2],
        "lumpy": [3],
    }


def test_every_product_is_in_one_group_of_each_grouping():
    generator = np.random.default_rng(0)
    demand = generator.poisson(generator.uniform(0, 3, 31), (40, 31)).astype(float)
    for members in product_groups(demand, generator.uniform(1, 9, 31)).values():
        assert sorted(np.concatenate(list(members.values()))) == list(range(31))
