"""Figures and tables of the study of maximum margins, in the manner of arXiv 2311.07568."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sandtable.analysis.figures import COLOURS, INK, LINE_STYLES, SOFT, house_style, new_figure, to_svg
from sandtable.analysis.report import Block, Column, Figure, Table
from sandtable.analysis.tasks.spectra import NeuronSpectra, fourier_spectrum, neuron_spectra
from sandtable.simulators.tasks.groups import FiniteGroup, parse

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.store import Run

NEURONS = "neurons.npz"
COLUMNS = 2  # panels side by side


def blocks(table: "pd.DataFrame", runs: "Sequence[Run]") -> list[Block]:
    """Return a figure or a table for each part that was run, of the tidy table and the runs in its order."""
    parts = {str(name): rows for name, rows in table.groupby("part", sort=False)}
    of_groups = [run for run in runs if run.config["part"] == "group"]
    of_parities = [run for run in runs if run.config["part"] == "parity"]
    trained = table[table.part.isin(["group", "parity"])]
    found: list[Block] = []
    if len(trained):
        found += [table_of_trainings(trained), margins(trained)]
    if "group" in parts:
        found += regularisations(parts["group"])
        found += [powers(_distinct(of_groups)), neurons_by_part(parts["group"])]
    cyclic = [run for run in of_groups if parse(run.config["group"]).family == "cyclic"]
    found += [neuron(run) for run in _distinct(cyclic) if run.config["activation"] == "power-2"][:1]
    found += [parity_weights(run) for run in of_parities[:1]]
    found += [_TABLES[name](parts[name]) for name in _TABLES if name in parts]
    return found


def _distinct(runs: "Sequence[Run]") -> "list[Run]":
    """Return the first run of each group and activation."""
    kinds = {(run.config["group"], run.config["activation"]): run for run in reversed(runs)}
    return list(reversed(list(kinds.values())))


def _task(row: Any) -> str:
    """Return what was learned, of a row or of the settings of a run."""
    if row["part"] == "parity":
        n, k = row["bits"]
        return f"({n}, {k}) parity"
    return row["group"] + (", ReLU" if row["activation"] == "relu" else "")


def table_of_trainings(rows: "pd.DataFrame") -> Table:
    """Return what every trained network came to."""
    settings = [Column("task"), Column("neurons", "number", 0), Column("steps", "number", 0), Column("penalty")]
    of_power = ("weighted power", "mean power", "least power")
    powers = [*(Column(title, "number", 4) for title in of_power), Column("parts used")]
    columns = [*settings, Column("margin", "number", 6), Column("of the maximum", "percent", 4), *powers]
    cells = [
        [
            _task(row), row["recipe.width"], row["recipe.steps"], f"{row.penalty_weight:g}", row.get("margin"),
            row.get("ratio"), row.get("weighted_power"), row.get("mean_power"), row.get("least_power"), _parts(row),
        ]
        for _, row in rows.iterrows()
    ]  # fmt: skip
    note = (
        "Power is a neuron's share of its squared norm in its strongest frequency or irreducible representation, of u, "
        "v or w, whichever is least; of a parity, u's share on its bits. The weighted power counts neurons by their "
        "part of the norm: those that have stayed small learn slowly. No maximum is known for ReLU networks."
    )
    for _, row in rows[rows.exploded != ""].iterrows():
        start = f"with first weights of standard deviation {row.first_scale:g} / √n"
        note += f" Exploded: {_task(row)} {start}; {row.exploded}. It was stopped, and the network beside it went on."
    return Table("Trained networks, and how near the maximum margin they are", columns, cells, note=note)


def _parts(row: Any) -> str:
    if row["exploded"]:
        return "exploded"
    return "" if row["part"] == "parity" else f"{row.parts_used:.0f} of {row.parts:.0f}"


def margins(rows: "pd.DataFrame") -> Figure:
    """Return the margins along the trainings, over the maximum, which is a line."""
    shown = rows[rows.maximum.notna() & (rows.exploded == "")]
    shown = shown.drop_duplicates(["part", "group", "penalty_weight"])
    kinds = [(title, shown[chosen]) for title, chosen in _kinds(shown) if chosen.any()]
    with house_style():
        figure, grid = new_figure(len(kinds), 1, width=6.2, height=0.3 + 1.75 * len(kinds))
        for axes, (title, some) in zip(np.atleast_1d(grid), kinds, strict=True):
            for number, (_, row) in enumerate(some.iterrows()):
                label = f"{_task(row)}, λ = {row.penalty_weight:g}"
                axes.plot(row.curve_steps, np.asarray(row.margin_curve, float) / row.maximum, marker="", label=label,
                          color=COLOURS[number % 7], ls=LINE_STYLES[number % 7])  # fmt: skip
            axes.axhline(1.0, color=INK, lw=1.0, ls="-")
            axes.set(title=title, ylabel="margin / maximum", ylim=(-0.05, 1.08), xlim=(0, None))
            axes.xaxis.set_major_formatter(lambda steps, _: f"{steps:,.0f}")
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        np.atleast_1d(grid)[-1].set_xlabel("steps")
    caption = (
        "Normalised margin over all inputs along the training, as a share of its closed-form maximum (the line at 1). "
        "Above 0 all inputs are told right: accuracy is perfect long before the margin is large."
    )
    about = "Margins rise towards the line; those of cyclic groups reach it nearly, those of others stay below."
    return Figure(caption, to_svg(figure, "Margin against training", about))


def _kinds(rows: "pd.DataFrame") -> "list[tuple[str, pd.Series]]":
    cyclic = (rows.part == "group") & rows.group.str.startswith("Z_")
    others = (rows.part == "group") & ~cyclic
    return [("Cyclic groups", cyclic), ("Other groups", others), ("Parity", rows.part == "parity")]


def regularisations(rows: "pd.DataFrame") -> list[Figure]:
    """Return the gap to the maximum along the longest training with several penalties."""
    several = rows.groupby("run").filter(lambda one: one.penalty_weight.nunique() > 1)
    if several.empty:
        return []
    from matplotlib.ticker import LogLocator

    longest = several[several["recipe.steps"] == several["recipe.steps"].max()]
    name = longest.group.iloc[0]
    longest = longest[longest.group == name]
    with house_style():
        figure, axes = new_figure(height=3.0)
        for number, (_, row) in enumerate(longest.iterrows()):
            gap = 1 - np.asarray(row.margin_curve, float) / row.maximum
            label = f"λ = {row.penalty_weight:g}, last {gap[-1]:.2%}"
            axes.plot(row.curve_steps, gap, marker="", color=COLOURS[number], ls=LINE_STYLES[number], label=label)
        axes.set(xlabel="steps", ylabel="1 − margin / maximum", yscale="log", xlim=(0, None))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda share, _: f"{share * 100:g} %")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda steps, _: f"{steps:,.0f}")
        axes.legend(loc="upper right")
    caption = (
        f"The gap that is left to the maximum margin on {name}, for several weights λ of the penalty and one start. "
        f"The smallest gap at the end is {longest.gap.min():.2%}: the maximum is not reached."
    )
    return [Figure(caption, to_svg(figure, f"Gap to the maximum margin on {name}", "The gaps level off above zero."))]


def _weights(run: "Run") -> dict[str, np.ndarray]:
    with np.load(run.folder / NEURONS) as held:
        return dict(held)


def _spectra(weights: np.ndarray, group: FiniteGroup) -> NeuronSpectra:
    """Return the spectra of the first replica's neurons, of weights [R, 3, m, G]."""
    return neuron_spectra(weights[0, 0], weights[0, 1], weights[0, 2], group)


def powers(runs: "Sequence[Run]") -> Figure:
    """Return the distributions of the largest normalised power of neurons, before and after training."""
    rows = -(-len(runs) // COLUMNS)
    with house_style():
        figure, grid = new_figure(rows, min(len(runs), COLUMNS), width=6.6, height=0.5 + 1.9 * rows)
        panels = np.atleast_1d(grid).ravel()
        for axes, run in zip(panels, runs, strict=False):
            group, held = parse(run.config["group"]), _weights(run)
            for number, (when, label) in enumerate((("first", "at the start"), ("last", "at the end"))):
                power = _spectra(held[when], group).purity
                share = np.full(len(power), 1 / len(power))
                axes.hist(power, np.linspace(0, 1, 31), weights=share, color=COLOURS[number], alpha=0.75, label=label,
                          hatch=("", "////")[number], edgecolor="white", linewidth=0.4)  # fmt: skip
            axes.set(title=_task(run.config), xlim=(0, 1.01))
        for axes in panels[len(runs) :]:
            axes.set_visible(False)
        for axes in panels[max(0, len(runs) - COLUMNS) : len(runs)]:
            axes.set_xlabel("largest normalised power")
        for axes in panels[: len(runs) : COLUMNS]:
            axes.set_ylabel("share of neurons")
        panels[0].legend(loc="upper center")
    caption = (
        "The largest normalised power of each neuron: the share of its squared norm in one frequency (cyclic groups) "
        "or one irreducible representation, for u, v or w, whichever is least."
    )
    about = "Random neurons are spread over all frequencies; trained quadratic ones have nearly all power in one."
    return Figure(caption, to_svg(figure, "Power of neurons before and after training", about))


def neurons_by_part(rows: "pd.DataFrame") -> Figure:
    """Return how many neurons each frequency or representation has, of the first network of each training."""
    rows = rows.drop_duplicates(["group", "activation"])
    rows = rows.sort_values("parts", ascending=False, kind="stable")  # panels side by side are about as high
    height = [len(row.neurons) for _, row in rows.iterrows()]
    lines = -(-len(rows) // COLUMNS)
    ratios = [max(height[line * COLUMNS : (line + 1) * COLUMNS]) + 2 for line in range(lines)]
    with house_style():
        figure, grid = new_figure(lines, min(len(rows), COLUMNS), width=6.6, height=0.17 * sum(ratios) + 0.4)
        panels = np.atleast_1d(grid).ravel()
        panels[0].get_gridspec().set_height_ratios(ratios)
        for axes, (_, row) in zip(panels, rows.iterrows(), strict=False):
            counts = [*row.neurons[1:], row.neurons[0], ["mixed", row.mixed]]
            places = np.arange(len(counts))
            axes.barh(places, [count for _, count in counts], color=[COLOURS[0]] * (len(counts) - 2) + [SOFT] * 2)
            axes.set_yticks(places, [part.replace("frequency ", "").replace("rotation +1, reflection -1", "sign")
                                     for part, _ in counts], fontsize=6.5)  # fmt: skip
            axes.set(title=_task(row), ylim=(len(counts) - 0.4, -0.6))
            axes.grid(axis="y", visible=False)
        for axes in panels[len(rows) :]:
            axes.set_visible(False)
        for axes in panels[max(0, len(rows) - COLUMNS) : len(rows)]:
            axes.set_xlabel("neurons")
    caption = (
        "How many neurons are in each frequency, or in each irreducible representation, after training. Every one is "
        "used but the trivial one; in mixed neurons u, v and w have different strongest parts."
    )
    about = "All non-trivial parts have neurons, those of large dimension the most."
    return Figure(caption, to_svg(figure, "Neurons in each irreducible representation", about))


def neuron(run: "Run") -> Figure:
    """Return the weights and the spectrum of the largest neuron of a network on a cyclic group, before and after."""
    held = _weights(run)
    largest = int((held["last"][0] ** 2).sum((0, 2)).argmax())
    with house_style():
        figure, grid = new_figure(2, 2, width=6.6, height=4.2)
        for line, (when, title) in zip(grid, (("first", "at the start"), ("last", "at the end")), strict=True):
            weights = held[when][0, :, largest]
            share = fourier_spectrum(weights).share
            places = np.arange(share.shape[1])
            for number, label in enumerate("uvw"):
                line[0].plot(weights[number], color=COLOURS[number], ls=LINE_STYLES[number], marker=".", label=label)
                line[1].bar(places + 0.27 * (number - 1), share[number], 0.27, color=COLOURS[number], label=label)
            line[0].set(title=f"Weights {title}", ylabel="weight")
            line[1].set(title=f"Power spectrum {title}", ylabel="share of the power", ylim=(0, 1.03))
            line[0].margins(x=0.02)
            line[1].set_xticks(places[:: max(1, len(places) // 12)])
        grid[1, 0].set_xlabel("element")
        grid[1, 1].set_xlabel("frequency")
        grid[0, 1].legend(loc="upper right", ncols=3)
    caption = (
        f"The neuron of the largest norm of the quadratic network on {run.config['group']}: u, v and w become cosines "
        "of one frequency."
    )
    about = "At the start the weights are noise over all frequencies; at the end they are three cosines of one."
    return Figure(caption, to_svg(figure, "Weights and spectrum of a neuron", about))


def parity_weights(run: "Run") -> Figure:
    """Return the weights of the neurons of a network on a parity, the largest first."""
    held, (n, k) = _weights(run), run.config["bits"]
    size = (held["last_u"][0] ** 2).sum(1) + (held["last_w"][0] ** 2).sum(1)
    order = np.argsort(-size)
    with house_style():
        figure, grid = new_figure(2, 1, width=6.6, height=5.0)
        for axes, (when, title) in zip(grid, (("first", "At the start"), ("last", "At the end")), strict=True):
            shown = np.concatenate([held[f"{when}_u"][0], held[f"{when}_w"][0]], axis=1)[order].T
            limit = float(np.abs(shown).max())
            mesh = axes.pcolormesh(shown, cmap="PuOr", vmin=-limit, vmax=limit, edgecolors="white", linewidth=0.3)
            figure.colorbar(mesh, ax=axes, pad=0.01)
            axes.axhline(k, color=INK, lw=1.2)
            axes.axhline(n, color=INK, lw=1.2)
            axes.set_yticks(np.arange(n + 2) + 0.5, [*map(str, range(1, n + 1)), "w even", "w odd"], fontsize=7)
            axes.set(title=title, ylabel="bit", ylim=(n + 2, 0))
            axes.grid(visible=False)
        grid[1].set_xlabel("neuron, the largest at the end first")
    caption = (
        f"Weights of the neurons that learn the parity of the first {k} of {n} bits: u of each bit, then w of the two "
        "answers. Large neurons have equal sizes on the parity's bits, nothing elsewhere, and opposite w."
    )
    about = "At the end the weights of large neurons lie on the parity's bits alone."
    return Figure(caption, to_svg(figure, "Weights of the network on a parity", about))


def table_of_closed_forms(rows: "pd.DataFrame") -> Table:
    """Return closed forms beside what was enumerated."""
    columns = [Column("task"), Column("closed form", "number", 12), Column("construction, all inputs", "number", 12),
               Column("relative difference")]  # fmt: skip
    cells = [[row["name"], row.closed_form, row.enumerated, f"{row.relative_error:.0e}"] for _, row in rows.iterrows()]
    return Table("Maximum margins", columns, cells)


def table_of_ascents(rows: "pd.DataFrame") -> Table:
    """Return how high the ascents got."""
    columns = [Column("group"), Column("highest / maximum", "number", 12), Column("lowest / maximum", "number", 12)]
    cells = [[row["name"], row.highest, row.lowest] for _, row in rows.iterrows()]
    return Table(f"Where {rows.restarts.iloc[0]:.0f} ascents of the bound of a neuron ended", columns, cells)


def table_of_refusals(rows: "pd.DataFrame") -> Table:
    """Return for which groups there is no number, and why."""
    cells = [[row["name"], row.reason] for _, row in rows.iterrows()]
    return Table("Groups for which no theorem gives a maximum", [Column("group"), Column("why")], cells)


_TABLES = {"closed forms": table_of_closed_forms, "ascents": table_of_ascents, "refusals": table_of_refusals}
