"""The command ``sandtable grade``."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import tyro

from sandtable.analysis.language.settings import GradeSettings
from sandtable.output import Output, print_json, print_table, run_store

DEFAULT_OUTPUT = Output()
Name = tyro.conf.Positional[str]


def grade(completions: Name, settings: GradeSettings, output: Output = DEFAULT_OUTPUT) -> int:
    """Run what a language model wrote, in a sandbox, and tell how often one of k completions passes: pass@k.

    Args:
        completions: JSON Lines (also .gz): sandtable.completions/1; rows of task_id and completion; CodeT's samples; or
            GSM8K's model solutions.
        settings: What the completions are held to, and what their programs may take.
        output: Where results go.
    """
    from sandtable.analysis.language.run_grade import VERSION, identity, load, run_grade, write_out
    from sandtable.analysis.provenance import Recorder

    recorder, store = Recorder(), run_store(output)
    run = store.run("grade", identity(completions, settings), VERSION)
    done = run.finished
    if done:
        summary = run.result()
    else:
        grading = load(completions, settings)
        with _bar() as progress:
            summary = run_grade(run, grading, settings, lambda: run.open(recorder.started), progress)
        run.finish(summary, recorder.finished())
    paths = {"out": str(write_out(run, settings)), "report": str(run.folder / summary["document"]["report"])}
    document = summary["document"] | paths
    if output.json:
        print_json(document)
        return 0
    if done:
        print(f"these completions were graded before: {run.folder}")
    print_table([of_pass_at(row) for row in document["pass_at"]])
    told = [f"{number:,} {status.replace('_', ' ')}" for status, number in document["counts"].items() if number]
    print(f"verdicts: {', '.join(told)}")
    for one in document["warnings"]:
        print(f"warning: {one['code']}: {one['message']}")
    print(f"\n{summary['answer']}\n\ncompletions: {document['out']}\nreport: {document['report']}")
    return 0


def of_pass_at(row: dict[str, Any]) -> dict[str, Any]:
    """Return what the table of ``grade`` shows of a k."""
    (low, high), se = row["ci"], row["se"]
    known = se is not None and se == se
    return {
        "k": row["k"],
        "pass@k": f"{row['estimate']:.2%}",
        "se": f"{se:.2%}" if known else None,
        "95% interval": f"[{low:.2%}, {high:.2%}]" if known else None,
        "prompts": row["prompts"],
    }


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar of verdicts on a terminal. The bar's module loads much, so it is not imported where none is shown."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from sandtable.training.progress import bar

    with bar("verdicts") as progress:
        yield lambda done, total: progress(done, total, {})
