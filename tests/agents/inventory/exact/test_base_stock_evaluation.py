"""Base-stock and capped base-stock policies on the lost-sales problem, evaluated exactly."""

import numpy as np
import pytest

from sandtable.agents.inventory.exact.base_stock_evaluation import (
    best_base_stock,
    best_capped_base_stock,
    evaluate_base_stock,
)
from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem

GRID = {  # (shortage, lead time): cost and level of base-stock; cost, level and cap of capped base-stock
    (4.0, 1): ((4.163, 12), (4.065, 12, 6)),
    (4.0, 2): ((4.639, 16), (4.406, 17, 5)),
    (4.0, 3): ((4.975, 20), (4.631, 21, 5)),
    (4.0, 4): ((5.198, 25), (4.798, 26, 5)),
    (9.0, 1): ((5.548, 13), (5.481, 14, 6)),
    (9.0, 2): ((6.316, 19), (6.119, 19, 6)),
    (9.0, 3): ((6.864, 23), (6.616, 24, 6)),
    (9.0, 4): ((7.271, 28), (6.912, 29, 5)),
    (19.0, 1): ((6.728, 15), (6.688, 15, 8)),
    (19.0, 2): ((7.842, 21), (7.721, 21, 7)),
    (19.0, 3): ((8.604, 26), (8.401, 26, 6)),
    (19.0, 4): ((9.232, 31), (8.954, 31, 6)),
}


@pytest.mark.parametrize(("shortage", "lead_time"), GRID)
def test_best_levels_and_caps_of_the_poisson_grid(shortage, lead_time):
    """The grid of Zipkin (2008), Poisson demand of mean 5, h = 1, by an evaluation of another hand."""
    problem = LostSalesProblem(lead_time, shortage=shortage)
    (cost, level), (capped_cost, capped_level, cap) = GRID[shortage, lead_time]
    base, capped = best_base_stock(problem), best_capped_base_stock(problem)
    assert base.cost == pytest.approx(cost, abs=2e-3)
    assert base.policy.level == level
    assert capped.cost == pytest.approx(capped_cost, abs=2e-3)
    assert (capped.policy.level, capped.policy.cap) == (capped_level, cap)
    assert base.converged
    assert capped.converged


@pytest.mark.parametrize(("shortage", "cost"), [(4.0, 10.32), (19.0, 21.06)])
def test_best_capped_base_stock_under_geometric_demand(shortage, cost):
    """Two decimals for L = 2, as quoted in the references of the repository invman."""
    capped = best_capped_base_stock(LostSalesProblem(2, "geometric", shortage=shortage))
    assert capped.cost == pytest.approx(cost, abs=0.01)


@pytest.mark.parametrize(("demand", "shortage"), [("poisson", 9.0), ("geometric", 4.0), ("geometric", 1.0)])
def test_descent_finds_the_best_of_all(demand, shortage):
    problem = LostSalesProblem(2, demand, 3.0, 1.0, shortage)
    levels, caps = range(25), range(1, 15)
    costs = np.asarray([[evaluate_base_stock(problem, level, cap).cost for cap in caps] for level in levels])
    capped = best_capped_base_stock(problem)
    assert capped.cost == pytest.approx(costs.min(), abs=1e-9)
    assert costs[int(capped.policy.level), int(capped.policy.cap) - 1] == pytest.approx(costs.min(), abs=1e-9)
    base = best_base_stock(problem)
    assert base.cost == pytest.approx(min(evaluate_base_stock(problem, level).cost for level in levels), abs=1e-9)


@pytest.mark.parametrize("best", [best_base_stock, best_capped_base_stock])
@pytest.mark.parametrize(("demand", "shortage"), [("poisson", 4.0), ("poisson", 19.0), ("geometric", 9.0)])
@pytest.mark.parametrize("lead_time", [0, 1, 3])
def test_simulated_policies_cost_what_the_evaluation_says(
    best, demand, shortage, lead_time, costs_what_the_oracle_says
):
    problem = LostSalesProblem(lead_time, demand, shortage=shortage)
    costs_what_the_oracle_says(problem, best(problem))


def test_a_cap_at_the_level_is_none():
    problem = LostSalesProblem(2)
    assert evaluate_base_stock(problem, 12, 12).cost == evaluate_base_stock(problem, 12).cost


def test_a_policy_that_never_orders_loses_all_demand():
    for lead_time in (0, 1, 4):
        problem = LostSalesProblem(lead_time)
        for level, cap in ((0, None), (12, 0)):
            never = evaluate_base_stock(problem, level, cap)
            assert (never.cost, never.converged, never.states) == (4 * 5, True, 1)
    worthless = LostSalesProblem(2, shortage=0.001)
    assert best_base_stock(worthless).policy.level == 0
    assert best_capped_base_stock(worthless).cost == pytest.approx(0.005)


def test_bad_arguments_are_refused():
    problem = LostSalesProblem(2)
    for level, cap in ((-1, None), (2.5, None), (10, -1), (10, 0.5), (float("nan"), None)):
        with pytest.raises(ValueError, match="must be a whole number of units, not negative"):
            evaluate_base_stock(problem, level, cap)
    with pytest.raises(ValueError, match="without a lead time a cap is not evaluated"):
        evaluate_base_stock(LostSalesProblem(0), 10, 5)
    with pytest.raises(ValueError, match=r"transitions, .* GiB, and .* simulate the policy instead"):
        evaluate_base_stock(LostSalesProblem(6), 40, memory=1e7)
    with pytest.raises(ValueError, match="more states than can be numbered"):
        evaluate_base_stock(LostSalesProblem(40), 200)
