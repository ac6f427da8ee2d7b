"""The linear program against every plan there is, and as a bound on what policies earn."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.agents.inventory.clairvoyant import clairvoyant
from sandtable.agents.inventory.order_up_to import BaseStock, OrderNothing
from sandtable.agents.rollout import rollout
from sandtable.analysis.inventory.protocol import accrued_profit, scored
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.panel import Panel
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.world import Economics
from sandtable.simulators.random import make_key

HORIZON, MOST = 4, 4


def start(world, products):
    return world.reset(make_key(np.zeros(len(products), np.int64)), product=products, start=0)


def total(run, discount):
    return (discount ** np.arange(len(run["reward"])) @ run["reward"]).ravel()


@pytest.mark.parametrize("unmet", ["lost", "backlog"])
@pytest.mark.parametrize("pay_on", ["received", "ordered"])
@pytest.mark.parametrize("lead_time", [0, 1, 2])
@pytest.mark.parametrize(("discount", "salvage"), [(1.0, 1.0), (0.9, 0.5)])
def test_it_earns_what_the_best_of_all_plans_earns(make_panel, unmet, pay_on, lead_time, discount, salvage):
    economics = Economics(
        holding_rate=0.05, shortage=0.3, shortage_rate=0.1, salvage=salvage, pay_on=pay_on, unmet=unmet
    )
    demand = np.array([[2, 0, 3, 1], [0, 4, 0, 3], [1, 1, 1, 1]], dtype=float).T
    cost = np.array([[1.0, 1.2, 0.9, 1.1], [1.0, 0.6, 1.0, 1.0], [1.9, 1.9, 1.9, 1.9]]).T
    rules = OrderRules(capacity=np.full(3, float(MOST)))
    panel = make_panel(demand, cost=cost, lead_time=lead_time, rules=rules, economics=economics)
    world = InventoryReplay(panel, HORIZON, initial_stock=1.0, dtype="float64")
    plans = np.array(list(itertools.product(range(MOST + 1), repeat=HORIZON)), dtype=float)
    bound = clairvoyant(world, start(world, np.arange(3)), discount)
    assert not bound.relaxed
    for product in range(3):
        turn = iter(plans.T)
        run = rollout(world, lambda observation: next(turn), start(world, np.full(len(plans), product)))  # noqa: B023
        assert bound.profit[product] == pytest.approx(total(run, discount).max(), abs=1e-9)


@st.composite
def instances(draw):
    """A small panel with whatever the world allows, a world on it, and a discount."""
    horizon, products = draw(st.integers(3, 8)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (horizon, products)
    economics = Economics(
        holding_rate=draw(st.sampled_from([0.0, 0.02, 0.3])),
        shortage=draw(st.sampled_from([0.0, 0.5])),
        shortage_rate=draw(st.sampled_from([0.0, 0.2])),
        salvage=draw(st.sampled_from([0.0, 0.5, 1.0])),
        pay_on=draw(st.sampled_from(["received", "ordered"])),
        unmet=draw(st.sampled_from(["lost", "backlog"])),
    )
    rules = OrderRules(
        minimum_order=draw(st.sampled_from([None, np.full(products, 3.0)])),
        batch_size=draw(st.sampled_from([None, np.ones(products), np.full(products, 2.0)])),
        capacity=draw(st.sampled_from([None, np.full(products, 6.0)])),
        supply_yield=draw(st.sampled_from([None, np.full(products, 0.5)])),
    )
    lag = np.arange(5)[:, None]
    first, second = generator.integers(0, 3, (2, products))
    part = draw(st.sampled_from([1.0, 0.5, 0.25]))  # what comes first; the rest comes one to three periods later
    shares = (part * (lag == first) + (1 - part) * (lag == np.minimum(first + 1 + second, 4)))[None]
    unknown = np.full(shape, np.nan)
    panel = Panel(
        skus=tuple(map(str, range(products))),
        starts=np.datetime64("2024-01-01") + 7 * np.arange(horizon),
        review_period="W-MON",
        demand=generator.poisson(generator.uniform(0.2, 5, products), shape).astype(float),
        known=np.ones(shape, dtype=bool),
        price=generator.uniform(0.5, 3, shape),
        cost=generator.uniform(0.5, 2, shape),
        shares=shares,
        rules=rules,
        economics=economics,
        on_hand=unknown,
        on_order=unknown,
    )
    stock = draw(st.sampled_from(["base-stock", 0.0, 2.0]))
    world = InventoryReplay(panel, horizon, history=horizon, initial_stock=stock, dtype="float64")
    return world, draw(st.sampled_from([1.0, 0.8])), generator


@settings(max_examples=150, deadline=None)
@given(instances())
def test_no_policy_beats_the_clairvoyant_on_any_product(instance):
    world, discount, generator = instance
    panel, products = world.panel, np.arange(world.panel.products)
    state = start(world, products)
    bound = clairvoyant(world, state, discount)
    counts = scored(panel, world.horizon)

    def profit(run):
        return (accrued_profit(run, panel.cost, panel.economics, discount) * counts).sum(axis=0)

    guesses = iter(generator.poisson(3, (world.horizon, len(products))).astype(float))
    policies = [OrderNothing(), BaseStock(3.0), BaseStock(12.0), lambda observation: next(guesses)]
    for policy in policies:
        run = rollout(world, policy, state)
        assert (total(run, discount) <= bound.profit + 1e-7).all()
        assert (profit(run) <= profit(bound.trajectory) + 1e-7).all()


@settings(max_examples=100, deadline=None)
@given(instances())
def test_its_plan_keeps_the_books_of_the_world(instance):
    world, discount, _ = instance
    run = clairvoyant(world, start(world, np.arange(world.panel.products)), discount).trajectory
    np.testing.assert_allclose(
        run["reward"],
        run["revenue"] - run["purchases"] - run["holding_cost"] - run["shortage_cost"] + run["worth"],
        atol=1e-9,
    )
    assert (run["on_hand"] >= -1e-7).all()
    assert (run["sales"] >= -1e-7).all()
    assert (run["ordered"] >= -1e-7).all()
    if world.rules.capacity is not None:
        assert (run["ordered"] <= world.rules.capacity + 1e-7).all()
    if world.economics.unmet == "lost":
        np.testing.assert_allclose(run["sales"] + run["lost"], run["demand"], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(instances())
def test_replaying_its_orders_without_batches_earns_at_most_its_profit(instance):
    """The world sells what it can; where the plan never holds sales back, the two earn the same."""
    world, discount, _ = instance
    if world.rules.minimum_order is not None or world.rules.batch_size is not None:
        free = replace(world.panel, rules=world.panel.rules._replace(minimum_order=None, batch_size=None))
        stock = world.initial_stock
        world = InventoryReplay(free, world.horizon, history=world.horizon, initial_stock=stock, dtype="float64")
    state = start(world, np.arange(world.panel.products))
    bound = clairvoyant(world, state, discount)
    orders = iter(np.maximum(bound.trajectory["ordered"], 0))
    run = rollout(world, lambda observation: next(orders), state)
    same = np.isclose(run["sales"], bound.trajectory["sales"], atol=1e-7).all(axis=0)
    assert (total(run, discount) <= bound.profit + 1e-7).all()
    np.testing.assert_allclose(total(run, discount)[same], bound.profit[same], atol=1e-6)


@pytest.mark.parametrize(
    ("rules", "relaxed"),
    [
        (OrderRules(), False),
        (OrderRules(minimum_order=np.array([0.0, 0.0]), batch_size=np.array([1.0, 1.0])), False),
        (OrderRules(minimum_order=np.array([0.0, 3.0])), True),
        (OrderRules(batch_size=np.array([1.0, 6.0])), True),
    ],
)
def test_minimum_orders_and_batches_make_it_a_relaxed_bound(make_panel, rules, relaxed):
    world = InventoryReplay(make_panel(np.ones((5, 2)), rules=rules), 5, dtype="float64")
    assert clairvoyant(world, start(world, np.arange(2))).relaxed is relaxed


@pytest.mark.parametrize("rules", [OrderRules(batch_size=np.array([4.0])), OrderRules(minimum_order=np.array([4.0]))])
def test_it_may_order_as_much_as_the_rules_make_of_the_largest_order(make_panel, rules):
    """Stock gains worth as its cost rises, so that more is always better; the largest wish, 2 units, becomes 4."""
    cost = np.array([[1.0], [9.0]])
    panel = make_panel(np.ones((2, 1)), cost=cost, lead_time=0, rules=rules, economics=Economics(salvage=1.0))
    world = InventoryReplay(panel, 2, history=2, initial_stock=0.0, dtype="float64")
    state = start(world, np.array([0]))
    run = rollout(world, lambda observation: np.full((1, 1), world.largest_order), state)
    assert world.largest_order == 2
    assert run["ordered"].min() > 2
    assert total(run, 1.0) <= clairvoyant(world, state).profit + 1e-9


def test_many_products_are_planned_as_if_each_were_alone(make_panel):
    demand = np.random.default_rng(0).poisson(3, (6, 120)).astype(float)
    world = InventoryReplay(make_panel(demand), 6, initial_stock=1.0, dtype="float64")
    together = clairvoyant(world, start(world, np.arange(120))).profit
    alone = [clairvoyant(world, start(world, np.array([i]))).profit.item() for i in (0, 49, 50, 51, 119)]
    np.testing.assert_allclose(together[[0, 49, 50, 51, 119]], alone, atol=1e-9)


def test_before_its_first_order_can_arrive_it_sells_what_everybody_sells(make_panel):
    """It would like to keep the stock for the higher price of the third period, but nobody else could."""
    price = np.array([[1.0], [1.0], [9.0]])
    panel = make_panel(np.full((3, 1), 2.0), price=price, cost=0.5, lead_time=2)
    world = InventoryReplay(panel, 3, initial_stock=1.0, dtype="float64")
    run = clairvoyant(world, start(world, np.array([0]))).trajectory
    assert (run["sales"][:, 0] == [2.0, 0.0, 2.0]).all()
