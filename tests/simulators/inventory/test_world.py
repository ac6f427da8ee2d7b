"""Identities of one period. Quantities are multiples of 1/8 and shares of 1/4, so that float64 sums them exactly."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.world import (
    ORDER_OF_EVENTS,
    Economics,
    Flow,
    Period,
    Stock,
    advance,
    fixed_lead_time,
    inventory_position,
    salvage,
)

ROWS, PERIODS = 3, 12


def play(stock, orders, periods, rules=OrderRules(), economics=Economics()):  # noqa: B008
    """Return the last stock and the flows, each [T, rows], of a sequence of orders."""
    flows = []
    for order, period in zip(orders, periods, strict=True):
        stock, flow = advance(stock, order, period, rules, economics)
        flows.append(flow)
    return stock, Flow(*(np.stack(np.broadcast_arrays(*column)) for column in zip(*flows, strict=True)))


def eighths(generator, most, *shape):
    return generator.integers(0, 8 * most, shape) / 8


def random_world(seed, lags, waiting=False):
    """Return a stock, orders [T, rows] and periods whose shares change from order to order."""
    generator = np.random.default_rng(seed)
    on_hand = eighths(generator, 20, ROWS) - (10 if waiting else 0)
    stock = Stock(on_hand, eighths(generator, 9, lags, ROWS))
    periods = [
        Period(
            demand=eighths(generator, 12, ROWS),
            price=eighths(generator, 30, ROWS),
            cost=eighths(generator, 20, ROWS),
            shares=generator.multinomial(4, np.full(lags + 1, 1 / (lags + 1)), ROWS).T / 4,
        )
        for _ in range(PERIODS)
    ]
    return stock, eighths(generator, 16, PERIODS, ROWS), periods


worlds = given(seed=st.integers(0, 2**32), lags=st.integers(0, 5))
economies = st.builds(
    Economics,
    holding_rate=st.sampled_from([0.0, 0.25]),
    holding=st.sampled_from([0.0, 0.5]),
    shortage=st.sampled_from([0.0, 4.0]),
    shortage_rate=st.sampled_from([0.0, 0.125]),
    salvage=st.sampled_from([0.0, 0.5]),
    pay_on=st.sampled_from(["received", "ordered"]),
    unmet=st.sampled_from(["lost", "backlog"]),
)


@worlds
def test_arrivals_are_supplied_orders_less_what_is_in_transit(seed, lags):
    stock, orders, periods = random_world(seed, lags)
    last, flow = play(stock, orders, periods, OrderRules(supply_yield=np.asarray([1.0, 0.5, 0.75])))
    on_order = stock.pipeline.sum(axis=0)
    assert_array_equal(flow.received.cumsum(axis=0) + flow.in_transit, on_order + flow.supplied.cumsum(axis=0))
    assert_array_equal(flow.supplied, flow.ordered * [1.0, 0.5, 0.75])
    assert_array_equal(last.pipeline.sum(axis=0), flow.in_transit[-1])


@worlds
def test_lost_sales_and_sales_are_demand_and_stock_is_what_is_left(seed, lags):
    stock, orders, periods = random_world(seed, lags)
    _, flow = play(stock, orders, periods)
    assert_array_equal(flow.sales + flow.lost, flow.demand)
    assert_array_equal(flow.on_hand, stock.on_hand + (flow.received - flow.sales).cumsum(axis=0))
    assert (flow.on_hand * flow.lost == 0).all()
    assert (flow.on_hand >= 0).all()
    assert not flow.waiting.any()


@worlds
def test_backlogged_demand_is_sold_later_and_never_lost(seed, lags):
    stock, orders, periods = random_world(seed, lags, waiting=True)
    last, flow = play(stock, orders, periods, economics=Economics(unmet="backlog"))
    waited = np.maximum(-stock.on_hand, 0)
    assert_array_equal(flow.sales.cumsum(axis=0) + flow.waiting, waited + flow.demand.cumsum(axis=0))
    assert_array_equal(flow.on_hand - flow.waiting, stock.on_hand + (flow.received - flow.demand).cumsum(axis=0))
    assert_array_equal(last.on_hand, flow.on_hand[-1] - flow.waiting[-1])
    assert (flow.on_hand * flow.waiting == 0).all()
    assert (flow.sales >= 0).all()
    assert not flow.lost.any()


@given(seed=st.integers(0, 2**32), lags=st.integers(0, 4), economics=economies)
def test_rewards_are_revenue_less_purchases_holding_and_shortage(seed, lags, economics):
    stock, orders, periods = random_world(seed, lags)
    _, flow = play(stock, orders, periods, economics=economics)
    price, cost = (np.stack([getattr(period, name) for period in periods]) for name in ("price", "cost"))
    bought = flow.received if economics.pay_on == "received" else flow.supplied
    unmet = flow.lost + flow.waiting
    cash = (
        price * flow.sales
        - cost * bought
        - (economics.holding + economics.holding_rate * cost) * flow.on_hand
        - (economics.shortage + economics.shortage_rate * price) * unmet
    )
    assert_array_equal(flow.reward, cash)
    assert flow.reward.sum() == (flow.revenue - flow.purchases - flow.holding_cost - flow.shortage_cost).sum()


def test_what_is_left_is_worth_its_salvage_and_what_was_paid_for_its_cost():
    stock, cost = Stock(np.asarray([8.0, -3.0]), np.asarray([[1.0, 2.0], [4.0, 0.0]])), np.asarray([2.0, 5.0])
    assert_array_equal(salvage(stock, cost, Economics(salvage=0.5)), [8.0, 0.0])
    assert_array_equal(salvage(stock, cost, Economics(salvage=0.5, pay_on="ordered")), [18.0, 10.0])
    assert_array_equal(inventory_position(stock), [13.0, -1.0])


@worlds
def test_order_arrives_in_its_own_shares(seed, lags):
    _, _, periods = random_world(seed, lags)
    periods = [period._replace(demand=np.zeros(ROWS)) for period in periods]
    placed, quantity = seed % (PERIODS - lags), np.asarray([5.0, 0.5, 11.0])
    orders = np.zeros((PERIODS, ROWS))
    orders[placed] = quantity
    _, flow = play(Stock(np.zeros(ROWS), np.zeros((lags, ROWS))), orders, periods)
    expected = np.zeros((PERIODS, ROWS))
    expected[placed : placed + lags + 1] = quantity * periods[placed].shares
    assert_array_equal(flow.received, expected)


@pytest.mark.parametrize("longest", [0, 1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_hot_shares_are_a_queue_of_that_length(longest, dtype):
    for lead_time in range(longest + 1):
        generator = np.random.default_rng(lead_time)
        orders = generator.exponential(7, (PERIODS, ROWS)).astype(dtype)
        shares = np.asarray(fixed_lead_time(lead_time, longest), dtype)[:, None]
        money = np.ones(ROWS, dtype)
        periods = [Period(0 * money, money, money, shares)] * PERIODS
        _, flow = play(Stock(0 * money, np.zeros((longest, ROWS), dtype)), orders, periods)
        queue = np.concatenate([np.zeros((lead_time, ROWS), dtype), orders])[:PERIODS]
        assert flow.received.dtype == dtype
        assert_array_equal(flow.received, queue)


@given(seed=st.integers(0, 2**32), economics=economies, factor=st.sampled_from([2.0, 0.25]))
def test_twice_the_units_are_twice_the_reward(seed, economics, factor):
    stock, orders, periods = random_world(seed, lags=2)
    rules = OrderRules(minimum_order=np.asarray(3.0), batch_size=np.asarray(1.5), capacity=np.asarray(12.0))
    scaled = OrderRules(*(None if rule is None else factor * rule for rule in rules))
    more = [period._replace(demand=factor * period.demand) for period in periods]
    last, flow = play(stock, orders, periods, rules, economics)
    scaled_last, scaled_flow = play(Stock(*(factor * x for x in stock)), factor * orders, more, scaled, economics)
    for one, other in zip(flow, scaled_flow, strict=True):
        assert_array_equal(other, factor * one)
    cost = periods[-1].cost
    assert_array_equal(salvage(scaled_last, cost, economics), factor * salvage(last, cost, economics))


@given(seed=st.integers(0, 2**32), economics=economies, factor=st.sampled_from([2.0, 0.25]))
def test_twice_the_money_is_twice_the_reward(seed, economics, factor):
    stock, orders, periods = random_world(seed, lags=2)
    dearer = [period._replace(price=factor * period.price, cost=factor * period.cost) for period in periods]
    rich = economics._replace(holding=factor * economics.holding, shortage=factor * economics.shortage)
    _, flow = play(stock, orders, periods, economics=economics)
    _, rich_flow = play(stock, orders, dearer, economics=rich)
    assert_array_equal(rich_flow.reward, factor * flow.reward)
    assert_array_equal(rich_flow.sales, flow.sales)


def test_unit_ordered_with_no_lead_time_is_sold_in_the_same_period():
    money = np.ones(1)
    today = Period(demand=5 * money, price=money, cost=money, shares=np.ones((1, 1)))
    stock, flow = advance(Stock(0 * money, np.zeros((0, 1))), 3 * money, today, OrderRules(), Economics())
    assert (flow.received, flow.sales, flow.lost, stock.on_hand) == (3, 3, 2, 0)


def test_order_of_events_is_stated_in_its_order():
    begins = [ORDER_OF_EVENTS.index(f"    {event} ") for event in ("observe", "order", "receive", "demand", "pay")]
    assert all(earlier < later for earlier, later in pairwise(begins))
