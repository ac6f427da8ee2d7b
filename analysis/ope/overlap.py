"""The weights of a log by episode and by step: how much of it speaks for the target policy."""

from typing import NamedTuple

import numpy as np

from sandtable.estimators.ope.weighting.importance_weights import (
    effective_sample_size,
    importance_weights,
    logged_target_probability,
    why_unweighted,
)
from sandtable.simulators.ope.logged_steps import LoggedSteps

MOST_STEPS = 400


class LoggedWeights(NamedTuple):
    """Weights of a log.

    Attributes:
        log10: Of each episode (of each row of independent draws), powers of ten; -inf for 0.
        effective: Effective sample size of the weights up to each step, [T]; empty for independent draws.
        alive: Episodes that have that step, [T].
    """

    log10: np.ndarray
    effective: np.ndarray
    alive: np.ndarray


def logged_weights(log: LoggedSteps) -> LoggedWeights | None:
    """Return the weights of a log, or None where the policies' probabilities do not tell them."""
    target, behaviour = logged_target_probability(log), log.behaviour_probability
    if log.independent and target is not None and behaviour is not None and (behaviour > 0).all():
        with np.errstate(divide="ignore"):
            return LoggedWeights(np.log10(target / behaviour), np.zeros(0), np.zeros(0))
    if why_unweighted(log):
        return None
    weights = importance_weights(log)
    current = np.full(log.episodes, 0.0)
    steps = min(weights.horizon, MOST_STEPS)
    effective, alive = np.zeros(steps), np.zeros(steps)
    order = np.argsort(log.step, kind="stable")
    edges = np.searchsorted(log.step[order], np.arange(steps + 1))
    for t in range(steps):
        rows = order[edges[t] : edges[t + 1]]
        current[log.episode[rows]] = weights.log_weight[rows]  # episodes that ended keep their last weight
        effective[t], alive[t] = effective_sample_size(current + weights.log_share), len(rows)
    return LoggedWeights(weights.log_weight[weights.last] / np.log(10), effective, alive)
