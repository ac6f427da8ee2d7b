"""What is trained in the study of Pareto frontiers: its runs, as data."""

from dataclasses import dataclass

DENSE = 0
"""The sparsity of neurons that start with all their weights."""

HORIZON = 20_000


@dataclass(frozen=True)
class OfflineParity:
    """Perceptrons of one width on data sets of one size: every sparsity and seed is a replica of one training.

    Attributes:
        part: ``frontier`` (success over data and width) or ``descent`` (test error against data).
        samples: m; every seed has a data set of its own.
        width: r, hidden ReLU units.
        n: Bits.
        k: Bits of the parity.
        sparsities: s, how many weights of each neuron start other than 0; ``DENSE`` for all of them.
        seeds: Trainings for each sparsity: the luck.
        seed: Of the first weights, data sets and batches of all of them.
        batch: Examples a step, drawn with replacement.
        rate: eta, the learning rate of SGD.
        weight_decay: lambda, coupled as in ``torch.optim.SGD``: a step multiplies weights by 1 - eta lambda.
        steps: T, the horizon.
        every: Steps between two looks at the accuracies.
        device: Where to train.
    """

    part: str
    samples: int
    width: int
    n: int = 30
    k: int = 3
    sparsities: tuple[int, ...] = (DENSE, 2)
    seeds: int = 8
    seed: int = 0
    batch: int = 32
    rate: float = 0.1
    weight_decay: float = 0.01
    steps: int = HORIZON
    every: int = 100
    device: str = "cpu"


@dataclass(frozen=True)
class LotteryTicket:
    """The neurons that have won, trained again from their start, beside neurons drawn anew (figure 5).

    Attributes:
        part: ``lottery``.
        n: Bits; examples are fresh.
        k: Bits of the parity.
        kept: Neurons that are kept; 0 for k.
        width: r of the perceptrons that are trained first.
        sparsity: s of all first weights, ``DENSE`` for all.
        seeds: Perceptrons, each of which is trained whole, as its ticket and as its control.
        seed: Of all of them.
        batch: Examples a step.
        rate: Learning rate.
        weight_decay: As in ``OfflineParity``.
        steps: The horizon of each training.
        every: Steps between two looks at the accuracy.
        device: Where to train.
    """

    part: str = "lottery"
    n: int = 30
    k: int = 3
    kept: int = 0
    width: int = 100
    sparsity: int = 2
    seeds: int = 16
    seed: int = 0
    batch: int = 32
    rate: float = 0.1
    weight_decay: float = 0.01
    steps: int = 10_000
    every: int = 100
    device: str = "cpu"


@dataclass(frozen=True)
class TableContest:
    """Wide perceptrons against a random forest on a table: every width, sparsity and seed is a replica.

    Attributes:
        part: ``tabular``.
        data: ``"randhie"``, ``"fair"`` or the path of a CSV file, see ``Tabular``.
        target: The column to be told; None for the bundled tables' own.
        samples: Training rows; 0 for all of the training split. Every seed draws its own; the forest has the same.
        widths: Hidden ReLU units.
        sparsities: As in ``OfflineParity``.
        seeds: Draws of the rows, each with its own first weights and forest.
        seed: Of all of them.
        batch: Examples a step.
        rate: Learning rate of AdamW at the start; it falls along a cosine.
        weight_decay: Of AdamW, decoupled.
        steps: Of the training.
        trees: Of the forest.
        leaves: Smallest leaves among which the forest chooses by its accuracy out of bag.
        test_fraction: Share of the table's rows that are tested on.
        device: Where to train.
    """

    part: str = "tabular"
    data: str = "randhie"
    target: str | None = None
    samples: int = 0
    widths: tuple[int, ...] = (10, 1000)
    sparsities: tuple[int, ...] = (DENSE, 2)
    seeds: int = 3
    seed: int = 0
    batch: int = 128
    rate: float = 0.003
    weight_decay: float = 0.01
    steps: int = 1500
    trees: int = 200
    leaves: tuple[int, ...] = (1, 5, 20)
    test_fraction: float = 0.25
    device: str = "cpu"


Experiment = OfflineParity | LotteryTicket | TableContest

SIZES = (100, 200, 400, 600, 1000)
WIDTHS = (10, 30, 100, 300)
DESCENT = (25, 50, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 2000)
B1_SAMPLES, B1_WIDTHS = 400, (30, 300)


def smoke() -> list[Experiment]:
    """Return runs of seconds, of every part."""
    small = {"n": 10, "k": 2, "seeds": 3, "steps": 800, "every": 50}
    contest = {"widths": (10, 30), "seeds": 2, "steps": 60, "trees": 10, "leaves": (5,)}
    return [
        *(OfflineParity("frontier", m, r, **small) for m in (30, 200) for r in (10, 30)),  # type: ignore[arg-type]
        *(OfflineParity("descent", m, 30, **small) for m in (20, 60, 200)),  # type: ignore[arg-type]
        LotteryTicket(n=10, k=2, width=30, seeds=3, steps=800, every=20),
        *(TableContest(data="fair", samples=m, **contest) for m in (100, 1000)),  # type: ignore[arg-type]
    ]


def cpu() -> list[Experiment]:
    """Return runs of at most about two minutes on one core."""
    return [
        *(b1(width) for width in B1_WIDTHS),
        *(
            OfflineParity("frontier", m, r)
            for m in SIZES
            for r in WIDTHS
            if m != B1_SAMPLES or r not in B1_WIDTHS
        ),
        *(OfflineParity("descent", m, 100, steps=6000) for m in DESCENT),
        *(LotteryTicket(kept=kept) for kept in (0, 10)),
        *(TableContest(data=data, samples=m) for data in ("randhie", "fair") for m in (100, 1000, 0)),
    ]


def gpu() -> list[Experiment]:
    """Return the paper's grid: all sizes and widths, a horizon of 1e5 steps and 50 seeds; (50, 5) for the lottery."""
    cuda = {"device": "cuda"}
    decades = (100, 200, 300, 600, 1000, 2000, 3000, 6000, 10_000, 30_000, 100_000, 1_000_000)
    widths = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    return [
        *(b1(width) for width in B1_WIDTHS),
        *(
            OfflineParity("frontier", m, r, n, k, (DENSE, 2), _seeds(50, m, r, n), steps=100_000, every=500, **cuda)  # type: ignore[arg-type]
            for n, k in ((50, 3), (100, 3), (200, 3), (300, 3), (50, 4))
            for m in decades
            for r in widths
        ),
        *(
            OfflineParity("descent", m, r, 50, seeds=50, steps=30_000, every=500, **cuda)  # type: ignore[arg-type]
            for m in (100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000, 3000, 6000, 10_000)
            for r in (100, 1000)
        ),
        *(LotteryTicket(n=50, k=5, kept=kept, steps=1_000_000, every=1000, **cuda) for kept in (0, 15)),  # type: ignore[arg-type]
        *(
            TableContest(data=data, samples=m, widths=(10, 100, 1000, 10_000), seeds=10, **cuda)  # type: ignore[arg-type]
            for data in ("randhie", "fair")
            for m in (100, 300, 1000, 3000, 0)
        ),
    ]


def b1(width: int) -> OfflineParity:
    """Return a run of the smallest frontier: 400 samples of the (30, 3)-parity and 16 seeds of each sparsity."""
    return OfflineParity("frontier", B1_SAMPLES, width, seeds=16)


def _seeds(most: int, samples: int, width: int, n: int) -> int:
    """Return how many seeds of two sparsities fit into 20 GB: data, copies of the weights, and units at a look."""
    return max(2, min(most, int(20e9 / 8 / (n * samples + width * (5 * n + 4096)))))
