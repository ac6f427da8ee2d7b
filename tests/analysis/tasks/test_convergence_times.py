"""Convergence times with censoring, held to examples worked out by hand."""

import math

import numpy as np
import pytest

from sandtable.analysis.tasks.convergence_times import ConvergenceTimes, fit_law, wilson
from sandtable.simulators.errors import InputError

# at 10 one of five converges, at 20 one is lost, at 30 one of three converges, at 40 one of two, at 50 the last is lost
WATCHED = ConvergenceTimes([30, 10, 20, 50, 40], [True, True, False, False, True])


def test_survival_is_the_product_over_times_of_those_that_go_on():
    """Kaplan and Meier (1958): 4/5, then 2/3 of it, then half of that."""
    times, survival = WATCHED.survival()
    assert times.tolist() == [10, 30, 40]
    np.testing.assert_allclose(survival, [4 / 5, 8 / 15, 4 / 15], rtol=1e-12)


def test_quantiles_are_the_first_times_at_which_so_few_are_left():
    assert WATCHED.quantile(0.2).value == 10
    assert WATCHED.median.value == 40
    assert WATCHED.quantile(0.9).value == math.inf
    assert ConvergenceTimes([1, 2, 3, 4], [True] * 4).median.value == 2


def test_the_interval_of_the_median_is_that_of_brookmeyer_and_crowley():
    """Ten times without censoring: by hand, |g(S) - g(1/2)| / se(g) is within 1.96 from t = 2 to t = 8.

    With g(S) = log(-log S) and Greenwood's variance (1 - S) / (n S) / log(S)^2.
    """
    inside = []
    for t in range(1, 10):
        survival = 1 - t / 10
        deviation = math.sqrt((1 - survival) / (10 * survival)) / abs(math.log(survival))
        if abs(math.log(-math.log(survival)) - math.log(math.log(2))) <= 1.959964 * deviation:
            inside.append(t)
    median = ConvergenceTimes(range(1, 11), [True] * 10).median
    assert median == (5, inside[0], inside[-1] + 1)


def test_an_interval_begins_one_look_earlier():
    assert ConvergenceTimes([300, 300, 300], [True] * 3, interval=100).median == (300, 200, 300)
    looked = ConvergenceTimes(range(1, 11), [True] * 10, interval=1).median
    assert looked.low == ConvergenceTimes(range(1, 11), [True] * 10).median.low - 1


def test_what_never_converged_is_beyond_its_horizon():
    nothing = ConvergenceTimes([500, 500], [False, False])
    assert nothing.median == (math.inf, 500, math.inf)
    assert nothing.interquartile_range == math.inf
    assert nothing.success_rate.value == 0


def test_the_interquartile_range_is_infinite_where_the_slow_quarter_is_censored():
    assert ConvergenceTimes([1, 2, 3, 4], [True] * 4).interquartile_range == 2
    assert ConvergenceTimes([1, 2, 9, 9], [True, True, False, False]).interquartile_range == math.inf


def test_success_rates_have_wilson_intervals():
    """Wilson (1927); for 5 of 25: centre (0.2 + z^2 / 50) / (1 + z^2 / 25), worked out by hand."""
    z2 = 1.959963984540054**2
    centre, spread = (0.2 + z2 / 50) / (1 + z2 / 25), math.sqrt(z2 * (0.16 / 25 + z2 / 2500)) / (1 + z2 / 25)
    assert wilson(5, 25) == pytest.approx((0.2, centre - spread, centre + spread), rel=1e-12)
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1


def test_a_power_law_is_found_with_its_interval():
    sizes = [10, 20, 40, 80]
    exact = [ConvergenceTimes([2 * n**1.5] * 3, [True] * 3) for n in sizes]
    law = fit_law(np.log(sizes), exact)
    assert law.slope.value == pytest.approx(1.5)
    assert law.predict(math.log(30)) == pytest.approx(2 * 30**1.5)
    assert (law.r_squared, law.settings, law.censored) == (pytest.approx(1), 4, 0)


def test_the_interval_of_a_slope_is_that_of_student():
    """Of y = 0, 1, 1 at x = 0, 1, 2: slope 1/2, residuals -1/6, 1/3, -1/6, a variance of 1/6 over 2; t = 12.706."""
    times = [ConvergenceTimes([math.e**y], [True]) for y in (0, 1, 1)]
    law = fit_law([0, 1, 2], times)
    reach = 12.7062047 * math.sqrt(1 / 12)
    assert law.slope == pytest.approx((0.5, 0.5 - reach, 0.5 + reach))
    assert law.r_squared == pytest.approx(0.75)


def test_settings_without_a_median_are_left_out_and_counted():
    late = ConvergenceTimes([10, 99, 99], [True, False, False])
    law = fit_law([0, 1, 2], [ConvergenceTimes([t], [True]) for t in (1, 2)] + [late])
    assert (law.settings, law.censored) == (2, 1)
    assert math.isnan(law.slope.low)
    with pytest.raises(InputError, match="two settings"):
        fit_law([0, 1], [late, late])


@pytest.mark.parametrize("columns", [([], []), ([1.0], [True, False]), ([0.0], [True]), ([math.inf], [False])])
def test_times_that_are_none_are_refused(columns):
    with pytest.raises(InputError):
        ConvergenceTimes(*columns)


def test_more_successes_than_trials_are_refused():
    with pytest.raises(InputError, match="successes"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="share"):
        WATCHED.quantile(1.0)
