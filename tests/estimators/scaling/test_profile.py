"""Profile intervals: the sum at an end is the threshold, minimised over everything else."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq, least_squares

from sandtable.estimators.scaling.parametric import Approach3
from sandtable.estimators.scaling.profile import ProfileInterval, profiles
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

GRID = isoflop_grid(Surface(1.69, 406.4, 410.7, 0.34, 0.28), np.geomspace(1e18, 1e21, 6), 10)
RUNS = with_noise(GRID, 0.01, seed=3)
RESULT = Approach3("ls-log").fit(RUNS.parameters, RUNS.data, RUNS.loss)


def minimised(alpha):
    """The least sum of squares for a given exponent of the size, by scipy."""
    sample = RESULT.sample

    def residuals(z):
        model = z[0] + z[1] * np.exp(-alpha * sample.u) + z[2] * np.exp(-z[3] * sample.v)
        return np.log(sample.losses / model)

    start = RESULT.theta[[0, 1, 2, 4]]
    return 2 * least_squares(residuals, start, x_scale=start, xtol=1e-14, ftol=1e-14, gtol=1e-14).cost


def test_the_interval_of_an_exponent_is_that_of_another_optimiser():
    threshold = RESULT.objective_sum * (1 + stats.f.ppf(0.95, 1, 55) / 55)
    estimate = RESULT.params["alpha"]
    low = brentq(lambda alpha: minimised(alpha) - threshold, 0.6 * estimate, estimate)
    high = brentq(lambda alpha: minimised(alpha) - threshold, estimate, 1.6 * estimate)
    np.testing.assert_allclose(ProfileInterval(RESULT).ends(0.95)[3], [low, high], rtol=1e-5)


def test_every_point_of_a_profile_is_minimised_anew():
    curve = profiles(ProfileInterval(RESULT))["alpha"]
    assert len(curve) == 9
    assert np.all(np.diff(curve[:, 0]) > 0)
    np.testing.assert_allclose(curve[:, 1], [minimised(alpha) for alpha in curve[:, 0]], rtol=1e-6)
    assert curve[4] == pytest.approx([RESULT.params["alpha"], RESULT.objective_sum])


def test_the_scale_of_a_quantity_does_not_matter():
    interval = ProfileInterval(RESULT)
    squared = interval.of(lambda params: params[[3, 5]] ** 2, 0.95)
    np.testing.assert_allclose(np.sqrt(squared), interval.ends(0.95)[[3, 5]], rtol=1e-4)


def test_the_two_exponents_mirror_each_other():
    ends = RESULT.with_interval(ProfileInterval(RESULT)).conf_int()
    np.testing.assert_allclose(ends.loc["N_exponent"], 1 - ends.loc["D_exponent", [1, 0]], rtol=1e-6)


def test_optima_have_intervals_that_hold_them():
    result = RESULT.with_interval(ProfileInterval(RESULT))
    for name, ends in result.optimum_interval(np.array([1e21, 1e23])).items():
        estimate = result.optimum(np.array([1e21, 1e23]))[name]
        assert np.all((ends[:, 0] < estimate) & (estimate < ends[:, 1]))
        assert np.diff(np.log(ends[1]))[0] > np.diff(np.log(ends[0]))[0]


def test_they_widen_with_the_level():
    interval = ProfileInterval(RESULT)
    widths = [np.ptp(interval.ends(level), axis=1) for level in (0.5, 0.8, 0.99)]
    assert np.all(np.diff(widths, axis=0) > 0)


def test_small_noise_gives_the_intervals_of_students_t():
    runs = with_noise(GRID, 1e-4, seed=1)
    result = Approach3("ls-log").fit(runs.parameters, runs.data, runs.loss)
    np.testing.assert_allclose(ProfileInterval(result).ends(0.95), result.conf_int(), rtol=5e-4)


def test_a_floor_may_reach_down_to_zero():
    runs = with_noise(GRID, 0.05, seed=0)
    losses = runs.loss - 1.69 * 0.98
    result = Approach3("ls").fit(runs.parameters, runs.data, losses)
    low, high = ProfileInterval(result).ends(0.95)[0]
    assert low == 0
    assert high > result.params["E"]
    assert np.isfinite(ProfileInterval(result).ends(0.95)[3:7]).all()


def test_none_without_degrees_of_freedom():
    runs = RUNS.select(np.array([0, 9, 25, 50, 59]))
    result = Approach3("ls-log").fit(runs.parameters, runs.data, runs.loss)
    assert np.isnan(ProfileInterval(result).ends(0.95)).all()


def test_hubers_loss_has_none():
    with pytest.raises(ValueError, match="bootstrap"):
        ProfileInterval(Approach3("huber-log").fit(RUNS.parameters, RUNS.data, RUNS.loss))
