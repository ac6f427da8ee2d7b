"""The score-function gradient of the expected return, with importance weights: policy gradients, PPO, logged data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from sandtable.simulators.arrays import Array, tree_map
from sandtable.simulators.random import bits, fold_in
from sandtable.training.objectives.action_distributions import ActionDistribution, library
from sandtable.training.objectives.advantages import generalised_advantages, weights_before
from sandtable.training.objectives.experience import Experience, Source, flattened
from sandtable.training.objectives.objective import Carry, Metrics, Objective
from sandtable.training.optimizers import on_host

_SHUFFLE = 0x73687566666C65  # the stream of the order of minibatches
WEIGHTINGS = ("plain", "self-normalised", "clipped")


class Samples(NamedTuple):
    """Steps of experience in no order, N of each replica.

    Attributes:
        observation: [R, N, ...], or a dict of such arrays.
        latent: Of the actions, [R, N, ...].
        log_probability: When the action was taken, [R, N].
        advantage: [R, N].
        target: What the value should have been, [R, N].
        weight: Importance weight of what led to the state, [R, N]; None where the network itself acted.
    """

    observation: Any
    latent: Tensor
    log_probability: Tensor
    advantage: Tensor
    target: Tensor
    weight: Tensor | None


class Collected(NamedTuple):
    """The carry between the updates of a step.

    Attributes:
        source: What the source carries.
        samples: Of this step.
        minibatches: Those of this epoch, with their advantages normalised if asked; none before the first epoch.
        reward: Mean reward a step, [R].
    """

    source: Any
    samples: Samples
    minibatches: tuple[Samples, ...]
    reward: Tensor


@dataclass(frozen=True)
class ImportanceWeighted(Objective):
    """Minus the expected return of a stochastic policy, whose gradient is estimated from observed rewards alone.

    With the ratio ``rho = pi(a | s) / b(a | s)`` of the trained policy to the one that acted, and advantages A
    (``generalised_advantages``), an update ascends, averaged over the steps of a minibatch,

    - ``"plain"``: ``w rho A``, where w is the product of the ratios of the earlier steps of the episode at the time of
      the collection. At the collection's parameters its gradient is the per-decision importance weighted policy
      gradient; without other policies' data it is that of REINFORCE with a baseline. With ``trace`` 1 it is unbiased
      for the return without discount, whatever the values are, times one over the mean length of an episode.
    - ``"self-normalised"``: ``sum w rho A / sum w rho`` (Swaminathan and Joachims, NeurIPS 2015): consistent, bounded
      by the largest advantage, and of less variance where the weights vary.
    - ``"clipped"``: ``min(rho A, clip(rho, 1 - clip, 1 + clip) A)``, proximal policy optimisation (Schulman et al.,
      arXiv 1707.06347, equation 7). Earlier steps' ratios are left out, as there.

    The network maps observations [R, B, ...] to the distribution's parameters and to values, [R, B]. As usual the state
    at time t is not weighted by ``discount^t``.

    Attributes:
        source: ``Rollouts(process, rows, periods)`` or ``Logged(log)``.
        policy: The distribution over actions, for example ``distribution_for(process.action_space)``.
        weighting: ``"clipped"``, ``"plain"`` or ``"self-normalised"``.
        discount: In [0, 1].
        trace: lambda of the advantages, in [0, 1].
        clip: How far the ratio is followed, above 0; only where weights are clipped.
        epochs: How often each collection is gone through, at least 1.
        batch: Steps a minibatch and replica, which divide those of a collection; None for all in one.
        value_weight: Of the mean squared error of the values, at least 0.
        entropy_weight: Of the policy's entropy, at least 0.
        normalise_advantages: Whether each minibatch's advantages get mean 0 and variance 1, in each replica apart.
    """

    source: Source
    policy: ActionDistribution
    weighting: str = "clipped"
    discount: float = 0.99
    trace: float = 0.95
    clip: float = 0.2
    epochs: int = 1
    batch: int | None = None
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    normalise_advantages: bool = True
    updates: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"weighting must be one of {', '.join(WEIGHTINGS)}, not {self.weighting!r}")
        for name in ("discount", "trace"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")
        if not self.clip > 0:
            raise ValueError(f"clip must be positive, not {self.clip}")
        if not (self.value_weight >= 0 and self.entropy_weight >= 0):
            raise ValueError(f"weights must not be negative, not {self.value_weight} and {self.entropy_weight}")
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, not {self.epochs}")
        samples = self.source.samples
        if self.batch is not None and (self.batch < 1 or samples % self.batch):
            raise ValueError(f"batch must divide the {samples} steps of a collection, not {self.batch}")
        object.__setattr__(self, "updates", self.epochs * (samples // (self.batch or samples)))

    def start(self, network: nn.Module, key: Tensor) -> Carry:
        """Return what the source carries before the first collection."""
        return self.source.start(key)

    def collect(self, network: nn.Module, key: Tensor, carry: Carry) -> Collected:
        """Gather experience, and work out advantages and values' targets by the network as it is."""
        experience, source = self.source.collect(network, self.policy, key, carry)
        samples = self.samples(experience)
        return Collected(source, samples, (), experience.reward.mean((0, 2)))

    def samples(self, experience: Experience) -> Samples:
        """Return the steps of experience with their advantages."""
        e = experience
        ratio = None if self.weighting == "clipped" else e.ratio
        ends = e.terminated, e.ended
        advantage = generalised_advantages(e.reward, e.value, e.next_value, *ends, self.discount, self.trace, ratio)
        target = e.value + (advantage if ratio is None else ratio * advantage)
        weight = None if ratio is None else weights_before(ratio, e.ended)
        return flattened(Samples(e.observation, e.latent, e.log_probability, advantage, target, weight))

    def loss(self, network: nn.Module, key: Tensor, carry: Collected, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the loss of a minibatch, [R].

        Metrics: ``reward``, the mean reward a step of the collection; ``policy_loss``; ``value_loss``, the mean squared
        error of the values; ``entropy``; ``kl``, the estimate ``E[rho - 1 - log rho]`` of the divergence from the
        policy that acted (Schulman, "Approximating KL divergence", 2020); and ``clipped``, the share of ratios further
        from 1 than ``clip``.
        """
        carry, chunk = self._minibatch(key, carry, update)
        parameters, value = network(chunk.observation)
        logs = self.policy.log_probability(parameters, chunk.latent)
        loss, *measures = _Loss.apply(logs, value, chunk.advantage, chunk, self)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.entropy_weight > 0):
            entropy = self.policy.entropy(parameters, chunk.latent).mean(-1)
        if self.entropy_weight:
            loss = loss - self.entropy_weight * entropy
        told, carry = self._told(carry, update)
        return loss, {**told, **_metrics(entropy, *measures)}, carry

    def gradient(
        self, network: nn.Module, key: Tensor, carry: Collected, update: int
    ) -> tuple[dict[str, Tensor], Tensor, Metrics, Carry] | None:
        """Return the gradient of a network with a ``pullback``, such as ``ActorCritic``; see ``Objective``.

        With small minibatches automatic differentiation would take more than a quarter of a training's time.
        """
        pullback = getattr(network, "pullback", None)
        if self.entropy_weight or pullback is None:
            return None
        carry, chunk = self._minibatch(key, carry, update)
        found, loss, metrics = self._by_hand(network, pullback, chunk)
        told, carry = self._told(carry, update)
        return found, loss, {**told, **metrics}, carry

    def parts(self, network: nn.Module, key: Tensor, carry: Collected) -> tuple[Any, Carry] | None:
        """Return the minibatches of all epochs, for a network with a ``pullback``; see ``Objective``."""
        if self.entropy_weight or not hasattr(network, "pullback"):
            return None
        size = self.batch or self.source.samples
        epochs = [self._epoch(key, carry.samples, epoch)._asdict() for epoch in range(self.epochs)]
        given = [{name: array for name, array in epoch.items() if array is not None} for epoch in epochs]

        def cut(*arrays: Tensor) -> Tensor:
            """From an array [R, N, ...] an epoch to [updates, R, size, ...]."""
            return torch.stack(arrays).unflatten(2, (-1, size)).transpose(1, 2).flatten(0, 1).contiguous()

        reward = carry.reward.expand(self.updates, -1).contiguous()
        return (tree_map(cut, *given), reward), carry.source

    def part_gradient(
        self, network: nn.Module, parameters: dict[str, Tensor], part: Any
    ) -> tuple[dict[str, Tensor], Tensor, Metrics]:
        """Return the gradient in a minibatch; see ``Objective``."""
        fields, reward = part

        def called(*arguments: Any, **named: Any) -> Any:
            return functional_call(network, parameters, arguments, named)

        pullback: Any = network.pullback
        found, loss, metrics = self._by_hand(called, pullback, Samples(**{"weight": None, **fields}))
        return found, loss, {"reward": reward, **metrics}

    def _by_hand(
        self, network: Callable[..., Any], pullback: Callable[..., Any], chunk: Samples
    ) -> tuple[dict[str, Tensor], Tensor, Metrics]:
        """Return gradient, loss and metrics of a minibatch without automatic differentiation.

        On a CPU numpy does what lies between the network's two passes: some forty operations with a few numbers each,
        whose calls take a third of the time of torch's.
        """
        kept: list[Any] = []
        known: tuple[Any, ...] = (*network(chunk.observation, kept=kept), *chunk[1:])
        host = on_host(chunk.advantage)
        with torch.no_grad():
            back, measures = self._between(*(tree_map(_numpy, known) if host else known))
            if host:
                back, measures = tree_map(torch.from_numpy, back), tree_map(torch.from_numpy, measures)
            found = pullback(kept, *back)
        return found, measures.pop("loss"), measures

    def _between(
        self,
        parameters: Any,
        value: Array,
        latent: Array,
        behaviour: Array,
        advantage: Array,
        target: Array,
        weight: Array | None,
    ) -> tuple[tuple[Any, Array], dict[str, Array]]:
        """Return the gradients in a network's outputs, and loss and metrics, in the arrays of torch or numpy.

        Args:
            parameters: Of the distribution, by the network.
            value: By the network, [R, b].
            latent: See ``Samples``.
            behaviour: The log-probabilities when the actions were taken.
            advantage: See ``Samples``.
            target: See ``Samples``.
            weight: See ``Samples``.
        """
        logs, slope = self.policy.log_probability_and_slope(parameters, latent)
        (loss, *measures), in_logs, in_value = self._slopes(logs, value, behaviour, advantage, target, weight)
        entropy = self.policy.entropy(parameters, latent).mean(-1)
        return (slope(in_logs), in_value), {"loss": loss, **_metrics(entropy, *measures)}

    def _minibatch(self, key: Tensor, carry: Collected, update: int) -> tuple[Collected, Samples]:
        """Return the carry of this update, and its minibatch."""
        epoch, place = divmod(update, self.updates // self.epochs)
        if place == 0:
            size = self.batch or self.source.samples
            carry = carry._replace(minibatches=_cut(self._epoch(key, carry.samples, epoch), size))
        return carry, carry.minibatches[place]

    def _epoch(self, key: Tensor, samples: Samples, epoch: int) -> Samples:
        """Return the samples in the order of an epoch's minibatches, advantages normalised if asked."""
        size = self.batch or self.source.samples
        if size < self.source.samples:
            samples = _shuffled(samples, fold_in(fold_in(key, _SHUFFLE), epoch))
        return self._normalised(samples, size)

    def _normalised(self, samples: Samples, size: int) -> Samples:
        """Return samples with the advantages of each ``size`` of them brought to mean 0 and variance 1, if asked."""
        if not self.normalise_advantages or size == 1:
            return samples
        advantage = samples.advantage.unflatten(1, (-1, size))
        deviation, mean = torch.std_mean(advantage, -1, keepdim=True)
        return samples._replace(advantage=((advantage - mean) / (deviation + 1e-8)).flatten(1))

    def _told(self, carry: Collected, update: int) -> tuple[Metrics, Carry]:
        """Return the collection's metric, and what the next update or collection is given."""
        return {"reward": carry.reward}, carry.source if update == self.updates - 1 else carry

    def _slopes(
        self, logs: Array, value: Array, behaviour: Array, advantage: Array, target: Array, weight: Array | None
    ) -> tuple[tuple[Array, ...], Array, Array]:
        """Return the loss without the entropy's part, and its slopes in log-probabilities and values, [R, b].

        Beside the loss there are, as metrics: gain, mean squared error of the values, divergence, share of far ratios.
        """
        xp, count = library(logs), logs.shape[-1]
        difference = logs - behaviour
        ratio = xp.exp(difference)
        gain, slope = self.gain(ratio, advantage, weight)
        error = value - target
        value_loss = xp.square(error).sum(-1) / count  # for numpy a sum takes a third of the time of a mean
        beyond = ratio - 1
        kl = (beyond - difference).sum(-1) / count
        far = xp.asarray(abs(beyond) > self.clip, dtype=ratio.dtype).sum(-1) / count
        loss = self.value_weight * value_loss - gain
        return (loss, gain, value_loss, kl, far), -slope, error * (2 * self.value_weight / count)

    def gain(self, ratio: Array, advantage: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return what the policy shall ascend, [R], of [R, b], see the class, and its slope in log rho, [R, b]."""
        xp = library(ratio)
        count = ratio.shape[-1]
        product = ratio * advantage
        if self.weighting == "clipped":
            bounded = xp.clip(ratio, 1 - self.clip, 1 + self.clip) * advantage
            lower = xp.minimum(product, bounded)
            return lower.sum(-1) / count, product * (product <= bounded) / count
        if weight is not None:
            ratio, product = weight * ratio, weight * product
        total = product.sum(-1) / count
        if self.weighting == "plain":
            return total, product / count
        share = ratio / ratio.sum(-1)[:, None]
        total = (share * advantage).sum(-1)
        return total, share * (advantage - total[:, None])


class _Loss(torch.autograd.Function):
    """The loss of a minibatch without the entropy's part, its slopes worked out beside it."""

    @staticmethod
    def forward(
        ctx: Any, logs: Tensor, value: Tensor, advantage: Tensor, chunk: Samples, objective: ImportanceWeighted
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the loss, and as metrics: gain, mean squared error of the values, divergence, share of far ratios."""
        known = chunk.log_probability, advantage, chunk.target, chunk.weight
        (loss, gain, value_loss, kl, far), *slopes = objective._slopes(logs, value, *known)
        ctx.save_for_backward(*slopes)
        ctx.mark_non_differentiable(gain, value_loss, kl, far)
        return loss, gain, value_loss, kl, far

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, back: Tensor, *metrics: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Return the gradients in the log-probabilities and the values."""
        slope, error = ctx.saved_tensors
        back = back[:, None]
        return back * slope, back * error, None, None, None


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def _metrics(entropy: Array, gain: Array, value_loss: Array, kl: Array, far: Array) -> dict[str, Array]:
    """Return the metrics of a minibatch, see ``ImportanceWeighted.loss``."""
    return {"policy_loss": -gain, "value_loss": value_loss, "entropy": entropy, "kl": kl, "clipped": far}


def _shuffled(samples: Samples, key: Tensor) -> Samples:
    """Return the samples of each replica in an order that its key draws."""
    replicas, count = samples.advantage.shape
    order = bits(key[:, None], torch.arange(count, device=key.device)).argsort(-1)
    rows = (order + count * torch.arange(replicas, device=key.device)[:, None]).flatten()

    def taken(array: Tensor) -> Tensor:
        return array.flatten(0, 1).index_select(0, rows).unflatten(0, (replicas, count))

    return tree_map(taken, samples)


def _cut(samples: Samples, size: int) -> tuple[Samples, ...]:
    """Return samples cut into parts of ``size`` of each replica."""
    count = samples.advantage.shape[1] // size
    parts = tree_map(lambda array: list(array.split(size, 1)), samples)
    return tuple(tree_map(itemgetter(i), parts) for i in range(count))
