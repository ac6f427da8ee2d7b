"""When can logged data tell a policy's value, and which linear estimator gets at it?

The theory of arXiv 2203.04236 as numbers that anyone can check: which condition implies which, where FQI diverges and
LSTD does not, how errors fall with the data, and whether intervals cover. No experiment is in the paper; the worlds and
their numbers were worked out by hand, and the claims hold code to them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sandtable.analysis.study import Budget, Claim, Study

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.report import Block
    from sandtable.analysis.store import Run

Part = Literal["implications", "rows", "iterations", "indistinguishable", "iid", "episodes", "verdicts"]

PAPER = "arXiv 2203.04236"
OURS = "target of this project"
SIZES = (250, 500, 1000, 2000, 4000, 8000, 16000)
IN_REGIMES = ("R1", "R1b", "R2", "R3", "R4", "R5", "R6")
HORIZONS = {"R1b": 20}


@dataclass(frozen=True)
class LinearOPE:
    """A run of the study.

    Attributes:
        part: What is measured; see ``analysis/ope/linear_experiments.py``.
        instance: Of the finite worlds; empty where the worlds are random, or the pair is fixed.
        size: Worlds (implications, verdicts), rows of a log (iterations, iid), episodes of a log, or the most rows.
        replications: Logs of each world.
        seed: Of all that is drawn.
    """

    part: Part
    instance: str = ""
    size: int = 0
    replications: int = 1
    seed: int = 0


def grid(budget: Budget) -> Sequence[LinearOPE]:
    """Return the runs of a budget; the larger one has ten times the worlds and logs."""
    if budget == "smoke":
        return [
            LinearOPE("implications", size=2000),
            LinearOPE("rows", "R5", 2000, 40),
            *(LinearOPE("iterations", name, 1000, 40) for name in ("R1", "R5")),
            LinearOPE("indistinguishable", size=100),
            LinearOPE("iid", "R5", 2000, 60),
            LinearOPE("episodes", "cobs-graph", 200, 60),
            LinearOPE("verdicts", size=4, replications=5),
        ]
    more = 1 if budget == "cpu" else 10
    return [
        LinearOPE("implications", size=20_000 * more),
        *(LinearOPE("rows", name, max(SIZES), 200 * more) for name in ("R1b", "R5")),
        *(LinearOPE("iterations", name, 1000, 500 * more) for name in IN_REGIMES),
        LinearOPE("indistinguishable", size=10_000),
        *(LinearOPE("iid", name, 2000, 2000 * more) for name in ("R1b", "R5")),
        *(LinearOPE("episodes", name, 200, 2000 * more) for name in ("R1b", "cobs-graph", "boyan")),
        LinearOPE("verdicts", size=40, replications=25 * more),
    ]


def run(config: LinearOPE, run: "Run") -> Mapping[str, Any]:
    """Measure one part."""
    from sandtable.analysis.ope import linear_experiments as experiments

    name, size, replications, seed = config.instance, config.size, config.replications, config.seed
    if config.part == "implications":
        return experiments.implications(size, seed, run.folder)
    if config.part == "rows":
        sizes = tuple(rows for rows in SIZES if rows <= size)
        return experiments.error_by_rows(name, sizes, replications, seed)
    if config.part == "iterations":
        return experiments.error_by_iterations(name, size, replications, 50, seed)
    if config.part == "indistinguishable":
        return experiments.indistinguishable(size, seed)
    if config.part == "verdicts":
        return experiments.verdicts(size, replications, 200, seed)
    horizon = HORIZONS.get(name) if config.part == "episodes" else None
    return experiments.coverage(name, config.part, size, replications, seed, horizon=horizon)


def _worst(column: str, part: Part, instance: str = "", *, of: float = 0.0) -> Callable[["pd.DataFrame"], float | None]:
    """Return a claim's number: of the runs of a part, the value of a column that is farthest from ``of``."""

    def compute(table: "pd.DataFrame") -> float | None:
        rows = table[(table.part == part) & ((table.instance == instance) | (instance == ""))]
        return max((float(value) for value in rows[column]), key=lambda value: abs(value - of), default=None)

    return compute


def _needs(part: Part, *instances: str) -> Callable[[Any], bool]:
    return lambda config: config.part == part and (not instances or config.instance in instances)


def _covers(interval: str, part: Part, instance: str, what: str) -> Claim:
    return Claim(
        f"{what} of LSTD's value cover the true one in .93 to .97 of the logs, {instance}.",
        OURS, 0.95, 0.02, _worst(f"coverage_{interval}", part, instance), "within", _needs(part, instance),
    )  # fmt: skip


def _compared_to_lstd(table: "pd.DataFrame") -> float | None:
    rows = table[(table.part == "iterations") & (table.instance == "R1")]
    return None if rows.empty else float(rows.last_fqi_rmse.iloc[0] / rows.lstd_rmse.iloc[0])


CLAIMS = (
    Claim(
        "No random MDP breaks one of the eight implications between the conditions (violations).",
        f"{PAPER}; each has a proof of a line", 0.0, 0.0, _worst("violations", "implications"), "within",
        _needs("implications"),
    ),
    Claim(
        "Each of the 27 ordered pairs of conditions that do not follow from one another is separated by a random MDP.",
        PAPER, 27.0, 0.0, _worst("separated", "implications", of=27.0), "within", _needs("implications"),
    ),
    Claim(
        "Powers of A stay below the Lyapunov bound, sqrt(cond P) (1 - 1/||P||)^(k/2) (largest ratio, k up to 30).",
        f"{PAPER}, the transient of FQI", 1.0, 1e-9, _worst("lyapunov_ratio", "implications"), "at most",
        _needs("implications"),
    ),
    Claim(
        "20,000 random MDPs are diagnosed in under 2 CPU-seconds.",
        OURS, 2.0, 0.0, _worst("diagnose_cpu_seconds", "implications"), "at most",
        lambda config: config.part == "implications" and config.size == 20_000,
    ),
    Claim(
        "R5: the error of FQI grows by the spectral radius, 1.8, in every iteration.",
        f"{PAPER}: FQI converges if and only if the spectral radius is below 1", 1.8, 1e-3,
        _worst("growth", "iterations", "R5"), "within", _needs("iterations", "R5"),
    ),
    Claim(
        "R5: from the same logs of 1,000 rows LSTD is right (root mean square error of the parameters).",
        f"{PAPER}; sqrt((.11792 + .11792) / 1000) by its limit", 0.01536, 0.0015,
        _worst("lstd_rmse", "iterations", "R5"), "within", _needs("iterations", "R5"),
    ),
    Claim(
        "R1: FQI(50) is as good as LSTD, its limit (ratio of errors).",
        PAPER, 1.0, 0.01, _compared_to_lstd, "within", _needs("iterations", "R1"),
    ),
    Claim(
        "R7 with theta 1 and with theta -5 has the same moments (largest difference).",
        f"{PAPER}; after arXiv 2011.01075", 0.0, 0.0, _worst("moments_apart", "indistinguishable"), "within",
        _needs("indistinguishable"),
    ),
    Claim(
        "R7 with theta 1 and with theta -5 gives the same log (entries that differ).",
        f"{PAPER}; after arXiv 2011.01075", 0.0, 0.0, _worst("log_entries_different", "indistinguishable"), "within",
        _needs("indistinguishable"),
    ),
    Claim(
        "R7 with theta 1 and with theta -5 has values that are far apart (difference of values).",
        f"{PAPER}; after arXiv 2011.01075", 1.0, 0.0, _worst("values_apart", "indistinguishable"), "at least",
        _needs("indistinguishable"),
    ),
    *(
        Claim(
            f"{name}: the error of LSTD falls with the root of the number of rows (slope in logarithms).",
            f"{PAPER}, LSTD's bound", -0.5, 0.05, _worst("slope", "rows", name), "within", _needs("rows", name),
        )
        for name in ("R1b", "R5")
    ),
    Claim(
        "FQI(T) = theta - M^T theta with LSTD's theta, T = 1 .. 50, R1 to R6 (largest error over max(1, |FQI(T)|)).",
        f"{PAPER}, exact", 0.0, 1e-10, _worst("identity", "iterations"), "within", _needs("iterations"),
    ),
    *(
        Claim(
            f"{name}: rows times the covariance of LSTD's parameters is its limit (largest relative distance).",
            "White 1980, with the moments of the world", 0.0, 0.1, _worst("covariance_error", "iid", name), "within",
            _needs("iid", name),
        )
        for name in ("R1b", "R5")
    ),
    *(_covers("hc0", "iid", name, "HC0 intervals (2,000 independent rows)") for name in ("R1b", "R5")),
    *(
        _covers("cluster", "episodes", name, "Cluster intervals (200 episodes)")
        for name in ("R1b", "cobs-graph", "boyan")
    ),
    Claim(
        "With a spectral radius in [.8, 1.2], few logs of 200 rows give a verdict on FQI that is certain and wrong "
        "(share).",
        OURS, 0.025, 0.0, _worst("wrong_share", "verdicts"), "at most", _needs("verdicts"),
    ),
)  # fmt: skip


def figures(table: "pd.DataFrame", runs: "Sequence[Run]") -> "list[Block]":
    """Return the figures and tables of the parts that were run."""
    from sandtable.analysis.ope.linear_figures import blocks

    return blocks(table, runs)


STUDY = Study(
    name="linear-ope",
    title="What logged data can tell a linear estimator of a policy's value",
    paper=PAPER,
    summary=(
        "A policy's value is linear in known features, and is estimated from logged transitions by FQI, which iterates "
        "a regression, and by LSTD, which solves for its fixed point. Thousands of random finite MDPs are diagnosed "
        "exactly: which sufficient condition of the literature implies which, and which worlds tell them apart. Then "
        "logs are drawn from worlds of one regime each: how errors fall with rows and iterations, where FQI diverges "
        "and LSTD does not, two worlds that no log tells apart, how often intervals hold the true value, and how often "
        "the verdict on a log is wrong. All errors are against exact values."
    ),
    grid=grid,
    run=run,
    claims=CLAIMS,
    figures=figures,
)
