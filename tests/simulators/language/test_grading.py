"""Completions become distinct pieces, and verdicts come back to the completions that they are of."""

import json

import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.completions import CompletionsFile, Greedy, Prompt
from sandtable.simulators.language.grading import (
    Piece,
    answer_of,
    assemble,
    graded,
    imports_of_setup,
    job_of,
    judge_here,
    names_in_tests,
)
from sandtable.simulators.language.stop_rules import stop_rule
from sandtable.simulators.language.tasks import Task
from sandtable.simulators.language.tasks_file import read_tasks, write_tasks

TESTS = "assert f() == one + len(other)"
TASKS = (
    Task("f", "python", "def f():\n", "f", "import math", "one = 1", TESTS, reference="other = 2"),
    Task("n", "number", "1+1?", answer="2"),
    Task("t", "text", "capital of France?", answer="Paris"),
)


@pytest.fixture
def tasks(tmp_path):
    write_tasks(tmp_path / "tasks.jsonl", TASKS)
    return read_tasks(tmp_path / "tasks.jsonl")


def completions(tmp_path, *prompts):
    return CompletionsFile(tmp_path / "completions.jsonl", "sandtable", prompts)


def test_a_program_is_the_prompt_and_the_completion_cut(tmp_path, tasks):
    bodies = ("    return 1\nprint(f())", "    return 1", "    return 2")
    prompt = Prompt("f", "def f():  # as it was prompted\n", bodies)
    grading = assemble(completions(tmp_path, prompt), tasks, stop_rule("humaneval"))
    assert (grading.cut, grading.distinct, grading.unused) == (1, 2, ("n", "t"))
    first, second, third = grading.keys[0]
    assert first == second != third
    piece = grading.pieces[first]
    assert piece.text == "def f():  # as it was prompted\n    return 1"
    job = job_of(piece, seed=3)
    assert (job.program, job.entry_point, job.setup, job.helpers) == (piece.text, "f", "one = 1", "import math")
    assert (job.tests, job.names, job.seed) == (TASKS[0].tests, ("one", "other"), 3)


def test_keys_depend_on_task_and_text_alone(tmp_path, tasks):
    one = assemble(completions(tmp_path, Prompt("n", "1+1?", ("2", "3"))), tasks, stop_rule("none"))
    other = assemble(
        completions(tmp_path, Prompt("t", "?", ("2",)), Prompt("x", "1+1?", ("3Q", "2"))), tasks, stop_rule("Q")
    )
    assert other.keys[1] == one.keys[0][::-1]
    assert other.keys[0][0] != one.keys[0][0]


@pytest.mark.parametrize(
    ("task", "text", "status", "answer"),
    [
        (TASKS[1], "it is 2.0", "passed", "2"),
        (TASKS[1], "three", "failed", None),
        (TASKS[2], " Paris\n", "passed", "Paris"),
        (TASKS[2], "paris", "failed", "paris"),
        (TASKS[0], "def f(): pass", None, None),
        (TASKS[0], "'\ud800'", "error", None),
    ],
)
def test_what_is_no_program_is_judged_at_once(tmp_path, tasks, task, text, status, answer):
    prompt = Prompt(task.task_id, "", (text,))
    ((piece,),) = [assemble(completions(tmp_path, prompt), tasks, stop_rule("none")).pieces.values()]
    assert judge_here(piece) == status
    assert answer_of(piece) == answer


def test_a_task_is_found_by_its_id_the_prompt_s_id_or_the_prompt(tmp_path, tasks):
    prompts = [Prompt("a", "?", ("",), task_id="t"), Prompt("n", "?", ("",)), Prompt("b", "1+1?", ("",))]
    grading = assemble(completions(tmp_path, *prompts), tasks, stop_rule("none"))
    assert [task.task_id for task in grading.tasks] == ["t", "n", "n"]
    for prompt, where in (
        (Prompt("a", "?", ("",), line=7), 'line 7, field prompt_id: there is no task "a"'),
        (Prompt("n", "?", ("",), task_id="N2", line=7), 'line 7, field task_id: there is no task "N2"'),
    ):
        with pytest.raises(InputError, match=where):
            assemble(completions(tmp_path, prompt), tasks, stop_rule("none"))


def test_verdicts_come_back_with_rewards_and_answers(tmp_path, tasks):
    prompt = Prompt(
        "n", "1+1?", ("2", "3", "4/2"), rewards=(1.0, 1.0, None), greedy=Greedy("2"), others={"mine": 1}, line=1
    )
    grading = assemble(completions(tmp_path, prompt), tasks, stop_rule("none"))
    verdicts = {key: judge_here(piece) for key, piece in grading.pieces.items()}
    (told,) = graded(grading, verdicts)
    assert told.verdicts == ("passed", "failed", "passed")
    assert told.rewards == (1.0, 0.0, 1.0)
    assert told.answers == ("2", "3", "2")
    assert (told.greedy.verdict, told.greedy.reward, told.task_id) == ("passed", 1.0, "n")
    assert told.others == {"mine": 1, "rewards_given": [1.0, 1.0, None]}
    assert grading.distinct == len(grading.pieces) == 3
    json.dumps(told.others)


def test_only_names_that_setup_or_reference_bind_are_known_to_tests():
    tests = "assert f(Pair(1), root, set, unknown) == math.inf"
    reference = "class Pair: pass\ndef helper(): pass"
    task = Task("a", "python", "", "f", setup="root: int = 1", tests=tests, reference=reference)
    assert names_in_tests(task) == ("Pair", "root")
    assert names_in_tests(Task("a", "python", "", "f", tests=tests, reference="    return 1")) == ()


def test_what_a_setup_imports_is_known_to_tests():
    setup = "import os.path, numpy\nfrom collections import Counter, deque\nfrom math import *\nclass deque: pass\n"
    tests = "assert f() == Counter(os.path.join('a')) and deque"
    task = Task("a", "python", "", "f", "def g(): return 1", setup, tests)
    assert imports_of_setup(task) == "import os.path\nfrom collections import Counter\nfrom math import *\n"
    assert names_in_tests(task) == ("deque",)
    assert job_of(Piece("", task, "def f(): pass")).helpers == imports_of_setup(task) + task.helpers
    assert imports_of_setup(Task("a", "python", "", "f", tests=tests)) == ""
