"""The contract of every objective: what is collected, and the loss whose gradient trains the network."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from sandtable.simulators.random import fold_in

Carry = Any
"""What lives between steps: nested NamedTuples, tuples and dicts of tensors; ``()`` for nothing."""

Metrics = dict[str, Tensor]
"""Measures of each replica, [R], by name."""


class Objective(ABC):
    """What a network is trained for.

    A step of the loop collects once and then updates the network ``updates`` times, each with the gradient of ``loss``.
    All randomness comes from the keys, so that an objective holds no state: what must survive a step is in its carry.

    Attributes:
        updates: Updates of the network after one collection, at least 1.
        compiles_gradient: Whether ``torch.compile`` can take ``gradient``, if that gives one.
    """

    updates: int = 1
    compiles_gradient: ClassVar[bool] = False

    def select(self, replicas: Sequence[int]) -> Self:
        """Return the objective of some replicas alone; itself, the default, where it is the same for all of them.

        Args:
            replicas: Numbers of those that are still trained, in ascending order.
        """
        return self

    def start(self, network: nn.Module, key: Tensor) -> Carry:
        """Return the first carry: environment states, memories, a buffer; nothing by default.

        Args:
            network: From [R, B, ...] to [R, B, ...].
            key: int64 [R].
        """
        return ()

    def collect(self, network: nn.Module, key: Tensor, carry: Carry) -> Carry:
        """Gather experience, without gradients; nothing by default.

        Args:
            network: From [R, B, ...] to [R, B, ...].
            key: int64 [R], the keys of this step.
            carry: As ``start`` or the step before left it.
        """
        return carry

    @abstractmethod
    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the loss of each replica, [R], further measures of each, and the carry.

        Args:
            network: From [R, B, ...] to [R, B, ...].
            key: int64 [R], the keys of this step, the same for all its updates.
            carry: As ``collect`` or the update before left it; the loop cuts it from the graph after each update.
            update: Which update of the step, from 0.
        """

    def gradient(
        self, network: nn.Module, key: Tensor, carry: Carry, update: int
    ) -> tuple[dict[str, Tensor], Tensor, Metrics, Carry] | None:
        """Return the gradient of ``loss`` by parameters' names, and what ``loss`` returns, all cut from the graph.

        It is for objectives that do without automatic differentiation. None, the default, where that cannot be done:
        then ``loss`` is differentiated.
        """
        return None

    def parts(self, network: nn.Module, key: Tensor, carry: Carry) -> tuple[Any, Carry] | None:
        """Return what each update of a step reads, tensors of [updates, ...], and the carry after the last one.

        It is for objectives whose updates differ in their data alone, so that they can be done in one scan; None, the
        default, for others.

        Args:
            network: From [R, B, ...] to [R, B, ...].
            key: int64 [R], the keys of this step.
            carry: As ``collect`` left it.
        """
        return None

    def part_gradient(
        self, network: nn.Module, parameters: dict[str, Tensor], part: Any
    ) -> tuple[dict[str, Tensor], Tensor, Metrics]:
        """Return the gradient by parameters' names, the loss [R] and the metrics of one of the ``parts``.

        Only objectives that have ``parts`` are asked.

        Args:
            network: Whose parameters are to be taken from ``parameters``.
            parameters: By name.
            part: Without the axis of updates.
        """
        raise NotImplementedError


def row_keys(key: Tensor, batch: int) -> Tensor:
    """Return the keys of ``batch`` rows of each replica: from [R] to [R, batch]."""
    rows: Tensor = fold_in(key[:, None], torch.arange(batch, device=key.device))
    return rows
