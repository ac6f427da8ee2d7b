"""What grading found as one JSON document, and in one sentence."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sandtable.analysis.language.grade_warnings import warnings_of
from sandtable.analysis.language.results import Graded
from sandtable.estimators.language.pass_at_k import PassAtKResult

SCHEMA = "sandtable.grade/1"
SANDBOX = ("backend", "landlock_abi", "seccomp", "uid", "cpu_seconds", "memory_mb")


def document(found: Graded, out: str, report: str) -> dict[str, Any]:
    """Return what ``sandtable grade --json`` prints.

    Args:
        found: What was found.
        out: Where the completions with their verdicts are.
        report: Where the report is.
    """
    cost = found.cost
    return {
        "schema": SCHEMA,
        "prompts": len(found.prompts),
        "completions": int(found.n.sum()),
        "distinct": found.grading.distinct,
        "cut": found.grading.cut,
        "sandbox": {name: found.sandbox.get(name) for name in SANDBOX},
        "counts": found.counts,
        "pass_at": [_of_result(one) for one in found.pass_at],
        "near_limit": [asdict(one) for one in found.near_limit],
        "cpu_ms_per_verdict": 1000 * cost.cpu_seconds / cost.verdicts if cost.verdicts else None,
        "verdicts_per_second": cost.verdicts / cost.wall_seconds if cost.verdicts else None,
        "warnings": [{"code": one.code, "message": one.message} for one in warnings_of(found)],
        "out": out,
        "report": report,
    }


def _of_result(one: PassAtKResult) -> dict[str, Any]:
    return {"k": one.k, "estimate": one.estimate, "se": one.se, "ci": list(one.ci), "prompts": one.prompts}


def answer(found: Graded, told: Mapping[str, Any]) -> str:
    """Return the answer in one sentence."""
    first, last = found.pass_at[0], found.pass_at[-1]
    passed, completions = found.counts["passed"], told["completions"]
    of = f"{passed:,} of {completions:,} completions of {_count(told['prompts'], 'prompt')}"
    words = f"{of} passed: pass@1 is {of_estimate(first)}"
    if last.k > 1:
        words += f", pass@{last.k} {of_estimate(last)}"
    return f"{words}."


def of_estimate(one: PassAtKResult) -> str:
    """Return an estimate with its interval, in percent."""
    if one.ci[0] != one.ci[0]:
        return f"{one.estimate:.1%}"
    return f"{one.estimate:.1%} [{one.ci[0]:.1%}, {one.ci[1]:.1%}]"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
