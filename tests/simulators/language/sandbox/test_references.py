"""Reference solutions pass, each in a worker of its own, by a judge that has only their answers.

HumanEval (arXiv 2107.03374) has 164 problems, MBPP (arXiv 2108.07732) 974, of which one (123) takes over 3 seconds.
"""

import pytest

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.language.grading import Piece, job_of
from sandtable.simulators.language.sandbox.grader import Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import probe
from sandtable.simulators.language.tasks_file import read_tasks

FILES = {"HumanEval": "lm/humaneval/HumanEval.jsonl.gz", "MBPP": "lm/mbpp/mbpp.jsonl"}
# HumanEval: its first, helpers (32, 38, 50), values of many types (22), bare booleans (3), tuples, floats, its last.
# MBPP: an entry point called `sum` (126), trees that the setup builds (367, 927), a class of the reference (601),
# Counter, OrderedDict, defaultdict and complex numbers (88, 533, 596, 653, 902, 252), sys (596).
SOME = {
    "HumanEval": (0, 3, 4, 22, 32, 38, 50, 99, 107, 136, 162, 163),
    "MBPP": (1, 88, 126, 252, 367, 533, 596, 601, 653, 902, 912, 927),
}
OFFERS = probe()
pytestmark = pytest.mark.skipif(bool(OFFERS.missing), reason="; ".join(OFFERS.missing))


def statuses(file, chosen=None, cpu=3.0, change=lambda program: program):
    """Return the status of references by the number of the problem."""
    folder = data_folder()
    if folder is None or not (folder / FILES[file]).exists():
        pytest.skip(f"no {FILES[file]} in the folder of data")
    tasks = {int(task.task_id.split("/")[1]): task for task in read_tasks(folder / FILES[file])}
    chosen = list(chosen or tasks)
    jobs = [job_of(Piece("", tasks[n], change(tasks[n].prompt + (tasks[n].reference or "")))) for n in chosen]
    with Sandbox(cpu=cpu, wall=120) as sandbox:
        return dict(zip(chosen, (verdict.status for verdict in sandbox.grade(jobs)), strict=True))


@pytest.mark.parametrize("file", FILES)
def test_a_dozen_references_pass(file):
    assert statuses(file, SOME[file]) == dict.fromkeys(SOME[file], "passed")


@pytest.mark.parametrize("file", FILES)
def test_a_program_that_answers_nothing_passes_no_test(file):
    nothing = "\nfor _name, _value in list(globals().items()):\n    if callable(_value) and type(_value) is not type:\n"
    nothing += "        globals()[_name] = lambda *_: None\n"
    assert "passed" not in statuses(file, SOME[file], change=lambda program: program + nothing).values()


@pytest.mark.slow
@pytest.mark.parametrize(("file", "problems"), [("HumanEval", 164), ("MBPP", 974)])
def test_all_references_pass(file, problems):
    found = statuses(file, cpu=10.0)
    assert len(found) == problems
    assert {number: status for number, status in found.items() if status != "passed"} == {}
