"""The replicas of a training that are still trained: the others have stopped, and cost nothing more."""

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from sandtable.simulators.arrays import tree_map
from sandtable.training.objectives import Metrics
from sandtable.training.step import State, Stepper


@dataclass(frozen=True)
class Cohort:
    """Some replicas of a training, and all of them as they were when the others left.

    Attributes:
        everyone: The step of all R replicas.
        state: The state of all R; what it holds of the members is out of date.
        members: Which are still trained, int64 [A], ascending.
    """

    everyone: Stepper
    state: State
    members: Tensor

    @classmethod
    def of_all(cls, stepper: Stepper, state: State) -> Self:
        """Return the cohort to which every replica belongs."""
        return cls(stepper, state, torch.arange(stepper.network.replicas, device=stepper.keys.device))

    def without_stopped(self, state: State) -> Self:
        """Return the cohort of the members that have not stopped.

        Args:
            state: Of the members.
        """
        merged = self.merged(state)
        assert merged.stopping is not None
        return type(self)(self.everyone, merged, torch.nonzero(~merged.stopping.stopped)[:, 0])

    def stepper(self) -> Stepper:
        """Return the step of the members alone, with a network that holds no other and is as in ``selected``."""
        if len(self.members) == len(self.everyone.keys):
            return self.everyone
        self.everyone.put(self.state.parameters)
        network = self.everyone.network.select(self.members.tolist())
        slots = {name: slot for name, slot in network.named_parameters() if name in self.everyone.slots}
        threshold = None if self.everyone.threshold is None else self.everyone.threshold[self.members]
        keys, objective = self.everyone.keys[self.members], self.everyone.objective.select(self.members.tolist())
        return replace(
            self.everyone,
            network=network,
            slots=slots,
            objective=objective,
            threshold=threshold,
            keys=keys,
            compute=objective.loss,
        )

    def selected(self) -> State:
        """Return the members' part of the state of all."""
        whole = self.state
        return whole._replace(
            parameters=self.part(whole.parameters),
            optimizer=self.part(whole.optimizer),
            stopping=self.part(whole.stopping),
        )

    def merged(self, state: State) -> State:
        """Return the state of all replicas, from that of the members."""
        if len(self.members) == len(self.everyone.keys):
            return state
        whole = self.state
        return whole._replace(
            step=state.step,
            parameters=self._put(whole.parameters, state.parameters),
            buffers=state.buffers,
            optimizer=self._put(whole.optimizer, state.optimizer),
            stopping=self._put(whole.stopping, state.stopping),
        )

    def spread(self, measures: Metrics) -> Metrics:
        """Return measures [A, ...] of the members as those of all, [R, ...]: not a number for the others."""
        if len(self.members) == len(self.everyone.keys):
            return measures
        spread = {}
        for name, values in measures.items():
            nothing = values.new_full((len(self.everyone.keys), *values.shape[1:]), torch.nan)
            spread[name] = nothing.index_copy(0, self.members.to(values.device), values)
        return spread

    def row(self, values: dict[str, list[float]]) -> dict[str, list[float]]:
        """Return a row of the members as one of all replicas: not a number for the others."""
        return {name: measures.tolist() for name, measures in self.spread(_tensors(values)).items()}

    def part(self, tree: Any) -> Any:
        """Return the members' part of tensors [R, ...]."""
        return tree_map(lambda tensor: tensor[self.members], tree)

    def _put(self, whole: Any, part: Any) -> Any:
        return tree_map(lambda all_, some: all_.index_copy(0, self.members, some), whole, part)


def _tensors(values: dict[str, list[float]]) -> Metrics:
    return {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in values.items()}
