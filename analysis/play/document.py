"""What ``sandtable play --json`` prints, and the table of games as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sandtable.analysis.play.games import LOST, GameRow
from sandtable.analysis.play.prepared import Prepared
from sandtable.analysis.play.settings import PlaySettings
from sandtable.analysis.play.statistics import Summary, summarise
from sandtable.envs.nethack.game import ENDS

SCHEMA = "sandtable.play/1"
QUANTITIES = {"score": "score", "return": "total", "length": "length", "turns": "turns", "depth": "depth"}
"""What is summarised, and what it is called in a ``GameRow``."""
COLUMNS = {
    "seed": "seed", "score": "score", "return": "total", "length": "length", "turns": "turns", "depth": "depth",
    "experience_level": "experience_level", "end": "end",
}  # fmt: skip
"""Of the table of games, likewise."""
FEW = 20
"""Games below which a warning says so."""


def document(
    settings: PlaySettings, prepared: Prepared, rows: Sequence[GameRow], games_file: str, report: str
) -> dict[str, Any]:
    """Return the document; NaN and None stand for null.

    Args:
        settings: What the user decided.
        prepared: The environment and the policy.
        rows: The games, by seed.
        games_file: Where the table of games is.
        report: Where the report is.
    """
    finished = [row for row in rows if not row.lost]
    steps, cpu = sum(row.length or 0 for row in finished), sum(row.cpu_seconds for row in rows)
    said = [row.reproducible for row in finished if row.reproducible is not None]
    return {
        "schema": SCHEMA,
        "env": prepared.choice.id,
        "arguments": prepared.choice.told,
        "policy": prepared.policy,
        "games": len(rows),
        "lost": len(rows) - len(finished),
        "seeds": [rows[0].seed, rows[-1].seed],
        **{name: _of(summary) for name, summary in summaries(finished, settings.alpha).items()},
        "end": ends(rows, prepared.nethack),
        "reproducible": all(said) if said else None,
        "steps": steps,
        "steps_per_cpu_second": steps / cpu if cpu > 0 else None,
        "versions": prepared.versions,
        "games_file": games_file,
        "warnings": warnings(settings, prepared, rows),
        "report": report,
    }


def summaries(finished: Sequence[GameRow], alpha: float) -> dict[str, Summary | None]:
    """Return the summary of each quantity; None of those that the environment does not tell."""
    told = {}
    for name, attribute in QUANTITIES.items():
        values = [value for row in finished if (value := getattr(row, attribute)) is not None]
        told[name] = summarise(values, alpha) if values else None
    return told


def _of(summary: Summary | None) -> dict[str, Any] | None:
    """Return a summary as the document has it."""
    if summary is None:
        return None
    return {
        "mean": summary.mean, "se": summary.se, "ci": list(summary.ci), "median": summary.median,
        "median_ci": list(summary.median_ci), "q10": summary.q10, "q90": summary.q90, "max": summary.max,
    }  # fmt: skip


def ends(rows: Sequence[GameRow], nethack: bool) -> dict[str, int]:
    """Return how many games ended in which way: of NetHack in all its ways, else in those that occurred."""
    counted = Counter(row.end for row in rows)
    names = ENDS if nethack else ("terminated", "truncated", "step_limit", LOST)
    shown = {name: counted.pop(name, 0) for name in names}
    kept = {name: count for name, count in shown.items() if nethack or count or name in ("terminated", LOST)}
    return kept | dict(sorted(counted.items()))


def warnings(settings: PlaySettings, prepared: Prepared, rows: Sequence[GameRow]) -> list[dict[str, str]]:
    """Return what makes the numbers less than they seem, each with a code."""
    lost, finished = [row for row in rows if row.lost], [row for row in rows if not row.lost]
    told = []
    if lost:
        first = ", ".join(str(row.seed) for row in lost[:5]) + (", ..." if len(lost) > 5 else "")
        reasons = "; ".join(dict.fromkeys(row.reason for row in lost[:100]))
        told.append(("lost_games", f"{len(lost)} of {len(rows)} games were lost and are in no mean (seeds {first}): "
                     f"{reasons}"))  # fmt: skip
    if len(finished) < FEW:
        told.append(("few_games", f"{_games(len(finished))}: too few for intervals to be narrow or quite right"))
    if len(finished) > 1 and len({(row.total, row.length) for row in finished}) == 1:
        told.append(("equal_games", "all games came out the same, so more of them tell no more"))
    cut = sum(row.end == "step_limit" for row in finished)
    if cut and (prepared.nethack or settings.max_steps is not None):
        told.append(("cut_games", f"{_games(cut)} cut by the limit of steps: how they would have gone on is not known"))
    if any(row.reproducible is False for row in finished):
        told.append(("not_reproducible", "the environment says that the seeds do not decide everything: another run of "
                     "these games may come out differently"))  # fmt: skip
    return [{"code": code, "message": message} for code, message in told]


def _games(count: int) -> str:
    return f"{count} game{'s' * (count != 1)}"


def answer(document: dict[str, Any], alpha: float) -> str:
    """Return the outcome in one sentence."""
    name = "return" if document["score"] is None else "score"
    told, finished = document[name], document["games"] - document["lost"]
    if told is None:
        return f"No game of {document['games']} was played to its end."
    return (
        f"Mean {name} {number(told['mean'])}{_ends(told['ci'])}, median {number(told['median'])}"
        f"{_ends(told['median_ci'])}, of {document['policy']} in {_games(finished)} of {document['env']} "
        f"({1 - alpha:.0%} intervals)."
    )


def _ends(ends: list[float]) -> str:
    return "" if any(end != end for end in ends) else f" [{number(ends[0])}, {number(ends[1])}]"


def number(value: float) -> str:
    """Return a number with four digits, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def games_csv(rows: Sequence[GameRow]) -> str:
    """Return the table of games; empty cells are not known."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow([_cell(getattr(row, attribute)) for attribute in COLUMNS.values()])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return whole numbers without a point, and others in full."""
    if value is None:
        return ""
    return int(value) if isinstance(value, float) and value.is_integer() else value
