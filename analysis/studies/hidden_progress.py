"""Do networks learn sparse parities near the computational limit, and do they make progress before it shows?

Barak et al. (arXiv 2207.08799): a parity of k hidden bits of n gives no hint but to who has nearly all of them, and
yet stochastic gradient descent finds it in about n^O(k) steps, with every architecture that can represent it. The
accuracy stands still, then jumps; the weights have moved towards the hidden bits all along. Convergence times here are
medians of Kaplan and Meier, since trainings end at a horizon.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandtable.analysis.study import Budget, Claim, Study
from sandtable.analysis.tasks import parity_experiments
from sandtable.analysis.tasks.parity_experiments import ARCHITECTURE_NAMES, ENOUGH, HORIZON, ParityExperiment

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.report import Block
    from sandtable.analysis.store import Run
    from sandtable.analysis.tasks.convergence_times import Law

PAPER = "arXiv 2207.08799"
OURS = "threshold of this project with slack, from its prototypes"


def grid(budget: Budget) -> Sequence[ParityExperiment]:
    """Return the runs of a budget."""
    return {"smoke": parity_experiments.smoke, "cpu": parity_experiments.cpu, "gpu": parity_experiments.gpu}[budget]()


def run(config: ParityExperiment, run: "Run") -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
    """Train, or measure a gap. A row a learning rate and initialisation."""
    from sandtable.analysis.tasks.parity_training import measure_gap, train

    return measure_gap(config) if config.part == "gap" else train(config, run)


def figures(table: "pd.DataFrame", runs: "Sequence[Run]") -> "list[Block]":
    """Return the figures of the paper, and tables of what they show."""
    from sandtable.analysis.tasks.parity_figures import blocks

    return blocks(table, runs)


def _is(part: str, **settings: Any) -> Callable[[ParityExperiment], bool]:
    """Return whether a run is of a part, and has these settings."""
    return lambda config: config.part == part and all(getattr(config, name) == at for name, at in settings.items())


def _longest_half_accuracy(table: "pd.DataFrame") -> float:
    return float(max(max(accuracies) for accuracies in table.half_accuracy))


def _law(table: "pd.DataFrame") -> "Law":
    from sandtable.analysis.tasks.parity_tables import size_law

    return size_law(table)


def _by_width(table: "pd.DataFrame", measure: Callable[[Any], float]) -> float:
    """Return a measure of the times at the smallest width, divided by that at the largest."""
    from sandtable.analysis.tasks.parity_tables import times_of

    rows = table.sort_values("width")
    return measure(times_of(rows.iloc[0])) / measure(times_of(rows.iloc[-1]))


def progress_ratio(table: "pd.DataFrame") -> float | None:
    """Return rho over the control's at the last look before the mean accuracy reaches 0.52; None if it does not."""
    true, control = (table[table.noise == noise].iloc[0] for noise in (0.0, 0.5))
    before = [i for i, accuracy in enumerate(true.mean_accuracy) if accuracy >= 0.52]
    if not before or not before[0]:
        return None
    return float(true.mean_progress[before[0] - 1] / control.mean_progress[before[0] - 1])


def worst_share(table: "pd.DataFrame") -> float | None:
    """Return the share of seeds that converge at the best learning rate; the least of all losses and initialisations.

    None where that is too few, and the trainings that did not converge were ended before ``HORIZON``.
    """
    worst = 1.0
    for _, rows in table.groupby(["loss", "initialisation", "batch"]):
        share = float(rows.share.max())
        ended = (rows.steps < HORIZON) & (rows.share * rows.seeds + rows.diverged < rows.seeds)
        if share < ENOUGH and ended.any():
            return None
        worst = min(worst, share)
    return worst


def _architecture(name: str) -> Claim:
    return Claim(
        f"Architecture {name} at (10, 3): at least 20 % of 25 seeds converge within 1e5 steps at some learning rate, "
        "with every loss and initialisation that was run (share of the worst).",
        f"{PAPER}, section 3.1, finding 1", ENOUGH, 0.0, worst_share, "at least",
        lambda config: _is("architecture", architecture=name, n=10, k=3, seeds=25)(config),
    )  # fmt: skip


def _gap_exponent(k: int) -> Callable[["pd.DataFrame"], float]:
    def compute(table: "pd.DataFrame") -> float:
        import math

        small, large = (table[(table.k == k) & (table.n == n)].closed_gap.iloc[0] for n in (101, 1001))
        return math.log(large / small) / math.log(1001 / 101)

    return compute


_A1 = _is("phase", n=50, k=3, seeds=32)
_A2 = _is("law", k=3)
_A3 = _is("width", n=40)
_A4 = _is("progress", n=50, batch=512)

CLAIMS = (
    Claim(
        "(50, 3), ReLU perceptrons of width 100: all of 32 seeds learn the parity within 8000 steps (share).",
        f"{PAPER}, section 3.1; {OURS}", 1.0, 0.0, lambda table: float(table.share.min()), "at least", _A1,
    ),
    Claim(
        "(50, 3): nobody is done within the first 1000 steps (least t_c).",
        f"{PAPER}, section 3.1; {OURS}", 1000, 0.0, lambda table: float(min(map(min, table.times))), "at least", _A1,
    ),
    Claim(
        "(50, 3): every seed is done by step 8000 (largest t_c).",
        f"{PAPER}, section 3.1; {OURS}", 8000, 0.0, lambda table: float(max(map(max, table.times))), "at most", _A1,
    ),
    Claim(
        "(50, 3): at half of its t_c the accuracy of every seed is below 0.53 (the largest).",
        f"{PAPER}, figure 1; {OURS}", 0.53, 0.0, _longest_half_accuracy, "at most", _A1,
    ),
    Claim(
        "k = 3, n = 20 to 80: t_c grows as a power of n (lower end of the exponent's interval of 95 %).",
        f"{PAPER}, section 3.1; {OURS}", 0.9, 0.0, lambda table: _law(table).slope.low, "at least", _A2,
    ),
    Claim(
        "k = 3, n = 20 to 80: t_c grows as a power of n (upper end of the exponent's interval of 95 %).",
        f"{PAPER}, section 3.1; {OURS}", 2.0, 0.0, lambda table: _law(table).slope.high, "at most", _A2,
    ),
    Claim(
        "k = 3, n = 20 to 80: the power law accounts for the medians of t_c (R²).",
        f"{PAPER}, section 3.1; {OURS}", 0.95, 0.0, lambda table: _law(table).r_squared, "at least", _A2,
    ),
    Claim(
        "(40, 3): 100 times the width does not make learning even 10 times as fast (median t_c of width 10 over that "
        "of width 1000).",
        f"{PAPER}, appendix C.4; {OURS}", 10, 0.0,
        lambda table: _by_width(table, lambda times: times.median.value), "at most", _A3,
    ),
    Claim(
        "(40, 3): it makes its time more certain (interquartile range of t_c of width 10 over that of width 1000).",
        f"{PAPER}, appendix C.4", 1, 0.0,
        lambda table: _by_width(table, lambda times: times.interquartile_range), "at least", _A3,
    ),
    Claim(
        "(50, 3), batches of 512: before the accuracy reaches 0.52 a weight has moved at least twice as far as with "
        "labels at random (ratio of the progress measure at the last look before, means of 8 seeds).",
        f"{PAPER}, appendix C.3; {OURS}", 2, 0.0, progress_ratio, "at least", _A4,
    ),
    Claim(
        "(50, 3), a product of 3 linear forms: at every batch size from 1 to 1024 at least 20 % of 25 seeds converge "
        "(least share).",
        f"{PAPER}, figure 6", ENOUGH, 0.0, lambda table: float(table.share.min()), "at least",
        _is("batch", architecture="xv", n=50),
    ),
    Claim(
        "(50, 3): the parity is learned from labels of which up to 30 % are flipped (least share of seeds).",
        f"{PAPER}, appendix C.6", ENOUGH, 0.0, lambda table: float(table.share.min()), "at least",
        lambda config: _is("noise", n=50)(config) and config.noise <= 0.3,
    ),
    Claim(
        "(50, 3): the parity is learned from labels of which 49 % are flipped (share of seeds).",
        f"{PAPER}, appendix C.6", ENOUGH, 0.0, lambda table: float(table.share.min()), "at least",
        _is("noise", n=50, noise=0.49),
    ),
    *(
        Claim(
            f"n = 15, k = {k}: the Fourier gap of the first gradient is that of the majority in closed form (largest "
            "relative deviation of a unit).",
            f"{PAPER}, section 4; O'Donnell, Analysis of Boolean Functions, section 5.3", 0.0, 1e-10,
            lambda table: float(table.gap_error.max()), "at most", _is("gap", n=15, k=k),
        )
        for k in (2, 4)
    ),
    *(
        Claim(
            f"k = {k}: the gap falls as n^-((k-1)/2) (exponent from n = 101 to 1001).",
            f"{PAPER}, section 4", -(k - 1) / 2, 0.02, _gap_exponent(k), "within",
            lambda config, k=k: _is("gap", k=k)(config) and config.n > 100,  # type: ignore[misc]
        )
        for k in (2, 4)
    ),
    *map(_architecture, ARCHITECTURE_NAMES),
)  # fmt: skip


STUDY = Study(
    name="hidden-progress",
    title="Hidden progress: sparse parities learned near the computational limit",
    paper=PAPER,
    summary=(
        "A network sees n fair bits and is to tell the exclusive or of k hidden ones. It is trained online by "
        "stochastic gradient descent, on fresh examples; it has converged when 8192 fresh examples (or all inputs, "
        "where they are no more) are told right, which is looked for every so many steps. A training that has not "
        "converged by its horizon is censored there, and so is one that diverged: medians are those of Kaplan and "
        "Meier, with intervals of 95 %. Unless something else is said, networks are ReLU perceptrons of width 100, "
        "the loss is the hinge, batches have 32 examples, the learning rate is 0.1 and weights start uniform on plus "
        "or minus one over the root of the number of inputs."
    ),
    grid=grid,
    run=run,
    claims=CLAIMS,
    figures=figures,
)
