"""Programs that are wrong and want to pass, graded as three users; each passes where tests and program share a process.

They do not know the answer, 7193, which stands in the tests alone. What the module beside, of forged verdicts, tries as
one user is tried here as all of them, too.
"""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

FORGED = runpy.run_path(str(Path(__file__).parents[1] / "test_forged_verdicts.py"))["ATTACKS"]

# What people write first: a child with limits runs the program and then the tests, and says how it went by a byte on a
# pipe. An interruption is no failure of the program, and a child without a word but with exit code 0 has passed.
SHARED_PROCESS = """
import os, resource, sys
program, tests = sys.argv[1:]
readable, verdict = os.pipe()
if os.fork() == 0:
    os.close(readable)
    for what, limit in ((resource.RLIMIT_CPU, 5), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 32)):
        resource.setrlimit(what, (limit, limit))
    os.setsid()
    failed, scope = False, {"__name__": "tests"}
    try:
        exec(program, scope)
        exec(compile(tests, "<tests>", "exec"), scope)
    except Exception:
        failed = True
    finally:
        os.write(verdict, b"F" if failed else b"P")
    sys.exit(0)
os.close(verdict)
_, status = os.wait()
told = os.read(readable, 1)
print("passed" if told == b"P" or (not told and status == 0) else "failed")
"""

EQUAL = "assert f(3) == 7193\n"
LIES = """
class Lies:
    def lie(self, *_):
        return self
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __abs__ = __round__ = __getitem__ = __call__ = lie
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lambda *_: True
    __ne__ = lambda *_: False
    __hash__ = __len__ = __index__ = __int__ = lambda *_: 0
    __float__ = lambda _: 0.0
    __deepcopy__ = __copy__ = lie
    __class__ = property(lambda _: int)
def f(x):
    return Lies()
"""
SHOUT = """
import os
def shout():
    for descriptor in range(32):
        try:
            os.write(descriptor, b"P" + bytes(range(1, 10)))
        except OSError:
            pass
"""
ATTACKS = {
    "arithmetic that lies": (LIES, "assert abs(7193 - f(3)) < 1e-6\n"),
    "an item that lies": (LIES, "assert f(3)[1] == 7193 and f(3)[2:4] == [71, 93]\n"),
    "a class that lies": (LIES, "assert isinstance(f(3), int) and f(3) == 7193\n"),
    "a copy that lies": (LIES, "import copy\nassert copy.deepcopy(f(3)) == 7193\n"),
    "a container that lies": (LIES, "assert 7193 in f(3)\n"),
    "an object that lies within a list": (LIES + "def f(x):\n    return [Lies()]\n", "assert f(3) == [7193]\n"),
    "an object that lies as a key": (LIES + "def f(x):\n    return {Lies(): 0}\n", "assert list(f(3)) == [7193]\n"),
    "an order that lies": (LIES, "assert sorted([f(3), 1, 2])[-1] > 7192 or max(7192, f(3)) == 7193\n"),
    "a subclass of float": (
        "class Own(float):\n    __eq__ = __lt__ = lambda *_: True\n    __rsub__ = lambda self, _: self\n"
        "    __abs__ = lambda self: self\ndef f(x):\n    return Own()\n", "assert abs(7193 - f(3)) < 1e-9\n"),
    "a subclass of bool's parent": (
        "class Own(int):\n    __eq__ = lambda *_: True\n    __hash__ = int.__hash__\ndef f(x):\n    return Own(1)\n",
        "assert {f(3): 'x'} == {1: 'x'} and f(3) == 7193\n"),
    "a subclass of list": (
        "class Own(list):\n    __eq__ = lambda *_: True\ndef f(x):\n    return Own()\n", "assert f(3) == [7193]\n"),
    "a subclass of dict": (
        "class Own(dict):\n    __missing__ = lambda self, key: self\n    __eq__ = lambda *_: True\n"
        "def f(x):\n    return Own()\n", "assert f(3)['a'] == 7193\n"),
    "a subclass of an exception": (
        "class Text(str):\n    __eq__ = lambda *_: True\nclass Own(ValueError):\n    __str__ = lambda _: Text()\n"
        "def f(x):\n    raise Own()\n",
        "try:\n    f(3)\n    assert False\nexcept ValueError as error:\n    assert str(error) == 'right 7193'\n"),
    "an answer that learns from the comparison": (
        "class Learns:\n    def __eq__(self, other):\n        global known\n        known = other\n"
        "        return False\nknown = Learns()\ndef f(x):\n    return known\n", "f(3) == 7193\nassert f(3) == 7193\n"),
    "tests that are rewritten from a call": (
        "import sys\ndef f(x):\n    sys._getframe(1).f_globals['check'] = lambda: None\n",
        "def check():\n    assert f(3) == 7193\nf(0)\ncheck()\n"),
    "an expected value that is rewritten": (
        "import gc\ndef f(x):\n    for one in gc.get_objects():\n        if type(one) is dict and 'EXPECTED' in one:\n"
        "            one['EXPECTED'] = 1\n    return 1\n", "EXPECTED = 7193\nassert f(3) == EXPECTED\n"),
    "a constant that is rewritten in memory": (
        "import ctypes, sys\ndef f(x):\n    for one in sys._getframe(1).f_code.co_consts:\n"
        "        if type(one) is int and one > 300:\n"
        "            ctypes.c_uint32.from_address(id(one) + 24).value = 1\n    return 1\n", EQUAL),
    "a module that is replaced by another": (
        "import sys\nclass Module(type(sys)):\n    eq = staticmethod(lambda *_: True)\n"
        "sys.modules['operator'] = Module('operator')\ndef f(x):\n    return 1\n",
        "import operator\nassert operator.eq(f(3), 7193)\n"),
    "an import that is replaced": (
        "import builtins\nclass Module:\n    isclose = staticmethod(lambda *_: True)\nkept = builtins.__import__\n"
        "builtins.__import__ = lambda name, *rest: Module if name == 'math' else kept(name, *rest)\n"
        "def f(x):\n    return 1\n", "import math\nassert math.isclose(f(3), 7193)\n"),
    "builtins of the namespace that are replaced": (
        "import builtins\n__builtins__ = {**vars(builtins), 'all': lambda _: True}\ndef f(x):\n    return 1\n",
        "assert all([f(3) == 7193])\n"),
    "a builtin class that is replaced": (
        "import builtins\nbuiltins.set = lambda *_: 0\ndef f(x):\n    return []\n",
        "assert set(f(3)) == set([7193])\n"),
    "a shadowed class": ("def set(*_):\n    return 0\ndef f(x):\n    return []\n", "assert set(f(3)) == set([7193])\n"),
    "a shadowed module": (
        "class math:\n    floor = staticmethod(lambda x: x)\n    pi = 0\ndef f(x):\n    return 0\n",
        "assert math.floor(math.pi * 7193) == f(3)\n"),
    "a shadowed print that stops": (
        "def print(*_):\n    raise SystemExit\ndef f(x):\n    return 1\n", "print(1)\n" + EQUAL),
    "a codec that is replaced": (
        "import json\njson.loads = lambda *_: 1\ndef f(x):\n    return 1\n",
        "import json\nassert json.loads(json.dumps(f(3))) == json.loads('7193')\n"),
    "a pickle that runs": (
        "class Own:\n    def __reduce__(self):\n        return eval, (\"__import__('os')._exit(0)\",)\n"
        "def f(x):\n    return Own()\n", "import pickle\nassert pickle.loads(pickle.dumps(f(3))) == 7193\n"),
    "KeyboardInterrupt": ("def f(x):\n    raise KeyboardInterrupt\n", EQUAL),
    "KeyboardInterrupt at once": ("raise KeyboardInterrupt\n", EQUAL),
    "GeneratorExit": ("def f(x):\n    raise GeneratorExit\n", EQUAL),
    "an interruption by a signal": (
        "import signal\ndef f(x):\n    signal.raise_signal(signal.SIGINT)\n", EQUAL),
    "an interruption by a timer": (
        "import signal\ndef stop(*_):\n    raise SystemExit\nsignal.signal(signal.SIGALRM, stop)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01)\ndef f(x):\n    return 1\n",
        "f(3)\ntotal = 0\nfor i in range(10**7):\n    total += i\n" + EQUAL),
    "a tracer that stops": (
        "import sys\ndef f(x):\n    def stop(frame, event, _):\n        raise SystemExit\n    sys.setprofile(stop)\n",
        EQUAL),
    "a thread that shouts": (
        SHOUT + "import threading, time\ndef always():\n    while True:\n        shout()\n"
        "threading.Thread(target=always, daemon=True).start()\ntime.sleep(0.2)\ndef f(x):\n    return 1\n", EQUAL),
    "every verdict on every descriptor before the tests": (
        SHOUT + "shout()\ndef f(x):\n    return 1\n", EQUAL),
    "every verdict on every descriptor in a call": (
        SHOUT + "def f(x):\n    shout()\n    return 1\n", EQUAL),
    "an end with code 0 in a destructor": (
        "import os\nclass Own:\n    def __del__(self):\n        os._exit(0)\ndef f(x):\n    return Own()\n", EQUAL),
    "an end with code 0 in a thread": (
        "import os, threading\ndef f(x):\n    threading.Thread(target=os._exit, args=(0,)).start()\n"
        "    import time\n    time.sleep(1)\n", EQUAL),
    "another program in its place": (
        "import os\ndef f(x):\n    os.execv('/bin/true', ['true'])\n", EQUAL),
}  # fmt: skip


# The next idea: the answer comes from a process of its own, and is compared here. It is a pickle.
PICKLED_ANSWER = """
import os, pickle, sys
readable, answer = os.pipe()
if os.fork() == 0:
    scope = {}
    exec(sys.argv[1], scope)
    os.write(answer, pickle.dumps(scope["f"](3)))
    os._exit(0)
os.close(answer)
print("passed" if pickle.load(os.fdopen(readable, "rb")) == 7193 else "failed")
"""
OWN = """
import os, pickle
class Own:
    def __reduce__(self):
        return exec, ("import os; os.write(1, b'passed'); os._exit(0)",)
"""
PICKLES = {
    "a pickle that runs where it is read": (OWN + "def f(x):\n    return Own()\n", EQUAL),
    "a forged pickle in place of an answer": (
        OWN + "def f(x):\n    for descriptor in range(32):\n        try:\n"
        "            os.write(descriptor, pickle.dumps(Own()))\n        except OSError:\n            pass\n", EQUAL),
}  # fmt: skip


def test_no_attack_knows_the_answer():
    assert not [name for name, (program, _) in {**ATTACKS, **PICKLES}.items() if "7193" in program]


@pytest.mark.parametrize("attack", PICKLES)
def test_a_forged_pickle_passes_where_answers_are_pickles(attack):
    command = [sys.executable, "-I", "-S", "-c", PICKLED_ANSWER, PICKLES[attack][0]]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).stdout.endswith(b"passed")


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_passes_where_tests_and_program_share_a_process(attack):
    command = [sys.executable, "-I", "-S", "-c", SHARED_PROCESS, *ATTACKS[attack]]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.stdout.endswith(b"passed\n"), done.stderr.decode()


def test_a_wrong_program_does_not_pass_there_and_a_right_one_does():
    for number, verdict in ((1, "failed"), (7193, "passed")):
        command = [sys.executable, "-I", "-S", "-c", SHARED_PROCESS, f"def f(x):\n    return {number}\n", EQUAL]
        assert subprocess.run(command, capture_output=True, check=True).stdout.decode().split() == [verdict]


def test_no_attack_passes_in_the_sandbox_and_none_harms_its_neighbour(way):
    attacks = {**FORGED, **ATTACKS, **PICKLES}
    right = {"program": "def f(x):\n    return 7193\n", "tests": EQUAL, "entry_point": "f"}
    jobs = [job for program, tests in attacks.values() for job in (
        {"program": program, "tests": tests, "entry_point": "f"}, right)]  # fmt: skip
    (answers,) = way.grade([{"settings": {"cpu": 1, "wall": 10, "memory": 256}, "jobs": jobs}])
    statuses = [status for status, _ in answers]
    found = dict(zip(attacks, statuses[::2], strict=True))
    assert {name: status for name, status in found.items() if status not in ("failed", "error", "crash")} == {}
    assert set(statuses[1::2]) == {"passed"}
