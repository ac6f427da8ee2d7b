"""The optimum of dual sourcing against published values, a bound and the simulator."""

import numpy as np
import pytest
from scipy import stats

from sandtable.agents.inventory.exact.dual_sourcing import DualSourcingProblem, solve_dual_sourcing
from sandtable.agents.inventory.exact.newsvendor import NewsvendorProblem, solve_newsvendor


@pytest.mark.parametrize(
    ("lead_time", "highest", "published", "computed"), [(2, 8, 37.24, 37.2348), (3, 4, 20.34, 20.3411)]
)
def test_dual_sourcing_optimum_is_the_published_one(lead_time, highest, published, computed):
    """Böttcher, Asikis and Fragkos (2023), Table 1: h = 5, b = 95, c_r = 0, c_e = 10, demand uniform from 0."""
    optimum = solve_dual_sourcing(DualSourcingProblem(lead_time, highest_demand=highest))
    assert optimum.cost == pytest.approx(published, abs=1e-2)
    assert optimum.cost == pytest.approx(computed, abs=1e-4)
    assert optimum.converged
    assert optimum.span <= 1e-6


@pytest.mark.parametrize(
    "problem",
    [
        DualSourcingProblem(),
        DualSourcingProblem(3, highest_demand=4),
        DualSourcingProblem(1),
        DualSourcingProblem(4, 2.0, 9.0, 1.0, 20.0, 1, 5),
    ],
    ids=str,
)
def test_simulated_policy_costs_what_the_oracle_says(problem, costs_what_the_oracle_says):
    costs_what_the_oracle_says(problem, solve_dual_sourcing(problem))


@pytest.mark.parametrize("lead_time", [1, 2, 3])
def test_where_expediting_is_never_worth_it_the_regular_supplier_is_a_newsvendor_s(lead_time):
    """Backlog with one supplier: a newsvendor on the demand of l + 1 periods."""
    optimum = solve_dual_sourcing(DualSourcingProblem(lead_time, 0.0, 1000.0, 1.0, 4.0, 0, 4))
    total = stats.rv_discrete(values=_sum_of_uniforms(4, lead_time + 1))()
    single = solve_newsvendor(NewsvendorProblem(total, 1.0, 4.0))
    assert optimum.cost == pytest.approx(single.cost, abs=1e-6)


def _sum_of_uniforms(highest, periods):
    probability = np.ones(1)
    for _ in range(periods):
        probability = np.convolve(probability, np.full(highest + 1, 1 / (highest + 1)))
    return np.arange(len(probability)), probability


def test_where_expediting_costs_no_more_nothing_else_is_bought():
    """A newsvendor without a lead time, and its purchases."""
    optimum = solve_dual_sourcing(DualSourcingProblem(2, 3.0, 3.0, 5.0, 95.0, 0, 8))
    newsvendor = solve_newsvendor(NewsvendorProblem(stats.randint(0, 9), 5.0, 95.0))
    assert optimum.cost == pytest.approx(newsvendor.cost + 3.0 * 4.0, abs=1e-6)


def test_bounds_are_widened_until_nothing_reaches_them():
    """Where waiting is cheap and expediting dear, more customers wait than the first bounds have room for."""
    problem = DualSourcingProblem(4, 0.0, 500.0, 1.0, 0.2, 0, 3)
    optimum = solve_dual_sourcing(problem)
    assert optimum.lowest < -2 * problem.highest_demand
    total = stats.rv_discrete(values=_sum_of_uniforms(3, 5))()
    assert optimum.cost == pytest.approx(solve_newsvendor(NewsvendorProblem(total, 1.0, 0.2)).cost, abs=1e-6)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"regular_lead_time": 0}, "regular_lead_time must be a whole number of periods, at least 1"),
        ({"expedited_cost": -1.0}, "expedited_cost must be finite and not negative"),
        ({"holding": 0.0}, "holding must be finite and positive"),
        ({"shortage": -95.0}, "shortage must be finite and positive"),
        ({"lowest_demand": 9}, "lowest_demand and highest_demand must be"),
    ],
)
def test_bad_problems_are_refused(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        DualSourcingProblem(**setting)


def test_states_that_do_not_fit_are_counted_and_a_heuristic_is_named():
    with pytest.raises(ValueError, match=r"has .*e\+10 states, .* GiB.*use a heuristic: capped dual index"):
        solve_dual_sourcing(DualSourcingProblem(10))
