"""Moments of rows of features and of logs, in one pass over arrays of any length, also memory-mapped ones."""

from typing import NamedTuple

import numpy as np

from sandtable.estimators.ope.moments.accumulator import Accumulator, chunk_rows
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import Moments, NextFeatures


def moments_of_rows(
    features: np.ndarray,
    next_features: np.ndarray,
    reward: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    terminated: np.ndarray | None = None,
    initial_features: np.ndarray | None = None,
    initial_weight: np.ndarray | None = None,
    next_taken: NextFeatures = "mean",
    next_covariance: np.ndarray | None = None,
    source: str = "the rows",
    numbers: np.ndarray | None = None,
) -> Moments:
    """Return the moments of n rows; memory-mapped arrays are read once, chunk by chunk.

    Args:
        features: phi, [n, d].
        next_features: phi', [n, d], 0 after a termination.
        reward: [n].
        weight: [n], >= 0; None for 1 each.
        terminated: bool [n]: where true, phi' counts as 0; None where ``next_features`` is 0 there already.
        initial_features: [m, d]; None where no start is known.
        initial_weight: Of the starts, [m]; None for 1 each.
        next_taken: Whether ``next_features`` are means under the target policy or those of one drawn action.
        next_covariance: Of enumerated next actions, [d, d]; only with means.
        source: What messages call these rows.
        numbers: What messages call each row, [n]; None: their order.

    Raises:
        ValueError: The shapes do not agree.
        InputError: A number is not finite, a weight negative, or there are no rows.
    """
    if features.ndim != 2:
        raise ValueError(f"features must be [n, d], not {features.shape}")
    sums = Accumulator(features.shape[1], next_taken, source, numbers)
    sums.add(features, next_features, reward, weight, terminated)
    return sums.moments(initial_features, next_covariance, initial_weight)


class Starts(NamedTuple):
    """The features at the starts of episodes.

    Attributes:
        features: [m, d].
        of_episodes: Whether row e belongs to episode e.
        weight: How often each counts, [m].
    """

    features: np.ndarray
    of_episodes: bool
    weight: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Return the weights over their sum, [m]."""
        return np.asarray(self.weight / self.weight.sum())


def starts_of(log: LoggedSteps) -> Starts | None:
    """Return the features at the starts that a log knows, or None.

    They are its ``initial_features``, which belong to its episodes where there is one an episode; else the features of
    each episode's first row, which are those under the target policy only where features are of states.
    """
    phi, _ = features_of(log)
    if log.initial_features is None and log.independent:
        return None
    starts = np.asarray(phi[log.first]) if log.initial_features is None else log.initial_features
    of_episodes = not log.independent and len(starts) == log.episodes
    weighted = of_episodes and log.initial_weight is not None
    return Starts(starts, of_episodes, np.asarray(log.initial_weight) if weighted else np.ones(len(starts)))


def total_weight(log: LoggedSteps) -> float:
    """Return the sum of the rows' weights: their number where they have none."""
    return float(len(log)) if log.weight is None else float(log.weight.sum())


def features_of(log: LoggedSteps) -> tuple[np.ndarray, np.ndarray]:
    """Return phi and phi' of a log, [n, d] each.

    Raises:
        InputError: The log has none.
    """
    if log.features is None or log.next_features is None:
        raise InputError("the log holds no features: name columns of it, or make them of the observations first")
    return log.features, log.next_features


def moments_of_log(
    log: LoggedSteps,
    *,
    next_taken: NextFeatures = "mean",
    next_covariance: np.ndarray | None = None,
) -> Moments:
    """Return the moments of a log that has features; what follows a termination counts as 0, a truncation bootstraps.

    Args:
        log: With ``features`` and ``next_features``.
        next_taken: Whether its next features are means under the target policy (the reader's) or of drawn actions.
            Features of states alone are ``"drawn"``: nothing was averaged.
        next_covariance: Of enumerated next actions, [d, d]; see ``next_covariance_of_blocks``.

    Raises:
        InputError: The log has no features, or a number of it is not finite.
    """
    phi, following = features_of(log)
    starts = starts_of(log)
    return moments_of_rows(
        phi,
        following,
        log.reward,
        weight=log.weight,
        terminated=log.terminated,
        initial_features=None if starts is None else starts.features,
        initial_weight=None if starts is None else starts.weight,
        next_taken=next_taken,
        next_covariance=next_covariance,
        source=log.source or "the log",
        numbers=log.rows,
    )


def next_covariance_of_blocks(
    next_observed: np.ndarray,
    next_probability: np.ndarray,
    weight: np.ndarray | None = None,
    terminated: np.ndarray | None = None,
) -> np.ndarray:
    """Return the sum of phi' phi'^T over enumerated next actions, [K k, K k], for features of one block an action.

    With phi(s, a) the features x(s) in block a and 0 elsewhere, it is block-diagonal: block a is the sum of
    pi(a | s') x(s') x(s')^T.

    Args:
        next_observed: x(s'), [n, k].
        next_probability: pi(. | s'), [n, K].
        weight: [n]; None for 1 each.
        terminated: bool [n]; rows that add nothing. None for nowhere.
    """
    n, size = next_observed.shape
    actions = next_probability.shape[1]
    blocks = np.zeros((actions, size, actions, size))
    step = chunk_rows(size)
    for start in range(0, n, step):
        part = slice(start, start + step)
        x, probability = np.asarray(next_observed[part], dtype=np.float64), next_probability[part]
        if weight is not None:
            probability = probability * weight[part, None]
        if terminated is not None:
            x, probability = x[~terminated[part]], probability[~terminated[part]]
        for action in range(actions):
            blocks[action, :, action] += (x * probability[:, action, None]).T @ x
    return blocks.reshape(actions * size, actions * size)


def moments_by_episode(
    log: LoggedSteps, episodes: slice = slice(None), next_taken: NextFeatures = "mean"
) -> Moments:
    """Return the moments of each of a log's episodes: of batch shape [E], they take 16 E d^2 bytes.

    Starts that belong to no episode are shared out evenly, so that every resample of E episodes keeps their mean.

    Args:
        log: With features.
        episodes: Which of them, in the log's order.
        next_taken: As for ``moments_of_log``.

    Raises:
        InputError: A number of the log is not finite; ``moments_of_log`` names the row.
    """
    phi_all, following_all = features_of(log)
    starts = starts_of(log)
    chosen = np.arange(log.episodes)[episodes]
    first = log.first[chosen]
    length = log.last[chosen] + 1 - first
    count, d = len(chosen), phi_all.shape[1]
    drawn = next_taken == "drawn"
    sums = {name: np.zeros((count, d, d)) for name in ("covariance", "cross_covariance", "next_covariance")}
    sums |= {name: np.zeros((count, d)) for name in ("reward_moment", "next_reward_moment")}
    square, total = np.zeros(count), np.zeros(count)
    for steps in np.unique(length):  # one product for all episodes of a length
        alike = np.flatnonzero(length == steps)
        for part in np.array_split(alike, -(-len(alike) * steps // max(chunk_rows(d), int(steps)))):
            rows = first[part, None] + np.arange(steps)
            weight = np.ones(rows.shape) if log.weight is None else log.weight[rows]
            root = np.sqrt(weight)
            phi = phi_all[rows] * root[..., None]
            following = np.where(log.terminated[rows][..., None], 0.0, following_all[rows]) * root[..., None]
            reward = log.reward[rows] * root
            across = phi.transpose(0, 2, 1)
            sums["covariance"][part] = across @ phi
            sums["cross_covariance"][part] = across @ following
            sums["reward_moment"][part] = (across @ reward[..., None])[..., 0]
            if drawn:
                sums["next_covariance"][part] = following.transpose(0, 2, 1) @ following
                sums["next_reward_moment"][part] = np.einsum("etd,et->ed", following, reward)
            square[part], total[part] = (reward**2).sum(axis=1), weight.sum(axis=1)
    if not (np.isfinite(square).all() and all(np.isfinite(array).all() for array in sums.values())):
        raise InputError("the log holds numbers that are not finite")
    if starts is not None and not starts.of_episodes:
        share = np.full((count, d), starts.features.mean(axis=0) / log.episodes)
        starting, known = share, np.full(count, 1.0 / log.episodes)
    elif starts is not None:
        known = starts.weight[chosen]
        starting = known[:, None] * np.asarray(starts.features, dtype=np.float64)[chosen]
    else:
        starting, known = np.zeros((count, d)), np.zeros(count)
    return Moments(
        weight=total,
        rows=length,
        covariance=sums["covariance"],
        cross_covariance=sums["cross_covariance"],
        reward_moment=sums["reward_moment"],
        reward_square=square,
        initial_features=starting,
        initial_weight=known,
        next_covariance=sums["next_covariance"] if drawn else None,
        next_features=next_taken,
        next_covariance_from="drawn" if drawn else None,
        next_reward_moment=sums["next_reward_moment"] if drawn else None,
    )
