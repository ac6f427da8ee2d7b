"""Diagnostics of thousands of finite worlds at once, against a loop over the worlds that calls scipy.

Ours does more: cuts of rank, the number of iterations, tolerances, regimes. The limit is the rate of the decompositions
that the definitions need, alone: nothing that calls LAPACK for each world can be faster.
"""

from typing import Any

import numpy as np
from scipy import linalg

from sandtable.benchmarks.timing import rates_in_turns, timing
from sandtable.simulators.ope.diagnostics import diagnose
from sandtable.simulators.ope.moments import Moments
from sandtable.simulators.ope.random_mdps import assorted_mdps

WORLDS, LOOPED, DISCOUNT = 20_000, 400, 0.9


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Return the row of diagnosing 20,000 random worlds; a quick run has 800."""
    number = 800 if quick else WORLDS
    groups = [worlds.moments() for worlds in assorted_mdps(number)]
    few = [worlds.moments() for worlds in assorted_mdps(min(number, LOOPED))]
    rates = rates_in_turns(
        lambda: [diagnose(moments, DISCOUNT) for moments in groups],
        lambda: [one_by_one(moments, DISCOUNT) for moments in few],
        (number, min(number, LOOPED)),
        quick,
    )
    limit, _ = rates_in_turns(lambda: [decompositions(moments) for moments in groups], None, (number, 0.0), quick)
    case = f"diagnose {number:,} random MDPs, S <= 5, d <= 5"
    return [timing("regimes", case, "MDPs/s", rates, "a loop that calls scipy", None, limit)]


def one_by_one(moments: Moments, discount: float) -> list[dict[str, Any]]:
    """Return the numbers of the diagnostics as the textbook has them, world by world."""
    told = []
    assert moments.next_covariance is not None
    for covariance, cross, following, start in zip(
        moments.covariance, moments.cross_covariance, moments.next_covariance, moments.initial_mean, strict=True
    ):
        values, vectors = linalg.eigh(covariance)
        root = vectors / np.sqrt(np.maximum(values, 1e-300)) @ vectors.T
        a, system, identity = discount * root @ cross @ root, covariance - discount * cross, np.eye(len(cross))
        radius = np.abs(linalg.eigvals(a)).max()
        needed = np.linalg.lstsq(system.T, start, rcond=None)[0]
        found = {
            "distribution_shift": linalg.eigvalsh(root @ following @ root)[-1],
            "norm": linalg.svdvals(a)[0],
            "spectral_radius": radius,
            "symmetric_part": linalg.eigvalsh((a + a.T) / 2)[-1],
            "smallest_singular_value": linalg.svdvals(identity - a)[-1],
            "condition_g": np.linalg.cond(system),
            "condition_covariance": np.linalg.cond(covariance),
            "td_stable": linalg.eigvals(system).real.min() > 0,
            "coverage": needed @ covariance @ needed,
        }
        if radius < 1 - 1e-6 and found["norm"] < 1e3:  # beyond, scipy's solver warns
            solution = linalg.eigvalsh(linalg.solve_discrete_lyapunov(a.T, identity))
            found |= {"lyapunov_norm": solution[-1], "lyapunov_condition": solution[-1] / solution[0]}
        told.append(found)
    return told


def decompositions(moments: Moments) -> list[Any]:
    """Return the decompositions that the definitions need of each world, and nothing else."""
    covariance, cross = moments.covariance, moments.cross_covariance
    done: list[Any] = [np.linalg.eigh(covariance)]
    done += [np.linalg.eigvalsh(covariance) for _ in ("distribution shift", "symmetric part", "Lyapunov solution")]
    done += [np.linalg.eigvals(cross) for _ in ("spectral radius", "TD")]
    return done + [np.linalg.svd(cross, compute_uv=False) for _ in ("norm", "I - A", "system", "covariance")]
