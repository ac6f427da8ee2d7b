"""Supervised learning where every replica has a data set of its own, so that luck with the data is part of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from sandtable.simulators.decision_process import Batch
from sandtable.simulators.random import fold_in, integers
from sandtable.training.objectives.objective import row_keys
from sandtable.training.objectives.supervised import Supervised

_PLACES = 0x706C61636573  # the stream of places in the set


@dataclass(frozen=True)
class OwnExamples(Supervised):
    """The mean loss over a batch that each replica draws, with replacement, from a set of examples of its own.

    Attributes:
        task: Gives the loss and the metrics.
        batch: Examples a step and replica, at least 1.
        examples: The set of each replica, ``input`` [R, m, ...] and ``target`` [R, m, ...], m at least 1; of the
            precision of the network.
    """

    examples: Batch

    def __post_init__(self) -> None:
        super().__post_init__()
        x, target = self.examples
        if x.shape[:2] != target.shape[:2] or not target.numel():
            raise ValueError(f"examples must be [R, m, ...], not {tuple(x.shape)} and {tuple(target.shape)}")

    def select(self, replicas: Sequence[int]) -> Self:
        """Return the objective of some replicas, with their examples; see ``Objective.select``."""
        x, target = self.examples
        return replace(self, examples=Batch(x[list(replicas)], target[list(replicas)]))

    def _examples(self, key: Tensor) -> Batch:
        replicas, size = self.examples.target.shape[:2]
        places = integers(fold_in(row_keys(key, self.batch), _PLACES), 0, size)
        rows = (places + size * torch.arange(replicas, device=key.device)[:, None]).flatten()
        x, target = (part.flatten(0, 1).index_select(0, rows) for part in self.examples)
        return Batch(x.unflatten(0, places.shape), target.unflatten(0, places.shape))
