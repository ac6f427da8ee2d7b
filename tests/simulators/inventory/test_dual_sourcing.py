"""Dual sourcing: the order of events, its accounts, and what every world promises."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from sandtable.simulators.arrays import like, tree_map
from sandtable.simulators.inventory.dual_sourcing import DualSourcing
from sandtable.simulators.random import fold_in, make_key, uniform


def play(world, key, largest=10.0):
    """Play an episode with orders drawn by key; return the observations before, and the steps."""
    state, observations, steps = world.reset(key), [], []
    for t in range(world.horizon):
        orders = [largest * uniform(fold_in(key, stream), t) for stream in (901, 902)]
        observations.append(world.observe(state))
        action = np.stack(orders, -1) if isinstance(key, np.ndarray) else torch.stack(orders, -1)
        steps.append(world.step(state, like(key, action, world.dtype)))
        state = steps[-1].state
    return observations, steps


def test_worked_transition_of_the_literature():
    """State (8, 3, 1), 2 regular and 1 expedited units, demand 4, costs 100/105/5/495: next (8, 1, 2), cost 330.

    Böttcher, Asikis and Fragkos (2023), with a regular lead time of 3, as quoted in the references of invman.
    """
    world = DualSourcing(3, 100.0, 105.0, 5.0, 495.0, 4, 4, horizon=3, dtype="float64")
    state = world.reset(make_key([0]))
    stock = state.stock._replace(on_hand=np.asarray([8.0]), pipeline=np.asarray([[0.0], [3.0], [1.0]]))
    step = world.step(state._replace(stock=stock), np.asarray([[2.0, 1.0]]))
    assert step.reward == [-330.0]
    after = world.observe(step.state)[0]
    assert_array_equal([after[0] + after[1], *after[2:]], [8, 1, 2])


def test_regular_orders_arrive_after_the_lead_time_and_expedited_at_once():
    world = DualSourcing(2, lowest_demand=1, highest_demand=1, horizon=5, dtype="float64")
    state, seen = world.reset(make_key([0])), []
    for regular, expedited in ((7.0, 3.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)):
        step = world.step(state, np.asarray([[regular, expedited]]))
        state = step.state
        seen.append(world.observe(state)[0])
    assert_array_equal(seen, [[2, 0, 7], [1, 7, 0], [7, 0, 0], [6, 0, 0]])


@pytest.mark.parametrize("lead_time", [1, 3])
def test_units_and_money_add_up(lead_time):
    world = DualSourcing(lead_time, 2.0, 7.0, 1.5, 9.0, 0, 8, horizon=30, dtype="float64")
    _, steps = play(world, make_key(np.arange(40)), largest=5.0)
    info = {name: np.stack([step.info[name] for step in steps]) for name in steps[0].info}
    bought = info["ordered"].sum(0) + info["expedited"].sum(0)
    assert_allclose(info["received"].sum(0) + info["in_transit"][-1], bought)
    assert_allclose(info["sales"].sum(0) + info["waiting"][-1], info["demand"].sum(0))
    assert_allclose(info["received"].sum(0) - info["sales"].sum(0), info["on_hand"][-1])
    assert_allclose(info["purchases"], 2.0 * info["ordered"] + 7.0 * info["expedited"])
    cost = info["purchases"] + 1.5 * info["on_hand"] + 9.0 * info["waiting"]
    assert_allclose(np.stack([step.reward for step in steps]), -cost)
    assert (info["on_hand"] * info["waiting"] == 0).all()
    assert info["waiting"].max() > 0 < info["on_hand"].max()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_torch_play_the_same_bits(dtype):
    world = DualSourcing(3, 2.0, 7.0, horizon=12, dtype=dtype)
    key = make_key(np.arange(50))
    ours, theirs = play(world, key), play(world, torch.as_tensor(key))
    for some, others in zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True):
        tree_map(lambda a, b: assert_array_equal(a, b.numpy()), (some[0], some[1][1:]), (others[0], others[1][1:]))
        assert {str(array.dtype) for array in (some[0], some[1].reward, *some[1].info.values())} == {dtype}


def test_a_row_does_not_depend_on_its_batch_and_replicas_are_further_rows():
    world = DualSourcing(horizon=8, dtype="float64")
    key = make_key(np.arange(12))
    whole = np.stack([step.reward for step in play(world, key)[1]])
    part = np.stack([step.reward for step in play(world, key[3:7])[1]])
    stacked = np.stack([step.reward for step in play(world, key.reshape(3, 4))[1]])
    assert_array_equal(part, whole[:, 3:7])
    assert_array_equal(stacked.reshape(8, 12), whole)


def test_demand_is_uniform_and_independent_over_periods():
    world = DualSourcing(lowest_demand=2, highest_demand=6, horizon=10)
    demand = world.reset(make_key(np.arange(5_000))).paths.demand
    values, counts = np.unique(demand, return_counts=True)
    assert_array_equal(values, np.arange(2, 7))
    assert stats.chisquare(counts).pvalue > 1e-4
    assert abs(np.corrcoef(demand[:-1].ravel(), demand[1:].ravel())[0, 1]) < 4 / np.sqrt(demand[1:].size)
    other = world.reset(make_key(np.arange(5_000)), episode=1).paths.demand
    assert abs(np.corrcoef(demand.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(demand.size)


def test_the_gradient_is_that_of_finite_differences():
    world = DualSourcing(2, 1.0, 3.0, whole_units=False, horizon=6, dtype="float64")
    key = torch.arange(20)

    def total(orders):
        state, earned = world.reset(key), 0.0
        for t in range(world.horizon):
            step = world.step(state, orders[t])
            state, earned = step.state, earned + step.reward.sum()
        return earned

    orders = torch.rand(6, 20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 4 + 0.1
    assert torch.autograd.gradcheck(total, orders.requires_grad_())


def test_a_step_compiles_as_one_graph():
    world = DualSourcing(2, horizon=4)
    state = expected = world.reset(torch.arange(6))
    compiled = torch.compile(world.step, fullgraph=True, backend="eager")
    for _ in range(world.horizon):
        step, state = world.step(expected, torch.full((6, 2), 3.0)), compiled(state, torch.full((6, 2), 3.0)).state
        expected = step.state
        assert_array_equal(state.stock.on_hand, expected.stock.on_hand)


def test_orders_are_rounded_cut_and_never_negative():
    world = DualSourcing(1, dtype="float64")
    step = world.step(world.reset(make_key(np.arange(3))), np.asarray([[0.4, 2.6], [-3.0, 1e9], [1e9, -1.0]]))
    assert_array_equal(step.info["ordered"], [0, 0, 80])
    assert_array_equal(step.info["expedited"], [3, 80, 0])


def test_the_card_tells_the_order_of_events():
    card = DualSourcing().card()
    assert "two suppliers" in card
    assert card.index("observe   ") < card.index("receive   ") < card.index("pay       ")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"regular_lead_time": 0}, "regular_lead_time must be a whole number of periods, at least 1, not 0"),
        ({"regular_lead_time": 1.5}, "regular_lead_time"),
        ({"regular_cost": -1}, "regular_cost must be finite and not negative"),
        ({"expedited_cost": float("inf")}, "expedited_cost must be finite"),
        ({"holding": -1}, "holding must be finite and not negative"),
        ({"shortage": float("nan")}, "shortage must be finite"),
        ({"lowest_demand": -1}, "lowest_demand and highest_demand"),
        ({"highest_demand": 0}, "lowest_demand and highest_demand"),
        ({"highest_demand": 2.5}, "lowest_demand and highest_demand"),
        ({"highest_demand": 2**24 + 1}, r"highest_demand reaches .* float32 counts to 2\*\*24; use dtype='float64'"),
        ({"horizon": 0}, "horizon must be at least 1"),
        ({"dtype": "int64"}, "dtype must be"),
    ],
)
def test_bad_settings_are_refused(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        DualSourcing(**setting)


def test_unknown_options_of_a_reset_are_refused():
    with pytest.raises(ValueError, match=r"no reset options, not \['product'\]"):
        DualSourcing().reset(make_key([0]), product=1)
