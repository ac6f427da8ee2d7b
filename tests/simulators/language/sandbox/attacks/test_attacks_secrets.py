"""What a program may learn: files, environments, the memory and descriptors of other processes, earlier jobs.

Every entry names the layers that stop an attack, and its source.
"""

from pathlib import Path

import pytest

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.language.sandbox.confinement import LAYERS
from sandtable.simulators.language.sandbox.grader import Job, Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import probe

confined = pytest.mark.skipif(bool(probe().missing), reason="; ".join(probe().missing))

PROCESSES = "seccomp scope landlock dumpable identity"
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
TRACERS = "root" if YAMA.exists() and int(YAMA.read_text()) > 0 else "all"  # who may look into another process at all
VECTORS = """
        class Vector(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
        seen = ctypes.create_string_buffer(8)
        count, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
        ours, theirs = ctypes.byref(Vector(ctypes.addressof(seen), 8)), ctypes.byref(Vector(id(None), 8))
"""
ATTACKS = {
    "file": ("landlock", "assert open(FOLDER + '/inner/secret').read() == 'whole'"),
    "file by a relative path": ("landlock", "assert open('../' * 9 + FOLDER + '/inner/secret').read() == 'whole'"),
    "list of a folder": ("landlock", "assert os.listdir(FOLDER)"),
    "list of users": ("landlock", "assert open('/etc/passwd').read()"),
    "installed packages": ("landlock", "assert 'pyseccomp.py' in os.listdir('@PACKAGES@')"),
    "source of an installed package": ("landlock", "assert open('@PACKAGES@/pyseccomp.py').read()"),
    "environment of this process": ("landlock dumpable identity", "assert open('/proc/self/environ', 'rb').read()"),
    "environment of the parent": (PROCESSES, "assert open(f'/proc/{os.getppid()}/environ', 'rb').read()", TRACERS),
    "environment of the grader": (PROCESSES, "assert 'grader' in open('/proc/@GRADER@/environ').read()", TRACERS),
    "commands of others": ("landlock", "assert open('/proc/@GRADER@/cmdline', 'rb').read()"),
    "descriptors of the parent": (PROCESSES, "assert os.listdir(f'/proc/{os.getppid()}/fd')", TRACERS),
    "what is mounted": ("landlock dumpable", "assert open('/proc/self/mounts').read()"),
    "own memory as a file": ("landlock dumpable identity", "open('/proc/self/mem', 'rb')"),
    "memory of the parent as a file": (
        PROCESSES,
        """
        with open(f"/proc/{os.getppid()}/mem", "rb") as file:
            file.seek(id(None))
            assert file.read(8)
        """,
        TRACERS,
    ),
    "ptrace of the parent": (PROCESSES, "call('ptrace', 0x4206, os.getppid(), 0, 0)", TRACERS),
    "ptrace of the grader": (PROCESSES, "call('ptrace', 0x4206, @GRADER@, 0, 0)", TRACERS),
    "memory of the parent": (
        PROCESSES,
        f"""
        {VECTORS.strip()}
        call("process_vm_readv", os.getppid(), ours, count, theirs, count, zero)
        """,
        TRACERS,
    ),
    "memory of the judge": (
        PROCESSES,
        f"""
        {VECTORS.strip()}
        for pid in range(os.getpid() + 1, os.getpid() + 200):
            if LIBC.process_vm_readv(pid, ours, count, theirs, count, zero) == 8:
                return 1
        raise PermissionError
        """,
        TRACERS,
    ),
    "descriptor of the parent": (PROCESSES, "call('syscall', 438, os.pidfd_open(os.getppid()), 0, 0)", TRACERS),
}


def test_attacks_on_secrets_are_stopped_and_succeed_without_what_stops_them(outcomes):
    assert {name: one for name, one in outcomes.items() if one.confined == "passed"} == {}
    assert {name: one for name, one in outcomes.items() if one.neighbour != "passed" or not one.untouched} == {}
    assert {name: one for name, one in outcomes.items() if one.free not in ("passed", None)} == {}


def statuses(programs, **settings):
    with Sandbox(**settings) as sandbox:
        return [verdict.status for verdict in sandbox.grade([Job(one, "assert f() == 1", "f") for one in programs])]


# Every byte of the process is searched for a word whose halves the searching program never joins, so that it does not
# find itself.
SEARCH = """
def f():
    halves = [b"a word that only one ", b"job knows"]
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps.read().splitlines():
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if "r" not in line.split()[1] or "[v" in line:
                continue
            memory.seek(start)
            held, at = memory.read(end - start), 0
            while (at := held.find(halves[0], at) + 1) > 0:
                if held[at - 1 + len(halves[0]):].startswith(halves[1]):
                    return 1
"""
KNOWS = "word = 'a word that only one job ' + 'knows'\n"


@confined
def test_a_job_finds_nothing_of_an_earlier_one_in_its_memory_even_where_it_can_read_all_of_it():
    earlier = KNOWS + "def f():\n    return 1"
    tests = KNOWS + "assert f() == 1"
    with Sandbox(layers=LAYERS - {"landlock", "dumpable", "identity"}, jobs=1) as sandbox:
        jobs = [Job(earlier, tests, "f"), *(Job(one, "assert f() == 1", "f") for one in (SEARCH, KNOWS + SEARCH))]
        assert [verdict.status for verdict in sandbox.grade(jobs)] == ["passed", "failed", "passed"]


@confined
def test_a_worker_holds_no_descriptor_but_its_channel():
    counts = """
import os
def f():
    held = []
    for descriptor in range(4096):
        try:
            held.append((descriptor, os.fstat(descriptor).st_mode >> 12))
        except OSError:
            pass
    return int(held == [(0, 2), (1, 2), (2, 2), (4, 12)])  # three times /dev/null, and a socket
"""
    assert statuses([counts]) == ["passed"]


@confined
def test_a_worker_has_no_environment_no_arguments_and_the_paths_of_the_standard_library(monkeypatch):
    monkeypatch.setenv("A_SECRET", "of the grader")
    asks = """
import os, sys
def f():
    foreign = [path for path in sys.path if "site-packages" in path]
    return int(not os.environ and len(sys.argv) == len(sys.orig_argv) == 1 and not foreign)
"""
    assert statuses([asks]) == ["passed"]


@confined
@pytest.mark.skipif(data_folder() is None, reason="no data folder here")
def test_the_data_folder_is_closed():
    lists = f"import os\ndef f():\n    return int(len(os.listdir({str(data_folder())!r})) > 0)"
    assert statuses([lists]) == ["error"]
    assert statuses([lists], layers=LAYERS - {"landlock"}) == ["passed"]
