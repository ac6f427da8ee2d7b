"""DirectBackprop learns, by the right gradient, the same for the same seed and in any currency."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sandtable.agents.inventory.direct_backprop import (
    LEAST_SCALE,
    DirectBackprop,
    NetworkPolicy,
    OrderUpToNetwork,
    demand_scale,
    features,
    in_product_money,
)
from sandtable.agents.inventory.order_up_to import OrderNothing
from sandtable.agents.rollout import rollout
from sandtable.simulators.inventory.panel import assume
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales
from sandtable.simulators.inventory.world import Economics
from sandtable.simulators.random import fold_in, make_key

TRAIN, VALIDATE = 40, 50


@pytest.fixture(scope="module")
def panel():
    return assume(synthetic_sales(16, 64, seed=1))


@pytest.fixture(scope="module")
def learned(panel):
    return DirectBackprop(updates=60, seeds=2, batch=64).learn(panel, TRAIN, VALIDATE, np.arange(12))


def parameters(learned):
    return torch.cat([values.detach().ravel() for values in learned.policy.network.parameters()])


def quickly(panel, **changes):
    settings = {"updates": 4, "seeds": 1, "batch": 16, "hidden": (8,), **changes}
    return DirectBackprop(**settings).learn(panel, TRAIN, VALIDATE, np.arange(12))


def test_it_earns_more_than_its_untrained_self_and_than_ordering_nothing(panel, learned):
    """On the test periods, on products that it learned from and on four that it never saw."""
    world = InventoryReplay(panel, 14, starts=(VALIDATE, VALIDATE), history=VALIDATE, dtype="float64")
    for products in (np.arange(12), np.arange(12, 16)):
        state = world.reset(make_key(products), product=products, start=VALIDATE)
        policies = (learned.policy, learned.untrained, OrderNothing())
        trained, untrained, nothing = (rollout(world, policy, state)["reward"].sum() for policy in policies)
        assert trained > untrained
        assert trained > nothing


def test_its_learning_curve_rises_and_tells_the_norm_of_the_gradient(learned):
    training = np.array([row["return"] for row in learned.history if "return" in row])
    norms = np.array([row["gradient_norm"] for row in learned.history if "gradient_norm" in row])
    assert training.shape[1] == norms.shape[1] == 2
    told = ~np.isnan(training)  # a replica that stopped early is dropped
    assert (told == np.sort(told, axis=0)[::-1]).all()
    for curve, known in zip(training.T, told.T, strict=True):
        assert curve[known][-3:].mean() > curve[0]
    norms = norms[~np.isnan(norms)]
    assert np.isfinite(norms).all()
    assert (norms > 0).all()


def test_the_network_that_is_kept_is_the_best_one_in_validation(learned):
    judged = [row for row in learned.history if "validation_return" in row]
    returns = np.array([row["validation_return"] for row in judged])
    step, replica = np.unravel_index(np.nanargmax(returns), returns.shape)
    assert learned.best_step == judged[step]["step"]
    assert learned.replica == replica


def test_its_untrained_self_is_the_network_that_is_kept_before_its_first_update(panel):
    tried = ((seed, quickly(panel, seeds=2, seed=seed)) for seed in range(20))
    seed, learned = next(one for one in tried if one[1].replica == 1)  # the first of the two would pass for it
    initial = OrderUpToNetwork(2, 16, (8,), fold_in(make_key(seed), 1)).take(1)
    before, after = learned.untrained.network.parameters(), learned.policy.network.parameters()
    for start, untrained, trained in zip(initial.parameters(), before, after, strict=True):
        assert torch.equal(start, untrained)
        assert not torch.equal(untrained, trained)


@pytest.mark.parametrize("unmet", ["lost", "backlog"])
def test_the_gradient_of_the_return_agrees_with_central_differences(make_panel, unmet):
    demand = np.random.default_rng(0).uniform(0, 9, (24, 6))
    economics = Economics(holding_rate=0.02, shortage_rate=0.1, salvage=0.5, unmet=unmet)
    panel = make_panel(demand, lead_time=[0, 1, 1, 2, 2, 3], economics=economics)
    world = InventoryReplay(panel, 12, starts=(8, 8), history=8, window=4, dtype="float64")
    network = OrderUpToNetwork(1, 4, (8,), make_key(0)).double()
    products = torch.arange(6)[None]
    weights = list(network.parameters())
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in weights]

    def earned(distance):
        with torch.no_grad():
            for one, step in zip(weights, direction, strict=True):
                one += distance * step
        state = world.reset(make_key(products), product=products, start=8)
        total = torch.zeros((), dtype=torch.float64)
        for _ in range(world.horizon):
            step = world.step(state, network(world.observe(state)))
            state, total = step.state, total + step.reward.sum()
        return total

    gradient = torch.autograd.grad(earned(0.0), weights)
    slope = sum((one * step).sum() for one, step in zip(gradient, direction, strict=True))
    small = 1e-6
    above, below = earned(small), earned(-2 * small)
    torch.testing.assert_close(slope, (above - below) / (2 * small), rtol=1e-6, atol=1e-6)
    assert abs(slope) > 1


def test_the_same_seed_learns_the_same_network(panel):
    first, again = quickly(panel), quickly(panel)
    assert torch.equal(parameters(first), parameters(again))
    assert first.history == again.history
    assert not torch.equal(parameters(first), parameters(quickly(panel, seed=1)))


def test_what_is_learned_does_not_depend_on_the_currency(panel):
    other = replace(panel, price=4 * panel.price, cost=4 * panel.cost)
    assert torch.equal(parameters(quickly(panel)), parameters(quickly(other)))


def test_products_that_take_no_part_do_not_matter(panel):
    demand = panel.demand.copy()
    demand[:, 12:] = 3 * demand[:, 12:] + 50
    assert torch.equal(parameters(quickly(panel)), parameters(quickly(replace(panel, demand=demand))))


def test_demand_after_validation_does_not_matter(panel):
    demand = panel.demand.copy()
    demand[VALIDATE:] = 3 * demand[VALIDATE:] + 50
    assert torch.equal(parameters(quickly(panel)), parameters(quickly(replace(panel, demand=demand))))


def test_money_is_counted_in_the_mean_revenue_of_each_product(make_panel):
    demand = np.array([[1.0, 10.0], [3.0, 30.0], [99.0, 99.0]])
    panel = in_product_money(make_panel(demand, price=[5.0, 2.0], cost=[1.0, 1.0]), 2)
    np.testing.assert_allclose(panel.price, np.tile([5 / 10, 2 / 40], (3, 1)))
    np.testing.assert_allclose(panel.cost, np.tile([1 / 10, 1 / 40], (3, 1)))


def test_the_features_do_not_change_with_the_size_of_a_product(make_panel):
    """Only the one that tells the size does."""
    demand = np.random.default_rng(0).poisson(8, (20, 1)).astype(float)
    seen = []
    for factor in (1.0, 64.0):
        world = InventoryReplay(make_panel(factor * demand), 1, starts=(12, 12), initial_stock=1.0, dtype="float64")
        observation = world.observe(world.reset(make_key(torch.zeros(1, dtype=torch.int64)), start=12))
        seen.append(features(observation)[0])
    different = (seen[0] - seen[1]).abs() > 0.02  # the initial stock is rounded to whole units
    assert different.sum() == 1
    torch.testing.assert_close((seen[1] - seen[0])[different], torch.log(torch.tensor([64.0], dtype=torch.float64)) / 3)


def test_a_product_without_known_demand_has_the_least_scale():
    nothing = {"past_demand": torch.zeros(1, 4), "demand_known": torch.zeros(1, 4), "mean": torch.zeros(1, 1)}
    assert demand_scale(nothing).item() == pytest.approx(LEAST_SCALE)


def test_numpy_and_torch_order_the_same(panel, learned):
    world = InventoryReplay(panel, 3, starts=(TRAIN, TRAIN), history=TRAIN, dtype="float64")
    keys = np.arange(16)
    ours = world.observe(world.reset(make_key(keys), product=keys, start=TRAIN))
    theirs = world.observe(world.reset(make_key(torch.from_numpy(keys)), product=torch.from_numpy(keys), start=TRAIN))
    assert isinstance(learned.policy, NetworkPolicy)
    order, same = learned.policy(ours), learned.policy(theirs)
    assert isinstance(order, np.ndarray)
    np.testing.assert_allclose(same.numpy(), order, rtol=1e-5)


def test_any_lead_time_is_seen(make_panel, learned):
    """The pipeline is folded into a fixed number of entries; what is due later than those is one of them."""
    for lead_time in (0, 1, 3, 4, 9):
        world = InventoryReplay(make_panel(np.full((30, 2), 4.0), lead_time=lead_time), 4, starts=(16, 16))
        run = rollout(world, learned.policy, world.reset(make_key(np.arange(2)), start=16))
        assert np.isfinite(run["ordered"]).all()
