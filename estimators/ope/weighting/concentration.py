"""Intervals that hold for every number of episodes: bounds of a mean by its declared range.

They need to be told between which numbers a value can lie at all. That is a promise about the world and not about the
sample: with the sample's own extremes in its place the intervals hold for nothing.
"""

import numpy as np


def hoeffding(values: np.ndarray, low: float, high: float, alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval mean +- (high - low) sqrt(log(2 / alpha) / (2 n)) (Hoeffding 1963, theorem 2).

    Args:
        values: [n], independent, each within [low, high].
        low: The least value that there can be.
        high: The greatest.
        alpha: One minus the confidence, in (0, 1).

    Raises:
        ValueError: The range is none, or does not hold a value; ``alpha`` is out of range; there are no values.
    """
    values = _checked(values, low, high, alpha)
    half = (high - low) * np.sqrt(np.log(2 / alpha) / (2 * len(values)))
    return _within(values, half, low, high)


def empirical_bernstein(values: np.ndarray, low: float, high: float, alpha: float = 0.05) -> tuple[float, float]:
    """Return the two-sided interval of Maurer and Pontil (arXiv 0907.3740, theorem 4), which heeds the variance.

    With the sample variance V and L = log(4 / alpha), two sides of alpha / 2 each:
    mean +- (sqrt(2 V L / n) + 7 (high - low) L / (3 (n - 1))).

    Args:
        values: [n], n >= 2, independent, each within [low, high].
        low: The least value that there can be.
        high: The greatest.
        alpha: One minus the confidence, in (0, 1).

    Raises:
        ValueError: As ``hoeffding``, or there is but one value.
    """
    values = _checked(values, low, high, alpha)
    n, logarithm = len(values), np.log(4 / alpha)
    if n < 2:
        raise ValueError("values must be at least 2, to have a variance")
    half = np.sqrt(2 * values.var(ddof=1) * logarithm / n) + 7 * (high - low) * logarithm / (3 * (n - 1))
    return _within(values, half, low, high)


def _checked(values: np.ndarray, low: float, high: float, alpha: float) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha}")
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"low and high must be finite, low below high, not {low} and {high}")
    if values.ndim != 1 or not len(values) or not ((values >= low) & (values <= high)).all():
        raise ValueError(f"values must be numbers within the declared range [{low}, {high}], at least one")
    return values


def _within(values: np.ndarray, half: float, low: float, high: float) -> tuple[float, float]:
    """Return the interval; what lies outside of the range is no news."""
    mean = float(values.mean())
    return max(low, mean - float(half)), min(high, mean + float(half))
