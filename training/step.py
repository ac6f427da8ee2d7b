"""One step of training: collect, then update, as a function from one state to the next."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from sandtable.simulators.arrays import tree_map
from sandtable.simulators.random import fold_in
from sandtable.training.clipping import clip_by_norm
from sandtable.training.flops import Flops, counting
from sandtable.training.networks import Replicated
from sandtable.training.objectives import Carry, Metrics, Objective
from sandtable.training.optimizers import Optimizer, Tensors
from sandtable.training.schedules import Schedule
from sandtable.training.validation import Stopping


class State(NamedTuple):
    """All that changes in a training; no tensor of it is changed in place.

    Attributes:
        step: Steps done, int64 [].
        parameters: Those that are trained, by name, each [R, ...].
        buffers: By name.
        optimizer: The optimiser's state.
        carry: The objective's.
        stopping: That of early stopping; None without validation.
    """

    step: Tensor
    parameters: Tensors
    buffers: Tensors
    optimizer: dict[str, Any]
    carry: Carry
    stopping: Stopping | None


@dataclass(frozen=True)
class Stepper:
    """What does not change in a training, and the step.

    Attributes:
        network: Holds the parameters of the state while the loss is computed.
        slots: Where it holds them: its parameters that are trained, by name.
        objective: What it is trained for.
        optimizer: Which turns gradients into new parameters.
        schedule: From the steps done to a multiplier of the learning rate.
        threshold: The largest norm of each replica's gradient, [R]; None to leave gradients as they are.
        keys: int64 [R]; step s uses ``fold_in(keys, s)``.
        compute: What computes the loss: ``objective.loss``, or that compiled.
        by_hand: What computes the gradient without automatic differentiation, ``objective.gradient`` compiled; None for
            that itself where the loss is not compiled, else for none.
    """

    network: Replicated
    slots: dict[str, nn.Parameter]
    objective: Objective
    optimizer: Optimizer
    schedule: Schedule
    threshold: Tensor | None
    keys: Tensor
    compute: Callable[..., tuple[Tensor, Metrics, Carry]]
    by_hand: Callable[..., tuple[Tensors, Tensor, Metrics, Carry] | None] | None = None

    def start(self, start_stopping: Callable[[Tensors], Stopping | None]) -> State:
        """Return the state before the first step, with the parameters that the network has."""
        parameters = {name: tensor.detach() for name, tensor in self.slots.items()}
        return State(
            step=torch.zeros((), dtype=torch.int64, device=self.keys.device),
            parameters=parameters,
            buffers=self.buffers(),
            optimizer=self.optimizer.start(parameters),
            carry=self.objective.start(self.network, self.keys),
            stopping=start_stopping(parameters),
        )

    def put(self, parameters: Tensors) -> None:
        """Let the network's parameters be these tensors."""
        for name, slot in self.slots.items():
            slot.data = parameters[name]

    def restore(self, state: State) -> None:
        """Let the network be as it was in a state."""
        self.put(state.parameters)
        for name, buffer in self.network.named_buffers():
            buffer.copy_(state.buffers[name])

    def advance(self, state: State) -> tuple[State, Metrics]:
        """Do a step; the network holds the parameters of the state.

        Returns:
            The next state, and the measures of the step, means over its updates, each [R].
        """
        key = fold_in(self.keys, state.step)
        with torch.no_grad():
            carry = detached(self.objective.collect(self.network, key, state.carry))
        multiplier = self.schedule(state.step)
        parameters, optimizer, measures = state.parameters, state.optimizer, []
        for update in range(self.objective.updates):
            gradients, measured, carry = self._gradients(key, carry, update)
            stopped = None if state.stopping is None else state.stopping.stopped
            with torch.no_grad():
                (parameters, optimizer), norm = moved(self, parameters, optimizer, gradients, multiplier, stopped)
            self.put(parameters)
            measures.append({**measured, **norm})
        means = measures[0] if len(measures) == 1 else _means(measures)
        return State(state.step + 1, parameters, self.buffers(), optimizer, carry, state.stopping), means

    def _gradients(self, key: Tensor, carry: Carry, update: int) -> tuple[Tensors, Metrics, Carry]:
        """Return gradients, measures and carry of one update."""
        eager = self.compute == self.objective.loss
        gradient = self.by_hand or (self.objective.gradient if eager else None)
        found_by_hand = gradient(self.network, key, carry, update) if gradient else None
        if found_by_hand is not None:
            gradients, loss, metrics, carry = found_by_hand
            return {name: gradients[name] for name in self.slots}, {"loss": loss, **metrics}, carry
        loss, metrics, following = self.compute(self.network, key, carry, update)
        if loss.shape != self.keys.shape:
            raise ValueError(f"the objective's loss must have the shape {tuple(self.keys.shape)}, not {loss.shape}")
        # summed over replicas, which share no parameter: the gradient of each is its own
        found = torch.autograd.grad(loss.sum(), list(self.slots.values()), allow_unused=True, materialize_grads=True)
        measures = {name: values.detach() for name, values in {"loss": loss, **metrics}.items()}
        carry = carry if following is carry else detached(following)
        return dict(zip(self.slots, found, strict=True)), measures, carry

    def buffers(self) -> Tensors:
        """Return copies of the network's buffers, by name."""
        return {name: buffer.clone() for name, buffer in self.network.named_buffers()}


class Advances(Protocol):
    """What does a step."""

    def advance(self, state: State) -> tuple[State, Metrics]:
        """Return the next state, and the measures of the step, each [R]."""


class Runner:
    """Does the steps of a training one by one.

    Attributes:
        stepper: What the first step is.
        flops: Of a step; None before the first.
    """

    def __init__(self, stepper: Stepper, later: Advances | None = None) -> None:
        self.stepper = stepper
        self.flops: Flops | None = None
        self._later = later or stepper

    def advance(self, state: State) -> tuple[State, Metrics]:
        """Do a step; the first one as it is written, with its operations counted."""
        if self.flops is not None:
            return self._later.advance(state)
        with counting(self.stepper.network) as count:
            advanced = self.stepper.advance(state)
        self.flops = count.flops
        return advanced


def detached(carry: Carry) -> Carry:
    """Cut a carry from the graph."""
    return tree_map(lambda tensor: tensor.detach(), carry)


def moved(
    stepper: Stepper,
    parameters: Tensors,
    optimizer: dict[str, Any],
    gradients: Tensors,
    multiplier: Tensor,
    stopped: Tensor | None,
) -> tuple[tuple[Tensors, dict[str, Any]], Metrics]:
    """Return parameters and optimiser's state after an update, and its measures: the gradient's norm, if clipped.

    Args:
        stepper: Whose update it is.
        parameters: Before it.
        optimizer: The optimiser's state before it.
        gradients: By parameter.
        multiplier: Of the learning rate.
        stopped: Which replicas stay as they are, bool [R]; None for none.
    """
    measures: Metrics = {}
    if stepper.threshold is not None:
        gradients, measures["gradient_norm"] = clip_by_norm(gradients, stepper.threshold)
    after = stepper.optimizer.update(parameters, gradients, optimizer, multiplier)
    if stopped is not None:
        after = _freeze(stopped, (parameters, optimizer), after)
    return after, measures


def _freeze(stopped: Tensor, old: Any, new: Any) -> Any:
    """Take the replicas of ``old`` where ``stopped`` [R] holds, and those of ``new`` elsewhere."""
    return tree_map(lambda a, b: torch.where(stopped.reshape(-1, *[1] * (a.ndim - 1)), a, b), old, new)


def _means(measures: list[Metrics]) -> Metrics:
    return {name: torch.stack([measured[name] for measured in measures], -1).mean(-1) for name in measures[0]}
