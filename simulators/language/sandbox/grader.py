"""The trusted side of the sandbox: it hands out jobs, watches the clocks, and says what a verdict was.

Programs that a language model wrote are hostile, and tests from a downloaded file are foreign. So a verdict takes two
forks of the fork server (server.py): a worker, which runs the program, and a judge, which runs the tests, calls the
worker over a channel, and writes one byte of a fixed list into a pipe that nobody else holds. The grader reads that
byte, and what the kernel says of the worker's time; nothing else of either reaches it. Exit codes mean nothing.
"""

import contextlib
import math
import os
import selectors
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.language.sandbox.codec import CodecError
from sandtable.simulators.language.sandbox.confinement import LAYERS, Limits
from sandtable.simulators.language.sandbox.jobs import VERDICTS, encode_judge_job, encode_worker_job
from sandtable.simulators.language.sandbox.kernel_rules import probe
from sandtable.simulators.language.sandbox.runs import Run
from sandtable.simulators.language.sandbox.server import REFUSED, REPLY, STARTED
from sandtable.simulators.language.sandbox.start import Start, choose_backend, start_server

Status = Literal["passed", "failed", "error", "cpu", "memory", "wall", "crash", "judge_error"]
STATUSES: tuple[Status, ...] = ("passed", "failed", "error", "cpu", "memory", "wall", "crash", "judge_error")
_JUDGED: dict[int, Status] = {
    code: status for code, verdict in enumerate(VERDICTS, 1) for status in STATUSES if status == verdict
}
_SERVER_ENDED = "the sandbox's server has ended; what has no verdict yet can be graded again"
_PATIENCE = 10.0  # seconds for jobs that are broken off, and for the server, to end by themselves
_AHEAD = 8  # verdicts that may wait for an earlier one, for each job that runs


@dataclass(frozen=True)
class Job:
    """A program and what it is held to.

    Attributes:
        program: Source: prompt and completion. Hostile.
        tests: Source that calls the entry point and raises where it is wrong.
        entry_point: The function that the tests call.
        setup: Source that runs after the program, in its namespace.
        helpers: Source that the judge runs before the tests.
        names: What else of the worker the tests may call: what the setup or the reference binds.
        seed: Of the module `random` in the worker; the judge's is made of it and of the tests.
    """

    program: str
    tests: str
    entry_point: str
    setup: str = ""
    helpers: str = ""
    names: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Verdict:
    """What became of a job.

    Attributes:
        status: `passed`; `failed`: a test did not hold; `error`: the program raised where a test called it, or at once;
            `cpu`, `memory`, `wall`: it reached a limit; `crash`: its process ended without a word; `judge_error`: the
            tests themselves are broken. Only the judge can say `passed`, and only in time.
        cpu_seconds: CPU time of the worker.
        wall_seconds: From the start of its processes to their end.
        total_cpu_seconds: CPU time of worker and judge.
    """

    status: Status
    cpu_seconds: float
    wall_seconds: float
    total_cpu_seconds: float


class Sandbox:
    """A fork server and what is needed to grade with it; a context manager.

    Args:
        cpu: CPU seconds that a worker may use; the verdict is `cpu` beyond.
        memory: Address space of a worker in MB.
        wall: Seconds after which a job is stopped, whatever it does; those in which it waited for a processor that
            was busy with others do not count, where the kernel tells them.
        jobs: Jobs that run at a time, at most 64. Verdicts do not depend on it.
        packages: Packages that programs may import besides the standard library, for example `("numpy",)`.
        backend: `landlock`, `bubblewrap`, or `auto`: the first of them that this machine offers.
        allow_unsafe: Run even where neither is there, with what there is: files and network may be open.
        layers: What confines worker and judge (`confinement.LAYERS`); fewer are for tests that show what each stops.

    Raises:
        InputError: This machine cannot confine programs, or a limit is no positive number. Nothing has run then.
    """

    def __init__(
        self,
        *,
        cpu: float = 3.0,
        memory: int = 512,
        wall: float = 30.0,
        jobs: int = 2,
        packages: Iterable[str] = (),
        backend: str = "auto",
        allow_unsafe: bool = False,
        layers: Iterable[str] = LAYERS,
    ) -> None:
        for name, value, least in (("cpu", cpu, 0.1), ("memory", memory, 128), ("wall", wall, 0.1), ("jobs", jobs, 1)):
            if not least <= value < 1e6:
                raise InputError(f"{name} {value!r}: it must be at least {least}, and finite")
        require_name("backend", backend, ("auto", "landlock", "bubblewrap"))
        self.layers = frozenset(layers)
        for layer in sorted(self.layers):
            require_name("layer", layer, sorted(LAYERS))
        self.cpu, self.memory, self.wall, self.jobs = float(cpu), int(memory), float(wall), min(int(jobs), 64)
        self.offers = probe()
        self.backend = choose_backend(self.offers, backend, allow_unsafe)
        self._judge_signal = judge = math.ceil(10.0 + 2.0 * self.cpu)
        limits = {
            "worker": Limits(self.cpu, math.ceil(1.25 * self.cpu) + 1, self.memory),
            # A worker's answers cost the judge time and memory to read: it has enough for the largest it accepts.
            "judge": Limits(1.5 * judge, judge, max(self.memory, 2048)),
        }
        self._start = Start(self.backend, self.layers, limits, tuple(packages), self.offers)
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._runs: dict[int, Run] = {}  # both numbers of a run's children lead to it
        self._next_number = 0
        self._process = os.getpid()  # whose the server is
        self.uid = self.offers.uid

    @property
    def description(self) -> dict[str, str | int | float | bool]:
        """What confines the processes here, as the document of `sandtable grade` has it."""
        return {
            "backend": self.backend,
            "landlock_abi": self.offers.landlock_abi,
            "seccomp": self.offers.seccomp and "seccomp" in self.layers,
            "uid": self.uid,
            "cpu_seconds": self.cpu,
            "memory_mb": self.memory,
        }

    def __enter__(self) -> Self:
        if self._process != os.getpid():
            self.close()  # a fork's copy: the server is its parent's
        if self._control is None:
            self._server, self._control, self.uid = start_server(self._start)
            self._process = os.getpid()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server and all its children; what still runs has no verdict then. Can be called twice."""
        control, server = self._control, self._server
        self._control = self._server = None
        ours = self._process == os.getpid()
        if control is not None:
            with contextlib.suppress(OSError):
                if ours:
                    control.shutdown(socket.SHUT_RDWR)  # the server hears it even if a fork of this process holds it
            control.close()
        if server is not None and ours:
            try:
                server.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        for run in self._runs.values():
            run.close()
        self._runs.clear()

    @property
    def server_pid(self) -> int | None:
        """Process id of the fork server; None where it does not run."""
        return self._server.pid if self._server is not None else None

    def grade(self, jobs: Iterable[Job]) -> Iterator[Verdict]:
        """Yield a verdict for each job, in their order; jobs are taken as they are needed.

        A program longer than 16 MB is `memory`, and tests as long are `judge_error`, without a process.

        Raises:
            RuntimeError: The sandbox is closed, or was opened before this process was forked.
            OSError: The server has ended, the kernel refused to confine a process (`ChildProcessError`), or this
                process can open no further descriptor. The sandbox is closed then, and can be opened again.
        """
        control = self._control
        if control is None:
            raise RuntimeError("the sandbox is closed: use it in a with statement")
        if self._process != os.getpid():  # two readers of one server's words would take each other's
            raise RuntimeError("the sandbox was opened by another process: open one here, too")
        if self._runs:
            raise RuntimeError("the sandbox grades one sequence of jobs at a time")
        waiting = iter(jobs)
        finished: dict[int, Verdict] = {}
        taken, given, exhausted = 0, 0, False
        with selectors.DefaultSelector() as selector:
            selector.register(control, selectors.EVENT_READ)
            try:
                while True:
                    if self._control is not control:
                        raise RuntimeError("the sandbox was closed while it graded")
                    while not exhausted and self._running() < self.jobs and taken - given < _AHEAD * self.jobs:
                        job = next(waiting, None)
                        if job is None:
                            exhausted = True
                            break
                        told = _told(job)
                        if isinstance(told, str):
                            finished[taken] = Verdict(told, 0.0, 0.0, 0.0)
                        else:
                            selector.register(self._begin(*told, taken), selectors.EVENT_READ)
                        taken += 1
                    if exhausted and given == taken:
                        return
                    for run in self._watch(selector) if self._runs else ():
                        finished[run.place] = self._verdict(run)
                    while given in finished:
                        yield finished.pop(given)
                        given += 1
            finally:
                if self._control is control and self._process == os.getpid():
                    self._abandon(selector)

    def _running(self) -> int:
        return len(self._runs) // 2

    def _begin(self, for_worker: bytes, for_judge: bytes, place: int) -> int:
        """Hand a job to a fresh worker and a fresh judge; return the pipe of the verdict."""
        assert self._control is not None
        now = time.monotonic()
        run = Run(place, now, now + self.wall)
        number = self._next_number
        self._next_number += 2
        self._runs[number] = self._runs[number + 1] = run
        try:
            return run.begin(self._control, number, for_worker, for_judge)
        except BaseException as error:  # an interruption, too: half of a job may have been sent, and would never end
            self.close()
            if isinstance(error, ConnectionError):  # which elsewhere means that nobody reads the output
                raise ChildProcessError(_SERVER_ENDED) from None
            raise

    def _watch(self, selector: selectors.BaseSelector) -> list[Run]:
        """Wait for the next thing to happen; return the runs that have ended, which are forgotten."""
        now = time.monotonic()
        next_deadline = min((run.deadline for run in self._runs.values() if not run.over), default=now + 1.0)
        ended = []
        for key, _ in selector.select(max(0.0, next_deadline - now)):
            if key.fileobj is self._control:
                ended += self._listen()
            else:
                self._read_code(key.fd, selector)
        now = time.monotonic()
        for run in self._runs.values():
            if not run.over and run.is_late(self.wall, now):
                run.late = True
                run.stop()
        for run in ended:
            if run.verdict_pipe is not None:
                self._read_code(run.verdict_pipe, selector)
            for number in [number for number, one in self._runs.items() if one is run]:
                del self._runs[number]
        return ended

    def _read_code(self, pipe: int, selector: selectors.BaseSelector) -> None:
        selector.unregister(pipe)
        next(run for run in self._runs.values() if run.verdict_pipe == pipe).read_code()

    def _listen(self) -> list[Run]:
        """Take what the server tells of one child; return its run if that has ended with it."""
        assert self._control is not None
        message, pidfds = b"", list[int]()
        with contextlib.suppress(ConnectionError):
            message, pidfds, _, _ = socket.recv_fds(self._control, REPLY.size, 1)
        if not message:
            self.close()
            raise ChildProcessError(_SERVER_ENDED)
        kind, number, code, used, peak = REPLY.unpack(message)
        if kind == REFUSED:
            self.close()
            raise ChildProcessError(f"a process could not be confined, so it has not run: {os.strerror(code)}")
        run = self._runs[number]
        child = run.judge if number % 2 else run.worker
        if kind == STARTED:
            if not pidfds:
                self.close()
                raise OSError("the grader has too many open files (ulimit -n): grade with fewer jobs at a time")
            child.pidfd = pidfds[0]
            if run.over:
                child.kill()
            return []
        child.ended, child.used, child.peak = True, used, peak
        child.close()
        return [run] if run.has_ended() else []

    def _verdict(self, run: Run) -> Verdict:
        worker, judge = run.worker.used, run.judge.used
        return Verdict(self._status(run), worker, time.monotonic() - run.started, worker + judge)

    def _status(self, run: Run) -> Status:
        """The kernel's clocks come first, then the judge's word; without one, what a limit explains is that limit.

        What a program can bring about is never `judge_error`: a judge that its answers have worn out is the program's.
        """
        worker, judge = run.worker, run.judge
        verdict = _JUDGED.get(run.code, "crash")
        if worker.used >= self.cpu:
            return "cpu"
        if run.late:
            return "wall"
        if verdict != "crash":
            return verdict
        if judge.used >= 0.8 * self._judge_signal:
            return "cpu"
        return "memory" if worker.peak >= 0.9 * (self.memory << 20) else "crash"

    def _abandon(self, selector: selectors.BaseSelector) -> None:
        """Stop what still runs: the jobs were broken off, or their source failed."""
        for run in self._runs.values():
            run.stop()
        until = time.monotonic() + _PATIENCE
        with contextlib.suppress(OSError):
            while self._runs and time.monotonic() < until:
                self._watch(selector)
        if self._runs:  # an interruption came between the server's word of an end and its being noted
            self.close()


def _told(job: Job) -> tuple[bytes, bytes] | Status:
    """Return what worker and judge are told, or the status of a job that is too long for that."""
    try:
        for_judge = encode_judge_job(job.tests, job.entry_point, job.helpers, job.names, job.seed)
    except CodecError:
        return "judge_error"
    try:
        return encode_worker_job(job.program, job.setup, job.seed), for_judge
    except CodecError:
        return "memory"
