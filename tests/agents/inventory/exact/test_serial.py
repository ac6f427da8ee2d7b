"""Clark and Scarf's recursion against published systems, a closed form and the simulator."""

import numpy as np
import pytest
import torch
from scipy import stats

from sandtable.agents.inventory.exact.newsvendor import NewsvendorProblem, solve_newsvendor
from sandtable.agents.inventory.exact.serial import EchelonBaseStock, SerialProblem, solve_serial


def test_clark_scarf_cost_is_47_66():
    """Snyder and Shen, Fundamentals of Supply Chain Theory, Example 6.1; stockpyl has 47.666 on a coarser grid."""
    optimum = solve_serial(SerialProblem((1, 1, 2), (7.0, 4.0, 2.0), 37.12, 5.0, 1.0))
    assert optimum.cost == pytest.approx(47.66, abs=0.02)
    assert optimum.levels == pytest.approx((6.49, 12.02, 22.71), abs=0.01)
    assert optimum.error < 1e-4
    assert optimum.mass_below_zero < 1e-6


@pytest.mark.parametrize(
    ("system", "cost"),
    [
        (SerialProblem((1, 1), (8.2, 5.0), 25.5, 3.0, 0.5), 22.21),
        (SerialProblem((2, 2, 1), (50.0, 25.0, 25.0), 100.0, 100.0, 5.0), 10_568.23),
        (SerialProblem((1,) * 5, (50.0, 40.0, 30.0, 20.0, 10.0), 200.0, 80.0, 4.0), 8_559.85),
    ],
    ids=["2 stages", "3 stages", "5 stages"],
)
def test_published_serial_systems(system, cost):
    """Pirhooshyaran and Snyder (2020), as quoted in the references of invman; found there by search and simulation."""
    assert solve_serial(system).cost == pytest.approx(cost, rel=3e-4)


@pytest.mark.parametrize("lead_time", [1, 3])
def test_one_stage_is_a_newsvendor_on_lead_time_demand(lead_time):
    optimum = solve_serial(SerialProblem((lead_time,), (2.0,), 9.0, 20.0, 3.0))
    newsvendor = solve_newsvendor(
        NewsvendorProblem(stats.norm(20.0 * lead_time, 3.0 * np.sqrt(lead_time)), 2.0, 9.0)
    )
    assert optimum.cost == pytest.approx(newsvendor.cost, abs=1e-4)
    assert optimum.levels[0] == pytest.approx(newsvendor.level, abs=1e-3)


@pytest.mark.parametrize(
    "problem",
    [
        SerialProblem(),
        SerialProblem((2,), (3.0,), 20.0, 10.0, 2.0),
        SerialProblem((3, 1, 2, 1), (6.0, 4.0, 3.0, 1.0), 15.0, 8.0, 1.5),
        SerialProblem((1, 2, 2), (50.0, 25.0, 25.0), 100.0, 100.0, 5.0),
    ],
    ids=str,
)
def test_simulated_policy_costs_what_the_oracle_says(problem, costs_what_the_oracle_says):
    costs_what_the_oracle_says(problem, solve_serial(problem))


def test_a_finer_grid_changes_nothing_that_matters():
    problem = SerialProblem()
    coarse, fine = solve_serial(problem, step=0.05), solve_serial(problem, step=0.002)
    assert coarse.cost == pytest.approx(fine.cost, abs=5e-3)
    assert fine.error < coarse.error


def test_echelon_positions_count_everything_downstream():
    policy = EchelonBaseStock(np.asarray([10.0, 20.0, 30.0]))
    seen = np.asarray([[-1.0, 2.0, 4.0, 0.0, 3.0, 5.0]])  # on hand and due of stages 1, 2, 3
    np.testing.assert_array_equal(policy(seen), [[9.0, 15.0, 17.0]])
    np.testing.assert_array_equal(policy(torch.as_tensor(seen)).numpy(), [[9.0, 15.0, 17.0]])


def test_demand_that_the_simulator_would_clip_is_told():
    assert solve_serial(SerialProblem(deviation=2.5)).mass_below_zero == pytest.approx(stats.norm.cdf(-2.0))


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"lead_times": ()}, "one entry a stage"),
        ({"lead_times": (1, 1)}, "one entry a stage"),
        ({"lead_times": (0, 1, 2)}, "the lead time of stage 1 must be a whole number of periods, at least 1"),
        ({"holding": (7.0, -4.0, 2.0)}, "the holding cost of stage 2 must be finite and not negative"),
        ({"holding": (2.0, 4.0, 7.0)}, "not rise upstream"),
        ({"shortage": 0.0}, "shortage must be finite and positive"),
        ({"deviation": -1.0}, "deviation must be finite and positive"),
    ],
)
def test_bad_problems_are_refused(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        SerialProblem(**setting)


def test_a_grid_that_does_not_fit_is_counted_and_a_way_out_is_named():
    with pytest.raises(ValueError, match=r"the grid has .* points, .* GiB, .*take a larger step"):
        solve_serial(SerialProblem(), step=1e-8)
