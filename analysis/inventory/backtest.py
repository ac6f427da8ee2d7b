"""The backtest: tune on the past, choose a baseline on validation, judge on the test, in one and the same world."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.agents.inventory.candidates import classical_candidates, tune
from sandtable.agents.inventory.clairvoyant import clairvoyant
from sandtable.agents.inventory.direct_backprop import DirectBackprop, Learned
from sandtable.agents.inventory.policy import OrderingPolicy
from sandtable.agents.inventory.user_policy import UserPolicy, load_policy
from sandtable.agents.rollout import Trajectory, rollout
from sandtable.analysis.inventory.measures import PolicyRow, Scoring, product_groups
from sandtable.analysis.inventory.protocol import Split, accrued_profit, scored, split
from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.panel import Assumptions, Panel, assume
from sandtable.simulators.inventory.process import InventoryState
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.random import make_key

WINDOW = 16
CLAIRVOYANT, LEARNED, UNTRAINED = "clairvoyant", "DirectBackprop", "untrained network"


@dataclass(frozen=True)
class Participant:
    """A policy in the backtest.

    Attributes:
        name: Short name.
        rule: What it does, in one sentence.
        kind: ``classical``, ``learned``, ``control``, ``user`` or ``bound``.
        settings: What tuning chose.
        build: (panel, history) -> policy, from the first ``history`` periods; None for a bound.
        validation: Profit on the validation periods, seen products; None where it takes no part in the choice.
    """

    name: str
    rule: str
    kind: str
    settings: dict[str, Any]
    build: Callable[[Panel, int], OrderingPolicy] | None
    validation: float | None


@dataclass(frozen=True)
class Backtest:
    """The outcome of a backtest.

    Attributes:
        settings: What the user decided.
        panel: What was replayed.
        split: Who saw what.
        participants: By name.
        baseline: The classical policy that earned most in validation.
        best: The policy with the highest test profit over all products, bounds and controls aside.
        trajectories: Of each participant in the test, all products, [H, N] each.
        scoring: How they are scored.
        rows: Measures of each participant on each split.
        groups: Rows of (grouping, group, policy, difference, low, high, products), on all products of the test.
        learned: The learned policy and its learning curve; None if it took no part.
        world: SHA-256 of the exogenous arrays that every policy faced.
    """

    settings: BacktestSettings
    panel: Panel
    split: Split
    participants: dict[str, Participant]
    baseline: str
    best: str
    trajectories: dict[str, Trajectory]
    scoring: Scoring
    rows: tuple[PolicyRow, ...]
    groups: tuple[dict[str, Any], ...]
    learned: Learned | None
    world: str

    def row(self, policy: str, split: str) -> PolicyRow:
        """Return the measures of a policy on a split."""
        return next(row for row in self.rows if row.policy == policy and row.split == split)

    @property
    def implementable(self) -> tuple[str, ...]:
        """Names of the policies that a business could follow."""
        return tuple(name for name, one in self.participants.items() if one.kind not in ("bound", "control"))


@dataclass(frozen=True)
class Stage:
    """What a progress display is told: which stage begins."""

    title: str


@dataclass(frozen=True)
class Hooks:
    """How a backtest talks to whoever runs it.

    Attributes:
        checkpoint: Folder for the state of the training; None keeps none.
        metrics: Sink for the metrics of the training.
        progress: Told of every step of the training.
        stage: Told the title of each stage as it begins.
    """

    checkpoint: Path | None = None
    metrics: Any = None
    progress: Any = None
    stage: Callable[[str], None] = field(default=lambda title: None)


def assumptions_of(settings: BacktestSettings) -> Assumptions:
    """Return the assumptions that the settings make about the business."""
    return Assumptions(
        lead_time=settings.lead_time,
        margin=settings.margin,
        holding_rate=settings.holding_rate,
        shortage_cost=settings.shortage_cost,
        salvage=settings.salvage,
        batch_size=settings.batch_size,
        minimum_order=settings.minimum_order,
        pay_on=settings.pay_on,
        unmet=settings.unmet,
    )


def initial_stock_of(settings: BacktestSettings, history: SalesHistory) -> str | float:
    """Return the initial stock as the replay takes it, or say what is wrong with the setting."""
    wanted = settings.initial_stock
    if wanted == "base-stock":
        return "recorded" if not np.isnan(history.on_hand).all() else "base-stock"
    if wanted == "recorded":
        if np.isnan(history.on_hand).all():
            raise InputError("--initial-stock recorded: the sales file has no column on_hand")
        return "recorded"
    try:
        periods = float(wanted)
    except ValueError:
        periods = -1.0
    if not (np.isfinite(periods) and periods >= 0):
        raise InputError(f"--initial-stock {wanted}: write base-stock, recorded, or a number of periods of demand")
    return periods


def test_world(panel: Panel, parts: Split, initial_stock: str | float) -> tuple[InventoryReplay, InventoryState]:
    """Return the world of the test and its start: every product, from the end of validation on."""
    horizon = parts.periods - parts.validate
    world = InventoryReplay(
        panel, horizon, starts=(parts.validate, parts.validate), history=parts.validate, window=WINDOW,
        initial_stock=initial_stock, dtype="float64",
    )  # fmt: skip
    products = np.arange(panel.products)
    return world, world.reset(make_key(products), product=products, start=parts.validate)


def exogenous_hash(state: InventoryState) -> str:
    """Return the SHA-256 of everything in a state that no decision changes."""
    digest = hashlib.sha256()
    for array in (*state.paths, *state.context, *(rule for rule in state.rules if rule is not None)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def classical_participants(
    panel: Panel, parts: Split, settings: BacktestSettings, initial_stock: str | float
) -> dict[str, Participant]:
    """Tune the classical policies on training periods and seen products, and score them on validation."""
    options = {"history": parts.train, "window": WINDOW, "initial_stock": initial_stock, "dtype": "float64"}
    training = InventoryReplay(panel, parts.train, starts=(0, 0), **options)
    participants = {}
    for candidate in classical_candidates(panel, parts.train, WINDOW):
        tuned = tune(candidate, panel, parts.train, parts.seen, training)

        def build(panel: Panel, history: int, build: Any = candidate.build, chosen: Any = tuned.settings) -> Any:
            return build(panel, history, **chosen)

        participants[tuned.name] = Participant(
            tuned.name, tuned.rule, "classical", tuned.settings, build,
            validation_profit(panel, parts, settings, tuned.policy, initial_stock, tuned.name),
        )  # fmt: skip
    return participants


def validation_profit(
    panel: Panel, parts: Split, settings: BacktestSettings, policy: OrderingPolicy, initial_stock: str | float, name: str
) -> float:
    """Return a policy's scored profit on the validation periods, seen products."""
    horizon = parts.validate - parts.train
    world = InventoryReplay(
        panel, horizon, starts=(parts.train, parts.train), history=parts.train, window=WINDOW,
        initial_stock=initial_stock, dtype="float64",
    )  # fmt: skip
    state = world.reset(make_key(parts.seen), product=parts.seen, start=parts.train)
    run = rollout(world, policy, state, name=name)
    cost = panel.cost[parts.train : parts.validate, parts.seen]
    profit = accrued_profit(run, cost, panel.economics, settings.discount)
    return float((profit * scored(panel, horizon)[:, parts.seen]).sum())


def best_classical(participants: dict[str, Participant]) -> str:
    """Return the classical policy with the highest validation profit."""
    classical = {name: one.validation for name, one in participants.items() if one.kind == "classical"}
    return max(classical, key=lambda name: classical[name] or 0.0)


def scoring_of(panel: Panel, parts: Split, settings: BacktestSettings) -> Scoring:
    """Return how the test is scored. A block of time is as long as an order has effect: lead time and review."""
    horizon = parts.periods - parts.validate
    return Scoring(
        counts=scored(panel, horizon),
        cost=panel.cost[parts.validate :],
        economics=panel.economics,
        discount=settings.discount,
        block=panel.shares.shape[1],
        periods_per_year=panel.periods_per_year(),
        alpha=settings.alpha,
        seed=settings.seed,
    )


def backtest(history: SalesHistory, settings: BacktestSettings, hooks: Hooks | None = None) -> Backtest:
    """Compare ordering policies on a history of sales.

    Args:
        history: What is known of past sales.
        settings: What the user decided.
        hooks: Where to keep training state, and whom to tell of progress.

    Raises:
        InputError: The history or a setting cannot be used; the message says what to change.
    """
    hooks = hooks or Hooks()
    if not 0 < settings.discount <= 1:
        raise InputError(f"--discount: {settings.discount} is not in (0, 1]")
    if not 0 < settings.alpha < 1:
        raise InputError(f"--alpha: {settings.alpha} is not in (0, 1)")
    if settings.learn < 0 or settings.seeds < 1:
        raise InputError("--learn must not be negative, and --seeds be at least 1")
    users = [load_policy(spec) for spec in (settings.policy or "").split(",") if spec]
    panel = assume(history, assumptions_of(settings))
    parts = split(panel, settings.test_periods, settings.unseen, settings.seed)
    initial_stock = initial_stock_of(settings, history)

    hooks.stage("tuning the classical policies")
    participants = classical_participants(panel, parts, settings, initial_stock)
    for user in users:
        participants[user.name] = _of_user(user, panel, parts, settings, initial_stock)
    learned = None
    if settings.learn:
        hooks.stage("training DirectBackprop")
        learned = DirectBackprop(
            updates=settings.learn, seeds=settings.seeds, discount=settings.discount, seed=settings.seed
        ).learn(
            panel, parts.train, parts.validate, parts.seen, window=WINDOW,
            checkpoint=hooks.checkpoint, metrics=hooks.metrics, progress=hooks.progress,
        )  # fmt: skip
        participants |= _of_learned(learned, panel, parts, settings, initial_stock)

    hooks.stage("playing the test")
    baseline = best_classical(participants)
    trajectories, world_hash = play(panel, parts, participants, initial_stock)
    hooks.stage("solving for the clairvoyant")
    world, state = test_world(panel, parts, initial_stock)
    bound = clairvoyant(world, state, settings.discount)
    label = "Knows the future: a linear program a product" + (
        ", without minimum orders and batches (an upper bound that may be out of reach)." if bound.relaxed else "."
    )
    participants[CLAIRVOYANT] = Participant(CLAIRVOYANT, label, "bound", {}, None, None)
    trajectories[CLAIRVOYANT] = bound.trajectory

    hooks.stage("measuring")
    scoring = scoring_of(panel, parts, settings)
    columns = {"test": parts.seen, "unseen": parts.unseen}
    rows = tuple(
        scoring.row(name, name_of_split, run, trajectories[baseline], products)
        for name_of_split, products in columns.items()
        if len(products)
        for name, run in trajectories.items()
    )
    totals = {
        name: float(scoring.profit(run).sum())
        for name, run in trajectories.items()
        if participants[name].kind not in ("bound", "control")
    }
    best = max(totals, key=lambda name: totals[name])
    return Backtest(
        settings, panel, parts, participants, baseline, best, trajectories, scoring, rows,
        _by_group(panel, parts, scoring, trajectories, participants, baseline), learned, world_hash,
    )  # fmt: skip


def play(
    panel: Panel, parts: Split, participants: dict[str, Participant], initial_stock: str | float
) -> tuple[dict[str, Trajectory], str]:
    """Run every policy through the test, and make sure that all faced the same world.

    Returns:
        The runs by policy, and the SHA-256 of the exogenous arrays.
    """
    trajectories = {}
    hashes = set()
    world, state = test_world(panel, parts, initial_stock)
    for name, participant in participants.items():
        if participant.build is None:
            continue
        policy = participant.build(panel, parts.validate)
        trajectories[name] = rollout(world, policy, state, name=name)
        hashes.add(exogenous_hash(state))
    if len(hashes) != 1:
        raise RuntimeError("a policy changed the world that the others face")
    return trajectories, hashes.pop()


def _of_user(
    user: UserPolicy, panel: Panel, parts: Split, settings: BacktestSettings, initial_stock: str | float
) -> Participant:
    profit = validation_profit(panel, parts, settings, user, initial_stock, user.name)
    return Participant(user.name, "Your policy.", "user", {}, lambda panel, history: user, profit)


def _of_learned(
    learned: Learned, panel: Panel, parts: Split, settings: BacktestSettings, initial_stock: str | float
) -> dict[str, Participant]:
    profit = validation_profit(panel, parts, settings, learned.policy, initial_stock, LEARNED)
    rule = "A network that learned to order by backpropagation through the simulator (arXiv 2210.03137)."
    chosen = {"updates": learned.best_step, "network": learned.replica}
    return {
        LEARNED: Participant(LEARNED, rule, "learned", chosen, lambda panel, history: learned.policy, profit),
        UNTRAINED: Participant(
            UNTRAINED, "The same network before training.", "control", {}, lambda panel, history: learned.untrained, None
        ),
    }


def _by_group(
    panel: Panel,
    parts: Split,
    scoring: Scoring,
    trajectories: dict[str, Trajectory],
    participants: dict[str, Participant],
    baseline: str,
) -> tuple[dict[str, Any], ...]:
    """Return each policy's paired difference from the baseline by product group."""
    known = np.where(panel.known, panel.demand, 0.0)[: parts.validate]
    groups = product_groups(known, np.median(panel.price[: parts.validate], axis=0))
    reference = scoring.profit(trajectories[baseline])
    rows = []
    for grouping, members in groups.items():
        for group, products in members.items():
            for name, participant in participants.items():
                if participant.kind in ("bound", "control") or name == baseline or not len(products):
                    continue
                interval = scoring.interval(scoring.profit(trajectories[name]) - reference, products)
                rows.append(
                    {
                        "grouping": grouping,
                        "group": group,
                        "policy": name,
                        "products": len(products),
                        "difference": interval.estimate,
                        "difference_low": interval.low,
                        "difference_high": interval.high,
                        "baseline_profit": float(reference[:, products].sum()),
                    }
                )
    return tuple(rows)


def sensitivity(history: SalesHistory, result: Backtest) -> tuple[dict[str, Any], ...]:
    """Repeat the backtest with other margins, lead times and holding rates, one at a time.

    The classical policies are tuned anew under each assumption; the learned policy stays as it is. An assumption that the
    file makes needless (it gives all costs, or all lead times) is left out.

    Returns:
        Rows of (assumption, value, baseline, baseline_profit, policy, difference, low, high) for the best policy of the
        backtest and the learned one, on all products of the test; the first row holds the assumptions as made.
    """
    settings = result.settings
    changes: list[tuple[str, Any]] = [("as assumed", None)]
    if np.isnan(history.cost).all(axis=0).any():
        changes += [("margin", round(m, 4)) for m in (settings.margin - 0.15, settings.margin + 0.15) if 0 < m < 1]
    if np.isnan(history.lead_time).any():
        changes += [("lead_time", lead) for lead in (settings.lead_time - 1, settings.lead_time + 1) if lead >= 0]
    changes += [("holding_rate", settings.holding_rate * factor) for factor in (0.5, 2.0)]
    rows: list[dict[str, Any]] = []
    for name, value in changes:
        changed = settings if value is None else replace(settings, **{name: value})
        try:
            rows += _under(history, changed, result, name, value)
        except InputError:  # a lead time for which the test is too short
            continue
    return tuple(rows)


def _under(
    history: SalesHistory, settings: BacktestSettings, result: Backtest, name: str, value: Any
) -> list[dict[str, Any]]:
    """Return the rows of one set of assumptions."""
    panel = assume(history, assumptions_of(settings))
    parts = split(panel, settings.test_periods, settings.unseen, settings.seed)
    initial_stock = initial_stock_of(settings, history)
    participants = classical_participants(panel, parts, settings, initial_stock)
    baseline = best_classical(participants)
    shown = {baseline, result.best} | ({LEARNED} if result.learned else set())
    others = {one: result.participants[one] for one in shown if one not in participants}
    trajectories, _ = play(panel, parts, {**{k: v for k, v in participants.items() if k in shown}, **others}, initial_stock)
    scoring = scoring_of(panel, parts, settings)
    reference = scoring.profit(trajectories[baseline])
    everything = np.arange(panel.products)
    rows = []
    for policy in sorted(shown - {baseline}) or [baseline]:
        interval = scoring.interval(scoring.profit(trajectories[policy]) - reference, everything)
        rows.append(
            {
                "assumption": name,
                "value": value,
                "baseline": baseline,
                "baseline_profit": float(reference.sum()),
                "policy": policy,
                "difference": interval.estimate,
                "difference_low": interval.low,
                "difference_high": interval.high,
            }
        )
    return rows
