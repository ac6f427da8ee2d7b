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

    def fit(self, demand: np.ndarray, known: np.ndarray, year_fraction: np.ndarray) -> SeasonalProfile:
        """Fit the profile.

        Args:
            demand: [T, N], units.
            known: bool [T, N], which of them count.
            year_fraction: [T], where in the year each period starts, in [0, 1).

        Raises:
            ValueError: Fewer than two years of periods.
        """
        periods = len(demand)
        if periods < 2 * self.parts:
            raise ValueError(f"a season needs two years of history: {2 * self.parts} periods, not {periods}")
        seen = np.where(known, demand, 0.0)
        trend, count = _moving_sum(seen, self.parts), _moving_sum(known.astype(np.float64), self.parts)
        full = count > 0.9 * self.parts
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


def _moving_sum(table: np.ndarray, length: int) -> np.ndarray:
    """Return centred sums over ``length`` rows, clipped at both ends, of a [T, N] table."""
    total = np.concatenate([np.zeros((1, table.shape[1])), np.cumsum(table, axis=0)])
    rows = np.arange(len(table))
    first = np.clip(rows - length // 2, 0, len(table))
    last = np.clip(first + length, 0, len(table))
    return total[last] - total[np.clip(last - length, 0, len(table))]
