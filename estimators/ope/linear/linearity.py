"""Is the value linear in these features? A check that needs other features, and episodes that the fit has not seen.

If ``Q(s, a) = phi(s, a)^T theta``, the temporal-difference error ``r + discount phi'^T theta - phi^T theta`` has mean 0
given the pair, so it is uncorrelated with *every* function z of the pair. theta is fitted to half of the episodes; that
half also takes ``phi G^-T E[(phi - discount phi') z^T]`` away from z, which leaves what an error of theta does not
move. Over the other half the products of what is left with the error have mean 0. The halves change places, and the sum
over all episodes, in units of its own deviation over episodes, is chi-square.

It is the test of overidentifying restrictions (Sargan 1958, Hansen 1982) with the sample split, so that hundreds of
features cannot fit the instruments by chance. A value that passes may still be non-linear in a way that z does not
show.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sandtable.estimators.ope.linear.linear_system import solve_system
from sandtable.estimators.ope.moments.accumulate import features_of
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

FEWEST = 40
"""Episodes below which the chi-square is no approximation."""


@dataclass(frozen=True)
class LinearityCheck:
    """The outcome of the check.

    Attributes:
        statistic: Chi-square with ``degrees`` degrees of freedom if the value is linear.
        degrees: How many moments were checked: the extra features, less what the features themselves span.
        p_value: Probability of a statistic at least as large; 1 where nothing is left to check.
        episodes: How many there were; each was held out once.
    """

    statistic: float
    degrees: int
    p_value: float
    episodes: int

    def sentence(self, alpha: float = 0.05) -> str:
        """Return what it says at level ``alpha``."""
        if not self.degrees:
            return "The extra features are linear in these features, so nothing could be checked."
        degrees = "1 degree" if self.degrees == 1 else f"{self.degrees} degrees"
        numbers = f"p = {self.p_value:.2g}; chi-square {self.statistic:.3g} with {degrees} of freedom"
        if self.p_value < alpha:
            return f"The log speaks against it ({numbers})."
        return f"Nothing in the log speaks against it ({numbers})."


def check_linearity(
    log: LoggedSteps, discount: float, *, extra_features: np.ndarray | None = None, seed: int = 0
) -> LinearityCheck:
    """Return the check on a log with features.

    Args:
        log: Its weights and terminations are heeded.
        discount: In [0, 1].
        extra_features: z of each row's pair, [n, k]; None: ``quadratic_features`` of the log's own.
        seed: Of the split into halves.

    Raises:
        InputError: There are fewer than 40 episodes, or half of them do not determine the parameters.
        ValueError: ``extra_features`` has another number of rows.
    """
    phi, following = features_of(log)
    z = quadratic_features(phi, seed=seed) if extra_features is None else np.asarray(extra_features, float)
    if len(z) != len(log):
        raise ValueError(f"extra_features has {len(z)} rows, and the log has {len(log)}")
    episodes = log.episodes
    if episodes < FEWEST:
        raise InputError(f"it takes {FEWEST} episodes, and the log has {episodes}")
    # in units of the largest, which the statistic does not know of: squares of huge weights would overflow
    weight = np.ones(len(log)) if log.weight is None else log.weight / log.weight.max()
    temporal = phi - discount * np.where(log.terminated[:, None], 0.0, following)
    size = np.sqrt((z**2).mean(0))
    z = z / np.where(size > 0, size, 1.0)
    first_half = np.zeros(episodes, dtype=bool)
    first_half[np.random.default_rng(seed).permutation(episodes)[: episodes // 2]] = True
    rest, whole = np.empty_like(z), np.empty_like(z)
    for fitted in (first_half, ~first_half):
        fit = fitted[log.episode]
        across = (phi[fit] * weight[fit, None]).T
        system = across @ temporal[fit]
        solution = solve_system(system, across @ log.reward[fit])
        if int(solution.rank) < phi.shape[1]:
            rank = f"their system has rank {int(solution.rank)} of {phi.shape[1]}"
            raise InputError(f"half of the log does not determine the parameters: {rank}")
        slope = solve_system(system.T, (temporal[fit] * weight[fit, None]).T @ z[fit]).x
        error = (weight * (log.reward - temporal @ solution.x))[~fit, None]
        rest[~fit], whole[~fit] = (z[~fit] - phi[~fit] @ slope) * error, z[~fit] * error
    sums, most = (np.add.reduceat(array, log.first, axis=0) for array in (rest, whole))
    eigenvalues, vectors = np.linalg.eigh(sums.T @ sums)
    kept = eigenvalues > 1e-10 * np.linalg.eigvalsh(most.T @ most)[-1]
    statistic = float(((vectors[:, kept].T @ sums.sum(0)) ** 2 / eigenvalues[kept]).sum())
    degrees = int(kept.sum())
    return LinearityCheck(statistic, degrees, float(stats.chi2.sf(statistic, degrees)) if degrees else 1.0, episodes)


def quadratic_features(features: np.ndarray, count: int = 5, seed: int = 0) -> np.ndarray:
    """Return squares of random directions of features, [n, count]: what a value that is not linear needs first.

    Args:
        features: [n, d]; they are scaled to unit mean square.
        count: How many directions.
        seed: Of the directions.
    """
    size = np.sqrt((features**2).mean(0))
    directions = np.random.default_rng(seed).normal(size=(features.shape[1], count))
    return ((features / np.where(size > 0, size, 1.0)) @ directions) ** 2
