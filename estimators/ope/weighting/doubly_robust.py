"""Doubly robust estimators: a model's value, corrected by importance-weighted temporal-difference errors.

With Q and V a model of the target policy's values, and the error delta_t = r_t + gamma V(s_{t+1}) - Q(s_t, a_t),

    DR  = mean of V(s_0) + sum_t gamma^t w_t delta_t           (Jiang and Li, arXiv 1511.03722, unrolled)
    WDR = mean of V(s_0) + sum_t gamma^t (sum of w_t delta_t over sum of w_t)        (arXiv 1604.00923, section 4)

which are the usual forms, w_t (r_t - Q_t) + w_{t-1} V_t, with the terms of V put beside the step that leads to them. If
the weights are right, no Q can bias DR, and a good one takes most of the variance; if Q is right, no weights can. After
a termination V is 0; where the log cut an episode, the model says what would have come.

Q must not be fitted to the episode that it corrects: it is fitted by LSTD on the other folds of episodes. A model of
states alone does as well: with V(s_t) for Q(s_t, a_t) the expected correction is the same.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from sandtable.estimators.ope.linear.lstd import LSTD, RankWarning
from sandtable.estimators.ope.moments.accumulate import features_of, moments_of_rows, starts_of
from sandtable.estimators.ope.value_estimate import ValueEstimate
from sandtable.estimators.ope.weighting.folds import episode_folds
from sandtable.estimators.ope.weighting.importance_sampling import EpisodeEstimator
from sandtable.estimators.ope.weighting.importance_weights import ImportanceWeights, importance_weights, row_name
from sandtable.estimators.ope.weighting.weighted_means import (
    Weigh,
    Weighed,
    mean_of_episodes,
    weighted_by_step,
    weighted_mean,
    weighted_sums,
)
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps


class ActionValues(NamedTuple):
    """A model's values of the target policy at the n rows of a log.

    Attributes:
        q: Q(s_t, a_t) of the logged pair, [n]; V(s_t) in a model of states alone.
        v: V(s_t), the mean of Q over the target policy's actions, [n].
        next_v: V of the observation after each row, [n]; only read where an episode was cut. None where none was.
    """

    q: np.ndarray
    v: np.ndarray
    next_v: np.ndarray | None = None


class Corrections(NamedTuple):
    """What a doubly robust estimate sums.

    Attributes:
        start: V(s_0) of each episode, [E].
        errors: delta_t of each row, [n].
    """

    start: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class DoublyRobust(EpisodeEstimator):
    """DR, with a model that is fitted by LSTD on other episodes, or with one that is given.

    Attributes:
        ridge: Of LSTD.
        folds: Of episodes, at least 2; as many as there are episodes if they are fewer.
        features: Whether the log's features are of pairs (``"q"``) or of states (``"v"``): LSTD for states weights each
            row by its ratio.
    """

    ridge: float = 0.0
    folds: int = 5
    features: Literal["q", "v"] = "q"
    name: ClassVar[str] = "dr"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, not {self.folds}")
        if self.features not in ("q", "v"):
            raise ValueError(f"features must be q or v, not {self.features!r}")

    def fit(self, log: LoggedSteps, values: ActionValues | None = None) -> ValueEstimate:
        """Return the estimate; ``"not run"`` with the reason where the log does not serve.

        Args:
            log: With features, unless values are given.
            values: A model's values at the log's rows, for example a network's; None to fit them on other folds. Those
                that were fitted on the same episodes are taken as they are, and make the interval too narrow.

        Raises:
            InputError: A number of the log is not finite, or a probability none.
            ValueError: Values do not have the log's rows.
        """
        weights = self._weights(log)
        if isinstance(weights, str):
            return ValueEstimate.not_run(self.name, weights)
        note = ""
        if values is None:
            fitted = cross_fitted_values(log, self.discount, self.ridge, self.folds, self.features, self.seed)
            if isinstance(fitted, str):
                return ValueEstimate.not_run(self.name, fitted)
            values, note = fitted
        return self._correct(weights, corrections(log, values, self.discount), note)

    def _correct(self, weights: ImportanceWeights, terms: Corrections, note: str) -> ValueEstimate:
        return self._estimate(self._combine(weights, terms), weights.log_share, note)

    def _combine(self, weights: ImportanceWeights, terms: Corrections) -> Weigh:
        return mean_of_episodes(terms.start + weighted_sums(weights, terms.errors, self.discount))

    def _weigh(self, weights: ImportanceWeights, reward: np.ndarray) -> Weigh:
        """Return what makes the estimate of the model that says 0 everywhere: per-decision importance sampling."""
        return self._combine(weights, Corrections(np.zeros(len(weights.first)), reward))


@dataclass(frozen=True)
class WeightedDoublyRobust(DoublyRobust):
    """WDR: the corrections of each step are a weighted mean; where all its weights are 0 the model stands alone."""

    name: ClassVar[str] = "wdr"

    def _combine(self, weights: ImportanceWeights, terms: Corrections) -> Weigh:
        def weigh(log_share: np.ndarray) -> Weighed:
            model = weighted_mean(terms.start, log_share)
            correction = weighted_by_step(weights, terms.errors, self.discount, log_share, over_nothing=0.0)
            return Weighed(model.value + correction.value, model.influence + correction.influence)

        return weigh


def corrections(log: LoggedSteps, values: ActionValues, discount: float) -> Corrections:
    """Return the model's values at the starts, and the temporal-difference errors of all rows.

    Raises:
        ValueError: The values do not have the log's rows, are not finite, or do not say what follows a cut episode.
    """
    for name, array in values._asdict().items():
        if array is not None and (array.shape != (len(log),) or not np.isfinite(array).all()):
            raise ValueError(f"{name} must be {len(log)} finite numbers, one a row")
    last, following = log.last, np.append(values.v[1:], 0.0)
    cut = last[~log.terminated[last]]
    following[last] = 0.0
    if len(cut):
        if values.next_v is None:
            raise ValueError(f"next_v is needed: {len(cut)} episodes were cut, first at {row_name(log, cut[0])}")
        following[cut] = values.next_v[cut]
    return Corrections(values.v[log.first], log.reward + discount * following - values.q)


def cross_fitted_values(
    log: LoggedSteps, discount: float, ridge: float = 0.0, folds: int = 5, features: str = "q", seed: int = 0
) -> tuple[ActionValues, str] | str:
    """Return the values that LSTD on the other folds gives each episode, and what is to be known of the fits.

    Args:
        log: With features and, for features of states, the probabilities that give the ratios.
        discount: In [0, 1].
        ridge: Of LSTD.
        folds: Of episodes, at least 2.
        features: ``"q"`` or ``"v"``, as of ``DoublyRobust``.
        seed: Of the deal.

    Returns:
        Values and a note, which may be empty; or why there are none.

    Raises:
        InputError: A feature is not finite.
    """
    if log.features is None or log.next_features is None:
        return "the log holds no features to fit a model of"
    if log.episodes < 2:
        return "the log holds one episode, and a model is fitted to others than those it corrects"
    starts = starts_of(log)
    if starts is None:
        return "the log holds no start"
    _require_finite(log)
    phi, following = features_of(log)
    fold = episode_folds(log.episodes, min(folds, log.episodes), seed)
    fits, note = _params_without(log, fold, LSTD(discount, ridge), features)
    if fits is None:
        return note
    q, after, of_row = np.empty(len(log)), np.zeros(len(log)), fold[log.episode]
    start = np.empty(log.episodes)
    for number, params in enumerate(fits):
        rows, chosen = of_row == number, fold == number
        q[rows], after[rows] = phi[rows] @ params, following[rows] @ params
        known = starts.features[chosen] if starts.of_episodes else starts.features.mean(axis=0)
        start[chosen] = known @ params
    after[log.terminated] = 0.0
    v = np.append(0.0, after[:-1])
    v[log.first] = start
    return ActionValues(q, v, after), note


def _params_without(
    log: LoggedSteps, fold: np.ndarray, lstd: LSTD, features: str
) -> tuple[list[np.ndarray] | None, str]:
    """Return the parameters that the moments of the other folds give each, and a note; None and why where none can."""
    phi, following = features_of(log)
    weight = np.ones(len(log)) if log.weight is None else log.weight
    if features == "v":
        weight = weight * np.exp(importance_weights(log).log_ratio)
    parts = []
    for number in range(int(fold.max()) + 1):
        rows = (fold[log.episode] == number) & (weight > 0)
        if rows.any():
            part = moments_of_rows(
                phi[rows], following[rows], log.reward[rows], weight=weight[rows], terminated=log.terminated[rows]
            )
            parts.append((number, part))
    fits, rank = [], phi.shape[1]
    for number in range(int(fold.max()) + 1):
        others = [part for one, part in parts if one != number]
        if not others:
            return None, "the weights of all other episodes are 0, so no model can be fitted to them"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankWarning)  # the note tells it
            result = lstd.fit(sum(others[1:], others[0]))
        fits.append(result.params)
        rank = min(rank, int(result.rank))
    if rank == phi.shape[1]:
        return fits, ""
    return fits, f"without a fold the system has rank {rank} of {phi.shape[1]}: its least-norm solution was taken"


def _require_finite(log: LoggedSteps) -> None:
    """Refuse features that are not finite.

    Raises:
        InputError: With the row.
    """
    phi, following = features_of(log)
    for name, array, told in (("features", phi, True), ("next_features", following, ~log.terminated)):
        bad = np.flatnonzero(told & ~np.isfinite(array).all(axis=1))
        if len(bad):
            raise InputError(f"{row_name(log, bad[0])}: {name} must be finite")
