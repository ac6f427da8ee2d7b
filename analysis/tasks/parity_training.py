"""Trains what an experiment on sparse parities asks for, all replicas in one call, and tells when each converged."""

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from sandtable.agents.tasks.parity_networks import ARCHITECTURES
from sandtable.analysis.study import UnavailableError
from sandtable.analysis.tasks.convergence_times import ConvergenceTimes
from sandtable.analysis.tasks.hidden_progress import HiddenProgress, gradient_gaps, remember_start
from sandtable.analysis.tasks.parity_experiments import LARGEST_CUBE, ParityExperiment
from sandtable.simulators.decision_process import Batch
from sandtable.simulators.random import fold_in
from sandtable.simulators.tasks.boolean_fourier import hypercube, majority_gap
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import (
    MLP,
    PYTORCH,
    SGD,
    AdamW,
    Checkpoints,
    FullBatch,
    Initialisation,
    JsonLines,
    Objective,
    Replicated,
    Supervised,
    Training,
    Validation,
    fit,
    replica_keys,
)

if TYPE_CHECKING:
    from sandtable.analysis.store import Run

INITIALISATIONS = {
    "uniform": PYTORCH,
    "normal": Initialisation("normal", variance=2.0, bias=True),
    "sign": Initialisation("sign", variance=1.0, bias=True),
}
TRANSFORMER = "*iii"
CHECKPOINT_EVERY = 10_000
LARGEST_ENUMERABLE = 2**16  # inputs
# streams of a seed's key
_NETWORK, _TRAINING = 0x6E6574, 0x747261696E


def train(experiment: ParityExperiment, run: "Run") -> list[Mapping[str, Any]]:
    """Train, and return a row for each initialisation and learning rate.

    A seed has the same first weights and the same examples at every learning rate. Convergence is looked for on
    examples without noise.

    Returns:
        ``times`` and ``converged`` of each seed, as ``ConvergenceTimes`` takes them, ``share`` and ``median``,
        ``diverged``, how many seeds did; ``best_accuracy`` and ``half_accuracy``, the accuracy at the last look at or
        before half of t_c, of each seed; and with ``curves`` the means over seeds ``at_step``, ``mean_accuracy``,
        ``mean_progress``, ``mean_relevant`` and ``mean_irrelevant``.

    Raises:
        UnavailableError: The device is not there.
    """
    if experiment.device == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("there is no CUDA device on this machine")
    cells = [(kind, rate) for kind in experiment.initialisations for rate in experiment.rates]
    checkpoints = run.folder / "checkpoint"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        training = _trained(experiment, cells, run, Checkpoints(checkpoints, CHECKPOINT_EVERY))
    finally:
        torch.set_num_threads(threads)
    shutil.rmtree(checkpoints, ignore_errors=True)
    seeds = experiment.seeds
    return [
        _row(experiment, cell, training, slice(number * seeds, (number + 1) * seeds))
        for number, cell in enumerate(cells)
    ]


def _trained(
    experiment: ParityExperiment, cells: Sequence[tuple[str, float]], run: "Run", checkpoint: Checkpoints
) -> Training:
    keys = replica_keys(experiment.seed, experiment.seeds).repeat(len(cells))
    kinds = [INITIALISATIONS[kind] for kind, _ in cells for _ in range(experiment.seeds)]
    rates = torch.tensor([rate for _, rate in cells], dtype=torch.float64).repeat_interleave(experiment.seeds)
    task = SparseParity(experiment.n, experiment.k, noise=experiment.noise, loss=experiment.loss)
    network = _network(experiment, fold_in(keys, _NETWORK), kinds)
    judge = _judge(experiment)
    if experiment.architecture != TRANSFORMER:
        remember_start(network)
        judge = HiddenProgress(judge, task.subset)
    return fit(
        network,
        Supervised(task, experiment.batch),
        key=fold_in(keys, _TRAINING),
        steps=experiment.steps,
        optimizer=AdamW(rates, weight_decay=0.0) if experiment.architecture == TRANSFORMER else SGD(rates),
        validate=Validation(judge, experiment.every, metric="-accuracy", goal=-1.0, diverged="stop"),
        checkpoint=checkpoint,
        metrics=JsonLines(run.folder / "metrics.jsonl"),
        log_every=experiment.every,
        device=experiment.device,
        progress=run.progress(),
    )


def _network(experiment: ParityExperiment, keys: torch.Tensor, kinds: Sequence[Initialisation]) -> Replicated:
    if experiment.width:
        return MLP(len(keys), experiment.n, [experiment.width], 1, keys, initialisation=kinds)
    return ARCHITECTURES[experiment.architecture].make(len(keys), experiment.n, experiment.k, keys, kinds)


def _judge(experiment: ParityExperiment) -> Objective:
    """Return what tells the accuracy on clean labels: of all inputs where they are few, else of fresh examples."""
    task = SparseParity(experiment.n, experiment.k, loss=experiment.loss)
    if 2**experiment.n > LARGEST_CUBE:
        return Supervised(task, LARGEST_CUBE)
    inputs = hypercube(experiment.n)
    target = (inputs[:, list(task.subset)].prod(1) < 0).astype("int64")
    examples = Batch(torch.as_tensor(inputs, dtype=torch.float32), torch.as_tensor(target))
    return FullBatch(task, Batch(*(part.to(experiment.device) for part in examples)))


def _row(
    experiment: ParityExperiment, cell: tuple[str, float], training: Training, members: slice
) -> Mapping[str, Any]:
    diverged = training.diverged[members]
    converged = (training.stopped[members] & ~diverged).tolist()
    reached = training.best_step[members].tolist()
    times = [at if done else experiment.steps for at, done in zip(reached, converged, strict=True)]
    found = ConvergenceTimes(times, converged, experiment.every)
    looks = [(row["step"], row) for row in training.history if "validation_accuracy" in row]
    told = [(step, row["validation_accuracy"][members]) for step, row in looks]
    row: dict[str, Any] = {
        "initialisation": cell[0],
        "rate": cell[1],
        "share": found.success_rate.value,
        "median": found.median.value,
        "diverged": int(diverged.sum()),
        "times": times,
        "converged": converged,
        "best_accuracy": [-score if math.isfinite(score) else None for score in training.best_score[members].tolist()],
        "half_accuracy": [_accuracy_at(told, time / 2, seed) for seed, time in enumerate(times)],
    }
    if experiment.curves:
        names = {"mean_accuracy": "accuracy", "mean_progress": "progress"}
        names |= {"mean_relevant": "relevant", "mean_irrelevant": "irrelevant"}
        row["at_step"] = [step for step, _ in looks]
        for name, metric in names.items():
            row[name] = _mean_curve([entry[f"validation_{metric}"][members] for _, entry in looks])
    return row


def _accuracy_at(told: Sequence[tuple[int, Sequence[float]]], step: float, seed: int) -> float:
    """Return the accuracy of a seed at the last look at or before a step; NaN before the first."""
    return next((values[seed] for at, values in reversed(told) if at <= step), math.nan)


def _mean_curve(looks: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean over seeds at every look; a seed that was dropped keeps its last value."""
    means, last = [], list(looks[0])
    for values in looks:
        last = [before if math.isnan(value) else value for before, value in zip(last, values, strict=True)]
        means.append(sum(last) / len(last))
    return means


def measure_gap(experiment: ParityExperiment) -> Mapping[str, Any]:
    """Return the Fourier gap of a first gradient beside its closed form, the majority's (section 4).

    The gradient is that of perceptrons that start with signs and without biases, on all inputs, in float64; twice its
    gap is compared, as the derivative of a ReLU is half of a majority, plus 1/2.

    Returns:
        ``closed_gap``; ``measured_gap``, of the unit that is furthest from it, and ``gap_error``, how far, as a share;
        None where there are too many inputs to enumerate.
    """
    closed = majority_gap(experiment.n, experiment.k)
    if 2**experiment.n > LARGEST_ENUMERABLE:
        return {"closed_gap": closed, "measured_gap": None, "gap_error": None}
    signs = Initialisation("sign")
    network = MLP(experiment.seeds, experiment.n, [experiment.width], 1, 0, initialisation=signs, bias=False).double()
    task = SparseParity(experiment.n, experiment.k)
    gaps = 2 * gradient_gaps(network, task.subset).flatten()
    errors = (gaps / closed - 1).abs()
    return {
        "closed_gap": closed,
        "measured_gap": float(gaps[errors.argmax()]),
        "gap_error": float(errors.max()),
    }
