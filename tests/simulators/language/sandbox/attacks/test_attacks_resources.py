"""What a program may use up: time, memory, processes, descriptors, and the patience of the judge.

The first table names the layers that stop an attack. What is in the second is stopped by no layer but by the limits of
the channel and of time itself: a status says so, and whatever runs beside it is not disturbed.
"""

import pytest

from sandtable.simulators.language.sandbox.confinement import LAYERS
from sandtable.simulators.language.sandbox.grader import Job, Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import probe

confined = pytest.mark.skipif(bool(probe().missing), reason="; ".join(probe().missing))

ATTACKS = {
    "one fork": (
        "seccomp limits",
        """
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        """,
    ),
    "thread": ("seccomp limits", "import threading; threading.Thread(target=len, args=((),)).start()"),
    "timer": ("seccomp", "signal.setitimer(signal.ITIMER_REAL, 99)"),
    "alarm": ("seccomp", "signal.alarm(99); assert 0 < signal.alarm(0) < 100"),
    "timer of the kernel": ("seccomp", "call('timer_create', 1, None, ctypes.byref(ctypes.c_void_p()))"),
    "sleep": ("seccomp", "time.sleep(.001)"),
    "waiting for a descriptor": ("seccomp", "import select; select.select([], [], [], .001)"),
    "waiting for a lock": ("seccomp", "import threading; threading.Event().wait(.001)"),
    "memory at once": ("memory", "assert len(bytearray(600 << 20))"),
    "memory slowly": ("memory", "held = [bytearray(1 << 20) for _ in range(400)]"),
    "memory mapped": ("memory", "import mmap; mmap.mmap(-1, 600 << 20)"),
    "descriptors": ("limits", "held = [open(os.__file__) for _ in range(20)]"),
    "descriptors of nothing": ("seccomp limits", "held = [os.dup(1) for _ in range(20)]"),
    "pipes": ("seccomp", "os.pipe()"),
}


def test_attacks_on_resources_are_stopped_and_succeed_without_what_stops_them(outcomes):
    assert {name: one for name, one in outcomes.items() if one.confined == "passed"} == {}
    assert {name: one for name, one in outcomes.items() if one.neighbour != "passed" or not one.untouched} == {}
    assert {name: one for name, one in outcomes.items() if one.free not in ("passed", None)} == {}


# Of each: what may become of it, and its program.
STRAINS = {
    "endless loop": ("cpu", "def f():\n    while True: pass"),
    "loop within C": ("cpu", "def f():\n    return sum(iter(int, 1))"),
    "ignored SIGXCPU": (
        "cpu",
        "import signal\ndef f():\n    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    while True: pass",
    ),
    "loop while it is loaded": ("cpu", "while True: pass"),
    "system calls": ("cpu", "import os\ndef f():\n    while True: os.stat('/')"),
    "catastrophic expression": ("cpu", "import re\ndef f():\n    return re.match('(a+)+$', 'a' * 99 + 'b')"),
    "huge power": ("cpu memory", "def f():\n    return 9 ** 9 ** 9"),
    "growing memory": ("memory", "def f():\n    held = []\n    while True: held.append(' ' * 99_999)"),
    "flood of standard output": ("passed cpu", "def f():\n    for _ in range(99): print('x' * 99_999)\n    return 1"),
    "endless flood of output": ("cpu", "def f():\n    while True: print('x' * 99_999, flush=True)"),
    "flood of every descriptor": (
        "error crash",
        """
import os
def f():
    for descriptor in range(64):
        try:
            os.write(descriptor, b"\\1" * 99_999)
        except OSError:
            pass
    return 1
""",
    ),
    "endless flood of the channel": ("error crash", "import os\ndef f():\n    while True: os.write(4, bytes(99_999))"),
    "silent channel": ("error crash", "import os\ndef f():\n    os.close(4)"),
    "recursion": ("error", "def f():\n    return f()"),
    "recursion without a limit": (
        "error memory crash cpu",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(*x):\n    return max([1], key=f)",
    ),
    "cyclic value": ("error failed", "def f():\n    x = []\n    x.append(x)\n    return x"),
    "deep value": ("error failed", "def f():\n    x = 1\n    for _ in range(99_999): x = [x]\n    return x"),
    "wide value": ("error failed memory cpu", "def f():\n    return list(range(3_000_000))"),
    "doubling": ("error failed memory cpu", "def f():\n    x = 1\n    for _ in range(60): x = x, x\n    return x"),
    "huge integer": ("error failed cpu", "def f():\n    return 1 << 10 ** 9"),
    "integer of 12 MB": ("error failed cpu", "def f():\n    return 1 << 10 ** 8"),
    "long string": ("error failed memory", "def f():\n    return 'x' * (20 << 20)"),
    "colliding hashes": ("error failed cpu", "def f():\n    return {x * (2 ** 61 - 1) for x in range(1, 9_999)}"),
    "endless iterator": ("error failed", "import itertools\ndef f():\n    return itertools.count()"),
    "source of a megabyte": ("passed", "x = 1\n" * 170_000 + "def f():\n    return 1"),
    "nested brackets": ("error memory", "x = " + "[" * 99_999),
    "nested calls": ("error memory crash", "x = " + "f(" * 5_000 + ")" * 5_000),
    "nested minus signs": ("error memory crash", "x = " + "-" * 99_999 + "1"),
    "nested blocks": ("error memory", "\n".join(" " * depth + "if 1:" for depth in range(200))),
    "null characters": ("error", "x = '\0'\ndef f():\n    return 1"),
    "nothing at all": ("error", ""),
}
RIGHT = Job("def f():\n    return 1", "assert f() == 1", "f")


@pytest.mark.slow
@confined
def test_what_strains_the_sandbox_ends_with_a_status_and_disturbs_no_neighbour():
    jobs = [job for _, program in STRAINS.values() for job in (Job(program, "assert f() == 1", "f"), RIGHT)]
    with Sandbox(cpu=1, memory=512, wall=20) as sandbox:
        verdicts = list(sandbox.grade(jobs))
    became = dict(zip(STRAINS, verdicts[::2], strict=True))
    assert {name: one for name, one in became.items() if one.status not in STRAINS[name][0].split()} == {}
    assert {verdict.status for verdict in verdicts[1::2]} == {"passed"}
    assert {name: one for name, one in became.items() if one.cpu_seconds > 1.5} == {}


@confined
def test_an_ignored_limit_of_time_is_a_limit_and_without_one_it_is_the_wall():
    ignores = Job(STRAINS["ignored SIGXCPU"][1], "assert f() == 1", "f")
    with Sandbox(cpu=0.5, wall=9, jobs=1) as sandbox:
        (verdict,) = sandbox.grade([ignores])
        assert verdict.status == "cpu"
        assert 0.5 <= verdict.cpu_seconds < 1
    with Sandbox(cpu=60, wall=0.5, layers=LAYERS - {"cpu"}) as sandbox:
        assert [verdict.status for verdict in sandbox.grade([ignores])] == ["wall"]


@confined
def test_processes_that_a_program_leaves_end_with_it():
    leaves = """
import os, time
def f():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
    return 1
"""
    with Sandbox(layers=LAYERS - {"seccomp", "limits"}) as sandbox:
        assert [verdict.status for verdict in sandbox.grade([Job(leaves, "assert f() == 1", "f")])] == ["passed"]
        server = sandbox.server_pid
        with open(f"/proc/{server}/task/{server}/children") as file:
            assert file.read().split() == []
