"""Trains perceptrons offline and tells, of each, when it knew its own examples and when it knew the parity.

First weights are PyTorch's, uniform on +-1/sqrt(inputs). Where neurons start sparse, s of the weights that read the
inputs are +-1/sqrt(s), in random places, and the others 0; nothing else differs.
"""

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sandtable.analysis.study import UnavailableError
from sandtable.analysis.tasks.convergence_times import ConvergenceTimes
from sandtable.analysis.tasks.frontier_experiments import DENSE, OfflineParity
from sandtable.analysis.tasks.hidden_progress import first_weights
from sandtable.simulators.decision_process import Batch
from sandtable.simulators.errors import InputError
from sandtable.simulators.memory import require_memory
from sandtable.simulators.random import fold_in, make_key
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import (
    MLP,
    PYTORCH,
    SGD,
    Checkpoints,
    FullBatch,
    Initialisation,
    JsonLines,
    Objective,
    OwnExamples,
    Training,
    Validation,
    fit,
    replica_keys,
)
from sandtable.training.objectives import Carry, Metrics

if TYPE_CHECKING:
    from sandtable.analysis.store import Run

GOAL = 0.99  # of the accuracy on fresh examples
TESTED = 2048  # fresh examples
LARGEST_LOOK = 2048  # examples of its own on which a replica is looked at
CHECKPOINT_EVERY = 10_000
# streams of a seed's key, and of the seed of the tests
NETWORK, TRAINING, DATA, TEST = 0x6E6574, 0x747261696E, 0x64617461, 0x74657374


@dataclass(frozen=True)
class TrainAndTest(Objective):
    """Loss and accuracy on fresh examples, and ``train_accuracy`` on those that a replica learns.

    Attributes:
        test: Of fresh examples.
        train: Of each replica's own.
    """

    test: FullBatch
    train: FullBatch

    def select(self, replicas: Sequence[int]) -> "TrainAndTest":
        """Return the objective of some replicas; see ``Objective.select``."""
        return TrainAndTest(self.test.select(replicas), self.train.select(replicas))

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return loss and metrics of the test with the accuracy of the training, each [R]."""
        loss, metrics, _ = self.test.loss(network, key, carry, update)
        _, own, _ = self.train.loss(network, key, carry, update)
        return loss, {**metrics, "train_accuracy": own["accuracy"]}, carry


def train_offline(experiment: OfflineParity, run: "Run") -> list[Mapping[str, Any]]:
    """Train, and return a row for each sparsity.

    A seed has the same data set, batches and head at every sparsity. A training ends when the accuracy on fresh
    examples is at least ``GOAL``.

    Returns:
        ``times`` and ``converged`` of each seed, t_test, as ``ConvergenceTimes`` takes them; ``train_times`` and
        ``train_converged``, t_train, the first look at which all of its own examples (of more than ``LARGEST_LOOK``,
        so many) are told right; ``delays``, t_test / t_train of each seed that converged, 1 where it did before it
        knew its own examples; ``share`` and ``median``; ``test_errors`` and ``test_losses`` at the last look;
        ``diverged``, how many seeds did.

    Raises:
        InputError: A sparsity is out of its range, or the memory is too small; the message names which.
        UnavailableError: The device is not there.
    """
    require_device(experiment.device)
    task = SparseParity(experiment.n, experiment.k, loss="hinge")
    kinds = [kind for kind in experiment.sparsities for _ in range(experiment.seeds)]
    keys = replica_keys(experiment.seed, experiment.seeds).repeat(len(experiment.sparsities))
    _require_room(experiment, len(keys))
    network = sparse_perceptron(fold_in(keys, NETWORK), experiment.n, experiment.width, 1, kinds)
    own = own_sets(task, fold_in(keys, DATA).to(experiment.device), experiment.samples)
    looked = FullBatch(task, Batch(*(part[:, :LARGEST_LOOK] for part in own)), shared=False)
    checkpoints = run.folder / "checkpoint"
    with one_thread():
        training = fit(
            network,
            OwnExamples(task, experiment.batch, own),
            key=fold_in(keys, TRAINING),
            steps=experiment.steps,
            optimizer=SGD(experiment.rate, weight_decay=experiment.weight_decay),
            validate=Validation(
                TrainAndTest(fresh_test(task, experiment.device), looked),
                experiment.every,
                metric="-accuracy",
                goal=-GOAL,
                diverged="stop",
            ),
            checkpoint=Checkpoints(checkpoints, CHECKPOINT_EVERY),
            metrics=JsonLines(run.folder / "metrics.jsonl"),
            log_every=experiment.every,
            device=experiment.device,
            progress=run.progress(),
        )
    shutil.rmtree(checkpoints, ignore_errors=True)
    size = experiment.seeds
    return [
        {"sparsity": kind, **_row(experiment, training, slice(number * size, (number + 1) * size))}
        for number, kind in enumerate(experiment.sparsities)
    ]


def sparse_perceptron(keys: Tensor, inputs: int, width: int, outputs: int, sparsities: Sequence[int]) -> MLP:
    """Return ReLU perceptrons of one hidden layer, each started from its key with neurons of its sparsity.

    Args:
        keys: [R].
        inputs: n.
        width: r.
        outputs: Of the last layer.
        sparsities: [R], how many weights each neuron starts with; ``DENSE`` for all.

    Raises:
        InputError: A sparsity is more than the inputs, or negative.
    """
    wrong = [kind for kind in sparsities if not 0 <= kind <= inputs]
    if wrong:
        raise InputError(f"sparsities: {wrong[0]} is not between 1 and the {inputs} inputs, nor {DENSE} for dense")
    network = MLP(len(keys), inputs, [width], outputs, keys, initialisation=PYTORCH)
    first = first_weights(network)
    for kind in set(sparsities) - {DENSE}:
        members = [replica for replica, own in enumerate(sparsities) if own == kind]
        first.data[members] = Initialisation("sign", nonzero=kind).weights(keys[members], inputs, width)
    return network


def own_sets(task: SparseParity, keys: Tensor, samples: int) -> Batch:
    """Return a data set for each key, [R, m, ...], on the keys' device; example i of it depends on the key and i."""
    if samples < 1:
        raise InputError(f"samples = {samples}: a data set needs at least one example")
    return task.sample(fold_in(keys[:, None], torch.arange(samples, device=keys.device)))


def fresh_test(task: SparseParity, device: str) -> FullBatch:
    """Return ``TESTED`` examples that are in nobody's data set, the same for all replicas."""
    key = torch.as_tensor(fold_in(make_key(TEST), 0)).to(device)
    return FullBatch(task, task.sample(fold_in(key, torch.arange(TESTED, device=device))))


def require_device(device: str) -> None:
    """Raise unless there is the device.

    Raises:
        UnavailableError: It is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("there is no CUDA device on this machine")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch have one thread, so that a replica's bits do not depend on the machine, and runs can share it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _require_room(experiment: OfflineParity, replicas: int) -> None:
    """Refuse data and networks that do not fit into main memory, and name the larger of them."""
    if experiment.device != "cpu":
        return
    data = 4 * replicas * experiment.samples * (experiment.n + 8)
    networks = 4 * replicas * experiment.width * (5 * experiment.n + LARGEST_LOOK)  # copies of weights, and activations
    what = f"samples = {experiment.samples}" if data > networks else f"width = {experiment.width}"
    require_memory(data + networks, f"{what}, with {replicas} replicas", "take less of it, or fewer seeds")


def _row(experiment: OfflineParity, training: Training, members: slice) -> Mapping[str, Any]:
    diverged = training.diverged[members]
    converged = (training.stopped[members] & ~diverged).tolist()
    times = [
        at if done else experiment.steps
        for at, done in zip(training.best_step[members].tolist(), converged, strict=True)
    ]
    looks = [(row["step"], row) for row in training.history if "validation_accuracy" in row]
    replicas = range(len(training.stopped))[members]
    known = [
        next((step for step, row in looks if row["validation_train_accuracy"][replica] == 1.0), None)
        for replica in replicas
    ]
    test = ConvergenceTimes(times, converged, experiment.every)
    return {
        "share": test.success_rate.value,
        "median": test.median.value,
        "diverged": int(diverged.sum()),
        "times": times,
        "converged": converged,
        "train_times": [end if at is None else at for at, end in zip(known, times, strict=True)],
        "train_converged": [at is not None for at in known],
        "delays": [end / (at or end) for at, end, done in zip(known, times, converged, strict=True) if done],
        "test_errors": [1 - last_of(row["validation_accuracy"][replica] for _, row in looks) for replica in replicas],
        "test_losses": [last_of(row["validation_loss"][replica] for _, row in looks) for replica in replicas],
    }


def last_of(values: Iterable[float]) -> float:
    """Return the last value that is a number, that of the last look before a replica was dropped; else NaN."""
    return next((value for value in reversed([*values]) if not math.isnan(value)), math.nan)
