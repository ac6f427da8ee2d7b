"""Who takes part in a backtest: classical policies with what tuning chose, a user's own, and the learned one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandtable.agents.inventory.candidates import classical_candidates, tune
from sandtable.agents.inventory.direct_backprop import Learned
from sandtable.agents.inventory.policy import OrderingPolicy
from sandtable.agents.inventory.user_policy import UserPolicy
from sandtable.analysis.inventory.plan import WINDOW, Plan, played
from sandtable.analysis.inventory.protocol import accrued_profit, scored
from sandtable.simulators.inventory.panel import Panel

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


def classical_participants(plan: Plan) -> dict[str, Participant]:
    """Tune the classical policies on training periods and seen products, and score them on validation."""
    panel, parts, world = plan.panel, plan.split, plan.training()
    participants = {}
    for candidate in classical_candidates(panel, parts.train, WINDOW, parts.seen):
        tuned = tune(candidate, panel, parts.train, parts.seen, world, plan.settings.discount)

        def build(panel: Panel, history: int, build: Any = candidate.build, chosen: Any = tuned.settings) -> Any:
            return build(panel, history, **chosen)

        validation = validation_profit(plan, tuned.policy, tuned.name)
        participants[tuned.name] = Participant(tuned.name, tuned.rule, "classical", tuned.settings, build, validation)
    return participants


def user_participant(user: UserPolicy, plan: Plan) -> Participant:
    """Return a user's policy, scored on validation."""
    profit = validation_profit(plan, user, user.name)
    return Participant(user.name, "Your policy.", "user", {}, lambda panel, history: user, profit)


def learned_participants(learned: Learned, plan: Plan) -> dict[str, Participant]:
    """Return the learned policy, scored on validation, and as a control the same network before training."""
    profit = validation_profit(plan, learned.policy, LEARNED)
    rule = "A network that learned to order by backpropagation through the simulator (arXiv 2210.03137)."
    before = "The same network before training."
    chosen = {"updates": learned.best_step, "network": learned.replica}
    return {
        LEARNED: Participant(LEARNED, rule, "learned", chosen, lambda panel, history: learned.policy, profit),
        UNTRAINED: Participant(UNTRAINED, before, "control", {}, lambda panel, history: learned.untrained, None),
    }


def validation_profit(plan: Plan, policy: OrderingPolicy, name: str) -> float:
    """Return a policy's scored profit on the validation periods, seen products."""
    parts, panel = plan.split, plan.panel
    run = played(plan, plan.validation(), policy, parts.seen, name)
    cost = panel.cost[parts.train : parts.validate, parts.seen]
    profit = accrued_profit(run, cost, panel.economics, plan.settings.discount)
    return float((profit * scored(panel, len(cost))[:, parts.seen]).sum())


def best_classical(participants: dict[str, Participant]) -> str:
    """Return the classical policy with the highest validation profit."""
    classical = {name: one.validation for name, one in participants.items() if one.kind == "classical"}
    return max(classical, key=lambda name: classical[name] or 0.0)
