"""How things are timed: in CPU-seconds, on one thread, ours and the alternative in turns."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError

BENCHMARKS = {
    "bandit": "sandtable.benchmarks.bandit",
    "gpu": "sandtable.benchmarks.gpu",
    "grade": "sandtable.benchmarks.grade",
    "inventory": "sandtable.benchmarks.inventory",
    "inventory-peers": "sandtable.benchmarks.inventory_peers",
    "nethack": "sandtable.benchmarks.nethack",
    "nethack-cache": "sandtable.benchmarks.nethack_cache",
    "ope": "sandtable.benchmarks.ope",
    "ope-peers": "sandtable.benchmarks.ope_peers",
    "ppo": "sandtable.benchmarks.ppo",
    "regimes": "sandtable.benchmarks.regimes",
    "replicas": "sandtable.benchmarks.replicas",
    "scaling-law": "sandtable.benchmarks.scaling_law",
    "tabular": "sandtable.benchmarks.tabular",
    "tasks": "sandtable.benchmarks.tasks",
    "vector-env": "sandtable.benchmarks.vector_env",
}
"""Names of the benchmarks, and the modules whose ``benchmark(quick)`` runs them."""


@dataclass(frozen=True)
class Timing:
    """One row of a benchmark.

    Attributes:
        benchmark: Its name.
        case: What was timed, at which size.
        unit: Of the rates.
        ours: Rate, units a CPU-second on one core.
        alternative: What it is held against.
        alternative_rate: Its rate; None where it could not be run.
        ratio: ours / alternative_rate.
        target: The least ratio that is asked for, if any.
        limit: Rate at which the memory could move each array of the work once, or the processor do its matrix products.
        fraction_of_limit: ours / limit.
    """

    benchmark: str
    case: str
    unit: str
    ours: float
    alternative: str
    alternative_rate: float | None
    ratio: float | None
    target: float | None
    limit: float | None
    fraction_of_limit: float | None


def timing(
    benchmark: str,
    case: str,
    unit: str,
    rates: tuple[float, float | None],
    alternative: str,
    target: float | None = None,
    limit: float | None = None,
) -> dict[str, Any]:
    """Return a row of a benchmark, with the ratios worked out; ``rates`` are ours and the alternative's."""
    ours, theirs = rates
    ratio = None if theirs is None else ours / theirs
    fraction = None if limit is None else ours / limit
    return asdict(Timing(benchmark, case, unit, ours, alternative, theirs, ratio, target, limit, fraction))


def find_benchmarks(name: str | None = None) -> list[Callable[[bool], list[dict[str, Any]]]]:
    """Return the benchmark of that name, or all of them; each takes ``quick`` and returns rows.

    Raises:
        InputError: There is no benchmark of that name.
    """
    if name is not None and name not in BENCHMARKS:
        raise InputError(f"benchmark {name!r}: there are {', '.join(BENCHMARKS)}")
    return [import_module(BENCHMARKS[one]).benchmark for one in ([name] if name else BENCHMARKS)]


def rates_in_turns(
    ours: Callable[[], Any],
    alternative: Callable[[], Any] | None,
    units: tuple[float, float],
    quick: bool,
    clocks: tuple[Callable[[], float], Callable[[], float]] = (time.process_time, time.process_time),
) -> tuple[float, float | None]:
    """Return units a CPU-second of both, timed in turns; the best of the turns, as other work can only slow one down.

    Args:
        ours: What is timed; called once before, to warm up.
        alternative: What it is held against, if it is there.
        units: How many units a call of each does.
        quick: One short turn instead of seven longer ones.
        clocks: What tells the seconds of each; by default the CPU-seconds of this process alone.
    """
    candidates = [ours] if alternative is None else [ours, alternative]
    with one_thread():
        seconds = 0.02 if quick else 0.4
        calls = [_calls_for(candidate, seconds, clock) for candidate, clock in zip(candidates, clocks, strict=False)]
        best = [float("inf")] * len(candidates)
        for _ in range(1 if quick else 7):
            for index, candidate in enumerate(candidates):
                taken = _seconds(candidate, calls[index], clocks[index])
                best[index] = min(best[index], taken / calls[index])
    rates = [unit / seconds for unit, seconds in zip(units, best, strict=False)]
    return rates[0], rates[1] if len(rates) > 1 else None


@contextmanager
def one_thread() -> Any:
    """Let torch use one thread; numpy's element-wise operations never use more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(call: Callable[[], Any], times: int, clock: Callable[[], float]) -> float:
    """Return the seconds of ``times`` calls by a clock."""
    start = clock()
    for _ in range(times):
        call()
    return clock() - start


def _calls_for(call: Callable[[], Any], seconds: float, clock: Callable[[], float]) -> int:
    """Warm up, and return how many calls take about ``seconds``."""
    call()
    return max(1, int(seconds / max(_seconds(call, 1, clock), 1e-6)))


def memory_bandwidth(quick: bool = False) -> float:
    """Return bytes a second that one core reads and writes, measured by copying arrays far beyond its caches."""
    source = np.ones((2 if quick else 32) * 2**20, np.float32)
    target = np.empty_like(source)
    rate, _ = rates_in_turns(lambda: np.copyto(target, source), None, (2.0 * source.nbytes, 0.0), quick)
    return rate


def matrix_product_rate(dtype: str = "float32", quick: bool = False) -> float:
    """Return operations a CPU-second of a product of large matrices: torch's in float32, numpy's in float64."""
    import torch

    size = 512 if quick else 2048
    matrix = np.random.default_rng(0).normal(size=(size, size)).astype(dtype)
    tensor = torch.from_numpy(matrix)
    product = {"float32": lambda: tensor @ tensor, "float64": lambda: matrix @ matrix}[dtype]
    rate, _ = rates_in_turns(product, None, (2.0 * size**3, 0.0), quick)
    return rate
