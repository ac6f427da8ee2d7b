"""What the study of linear estimators measures: implications between regimes, errors, identities, coverage."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.estimators.ope.linear.fqi import FQI, regression
from sandtable.estimators.ope.linear.intervals import (
    bootstrap_moments,
    cluster,
    episode_bootstrap,
    hc0,
    one_step_bootstrap,
)
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.linear.verdict import spectra
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.ope.diagnostics import Diagnostics, diagnose, whitened
from sandtable.simulators.ope.finite_mdp import FiniteMDP
from sandtable.simulators.ope.instances.catalogue import instance
from sandtable.simulators.ope.linear_mdp import LinearMDP
from sandtable.simulators.ope.lyapunov import powers_and_lyapunov
from sandtable.simulators.ope.moments import Moments
from sandtable.simulators.ope.random_mdps import RandomMDPs, assorted_mdps, random_mdps
from sandtable.simulators.random import fold_in, make_key

Metrics = Mapping[str, Any]

NOISE = 0.5
"""Standard deviation of the rewards' noise in logs of R1 to R7."""
BOOTSTRAPPED = 300
"""Of the replications, how many have bootstrap intervals too: they cost a hundred times as much."""

CONDITIONS = {
    "low_distribution_shift": "low shift",
    "contractive": "contractive",
    "complete": "complete",
    "stable": "stable",
    "symmetric_stable": "sym. stable",
    "td_stable": "TD-stable",
    "invertible": "invertible",
}
ARROWS = (
    ("low_distribution_shift", "contractive"),
    ("contractive", "stable"),
    ("contractive", "symmetric_stable"),
    ("complete", "stable"),
    ("stable", "invertible"),
    ("symmetric_stable", "invertible"),
    ("symmetric_stable", "td_stable"),
    ("td_stable", "invertible"),
)
"""The eight implications; what does not follow from them can fail."""


def implied() -> set[tuple[str, str]]:
    """Return all pairs (premise, conclusion) that follow from the arrows."""
    found = set(ARROWS)
    while more := {(a, c) for a, b in found for b2, c in found if b == b2} - found:
        found |= more
    return found


def implications(worlds: int, seed: int, folder: Path) -> Metrics:
    """Diagnose random worlds and count what breaks the arrows and what separates the other pairs.

    A world breaks an arrow if its premise holds and its conclusion fails, both beyond the tolerance. The points of the
    map of regimes are left in ``map.npz`` of the folder.
    """
    groups = list(assorted_mdps(worlds, seed))
    moments = [group.moments() for group in groups]
    diagnosed = []
    started = time.process_time()
    for group, own in zip(groups, moments, strict=True):
        diagnosed.append(diagnose(own, group.discount))
    seconds = time.process_time() - started
    told = [diagnose(group) for group in groups]
    deficient = 0
    for group, one in zip(groups, told, strict=True):
        deficient += int((one.rank < group.features.shape[-1]).sum())
    sides = {name: np.concatenate([one.conditions[name] for one in told]) for name in CONDITIONS if name != "complete"}
    sides["complete"] = np.concatenate([_complete(group, one) for group, one in zip(groups, told, strict=True)])
    index = np.concatenate([group.index for group in groups])
    follows, arrows, witnesses = implied(), list[Any](), list[Any]()
    for premise in CONDITIONS:
        for conclusion in CONDITIONS:
            against = index[(sides[premise] == 1) & (sides[conclusion] == -1)]
            row: list[Any] = [premise, conclusion, len(against), int(against.min()) if len(against) else None]
            if (premise, conclusion) in follows:
                arrows.append(row)
            elif premise != conclusion:
                witnesses.append(row)
    direct = [row for row in arrows if (row[0], row[1]) in ARROWS]
    columns = {
        name: np.concatenate([getattr(one, name) for one in told])
        for name in ("norm", "spectral_radius", "symmetric_part", "regime")
    }
    shown = slice(0, None, max(1, worlds // 4000))
    points: dict[str, Any] = {name: column[shown] for name, column in columns.items()}
    np.savez(folder / "map.npz", **points)
    return {
        "violations": sum(row[2] for row in direct),
        "separable": len(witnesses),
        "separated": sum(row[2] > 0 for row in witnesses),
        "boundary": int((columns["regime"] == "boundary").sum()),
        "rank_deficient": deficient,
        "diagnose_cpu_seconds": seconds,
        "lyapunov_ratio": max(_lyapunov_ratio(own, one) for own, one in zip(moments, diagnosed, strict=True)),
        "arrows": arrows,
        "witnesses": witnesses,
        "regimes": [list(pair) for pair in zip(*_counted(columns["regime"]), strict=True)],
    }


def _complete(group: RandomMDPs, told: Diagnostics) -> np.ndarray:
    """Return the sides of the condition ``complete``, for which the covariance must have full rank as well."""
    return np.where(told.bellman_complete & (told.rank == group.features.shape[-1]), 1, -1)


def _counted(names: np.ndarray) -> tuple[list[str], list[int]]:
    values, counts = np.unique(names, return_counts=True)
    return values.tolist(), counts.tolist()


def _lyapunov_ratio(moments: Moments, told: Diagnostics, powers: int = 30) -> float:
    """Return the largest ``||A^k|| / (sqrt(cond P) (1 - 1/||P||)^{k/2})`` of stable worlds, k = 1 .. ``powers``.

    Of worlds with ``||P||`` at most 1e5: the least eigenvalue of P is rounded in proportion to that.
    """
    chosen = (told.conditions["stable"] == 1) & (told.lyapunov_norm < 1e5)
    matrix = whitened(moments, told.discount)[chosen]
    if not len(matrix):
        return 0.0
    _, solution = powers_and_lyapunov(matrix)
    values = np.linalg.eigvalsh(solution)
    largest, power = values[:, -1], matrix
    # P >= I: rounding can only have taken from the least eigenvalue; beyond the rank A is 0 and P the identity
    bound, worst = np.sqrt(largest / np.maximum(values[:, 0], 1.0)), 0.0
    for _ in range(powers):
        bound = bound * np.sqrt(1 - 1 / largest)
        norms = np.linalg.norm(power, 2, axis=(1, 2))
        worst = max(worst, float((norms / np.where(bound > 0, bound, np.inf)).max()))
        power = power @ matrix
    return worst


def drawn_moments(name: str, rows: int, replications: int, seed: int) -> tuple[FiniteMDP, Moments]:
    """Return a world and the moments of independent logs of it, of batch shape [replications]."""
    world = LinearMDP(name, noise=NOISE)
    log = world.sample(rows * replications, fold_in(make_key(seed), rows))
    assert log.features is not None
    assert log.next_features is not None
    d = log.features.shape[1]
    phi, reward = log.features.reshape(-1, rows, d), log.reward.reshape(-1, rows, 1)
    following = np.where(log.terminated[:, None], 0.0, log.next_features).reshape(-1, rows, d)
    across = np.swapaxes(phi, 1, 2)
    exact = world.moments()
    return world.mdp, Moments(
        weight=float(rows),
        rows=rows,
        covariance=across @ phi,
        cross_covariance=across @ following,
        reward_moment=(across @ reward)[..., 0],
        reward_square=(reward**2).sum((1, 2)),
        initial_features=np.broadcast_to(exact.initial_mean, (replications, d)),
        initial_weight=1.0,
    )


def error_by_rows(name: str, sizes: tuple[int, ...], replications: int, seed: int) -> Metrics:
    """Return the root mean square error of LSTD's parameters at each size, and its slope in logarithms."""
    errors = []
    for rows in sizes:
        world, moments = drawn_moments(name, rows, replications, seed)
        errors.append(_rmse(LSTD(world.discount).fit(moments).params, world.theta))
    slope = float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])
    return {"rows": list(sizes), "rmse": errors, "slope": slope}


def error_by_iterations(name: str, rows: int, replications: int, iterations: int, seed: int) -> Metrics:
    """Return the errors of FQI(1 .. T) and of LSTD, and how far the identity between them is from holding.

    FQI(T) from 0 is ``theta - M^T theta``, with LSTD's theta and FQI's matrix M.
    """
    world, moments = drawn_moments(name, rows, replications, seed)
    fitted = LSTD(world.discount).fit(moments).params
    path = FQI(world.discount, iterations).path(moments)
    matrix = regression(moments, world.discount).matrix
    power, worst = np.broadcast_to(np.eye(matrix.shape[-1]), matrix.shape), 0.0
    for t in range(1, iterations + 1):
        power = power @ matrix
        told = fitted - (power @ fitted[..., None])[..., 0]
        size = np.maximum(1.0, np.linalg.norm(path[t], axis=-1))
        worst = max(worst, float((np.linalg.norm(path[t] - told, axis=-1) / size).max()))
    errors = [_rmse(path[t], world.theta) for t in range(1, iterations + 1)]
    middle = iterations // 2
    return {
        "iterations": list(range(1, iterations + 1)),
        "fqi_rmse": errors,
        "lstd_rmse": _rmse(fitted, world.theta),
        "last_fqi_rmse": errors[-1],
        "growth": float((errors[-1] / errors[middle - 1]) ** (1 / (iterations - middle))),
        "identity": worst,
        "spectral_radius": diagnose(world).spectral_radius,
    }


def _rmse(params: np.ndarray, theta: np.ndarray | None) -> float:
    """Return the root of the mean over logs of the squared distance."""
    return float(np.sqrt(((params - theta) ** 2).sum(-1).mean()))


def indistinguishable(rows: int, seed: int) -> Metrics:
    """Return how far R7 with one theta and with another differ: in moments, in logs, and in value."""
    worlds = [instance("R7", theta=[theta]) for theta in (1.0, -5.0)]
    logs = [LinearMDP(world).sample(rows, seed) for world in worlds]
    moments = [world.moments() for world in worlds]
    names = ("covariance", "cross_covariance", "next_covariance", "reward_moment", "reward_square", "initial_features")
    apart = max(float(np.abs(getattr(moments[0], name) - getattr(moments[1], name)).max()) for name in names)
    columns = ("observation", "action", "reward", "next_observation", "terminated")
    different = sum(int((getattr(logs[0], name) != getattr(logs[1], name)).sum()) for name in columns)
    values = [world.value() for world in worlds]
    return {
        "moments_apart": apart,
        "log_entries_different": different,
        "values_apart": abs(values[0] - values[1]),
        "smallest_singular_value": diagnose(worlds[0]).smallest_singular_value,
    }


def coverage(name: str, mode: str, size: int, replications: int, seed: int, **parameters: Any) -> Metrics:
    """Return how often each interval of LSTD's value holds the true one, at 95 %.

    Args:
        name: Of the instance.
        mode: ``iid``: logs of ``size`` rows, with the initial features known; ``episodes``: of ``size`` episodes, whose
            starts are a sample.
        size: See ``mode``.
        replications: Logs; the first 300 of them for the bootstraps.
        seed: Of the logs.
        **parameters: Of ``LinearMDP``.
    """
    noise = NOISE if name.startswith("R") else None
    world = LinearMDP(name, noise=noise, **parameters)
    true, discount = world.exact().value, world.mdp.discount
    held: dict[str, list[bool]] = {}
    params, rows = [], 0
    for key in fold_in(make_key(seed), np.arange(replications)):
        log = world.sample(size, key, "iid" if mode == "iid" else "episodes")
        result = LSTD(discount).fit(moments_of_log(log))
        params.append(result.params)
        rows += len(log)
        estimates = [hc0(result, log), cluster(result, log)]
        if len(params) <= BOOTSTRAPPED:
            estimates += [one_step_bootstrap(result, log), episode_bootstrap(LSTD(discount), log)]
        for estimate in estimates:
            low, high = estimate.conf_int()
            held.setdefault(estimate.interval, []).append(bool(low <= true <= high))
    found: dict[str, Any] = {f"coverage_{kind}": float(np.mean(hits)) for kind, hits in held.items()}
    found["rows_per_log"] = rows / replications
    return found | _limit(world.mdp, np.array(params), rows / replications, mode)


def _limit(world: FiniteMDP, params: np.ndarray, rows: float, mode: str) -> dict[str, Any]:
    """Return the largest relative distance between rows times the covariance of the parameters and its limit."""
    if mode != "iid" or world.theta is None:
        return {}
    phi, d = world.features, world.features.shape[-1]
    values = phi @ world.theta
    following = (world.target * values).sum(-1)
    spread = np.maximum(world.transitions @ following**2 - (world.transitions @ following) ** 2, 0.0)
    variance = (world.noise**2 + world.discount**2 * spread) * world.data
    omega = np.einsum("sa,sad,sae->de", variance, phi, phi)
    inverse = np.linalg.inv(world.moments().system(world.discount))
    limit = inverse @ omega @ inverse.T
    seen = rows * np.cov(params.T).reshape(d, d)
    return {"covariance_error": float(np.abs(seen - limit).max() / np.abs(limit).max()), "limit": limit.tolist()}


def verdicts(worlds: int, logs: int, rows: int, seed: int) -> Metrics:
    """Return how sure verdicts on FQI are near their threshold: coverage, and how often a certain verdict is wrong.

    Of random worlds with 2 features and a spectral radius in [.8, 1.2] whose data show each state in at least 1 % of
    the rows.
    """
    candidates = random_mdps(np.arange(100 * worlds), seed, states=4, features=2)
    told = diagnose(candidates)
    near = (told.spectral_radius > 0.8) & (told.spectral_radius < 1.2) & (candidates.data.min((1, 2)) > 0.01)
    chosen = np.flatnonzero(near)[:worlds]
    held: dict[str, list[bool]] = {"percentile": [], "basic": []}
    certain, wrong, beyond = 0, 0, []
    for i in chosen:
        process, radius = LinearMDP(_one_of(candidates, i)), told.spectral_radius[i]
        for key in fold_in(fold_in(make_key(seed), i), np.arange(logs)):
            log = process.sample(rows, key)
            own = float(spectra(moments_of_log(log), candidates.discount)[0])
            radii = spectra(bootstrap_moments(log, 200, int(key)), candidates.discount)[0]
            low, high = np.quantile(radii, [0.025, 0.975])
            held["percentile"].append(bool(low <= radius <= high))
            held["basic"].append(bool(2 * own - high <= radius <= 2 * own - low))
            certain += bool(low > 1 or high < 1)
            wrong += bool((low > 1 and radius < 1) or (high < 1 and radius > 1))
            beyond.append((own > 1) != (radius > 1))
    number = len(chosen) * logs
    return {
        "worlds_found": len(chosen),
        "coverage_percentile": float(np.mean(held["percentile"])),
        "coverage_basic": float(np.mean(held["basic"])),
        "certain_share": certain / number,
        "wrong_share": wrong / number,
        "wrong_without_interval": float(np.mean(beyond)),
    }


def _one_of(worlds: RandomMDPs, i: int) -> FiniteMDP:
    """Return world i of a batch, without noise in its rewards."""
    states = worlds.transitions.shape[1]
    return FiniteMDP(
        name=f"random {worlds.index[i]}",
        features=worlds.features[i],
        transitions=worlds.transitions[i],
        pair_rewards=worlds.rewards[i],
        terminal=np.zeros(states, bool),
        initial=worlds.initial[i],
        target=worlds.target[i],
        data=worlds.data[i],
        behaviour=worlds.target[i],
        discount=worlds.discount,
        theta=worlds.theta[i],
    )
