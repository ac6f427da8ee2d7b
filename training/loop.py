"""The one loop that trains everything."""

import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sandtable.simulators.arrays import Array
from sandtable.training.checkpoint import Checkpoints, flatten, load, save
from sandtable.training.cohort import Cohort
from sandtable.training.configuration import describe, require_same
from sandtable.training.flops import Flops
from sandtable.training.graph import GraphRunner, interruptible
from sandtable.training.keys import replica_keys
from sandtable.training.metrics import History, MetricsSink
from sandtable.training.networks import Replicated
from sandtable.training.objectives import Objective
from sandtable.training.optimizers import Optimizer, Setting, per_replica
from sandtable.training.progress import Progress
from sandtable.training.record import Diverged, Position, Row, from_tensors, read_row, to_tensors
from sandtable.training.scanned import ScannedStepper, find_scan
from sandtable.training.schedules import Schedule, constant
from sandtable.training.step import Runner, State, Stepper
from sandtable.training.validation import Validation, judge, measure, start_stopping, stop_diverged

MODES = ("eager", "graph", "compile", "scan")


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
        diverged: Which of them because their loss or parameters were not finite, bool [R].
        flops: Of one step of all replicas, the first, counted by formula.
    """

    network: Replicated
    steps: int
    history: list[dict[str, Any]]
    best_step: Tensor
    best_score: Tensor
    stopped: Tensor
    diverged: Tensor
    flops: Flops

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
    mode: str = "eager",
    backend: str = "inductor",
    progress: Progress | None = None,
) -> Training:
    """Train the replicas of a network.

    Replicas that have stopped early are dropped on the way, where the mode is eager and the objective has no carry, as
    soon as they are half of those that are left: the others are then trained faster, to the same bits. Rows of metrics
    hold NaN for those that were dropped.

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
            since the row before, ``validation_...``, and where it is known ``flops``, a replica's floating-point
            operations from the first step on, as if all steps were like the first. Rows of later steps that it already
            has are dropped.
        log_every: Steps between rows, at least 1.
        device: Where to train.
        mode: How steps are done. ``"eager"``: operation by operation. ``"graph"``: as replays of one CUDA graph; it
            has not run on a GPU yet and is therefore no default. ``"compile"``: the loss and its gradient by
            ``torch.compile``, after a first step that is eager; the same but for rounding. Compiling takes 10 to 100
            seconds. ``"scan"``: all updates of a step as one compiled scan, after a first step that is eager; for
            objectives with ``parts``, such as PPO's on a CPU. It stands on a prototype of torch in a private module;
            where that is missing, a warning says so and steps are eager.
        backend: That of ``torch.compile``.
        progress: Called after each row with the step, ``steps`` and the row.

    Raises:
        Diverged: At the first row after a loss or a parameter was not finite.
        InputError: The checkpoint in the folder belongs to another training, or is damaged.
        RuntimeError: The step cannot be captured in a CUDA graph.
        ValueError: An argument is out of its range, or there is no device for the mode.
    """
    if steps < 1 or log_every < 1:
        raise ValueError(f"steps and log_every must be at least 1, not {steps} and {log_every}")
    mode = _mode(mode, torch.device(device))
    slots = _slots(network.to(device))
    keys = replica_keys(key, network.replicas, device)
    threshold = None if clip is None else per_replica("clip", clip, dict(slots))
    stepper = Stepper(network, slots, objective, optimizer, schedule or constant, threshold, keys, objective.loss)
    runner = _runner(stepper, mode, backend, log_every)
    state = stepper.start(lambda parameters: start_stopping(parameters, network.replicas, device) if validate else None)
    position, history, cohort = Position(state, 0, []), History(), Cohort.of_all(stepper, state)
    judging = None if validate is None else replica_keys(validate.key, network.replicas, device)
    judge_by = validate
    may_drop = mode == "eager" and validate is not None and not flatten(state.carry)

    settings: dict[str, Any] = {"network": repr(network), "shapes": {name: slot.shape for name, slot in slots.items()}}
    settings |= {"objective": objective, "optimizer": optimizer, "schedule": schedule, "clip": clip, "key": keys}
    settings |= {"validate": validate, "steps": steps, "log_every": log_every}
    settings |= {} if mode == "eager" else {"mode": mode}
    configuration = describe(settings) if checkpoint else {}
    if checkpoint and (saved := load(checkpoint.folder)):
        tensors, manifest = saved
        require_same(manifest["configuration"], configuration, str(checkpoint.folder))
        position, history = from_tensors(tensors, state, manifest["step"], manifest["finished"])
        stepper.restore(position.state)
        if len(members := manifest.get("members", range(network.replicas))) < network.replicas:
            cohort = Cohort(stepper, position.state, torch.tensor(members, device=device))
            window = [cohort.part(measures) for measures in position.window]
            position, runner = position._replace(state=cohort.selected(), window=window), Runner(cohort.stepper())
            judge_by = validate and validate.select(members)
        if kept := manifest.get("flops"):
            runner.flops = Flops(kept["forward"], kept["backward"], tuple(kept["unknown"]))
    if metrics:
        metrics.truncate(position.step)

    def keep(folder: Path | str) -> None:
        manifest: dict[str, Any] = {"step": position.step, "finished": position.finished, "torch": torch.__version__}
        manifest |= {"flops": asdict(runner.flops) if runner.flops else None, "members": cohort.members.tolist()}
        whole = position._replace(state=cohort.merged(position.state), window=[*map(cohort.spread, position.window)])
        save(folder, position.step, to_tensors(whole, history), {**manifest, "configuration": configuration})

    network.train()
    try:
        with interruptible(at_once=mode != "graph") as allow_interruption:
            while not position.finished:
                judges = None if judging is None else judging[cohort.members]
                after, judged = _next(runner, judge_by, judges, position, steps)
                if judged or after.finished or after.step % log_every == 0:
                    told = read_row(after, judged)
                    if told.diverged:
                        after, told = _without(told, after, validate, cohort.members.tolist())
                    row = cohort.row(told.values) | _spent(runner.flops, after.step, network.replicas)
                    # a validation's last: rows that have none keep the order, also in a history that was restored
                    row = dict(sorted(row.items(), key=lambda entry: entry[0].startswith("validation_")))
                    history.write(after.step, row)
                    if metrics:
                        metrics.write(after.step, row)
                    if progress:
                        progress(after.step, steps, history.rows[-1])
                    after = after._replace(window=[], finished=after.finished or all(told.stopped))
                    if may_drop and not after.finished and 2 * sum(told.stopped) >= len(told.stopped):
                        fewer = cohort.without_stopped(after.state)
                        of_fewer = Runner(fewer.stepper())
                        judged_by = validate and validate.select(fewer.members.tolist())
                        of_fewer.flops, after = runner.flops, after._replace(state=fewer.selected())
                        # nothing is called in between: an interruption finds all of them or none
                        cohort, runner, judge_by, position = fewer, of_fewer, judged_by, after
                position = after
                if checkpoint and (position.finished or position.step % checkpoint.every == 0):
                    keep(checkpoint.folder)
                allow_interruption()
    except KeyboardInterrupt:
        # a graph changes the state in place: one that was interrupted within a step is ahead of its position
        if checkpoint and int(position.state.step) == position.step:
            history.truncate(position.step)
            keep(checkpoint.folder)
        raise
    return _training(stepper, runner.flops, cohort.merged(position.state), position.step, history)


def _without(
    told: Row, position: Position, validate: Validation | None, members: list[int]
) -> tuple[Position, Row]:  # fmt: skip
    """Stop the replicas that are not finite, if that is what was asked for.

    Args:
        told: Of the members.
        position: Of the members.
        validate: Says what was asked for.
        members: Which replicas they are.

    Raises:
        Diverged: It was not.
    """
    if validate is None or validate.diverged == "raise":
        replica, step = min(told.diverged.items(), key=lambda entry: (entry[1], entry[0]))
        raise Diverged(step, members[replica])
    state = position.state
    assert state.stopping is not None
    stopping, parameters = stop_diverged(state.stopping, state.parameters, list(told.diverged))
    after = position._replace(state=state._replace(stopping=stopping, parameters=parameters))
    return after, told._replace(stopped=[stop or r in told.diverged for r, stop in enumerate(told.stopped)])


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


def _mode(mode: str, device: torch.device) -> str:
    """Return the mode, if the device has it.

    Raises:
        ValueError: There is no such mode, or no device for it.
    """
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r}: there is no CUDA device on this machine; use device='cpu'")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if mode == "graph" and device.type != "cuda":
        there = "use device='cuda'" if torch.cuda.is_available() else "there is none on this machine; use mode='eager'"
        raise ValueError(f"mode 'graph' needs a CUDA device, and the device is {str(device)!r}: {there}")
    return mode


def _runner(stepper: Stepper, mode: str, backend: str, log_every: int) -> Runner | GraphRunner:
    """Return what does the steps."""
    if mode == "graph":
        return GraphRunner(stepper, capacity=log_every)
    if mode == "compile":
        objective, by_hand = stepper.objective, None
        if objective.compiles_gradient:
            by_hand = torch.compile(objective.gradient, backend=backend, dynamic=False)
        compute = torch.compile(objective.loss, backend=backend, dynamic=False)
        return Runner(stepper, replace(stepper, compute=compute, by_hand=by_hand))
    if mode == "scan":
        scan = find_scan()
        if scan is None:
            warnings.warn("mode 'scan': this torch has no scan; steps are eager", stacklevel=3)
        return Runner(stepper, scan and ScannedStepper(stepper, backend, scan))
    return Runner(stepper)


def _spent(flops: Flops | None, step: int, replicas: int) -> dict[str, list[float]]:
    """Return the metric ``flops`` after a number of steps, nothing where it is not known."""
    if flops is None or flops.total is None:
        return {}
    return {"flops": [flops.total / replicas * step] * replicas}


def _next(
    runner: Runner | GraphRunner, validate: Validation | None, keys: Tensor | None, position: Position, steps: int
) -> tuple[Position, dict[str, Tensor]]:
    """Do a step, and judge the network if that is due, on keys [R]; return the measures of the judgement too."""
    state, measures = runner.advance(position.state)
    step, judged = position.step + 1, {}
    stepper = runner.stepper
    if validate and keys is not None and state.stopping and (step % validate.every == 0 or step == steps):
        judged = measure(stepper.network, validate, keys)
        stopping = judge(validate, state.stopping, state.parameters, judged, state.step)
        state = state._replace(stopping=stopping)
    return Position(state, step, [*position.window, measures], finished=step == steps), judged


def _training(stepper: Stepper, flops: Flops | None, state: State, steps: int, history: History) -> Training:
    """Load the best parameters, and say what they are."""
    flops = flops or Flops(0, 0, ("not counted",))  # of a finished training that an older version kept
    network, stopping = stepper.network, state.stopping
    if stopping is None:
        stepper.put(state.parameters)
        last = torch.tensor(history.rows[-1]["loss"], dtype=torch.float64)
        at = torch.full((network.replicas,), steps)
        nobody = torch.zeros_like(at, dtype=torch.bool)
        return Training(network, steps, history.rows, at, last, nobody, nobody, flops)
    stepper.put(stopping.best)
    step, score, stopped, diverged = (
        one.cpu() for one in (stopping.step, stopping.score, stopping.stopped, stopping.diverged)
    )
    return Training(network, steps, history.rows, step, score, stopped, diverged, flops)
