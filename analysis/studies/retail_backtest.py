"""Does a policy learned by backpropagation through the simulator out-earn the classical ones on replayed retail sales?

Madeka et al. (arXiv 2210.03137) report that DirectBackprop does so in simulation and in a real deployment at a large
retailer, whose data are not public. Here it is asked of an embedded panel and of a British gift retailer's weekly
sales.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sandtable.analysis.study import Budget, Claim, Study, UnavailableError

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.report import Block
    from sandtable.analysis.store import Run

UCI = "inventory/uci_online_retail_daily.csv.gz"
PAPER = "arXiv 2210.03137"
LEARNED = "DirectBackprop"


@dataclass(frozen=True)
class RetailBacktest:
    """A run of the study.

    Attributes:
        panel: ``embedded``, or ``uci``: weekly sales of the products with at least 52 sale days.
        learn: Updates of DirectBackprop.
        seeds: Networks trained side by side.
        products: Of the embedded panel.
        periods: Weeks of the embedded panel.
    """

    panel: Literal["embedded", "uci"]
    learn: int = 400
    seeds: int = 2
    products: int = 200
    periods: int = 156


def grid(budget: Budget) -> Sequence[RetailBacktest]:
    """Return the runs of a budget."""
    if budget == "smoke":
        return [RetailBacktest("embedded", learn=20, seeds=1, products=24, periods=60)]
    if budget == "cpu":
        return [RetailBacktest("embedded"), RetailBacktest("uci")]
    return [
        RetailBacktest("embedded", learn=4000, seeds=16, products=2000),
        RetailBacktest("uci", learn=4000, seeds=16),
    ]


def run(config: RetailBacktest, run: "Run") -> list[Mapping[str, Any]]:
    """Do one backtest; its report, results and orders lie in the run's folder. A row a policy and split."""
    from sandtable.analysis.inventory.run_backtest import run_backtest
    from sandtable.analysis.inventory.settings import BacktestSettings
    from sandtable.simulators.data_folder import data_folder
    from sandtable.simulators.inventory.sales_file import read_sales
    from sandtable.simulators.inventory.synthetic_sales import synthetic_sales

    settings = BacktestSettings(learn=config.learn, seeds=config.seeds, sensitivity=config.learn >= 400)
    if config.panel == "embedded":
        history = synthetic_sales(config.products, config.periods)
    else:
        folder = data_folder()
        if folder is None or not (folder / UCI).exists():
            raise UnavailableError(f"the file {UCI} is not in the data folder (SANDTABLE_DATA names it)")
        history = read_sales(folder / UCI, review_period=settings.review_period, min_sale_days=52)
    summary = run_backtest(run, history, settings)
    baseline = {row["split"]: row["profit"] for row in summary["policies"] if row["policy"] == summary["baseline"]}
    return [
        {
            **{name: value for name, value in row.items() if name != "panel"},
            "baseline": summary["baseline"],
            "gain": _relative(row["difference"], baseline[row["split"]]),
            "gain_low": _relative(row["difference_low"], baseline[row["split"]]),
        }
        for row in summary["policies"]
    ]


def _relative(difference: float | None, profit: float) -> float | None:
    """Return a difference as a share of a profit, or of a loss; None where either is not there."""
    return None if difference is None or profit == 0 else difference / abs(profit)


def _of(table: "pd.DataFrame", policy: str, split: str, column: str) -> float | None:
    rows = table[(table.policy == policy) & (table.split == split)]
    return None if rows.empty else rows[column].iloc[0]


def _on(panel: str) -> Any:
    return lambda config: config.panel == panel


def _gain(table: "pd.DataFrame") -> float | None:
    return _of(table, LEARNED, "unseen", "gain")


def _gain_low(table: "pd.DataFrame") -> float | None:
    return _of(table, LEARNED, "unseen", "gain_low")


def _over(other: str) -> Any:
    def compute(table: "pd.DataFrame") -> float | None:
        learned, rival = _of(table, LEARNED, "test", "profit"), _of(table, other, "test", "profit")
        return None if learned is None or rival is None else learned - rival

    return compute


def _least_gap(table: "pd.DataFrame") -> float | None:
    bounds = table[table.policy == "clairvoyant"].set_index("split").profit
    return float((table.split.map(bounds) - table.profit).min())


def _claims(panel: str, name: str) -> list[Claim]:
    source = f"{PAPER}, abstract: DirectBackprop outperforms newsvendor baselines in simulation"
    return [
        Claim(
            f"On {name}, DirectBackprop earns more than the best classical policy on unseen products (relative gain).",
            source, 0.0, 0.0, _gain, "at least", _on(panel),
        ),
        Claim(
            f"On {name}, the lower end of that gain's 95 % interval is above zero.",
            source, 0.0, 0.0, _gain_low, "at least", _on(panel),
        ),
        Claim(
            f"On {name}, DirectBackprop earns more than ordering nothing (money).",
            "sanity", 0.0, 0.0, _over("order nothing"), "at least", _on(panel),
        ),
        Claim(
            f"On {name}, DirectBackprop earns more than its own network before training (money).",
            "sanity", 0.0, 0.0, _over("untrained network"), "at least", _on(panel),
        ),
        Claim(
            f"On {name}, no policy earns more than the clairvoyant (least gap in money).",
            "linear program", 0.0, 1e-6, _least_gap, "at least", _on(panel),
        ),
    ]  # fmt: skip


def figures(table: "pd.DataFrame", runs: "Sequence[Run]") -> "list[Block]":
    """Return a table of the policies, for each panel."""
    from sandtable.analysis.report import Column, Interval, Table

    columns = [
        Column("policy"),
        Column("split"),
        Column("profit", "money", 0),
        Column("against the baseline", "money", 0),
        Column("relative", "percent", 2),
        Column("fill rate", "percent", 1),
        Column("stock turns", "number", 1),
    ]
    blocks: list[Block] = []
    for panel, rows in table.groupby("panel", sort=True):
        cells = [
            (
                row["policy"], row["split"], Interval(row["profit"], row["profit_low"], row["profit_high"]),
                Interval(row["difference"], row["difference_low"], row["difference_high"]),
                row["gain"], row["fill_rate"], row["stock_turns"],
            )
            for row in rows.sort_values(["split", "profit"], ascending=[True, False]).to_dict("records")
        ]  # fmt: skip
        blocks.append(Table(f"Policies on the {panel} panel; baseline: {rows.baseline.iloc[0]}", columns, cells))
    return blocks


STUDY = Study(
    name="retail-backtest",
    title="Ordering policies on replayed retail sales",
    paper=PAPER,
    summary=(
        "Weekly sales are replayed through the inventory world: classical policies tuned on the past, a network "
        "trained by backpropagation through the simulator, and the clairvoyant's bound, on products seen in training "
        "and on products never seen. The embedded panel is drawn from a documented model; the UCI panel is the Online "
        "Retail data of a British gift seller, without costs and stock, so margin, lead time and holding rate are "
        "assumed."
    ),
    grid=grid,
    run=run,
    claims=(*_claims("embedded", "the embedded panel"), *_claims("uci", "the UCI panel")),
    figures=figures,
)
