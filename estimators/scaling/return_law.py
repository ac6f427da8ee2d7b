"""From loss to return: R = coefficient * (1/L)^exponent, or R = (a (1/L)^delta + b)^-1, which levels off at 1/b.

Both are fitted to ln R, and an interval of the loss is carried through to one of the return.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from sandtable.estimators.scaling.law_result import LawResult, WaldInterval
from sandtable.estimators.scaling.power_law import PowerLaw
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.run_columns import name_rows

Form = Literal["power", "saturating"]


@dataclass(frozen=True)
class ReturnLaw:
    """A law of return by loss.

    Attributes:
        form: ``"power"``: R = coefficient * (1/L)^exponent. ``"saturating"``: R = (a (1/L)^delta + b)^-1 with a > 0,
            b >= 0 (arXiv 2307.09423 v3); delta is below 0 where less loss means more return.
        ceiling: The greatest possible return; fixes b = 1 / ceiling in the saturating form. None leaves b free.
        method: Of the interval: ``"t"`` or ``"hc3"``; ``"hac"`` too for the power form.
        level: Of the interval.
    """

    form: Form = "power"
    ceiling: float | None = None
    method: Literal["t", "hc3", "hac"] = "t"
    level: float = 0.95

    def fit(self, loss: Any, returns: Any, rows: np.ndarray | None = None) -> LawResult:
        """Fit the law.

        Args:
            loss: [n], > 0.
            returns: [n], > 0, and below the ceiling where there is one.
            rows: Lines of the file, [n].

        Raises:
            InputError: A value is not positive and finite, there are too few, or a return reaches the ceiling.
        """
        inverse, returns = 1 / np.asarray(loss, float), np.asarray(returns, float)
        if self.form == "power":
            if self.ceiling is not None:
                raise ValueError("a ceiling is for the saturating form; the power form has none")
            law = PowerLaw(offset=False, method=self.method, level=self.level, law="return")
            return replace(law.fit(inverse, returns, rows), function=power_return)
        if self.method == "hac":
            raise ValueError("method hac is for the power form")
        rows = np.arange(len(returns)) if rows is None else np.asarray(rows)
        # 1/R is a power law with an offset, and ln(1/R) = -ln R
        if self.ceiling is None:
            law = PowerLaw(offset=True, method=self.method, level=self.level, least_offset=0.0, law="return")
            bent = law.fit(inverse, 1 / returns, rows)
            return self._of(bent, bent.params.to_numpy(), bent.cov, len(returns) - 3)
        if not (returns < self.ceiling).all():
            reached = rows[returns >= self.ceiling]
            raise InputError(f"{name_rows(reached)}: a return must be below the ceiling, {self.ceiling:g}")
        law = PowerLaw(
            offset=False, method=self.method, level=self.level, known_offset=1 / self.ceiling, law="return"
        )
        bent = law.fit(inverse, 1 / returns, rows)
        cov = np.zeros((3, 3))
        cov[:2, :2] = bent.cov
        return self._of(bent, np.append(bent.params.to_numpy(), 1 / self.ceiling), cov, len(returns) - 2)

    def _of(self, bent: LawResult, theta: np.ndarray, cov: np.ndarray, df: int) -> LawResult:
        """Return the law of R from that of 1/R, of (coefficient, exponent, offset) theta."""
        order = [0, 2, 1]
        params, cov = pd.Series(theta[order], index=["a", "b", "delta"]), cov[np.ix_(order, order)]
        interval = WaldInterval(params.to_numpy(), cov, df, (True, False, False), self.method, self.level)
        return replace(
            bent,
            params=params,
            cov=cov,
            fitted=-bent.fitted,
            residuals=-bent.residuals,
            interval=interval,
            function=saturating_return,
        )


def power_return(params: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Return coefficient * (1/L)^exponent, the shape of the loss."""
    return params[0] * loss ** -params[1]


def saturating_return(params: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Return (a (1/L)^delta + b)^-1 of parameters (a, b, delta), the shape of the loss."""
    return 1 / (params[0] * loss ** -params[2] + params[1])


def return_interval(
    result: LawResult, loss: Any, loss_ends: np.ndarray | None = None, alpha: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean return at losses, and its interval, into which the losses' own is carried.

    The doubt of the law and that of the loss come from different data; in logs, their half-widths add in squares, on
    either side by itself.

    Args:
        result: A return law with an interval.
        loss: [m], > 0.
        loss_ends: Low and high ends of the losses, of the same level, [m, 2]; None for losses that are known.
        alpha: One less the level; None takes that of the law's interval.

    Returns:
        The return [m], and its low and high ends [m, 2].
    """
    losses = np.atleast_1d(np.asarray(loss, float))
    if result.function is None or result.interval is None:
        raise ValueError("result must be a return law with an interval")
    function, centre = result.function, np.log(result.predict(losses))
    level = result.interval.level if alpha is None else 1 - alpha
    ends = np.log(result.interval.of(lambda params: function(params, losses), level))
    below, above = centre - ends[:, 0], ends[:, 1] - centre
    if loss_ends is not None:
        moved = np.log(result.predict(np.asarray(loss_ends, float)))  # the greater loss gives the lesser return
        below = np.hypot(below, np.maximum(centre - moved.min(axis=1), 0))
        above = np.hypot(above, np.maximum(moved.max(axis=1) - centre, 0))
    return np.exp(centre), np.exp(np.stack([centre - below, centre + above], axis=-1))
