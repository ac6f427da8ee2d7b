"""An actor and a critic of many replicas, made for small batches: one block of parameters, and a gradient by hand.

With 64 rows a minibatch, time goes into calls and not into arithmetic. So both perceptrons share the calls of their
hidden layers, all parameters of a replica are one vector, which the optimiser moves at once, and the backward pass is
written out: a fifth of the calls that automatic differentiation of thirteen parameters would make.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sandtable.agents import small_perceptrons
from sandtable.simulators.arrays import Array
from sandtable.simulators.random import fold_in, normal
from sandtable.training.flops import tell
from sandtable.training.keys import replica_keys
from sandtable.training.networks import Replicated
from sandtable.training.objectives.action_distributions import ActionDistribution, Categorical, Gaussian
from sandtable.training.optimizers import on_host

_BLOCK = 16  # numbers, 64 bytes: matrices start at multiples of it, so that bits do not depend on where they lie


def orthogonal(keys: Tensor, inputs: int, outputs: int, gain: float) -> Tensor:
    """Return weights with orthogonal rows or columns, [R, inputs, outputs], one matrix a key (arXiv 1312.6120).

    Args:
        keys: int64 [R].
        inputs: Width of the input.
        outputs: Width of the output.
        gain: Length of the orthogonal vectors.
    """
    tall = max(inputs, outputs), min(inputs, outputs)
    draws = normal(keys[:, None], torch.arange(tall[0] * tall[1])).reshape(-1, *tall)
    basis, triangle = torch.linalg.qr(draws)
    basis = basis * triangle.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]  # uniform over orthogonal matrices
    return (gain * (basis if inputs >= outputs else basis.mT)).float()


class ActorCritic(Replicated):
    """Two perceptrons with tanh: one for the parameters of the distribution over actions, one for the value.

    It starts like Stable-Baselines3's: orthogonal weights of gain sqrt(2), 0.01 for the actor's head, 1 for the
    critic's; biases and logs of deviations, which do not depend on the observation, are zero. On one CPU thread a
    replica's bits do not depend on its neighbours where all hidden widths are multiples of 16.

    Args:
        replicas: R.
        observation_space: ``Box``, ``MultiBinary``, ``Discrete`` and ``MultiDiscrete`` (seen one-hot), or a ``Dict``
            of them.
        policy: The distribution over actions.
        hidden: Widths of the hidden layers of both.
        key: A seed, or one key a replica, [R].

    Attributes:
        flat: The parameters, [R, P], see ``blocks``.
        products: Elements of a replica's matrices of weights.
        first: Those of matrices that multiply the observation.
    """

    def __init__(
        self,
        replicas: int,
        observation_space: gym.Space[Any],
        policy: ActionDistribution,
        hidden: Sequence[int] = (64, 64),
        key: int | Array = 0,
    ) -> None:
        super().__init__(replicas)
        if isinstance(policy, Categorical):
            outputs, self.deviations = policy.actions, 0
        elif isinstance(policy, Gaussian):
            outputs = self.deviations = len(policy.low)
        else:
            raise ValueError(f"policy must be Categorical or Gaussian, not {type(policy).__name__}")
        self.space = observation_space
        self.widths = (gym.spaces.flatdim(observation_space), *hidden)
        keys = replica_keys(key, replicas)
        parts = [fold_in(keys, part) for part in (0, 1)]
        blocks = []
        for layer, (before, after) in enumerate(zip(self.widths[:-1], self.widths[1:], strict=True)):
            weights = [orthogonal(fold_in(part, layer), before, after, math.sqrt(2)) for part in parts]
            blocks += [torch.stack(weights, 1), torch.zeros(replicas, 2, 1, after)]
        for part, width, gain in zip(parts, (outputs, 1), (0.01, 1.0), strict=True):
            head = orthogonal(fold_in(part, len(hidden)), self.widths[-1], width, gain)
            blocks += [head, torch.zeros(replicas, 1, width)]
        blocks.append(torch.zeros(replicas, 1, self.deviations))
        self.shapes = [tuple(block.shape[1:]) for block in blocks]
        products = [math.prod(shape) for shape in self.shapes[:-1:2]]  # one for each matrix of weights
        self.products, self.first = sum(products), sum(products[:1] if len(self.widths) > 1 else products)
        self.sizes = [size for block in blocks for size in (block[0].numel(), -block[0].numel() % _BLOCK)]
        ends = [*accumulate(self.sizes)]
        self._places = [(end - size, end) for end, size in zip(ends[::2], self.sizes[::2], strict=True)]
        self._largest = max(before * after for before, after in pairwise((*self.widths, outputs)))
        self.flat = nn.Parameter(self.joined(blocks))

    def blocks(self, flat: Tensor) -> list[Tensor]:
        """Return views of parameters [R, P] or of their gradient.

        Weights [R, 2, inputs, outputs] and biases [R, 2, 1, outputs] of each hidden layer, of actor and critic; weights
        [R, inputs, outputs] and biases [R, 1, outputs] of the actor's head and of the critic's; and the logs of
        deviations [R, 1, k].
        """
        chunks = flat.split_with_sizes(self.sizes, 1)[::2]
        return [chunk.view(self.replicas, *shape) for chunk, shape in zip(chunks, self.shapes, strict=True)]

    def joined(self, blocks: list[Tensor]) -> Tensor:
        """Return what ``blocks`` takes apart: parameters, or a gradient, [R, P]; between the blocks there are zeros."""
        gap = blocks[0].new_zeros(self.replicas, _BLOCK)
        pieces = []
        for block, more in zip(blocks, self.sizes[1::2], strict=True):
            pieces.append(block.reshape(self.replicas, -1))
            if more:
                pieces.append(gap[:, :more])
        return torch.cat(pieces, 1)

    def forward(self, observation: Any, kept: list[Any] | None = None) -> tuple[Any, Tensor]:
        """Return the distribution's parameters and the values, [R, B], of observations [R, B, ...].

        Args:
            observation: Of the replicas' rows.
            kept: Takes what ``pullback`` needs; the outputs are then cut from the graph.
        """
        x, rows = self._padded(observation)
        if kept is None and torch.is_grad_enabled():
            actor, value, log_deviation = _Perceptrons.apply(x, self.flat, self)
        else:
            actor, value, log_deviation = self._outputs(x.detach(), kept)
            if kept is None:
                log_deviation = log_deviation.clone()  # not a view of what an optimiser may write to
        if x.shape[1] > rows:
            actor, value = actor[:, :rows], value[:, :rows]
        return ((actor, log_deviation) if self.deviations else actor), value

    def _outputs(self, x: Tensor, kept: list[Any] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the actor's output, the values and the logs of deviations without a graph; see ``forward``."""
        flat = self.flat.detach()
        blocks: Any
        seen: Any
        if self._by_numpy(x):
            blocks = self._views(flat.numpy())
            *found, seen = small_perceptrons.outputs(x.numpy(), blocks)
            actor, value, log_deviation = map(torch.from_numpy, found)
        else:
            blocks = self.blocks(flat)
            actor, value, log_deviation, seen = _outputs(x, blocks)
        if kept is not None:
            kept += [blocks, seen]
        return actor, value, log_deviation

    def _by_numpy(self, x: Tensor) -> bool:
        """Tell whether a batch is so small that numpy is faster; each replica's size alone decides."""
        return on_host(x) and x.shape[1] * self._largest <= small_perceptrons.LARGEST_PRODUCT

    def _views(self, flat: np.ndarray) -> list[np.ndarray]:
        """Return what ``blocks`` does, of numpy's array."""
        places = zip(self._places, self.shapes, strict=True)
        return [flat[:, first:end].reshape(len(flat), *shape) for (first, end), shape in places]

    def apart(self) -> tuple["Half", "Half"]:
        """Return the actor and the critic as they are now, for rollouts: without gradients, each alone."""
        *hidden, actor_weight, actor_bias, critic_weight, critic_bias, log_deviation = self.blocks(self.flat.detach())
        layers = [[(w[:, part], b[:, part]) for w, b in zip(hidden[::2], hidden[1::2], strict=True)] for part in (0, 1)]
        own = log_deviation.clone() if self.deviations else None
        return Half(self, layers[0], actor_weight, actor_bias, own), Half(self, layers[1], critic_weight, critic_bias)

    def _padded(self, observation: Any) -> tuple[Tensor, int]:
        """Return observations as vectors [R, B', k] with B' a multiple of the block, and B."""
        x = features(observation, self.space)
        rows = x.shape[1]
        more = -rows % _BLOCK
        return functional.pad(x, (0, 0, 0, more)) if more else x, rows

    def pullback(self, kept: list[Any], parameters: Any, value: Tensor) -> dict[str, Tensor]:
        """Return the gradient of the parameters by name, of the gradients in what ``forward`` returned.

        Args:
            kept: As ``forward`` filled it.
            parameters: Of the distribution's parameters, with their shapes.
            value: Of the values, [R, B].
        """
        blocks, seen = kept
        none = value.new_empty(self.replicas, 1, 0)
        actor, log_deviation = parameters if self.deviations else (parameters, none)
        more = -value.shape[1] % _BLOCK
        if more:
            actor, value = functional.pad(actor, (0, 0, 0, more)), functional.pad(value, (0, more))
        if isinstance(seen[0], np.ndarray):
            flat = torch.zeros_like(self.flat.detach())
            own = (one.numpy() for one in (actor, value, log_deviation))
            small_perceptrons.write_gradients(self._views(flat.numpy()), blocks, seen, *own)
            return {"flat": flat}
        found, _ = _gradients(blocks, seen, actor, value, log_deviation, False)
        return {"flat": self.joined(found)}

    def flops(self, observation: Any) -> tuple[int, int]:
        """Return the operations of a call, and those of its gradient; the observation needs none."""
        rows = features(observation, self.space)[..., 0].numel()
        return 2 * rows * self.products, 2 * rows * (2 * self.products - self.first)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"replicas={self.replicas}, widths={self.widths}, shapes={self.shapes}"


class Half:
    """One of the two perceptrons with the parameters that it had; see ``ActorCritic.apart``.

    Args:
        network: Whose half it is.
        layers: Weights [R, inputs, outputs] and biases [R, 1, outputs] of the hidden layers.
        weight: Of the head.
        bias: Of the head.
        log_deviation: What the actor of a continuous action returns beside the means.
    """

    def __init__(
        self,
        network: ActorCritic,
        layers: list[tuple[Tensor, Tensor]],
        weight: Tensor,
        bias: Tensor,
        log_deviation: Tensor | None = None,
    ) -> None:
        self._network, self._layers = network, layers
        self._head, self._log_deviation = (weight, bias), log_deviation
        self._arrays = [tuple(one.numpy() for one in pair) for pair in (*layers, self._head)] if on_host(weight) else []
        self._products = sum(matrix.numel() for matrix in (*(own for own, _ in layers), weight))

    def __call__(self, observation: Any) -> Any:
        """Return the head's output of observations [R, B, ...], [R, B, k], and the logs of deviations if it has any."""
        h, rows = self._network._padded(observation)
        tell(2 * rows * self._products)
        if self._network._by_numpy(h):
            out = torch.from_numpy(small_perceptrons.output(h.numpy(), self._arrays))
        else:
            for weight, bias in self._layers:
                h = _tanh(torch.baddbmm(bias, h, weight))
            out = _head(h, *self._head)
        out = out if out.shape[1] == rows else out[:, :rows]
        return out if self._log_deviation is None else (out, self._log_deviation)


class _Perceptrons(torch.autograd.Function):
    """Both perceptrons of each replica, and the gradient of their parameters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, flat: Tensor, layout: ActorCritic) -> tuple[Tensor, Tensor, Tensor]:
        """Return the actor's output [R, B, k], the value [R, B] and the logs of deviations, of x [R, B, n]."""
        actor, value, log_deviation, seen = _outputs(x, layout.blocks(flat))
        ctx.layout = layout
        ctx.save_for_backward(flat, *seen)
        return actor, value, log_deviation.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, actor: Tensor, value: Tensor, log_deviation: Tensor) -> tuple[Tensor | None, Tensor, None]:
        """Return the gradients in x and in the flat parameters, of those in the outputs."""
        flat, *seen = ctx.saved_tensors
        found, inputs = _gradients(ctx.layout.blocks(flat), seen, actor, value, log_deviation, ctx.needs_input_grad[0])
        return inputs, ctx.layout.joined(found), None


def _outputs(x: Tensor, blocks: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Return the actor's output [R, B, k], the value [R, B], the logs of deviations, and each layer's input."""
    *hidden, actor_weight, actor_bias, critic_weight, critic_bias, log_deviation = blocks
    replicas, rows, _ = x.shape
    h = torch.stack((x, x), 1).flatten(0, 1)  # [2 R, B, n]: an actor and a critic of each replica
    seen = [h]
    for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
        h = _tanh(torch.baddbmm(bias.flatten(0, 1), h, weight.flatten(0, 1)))
        seen.append(h)
    pair = h.view(replicas, 2, rows, -1)
    actor = _head(pair[:, 0], actor_weight, actor_bias)
    return actor, _head(pair[:, 1], critic_weight, critic_bias)[..., 0], log_deviation, seen


def _gradients(
    blocks: list[Tensor], seen: list[Tensor], actor: Tensor, value: Tensor, log_deviation: Tensor, of_inputs: bool
) -> tuple[list[Tensor], Tensor | None]:
    """Return the gradients of the blocks, and that of x if asked, of the gradients in the outputs."""
    *hidden, actor_weight, _, critic_weight, _, _ = blocks
    replicas, rows = value.shape
    pair = seen[-1].view(replicas, 2, rows, -1)
    value = value[..., None]
    found = [log_deviation, value.sum(1), _weights(pair[:, 1], value), actor.sum(1), _weights(pair[:, 0], actor)]
    if seen[1:] or of_inputs:
        back = torch.empty_like(pair)
        for part, (own, weight) in enumerate(((actor, actor_weight), (value, critic_weight))):
            if weight.shape[-1] > 1:
                back[:, part] = torch.bmm(own, weight.mT)
            elif torch.compiler.is_compiling():  # which knows no output that is a view
                back[:, part] = own * weight.mT
            else:
                torch.mul(own, weight.mT, out=back[:, part])
        back = back.flatten(0, 1)
    for layer in range(len(seen) - 1, 0, -1):
        torch.ops.aten.tanh_backward(back, seen[layer], grad_input=back)  # in place: nothing else sees it
        found += [back.sum(1), torch.bmm(seen[layer - 1].mT, back)]
        if layer > 1 or of_inputs:
            back = torch.bmm(back, hidden[2 * layer - 2].flatten(0, 1).mT)
    return found[::-1], back.unflatten(0, (replicas, 2)).sum(1) if of_inputs else None


def _tanh(x: Tensor) -> Tensor:
    """Return tanh(x), written into x; on a CPU by numpy, whose vectorised tanh takes a tenth of torch's time."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return x.tanh_()
    np.tanh(x.numpy(), out=x.numpy())
    return x


def _head(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return an output layer's values; of one output by a product and a sum, as ``bmm`` takes other kernels there."""
    if weight.shape[-1] == 1:
        return (h * weight.mT).sum(-1, keepdim=True) + bias
    return torch.baddbmm(bias, h, weight)


def _weights(h: Tensor, back: Tensor) -> Tensor:
    """Return the gradient of an output layer's weights, from its input and the gradient of its output."""
    return (h * back).sum(1) if back.shape[-1] == 1 else torch.bmm(h.mT, back)


def features(observation: Any, space: gym.Space[Any]) -> Tensor:
    """Return observations [R, B, ...] of a space as vectors, [R, B, k], in the order of Gymnasium's ``flatten``."""
    if isinstance(space, gym.spaces.Dict):
        return torch.cat([features(observation[name], own) for name, own in space.spaces.items()], -1)
    if isinstance(space, gym.spaces.Discrete):
        return functional.one_hot(observation.long() - int(space.start), int(space.n)).float()
    if isinstance(space, gym.spaces.MultiDiscrete):
        start, many = space.start.tolist(), space.nvec.tolist()
        each = [gym.spaces.Discrete(n, start=first) for n, first in zip(many, start, strict=True)]
        return torch.cat([features(observation[..., i], own) for i, own in enumerate(each)], -1)
    if isinstance(space, gym.spaces.MultiBinary):
        return observation.float().flatten(2)
    if not isinstance(space, gym.spaces.Box):
        raise ValueError(f"observations must be Box, Discrete, Multi* or a Dict of them, not {space}")
    return observation.flatten(2) if observation.ndim > 3 else observation
