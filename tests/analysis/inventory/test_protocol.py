"""Who may see what: time runs from training over validation to test, and products that are held out teach nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sandtable.agents.inventory.order_up_to import BaseStock, OrderNothing
from sandtable.analysis.inventory.backtest import Hooks, backtest, learn
from sandtable.analysis.inventory.participants import best_classical, classical_participants
from sandtable.analysis.inventory.plan import plan_backtest, played
from sandtable.analysis.inventory.protocol import accrued_profit, scored, split
from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.panel import Assumptions, assume
from sandtable.simulators.inventory.sales_file import read_sales
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales


def panel_of(make_history, periods, products=4, lead_time=2):
    return assume(make_history(np.ones((periods, products))), Assumptions(lead_time=lead_time))


def test_53_weeks_are_30_of_training_8_of_validation_and_15_of_test(make_history):
    parts = split(panel_of(make_history, 53), unseen=0.2)
    assert (parts.train, parts.validate, parts.periods) == (30, 38, 53)


def test_the_retailers_53_weeks_are_split_so_and_a_fifth_of_its_products_held_out():
    folder = data_folder()
    file = None if folder is None else folder / "inventory/uci_online_retail_daily.csv.gz"
    if file is None or not file.exists():
        pytest.skip("the daily sales of UCI Online Retail are not in the data folder (SANDTABLE_DATA names it)")
    parts = plan_backtest(read_sales(file, min_sale_days=52), BacktestSettings()).split
    assert (parts.train, parts.validate, parts.periods) == (30, 38, 53)
    count = len(parts.seen) + len(parts.unseen)
    assert count > 1000
    assert abs(len(parts.unseen) / count - 0.2) < 4 * np.sqrt(0.2 * 0.8 / count)


@given(st.integers(6, 300), st.integers(0, 120), st.integers(0, 8), st.floats(0, 0.9), st.integers(0, 9))
@hypothesis_settings(max_examples=200, deadline=None)
def test_training_comes_before_validation_and_validation_before_the_test(periods, test, lead_time, unseen, seed):
    panel = assume(synthetic_sales(12, periods)).with_shares(np.eye(lead_time + 1)[None, :, -1:])
    try:
        parts = split(panel, test, unseen, seed)
    except InputError:
        assert periods < 60 or test > 30 or 0 < test < lead_time + 4
        return
    assert 0 < parts.train < parts.validate < parts.periods == periods
    assert parts.validate - parts.train >= lead_time + 4
    assert parts.periods - parts.validate >= lead_time + 4
    assert not test or parts.periods - parts.validate == test
    assert sorted([*parts.seen, *parts.unseen]) == list(range(12))
    assert len(parts.seen) >= 1


def test_which_products_are_held_out_depends_on_their_names_alone(make_history):
    panel = panel_of(make_history, 53, products=40)
    first = split(panel, unseen=0.4, seed=3)
    fewer = assume(make_history(np.full((70, 40), 9.0)).select(np.arange(10, 40)))
    assert {panel.skus[i] for i in first.unseen if i >= 10} == {
        fewer.skus[i] for i in split(fewer, unseen=0.4, seed=3).unseen
    }
    assert set(first.unseen) != set(split(panel, unseen=0.4, seed=4).unseen)
    assert len(split(panel, unseen=0.0).unseen) == 0


@pytest.mark.parametrize(
    ("periods", "test", "lead_time", "said"),
    [
        (53, 5, 2, "5 test periods are too few for a lead time of 2: at least 6 are needed"),
        (53, -3, 2, "-3 test periods are too few"),
        (53, 1000, 2, "53 review periods leave 0 for training after 1000 of test"),
        (53, 45, 2, "leave 0 for training after 45 of test and 8 of validation; lower --test-periods"),
        (12, 0, 2, "3 test periods are too few for a lead time of 2"),
    ],
)
def test_a_split_that_cannot_be_is_refused(make_history, periods, test, lead_time, said):
    with pytest.raises(InputError, match=said):
        split(panel_of(make_history, periods, lead_time=lead_time), test)


@pytest.mark.parametrize("unseen", [-0.1, 0.95, np.nan])
def test_a_share_of_products_that_cannot_be_is_refused(make_history, unseen):
    with pytest.raises(InputError, match=r"--unseen: .* is not in \[0, 0.9\]"):
        split(panel_of(make_history, 53), unseen=unseen)


def chosen(history, settings):
    """Return what training and validation decide: settings, baseline, and the weights of the trained network."""
    plan = plan_backtest(history, settings)
    participants = classical_participants(plan)
    network = learn(plan, Hooks()).policy.network
    return (
        {name: one.settings for name, one in participants.items()},
        {name: one.validation for name, one in participants.items()},
        best_classical(participants),
        torch.cat([values.detach().ravel() for values in network.parameters()]).tolist(),
    )


@pytest.fixture(scope="module")
def decided(small_history):
    return chosen(small_history, BacktestSettings(learn=4, seeds=1, unseen=0.3))


def test_products_held_out_never_touch_tuning_or_training(small_history, quick, decided):
    unseen = plan_backtest(small_history, quick).split.unseen
    assert len(unseen) >= 2
    units, price = small_history.units.copy(), small_history.price.copy()
    units[:, unseen] = 3 * units[::-1, unseen] + 40
    price[:, unseen] *= 5
    assert chosen(replace(small_history, units=units, price=price), quick) == decided


def test_products_that_take_part_do_touch_them(small_history, quick, decided):
    seen = plan_backtest(small_history, quick).split.seen
    units = small_history.units.copy()
    units[:, seen] = 3 * units[::-1, seen] + 40
    others = chosen(replace(small_history, units=units), quick)
    assert all(one != other for one, other in zip(others, decided, strict=True))


def test_nothing_in_the_test_periods_touches_tuning_baseline_or_training(small_history, quick, decided):
    test = plan_backtest(small_history, quick).split.validate
    units, price = small_history.units.copy(), small_history.price.copy()
    units[test:] = 3 * units[test:] + 40
    price[test:] *= 5
    assert chosen(replace(small_history, units=units, price=price), quick) == decided


def test_no_policy_orders_by_what_has_not_happened_yet(small_history, quick):
    """Nor does it know levels that were computed from it: what the last five periods bring changes no earlier order."""
    history, end = small_history, len(small_history.starts)
    late = np.arange(end)[:, None] >= end - 5
    altered = replace(history, units=np.where(late, 3 * history.units + 40, history.units))
    first, second = backtest(history, quick), backtest(altered, quick)
    for name in [*first.implementable, "untrained network"]:
        orders, others = (one.trajectories[name]["ordered"] for one in (first, second))
        before = len(orders) - 5
        assert (orders[: before + 1] == others[: before + 1]).all()  # the order comes before the customers
        assert name == "order nothing" or (orders != others).any()


def test_policies_in_the_test_know_the_demand_of_all_periods_before_it(small_history, quick):
    plan = plan_backtest(small_history, quick)
    before = small_history.units[: plan.split.validate]
    started = np.cumsum(before, axis=0) > 0
    world, products = plan.test(), np.arange(10)
    seen = world.observe(world.reset(products, product=products, start=plan.split.validate))
    np.testing.assert_allclose(seen["mean"][:, 0], before.sum(axis=0) / started.sum(axis=0))
    np.testing.assert_allclose(seen["past_demand"], before[-16:].T)
    assert seen["period"][0, 0] == plan.split.validate


def test_a_products_periods_count_from_the_first_in_which_an_order_can_arrive(make_history):
    history = make_history(np.ones((30, 3)), lead_time=np.array([0.0, 1.0, 3.0]))
    counts = scored(assume(history), 5)
    assert counts.T.tolist() == [[True] * 5, [False] + [True] * 4, [False] * 3 + [True] * 2]
    paid_on_order = assume(history, Assumptions(pay_on="ordered"))
    assert scored(paid_on_order, 5).all()


@pytest.mark.parametrize("pay_on", ["received", "ordered"])
def test_orders_that_arrive_after_the_end_are_not_scored(make_history, quick, pay_on):
    units = np.random.default_rng(0).poisson(5, (60, 3))
    history = make_history(units, lead_time=np.array([1.0, 2.0, 4.0]))
    plan = plan_backtest(history, replace(quick, pay_on=pay_on))
    world, products = plan.test(), np.arange(3)
    lead_time = plan.panel.lead_time
    horizon = world.horizon

    def total(late):
        """The scored profit of ordering 5, and ``late`` more where that cannot arrive in time."""

        def policy(observation):
            t = observation["period"][:, 0] - plan.split.validate
            return 5 + np.where(t + lead_time >= horizon, late, 0)

        run = played(plan, world, policy, products, "late")
        assert not late or run["ordered"][-1].min() > 5
        cost = plan.panel.cost[plan.split.validate :]
        return (accrued_profit(run, cost, plan.panel.economics, 1.0) * scored(plan.panel, horizon)).sum(axis=0)

    np.testing.assert_allclose(total(1000.0), total(0.0), rtol=1e-12)


def test_what_happens_before_an_order_can_arrive_is_the_same_for_all(make_history, quick):
    history = make_history(np.random.default_rng(0).poisson(5, (60, 3)), lead_time=np.array([1.0, 2.0, 4.0]))
    plan = plan_backtest(history, quick)
    world, products = plan.test(), np.arange(3)
    cost = plan.panel.cost[plan.split.validate :]
    left_out = ~scored(plan.panel, world.horizon)
    nothing, much = (
        accrued_profit(played(plan, world, policy, products, ""), cost, plan.panel.economics, 1.0)
        for policy in (OrderNothing(), BaseStock(500.0))
    )
    assert left_out.sum() == 7
    assert (nothing[left_out] == much[left_out]).all()
    assert (nothing != much)[~left_out].any()


@pytest.mark.parametrize("pay_on", ["received", "ordered"])
@pytest.mark.parametrize("unmet", ["lost", "backlog"])
@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_accrued_profit_sums_to_the_rewards_less_the_worth_of_the_first_stock(
    make_history, quick, pay_on, unmet, discount
):
    units = np.random.default_rng(0).poisson(5, (60, 3))
    plan = plan_backtest(make_history(units), replace(quick, pay_on=pay_on, unmet=unmet, salvage=0.7))
    world, products = plan.test(), np.arange(3)
    run = played(plan, world, BaseStock(14.0), products, "base-stock")
    cost = plan.panel.cost[plan.split.validate :]
    stock = world.reset(products, product=products, start=plan.split.validate).stock
    before = 0.7 * cost[0] * stock.on_hand
    if pay_on == "ordered":
        before = before + cost[0] * stock.pipeline.sum(axis=0)
    rewards = discount ** np.arange(world.horizon) @ run["reward"]
    profit = accrued_profit(run, cost, plan.panel.economics, discount)
    np.testing.assert_allclose(profit.sum(axis=0), rewards - before)


def test_buying_stock_is_no_loss_and_selling_it_earns_the_margin(make_history, quick):
    history = make_history(np.full((60, 1), 2.0), price=np.full((60, 1), 10.0), cost=np.full((60, 1), 6.0))
    plan = plan_backtest(history, replace(quick, holding_rate=0.0, lead_time=1))
    run = played(plan, plan.test(), BaseStock(100.0), np.array([0]), "")
    profit = accrued_profit(run, plan.panel.cost[plan.split.validate :], plan.panel.economics, 1.0)
    np.testing.assert_allclose(profit, 2 * (10.0 - 6.0))


def test_a_backtest_without_products_held_out_has_one_split(small_history, quick):
    rows = backtest(small_history, replace(quick, unseen=0.0, learn=0)).rows
    assert {row.split for row in rows} == {"test"}
