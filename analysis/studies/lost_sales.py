"""How near does learning come to the optimum of the classic lost-sales problem, for the same processor time?

DirectBackprop (Madeka et al., arXiv 2210.03137) differentiates the simulator; PPO (Schulman et al., arXiv 1707.06347)
sees rewards alone, once in this project's own loop and once in Stable-Baselines3. Each gets the same CPU-seconds for
each network on one thread. The optimum is by value iteration where that is possible, and the best base-stock and capped
base-stock policies are exact there as well; at a lead time of 10 they are found by simulation, and no optimum is known.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sandtable.analysis.study import Budget, Claim, Study, UnavailableError

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem
    from sandtable.analysis.report import Block
    from sandtable.analysis.store import Run

Learner = Literal["DirectBackprop", "PPO", "SB3 PPO"]
LEARNERS: tuple[Learner, ...] = ("DirectBackprop", "PPO", "SB3 PPO")
ZIPKIN = "Zipkin 2008, optimal average costs by value iteration"
EXACT = 4  # lead times beyond it have too many states
LESS_VARIANCE = "target of this project, after arXiv 2210.03137: the simulator's gradient has less variance"
LONGEST_LEARNING = 180.0  # CPU-seconds


@dataclass(frozen=True)
class LostSalesLearning:
    """A run of the study.

    Attributes:
        learner: Who learns.
        lead_time: L, periods.
        shortage: p, money per unit lost; holding costs 1.
        demand: Its law, of mean 5.
        cpu_seconds: Processor time of each network, on one thread.
        seeds: Networks.
        rows: Independent rows of the evaluation.
        periods: Periods of a row, 100 of warm-up included.
    """

    learner: Learner
    lead_time: int
    shortage: float
    demand: Literal["poisson", "geometric"] = "poisson"
    cpu_seconds: float = 10.0
    seeds: int = 2
    rows: int = 4000
    periods: int = 700


def grid(budget: Budget) -> Sequence[LostSalesLearning]:
    """Return the runs of a budget: problem by problem, learner by learner."""
    if budget == "smoke":
        small = {"cpu_seconds": 2.0, "seeds": 1, "rows": 500, "periods": 300}
        return [LostSalesLearning(learner, 1, 4.0, **small) for learner in LEARNERS]  # type: ignore[arg-type]
    if budget == "cpu":
        problems: list[tuple[int, float, Any]] = [(lead, p, "poisson") for lead in (1, 2, 4) for p in (4.0, 9.0)]
        problems += [(10, 4.0, "poisson"), (2, 4.0, "geometric")]
        return [LostSalesLearning(learner, *problem) for problem in problems for learner in LEARNERS]
    return [
        LostSalesLearning(learner, lead, p, demand, cpu_seconds=60.0, seeds=4, rows=20_000)
        for demand in ("poisson", "geometric")
        for lead in (1, 2, 4, 10)
        for p in (4.0, 9.0, 19.0)
        for learner in LEARNERS
    ]


def run(config: LostSalesLearning, run: "Run") -> list[Mapping[str, Any]]:
    """Learn, and evaluate every network on the same demand. A row a network."""
    import torch

    from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem
    from sandtable.analysis.inventory.average_cost import average_cost

    problem = LostSalesProblem(config.lead_time, config.demand, shortage=config.shortage)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        started = time.process_time()
        policies = _LEARN[config.learner](config, problem)
        spent = time.process_time() - started
    finally:
        torch.set_num_threads(threads)
    world = problem.world(config.periods, "float32")
    bounds = reference_costs(problem)
    costs = [average_cost(world, policy, config.rows, name=config.learner) for policy in policies]
    return [
        {
            "policy": config.learner,
            "seed": seed,
            "cost": cost.mean,
            "standard_error": cost.standard_error,
            "gap": _share(cost.mean, bounds["optimum"]),
            "cpu_seconds_spent": spent,
            **bounds,
        }
        for seed, cost in enumerate(costs)
    ]


def reference_costs(problem: "LostSalesProblem") -> dict[str, float | None]:
    """Return the ``optimum``, and the costs of the best ``base_stock`` and ``capped_base_stock`` policies.

    Exact for lead times up to 4 under Poisson demand and up to 2 under geometric demand, whose states are many more;
    beyond, there is no optimum, and levels and caps are searched for by simulation, which errs by about 0.3 %.
    """
    from sandtable.agents.inventory.exact.base_stock_evaluation import best_base_stock, best_capped_base_stock
    from sandtable.agents.inventory.exact.lost_sales import solve_lost_sales

    if problem.lead_time > (EXACT if problem.demand == "poisson" else 2):
        return {"optimum": None, **_by_simulation(problem)}
    return {
        "optimum": solve_lost_sales(problem).cost,
        "base_stock": best_base_stock(problem).cost,
        "capped_base_stock": best_capped_base_stock(problem).cost,
    }


def _by_simulation(problem: "LostSalesProblem") -> dict[str, float | None]:
    """Return the least simulated costs over levels, and over levels and caps, around the newsvendor's."""
    from sandtable.agents.inventory.order_up_to import BaseStock, CappedBaseStock
    from sandtable.analysis.inventory.average_cost import average_cost

    world, highest = problem.world(400, "float32"), problem.fractile(problem.lead_time + 1)
    levels = range(max(1, int(0.6 * highest)), int(1.6 * highest) + 1, 2)  # capped, the best level may lie far above
    caps = range(max(1, int(problem.mean) - 1), int(problem.mean) + 4)  # below the mean: nearly a constant order

    def cost(policy: Any) -> float:
        return average_cost(world, policy, rows=500).mean

    return {
        "base_stock": min(cost(BaseStock(float(level))) for level in levels),
        "capped_base_stock": min(cost(CappedBaseStock(float(s), float(cap))) for s in levels for cap in caps),
    }


def _within(seconds: float, rehearsal: int, learn: Callable[[int], Any]) -> Any:
    """Return what ``learn`` brings with as many steps as ``seconds`` of processor time allow.

    The time of a step is measured in a rehearsal, whose time counts.
    """
    learn(2)  # what is done once
    started = time.process_time()
    learn(rehearsal)
    spent = time.process_time() - started
    return learn(max(2, int((seconds - spent) * rehearsal / spent)))


def _direct_backprop(config: LostSalesLearning, problem: "LostSalesProblem") -> Sequence[Any]:
    """Learn by backpropagation through the simulator."""
    from sandtable.agents.inventory.stationary_backprop import StationaryBackprop
    from sandtable.simulators.inventory.lost_sales import LostSales

    money = problem.holding, problem.shortage
    world = LostSales(problem.lead_time, problem.demand, problem.mean, *money, whole_units=False, horizon=60)

    def learn(updates: int) -> Sequence[Any]:
        return StationaryBackprop(updates=updates, seeds=config.seeds).learn(world, problem.mean).policies

    return _within(config.cpu_seconds * config.seeds, 20, learn)


def _ppo_settings() -> dict[str, Any]:
    """Return what both PPOs are told: those of ``benchmarks/ppo.py`` for 64 environments, with a faster rate."""
    return {"environments": 64, "periods": 128, "batch": 2048, "epochs": 4, "learning_rate": 1e-3}


def _normalised(problem: "LostSalesProblem") -> Any:
    """Return the world in numbers of order one, as PPO's defaults expect."""
    from sandtable.simulators.inventory.normalised import NormalisedStock

    return NormalisedStock(
        problem.world(100, "float32"), problem.mean, problem.fractile(1) + 1.0, problem.mean * problem.holding
    )


def _policy(world: Any, mode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the ordering policy of a network that lives in the normalised world."""
    return lambda stock: world.orders(mode(stock / world.unit - 1.0).clip(-1.0, 1.0))


def _ppo(config: LostSalesLearning, problem: "LostSalesProblem") -> Sequence[Any]:
    """Learn by this project's PPO, all networks in one call."""
    from sandtable.agents.ppo import PPO

    world, settings = _normalised(problem), PPO(**_ppo_settings(), replicas=config.seeds)
    collection = settings.environments * settings.periods
    learned = _within(
        config.cpu_seconds * config.seeds, 3, lambda number: settings.learn(world, 0, number * collection)
    )
    return [_policy(world, learned.policy(replica)) for replica in range(config.seeds)]


def _sb3_ppo(config: LostSalesLearning, problem: "LostSalesProblem") -> Sequence[Any]:
    """Learn by Stable-Baselines3's PPO on the native vector environment, one network after the other."""
    try:
        from stable_baselines3 import PPO
        from stable_baselines3.common.callbacks import BaseCallback
    except ImportError as error:
        raise UnavailableError("Stable-Baselines3 is not installed (extra rl)") from error

    from sandtable.agents.stable_baselines import to_sb3
    from sandtable.envs.adapter import ProcessVectorEnv

    class Deadline(BaseCallback):
        """Ends the training when the processor time is spent."""

        def __init__(self, end: float) -> None:
            super().__init__()
            self.end = end

        def _on_step(self) -> bool:
            return time.process_time() < self.end

    world, settings, policies = _normalised(problem), _ppo_settings(), []
    for seed in range(config.seeds):
        end = time.process_time() + config.cpu_seconds
        env = to_sb3(ProcessVectorEnv(world, settings["environments"], "same-step"))
        model = PPO(
            "MlpPolicy", env, n_steps=settings["periods"], batch_size=settings["batch"], n_epochs=settings["epochs"],
            learning_rate=settings["learning_rate"], seed=seed, device="cpu",
        )  # fmt: skip
        model.learn(10**9, callback=Deadline(end))
        policies.append(_policy(world, _mode_of(model)))
    return policies


def _mode_of(model: Any) -> Callable[[Any], Any]:
    """Return what a model of Stable-Baselines3 does when it draws nothing."""
    return lambda seen: model.predict(seen, deterministic=True)[0]


_LEARN = {"DirectBackprop": _direct_backprop, "PPO": _ppo, "SB3 PPO": _sb3_ppo}


def _of(table: "pd.DataFrame", learner: str, lead_time: int, shortage: float, column: str) -> "pd.Series":
    """Return a column of the rows of a learner on a problem with Poisson demand."""
    chosen = (table.policy == learner) & (table.lead_time == lead_time) & (table.shortage == shortage)
    return table[chosen & (table.demand == "poisson")][column]


def _worst_gap(lead_time: int, shortage: float) -> Callable[["pd.DataFrame"], float | None]:
    def compute(table: "pd.DataFrame") -> float | None:
        gaps = _of(table, "DirectBackprop", lead_time, shortage, "gap")
        return None if gaps.empty else float(gaps.max())

    return compute


def _longest(table: "pd.DataFrame") -> float | None:
    spent = table[table.policy == "DirectBackprop"].cpu_seconds_spent
    return None if spent.empty else float(spent.max())


def _lead_over(rival: Learner) -> Callable[["pd.DataFrame"], float | None]:
    """Return the least relative lead of DirectBackprop over a rival among the problems, means over networks."""

    def compute(table: "pd.DataFrame") -> float | None:
        costs = table.pivot_table(index=["demand", "lead_time", "shortage"], columns="policy", values="cost")
        if not {rival, "DirectBackprop"} <= set(costs.columns):
            return None
        return float((costs[rival] / costs["DirectBackprop"] - 1).min())

    return compute


def _against_capped(table: "pd.DataFrame") -> float | None:
    rows = table[(table.policy == "DirectBackprop") & (table.lead_time == 10)]
    return None if rows.empty else float((rows.cost / rows.capped_base_stock).max())


def _near(lead_time: int, shortage: float) -> Claim:
    return Claim(
        f"Lead time {lead_time}, shortage {shortage:g}: every network of DirectBackprop costs at most 0.5 % more than "
        "the optimum (relative gap of the worst).",
        ZIPKIN, 0.005, 0.0, _worst_gap(lead_time, shortage), "at most",
        lambda config: (config.learner, config.lead_time, config.shortage, config.demand)
        == ("DirectBackprop", lead_time, shortage, "poisson"),
    )  # fmt: skip


CLAIMS = (
    *(_near(lead_time, shortage) for lead_time in (1, 2, 4) for shortage in (4.0, 9.0)),
    Claim(
        "DirectBackprop takes at most three minutes on one core for each problem (CPU-seconds of the slowest).",
        "target of this project", LONGEST_LEARNING, 0.0, _longest, "at most",
        lambda config: config.learner == "DirectBackprop",
    ),
    Claim(
        "With the same CPU time DirectBackprop costs less than PPO on every problem (least relative lead).",
        LESS_VARIANCE, 0.0, 0.0,
        _lead_over("PPO"), "at least", lambda config: config.learner != "SB3 PPO",
    ),
    Claim(
        "With the same CPU time DirectBackprop costs less than Stable-Baselines3's PPO on every problem (least "
        "relative lead).",
        LESS_VARIANCE, 0.0, 0.0,
        _lead_over("SB3 PPO"), "at least", lambda config: config.learner != "PPO",
    ),
    Claim(
        "Lead time 10: DirectBackprop costs no more than the best capped base-stock policy found by simulation (ratio "
        "of the worst).",
        "Xin 2021, Operations Research 69: capped base-stock is near the optimum for long lead times", 1.0, 0.0,
        _against_capped, "at most",
        lambda config: config.learner == "DirectBackprop" and config.lead_time == 10,
    ),
)  # fmt: skip


def figures(table: "pd.DataFrame", runs: "Sequence[Run]") -> "list[Block]":
    """Return a table of the policies, problem by problem."""
    from sandtable.analysis.report import Column, Table

    columns = [
        Column("policy"),
        Column("cost a period", "number", 3),
        Column("standard error", "number", 3),
        Column("above the optimum", "percent", 2),
        Column("networks", "number", 0),
        Column("CPU-seconds", "number", 0),
    ]
    blocks: list[Block] = []
    for (demand, lead_time, shortage), rows in table.groupby(["demand", "lead_time", "shortage"], sort=True):
        first = rows.iloc[0]
        optimum = first.optimum
        cells: list[tuple[Any, ...]] = []
        for name, cost in (("optimum", optimum), ("best base-stock", first.base_stock),
                           ("best capped base-stock", first.capped_base_stock)):  # fmt: skip
            if cost == cost and cost is not None:
                cells.append((name, cost, None, _share(cost, optimum), None, None))
        for learner, own in rows.groupby("policy", sort=False):
            mean = float(own.cost.mean())
            spent = float(own.cpu_seconds_spent.iloc[0])
            error = float((own.standard_error**2).sum() ** 0.5) / len(own)
            cells.append((learner, mean, error, _share(mean, optimum), len(own), spent))
        title = f"{demand} demand, lead time {lead_time}, shortage {shortage:g}"
        blocks.append(Table(title, columns, cells))
    return blocks


def _share(cost: float, optimum: float | None) -> float | None:
    """Return by which share a cost lies above the optimum, if there is one."""
    return None if optimum is None or optimum != optimum else cost / optimum - 1


STUDY = Study(
    name="lost-sales",
    title="Learning to order in the lost-sales problem, against the optimum",
    paper="arXiv 2210.03137",
    summary=(
        "The classic lost-sales problem with a lead time (Zipkin 2008), demand of mean 5, holding cost 1. "
        "DirectBackprop and two PPOs learn for the same processor time on one thread; what they cost in the long run "
        "is simulated on the same demand, and held against the optimum and the best base-stock and capped base-stock "
        "policies. Both PPOs see and act in numbers of order one, as their defaults expect."
    ),
    grid=grid,
    run=run,
    claims=CLAIMS,
    figures=figures,
)
