"""Compiled rollouts are the array program's, and their gradients autograd's."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from sandtable.agents.inventory.order_up_to import BaseStock, CappedBaseStock, ReorderPoint
from sandtable.simulators.inventory.kernels.rollout import FIGURES, OrderUpTo, rollout, rollout_drawn
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.panel import assume
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales
from sandtable.simulators.inventory.world import Economics, fixed_lead_time

pytest.importorskip("numba")
from sandtable.simulators.inventory.kernels.differentiable import total_reward

PRODUCTS, PERIODS = 1100, 30  # more than one block
RICH = Economics(holding_rate=0.01, holding=0.02, shortage=0.3, shortage_rate=0.1, salvage=0.4)
MONEY = {
    "plain": Economics(holding=0.1),
    "received": RICH,
    "ordered": RICH._replace(pay_on="ordered"),
}


@pytest.fixture(scope="module")
def panel():
    panel = assume(synthetic_sales(products=PRODUCTS, periods=2 * PERIODS))
    nothing = {"minimum_order": None, "batch_size": None, "capacity": None, "supply_yield": None}
    return replace(panel, rules=panel.rules._replace(**nothing))


def replay(panel, lead_time, economics, dtype):
    panel = replace(panel.with_shares(np.asarray(fixed_lead_time(lead_time))[None, :, None]), economics=economics)
    return InventoryReplay(panel, PERIODS, starts=(PERIODS, PERIODS), dtype=dtype)


def policies(mean, lead_time):
    """Pairs of a kernel's and the array program's policy, with levels that are no whole numbers."""
    level, cap, point = 0.3 + mean * (lead_time + 1.7), 0.1 + 1.3 * mean, mean * (lead_time + 0.9)
    return {
        "base-stock": (OrderUpTo(level), BaseStock(level)),
        "capped": (OrderUpTo(level, cap=cap), CappedBaseStock(level, cap)),
        "(s, S)": (OrderUpTo(level, reorder_point=point), ReorderPoint(point, level)),
    }


def played(world, state, policy, discount=1.0):
    """The array program: the discounted reward, the tallies and the stock."""
    total, sums = 0.0, {}
    for t in range(world.horizon):
        step = world.step(state, policy(world.observe(state)))
        tally = world.tally(step.info)
        sums = {name: sums.get(name, 0) + value for name, value in tally.items()}
        total, state = total + step.reward * discount**t, step.state
    return total, sums, state.stock


@pytest.mark.parametrize("rule", ["base-stock", "capped", "(s, S)"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lead_time", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("money", sorted(MONEY))
def test_rollouts_of_a_replay_have_the_bits_of_the_array_program(panel, rule, dtype, lead_time, money):
    world = replay(panel, lead_time, MONEY[money], dtype)
    state = world.reset(np.arange(PRODUCTS), product=np.arange(PRODUCTS))
    compiled, policy = policies(state.context.mean, lead_time)[rule]
    expected, sums, stock = played(world, state, policy, 0.97)
    done = rollout(world, state, compiled, discount=0.97, figures=True)
    np.testing.assert_array_equal(done.reward, expected)
    np.testing.assert_array_equal(done.stock.on_hand, stock.on_hand)
    np.testing.assert_array_equal(done.stock.pipeline, stock.pipeline)
    for name in FIGURES:
        np.testing.assert_array_equal(done.figures[name], sums[name])


@pytest.mark.parametrize("rule", ["base-stock", "capped", "(s, S)"])
@pytest.mark.parametrize("lead_time", [0, 1, 4, 10])
@pytest.mark.parametrize("demand", ["poisson", "geometric"])
def test_rollouts_that_draw_their_demand_have_the_bits_of_the_array_program(rule, lead_time, demand):
    world = LostSales(lead_time, demand, horizon=40)
    key = np.arange(-300, 900) * 2**40 + 7
    compiled, policy = {
        "base-stock": (OrderUpTo(25.0), BaseStock(25.0)),
        "capped": (OrderUpTo(25.0, cap=6.4), CappedBaseStock(25.0, 6.4)),
        "(s, S)": (OrderUpTo(27.0, reorder_point=19.0), ReorderPoint(19.0, 27.0)),
    }[rule]
    state = world.reset(key, episode=3)
    expected, sums, stock = played(world, state, policy)
    drawn = rollout_drawn(world, key, compiled, episode=3, figures=True)
    for done in (drawn, rollout(world, state, compiled, figures=True)):
        np.testing.assert_array_equal(done.reward, expected)
        np.testing.assert_array_equal(done.stock.on_hand, stock.on_hand)
        np.testing.assert_array_equal(done.stock.pipeline, stock.pipeline)
        for name in FIGURES:
            np.testing.assert_array_equal(done.figures[name], sums[name])


def test_a_rollout_continues_from_any_period(panel):
    world = replay(panel, 2, RICH, "float32")
    state = world.reset(np.arange(PRODUCTS), product=np.arange(PRODUCTS))
    compiled, policy = policies(state.context.mean, 2)["base-stock"]
    for _ in range(11):
        state = world.step(state, policy(world.observe(state))).state
    total = 0.0
    done = rollout(world, state, compiled)
    for _ in range(11, PERIODS):
        step = world.step(state, policy(world.observe(state)))
        state, total = step.state, total + step.reward
    np.testing.assert_array_equal(done.reward, total)


@pytest.mark.parametrize("rule", ["base-stock", "capped", "(s, S)"])
@pytest.mark.parametrize("lead_time", [0, 1, 4, 10])
@pytest.mark.parametrize("money", sorted(MONEY))
def test_the_adjoint_is_autograd_s(panel, rule, lead_time, money):
    world = replay(panel, lead_time, MONEY[money], "float64")
    product = np.arange(PRODUCTS)
    level, cap, point = (
        None if x is None else torch.tensor(x, requires_grad=True)
        for x in policies(world.reset(product, product=product).context.mean, lead_time)[rule][0]
    )
    compiled = OrderUpTo(level, cap, None if point is None else point.detach())
    weights = torch.linspace(-1, 2, PRODUCTS, dtype=torch.float64)
    wanted = [x for x in (level, cap) if x is not None]
    ours = total_reward(world, world.reset(product, product=product), compiled, discount=0.9)
    found = torch.autograd.grad((weights * ours).sum(), wanted)
    program = {
        "base-stock": BaseStock(level),
        "capped": CappedBaseStock(level, cap),
        "(s, S)": ReorderPoint(None if point is None else point.detach(), level),
    }[rule]
    start = world.reset(torch.as_tensor(product), product=torch.as_tensor(product))
    theirs = played(world, start, program, 0.9)[0]
    expected = torch.autograd.grad((weights * theirs).sum(), wanted)
    for some, others in zip(found, expected, strict=True):
        assert others.abs().max() > 0
        torch.testing.assert_close(some, others, rtol=1e-10, atol=1e-10)


def test_the_gradient_in_float32_is_that_of_float64_to_rounding(panel):
    slopes = []
    for dtype in ("float32", "float64"):
        world = replay(panel, 4, RICH, dtype)
        state = world.reset(np.arange(PRODUCTS), product=np.arange(PRODUCTS))
        level = np.round(state.context.mean.astype(np.float64) * 6) + 0.5  # whole and half units are exact in both
        slopes.append(rollout(world, state, OrderUpTo(level), gradient=True).gradient.level)
    assert slopes[0].dtype == np.float32
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-4, atol=1e-3)


def test_one_level_for_all_rows_gets_the_sum_of_their_gradients_also_through_drawn_demand():
    world = LostSales(lead_time=3, horizon=50, whole_units=False, dtype="float64")
    level = torch.tensor(21.37, dtype=torch.float64, requires_grad=True)
    key = np.arange(900)
    (found,) = torch.autograd.grad(total_reward(world, key, OrderUpTo(level), episode=2).mean(), level)
    theirs = played(world, world.reset(torch.as_tensor(key), episode=2), BaseStock(level))[0]
    (expected,) = torch.autograd.grad(theirs.mean(), level)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_the_gradient_passes_straight_through_the_rounding_of_orders():
    world = LostSales(lead_time=2, horizon=50, dtype="float64")
    level = torch.tensor(17.3, dtype=torch.float64, requires_grad=True)
    key = np.arange(600)
    (found,) = torch.autograd.grad(total_reward(world, key, OrderUpTo(level)).mean(), level)
    theirs = played(world, world.reset(torch.as_tensor(key)), BaseStock(level))[0]
    (expected,) = torch.autograd.grad(theirs.mean(), level)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_policy_that_never_orders_sells_what_is_there(panel):
    world = replay(panel, 4, RICH, "float32")
    state = world.reset(np.arange(PRODUCTS), product=np.arange(PRODUCTS))
    done = rollout(world, state, OrderUpTo(-1.0), figures=True, gradient=True)
    there = state.stock.on_hand + state.stock.pipeline.sum(axis=0)
    np.testing.assert_allclose(done.figures["sales"] + done.stock.on_hand, there, rtol=1e-6)
    assert not done.gradient.level.any()
    assert not done.stock.pipeline.any()


def test_what_kernels_do_not_know_is_refused_and_the_way_out_named(panel):
    world = replay(panel, 2, RICH, "float32")
    state = world.reset(np.arange(5), product=np.arange(5))

    def refuses(match, world=world, state=state, policy=None, **options):
        with pytest.raises(ValueError, match=match):
            rollout(world, state, policy or OrderUpTo(3.0), **options)

    ruled = state.rules._replace
    refuses("capacity; step the world itself", state=state._replace(rules=ruled(capacity=np.ones(5, np.float32))))
    refuses("minimum_order; step", state=state._replace(rules=ruled(minimum_order=np.ones(5, np.float32))))
    refuses("one batch size", state=state._replace(rules=ruled(batch_size=np.arange(1, 6, dtype=np.float32))))
    shares = np.full((1, 3, 5), 1 / 3, np.float32)
    refuses("one fixed lead time", state=state._replace(paths=state.paths._replace(shares=shares)))
    backlog = LostSales(unmet="backlog")
    refuses("not backlog; step", world=backlog, state=backlog.reset(np.arange(3)))
    refuses("one batch axis", state=world.reset(torch.arange(5), product=torch.arange(5)))
    refuses("not both", policy=OrderUpTo(3.0, 1.0, 1.0))
    refuses("cap must not be negative", policy=OrderUpTo(3.0, cap=-1.0))
    refuses("must be finite", policy=OrderUpTo(np.nan))
    refuses(r"shape \[4\]; it must be a number or one by row, \[5\]", policy=OrderUpTo(np.ones(4)))
    refuses("discount must lie", discount=1.5)
    refuses("has ended", state=state._replace(t=np.asarray(PERIODS)))
    with pytest.raises(ValueError, match="played from a state"):
        total_reward(world, np.arange(3), OrderUpTo(3.0))
    with pytest.raises(ValueError, match="jumps in the reorder point"):
        total_reward(world, state, OrderUpTo(3.0, reorder_point=torch.ones(5, requires_grad=True)))


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_demand_that_is_not_finite_is_refused(nonsense, dtype):
    world = LostSales(2, horizon=3, dtype=dtype)
    state = world.reset(np.arange(4))
    demand = state.paths.demand.copy()
    demand[1, 2] = nonsense
    with pytest.raises(ValueError, match="demand must be finite"):
        rollout(world, state._replace(paths=state.paths._replace(demand=demand)), OrderUpTo(5.0))


def test_demand_that_float32_cannot_count_is_refused_and_float64_taken():
    for dtype in ("float32", "float64"):
        world = LostSales(2, horizon=3, dtype=dtype)
        state = world.reset(np.arange(4))
        state = state._replace(paths=state.paths._replace(demand=state.paths.demand + 2.0**24))
        if dtype == "float32":
            with pytest.raises(ValueError, match=r"float32 counts to 2\*\*24; use dtype='float64'"):
                rollout(world, state, OrderUpTo(5.0))
        else:
            assert np.isfinite(rollout(world, state, OrderUpTo(5.0)).reward).all()


def test_without_numba_worlds_step_as_ever_and_kernels_say_what_is_missing():
    code = """
import sys
sys.modules["numba"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "numba" else find(name, package)
import numpy as np, gymnasium as gym, sandtable
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.kernels.rollout import OrderUpTo, rollout_drawn
world = gym.make_vec("sandtable/LostSales-v0", num_envs=3, horizon=4)
world.reset(seed=0)
print(world.step(np.full((3, 1), 5, np.float32))[1])
try:
    rollout_drawn(LostSales(), np.arange(3), OrderUpTo(25.0))
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    world = LostSales(horizon=4)
    reward = world.step(world.reset(np.arange(3)), np.full((3, 1), 5, np.float32)).reward
    assert done.stdout.splitlines()[0] == str(reward)
    assert "pip install 'sandtable[fast]'" in done.stdout


@pytest.mark.slow
def test_a_hundred_thousand_products_over_two_years_take_under_four_gigabytes_with_gradients():
    code = """
import pathlib, resource, numpy as np, torch
from sandtable.benchmarks.inventory import replay_of
from sandtable.simulators.inventory.kernels.differentiable import total_reward
from sandtable.simulators.inventory.kernels.rollout import OrderUpTo
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.replay import InventoryReplay
world = InventoryReplay(replay_of(500).panel, 104, starts=(0, 0))
product = np.arange(100_000)
state = world.reset(product, product=product % 500)._replace(rules=OrderRules())
level = torch.tensor(state.context.mean * 6, requires_grad=True)
total_reward(world, state, OrderUpTo(level)).sum().backward()
assert level.grad.abs().sum() > 0
# on Linux a process inherits the peak of the one that started it, but not in this file
status = pathlib.Path("/proc/self/status")
told = [line.split()[1] for line in status.read_text().splitlines() if line[:5] == "VmHWM"] if status.exists() else []
print(told[0] if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4e6  # kB
