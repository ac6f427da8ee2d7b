"""How much will be wanted until the next order can arrive: the distribution of demand over several periods."""

import numpy as np
from scipy import stats


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
    """
    mean, deviation, periods, probability = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (mean, deviation, periods, probability))
    )
    if not ((probability > 0) & (probability < 1)).all():
        raise ValueError("probability must lie strictly between 0 and 1")
    total, variance = mean * periods, deviation**2 * periods
    overdispersed = (variance > total * (1 + 1e-9)) & (total > 0)
    quantile = stats.poisson.ppf(probability, np.maximum(total, 1e-12))
    size = total[overdispersed] ** 2 / (variance - total)[overdispersed]
    quantile[overdispersed] = stats.nbinom.ppf(
        probability[overdispersed], size, total[overdispersed] / variance[overdispersed]
    )
    return np.where(total > 0, quantile, 0.0)
