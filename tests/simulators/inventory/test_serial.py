"""A serial system: the order of events, its accounts, and what every world promises."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from sandtable.simulators.arrays import like, tree_map
from sandtable.simulators.inventory.serial import SerialInventory
from sandtable.simulators.random import fold_in, make_key, uniform


def play(world, key, largest=12.0):
    """Play an episode with orders drawn by key; return the observations before, and the steps."""
    state, observations, steps = world.reset(key), [], []
    for t in range(world.horizon):
        orders = [largest * uniform(fold_in(key, 900 + stage), t) for stage in range(len(world.lead_times))]
        observations.append(world.observe(state))
        action = np.stack(orders, -1) if isinstance(key, np.ndarray) else torch.stack(orders, -1)
        steps.append(world.step(state, like(key, action, world.dtype)))
        state = steps[-1].state
    return observations, steps


def test_an_order_walks_down_the_stages():
    """Lead times 1, 1, 2; without demand, and with orders of all that can be had."""
    world = SerialInventory(mean=0.0, deviation=0.0, horizon=8, dtype="float64")
    state, seen = world.reset(make_key([0])), []
    for t in range(5):
        state = world.step(state, np.asarray([[9.0, 9.0, 6.0 if t == 0 else 0.0]])).state
        seen.append(world.observe(state)[0])
    # stage 1: on hand, due; stage 2: on hand, due; stage 3: on hand, due
    expected = [[0, 0, 0, 0, 0, 6], [0, 0, 0, 0, 6, 0], [0, 0, 6, 0, 0, 0], [6, 0, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0]]
    assert_array_equal(seen, expected)


def test_a_shipment_of_lead_time_one_meets_the_demand_of_its_period():
    world = SerialInventory([1], [1.0], 9.0, mean=4.0, deviation=0.0, horizon=3, dtype="float64")
    step = world.step(world.reset(make_key([0])), np.asarray([[3.0]]))  # 4 on hand, 3 arrive, 4 are wanted
    assert (step.info["on_hand"], step.reward) == ([3.0], [-3.0])


def test_stages_get_no_more_than_the_stage_upstream_has_and_holding_is_paid_where_stock_comes_from():
    world = SerialInventory([2, 1], [5.0, 2.0], 9.0, mean=1.0, deviation=0.0, horizon=3, dtype="float64")
    state = world.reset(make_key([0]))
    assert_array_equal(world.observe(state), [[2, 0, 1, 0]])
    step = world.step(state, np.asarray([[7.0, 3.0]]))  # 1 of 7 is sent, and is on its way from stage 2
    assert_array_equal(world.observe(step.state), [[1, 1, 3, 0]])
    assert step.info["shipped"] == [3.0]
    assert step.reward == [-(5.0 * 1 + 2.0 * (3 + 1))]


@pytest.mark.parametrize("lead_times", [(1,), (1, 1, 2), (3, 2, 1, 1)])
def test_units_and_money_add_up(lead_times):
    stages = len(lead_times)
    holding = np.arange(stages, 0, -1.0)
    world = SerialInventory(lead_times, holding, 20.0, 5.0, 1.0, horizon=30, dtype="float64")
    key = make_key(np.arange(40))
    observations, steps = play(world, key)
    info = {name: np.stack([step.info[name] for step in steps]) for name in steps[0].info}
    start = observations[0].sum(axis=1)
    end = info["on_hand"][-1] + info["in_transit"][-1]
    assert_allclose(start + info["shipped"].sum(0) - info["sales"].sum(0), end)
    assert_allclose(info["sales"].sum(0) + info["waiting"][-1], info["demand"].sum(0))
    seen = np.stack([world.observe(step.state) for step in steps]).reshape(30, 40, stages, -1)
    on_hand, due = np.maximum(seen[..., 0], 0), seen[..., 1:].sum(-1)
    charged = on_hand.copy()
    charged[..., 1:] += due[..., :-1]
    assert_allclose(info["holding_cost"], charged @ holding)
    assert_allclose(info["shortage_cost"], 20.0 * np.maximum(-seen[..., 0, 0], 0))
    assert_allclose(info["reward"], -info["holding_cost"] - info["shortage_cost"])
    assert (seen[:, :, 1:, 0] >= 0).all()  # only customers wait
    assert info["waiting"].max() > 0
    assert np.stack([step.truncated for step in steps]).sum() == 40
    assert steps[-1].truncated.all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_torch_play_the_same(dtype):
    """Normal draws agree to a few units in the last place."""
    world = SerialInventory((2, 1, 3), horizon=12, dtype=dtype)
    key = make_key(np.arange(50))
    ours, theirs = play(world, key), play(world, torch.as_tensor(key))
    tolerance = 1e-4 if dtype == "float32" else 1e-9
    for some, others in zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True):
        assert_allclose(some[0], others[0].numpy(), rtol=tolerance, atol=tolerance)
        tree_map(
            lambda a, b: assert_allclose(a, b.numpy(), rtol=tolerance, atol=100 * tolerance), some[1][1:], others[1][1:]
        )
        assert {str(array.dtype) for array in (some[0], some[1].reward, *some[1].info.values())} == {dtype}


def test_a_row_does_not_depend_on_its_batch_and_replicas_are_further_rows():
    world = SerialInventory(horizon=8, dtype="float64")
    key = make_key(np.arange(12))
    whole = np.stack([step.reward for step in play(world, key)[1]])
    part = np.stack([step.reward for step in play(world, key[3:7])[1]])
    stacked = np.stack([step.reward for step in play(world, key.reshape(3, 4))[1]])
    assert_array_equal(part, whole[:, 3:7])
    assert_array_equal(stacked.reshape(8, 12), whole)


def test_demand_is_normal_not_negative_and_independent_over_periods_and_episodes():
    world = SerialInventory(horizon=10, dtype="float64")
    key = make_key(np.arange(2_000))
    demand, other = world.reset(key).demand, world.reset(key, episode=1).demand
    assert stats.kstest(demand.ravel(), stats.norm(5, 1).cdf).pvalue > 1e-4
    for some, others in ((demand[:-1], demand[1:]), (demand, other)):
        assert abs(np.corrcoef(some.ravel(), others.ravel())[0, 1]) < 4 / np.sqrt(some.size)
    wild = SerialInventory(mean=1.0, deviation=5.0, horizon=10).reset(key).demand
    assert wild.min() == 0


def test_the_gradient_is_that_of_finite_differences():
    world = SerialInventory((2, 1), (3.0, 1.0), 9.0, horizon=5, dtype="float64")
    key = torch.arange(10)

    def total(orders):
        state, earned = world.reset(key), 0.0
        for t in range(world.horizon):
            step = world.step(state, orders[t])
            state, earned = step.state, earned + step.reward.sum()
        return earned

    orders = torch.rand(5, 10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 8 + 0.1
    assert torch.autograd.gradcheck(total, orders.requires_grad_())


def test_a_step_compiles_as_one_graph():
    world = SerialInventory((1, 2), (2.0, 1.0), horizon=4)
    state = expected = world.reset(torch.arange(6))
    compiled = torch.compile(world.step, fullgraph=True, backend="eager")
    order = torch.full((6, 2), 6.0)
    for _ in range(world.horizon):
        expected, state = world.step(expected, order).state, compiled(state, order).state
        assert_array_equal(state.on_hand, expected.on_hand)


def test_the_card_tells_the_order_of_events():
    card = SerialInventory().card()
    assert card.index("observe   ") < card.index("ship      ") < card.index("receive   ") < card.index("pay       ")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"lead_times": []}, "one entry a stage"),
        ({"lead_times": [1, 1]}, "one entry a stage"),
        ({"lead_times": [0, 1, 1]}, r"at least 1, not \[0, 1, 1\]"),
        ({"lead_times": [1, 1.5, 1]}, "whole numbers of periods"),
        ({"holding": [7, -4, 2]}, "holding must be finite and not negative"),
        ({"holding": [7, float("inf"), 2]}, "holding must be finite"),
        ({"holding": [7, float("nan"), 2]}, "holding must be finite"),
        ({"shortage": -1}, "shortage must be finite and not negative"),
        ({"mean": float("nan")}, "mean must be finite"),
        ({"deviation": -1}, "deviation must be finite and not negative"),
        ({"mean": 2e7}, r"demand, .* reaches 2e\+07 units, and float32 counts to 2\*\*24; use dtype='float64'"),
        ({"horizon": 0}, "horizon must be at least 1"),
        ({"dtype": "int64"}, "dtype must be"),
    ],
)
def test_bad_settings_are_refused(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        SerialInventory(**setting)


def test_unknown_options_of_a_reset_are_refused():
    with pytest.raises(ValueError, match=r"no reset options, not \['product'\]"):
        SerialInventory().reset(make_key([0]), product=1)
