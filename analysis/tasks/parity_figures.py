"""The figures of the study of hidden progress, as readers of arXiv 2207.08799 know them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sandtable.analysis.figures import COLOURS, INK, LINE_STYLES, MARKERS, SOFT, house_style, new_figure, to_svg
from sandtable.analysis.report import Block, Figure
from sandtable.analysis.tasks.parity_tables import (
    architecture_table,
    gap_table,
    law_table,
    size_laws,
    times_of,
    times_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.store import Run

TRACES = 12  # seeds whose accuracy is drawn


def blocks(table: "pd.DataFrame", runs: "Sequence[Run]") -> list[Block]:
    """Return what the finished runs show, part by part; parts without runs are left out."""
    parts = dict(iter(table.groupby("part", sort=False)))
    shown: list[Block] = []
    if "phase" in parts:
        (run,) = (run for run in runs if run.config["part"] == "phase")
        shown.append(phase_figure(parts["phase"].iloc[0], run.metrics()))
    if "progress" in parts and set(parts["progress"].noise) == {0.0, 0.5}:
        shown.append(progress_figure(parts["progress"]))
    if "law" in parts:
        shown += [law_figure(parts["law"]), law_table(parts["law"])]
    if "width" in parts:
        shown += [width_figure(parts["width"]), survival_figure(parts["width"])]
    if "batch" in parts:
        shown.append(batch_figure(parts["batch"]))
    if "histogram" in parts:
        shown.append(histogram_figure(parts["histogram"]))
    if "noise" in parts:
        shown.append(times_table(parts["noise"], "noise", "Labels flipped in the training, looked at on clean ones"))
    if "architecture" in parts:
        shown.append(architecture_table(parts["architecture"]))
    if "gap" in parts:
        shown.append(gap_table(parts["gap"]))
    return shown


def phase_figure(row: Any, looks: Sequence[dict[str, Any]]) -> Figure:
    """Return accuracies of some seeds against steps, and how many of all have not converged."""
    looks = [look for look in looks if "validation_accuracy" in look]
    steps = [look["step"] for look in looks]
    accuracies = np.array([look["validation_accuracy"] for look in looks], dtype=float)  # None becomes NaN
    figure, (left, right) = new_figure(1, 2, width=7.2, height=3.0)
    with house_style():
        for seed in range(min(TRACES, accuracies.shape[1])):
            known = np.flatnonzero(~np.isnan(accuracies[:, seed]))
            last = known[accuracies[known, seed].argmax()] + 1
            left.plot(steps[:last], accuracies[:last, seed], color=COLOURS[0], ls="-", marker="", lw=0.9, alpha=0.7)
            left.plot(steps[last - 1], accuracies[last - 1, seed], color=COLOURS[0], marker="o", ms=3)
        left.set(xlabel="steps", ylabel="accuracy", title=f"({row.n}, {row.k})-parity, {accuracies.shape[1]} seeds")
        _draw_survival(right, times_of(row), COLOURS[0], "-", "")
        right.set(xlabel="steps", ylabel="seeds that have not converged", title="Survival", ylim=(-0.03, 1.03))
        right.set_xlim(left.get_xlim())
    return Figure(
        f"A parity is learned late and suddenly: accuracies of {min(TRACES, accuracies.shape[1])} seeds stay at one "
        "half for most of the time, then climb to 1 (dots: converged). Right: the share of all seeds that have not "
        "converged (Kaplan-Meier).",
        to_svg(figure, "Accuracy against steps", "Accuracies stay at one half for long, then rise to one."),
    )


def progress_figure(rows: "pd.DataFrame") -> Figure:
    """Return mean accuracy and progress measure against steps, beside the control with labels at random."""
    figure, axes = new_figure(1, 3, width=8.4, height=2.9)
    names = {0.0: "parity", 0.5: "labels at random"}
    with house_style():
        for number, (noise, name) in enumerate(names.items()):
            row = rows[rows.noise == noise].iloc[0]
            style = {"color": COLOURS[number], "linestyle": LINE_STYLES[number], "marker": MARKERS[number]}
            style |= {"markevery": max(1, len(row.at_step) // 8), "label": name}
            axes[0].plot(row.at_step, row.mean_accuracy, **style)
            axes[1].plot(row.at_step, row.mean_progress, **style)
            ratio = np.array(row.mean_relevant) / np.array(row.mean_irrelevant)
            axes[2].plot(row.at_step, ratio, **style)
        row = rows[rows.noise == 0.0].iloc[0]
        reached = next((at for at, value in zip(row.at_step, row.mean_accuracy, strict=True) if value >= 0.52), None)
        for one, title in zip(axes, ("Accuracy", "Progress ‖w − w₀‖∞", "Moved: hidden bits / others"), strict=True):
            if reached:
                one.axvline(reached, color=SOFT, lw=0.8, ls=":")
            one.set(xlabel="steps", title=title)
        axes[0].set_ylim(0.45, 1.03)
        axes[1].set_yscale("log")
        axes[0].legend(loc="upper left")
    return Figure(
        f"Hidden progress, means of {row.seeds} seeds of the ({row.n}, {row.k})-parity with batches of {row.batch}: "
        "before the accuracy reaches 0.52 (dotted), the largest movement of a weight has left that of the control, "
        "and weights of the hidden bits have moved further than others (mean absolute movement).",
        to_svg(figure, "Accuracy and hidden progress", "The progress measure rises long before the accuracy."),
    )


def law_figure(rows: "pd.DataFrame") -> Figure:
    """Return medians against n^k, and fitted lines."""
    figure, axes = new_figure(width=5.6, height=3.6)
    with house_style():
        for number, (k, law) in enumerate(size_laws(rows).items()):
            own = rows[rows.k == k].sort_values("n")
            medians = [times_of(row).median for _, row in own.iterrows()]
            x = [float(n) ** k for n in own.n]
            _draw_medians(axes, x, medians, number, f"k = {k}")
            if law is not None:
                fitted = [law.predict(math.log(n)) for n in own.n]
                axes.plot(x, fitted, color=COLOURS[number], linestyle=LINE_STYLES[number], marker="", lw=1.2)
        axes.set(xscale="log", yscale="log", xlabel="nᵏ", ylabel="t_c, steps")
        axes.legend(title=None)
    return Figure(
        "Convergence times against nᵏ: medians with intervals of 95 %, and power laws in n fitted to the medians.",
        to_svg(figure, "Convergence times against n to the k", "For each k, t_c grows as a power of n."),
    )


def width_figure(rows: "pd.DataFrame") -> Figure:
    """Return each seed's convergence time, the medians and quartiles, against the width."""
    rows = rows.sort_values("width")
    figure, axes = new_figure(width=5.6, height=3.3)
    with house_style():
        for _, row in rows.iterrows():
            for done, face in ((True, COLOURS[5]), (False, "white")):
                own = [t for t, converged in zip(row.times, row.converged, strict=True) if converged == done]
                axes.plot([row.width] * len(own), own, ls="", marker="o", ms=4, mfc=face, mec=COLOURS[5], alpha=0.8)
        quantiles = {share: [times_of(row).quantile(share).value for _, row in rows.iterrows()]
                     for share in (0.25, 0.5, 0.75)}  # fmt: skip
        axes.plot(rows.width, quantiles[0.5], color=COLOURS[0], ls="-", marker="s", label="median")
        for share in (0.25, 0.75):
            axes.plot(rows.width, quantiles[share], color=COLOURS[0], ls="--", marker="", lw=1,
                      label="quartiles" if share == 0.25 else None)  # fmt: skip
        first = quantiles[0.5][0]
        axes.plot(rows.width, first * rows.width.iloc[0] / rows.width, color=SOFT, ls=":", marker="",
                  label="if time fell as 1 / width")  # fmt: skip
        bottom = 0.6 * min(min(times) for times in rows.times)
        axes.set(xscale="log", yscale="log", xlabel="width", ylabel="t_c, steps", ylim=(bottom, None))
        axes.legend()
    return Figure(
        f"Width at ({rows.n.iloc[0]}, {rows.k.iloc[0]}): each seed (open: censored), medians and quartiles. A hundred "
        "times the neurons shorten the tail, but do not search in parallel.",
        to_svg(figure, "Convergence times against width", "Times fall by far less than the width grows."),
    )


def survival_figure(rows: "pd.DataFrame") -> Figure:
    """Return survival curves, one a width."""
    figure, axes = new_figure(width=5.6, height=3.2)
    with house_style():
        for number, (_, row) in enumerate(rows.sort_values("width").iterrows()):
            _draw_survival(axes, times_of(row), COLOURS[number], LINE_STYLES[number], f"width {row.width}")
        axes.set(xlabel="steps", ylabel="seeds that have not converged", ylim=(-0.03, 1.03))
        axes.legend()
    return Figure(
        "Survival curves (Kaplan-Meier) by width; crosses: seeds that were censored at the horizon.",
        to_svg(figure, "Survival curves by width", "Wide networks converge at nearly one time, narrow ones do not."),
    )


def batch_figure(rows: "pd.DataFrame") -> Figure:
    """Return medians against the batch size, in steps and in examples."""
    names = {"xv": "PolyNet", "ii": "ReLU, width 100"}
    figure, (left, right) = new_figure(1, 2, width=7.4, height=3.1)
    with house_style():
        for number, (name, own) in enumerate(rows.groupby("architecture", sort=False)):
            own = own.sort_values("batch")
            label = f"{names.get(str(name), name)}, n = {own.n.iloc[0]}"
            medians = [times_of(row).median for _, row in own.iterrows()]
            _draw_medians(left, list(own.batch), medians, number, label, line=True)
            examples = [type(m)(*(value * batch for value in m)) for m, batch in zip(medians, own.batch, strict=True)]
            _draw_medians(right, list(own.batch), examples, number, label, line=True)
        for one, title in ((left, "t_c, steps"), (right, "t_c, examples")):
            one.set(xscale="log", yscale="log", xlabel="batch size", title=title)
        left.legend()
    return Figure(
        "Batch size: larger batches need fewer steps, up to a point, and more examples. Medians with intervals of "
        "95 %; PolyNet learns at rates 0.005 (batch 1), 0.01 (4) and 0.1, the ReLU perceptron at 0.1.",
        to_svg(figure, "Convergence times against batch size", "Steps fall and examples rise with the batch size."),
    )


def histogram_figure(rows: "pd.DataFrame") -> Figure:
    """Return how many trainings of all runs converged when."""
    times = [t for _, row in rows.iterrows() for t, done in zip(row.times, row.converged, strict=True) if done]
    trainings = sum(map(len, rows.times))
    first = rows.iloc[0]
    figure, axes = new_figure(width=5.6, height=3.0)
    with house_style():
        axes.hist(times, bins=np.arange(0, first.steps + first.every, first.every), color=COLOURS[0])
        axes.set(yscale="log", xlabel="t_c, steps", ylabel="trainings", xlim=(0, None))
    return Figure(
        f"When trainings of the ({first.n}, {first.k})-parity converged. {trainings - len(times):,} of {trainings:,} "
        f"trainings had not by step {first.steps:,}; the earliest did at {min(times, default=0):,}.",
        to_svg(figure, "Histogram of convergence times", "No training converges in the first steps."),
    )


def _draw_medians(
    axes: Any, x: Sequence[float], medians: Sequence[Any], number: int, label: str, line: bool = False
) -> None:
    """Draw medians that are known, with their intervals as far as these are."""
    known = [(at, median) for at, median in zip(x, medians, strict=True) if math.isfinite(median.value)]
    if not known:
        return
    below = [median.value - (median.low if math.isfinite(median.low) else median.value) for _, median in known]
    above = [(median.high if math.isfinite(median.high) else median.value) - median.value for _, median in known]
    axes.errorbar(
        [at for at, _ in known], [median.value for _, median in known], yerr=(below, above), color=COLOURS[number],
        marker=MARKERS[number], linestyle=LINE_STYLES[number] if line else "", capsize=2.5, elinewidth=1, label=label,
    )  # fmt: skip


def _draw_survival(axes: Any, times: Any, colour: str, style: Any, label: str) -> None:
    at, survival = times.survival()
    end = max(times.steps)
    x, y = [0.0, *at, end], [1.0, *survival, survival[-1] if len(survival) else 1.0]
    axes.step(x, y, where="post", color=colour, linestyle=style, marker="", label=label or None)
    if not all(times.converged):
        axes.plot(end, y[-1], marker="x", color=INK if not label else colour, linestyle="")
