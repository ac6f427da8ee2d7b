"""LawResult: a fitted scaling law in the way of statsmodels, and the intervals that it can be given."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from sandtable.simulators.scaling.runs import Finding

Function = Callable[..., np.ndarray]
"""From parameters [p] (and inputs [m]) to values [m]."""


class Interval(ABC):
    """Confidence intervals of a law's parameters, and of whatever follows from them.

    Attributes:
        method: ``"t"``, ``"hc3"``, ``"hac"``, ``"profile"``, ``"bca"`` or ``"percentile"``.
        level: The confidence that the user asked for, in (0, 1).
        resamples: How many resampled fits were made; 0 where none are.
        failed: How many of those did not converge; above 5 % of them the ends are NaN.
    """

    method: str
    level: float
    resamples: int
    failed: int

    @abstractmethod
    def ends(self, level: float) -> np.ndarray:
        """Return the ends of every parameter's interval, [p, 2]; NaN where there is none."""

    @abstractmethod
    def of(self, function: Callable[[np.ndarray], np.ndarray], level: float) -> np.ndarray:
        """Return the ends for a positive function of the parameters, [p] to [m]: [m, 2]; NaN where there are none."""


@dataclass(frozen=True)
class WaldInterval(Interval):
    """Estimate plus and minus a quantile of Student's t (or the normal) times its standard error.

    Functions of the parameters have theirs by the delta method on their logarithm, so the ends stay positive.

    Attributes:
        params: [p].
        cov: [p, p].
        df: Degrees of freedom, one for all or [p]; infinite for the normal distribution.
        logs: Of which parameters the interval is made in logs (``cov`` stays that of the parameters themselves), [p].
        method: See ``Interval``.
        level: See ``Interval``.
        resamples: Always 0.
        failed: Always 0.
    """

    params: np.ndarray
    cov: np.ndarray
    df: Any = np.inf
    logs: tuple[bool, ...] = ()
    method: str = "t"
    level: float = 0.95
    resamples: int = 0
    failed: int = 0

    def ends(self, level: float) -> np.ndarray:
        """See ``Interval``."""
        half = _quantile(level, self.df) * np.sqrt(np.diagonal(self.cov))
        plain = np.stack([self.params - half, self.params + half], axis=-1)
        if not any(self.logs):
            return plain
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            factor = np.exp(half / np.abs(self.params))
            in_logs = np.stack([self.params / factor, self.params * factor], axis=-1)
        return np.where(np.asarray(self.logs)[:, None], in_logs, plain)

    def of(self, function: Callable[[np.ndarray], np.ndarray], level: float) -> np.ndarray:
        """See ``Interval``."""

        def log_of(params: np.ndarray) -> np.ndarray:
            return np.log(np.atleast_1d(function(params)))

        centre, gradient = log_of(self.params), gradient_of(log_of, self.params)
        half = _quantile(level, np.min(self.df)) * np.sqrt(np.einsum("mi,ij,mj->m", gradient, self.cov, gradient))
        return np.exp(np.stack([centre - half, centre + half], axis=-1))


def _quantile(level: float, df: Any) -> Any:
    """Return the two-sided quantile of Student's t; NaN without degrees of freedom."""
    return stats.t.ppf((1 + level) / 2, np.where(np.asarray(df) > 0, df, np.nan))


def gradient_of(function: Callable[[np.ndarray], np.ndarray], params: np.ndarray) -> np.ndarray:
    """Return the central-difference gradient of a function from [p] to [m], [m, p]."""
    columns = []
    for index, value in enumerate(params):
        step = np.zeros(len(params))
        step[index] = 6e-6 * max(abs(value), 1e-8)
        columns.append((function(params + step) - function(params - step)) / (2 * step[index]))
    return np.stack(columns, axis=-1)


@dataclass(frozen=True)
class LawResult:
    """A fitted law.

    Attributes:
        law: ``"approach1"``, ``"approach2"``, ``"approach3"``, ``"minima"``, ``"compute"`` or ``"return"``.
        params: By name, float64 [p]; what follows from fitted ones (an exponent, say) is among them.
        cov: Covariance of the parameters, [p, p]; NaN where none is known.
        objective: Name of what was minimised: ``"ols-log"``, ``"huber-log"``, ``"ls-log"``, ``"ls"``, ...
        objective_sum: Its sum over the observations, at the estimate.
        fitted: Of each observation, in the scale of the residuals, [n].
        residuals: Observed less fitted, [n]; in logs where the objective is one on logs.
        rows: Lines of the file of the observations, int64 [n].
        interval: What ``conf_int`` uses; None without.
        delta: Threshold of the Huber loss; None for another.
        converged: Whether the optimiser reached a stationary point; True for a closed form.
        gradient_norm: Of the objective at the estimate; 0 in closed form.
        rank: Of the design (or Jacobian) at the estimate.
        condition_number: Of the same, its columns scaled to length 1.
        function: ``function(params, *inputs)`` gives what ``predict`` returns; None where there is no response.
        optimum_function: ``optimum_function(params, flops)`` gives the compute-optimal ``parameters``, ``data``,
            ``loss`` (those that the law knows), each [m]; None for a law without.
        minima: A row a budget: ``flops parameters data loss return on_edge``, NaN where unknown; None without.
        profiles: By parameter, pairs of its value and the objective re-optimised there, [m, 2].
        statistics: Further numbers by name, for example ``durbin_watson`` or ``aicc``.
        beside: The same law by other means, by name: ``"hac"``, ``"edge_free"``, ``"interval_censored"``, ...
        warnings: What was found on the way.
    """

    law: str
    params: pd.Series
    cov: np.ndarray = field(repr=False)
    objective: str
    objective_sum: float
    fitted: np.ndarray = field(repr=False)
    residuals: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    interval: Interval | None = field(default=None, repr=False)
    delta: float | None = None
    converged: bool = True
    gradient_norm: float = 0.0
    rank: int = 0
    condition_number: float = float("nan")
    function: Function | None = field(default=None, repr=False)
    optimum_function: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]] | None = field(default=None, repr=False)
    minima: pd.DataFrame | None = field(default=None, repr=False)
    profiles: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    statistics: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, "LawResult"] = field(default_factory=dict, repr=False)
    warnings: tuple[Finding, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the parameters."""
        return tuple(self.params.index)

    @property
    def nobs(self) -> int:
        """Return how many observations were fitted."""
        return len(self.residuals)

    @property
    def bse(self) -> pd.Series:
        """Return the standard errors of the parameters, by name; NaN where none is known."""
        with np.errstate(invalid="ignore"):
            return pd.Series(np.sqrt(np.diagonal(self.cov)), index=self.params.index)

    def conf_int(self, alpha: float | None = None) -> pd.DataFrame:
        """Return the ends of the intervals in columns 0 and 1, as statsmodels does; NaN where there is none.

        Args:
            alpha: One less the level, in (0, 1); None takes the level that the interval was made for.
        """
        if alpha is not None and not 0 < alpha < 1:
            raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha}")
        ends = np.full((len(self.params), 2), np.nan)
        if self.interval is not None:
            ends = self.interval.ends(self.interval.level if alpha is None else 1 - alpha)
        return pd.DataFrame(ends, index=self.params.index, columns=[0, 1])

    def predict(self, *inputs: Any) -> np.ndarray:
        """Return the response at the law's own inputs: (N, D) of Approach 3, C of a power law, L of a return law.

        Raises:
            ValueError: The law predicts no response.
        """
        if self.function is None:
            raise ValueError(f"{self.law} predicts no response; optimum(flops) tells what it knows")
        return self.function(self.params.to_numpy(), *(np.asarray(one, float) for one in inputs))

    def optimum(self, flops: Any) -> dict[str, np.ndarray]:
        """Return the compute-optimal parameters, data and loss (those that the law knows) at budgets [m], each [m].

        Raises:
            ValueError: The law knows no optimum.
        """
        if self.optimum_function is None:
            raise ValueError(f"{self.law} knows no compute-optimal size")
        return self.optimum_function(self.params.to_numpy(), np.asarray(flops, float))

    def optimum_interval(self, flops: Any, alpha: float | None = None) -> dict[str, np.ndarray]:
        """Return the ends of the intervals of what ``optimum`` returns, each [m, 2]."""
        budgets, ends = np.atleast_1d(np.asarray(flops, float)), {}
        for name in self.optimum(budgets):
            if self.interval is None:
                ends[name] = np.full((len(budgets), 2), np.nan)
                continue
            level = self.interval.level if alpha is None else 1 - alpha
            ends[name] = self.interval.of(self._optimum_of(name, budgets), level)
        return ends

    def _optimum_of(self, name: str, flops: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        function = self.optimum_function
        assert function is not None
        return lambda params: function(params, flops)[name]

    def with_interval(self, interval: Interval) -> "LawResult":
        """Return the same law with other intervals."""
        return replace(self, interval=interval)

    def summary(self, alpha: float | None = None) -> str:
        """Return the parameters, their standard errors and intervals as a table of text, and what was found."""
        ends, errors = self.conf_int(alpha), self.bse
        method = "no interval" if self.interval is None else self.interval.method
        head = (
            f"{self.law}: {self.nobs} observations, {self.objective} {self.objective_sum:.6g}, "
            f"{'converged' if self.converged else 'NOT converged'}, rank {self.rank}, "
            f"condition number {self.condition_number:.3g}"
        )
        lines = [head, f"{'':18}{'estimate':>14}{'std. error':>14}{'low':>14}{'high':>14}   {method}"]
        for name, value, error, (low, high) in zip(self.names, self.params, errors, ends.to_numpy(), strict=True):
            lines.append(f"{name:18}{value:14.6g}{error:14.4g}{low:14.6g}{high:14.6g}")
        lines += [f"{name}: {value:.6g}" for name, value in self.statistics.items()]
        return "\n".join([*lines, *(f"{finding.code}: {finding.message}" for finding in self.warnings)])
