"""FQE with networks: fitted Q evaluation (Le, Voloshin and Yue, arXiv 1903.08738) by the loop that trains everything.

Again and again a network is regressed on r + gamma E V(s') of an earlier copy of itself, the target network. The loss
is the squared error: what is sought is a conditional mean, and a robust loss would find another location of the same
distribution. After a termination V is 0; after a truncation it is what the target network says.

The estimate is the mean of several networks that differ in their seeds alone. Their spread tells what training left
to chance; it is no standard error, as all of them saw the same log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sandtable.estimators.ope.fitted_q_objective import (
    Coding,
    FittedQ,
    encoded,
    holds_states,
    replay_of,
    required,
    where_alive,
)
from sandtable.estimators.ope.value_estimate import ValueEstimate
from sandtable.estimators.ope.weighting.doubly_robust import ActionValues
from sandtable.estimators.ope.weighting.importance_sampling import require_rewards
from sandtable.estimators.ope.weighting.importance_weights import require_probabilities
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.training import MLP, AdamW, Diverged, Replicated, fit
from sandtable.training.progress import Progress

_FALL = 0.75  # of the steps: after them the learning rate falls to 0
_LOOKS = 40  # how often the values are noted


@dataclass(frozen=True)
class QNetworks:
    """Networks that were fitted to a log.

    Attributes:
        network: Of R replicas, from what ``encoded`` returns to K values, in units of ``scale``.
        coding: Of the observations.
        scale: Of returns.
        values: The target policy's at the start, by each replica, float64 [R].
        trace: The same during the training, [looks, R].
        trace_steps: The steps of the training at each look, [looks].
        drift: How far the mean value may still be from where it goes, in units of the larger of the value and
            ``scale``: what it moved between the last two eighths of the training at the full learning rate, times the
            effective horizon over the target networks that there were in an eighth, if that is above 1; or its move
            from there to the end, if that is more.
        converged: Whether the drift is within the tolerance.
        device: Where the network lies.
    """

    network: Replicated = field(repr=False)
    coding: Coding = field(repr=False)
    scale: float
    values: np.ndarray
    trace: np.ndarray = field(repr=False)
    trace_steps: np.ndarray = field(repr=False)
    drift: float
    converged: bool
    device: str

    def predict(self, observation: np.ndarray) -> np.ndarray:
        """Return the mean Q of the replicas for observations [n, ..]: [n, K]."""
        inputs, parts = self.coding.tensor(observation).to(self.device), []
        with torch.no_grad():
            for chunk in inputs.split(65_536):
                x = encoded(chunk, self.coding.states).expand(self.network.replicas, len(chunk), -1)
                parts.append(self.network(x).double().mean(0))
        q: np.ndarray = torch.cat(parts).cpu().numpy() * self.scale
        return q

    def action_values(self, log: LoggedSteps) -> ActionValues:
        """Return the values at the rows of a log, for ``DoublyRobust``; of one that the networks did not see, best."""
        q = self.predict(required(log, "observation"))
        v = (q * required(log, "target_probability")).sum(axis=1)
        after = self.predict(where_alive(log))
        next_v = np.where(log.terminated, 0.0, (after * required(log, "next_target_probability")).sum(axis=1))
        return ActionValues(q[np.arange(len(log)), log.action], v, next_v)


@dataclass(frozen=True)
class FittedQNetwork:
    """Fitted Q evaluation with multilayer perceptrons.

    Attributes:
        discount: In [0, 1]; 1 only where every episode ends.
        hidden: Widths of the hidden layers; none makes a linear map, with integer states a table.
        replicas: Networks, which differ in their seeds, at least 1.
        steps: Of training, at least 100. The learning rate is constant for three quarters and then falls to 0.
        batch: Rows a step; None takes the whole log in every step.
        learning_rate: Of Adam.
        target_every: Steps after which the target network is renewed, at least 1.
        tolerance: Of the drift, for the networks to count as converged.
        seed: Of initial weights and of the rows drawn.
        device: Where to train.
    """

    discount: float
    hidden: Sequence[int] = (64, 64)
    replicas: int = 3
    steps: int = 20_000
    batch: int | None = 256
    learning_rate: float = 1e-3
    target_every: int = 100
    tolerance: float = 0.05
    seed: int = 0
    device: str = "cpu"
    name: ClassVar[str] = "fqe"

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie in [0, 1], not {self.discount}")
        for name, least in (("replicas", 1), ("steps", 100), ("target_every", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"batch must be at least 1, not {self.batch}")

    def fit(self, log: LoggedSteps) -> ValueEstimate:
        """Return the estimate; ``"not converged"`` where the value still moved, ``"not run"`` with the reason.

        Raises:
            InputError: A reward is not finite, or a probability none.
        """
        reason = why_unfitted(log)
        if reason:
            return ValueEstimate.not_run(self.name, reason)
        iterations = self.steps // self.target_every
        try:
            fitted = self.train(log)
        except Diverged as error:
            return ValueEstimate(self.name, np.nan, status="diverged", reason=str(error), iterations=iterations)
        value, told = float(fitted.values.mean()), ", ".join(f"{one:.4g}" for one in fitted.values)
        reason = f"{self.replicas} networks: {told}"
        if self.replicas > 1:
            reason += f" (standard deviation {np.std(fitted.values, ddof=1):.2g}, of the seeds alone)"
        if fitted.converged:
            return ValueEstimate(self.name, value, reason=reason, iterations=iterations)
        reason += f"; at its pace the value has some {fitted.drift:.0%} still to go"
        return ValueEstimate(self.name, value, status="not converged", reason=reason, iterations=iterations)

    def train(self, log: LoggedSteps, progress: Progress | None = None) -> QNetworks:
        """Return the networks themselves.

        Args:
            log: For which ``why_unfitted`` has no reason.
            progress: Told of the loop's rows.

        Raises:
            Diverged: A loss or a parameter was not finite.
            InputError: A reward is not finite, or a probability none.
            ValueError: The log does not serve.
        """
        if reason := why_unfitted(log):
            raise ValueError(f"log: {reason}")
        coding, scale = Coding.of(log), _scale_of_returns(log, self.discount)
        replay = replay_of(log, coding, scale, self.device)
        network = MLP(self.replicas, coding.inputs, self.hidden, log.actions, self.seed)
        looks: list[tuple[int, np.ndarray]] = []
        value_at_start = _value_at_start(log, coding, self.device)

        def look(step: int, steps: int, row: dict[str, object]) -> None:
            looks.append((step, value_at_start(network) * scale))
            if progress:
                progress(step, steps, row)

        fit(
            network,
            FittedQ(replay, coding.states, self.discount, self.batch, self.target_every),
            key=self.seed,
            steps=self.steps,
            optimizer=AdamW(self.learning_rate, weight_decay=0.0),
            schedule=self._schedule,
            log_every=max(1, self.steps // _LOOKS),
            device=self.device,
            progress=look,
        )
        at, trace = np.array([step for step, _ in looks]), np.stack([value for _, value in looks])
        course = trace.mean(axis=1) / max(abs(float(trace[-1].mean())), scale)
        iterations, horizon = self.steps / self.target_every, _effective_horizon(log, self.discount)
        drift = _drift(at / self.steps, course, iterations, horizon)
        return QNetworks(network, coding, scale, trace[-1], trace, at, drift, drift <= self.tolerance, self.device)

    def _schedule(self, step: Tensor) -> Tensor:
        """Return 1 for three quarters of the steps, then a line to 0."""
        return ((1 - step.double() / self.steps) / (1 - _FALL)).clamp(max=1)


def why_unfitted(log: LoggedSteps) -> str:
    """Return why networks cannot be fitted to this log, in one sentence; empty where they can.

    Raises:
        InputError: A reward is not finite, or a probability none.
    """
    if log.independent:
        return "the rows are independent draws, and no start is known at which to tell the value"
    if log.observation is None or log.next_observation is None:
        return "the log holds no observations"
    for name in ("target_probability", "next_target_probability"):
        probability = getattr(log, name)
        if probability is None or probability.ndim == 1:
            return f"the log holds no {name} of every action"
    if not len(log):
        return "the log holds no row"
    if log.weight is not None and not log.weight[log.first].sum() > 0:
        return "the weights of all starts are 0"
    require_rewards(log)
    unknown = int((np.isnan(required(log, "next_target_probability")).any(axis=1) & ~log.terminated).sum())
    if unknown:
        return f"next_target_probability is not known in {unknown} rows after which the episode goes on"
    require_probabilities(log, ("target_probability", "next_target_probability"))
    observation, alive = log.observation, where_alive(log)
    if holds_states(observation):
        return "a state has a negative number" if min(observation.min(), alive.min()) < 0 else ""
    return "" if np.isfinite(observation).all() and np.isfinite(alive).all() else "an observation is not finite"


def _value_at_start(log: LoggedSteps, coding: Coding, device: str) -> Callable[[Replicated], np.ndarray]:
    """Return what tells a network's mean value at the log's first steps, [R]."""
    start = encoded(coding.tensor(required(log, "observation")[log.first]), coding.states).to(device)
    probability = torch.as_tensor(required(log, "target_probability")[log.first], device=device)
    share = np.ones(log.episodes) if log.weight is None else log.weight[log.first]

    def value(network: Replicated) -> np.ndarray:
        with torch.no_grad():
            q = network(start.expand(network.replicas, *start.shape)).double()
            return np.average((q * probability).sum(-1).cpu().numpy(), axis=1, weights=share)

    return value


def _scale_of_returns(log: LoggedSteps, discount: float) -> float:
    """Return the root mean square of the log's own discounted returns; 1 where all are 0."""
    returns = np.add.reduceat(discount**log.step * log.reward, log.first)
    return float(np.sqrt(np.mean(returns**2))) or 1.0


def _effective_horizon(log: LoggedSteps, discount: float) -> float:
    """Return how many steps count: 1 / (1 - discount), or the longest episode's if none was cut and they are fewer."""
    longest = float(log.step.max()) + 1
    if discount == 1:
        return longest
    return 1 / (1 - discount) if log.truncated.any() else min(longest, 1 / (1 - discount))


def _drift(time: np.ndarray, value: np.ndarray, iterations: float, horizon: float) -> float:
    """Return how far a value may still be from where it goes, from its course [looks] at times in (0, 1].

    The means of two stretches at the full learning rate, an eighth of the training each, are compared, and the second
    with the end. The end alone tells nothing: with the rate at 0 the value stands still wherever it is. Nor does a slow
    pace: an iteration that closes 1 / horizon of the gap has left horizon times its step.
    """
    middle, start = _FALL - 0.125, _FALL - 0.25
    first = value[(time > start) & (time <= middle)].mean()
    second = value[(time > middle) & (time <= _FALL)].mean()
    ahead = max(1.0, horizon / (0.125 * iterations))
    return float(max(ahead * abs(second - first), abs(value[-1] - second)))
