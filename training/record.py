"""Where a training stands between two steps, its rows of metrics, and both as tensors of a checkpoint."""

from typing import NamedTuple

import torch
from torch import Tensor

from sandtable.training.checkpoint import flatten, unflatten
from sandtable.training.graph import fetched
from sandtable.training.metrics import History
from sandtable.training.objectives import Metrics
from sandtable.training.step import State


class Diverged(ArithmeticError):  # noqa: N818  # an outcome of training, as StopIteration is one of iterating
    """A loss or a parameter was infinite or not a number.

    Attributes:
        step: Number of the step, from 1; the first such.
        replica: Which replica; the first such.
    """

    def __init__(self, step: int, replica: int) -> None:
        super().__init__(
            f"replica {replica} diverged at step {step}: its loss or a parameter is not finite; "
            "lower its learning rate or clip its gradient"
        )
        self.step, self.replica = step, replica


class Position(NamedTuple):
    """Where a training stands; replaced as a whole, so that an interruption finds it consistent.

    Attributes:
        state: All that changes.
        step: Steps done.
        window: The measures of each step since the last row.
        finished: Whether nothing is left to do.
    """

    state: State
    step: int
    window: list[Metrics]
    finished: bool = False


class Row(NamedTuple):
    """What ``read_row`` brought to the host.

    Attributes:
        values: The means over the window and the measures of the validation, R numbers each.
        stopped: Which replicas have stopped, R of them.
        diverged: The step at which replicas were not finite for the first time, by replica; those that had been stopped
            for that are not told again.
    """

    values: dict[str, list[float]]
    stopped: list[bool]
    diverged: dict[int, int]


def read_row(position: Position, judged: Metrics) -> Row:
    """Bring the metrics to the host; the one place of a training that waits for the device.

    Args:
        position: With a window of at least one step.
        judged: Measures of a validation, each [R]; may be empty.
    """
    measures = _stacked(position.window)
    # along the last axis, where the order of a sum does not depend on the number of replicas
    values = {name: measured.double().mean(-1) for name, measured in measures.items()}
    values |= {f"validation_{name}": measured.double() for name, measured in judged.items()}
    parameters = position.state.parameters.values()
    bad = ~measures["loss"].isfinite()
    bad[:, -1] |= ~torch.stack([tensor.flatten(1).isfinite().all(-1) for tensor in parameters]).all(0)
    first_bad = torch.where(bad.any(-1), bad.int().argmax(-1), -1)
    stopping = position.state.stopping
    nobody = torch.zeros_like(first_bad)
    stopped, known = (nobody, nobody) if stopping is None else (stopping.stopped, stopping.diverged)
    together = torch.stack([*values.values(), first_bad.double(), stopped.double(), known.double()])
    *numbers, places, stops, knowns = fetched(together).tolist()
    before = position.step - len(position.window)
    diverged = {
        replica: before + int(place) + 1
        for replica, (place, told) in enumerate(zip(places, knowns, strict=True))
        if place >= 0 and not told
    }
    return Row(dict(zip(values, numbers, strict=True)), [bool(stop) for stop in stops], diverged)


def to_tensors(position: Position, history: History) -> dict[str, Tensor]:
    """Return position and history as the tensors of a checkpoint."""
    return flatten({"state": position.state, "window": _stacked(position.window), "history": history.tensors()})


def from_tensors(tensors: dict[str, Tensor], template: State, step: int, finished: bool) -> tuple[Position, History]:
    """Return the position and the history of a checkpoint.

    Raises:
        InputError: A tensor of ``template`` is missing, or has another shape or type.
    """
    stacked = {
        name.removeprefix("window."): values.to(template.step.device)
        for name, values in tensors.items()
        if name.startswith("window.")
    }
    length = next((values.shape[-1] for values in stacked.values()), 0)
    window = [{name: values[:, i] for name, values in stacked.items()} for i in range(length)]
    position = Position(unflatten(template, tensors, "state"), step, window, finished)
    return position, History.of_tensors(tensors, "history")


def _stacked(window: list[Metrics]) -> Metrics:
    """Return the measures of n steps, each [R, n]."""
    return {name: torch.stack([measures[name] for measures in window], -1) for name in (window[0] if window else {})}
