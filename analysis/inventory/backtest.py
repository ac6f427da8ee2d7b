"""The backtest: tune on the past, choose a baseline on validation, judge on the test, in one and the same world."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.agents.inventory.clairvoyant import clairvoyant
from sandtable.agents.inventory.direct_backprop import DirectBackprop, Learned
from sandtable.agents.inventory.user_policy import load_policy
from sandtable.agents.rollout import Trajectory
from sandtable.analysis.inventory.measures import PolicyRow, Scoring, product_groups
from sandtable.analysis.inventory.participants import (
    CLAIRVOYANT,
    Participant,
    best_classical,
    classical_participants,
    learned_participants,
    user_participant,
)
from sandtable.analysis.inventory.plan import WINDOW, Plan, plan_backtest, played, start
from sandtable.analysis.inventory.protocol import Split, scored
from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.panel import Panel
from sandtable.simulators.inventory.process import InventoryState


@dataclass(frozen=True)
class Backtest:
    """The outcome of a backtest.

    Attributes:
        plan: What was asked, of what, and who saw what.
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

    plan: Plan
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
    def settings(self) -> BacktestSettings:
        """What the user decided."""
        return self.plan.settings

    @property
    def panel(self) -> Panel:
        """What was replayed."""
        return self.plan.panel

    @property
    def split(self) -> Split:
        """Who saw what."""
        return self.plan.split

    @property
    def implementable(self) -> tuple[str, ...]:
        """Names of the policies that a business could follow."""
        return tuple(name for name, one in self.participants.items() if one.kind not in ("bound", "control"))


def _nothing(*told: Any) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Hooks:
    """How a backtest talks to whoever runs it.

    Attributes:
        checkpoint: Folder for the state of the training; None keeps none.
        metrics: Sink for the metrics of the training.
        progress: Told of every step of the training.
        stage: Told the title of each stage as it begins.
        usable: Called when all input was found to be usable, before the training and before anything is written.
    """

    checkpoint: Path | None = None
    metrics: Any = None
    progress: Any = None
    stage: Callable[[str], None] = _nothing
    usable: Callable[[], None] = _nothing


def backtest(history: SalesHistory, settings: BacktestSettings, hooks: Hooks | None = None) -> Backtest:
    """Compare ordering policies on a history of sales.

    Args:
        history: What is known of past sales.
        settings: What the user decided.
        hooks: Where to keep training state, and whom to tell of progress.

    Raises:
        InputError: The history, a setting or a user's policy cannot be used; the message says what to change.
    """
    hooks = hooks or Hooks()
    users = [load_policy(spec) for spec in (settings.policy or "").split(",") if spec]
    plan = plan_backtest(history, settings)

    hooks.stage("tuning the classical policies")
    participants = classical_participants(plan)
    participants |= {user.name: user_participant(user, plan) for user in users}
    baseline = best_classical(participants)
    hooks.stage("playing the test")
    trajectories, world_hash = play(plan, participants)
    hooks.usable()
    learned = None
    if settings.learn:
        hooks.stage("training DirectBackprop")
        learned = learn(plan, hooks)
        networks = learned_participants(learned, plan)
        runs, same = play(plan, networks)
        _refuse_other_world(world_hash, same)
        participants |= networks
        trajectories |= runs
    hooks.stage("solving for the clairvoyant")
    participants[CLAIRVOYANT], trajectories[CLAIRVOYANT] = bound(plan)

    hooks.stage("measuring")
    scoring = scoring_of(plan)
    columns = {"test": plan.split.seen, "unseen": plan.split.unseen}
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
    if np.isclose(totals[best], totals[baseline], rtol=1e-9):  # what rounding decides is no difference
        best = baseline
    groups = _by_group(plan, scoring, trajectories, participants, baseline)
    return Backtest(plan, participants, baseline, best, trajectories, scoring, rows, groups, learned, world_hash)


def learn(plan: Plan, hooks: Hooks) -> Learned:
    """Train DirectBackprop on training periods and seen products; an interrupted training goes on where it stopped."""
    settings, parts = plan.settings, plan.split
    agent = DirectBackprop(settings.learn, settings.seeds, discount=settings.discount, seed=settings.seed)
    return agent.learn(
        plan.panel, parts.train, parts.validate, parts.seen, window=WINDOW,
        checkpoint=hooks.checkpoint, metrics=hooks.metrics, progress=hooks.progress,
    )  # fmt: skip


def play(plan: Plan, participants: Mapping[str, Participant]) -> tuple[dict[str, Trajectory], str]:
    """Run every policy through the test on all products, and make sure that all faced the same world.

    Returns:
        The runs by policy, and the SHA-256 of the exogenous arrays.
    """
    world, products = plan.test(), np.arange(plan.panel.products)
    faced = exogenous_hash(start(world, products))
    trajectories = {}
    for name, participant in participants.items():
        if participant.build is not None:
            policy = participant.build(plan.panel, plan.split.validate)
            trajectories[name] = played(plan, world, policy, products, name)
            _refuse_other_world(faced, exogenous_hash(start(world, products)))
    return trajectories, faced


def _refuse_other_world(one: str, other: str) -> None:
    if one != other:
        raise RuntimeError("a policy changed the world that the others face")


def exogenous_hash(state: InventoryState) -> str:
    """Return the SHA-256 of everything in a state that no decision changes."""
    digest = hashlib.sha256()
    for array in (*state.paths, *state.context, *(rule for rule in state.rules if rule is not None)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def bound(plan: Plan) -> tuple[Participant, Trajectory]:
    """Return the policy that knows all of the test in advance, and its run."""
    world = plan.test()
    best = clairvoyant(world, start(world, np.arange(plan.panel.products)), plan.settings.discount)
    rule = "Knows the future: a linear program a product" + (
        ", without minimum orders and batches (an upper bound that may be out of reach)." if best.relaxed else "."
    )
    return Participant(CLAIRVOYANT, rule, "bound", {}, None, None), best.trajectory


def scoring_of(plan: Plan) -> Scoring:
    """Return how the test is scored. A block of time is as long as an order has effect: lead time and review."""
    panel, parts, settings = plan.panel, plan.split, plan.settings
    return Scoring(
        counts=scored(panel, parts.periods - parts.validate),
        cost=panel.cost[parts.validate :],
        economics=panel.economics,
        discount=settings.discount,
        block=panel.shares.shape[1],
        periods_per_year=panel.periods_per_year(),
        alpha=settings.alpha,
        seed=settings.seed,
    )


def _by_group(
    plan: Plan,
    scoring: Scoring,
    trajectories: dict[str, Trajectory],
    participants: dict[str, Participant],
    baseline: str,
) -> tuple[dict[str, Any], ...]:
    """Return each policy's paired difference from the baseline by product group."""
    panel, past = plan.panel, slice(plan.split.validate)
    known = np.where(panel.known[past], panel.demand[past], 0.0)
    groups = product_groups(known, np.median(panel.price[past], axis=0))
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
