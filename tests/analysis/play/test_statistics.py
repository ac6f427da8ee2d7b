"""Means and medians of games, and how often their intervals hold the truth."""

import numpy as np
import pytest
from scipy import stats

from sandtable.analysis.play.statistics import mean_interval, median_interval, summarise


def test_the_interval_of_a_mean_without_skewness_is_student_s():
    values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0]) + 7
    ends = stats.t.interval(0.9, 4, loc=7, scale=stats.sem(values))
    assert mean_interval(values, 0.1) == pytest.approx(ends, rel=1e-12)


def test_the_interval_of_a_mean_undoes_hall_s_transformation():
    """Hall (1992): W = t + k t^2 / 3 + k^2 t^3 / 27 + k / 6 with k = skewness / sqrt(n) is a quantile at the ends."""
    values = np.random.default_rng(0).lognormal(size=40)
    k = stats.skew(values) / np.sqrt(40)
    for end, sign in zip(mean_interval(values, 0.05), (1, -1), strict=True):
        t = (values.mean() - end) / stats.sem(values)
        w = t + k * t**2 / 3 + k**2 * t**3 / 27 + k / 6
        assert w == pytest.approx(sign * stats.t.ppf(0.975, 39))


def test_intervals_move_with_the_values_and_turn_with_their_sign():
    values = np.random.default_rng(1).exponential(size=25)
    for interval in (mean_interval, median_interval):
        low, high = interval(values, 0.05)
        assert interval(3 * values + 5, 0.05) == pytest.approx((3 * low + 5, 3 * high + 5))
        assert interval(-values, 0.05) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("n", "rank"), [(6, 1), (10, 2), (20, 6), (50, 18), (100, 40)])
def test_the_interval_of_a_median_has_the_ranks_of_the_binomial_tables(n, rank):
    """Conover, Practical Nonparametric Statistics, and every table of the sign test: d = 1, 2, 6, 18, 40 at 95 %."""
    assert median_interval(np.arange(1.0, n + 1), 0.05) == (rank, n + 1 - rank)


def test_too_few_values_have_no_interval():
    assert np.isnan(median_interval(np.arange(5.0), 0.05)).all()
    assert np.isnan(mean_interval(np.arange(1.0), 0.05)).all()
    alone = summarise([4.0])
    assert (alone.mean, alone.median, alone.max, alone.games) == (4, 4, 4, 1)
    assert np.isnan([alone.se, *alone.ci, *alone.median_ci]).all()
    nothing = summarise([])
    assert nothing.games == 0
    assert np.isnan(nothing.mean)


def test_equal_values_have_an_interval_of_no_width():
    assert summarise([3.0] * 8).ci == (3, 3)


def test_a_summary_has_the_statistics_of_numpy():
    values = np.random.default_rng(2).normal(size=31)
    told = summarise(values)
    assert told.se == pytest.approx(stats.sem(values))
    assert (told.q10, told.median, told.q90) == pytest.approx(np.quantile(values, [0.1, 0.5, 0.9]))


@pytest.mark.parametrize("alpha", [0, 1, -0.1, np.nan])
def test_alpha_lies_between_0_and_1(alpha):
    with pytest.raises(ValueError, match="alpha"):
        summarise([1.0, 2.0], alpha)


LAWS = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0, 0.0),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0, np.log(2)),
    "log-normal": (lambda rng, size: rng.lognormal(size=size), np.exp(0.5), 1.0),
}


@pytest.mark.parametrize(
    ("law", "n", "least"),
    [("normal", 10, 0.94), ("exponential", 30, 0.93), ("log-normal", 30, 0.905), ("log-normal", 200, 0.93)],
)
def test_intervals_hold_the_truth_as_often_as_they_say(law, n, least):
    """Of 1,000 samples, whose standard error at 95 % is 0.7 %; Student's t has 88 % and 93 % of log-normal values."""
    draw, mean, median = LAWS[law]
    samples = draw(np.random.default_rng(n), (1000, n))
    means = [mean_interval(sample, 0.05) for sample in samples]
    medians = [median_interval(sample, 0.05) for sample in samples]
    held = np.mean([low <= mean <= high for low, high in means])
    assert least <= held <= 0.975
    assert np.mean([low <= median <= high for low, high in medians]) >= 0.94
    plain = np.mean([abs(s.mean() - mean) <= stats.t.ppf(0.975, n - 1) * s.std(ddof=1) / n**0.5 for s in samples])
    assert law == "normal" or held > plain
