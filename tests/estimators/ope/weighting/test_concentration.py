"""Bounds by a declared range: right where a peer's are not, and refused where no range was declared."""

import numpy as np
import pytest

from sandtable.estimators.ope.weighting.concentration import empirical_bernstein, hoeffding


@pytest.mark.parametrize(("n", "half"), [(100, 0.1358), (10_000, 0.01358)])
def test_hoeffding_narrows_with_the_root_of_the_number(n, half):
    """sqrt(log(40) / (2 n)). SCOPE-RL multiplies by n: [-13.0, 14.1] for 100 uniforms, [-135, 136] for 10,000."""
    values = np.random.default_rng(0).random(n)
    low, high = hoeffding(values, 0.0, 1.0)
    assert (high - low) / 2 == pytest.approx(half, rel=1e-3)
    assert low < 0.5 < high


def test_bernstein_by_hand():
    """Values 0, 1 twice over: V = 1/3, L = log 80; its second term alone is wider than the range."""
    assert empirical_bernstein(np.array([0.0, 1.0, 0.0, 1.0]), 0.0, 1.0) == (0.0, 1.0)
    values = np.tile([0.0, 1.0], 5000)
    logarithm, variance = np.log(80), values.var(ddof=1)
    half = np.sqrt(2 * variance * logarithm / 10_000) + 7 * logarithm / (3 * 9_999)
    assert empirical_bernstein(values, 0.0, 1.0) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-12)


def test_little_variance_narrows_bernstein_alone():
    values = np.full(2000, 0.5)
    widths = [high - low for low, high in (hoeffding(values, -10, 10), empirical_bernstein(values, -10, 10))]
    assert widths[1] < 0.4 * widths[0]


@pytest.mark.parametrize("bound", [hoeffding, empirical_bernstein])
def test_signed_values_are_covered(bound):
    """The peers take the largest sample as the range, which for losses is next to nothing."""
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        low, high = bound(generator.choice([-1.0, 0.0], 50, p=[0.9, 0.1]), -1.0, 0.0)
        covered += low <= -0.9 <= high
    assert covered >= 190


@pytest.mark.parametrize("bound", [hoeffding, empirical_bernstein])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.array([0.5, 1.5]), 0.0, 1.0), "declared range"),
        ((np.array([0.5, np.nan]), 0.0, 1.0), "declared range"),
        ((np.zeros(0), 0.0, 1.0), "declared range"),
        ((np.array([0.5, 0.5]), 1.0, 0.0), "low below high"),
        ((np.array([0.5, 0.5]), 0.0, 1.0, 1.0), "alpha"),
    ],
)
def test_what_is_no_range_is_refused(bound, arguments, message):
    with pytest.raises(ValueError, match=message):
        bound(*arguments)
