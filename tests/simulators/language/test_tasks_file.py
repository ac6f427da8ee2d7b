"""Tasks: three published sets and our own format become the same thing."""

import json

import pytest

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError
from sandtable.simulators.language.tasks import Task
from sandtable.simulators.language.tasks_file import examples_of, helpers_of, is_tasks, read_tasks, write_tasks

PYTHON = {"task_id": "a", "kind": "python", "prompt": "def f():\n", "entry_point": "f", "tests": "assert f() == 1"}


@pytest.fixture
def read(tmp_path):
    def read(*lines, name="tasks.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
        return read_tasks(path)

    return read


@pytest.fixture(scope="module")
def language_data():
    folder = data_folder()
    if folder is None or not (folder / "lm").is_dir():
        pytest.skip("there is no folder of language-model data")
    return folder / "lm"


def test_humaneval_is_a_check_of_the_candidate(language_data):
    tasks = read_tasks(language_data / "humaneval" / "HumanEval.jsonl.gz")
    assert (len(tasks), tasks.source) == (164, "humaneval")
    first = tasks.tasks[0]
    assert (first.task_id, first.entry_point) == ("HumanEval/0", "has_close_elements")
    assert first.tests.endswith("check(has_close_elements)\n")
    assert first.reference.startswith("    for idx, elem")
    helped = {task.task_id: task.helpers for task in tasks if task.helpers}
    assert list(helped) == ["HumanEval/10", "HumanEval/32", "HumanEval/38", "HumanEval/50"]
    assert helped["HumanEval/32"].startswith("import math\n\ndef poly(")
    assert "def decode_cyclic" not in helped["HumanEval/38"]


def test_examples_of_humaneval_s_docstrings_are_visible_tests(language_data):
    """69 problems have some in the form of doctest. Those of HumanEval/47 are wrong: 15.0 is not the median."""
    tasks = read_tasks(language_data / "humaneval" / "HumanEval.jsonl.gz")
    assert sum(bool(task.visible_tests) for task in tasks) == 69
    assert tasks.find("HumanEval/32").visible_tests.splitlines() == [
        "assert round(find_zero([1, 2]), 2) == -0.5", "assert round(find_zero([-6, 11, -6, 1]), 2) == 1.0",
    ]  # fmt: skip
    assert "assert median([-10, 4, 6, 1000, 10, 20]) == 15.0\n" in tasks.find("HumanEval/47").visible_tests
    without = read_tasks(language_data / "codet" / "HumanEval_for_code_generation.jsonl")
    assert not any(task.visible_tests for task in without)


@pytest.mark.parametrize(
    ("docstring", "tests"),
    [
        (">>> f(1)\n    2", "assert f(1) == 2\n"),
        (">>> f(1)\n    not python", ""),
        (">>> f(1)", ""),
        (">>> x = f(1)\n    2", ""),
        (">>> g(1)\n    2", ""),
        ("text\n   >>> f(1)\n 2", ""),
    ],
)
def test_examples_that_are_no_calls_with_a_value_are_left_out(docstring, tests):
    assert examples_of(f'def f(x):\n    """\n    {docstring}\n    """\n', "f") == tests
    assert examples_of("def f(", "f") == ""


def test_a_source_that_is_nested_deeply_harms_nobody():
    for terms in (100, 900, 5000):
        endless = "+".join(["1"] * terms)
        examples_of(f'def f(x):\n    """\n    >>> f({endless})\n    2\n    """\n', "f")
        assert helpers_of(f"def g(x):\n    return {endless}\n\ndef f(x):\n", "f") in (
            f"def g(x):\n    return {endless}\n", ""
        )  # fmt: skip


def test_mbpp_names_the_function_that_its_tests_call(language_data):
    tasks = read_tasks(language_data / "mbpp" / "mbpp.jsonl")
    assert len(tasks) == 974
    names = {task.task_id: task.entry_point for task in tasks}
    assert names["MBPP/1"] == "min_cost"
    assert names["MBPP/126"] == "sum"
    assert tasks.find("MBPP/367").setup.startswith("root = Node(1)")
    assert tasks.find("601") is tasks.find("Mbpp/601") is tasks.find("MBPP/601")
    assert tasks.find("MBPP/975") is None
    assert "\r" not in "".join(task.reference + task.setup for task in tasks)
    assert tasks.tasks[0].prompt.startswith('"""\nWrite a function to find the minimum cost path')
    assert tasks.tasks[0].visible_tests in tasks.tasks[0].tests


def test_gsm8k_s_answers_are_numbers(language_data):
    tasks = read_tasks(language_data / "gsm8k" / "test.jsonl")
    assert (len(tasks), tasks.tasks[0].task_id, tasks.tasks[0].answer) == (1319, "GSM8K/test/0", "18")
    assert tasks.find_prompt(tasks.tasks[7].prompt) is tasks.tasks[7]
    assert len(read_tasks(language_data / "gsm8k" / "train.jsonl")) == 7473


def test_our_format_is_written_and_read_again(read, tmp_path):
    tasks = (
        Task("a", "python", "def f():\n", "f", "import re", "x = 1", "assert f() == x", "assert f()", None, " pass"),
        Task("b", "number", "1+1?", answer="2"),
        Task("c", "text", "", answer=""),
    )
    path = tmp_path / "written.jsonl"
    write_tasks(path, tasks)
    assert read_tasks(path).tasks == tasks
    assert is_tasks(path)
    assert not is_tasks(tmp_path)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"kind": "java"}, "field kind: it must be one of python, number, text"),
        ({"task_id": ""}, "field task_id: it is empty"),
        ({"tests": ""}, "field tests: a task of kind python needs it"),
        ({"tests": "assert f( =="}, "field tests: it is no Python"),
        ({"tests": "-" * 10**6 + "1"}, "field tests: it is no Python"),
        ({"setup": "x = \0"}, "field setup: it is no Python"),
        ({"entry_point": "f()"}, r'field entry_point: "f\(\)" is not the name of a function'),
        ({"prompt": None}, "field prompt: it must be a string"),
        ({"kind": "number"}, "field answer: a task of kind number needs it"),
        ({"kind": "number", "answer": "two"}, "field answer: \"two\" holds no number"),
        ({"kind": "text", "answer": 2}, "field answer: it must be a string"),
    ],
)
def test_a_wrong_task_is_told_by_line_and_field(read, change, where):
    with pytest.raises(InputError, match=f"tasks.jsonl, line 2, {where}"):
        read(PYTHON, PYTHON | {"task_id": "b"} | change)


def test_ids_are_given_once_and_other_files_are_none(read):
    with pytest.raises(InputError, match='line 2, field task_id: "a" is also on line 1'):
        read(PYTHON, PYTHON)
    with pytest.raises(InputError, match="line 1, field kind: no file of tasks is known with the fields colour"):
        read({"colour": 1})


def test_published_files_are_checked_too(read):
    problem = {"task_id": 1, "text": "t", "code": "def f(): return 1", "test_list": ["assert f() == 1"]}
    assert read(problem).tasks[0].task_id == "MBPP/1"
    for change, where in (
        ({"test_list": []}, "field test_list: it is empty"),
        ({"test_list": ["assert g()"]}, "field test_list: no test calls a function of the code"),
        ({"code": "def"}, "field code: it is no Python"),
        ({"task_id": True}, "field task_id: it must be a number"),
    ):
        with pytest.raises(InputError, match=f"line 1, {where}"):
            read(problem | change)
    with pytest.raises(InputError, match="line 1, field answer: it holds no number"):
        read({"question": "q", "answer": "none"})
    assert read({"question": "q", "answer": "#### 1,200"}, name="own.jsonl").tasks[0].task_id == "GSM8K/own/0"
