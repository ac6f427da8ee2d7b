"""What holds for every inventory world: one program for numpy and torch, rows that do not know of each other."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from sandtable.simulators.arrays import like, tree_map
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.panel import assume
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales
from sandtable.simulators.random import fold_in, make_key, uniform

HORIZON = 12
WANT = 999  # the stream of the orders


def lost_sales(panel, smooth_panel, **options):
    return LostSales(lead_time=3, demand="geometric", horizon=HORIZON, **options)


def newsvendor(panel, smooth_panel, **options):
    return LostSales(lead_time=0, horizon=HORIZON, **options)


def backlog(panel, smooth_panel, **options):
    return LostSales(lead_time=2, unmet="backlog", horizon=HORIZON, **options)


def replay(panel, smooth_panel, **options):
    return InventoryReplay(panel, HORIZON, window=4, **options)


def spread_replay(panel, smooth_panel, **options):
    return InventoryReplay(smooth_panel, HORIZON, window=4, initial_spread=0.5, **options)


def paid_on_order(panel, smooth_panel, **options):
    economics = panel.economics._replace(pay_on="ordered", shortage_rate=0.1)
    return InventoryReplay(replace(panel, economics=economics), HORIZON, window=4, **options)


WORLDS = [lost_sales, newsvendor, backlog, replay, spread_replay, paid_on_order]


@pytest.fixture(params=WORLDS, ids=lambda world: world.__name__)
def world(request, panel, smooth_panel):
    return request.param(panel, smooth_panel, dtype="float64")


def rollout(world, key, largest=15.0, **options):
    """Play an episode with orders that are drawn by key; return observations and steps of each period."""
    state = world.reset(key, **options)
    observations, steps = [], []
    for t in range(world.horizon):
        observations.append(world.observe(state))
        order = largest * uniform(fold_in(key, WANT), t)
        steps.append(world.step(state, order[..., None]))
        state = steps[-1].state
    return observations, steps


def arrays(tree):
    """Return the leaves of a tree as numpy arrays."""
    leaves = []
    tree_map(lambda leaf: leaves.append(np.asarray(leaf)), tree)
    return leaves


def results(observations, steps):
    """Return everything that a rollout shows, batch axes first."""
    return [arrays(seen) + arrays(tuple(step)[1:]) for seen, step in zip(observations, steps, strict=True)]


def test_numpy_and_torch_play_the_same_bits(world):
    key = make_key(np.arange(50))
    shown = results(*rollout(world, key))
    shown_by_torch = results(*rollout(world, torch.as_tensor(key)))
    for one, other in zip(shown, shown_by_torch, strict=True):
        for left, right in zip(one, other, strict=True):
            assert left.dtype == right.dtype
            assert_array_equal(left, right)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("build", WORLDS)
def test_quantities_and_money_have_the_element_type_of_the_world(build, dtype, panel, smooth_panel):
    money = panel.economics._replace(holding_rate=np.float64(0.1), shortage=np.float64(2.0))
    world = build(replace(panel, economics=money), replace(smooth_panel, economics=money), dtype=dtype)
    for key in (np.arange(3), torch.arange(3)):
        state = world.reset(key)
        order = like(key, np.ones((3, 1)), dtype)
        step = world.step(state, order)
        shown = arrays((world.observe(state), step.state.stock, step.reward, step.info))
        assert {str(array.dtype) for array in shown} == {dtype}


def test_row_does_not_depend_on_its_batch(world):
    key = make_key(np.arange(20))
    whole = results(*rollout(world, key, episode=3))
    for rows in (slice(0, 1), slice(4, 11), slice(19, None, -3)):
        part = results(*rollout(world, key[rows], episode=3))
        for one, other in zip(whole, part, strict=True):
            for left, right in zip(one, other, strict=True):
                assert_array_equal(left[rows], right)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_replicas_are_further_rows(world, library):
    key = np.arange(12)
    key = torch.as_tensor(key) if library == "torch" else key
    flat = results(*rollout(world, key))
    stacked = results(*rollout(world, key.reshape(3, 4)))
    for one, other in zip(flat, stacked, strict=True):
        for left, right in zip(one, other, strict=True):
            assert right.shape == (3, 4, *left.shape[1:])
            assert_array_equal(left.reshape(right.shape), right)


def test_rows_may_be_in_different_periods(world):
    key = make_key(np.arange(6))
    _, steps = rollout(world, key)
    states = [world.reset(key), *(step.state for step in steps)]
    periods = np.asarray([0, 3, 3, 11, 7, 1])
    stock = tree_map(
        lambda *history: np.stack(history)[periods, ..., np.arange(6)].T, *(state.stock for state in states[:-1])
    )
    mixed = states[0]._replace(t=periods, stock=stock)
    orders = np.stack([15.0 * uniform(fold_in(key, WANT), t) for t in range(HORIZON)])[periods, np.arange(6)]
    step = world.step(mixed, orders[:, None])
    assert_array_equal(step.reward, np.stack([one.reward for one in steps])[periods, np.arange(6)])
    assert_array_equal(step.truncated, periods == HORIZON - 1)
    seen = zip(*(arrays(world.observe(state)) for state in states[:-1]), strict=True)
    for mixed_part, parts in zip(arrays(world.observe(mixed)), seen, strict=True):
        assert_array_equal(mixed_part, np.stack(parts)[periods, np.arange(6)])


def test_episode_is_truncated_at_its_horizon_and_never_terminates(world):
    _, steps = rollout(world, make_key(np.arange(4)))
    assert_array_equal([step.truncated.all() for step in steps], [False] * (HORIZON - 1) + [True])
    assert not any(step.terminated.any() or step.truncated.any() for step in steps[:-1])
    assert not steps[-1].terminated.any()


def test_rewards_are_the_cash_of_the_flows_and_the_worth_at_the_end(world):
    _, steps = rollout(world, make_key(np.arange(30)))
    for step in steps:
        info = step.info
        cash = info["revenue"] - info["purchases"] - info["holding_cost"] - info["shortage_cost"]
        np.testing.assert_allclose(step.reward, cash + info.get("worth", 0.0), rtol=1e-12, atol=1e-9)
    assert not any(np.any(step.info.get("worth", 0.0)) for step in steps[:-1])
    if world.economics.salvage:
        assert (steps[-1].info["worth"] > 0).any()


def test_observations_lie_in_their_space(world):
    for largest in (0.0, 4.0, world.action_space.high[0]):
        observations, steps = rollout(world, make_key(np.arange(40)), largest)
        for observation in [*observations, world.observe(steps[-1].state)]:
            for row in range(40):
                assert world.observation_space.contains(tree_map(lambda leaf, row=row: leaf[row], observation))


def test_orders_above_the_largest_are_cut_to_it(world):
    key = make_key(np.arange(5))
    state = world.reset(key)
    largest = np.full((5, 1), world.largest_order)
    assert_array_equal(world.step(state, 3 * largest).reward, world.step(state, largest).reward)


def test_episodes_of_a_row_differ_and_repeat(world):
    key = make_key(np.arange(8))
    first, again, other = (
        np.stack([step.reward for step in rollout(world, key, episode=e)[1]]) for e in (0, np.zeros(8, np.int64), 1)
    )
    assert_array_equal(first, again)
    assert (first != other).any(axis=0).all()


@pytest.mark.parametrize("build", [lost_sales, backlog, spread_replay])
@pytest.mark.parametrize("pay_on", ["received", "ordered"])
def test_gradient_of_the_discounted_return_matches_central_differences(build, pay_on, panel, smooth_panel):
    """Checked by ``torch.autograd.gradcheck`` off the ties: real orders never leave stock equal to whole demand."""
    if build is spread_replay:
        smooth_panel = replace(smooth_panel, economics=smooth_panel.economics._replace(pay_on=pay_on))
        world = build(panel, smooth_panel, dtype="float64")
    else:
        world = build(panel, smooth_panel, dtype="float64", whole_units=False)
        world.economics = world.economics._replace(pay_on=pay_on)
    key = torch.arange(4)
    mean = world.reset(key).context.mean if build is spread_replay else 5.0
    orders = 2 * mean * uniform(key, torch.arange(HORIZON)[:, None]) + 1e-3

    def discounted_return(orders):
        state, total = world.reset(key), 0.0
        for t in range(HORIZON):
            step = world.step(state, orders[t][:, None])
            state, total = step.state, total + 0.97**t * step.reward
        return total

    assert torch.autograd.gradcheck(discounted_return, orders.requires_grad_(), eps=1e-5, atol=1e-7, rtol=1e-6)
    (gradient,) = torch.autograd.grad(discounted_return(orders).sum(), orders)
    assert (gradient != 0).any(dim=0).all()


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
@pytest.mark.parametrize("build", [lost_sales, replay, spread_replay])
def test_step_compiles_as_one_graph(build, panel, smooth_panel):
    world = build(panel, smooth_panel)
    compiled = torch.compile(world.step, fullgraph=True, backend="eager")
    expected = state = world.reset(torch.arange(7))
    for t in range(3):
        order = (10 * uniform(torch.arange(7), t)).to(torch.float32)[:, None]
        expected, state = world.step(expected, order), compiled(state, order)
        assert_array_equal(state.reward.numpy(), expected.reward.numpy())
        assert_array_equal(state.state.stock.on_hand.numpy(), expected.state.stock.on_hand.numpy())
        expected, state = expected.state, state.state


def test_card_states_the_order_of_events(world):
    card = world.card()
    begins = [card.index(f"{event} ") for event in ("\n    observe", "\n    order", "\n    receive", "\n    demand")]
    assert all(earlier < later for earlier, later in pairwise(begins))
    assert "Seen" in card
    assert "Done" in card


def test_draws_of_different_kinds_are_uncorrelated():
    """The product, the start and the initial stock of a replay, and the demand of a period and the next."""
    rows = 20_000
    long = assume(synthetic_sales(products=100, periods=120))
    world = InventoryReplay(long, HORIZON, initial_stock=1e6, initial_spread=1.0, dtype="float64")
    state = world.reset(make_key(np.arange(rows)))
    factor = state.stock.on_hand / np.floor(1e6 * state.context.mean + 0.5)
    demand = [LostSales(horizon=4).reset(make_key(np.arange(rows)), episode=e).paths.demand for e in (0, 1)]
    for drawn in ([state.context.product, state.context.start, factor], np.concatenate(demand)):
        table = np.corrcoef(np.stack(drawn).astype(np.float64))
        assert np.abs(table - np.eye(len(table))).max() < 4 / np.sqrt(rows)


def test_process_survives_pickling_without_its_moved_copies(world):
    import pickle

    key = torch.arange(3)
    world.reset(key)
    copy = pickle.loads(pickle.dumps(world))
    for left, right in zip(arrays(world.reset(key)), arrays(copy.reset(key)), strict=True):
        assert_array_equal(left, right)
    assert len(pickle.dumps(copy)) == len(pickle.dumps(pickle.loads(pickle.dumps(copy))))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, "horizon must be at least 1 period, not 0"),
        ({"dtype": "int64"}, "dtype must be float32 or float64, not 'int64'"),
        ({"holding": -1.0}, "holding must be finite and not negative, not -1.0"),
        ({"shortage": float("nan")}, "shortage must be finite and not negative, not nan"),
        ({"unmet": "maybe"}, "unmet must be 'lost' or 'backlog', not 'maybe'"),
        ({"lead_time": -1}, "lead_time must be a whole number of periods, at least 0, not -1"),
        ({"lead_time": 1.5}, "lead_time must be a whole number of periods, at least 0, not 1.5"),
        ({"demand": "normal"}, "demand must be one of"),
        ({"mean": 0.0}, "mean must be positive, not 0.0"),
    ],
)
def test_impossible_setting_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LostSales(**settings)


def test_unknown_reset_option_is_refused(world):
    with pytest.raises(ValueError, match=r"reset options.*weather"):
        world.reset(like(np.zeros(1), [0], "int64"), weather="fine")
