"""DirectBackprop on the classic lost-sales problem."""

import numpy as np
import pytest
import torch

from sandtable.agents.inventory.order_up_to import BaseStock
from sandtable.agents.inventory.stationary_backprop import StationaryBackprop, StockNetwork
from sandtable.simulators.arrays import tree_map
from sandtable.simulators.inventory.lost_sales import LostSales


def mean_cost(policy, lead_time, shortage, rows=1000, periods=300, warm_up=50):
    world = LostSales(lead_time, shortage=shortage, horizon=periods)
    state, total = world.reset(np.arange(rows) + 10**6), 0.0
    for period in range(periods):
        step = world.step(state, policy(world.observe(state)))
        state, total = step.state, total - step.reward * (period >= warm_up)
    return total.mean() / (periods - warm_up)


def test_seconds_of_learning_cost_less_than_the_best_base_stock():
    """Lead time 2, shortage 4: the best base-stock level is 16, at 4.639 (Zipkin 2008)."""
    settings = StationaryBackprop(updates=150, seeds=2)
    learned = settings.learn(LostSales(2, shortage=4.0, whole_units=False, horizon=60), unit=5.0)
    costs = [mean_cost(policy, 2, 4.0) for policy in learned.policies]
    base_stock = mean_cost(BaseStock(16.0), 2, 4.0)
    assert max(costs) < base_stock
    assert learned.history[-1]["loss"][0] < learned.history[0]["loss"][0]


@pytest.mark.slow
@pytest.mark.parametrize(("lead_time", "shortage", "optimum"), [(1, 4.0, 4.0407), (2, 9.0, 6.0936), (4, 9.0, 6.8359)])
def test_learned_orders_cost_within_half_a_percent_of_the_optimum(lead_time, shortage, optimum):
    """Optima of Zipkin (2008) by value iteration, with four decimals."""
    world = LostSales(lead_time, shortage=shortage, whole_units=False, horizon=60)
    learned = StationaryBackprop(seeds=2).learn(world, unit=5.0)
    for policy in learned.policies:
        assert mean_cost(policy, lead_time, shortage, 4000, 600) < optimum * 1.005


def test_the_same_seed_learns_the_same_and_a_seed_does_not_depend_on_its_neighbours():
    world = LostSales(1, horizon=20)
    some, others, alone = (StationaryBackprop(updates=5, seeds=seeds).learn(world, 5.0) for seeds in (3, 3, 1))
    observation = torch.rand(1, 50, 2) * 20
    for one, other in zip(some.policies, others.policies, strict=True):
        assert torch.equal(one.network(observation), other.network(observation))
    assert torch.allclose(some.policies[0].network(observation), alone.policies[0].network(observation), rtol=1e-5)


def test_orders_are_positive_and_can_be_learned_upwards_from_nothing():
    network = StockNetwork(1, 3, (8,), 0, 5.0)
    with torch.no_grad():
        network.order.layers[-1].bias.fill_(-20.0)
    orders = network(torch.zeros(1, 4, 3))
    assert (orders > 0).all()
    assert (orders < 0.5).all()
    gradient = torch.autograd.grad(orders.sum(), network.order.layers[-1].bias)[0]
    assert (gradient > 0).all()


def test_learned_policies_order_in_numpy_and_torch():
    (policy,) = StationaryBackprop(updates=2, seeds=1).learn(LostSales(2, horizon=10), 5.0).policies
    stock = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    orders = policy(stock)
    assert orders.shape == (2, 1)
    np.testing.assert_allclose(orders, tree_map(np.asarray, policy(torch.as_tensor(stock))), rtol=1e-6)


@pytest.mark.parametrize("unit", [0.0, -1.0, float("nan")])
def test_a_unit_that_measures_nothing_is_refused(unit):
    with pytest.raises(ValueError, match="unit"):
        StockNetwork(1, 3, (8,), 0, unit)
