"""Runs of which the truth is known: a surface of loss, its optimum in closed form, grids of runs on it, and noise."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from scipy import special

from sandtable.simulators import random
from sandtable.simulators.scaling.runs import Runs, split_budgets

Noise = Literal["iid", "heteroscedastic", "t3", "shared"]

_OWN, _SHARED = 1, 2  # streams of noise: a run's own, and that of its budget


@dataclass(frozen=True)
class Surface:
    """The loss L(N, D) = E + A / N^alpha + B / D^beta (arXiv 2203.15556, eq. 2).

    Attributes:
        E: Loss that no model and no data can remove, nats, >= 0.
        A: Coefficient of the size, > 0.
        B: Coefficient of the data, > 0.
        alpha: Exponent of the size, > 0.
        beta: Exponent of the data, > 0.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not (self.E >= 0 and min(self.A, self.B, self.alpha, self.beta) > 0):
            raise ValueError(f"E must be >= 0 and A, B, alpha, beta > 0, not {self}")

    def loss(self, parameters: Any, data: Any) -> np.ndarray:
        """Return L(N, D) in nats; the shape to which the two broadcast."""
        size, seen = np.asarray(parameters, float), np.asarray(data, float)
        return self.E + self.A / size**self.alpha + self.B / seen**self.beta

    @property
    def G(self) -> float:  # noqa: N802 - the symbol of the paper
        """Return G = (alpha A / (beta B))^(1 / (alpha + beta)) (arXiv 2203.15556, eq. 4)."""
        return (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))

    @property
    def N_exponent(self) -> float:  # noqa: N802
        """Return a = beta / (alpha + beta), the exponent of the optimal size in compute."""
        return self.beta / (self.alpha + self.beta)

    @property
    def D_exponent(self) -> float:  # noqa: N802
        """Return b = alpha / (alpha + beta), the exponent of the optimal data in compute."""
        return self.alpha / (self.alpha + self.beta)

    def optimum(self, flops: Any, flops_factor: float = 6.0) -> dict[str, np.ndarray]:
        """Return the compute-optimal parameters, data and loss where C = k N D.

        Args:
            flops: Budgets C, > 0, any shape.
            flops_factor: k.

        Returns:
            ``parameters`` G (C/k)^a, ``data`` (C/k)^b / G and ``loss``, each of the shape of ``flops``.
        """
        product = np.asarray(flops, float) / flops_factor
        parameters, data = self.G * product**self.N_exponent, product**self.D_exponent / self.G
        return {"parameters": parameters, "data": data, "loss": self.loss(parameters, data)}


def isoflop_grid(
    surface: Surface,
    budgets: Any,
    points: int = 15,
    half_width: float = 8.0,
    off_centre: float = 1.0,
    flops_factor: float = 6.0,
) -> Runs:
    """Return runs without noise at equal budgets, their sizes spaced evenly in ln N about the optimum.

    Args:
        surface: Where the losses come from.
        budgets: C, > 0, [m].
        points: Sizes at each budget.
        half_width: The largest size over the central one, > 1.
        off_centre: The central size over the optimal one.
        flops_factor: k of C = k N D.
    """
    flops = np.repeat(np.asarray(budgets, float), points)
    offsets = np.tile(np.linspace(-1, 1, points) * np.log(half_width), len(np.atleast_1d(budgets)))
    parameters = surface.optimum(flops, flops_factor)["parameters"] * off_centre * np.exp(offsets)
    data = flops / (flops_factor * parameters)
    return Runs.of(
        parameters=parameters,
        data=data,
        flops=flops,
        loss=surface.loss(parameters, data),
        budget=split_budgets(flops),
    )


def training_curves(surface: Surface, sizes: Any, data: Any, flops_factor: float = 6.0) -> Runs:
    """Return the curves of runs of every size, each read at every amount of data, on the surface itself.

    Args:
        surface: Where the losses come from.
        sizes: N, > 0, [s].
        data: D at which each curve is read, increasing, [d].
        flops_factor: k of C = k N D.

    Returns:
        s * d rows, ordered by size, then data; ``run`` names the size, ``step`` counts from 1.
    """
    sizes, data = np.atleast_1d(np.asarray(sizes, float)), np.atleast_1d(np.asarray(data, float))
    parameters, seen = np.repeat(sizes, len(data)), np.tile(data, len(sizes))
    return Runs.of(
        parameters=parameters,
        data=seen,
        flops=flops_factor * parameters * seen,
        loss=surface.loss(parameters, seen),
        run=np.repeat([f"size {index}" for index in range(len(sizes))], len(data)),
        step=np.tile(np.arange(1, len(data) + 1), len(sizes)),
    )


def log_noise(runs: Runs, scale: float, kind: Noise, key: Any) -> np.ndarray:
    """Return noise to be added to the logarithms of the losses, [*keys, n]; a run has its own counter.

    Args:
        runs: Whose noise; heteroscedastic noise needs their flops, shared noise their budgets.
        scale: Root mean square of the noise.
        kind: ``"iid"``: normal. ``"heteroscedastic"``: normal, its scale falling with compute as C^(-1/4).
            ``"t3"``: Student's t with 3 degrees of freedom. ``"shared"``: half of the variance is common to a budget.
        key: One int64 key (see ``random.make_key``) or an array of keys; each is a table of its own.
    """
    if kind not in get_args(Noise):
        raise ValueError(f"kind must be one of {', '.join(get_args(Noise))}, not {kind!r}")
    keys, index = np.asarray(key, np.int64)[..., None], np.arange(len(runs))
    own = random.fold_in(keys, _OWN)
    if kind == "t3":
        uniforms = random.uniform(own, index) + 2.0**-54
        return scale * special.stdtrit(3, uniforms) / np.sqrt(3.0)
    noise = random.normal(own, index)
    if kind == "heteroscedastic":
        relative = runs.column("flops") ** -0.25
        noise = noise * relative / np.sqrt(np.mean(relative**2))
    elif kind == "shared":
        common = random.normal(random.fold_in(keys, _SHARED), runs.column("budget"))
        noise = np.sqrt(0.5) * (noise + common)
    return scale * noise


def with_noise(runs: Runs, scale: float, kind: Noise = "iid", seed: int = 0) -> Runs:
    """Return the runs with noise on the logarithms of their losses; see ``log_noise``."""
    noise = log_noise(runs, scale, kind, random.make_key(seed))
    columns = {name: getattr(runs, name) for name in runs.names()}
    return Runs(rows=runs.rows, **columns | {"loss": runs.column("loss") * np.exp(noise)})
