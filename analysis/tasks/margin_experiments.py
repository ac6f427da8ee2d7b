"""Experiments on maximum margins: closed forms by enumeration, ascents, and networks that are trained towards them.

Trainings are full gradient descent, or descent on batches, on the mean cross-entropy plus ``weight * sum_i
|omega_i|^nu`` (arXiv 2311.07568, appendix B), in float64: the gradients shrink exponentially as the margins grow.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from sandtable.agents.tasks.homogeneous_networks import (
    HomogeneousMLP,
    PairNetwork,
    PowerNetwork,
    whole_cube,
    whole_table,
)
from sandtable.agents.tasks.margin_certificate import ascend
from sandtable.agents.tasks.maximum_margin import (
    cyclic_network,
    group_network,
    maximum_margin,
    parity_margin,
    parity_network,
)
from sandtable.analysis.tasks.margin_recipes import Recipe
from sandtable.analysis.tasks.margins import group_network_margin, parity_network_margin
from sandtable.analysis.tasks.spectra import neuron_spectra
from sandtable.simulators.errors import InputError
from sandtable.simulators.memory import require_memory
from sandtable.simulators.tasks.group_operation import GroupOperation
from sandtable.simulators.tasks.groups import parse
from sandtable.simulators.tasks.representations import homomorphism_error, irreducible_representations
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import (
    SGD,
    Checkpoints,
    FullBatch,
    NeuronNorm,
    Objective,
    Penalised,
    Supervised,
    Training,
    Validation,
    doubling,
    fit,
)
from sandtable.training.objectives.objective import Carry, Metrics
from sandtable.training.progress import Progress

NEURONS = "neurons.npz"
WIDE = 400  # hidden units
Measure = Callable[[Any], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Measured(Objective):
    """An objective that also measures the network: what training is judged by.

    Attributes:
        objective: Whose loss it is.
        measure: From the network to numbers [R] by name.
    """

    objective: Objective
    measure: Measure

    def select(self, replicas: Sequence[int]) -> Self:
        """Return the objective of some replicas; see ``Objective.select``."""
        return replace(self, objective=self.objective.select(replicas))

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the loss of the objective, and the measures besides its metrics."""
        loss, metrics, carry = self.objective.loss(network, key, carry, update)
        found = {name: torch.as_tensor(values, device=loss.device) for name, values in self.measure(network).items()}
        return loss, {**metrics, **found}, carry


def closed_forms(orders: Sequence[int], groups: Sequence[str], powers: Sequence[int]) -> list[dict[str, Any]]:
    """Return each closed form beside the margin of its construction, found by enumerating all inputs.

    Args:
        orders: Primes p, of theorem 7.
        groups: Names, of theorem 9.
        powers: k, of theorem 8, of parities of k + 1 bits.

    Returns:
        Rows of ``kind``, ``name``, ``closed_form``, ``enumerated`` and ``relative_error``; those of groups have
        ``homomorphism_error`` and ``dimensions_apart``, how far the sum of d^2 is from the order.
    """
    rows = []
    for name in [*(f"Z_{p}" for p in orders), *groups]:
        group = parse(name)
        network = cyclic_network(group) if group.family == "cyclic" else group_network(group)
        found = _row("cyclic" if group.family == "cyclic" else "group", name, maximum_margin(group),
                     float(group_network_margin(*network, group).normalised))  # fmt: skip
        if group.family != "cyclic":
            parts = irreducible_representations(group)
            found["homomorphism_error"] = max(homomorphism_error(group, one.matrices) for one in parts)
            found["dimensions_apart"] = abs(sum(one.dimension**2 for one in parts) - group.order)
        rows.append(found)
    for k in powers:
        parity = parity_network(k + 1, range(k))
        enumerated = float(parity_network_margin(*parity, range(k)).normalised)
        rows.append(_row("parity", f"{k} bits", parity_margin(k), enumerated))
    return rows


def _row(kind: str, name: str, closed_form: float, enumerated: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "closed_form": closed_form,
        "enumerated": enumerated,
        "relative_error": abs(enumerated / closed_form - 1),
    }


def ascents(groups: Sequence[str], restarts: int, seed: int) -> list[dict[str, Any]]:
    """Return how high ascents of one neuron's bound get, over the closed form: see ``margin_certificate``."""
    rows = []
    for name in groups:
        group = parse(name)
        ratio = ascend(group, restarts, seed).bound / maximum_margin(group)
        rows.append({"name": name, "highest": float(ratio.max()), "lowest": float(ratio.min())})
    return rows


def refusals(groups: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is said of groups for which no theorem holds: ``refused``, 1 or 0, and the ``reason``."""
    rows = []
    for name in groups:
        try:
            reason, refused = f"{maximum_margin(parse(name))}", 0
        except InputError as error:
            reason, refused = str(error), 1
        rows.append({"name": name, "refused": refused, "reason": reason})
    return rows


def train_group(
    name: str, activation: str, recipe: Recipe, folder: Path, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Train networks on the operation of a group; a row a network.

    ``mean_power`` and ``least_power`` are over neurons, of the share of the squared norm in the strongest part, of u, v
    or w, whichever is least; ``weighted_power`` is the mean weighted by |omega|^nu, in which neurons that have stayed
    small hardly count, as in the norm. First and last weights are kept in the folder, u, v and w as ``first`` and
    ``last`` [R, 3, m, G].

    Args:
        name: Of the group.
        activation: ``"power-2"``, for which margins are measured, or ``"relu"``.
        recipe: How they are trained.
        folder: For the weights, and the checkpoints of the training.
        progress: Called with how far the training is.

    Raises:
        InputError: The group is not known, or the width is more than the memory allows.
    """
    task = GroupOperation(name, feedback="full")
    group, device = task.group, _device(recipe)
    table = f"the table of {name} through {recipe.width} neurons"
    require_memory(8 * 4 * recipe.replicas * group.order**2 * recipe.width, table, "take fewer neurons")
    variances = [scale**2 / group.order for scale in recipe.each(recipe.scale)]
    network = PairNetwork(recipe.replicas, group.order, recipe.width, recipe.keys(), activation, variances).double()
    quadratic = activation == "power-2"

    def measure(network: PairNetwork) -> dict[str, np.ndarray]:
        weights = network.weights()
        power = neuron_spectra(*weights, group).purity
        found = {"mean_power": power.mean(-1), "least_power": power.min(-1)}
        with np.errstate(all="ignore"):  # networks that exploded
            squares = np.sum([(one**2).sum(-1) for one in weights], axis=0)
            found["weighted_power"] = _weighted(power, squares, recipe.order)
        return found | ({"margin": group_network_margin(*weights, group).normalised} if quadratic else {})

    first = np.stack(network.weights(), axis=1)
    whole = FullBatch(task, whole_table(task, device))
    objective = Supervised(task, recipe.batch) if recipe.batch else whole
    rows = _train(network, objective, whole, measure, recipe, folder, device, progress)
    last = np.stack(network.weights(), axis=1)
    np.savez_compressed(folder / NEURONS, first=first, last=last)
    spectra = neuron_spectra(last[:, 0], last[:, 1], last[:, 2], group)
    for row, dominant in zip(rows, spectra.dominant, strict=True):
        counts = {part: int((dominant == number).sum()) for number, part in enumerate(spectra.u.names)}
        row |= {"neurons": list(counts.items()), "mixed": int((dominant < 0).sum()), "parts": len(counts) - 1}
        row["parts_used"] = sum(count > 0 for part, count in counts.items() if part != "trivial")
    maximum = maximum_margin(group) if quadratic else None
    return [_against(row, maximum) for row in rows]


def train_parity(
    n: int, k: int, recipe: Recipe, folder: Path, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Train networks with activation x^k on all inputs of a parity of the first k of n bits; a row a network.

    ``mean_power`` is the mean over neurons of the share of u's squared norm on the k bits, and ``weighted_power`` that
    mean weighted by |omega|^nu. First and last weights are kept in the folder, ``first_u``, ``last_u``, [R, m, n], and
    ``first_w``, ``last_w``, [R, m, 2].
    """
    task = SparseParity(n, k, subset=tuple(range(k)), feedback="full", loss="cross-entropy")
    variances = [scale**2 / n for scale in recipe.each(recipe.scale)]
    network = PowerNetwork(recipe.replicas, n, k, recipe.width, recipe.keys(), variances).double()

    def measure(network: PowerNetwork) -> dict[str, np.ndarray]:
        u, w = network.weights()
        with np.errstate(all="ignore"):
            share = (u[..., :k] ** 2).sum(-1) / (u**2).sum(-1)
            weighted = _weighted(share, (u**2).sum(-1) + (w**2).sum(-1), recipe.order)
        margin = parity_network_margin(u, w, range(k)).normalised
        return {"mean_power": share.mean(-1), "weighted_power": weighted, "margin": margin}

    first = network.weights()
    device = _device(recipe)
    whole = FullBatch(task, whole_cube(task, device))
    rows = _train(network, whole, whole, measure, recipe, folder, device, progress)
    last = network.weights()
    np.savez_compressed(folder / NEURONS, first_u=first.u, first_w=first.w, last_u=last.u, last_w=last.w)
    return [_against(row, parity_margin(k)) for row in rows]


def _weighted(power: np.ndarray, squares: np.ndarray, order: int) -> np.ndarray:
    """Return the means [R] of powers [R, m] of neurons with these squared norms, weighted by |omega|^order."""
    size = squares ** (order / 2)
    return np.asarray((power * size).sum(-1) / size.sum(-1))


def _device(recipe: Recipe) -> str:
    """Return where to train: a GPU pays for wide networks alone."""
    return "cuda" if recipe.width >= WIDE and torch.cuda.is_available() else "cpu"


def _train(
    network: HomogeneousMLP,
    objective: Objective,
    whole: Objective,
    measure: Measure,
    recipe: Recipe,
    folder: Path,
    device: str,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """Train, and return the measures of each network at its end and along the way.

    A network keeps the weights of the least penalised loss on all examples. One that explodes is stopped; its row says
    so, and has no measures of the end.
    """
    penalties = recipe.each(recipe.weights)

    def penalised(objective: Objective) -> Penalised:
        return Penalised(objective, NeuronNorm(recipe.order), penalties)

    started, every = time.process_time(), max(1, recipe.steps // 40)
    training = fit(
        network,
        penalised(objective),
        key=recipe.keys(),
        steps=recipe.steps,
        optimizer=SGD(recipe.learning_rate),
        schedule=doubling(recipe.doubled),
        validate=Validation(Measured(penalised(whole), measure), every, diverged="stop"),
        checkpoint=Checkpoints(folder / "checkpoints", max(every, recipe.steps // 10)),
        log_every=every,
        device=device,
        progress=progress,
    )
    spent = time.process_time() - started
    ends, curves = measure(network), _curves(training)
    return [
        {
            "penalty_weight": penalties[replica],
            "first_scale": recipe.each(recipe.scale)[replica],
            **({} if training.diverged[replica] else {name: float(values[replica]) for name, values in ends.items()}),
            **{f"{name}_curve": values[replica] for name, values in curves.items()},
            "curve_steps": [row["step"] for row in training.history],
            "best_step": int(training.best_step[replica]),
            "exploded": _explosion(training, replica),
            "cpu_seconds_spent": spent,
        }
        for replica in range(network.replicas)
    ]


def _curves(training: Training) -> dict[str, list[list[float]]]:
    """Return the measures of every judgement, a list a network."""
    names = ("margin", "mean_power", "weighted_power", "accuracy", "loss")
    told = [name for name in names if f"validation_{name}" in training.history[0]]
    replicas = range(training.network.replicas)
    return {name: [[row[f"validation_{name}"][r] for row in training.history] for r in replicas] for name in told}


def _explosion(training: Training, replica: int) -> str:
    """Return why a network was stopped; empty if it was not."""
    if not training.diverged[replica]:
        return ""
    steps = [row["step"] for row in training.history if not np.isfinite(row["loss"][replica])]
    step = min(steps, default=training.steps)  # weights may overflow in the last step before a finite loss
    return f"loss or weights were no longer finite by step {step}: rate or first weights are too large"


def _against(row: dict[str, Any], maximum: float | None) -> dict[str, Any]:
    """Return the row with the margin's share of the maximum, and the gap that is left."""
    if maximum is None or "margin" not in row:
        return {**row, "maximum": maximum}
    ratio = row["margin"] / maximum
    return {**row, "maximum": maximum, "ratio": ratio, "gap": 1 - ratio}
