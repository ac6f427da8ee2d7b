"""The report of an evaluation: the answer and the regime first, then what a scientist needs to check them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sandtable.analysis.ope import figures
from sandtable.analysis.ope.evaluate import Evaluation, answer, number
from sandtable.analysis.ope.overlap import logged_weights
from sandtable.analysis.report import Block, Column, Interval, KeyFigure, Note, Report, Section, Table
from sandtable.estimators.ope.linear.verdict import Verdict
from sandtable.estimators.ope.value_estimate import ValueEstimate

NAMES = {
    "lstd": "least-squares temporal differences",
    "fqi": "fitted Q-iteration, linear",
    "td": "expected temporal differences",
    "brm": "Bellman-residual minimisation",
    "minimax": "minimax weights",
    "model": "certainty-equivalent model",
    "is": "importance sampling",
    "wis": "weighted importance sampling",
    "pdis": "per-decision importance sampling",
    "wpdis": "weighted per-decision importance sampling",
    "dr": "doubly robust",
    "wdr": "weighted doubly robust",
    "magic": "MAGIC, a blend of model and WDR",
    "fqe": "fitted Q evaluation, networks",
}
INTERVALS = {
    "hc0": "rows",
    "cluster": "sums over episodes",
    "episode_bootstrap": "episodes resampled, fitted anew",
    "one_step_bootstrap": "episodes resampled, to first order",
    "none": "none",
}
LARGEST = 1e9
"""Beyond it a value is no longer written out in a table."""


def evaluation_report(result: Evaluation, document: Mapping[str, Any], provenance: Mapping[str, Any]) -> Report:
    """Return the report.

    Args:
        result: The evaluation.
        document: What ``--json`` prints; readers can save it.
        provenance: What the numbers come from.
    """
    log, covered = result.prepared.log, result.overlap
    size = f"{len(log):,} rows"
    return Report(
        title="Off-policy evaluation",
        question=(
            f"What would {_policy(result)} earn, judged by "
            + (f"{len(log):,} transitions" if log.independent else f"{log.episodes:,} episodes ({size})")
            + " that another policy logged?"
        ),
        answer=f"{answer(result)} {result.regime}",
        sections=[
            _estimates(result),
            *([] if result.verdict is None else [_regime(result, result.verdict), _dependence(result)]),
            _overlap(result),
            _assumptions(result),
            _method(result),
        ],
        provenance=provenance,
        data=document,
        key_figures=[
            *([] if result.verdict is None else _regime_figures(result.verdict)),
            KeyFigure(
                "Effective sample size",
                _figure(covered.effective_sample_size) or "not known",
                "transitions" if log.independent else f"of {log.episodes:,} episodes",
            ),
        ],
    )


def _regime_figures(found: Verdict) -> list[KeyFigure]:
    """Return the regime in three figures."""
    told = found.diagnostics
    return [
        KeyFigure("Regime", str(told.regime), "" if found.regime_certain else "not certain"),
        KeyFigure("Spectral radius", f"{told.spectral_radius:.3g}", "FQI converges below 1"),
        KeyFigure("Smallest singular value", f"{told.smallest_singular_value:.3g}", "LSTD is determined above 0"),
    ]


def _policy(result: Evaluation) -> str:
    """Return what the target policy is called."""
    spec = result.settings.target
    return {"columns": "the target policy of the log", "uniform": "the uniform policy"}.get(spec, f"the policy {spec}")


def decimals(values: list[float]) -> int:
    """Return decimal places that show four digits of typical values."""
    sizes = [abs(value) for value in values if np.isfinite(value) and 0 < abs(value) < LARGEST]
    return int(np.clip(3 - np.floor(np.log10(np.median(sizes))), 0, 8)) if sizes else 3


def _cell(one: ValueEstimate, alpha: float) -> Interval | None:
    """Return an estimate for a table; None where it is none, or too large to be written out."""
    if not np.isfinite(one.value) or abs(one.value) > LARGEST:
        return None
    low, high = one.conf_int(alpha)
    return Interval(one.value, low, high)


def _remark(one: ValueEstimate) -> str:
    """Return what is to be known of an estimate."""
    huge = f"{number(one.value)}; " if np.isfinite(one.value) and abs(one.value) > LARGEST else ""
    return f"{huge}{one.reason}"


def _estimates(result: Evaluation) -> Section:
    """Return what each estimator says."""
    alpha, level = result.settings.alpha, f"{1 - result.settings.alpha:.0%}"
    places = decimals([one.value for one in result.estimates])
    ran = [one for one in result.estimates if one.status != "not run"]
    blocks: list[Block] = []
    drawn = figures.estimates(result)
    if drawn is not None:
        blocks.append(drawn)
    blocks.append(
        Table(
            f"Estimates of the value, with {level} intervals",
            [Column("estimator"), Column("value", "number", places), Column("interval from"), Column("status"),
             Column("what it is")],
            [
                (one.estimator.upper(), _cell(one, alpha), INTERVALS[one.interval], one.status, NAMES[one.estimator])
                for one in ran
            ],
            note="The value is the expected sum of discounted rewards from the start of an episode; it is not "
            "normalised by 1 − discount.",
        )
    )  # fmt: skip
    remarks = [(one.estimator.upper(), _remark(one)) for one in ran if _remark(one)]
    if remarks:
        blocks.append(Table("What is to be known of them", [Column("estimator"), Column("remark")], remarks))
    idle: dict[str, list[str]] = {}
    for one in result.estimates:
        if one.status == "not run":
            idle.setdefault(one.reason, []).append(one.estimator.upper())
    if idle:
        reasons = [(", ".join(names), reason) for reason, names in idle.items()]
        blocks.append(Table("Estimators that this log does not serve", [Column("estimator"), Column("why")], reasons))
    if result.intervals:
        rows = [(INTERVALS[one.interval], _cell(one, alpha), one.se) for one in result.intervals]
        numbers = [Column(name, "number", places) for name in ("value", "standard error")]
        columns = [Column("interval from"), *numbers]
        note = (
            "Rows: right if the value is linear in the features, so that errors of different rows are uncorrelated. "
            "Episodes: right also where it is not. Where the two differ much, the features miss something."
        )
        blocks.append(Table(f"LSTD by four kinds of {level} interval", columns, rows, note=note))
    why = result.doubt
    chosen = {
        None: f"No estimator is named in the answer: {why}, and the weights leave fewer than ten effective episodes.",
        "lstd": "The answer names LSTD, as it is consistent in this regime.",
    }.get(result.chosen, f"The answer names a weighted estimate, as {why}.")
    text = f"{chosen} The rule does not look at the values."
    if result.verdict is None:
        text += f" There is no spectrum, and there are no curves, for {result.prepared.reason}."
    return Section("Estimates", text, blocks)


def _regime(result: Evaluation, found: Verdict) -> Section:
    """Return what the log can tell, and the spectrum."""
    told = found.diagnostics
    ends = found.spectral_radius_ci
    rows = [
        ("spectral radius of A", Interval(told.spectral_radius, *ends), "below 1: FQI converges, whatever the reward"),
        (
            "smallest singular value of 1 − A",
            Interval(told.smallest_singular_value, *found.smallest_singular_value_ci),
            "above 0: LSTD is consistent",
        ),
        ("norm of A", told.norm, "below 1: contractive"),
        ("largest eigenvalue of the symmetric part", told.symmetric_part, "below 1: symmetric stable"),
        ("distribution shift", told.distribution_shift, "below 1 / discount²: low distribution shift"),
        ("rank of the features", float(told.rank), f"of {result.prepared.features_count}"),
        ("condition number of the system", told.condition_g, "digits that LSTD loses, as a power of ten"),
        ("condition number of the covariance", told.condition_covariance, "digits that a regression loses"),
        ("Lyapunov norm", told.lyapunov_norm, "how much errors grow before they decay"),
        ("iterations to 1e-6", float(told.iterations), "of FQI, to a millionth of the first error"),
        ("coverage", told.coverage, "variance of LSTD's value by one row of unit error, times (1 − discount)²"),
    ]
    stable = "TD(0) converges for small steps." if told.td_stable else "TD(0) diverges, however small its steps."
    return Section(
        "What the log can tell",
        f"{found.sentences[1]} {stable}\n\n{found.assumption}",
        [
            figures.spectrum(result),
            Table(
                "Diagnostics",
                [Column("quantity"), Column("value"), Column("what it says")],
                [(name, _figure(value), meaning) for name, value, meaning in rows],
                note="In brackets: intervals from resampled episodes."
                + (f" Of the moments with the ridge of {found.ridge:g}." if found.ridge else ""),
            ),
        ],
    )


def _figure(value: Any) -> str | None:
    """Return a diagnostic as text, with its interval where it has one; None where it is not known."""
    if value is None:
        return None
    if isinstance(value, Interval):
        return f"{_figure(value.value)} [{_figure(value.low)}, {_figure(value.high)}]"
    if np.isinf(value):
        return "∞"
    return None if np.isnan(value) else number(value)


def _dependence(result: Evaluation) -> Section:
    """Return how the estimate depends on what one chose."""
    drawn = [figures.iterations(result), figures.ridge(result), figures.size(result)]
    text = "" if any(drawn) else "No start is known, or no estimate: there is nothing to draw."
    return Section("What the estimate depends on", text, [one for one in drawn if one is not None])


def _overlap(result: Evaluation) -> Section:
    """Return how well the log covers the target policy."""
    covered, log = result.overlap, result.prepared.log
    unit = "independent rows" if log.independent else "episodes"
    facts = [
        ("effective sample size of the weights", _figure(covered.effective_sample_size), f"of {log.episodes:,} {unit}"),
        ("largest weight", _figure(covered.max_weight), "1 where the policies agree"),
        (
            "target policy's probability on actions the log never shows",
            None if np.isnan(covered.unsupported_mass) else f"{covered.unsupported_mass:.1%}",
            "of them the log tells nothing",
        ),
        ("rows whose logged action the target never takes", _share(covered.off_target_rows), "they get weight 0"),
        ("rows with behaviour probability 0", f"{covered.zero_behaviour_rows:,}", "of an action that was yet taken"),
    ]
    blocks: list[Block] = []
    drawn = figures.overlap(result, logged_weights(log))
    if drawn is not None:
        blocks.append(drawn)
    blocks.append(Table("Overlap of the policies", [Column("quantity"), Column("value"), Column("meaning")], facts))
    text = "" if drawn is not None else "The weights of episodes are not known: " + _why_no_weights(result)
    return Section("Overlap", text, blocks)


def _share(value: float) -> str | None:
    return None if np.isnan(value) else f"{value:.1%}"


def _why_no_weights(result: Evaluation) -> str:
    reason = result.estimate("is").reason
    return f"{reason}." if reason else "see the estimators that this log does not serve."


def _assumptions(result: Evaluation) -> Section:
    """Return what was taken for granted, in plain words."""
    settings, log, prepared = result.settings, result.prepared.log, result.prepared
    kind = "pairs of state and action" if settings.value == "q" else "states"
    linear = [
        f"The value of {kind} is linear in {prepared.features_count:,} features ({prepared.features}).",
        "What happens next depends on the observation and the action alone, in the same way in the whole log.",
        "After a termination nothing follows. After a truncation the world goes on, and the estimate with it; "
        f"{int(log.terminated.sum()):,} rows are terminated and {int(log.truncated.sum()):,} truncated.",
    ]
    weighted = [
        "An episode is worth what the log shows of it: no value is put in the place of what a truncation cut off; "
        f"{int(log.truncated.sum()):,} episodes are truncated.",
    ]
    lines = [
        *(weighted if result.verdict is None else linear),
        "Episodes start as the log's do."
        if prepared.initial == "log"
        else "Episodes start as the features that were given for the starts say.",
        {
            "logged": "The behaviour policy's probabilities are those of the log, where they are there.",
            "estimate": "The behaviour policy's probabilities were estimated, each on other episodes than its own; the "
            "intervals do not know of their error.",
        }[settings.behaviour],
        "Rows are independent draws." if log.independent else "Episodes are independent of one another.",
    ]
    if settings.value == "v" and result.verdict is not None:
        lines.append("Rows are weighted by the ratio of the policies' probabilities of the logged action.")
    if settings.ridge and result.verdict is not None:
        lines.append(f"A ridge of {settings.ridge:g} was added to the diagonal of the mean covariance.")
    blocks: list[Block] = [Note(line) for line in lines]
    if result.warnings:
        blocks.append(Table("Warnings", [Column("what was assumed, mended, or is not known")],
                            [(line,) for line in result.warnings]))  # fmt: skip
    return Section("What was assumed", blocks=blocks)


def _method(result: Evaluation) -> Section:
    """Return how it was done, for who wants to check."""
    settings = result.settings
    if result.verdict is None:
        text = (
            "Each step of an episode has the ratio of the policies' probabilities of its action, and an episode the "
            "product of them. Intervals are those of means over episodes, linearised where the estimate is a ratio of "
            "sums."
        )
        return Section("How it was done", text)
    text = (
        "All linear estimators are computed from the same sums over rows: the covariance of the features, their "
        "cross-covariance with the mean features of what follows under the target policy, and their products with the "
        "reward. LSTD, the limits of FQI and of temporal differences, minimax weights and the certainty-equivalent "
        "model solve the same system, so they agree wherever they exist; what differs is when they do.\n\n"
        f"The regime's intervals come from resampled episodes (up to {settings.bootstrap} times) with seed "
        f"{settings.seed}. Doubly robust estimates fit their model to other episodes than they correct."
    )
    return Section("How it was done", text)
