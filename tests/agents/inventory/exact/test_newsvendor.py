"""The newsvendor against published values, closed forms and the simulator."""

import numpy as np
import pytest
from scipy import stats

from sandtable.agents.inventory.exact.demand import demand_law, period_cost
from sandtable.agents.inventory.exact.newsvendor import NewsvendorProblem, newsvendor_cost, solve_newsvendor
from sandtable.agents.inventory.exact.reorder_point import ReorderPointProblem


def test_normal_newsvendor_is_that_of_the_textbook():
    """Snyder and Shen, Fundamentals of Supply Chain Theory, Example 4.3: N(50, 8), h = 0.18, p = 0.70."""
    optimum = solve_newsvendor(NewsvendorProblem(stats.norm(50, 8), 0.18, 0.70))
    assert optimum.level == pytest.approx(56.60396, abs=1e-5)
    assert optimum.cost == pytest.approx(1.997605, abs=1e-6)
    # the closed form: (h + p) s phi(z)
    assert optimum.cost == pytest.approx(0.88 * 8 * stats.norm.pdf(stats.norm.ppf(0.70 / 0.88)), abs=1e-9)
    assert optimum.error < 1e-8


@pytest.mark.parametrize(("mean", "level", "cost"), [(50, 56, 10.0752), (5, 7, 3.27741)])
def test_poisson_newsvendor(mean, level, cost):
    """h = 1, p = 4; the first is what stockpyl's newsvendor_poisson gives."""
    optimum = solve_newsvendor(NewsvendorProblem(stats.poisson(mean), 1, 4))
    assert optimum.level == level
    assert optimum.cost == pytest.approx(cost, abs=5e-5)


BACKLOG = {
    4.0: [4.6124, 5.5880, 6.4380, 7.1698],
    9.0: [5.8694, 7.1230, 8.1864, 9.1510],
    19.0: [7.0696, 8.5245, 9.7655, 10.8730],
    39.0: [8.1079, 9.7391, 11.1577, 12.4010],
}


@pytest.mark.parametrize("shortage", BACKLOG)
def test_backlog_with_a_lead_time_is_a_newsvendor_on_one_period_more(shortage):
    """The backlog's column beside the lost-sales table of Zipkin (2008): Poisson demand of mean 5, h = 1, L = 1..4."""
    for lead_time, cost in enumerate(BACKLOG[shortage], start=1):
        optimum = solve_newsvendor(NewsvendorProblem(demand_law("poisson", 5, lead_time + 1), 1, shortage))
        assert optimum.cost == pytest.approx(cost, abs=5e-5)


@pytest.mark.parametrize(
    "law", [stats.poisson(3.3), stats.nbinom(3, 0.2), stats.randint(2, 9), stats.norm(20, 4), stats.gamma(2, scale=5)]
)
def test_cost_is_the_expectation_and_the_optimum_the_least(law):
    problem = NewsvendorProblem(law, 2.0, 7.0)
    optimum = solve_newsvendor(problem)
    draws = law.rvs(size=400_000, random_state=np.random.default_rng(1))
    for level in (optimum.level - 2, optimum.level, optimum.level + 2):
        paid = 2.0 * np.maximum(level - draws, 0) + 7.0 * np.maximum(draws - level, 0)
        cost = newsvendor_cost(problem, level)[0]
        assert abs(cost - paid.mean()) < 4 * paid.std() / np.sqrt(len(draws))
        assert cost >= optimum.cost


def test_the_period_cost_of_negative_stock_is_all_shortage():
    cost = period_cost(stats.poisson(5), np.asarray([-3, 0, 2]), 1.0, 4.0)
    assert cost[:2] == pytest.approx([4 * 8, 4 * 5])
    assert cost[2] == pytest.approx(4 * 3 + 5 * (2 * stats.poisson.pmf(0, 5) + stats.poisson.pmf(1, 5)))


@pytest.mark.parametrize("demand", ["poisson", "geometric"])
@pytest.mark.parametrize("lead_time", [0, 2])
def test_simulated_backlog_costs_what_the_newsvendor_says(demand, lead_time, costs_what_the_oracle_says):
    world = ReorderPointProblem(0.0, 1.0, 4.0, demand, 5.0, lead_time)
    law = demand_law(demand, 5.0, lead_time + 1)
    costs_what_the_oracle_says(world, solve_newsvendor(NewsvendorProblem(law, 1.0, 4.0)))


def test_without_a_shortage_cost_nothing_is_stocked():
    for law in (stats.poisson(5), stats.norm(50, 8)):
        optimum = solve_newsvendor(NewsvendorProblem(law, 1, 0))
        assert optimum.level == 0
        assert optimum.cost == pytest.approx(0, abs=1e-6)


def test_bad_problems_are_refused():
    with pytest.raises(ValueError, match="holding must be finite and positive, not 0"):
        NewsvendorProblem(stats.poisson(5), 0, 4)
    with pytest.raises(ValueError, match="shortage must be finite and not negative, not -1"):
        NewsvendorProblem(stats.poisson(5), 1, -1)
    with pytest.raises(ValueError, match="mean must be finite"):
        NewsvendorProblem(stats.pareto(0.5), 1, 4)
    with pytest.raises(ValueError, match="must not be negative"):
        NewsvendorProblem(stats.poisson(5, loc=-10), 1, 4)
    with pytest.raises(ValueError, match="level must be whole"):
        newsvendor_cost(NewsvendorProblem(stats.poisson(5)), 2.5)
    with pytest.raises(ValueError, match="demand must be 'geometric' or 'poisson', not 'normal'"):
        demand_law("normal", 5)
