"""What buys the learning of a parity from few examples: data, width, time, luck, or neurons that start sparse?

Edelman et al. (arXiv 2309.03800): where examples are scarce, a wide network learns what a narrow one cannot, since its
neurons are many tickets of a lottery. It first learns its examples by heart, and the parity long after. On tables wide
sparse perceptrons sometimes beat random forests.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandtable.analysis.study import Budget, Claim, Study
from sandtable.analysis.tasks import frontier_experiments
from sandtable.analysis.tasks.frontier_experiments import (
    B1_SAMPLES,
    B1_WIDTHS,
    DENSE,
    Experiment,
    LotteryTicket,
    OfflineParity,
    TableContest,
)

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.report import Block
    from sandtable.analysis.store import Run

PAPER = "arXiv 2309.03800"
OURS = "threshold of this project with slack, from its prototypes"


def grid(budget: Budget) -> Sequence[Experiment]:
    """Return the runs of a budget."""
    budgets = {"smoke": frontier_experiments.smoke, "cpu": frontier_experiments.cpu, "gpu": frontier_experiments.gpu}
    return budgets[budget]()


def run(config: Experiment, run: "Run") -> Sequence[Mapping[str, Any]]:
    """Do what a configuration asks for: train offline, hold a lottery, or hold a contest on a table."""
    if isinstance(config, LotteryTicket):
        from sandtable.analysis.tasks.lottery import run_lottery

        return run_lottery(config, run)
    if isinstance(config, TableContest):
        from sandtable.analysis.tasks.table_contest import hold_contest

        return hold_contest(config, run)
    from sandtable.analysis.tasks.frontier_training import train_offline

    return train_offline(config, run)


def figures(table: "pd.DataFrame", runs: "Sequence[Run]") -> "list[Block]":
    """Return the figures of the paper, and tables of what they show."""
    from sandtable.analysis.tasks.frontier_figures import blocks

    return blocks(runs)


def share_gained(table: "pd.DataFrame") -> float:
    """Return by how much more seeds learn at the largest width than at the smallest; the least of the starts."""
    return min(_gain(own) for _, own in table.groupby("sparsity"))


def least_gain(table: "pd.DataFrame") -> float:
    """Return ``share_gained``, the least of all sizes of the data."""
    return min(share_gained(own) for _, own in table.groupby("samples"))


def _gain(rows: "pd.DataFrame") -> float:
    ordered = rows.sort_values("width")
    return float(ordered.share.iloc[-1] - ordered.share.iloc[0])


def largest_rise(table: "pd.DataFrame") -> float:
    """Return the largest rise of the mean test error from fewer examples to more, in its standard errors."""
    import numpy as np

    rises = [0.0]
    for _, own in table.sort_values("samples").groupby("sparsity"):
        errors = [np.array(row) for row in own.test_errors]
        for more in range(len(errors)):
            for fewer in errors[:more]:
                spread = np.sqrt(fewer.var(ddof=1) / len(fewer) + errors[more].var(ddof=1) / len(errors[more]))
                rises.append(float((errors[more].mean() - fewer.mean()) / max(spread, 1e-12)))
    return max(rises)


def least_delay(table: "pd.DataFrame") -> float | None:
    """Return the median of t_test / t_train, the least of the starts at the largest width; None if nobody learned."""
    from sandtable.analysis.tasks.frontier_tables import grokking_delay

    delays = [grokking_delay(row) for _, row in table[table.width == table.width.max()].iterrows()]
    return None if any(delay != delay for delay in delays) else min(delays)


def sparse_over_dense(table: "pd.DataFrame") -> float:
    """Return the median t_test of a 2-sparse start, divided by that of a dense one, at the largest width.

    A dense median beyond the horizon counts as the horizon, which makes the quotient too large.
    """
    widest = table[table.width == table.width.max()]
    sparse, dense = (widest[widest.sparsity == kind].iloc[0] for kind in (2, DENSE))
    return _median(sparse) / min(_median(dense), float(dense.steps))


def rewound_over_anew(table: "pd.DataFrame") -> float:
    """Return the median t_c of rewound neurons, divided by that of re-randomised ones.

    A median of the latter beyond the horizon counts as the horizon, which makes the quotient too large.
    """
    rewound, anew = (table[table.neurons == name].iloc[0] for name in ("rewound", "re-randomised"))
    return _median(rewound) / min(_median(anew), float(anew.steps))


def _median(row: Any) -> float:
    from sandtable.analysis.tasks.parity_tables import times_of

    return times_of(row).median.value


def best_lead(table: "pd.DataFrame") -> float:
    """Return the lead of the best perceptron over the forest with all rows, the largest of the tables."""
    from sandtable.analysis.tasks.frontier_tables import best_leads

    return max(best_leads(table).values())


def _is_frontier(test: Callable[[OfflineParity], bool]) -> Callable[[Experiment], bool]:
    """Return whether a run is of the frontier of the (30, 3)-parity and passes a test."""
    return lambda config: (
        isinstance(config, OfflineParity) and config.part == "frontier" and config.n == 30 and test(config)
    )


_B1 = _is_frontier(lambda config: config.samples == B1_SAMPLES and config.width in B1_WIDTHS and config.seeds == 16)
_SETTING = "(30, 3), 400 examples, 16 seeds of each start, 20,000 steps"

CLAIMS = (
    Claim(
        f"{_SETTING}: at width 300 more seeds learn than at width 30 (difference of shares, the smaller of the dense "
        "and the 2-sparse start).",
        f"{PAPER}, figure 4 and section 4.1: width helps; {OURS}", 1 / 16, 0.0, share_gained, "at least", _B1,
    ),
    Claim(
        f"{_SETTING}: at width 300 a network knows the parity more than 5 times later than its own examples (median of "
        "t_test / t_train, the smaller one of both starts).",
        f"{PAPER}, section 4.1: grokking; {OURS}", 5, 0.0, least_delay, "at least", _B1,
    ),
    Claim(
        f"{_SETTING}: at width 300 neurons that start 2-sparse learn no later than dense ones (quotient of median "
        "t_test).",
        f"{PAPER}, section 4.2: sparse initialisation", 1, 0.0, sparse_over_dense, "at most", _B1,
    ),
    Claim(
        "(30, 3): from 200 examples or fewer nobody learns within 20,000 steps, at no width and from no start (largest "
        "share).",
        f"{PAPER}, proposition 3: a floor of data; {OURS}", 0, 0.0, lambda table: float(table.share.max()), "at most",
        _is_frontier(lambda config: config.samples <= 200),
    ),
    Claim(
        "(30, 3): width never hurts: at every number of examples as many seeds learn at width 300 as at width 10, or "
        "more (least difference of shares, both starts).",
        f"{PAPER}, section 4.1: width helps", 0, 0.0, least_gain, "at least",
        _is_frontier(lambda config: config.width in (10, 300)),
    ),
    Claim(
        "(30, 3), 1000 examples, width 300: everybody learns (least share of both starts).",
        f"{PAPER}, section 4.1; {OURS}", 1, 0.0, lambda table: float(table.share.min()), "at least",
        _is_frontier(lambda config: config.samples == 1000 and config.width == 300),
    ),
    Claim(
        "(30, 3), width 100, 6,000 steps: more data can hurt, the sample-wise double descent (largest rise of the mean "
        "test error from fewer examples to more, in standard errors).",
        f"{PAPER}, section 4.1; the bound of three standard errors is this project's", 3, 0.0, largest_rise, "at least",
        lambda config: isinstance(config, OfflineParity) and config.part == "descent" and config.n == 30,
    ),
    Claim(
        "Lottery, online, as many neurons as hidden bits, 2-sparse start: rewound neurons learn in under half of the "
        "time of re-randomised ones (quotient of median t_c; the paper at (50, 5)).",
        f"{PAPER}, figure 5", 0.5, 0.0, rewound_over_anew, "at most",
        lambda config: isinstance(config, LotteryTicket) and config.kept == 0 and config.n >= 30,
    ),
    Claim(
        "Lottery, online, more neurons than the paper keeps, 10 of 100 or 15 of them at (50, 5): rewound ones learn in "
        "under half of the time of re-randomised ones (quotient of median t_c).",
        f"{PAPER}, figure 5; the number of neurons is this project's", 0.5, 0.0, rewound_over_anew, "at most",
        lambda config: isinstance(config, LotteryTicket) and config.kept > 0,
    ),
    Claim(
        "Tables, all training rows: the best perceptron at least ties the random forest on one of randhie and fair "
        "(largest lead in mean accuracy).",
        f"{PAPER}, section 4.3 and appendix C.3: sometimes", 0, 0.005, best_lead, "at least",
        lambda config: isinstance(config, TableContest) and not config.samples and config.seeds >= 3,
    ),
)  # fmt: skip


STUDY = Study(
    name="pareto-frontiers",
    title="Pareto frontiers of feature learning: data, width, time and luck",
    paper=PAPER,
    summary=(
        "A ReLU perceptron of width r is to tell the exclusive or of k hidden ones of n bits, and has m examples to "
        "learn from, by minibatches of 32 with replacement, the hinge loss, a learning rate of 0.1 and a weight decay "
        "of 0.01, coupled as in torch: each step multiplies weights by 1 - 0.001. Each seed has data of its own. It "
        "has learned when it tells 99 % of 2,048 fresh examples right, by a horizon of T steps; looks are 100 steps "
        "apart. Weights start dense, uniform on plus or minus one over the root of n, or s-sparse: s weights of each "
        "neuron are plus or minus one over the root of s, the others 0."
        "\n\n"
        "Lottery tickets: a perceptron of width 100 is trained online; its neurons with the largest incoming weights "
        "in the end go back to where they started, with their heads, and are trained alone, beside as many neurons of "
        "a fresh perceptron. The paper's (50, 5) is in the gpu budget; here it is (30, 3), with as many neurons as "
        "hidden bits, and once more with 10."
        "\n\n"
        "Tables: perceptrons by AdamW along a cosine, 1,500 steps, against a random forest of 200 trees whose smallest "
        "leaf is chosen out of bag. The paper's 16 tables are not part of the project; here are two that statsmodels "
        "brings along, and any CSV file can take their place."
    ),
    grid=grid,
    run=run,
    claims=CLAIMS,
    figures=figures,
)
