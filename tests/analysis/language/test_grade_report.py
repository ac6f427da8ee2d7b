"""Every kind of grading gets a document that is JSON, warnings that say what is wrong, and a page that can be read."""

import json
import math

import pytest

from sandtable.analysis.language.grade_document import answer, document
from sandtable.analysis.language.grade_report import grade_report
from sandtable.analysis.language.grade_warnings import named, warnings_of
from sandtable.analysis.language.results import GradeCost, Graded
from sandtable.analysis.language.settings import GradeSettings
from sandtable.analysis.language.verdict_log import KeptVerdict, read_verdicts, verdict_log
from sandtable.analysis.report import render, write
from sandtable.analysis.store import to_plain
from sandtable.simulators.language.completions import CompletionsFile, Greedy, Prompt
from sandtable.simulators.language.grading import assemble, graded
from sandtable.simulators.language.sandbox.grader import STATUSES
from sandtable.simulators.language.stop_rules import StopRule
from sandtable.simulators.language.tasks import Task, TasksFile

BOX = {"backend": "landlock", "landlock_abi": 7, "seccomp": True, "uid": 65534, "cpu_seconds": 3.0, "memory_mb": 512}


@pytest.fixture
def found(tmp_path):
    """Return what makes a grading of prompts whose completions are the verdicts that they get."""

    def make(*prompts, tasks=("p",), cpu_seconds=0.01, box=BOX, verdicts=1, tests="f()"):
        known = tuple(Task(name, "python", "", "f", tests=tests) for name in tasks)
        file = CompletionsFile(tmp_path / "c.jsonl", "sandtable", prompts)
        grading = assemble(file, TasksFile(tmp_path / "t.jsonl", "sandtable", known), StopRule())
        kept = {key: KeptVerdict(key, one.text.split()[0], cpu_seconds, 0.1) for key, one in grading.pieces.items()}
        told = tuple(graded(grading, {key: one.status for key, one in kept.items()}))
        settings = GradeSettings(tasks=tmp_path / "t.jsonl")
        return Graded(grading, told, kept, settings, box, GradeCost(verdicts, 0.02 * verdicts, 0.5))

    return make


def prompt(name, *verdicts, **fields):
    return Prompt(name, fields.pop("prompt", ""), verdicts, task_id="p", **fields)


def codes(found):
    return [one.code for one in warnings_of(found)]


def test_statuses_are_counted_and_shown(found):
    one = found(prompt("<script>alert(1)</script>", *STATUSES, "passed 2"), prompt("b", "passed 3"))
    told = document(one, "out", "report")
    assert told["counts"] == dict.fromkeys(STATUSES, 1) | {"passed": 3}
    assert told["cpu_ms_per_verdict"] == pytest.approx(20)
    assert told["verdicts_per_second"] == pytest.approx(2)
    json.dumps(to_plain(told), allow_nan=False)
    page = render(grade_report(one, told, {}))
    assert "<script>alert" not in page
    for words in ("every test held", "its process ended without a word", "landlock (ABI 7)", "user id 65534"):
        assert words in page
    assert answer(one, told).startswith("3 of 10 completions of 2 prompts passed: pass@1 is 61.1%")


def test_what_passed_near_the_limit_is_listed(found):
    one = found(prompt("a", "passed", "failed", "passed"), prompt("b", "passed 2"), cpu_seconds=1.6)
    places = [(place.prompt_id, place.index) for place in one.near_limit]
    assert places == [("a", 0), ("a", 2), ("b", 0)]
    assert "near_limit" in codes(one)
    assert document(one, "", "")["near_limit"][0] == {"prompt_id": "a", "index": 0, "cpu_seconds": 1.6}
    assert found(prompt("a", "passed"), cpu_seconds=1.5).near_limit == []


def test_each_warning_has_its_reason(found):
    grave = found(
        prompt("a", "passed", "judge_error", rewards=(0.0, 1.0), finish=("length", None)), tasks=("p", "q"), box={}
    )  # fmt: skip
    assert codes(grave) == ["judge_error", "rewards_differ", "one_prompt", "missing_tasks", "truncated"]
    unsafe = found(prompt("a", "wall"), prompt("b", "wall 2", prompt="wall # x"), box=BOX | {"backend": "none"})
    assert codes(unsafe) == ["not_confined", "prompt_differs", "wall"]
    few = found(prompt("a", *["passed", "passed"] * 3), prompt("b", "failed"))
    assert codes(few) == ["few_completions", "duplicates"]
    assert codes(found(prompt("a", "passed", "failed"), prompt("b", "passed 2", "error"))) == []
    assert named(list("abcdefg")) == "a, b, c, d, e and 2 more"


@pytest.mark.parametrize(
    "tests", ["assert eval(f()) == 1", "from pickle import loads\nassert loads(f()) == 1", "import marshal as m\nf()"]
)
def test_tests_that_run_what_they_are_given_are_told_of(found, tests):
    prompts = prompt("a", "passed", "failed"), prompt("b", "passed 2", "error")
    assert codes(found(*prompts, tests=tests)) == ["tests_run_code"]
    assert codes(found(*prompts, tests="import ast, re\nre.compile(f())\nassert ast.literal_eval(f()) == 1")) == []


def test_an_attempt_that_found_everything_done_has_no_rate(found):
    told = document(found(prompt("a", "passed"), verdicts=0), "", "")
    assert told["cpu_ms_per_verdict"] is None
    assert told["verdicts_per_second"] is None


def test_greedy_completions_are_told_apart(found):
    first = prompt("a", "failed", "failed 2", greedy=Greedy("passed"))
    one = found(first, prompt("b", "failed 3", greedy=Greedy("error")))
    assert document(one, "", "")["counts"]["passed"] == 0
    assert document(one, "", "")["completions"] == document(one, "", "")["distinct"] == 3
    assert "50.0% of 2 passed." in render(grade_report(one, document(one, "", ""), {}))


def test_the_page_opens_and_draws_its_figures(found, tmp_path, open_in_browser):
    prompts = [prompt(f"p{i}", *["passed"] * i, *["failed"] * (20 - i), rewards=(1.0,) * 20) for i in range(20)]
    one = found(*prompts, cpu_seconds=2.0)
    write(grade_report(one, document(one, "", ""), {"completions": "c.jsonl"}), tmp_path / "report.html")
    page = open_in_browser(tmp_path / "report.html")
    assert (page.errors, page.requests) == ([], [])
    assert len(page.figures) == 2
    assert all(width > 300 and height > 100 for width, height in page.figures)
    assert page.evaluate("document.body.innerText").count("p19") >= 2


def test_verdicts_are_read_again_and_torn_lines_left_out(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    assert read_verdicts(path) == {}
    first, second = KeptVerdict("a", "passed", 0.25, 0.5), KeptVerdict("b", "cpu", math.pi, 4.0)
    with verdict_log(path) as log:
        log.add(first)
    path.write_text(path.read_text() + '{"key": "c", "status": "pas')
    with verdict_log(path) as log:
        log.add(second)
    other = '[1]\n{"key": "d", "status": "forged"}\n{"key": "e", "status": "passed", "x": 1}\n'
    path.write_text(path.read_text() + other)
    assert read_verdicts(path) == {"a": first, "b": second}
