import numpy as np
import pytest
import torch

from sandtable.agents.inventory.order_up_to import BaseStock, CappedBaseStock, OrderNothing, ReorderPoint
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.random import make_key


def seen(on_hand, on_order, product):
    """What three rules of the inventory position look at: stock [B], on order [B, J], and whose it is."""
    column = np.asarray(on_hand, dtype=np.float64)[:, None]
    return {
        "on_hand": column,
        "on_order": np.asarray(on_order, dtype=np.float64),
        "product": np.asarray(product, dtype=np.float64)[:, None],
    }


POSITIONS = seen([3, 5, -4, 20], [[0, 0], [2, 1], [1, 0], [0, 0]], [0, 1, 0, 1])
"""Inventory positions 3, 8, -3 and 20."""


@pytest.mark.parametrize(
    ("policy", "orders"),
    [
        (OrderNothing(), [0, 0, 0, 0]),
        (BaseStock(10), [7, 2, 13, 0]),
        (BaseStock(np.array([10.0, 9.0])), [7, 1, 13, 0]),
        (CappedBaseStock(10, 5), [5, 2, 5, 0]),
        (CappedBaseStock(np.array([10.0, 30.0]), np.array([8.0, 6.0])), [7, 6, 8, 6]),
        (ReorderPoint(3, 10), [7, 0, 13, 0]),
        (ReorderPoint(2, 10), [0, 0, 13, 0]),
        (ReorderPoint(np.array([2.0, 8.0]), np.array([10.0, 30.0])), [0, 22, 13, 0]),
    ],
)
def test_orders_follow_from_the_inventory_position(policy, orders):
    expected = np.asarray(orders, dtype=np.float64)[:, None]
    assert (policy(POSITIONS) == expected).all()
    tensors = {name: torch.from_numpy(values) for name, values in POSITIONS.items()}
    assert torch.equal(policy(tensors), torch.from_numpy(expected))


@pytest.mark.parametrize("policy", [OrderNothing(), BaseStock(19), CappedBaseStock(17, 5), ReorderPoint(12, 20)])
def test_numpy_and_torch_order_the_same_in_the_lost_sales_world(policy):
    world = LostSales()
    keys = np.arange(64)
    ours, theirs = world.reset(make_key(keys)), world.reset(make_key(torch.from_numpy(keys)))
    for _ in range(12):
        order, same = policy(world.observe(ours)), policy(world.observe(theirs))
        assert order.shape == (64, 1)
        assert (order == same.numpy()).all()
        ours, theirs = world.step(ours, order).state, world.step(theirs, same).state


def test_a_base_stock_policy_orders_what_was_sold(make_panel):
    demand = np.random.default_rng(0).poisson(5, (20, 4)).astype(float)
    world = InventoryReplay(make_panel(demand), 20, initial_stock=3.0, dtype="float64")
    state = world.reset(make_key(np.arange(4)), product=np.arange(4), start=0)
    policy = BaseStock(60.0)
    sold = None
    for _ in range(20):
        order = policy(world.observe(state))
        if sold is not None:
            assert (order[:, 0] == sold).all()
        step = world.step(state, order)
        state, sold = step.state, step.info["sales"]


def test_predict_returns_the_order_and_passes_the_state_on():
    orders, memory = BaseStock(10).predict(POSITIONS, state="memory", deterministic=False)
    assert (orders == BaseStock(10)(POSITIONS)).all()
    assert memory == "memory"
