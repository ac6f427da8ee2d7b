"""Which features must a network learn? Those of the maximum margin, on tasks in which it is known in closed form.

The theorems of arXiv 2311.07568 as numbers: constructions are enumerated, ascents look for larger margins, and networks
are trained on modular addition, other finite groups and sparse parities, to see how near the maximum they come and
whether each neuron ends in one frequency, or one irreducible representation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sandtable.analysis.study import Budget, Claim, Study
from sandtable.analysis.tasks import margin_recipes as recipes
from sandtable.analysis.tasks.margin_recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.report import Block
    from sandtable.analysis.store import Run

Part = Literal["closed forms", "ascents", "refusals", "group", "parity"]

PAPER = "arXiv 2311.07568"
OURS = "target of this project"
PRIMES = (3, 5, 7, 11, 23, 31, 53, 59, 71)
REFUSED = ("S_6", "Q_8", "A_4", "Z_9")


@dataclass(frozen=True)
class MarginFeatures:
    """A run of the study.

    Attributes:
        part: What is done; see ``analysis/tasks/margin_experiments.py``.
        group: Which is learned.
        activation: ``power-2``, or ``relu``, for which no maximum margin is known.
        bits: Of the parity that is learned, n and k.
        restarts: Of the ascents on each group.
        recipe: How networks are trained.
        small: Whether closed forms, ascents and refusals are of few small groups alone.
    """

    part: Part
    group: str = ""
    activation: str = "power-2"
    bits: tuple[int, ...] = ()
    restarts: int = 0
    recipe: Recipe | None = None
    small: bool = False


def grid(budget: Budget) -> Sequence[MarginFeatures]:
    """Return the runs of a budget; the largest has the paper's own trainings."""
    if budget == "smoke":
        return [
            MarginFeatures("closed forms", small=True),
            MarginFeatures("ascents", restarts=5, small=True),
            MarginFeatures("refusals", small=True),
            MarginFeatures("group", "Z_5", recipe=_brief(recipes.Z_23)),
            MarginFeatures("group", "Z_5", "relu", recipe=_plain(_brief(recipes.Z_23))),
            MarginFeatures("group", "S_3", recipe=_brief(recipes.S_3)),
            MarginFeatures("group", "S_3", recipe=replace(_brief(recipes.S_5_PAPER), batch=20)),
            MarginFeatures("parity", bits=(10, 4), recipe=replace(recipes.PARITY, steps=120)),
        ]
    shared = [
        MarginFeatures("closed forms"),
        MarginFeatures("ascents", restarts=200),
        MarginFeatures("refusals"),
        MarginFeatures("group", "Z_23", recipe=recipes.Z_23),
        MarginFeatures("group", "Z_23", "relu", recipe=_plain(recipes.Z_23)),
        MarginFeatures("group", "Z_31", recipe=recipes.Z_31),
        MarginFeatures("group", "S_3", recipe=recipes.S_3),
        MarginFeatures("group", "S_3", recipe=recipes.S_3_LONG),
        MarginFeatures("group", "D_5", recipe=recipes.D_5),
        MarginFeatures("group", "S_4", recipe=recipes.S_4),
        MarginFeatures("parity", bits=(10, 4), recipe=recipes.PARITY),
    ]
    if budget == "cpu":
        return shared
    return [
        *shared,
        MarginFeatures("group", "Z_71", recipe=recipes.Z_71_PAPER),
        MarginFeatures("group", "Z_71", "relu", recipe=_plain(recipes.Z_71_PAPER)),
        MarginFeatures("group", "S_3", recipe=recipes.S_3_PAPER),
        MarginFeatures("group", "S_4", recipe=recipes.S_4_LONG),
        MarginFeatures("group", "S_5", recipe=recipes.S_5_PAPER),
        MarginFeatures("parity", bits=(10, 4), recipe=recipes.PARITY_PAPER),
    ]


def _brief(recipe: Recipe) -> Recipe:
    """Return a recipe of a second."""
    return replace(recipe, width=16, steps=120, doubled=(20, 40, 60))


def _plain(recipe: Recipe) -> Recipe:
    """Return the recipe of the ReLU network, whose penalty is on squares."""
    return replace(recipe, order=2)


def run(config: MarginFeatures, run: "Run") -> Sequence[Mapping[str, Any]]:
    """Do one part; a row a closed form, a group, or a trained network."""
    from sandtable.analysis.tasks import margin_experiments as experiments

    if config.part == "closed forms":
        if config.small:
            return experiments.closed_forms((3, 5), ("S_3",), (2, 3))
        return experiments.closed_forms(PRIMES, ("S_3", "S_4", "S_5", "D_5"), range(2, 7))
    if config.part == "ascents":
        groups = ("Z_3", "Z_5") if config.small else ("Z_3", "Z_5", "Z_7", "Z_11", "Z_23", "Z_31", "S_3", "D_5", "S_4")
        return experiments.ascents(groups, config.restarts, seed=0)
    if config.part == "refusals":
        return experiments.refusals(REFUSED[1:] if config.small else REFUSED)
    assert config.recipe is not None
    if config.part == "parity":
        n, k = config.bits
        return experiments.train_parity(n, k, config.recipe, run.folder, run.progress())
    return experiments.train_group(config.group, config.activation, config.recipe, run.folder, run.progress())


def _needs(
    part: Part, group: str = "", activation: str = "power-2", recipe: Recipe | None = None
) -> Callable[[Any], bool]:
    """Return which runs a claim needs."""

    def needed(config: MarginFeatures) -> bool:
        of_recipe = recipe is None or config.recipe == recipe
        return config.part == part and config.group == group and config.activation == activation and of_recipe

    return needed


def _extreme(
    column: str, where: Mapping[str, Any] | None = None, largest: bool = False
) -> Callable[["pd.DataFrame"], float | None]:
    """Return a claim's number: the least or the largest value of a column, of the rows whose columns have these values.

    Args:
        column: What is told.
        where: Values by column; all rows if None.
        largest: Whether it is the largest.
    """

    def compute(table: "pd.DataFrame") -> float | None:
        if column not in table:
            return None
        chosen = table[column].notna()
        for name, value in (where or {}).items():
            chosen &= table[name] == value
        values = table.loc[chosen, column].astype(float)
        return None if values.empty else float(values.max() if largest else values.min())

    return compute


def _closed_form(kind: str, what: str, theorem: str) -> Claim:
    return Claim(
        f"{what}: the margin of the construction, over all inputs, is the closed form (largest relative difference).",
        f"{PAPER}, {theorem}", 0.0, 1e-10, _extreme("relative_error", {"kind": kind}, largest=True), "within",
        lambda config: config.part == "closed forms" and not config.small,
    )  # fmt: skip


def _trained(
    group: str, recipe: Recipe, weight: float, gap: float, power: tuple[str, float], parts: int
) -> tuple[Claim, ...]:
    """Return the claims about one training on a group: its margin, its neurons, and which parts they use."""
    kind = "frequencies" if group.startswith("Z") else "non-trivial irreducible representations"
    at = f"{group}, {recipe.width} neurons, penalty {weight:g}, {recipe.steps:,} steps"
    where = {"group": group, "activation": "power-2", "recipe.steps": recipe.steps, "penalty_weight": weight}
    needs = _needs("group", group, recipe=recipe)
    source = f"{PAPER}, theorem {7 if group.startswith('Z') else 9} and section 6; threshold: {OURS}"
    which = {"mean_power": "the mean", "least_power": "the least"}[power[0]]
    return (
        Claim(f"{at}: gap to the maximum margin, as a share of it.", source, gap, 0.0, _extreme("gap", where),
              "at most", needs),
        Claim(
            f"{at}: {which} over neurons of the power in the strongest of the {kind}.", source, power[1], 0.0,
            _extreme(power[0], where), "at least", needs,
        ),
        Claim(f"{at}: how many {kind} are used; all.", source, float(parts), 0.0, _extreme("parts_used", where),
              "within", needs),
    )  # fmt: skip


CLAIMS = (
    _closed_form("cyclic", "Z_p, p = 3 to 71", "theorem 7"),
    _closed_form("group", "S_3, S_4, S_5 and D_5", "theorem 9"),
    _closed_form("parity", "Parities of 2 to 6 bits", "theorem 8"),
    Claim(
        "The representations of S_3, S_4, S_5 and D_5 are homomorphisms (largest error of a matrix element).",
        "definition", 0.0, 1e-10, _extreme("homomorphism_error", largest=True), "within",
        lambda config: config.part == "closed forms" and not config.small,
    ),
    Claim(
        "The squares of their dimensions sum to the order of the group (largest difference).",
        "definition", 0.0, 0.0, _extreme("dimensions_apart", largest=True), "within",
        lambda config: config.part == "closed forms" and not config.small,
    ),
    Claim(
        "Ascents from 200 random neurons find no larger margin on Z_3, Z_5, Z_7, Z_11, Z_23, Z_31, S_3, D_5 and S_4 "
        "(highest, over the maximum).",
        f"{PAPER}, theorems 7 and 9", 1.0, 1e-10, _extreme("highest", largest=True), "at most",
        lambda config: config.part == "ascents" and not config.small,
    ),
    Claim(
        "Where no theorem holds, on S_6, Q_8, A_4 and Z_9, no number is given (share of the groups that are refused).",
        f"{PAPER}, theorems 7 and 9: their conditions", 1.0, 0.0, _extreme("refused"), "within",
        lambda config: config.part == "refusals" and not config.small,
    ),
    *_trained("Z_23", recipes.Z_23, 1e-4, 0.001, ("mean_power", 0.999), 11),
    *_trained("Z_31", recipes.Z_31, 1e-4, 0.001, ("mean_power", 0.999), 15),
    Claim(
        "ReLU network on Z_23: the mean over neurons of the power in the strongest frequency is about .9.",
        f"{PAPER}, figure 4", 0.9, 0.05, _extreme("mean_power", {"group": "Z_23", "activation": "relu"}),
        "within", _needs("group", "Z_23", "relu"),
    ),
    *_trained("S_3", recipes.S_3, 1e-4, 0.15, ("least_power", 0.99), 2),
    *_trained("D_5", recipes.D_5, 1e-4, 0.15, ("least_power", 0.99), 3),
    *_trained("S_4", recipes.S_4, 1e-5, 0.15, ("least_power", 0.99), 4),
    Claim(
        "That S_4 network, without neurons that have stayed small: the mean of their powers, weighted by |omega|^3.",
        f"{PAPER}, theorem 9; threshold: {OURS}", 0.99, 0.0,
        _extreme("weighted_power", {"group": "S_4", "recipe.steps": recipes.S_4.steps}), "at least",
        _needs("group", "S_4", recipe=recipes.S_4),
    ),
    Claim(
        "Parity of 4 of 10 bits, activation x^4, 40 neurons, 20,000 steps: gap to the maximum margin, as a share.",
        f"{PAPER}, theorem 8 and figure 5; threshold: {OURS}", 0.05, 0.0,
        _extreme("gap", {"part": "parity", "recipe.steps": 20_000}), "at most",
        _needs("parity", recipe=recipes.PARITY),
    ),
    Claim(
        "First weights of variance 4/n make that training explode: it is stopped and told, and the network beside it "
        "goes on (networks stopped).",
        OURS, 1.0, 0.0, lambda table: float((table.exploded.fillna("") != "").sum()), "within",
        _needs("parity", recipe=recipes.PARITY),
    ),
    Claim(
        "No trained network has more than the maximum margin (smallest gap, as a share of it).",
        f"{PAPER}, theorems 7 to 9", 0.0, 1e-10, _extreme("gap"), "at least",
        lambda config: config.recipe is not None and config.activation == "power-2",
    ),
    *_trained("Z_71", recipes.Z_71_PAPER, 1e-4, 0.001, ("mean_power", 0.999), 35),
    *_trained("S_5", recipes.S_5_PAPER, 1e-5, 0.15, ("least_power", 0.99), 6),
)  # fmt: skip


def figures(table: "pd.DataFrame", runs: "Sequence[Run]") -> "list[Block]":
    """Return the figures and tables of the parts that were run."""
    from sandtable.analysis.tasks.margin_figures import blocks

    return blocks(table, runs)


STUDY = Study(
    name="margin-features",
    title="The features of maximum margins",
    paper=PAPER,
    summary=(
        "On modular addition, on other finite groups and on sparse parities the largest normalised margin of a network "
        "with one hidden layer is known in closed form, and so are the neurons that have it: waves of one frequency, "
        "elements of one irreducible representation, weights on the parity's own bits. The closed forms are held "
        "against constructions, enumerated over all inputs, and against ascents; then networks are trained by gradient "
        "descent with a small penalty, and their margins and the spectra of their neurons are measured along the way. "
        "A fixed penalty does not lead to the maximum: what is left of the gap is told."
    ),
    grid=grid,
    run=run,
    claims=CLAIMS,
    figures=figures,
)
