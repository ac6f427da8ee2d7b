"""The one loop that trains everything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sandtable.simulators.arrays import Array
from sandtable.training.checkpoint import Checkpoints, load, save
from sandtable.training.configuration import describe, require_same
from sandtable.training.keys import replica_keys
from sandtable.training.metrics import History, MetricsSink
from sandtable.training.networks import Replicated
from sandtable.training.objectives import Objective
from sandtable.training.optimizers import Optimizer, Setting, per_replica
from sandtable.training.progress import Progress
from sandtable.training.record import Position, from_tensors, read_row, to_tensors
from sandtable.training.schedules import Schedule, constant
from sandtable.training.step import Stepper
from sandtable.training.validation import Validation, judge, measure, start_stopping


@dataclass(frozen=True)
class Training:
    """What a training has brought.

    Attributes:
        network: The network that was given, with the best parameters of each replica: those of the best validation, or
            the last ones without validation.
        steps: Steps done.
        history: The rows of metrics: ``{"step": int, "loss": [R numbers], ...}``.
        best_step: The steps that had been done when the parameters were at their best, int64 [R].
        best_score: The validation metric then, float64 [R]; without validation the loss of the last row.
        stopped: Which replicas were stopped early, bool [R].
    """

    network: Replicated
    steps: int
    history: list[dict[str, Any]]
    best_step: Tensor
    best_score: Tensor
    stopped: Tensor

    def select(self, replica: int) -> Replicated:
        """Return a network that holds one replica alone, R = 1."""
        return self.network.take(replica)


def fit(
    network: Replicated,
    objective: Objective,
    *,
    key: int | Array,
    steps: int,
    optimizer: Optimizer,
    schedule: Schedule | None = None,
    clip: Setting | None = None,
    validate: Validation | None = None,
    checkpoint: Checkpoints | None = None,
    metrics: MetricsSink | None = None,
    log_every: int = 100,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Training:
    """Train the replicas of a network.

    If the checkpoints' folder holds the state of the same training, that is continued, to the bits that it would have
    had without the interruption. An interruption from the keyboard makes a checkpoint first.

    Args:
        network: Trained in place. Each parameter is [R, ...].
        objective: What it is trained for.
        key: A seed, or one key a replica, [R]; step s draws from ``fold_in(key, s)``.
        steps: Steps in all, at least 1.
        optimizer: For example ``AdamW(learning_rate=[1e-3, 1e-2])``.
        schedule: Scales the learning rate by a function of the steps done; constant if None.
        clip: Largest norm of a replica's gradient, one number or [R]. Adds the metric ``gradient_norm``.
        validate: Judges, keeps the best parameters, and stops early.
        checkpoint: Where to keep the state, and how often.
        metrics: Takes a row every ``log_every`` steps, at every validation and at the last step: means over the steps
            since the row before, and ``validation_...``. Rows of later steps that it already has are dropped.
        log_every: Steps between rows, at least 1.
        device: Where to train.
        progress: Called after each row with the step, ``steps`` and the row.

    Raises:
        Diverged: At the first row after a loss or a parameter was not finite.
        InputError: The checkpoint in the folder belongs to another training, or is damaged.
        ValueError: An argument is out of its range.
    """
    if steps < 1 or log_every < 1:
        raise ValueError(f"steps and log_every must be at least 1, not {steps} and {log_every}")
    slots = _slots(network.to(device))
    keys = replica_keys(key, network.replicas, device)
    threshold = None if clip is None else per_replica("clip", clip, dict(slots))
    stepper = Stepper(network, slots, objective, optimizer, schedule or constant, threshold, keys)
    state = stepper.start(lambda parameters: start_stopping(parameters, network.replicas, device) if validate else None)
    position, history = Position(state, 0, []), History()

    settings: dict[str, Any] = {"network": repr(network), "shapes": {name: slot.shape for name, slot in slots.items()}}
    settings |= {"objective": objective, "optimizer": optimizer, "schedule": schedule, "clip": clip, "key": keys}
    settings |= {"validate": validate, "steps": steps, "log_every": log_every}
    configuration = describe(settings) if checkpoint else {}
    if checkpoint and (saved := load(checkpoint.folder)):
        tensors, manifest = saved
        require_same(manifest["configuration"], configuration, str(checkpoint.folder))
        position, history = from_tensors(tensors, state, manifest["step"], manifest["finished"])
        stepper.restore(position.state)
    if metrics:
        metrics.truncate(position.step)

    def keep(folder: Path | str) -> None:
        manifest = {"step": position.step, "finished": position.finished, "torch": torch.__version__}
        save(folder, position.step, to_tensors(position, history), {**manifest, "configuration": configuration})

    network.train()
    try:
        while not position.finished:
            after, judged = _next(stepper, validate, position, steps)
            if judged or after.finished or after.step % log_every == 0:
                row, stopped = read_row(after, judged)
                history.write(after.step, row)
                if metrics:
                    metrics.write(after.step, row)
                if progress:
                    progress(after.step, steps, history.rows[-1])
                after = after._replace(window=[], finished=after.finished or stopped)
            position = after
            if checkpoint and (position.finished or position.step % checkpoint.every == 0):
                keep(checkpoint.folder)
    except KeyboardInterrupt:
        if checkpoint:
            history.truncate(position.step)
            keep(checkpoint.folder)
        raise
    return _training(stepper, position, history)


def _slots(network: Replicated) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name.

    Raises:
        ValueError: There are none, or one does not lead with the axis of replicas.
    """
    slots = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    if not slots:
        raise ValueError("the network has no parameter to train")
    for name, slot in slots.items():
        if slot.shape[:1] != (network.replicas,):
            raise ValueError(f"parameter {name} must lead with {network.replicas} replicas, not {tuple(slot.shape)}")
    return slots


def _next(
    stepper: Stepper, validate: Validation | None, position: Position, steps: int
) -> tuple[Position, dict[str, Tensor]]:
    """Do a step, and judge the network if that is due; return the measures of the judgement too."""
    state, measures = stepper.advance(position.state, position.step)
    step, judged = position.step + 1, {}
    if validate and state.stopping and (step % validate.every == 0 or step == steps):
        keys = replica_keys(validate.key, stepper.network.replicas, state.step.device)
        judged = measure(stepper.network, validate, keys)
        stopping = judge(state.stopping, state.parameters, judged[validate.metric], state.step, validate.patience)
        state = state._replace(stopping=stopping)
    return Position(state, step, [*position.window, measures], finished=step == steps), judged


def _training(stepper: Stepper, position: Position, history: History) -> Training:
    """Load the best parameters, and say what they are."""
    network, steps, stopping = stepper.network, position.step, position.state.stopping
    if stopping is None:
        last = torch.tensor(history.rows[-1]["loss"], dtype=torch.float64)
        at = torch.full((network.replicas,), steps)
        return Training(network, steps, history.rows, at, last, torch.zeros_like(at, dtype=torch.bool))
    stepper.put(stopping.best)
    return Training(network, steps, history.rows, stopping.step.cpu(), stopping.score.cpu(), stopping.stopped.cpu())
