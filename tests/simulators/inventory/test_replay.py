from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.panel import Assumptions, assume
from sandtable.simulators.inventory.replay import InventoryReplay, base_stock_level
from sandtable.simulators.random import make_key, uniform

START, HORIZON = 20, 10
SERIES = ("demand", "known", "price", "cost", "on_hand", "on_order")


def play(world, orders, **options):
    """Return the observations and steps of one episode of every product."""
    products = np.arange(world.panel.products)
    state = world.reset(make_key(products), product=products, **options)
    observations, steps = [], []
    for order in orders:
        observations.append(world.observe(state))
        steps.append(world.step(state, order[:, None]))
        state = steps[-1].state
    return observations, steps


def some_orders(panel, horizon=HORIZON):
    return 8 * uniform(make_key(np.arange(panel.products)), np.arange(horizon)[:, None])


def test_what_is_replayed_is_the_panel(panel):
    world = InventoryReplay(panel, HORIZON, window=3, dtype="float64")
    observations, steps = play(world, some_orders(panel), start=START)
    for t in range(HORIZON):
        now, seen = START + t, observations[t]
        assert_array_equal(steps[t].info["demand"], panel.demand[now])
        assert_array_equal(seen["price"][:, 0], panel.price[now])
        assert_array_equal(seen["cost"][:, 0], panel.cost[now])
        assert_array_equal(seen["demand_known"], panel.known[now - 3 : now].T)
        assert_array_equal(seen["past_demand"], (panel.demand * panel.known)[now - 3 : now].T)
        assert_array_equal(seen["calendar"], np.tile(panel.calendar()[now], (panel.products, 1)))
        assert_array_equal(seen["period"][:, 0], np.full(panel.products, now))
        assert_array_equal(seen["product"][:, 0], np.arange(panel.products))
        assert_array_equal(seen["lead_time"][:, 0], panel.lead_time)


def test_before_the_history_nothing_is_known(panel):
    world = InventoryReplay(panel, HORIZON, window=5)
    seen = world.observe(world.reset(make_key(np.arange(4)), start=2))
    assert not seen["demand_known"][:, :3].any()
    assert not seen["past_demand"][:, :3].any()


@pytest.mark.parametrize("changed", [START, START + 1, START + 6])
def test_no_observation_sees_the_future(panel, smooth_panel, changed):
    """Demand from period ``changed`` on is another one; price, cost and arrivals are, from the period after."""
    generator = np.random.default_rng(0)
    for past in (panel, smooth_panel):
        later = np.arange(past.periods)[:, None] >= changed
        after = np.arange(past.periods)[:, None] > changed
        shares = np.broadcast_to(past.shares, (past.periods, *past.shares.shape[1:]))
        future = replace(
            past,
            demand=np.where(later, past.demand + generator.integers(1, 9, past.demand.shape), past.demand),
            known=np.where(later, ~past.known, past.known),
            price=np.where(after, 2 * past.price, past.price),
            cost=np.where(after, 3 * past.cost, past.cost),
            shares=np.where(after[:, None], shares[:, ::-1], shares),
        )
        worlds = [InventoryReplay(one, HORIZON, history=START, dtype="float64") for one in (past, future)]
        seen, seen_instead = (play(world, some_orders(past), start=START)[0] for world in worlds)
        for t in range(HORIZON):
            same = [np.array_equal(seen[t][name], seen_instead[t][name]) for name in seen[t]]
            assert all(same) == (START + t <= changed)


def test_mean_and_deviation_are_those_of_the_history_that_ends_before(panel):
    longer = replace(panel, demand=panel.demand + 5 * (np.arange(panel.periods) >= START)[:, None])
    for history in (START, START + 1):
        seen, seen_instead = (
            play(InventoryReplay(one, HORIZON, history=history), some_orders(panel)[:1], start=0)[0][0]
            for one in (panel, longer)
        )
        for name in ("mean", "deviation", "on_hand", "on_order"):
            assert np.array_equal(seen[name], seen_instead[name]) == (history == START)


def test_arrivals_follow_the_shares_of_the_period_of_the_order(smooth_panel):
    world = InventoryReplay(smooth_panel, HORIZON, initial_stock=0.0, dtype="float64")
    orders = np.zeros((HORIZON, smooth_panel.products))
    orders[3] = np.arange(1, smooth_panel.products + 1)
    _, steps = play(world, orders, start=START)
    expected = np.zeros_like(orders)
    supplied = orders[3] * smooth_panel.rules.supply_yield
    expected[3:7] = supplied * smooth_panel.shares[START + 3]
    assert_array_equal(np.stack([step.info["received"] for step in steps]), expected)


def test_random_lead_times_bring_each_order_whole_and_may_cross(panel):
    lags = np.asarray([[3, 1, 2, 1], [1, 1, 0, 2]])  # of orders 0 .. 3, alternating over products
    share = np.zeros((panel.periods, 4, panel.products))
    for product in range(panel.products):
        for t in range(panel.periods):
            share[t, lags[product % 2, t % 4], product] = 1.0
    world = InventoryReplay(
        replace(panel, rules=OrderRules()).with_shares(share), 8, initial_stock=0.0, dtype="float64"
    )
    orders = np.zeros((8, panel.products))
    orders[:4] = np.asarray([1.0, 10.0, 100.0, 1000.0])[:, None]
    world.largest_order = 1000.0
    _, steps = play(world, orders, start=START)
    received = np.stack([step.info["received"] for step in steps])
    assert_array_equal(received[:, 0], [0, 0, 10, 1, 1100, 0, 0, 0])
    assert_array_equal(received[:, 1], [0, 1, 110, 0, 0, 1000, 0, 0])


def test_products_that_get_none_of_a_longer_lead_time_play_alone_as_among_others(panel):
    alone = np.flatnonzero(panel.lead_time == panel.lead_time.min())
    longest = panel.shares.shape[1] - 1
    assert longest > panel.lead_time.min()
    short = replace(
        panel,
        **{name: getattr(panel, name)[:, alone] for name in SERIES},
        skus=tuple(panel.skus[i] for i in alone),
        shares=panel.shares[:, : int(panel.lead_time.min()) + 1, alone],
        rules=OrderRules(*(rule if rule is None else rule[alone] for rule in panel.rules)),
    )
    orders = some_orders(panel)
    _, among_others = play(InventoryReplay(panel, HORIZON, dtype="float64"), orders, start=START)
    _, by_themselves = play(InventoryReplay(short, HORIZON, dtype="float64"), orders[:, alone], start=START)
    for one, other in zip(among_others, by_themselves, strict=True):
        assert_array_equal(one.reward[alone], other.reward)


def test_base_stock_start_has_whole_units_due_and_covers_the_lead_time(panel):
    world = InventoryReplay(panel, HORIZON, dtype="float64")
    stock = world.reset(make_key(np.arange(9)), product=np.arange(9)).stock
    mean, deviation = panel.demand_moments(panel.periods // 2)
    for product, lead_time in enumerate(panel.lead_time.astype(int)):
        due = stock.pipeline[:, product]
        assert due[:lead_time].sum() == np.floor(mean[product] * lead_time + 0.5)
        assert not due[lead_time:].any()
        level = np.ceil(base_stock_level(mean, deviation, panel.lead_time)[product])
        assert stock.on_hand[product] == max(level - due.sum(), 0)


def test_initial_stock_may_be_a_number_of_periods(panel):
    state = InventoryReplay(panel, 5, initial_stock=4.0, dtype="float64").reset(make_key(np.arange(6)))
    assert_array_equal(state.stock.on_hand, np.floor(4 * state.context.mean + 0.5))
    assert not state.stock.pipeline.any()


def test_recorded_start_is_the_stock_at_the_end_of_the_period_before(panel):
    on_hand = np.arange(panel.demand.size, dtype=float).reshape(panel.demand.shape)
    on_order = np.where(np.arange(panel.products) == 2, np.nan, 6.0 + 0 * on_hand)
    on_hand[:, 0] = np.nan
    recorded = replace(panel, on_hand=on_hand, on_order=on_order)
    world, otherwise = (
        InventoryReplay(recorded, 5, initial_stock=start, dtype="float64") for start in ("recorded", "base-stock")
    )
    keys, products = make_key(np.arange(9)), np.arange(9)
    stock, base = (one.reset(keys, product=products, start=START).stock for one in (world, otherwise))
    assert_array_equal(stock.on_hand[1:], on_hand[START - 1, 1:])
    known = np.asarray([1, 3, 4, 5, 6, 7, 8])
    lags = np.arange(world.longest_lead_time)[:, None]
    assert_allclose(stock.pipeline[:, known].sum(axis=0), 6.0)
    assert (stock.pipeline[:, known] > 0).tolist() == (lags < panel.lead_time[known]).tolist()
    for unknown in (0, 2):
        assert_array_equal(stock.pipeline[:, unknown], base.pipeline[:, unknown])
    assert stock.on_hand[0] == base.on_hand[0]
    first = world.reset(keys, product=products, start=0).stock
    for one, other in zip(first, otherwise.reset(keys, product=products, start=0).stock, strict=True):
        assert_array_equal(one, other)


def test_initial_spread_multiplies_the_stock_by_a_uniform(panel):
    world = InventoryReplay(panel, 5, initial_stock=1e7, initial_spread=0.25, dtype="float64")
    state = world.reset(make_key(np.arange(4000)))
    factor = state.stock.on_hand / (1e7 * state.context.mean)
    assert factor.min() == pytest.approx(0.75, abs=0.002)
    assert factor.max() == pytest.approx(1.25, abs=0.002)
    assert abs(factor.mean() - 1) < 4 * 0.25 / np.sqrt(3 * 4000)


def test_keys_choose_products_and_starts_evenly_from_those_allowed(panel):
    world = InventoryReplay(panel, HORIZON, products=[1, 4, 8], starts=(3, 6))
    context = world.reset(make_key(np.arange(6000))).context
    for drawn, allowed in ((context.product, [1, 4, 8]), (context.start, [3, 4, 5, 6])):
        values, counts = np.unique(drawn, return_counts=True)
        assert values.tolist() == allowed
        share = 1 / len(allowed)
        assert (np.abs(counts - 6000 * share) < 4 * np.sqrt(6000 * share * (1 - share))).all()


def test_supplier_that_raises_an_order_to_its_minimum_stays_within_the_observation_space(panel):
    """The minimum may be above all demand that there ever was."""
    rules = OrderRules(minimum_order=np.full(panel.products, 1e6), supply_yield=np.full(panel.products, 1.5))
    slow = replace(panel, rules=rules, demand=np.minimum(panel.demand, 20_000.0))
    world = InventoryReplay(slow, HORIZON, dtype="float64")
    world.largest_order = 600_000.0
    state = world.reset(make_key(np.arange(9)))
    for _ in range(HORIZON):
        state = world.step(state, np.full((9, 1), 600_000.0)).state
    assert state.stock.on_hand.max() > 1e6
    high = world.observation_space["on_hand"].high
    assert InventoryReplay(slow, HORIZON, dtype="float64").observation_space["on_hand"].high == high
    assert state.stock.on_hand.max() <= high


def test_worth_at_the_end_is_salvage_of_what_is_left(panel):
    world = InventoryReplay(panel, 3, dtype="float64")
    _, steps = play(world, some_orders(panel, 3), start=START)
    left = steps[-1].state.stock.on_hand
    assert_array_equal(steps[-1].info["worth"], panel.economics.salvage * panel.cost[START + 2] * left)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 41}, "horizon is 41 periods, but the panel has 40"),
        ({"horizon": 0}, "horizon must be at least 1 period, not 0"),
        ({"window": 0}, "window must be at least 1 period, not 0"),
        ({"starts": (0, 31)}, r"starts must lie within 0 and 30, not \(0, 31\)"),
        ({"starts": (3, 2)}, r"starts must lie within 0 and 30, not \(3, 2\)"),
        ({"products": []}, "products must name columns of the panel, 0 to 8, and at least one"),
        ({"products": [9]}, "products must name columns of the panel, 0 to 8, and at least one"),
        ({"history": -1}, "history must lie within 0 and 40 periods, not -1"),
        ({"history": 41}, "history must lie within 0 and 40 periods, not 41"),
        ({"initial_stock": "full"}, "initial_stock must be 'base-stock', 'recorded' or a number >= 0, not 'full'"),
        ({"initial_stock": -1.0}, "initial_stock must be 'base-stock', 'recorded' or a number >= 0, not -1.0"),
        ({"initial_stock": np.nan}, "initial_stock must be 'base-stock', 'recorded' or a number >= 0, not nan"),
        ({"initial_spread": 1.1}, r"initial_spread must lie in \[0, 1\], not 1.1"),
        ({"dtype": "float16"}, "dtype must be float32 or float64, not 'float16'"),
    ],
)
def test_impossible_setting_is_refused(panel, settings, message):
    with pytest.raises(ValueError, match=message):
        InventoryReplay(panel, **{"horizon": HORIZON, **settings})


@pytest.mark.parametrize(("option", "value"), [("product", 9), ("product", [-1, 0]), ("start", 31), ("start", -1)])
def test_reset_option_out_of_range_is_refused(panel, option, value):
    with pytest.raises(ValueError, match=f"{option} must lie within 0 and"):
        InventoryReplay(panel, HORIZON).reset(make_key(np.arange(2)), **{option: value})


def test_lead_time_of_zero_has_one_empty_place_on_order(panel):
    nothing_given = replace(panel, shares=np.ones((1, 1, panel.products)))
    world = InventoryReplay(nothing_given, HORIZON)
    seen = world.observe(world.reset(make_key(np.arange(3))))
    assert seen["on_order"].shape == (3, 1)
    assert not seen["on_order"].any()


def test_example_of_one_product_by_hand(panel):
    """Two units on hand, demand of 3 and 4, order 5 units with lead time 1; price 10, cost 4, half salvage."""
    history = replace(
        panel,
        skus=("a",),
        starts=panel.starts[:4],
        demand=np.asarray([[2.0], [2.0], [3.0], [4.0]]),
        known=np.ones((4, 1), bool),
        price=np.full((4, 1), 10.0),
        cost=np.full((4, 1), 4.0),
        shares=np.asarray([[[0.0], [1.0]]]),
        rules=OrderRules(),
        economics=panel.economics._replace(holding_rate=0.25, shortage_rate=0.5, salvage=0.5),
        on_hand=np.full((4, 1), np.nan),
        on_order=np.full((4, 1), np.nan),
    )
    world = InventoryReplay(history, 2, initial_stock=1.0, dtype="float64")
    orders = np.asarray([[5.0], [0.0]])
    _, steps = play(world, orders, start=2)
    assert [float(step.reward[0]) for step in steps] == [2 * 10 - 1 * 5, 4 * 10 - 5 * 4 - 1 * 1 + 1 * 2]


def test_assumed_panel_of_a_history_replays_its_units(sales):
    """From a file to the world: what was sold is what is wanted."""
    history = sales("sku,date,units\na,2011-01-03,4\na,2011-01-10,6\na,2011-01-23,1\n")
    world = InventoryReplay(assume(history, Assumptions(lead_time=1)), 3, dtype="float64")
    _, steps = play(world, np.zeros((3, 1)))
    assert [float(step.info["demand"][0]) for step in steps] == [4, 6, 1]


def test_sales_that_float32_cannot_count_are_refused_with_product_and_period_and_float64_takes_them(sales):
    """From 2**24 on, float32 holds no odd numbers; up to there every whole number is exact."""
    text = "sku,date,units\na,2011-01-03,{}\nb,2011-01-10,{}\nb,2011-01-23,1\n"
    panel = assume(sales(text.format(2**24, 2**24 + 1)), Assumptions(lead_time=1))
    with pytest.raises(InputError, match=r"^product 'b', period of 2011-01-10: demand is 1.*float64"):
        InventoryReplay(panel, 3)
    assert InventoryReplay(panel, 3, dtype="float64").reset(make_key([0]), product=1).paths.demand[1, 0] == 2**24 + 1
    countable = assume(sales(text.format(2**24, 2**24 - 1)), Assumptions(lead_time=1))
    assert InventoryReplay(countable, 3).reset(make_key([0]), product=1).paths.demand[1, 0] == 2**24 - 1


def test_recorded_stock_that_float32_cannot_count_is_refused_where_it_is_used(panel):
    on_hand = panel.on_hand.copy()
    on_hand[2, 3] = 3e7
    panel = replace(panel, on_hand=on_hand)
    InventoryReplay(panel, HORIZON)
    with pytest.raises(InputError, match=f"product '{panel.skus[3]}', .*: recorded stock is 3e.07 units"):
        InventoryReplay(panel, HORIZON, initial_stock="recorded")
