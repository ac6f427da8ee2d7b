"""Many small trainings at once: perceptrons that learn parities as replicas, beside one after another."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from sandtable.benchmarks.timing import matrix_product_rate, one_thread, timing
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, PYTORCH, SGD, Supervised, fit

N, K, WIDTH, BATCH, RATE = 50, 3, 100, 32, 0.1
REPLICAS = 64
ASKED = {"eager": 9.0, "compile": 15.0}
"""Least ratio asked for over trainings one after another, by mode."""
ASKED_OF_VMAP = 1.1

Train = Callable[[int], Any]
"""Trains for a number of steps."""


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time the shared ``fit``, fresh examples in every step, beside what one would write otherwise.

    The alternatives: ``nn.Module`` with ``torch.optim.SGD``, one model after another; and all models by
    ``torch.func.vmap`` of the gradient. Each draws its examples in the timed part too. Rates are those of further
    steps, so that neither building nor compiling networks counts; the medians of seven turns.
    """
    bound = matrix_product_rate(quick=quick) / flops_per_step()
    alternatives = {
        "nn.Module and torch.optim.SGD, one by one": (one_by_one, 1, 2000, None),
        "torch.func.vmap": (by_vmap, REPLICAS, 60, ASKED_OF_VMAP),
    }
    rows = []
    for mode in ("eager",) if quick else ("eager", "compile"):
        for name, (train, models, steps, asked) in alternatives.items():
            if mode == "compile" and models > 1:
                continue
            ours = Timed(lambda count, mode=mode: replicas(count, mode), REPLICAS, 300)  # type: ignore[misc]
            rates = medians_in_turns(ours, Timed(train, models, steps), quick)
            case = f"{REPLICAS} perceptrons {N}-{WIDTH}-1, batch {BATCH}, mode {mode}"
            target = asked if asked is not None else ASKED[mode]
            rows.append(timing("replicas", case, "model-steps/s", rates, name, target, bound))
    return rows


class Timed:
    """Something that trains, how many models it trains at once, and how many steps a turn takes."""

    def __init__(self, train: Train, models: int, steps: int) -> None:
        self.train, self.models, self.steps = train, models, steps

    def rate(self, steps: int) -> float:
        """Return the model-steps a CPU-second of further steps, after as many that are not counted."""
        seconds = [self._seconds(steps), self._seconds(2 * steps)]
        return self.models * steps / max(seconds[1] - seconds[0], 1e-9)

    def _seconds(self, steps: int) -> float:
        start = time.process_time()
        self.train(steps)
        return time.process_time() - start


def medians_in_turns(ours: Timed, alternative: Timed, quick: bool) -> tuple[float, float]:
    """Return both rates: the medians of seven turns, each after the other."""
    turns, shrunk = (1, 20) if quick else (7, 1)
    rates: tuple[list[float], list[float]] = ([], [])
    with one_thread():
        for one in (ours, alternative):
            one.train(2)
        for _ in range(turns):
            for found, one in zip(rates, (ours, alternative), strict=True):
                found.append(one.rate(max(one.steps // shrunk, 2)))
    return median(rates[0]), median(rates[1])


def replicas(steps: int, mode: str = "eager") -> None:
    """Train all models by the shared loop."""
    network = MLP(REPLICAS, N, [WIDTH], 1, key=0, initialisation=PYTORCH)
    task = SparseParity(N, K, loss="hinge")
    fit(network, Supervised(task, BATCH), key=0, steps=steps, optimizer=SGD(RATE), mode=mode)


def one_by_one(steps: int) -> None:
    """Train one model as its users write it."""
    model, generator = _model(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for _ in range(steps):
        x = _signs(generator, BATCH)
        loss = _hinge(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def by_vmap(steps: int) -> None:
    """Train all models by ``torch.func``: the gradient of one, mapped over stacked parameters."""
    models, generator = [_model() for _ in range(REPLICAS)], torch.Generator().manual_seed(0)
    stacked, _ = torch.func.stack_module_state(models)
    parameters = {name: tensor.detach() for name, tensor in stacked.items()}

    def loss(own: dict[str, Tensor], x: Tensor) -> Tensor:
        return _hinge(torch.func.functional_call(models[0], own, (x,)), x)

    gradient = torch.func.vmap(torch.func.grad(loss))
    for _ in range(steps):
        found = gradient(parameters, _signs(generator, REPLICAS, BATCH))
        parameters = {name: tensor - RATE * found[name] for name, tensor in parameters.items()}


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(N, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))


def _signs(generator: torch.Generator, *rows: int) -> Tensor:
    return torch.randint(0, 2, (*rows, N), generator=generator).float() * 2 - 1


def _hinge(output: Tensor, x: Tensor) -> Tensor:
    return (1 - output[..., 0] * x[..., :K].prod(-1)).clamp_min(0).mean()


def flops_per_step() -> float:
    """Return the operations of a model's matrix products in one step: forward, and the gradient of the weights.

    The gradient in the input of the first layer is not needed.
    """
    first, last = 2 * BATCH * N * WIDTH, 2 * BATCH * WIDTH
    return float(2 * first + 3 * last)
