"""How a law changes with the runs it is fitted to: without the smallest budgets, the largest one, the outer sizes.

A law that holds over the whole range gives nearly the same parameters on a part of it. Exponents of language models and
of NetHack agents moved by a fifth with the window (arXiv 2307.09423's runs give an exponent of .48 above 1e16 FLOP and
.56 above 1e17), so what depends on the window is told, always.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from sandtable.estimators.scaling.law_result import LawResult
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs import Runs, split_budgets

MOST_DROPPED = 3
"""Of the smallest budgets, how many are left out at most, one after another."""

FEWEST_BUDGETS = 3
_FEWEST_SIZES = 5  # of a budget, from which on the outer ones can be left out


class Sensitivity(NamedTuple):
    """A law without some of its runs.

    Attributes:
        dropped: What was left out, in words.
        runs: How many runs that leaves.
        params: Of the law fitted to the others, by name; NaN where it could not be fitted.
    """

    dropped: str
    runs: int
    params: pd.Series


def sensitivity(fit: Callable[[Runs], LawResult], runs: Runs, names: tuple[str, ...]) -> list[Sensitivity]:
    """Fit a law again without the smallest budgets, the largest one, and the sizes far from the middle.

    Args:
        fit: Returns the law of runs; no interval is needed.
        runs: What it was fitted to. Without flops (a law of return by loss) runs at either end of the loss go.
        names: Of the parameters.
    """
    return [Sensitivity(what, int(kept.sum()), _params(fit, runs, kept, names)) for what, kept in windows(runs)]


def windows(runs: Runs) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what is left out, in words, and which runs stay, bool [n]."""
    if runs.flops is None or not np.isfinite(runs.flops).all():
        loss = runs.column("loss")
        if len(runs) > FEWEST_BUDGETS:
            yield "the run of the greatest loss", loss < loss.max()
            yield "the run of the least loss", loss > loss.min()
        return
    flops = runs.flops
    if runs.run is not None and len(np.unique(runs.run)) < len(runs):
        yield from _parts_of_curves(flops)
        return
    budgets = runs.budget if runs.budget is not None else split_budgets(flops)
    order = np.unique(budgets)
    for count in range(1, min(MOST_DROPPED, len(order) - FEWEST_BUDGETS) + 1):
        kept = ~np.isin(budgets, order[:count])
        yield _words("smallest", count, flops[~kept]), kept
    if len(order) > FEWEST_BUDGETS:
        kept = budgets != order[-1]
        yield _words("largest", 1, flops[~kept]), kept
    if runs.parameters is not None:
        kept = inner_sizes(runs.parameters, budgets)
        if not kept.all():
            yield "the outer sizes of every budget", kept


def _parts_of_curves(flops: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the upper and the lower two thirds of the compute, in logs, that training curves span."""
    low, high = np.log(flops.min()), np.log(flops.max())
    for below, end in ((True, low + (high - low) / 3), (False, high - (high - low) / 3)):
        kept = np.log(flops) >= end if below else np.log(flops) <= end
        told = f"{np.exp(end):.3g} FLOP".replace("e+", "e")
        yield f"the {'lower' if below else 'upper'} third of compute ({'below' if below else 'above'} {told})", kept


def _words(which: str, count: int, flops: np.ndarray) -> str:
    budgets = "budget" if count == 1 else f"{count} budgets"
    end = f"{flops.max() if which == 'smallest' else flops.min():.3g}".replace("e+", "e")
    return f"the {which} {budgets} ({'up to ' if count > 1 else ''}{end} FLOP)"


def inner_sizes(parameters: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Return which runs have a size in the inner half of their budget's range in ln N, bool [n].

    Budgets of fewer than five sizes, or of which fewer than three would stay, are kept whole.
    """
    kept, logs = np.ones(len(parameters), bool), np.log(parameters)
    for budget in np.unique(budgets):
        here = budgets == budget
        low, high = logs[here].min(), logs[here].max()
        inner = np.abs(logs - (low + high) / 2) <= (high - low) / 4 + 1e-9
        many = len(np.unique(parameters[here])) >= _FEWEST_SIZES
        if many and len(np.unique(parameters[here & inner])) >= 3:
            kept &= ~here | inner
    return kept


def _params(fit: Callable[[Runs], LawResult], runs: Runs, kept: np.ndarray, names: tuple[str, ...]) -> pd.Series:
    try:
        return fit(runs.select(kept)).params.reindex(list(names))
    except (InputError, ValueError, np.linalg.LinAlgError):
        return pd.Series(np.nan, index=list(names))
