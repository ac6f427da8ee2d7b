"""List functions are generated tasks that can be solved, with as much vagueness as was asked for."""

from collections import Counter

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.list_functions import HIDDEN, SHOWN, STATEMENTS, list_functions
from sandtable.simulators.language.tasks_file import read_tasks, write_tasks

TASKS = list_functions(200)
VAGUE = {one.vague for one in STATEMENTS}
PRECISE = {one.clause for one in STATEMENTS}


def clauses(task):
    """Return the clauses of a task's docstring."""
    line = task.prompt.split("\n")[1]
    return (line[0].lower() + line[1:-1]).split(", then ")


def defined(program):
    """Return the function f of a program; all of these are built from STATEMENTS."""
    names = {}
    exec(program, names)
    return names["f"]


def test_there_are_twelve_statements_and_each_vague_clause_means_two_to_four():
    assert len(STATEMENTS) == len(PRECISE) == len({one.source for one in STATEMENTS}) == 12
    assert set(Counter(one.vague for one in STATEMENTS).values()) <= {2, 3, 4}
    assert not VAGUE & PRECISE


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: one.clause)
def test_a_statement_does_what_its_source_says(statement):
    for x in ([], [3], [1, 2, 3, 4, 5, 6], [9, 0, 9, 4, 4], [12, 81, 0]):
        f = defined(f"def f(x):\n    {statement.source}\n    return x\n")
        before = list(x)
        assert statement.apply(x) == f(list(x))
        assert x == before


def test_references_pass_their_tests_and_wrong_functions_do_not():
    for task in TASKS:
        names = {"f": defined(task.prompt + task.reference)}
        exec(task.tests, names)
        assert task.tests.startswith(task.visible_tests)
        assert task.visible_tests in task.prompt
        assert task.tests.count("\n") == SHOWN + HIDDEN
        assert task.visible_tests.count("\n") == SHOWN
        with pytest.raises(AssertionError):
            exec(task.tests, {"f": lambda x: [100]})


def test_inputs_are_lists_of_digits_and_outputs_are_not_empty():
    for task in TASKS:
        for line in task.tests.splitlines():
            left, right = line.removeprefix("assert f(").split(") == ")
            x, y = ([int(v) for v in side.strip("[]").split(", ")] for side in (left, right))
            assert 4 <= len(x) <= 6
            assert {*x} <= {*range(10)}
            assert y
            assert max(y) <= 99
        assert len({line.split(" == ")[0] for line in task.tests.splitlines()}) == SHOWN + HIDDEN


def test_the_examples_single_out_one_function_of_those_that_the_docstring_allows():
    for task in TASKS[:100]:
        programs = [[]]
        for clause in clauses(task):
            meant = [one for one in STATEMENTS if clause in (one.vague, one.clause)]
            programs = [[*steps, one] for steps in programs for one in meant]
        for steps in programs:
            f = defined("def f(x):\n" + "".join(f"    {one.source}\n" for one in steps) + "    return x\n")
            try:
                exec(task.visible_tests, {"f": f})
            except AssertionError:
                continue
            exec(task.tests, {"f": f})


@pytest.mark.parametrize("vague", [0.0, 0.6, 1.0])
def test_the_share_of_vague_clauses_and_the_depths_are_as_asked(vague):
    tasks = TASKS if vague == 0.6 else list_functions(200, vague)
    told = [clause for task in tasks for clause in clauses(task)]
    assert all(clause in VAGUE | PRECISE for clause in told)
    share = np.mean([clause in VAGUE for clause in told])
    assert abs(share - vague) <= 4 * np.sqrt(vague * (1 - vague) / len(told))
    depths = Counter(len(clauses(task)) for task in tasks)
    for depth, expected in ((1, 0.2), (2, 0.4), (3, 0.4)):
        assert abs(depths[depth] / len(tasks) - expected) < 4 * np.sqrt(0.24 / len(tasks))
    lines = Counter(line for task in tasks for line in task.reference.splitlines()[:-1])
    assert len(lines) == 12


def test_a_task_depends_on_its_seed_and_number_alone():
    assert list_functions(5) == TASKS[:5]
    assert TASKS[3].task_id == "lists/0/3"
    other = list_functions(5, seed=1)
    assert all(a.prompt != b.prompt for a, b in zip(other, TASKS[:5], strict=True))
    assert len({task.prompt for task in TASKS}) == len(TASKS)


def test_tasks_can_be_written_and_read(tmp_path):
    write_tasks(tmp_path / "lists.jsonl", TASKS[:20])
    assert read_tasks(tmp_path / "lists.jsonl").tasks == TASKS[:20]


def test_arguments_out_of_range_are_refused():
    with pytest.raises(InputError, match="count = 0: it must be at least 1"):
        list_functions(0)
    with pytest.raises(InputError, match=r"vague = 1.5: it must lie in \[0, 1\]"):
        list_functions(1, vague=1.5)
