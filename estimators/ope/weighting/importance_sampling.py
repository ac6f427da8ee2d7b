"""The importance-sampling family: what a log's returns would have been on average had the target policy acted.

With w_t the weight of an episode up to step t (see ``importance_weights``), gamma the discount and G the discounted
return, over E episodes (Precup, Sutton and Singh 2000; the forms as in Thomas and Brunskill, arXiv 1604.00923):

    IS    = mean of w_T G                   WIS   = sum of w_T G over sum of w_T
    PDIS  = mean of sum_t gamma^t w_t r_t   WPDIS = sum_t gamma^t (sum of w_t r_t over sum of w_t)

In WPDIS the sums of a step run over all episodes: one that has finished keeps its last weight, since what it would do
after its end, nothing, has probability 1 under both policies. IS and PDIS are unbiased; the weighted forms are
consistent and of far less variance; WIS is never outside of the returns that were seen.

The interval is that of a mean over episodes, linearised for the weighted forms (``"cluster"``), or episodes are
resampled (``"episode_bootstrap"``).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from sandtable.estimators.ope.value_estimate import ValueEstimate
from sandtable.estimators.ope.weighting.importance_weights import (
    ImportanceWeights,
    importance_weights,
    row_name,
    why_unweighted,
)
from sandtable.estimators.ope.weighting.weighted_means import (
    Weigh,
    mean_of_episodes,
    returns,
    standard_error,
    weighted_by_step,
    weighted_mean,
    weighted_returns,
    weighted_sums,
)
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

EpisodeInterval = Literal["cluster", "episode_bootstrap", "none"]
"""How the interval comes about: from the episodes' influences, by resampling episodes, or not at all."""


@dataclass(frozen=True)
class EpisodeEstimator(ABC):
    """An estimator that weights episodes.

    Attributes:
        discount: In [0, 1]; the log's horizon is that of the value, so 1 is allowed.
        interval: How the interval is made.
        bootstrap: Resamples of the episodes, at least 2.
        seed: Of the resamples.
        name: As which the estimate is reported.
        whole: Whether only the weights of whole episodes count.
    """

    discount: float
    interval: EpisodeInterval = "cluster"
    bootstrap: int = 200
    seed: int = 0
    name: ClassVar[str]
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie in [0, 1], not {self.discount}")
        if self.interval not in ("cluster", "episode_bootstrap", "none"):
            raise ValueError(f"interval must be cluster, episode_bootstrap or none, not {self.interval!r}")
        if self.bootstrap < 2:
            raise ValueError(f"bootstrap must be at least 2, not {self.bootstrap}")

    def fit(self, log: LoggedSteps) -> ValueEstimate:
        """Return the estimate; ``"not run"`` with the reason where the log does not serve.

        Raises:
            InputError: A reward or a probability of the log is none.
        """
        weights = self._weights(log)
        if isinstance(weights, str):
            return ValueEstimate.not_run(self.name, weights)
        return self._estimate(self._weigh(weights, log.reward), weights.log_share, _note(log, weights))

    def _weights(self, log: LoggedSteps) -> ImportanceWeights | str:
        """Return the weights, or why there are none to work with."""
        reason = why_unweighted(log)
        if reason:
            return reason
        require_rewards(log)
        weights = importance_weights(log)
        return why_weightless(weights, weights.last if self.whole else weights.first) or weights

    @abstractmethod
    def _weigh(self, weights: ImportanceWeights, reward: np.ndarray) -> Weigh:
        """Return what makes the estimate of rewards [n]."""

    def _estimate(self, weigh: Weigh, log_share: np.ndarray, note: str) -> ValueEstimate:
        """Return value and interval."""
        value, influence = weigh(log_share)
        if np.isnan(value):
            return ValueEstimate.not_run(self.name, "from some step on the weights of all episodes are 0")
        if not np.isfinite(value):
            reason = "the weights leave the range of floating-point numbers, which those of weighted forms do not"
            return ValueEstimate.not_run(self.name, reason)
        if self.interval == "none" or len(influence) < 2:
            return ValueEstimate(self.name, value, reason=note)
        if self.interval == "cluster":
            return ValueEstimate(self.name, value, standard_error(influence), "cluster", reason=note)
        replicates = np.array([weigh(log_share + log_count).value for log_count in self._resamples(len(log_share))])
        finite = replicates[np.isfinite(replicates)]
        se = float(np.std(finite, ddof=1)) if len(finite) > 1 else None
        return ValueEstimate(self.name, value, se, "episode_bootstrap", replicates, reason=note)

    def _resamples(self, episodes: int) -> Iterator[np.ndarray]:
        """Yield for each resample how often it holds each episode, as logarithms, [E]."""
        generator, chance = np.random.default_rng(self.seed), np.full(episodes, 1 / episodes)
        for _ in range(self.bootstrap):
            with np.errstate(divide="ignore"):
                yield np.log(generator.multinomial(episodes, chance))


@dataclass(frozen=True)
class ImportanceSampling(EpisodeEstimator):
    """IS: the mean of weighted returns."""

    name: ClassVar[str] = "is"
    whole: ClassVar[bool] = True

    def _weigh(self, weights: ImportanceWeights, reward: np.ndarray) -> Weigh:
        return mean_of_episodes(weighted_returns(weights, reward, self.discount))


@dataclass(frozen=True)
class PerDecisionImportanceSampling(EpisodeEstimator):
    """PDIS: each reward is weighted by what led to it, not by what came after."""

    name: ClassVar[str] = "pdis"

    def _weigh(self, weights: ImportanceWeights, reward: np.ndarray) -> Weigh:
        return mean_of_episodes(weighted_sums(weights, reward, self.discount))


@dataclass(frozen=True)
class WeightedImportanceSampling(EpisodeEstimator):
    """WIS: the weighted mean of returns."""

    name: ClassVar[str] = "wis"
    whole: ClassVar[bool] = True

    def _weigh(self, weights: ImportanceWeights, reward: np.ndarray) -> Weigh:
        total, log_weight = returns(weights, reward, self.discount), weights.log_weight[weights.last]
        return lambda log_share: weighted_mean(total, log_weight + log_share)


@dataclass(frozen=True)
class WeightedPerDecisionImportanceSampling(EpisodeEstimator):
    """WPDIS: a weighted mean of rewards in each step, over all episodes, finished ones included."""

    name: ClassVar[str] = "wpdis"

    def _weigh(self, weights: ImportanceWeights, reward: np.ndarray) -> Weigh:
        return lambda log_share: weighted_by_step(weights, reward, self.discount, log_share)


def require_rewards(log: LoggedSteps) -> None:
    """Refuse rewards that are not finite.

    Raises:
        InputError: With the row.
    """
    bad = np.flatnonzero(~np.isfinite(log.reward))
    if len(bad):
        raise InputError(f"{row_name(log, bad[0])}: reward is {log.reward[bad[0]]}; every reward must be finite")


def why_weightless(weights: ImportanceWeights, rows: np.ndarray) -> str:
    """Return a sentence where the weights of all episodes are 0 at these rows, one an episode; else nothing."""
    counts = weights.log_share > -np.inf
    if (weights.log_weight[rows][counts] > -np.inf).any():
        return ""
    return "every episode has an action, up to there, that the target policy never takes: all weights are 0"


def _note(log: LoggedSteps, weights: ImportanceWeights) -> str:
    """Return what is to be known of an estimate that weights returns."""
    cut = int(log.truncated[log.last].sum())
    notes = [f"{cut} of {log.episodes} episodes were cut, and what came after counts as nothing"] if cut else []
    if not (weights.log_weight[weights.last] > -np.inf).any():
        notes.append("no episode consists of the target policy's actions alone")
    return "; ".join(notes)
