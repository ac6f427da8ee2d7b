"""The classic lost-sales problem against closed forms and exactly evaluated policies."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.world import inventory_position
from sandtable.simulators.random import make_key


def average_cost(world, level, cap=np.inf, rows=600, warm_up=100):
    """Return mean and standard error, over independent rows, of the cost a period of a (capped) base-stock policy."""
    state, total = world.reset(make_key(np.arange(rows))), np.zeros(rows)
    for t in range(world.horizon):
        order = np.minimum(np.maximum(level - inventory_position(state.stock), 0.0), cap)
        step = world.step(state, order[:, None])
        state = step.state
        total -= step.reward if t >= warm_up else 0.0
    cost = total / (world.horizon - warm_up)
    return cost.mean(), cost.std(ddof=1) / np.sqrt(rows)


def newsvendor_cost(levels, demand, holding, shortage):
    """Return the expected cost a period of order-up-to levels without a lead time."""
    units = np.arange(int(demand.ppf(1 - 1e-15)) + 1)
    left = levels[:, None] - units
    return (holding * np.maximum(left, 0) + shortage * np.maximum(-left, 0)) @ demand.pmf(units)


def test_without_lead_time_the_best_level_is_the_newsvendors():
    levels = np.arange(20)
    costs = newsvendor_cost(levels, stats.poisson(5), holding=1, shortage=4)
    assert levels[costs.argmin()] == 7 == stats.poisson(5).ppf(4 / 5)
    # E(D - S)+ = m P(D >= S) - S P(D > S)
    shortfall = 5 * stats.poisson.sf(6, 5) - 7 * stats.poisson.sf(7, 5)
    assert costs.min() == pytest.approx(2 + 5 * shortfall, rel=1e-12)
    assert costs.min() == pytest.approx(3.2774, abs=5e-5)


@pytest.mark.parametrize(
    ("demand", "law"),
    [("poisson", stats.poisson(5)), ("geometric", stats.geom(1 / 6, loc=-1))],
    ids=["poisson", "geometric"],
)
@pytest.mark.parametrize("unmet", ["lost", "backlog"])
@pytest.mark.parametrize("level", [5, 7, 9])
def test_without_lead_time_every_period_costs_what_a_newsvendor_pays(demand, law, unmet, level):
    world = LostSales(lead_time=0, demand=demand, unmet=unmet, horizon=150, dtype="float64")
    mean, error = average_cost(world, level)
    expected = newsvendor_cost(np.asarray([level]), law, holding=1, shortage=4)[0]
    assert abs(mean - expected) < 4 * error
    assert error < 0.03 * expected


# (lead time, shortage): (level, cost of base-stock; level, cap, cost of capped base-stock), by exact policy evaluation
EVALUATED = {
    (1, 4.0): ((12, 4.163), (12, 6, 4.065)),
    (2, 4.0): ((16, 4.639), (17, 5, 4.406)),
    (3, 4.0): ((20, 4.975), (21, 5, 4.631)),
    (4, 4.0): ((25, 5.198), (26, 5, 4.798)),
    (1, 9.0): ((13, 5.548), (14, 6, 5.481)),
    (4, 9.0): ((28, 7.271), (29, 5, 6.912)),
    (2, 19.0): ((21, 7.842), (21, 7, 7.721)),
    (4, 19.0): ((31, 9.232), (31, 6, 8.954)),
}


@pytest.mark.parametrize(("lead_time", "shortage"), EVALUATED, ids=str)
def test_base_stock_costs_what_exact_evaluation_says(lead_time, shortage):
    """Poisson demand of mean 5, holding 1: the grid of Zipkin (2008); costs are stated to three decimals."""
    world = LostSales(lead_time=lead_time, shortage=shortage, horizon=600, dtype="float64")
    (level, cost), (capped_level, cap, capped_cost) = EVALUATED[lead_time, shortage]
    mean, error = average_cost(world, level)
    assert abs(mean - cost) < 4 * error + 0.0005
    assert error < 0.01 * cost
    mean, error = average_cost(world, capped_level, cap)
    assert abs(mean - capped_cost) < 4 * error + 0.0005
    assert error < 0.01 * capped_cost


@pytest.mark.parametrize(("lead_time", "level", "cost"), [(1, 13, 4.6124), (2, 18, 5.5880), (4, 29, 7.1698)])
def test_backlog_costs_a_newsvendor_on_demand_over_the_lead_time_and_a_period(lead_time, level, cost):
    """An order-up-to level S leaves S less the demand of L + 1 periods."""
    law = stats.poisson(5 * (lead_time + 1))
    assert newsvendor_cost(np.asarray([level]), law, 1, 4)[0] == pytest.approx(cost, abs=5e-5)
    world = LostSales(lead_time=lead_time, unmet="backlog", horizon=600, dtype="float64")
    mean, error = average_cost(world, level)
    assert abs(mean - cost) < 4 * error


@pytest.mark.parametrize(
    ("demand", "mean", "law"), [("poisson", 3.5, stats.poisson(3.5)), ("geometric", 5.0, stats.geom(1 / 6, loc=-1))]
)
def test_demand_has_its_law_and_is_independent_over_periods(demand, mean, law):
    """A chi-square test of the histogram, and the correlation of a period with the next."""
    world = LostSales(demand=demand, mean=mean, horizon=10)
    drawn = world.reset(make_key(np.arange(10_000))).paths.demand
    cells = np.arange(int(law.ppf(0.999)) + 1)
    probability = np.append(law.pmf(cells), law.sf(cells[-1]))
    observed = np.bincount(np.minimum(drawn.astype(int), cells[-1] + 1).ravel(), minlength=len(probability))
    assert stats.chisquare(observed, drawn.size * probability).pvalue > 1e-4
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 4 / np.sqrt(drawn[1:].size)


def test_observation_is_stock_and_what_is_due_in_its_order():
    world = LostSales(lead_time=2, mean=1e-9, horizon=5, dtype="float64")
    state = world.reset(make_key(np.arange(2)))
    assert_array_equal(world.observe(state), np.zeros((2, 3)))
    seen = []
    for order in (4.0, 2.0, 0.0, 0.0):
        state = world.step(state, np.full((2, 1), order)).state
        seen.append(world.observe(state)[0])
    assert_array_equal(seen, [[0, 0, 4], [0, 4, 2], [4, 2, 0], [6, 0, 0]])


def test_orders_are_whole_units_unless_they_may_be_real():
    key = make_key(np.arange(3))
    for whole_units, expected in ((True, [0, 1, 2]), (False, [0.4, 0.5, 1.7])):
        world = LostSales(lead_time=1, whole_units=whole_units, dtype="float64")
        step = world.step(world.reset(key), np.asarray([[0.4], [0.5], [1.7]]))
        assert_array_equal(step.info["ordered"], expected)
