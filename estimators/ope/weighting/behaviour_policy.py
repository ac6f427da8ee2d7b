"""Behaviour probabilities that nobody logged: estimated from the actions themselves, on other episodes.

A weight that was estimated from the very action that it weights flatters it: an action that was taken once in its state
would get the probability 1. So probabilities are cross-fitted by episode. States of a finite world are counted; vectors
are regressed on, by multinomial logistic regression with squares and products.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize
from scipy.special import log_softmax, softmax

from sandtable.estimators.ope.weighting.folds import episode_folds
from sandtable.estimators.ope.weighting.importance_weights import row_name
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

_MOST_PRODUCTS = 20  # entries of an observation up to which products are features too: 231 of them


@dataclass(frozen=True)
class BehaviourEstimate:
    """Estimated behaviour probabilities of the logged actions.

    Attributes:
        probability: Of each logged action, by a fit to other episodes, float64 [n] in (0, 1].
        method: Counts of integer states, or logistic regression.
        log_loss: Mean of -log(probability): how well the actions of other episodes are foretold.
        frequency_log_loss: The same of the actions' frequencies alone, in other episodes: states that tell nothing.
        folds: How many.
        converged: Whether every regression did; counts always do.
    """

    probability: np.ndarray
    method: Literal["table", "logistic"]
    log_loss: float
    frequency_log_loss: float
    folds: int
    converged: bool

    def summary(self) -> str:
        """Return one line."""
        done = "" if self.converged else "; the regression has NOT converged"
        return (
            f"behaviour probabilities by {'counts' if self.method == 'table' else 'logistic regression'}, cross-fitted "
            f"on {self.folds} folds: log-loss {self.log_loss:.4f}, of frequencies {self.frequency_log_loss:.4f}{done}"
        )


@dataclass(frozen=True)
class BehaviourPolicy:
    """Estimates what the behaviour policy's probabilities were.

    Attributes:
        smoothing: Added to every count, > 0: with K actions, (count + smoothing) / (total + K smoothing).
        penalty: Of the regression: half of it times the squared coefficients is added to the negative log-likelihood.
            > 0, so that actions that are foretold for certain have finite coefficients.
        folds: Of episodes, at least 2; as many as there are episodes if they are fewer.
        seed: Of the deal.
    """

    smoothing: float = 1.0
    penalty: float = 1.0
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("smoothing", "penalty"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be positive and finite, not {getattr(self, name)}")
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, not {self.folds}")

    def fit(self, log: LoggedSteps) -> BehaviourEstimate:
        """Return the probabilities of a log's actions; put them in with ``log.with_(behaviour_probability=...)``.

        Raises:
            InputError: The log holds no observations, one that is not finite, or a single episode.
        """
        if log.observation is None:
            raise InputError("behaviour probabilities cannot be estimated: the log holds no observations")
        if log.episodes < 2:
            raise InputError("behaviour probabilities are estimated on other episodes, and the log holds one")
        observation = log.observation
        is_table = observation.ndim == 1 and np.issubdtype(observation.dtype, np.integer)
        if not is_table:
            _require_finite(log)
        fold = episode_folds(log.episodes, min(self.folds, log.episodes), self.seed)[log.episode]
        weight = np.ones(len(log)) if log.weight is None else log.weight
        state = np.unique(observation, return_inverse=True)[1] if is_table else np.zeros(0)
        features = np.zeros((0, 0)) if is_table else _quadratic(observation.reshape(len(log), -1))
        probability, frequency, converged = np.empty(len(log)), np.empty(len(log)), True
        for number in range(int(fold.max()) + 1):
            here, others = fold == number, np.flatnonzero(fold != number)
            action, counts = log.action[others], weight[others]
            overall = np.bincount(action, counts, log.actions) + self.smoothing
            frequency[here] = (overall / overall.sum())[log.action[here]]
            if is_table:
                table = self._table(state, others, action, counts, log.actions)
                probability[here] = table[state[here], log.action[here]]
            else:
                coefficients, done = self._regress(features[others], action, counts, log.actions)
                converged &= done
                told = softmax(features[here] @ coefficients, axis=1)
                probability[here] = told[np.arange(len(told)), log.action[here]]
        # a probability that underflows would make a ratio infinite
        probability = np.maximum(probability, np.finfo(np.float64).tiny)
        return BehaviourEstimate(
            probability,
            "table" if is_table else "logistic",
            -float(np.average(np.log(probability), weights=weight)),
            -float(np.average(np.log(frequency), weights=weight)),
            int(fold.max()) + 1,
            bool(converged),
        )

    def _table(
        self, state: np.ndarray, rows: np.ndarray, action: np.ndarray, weight: np.ndarray, actions: int
    ) -> np.ndarray:
        """Return smoothed frequencies, [S, K]; uniform in a state that the rows do not hold."""
        states = int(state.max()) + 1
        counts = np.bincount(state[rows] * actions + action, weight, states * actions) + self.smoothing
        counts = counts.reshape(states, actions)
        table: np.ndarray = counts / counts.sum(axis=1, keepdims=True)
        return table

    def _regress(
        self, features: np.ndarray, action: np.ndarray, weight: np.ndarray, actions: int
    ) -> tuple[np.ndarray, bool]:
        """Return coefficients [m, K] of the penalised multinomial likelihood, and whether the solver converged."""
        chosen = np.zeros((len(action), actions))
        chosen[np.arange(len(action)), action] = 1.0
        total = weight.sum()

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            coefficients = flat.reshape(-1, actions)
            log_probability = log_softmax(features @ coefficients, axis=1)
            likelihood = float(weight @ log_probability[np.arange(len(action)), action])
            slope = features.T @ (weight[:, None] * (chosen - np.exp(log_probability)))
            value = 0.5 * self.penalty * float(flat @ flat) - likelihood
            return value / total, (self.penalty * coefficients - slope).reshape(-1) / total

        start = np.zeros(features.shape[1] * actions)
        found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
        return found.x.reshape(-1, actions), bool(found.success)


def _quadratic(observation: np.ndarray) -> np.ndarray:
    """Return a constant, standardised entries and, of few entries, their squares and products: [n, m]."""
    spread = observation.std(axis=0)
    x = (observation - observation.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    columns = [np.ones((len(x), 1)), x]
    if x.shape[1] <= _MOST_PRODUCTS:
        first, second = np.triu_indices(x.shape[1])
        columns.append(x[:, first] * x[:, second])
    return np.concatenate(columns, axis=1)


def _require_finite(log: LoggedSteps) -> None:
    observation = np.asarray(log.observation).reshape(len(log), -1)
    bad = np.flatnonzero(~np.isfinite(observation).all(axis=1))
    if len(bad):
        raise InputError(f"{row_name(log, bad[0])}: an observation must be finite, not {observation[bad[0]].tolist()}")
