"""What is trained on sparse parities in the study of hidden progress: its runs, as data."""

from dataclasses import dataclass
from typing import Any, Literal

Initial = Literal["uniform", "normal", "sign"]
Loss = Literal["cross-entropy", "hinge", "square"]

LARGEST_CUBE = 2**13
"""Fresh examples of which all must be told right; where there are no more inputs than that, each of them once."""


@dataclass(frozen=True)
class ParityExperiment:
    """A run of the study: every learning rate, initialisation and seed is a replica of one training.

    Attributes:
        part: Of the study.
        architecture: A name in ``ARCHITECTURES`` of ``agents/tasks/parity_networks.py``.
        n: Bits.
        k: Bits of the parity.
        batch: Examples a step.
        rates: Learning rates: of SGD, and of Adam for the Transformer.
        loss: What is minimised.
        initialisations: ``uniform`` on +-1/sqrt(inputs), PyTorch's own; ``normal`` of variance 2/inputs; ``sign``,
            +-1/sqrt(inputs); biases alike.
        noise: Probability that a label of the training is flipped; 0.5 is the control, labels at random.
        width: Hidden units of a ReLU perceptron other than the architecture's; 0 for the architecture's.
        seeds: Trainings for each learning rate and initialisation.
        seed: Of the first weights and examples of all of them.
        steps: The horizon.
        every: Steps between two looks at the accuracy.
        curves: Whether means over the seeds at every look are kept.
        device: Where to train.
    """

    part: str
    architecture: str = "ii"
    n: int = 50
    k: int = 3
    batch: int = 32
    rates: tuple[float, ...] = (0.1,)
    loss: Loss = "hinge"
    initialisations: tuple[Initial, ...] = ("uniform",)
    noise: float = 0.0
    width: int = 0
    seeds: int = 25
    seed: int = 0
    steps: int = 10_000
    every: int = 100
    curves: bool = False
    device: str = "cpu"


RATES = (0.001, 0.01, 0.1, 1.0)
LOSSES: tuple[Loss, ...] = ("hinge", "cross-entropy", "square")
INITIALS: tuple[Initial, ...] = ("uniform", "normal", "sign")
PERCEPTRONS = ("i", "ii", "iii", "iv", "v", "vi")
NEURONS = ("vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv")
ARCHITECTURE_NAMES = (*PERCEPTRONS, *NEURONS, "xv", "*i", "*ii", "*iii")
HORIZON = 100_000
"""Steps within which an architecture has to learn."""
ENOUGH = 0.2
"""The share of the seeds that has to."""

WIDTHS = (10, 30, 100, 300, 1000)
SIZES = {2: (20, 40, 80, 160), 3: (20, 30, 40, 60, 80), 4: (10, 15, 20, 30)}
"""n for each k of the laws."""

POLYNET_BATCHES = ((1, 0.005), (4, 0.01), (16, 0.1), (64, 0.1), (256, 0.1), (1024, 0.1))
"""Batch sizes and learning rates of figure 6, second row."""


def smoke() -> list[ParityExperiment]:
    """Return runs of seconds, of every part."""
    small = {"n": 12, "k": 2, "seeds": 3, "steps": 400, "every": 20}
    return [
        *fourier_gaps((15,)),
        ParityExperiment("phase", **small),  # type: ignore[arg-type]
        *(ParityExperiment("law", **{**small, "n": n}) for n in (10, 14, 20)),  # type: ignore[arg-type]
        *(ParityExperiment("width", **small, width=width) for width in (10, 30)),  # type: ignore[arg-type]
        *(ParityExperiment("progress", **small, noise=noise, curves=True) for noise in (0.0, 0.5)),  # type: ignore[arg-type]
        *(ParityExperiment("noise", **small, noise=noise) for noise in (0.0, 0.2)),  # type: ignore[arg-type]
        *(ParityExperiment("batch", "xv", **small, batch=batch) for batch in (4, 64)),  # type: ignore[arg-type]
        ParityExperiment("architecture", "iv", 10, 3, rates=RATES, seeds=3, steps=300, every=50),
    ]


def cpu() -> list[ParityExperiment]:
    """Return runs of at most a minute or two on one core."""
    return [
        *fourier_gaps((15, 101, 1001)),
        ParityExperiment("phase", seeds=32, steps=8000, every=50),
        *(ParityExperiment("law", n=n, k=3, seeds=16, steps=20_000, every=50 if n < 60 else 100) for n in SIZES[3]),
        *(ParityExperiment("law", n=n, k=2, seeds=16, steps=2000, every=20) for n in SIZES[2]),
        *(ParityExperiment("law", n=n, k=4, seeds=16, steps=10_000, every=50) for n in SIZES[4]),
        *(ParityExperiment("width", n=40, width=width, seeds=16, steps=12_000) for width in WIDTHS),
        *(progress(noise) for noise in (0.0, 0.5)),
        *(ParityExperiment("noise", seeds=5, steps=15_000, every=250, noise=noise) for noise in (0.1, 0.2, 0.3)),
        *(
            ParityExperiment("batch", "xv", batch=batch, rates=(rate,), steps=20_000, every=50 if batch > 4 else 200)
            for batch, rate in POLYNET_BATCHES
        ),
        *(ParityExperiment("batch", n=30, batch=batch, seeds=8, every=50) for batch in (4, 16, 64, 256, 1024)),
        *(run for name in ARCHITECTURE_NAMES for run in _architecture(name)),
    ]


def gpu() -> list[ParityExperiment]:
    """Return the paper's grids: all sizes, batch sizes, losses and initialisations; noise of 49 %; a million trials."""
    cuda = {"device": "cuda"}
    powers = [2**i for i in range(11)]
    return [
        *fourier_gaps((15, 101, 1001)),
        ParityExperiment("phase", seeds=32, steps=8000, every=50),
        *(
            ParityExperiment("law", n=n, k=k, seeds=100, steps=HORIZON, every=20, **cuda)  # type: ignore[arg-type]
            for k, sizes in {**SIZES, 5: (10, 15, 20, 30)}.items()
            for n in (*sizes, 2 * sizes[-1])
        ),
        *(
            ParityExperiment("width", n=40, width=width, seeds=seeds, steps=20_000, every=50, **cuda)  # type: ignore[arg-type]
            for width, seeds in zip((*WIDTHS, 10_000, 100_000), (1000, 1000, 1000, 1000, 100, 16, 2), strict=True)
        ),
        *(progress(noise) for noise in (0.0, 0.5)),
        *(
            ParityExperiment("noise", batch=1024, seeds=25, steps=200_000, noise=noise, **cuda)  # type: ignore[arg-type]
            for noise in (0.0, 0.1, 0.2, 0.3, 0.4, 0.45, 0.49)
        ),
        *(
            ParityExperiment("batch", "xv", batch=batch, rates=(rate,), steps=HORIZON, every=50, **cuda)  # type: ignore[arg-type]
            for batch, rate in POLYNET_BATCHES
        ),
        *(
            ParityExperiment("batch", n=30, batch=batch, steps=HORIZON, every=50, **cuda)  # type: ignore[arg-type]
            for batch in powers
        ),
        *(
            ParityExperiment("histogram", n=20, seeds=5000, seed=seed, steps=4000, every=20, **cuda)  # type: ignore[arg-type]
            for seed in range(200)
        ),
        *(
            ParityExperiment(
                "architecture", name, n, k, batch, RATES, loss, INITIALS, steps=HORIZON, **cuda  # type: ignore[arg-type]
            )
            for name in ARCHITECTURE_NAMES
            for n in (10, 20, 30)
            for k in (2, 3, 4)
            for batch in powers
            for loss in LOSSES
        ),
    ]


def fourier_gaps(sizes: tuple[int, ...]) -> list[ParityExperiment]:
    """Return where the gap of a first gradient is held against its closed form: no training."""
    return [ParityExperiment("gap", n=n, k=k, width=16, seeds=4, steps=1, every=1) for n in sizes for k in (2, 4)]


def progress(noise: float) -> ParityExperiment:
    """Return the run that shows hidden progress, or with a noise of 0.5 its control with labels at random."""
    return ParityExperiment("progress", batch=512, seeds=8, steps=1500, every=50, noise=noise, curves=True)


def _architecture(name: str) -> list[ParityExperiment]:
    """Return the runs of an architecture at (10, 3): all initialisations for the hinge loss, one for the others.

    They end long before ``HORIZON``. What has not been learned by then is not known to fail.
    """
    if name == "*iii":  # it starts from its own normal weights
        adam = {"batch": 128, "rates": (0.001,), "initialisations": ("normal",)}
        return [ParityExperiment("architecture", name, 10, 3, steps=2000, every=50, **adam)]  # type: ignore[arg-type]
    hinge: list[tuple[Initial, ...]] = [INITIALS]
    if name in ("iii", "vi"):  # in parts, for memory
        hinge = [(initial,) for initial in INITIALS]
    runs: list[tuple[Loss, tuple[Initial, ...]]] = [("hinge", initials) for initials in hinge]
    runs += [("cross-entropy", ("uniform",)), ("square", ("uniform",))]
    steps = {"ii": 500, "v": 500, "iii": 300, "vi": 300}.get(name, 1000)
    grid = [
        ParityExperiment("architecture", name, 10, 3, 32, RATES, loss, initials, steps=steps, every=50)
        for loss, initials in runs
    ]
    return grid + [ParityExperiment("architecture", name, 10, 3, **longer) for longer in _LONGER.get(name, ())]


_LONG: dict[str, Any] = {"steps": 20_000, "every": 500}
_POLYNOMIAL = ({"rates": (0.001, 0.01, 0.1), "loss": "square", **_LONG},)
_LONGER: dict[str, tuple[dict[str, Any], ...]] = {
    "iii": ({"rates": (0.01,), "loss": "square", "steps": 3000},),
    "viii": _POLYNOMIAL,
    "xii": _POLYNOMIAL,
    "*i": (
        {"rates": (1.0,), "initialisations": INITIALS, **_LONG},
        {"rates": (0.1,), "initialisations": INITIALS, **_LONG},
        {"rates": (0.1, 1.0), "loss": "cross-entropy", **_LONG},
        {"rates": (0.01, 0.1), "loss": "square", **_LONG},
    ),
}
"""Where the horizon of the grid is too short to tell: the learning rates that got furthest, for longer."""
