"""Verdicts, their order, the clocks, and the refusal where nothing confines."""

import contextlib
import errno
import os
import signal
import socket
import sys

import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.sandbox import grader
from sandtable.simulators.language.sandbox.confinement import LAYERS
from sandtable.simulators.language.sandbox.grader import STATUSES, Job, Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import Offers, probe
from sandtable.simulators.language.sandbox.runs import Run
from sandtable.simulators.language.sandbox.server import REFUSED, REPLY
from sandtable.simulators.language.sandbox.start import choose_backend

OFFERS = probe()
pytestmark = pytest.mark.skipif(bool(OFFERS.missing), reason="; ".join(OFFERS.missing))


def job(program, tests="assert f() == 1"):
    return Job(program, tests, "f")


RIGHT = job("def f():\n    return 1")
STATUS_OF = {
    "passed": RIGHT,
    "failed": job("def f():\n    return 2"),
    "error": job("def f():\n    return {}[1]"),
    "memory": job("def f():\n    return len(bytearray(10**12))"),
    "crash": job("import os\ndef f():\n    os._exit(0)"),
    "judge_error": job("def f():\n    return 1", "assert ("),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(cpu=1, wall=20) as one:
        yield one


@pytest.mark.parametrize("status", STATUS_OF)
def test_a_verdict_has_the_status_of_what_happened(sandbox, status):
    assert [verdict.status for verdict in sandbox.grade([STATUS_OF[status]])] == [status]


def test_verdicts_come_in_the_order_of_jobs_and_with_any_number_at_a_time():
    jobs = [*STATUS_OF.values()] * 3
    wanted = [*STATUS_OF] * 3
    for at_a_time in (1, 2, 8):
        with Sandbox(jobs=at_a_time) as one:
            assert [verdict.status for verdict in one.grade(jobs)] == wanted


def test_what_is_too_long_for_a_process_has_a_status_at_once(sandbox):
    long = "#" * (17 << 20)
    jobs = [job(long), RIGHT, job(RIGHT.program, long), job(long)]
    assert [one.status for one in sandbox.grade(jobs)] == ["memory", "passed", "judge_error", "memory"]


def test_an_endless_loop_ends_by_its_cpu_time(sandbox):
    (verdict,) = sandbox.grade([job("def f():\n    while True: pass")])
    assert verdict.status == "cpu"
    assert 0.9 < verdict.cpu_seconds < 1.5


def test_a_program_that_passes_too_late_has_not_passed():
    slow = job("import time\ndef f():\n    while time.process_time() < .35: pass\n    return 1")
    with Sandbox(cpu=0.2) as one:
        assert [verdict.status for verdict in one.grade([slow])] == ["cpu"]


def test_what_waits_ends_by_wall_time():
    waits = job("import os\ndef f():\n    os.read(4, 1)")
    with Sandbox(wall=0.3) as one:
        assert [verdict.status for verdict in one.grade([waits, RIGHT])] == ["wall", "passed"]


def test_sleeping_is_refused(sandbox):
    sleeps = job("import time\ndef f():\n  try:\n    time.sleep(9)\n  except PermissionError:\n    return 1")
    (verdict,) = sandbox.grade([sleeps])
    assert verdict.status == "passed"
    assert verdict.wall_seconds < 5


def test_sets_have_the_same_order_in_every_run():
    orders = "def f():\n    return list({'a', 'b', 'c', 'd', 'e', None, int, KeyError, 'f', 'g'}).index(None) == %d"
    jobs = [job(orders % place, "assert f()") for place in range(11)]
    runs = []
    for _ in range(2):
        with Sandbox() as one:
            runs.append([verdict.status for verdict in one.grade(jobs)])
    assert runs[0] == runs[1]
    assert runs[0].count("passed") == 1


def test_random_numbers_are_those_of_the_seed(sandbox):
    drawn = "import random\ndef f():\n    return random.random()"
    tests = "import random\nassert f() == random.Random({}).random()"
    jobs = [Job(drawn, tests.format(seed), "f", seed=seed) for seed in (0, 7)]
    assert [verdict.status for verdict in sandbox.grade(jobs)] == ["passed", "passed"]


def test_a_program_cannot_foresee_what_the_tests_draw(sandbox):
    foresees = "import random\ndef f():\n    return random.random()"
    tests = "drawn = random.random()\nassert f() == drawn"
    jobs = [Job(foresees, tests, "f", seed=seed) for seed in (0, 7)]
    assert [verdict.status for verdict in sandbox.grade(jobs)] == ["failed", "failed"]


def test_programs_import_the_standard_library_and_no_package(sandbox):
    imports = "import {}\ndef f():\n    return 1"
    names = ["collections", "hashlib", "json.tool", "xml.etree.ElementTree", "asyncio", "pytest", "numpy"]
    statuses = [verdict.status for verdict in sandbox.grade([job(imports.format(name)) for name in names])]
    assert statuses == ["passed"] * 5 + ["error"] * 2


def test_a_package_that_is_asked_for_can_be_imported():
    program = "import numpy, numpy.polynomial\ndef f():\n    return float(numpy.linalg.det(numpy.eye(2)))"
    with Sandbox(packages=("numpy",)) as one:
        jobs = [job(program), job("import pytest\ndef f():\n    return 1")]
        assert [verdict.status for verdict in one.grade(jobs)] == ["passed", "error"]
        draws = "import numpy\ndef f():\n    return float(numpy.random.rand())"
        foresees = "import numpy\ndrawn = float(numpy.random.rand())\nassert f() != drawn"
        jobs = [Job(draws, foresees, "f", seed=seed) for seed in (0, -1, 2**40)]
        assert [verdict.status for verdict in one.grade(jobs)] == ["passed"] * 3


def test_a_package_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no_such_package"), Sandbox(packages=("no_such_package",)):
        pass


def test_jobs_are_taken_as_they_are_needed_and_can_be_left(sandbox):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield RIGHT

    with contextlib.closing(sandbox.grade(endless())) as verdicts:
        assert next(verdicts).status == "passed"
    assert len(taken) < 20
    assert [verdict.status for verdict in sandbox.grade([RIGHT])] == ["passed"]


def test_a_source_of_jobs_that_fails_leaves_the_sandbox_usable(sandbox):
    def broken():
        yield RIGHT
        raise LookupError("no more")

    with pytest.raises(LookupError):
        list(sandbox.grade(broken()))
    assert [verdict.status for verdict in sandbox.grade([RIGHT])] == ["passed"]


def test_a_server_that_ends_is_an_error_and_a_new_one_can_be_started():
    def jobs():
        yield RIGHT
        os.kill(sandbox.server_pid, signal.SIGKILL)
        yield RIGHT

    for at_a_time in (1, 8):
        sandbox = Sandbox(jobs=at_a_time)
        with sandbox, pytest.raises(ChildProcessError, match="server has ended"):
            list(sandbox.grade(jobs()))
    with sandbox:
        assert [verdict.status for verdict in sandbox.grade([RIGHT])] == ["passed"]


def test_a_process_that_cannot_be_confined_is_an_error_and_no_verdict(monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sandbox = Sandbox()
    monkeypatch.setattr(sandbox, "_control", ours)
    with theirs:
        theirs.send(REPLY.pack(REFUSED, 0, errno.EPERM, 0.0, 0))
        with pytest.raises(ChildProcessError, match="Operation not permitted"):
            list(sandbox.grade([RIGHT]))


def test_a_closed_sandbox_says_so():
    with pytest.raises(RuntimeError, match="with statement"):
        next(Sandbox().grade([RIGHT]))


def test_a_sandbox_that_is_closed_while_it_grades_says_so_and_can_be_opened_again():
    sandbox = Sandbox(jobs=1)
    with sandbox:
        left = sandbox.grade([RIGHT] * 9)
        assert next(left).status == "passed"
    with sandbox:
        went_on = sandbox.grade([RIGHT] * 2)
        assert next(went_on).status == "passed"
        with pytest.raises(RuntimeError, match="closed while it graded"):
            list(left)
        assert next(went_on).status == "passed"


def test_a_fork_does_not_grade_with_its_parent_s_server_and_does_not_end_it():
    with Sandbox(cpu=1) as sandbox:
        verdicts = sandbox.grade([RIGHT] * 9)
        assert next(verdicts).status == "passed"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                verdicts.close()
                with pytest.raises(RuntimeError, match="another process"):
                    next(sandbox.grade([RIGHT]))
                parent_s = sandbox.server_pid
                with sandbox:
                    assert [verdict.status for verdict in sandbox.grade([RIGHT])] == ["passed"]
                    assert sandbox.server_pid != parent_s
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [verdict.status for verdict in verdicts] == ["passed"] * 8


def test_a_grader_that_can_open_nothing_says_so_and_does_not_wait_for_what_never_began(monkeypatch):
    made = os.memfd_create

    def refused(name, flags):
        if name == "job":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return made(name, flags)

    before = len(os.listdir("/proc/self/fd"))
    with Sandbox() as sandbox:
        monkeypatch.setattr(os, "memfd_create", refused)
        with pytest.raises(OSError, match="Too many open files"):
            list(sandbox.grade([RIGHT]))
        assert sandbox.server_pid is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_job_that_is_broken_off_and_does_not_end_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(grader, "_PATIENCE", 0.1)
    with Sandbox() as sandbox:
        with contextlib.closing(sandbox.grade([RIGHT] * 9)) as verdicts:
            assert next(verdicts).status == "passed"
            sandbox._runs[10**9] = Run(0, 0.0, 0.0)  # as if its end had been read, and then an interruption came
        assert sandbox.server_pid is None


@pytest.mark.parametrize("wrong", [{"cpu": 0}, {"memory": 1}, {"wall": float("nan")}, {"jobs": 0}, {"backend": "vm"}])
def test_limits_that_are_none_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Sandbox(**wrong)


def test_where_nothing_confines_nothing_runs_unless_it_is_asked_for():
    nothing = Offers(0, False, None, 1000, ("landlock: the kernel does not offer it",))
    with pytest.raises(InputError, match=r"landlock: the kernel does not offer it.*--allow-unsafe"):
        choose_backend(nothing, "auto", allow_unsafe=False)
    assert choose_backend(nothing, "auto", allow_unsafe=True) == "none"


def test_where_it_is_asked_for_programs_run_with_what_there_is(monkeypatch):
    nothing = Offers(0, False, None, os.geteuid(), ("landlock: the kernel does not offer it",))
    monkeypatch.setattr(grader, "probe", lambda: nothing)
    with Sandbox(allow_unsafe=True, cpu=1) as one:
        assert one.description["backend"] == "none"
        assert one.description["seccomp"] is False
        assert [verdict.status for verdict in one.grade(STATUS_OF.values())] == [*STATUS_OF]


def test_bubblewrap_replaces_landlock_and_seccomp_is_needed_with_both():
    assert choose_backend(Offers(0, True, "/usr/bin/bwrap", 0, ()), "auto", allow_unsafe=False) == "bubblewrap"
    with pytest.raises(InputError):
        choose_backend(Offers(7, False, "/usr/bin/bwrap", 0, ()), "auto", allow_unsafe=False)


@pytest.mark.skipif(OFFERS.bubblewrap is None, reason="bubblewrap is not installed")
def test_bubblewrap_gives_the_same_verdicts():
    try:
        with Sandbox(backend="bubblewrap") as one:
            assert one.description["backend"] == "bubblewrap"
            assert [verdict.status for verdict in one.grade(STATUS_OF.values())] == [*STATUS_OF]
    except InputError as error:
        pytest.skip(str(error))


def test_the_description_names_what_confines(sandbox):
    said = sandbox.description
    assert said == {
        "backend": "landlock",
        "landlock_abi": OFFERS.landlock_abi,
        "seccomp": True,
        "uid": said["uid"],
        "cpu_seconds": 1.0,
        "memory_mb": 512,
    }


def test_every_layer_can_be_named():
    assert len(LAYERS) == 9
    assert set(STATUS_OF) <= set(STATUSES)
    with pytest.raises(InputError, match="layer"):
        Sandbox(layers=("no_such_layer",))


def test_the_server_starts_without_what_the_grader_has_imported():
    asks = job("import sys\ndef f():\n    return int('pytest' not in sys.modules)")
    with Sandbox() as one:
        assert [verdict.status for verdict in one.grade([asks])] == ["passed"]
    assert "pytest" in sys.modules
