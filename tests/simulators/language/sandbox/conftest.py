"""A worker and a judge in one process, for programs that the tests themselves write and that harm nobody."""

import random
import socket
import sys
import threading

import pytest

from sandtable.simulators.language.sandbox.channel import Channel
from sandtable.simulators.language.sandbox.jobs import JudgeJob, WorkerJob
from sandtable.simulators.language.sandbox.judge import Program, judge
from sandtable.simulators.language.sandbox.worker import serve


@pytest.fixture(autouse=True)
def unchanged_process():
    """What a worker and a judge do to their own process is undone."""
    state = random.getstate()
    yield
    random.setstate(state)
    for name in ("_completion", "_tests"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def graded():
    """Return a function of a program and its tests that gives the verdict."""

    def verdict(program, tests, entry_point="f", setup="", helpers="", names=(), seed=0):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            worker = threading.Thread(target=serve, args=(WorkerJob(program, setup, seed), Channel(theirs.fileno())))
            worker.start()
            try:
                job = JudgeJob(tests, entry_point, helpers, tuple(names), seed)
                return judge(job, Program(Channel(ours.fileno())))
            finally:
                ours.shutdown(socket.SHUT_RDWR)
                worker.join()

    return verdict


@pytest.fixture(scope="session")
def answered():
    """Return a function of tests and bytes that gives the verdict where these bytes are all that a worker sends."""

    def verdict(tests, sent, names=()):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(sent)
            theirs.shutdown(socket.SHUT_WR)
            return judge(JudgeJob(tests, "f", "", names, 0), Program(Channel(ours.fileno())))

    return verdict
