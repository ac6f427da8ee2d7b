"""The updates of a step as one compiled scan: no call from Python between two minibatches.

An update of a small network on a small minibatch is some hundred operations of a few microseconds each, most of which
are their calls. A scan compiles the update once, whatever their number, and runs all of them in one call.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from sandtable.simulators.arrays import tree_map
from sandtable.simulators.random import fold_in
from sandtable.training.objectives import Metrics
from sandtable.training.optimizers import Tensors
from sandtable.training.step import State, Stepper, detached, moved

Scan = Callable[[Callable[[Any, Any], tuple[Any, Any]], Any, Any], tuple[Any, Any]]


def find_scan() -> Scan | None:
    """Return torch's scan, ``(combine, first, parts) -> (last, outputs)``; None where this torch has none.

    It is a prototype in a private module, and nothing else here knows where.
    """
    try:
        scan: Scan = import_module("torch._higher_order_ops.scan").scan
    except (ImportError, AttributeError):
        return None
    return scan


class ScannedStepper:
    """Does the steps of a ``Stepper`` whose objective takes its updates apart; see ``Objective.parts``.

    Args:
        stepper: What a step is.
        backend: That of ``torch.compile``.
        scan: See ``find_scan``.
    """

    def __init__(self, stepper: Stepper, backend: str, scan: Scan) -> None:
        self.stepper = stepper
        self._scan = scan
        self._updates = torch.compile(self._update_all, backend=backend, dynamic=False, fullgraph=True)

    @torch.no_grad()
    def advance(self, state: State) -> tuple[State, Metrics]:
        """Do a step; see ``Stepper.advance``.

        Raises:
            ValueError: The objective does not take its updates apart.
        """
        stepper = self.stepper
        key = fold_in(stepper.keys, state.step)
        carry = detached(stepper.objective.collect(stepper.network, key, state.carry))
        taken = stepper.objective.parts(stepper.network, key, carry)
        if taken is None:
            name = type(stepper.objective).__name__
            raise ValueError(f"mode 'scan' cannot do the updates of {name} with this network; use mode='eager'")
        parts, carry = taken
        stopped = None if state.stopping is None else state.stopping.stopped
        first = tree_map(_packed, (state.parameters, state.optimizer))
        (parameters, optimizer), measures = self._updates(first, parts, stepper.schedule(state.step), stopped)
        stepper.put(parameters)
        means = {name: measured.mean(0) for name, measured in measures.items()}
        return State(state.step + 1, parameters, stepper.buffers(), optimizer, carry, state.stopping), means

    def _update_all(
        self, first: tuple[Tensors, Any], parts: Any, multiplier: Tensor, stopped: Tensor | None
    ) -> tuple[tuple[Tensors, Any], Metrics]:
        # no annotated function within: the compiler does not know subscripted types
        return self._scan(lambda before, part: self._update(before, part, multiplier, stopped), first, parts)

    def _update(
        self, before: tuple[Tensors, Any], part: Any, multiplier: Tensor, stopped: Tensor | None
    ) -> tuple[tuple[Tensors, Any], Metrics]:
        gradients, loss, metrics = self.stepper.objective.part_gradient(self.stepper.network, before[0], part)
        after, norm = moved(self.stepper, *before, gradients, multiplier, stopped)
        # a scan's outputs share no memory
        return tree_map(torch.clone, after), tree_map(torch.clone, {"loss": loss, **metrics, **norm})


def _packed(tensor: Tensor) -> Tensor:
    """Return a copy without gaps: what a scan begins with must be laid out as what its updates return."""
    return tensor.clone(memory_format=torch.contiguous_format)
