import numpy as np
import pytest
from scipy.stats import nbinom

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.synthetic_sales import STREAMS, synthetic_sales
from sandtable.simulators.random import fold_in, make_key, uniform

TABLES = ("units", "price", "cost", "in_stock", "on_hand", "on_order")
ROWS = ("lead_time", "minimum_order", "batch_size", "capacity")


@pytest.fixture(scope="module")
def panel():
    return synthetic_sales()


@pytest.fixture(scope="module")
def large_panel():
    return synthetic_sales(products=1500)


def test_default_panel_is_200_products_over_three_years_of_monday_weeks(panel):
    assert panel.units.shape == (156, 200)
    assert panel.starts[0] == np.datetime64("2023-01-02")
    assert set(np.diff(panel.starts).astype(int)) == {7}
    assert panel.review_period == "W-MON"
    assert list(panel.skus) == sorted(set(panel.skus))
    assert panel.repairs == {}


def test_only_stock_orders_and_capacity_are_unknown(panel):
    for name in ("units", "price", "cost", "in_stock", "lead_time", "minimum_order", "batch_size"):
        assert np.isfinite(getattr(panel, name)).all(), name
    for name in ("on_hand", "on_order", "capacity"):
        assert np.isnan(getattr(panel, name)).all(), name
    assert (panel.in_stock == 1).all()


def test_units_are_whole_and_not_negative(panel):
    assert (panel.units >= 0).all()
    assert (panel.units == np.floor(panel.units)).all()


def test_every_draw_has_a_stream_of_its_own():
    assert len(set(STREAMS.values())) == len(STREAMS)


def test_same_seed_gives_the_same_panel_and_another_seed_another(panel):
    assert np.array_equal(synthetic_sales().units, panel.units)
    assert not np.array_equal(synthetic_sales(seed=1).units, panel.units)


def test_a_product_does_not_depend_on_how_many_products_there_are(panel):
    few = synthetic_sales(products=3)
    for name in TABLES:
        assert np.array_equal(getattr(few, name), getattr(panel, name)[:, :3], equal_nan=True), name
    for name in ROWS:
        assert np.array_equal(getattr(few, name), getattr(panel, name)[:3], equal_nan=True), name


def test_the_past_does_not_depend_on_how_many_periods_there_are(panel):
    short = synthetic_sales(periods=40)
    for name in TABLES:
        assert np.array_equal(getattr(short, name), getattr(panel, name)[:40], equal_nan=True), name


def test_panel_holds_slow_and_fast_products(large_panel):
    velocity = large_panel.units.mean(axis=0)
    assert (velocity < 1).mean() > 0.1
    assert (velocity > 30).mean() > 0.05
    assert 3 < np.median(velocity) < 6
    assert ((large_panel.units == 0).mean(axis=0) > 0.5).mean() > 0.1


def test_demand_peaks_before_christmas(large_panel):
    months = large_panel.starts.astype("datetime64[M]").astype(int) % 12
    total = large_panel.units.sum(axis=1)
    assert total[months == 11].mean() > 1.3 * total[months == 9].mean()
    assert total[months == 0].mean() > 1.2 * total[months == 6].mean()


def test_some_products_grow_and_some_fade(large_panel):
    first, last = large_panel.units[:52].sum(axis=0), large_panel.units[104:].sum(axis=0)
    fast = first > 200
    ratio = last[fast] / first[fast]
    assert (ratio > 1.3).mean() > 0.1
    assert (ratio < 0.77).mean() > 0.1


def test_promotions_cut_prices_by_ten_to_forty_percent_and_raise_demand(large_panel):
    list_price = large_panel.price.max(axis=0)
    cut = 1 - large_panel.price / list_price
    promoted = cut > 0
    assert 0.04 < promoted.mean() < 0.08
    assert cut[promoted].min() > 0.09
    assert cut[promoted].max() < 0.41
    relative = large_panel.units / large_panel.units.mean(axis=0)
    assert relative[promoted].mean() > 1.4 * relative[~promoted].mean()


def test_every_sale_earns_a_margin(large_panel):
    assert (large_panel.price > large_panel.cost).all()


def test_products_share_shocks(large_panel):
    """Odd and even products have nothing in common but season and shocks; season is removed by yearly differences."""
    scaled = large_panel.units / large_panel.units.mean(axis=0)
    change = [np.log(scaled[52:, half::2].mean(axis=1) / scaled[:-52, half::2].mean(axis=1)) for half in (0, 1)]
    assert np.corrcoef(*change)[0, 1] > 0.8


def test_demand_is_more_dispersed_than_poisson(large_panel):
    units = large_panel.units[:, large_panel.units.mean(axis=0) > 5]
    assert np.median(units.var(axis=0) / units.mean(axis=0)) > 2


def test_negative_binomial_has_the_documented_moments():
    mean, size = 7.3, 0.8
    law = nbinom(size, size / (size + mean))
    assert law.mean() == pytest.approx(mean)
    assert law.var() == pytest.approx(mean + mean**2 / size)


def test_order_rules_are_moderate_and_agree_with_each_other(large_panel):
    assert set(np.unique(large_panel.lead_time)) == {1, 2, 3, 4}
    assert set(np.unique(large_panel.batch_size)) == {1, 6, 12, 24}
    assert (large_panel.minimum_order % large_panel.batch_size == 0).all()
    assert 0.1 < (large_panel.batch_size > 1).mean() < 0.3
    assert 0.3 < (large_panel.minimum_order > 0).mean() < 0.5
    assert (large_panel.minimum_order <= 200 + 24).all()


def test_days_and_months_hold_the_demand_of_their_length():
    weekly = synthetic_sales(products=300, periods=52).units.sum() / (52 * 7)
    daily = synthetic_sales(products=300, periods=364, review_period="D").units.sum() / 364
    monthly = synthetic_sales(products=300, periods=12, review_period="MS")
    assert daily == pytest.approx(weekly, rel=0.1)
    assert monthly.units.sum() / 365 == pytest.approx(weekly, rel=0.15)
    assert monthly.starts[0] == np.datetime64("2023-01-01")


def test_the_smallest_panel_has_one_product_and_one_period():
    assert synthetic_sales(products=1, periods=1).units.shape == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"products": 0}, "products must be an integer of at least 1, not 0"),
        ({"periods": -3}, "periods must be an integer of at least 1, not -3"),
        ({"products": 2.5}, r"products must be an integer of at least 1, not 2\.5"),
        ({"periods": True}, "periods must be an integer of at least 1, not True"),
        ({"seed": "a"}, "seed must be an integer, not 'a'"),
        ({"seed": float("nan")}, "seed must be an integer, not nan"),
    ],
)
def test_arguments_that_are_no_counts_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic_sales(**arguments)


def test_unknown_review_period_is_refused():
    with pytest.raises(InputError, match="review period 'fortnight' is not known"):
        synthetic_sales(review_period="fortnight")


def test_draws_of_different_kinds_are_uncorrelated():
    """Of each pair of streams, over products and over periods; |r| stays below four standard errors."""
    numbers, keys = 20_000, make_key(np.arange(3))
    assert len(set(STREAMS.values())) == len(STREAMS)
    for key in keys:
        by_product = [uniform(fold_in(fold_in(key, stream), np.arange(numbers)), 0) for stream in STREAMS.values()]
        by_period = [uniform(fold_in(key, stream), np.arange(numbers)) for stream in STREAMS.values()]
        table = np.corrcoef(np.stack([*by_product, *by_period]))
        assert np.abs(table - np.eye(len(table))).max() < 4 / np.sqrt(numbers)
