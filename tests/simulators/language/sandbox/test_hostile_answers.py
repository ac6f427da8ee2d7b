"""Answers that wear a judge out: they are charged to the program, and cannot make the judge pass it or hang."""

import pytest

from sandtable.simulators.language.sandbox import codec
from sandtable.simulators.language.sandbox.grader import Job, Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import probe

OFFERS = probe()
pytestmark = pytest.mark.skipif(bool(OFFERS.missing), reason="; ".join(OFFERS.missing))

# The worker's channel is its descriptor 4; a program may write there what it likes.
FORGE = f"""
import os, struct
LIST, SET, DICT, DEQUE, INT = {codec._LIST}, {codec._SET}, {codec._DICT}, {codec._DEQUE}, {codec._INT}
NONE = struct.pack(">BI", {codec._NONE}, 0)
def head(tag, length):
    return struct.pack(">BI", tag, length)
def whole(n):
    content = n.to_bytes(n.bit_length() // 8 + 1, "big", signed=True)
    return head(INT, len(content)) + content
def say(content, length=None):
    rest = memoryview(struct.pack(">IBI", 1, 16, len(content) if length is None else length) + content)
    while rest:
        rest = rest[os.write(4, rest):]
def f():
"""
TEST = "assert f() == 7193"
QUICK = {
    "nothing but zeros": ("    while True: os.write(4, bytes(1 << 16))", TEST, {"error"}),
    "an integer of 120 million bits": ("    say(whole(1 << (15 << 23)))", TEST, {"failed"}),
    "its digits": ("    say(whole(1 << (15 << 23)))", "assert len(str(f())) == 7193", {"failed"}),
    "a list of 10**15 numbers": ("    return range(10**15)", "assert list(f()) == [7193]", {"memory"}),
    "a loop within a list": ("    a = []\n    a.append(a)\n    return a", TEST, {"error"}),
    "half a message and an end": ("    say(b'abc', 100)\n    os._exit(0)", TEST, {"crash"}),
    "half a message and a loop": ("    say(b'abc', 100)\n    while True: pass", TEST, {"cpu"}),
    "a channel that is closed": ("    os.close(4)\n    while True: pass", TEST, {"crash", "cpu"}),
}
SILENT = {"half a message and silence": ("    say(b'abc', 100)\n    os.read(4, 1)", TEST, {"wall"})}
SLOW = {
    "a dictionary of keys with one hash": (
        "    n = 400_000\n    keys = [whole(k * ((1 << 61) - 1)) + NONE for k in range(1, n)]\n"
        "    say(head(DICT, 2 * n - 2) + b''.join(keys))", TEST, {"cpu"}),
    "a million queues": (
        "    say(head(LIST, 990_000) + (head(DEQUE, 1) + NONE) * 990_000)", TEST, {"failed", "memory", "error"}),
}  # fmt: skip


def unexpected(answers, cpu, wall):
    with Sandbox(cpu=cpu, wall=wall) as sandbox:
        verdicts = sandbox.grade(Job(FORGE + body, tests, "f") for body, tests, _ in answers.values())
        found = {name: verdict.status for name, verdict in zip(answers, verdicts, strict=True)}
    return {name: status for name, status in found.items() if status not in answers[name][2]}


def test_answers_that_are_none_are_the_program_s_fault():
    assert unexpected(QUICK, cpu=1.0, wall=60.0) == {}


def test_a_worker_that_falls_silent_is_stopped_by_the_clock():
    assert unexpected(SILENT, cpu=1.0, wall=0.5) == {}


@pytest.mark.slow
def test_answers_that_take_long_to_read_are_the_program_s_fault():
    assert unexpected(SLOW, cpu=1.0, wall=300.0) == {}
