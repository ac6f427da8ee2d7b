"""The figures of the study of Pareto frontiers, as readers of arXiv 2309.03800 know them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sandtable.analysis.figures import COLOURS, INK, LINE_STYLES, MARKERS, SOFT, house_style, new_figure, plain, to_svg
from sandtable.analysis.report import Block, Figure
from sandtable.analysis.study import tabulate
from sandtable.analysis.tasks.frontier_tables import contest_table, frontier_table, lottery_table, start_name
from sandtable.analysis.tasks.parity_tables import times_of

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.store import Run


def blocks(runs: "Sequence[Run]") -> list[Block]:
    """Return what the finished runs show, part by part; parts without runs are left out."""
    named = {run.config["part"]: [one for one in runs if one.config["part"] == run.config["part"]] for run in runs}
    parts = {part: tabulate(own) for part, own in named.items()}  # each has settings of its own
    shown: list[Block] = []
    if "frontier" in parts:
        for _, own in parts["frontier"].groupby(["n", "k"]):
            shown += [frontier_figure(own), frontier_table(own)]
        grokked = grokking_run(parts["frontier"])
        shown += [grokking_figure(grokked, run) for run in runs if run.folder.name == grokked.run.iloc[0]]
    if "descent" in parts:
        shown += [descent_figure(own) for _, own in parts["descent"].groupby("width")]
    if "lottery" in parts:
        shown += [lottery_figure(parts["lottery"]), lottery_table(parts["lottery"])]
    if "tabular" in parts:
        shown += [contest_figure(parts["tabular"]), contest_table(parts["tabular"])]
    return shown


def frontier_figure(rows: "pd.DataFrame") -> Figure:
    """Return heat maps of the share of seeds that learn, over data and width, one for each start."""
    starts = sorted(rows.sparsity.unique())
    sizes, widths = sorted(rows.samples.unique()), sorted(rows.width.unique())
    figure, axes = new_figure(1, len(starts), width=1.2 + 2.9 * len(starts), height=1.3 + 0.38 * len(widths))
    with house_style():
        for one, start in zip(np.atleast_1d(axes), starts, strict=True):
            share = np.full((len(widths), len(sizes)), np.nan)
            for _, row in rows[rows.sparsity == start].iterrows():
                at = widths.index(row.width), sizes.index(row.samples)
                share[at] = row.share
                one.text(
                    at[1], at[0], f"{sum(row.converged)}/{row.seeds:.0f}", ha="center", va="center", fontsize=8,
                    color="white" if row.share > 0.55 else INK,
                )  # fmt: skip
            image = one.imshow(share, origin="lower", cmap="Blues", vmin=0, vmax=1, aspect="auto")
            one.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
            one.set_yticks(range(len(widths)), [f"{width:,}" for width in widths])
            one.set(xlabel="samples m", title=f"{start_name(start)} start")
            one.grid(visible=False)
        np.atleast_1d(axes)[0].set_ylabel("width r")
        figure.colorbar(image, ax=np.atleast_1d(axes).tolist(), label="share of seeds that learn")
    first = rows.iloc[0]
    return Figure(
        f"The frontier of data and width for the ({first.n}, {first.k})-parity: how many seeds tell 99 % of fresh "
        f"examples right within {int(first.steps):,} steps. Below a floor of data no width helps; just above it width "
        "does.",
        to_svg(figure, "Success over samples and width", "Success needs samples; where they are scarce, width helps."),
    )


def grokking_run(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows of the run with the smallest data set from which most seeds still learn, the widest of those."""
    learned = rows[rows.share >= 0.5]
    chosen = (learned if len(learned) else rows).sort_values(["samples", "width"], ascending=[True, False]).iloc[0]
    return rows[rows.run == chosen.run]


def grokking_figure(rows: "pd.DataFrame", run: "Run") -> Figure:
    """Return accuracies on each seed's own examples and on fresh ones against steps, one panel for each start."""
    looks = [look for look in run.metrics() if "validation_accuracy" in look]
    steps = np.array([look["step"] for look in looks])
    curves = {
        name: np.array([look[f"validation_{name}"] for look in looks], dtype=float)
        for name in ("train_accuracy", "accuracy")
    }
    figure, axes = new_figure(1, len(rows), width=1.0 + 3.2 * len(rows), height=3.0)
    with house_style():
        for number, (one, (_, row)) in enumerate(zip(np.atleast_1d(axes), rows.iterrows(), strict=True)):
            seeds = range(number * int(row.seeds), (number + 1) * int(row.seeds))
            for style, (name, label) in enumerate((("train_accuracy", "its own examples"), ("accuracy", "fresh ones"))):
                for seed in seeds:
                    one.plot(
                        steps, curves[name][:, seed], color=COLOURS[1 - style], ls=LINE_STYLES[1 - style], marker="",
                        lw=0.9, alpha=0.75, label=label if seed == seeds[0] else None,
                    )  # fmt: skip
            one.set(xlabel="steps", title=f"{start_name(row.sparsity)} start", ylim=(0.4, 1.03), xscale="log")
            one.set_xlim(0.85 * steps[0], 1.15 * steps[-1])
        np.atleast_1d(axes)[0].set_ylabel("accuracy")
        np.atleast_1d(axes)[0].legend(loc="center left")
    row = rows.iloc[0]
    return Figure(
        f"Grokking: {int(row.seeds)} perceptrons of width {row.width} know their own {row.samples} examples of the "
        f"({row.n}, {row.k})-parity long before they tell fresh ones. Curves end when 99 % of those are told right.",
        to_svg(figure, "Accuracy on own and on fresh examples", "The first rises at once, the second much later."),
    )


def descent_figure(rows: "pd.DataFrame") -> Figure:
    """Return test error and test loss at the horizon against the number of examples: each seed's, and the means."""
    figure, axes = new_figure(1, 2, width=7.4, height=3.2)
    with house_style():
        measures = (("test_errors", "Test error", 0.5), ("test_losses", "Test loss", 1.0))
        for one, (name, title, guessing) in zip(axes, measures, strict=True):
            for number, (start, own) in enumerate(rows.sort_values("samples").groupby("sparsity")):
                for at, values in zip(own.samples * 1.04 ** (2 * number - 1), own[name], strict=True):
                    one.plot([at] * len(values), values, ls="", marker=MARKERS[number], ms=3, alpha=0.35,
                             color=COLOURS[number])  # fmt: skip
                one.plot(own.samples, own[name].map(np.mean), color=COLOURS[number], ls=LINE_STYLES[number], marker="",
                         label=f"{start_name(float(str(start)))} start, mean")  # fmt: skip
            one.axhline(guessing, color=SOFT, lw=0.8, ls=":")
            one.set(xscale="log", xlabel="samples m", title=title)
            one.set_ylim(bottom=0)
        axes[0].legend(loc="lower left")
    row = rows.iloc[0]
    return Figure(
        f"Test error and hinge loss of perceptrons of width {row.width} on the ({row.n}, {row.k})-parity after at most "
        f"{int(row.steps):,} steps, against the number of examples: seeds and their mean (dotted: guessing, and an "
        "output of zero).",
        to_svg(figure, "Test error and loss against samples", "The error is that of guessing, then falls."),
    )


def lottery_figure(rows: "pd.DataFrame") -> Figure:
    """Return convergence times of whole networks, rewound neurons and re-randomised ones, a panel for each size."""
    runs = list(rows.groupby("run", sort=False))
    bottom, top = 0.8 * min(min(times) for times in rows.times), 1.25 * rows.steps.max()
    ticks = [digit * 10**power for power in range(1, 7) for digit in (1, 2, 5) if bottom < digit * 10**power < top]
    figure, axes = new_figure(1, len(runs), width=1.0 + 3.1 * len(runs), height=3.1)
    with house_style():
        for one, (_, own) in zip(np.atleast_1d(axes), runs, strict=True):
            for number, (_, row) in enumerate(own.iterrows()):
                x = number + np.linspace(-0.2, 0.2, len(row.times)) if len(row.times) > 1 else [number]
                for done, face in ((True, COLOURS[number]), (False, "white")):
                    shown = [(at, t) for at, t, converged in zip(x, row.times, row.converged, strict=True)
                             if converged == done]  # fmt: skip
                    one.plot([at for at, _ in shown], [t for _, t in shown], ls="", marker=MARKERS[number], ms=4.5,
                             mfc=face, mec=COLOURS[number])  # fmt: skip
                median = times_of(row).median.value
                if np.isfinite(median):
                    one.hlines(median, number - 0.3, number + 0.3, color=INK, lw=1.6)
            one.set_xticks(range(len(own)), [name.replace(" ", "\n") for name in own.neurons])
            row = own.iloc[0]
            one.set(yscale="log", xlim=(-0.5, len(own) - 0.5), ylim=(bottom, top))
            one.set_title(f"{row.kept or row.k} of {row.width} neurons")
            one.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
            one.minorticks_off()
            one.grid(axis="x", visible=False)
        np.atleast_1d(axes)[0].set_ylabel("t_c, steps")
    row = rows.iloc[0]
    return Figure(
        f"Lottery tickets at ({row.n}, {row.k}), online: the largest neurons put back to their start and trained "
        "alone, and as many drawn anew. Open: not converged by the horizon; lines: medians, where half converged.",
        to_svg(figure, "Convergence times of tickets and controls", "Rewound neurons learn more often than others."),
    )


def contest_figure(rows: "pd.DataFrame") -> Figure:
    """Return accuracies of perceptrons and forests against the number of training rows, a panel for each table."""
    tables = list(rows.groupby("data", sort=True))
    figure, axes = new_figure(1, len(tables), width=1.0 + 3.3 * len(tables), height=3.2)
    with house_style():
        for one, (data, own) in zip(np.atleast_1d(axes), tables, strict=True):
            learners = own.fillna({"width": 0, "sparsity": 0}).groupby(["learner", "width", "sparsity"], sort=True)
            for number, ((learner, width, start), row) in enumerate(learners):
                row = row.sort_values("rows")
                name = learner if learner == "random forest" else f"width {width:.0f}, {start_name(float(str(start)))}"
                style = {"color": COLOURS[number], "linestyle": LINE_STYLES[number], "marker": MARKERS[number]}
                if learner == "random forest":
                    style |= {"color": INK, "linestyle": "-", "linewidth": 2.2}
                one.plot(row.rows, row.accuracy, label=name, **style)
            majority = float(own.majority.iloc[0])
            one.axhline(majority, color=SOFT, lw=0.8, ls=":")
            one.set(xscale="log", xlabel="training rows", title=plain(Path(str(data)).name))
        np.atleast_1d(axes)[0].set_ylabel("test accuracy")
        np.atleast_1d(axes)[-1].legend(loc="lower right", fontsize=7.5)
    return Figure(
        f"Perceptrons, dense and sparse, and a random forest by training rows: means over {int(rows.seeds.iloc[0])} "
        "draws of the rows (dotted: always telling the more frequent class).",
        to_svg(figure, "Accuracy by training rows", "Perceptrons and forests are close to each other."),
    )
