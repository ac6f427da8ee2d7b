"""ValueEstimate: what every estimator of a policy's value returns, with its uncertainty and what went wrong."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import stats

Interval = Literal["hc0", "cluster", "episode_bootstrap", "one_step_bootstrap", "none"]
"""Where the standard error comes from; what each assumes is told in ``estimators/ope/linear/intervals.py``."""
Status = Literal["ok", "diverged", "singular", "not converged", "not run"]


@dataclass(frozen=True)
class ValueEstimate:
    """The value of a target policy at the start, unnormalised: the expected sum of discounted rewards.

    Attributes:
        estimator: Its name, for example ``"lstd"``.
        value: The estimate; NaN where there is none.
        se: Its standard error; None where none was asked for.
        interval: How the standard error, or the replicates, came about.
        replicates: Bootstrap values, [B]; the interval is then made of their percentiles. None for a normal interval.
        status: ``"ok"``; ``"diverged"``, where an iteration does; ``"singular"``, where the data do not determine the
            parameters, and the least-norm ones were taken; ``"not converged"``, where a training ended too early;
            ``"not run"``, where the log cannot serve the estimator.
        reason: One sentence, where the status is not ``"ok"`` or something is to be known; else empty.
        iterations: How many were made; None for what needs none, and for a limit.
        params: Of the value function, [d]; None where there are none.
    """

    estimator: str
    value: float
    se: float | None = None
    interval: Interval = "none"
    replicates: np.ndarray | None = field(default=None, repr=False)
    status: Status = "ok"
    reason: str = ""
    iterations: int | None = None
    params: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def not_run(cls, estimator: str, reason: str) -> "ValueEstimate":
        """Return the estimate of an estimator that the log cannot serve."""
        return cls(estimator, float("nan"), status="not run", reason=reason)

    def conf_int(self, alpha: float = 0.05) -> tuple[float, float]:
        """Return the ends of the confidence interval at level 1 - ``alpha``; NaN where nothing tells them.

        Percentiles of the finite replicates, where there are any; otherwise the normal interval of ``se``.

        Raises:
            ValueError: ``alpha`` does not lie strictly between 0 and 1.
        """
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha}")
        if self.replicates is not None:
            finite = self.replicates[np.isfinite(self.replicates)]
            if len(finite) < 2:
                return float("nan"), float("nan")
            low, high = np.quantile(finite, [alpha / 2, 1 - alpha / 2])
            return float(low), float(high)
        if self.se is None:
            return float("nan"), float("nan")
        half = float(stats.norm.ppf(1 - alpha / 2)) * self.se
        return self.value - half, self.value + half

    def summary(self, alpha: float = 0.05) -> str:
        """Return one line: the value, its interval, and what is to be known of it."""
        line = f"{self.estimator:10} {self.value:12.5g}"
        if self.interval != "none":
            low, high = self.conf_int(alpha)
            line += f"  [{low:.5g}, {high:.5g}] at {1 - alpha:.0%} ({self.interval})"
        if self.status != "ok":
            line += f"  {self.status}"
        return f"{line}: {self.reason}" if self.reason else line
