"""The fork server and its children live no longer than the grader, and are as the page says."""

import os
import select
import signal
import subprocess
import sys

import pytest

from sandtable.simulators.language.sandbox.grader import Job, Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import probe
from sandtable.simulators.language.sandbox.server import fixed_addresses

pytestmark = pytest.mark.skipif(bool(probe().missing), reason="; ".join(probe().missing))

GRADER = """
from sandtable.simulators.language.sandbox.grader import Job, Sandbox
def jobs():
    yield Job("def f():\\n    while True: pass", "f()", "f")
    print(sandbox.server_pid, flush=True)
with Sandbox(cpu=600, wall=600) as sandbox:
    list(sandbox.grade(jobs()))
"""


def test_a_grader_that_is_killed_takes_all_its_processes_with_it():
    with subprocess.Popen([sys.executable, "-c", GRADER], stdout=subprocess.PIPE, text=True) as grader:
        server = int(grader.stdout.readline())
        pidfds = [os.pidfd_open(server)]
        while len(pidfds) < 3:
            with open(f"/proc/{server}/task/{server}/children") as file:
                pidfds[1:] = [os.pidfd_open(int(pid)) for pid in file.read().split()]
        grader.kill()
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    while pidfds:
        ended = [pidfd for pidfd, _ in poll.poll(30_000)]
        assert ended
        for pidfd in ended:
            poll.unregister(pidfd)
            pidfds.remove(pidfd)
            os.close(pidfd)


def test_the_server_ends_with_the_sandbox_and_leaves_no_child():
    with Sandbox() as sandbox:
        server = os.pidfd_open(sandbox.server_pid)
        assert [verdict.status for verdict in sandbox.grade([Job("def f():\n    return 1", "assert f() == 1", "f")])]
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(server, 0)
    os.close(server)


def test_programs_start_at_fixed_addresses_only_where_they_are_asked_to():
    """As personality(2) has it, ADDR_NO_RANDOMIZE is 0x40000; a process is asked for its own."""
    ask = "import ctypes; print(ctypes.CDLL(None).personality(ctypes.c_ulong(0xFFFFFFFF)))"
    command = [sys.executable, "-c", ask]
    before = int(subprocess.check_output(command))
    with fixed_addresses():
        within = int(subprocess.check_output(command))
    assert within in (before, before | 0x40000)  # a container's rules may refuse it
    assert int(subprocess.check_output(command)) == before
