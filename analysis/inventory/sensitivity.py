"""What other assumptions would have changed: the backtest repeated with one of them moved at a time."""

from dataclasses import replace
from typing import Any

import numpy as np

from sandtable.analysis.inventory.backtest import Backtest, play, scoring_of
from sandtable.analysis.inventory.participants import LEARNED, best_classical, classical_participants
from sandtable.analysis.inventory.plan import plan_backtest
from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.history import SalesHistory


def sensitivity(history: SalesHistory, result: Backtest) -> tuple[dict[str, Any], ...]:
    """Repeat the backtest with other margins, lead times and holding rates, one at a time.

    The classical policies are tuned anew under each assumption; the learned policy stays as it is. An assumption that
    the file makes needless (it gives all costs, or all lead times) is left out.

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
    changes += [("holding_rate", settings.holding_rate * factor) for factor in (0.5, 2.0) if settings.holding_rate]
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
    plan = plan_backtest(history, settings)
    participants = classical_participants(plan)
    baseline = best_classical(participants)
    shown = {baseline, result.best} | ({LEARNED} if result.learned else set())
    trajectories, _ = play(plan, {one: participants.get(one, result.participants[one]) for one in sorted(shown)})
    scoring = scoring_of(plan)
    reference = scoring.profit(trajectories[baseline])
    everything = np.arange(plan.panel.products)
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
