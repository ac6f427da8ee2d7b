"""FQE with networks: fitted Q evaluation (Le, Voloshin and Yue, arXiv 1903.08738) by the loop that trains everything.

Again and again a network is regressed on r + gamma E V(s') of an earlier copy of itself, the target network. The loss
is the squared error: what is sought is a conditional mean, and a robust loss would find another location of the same
distribution. After a termination V is 0; after a truncation it is what the target network says.

The estimate is the mean of several networks that differ in their seeds alone. Their spread tells what training left
to chance; it is no standard error, as all of them saw the same log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sandtable.estimators.ope.doubly_robust import ActionValues
from sandtable.estimators.ope.importance_sampling import require_rewards
from sandtable.estimators.ope.importance_weights import require_probabilities
from sandtable.estimators.ope.value_estimate import ValueEstimate
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.random import fold_in, integers
from sandtable.training import MLP, AdamW, Diverged, Objective, Replicated, fit
from sandtable.training.objectives import Carry, Metrics
from sandtable.training.progress import Progress

_ROWS = 0x726F7773  # the stream that draws rows
_FALL = 0.75  # of the steps: after them the learning rate falls to 0
_LOOKS = 40  # how often the values are noted


class Replay(NamedTuple):
    """The rows of a log as tensors.

    Attributes:
        observation: float32 [n, k], standardised, or int64 [n], numbers of states.
        action: int64 [n].
        reward: float32 [n], divided by the scale of returns.
        next_observation: As ``observation``; anything after a termination.
        next_probability: The target policy's, float32 [n, K].
        alive: float32 [n], 0 after a termination and 1 elsewhere.
        weight: float32 [n], of mean 1.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    next_probability: Tensor
    alive: Tensor
    weight: Tensor


class Iteration(NamedTuple):
    """What fitted Q evaluation carries from step to step.

    Attributes:
        step: int64 [].
        target: The parameters of the target network, by name.
        rows: Of the replay, int64 [R, B].
        goal: What they are regressed on, [R, B].
    """

    step: Tensor
    target: dict[str, Tensor]
    rows: Tensor
    goal: Tensor


@dataclass(frozen=True)
class FittedQ(Objective):
    """The mean squared error of Q(s, a) to r + gamma sum_a' pi(a' | s') Q_target(s', a') over rows of a log.

    Attributes:
        replay: The log.
        states: How many there are, where observations are their numbers; 0 where they are vectors.
        discount: In [0, 1].
        batch: Rows a step and replica, drawn with replacement; None takes all rows in every step.
        target_every: Steps after which the target network becomes the network, at least 1.
    """

    replay: Replay
    states: int
    discount: float
    batch: int | None
    target_every: int

    def start(self, network: nn.Module, key: Tensor) -> Iteration:
        """Return the network itself as target."""
        target = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        rows = self._draw(key)
        return Iteration(torch.zeros_like(key[0]), target, rows, self.replay.reward[rows])

    def collect(self, network: nn.Module, key: Tensor, carry: Carry) -> Iteration:
        """Draw rows, and tell what they are regressed on."""
        renew = carry.step % self.target_every == 0
        current = dict(network.named_parameters())
        target = {name: torch.where(renew, current[name], held) for name, held in carry.target.items()}
        replay, rows = self.replay, self._draw(key)
        after = torch.func.functional_call(network, target, (encoded(replay.next_observation[rows], self.states),))
        value = (replay.next_probability[rows] * after).sum(-1)
        goal = replay.reward[rows] + self.discount * replay.alive[rows] * value
        return Iteration(carry.step + 1, target, rows, goal)

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the mean squared error, [R]."""
        replay = self.replay
        q = network(encoded(replay.observation[carry.rows], self.states))
        q = q.gather(-1, replay.action[carry.rows][..., None])[..., 0]
        return (replay.weight[carry.rows] * (q - carry.goal).square()).mean(-1), {}, carry

    def _draw(self, key: Tensor) -> Tensor:
        """Return rows of the replay, int64 [R, B]."""
        count = len(self.replay.action)
        if self.batch is None:
            return torch.arange(count, device=key.device).expand(len(key), count)
        drawn: Tensor = integers(fold_in(key, _ROWS)[:, None], torch.arange(self.batch, device=key.device), count)
        return drawn


def encoded(observation: Tensor, states: int) -> Tensor:
    """Return what the network sees: vectors as they are, and one-hot vectors of the numbers of states."""
    return functional.one_hot(observation, states).float() if states else observation


@dataclass(frozen=True)
class QNetworks:
    """Networks that were fitted to a log.

    Attributes:
        network: Of R replicas, from what ``encoded`` returns to K values, in units of ``scale``.
        centre: Of the observations, [k]; None where they are states.
        spread: Their standard deviations, [k]; None likewise.
        states: How many states there are; 0 where observations are vectors.
        scale: Of returns.
        values: The target policy's at the start, by each replica, float64 [R].
        trace: The same during the training, [looks, R].
        trace_steps: The steps of the training at each look, [looks].
        drift: How far the mean value moved between the last two thirds of the time at the full learning rate, or
            after it, whichever is more; in units of the larger of the value and ``scale``.
        converged: Whether the drift is within the tolerance.
        device: Where the network lies.
    """

    network: Replicated = field(repr=False)
    centre: np.ndarray | None
    spread: np.ndarray | None
    states: int
    scale: float
    values: np.ndarray
    trace: np.ndarray = field(repr=False)
    trace_steps: np.ndarray = field(repr=False)
    drift: float
    converged: bool
    device: str

    def predict(self, observation: np.ndarray) -> np.ndarray:
        """Return the mean Q of the replicas for observations [n, ..]: [n, K]."""
        inputs = _as_tensor(observation, self.centre, self.spread).to(self.device)
        parts = []
        with torch.no_grad():
            for chunk in inputs.split(65_536):
                x = encoded(chunk, self.states).expand(self.network.replicas, len(chunk), -1)
                parts.append(self.network(x).double().mean(0))
        q: np.ndarray = torch.cat(parts).cpu().numpy() * self.scale
        return q

    def action_values(self, log: LoggedSteps) -> ActionValues:
        """Return the values at the rows of a log, for ``DoublyRobust``; of one that the networks did not see, best."""
        q = self.predict(_required(log, "observation"))
        v = (q * _required(log, "target_probability")).sum(axis=1)
        after = self.predict(_where_alive(log))
        next_v = np.where(log.terminated, 0.0, (after * _required(log, "next_target_probability")).sum(axis=1))
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
        tolerance: How far the value may still move, as a share, for the networks to count as converged.
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
    tolerance: float = 0.02
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
        reason += f"; the value still moved by {fitted.drift:.1%}"
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
        observation = _required(log, "observation")
        is_state = _holds_states(observation)
        alive = _where_alive(log)
        states = int(max(observation.max(), alive.max())) + 1 if is_state else 0
        centre = None if is_state else observation.reshape(len(log), -1).mean(axis=0, dtype=np.float64)
        spread = None if is_state else observation.reshape(len(log), -1).std(axis=0, dtype=np.float64)
        if spread is not None:
            spread = np.where(spread > 0, spread, 1.0)
        scale = _scale_of_returns(log, self.discount)
        replay = Replay(
            _as_tensor(observation, centre, spread),
            torch.as_tensor(log.action),
            torch.as_tensor(log.reward / scale).float(),
            _as_tensor(alive, centre, spread),
            torch.as_tensor(np.where(log.terminated[:, None], 0.0, _required(log, "next_target_probability"))).float(),
            torch.as_tensor(~log.terminated).float(),
            torch.as_tensor(np.ones(len(log)) if log.weight is None else log.weight / log.weight.mean()).float(),
        )
        replay = Replay(*(tensor.to(self.device) for tensor in replay))
        inputs = states or replay.observation.shape[1]
        network = MLP(self.replicas, inputs, self.hidden, log.actions, self.seed)
        looks: list[tuple[int, np.ndarray]] = []
        start = encoded(_as_tensor(observation[log.first], centre, spread), states).to(self.device)
        probability = torch.as_tensor(_required(log, "target_probability")[log.first], device=self.device)
        share = np.ones(log.episodes) if log.weight is None else log.weight[log.first]

        def look(step: int, steps: int, row: dict[str, object]) -> None:
            with torch.no_grad():
                q = network(start.expand(self.replicas, *start.shape)).double()
                value = (q * probability).sum(-1).cpu().numpy() * scale
            looks.append((step, np.average(value, axis=1, weights=share)))
            if progress:
                progress(step, steps, row)

        fit(
            network,
            FittedQ(replay, states, self.discount, self.batch, self.target_every),
            key=self.seed,
            steps=self.steps,
            optimizer=AdamW(self.learning_rate, weight_decay=0.0),
            schedule=self._schedule,
            log_every=max(1, self.steps // _LOOKS),
            device=self.device,
            progress=look,
        )
        steps, trace = np.array([step for step, _ in looks]), np.stack([value for _, value in looks])
        drift = _drift(steps / self.steps, trace.mean(axis=1)) / max(abs(float(trace[-1].mean())), scale)
        return QNetworks(
            network, centre, spread, states, scale, trace[-1], trace, steps, drift, drift <= self.tolerance, self.device
        )

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
    require_probabilities(log)
    observation, alive = log.observation, _where_alive(log)
    if _holds_states(observation):
        return "a state has a negative number" if min(observation.min(), alive.min()) < 0 else ""
    return "" if np.isfinite(observation).all() and np.isfinite(alive).all() else "an observation is not finite"


def _required(log: LoggedSteps, name: str) -> np.ndarray:
    array: np.ndarray | None = getattr(log, name)
    if array is None:
        raise ValueError(f"the log holds no {name}")
    return array


def _holds_states(observation: np.ndarray) -> bool:
    return observation.ndim == 1 and np.issubdtype(observation.dtype, np.integer)


def _where_alive(log: LoggedSteps) -> np.ndarray:
    """Return the next observations, and after a termination the row's own, which is sure to be one."""
    observation, following = _required(log, "observation"), _required(log, "next_observation")
    return np.where(log.terminated.reshape(-1, *[1] * (observation.ndim - 1)), observation, following)


def _as_tensor(observation: np.ndarray, centre: np.ndarray | None, spread: np.ndarray | None) -> Tensor:
    """Return states as they are, and vectors standardised."""
    if centre is None:
        return torch.as_tensor(np.asarray(observation, dtype=np.int64))
    return torch.as_tensor((observation.reshape(len(observation), -1) - centre) / spread).float()


def _scale_of_returns(log: LoggedSteps, discount: float) -> float:
    """Return the root mean square of the log's own discounted returns; 1 where all are 0."""
    returns = np.add.reduceat(discount**log.step * log.reward, log.first)
    return float(np.sqrt(np.mean(returns**2))) or 1.0


def _drift(time: np.ndarray, value: np.ndarray) -> float:
    """Return how far a value moved, from its course [looks] at times in (0, 1].

    The means of two stretches at the full learning rate are compared, and the second with the end: with the rate at 0
    the value would stand still wherever it is.
    """
    first = value[(time > _FALL / 3) & (time <= 2 * _FALL / 3)].mean()
    second = value[(time > 2 * _FALL / 3) & (time <= _FALL)].mean()
    return float(max(abs(second - first), abs(value[-1] - second)))
