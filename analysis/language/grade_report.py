"""The report on a grading: how often completions pass, what speaks against the numbers, and what became of all."""

from collections.abc import Mapping
from typing import Any

from sandtable.analysis.language.grade_document import answer
from sandtable.analysis.language.grade_figures import pass_curve, prompts_histogram
from sandtable.analysis.language.grade_warnings import warnings_of
from sandtable.analysis.language.results import Graded
from sandtable.analysis.report import Block, Column, Interval, KeyFigure, Note, Report, Section, Table

MEANINGS = {
    "passed": "every test held, or the answer is right",
    "failed": "a test did not hold, or the answer is wrong",
    "error": "the program is no Python, or raised an exception",
    "cpu": "it took more CPU time than allowed",
    "memory": "it took more memory than allowed",
    "wall": "it was given up after the limit on the clock",
    "crash": "its process ended without a word",
    "judge_error": "the tests themselves raised, or ran too long",
}
MOST_ROWS = 200
"""Of a table of the page; files hold the others."""


def grade_report(found: Graded, told: Mapping[str, Any], provenance: Mapping[str, Any]) -> Report:
    """Return the report.

    Args:
        found: What was found.
        told: What ``--json`` prints; readers can save it.
        provenance: What the numbers come from.
    """
    sections = [_warnings(found), _pass_at(found), _statuses(found)]
    if found.sandbox:
        sections.append(_near_limit(found))
    if found.compared:
        sections.append(_agreement(found))
    sections += [_prompts(found), _sandbox(found, told)]
    return Report(
        title="Graded completions",
        question=(
            f"How often do {told['completions']:,} completions of {told['prompts']:,} prompts do what was asked, and "
            "how often does one of k?"
        ),
        answer=answer(found, told),
        sections=sections,
        provenance=provenance,
        data=told,
        key_figures=_key_figures(found, told),
    )


def _key_figures(found: Graded, told: Mapping[str, Any]) -> list[KeyFigure]:
    first, last = found.pass_at[0], found.pass_at[-1]
    figures = [KeyFigure("pass@1", f"{first.estimate:.1%}", _ends(first.ci))]
    if last.k > 1:
        figures.append(KeyFigure(f"pass@{last.k}", f"{last.estimate:.1%}", _ends(last.ci)))
    figures.append(KeyFigure("Programs", f"{told['distinct']:,}", f"distinct, of {told['completions']:,} completions"))
    solved = int((found.passed > 0).sum())
    return [*figures, KeyFigure("Solved prompts", f"{solved:,}", f"of {told['prompts']:,}, by at least one completion")]


def _ends(ci: tuple[float, float]) -> str:
    return f"{ci[0]:.1%} to {ci[1]:.1%}" if ci[0] == ci[0] else "no interval"


def _warnings(found: Graded) -> Section:
    told = warnings_of(found)
    if not told:
        return Section("Warnings", "Nothing was found in the files or the verdicts that speaks against the numbers.")
    rows = [(one.code.replace("_", " "), one.message) for one in told]
    table = Table("What to know before believing the numbers", [Column("kind"), Column("what was found")], rows)
    return Section("Warnings", blocks=[table])


def _pass_at(found: Graded) -> Section:
    rows = [
        (one.k, Interval(one.estimate, *one.ci), one.se, one.prompts, one.left_out)
        for one in found.pass_at
    ]  # fmt: skip
    columns = [
        Column("k", "number", 0), Column("pass@k", "percent", 2), Column("standard error", "percent", 2),
        Column("prompts", "number", 0), Column("with fewer than k", "number", 0),
    ]  # fmt: skip
    note = (
        "Unbiased: 1 − C(n − c, k) / C(n, k) for each prompt, with c of n completions passed; then the mean. Standard "
        "errors are over prompts (or groups of them), intervals are Wilson's, at as many trials as the standard error "
        "is worth."
    )
    table = Table("pass@k", columns, rows, note=note)
    greedy = [one.greedy.reward for one in found.prompts if one.greedy is not None and one.greedy.reward is not None]
    blocks: list[Block] = [pass_curve(found), table]
    if greedy:
        share = sum(greedy) / len(greedy)
        blocks.append(Note(f"{share:.1%} of {len(greedy):,} passed.", "Greedy completions"))
    return Section("pass@k", blocks=blocks)


def _statuses(found: Graded) -> Section:
    total = sum(found.counts.values())
    rows = [(status, number, number / total, MEANINGS[status]) for status, number in found.counts.items() if number]
    columns = [Column("status"), Column("completions", "number", 0), Column("share", "percent"), Column("meaning")]
    return Section("What became of the completions", blocks=[Table("Statuses", columns, rows)])


def _prompts(found: Graded) -> Section:
    rows = []
    for prompt, task, keys, n, passed in zip(
        found.prompts, found.grading.tasks, found.grading.keys, found.n.tolist(), found.passed.tolist(), strict=True
    ):
        others = [status for status in prompt.verdicts or () if status not in ("passed", None)]
        often = max(set(others), key=lambda status: (others.count(status), status), default=None)
        rows.append((prompt.prompt_id, task.kind, n, len(set(keys)), passed, passed / n, often))
    columns = [
        Column("prompt"), Column("kind"), Column("completions", "number", 0), Column("distinct", "number", 0),
        Column("passed", "number", 0), Column("share", "percent"), Column("else most often"),
    ]  # fmt: skip
    note = _more(len(rows), "prompts")
    table = Table("Prompt by prompt", columns, rows[:MOST_ROWS], note=note)
    return Section("The prompts", blocks=[prompts_histogram(found), table])


def _more(rows: int, what: str) -> str:
    return f"The first {MOST_ROWS} of {rows:,} {what}; graded.jsonl has all." if rows > MOST_ROWS else ""


def _near_limit(found: Graded) -> Section:
    rows = sorted(((one.prompt_id, one.index, one.cpu_seconds) for one in found.near_limit), key=lambda row: -row[-1])
    if not rows:
        return Section("Near the limit", "No completion passed with over half of the CPU time that it may take.")
    columns = [Column("prompt"), Column("completion", "number", 0), Column("CPU-seconds", "number", 2)]
    table = Table(
        f"Passed with over half of {found.settings.cpu:g} CPU-seconds", columns, rows[:MOST_ROWS],
        note=_more(len(rows), "completions") or "On a slower machine these may not pass; give them more by --cpu.",
    )  # fmt: skip
    return Section("Near the limit", blocks=[table])


def _agreement(found: Graded) -> Section:
    differ = found.disagreements
    text = (
        f"The file gives {found.compared:,} completions a reward of 0 or 1; {found.compared - len(differ):,} verdicts "
        "agree with it."
    )
    if not differ:
        return Section("Rewards that the file had", text)
    columns = [Column("prompt"), Column("completion", "number", 0), Column("reward", "number", 0), Column("verdict")]
    table = Table("Where they differ", columns, differ[:MOST_ROWS], note=_more(len(differ), "completions"))
    return Section("Rewards that the file had", text, [table])


def _sandbox(found: Graded, told: Mapping[str, Any]) -> Section:
    settings, box = found.settings, found.sandbox
    if not box:
        text = "No completion is a program, so nothing ran."
    else:
        layers = [
            f"landlock (ABI {box['landlock_abi']})" if box.get("landlock_abi") else "no landlock",
            "seccomp" if box.get("seccomp") else "no seccomp",
            f"user id {box['uid']}",
        ]
        text = (
            f"Programs and tests ran in processes of their own, apart from each other: {box['backend']}; "
            f"{', '.join(layers)}; {settings.cpu:g} CPU-seconds, {settings.memory} MiB and {settings.wall:g} seconds "
            f"of the clock each; packages besides the standard library: {', '.join(settings.packages) or 'none'}."
        )
    if told["cpu_ms_per_verdict"] is not None:
        text += (
            f"\n\nThe last attempt sought {found.cost.verdicts:,} verdicts, {told['verdicts_per_second']:,.0f} a "
            f"second, at {told['cpu_ms_per_verdict']:.1f} ms of CPU time each, all processes counted."
        )
    text += (
        f"\n\nStop rule: {settings.stop}; it cut {told['cut']:,} completions. A program that is the same for the same "
        f"task ran once: {told['distinct']:,} of {told['completions']:,}."
    )
    return Section("How it was done", text)
