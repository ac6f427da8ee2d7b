"""Approach 3 beside what is in use: thousands of L-BFGS starts, and vpnls, which also projects the coefficients out.

All fit the same 240 seeded synthetic runs, noise of 1 % on a surface like Chinchilla's. L-BFGS has the objective and
the 4,500 starts of arXiv 2203.15556, appendix D.3. vpnls (arXiv 2603.22339, Apache-2.0, Open-Athena/vpnls) has its own
objective, the mean over residuals of L itself, and its own bounds; ours then minimises the same within the same bounds.
Its sources are in the folder ``vpnls`` of those that ``SANDTABLE_PEERS`` names, or of ``shared/peers`` beside the
checkout, and are built into an environment of their own; where they are absent, it is not run.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from sandtable.benchmarks.inventory_peers import Peer, peer
from sandtable.benchmarks.timing import one_thread, rates_in_turns, timing
from sandtable.estimators.scaling.bootstrap import resample_counts
from sandtable.estimators.scaling.variable_projection import Sample, distinct, fit, refit
from sandtable.simulators import compilation
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

NAME = "scaling-law"
PEER, PROGRAM = "vpnls", "vpnls_fit.py"
SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
RESAMPLES = 1000
SECONDS = {"numba": (0.03, 2.0), "numpy": (0.1, 10.0)}
"""What one fit and 1,000 refits of resamples may take, in CPU-seconds."""

BOUNDS = (0.01, 0.99)  # of both exponents, vpnls' own
PEER_FITS = (("mse", "grid"), ("huber", "grid"), ("huber", "scipy"))
PEER_DELTA = 1e-3


class Starts(NamedTuple):
    """What L-BFGS found from many starts: the best sum, and the CPU-seconds of all."""

    objective: float
    seconds: float


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time one fit and 1,000 bootstraps, compiled and not, L-BFGS (quick: from 20 starts), and vpnls (quick: not)."""
    sample = runs_to_fit()
    rows = []
    for engine in ("numba", "numpy") if compilation.AVAILABLE else ("numpy",):
        with _engine(engine):
            rows += _own(sample, engine, quick)
    with one_thread():
        ours = fit(sample)
        count = 20 if quick else len(lbfgs_starts())
        theirs = best_of_starts(sample, lbfgs_starts()[:: len(lbfgs_starts()) // count][:count])
        rate, _ = rates_in_turns(lambda: fit(sample), None, (1.0, 0.0), quick)
    excess = theirs.objective / ours.objective[0] - 1
    case = f"one fit, 240 runs, huber-log; its sum over ours, less 1: {excess:+.1e}"
    rows.append(timing(NAME, case, "fits/s", (rate, 1 / theirs.seconds), f"L-BFGS, {count:,} starts"))
    return rows if quick else rows + _beside_vpnls(sample)


def runs_to_fit() -> Sample:
    """Return the 240 runs: eight budgets, 30 sizes each."""
    runs = with_noise(isoflop_grid(SURFACE, np.geomspace(1e18, 1e21, 8), 30), 0.01, seed=1)
    return Sample(runs.column("parameters"), runs.column("data"), runs.column("loss"), np.ones(len(runs)))


@contextmanager
def _engine(name: str) -> Iterator[None]:
    """Use the compiled loops, or the array program."""
    before = compilation.AVAILABLE
    compilation.AVAILABLE = name == "numba"
    try:
        yield
    finally:
        compilation.AVAILABLE = before


def _own(sample: Sample, engine: str, quick: bool) -> list[dict[str, Any]]:
    """Return our rates beside those that are required."""
    starts = distinct(fit(sample))
    weights = resample_counts(RESAMPLES, np.arange(len(sample.losses)), 0)
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("one fit", lambda: fit(sample)),
        ("1,000 bootstraps", lambda: refit(sample, sample.losses, weights, starts)),
    ]
    rows = []
    for (what, call), seconds in zip(calls, SECONDS[engine], strict=True):
        rate, _ = rates_in_turns(call, None, (1.0, 0.0), quick)
        case = f"{what}, 240 runs, huber-log, {engine}: {1 / rate:.2g} CPU-s"
        rows.append(timing(NAME, case, "1/s", (rate, 1 / seconds), f"required: {seconds:g} CPU-s", target=1.0))
    return rows


def lbfgs_starts() -> np.ndarray:
    """Return the starts (ln A, ln B, ln E, alpha, beta) of arXiv 2203.15556, appendix D.3, [4500, 5]."""
    coefficients, levels, exponents = np.arange(0, 26, 5.0), np.arange(-1, 1.1, 0.5), np.arange(0, 2.1, 0.5)
    grid = np.meshgrid(coefficients, coefficients, levels, exponents, exponents, indexing="ij")
    return np.stack([one.ravel() for one in grid], axis=-1)


def best_of_starts(sample: Sample, starts: np.ndarray) -> Starts:
    """Return the best of scipy's L-BFGS from each start, on a thousand times the sum of Huber's loss, ftol 1e-14."""
    sizes, data, losses = np.log(sample.parameters), np.log(sample.data), np.log(sample.losses)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        terms = np.stack([x[0] - x[3] * sizes, x[1] - x[4] * data, np.full(len(sizes), x[2])])
        model = logsumexp(terms, axis=0)
        residual = losses - model
        inside = np.minimum(np.abs(residual), sample.delta)
        slope = np.exp(terms - model) * np.clip(residual, -sample.delta, sample.delta)
        gradient = np.append(-slope.sum(axis=1), [slope[0] @ sizes, slope[1] @ data])
        return 1e3 * float(np.sum(inside * (np.abs(residual) - inside / 2))), 1e3 * gradient

    begun = time.process_time()
    found = [minimize(objective, x, jac=True, method="L-BFGS-B", options={"ftol": 1e-14}).fun for x in starts]
    return Starts(float(np.min(found)) / 1e3, time.process_time() - begun)


def folder() -> Path | None:
    """Return where the sources of vpnls are, or None."""
    named = os.environ.get("SANDTABLE_PEERS")
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "peers"
    found = (Path(named) if named else beside) / PEER
    return found if (found / "pyproject.toml").is_file() else None


@contextmanager
def _vpnls(sample: Sample, sources: Path | None) -> Iterator[Peer | None]:
    """Start the peer's program on the runs; None where it is absent or cannot be built."""
    if sources is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "runs.npz"
        np.savez(path, N=sample.parameters, D=sample.data, L=sample.losses)
        with peer(f"{sources}[scipy]", PROGRAM, str(path), str(PEER_DELTA)) as other:
            yield other


def _beside_vpnls(sample: Sample) -> list[dict[str, Any]]:
    """Return our fits of the peer's objectives beside its own, with both optima."""
    rows = []
    with _vpnls(sample, folder()) as other, one_thread():
        for loss, method in PEER_FITS:
            delta = PEER_DELTA if loss == "huber" else np.inf
            same = Sample(sample.parameters, sample.data, sample.losses, sample.weights, log=False, delta=delta)
            rate, _ = rates_in_turns(lambda same=same: fit(same, *BOUNDS), None, (1.0, 0.0), False)  # type: ignore[misc]
            mean = fit(same, *BOUNDS).objective[0] / len(sample.losses) * (2 if loss == "mse" else 1)
            case, theirs = f"one fit, 240 runs, vpnls' {loss}", None
            if other is not None:
                seconds, optimum = map(float, other.answer(f"{loss} {method}").split())
                theirs = 1 / seconds
                case += f"; mean {mean:.8g} ours, {optimum:.8g} theirs"
            rows.append(timing(NAME, case, "fits/s", (rate, theirs), f"vpnls, method {method}"))
    return rows
