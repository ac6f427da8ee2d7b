"""Importance weights of a log, in logarithms: how far the target policy's experience differs from what was logged.

The ratio of a row is rho_t = pi(a_t | s_t) / b(a_t | s_t), the weight of an episode up to a step w_t = rho_0 ... rho_t.
Products of many ratios leave the range of floating-point numbers long before their sums of logarithms do, so weights
stay logarithms until they are normalised.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

_SUM_TOLERANCE = 1e-6  # of probabilities that were written to a file with six digits or more


@dataclass(frozen=True)
class ImportanceWeights:
    """The weights of n rows of E episodes.

    Attributes:
        log_ratio: Of the probabilities of each logged action, log(pi / b), [n]; -inf where the target never takes it.
        log_weight: Of each episode up to and with the row, [n].
        log_share: Logarithm of how often each episode counts, [E]; zeros where the log has no weights.
        step: int64 [n], 0, 1, ... within each episode.
        episode: int64 [n].
        first: Index of each episode's first row, int64 [E].
        last: Index of each episode's last row, int64 [E].
    """

    log_ratio: np.ndarray
    log_weight: np.ndarray
    log_share: np.ndarray
    step: np.ndarray
    episode: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @property
    def horizon(self) -> int:
        """Return how many steps the longest episode has."""
        return int(self.step.max()) + 1


@dataclass(frozen=True)
class Overlap:
    """How well a log covers what the target policy does.

    Attributes:
        effective_sample_size: (sum w)^2 / sum w^2 over the episodes' weights (over rows' ratios, where rows are
            independent): as many episodes of the target policy's own would tell about as much. In [1, E]; 0 where all
            weights are 0, NaN where they are not known.
        max_weight: The largest of those weights; inf beyond the range of floating-point numbers, NaN if unknown.
        log_max_weight: Its logarithm.
        zero_behaviour_rows: Rows whose logged action the behaviour policy is said never to take.
        unsupported_mass: What share of the target policy's probability lies on actions that the log never shows: in the
            same state where states are integers, anywhere in the log otherwise; a mean over rows. NaN where the
            target's probability is known of the logged actions alone.
        off_target_rows: Share of the rows whose logged action the target policy never takes.
    """

    effective_sample_size: float
    max_weight: float
    log_max_weight: float
    zero_behaviour_rows: int
    unsupported_mass: float
    off_target_rows: float


def why_unweighted(log: LoggedSteps) -> str:
    """Return why weights of episodes cannot be made of this log, in one sentence; empty where they can.

    Raises:
        InputError: A probability is none, or the target's do not sum to 1.
    """
    if log.independent:
        return "the rows are independent draws and no episodes, so no return is known that could be weighted"
    if log.behaviour_probability is None:
        return "the log holds no behaviour_probability; estimate it, or log it"
    target = logged_target_probability(log)
    if target is None:
        return "the log holds no target_probability of the logged actions"
    require_probabilities(log)
    impossible = np.flatnonzero((log.behaviour_probability <= 0) & (target > 0))
    if len(impossible):
        return (
            f"behaviour_probability is 0 in {len(impossible)} rows whose action the target policy takes, first in "
            f"{row_name(log, impossible[0])}: their ratio is infinite"
        )
    if log.weight is not None:
        start = log.weight[log.first]
        if not np.array_equal(log.weight, start[log.episode]):
            return "the weights differ within an episode; whole episodes are weighted here"
        if not (start > 0).any():
            return "the weights of all episodes are 0"
    return "" if len(log) else "the log holds no row"


def importance_weights(log: LoggedSteps) -> ImportanceWeights:
    """Return the weights of a log for which ``why_unweighted`` has no reason.

    A log's weights of rows, the same in all rows of an episode, say how often the episode counts.

    Raises:
        ValueError: There is a reason.
    """
    reason = why_unweighted(log)
    if reason:
        raise ValueError(f"log: {reason}")
    log_ratio, first = _log_ratio(log), log.first
    with np.errstate(divide="ignore"):
        log_share = np.zeros(len(first)) if log.weight is None else np.log(log.weight[first])
    cumulative = cumulative_by_episode(log_ratio, first, log.last)
    return ImportanceWeights(log_ratio, cumulative, log_share, log.step, log.episode, first, log.last)


def cumulative_by_episode(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return running sums within each episode, [n]; a step of all episodes at a time, so -inf stays within its own.

    Args:
        values: [n].
        first: Index of each episode's first row, [E].
        last: Index of each episode's last row, [E].
    """
    total = np.array(values, dtype=np.float64)
    lengths = last - first + 1
    longest = np.argsort(-lengths, kind="stable")
    alive = np.searchsorted(-lengths[longest], -np.arange(1, int(lengths.max(initial=0))), side="left")
    for step, count in enumerate(alive, start=1):
        rows = first[longest[:count]] + step
        total[rows] += total[rows - 1]
    return total


def overlap(log: LoggedSteps) -> Overlap:
    """Return how well a log covers the target policy; what its probabilities do not tell is NaN.

    Raises:
        InputError: A probability is none, or the target's do not sum to 1.
    """
    require_probabilities(log)
    target, behaviour = logged_target_probability(log), log.behaviour_probability
    never = 0 if behaviour is None else int((behaviour <= 0).sum())
    off = float(np.mean(target == 0)) if target is not None and len(target) else np.nan
    size, largest = np.nan, np.nan
    if log.independent and target is not None and behaviour is not None and not ((behaviour <= 0) & (target > 0)).any():
        size, largest = _effective(_log_ratio(log))
    elif not why_unweighted(log):
        weights = importance_weights(log)
        size, largest = _effective(weights.log_weight[weights.last] + weights.log_share)
        largest = float(weights.log_weight[weights.last].max())
    with np.errstate(over="ignore"):
        return Overlap(size, float(np.exp(largest)), largest, never, _unsupported_mass(log), off)


def effective_sample_size(log_weight: np.ndarray) -> float:
    """Return (sum w)^2 / sum w^2 from logarithms of the weights, [n]; 0 where all weights are 0."""
    return _effective(log_weight)[0]


def logged_target_probability(log: LoggedSteps) -> np.ndarray | None:
    """Return the target policy's probability of each logged action, [n]; None where the log does not tell it."""
    if log.target_probability is None or log.target_probability.ndim == 1:
        return log.target_probability
    return log.target_probability[np.arange(len(log)), log.action]


def require_probabilities(
    log: LoggedSteps, names: tuple[str, ...] = ("behaviour_probability", "target_probability")
) -> None:
    """Refuse what are no probabilities.

    Args:
        log: The log.
        names: Which of its arrays; what it does not have is passed over.

    Raises:
        InputError: A probability is not in [0, 1], or the target's do not sum to 1 over the actions.
    """
    for name in names:
        values = getattr(log, name)
        if values is None:
            continue
        # what a row says about after its end is without meaning
        told = np.ones(len(log), dtype=bool) if not name.startswith("next") else ~log.terminated
        wide = values.reshape(len(log), -1)
        bad = np.flatnonzero(told & ~((wide >= 0) & (wide <= 1 + _SUM_TOLERANCE)).all(axis=1))
        if len(bad):
            raise InputError(f"{row_name(log, bad[0])}: {name} must lie in [0, 1], not {wide[bad[0]].tolist()}")
        if values.ndim == 1:
            continue
        if values.shape[1] != log.actions:
            raise InputError(f"{name} has {values.shape[1]} columns, and there are {log.actions} actions")
        bad = np.flatnonzero(told & (np.abs(values.sum(axis=1) - 1) > _SUM_TOLERANCE))
        if len(bad):
            total = values[bad[0]].sum()
            raise InputError(f"{row_name(log, bad[0])}: {name} must sum to 1 over the actions, not to {total:.6g}")


def row_name(log: LoggedSteps, index: int) -> str:
    """Return what a message calls a row: the file, if there is one, and where the row stands in it."""
    name = f"row {index if log.rows is None else log.rows[index]}"
    return f"{log.source}, {name}" if log.source else name


def _log_ratio(log: LoggedSteps) -> np.ndarray:
    """Return log(pi / b) of each row; -inf where the target's probability is 0, whatever the behaviour's."""
    target = logged_target_probability(log)
    assert target is not None
    assert log.behaviour_probability is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(target > 0, np.log(target) - np.log(log.behaviour_probability), -np.inf)


def _effective(log_weight: np.ndarray) -> tuple[float, float]:
    """Return the effective sample size, and the logarithm of the largest weight."""
    largest = float(log_weight.max(initial=-np.inf))
    if largest == -np.inf:
        return 0.0, largest
    return float(np.exp(2 * logsumexp(log_weight) - logsumexp(2 * log_weight))), largest


def _unsupported_mass(log: LoggedSteps) -> float:
    """Return the share of the target policy's probability on actions that the log does not show; NaN if unknown."""
    if log.target_probability is None or log.target_probability.ndim == 1 or not len(log):
        return float("nan")
    state = np.zeros(len(log), dtype=np.int64)
    if log.observation is not None and log.observation.ndim == 1 and np.issubdtype(log.observation.dtype, np.integer):
        state = np.unique(log.observation, return_inverse=True)[1]
    seen = np.zeros((int(state.max()) + 1, log.actions), dtype=bool)
    seen[state, log.action] = True
    missing = np.where(seen[state], 0.0, log.target_probability).sum(axis=1)
    return float(np.average(missing, weights=log.weight))
