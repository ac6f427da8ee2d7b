"""The season of a whole assortment: how much more is sold in one part of the year than in another."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SeasonalProfile:
    """A fitted season.

    Attributes:
        params: Factor of each part of the year on demand, mean 1, [P].
        bse: Standard errors of the factors, from the spread between products, [P].
        seasons: Number of whole years that were seen.
    """

    params: np.ndarray
    bse: np.ndarray
    seasons: float

    def factor(self, year_fraction: np.ndarray) -> np.ndarray:
        """Return the factor at points of the year in [0, 1), of any shape."""
        parts = len(self.params)
        return self.params[np.minimum((year_fraction * parts).astype(np.int64), parts - 1)]


@dataclass(frozen=True)
class SeasonalIndex:
    """Multiplicative season, pooled over products, by the ratio of demand to its trend.

    Demand is divided by each product's centred moving average over a year (Macaulay's ratio-to-moving-average); the
    ratios are averaged over products and years, weighted by their volume, and smoothed over neighbouring parts.

    Attributes:
        parts: P, parts of a year, for example 52 for weeks.
        smoothing: Parts on each side that the average includes.
    """

    parts: int
    smoothing: int = 1

    def __post_init__(self) -> None:
        if self.parts < 1 or self.smoothing < 0:
            raise ValueError(f"parts must be at least 1 and smoothing 0, not {self.parts} and {self.smoothing}")

    def fit(self, demand: np.ndarray, known: np.ndarray, year_fraction: np.ndarray) -> SeasonalProfile:
        """Fit the profile.

        Args:
            demand: [T, N], units.
            known: bool [T, N], which of them count.
            year_fraction: [T], where in the year each period starts, in [0, 1).

        Raises:
            ValueError: The shapes do not agree, there are fewer than two years of periods, or no product has a year of
                known demand.
        """
        periods = len(demand)
        if demand.ndim != 2 or known.shape != demand.shape or year_fraction.shape != (periods,):
            shapes = f"{demand.shape}, {known.shape} and {year_fraction.shape}"
            raise ValueError(f"demand, known and year_fraction must have shapes [T, N], [T, N] and [T], not {shapes}")
        if not ((year_fraction >= 0) & (year_fraction < 1)).all():
            raise ValueError("year_fraction must lie in [0, 1)")
        if periods < 2 * self.parts:
            raise ValueError(f"a season needs two years of history: {2 * self.parts} periods, not {periods}")
        seen = np.where(known, demand, 0.0)
        trend, count = _centred_sum(seen, self.parts), _centred_sum(known.astype(np.float64), self.parts)
        full = count > 0.9 * self.parts  # not where it is NaN, half a year from either end
        trend = np.where(full, trend / np.maximum(count, 1), np.nan)
        part = np.minimum((year_fraction * self.parts).astype(np.int64), self.parts - 1)
        usable = full & known & (trend > 0)
        numerator = np.zeros((self.parts, demand.shape[1]))
        denominator = np.zeros_like(numerator)
        np.add.at(numerator, part, np.where(usable, demand, 0.0))
        np.add.at(denominator, part, np.where(usable, trend, 0.0))
        total = denominator.sum(axis=1)
        if not (total > 0).any():
            raise ValueError("no product has a whole year of known demand")
        factor = np.where(total > 0, numerator.sum(axis=1) / np.maximum(total, 1e-12), 1.0)
        residual = numerator - factor[:, None] * denominator
        error = np.sqrt((residual**2).sum(axis=1)) / np.maximum(total, 1e-12)
        offsets = range(-self.smoothing, self.smoothing + 1)
        factor = np.mean([np.roll(factor, offset) for offset in offsets], axis=0)
        error = np.sqrt(np.sum([np.roll(error, offset) ** 2 for offset in offsets], axis=0)) / len(offsets)
        return SeasonalProfile(factor / factor.mean(), error / factor.mean(), periods / self.parts)


def _centred_sum(table: np.ndarray, length: int) -> np.ndarray:
    """Return centred sums over ``length`` rows of a [T, N] table; NaN where the window passes an end.

    An even length has no middle row: the two rows at the ends of ``length + 1`` count half each.
    """
    half = length // 2
    total = np.concatenate([np.zeros((1, table.shape[1])), np.cumsum(table, axis=0)])
    inside = total[2 * half + 1 :] - total[: -2 * half - 1]
    if length % 2 == 0:
        inside = inside - 0.5 * (table[: len(inside)] + table[2 * half :])
    centred = np.full(table.shape, np.nan)
    centred[half : len(table) - half] = inside
    return centred
