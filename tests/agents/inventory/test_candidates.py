"""What the classical policies know and how their settings are chosen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from sandtable.agents.inventory.candidates import (
    SERVICE,
    Candidate,
    classical_candidates,
    critical_ratio,
    order_up_to_level,
    tune,
)
from sandtable.agents.inventory.order_up_to import BaseStock
from sandtable.agents.rollout import rollout
from sandtable.simulators.inventory.panel import assume
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales
from sandtable.simulators.inventory.world import Economics
from sandtable.simulators.random import make_key

HISTORY = 110


@pytest.fixture(scope="module")
def panel():
    return assume(synthetic_sales(5, 130, seed=3))


def start(world, keys):
    return world.reset(make_key(keys), product=keys, start=world.starts[0])


@pytest.mark.parametrize("candidate", range(8))
def test_numpy_and_torch_order_the_same(panel, candidate):
    one = classical_candidates(panel, HISTORY)[candidate]
    world = InventoryReplay(panel, 8, starts=(HISTORY, HISTORY), history=HISTORY, dtype="float64")
    keys = np.arange(panel.products)
    for settings in one.grid[::3]:
        policy = one.build(panel, HISTORY, **settings)
        ours, theirs = start(world, keys), start(world, torch.from_numpy(keys))
        for _ in range(8):
            order, same = policy(world.observe(ours)), policy(world.observe(theirs))
            np.testing.assert_allclose(same.numpy(), order, rtol=1e-12, atol=1e-12)
            ours, theirs = world.step(ours, order).state, world.step(theirs, torch.from_numpy(order)).state


@pytest.mark.parametrize("candidate", range(8))
def test_no_candidate_sees_demand_after_the_history(panel, candidate):
    after = np.arange(panel.periods)[:, None] >= HISTORY
    altered = replace(
        panel,
        demand=np.where(after, 7 * panel.demand + 100, panel.demand),
        price=np.where(after, 9 * panel.price, panel.price),
        cost=np.where(after, 9 * panel.cost, panel.cost),
    )
    one = classical_candidates(panel, HISTORY)[candidate]
    world = InventoryReplay(panel, 1, starts=(HISTORY, HISTORY), history=HISTORY, dtype="float64")
    observation = world.observe(start(world, np.arange(panel.products)))
    for settings in one.grid:
        order = one.build(panel, HISTORY, **settings)(observation)
        assert (one.build(altered, HISTORY, **settings)(observation) == order).all()


def test_a_season_is_only_looked_for_in_two_years(panel):
    assert "seasonal forecast" in [one.name for one in classical_candidates(panel, 104)]
    assert "seasonal forecast" not in [one.name for one in classical_candidates(panel, 103)]


@pytest.mark.parametrize("name", ["seasonal forecast", "quantile forecast"])
def test_what_is_learned_from_several_products_is_not_learned_from_others(panel, name):
    held_out = np.arange(panel.products) == 4
    altered = replace(panel, demand=np.where(held_out, 7 * panel.demand[::-1] + 100, panel.demand))
    world = InventoryReplay(panel, 1, starts=(HISTORY, HISTORY), history=HISTORY, dtype="float64")
    observation = world.observe(start(world, np.arange(panel.products)))
    observation["on_hand"] = 0 * observation["on_hand"]  # every order is the level, less what is on order
    orders = []
    for products in (np.arange(4), None):
        for one in (panel, altered):
            candidate = next(c for c in classical_candidates(one, HISTORY, products=products) if c.name == name)
            orders.append(candidate.build(one, HISTORY, **candidate.grid[2])(observation))
    assert (orders[0] == orders[1]).all()
    assert (orders[2] != orders[3]).any()


def test_quantile_forecasts_know_the_season_where_two_years_are_seen(panel):
    for history, seasonal in ((103, False), (104, True)):
        candidate = classical_candidates(panel, history)[-1]
        assert candidate.name == "quantile forecast"
        policy = candidate.build(panel, history, **candidate.grid[0])
        assert policy.seasonal == seasonal
        assert policy.fit.converged
        assert len(policy.fit.params) == (11 if seasonal else 7)


def test_no_quantile_is_fitted_that_few_examples_exceed(make_panel):
    demand = np.random.default_rng(0).poisson(3.0, (60, 2)).astype(float)
    candidate = classical_candidates(make_panel(demand), 60)[-1]
    assert candidate.name == "quantile forecast"
    assert [settings["service"] for settings in candidate.grid] == [0.5, 0.6, 0.7, 0.8]  # 116 examples
    few = classical_candidates(make_panel(demand[:8]), 8)
    assert "quantile forecast" not in [one.name for one in few]


def test_orders_up_to_a_predicted_quantile_meet_that_share_of_demand(make_panel):
    """Of 3,200 overlapping pairs of periods; rounding up to whole units adds 0.007 at most."""
    demand = np.random.default_rng(1).poisson(400.0, (400, 40)).astype(float)
    panel = make_panel(demand, lead_time=1)
    candidate = next(one for one in classical_candidates(panel, 300) if one.name == "quantile forecast")
    world = InventoryReplay(panel, 90, starts=(300, 300), history=300, dtype="float64")
    for service in (0.6, 0.9, 0.98):
        policy = candidate.build(panel, 300, service=service)
        state, covered = start(world, np.arange(40)), []
        for t in range(80):
            seen = world.observe(state)
            level = policy({**seen, "on_hand": 0 * seen["on_hand"], "on_order": 0 * seen["on_order"]})[:, 0]
            covered.append(demand[300 + t : 302 + t].sum(axis=0) <= level)
            state = world.step(state, level[:, None]).state
        assert np.concatenate(covered).mean() == pytest.approx(service, abs=0.03)


def test_no_window_is_longer_than_what_is_seen(panel):
    for candidate in classical_candidates(panel, HISTORY, window=8):
        assert all(settings.get("window", 0) <= 8 for settings in candidate.grid)


def test_the_critical_ratio_is_underage_over_underage_and_overage(make_panel):
    economics = Economics(holding_rate=0.5, holding=1.0, shortage=2.0, shortage_rate=0.25)
    panel = make_panel(np.ones((6, 2)), price=[8.0, 4.0], cost=[4.0, 8.0], economics=economics)
    underage = np.array([4.0 + 2.0 + 2.0, 0.0 + 2.0 + 1.0])
    overage = np.array([1.0 + 2.0, 1.0 + 4.0])
    np.testing.assert_allclose(critical_ratio(panel, 6), underage / (underage + overage))


def test_the_order_up_to_level_covers_poisson_demand_over_lead_time_and_review(make_panel):
    demand = np.random.default_rng(0).poisson(6, (4000, 1)).astype(float)
    panel = make_panel(demand, lead_time=2)
    for service in SERVICE:
        exact = stats.poisson.ppf(service, 18)
        assert abs(order_up_to_level(panel, 4000, service).item() - exact) <= 1


def test_tuning_takes_the_settings_that_earn_most(panel):
    world = InventoryReplay(panel, HISTORY, starts=(0, 0), history=HISTORY, dtype="float64")
    products = np.array([0, 2, 3])
    state = start(world, products)
    for candidate in classical_candidates(panel, HISTORY)[2:4]:
        tuned = tune(candidate, panel, HISTORY, products, world)
        earned = [
            rollout(world, candidate.build(panel, HISTORY, **settings), state)["reward"].mean()
            for settings in candidate.grid
        ]
        assert tuned.settings == candidate.grid[int(np.argmax(earned))]
        np.testing.assert_allclose(tuned.profit, earned)
        assert max(earned) > min(earned)


def test_tuning_discounts_what_is_earned_later(make_panel):
    """Both levels sell a unit a period; the higher one buys a second unit in the first period and never sells it."""
    panel = make_panel(np.ones((6, 1)), price=2.0, cost=1.5, lead_time=0, economics=Economics(pay_on="ordered"))
    world = InventoryReplay(panel, 6, starts=(0, 0), initial_stock=0.0, dtype="float64")

    def build(panel, history, level):
        return BaseStock(level)

    candidate = Candidate("levels", "", build, [{"level": 1.0}, {"level": 2.0}])
    patient = tune(candidate, panel, 6, np.array([0]), world, discount=1.0)
    hasty = tune(candidate, panel, 6, np.array([0]), world, discount=0.5)
    weight = 0.5 ** np.arange(6)
    np.testing.assert_allclose(patient.profit[0], 0.5)
    np.testing.assert_allclose(hasty.profit[0], (0.5 * weight).sum() / 6)
    np.testing.assert_allclose(hasty.profit[1], ((0.5 * weight).sum() - 1.5) / 6)


def test_what_has_no_settings_is_not_tuned(panel):
    candidate = classical_candidates(panel, HISTORY)[0]
    world = InventoryReplay(panel, HISTORY, starts=(0, 0), history=HISTORY)
    tuned = tune(candidate, panel, HISTORY, np.arange(5), world)
    assert (tuned.settings, tuned.profit) == ({}, ())
