"""The commands of the command line. Every one imports what it needs when it runs, so that help is quick."""

import contextlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import tyro

from sandtable import ENVIRONMENTS
from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.analysis.play.settings import PlaySettings
from sandtable.analysis.scaling.settings import ScalingLawSettings
from sandtable.grade_command import grade
from sandtable.output import (
    Output,
    print_json,
    print_table,
    run_store,
    say,
    show,
    tell_nobody,
    tell_stage,
    with_interval,
)
from sandtable.simulators.errors import MissingExtraError

DEFAULTS, DEFAULT_OUTPUT = BacktestSettings(), Output()
LAW_DEFAULTS = ScalingLawSettings()
SALES = tyro.conf.Positional[Path | None]
Name = tyro.conf.Positional[str]
Budget = Literal["smoke", "cpu", "gpu"]


def backtest(
    sales: SALES = None, settings: BacktestSettings = DEFAULTS, output: Output = DEFAULT_OUTPUT
) -> int:  # fmt: skip
    """Replay past sales and tell which ordering policy would have earned more.

    Args:
        sales: CSV (also .gz) or Parquet with a row a product and day: sku, date, units, and if known price, cost,
            in_stock, on_hand, on_order, lead_time, minimum_order, batch_size, capacity. Without a file, an embedded
            example is replayed.
        settings: What is assumed where the file does not tell, and how the test is done.
        output: Where results go.
    """
    from sandtable.analysis.inventory.run_backtest import ORDERS, VERSION, identity, load_history, run_backtest
    from sandtable.analysis.provenance import Recorder
    from sandtable.training.progress import bar

    recorder, store = Recorder(), run_store(output)
    history = load_history(sales, settings)
    run = store.run("backtest", identity(sales, settings), VERSION)
    if run.finished:
        say(output, f"this backtest was done before: {run.folder}")
        summary = run.result()
    else:
        # what a user's policy prints goes to standard error: standard output is for the outcome
        with bar("DirectBackprop") as progress, contextlib.redirect_stdout(sys.stderr):
            stage = tell_stage if sys.stderr.isatty() else tell_nobody
            summary = run_backtest(run, history, settings, progress, stage, lambda: run.open(recorder.started))
        run.finish(summary, recorder.finished())
    path = str(run.folder / summary["report"])
    if output.json:
        told = {name: summary[name] for name in ("baseline", "panel", "policies")}
        print_json({"report": path, **told})
        return 0
    rows = sorted((row for row in summary["policies"] if row["split"] == "test"), key=lambda row: -row["profit"])
    places = 0 if max(abs(row["profit"]) for row in rows) >= 1000 else 2
    print("\nOn the products seen in training:")
    print_table(
        [
            {
                "policy": row["policy"],
                "profit": f"{row['profit']:z,.{places}f}",
                "less baseline": with_interval(
                    row["difference"], row["difference_low"], row["difference_high"], places
                ),
                "fill rate": f"{row['fill_rate']:.1%}",
                "stock turns": f"{row['stock_turns']:.1f}",
            }
            for row in rows
        ]
    )
    print(f"\n{summary['answer']}\n\norders: {run.folder / ORDERS}\nreport: {path}")
    return 0


def evaluate(log: Name, settings: EvaluateSettings, output: Output = DEFAULT_OUTPUT) -> int:
    """Tell what a policy would earn from the log of another one, how sure that is, and whether the log can tell it.

    Args:
        log: CSV (also .gz) with a row a step: episode, step, action, reward, terminated, truncated; state or
            observation_0 ..; and if known behaviour_probability, target_probability_0 .., feature_0 ..,
            next_feature_0 ... Or an npz file of such arrays, minari:ID, or the folder of a Minari dataset.
        settings: Which policy, features and estimators.
        output: Where results go.
    """
    from sandtable.analysis.ope.run_evaluation import VERSION, identity, run_evaluation
    from sandtable.analysis.provenance import Recorder
    from sandtable.simulators.ope.log_file import read_log

    recorder, store = Recorder(), run_store(output)
    # what a user's functions print goes to standard error: standard output is for the outcome
    with contextlib.redirect_stdout(sys.stderr):
        run = store.run("evaluate", identity(log, settings), VERSION)
        done = run.finished
        if done:
            summary = run.result()
        else:
            stage = tell_stage if sys.stderr.isatty() else tell_nobody
            steps = read_log(log, unfinished=settings.unfinished)
            summary = run_evaluation(run, steps, settings, stage, lambda: run.open(recorder.started))
            run.finish(summary, recorder.finished())
    document = summary["document"] | {"report": str(run.folder / summary["document"]["report"])}
    if output.json:
        print_json(document)
        return 0
    if done:
        print(f"this evaluation was done before: {run.folder}")
    print_table([of_estimate(row) for row in document["estimates"] if row["status"] != "not run"])
    for row in document["estimates"]:
        if row["status"] == "not run":
            print(f"not run: {row['estimator']}: {row['reason']}")
    for warning in document["warnings"]:
        print(f"warning: {warning}")
    print(f"\n{summary['answer']}\n{summary['regime']}\n\nreport: {document['report']}")
    return 0


def of_estimate(row: dict[str, Any]) -> dict[str, Any]:
    """Return what the table of ``evaluate`` shows of an estimate."""
    low, high = row["ci"]
    return {
        "estimator": row["estimator"],
        "value": None if row["value"] is None else f"{row['value']:.5g}",
        f"{1 - row['alpha']:.0%} interval": None if low is None or high is None else f"[{low:.5g}, {high:.5g}]",
        "from": row["interval"],
        "status": row["status"],
    }


def scaling_law(
    runs_file: Name, settings: ScalingLawSettings = LAW_DEFAULTS, output: Output = DEFAULT_OUTPUT
) -> int:  # fmt: skip
    """Fit scaling laws to a table of training runs: optimal sizes and losses for a budget, how sure, what to run next.

    Args:
        runs_file: CSV with a row a run: parameters (N), data (D, tokens), flops (C), loss, and if known return,
            loss_se, return_se, seed, group, budget, status, data_planned, data_unique, parameters_non_embedding; for
            curves, run and step.
        settings: Which laws, and how they are fitted and doubted.
        output: Where results go.
    """
    from sandtable.analysis.provenance import Recorder
    from sandtable.analysis.scaling.run_scaling_law import VERSION, identity, load_runs, run_scaling_law

    recorder, store = Recorder(), run_store(output)
    run = store.run("scaling-law", identity(runs_file, settings), VERSION)
    done = run.finished
    if done:
        summary = run.result()
    else:
        stage = tell_stage if sys.stderr.isatty() else tell_nobody
        file, name = load_runs(runs_file, settings), Path(runs_file).name
        summary = run_scaling_law(run, file, name, settings, stage, lambda: run.open(recorder.started))
        run.finish(summary, recorder.finished())
    document = summary["document"] | {"report": str(run.folder / summary["document"]["report"])}
    if output.json:
        print_json(document)
        return 0
    if done:
        print(f"these laws were fitted before: {run.folder}")
    print_table([row for fit in document["fits"] for row in of_law(fit)])
    for one in document["skipped"]:
        print(f"not fitted: {one['law']}: {one['reason']}")
    for one in document["warnings"]:
        print(f"warning: {one['code']}: {one['message']}")
    print(f"\n{summary['answer']}\n\nreport: {document['report']}")
    return 0


def of_law(fit: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the table of ``scaling-law`` shows of a fit: a row a parameter."""
    rows = []
    for name, value in fit["params"].items():
        low, high = (math.nan if end is None else end for end in fit["conf_int"][name])
        rows.append(
            {
                "law": " ".join(filter(None, [fit["law"], fit["group"]])),
                "size": {"parameters": "total"}.get(fit["size"], "non-embedding"),
                "parameter": name,
                "estimate": f"{value:.5g}",
                f"{fit['interval']['level'] or 0.95:.0%} interval": (
                    f"[{low:.5g}, {high:.5g}]" if math.isfinite(low) and math.isfinite(high) else None
                ),
                "from": fit["interval"]["method"],
            }
        )
    return rows


def play(settings: PlaySettings, output: Output = DEFAULT_OUTPUT) -> int:
    """Run a policy in an environment, and tell how well it does and how sure that is.

    Args:
        settings: Which games are played, and how they are judged.
        output: Where results go.
    """
    from sandtable.analysis.play.prepared import prepare
    from sandtable.analysis.play.run_play import VERSION, check_settings, identity, run_play
    from sandtable.analysis.provenance import Recorder
    from sandtable.training.progress import bar

    recorder, store = Recorder(), run_store(output)
    check_settings(settings)
    prepared = prepare(settings)
    run = store.run("play", identity(prepared, settings), VERSION)
    summary = run.result() if run.finished else {}
    done = summary.get("alpha") == settings.alpha
    if not done:
        run.open(recorder.started)
        with bar("games") as progress:
            summary = run_play(run, prepared, settings, progress)
        run.finish(summary, recorder.finished())
    told = summary["document"]
    document = told | {name: str(run.folder / told[name]) for name in ("games_file", "report")}
    code = 0 if document["lost"] < document["games"] else 1
    if output.json:
        print_json(document)
        return code
    if done:
        print(f"these games were played before: {run.folder}")
    quantities = ("score", "return", "length", "turns", "depth")
    print_table([of_quantity(name, document[name]) for name in quantities if document[name] is not None])
    for one in document["warnings"]:
        print(f"warning: {one['code']}: {one['message']}")
    print(f"\n{summary['answer']}\n\ngames: {document['games_file']}\nreport: {document['report']}")
    return code


def of_quantity(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """Return what the table of ``play`` shows of a quantity."""

    def interval(ends: list[float]) -> str | None:
        return None if math.isnan(ends[0]) else f"[{ends[0]:.5g}, {ends[1]:.5g}]"

    return {
        "of a game": name,
        "mean": f"{told['mean']:.5g}",
        "se": None if math.isnan(told["se"]) else f"{told['se']:.3g}",
        "interval": interval(told["ci"]),
        "median": f"{told['median']:.5g}",
        "its interval": interval(told["median_ci"]),
        "largest": f"{told['max']:.5g}",
    }


def list_studies(output: Output = DEFAULT_OUTPUT) -> int:
    """List the studies: papers whose claims can be checked here.

    Args:
        output: Where results go.
    """
    from sandtable.analysis.study import find_studies

    studies = [{"name": one.name, "title": one.title, "paper": one.paper} for one in find_studies().values()]
    show(output, studies, studies)
    return 0


def describe(name: Name, output: Output = DEFAULT_OUTPUT) -> int:
    """Say what a study does, what it claims and how much it runs; or what the rules of an environment are.

    Args:
        name: Of a study, or the id of an environment, such as sandtable/LostSales-v0.
        output: Where results go.
    """
    if name in ENVIRONMENTS:
        return describe_environment(name, output)
    from sandtable.analysis.store import to_plain
    from sandtable.analysis.study import BUDGETS, find_study

    found = find_study(name)
    grid = {budget: [to_plain(config) for config in found.grid(budget)] for budget in BUDGETS}
    claims = [{"statement": claim.statement, "source": claim.source} for claim in found.claims]
    document = {
        "name": found.name, "title": found.title, "paper": found.paper, "summary": found.summary,
        "claims": claims, "grid": grid,
    }  # fmt: skip
    if output.json:
        print_json(document)
        return 0
    print(f"{found.title} ({found.paper})\n\n{found.summary}\n\nClaims:")
    for claim in claims:
        print(f"  - {claim['statement']} ({claim['source']})")
    print("\nRuns: " + ", ".join(f"{len(configs)} at {budget}" for budget, configs in grid.items()))
    return 0


def describe_environment(environment_id: str, output: Output) -> int:
    """Print the rules of an environment and its spaces."""
    import inspect

    import gymnasium

    env = gymnasium.make(environment_id)
    process = getattr(env.unwrapped, "process", None)  # NetHack is its own world
    card = process.card() if process is not None else inspect.getdoc(type(env.unwrapped)) or ""
    spaces = {"observation_space": str(env.observation_space), "action_space": str(env.action_space)}
    if output.json:
        print_json({"name": environment_id, "card": card, **spaces})
        return 0
    print(f"{environment_id}\n\n{card.strip()}\n")
    for name, space in spaces.items():
        print(f"{name.replace('_', ' ')}: {space}")
    return 0


def run(study: Name, budget: Budget = "cpu", jobs: int = 1, output: Output = DEFAULT_OUTPUT) -> int:
    """Run what is missing of a study, check its claims and write its report.

    Args:
        study: Its name.
        budget: How much is run: smoke (seconds), cpu (minutes on two cores), gpu (half an hour of a big one).
        jobs: Processes that work side by side.
        output: Where results go.
    """
    from sandtable.analysis.executor import InProcess, ProcessPool
    from sandtable.analysis.report import write
    from sandtable.analysis.study import find_study, run_study
    from sandtable.analysis.study_report import study_report
    from sandtable.simulators.errors import InputError

    if jobs < 1:
        raise InputError(f"--jobs: {jobs} is less than 1")
    found, store = find_study(study), run_store(output)
    sweep = run_study(found, budget, store, InProcess() if jobs == 1 else ProcessPool(jobs))
    path = output.runs / found.name / f"report-{budget}.html"
    write(study_report(found, store, budget), path)
    for folder, reason in (sweep.failed | sweep.unavailable).items():
        print(f"{folder}: {reason}", file=sys.stderr)
    document = {
        "study": found.name, "budget": budget, "present": sweep.present, "finished": sweep.finished,
        "failed": len(sweep.failed), "unavailable": len(sweep.unavailable), "report": str(path),
    }  # fmt: skip
    show(output, document, [document])
    return 1 if sweep.failed else 0


def claims(
    study: tyro.conf.Positional[str | None] = None, budget: Budget | None = None, output: Output = DEFAULT_OUTPUT
) -> int:
    """Check the claims of the studies against the runs that are there. Exit code 1 if one fails.

    Args:
        study: Its name; all of them by default.
        budget: Whose runs are judged; by default the largest one that is complete.
        output: Where results go.
    """
    from sandtable.analysis.study import find_studies, find_study, judge, largest_finished

    store = run_store(output)
    studies = [find_study(study)] if study else list(find_studies().values())
    outcomes = [one for each in studies for one in judge(each, store, budget or largest_finished(each, store))]
    rows = [
        {"status": one.status, "observed": one.observed, "statement": one.statement, "study": one.study}
        for one in outcomes
    ]
    show(output, [one.as_json() for one in outcomes], rows)
    return 1 if any(one.status == "fails" for one in outcomes) else 0


def report(study: Name, budget: Budget | None = None, output: Output = DEFAULT_OUTPUT) -> int:
    """Write the report of a study from the runs that are there.

    Args:
        study: Its name.
        budget: Whose runs are reported; by default the largest one that is complete.
        output: Where results go.
    """
    from sandtable.analysis.report import write
    from sandtable.analysis.study import find_study, largest_finished
    from sandtable.analysis.study_report import study_report

    found, store = find_study(study), run_store(output)
    chosen = budget or largest_finished(found, store)
    path = output.runs / found.name / f"report-{chosen}.html"
    write(study_report(found, store, chosen), path)
    show(output, {"report": str(path)}, [{"report": str(path)}])
    return 0


def bench(name: tyro.conf.Positional[str | None] = None, quick: bool = False, output: Output = DEFAULT_OUTPUT) -> int:
    """Time ours side by side with what one would use otherwise, on one core, with the hardware's limit beside it.

    Args:
        name: Which benchmark; all of them by default.
        quick: Smaller sizes and fewer repeats, to see that it runs; the rates mean little.
        output: Where results go.
    """
    from sandtable.benchmarks.timing import find_benchmarks

    rows: list[dict[str, Any]] = []
    for benchmark in find_benchmarks(name):
        try:
            rows += benchmark(quick)
        except MissingExtraError as error:
            if name is not None:
                raise
            print(f"sandtable: left out: {error}", file=sys.stderr)
    if output.json:
        print_json(rows)
        return 0
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        unit = row["unit"] if row["ours"] < 1e4 else f"millions of {row['unit']} of one core"
        heading = f"{row['benchmark']}: {unit}, against {row['alternative']}"
        groups.setdefault(heading, []).append(of_benchmark(row))
    for heading, group in groups.items():
        print(f"\n{heading}")
        print_table(group)
    return 0


def of_benchmark(row: dict[str, Any]) -> dict[str, Any]:
    """Return what the table of ``bench`` shows of a row."""
    there, scale = row["alternative_rate"] is not None, 1 if row["ours"] < 1e4 else 1e6
    return {
        "case": row["case"],
        "ours": f"{row['ours'] / scale:.3g}",
        "alternative": f"{row['alternative_rate'] / scale:.3g}" if there else "not run",
        "ratio": f"{row['ratio']:.2f}" if there else None,
        "asked": row["target"],
        "of the memory's limit": None if row["limit"] is None else f"{row['fraction_of_limit']:.1%}",
    }


def data() -> int:
    """Look into files of data, bring data in, record play: check, describe; see sandtable data --help."""
    raise AssertionError("the command line parses the commands of data by themselves")


COMMANDS: dict[str, Callable[..., int]] = {
    "backtest": backtest,
    "evaluate": evaluate,
    "scaling-law": scaling_law,
    "play": play,
    "grade": grade,
    "list": list_studies,
    "describe": describe,
    "run": run,
    "claims": claims,
    "report": report,
    "bench": bench,
    "data": data,
}
