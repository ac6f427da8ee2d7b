"""Figures of a grading: pass@k with its intervals, and how the prompts differ."""

import numpy as np

from sandtable.analysis.figures import COLOURS, house_style, new_figure, to_svg
from sandtable.analysis.language.results import Graded
from sandtable.analysis.report import Figure


def pass_curve(found: Graded) -> Figure:
    """Return pass@k against k, with the intervals where there are any."""
    rows = [one for one in found.pass_at if one.prompts]
    ks, values = np.array([one.k for one in rows]), np.array([one.estimate for one in rows])
    low, high = np.array([one.ci for one in rows]).T
    with house_style():
        figure, axes = new_figure()
        if np.isfinite(low).all():
            axes.fill_between(ks, low, high, color=COLOURS[0], alpha=0.18, linewidth=0, label="95% interval")
            axes.errorbar(ks, values, yerr=[values - low, high - values], fmt="none", ecolor=COLOURS[0], capsize=2.5)
        axes.plot(ks, values, color=COLOURS[0], linestyle="-", marker="o", label="pass@k")
        axes.set_xscale("log")
        axes.set_xticks(ks, [f"{k}" for k in ks])
        axes.minorticks_off()
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("k, completions that may be tried")
        axes.set_ylabel("prompts solved")
        axes.legend(loc="best")
    words = ", ".join(f"{one.estimate:.1%} for k = {one.k}" for one in rows)
    caption = (
        "How likely one of k completions passes, averaged over prompts: what choosing among k could gain at most. "
        "Points at larger k are of the prompts that have as many completions."
    )
    return Figure(caption, to_svg(figure, "pass@k", f"pass@k is {words}."))


def prompts_histogram(found: Graded) -> Figure:
    """Return how many prompts have which share of their completions passed."""
    shares = found.passed / found.n
    never, always = int((shares == 0).sum()), int((shares == 1).sum())
    with house_style():
        figure, axes = new_figure(height=2.6)
        axes.hist(shares, bins=np.linspace(0, 1, 21), color=COLOURS[0], edgecolor="white", linewidth=0.5)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("completions of the prompt that passed")
        axes.set_ylabel("prompts")
    caption = (
        "Prompts by the share of their completions that passed. Choosing among them gains nothing where none passed "
        f"({never:,} prompts), nor where all did ({always:,})."
    )
    return Figure(caption, to_svg(figure, "Prompts by difficulty", caption))
