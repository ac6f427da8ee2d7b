"""Studies: what a paper did, as runs that anyone can repeat, with the paper's claims checked by machine.

A study is a module of ``sandtable.analysis.studies`` that exposes ``STUDY``; it is found by being there. The modules
are imported to list names and titles, so they are light at import: torch, pandas and whatever else is slow is imported
inside the functions that use it. ``run`` is a function of the module, not a lambda, so that processes can be sent it.
"""

import difflib
import importlib
import math
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sandtable.analysis.executor import Executor
from sandtable.analysis.provenance import Recorder
from sandtable.analysis.store import Run, RunStore
from sandtable.simulators.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    from rich.progress import Progress

    from sandtable.analysis.report import Block

Budget = Literal["smoke", "cpu", "gpu"]
"""How much is run: seconds; minutes on two cores; what one big GPU does in half an hour."""

BUDGETS: tuple[Budget, ...] = get_args(Budget)

Relation = Literal["within", "at least", "at most"]

Status = Literal["holds", "fails", "not run"]


class UnavailableError(Exception):
    """What a run needs is not on this machine, for example a data file or a GPU: it is left out and has not failed."""


@dataclass(frozen=True)
class Claim:
    """A number of a paper, and how our number is held against it.

    Attributes:
        statement: What is claimed, one sentence.
        source: Where, for example ``arXiv 2210.03137, table 2``.
        paper_value: The paper's number, or the bound that the claim sets.
        tolerance: How far the observed value may be on the wrong side, >= 0, in the unit of ``paper_value``.
        compute: Our number, of the table of the runs that the claim needs (see ``tabulate``); None: cannot be told.
        relation: ``within``: the observed value is within the tolerance of ``paper_value``; ``at least`` and
            ``at most``: it is on that side of it, or beyond it by no more than the tolerance.
        needs: Which configurations the claim needs; without all of their runs it is not judged.
    """

    statement: str
    source: str
    paper_value: float
    tolerance: float
    compute: Callable[["pd.DataFrame"], float | None]
    relation: Relation = "within"
    needs: Callable[[Any], bool] = lambda config: True

    def __post_init__(self) -> None:
        if not math.isfinite(self.paper_value):
            raise ValueError(f"paper_value must be finite, not {self.paper_value}")
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance must be finite and at least 0, not {self.tolerance}")

    def accepts(self, observed: float) -> bool:
        """Return whether an observed value supports the claim; NaN never does."""
        low = -math.inf if self.relation == "at most" else self.paper_value - self.tolerance
        high = math.inf if self.relation == "at least" else self.paper_value + self.tolerance
        return low <= observed <= high


@dataclass(frozen=True)
class ClaimOutcome:
    """What became of a claim.

    Attributes:
        study: Name of the study.
        statement: As in ``Claim``; so are ``source``, ``paper_value``, ``tolerance`` and ``relation``.
        observed: Our number; None if it was not computed.
        budget: The budget whose runs were judged.
        status: ``holds``, ``fails`` or ``not run``.
        note: Why there is no number, or none that can be compared; else empty.
    """

    study: str
    statement: str
    source: str
    paper_value: float
    tolerance: float
    observed: float | None
    budget: str
    status: Status
    relation: Relation = "within"
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the fields that ``sandtable claims --json`` prints; a number that JSON lacks becomes null."""
        public = {name: value for name, value in asdict(self).items() if name not in ("relation", "note")}
        if self.observed is not None and not math.isfinite(self.observed):
            public["observed"] = None
        return public


def _no_blocks(table: "pd.DataFrame", runs: Sequence[Run]) -> Sequence["Block"]:
    return ()


@dataclass(frozen=True)
class Study:
    """Runs over a grid of configurations, the claims they are held against, and the figures they make.

    Attributes:
        name: Lower-case words joined by hyphens; the name of its folder in the store.
        title: A few words.
        paper: Where it comes from, for example ``arXiv 2210.03137``.
        summary: What is done, for who has not read the paper; a paragraph.
        grid: The configurations of a budget, frozen dataclasses that ``store.to_plain`` takes. Budgets may share some.
        run: Does one configuration and returns its metrics by name, or one such mapping a row; artefacts, checkpoints
            and ``metrics.jsonl`` go to the run's folder. It continues what it finds there, shows no progress bar (but
            may tell ``run.progress()``), and raises ``UnavailableError`` if something it needs is not here.
        claims: What is checked.
        figures: Blocks for the report, of the table of the finished runs and those runs in the same order.
        version: Enters the names of the runs: raise it when ``run`` changes what it measures.
    """

    name: str
    title: str
    paper: str
    summary: str
    grid: Callable[[Budget], Sequence[Any]]
    run: Callable[[Any, Run], Mapping[str, Any] | Sequence[Mapping[str, Any]]]
    claims: tuple[Claim, ...] = ()
    figures: Callable[["pd.DataFrame", Sequence[Run]], Sequence["Block"]] = _no_blocks
    version: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(f"name must be lower-case words joined by hyphens, not {self.name!r}")

    def runs(self, store: RunStore, budget: Budget) -> list[tuple[Any, Run]]:
        """Return each configuration of a budget with its run, finished or not; equal ones once."""
        pairs = [(config, store.run(self.name, config, self.version)) for config in self.grid(budget)]
        return list({run.folder: (config, run) for config, run in pairs}.values())


def find_studies(package: str = "sandtable.analysis.studies") -> dict[str, Study]:
    """Return the studies by name, in alphabetical order: the ``STUDY`` of every module of the package.

    Raises:
        ValueError: Two studies have the same name.
        AttributeError: A module has no ``STUDY``.
    """
    studies: dict[str, Study] = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        study = importlib.import_module(f"{package}.{module.name}").STUDY
        if study.name in studies:
            raise ValueError(f"two studies are called {study.name!r}; one is in {package}.{module.name}")
        studies[study.name] = study
    return dict(sorted(studies.items()))


def find_study(name: str) -> Study:
    """Return a study by name.

    Raises:
        InputError: There is none.
    """
    studies = find_studies()
    if name not in studies:
        near = difflib.get_close_matches(name, studies, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(studies) or 'none'}"
        raise InputError(f"no study is called {name!r}; {hint}")
    return studies[name]


@dataclass(frozen=True)
class Sweep:
    """What became of the runs of a budget.

    Attributes:
        present: How many were finished before.
        finished: How many finished now.
        failed: Folder of each that failed, with the last line of its traceback; all of it is in ``error.txt``.
        unavailable: Folder of each that was left out, with what it lacks.
    """

    present: int = 0
    finished: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    unavailable: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    """One run from its folder to its result, as a function of the configuration; the part that a process is sent."""

    study: str
    version: int
    run: Callable[[Any, Run], Any]
    store: RunStore

    def __call__(self, config: Any) -> str | None:
        """Return None, or what the run lacks."""
        run = self.store.run(self.study, config, self.version)
        recorder = Recorder()
        run.open(recorder.started)
        try:
            result = self.run(config, run)
        except (UnavailableError, MissingExtraError) as error:
            return str(error)
        run.finish(result, recorder.finished())
        return None


def run_study(study: Study, budget: Budget, store: RunStore, executor: Executor) -> Sweep:
    """Run what is missing of a budget; a run that fails does not stop the others.

    Where standard error is a terminal, a bar there shows how many are done, and a line for each run in training how far
    its slowest replica is. Interrupted, the same call continues.
    """
    pairs = study.runs(store, budget)
    missing = [(config, run) for config, run in pairs if not run.finished]
    failed, unavailable = {}, {}
    job = _Job(study.name, study.version, study.run, store)
    with (
        closing(executor.map(job, [config for config, _ in missing])) as outcomes,
        _display([run for _, run in missing]) as display,
    ):
        progress = display.track(outcomes, len(missing), description=study.title)
        for (_, run), outcome in zip(missing, progress, strict=True):
            if outcome.error is not None:
                run.fail(outcome.error)
                failed[run.folder] = outcome.error.strip().splitlines()[-1]
            elif outcome.value is not None:
                unavailable[run.folder] = outcome.value
    return Sweep(len(pairs) - len(missing), len(missing) - len(failed) - len(unavailable), failed, unavailable)


def _display(runs: Sequence[Run]) -> "Progress":
    """Return a bar on standard error, with the status of the runs in training below; nothing if it is no terminal."""
    from rich.console import Console, RenderableType
    from rich.progress import Progress
    from rich.text import Text

    class Watched(Progress):
        def get_renderables(self) -> "Iterator[RenderableType]":
            yield from super().get_renderables()
            for run in runs:
                if (status := run.status()) is not None:
                    yield Text(f"  {run.folder.name}  {status}", overflow="ellipsis", no_wrap=True)

    for run in runs:
        run.clear_status()
    console = Console(stderr=True)
    return Watched(console=console, disable=not console.is_terminal, refresh_per_second=2)


def tabulate(runs: Sequence[Run]) -> "pd.DataFrame":
    """Return the tidy table of finished runs.

    A row a run, or several where the study returned several. Columns are ``run`` (the folder's name), the settings, and
    the metrics; nested ones have names joined by dots.

    Raises:
        ValueError: A metric has the name of a setting.
    """
    import pandas as pd

    rows = []
    for run in runs:
        settings = {"run": run.folder.name, **_flat(run.config)}
        result = run.result()
        for metrics in map(_flat, result if isinstance(result, list) else [result]):
            if shared := settings.keys() & metrics.keys():
                raise ValueError(f"a setting and a metric are both called {min(shared)!r}")
            rows.append({**settings, **metrics})
    return pd.DataFrame(rows)


def judge(study: Study, store: RunStore, budget: Budget) -> list[ClaimOutcome]:
    """Hold each claim of a study against the runs of a budget that are finished.

    A claim whose ``compute`` raises fails, and its note says so: what cannot be computed is not shown.
    """
    runs = [(config, run, run.finished) for config, run in study.runs(store, budget)]
    return [_judge(study, claim, budget, runs) for claim in study.claims]


def largest_finished(study: Study, store: RunStore) -> Budget:
    """Return the largest budget with all its runs finished; ``cpu``, the default one, if there is none."""
    for budget in reversed(BUDGETS):
        runs = study.runs(store, budget)
        if runs and all(run.finished for _, run in runs):
            return budget
    return "cpu"


def _judge(study: Study, claim: Claim, budget: Budget, runs: Sequence[tuple[Any, Run, bool]]) -> ClaimOutcome:
    needed = [(run, finished) for config, run, finished in runs if claim.needs(config)]
    missing = sum(not finished for _, finished in needed)
    observed: float | None = None
    status: Status = "not run"
    note = ""
    if not needed:
        note = "no run of this budget tells"
    elif missing:
        note = f"{missing} of {len(needed)} runs are missing"
    else:
        try:
            value = claim.compute(tabulate([run for run, _ in needed]))
            observed = None if value is None else float(value)
        except Exception as error:
            status, note = "fails", f"could not be computed: {type(error).__name__}: {error}"
        else:
            if observed is None:
                note = "the runs do not tell"
            else:
                status = "holds" if claim.accepts(observed) else "fails"
                note = "the observed value is not a number" if math.isnan(observed) else ""
    return ClaimOutcome(
        study=study.name,
        statement=claim.statement,
        source=claim.source,
        paper_value=claim.paper_value,
        tolerance=claim.tolerance,
        observed=observed,
        budget=budget,
        status=status,
        relation=claim.relation,
        note=note,
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value})
    return flat
