"""Programs that do not solve their task, but try to be counted as if they did.

Each would succeed where program and tests share a process and its exit code or a byte that it writes is the verdict, as
in the harness of HumanEval (arXiv 2107.03374): the first test runs them so, or they would prove nothing.
"""

import subprocess
import sys

import pytest

from sandtable.simulators.language.sandbox.grader import Job, Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import probe

OFFERS = probe()
NEEDS_SANDBOX = pytest.mark.skipif(bool(OFFERS.missing), reason="; ".join(OFFERS.missing))

TESTS = "answer = f(3)\nassert answer == 'right 7193'\npass\n"
NUMBER = "assert f(3) == 7193"
LENGTH = "assert len(f(3)) == 4"
LOOP = "for answer, right in zip(map(f, [3]), ['right 7193']):\n    assert answer == right\nf"
EVERY_CODE = """
import os
def shout():
    for descriptor in range(64):
        for code in range(9):
            try:
                os.write(descriptor, bytes([code]))
            except OSError:
                pass
"""
SHARED_PROCESS = """
import os, sys
program, tests = sys.argv[1:]
scope = {}
exec(program, scope)
exec(tests, scope)
os.write(1, bytes([1]))
"""

ATTACKS = {
    "an object equal to everything": (
        "class All:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return All()\n", TESTS),
    "a subclass of int": (
        "class Own(int):\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return Own(1)\n", NUMBER),
    "a subclass of str": (
        "class Own(str):\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return Own('')\n", TESTS),
    "a representation that lies": (
        "class Own:\n    def __repr__(self):\n        return repr('right 7193')\ndef f(x):\n    return Own()\n",
        "assert repr(f(3)) == repr('right 7193')"),
    "a hash that lies": (
        "class Own(str):\n    __eq__ = lambda *_: True\n    __hash__ = lambda _: hash('right 7193')\n"
        "def f(x):\n    return Own()\n", "assert f(3) in {'right 7193': 1}"),
    "a length that lies": ("class Own(list):\n    __len__ = lambda _: 4\ndef f(x):\n    return Own()\n", LENGTH),
    "a pickle that lies": (
        "class Own:\n    def __reduce__(self):\n        return str, ('right 7193',)\ndef f(x):\n    return Own()\n",
        "import pickle\nassert pickle.loads(pickle.dumps(f(3))) == 'right 7193'"),
    "an expected value in a frame": (
        "import sys\ndef f(x):\n    frame = sys._getframe().f_back\n    while frame:\n"
        "        for one in (*frame.f_code.co_consts, *frame.f_locals.values()):\n"
        "            if isinstance(one, str) and one.startswith('right'):\n                return one\n"
        "        frame = frame.f_back\n", TESTS),
    "an expected value in memory": (
        "import gc\ndef f(x):\n    for one in gc.get_objects():\n        if isinstance(one, dict):\n"
        "            for value in list(one.values()):\n"
        "                if isinstance(value, str) and 'right 71' in value and 'assert' in value[:30]:\n"
        "                    return value.split(repr('')[0])[1]\n", TESTS),
    "tests in another module": (
        "import sys\ndef f(x):\n    for module in list(sys.modules.values()):\n"
        "        source = getattr(module, 'tests', '')\n        if isinstance(source, str) and 'right' in source:\n"
        "            return source.split(repr('')[0])[1]\n", TESTS),
    "tests that are imported": (
        "def f(x):\n    from __main__ import tests\n    return tests.split(repr('')[0])[1]\n", TESTS),
    "a tracer that jumps over an assertion": (
        "import sys\ndef f(x):\n    def tracer(frame, event, _):\n        if event == 'line' and frame.f_lineno == 2:\n"
        "            frame.f_lineno = 3\n        return tracer\n    sys.settrace(tracer)\n"
        "    frame = sys._getframe()\n    while frame:\n        frame.f_trace = tracer\n        frame = frame.f_back\n",
        TESTS),
    "a builtin that is replaced": (
        "import builtins\nbuiltins.len = lambda *_: 4\ndef f(x):\n    return []\n", LENGTH),
    "a builtin that is shadowed": ("def f(x):\n    return []\ndef len(_):\n    return 4\n", LENGTH),
    "a module that is replaced": (
        "import math\nmath.floor = lambda *_: 7193\ndef f(x):\n    return 1.0\n",
        "import math\nassert math.floor(f(3)) == 7193"),
    "a loop that ends early": ("def f(x):\n    raise StopIteration\n", LOOP),
    "an assertion that returns": (
        "import sys, os\nsys.excepthook = lambda *_: os._exit(0)\ndef f(x):\n    return 1\n", TESTS),
    "an end with code 0 at once": ("import os\nos._exit(0)\n", TESTS),
    "an end with code 0 in a call": ("import os\ndef f(x):\n    os._exit(0)\n", TESTS),
    "SystemExit": ("def f(x):\n    raise SystemExit(0)\n", TESTS),
    "SystemExit at once": ("raise SystemExit(0)\n", TESTS),
    "a handler at exit": ("import atexit, os\natexit.register(os._exit, 0)\ndef f(x):\n    return 1\n", TESTS),
    "every verdict before a call": (EVERY_CODE + "shout()\ndef f(x):\n    return 1\n", TESTS),
    "every verdict during a call": (EVERY_CODE + "def f(x):\n    shout()\n    return 1\n", TESTS),
    "every verdict at the end": (EVERY_CODE + "import os\ndef f(x):\n    shout()\n    os._exit(0)\n", TESTS),
    "a word of success where results are printed": (
        "print(bytes([1]).decode(), end='', flush=True)\ndef f(x):\n    raise ValueError\n", TESTS),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_succeeds_where_program_and_tests_share_a_process(attack):
    command = [sys.executable, "-I", "-S", "-c", SHARED_PROCESS, *ATTACKS[attack]]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 or b"\1" in done.stdout, done.stderr.decode()


@NEEDS_SANDBOX
def test_no_attack_passes_in_the_sandbox():
    with Sandbox(cpu=3) as sandbox:
        verdicts = sandbox.grade(Job(program, tests, "f") for program, tests in ATTACKS.values())
        found = dict(zip(ATTACKS, [verdict.status for verdict in verdicts], strict=True))
    assert {attack: status for attack, status in found.items() if status not in ("failed", "error", "crash")} == {}


FORGER = """
import struct, sys
sandbox = "sandtable.simulators.language.sandbox."
{how}
def f(x):
    return "wrong"
"""
WORKER = 'worker = sys.modules[sandbox + "worker"]\n'
FORGERIES = {
    "an encoder that is replaced": WORKER + 'codec = worker.encode\nworker.encode = lambda *_: codec("right 7193")',
    "a message before the call": (
        'import os\nencode = sys.modules[sandbox + "codec"].encode\ncontent = encode("right 7193")\n'
        'os.write(4, struct.pack(">IBI", 1, 16, len(content)) + content)'),
}  # fmt: skip


@NEEDS_SANDBOX
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_program_that_takes_over_its_worker_only_answers_what_it_could_have_answered(forgery):
    """So it passes if it knows the answer, as any program does, and gains nothing else."""
    program = FORGER.format(how=FORGERIES[forgery])
    with Sandbox() as sandbox:
        known, unknown, changed = sandbox.grade(
            [Job(program, TESTS, "f"), Job(program, TESTS.replace("7193", "2718"), "f"),
             Job(program, "import random\nx = random.random()\nassert f(x) == x", "f")]
        )  # fmt: skip
    assert (known.status, unknown.status, changed.status) == ("passed", "failed", "failed")
