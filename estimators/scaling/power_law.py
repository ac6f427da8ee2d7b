"""A response against compute: y = coefficient * C^exponent, with or without an offset that compute cannot remove."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import optimize

from sandtable.estimators.scaling.law_result import LawResult, WaldInterval
from sandtable.estimators.scaling.log_line import durbin_watson, fit_log_line
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.run_columns import name_rows
from sandtable.simulators.scaling.runs import Finding

Objective = Literal["ls-log", "ls"]
Method = Literal["t", "hc3", "hac"]

_EXPONENTS = np.concatenate([-np.geomspace(0.01, 3, 60)[::-1], np.geomspace(0.01, 3, 60)])


@dataclass(frozen=True)
class PowerLaw:
    """A power law of a positive response.

    With an offset the law is linear in coefficient and offset for a given exponent, so the exponent is searched on a
    grid and the best point polished; no start is asked for.

    Attributes:
        offset: True for y = coefficient * x^exponent + offset; False without; None for the one of lower AICc, the other
            stands in ``beside``.
        objective: ``"ls-log"``: squares of ln y less ln fitted. ``"ls"``: squares of y less fitted.
        method: Of the interval: ``"t"``, ``"hc3"``, or (without offset, in logs) ``"hac"``.
        level: Of the interval.
        least_offset: The least offset that is allowed; minus infinity for any.
        known_offset: Of a law without an offset of its own: what is added all the same.
        response: ``"loss"`` makes ``optimum`` return the loss.
        law: The name of the law in the result.
    """

    offset: bool | None = None
    objective: Objective = "ls-log"
    method: Method = "t"
    level: float = 0.95
    least_offset: float = -np.inf
    known_offset: float = 0.0
    response: str = "loss"
    law: str = "compute"

    def fit(self, x: Any, y: Any, rows: np.ndarray | None = None) -> LawResult:
        """Fit the law.

        Args:
            x: Compute (or another positive cause), [n], > 0.
            y: Response, [n], > 0.
            rows: Lines of the file, [n]; None for 0, 1, ...

        Raises:
            InputError: There are not more observations than parameters, or a value is not positive and finite.
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        rows = np.arange(len(x)) if rows is None else np.asarray(rows)
        needed = 3 + (self.offset is True)
        if len(x) < needed or len(np.unique(x)) < needed - 1:
            raise InputError(f"a power law of {needed - 1} parameters needs {needed} runs that differ, not {len(x)}")
        bad = ~(np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0))
        if bad.any():
            raise InputError(f"{name_rows(rows[bad])}: a power law needs values that are positive and finite")
        order = np.argsort(x, kind="stable")
        x, y, rows = x[order], y[order], rows[order]
        if self.offset is None:
            pure = replace(self, offset=False).fit(x, y, rows)
            if len(x) < 5 or len(np.unique(x)) < 4:
                return pure
            bent = replace(self, offset=True).fit(x, y, rows)
            if bent.statistics["aicc"] < pure.statistics["aicc"]:
                return replace(bent, beside={"pure": pure})
            return replace(pure, beside={"offset": bent})
        return self._fit(x, y, rows)

    def _fit(self, x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> LawResult:
        centre = float(np.exp(np.log(x).mean()))
        scaled = x / centre  # a coefficient at the centre is well determined, one at x = 1 is not
        if self.offset or self.objective == "ls" or self.known_offset:
            theta, converged = self._search(scaled, y)
        else:
            line = fit_log_line(scaled, y)
            theta, converged = np.array([np.log(line.coefficient), line.exponent]), True
        residuals, jacobian = self._residuals(theta, scaled, y), self._jacobian(theta, scaled)
        cov = self._covariance(theta, scaled, y, jacobian, residuals)
        free = len(theta)
        coefficient = np.exp(theta[0] - theta[1] * np.log(centre))
        gradient = np.eye(free)
        gradient[0, :2] = coefficient, -coefficient * np.log(centre)
        params = pd.Series([coefficient, *theta[1:]], index=["coefficient", "exponent", "offset"][:free])
        cov = gradient @ cov @ gradient.T
        squares, n = float(residuals @ residuals), len(x)
        interval = WaldInterval(
            params.to_numpy(), cov, n - free, (True, False, False)[:free], self.method, self.level
        )
        watson = durbin_watson(residuals, np.log(y) if self.objective == "ls-log" else y)
        findings = correlated(watson, n, "residuals", rows)
        if self.offset and theta[2] <= self.least_offset:
            findings += (Finding("at_bound", f"the offset lies at its bound, {self.least_offset:g}"),)
        if not converged:
            findings += (Finding("not_converged", "the search for the power law did not converge"),)
        return LawResult(
            law=self.law,
            params=params,
            cov=cov,
            objective=self.objective,
            objective_sum=squares,
            fitted=(np.log(y) if self.objective == "ls-log" else y) - residuals,
            residuals=residuals,
            rows=rows,
            interval=interval,
            converged=converged,
            gradient_norm=float(np.linalg.norm(jacobian.T @ residuals)),
            rank=int(np.linalg.matrix_rank(jacobian)),
            condition_number=float(np.linalg.cond(jacobian / np.linalg.norm(jacobian, axis=0))),
            function=partial(power, known_offset=self.known_offset),
            optimum_function=_loss_at if self.response == "loss" and self.law == "compute" else None,
            statistics={"aicc": aicc(squares, n, free), "durbin_watson": watson},
            warnings=findings,
        )

    def _search(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return (ln coefficient, exponent[, offset]) of the least objective."""
        weight = 1 / y if self.objective == "ls-log" else np.ones_like(y)
        starts = []
        for exponent in _EXPONENTS:
            columns = [x**exponent, *([np.ones_like(x)] if self.offset else [])]
            design = np.column_stack(columns) * weight[:, None]
            bounds = ([0.0, self.least_offset][: len(columns)], np.inf)
            linear = optimize.lsq_linear(design, (y - self._known) * weight, bounds).x
            if linear[0] <= 0:
                continue
            theta = np.array([np.log(linear[0]), exponent, *linear[1:]])
            starts.append((float(np.sum(self._residuals(theta, x, y) ** 2)), theta))
        lowest = [-np.inf, -np.inf, self.least_offset][: 2 + bool(self.offset)]
        best = None
        for _, theta in sorted(starts, key=lambda start: start[0])[:3]:
            if self.offset:
                theta[2] = max(theta[2], self.least_offset + 1e-12)
            found = optimize.least_squares(
                self._residuals,
                theta,
                self._slope,
                bounds=(lowest, np.inf),
                args=(x, y),
                x_scale="jac",
                xtol=1e-14,
                ftol=1e-14,
                gtol=1e-14,
                max_nfev=2000,
            )
            if best is None or found.cost < best.cost:
                best = found
        assert best is not None
        return best.x, bool(best.status > 0)

    @property
    def _known(self) -> float:
        return 0.0 if self.offset else self.known_offset

    def _predicted(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.exp(theta[0]) * x ** theta[1] + (theta[2] if len(theta) > 2 else self.known_offset)

    def _residuals(self, theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        predicted = self._predicted(theta, x)
        if self.objective == "ls":
            return y - predicted
        return np.log(y) - np.log(np.maximum(predicted, 1e-300))  # a negative prediction is infinitely bad

    def _slope(self, theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the gradient of the residuals, [n, p]."""
        return -self._jacobian(theta, x)

    def _jacobian(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the gradient of what is fitted (the logarithm of the prediction, or it), [n, p]."""
        power_part = np.exp(theta[0]) * x ** theta[1]
        columns = [power_part, power_part * np.log(x), *([np.ones_like(x)] if len(theta) > 2 else [])]
        jacobian = np.column_stack(columns)
        if self.objective == "ls":
            return jacobian
        return jacobian / np.maximum(self._predicted(theta, x), 1e-300)[:, None]

    def _covariance(
        self, theta: np.ndarray, x: np.ndarray, y: np.ndarray, jacobian: np.ndarray, residuals: np.ndarray
    ) -> np.ndarray:
        n, free = jacobian.shape
        if n <= free:
            return np.full((free, free), np.nan)
        if self.method == "hac":
            if self.offset or self.known_offset or self.objective == "ls":
                raise ValueError("method hac is for a law without offset, in logs")
            line = fit_log_line(x, y, "hac")
            unlog = np.diag([1 / line.coefficient, 1.0])
            return unlog @ line.cov @ unlog
        inverse = np.linalg.pinv(jacobian.T @ jacobian)
        if self.method == "hc3":
            leverage = np.einsum("ni,ij,nj->n", jacobian, inverse, jacobian)
            meat = jacobian * (residuals / np.maximum(1 - leverage, 1e-12))[:, None]
            return inverse @ (meat.T @ meat) @ inverse
        return inverse * float(residuals @ residuals) / (n - free)


def power(params: np.ndarray, x: np.ndarray, known_offset: float = 0.0) -> np.ndarray:
    """Return coefficient * x^exponent plus the offset, the shape of x."""
    return params[0] * x ** params[1] + (params[2] if len(params) > 2 else known_offset)


def _loss_at(params: np.ndarray, flops: np.ndarray) -> dict[str, np.ndarray]:
    return {"loss": power(params, flops)}


def aicc(squares: float, n: int, free: int) -> float:
    """Return Akaike's criterion with the small-sample term (Hurvich and Tsai 1989); the variance counts as free.

    Infinite where the correction has no degrees of freedom left.
    """
    count = free + 1
    if n - count - 1 <= 0:
        return float("inf")
    return n * float(np.log(max(squares, 1e-300) / n)) + 2 * count + 2 * count * (count + 1) / (n - count - 1)


def correlated(statistic: float, n: int, what: str, rows: np.ndarray) -> tuple[Finding, ...]:
    """Return a finding where the lag-one correlation of residuals along compute is above twice its standard error."""
    if abs(1 - statistic / 2) <= 2 / np.sqrt(n):
        return ()
    message = (
        f"the {what} are correlated along compute (Durbin-Watson {statistic:.2f}); intervals that take them for "
        f"independent are too {'narrow' if statistic < 2 else 'wide'}"
    )
    return (Finding("correlated_residuals", message, tuple(int(row) for row in np.sort(rows))),)
