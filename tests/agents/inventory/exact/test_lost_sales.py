"""The optimum of the lost-sales problem against the table of Zipkin (2008), and against itself."""

from itertools import pairwise
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sandtable.agents.inventory.exact.base_stock_evaluation import best_base_stock, best_capped_base_stock
from sandtable.agents.inventory.exact.lost_sales import solve_lost_sales
from sandtable.agents.inventory.exact.lost_sales_chain import evaluate
from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem
from sandtable.agents.inventory.exact.newsvendor import NewsvendorProblem, solve_newsvendor
from sandtable.agents.inventory.exact.table_policy import TablePolicy

ZIPKIN = {  # optimal average cost for lead times 1 to 4
    ("poisson", 4.0): [4.0407, 4.3953, 4.5987, 4.7285],
    ("poisson", 9.0): [5.4382, 6.0936, 6.5314, 6.8359],
    ("poisson", 19.0): [6.6758, 7.6644, 8.3625, 8.8872],
    ("geometric", 4.0): [9.8175, 10.2402, 10.4667, 10.6065],
    ("geometric", 19.0): [19.2179, 20.8906, 22.0646, 22.9530],
}


@pytest.mark.parametrize(("demand", "shortage"), ZIPKIN)
@pytest.mark.parametrize("lead_time", [1, 2, 3, 4])
def test_lost_sales_optimum_matches_zipkin(demand, shortage, lead_time):
    """Zipkin (2008), "Old and new methods for lost-sales inventory systems", Operations Research 56: mean 5, h = 1.

    The table there has two decimals; the four here are of another relative value iteration, with wider bounds
    (x <= 32 and q <= 14 for Poisson, x <= 150 and q <= 30 or more for geometric demand).
    """
    optimum = solve_lost_sales(LostSalesProblem(lead_time, demand, 5.0, 1.0, shortage))
    assert optimum.cost == pytest.approx(ZIPKIN[demand, shortage][lead_time - 1], abs=1e-3)
    assert optimum.converged
    assert optimum.span <= 1e-6
    assert optimum.mass_at_bound < 1e-9


@pytest.mark.parametrize("demand", ["poisson", "geometric"])
@pytest.mark.parametrize("shortage", [4.0, 9.0, 19.0])
@pytest.mark.parametrize("lead_time", [0, 1, 2, 4])
def test_simulated_optimum_costs_what_the_oracle_says(demand, shortage, lead_time, costs_what_the_oracle_says):
    problem = LostSalesProblem(lead_time, demand, shortage=shortage)
    costs_what_the_oracle_says(problem, solve_lost_sales(problem))


@pytest.mark.parametrize("lead_time", [1, 2, 3])
def test_value_iteration_and_the_stationary_law_of_its_policy_agree(lead_time):
    problem = LostSalesProblem(lead_time, "geometric", 4.0, 1.5, 12.0)
    optimum = solve_lost_sales(problem)
    orders = optimum.policy.orders[..., 0].astype(int)
    chain = evaluate(problem, lambda state: orders[tuple(state.T)], optimum.largest_position, optimum.largest_order)
    assert chain.cost == pytest.approx(optimum.cost, abs=1e-6)
    assert chain.probability.sum() == pytest.approx(1)
    # in the long run what is ordered is what is sold
    sold, stock = chain.orders @ chain.probability, chain.states[:, 0] @ chain.probability
    assert chain.cost == pytest.approx(problem.holding * (stock - sold) + problem.shortage * (problem.mean - sold))


@pytest.mark.parametrize("demand", ["poisson", "geometric"])
def test_wider_bounds_do_not_change_the_cost(demand):
    problem = LostSalesProblem(2, demand, shortage=9.0)
    optimum = solve_lost_sales(problem)
    wide = solve_lost_sales(problem, largest_order=20, largest_position=60)
    assert wide.cost == pytest.approx(optimum.cost, abs=1e-6)
    assert (wide.largest_order, wide.largest_position) == (20, 60)


@pytest.mark.parametrize(("order", "position"), [(2, 30), (20, 6), (1, 1)])
def test_narrow_bounds_are_widened(order, position):
    problem = LostSalesProblem(2, shortage=9.0)
    optimum = solve_lost_sales(problem, largest_order=order, largest_position=position)
    assert optimum.cost == pytest.approx(6.0936, abs=1e-4)
    assert optimum.mass_at_bound < 1e-9
    assert optimum.largest_position > position or optimum.largest_order > order


@pytest.mark.parametrize("lead_time", [1, 2, 3])
def test_optimum_is_below_heuristics_and_below_the_backlog(lead_time):
    """Janakiraman, Seshadri and Shanthikumar (2007): lost sales cost less than the backlog."""
    problem = LostSalesProblem(lead_time, "geometric", shortage=9.0)
    optimum, capped, base = (
        solve(problem).cost for solve in (solve_lost_sales, best_capped_base_stock, best_base_stock)
    )
    backlog = solve_newsvendor(NewsvendorProblem(problem.law(lead_time + 1), 1.0, 9.0)).cost
    assert optimum < capped < base < backlog


def test_orders_fall_in_every_part_of_the_state_and_most_in_the_latest():
    """Zipkin (2008), "On the structure of lost-sales inventory models": 0 >= dq/dx >= dq/dz_1 >= dq/dz_2 >= -1."""
    orders = solve_lost_sales(LostSalesProblem(3, shortage=9.0)).policy.orders[:20, :8, :8, 0]
    here = orders[:-1, :-1, :-1]
    slopes = [orders[1:, :-1, :-1] - here, orders[:-1, 1:, :-1] - here, orders[:-1, :-1, 1:] - here]
    for earlier, later in pairwise([np.zeros_like(here), *slopes, -np.ones_like(here)]):
        assert (earlier >= later).all()
        assert (earlier > later).any()


@settings(max_examples=25, deadline=None)
@given(
    lead_time=st.integers(0, 2),
    demand=st.sampled_from(["poisson", "geometric"]),
    mean=st.floats(0.3, 6.0),
    holding=st.floats(0.1, 5.0),
    shortage=st.floats(0.0, 30.0),
)
def test_whatever_the_costs_the_optimum_is_least_and_scales_with_them(lead_time, demand, mean, holding, shortage):
    problem = LostSalesProblem(lead_time, demand, mean, holding, shortage)
    optimum = solve_lost_sales(problem)
    capped, base = best_capped_base_stock(problem).cost, best_base_stock(problem).cost
    assert optimum.converged
    assert optimum.cost <= capped + 1e-6 <= base + 2e-6 <= shortage * mean + 3e-6
    tripled = solve_lost_sales(LostSalesProblem(lead_time, demand, mean, 3 * holding, 3 * shortage))
    assert tripled.cost == pytest.approx(3 * optimum.cost, abs=4e-6)


def test_a_whole_lead_time_may_be_a_float():
    assert solve_lost_sales(LostSalesProblem(2.0)).cost == solve_lost_sales(LostSalesProblem(2)).cost


def test_lead_time_zero_is_a_newsvendor():
    optimum = solve_lost_sales(LostSalesProblem(0))
    assert (optimum.policy.level, optimum.converged) == (7, True)
    assert optimum.cost == pytest.approx(3.27741, abs=1e-5)


@pytest.mark.parametrize("lead_time", [0, 1, 3])
@pytest.mark.parametrize("shortage", [0.0, 0.001])
def test_where_losing_a_sale_costs_next_to_nothing_nothing_is_ordered(lead_time, shortage):
    optimum = solve_lost_sales(LostSalesProblem(lead_time, shortage=shortage))
    assert optimum.cost == pytest.approx(5 * shortage, abs=1e-6)
    seen = np.zeros((1, 1 + lead_time))
    assert_array_equal(optimum.policy(seen), [[0.0]])


def test_a_shortage_cost_below_the_holding_cost_is_a_problem_like_any_other(costs_what_the_oracle_says):
    problem = LostSalesProblem(2, shortage=0.5)
    optimum = solve_lost_sales(problem)
    assert optimum.cost < best_base_stock(problem).cost <= 0.5 * 5
    costs_what_the_oracle_says(problem, optimum)


def test_a_table_answers_numpy_and_torch_alike_and_beyond_its_edges():
    policy = TablePolicy(np.arange(12.0).reshape(3, 4, 1), lowest=-1)
    seen = np.asarray([[-1.0, 0.0, 0.0], [0.0, 1.0, 3.0], [9.0, 9.0, 9.0], [-5.0, 1.0, 2.0], [0.0, 0.4, 1.2]])
    expected = [[0], [11], [11], [2], [5]]
    assert_array_equal(policy(seen), expected)
    assert_array_equal(policy(torch.as_tensor(seen)).numpy(), expected)
    assert_array_equal(policy(seen.reshape(5, 1, 3)), np.reshape(expected, (5, 1, 1)))
    with pytest.raises(ValueError, match=r"observations \[\*batch, 3\], on hand and due, not 5"):
        policy(np.zeros((2, 5)))


def test_states_that_do_not_fit_are_counted_and_a_heuristic_is_named():
    with pytest.raises(ValueError, match=r"has 2\.44e\+10 states, .* GiB.*use a heuristic: best_capped_base_stock"):
        solve_lost_sales(LostSalesProblem(10))
    with pytest.raises(ValueError, match=r"and 9\.54e-07 GiB are allowed"):
        solve_lost_sales(LostSalesProblem(4), memory=1024)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"lead_time": -1}, "lead_time must be a whole number of periods, at least 0, not -1"),
        ({"lead_time": 1.5}, "lead_time must be a whole number"),
        ({"holding": -1.0}, "holding must be finite and positive"),
        ({"holding": 0.0}, "holding must be finite and positive"),
        ({"shortage": -4.0}, "shortage must be finite and not negative"),
        ({"shortage": float("nan")}, "shortage must be finite"),
        ({"mean": 0.0}, "mean must be finite and positive"),
        ({"demand": "uniform"}, "demand must be"),
    ],
)
def test_bad_problems_are_refused(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        LostSalesProblem(**setting)


def test_a_policy_outside_its_bounds_is_refused():
    with pytest.raises(ValueError, match="above largest_order 3"):
        evaluate(LostSalesProblem(2), lambda state: np.full(len(state), 4), 20, 3)


def test_base_stock_visits_all_ways_to_split_its_level():
    """Under order-up-to S the position is S in every period: S units fall on L + 1 places in any way."""
    chain = evaluate(LostSalesProblem(3), lambda state: 6 - state.sum(axis=1), 6, 6)
    assert len(chain.states) == comb(6 + 3, 3)
    assert_array_equal(chain.states.sum(axis=1) + chain.orders, 6)
