"""How much will be wanted until the next order can arrive: the distribution of demand over several periods."""

import numpy as np
from scipy import stats

_SMALLEST = 1e-12  # size of a negative binomial that is 0 but for a chance of one in a thousand million


def lead_time_demand_quantile(
    mean: np.ndarray, deviation: np.ndarray, periods: np.ndarray, probability: np.ndarray | float
) -> np.ndarray:
    """Return a quantile of the demand over several periods, from the moments of one.

    Demand of different periods is taken as independent. The total is negative binomial with the moments given, or
    Poisson where the variance does not exceed the mean.

    Args:
        mean: Of one period's demand, >= 0, [N].
        deviation: Standard deviation of one period's demand, >= 0, [N].
        periods: Number of periods, > 0, [N] or scalar.
        probability: In (0, 1), [N] or scalar.

    Returns:
        Whole units, float64 [N]; 0 where the mean is 0.

    Raises:
        ValueError: An argument is out of its range, or not finite.
    """
    mean, deviation, periods, probability = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (mean, deviation, periods, probability))
    )
    for name, values in (("mean", mean), ("deviation", deviation)):
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"{name} must be finite and not negative")
    if not (np.isfinite(periods) & (periods > 0)).all():
        raise ValueError("periods must be finite and positive")
    if not ((probability > 0) & (probability < 1)).all():
        raise ValueError("probability must lie strictly between 0 and 1")
    total, variance = mean * periods, deviation**2 * periods
    overdispersed = variance > total * (1 + 1e-9)
    size = np.where(overdispersed, total**2 / np.where(overdispersed, variance - total, 1.0), 1.0)
    success = np.where(overdispersed & (total > 0), total / np.where(overdispersed, variance, 1.0), 1.0)
    poisson = stats.poisson.ppf(probability, np.maximum(total, 1e-12))
    quantile = np.where(overdispersed, stats.nbinom.ppf(probability, np.maximum(size, _SMALLEST), success), poisson)
    return np.where((total > 0) & (size > _SMALLEST), quantile, 0.0)
