"""The benchmark of grading runs what it says: all references, by both, and refuses to time what does not pass."""

import pytest

from sandtable.benchmarks import grade
from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.language.sandbox.grader import Job
from sandtable.simulators.language.sandbox.kernel_rules import probe


def test_the_problems_are_humaneval_s_or_where_it_is_absent_our_own(monkeypatch):
    if data_folder() is not None:
        what, lines = grade._problems()
        assert (what, len(lines)) == ("HumanEval", 164)
    monkeypatch.setattr(grade, "data_folder", lambda: None)
    what, lines = grade._problems()
    assert (what, len(lines)) == ("our own (HumanEval is not here)", grade.OWN)


@pytest.mark.skipif(not (probe().landlock_abi and probe().seccomp), reason="this machine offers no sandbox")
def test_a_turn_counts_what_passed_and_the_time_of_all_processes():
    right = Job("def add(a, b): return a + b", "assert add(1, 2) == 3", "add")
    wrong = Job("def add(a, b): return a - b", "assert add(1, 2) == 3", "add")
    turn = grade.graded([right, right, wrong])
    assert turn.passed == 2
    assert turn.cpu > 0
    assert turn.clock > 0
    assert grade.best([turn, grade.Turn(2, 1e9, 1e9)], 1, [right] * 3) == pytest.approx(3 / turn.cpu)
