"""Bootstraps of Approach 3: clusters stay whole, failures are counted, BCa is Efron's."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sandtable.estimators.scaling.bootstrap import bca_tails, bootstrap_interval, resample_counts, with_bootstrap
from sandtable.estimators.scaling.parametric import Approach3
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

GRID = isoflop_grid(Surface(1.69, 406.4, 410.7, 0.34, 0.28), np.geomspace(1e18, 1e21, 12), 6)
RUNS = with_noise(GRID, 0.01, seed=3)
RESULT = Approach3().fit(RUNS.parameters, RUNS.data, RUNS.loss)


def test_clusters_are_drawn_whole_and_as_many_as_there_are():
    index = np.repeat(np.arange(4), [1, 2, 3, 4])
    counts = resample_counts(200, index, 0)
    assert all(len(np.unique(counts[:, index == one], axis=1).T) == 1 for one in range(4))
    np.testing.assert_array_equal(counts[:, [0, 1, 3, 6]].sum(axis=1), 4)
    assert counts.mean() == pytest.approx(1, abs=0.1)


def test_a_resample_does_not_depend_on_how_many_there_are():
    index = np.arange(30)
    np.testing.assert_array_equal(resample_counts(100, index, 7)[:10], resample_counts(10, index, 7))
    assert np.any(resample_counts(10, index, 7) != resample_counts(10, index, 8))


def test_tails_without_bias_and_acceleration_are_those_of_percentiles():
    refits = np.linspace(-1, 1, 1001)[:, None]
    symmetric = np.array([[-1.0], [0.0], [1.0]])
    np.testing.assert_allclose(bca_tails(np.zeros(1), refits, symmetric, 0.9), [[0.05, 0.95]], atol=1e-12)


def test_tails_are_efrons():
    """Efron 1987, equation 2.3, with z0 = Phi^-1(.6) and the acceleration of a jackknife of three."""
    refits, jackknife = np.linspace(0, 1, 1000)[:, None], np.array([[0.0], [0.0], [3.0]])
    tails = bca_tails(np.array([0.6]), refits, jackknife, 0.95)[0]
    bias, acceleration = stats.norm.ppf(0.6), (1 + 1 - 8) / (6 * 6**1.5)
    z = bias + stats.norm.ppf([0.025, 0.975])
    np.testing.assert_allclose(tails, stats.norm.cdf(bias + z / (1 - acceleration * z)), rtol=1e-10)


def test_scipys_bca_agrees_on_a_mean():
    values = np.random.default_rng(0).exponential(size=40)
    counts = resample_counts(20_000, np.arange(40), 0)
    refits = (counts @ values / 40)[:, None]
    jackknife = ((values.sum() - values) / 39)[:, None]
    ours = np.quantile(refits, bca_tails(values.mean(keepdims=True), refits, jackknife, 0.95)[0])
    theirs = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=20_000, random_state=1).confidence_interval
    np.testing.assert_allclose(ours, theirs, rtol=0.01)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intervals_hold_the_estimate_and_widen_with_the_level(method):
    interval = bootstrap_interval(RESULT, method, resamples=300)
    narrow, wide = interval.ends(0.5), interval.ends(0.95)
    assert np.all(np.ptp(wide, axis=1) > np.ptp(narrow, axis=1))
    assert np.all((wide[:, 0] < RESULT.params) & (RESULT.params < wide[:, 1]))
    assert (interval.resamples, interval.failed) == (300, 0)


def test_a_function_of_the_parameters_has_the_interval_of_its_refits():
    interval = bootstrap_interval(RESULT, "percentile", resamples=200)
    squared = interval.of(lambda params: params[3:5] ** 2, 0.9)
    np.testing.assert_allclose(squared, interval.ends(0.9)[3:5] ** 2, rtol=1e-2)
    ends = RESULT.with_interval(interval).optimum_interval(1e23)
    assert all(low < RESULT.optimum(1e23)[name] < high for name, [(low, high)] in ends.items())


def test_shared_noise_needs_its_clusters():
    runs = with_noise(GRID, 0.01, "shared", seed=2)
    result = Approach3().fit(runs.parameters, runs.data, runs.loss)
    alone = bootstrap_interval(result, "percentile", resamples=300).ends(0.95)
    whole = bootstrap_interval(result, "percentile", resamples=300, clusters=runs.budget).ends(0.95)
    assert np.ptp(whole[0]) > 1.2 * np.ptp(alone[0])


def test_under_ten_clusters_is_said():
    six = with_bootstrap(RESULT, resamples=40, clusters=RUNS.budget // 2)
    assert [one.code for one in six.warnings] == ["few_budgets"]
    assert with_bootstrap(RESULT, resamples=40, clusters=RUNS.budget).warnings == ()


def test_over_five_percent_of_failures_leave_no_interval():
    interval = bootstrap_interval(RESULT, resamples=100)
    assert np.isfinite(replace(interval, failed=5).ends(0.95)).all()
    assert np.isnan(replace(interval, failed=6).ends(0.95)).all()


def test_resamples_with_too_few_runs_count_as_failed():
    few = RUNS.select(np.array([0, 5, 20, 40, 66, 71]))
    result = Approach3().fit(few.parameters, few.data, few.loss)
    interval = bootstrap_interval(result, resamples=200)
    too_few = np.sum((resample_counts(200, np.arange(6), 0) > 0).sum(axis=1) < 5)
    assert interval.failed >= too_few > 100
    assert np.isnan(interval.ends(0.95)).all()


@pytest.mark.parametrize("settings", [{"method": "t"}, {"level": 1.0}, {"resamples": 0}, {"clusters": np.zeros(3)}])
def test_a_wrong_setting_is_named(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        bootstrap_interval(RESULT, **settings)
