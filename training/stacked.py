"""Any modules of one kind as the replicas of one network, by ``torch.func``."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sandtable.training.flops import counting
from sandtable.training.networks import Replicated


class Stacked(Replicated):
    """R modules that differ in their parameters alone, evaluated together by ``torch.func.vmap``.

    For architectures without layers of their own that know replicas. A replica's curves are statistically those that
    the module would have alone, but not its bits. Buffers are those of the first module, and must not change.

    Args:
        modules: One a replica, with the same structure; they are copied.

    Raises:
        ValueError: There is none, or their parameters differ in name or shape.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        shapes = [{name: tuple(p.shape) for name, p in module.named_parameters()} for module in modules]
        if not modules or any(shape != shapes[0] for shape in shapes):
            raise ValueError("modules must be at least one, all with parameters of the same names and shapes")
        super().__init__(len(modules))
        self.module = copy.deepcopy(modules[0])
        own = [dict(module.named_parameters()) for module in modules]
        for name, parameter in self.module.named_parameters():
            parameter.data = torch.stack([parameters[name].detach() for parameters in own])

    def forward(self, *inputs: Tensor) -> Any:
        """Map [R, B, ...] to [R, B, ...]."""

        def one(parameters: dict[str, Tensor], *own: Tensor) -> Any:
            return torch.func.functional_call(self.module, parameters, own)

        return torch.func.vmap(one)(dict(self.module.named_parameters()), *inputs)

    def flops(self, *inputs: Tensor) -> tuple[int, int] | None:
        """Return the operations of a call and of its gradient, if known: R times those of the first replica."""
        first = {name: parameter[0] for name, parameter in self.module.named_parameters()}
        with counting(self.module) as count:
            torch.func.functional_call(self.module, first, tuple(x[0] for x in inputs))
        if count.flops.unknown:
            return None
        return self.replicas * count.flops.forward, self.replicas * count.flops.backward
