"""The answer of a fit of scaling laws, in words."""

import numpy as np

from sandtable.analysis.scaling.fit_runs import Fit, ScalingLaws
from sandtable.analysis.scaling.laws import LAWS

_SIZES = {"parameters": "parameters", "data": "of data"}
WHAT = {"compute": "power law of compute", "return": "law of return by loss", "minima": "lines through minima"}


def chosen(found: ScalingLaws) -> Fit:
    """Return the fit that the answer names: the first in the order of ``LAWS`` that converged and is determined.

    The rule looks at no estimate; where no law is determined the first one is named.
    """
    main = sorted((fit for fit in found.fits if fit.main), key=lambda fit: LAWS.index(fit.job.law))
    sound = [fit for fit in main if fit.result.converged and np.isfinite(fit.result.conf_int().to_numpy()).all()]
    return (sound or main)[0]


def answer(found: ScalingLaws) -> str:
    """Return the outcome in a sentence or two: of the chosen law, for every group that has it."""
    law = chosen(found).job.law
    return " ".join(_sentence(fit, found.settings.level) for fit in found.of(law) if fit.main)


def _sentence(fit: Fit, level: float) -> str:
    result, ends = fit.result, fit.result.conf_int()

    def told(name: str) -> str:
        low, high = ends.loc[name].to_numpy()
        return with_ends(float(result.params[name]), float(low), float(high), digits=3)

    runs = fit.job.runs
    source = f"{len(np.unique(runs.column('run')))} curves" if fit.job.law == "approach1" else f"{len(runs):,} runs"
    by = f"by {WHAT.get(fit.job.law, fit.job.law)} from {source} ({level:.0%} intervals)"
    if "N_exponent" in result.names:
        text = f"optimal parameters grow as compute to the power {told('N_exponent')}, {by}"
    elif "exponent" in result.names:
        cause = "the inverse of the loss" if fit.job.law == "return" else "compute"
        response = {"returns": "return"}.get(fit.job.response, fit.job.response)
        offset = f", above an offset of {told('offset')}" if "offset" in result.names else ""
        text = f"{response} goes as {cause} to the power {told('exponent')}{offset}, {by}"
    else:
        lines = [name for name in result.names if name.endswith("_exponent")]
        name = lines[0] if lines else result.names[-1]  # of lines through minima, else delta
        what = f"the {name.removesuffix('_exponent')} of minima goes as compute to the power" if lines else f"{name} is"
        text = f"{what} {told(name)}, {by}"
    if fit.job.group:
        return f"In {fit.job.group}, {text}{_forecast(fit)}."
    return f"{text[0].upper()}{text[1:]}{_forecast(fit)}."


def _forecast(fit: Fit) -> str:
    """Return what the largest budget that is foretold should buy."""
    if not fit.optimum:
        return ""
    flops = max(fit.optimum)
    row = {}
    for name, (value, low, high) in fit.optimum[flops].items():
        if np.isfinite(value):
            row[name] = with_ends(float(value), float(low), float(high), digits=3)
    sizes = [f"{row[name]} {words}" for name, words in _SIZES.items() if name in row]
    parts = [" on ".join(sizes)] if sizes else []
    parts += [f"a loss of {row['loss']}"] if "loss" in row else []
    return f"; for {number(flops)} FLOP it foretells {', and '.join(parts)}" if parts else ""


def with_ends(value: float, low: float, high: float, digits: int = 4) -> str:
    """Return an estimate with its interval, where that is known."""
    told, *ends = (number(one, digits) for one in (value, low, high))
    return f"{told} [{ends[0]}, {ends[1]}]" if np.isfinite(low) or np.isfinite(high) else told


def number(value: float, digits: int = 4) -> str:
    """Return significant digits, with a power of ten for the large and small, and a true minus sign."""
    if not np.isfinite(value):
        return "?"
    text = f"{value:.{digits}g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2e}"
    if "e" in text:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return text.replace("-", "−")
