"""Diagnostics: whether moments can tell the value at all, and which estimator gets at it (arXiv 2203.04236).

All is read off the whitened matrix ``A = discount * cov^{-1/2} cross cov^{-1/2}``. FQI iterates it, so FQI converges,
whatever the reward, if and only if its spectral radius is below 1; LSTD inverts ``I - A``, so it is consistent if and
only if that is invertible, and where it is not no estimator that sees only these moments can be. The other conditions
are sufficient ones of the literature.
"""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from sandtable.simulators.ope.lyapunov import powers_and_lyapunov, powers_until
from sandtable.simulators.ope.moments import Moments
from sandtable.simulators.ope.whitening import OUTSIDE, Whitening, smallest_singular_value, unseen_variance, whitening

TOLERANCE = 1e-9
"""Within it a strict comparison is not decided."""
ITERATED_TO = 1e-6
"""``iterations`` counts until this share of the first error is left."""
REGIMES = (
    "low distribution shift",
    "contractive",
    "stable and symmetric stable",
    "stable",
    "symmetric stable",
    "invertible",
    "singular",
    "boundary",
)
_TD_ROUNDING = 1e-13  # relative to the largest eigenvalue: tabular systems have small ones that are right


@dataclass(frozen=True)
class Diagnostics:
    """What moments tell about the estimators that use them; numbers, or arrays [*batch] for batched moments.

    Attributes:
        discount: gamma, in [0, 1].
        distribution_shift: C_ds, the least C with next covariance <= C covariance (arXiv 2010.11895); infinite where
            next features leave the range of the covariance. None: the moments hold no next covariance.
        norm: ||A||_2.
        spectral_radius: Of A.
        symmetric_part: Largest eigenvalue of (A + A^T) / 2.
        smallest_singular_value: Of I - A. 0 where the data do not determine what the next features need.
        rank: Of the covariance; A and all that is told of it live in its range.
        condition_g: Of ``covariance - discount cross_covariance`` in the given features; infinite where singular.
        condition_covariance: Of the covariance in the given features; infinite where singular.
        lyapunov_norm: ||P|| with P = A^T P A + I; infinite where FQI is not stable.
        lyapunov_condition: Condition number of P; infinite likewise.
        iterations: T, the number of iterations of FQI after which at most 1e-6 of the first error is left whatever the
            reward, in the norm of the covariance: ``||A^T||_2 <= 1e-6 < ||A^{T-1}||_2``. Infinite where not stable.
        td_stable: Expected TD(0) converges for small steps: all eigenvalues of ``covariance - discount
            cross_covariance`` have a positive real part; those of redundant features do not count. False where the
            data do not determine what the next features need.
        coverage: (1 - discount)^2 h^T covariance h with ``G^T h`` the initial features (our reading of the
            feature-dynamics coverage of arXiv 2601.19030); without the factor at discount 1. Infinite where there is no
            such h. None: no start is known.
        regime: The first of ``REGIMES`` that holds; see ``docs/regimes.md`` for ``boundary``.
        bellman_complete: The next features and the reward of every pair are linear in the features; None where only
            moments are known, which cannot tell.
        conditions: 1 where a condition holds, -1 where it fails, 0 where the tolerance does not tell, int or int8
            [*batch]; of ``low_distribution_shift`` (if it can be told), ``contractive``, ``stable``,
            ``symmetric_stable``, ``td_stable`` and ``invertible``.
        reasons: Why a field is None, by its name.
    """

    discount: float
    distribution_shift: Any
    norm: Any
    spectral_radius: Any
    symmetric_part: Any
    smallest_singular_value: Any
    rank: Any
    condition_g: Any
    condition_covariance: Any
    lyapunov_norm: Any
    lyapunov_condition: Any
    iterations: Any
    td_stable: Any
    coverage: Any
    regime: Any
    bellman_complete: Any = None
    conditions: dict[str, Any] = field(default_factory=dict, repr=False)
    reasons: dict[str, str] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return the fields of one system under the names of ``sandtable evaluate --json``; not finite becomes null."""
        names = {"condition_g": "condition_G", "iterations": "iterations_to_1e-6"}
        left_out = ("discount", "bellman_complete", "conditions", "reasons")
        found = {names.get(one.name, one.name): getattr(self, one.name) for one in fields(self)}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in found.items()
            if name not in left_out
        }


def diagnose(source: Any, discount: float | None = None) -> Diagnostics:
    """Return the diagnostics of moments, or of a finite decision process whose moments are known exactly.

    Args:
        source: ``Moments``, also batched; or a finite decision process, of which completeness is told as well: it has
            ``moments()``, a ``discount``, the arrays ``features`` [*batch, S, A, d] and ``rewards`` [*batch, S, A], and
            ``next_features()``, the mean features after each pair.
        discount: In [0, 1]; None takes that of the process.

    Raises:
        ValueError: No discount is known, it lies outside [0, 1], or the moments are not finite.
    """
    if isinstance(source, Moments):
        moments, complete = source, None
    else:
        process = getattr(source, "mdp", source)  # LinearMDP keeps its arrays there
        moments, complete = process.moments(), bellman_complete(process)
        discount = process.discount if discount is None else discount
    if discount is None or not 0 <= discount <= 1:
        raise ValueError(f"discount must lie in [0, 1], not {discount}")
    told = _diagnose(moments, float(discount))
    if complete is None:
        reasons = told.reasons | {"bellman_complete": "completeness cannot be read off moments"}
        return replace(told, reasons=reasons)
    return replace(told, bellman_complete=complete)


def whitened(moments: Moments, discount: float) -> np.ndarray:
    """Return A = discount * cov^{-1/2} cross cov^{-1/2}, up to an orthogonal change of basis.

    Args:
        moments: d features.
        discount: In [0, 1].

    Returns:
        [r, r] with r the rank of the covariance; of batched moments [*batch, d, d], 0 beyond the rank.
    """
    basis = whitening(moments.covariance)
    matrix = discount * basis.matrix @ moments.cross_covariance @ np.swapaxes(basis.matrix, -1, -2)
    return matrix if basis.rank.ndim else matrix[: int(basis.rank), : int(basis.rank)]


def bellman_complete(process: Any) -> Any:
    """Return whether P^pi Phi = Phi M and r = Phi w have solutions, on all pairs of states and actions.

    Args:
        process: As in ``diagnose``; the pairs of states that are ``terminal``, if it names some, do not count.

    Returns:
        bool, or bool [*batch].
    """
    features, rewards = process.features, process.rewards
    batch, d = features.shape[:-3], features.shape[-1]
    images = np.concatenate([process.next_features(), rewards[..., None]], axis=-1)
    terminal = getattr(process, "terminal", None)
    if terminal is not None:
        features, images = (np.where(terminal[..., None, None], 0.0, array) for array in (features, images))
    phi, images = features.reshape(*batch, -1, d), images.reshape(*batch, -1, d + 1)
    size = np.linalg.norm(phi, axis=-2, keepdims=True)
    phi = phi / np.where(size > 0, size, 1.0)
    left = images - phi @ (np.linalg.pinv(phi, rcond=1e-12) @ images)
    spare = np.linalg.norm(left, axis=-2) <= TOLERANCE * np.linalg.norm(images, axis=-2)
    complete = spare.all(-1)
    return bool(complete) if not batch else complete


def _diagnose(moments: Moments, discount: float) -> Diagnostics:
    batch, d = moments.covariance.shape[:-2], moments.features
    mean = moments.mean()
    covariance, cross = (np.reshape(one, (-1, d, d)) for one in (mean.covariance, mean.cross_covariance))
    following = None if mean.next_covariance is None else np.reshape(mean.next_covariance, (-1, d, d))
    known = bool((np.asarray(moments.initial_weight) > 0).all())
    start = np.broadcast_to(moments.initial_mean, (*batch, d)).reshape(-1, d) if known else None
    for array in (covariance, cross, following, start):
        if array is not None and not np.isfinite(array).all():
            raise ValueError("moments must be finite to be diagnosed")
    basis = whitening(covariance, unseen_variance(covariance, cross, following))
    told: dict[str, Any] = {name: np.full(len(covariance), np.inf) for name in _NUMBERS}
    told["singular"] = np.ones(len(covariance), dtype=bool)
    for rank in np.unique(basis.rank):
        index = np.flatnonzero(basis.rank == rank)
        own = Whitening(*(array[index] for array in basis))
        own = own._replace(matrix=own.matrix[:, :rank], hidden=own.hidden[:, rank:])
        known_of = [None if one is None else one[index] for one in (following, start)]
        for name, values in _of_one_rank(own, discount, covariance[index], cross[index], *known_of).items():
            told[name][index] = values
    told |= _in_given_features(covariance, discount * cross, basis.rank)
    reasons = {}
    if following is None:
        told["distribution_shift"] = None
        reasons["distribution_shift"] = "the moments hold no next covariance: only mean next features were at hand"
    if start is None:
        told["coverage"] = None
        reasons["coverage"] = "the moments hold no features of the starts"
    conditions = _conditions(told, discount, basis.rounding)
    whole = np.isfinite(told["iterations"]).all()
    told |= {"rank": basis.rank, "regime": _regimes(conditions)}
    told["iterations"] = told["iterations"].astype(np.int64) if whole else told["iterations"]
    for name in ("singular", "td_margin"):
        told.pop(name)
    return Diagnostics(
        discount,
        **{name: _shaped(values, batch) for name, values in told.items()},
        conditions={name: _shaped(values, batch) for name, values in conditions.items()},
        reasons=reasons,
    )


_NUMBERS = (
    "distribution_shift",
    "norm",
    "spectral_radius",
    "symmetric_part",
    "smallest_singular_value",
    "lyapunov_norm",
    "lyapunov_condition",
    "iterations",
    "coverage",
)


def _of_one_rank(
    basis: Whitening,
    discount: float,
    covariance: np.ndarray,
    cross: np.ndarray,
    following: np.ndarray | None,
    start: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Return what depends on A, of n systems whose covariances have the same rank r; arrays [n]."""
    w, rank = basis.matrix, basis.matrix.shape[1]
    if rank == 0:
        return {"smallest_singular_value": np.zeros(1), "norm": np.zeros(1), "spectral_radius": np.zeros(1)}
    transposed = np.swapaxes(w, -1, -2)
    matrix = discount * w @ cross @ transposed
    terms = np.abs(w) @ (np.abs(covariance) + discount * np.abs(cross)) @ np.abs(transposed)
    told = {
        "norm": np.linalg.svd(matrix, compute_uv=False)[:, 0],
        "spectral_radius": np.abs(np.linalg.eigvals(matrix)).max(-1),
        "symmetric_part": np.linalg.eigvalsh((matrix + np.swapaxes(matrix, -1, -2)) / 2)[:, -1],
    }
    smallest, singular = smallest_singular_value(np.eye(rank) - matrix, terms)
    unknown = np.abs(discount * w @ cross @ np.swapaxes(basis.hidden, -1, -2)).max((-2, -1), initial=0.0) > OUTSIDE
    told["singular"] = singular | unknown
    told["smallest_singular_value"] = np.where(unknown, 0.0, smallest)
    told |= _of_stable(matrix, told["spectral_radius"])
    if following is not None:
        hidden = basis.hidden @ following @ np.swapaxes(basis.hidden, -1, -2)
        beyond = np.trace(hidden, axis1=-2, axis2=-1) > OUTSIDE**2
        shift = np.linalg.eigvalsh(w @ following @ transposed)[:, -1]
        told["distribution_shift"] = np.where(beyond, np.inf, np.maximum(shift, 0.0))
    if start is not None:
        beyond = np.abs(basis.hidden @ start[..., None]).max((-2, -1), initial=0.0) > OUTSIDE
        beyond |= told["singular"]
        regular = np.where(beyond[:, None, None], np.eye(rank), np.eye(rank) - np.swapaxes(matrix, -1, -2))
        needed = np.linalg.solve(regular, w @ start[..., None])
        factor = (1 - discount) ** 2 if discount < 1 else 1.0
        told["coverage"] = np.where(beyond, np.inf, factor * (needed**2).sum((-2, -1)))
    return told


def _of_stable(matrix: np.ndarray, radius: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the powers of A tell, infinite where they do not decay."""
    told = {name: np.full(len(matrix), np.inf) for name in ("lyapunov_norm", "lyapunov_condition", "iterations")}
    stable = np.flatnonzero(radius < 1 - TOLERANCE)
    levels, solution = powers_and_lyapunov(matrix[stable])
    eigenvalues = np.linalg.eigvalsh(solution)
    told["lyapunov_norm"][stable] = eigenvalues[:, -1]
    told["lyapunov_condition"][stable] = eigenvalues[:, -1] / np.maximum(eigenvalues[:, 0], 1.0)  # P >= I
    told["iterations"][stable] = powers_until(levels, len(stable), ITERATED_TO)
    return told


def _in_given_features(covariance: np.ndarray, discounted: np.ndarray, rank: np.ndarray) -> dict[str, np.ndarray]:
    """Return what depends on the basis of the features: both condition numbers, and the margin of TD(0); arrays [n].

    The margin is the least real part of the system's eigenvalues over the largest modulus.
    """
    system, d = covariance - discounted, covariance.shape[-1]
    full = rank == d
    told = {}
    for name, matrix in (("condition_g", system), ("condition_covariance", covariance)):
        values = np.linalg.svd(matrix, compute_uv=False)
        regular = full & (values[:, -1] > 0)
        told[name] = np.where(regular, values[:, 0] / np.where(regular, values[:, -1], 1.0), np.inf)
    eigenvalues = np.linalg.eigvals(system)
    size = np.abs(eigenvalues)
    redundant = np.argsort(np.argsort(size, axis=-1), axis=-1) < (d - rank)[:, None]
    margin = np.where(redundant, np.inf, eigenvalues.real).min(-1)
    told["td_margin"] = np.where(rank > 0, margin / np.where(size.max(-1) > 0, size.max(-1), 1.0), 0.0)
    return told


def _conditions(told: dict[str, Any], discount: float, rounding: np.ndarray) -> dict[str, np.ndarray]:
    """Return 1 where each condition holds, -1 where it fails, and 0 within the tolerance; int8 [n].

    The rounding of an ill-conditioned covariance is added to the tolerance; where it is large, nothing is singular for
    sure.
    """
    tolerance = TOLERANCE + rounding
    singular = told["singular"] & (rounding < 10 * TOLERANCE)
    sides = {
        "contractive": _side(1 - told["norm"], tolerance),
        "stable": _side(1 - told["spectral_radius"], tolerance),
        "symmetric_stable": _side(1 - told["symmetric_part"], tolerance),
        "td_stable": _side(told["td_margin"], _TD_ROUNDING),
        "invertible": np.where(singular, -1, _side(told["smallest_singular_value"], tolerance)),
    }
    if told["distribution_shift"] is not None:
        room = (discount**-2 if discount else np.inf) - told["distribution_shift"]
        sides["low_distribution_shift"] = _side(room, tolerance)
    undetermined = told["smallest_singular_value"] == 0
    conditions = {name: np.where(undetermined, -1, side).astype(np.int8) for name, side in sides.items()}
    told["td_stable"] = conditions["td_stable"] == 1
    return conditions


def _side(distance: np.ndarray, tolerance: float | np.ndarray) -> np.ndarray:
    """Return the sign of a distance from a threshold, 0 within the tolerance."""
    return np.where(distance > tolerance, 1, np.where(distance < -tolerance, -1, 0))


def _regimes(conditions: dict[str, np.ndarray]) -> np.ndarray:
    """Return the first regime that holds, [n].

    A condition that is not decided before one holds makes the answer ``boundary``. Where the system is singular, no
    condition holds exactly, as each implies that it is not: then what is not decided fails.
    """
    stable, symmetric = conditions["stable"], conditions["symmetric_stable"]
    order = [conditions.get("low_distribution_shift", np.full_like(stable, -1)), conditions["contractive"]]
    order += [np.minimum(stable, symmetric), stable, symmetric, conditions["invertible"]]
    sides = np.stack(order)
    sides = np.where((conditions["invertible"] == -1) & (sides == 0), -1, sides)
    first = np.argmax(sides >= 0, axis=0)
    undecided = np.take_along_axis(sides, first[None], axis=0)[0] == 0
    names = np.array(REGIMES)
    found = np.where(undecided, REGIMES.index("boundary"), first)
    return names[np.where((sides < 0).all(0), REGIMES.index("singular"), found)]


def _shaped(values: Any, batch: tuple[int, ...]) -> Any:
    """Return values [n] in the shape of the batch; Python's own number where there is none."""
    if values is None:
        return None
    return values.reshape(batch) if batch else values[0].item()
