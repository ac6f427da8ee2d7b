"""Convergence times: how long training took, where some trainings were ended before they were done.

A training that has not converged when it ends is *censored*: its time is larger than its horizon, and nobody knows by
how much. Leaving it out would make learning look fast, and counting its horizon would do so a little less. So medians
and quartiles are those of the Kaplan-Meier estimate of the survival function, which counts it as unconverged for as
long as it was watched. A training that diverged never converges, and is censored at its horizon too.

Convergence is looked for every so many steps, so a time is the upper end of an interval of that length.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sandtable.simulators.errors import InputError

_ROUNDING = 1e-9  # statsmodels multiplies survival probabilities by their logarithms


class Estimate(NamedTuple):
    """An estimate with its interval of 95 %; infinite: beyond what was watched; NaN: not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ConvergenceTimes:
    """The times of independent trainings.

    Attributes:
        steps: Steps until a training converged or was ended, each positive.
        converged: Whether it converged.
        interval: Steps between two looks; 0 if times are known to the step.

    Raises:
        InputError: There are no trainings, or the columns do not fit.
    """

    steps: Sequence[float]
    converged: Sequence[bool]
    interval: int = 0

    def __post_init__(self) -> None:
        if not len(self.steps) or len(self.steps) != len(self.converged):
            raise InputError(
                f"steps and converged: one of each for every training, and not {len(self.steps)} and "
                f"{len(self.converged)}"
            )
        if not all(0 < one < math.inf for one in self.steps) or self.interval < 0:
            raise InputError("steps must be positive and finite, and the interval not negative")

    @property
    def trainings(self) -> int:
        """How many there are."""
        return len(self.steps)

    @property
    def median(self) -> Estimate:
        """Half of the trainings have converged by then."""
        return self.quantile(0.5)

    @property
    def interquartile_range(self) -> float:
        """The steps between the first quarter and the third; infinite if that many have not converged."""
        return self.quantile(0.75).value - self.quantile(0.25).value if any(self.converged) else math.inf

    def survival(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the Kaplan-Meier estimate.

        Returns:
            The times at which trainings converged, ascending, and the share that is unconverged from each on.
        """
        if not any(self.converged):
            return np.empty(0), np.empty(0)
        from statsmodels.duration.survfunc import SurvfuncRight

        fitted = SurvfuncRight(np.asarray(self.steps, float), np.asarray(self.converged, int))
        return fitted.surv_times, fitted.surv_prob

    def quantile(self, share: float) -> Estimate:
        """Return the time by which a share of the trainings has converged: the first with survival <= 1 - share.

        The interval is that of Brookmeyer and Crowley (1982), on the scale of log(-log S), and begins one look earlier.

        Args:
            share: In (0, 1).
        """
        if not 0 < share < 1:
            raise ValueError(f"share must lie between 0 and 1, not be {share}")
        times, survival = self.survival()
        if not len(times):
            return Estimate(math.inf, float(max(self.steps)), math.inf)
        reached = np.flatnonzero(survival <= 1 - share + _ROUNDING)
        value = float(times[reached[0]]) if len(reached) else math.inf
        from statsmodels.duration.survfunc import SurvfuncRight

        fitted = SurvfuncRight(np.asarray(self.steps, float), np.asarray(self.converged, int))
        with np.errstate(all="ignore"):  # the logarithm of a survival of 0 is on the way, and is not used
            low, high = fitted.quantile_ci(share)
        if math.isnan(low):  # all trainings have the same time
            low = high = value
        return Estimate(value, float(low) - self.interval, float(high))

    @property
    def success_rate(self) -> Estimate:
        """The share of trainings that converged within their horizons, with Wilson's interval."""
        return wilson(sum(map(bool, self.converged)), self.trainings)


def wilson(successes: int, trials: int) -> Estimate:
    """Return a success rate with Wilson's interval of 95 %.

    Raises:
        InputError: There are no trials, or more successes than those.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise InputError(f"{successes} successes in {trials} trials: there must be trials, and no more successes")
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, trials, method="wilson")
    return Estimate(successes / trials, max(0.0, float(low)), min(1.0, float(high)))


@dataclass(frozen=True)
class Law:
    """``log t_c = intercept + slope x``, fitted to the medians of several settings.

    Attributes:
        intercept: a.
        slope: b with its interval of 95 %, by Student's distribution; bounds are NaN with fewer than three settings.
        r_squared: The share of the variance of log t_c that x accounts for.
        settings: Settings with a median.
        censored: Settings left out since less than half of their trainings converged: where there are some, the law
            is one of the easier settings, and its slope probably too small.
    """

    intercept: float
    slope: Estimate
    r_squared: float
    settings: int
    censored: int

    def predict(self, x: float) -> float:
        """Return the t_c of the law."""
        return math.exp(self.intercept + self.slope.value * x)


def fit_law(x: Sequence[float], times: Sequence[ConvergenceTimes]) -> Law:
    """Fit ``log t_c = a + b x`` by least squares to the Kaplan-Meier medians of settings.

    With x = log n it is a power law, t_c ~ n^b; with x = k it grows by the factor exp(b) with each further bit.

    Args:
        x: Of each setting.
        times: Of the trainings of each setting.

    Raises:
        InputError: Fewer than two different x have a median.
    """
    if len(x) != len(times):
        raise ValueError(f"x and times must be of one length, not {len(x)} and {len(times)}")
    medians = [one.median.value for one in times]
    known = [(float(at), math.log(median)) for at, median in zip(x, medians, strict=True) if math.isfinite(median)]
    if len({at for at, _ in known}) < 2:
        raise InputError(f"a law needs two settings in which half of the trainings converge; there are {len(known)}")
    import statsmodels.api as sm

    at, logarithms = np.array(known).T
    fitted = sm.OLS(logarithms, sm.add_constant(at)).fit()
    low, high = fitted.conf_int()[1] if len(known) > 2 else (math.nan, math.nan)
    slope = Estimate(float(fitted.params[1]), float(low), float(high))
    return Law(float(fitted.params[0]), slope, float(fitted.rsquared), len(known), len(x) - len(known))
