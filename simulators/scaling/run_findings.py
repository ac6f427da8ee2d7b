"""What a table of runs shows that a user should know before believing a fit of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandtable.simulators.scaling.run_columns import name_rows
from sandtable.simulators.scaling.runs import Finding, Runs

MISMATCH = 1.25  # C over k N D, either way, from which the two are said to disagree
LEAP = 1000.0  # between neighbouring values of one column, from which its units are said to be mixed
SCHEDULE = 0.05  # of the planned data, by which a run's data may differ from it


def found_in(runs: Runs, flops_factor: float, given: Sequence[str]) -> list[Finding]:
    """Return what the runs show; ``given`` are the columns that the file has, without those that were computed."""
    findings = _mixed_units(runs, given)
    if {"parameters", "data", "flops"} <= set(given):
        odd = set(findings[0].rows) if findings else set()
        findings += _flops_mismatch(runs, flops_factor, odd)
    return findings + _mixed_schedule(runs) + _repeated_data(runs) + _same_run_twice(runs)


def flops_ratio(runs: Runs, flops_factor: float) -> np.ndarray:
    """Return C over k N D, [n]: 1 where the two agree."""
    return runs.column("flops") / (flops_factor * runs.column("parameters") * runs.column("data"))


def _lines(runs: Runs, mask: np.ndarray) -> tuple[int, ...]:
    return tuple(sorted(int(row) for row in runs.rows[mask]))


def _flops_mismatch(runs: Runs, flops_factor: float, odd: set[int]) -> list[Finding]:
    ratio = flops_ratio(runs, flops_factor)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = (np.abs(np.log(ratio)) > np.log(MISMATCH)) & ~np.isin(runs.rows, list(odd))
    if not off.any():
        return []
    rows = _lines(runs, off)
    message = (
        f"flops are {np.nanmin(ratio[off]):.3g} to {np.nanmax(ratio[off]):.3g} times {flops_factor:g} x parameters x "
        f"data in {name_rows(rows)}; they are used as given, so make sure that all three count the same"
    )
    return [Finding("flops_mismatch", message, rows)]


def _mixed_units(runs: Runs, given: Sequence[str]) -> list[Finding]:
    """Two clusters of values with a factor of a thousand or more between them are two units, or worth a look."""
    for name in ("parameters", "parameters_non_embedding", "data", "flops"):
        if name not in given:
            continue
        values = runs.column(name)
        ordered = np.sort(values[np.isfinite(values)])
        if len(ordered) < 3:
            continue
        leaps = ordered[1:] / ordered[:-1]
        widest = int(np.argmax(leaps))
        if leaps[widest] >= LEAP:
            below = values <= ordered[widest]
            fewer = below if below.sum() * 2 <= len(values) else ~below
            rows = _lines(runs, fewer)
            message = (
                f"{name} leaps by a factor of {leaps[widest]:.3g} between neighbouring values, so {name_rows(rows)} "
                f"may be in another unit; nothing was rescaled"
            )
            return [Finding("mixed_units", message, rows)]
    return []


def _mixed_schedule(runs: Runs) -> list[Finding]:
    if runs.data_planned is None or runs.data is None:
        return []
    off = np.abs(runs.data / runs.data_planned - 1) > SCHEDULE
    if not off.any():
        return []
    rows = _lines(runs, off)
    message = (
        f"{name_rows(rows)}: the data seen is not that at the end of the learning-rate schedule (data_planned); losses "
        f"read in the middle of a schedule are higher than those at its end"
    )
    return [Finding("mixed_schedule", message, rows)]


def _repeated_data(runs: Runs) -> list[Finding]:
    if runs.data_unique is None or runs.data is None:
        return []
    repeated = runs.data > runs.data_unique * (1 + 1e-9)
    if not repeated.any():
        return []
    rows = _lines(runs, repeated)
    epochs = float(np.nanmax(runs.data[repeated] / runs.data_unique[repeated]))
    message = (
        f"{name_rows(rows)}: data were seen up to {epochs:.3g} times, and the laws count repeated data as new"
    )
    return [Finding("repeated_data", message, rows)]


def _same_run_twice(runs: Runs) -> list[Finding]:
    """Return runs of one seed that agree in everything but what was measured."""
    if runs.seed is None:
        return []
    names = ("group", "budget", "run", "seed", "parameters", "data", "flops")
    known: list[list[Any]] = [getattr(runs, name).tolist() for name in names if getattr(runs, name) is not None]
    places: dict[tuple[Any, ...], list[int]] = {}
    for row, key in zip(runs.rows.tolist(), zip(*known, strict=True), strict=True):
        places.setdefault(key, []).append(row)
    rows = tuple(sorted(row for same in places.values() if len(same) > 1 for row in same))
    if not rows:
        return []
    message = f"{name_rows(rows)} agree in seed and in all but what was measured; each is used as a run of its own"
    return [Finding("duplicate_rows", message, rows)]
