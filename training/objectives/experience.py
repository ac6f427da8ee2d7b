"""Where experience comes from: fresh rollouts of a process, or a log of what another policy did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from sandtable.simulators.arrays import Array, namespace, tree_map
from sandtable.simulators.decision_process import DecisionProcess, State
from sandtable.simulators.random import fold_in, integers
from sandtable.training.objectives.action_distributions import ActionDistribution
from sandtable.training.objectives.objective import row_keys

_ACTIONS = 0x616374696F6E  # the stream of the noise of actions
_CHOICE = 0x63686F696365  # the stream that chooses rows of a log
_ROWS_TOGETHER = 4096  # whose values are one call: their activations stay in a core's cache


class Experience(NamedTuple):
    """What happened, time first: T steps of B rows of R replicas; the steps of a row follow each other.

    Attributes:
        observation: [T, R, B, ...], or a dict of such arrays.
        latent: What the distribution drew, [T, R, B, ...].
        log_probability: Of each action when it was taken, [T, R, B].
        reward: [T, R, B].
        value: Of each state, by the network as it was at the collection, [T, R, B].
        next_value: Of the state to which the action led, before any restart, [T, R, B].
        terminated: bool [T, R, B].
        ended: bool [T, R, B], terminated or truncated.
        ratio: Probability of each action under the network at the collection over that when it was taken, [T, R, B];
            None where the network itself acted.
    """

    observation: Any
    latent: Tensor
    log_probability: Tensor
    reward: Tensor
    value: Tensor
    next_value: Tensor
    terminated: Tensor
    ended: Tensor
    ratio: Tensor | None


class Source(Protocol):
    """What ``ImportanceWeighted`` asks of its data."""

    @property
    def samples(self) -> int:
        """Steps of experience a collection and replica."""

    def start(self, key: Tensor) -> Any:
        """Return what the source carries between collections, for keys [R]."""

    def collect(
        self, network: nn.Module, policy: ActionDistribution, key: Tensor, carry: Any
    ) -> tuple[Experience, Any]:
        """Return experience, with the present network's values, and the new carry; called without gradients."""


@dataclass(frozen=True)
class Rollouts:
    """Episodes that the network plays, carried on from one collection to the next.

    A row plays the episodes 0, 1, ... of its key; the next begins where one ends. On a CPU the world runs with numpy,
    to the same rewards as with torch.

    Attributes:
        process: The world.
        rows: Episodes side by side, of each replica, at least 1.
        periods: Steps a row and collection, at least 1.
        reset_options: What ``process.reset`` is told about every start.
    """

    process: DecisionProcess
    rows: int
    periods: int
    reset_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rows < 1 or self.periods < 1:
            raise ValueError(f"rows and periods must be at least 1, not {self.rows} and {self.periods}")

    @property
    def samples(self) -> int:
        """Steps a collection and replica."""
        return self.rows * self.periods

    def start(self, key: Tensor) -> State:
        """Return the state of every row before episode 0; all that differs between episodes has the rows' axes."""
        rows = row_keys(key, self.rows)
        keys: Array = rows.numpy() if key.device.type == "cpu" else rows
        xp, zero = namespace(keys), keys - keys
        first, second = (self.process.reset(keys, episode=zero + e, **self.reset_options) for e in (0, 1))

        def widened(array: Array, other: Array) -> Array:
            constant = array.shape[-2:] != keys.shape and bool(xp.all(array == other))
            shape = array.shape if constant else (*array.shape[:-2], *keys.shape)
            return xp.asarray(xp.broadcast_to(array, shape), copy=True)

        return _to_torch(tree_map(widened, first, second)._replace(t=zero, episode=zero))

    def collect(
        self, network: nn.Module, policy: ActionDistribution, key: Tensor, carry: State
    ) -> tuple[Experience, State]:
        """Play ``periods`` steps; see ``Source``."""
        keys = fold_in(row_keys(key, self.rows), _ACTIONS)
        noise = policy.noise(keys, torch.arange(self.periods, device=key.device)[:, None, None]).unbind()
        on_cpu = key.device.type == "cpu"
        state = _together(tree_map(Tensor.numpy, carry)) if on_cpu else carry
        act, value_of = _apart(network)
        seen, latents, outputs, results, finals = [], [], [], [], {}
        for t in range(self.periods):
            seen.append(self._observe(state))
            outputs.append(act(seen[-1]))
            latents.append(policy.draw(outputs[-1], noise[t]))
            action = policy.action(latents[-1])
            step = self.process.step(state, action.numpy() if on_cpu else action)
            ended = step.terminated | step.truncated
            state = step.state
            if not on_cpu or ended.any():  # a device is not waited for: there every step may have ended some rows
                if not on_cpu or (step.truncated & ~step.terminated).any():
                    finals[t] = self._observe(state)
                state = self._restarted(state, ended, bool(on_cpu and ended.all()))
            results.append((step.reward, step.terminated, ended))
        columns = zip(*results, strict=True)
        reward, terminated, ends = (torch.stack([torch.as_tensor(x) for x in column]) for column in columns)
        values = _values(value_of, [*seen, self._observe(state), *finals.values()], self.rows)
        value, next_value = values[: self.periods], values[1 : self.periods + 1].clone()
        for t, final in zip(finals, values[self.periods + 1 :], strict=True):
            next_value[t] = torch.where(ends[t], final, next_value[t])
        latent = torch.stack(latents)
        parameters = _stacked(outputs)
        experience = Experience(
            observation=_stacked(seen),
            latent=latent,
            log_probability=policy.log_probability(parameters, latent),
            reward=reward.to(value.dtype),
            value=value,
            next_value=next_value,
            terminated=terminated,
            ended=ends,
            ratio=None,
        )
        t = namespace(state.key).zeros_like(state.key) + state.t
        return experience, _to_torch(state._replace(t=t))

    def _observe(self, state: State) -> Any:
        return tree_map(lambda array: torch.as_tensor(array).float(), self.process.observe(state))

    def _restarted(self, state: State, ended: Array, all_ended: bool) -> State:
        """Return the state with the next episode in the rows that ended."""
        xp = namespace(ended)
        episode = state.episode + ended
        fresh = self.process.reset(state.key, episode=episode, **self.reset_options)

        def chosen(new: Array, old: Array) -> Array:
            return xp.where(ended, new, old) if old.shape[-2:] == ended.shape else old

        # one clock for all rows while they keep step: a look-up is then a view
        t = fresh.t if all_ended else xp.where(ended, fresh.t, state.t)
        return tree_map(chosen, fresh, state)._replace(t=t, episode=episode)


@dataclass(frozen=True)
class Log:
    """What another policy did: T steps of n rows; the steps of a row follow each other, episode after episode.

    Attributes:
        observation: [T, n, ...], or a dict of such arrays.
        action: As the world took it, [T, n, ...].
        log_probability: Log of the probability, or density, with which it was taken, [T, n].
        reward: [T, n].
        terminated: bool [T, n].
        truncated: bool [T, n].
        next_observation: What was seen after each step, before any restart, like ``observation``; may be None where
            each row ends with an episode and every episode with a termination.
    """

    observation: Any
    action: Tensor
    log_probability: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    next_observation: Any = None

    def __post_init__(self) -> None:
        shape = self.reward.shape
        if len(shape) != 2 or not self.reward.numel():
            raise ValueError(f"reward must have the shape [T, n], both at least 1, not {list(shape)}")
        for name in ("log_probability", "terminated", "truncated"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have the shape {list(shape)}, not {list(getattr(self, name).shape)}")
        if self.action.shape[:2] != shape:
            raise ValueError(f"action must start with the shape {list(shape)}, not {list(self.action.shape)}")
        if not (self.log_probability.isfinite().all() and self.reward.isfinite().all()):
            raise ValueError("log_probability and reward must be finite; leave out actions of unknown probability")
        if self.next_observation is None and not (self.terminated[-1].all() and not self.truncated.any()):
            raise ValueError("a log with truncations, or that stops within an episode, needs next_observation")

    @classmethod
    def of_bandit(cls, observation: Any, action: Tensor, log_probability: Tensor, reward: Tensor) -> "Log":
        """Return the log of a contextual bandit: n contexts, actions, log-probabilities and rewards, each [n, ...]."""
        ended = torch.ones_like(reward, dtype=torch.bool)[None]
        context = tree_map(lambda array: array[None], observation)
        return cls(context, action[None], log_probability[None], reward[None], ended, ~ended)


@dataclass(frozen=True)
class Logged:
    """Experience from a log.

    Attributes:
        log: The data.
        rows: Rows that each collection draws, with replacement, for each replica its own; None for all of them.
    """

    log: Log
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < 1:
            raise ValueError(f"rows must be at least 1, not {self.rows}")

    @property
    def samples(self) -> int:
        """Steps a collection and replica."""
        periods, rows = self.log.reward.shape
        return periods * (self.rows or rows)

    def start(self, key: Tensor) -> tuple[()]:
        """Return nothing."""
        return ()

    def collect(
        self, network: nn.Module, policy: ActionDistribution, key: Tensor, carry: tuple[()]
    ) -> tuple[Experience, tuple[()]]:
        """Draw rows, and ask the network about them; see ``Source``."""
        log = self.log
        count = log.reward.shape[1]
        if self.rows is None:
            index = torch.arange(count, device=key.device).expand(len(key), count)
        else:
            index = integers(row_keys(fold_in(key, _CHOICE), self.rows), 0, count)
        fields = {name: getattr(log, name) for name in log.__dataclass_fields__}
        drawn = tree_map(lambda array: array.to(key.device)[:, index], fields)
        ended = drawn["terminated"] | drawn["truncated"]
        latent = policy.latent(drawn["action"])
        parameters, value = self._asked(network, drawn["observation"])
        if log.next_observation is None:
            next_value = torch.cat([value[1:], torch.zeros_like(value[:1])])
        else:
            _, next_value = self._asked(network, drawn["next_observation"])
        ratio = (policy.log_probability(parameters, latent) - drawn["log_probability"]).exp().to(value.dtype)
        experience = Experience(
            observation=drawn["observation"],
            latent=latent,
            log_probability=drawn["log_probability"].to(value.dtype),
            reward=drawn["reward"].to(value.dtype),
            value=value,
            next_value=next_value,
            terminated=drawn["terminated"],
            ended=ended,
            ratio=ratio,
        )
        return experience, carry

    def _asked(self, network: nn.Module, observation: Any) -> Any:
        """Return what the network says of observations [T, R, B, ...], with the same axes."""
        first = next(iter(observation.values())) if isinstance(observation, dict) else observation
        periods, _, rows = first.shape[:3]
        output = network(flattened(observation))

        def unflattened(array: Tensor) -> Tensor:
            if array.shape[1] != periods * rows:  # the same for all rows
                return array
            return array.unflatten(1, (periods, rows)).movedim(1, 0)

        return tree_map(unflattened, output)


def flattened(tree: Any) -> Any:
    """Return arrays [T, R, B, ...] as [R, T B, ...]."""
    return tree_map(lambda array: array.movedim(0, 1).flatten(1, 2), tree)


def _apart(network: nn.Module) -> tuple[Callable[[Any], Any], Callable[[Any], Tensor]]:
    """Return what gives the distribution's parameters, and what gives values; of a network in one piece, both twice."""
    apart = getattr(network, "apart", None)
    if apart is None:
        return lambda seen: network(seen)[0], lambda seen: network(seen)[1]
    actor, critic = apart()
    return actor, lambda seen: critic(seen)[..., 0]


def _values(value_of: Callable[[Any], Tensor], observations: list[Any], rows: int) -> Tensor:
    """Return the values of n observations [R, B, ...], [n, R, B], many of them a call."""
    together = max(1, _ROWS_TOGETHER // rows)
    chunks = [observations[first : first + together] for first in range(0, len(observations), together)]
    values = [value_of(flattened(_stacked(chunk))).unflatten(1, (-1, rows)).movedim(1, 0) for chunk in chunks]
    return torch.cat(values)


def _stacked(trees: list[Any]) -> Any:
    return tree_map(lambda *arrays: torch.stack(arrays), *trees)


def _to_torch(state: State) -> State:
    """Return a state whose arrays are tensors that nothing else can write into."""
    return tree_map(lambda array: torch.as_tensor(array).clone(), state)


def _together(state: State) -> State:
    """Let the rows have one clock if all of them tell the same time."""
    return state._replace(t=state.t[0, 0]) if (state.t == state.t[0, 0]).all() else state
