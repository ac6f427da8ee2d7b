"""Floating-point operations of a training step, counted by formula.

A multiplication and an addition count two; only matrix products and convolutions count. The sizes are those of the
mathematics: zeros with which a layer pads its matrices, element-wise work, look-ups, the optimiser and validation do
not count. The gradient of a matrix product is one product of the same size for the weights, if they are trained, and
one for the input, if that has a gradient.

A module of another kind tells its operations by a method ``flops(*inputs) -> (forward, backward)``, of its descendants
too; None where it does not know them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sandtable.training.networks import ReplicatedLinear


@dataclass(frozen=True)
class Flops:
    """The floating-point operations of one step, of all replicas.

    Attributes:
        forward: Of all calls of the network, in collection and losses.
        backward: Of the gradients.
        unknown: Modules whose operations no formula is known for, or whose parameters were used without calling them;
            if there is any, the counts hold what is known, and there is no total.
    """

    forward: int
    backward: int
    unknown: tuple[str, ...] = ()

    @property
    def total(self) -> int | None:
        """Return forward and backward together; None if a module is not known."""
        return None if self.unknown else self.forward + self.backward


def _replicated_linear(module: nn.Module, x: Tensor, y: Tensor) -> int:
    replicas, inputs, outputs = module.weight.shape  # type: ignore[misc]
    return 2 * replicas * x.shape[1] * inputs * outputs


def _linear(module: nn.Module, x: Tensor, y: Tensor) -> int:
    return 2 * y.numel() * x.shape[-1]


def _convolution(module: nn.Module, x: Tensor, y: Tensor) -> int:
    weight: Tensor = module.weight  # type: ignore[assignment]
    return 2 * y.numel() * weight[0].numel()


def _none(module: nn.Module, x: Tensor, y: Tensor) -> int:
    return 0


Formula = Callable[[nn.Module, Tensor, Tensor], int]
"""From a module, its input and its output to the operations of its forward pass."""

FORMULAS: dict[type[nn.Module], Formula] = {
    ReplicatedLinear: _replicated_linear,
    nn.Linear: _linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _none),
    **dict.fromkeys((nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.Embedding, nn.PReLU), _none),
}
"""By the exact type of the module: a subclass may compute something else."""


class Count:
    """Operations so far, while ``counting``."""

    def __init__(self) -> None:
        self._forward = self._backward = 0
        self._unknown: dict[str, None] = {}
        self._uncalled: dict[str, None] = {}

    @property
    def flops(self) -> Flops:
        """Return what was counted."""
        return Flops(self._forward, self._backward, tuple({**self._unknown, **self._uncalled}))

    def expect(self, name: str) -> None:
        """Call a module unknown until it is called."""
        self._uncalled[name] = None

    def told(self, forward: int) -> None:
        """Count operations that are told."""
        self._forward += forward

    def add(self, name: str, module: nn.Module, inputs: tuple[Any, ...], y: Any) -> None:
        """Count a call of a module."""
        self._uncalled.pop(name, None)
        own = getattr(module, "flops", None)
        if own is not None:
            counted = own(*inputs)
            if counted is None:
                self._unknown[name] = None
                return
            self._forward += counted[0]
            self._backward += counted[1] if torch.is_grad_enabled() else 0
            return
        formula, x = FORMULAS.get(type(module)), inputs[0] if inputs else None
        if formula is None or not isinstance(x, Tensor):
            self._unknown[name] = None
            return
        forward = formula(module, x, y)
        self._forward += forward
        if torch.is_grad_enabled() and y.requires_grad:
            trained = isinstance(module.weight, Tensor) and module.weight.requires_grad
            self._backward += forward * (trained + x.requires_grad)


_COUNTS: list[Count] = []
"""Those that are open; a call to ``tell`` adds to each."""


def tell(forward: int) -> None:
    """Count operations of a forward pass that no call of a module shows."""
    for count in _COUNTS:
        count.told(forward)


@contextmanager
def counting(network: nn.Module) -> Iterator[Count]:
    """Count the operations of the network's modules that hold parameters, in whatever runs within the block.

    Yields:
        The count; complete after the block.
    """
    count, handles = Count(), []
    for name, module in _holders(network):
        told = f"{name or 'network'} ({type(module).__name__})"
        count.expect(told)

        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any, name: str = told) -> None:
            count.add(name, module, inputs, output)

        handles.append(module.register_forward_hook(hook))
    _COUNTS.append(count)
    try:
        yield count
    finally:
        _COUNTS.remove(count)
        for handle in handles:
            handle.remove()


def _holders(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that count for themselves, with their dotted names."""
    if hasattr(module, "flops") or any(True for _ in module.parameters(recurse=False)):
        yield name, module
    if not hasattr(module, "flops"):
        for child, inner in module.named_children():
            yield from _holders(inner, f"{name}.{child}" if name else child)
