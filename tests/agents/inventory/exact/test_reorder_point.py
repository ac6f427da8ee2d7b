"""The best (s, S) against published instances, enumeration and the simulator."""

import pytest

from sandtable.agents.inventory.exact.demand import demand_law
from sandtable.agents.inventory.exact.newsvendor import NewsvendorProblem, solve_newsvendor
from sandtable.agents.inventory.exact.reorder_point import ReorderPointProblem, _Cycles, solve_reorder_point

INSTANCES = {  # mean: s, S, cost
    10: (6, 40, 35.022),
    15: (10, 49, 42.698),
    20: (14, 62, 49.173),
    25: (19, 56, 54.262),
    30: (23, 66, 57.819),
    35: (28, 77, 61.215),
    40: (33, 87, 64.512),
    45: (37, 97, 67.776),
    50: (42, 108, 70.975),
    55: (47, 118, 74.149),
    60: (52, 129, 77.306),
    65: (56, 75, 78.518),
    70: (62, 81, 79.037),
    75: (67, 86, 79.554),
}


@pytest.mark.parametrize("mean", INSTANCES)
def test_poisson_instances_of_zheng_and_federgruen(mean):
    """K = 64, h = 1, p = 9, as in Zheng and Federgruen (1991); seven are those of stockpyl's ``s_s_discrete_exact``."""
    optimum = solve_reorder_point(ReorderPointProblem(64.0, 1.0, 9.0, "poisson", mean))
    assert (optimum.reorder_point, optimum.level) == INSTANCES[mean][:2]
    assert optimum.cost == pytest.approx(INSTANCES[mean][2], abs=5.1e-4)


def test_small_instance():
    """K = 5, h = 1, p = 4, Poisson of mean 6: the example of stockpyl's ``s_s_discrete_exact``."""
    optimum = solve_reorder_point(ReorderPointProblem(5.0, 1.0, 4.0, "poisson", 6.0))
    assert (optimum.reorder_point, optimum.level) == (4, 10)
    assert optimum.cost == pytest.approx(8.03411, abs=5e-6)


@pytest.mark.parametrize(
    "problem",
    [
        ReorderPointProblem(20.0, 1.0, 9.0, "poisson", 4.0),
        ReorderPointProblem(20.0, 1.0, 9.0, "geometric", 4.0),
        ReorderPointProblem(5.0, 1.0, 3.0, "geometric", 3.0, 2),
        ReorderPointProblem(30.0, 2.0, 0.5, "poisson", 3.0),
    ],
    ids=str,
)
def test_no_other_pair_costs_less(problem):
    optimum, cycles = solve_reorder_point(problem), _Cycles(problem)
    costs = {(s, big): cycles.average(s, big) for s in range(-60, 30) for big in range(s + 1, 60)}
    assert optimum.cost == pytest.approx(min(costs.values()), abs=1e-12)
    assert costs[optimum.reorder_point, optimum.level] == optimum.cost


@pytest.mark.parametrize(
    "problem",
    [
        ReorderPointProblem(),
        ReorderPointProblem(64.0, 1.0, 9.0, "poisson", 50.0),
        ReorderPointProblem(5.0, 1.0, 4.0, "poisson", 6.0),
        ReorderPointProblem(20.0, 1.0, 9.0, "geometric", 5.0),
        ReorderPointProblem(20.0, 1.0, 9.0, "poisson", 5.0, 3),
    ],
    ids=str,
)
def test_simulated_policy_costs_what_the_oracle_says(problem, costs_what_the_oracle_says):
    costs_what_the_oracle_says(problem, solve_reorder_point(problem), problem.fixed)


@pytest.mark.parametrize("lead_time", [0, 3])
def test_without_a_fixed_cost_it_is_base_stock(lead_time):
    optimum = solve_reorder_point(ReorderPointProblem(0.0, 1.0, 4.0, "geometric", 5.0, lead_time))
    newsvendor = solve_newsvendor(NewsvendorProblem(demand_law("geometric", 5.0, lead_time + 1), 1.0, 4.0))
    assert optimum.reorder_point == optimum.level - 1
    assert (optimum.level, optimum.cost) == (newsvendor.level, pytest.approx(newsvendor.cost, rel=1e-12))


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"fixed": -1.0}, "fixed must be finite and not negative"),
        ({"holding": 0.0}, "holding must be finite and positive"),
        ({"shortage": 0.0}, "shortage must be finite and positive"),
        ({"lead_time": 0.5}, "lead_time must be a whole number"),
        ({"mean": -5.0}, "mean must be finite and positive"),
        ({"demand": "normal"}, "demand must be"),
    ],
)
def test_bad_problems_are_refused(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        ReorderPointProblem(**setting)


def test_orders_too_large_to_tabulate_are_refused():
    with pytest.raises(ValueError, match=r"above 20000 units together; state the problem in larger units"):
        solve_reorder_point(ReorderPointProblem(1e12, 1.0, 9.0, "poisson", 5000.0))
