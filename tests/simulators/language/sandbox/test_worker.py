"""A worker runs a program as a module of its own, and serves calls whatever the program did to its process."""

import sys

import pytest

from sandtable.simulators.language.sandbox.grader import Job, Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import probe
from sandtable.simulators.language.sandbox.streams import discard_streams

OFFERS = probe()
NEEDS_SANDBOX = pytest.mark.skipif(bool(OFFERS.missing), reason="; ".join(OFFERS.missing))

DATA_CLASS = """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Point:
    x: int
def f():
    return Point(3).x
"""
PROGRAMS = {
    "a data class with postponed annotations": (DATA_CLASS, "passed"),
    "a program that is no script": ("if __name__ == '__main__':\n    1 / 0\ndef f():\n    return 3\n", "passed"),
    "prints without end": ("import sys\ndef f():\n    print('x' * 10**7, file=sys.stderr)\n    return 3\n", "passed"),
    "reads its input": ("def f():\n    return input()\n", "error"),
    "runs out of recursion": ("def f():\n    return f()\n", "error"),
    "raises what cannot be hashed": (
        "class Odd(type):\n    __hash__ = None\nclass Own(Exception, metaclass=Odd):\n    pass\n"
        "def f():\n    raise Own\n", "error"),
    "raises a MemoryError that it keeps": ("a = [0] * 10**9\ndef f():\n    return 3\n", "memory"),
    "half a surrogate pair": ("def f():\n    return 3\n# \ud800", "error"),
    "NUL": ("def f():\n    return 3\n\0", "error"),
    "nothing": ("", "error"),
    "a line of a megabyte": (f"def f():\n    return 3\nx = '{'a' * 1_000_000}'\n", "passed"),
    "thousands of parentheses": (f"x = {'(' * 5000}{')' * 5000}\n", "error"),
    "a sum of 100,000 numbers": (f"x = {'+'.join('1' * 100_000)}\n", "error"),
}  # fmt: skip


@NEEDS_SANDBOX
def test_programs_of_all_kinds_have_a_verdict():
    with Sandbox(cpu=5) as sandbox:
        verdicts = sandbox.grade(Job(program, "assert f() == 3", "f") for program, _ in PROGRAMS.values())
        found = dict(zip(PROGRAMS, (verdict.status for verdict in verdicts), strict=True))
    assert found == {name: status for name, (_, status) in PROGRAMS.items()}


def test_what_is_printed_goes_nowhere_and_there_is_no_input(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    discard_streams()
    print("\ud800", flush=True)
    sys.stdout.buffer.write(b"bytes")
    sys.stderr.write("error")
    assert sys.stdin.read() == ""


def test_variables_are_those_of_the_program_at_the_time_of_the_call(graded):
    program = "def f():\n    global f\n    f = lambda: 2\n    return 1\n"
    assert graded(program, "assert (f(), f()) == (1, 2)") == "passed"
