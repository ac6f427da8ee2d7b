"""Lottery tickets: the few neurons that learned a parity, trained again without the others (arXiv 2309.03800, fig. 5).

If width is a parallel search, some neurons are lucky from the start. So the k neurons with the largest weights in the
end are put back to where they started, and trained alone: they should learn the parity fast. The control is as many
neurons of another perceptron that starts as the first did, its head included: what was lucky is gone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sandtable.analysis.tasks.convergence_times import ConvergenceTimes
from sandtable.analysis.tasks.frontier_experiments import LotteryTicket
from sandtable.analysis.tasks.frontier_training import (
    GOAL,
    NETWORK,
    TRAINING,
    fresh_test,
    one_thread,
    require_device,
    sparse_perceptron,
)
from sandtable.simulators.errors import InputError
from sandtable.simulators.random import fold_in
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, SGD, JsonLines, Supervised, Training, Validation, fit, replica_keys

if TYPE_CHECKING:
    from sandtable.analysis.store import Run

WHOLE, TICKET, CONTROL = "whole network", "rewound", "re-randomised"
_ANEW = 0x616E6577  # the stream of the control


def run_lottery(experiment: LotteryTicket, run: "Run") -> list[Mapping[str, Any]]:
    """Train whole perceptrons, the tickets of those that converged, and controls; return a row for each of the three.

    Ticket and control see the same examples. Seeds whose whole network did not converge by the horizon have neither.

    Returns:
        ``neurons``: which of the three; ``trained``: how many; ``times`` and ``converged`` of each, ``share`` and
        ``median``. The whole network is trained to the horizon, since its final weights choose the neurons.

    Raises:
        InputError: More neurons are to be kept than there are, or no whole network converged.
        UnavailableError: The device is not there.
    """
    require_device(experiment.device)
    neurons = experiment.kept or experiment.k
    if neurons > experiment.width:
        raise InputError(f"width = {experiment.width}: there must be at least the {neurons} neurons that are kept")
    keys = replica_keys(experiment.seed, experiment.seeds)
    first, anew = (_perceptron(experiment, fold_in(keys, stream)) for stream in (NETWORK, _ANEW))
    with one_thread():
        trained = first.select(range(experiment.seeds))
        training = fit(trained, **_settings(experiment, fold_in(keys, TRAINING), run, "whole"))
        whole = _learned(experiment, training)
        winners = [seed for seed, learned in enumerate(whole.converged) if learned]
        if not winners:
            raise InputError(f"steps = {experiment.steps}: no network learned the parity; take more, or a smaller n")
        kept = largest_neurons(trained.select(winners).cpu(), neurons)
        few = torch.arange(neurons).expand(len(winners), -1)  # of a fresh draw the first are any
        both = join(keep_neurons(first.select(winners), kept), keep_neurons(anew.select(winners), few))
        again = fold_in(fold_in(keys[winners], TRAINING), 1).repeat(2)
        validate = Validation(
            fresh_test(_task(experiment), experiment.device),
            experiment.every,
            metric="-accuracy",
            goal=-GOAL,
            diverged="stop",
        )
        alone = fit(both, validate=validate, **_settings(experiment, again, run, "alone"))
    half = len(winners)
    return [
        {"neurons": WHOLE, **_row(whole)},
        {"neurons": TICKET, **_row(_converged(experiment, alone, slice(half)))},
        {"neurons": CONTROL, **_row(_converged(experiment, alone, slice(half, None)))},
    ]


def largest_neurons(network: MLP, count: int) -> Tensor:
    """Return the hidden neurons with the largest norms of incoming weights, int64 [R, count], the largest first."""
    incoming, _ = (layer.weight for layer in _layers(network))
    return incoming.detach().norm(dim=1).topk(count, dim=1).indices


def keep_neurons(network: MLP, neurons: Tensor) -> MLP:
    """Return perceptrons of one hidden layer with some neurons alone; all that is left stays as it is.

    Args:
        network: Of R replicas.
        neurons: Which of each replica's are kept, int64 [R, count].
    """
    inner, outer = _layers(network)
    replicas, inputs, _ = inner.weight.shape
    small = MLP(replicas, inputs, [neurons.shape[1]], outer.weight.shape[2], 0)
    inside, outside = _layers(small)
    inside.weight.data = inner.weight.detach().gather(2, neurons[:, None].expand(-1, inputs, -1))
    inside.bias.data = inner.bias.detach().gather(2, neurons[:, None])
    outside.weight.data = outer.weight.detach().gather(1, neurons[..., None].expand(-1, -1, outer.weight.shape[2]))
    outside.bias.data = outer.bias.detach().clone()
    return small


def join(network: MLP, other: MLP) -> MLP:
    """Return the replicas of two networks of one shape as those of one network."""
    joined = network.select([*range(network.replicas), *range(other.replicas)][: network.replicas] * 2)
    for parameter, first, second in zip(joined.parameters(), network.parameters(), other.parameters(), strict=True):
        parameter.data = torch.cat([first.data, second.data])
    return joined


def _layers(network: MLP) -> Any:
    return network.layers


def _perceptron(experiment: LotteryTicket, keys: Tensor) -> MLP:
    return sparse_perceptron(keys, experiment.n, experiment.width, 1, [experiment.sparsity] * experiment.seeds)


def _task(experiment: LotteryTicket) -> SparseParity:
    return SparseParity(experiment.n, experiment.k, loss="hinge")


def _settings(experiment: LotteryTicket, keys: Tensor, run: "Run", name: str) -> dict[str, Any]:
    """Return what all trainings of the experiment have in common, as ``fit`` takes it."""
    return {
        "objective": Supervised(_task(experiment), experiment.batch),
        "key": keys,
        "steps": experiment.steps,
        "optimizer": SGD(experiment.rate, weight_decay=experiment.weight_decay),
        "metrics": JsonLines(run.folder / f"{name}.jsonl"),
        "log_every": experiment.every,
        "device": experiment.device,
        "progress": run.progress(),
    }


def _learned(experiment: LotteryTicket, training: Training) -> ConvergenceTimes:
    """Return when networks that were trained to the horizon had told enough of the examples since the last row right.

    The examples are fresh, so they are a test of what was learned before.
    """
    first = [
        next((row["step"] for row in training.history if row["accuracy"][seed] >= GOAL), None)
        for seed in range(experiment.seeds)
    ]
    times = [experiment.steps if at is None else at for at in first]
    return ConvergenceTimes(times, [at is not None for at in first], experiment.every)


def _converged(experiment: LotteryTicket, training: Training, members: slice) -> ConvergenceTimes:
    """Return when networks that were stopped by a validation had converged."""
    converged = (training.stopped[members] & ~training.diverged[members]).tolist()
    reached = training.best_step[members].tolist()
    times = [at if done else experiment.steps for at, done in zip(reached, converged, strict=True)]
    return ConvergenceTimes(times, converged, experiment.every)


def _row(found: ConvergenceTimes) -> Mapping[str, Any]:
    return {
        "trained": found.trainings,
        "share": found.success_rate.value,
        "median": found.median.value,
        "times": list(found.steps),
        "converged": list(found.converged),
    }
