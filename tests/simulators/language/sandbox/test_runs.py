"""What the grader knows of a job that runs, whatever became of the processes."""

import os
import socket
import subprocess
import sys
import time

from sandtable.simulators.language.sandbox.runs import Child, Run
from sandtable.simulators.language.sandbox.server import REQUEST


def test_the_two_processes_are_given_their_own_and_nothing_of_the_other_s():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    run = Run(0, 0.0, 9.0)
    with ours, theirs:
        run.begin(ours, 6, b"program", b"tests")
        held = [socket.recv_fds(theirs, REQUEST.size, 8) for _ in range(2)]
    assert [REQUEST.unpack(message) for message, *_ in held] == [(b"w", 6), (b"j", 7)]
    (worker_job, worker_end), (judge_job, judge_end, verdict_end) = (descriptors for _, descriptors, *_ in held)
    assert (os.read(worker_job, 99), os.read(judge_job, 99)) == (b"program", b"tests")
    os.write(worker_end, b"answer")
    assert os.read(judge_end, 99) == b"answer"
    os.write(verdict_end, bytes([1]))
    for descriptor in (worker_job, worker_end, judge_job, judge_end, verdict_end):
        os.close(descriptor)
    run.read_code()
    assert (run.code, run.over, run.verdict_pipe) == (1, True, None)


def test_no_byte_is_waited_for_that_cannot_come_even_if_somebody_holds_the_other_end():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    run = Run(0, 0.0, 9.0)
    with ours, theirs:  # what was sent to it is open as long as this is
        run.begin(ours, 0, b"", b"")
        run.read_code()
    assert run.code == 0


def test_seconds_in_which_the_machine_let_it_not_run_are_given_back():
    run = Run(0, started=100.0, deadline=103.0)
    run.worker.delay, run.judge.delay = (lambda: 2.0), (lambda: 0.5)
    assert not run.is_late(wall=3.0, now=102.0)
    assert not run.is_late(wall=3.0, now=104.0)
    assert run.deadline == 105.5
    assert run.is_late(wall=3.0, now=105.5)


def test_the_delay_of_a_process_is_what_the_kernel_has_counted():
    assert Child().delay() == 0.0
    loops = "import time\nwhile time.process_time() < .1: pass\nprint(flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    begun = time.monotonic()
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", loops], **pipes) as process:
        process.stdout.readline()
        child = Child(os.pidfd_open(process.pid))
        assert 0.0 <= child.delay() < time.monotonic() - begun
        process.communicate(b"\n")
    assert child.delay() == 0.0
    child.close()
