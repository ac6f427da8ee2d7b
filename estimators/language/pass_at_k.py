"""pass@k: how likely one of k completions of a prompt is right, from n of them of which c are.

The estimator is unbiased (Chen et al., arXiv 2107.03374, equation 1): with n completions drawn,
``1 - C(n - c, k) / C(n, k) = 1 - prod_{i = n - c + 1}^{n} (1 - k / i)``, here as a quotient of integers, so that only
its last step rounds. ``1 - (1 - c / n)^k`` would be too low.

Completions of one prompt are alike, so the prompts are what was sampled: the standard error is over prompts, or over
their groups.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

Counts = np.ndarray | Sequence[int]


def pass_at_k(n: Counts, c: Counts, k: int) -> np.ndarray:
    """Return the unbiased estimate of each prompt, float64 [P] in [0, 1]; NaN where n < k.

    Args:
        n: Completions a prompt, integers [P].
        c: Of these, the right ones, integers [P], between 0 and n.
        k: How many are drawn, at least 1.

    Raises:
        ValueError: A number is out of its range.
    """
    n, c = np.asarray(n, np.int64), np.asarray(c, np.int64)
    if n.shape != c.shape or n.ndim != 1 or (c < 0).any() or (c > n).any():
        raise ValueError("n and c must be of one length, with 0 <= c <= n")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    one = {pair: _of_prompt(*pair, k) for pair in set(zip(n.tolist(), c.tolist(), strict=True))}
    return np.array([one[pair] for pair in zip(n.tolist(), c.tolist(), strict=True)], np.float64)


def _of_prompt(n: int, c: int, k: int) -> float:
    if n < k:
        return math.nan
    if n - c < k:
        return 1.0
    none = math.prod(range(n - c + 1 - k, n + 1 - k))  # none of k is right, in units of the next line
    ways = math.prod(range(n - c + 1, n + 1))
    return (ways - none) / ways


@dataclass(frozen=True)
class PassAtKResult:
    """The mean of pass@k over prompts.

    Attributes:
        k: How many completions are drawn.
        estimate: The mean, NaN where no prompt has k completions.
        se: Its standard error over prompts, or over groups of them; NaN for fewer than two.
        ci: Its interval, see ``PassAtK``; NaN for fewer than two.
        prompts: How many it is the mean of.
        left_out: Prompts with fewer than k completions.
    """

    k: int
    estimate: float
    se: float
    ci: tuple[float, float]
    prompts: int
    left_out: int


@dataclass(frozen=True)
class PassAtK:
    """Estimates pass@k with its standard error and an interval.

    The standard error is that of a mean over independent groups (linearised, with factor G / (G - 1)); a prompt without
    a group is one of its own. The interval is Wilson's, at the number of independent trials that would have this
    standard error, ``p (1 - p) / se^2``, with a quantile of Student's t of G - 1 degrees of freedom (Korn and Graubard
    1998, Dean and Pagano 2015, do so for surveys): it stays in [0, 1], and where all prompts agree it has a width, that
    of G trials.

    Attributes:
        k: How many completions are drawn, at least 1.
        level: Confidence of the interval, between 0 and 1.
    """

    k: int
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, not {self.level}")

    def fit(self, n: Counts, c: Counts, groups: Sequence[str | None] | None = None) -> PassAtKResult:
        """Return pass@k over prompts.

        Args:
            n: Completions a prompt, integers [P].
            c: Of these, the right ones, [P].
            groups: [P], of prompts that are not independent of each other; None: of none.

        Raises:
            ValueError: Numbers that cannot be, see ``pass_at_k``.
        """
        each = pass_at_k(n, c, self.k)
        kept = np.isfinite(each)
        values, prompts, left_out = each[kept], int(kept.sum()), int((~kept).sum())
        if not prompts:
            return PassAtKResult(self.k, math.nan, math.nan, (math.nan, math.nan), 0, left_out)
        mean = float(values.mean())
        names = [None] * len(each) if groups is None else list(groups)
        totals = _by_group(values - mean, [name for name, use in zip(names, kept, strict=True) if use])
        g = len(totals)
        if g < 2:
            return PassAtKResult(self.k, mean, math.nan, (math.nan, math.nan), prompts, left_out)
        se = math.sqrt(g / (g - 1) * float(np.square(totals).sum())) / prompts
        return PassAtKResult(self.k, mean, se, self._interval(mean, se, g), prompts, left_out)

    def _interval(self, p: float, se: float, groups: int) -> tuple[float, float]:
        """Return Wilson's interval for the trials that a standard error is worth: at least one, G where it is 0."""
        agree = se < 1e-12  # but for rounding
        trials = float(groups) if agree else max(1.0, p * (1 - p) / se**2)
        t = float(stats.t.ppf(0.5 + self.level / 2, groups - 1))
        spread = t**2 / trials
        middle = (p + spread / 2) / (1 + spread)
        half = math.sqrt(p * (1 - p) * spread + spread**2 / 4) / (1 + spread)
        return max(0.0, middle - half), min(1.0, middle + half)


def _by_group(values: np.ndarray, groups: Sequence[str | None]) -> np.ndarray:
    """Return the sums of values by group; a value without a group stands alone."""
    totals: dict[object, float] = {}
    for i, (value, group) in enumerate(zip(values.tolist(), groups, strict=True)):
        key = i if group is None else group
        totals[key] = totals.get(key, 0.0) + value
    return np.array(list(totals.values()), np.float64)


def usual_ks(least: int, most: int) -> list[int]:
    """Return the k that are told of prompts with ``least`` to ``most`` completions.

    These are 1, 2, 5, 10, 20, 50, 100 and so on, and the largest one that all prompts have completions for.
    """
    usual = {one * 10**power for power in range(len(str(most))) for one in (1, 2, 5)}
    return sorted({k for k in usual if k <= most} | {least})
