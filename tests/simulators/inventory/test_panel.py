from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.panel import Assumptions, assume
from sandtable.simulators.inventory.review_periods import ReviewPeriods

NAN = np.nan


def history_of(units, review_period="W-MON", **known):
    """Return a history of which nothing is known but its units and what is named; rows are periods."""
    units = np.asarray(units, dtype=float)
    periods, products = units.shape
    tables = {name: np.full(units.shape, NAN) for name in ("price", "cost", "in_stock", "on_hand", "on_order")}
    constants = {name: np.full(products, NAN) for name in ("lead_time", "minimum_order", "batch_size", "capacity")}
    given = {name: np.asarray(value, dtype=float) for name, value in known.items()}
    return SalesHistory(
        source="a test",
        skus=tuple("abcdef"[:products]),
        starts=ReviewPeriods.from_alias(review_period).starts(np.datetime64("2023-01-02"), periods),
        review_period=review_period,
        units=units,
        **{**tables, **constants, **given},
    )


STEADY = [[4.0, 2.0]] * 6


def test_demand_is_known_from_the_first_sale_on():
    panel = assume(history_of([[0, 3], [0, 0], [5, 1], [0, 2]]))
    assert_array_equal(panel.known, [[0, 1], [0, 1], [1, 1], [1, 1]])
    assert_array_equal(panel.demand, [[0, 3], [0, 0], [5, 1], [0, 2]])
    assert panel.statements[0].startswith("Availability is not recorded.")
    assert panel.repairs == {}


def test_demand_in_a_stock_out_is_hidden_and_replayed_as_the_mean_until_then_or_the_sales_if_more():
    panel = assume(history_of([[4], [6], [0], [9], [8]], in_stock=[[1], [1], [0], [0.5], [NAN]]))
    assert_array_equal(panel.known[:, 0], [1, 1, 0, 0, 1])
    assert_array_equal(panel.demand[:, 0], [4, 6, 5, 9, 8])
    counted = {"periods with stock-outs whose demand was replaced by the product's mean until then": 2}
    assert panel.repairs == counted
    assert panel.statements[0].startswith("In 2 product-periods the product was not always available.")


def test_what_replaces_hidden_demand_depends_on_no_later_period():
    in_stock = [[1], [0], [1], [0], [1]]
    some = assume(history_of([[4], [1], [6], [0], [8]], in_stock=in_stock))
    other = assume(history_of([[4], [1], [6], [0], [800]], in_stock=in_stock))
    assert_array_equal(some.demand[:4], other.demand[:4])
    assert_array_equal(some.demand[:, 0], [4, 4, 6, 5, 8])


def test_stock_that_never_ran_out_makes_sales_demand():
    panel = assume(history_of(STEADY, in_stock=np.ones((6, 2))))
    assert panel.statements[0] == "Availability is recorded, and no product was out of stock: sales are demand."


def test_price_is_carried_forward_and_before_the_first_one_backward():
    panel = assume(history_of(STEADY, price=[[NAN, 3], [8, NAN], [NAN, NAN], [6, NAN], [NAN, 2], [NAN, NAN]]))
    assert_array_equal(panel.price, [[8, 3], [8, 3], [8, 3], [6, 3], [6, 2], [6, 2]])


def test_unknown_cost_is_the_median_price_less_the_margin_and_unknown_price_the_cost_with_it():
    price, cost = np.full((6, 3), NAN), np.full((6, 3), NAN)
    price[:, 0], cost[:, 1] = [10, 10, 10, 20, 20, 10], 3
    panel = assume(history_of(np.ones((6, 3)), price=price, cost=cost), Assumptions(margin=0.25))
    assert_array_equal(panel.cost, np.tile([7.5, 3.0, 0.75], (6, 1)))
    assert_array_equal(panel.price[:, 1:], np.tile([4.0, 1.0], (6, 1)))
    assert any(text.startswith("1 of 3 products have neither price nor cost") for text in panel.statements)
    assert any(text.startswith("Purchase cost is not recorded for 2 of 3 products") for text in panel.statements)


def test_lead_times_are_rounded_up_and_counted_and_the_rest_assumed():
    panel = assume(history_of(STEADY, lead_time=[1.5, NAN]), Assumptions(lead_time=3))
    assert_array_equal(panel.lead_time, [2, 3])
    assert panel.repairs == {"lead times rounded up to whole review periods": 1}
    assert any(text.startswith("Lead time: recorded for 1 of 2 products") for text in panel.statements)


def test_lead_time_longer_than_the_history_names_the_product():
    blame = "product b: its lead time of 6 review periods is longer than the history of 6"
    with pytest.raises(InputError, match=blame):
        assume(history_of(STEADY, lead_time=[1, 6]))


def test_rules_of_the_history_win_over_those_assumed():
    panel = assume(
        history_of(STEADY, batch_size=[6, NAN], minimum_order=[NAN, 5], capacity=[NAN, 40]),
        Assumptions(batch_size=2, minimum_order=3),
    )
    assert_array_equal(panel.rules.batch_size, [6, 2])
    assert_array_equal(panel.rules.minimum_order, [6, 6])
    assert_array_equal(panel.rules.capacity, [np.inf, 40])


def test_any_real_quantity_beside_recorded_batches_becomes_whole_units_and_is_counted():
    panel = assume(history_of(np.ones((6, 3)), batch_size=[6, NAN, NAN]), Assumptions(batch_size=0))
    assert_array_equal(panel.rules.batch_size, [6, 1, 1])
    assert panel.repairs == {"batch sizes of 0 set to 1": 2}
    assert assume(history_of(STEADY), Assumptions(batch_size=0)).rules == (None, None, None, None)


def test_assumed_minimum_above_the_capacity_of_a_product_is_refused():
    with pytest.raises(InputError, match="product b: its smallest possible order is above the supplier's capacity"):
        assume(history_of(STEADY, capacity=[NAN, 10]), Assumptions(minimum_order=11))


@pytest.mark.parametrize(("review_period", "a_year"), [("W-MON", 365.25 / 7), ("D", 365.25), ("2W-MON", 365.25 / 14)])
def test_holding_rate_is_a_share_of_the_year(review_period, a_year):
    panel = assume(history_of(STEADY, review_period), Assumptions(holding_rate=0.3))
    assert panel.periods_per_year() == pytest.approx(a_year, rel=1e-12)
    assert panel.economics.holding_rate == pytest.approx(0.3 / a_year, rel=1e-12)


@pytest.mark.parametrize(
    ("review_period", "following"),
    [("W-MON", "2023-02-13"), ("MS", "2023-07-01"), ("QS", "2024-07-01"), ("2W-MON", "2023-03-27")],
)
def test_next_period_follows_in_the_calendar_and_nothing_is_known_of_it(review_period, following):
    panel = assume(history_of(STEADY, review_period, price=[[2.0 + t, 5] for t in range(6)]))
    longer = panel.with_next_period()
    assert longer.starts[-1] == np.datetime64(following)
    assert longer.periods == 7
    assert not longer.known[-1].any()
    assert_array_equal(longer.price[-1], [7, 5])
    assert_array_equal(longer.cost[-1], panel.cost[-1])
    assert np.isnan(longer.on_hand[-1]).all()
    for name in ("demand", "known", "price", "cost", "on_hand", "on_order"):
        assert_array_equal(getattr(longer, name)[:-1], getattr(panel, name))


def test_next_period_keeps_the_arrivals_of_the_last(smooth_panel):
    longer = smooth_panel.with_next_period()
    assert_array_equal(longer.shares[:-1], smooth_panel.shares)
    assert_array_equal(longer.shares[-1], smooth_panel.shares[-1])


def test_moments_are_those_of_known_demand_before_a_period():
    units = [[4, 0, 0], [8, 0, 0], [3, 9, 0], [5, 0, 0]]
    panel = assume(history_of(units, in_stock=[[1, 1, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]]))
    mean, deviation = panel.demand_moments(3)
    assert_array_equal(mean, [6, 9, 0])
    assert_allclose(deviation, [np.std([4, 8], ddof=1), 3, 0])
    assert_allclose(panel.demand_moments(4)[1][0], np.std([4, 8, 5], ddof=1))


def test_calendar_is_the_angle_of_the_year_and_twice_it(panel):
    fraction = panel.year_fraction()
    assert fraction[0] == 1 / 366
    assert ((fraction >= 0) & (fraction < 1)).all()
    turns = np.exp(2j * np.pi * fraction)
    expected = np.stack([turns.imag, turns.real, (turns**2).imag, (turns**2).real], axis=1)
    assert_allclose(panel.calendar(), expected, atol=1e-12)


def test_other_shares_broadcast_to_all_products_and_set_the_lead_time(panel):
    shares = np.asarray([0.0, 0.5, 0.5])[None, :, None]
    other = panel.with_shares(shares)
    assert other.shares.shape == (1, 3, panel.products)
    assert_array_equal(other.lead_time, np.full(panel.products, 1.5))
    with pytest.raises(InputError, match="must sum to 1"):
        panel.with_shares(0.5 * shares)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("lead_time", -1, "lead time: -1 is not a whole number of review periods"),
        ("lead_time", 1.5, "lead time: 1.5 is not a whole number of review periods"),
        ("margin", 1.0, r"margin: 1.0 is not in \[0, 1\)"),
        ("margin", NAN, r"margin: nan is not in \[0, 1\)"),
        ("holding_rate", -0.1, "holding rate: -0.1 is negative or not finite"),
        ("shortage_cost", np.inf, "shortage cost: inf is negative or not finite"),
        ("salvage", NAN, "salvage: nan is negative or not finite"),
        ("batch_size", -1.0, "batch size: -1.0 is negative or not finite"),
        ("minimum_order", -1.0, "minimum order: -1.0 is negative or not finite"),
        ("pay_on", "never", "pay on: 'never' is neither 'received' nor 'ordered'"),
        ("unmet", "ignored", "unmet: 'ignored' is neither 'lost' nor 'backlog'"),
    ],
)
def test_impossible_assumption_is_refused(setting, value, message):
    with pytest.raises(InputError, match=message):
        Assumptions(**{setting: value})


def test_history_too_small_to_replay_is_refused():
    one = history_of(STEADY)
    with pytest.raises(InputError, match="a test: the history has 0 products and 6 periods; one product and two"):
        assume(one.select(np.asarray([], dtype=int)))
    with pytest.raises(InputError, match="the history has 2 products and 1 periods"):
        assume(history_of([[1, 2]]))


def test_assumptions_do_not_change_the_history():
    history = history_of(STEADY, in_stock=[[1, 0]] * 6)
    before = replace(history, units=history.units.copy(), repairs=dict(history.repairs))
    assume(history)
    assert_array_equal(history.units, before.units)
    assert history.repairs == before.repairs
