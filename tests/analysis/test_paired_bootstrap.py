"""The interval of a total over products and blocks of time."""

import numpy as np
import pytest
from scipy import stats

from sandtable.analysis.paired_bootstrap import bootstrap_total, time_blocks


def test_with_one_block_its_width_is_that_of_the_closed_form():
    values = np.random.default_rng(0).normal(3.0, 2.0, (400, 1))
    interval = bootstrap_total(values, alpha=0.05, resamples=20_000)
    error = np.sqrt(400) * values.std(ddof=1)
    assert interval.estimate == pytest.approx(values.sum())
    assert interval.low == pytest.approx(values.sum() - 1.96 * error, abs=0.06 * error)
    assert interval.high == pytest.approx(values.sum() + 1.96 * error, abs=0.06 * error)
    assert (interval.products, interval.blocks, interval.time_share) == (400, 1, 0.0)


def test_with_a_shock_that_all_products_share_its_width_is_that_of_the_two_way_formula():
    generator = np.random.default_rng(1)
    products, blocks = 300, 40
    values = generator.normal(0, 1, (products, 1)) + generator.normal(0, 1, (products, blocks))
    values = values + generator.normal(0, 0.5, (1, blocks))
    of_products, of_blocks = values.sum(axis=1), values.sum(axis=0)
    residual = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    interaction = values.size * (residual**2).sum() / ((products - 1) * (blocks - 1))
    of_time = blocks * of_blocks.var(ddof=1) - interaction
    of_sample = products * of_products.var(ddof=1)
    student = stats.t.ppf(0.975, blocks - 1) / 1.96
    error = np.sqrt(of_sample + student**2 * of_time)
    interval = bootstrap_total(values, resamples=20_000)
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * error, rel=0.04)
    assert interval.time_share == pytest.approx(of_time / (of_sample + of_time))
    assert interval.time_share > 0.5


@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_equal_policies_give_intervals_that_cover_zero_19_times_in_20(shared):
    """With 200 panels the count is binomial; bounds that a true coverage of 95 % misses once in 100,000 times."""
    covered = 0
    for seed in range(200):
        generator = np.random.default_rng([seed, int(10 * shared)])
        values = generator.normal(0, 1, (60, 12)) + shared * generator.normal(0, 1, (1, 12))
        interval = bootstrap_total(values, resamples=400, seed=seed)
        covered += interval.low <= 0 <= interval.high
    low, high = stats.binom.ppf([0.5e-5, 1 - 0.5e-5], 200, 0.95)
    assert low <= covered <= high


def test_a_smaller_alpha_gives_a_wider_interval():
    values = np.random.default_rng(0).normal(0, 1, (50, 6))
    widths = [bootstrap_total(values, alpha) for alpha in (0.5, 0.1, 0.01)]
    assert widths[0].high - widths[0].low < widths[1].high - widths[1].low < widths[2].high - widths[2].low


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(0, 1, (50, 6))
    assert bootstrap_total(values, seed=3) == bootstrap_total(values, seed=3)
    assert bootstrap_total(values, seed=3) != bootstrap_total(values, seed=4)


def test_how_sure_one_product_is_cannot_be_told():
    interval = bootstrap_total(np.array([[1.0, 2.0, 3.0]]))
    assert interval.estimate == 6.0
    assert np.isnan([interval.low, interval.high]).all()


def test_values_that_never_differ_are_sure():
    interval = bootstrap_total(np.full((20, 5), 2.0))
    assert (interval.low, interval.estimate, interval.high, interval.time_share) == (200.0, 200.0, 200.0, 0.0)


def test_many_products_are_drawn_in_parts_to_the_same_distribution():
    values = np.random.default_rng(0).normal(1, 1, (50_000, 1))
    interval = bootstrap_total(values, resamples=400)
    error = np.sqrt(50_000) * values.std(ddof=1)
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * error, rel=0.15)


def test_periods_are_summed_into_blocks_and_the_last_takes_the_rest():
    values = np.arange(14.0).reshape(7, 2)
    blocks = time_blocks(values, 3)
    assert blocks.tolist() == [[0 + 2 + 4, 6 + 8 + 10 + 12], [1 + 3 + 5, 7 + 9 + 11 + 13]]
    assert time_blocks(values, 9).tolist() == [[42.0], [49.0]]
    assert time_blocks(values, 1).tolist() == values.T.tolist()


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (np.zeros(3), {}, r"\[products, blocks\] array"),
        (np.zeros((0, 3)), {}, r"\[products, blocks\] array"),
        (np.array([[1.0, np.nan], [0.0, 0.0]]), {}, "finite"),
        (np.array([[1.0, np.inf], [0.0, 0.0]]), {}, "finite"),
        (np.zeros((3, 2)), {"alpha": 0.0}, "alpha"),
        (np.zeros((3, 2)), {"alpha": 1.0}, "alpha"),
        (np.zeros((3, 2)), {"resamples": 10}, "resamples"),
    ],
)
def test_what_cannot_be_resampled_is_refused(values, options, said):
    with pytest.raises(ValueError, match=said):
        bootstrap_total(values, **options)
