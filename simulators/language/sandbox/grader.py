"""The trusted side of the sandbox: it hands out jobs, watches the clocks, and says what a verdict was.

Programs that a language model wrote are hostile, and tests from a downloaded file are foreign. So a verdict takes two
forks of the fork server (server.py): a worker, which runs the program, and a judge, which runs the tests, calls the
worker over a channel, and writes one byte of a fixed list into a pipe that nobody else holds. The grader reads that
byte, and what the kernel says of the worker's time; nothing else of either reaches it. Exit codes mean nothing.
"""

import contextlib
import fcntl
import math
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.language.sandbox.codec import CodecError
from sandtable.simulators.language.sandbox.confinement import LAYERS, Limits
from sandtable.simulators.language.sandbox.jobs import VERDICTS, encode_judge_job, encode_worker_job
from sandtable.simulators.language.sandbox.kernel_rules import probe
from sandtable.simulators.language.sandbox.server import ENDED, REFUSED, REPLY, REQUEST, STARTED
from sandtable.simulators.language.sandbox.start import Start, choose_backend, start_server

Status = Literal["passed", "failed", "error", "cpu", "memory", "wall", "crash", "judge_error"]
STATUSES: tuple[Status, ...] = ("passed", "failed", "error", "cpu", "memory", "wall", "crash", "judge_error")
_JUDGED: dict[int, Status] = {
    code: status for code, verdict in enumerate(VERDICTS, 1) for status in STATUSES if status == verdict
}
_WORKER, _JUDGE = b"w", b"j"
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
        seed: Of the module `random`, in both processes.
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


@dataclass
class _Child:
    """A process of a running job; `pidfd` is known once it was started, what it used (seconds, bytes) at its end."""

    pidfd: int | None = None
    ended: bool = False
    used: float = 0.0
    peak: int = 0

    def kill(self) -> None:
        if self.pidfd is not None and not self.ended:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and the server's word of it is on the way
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


@dataclass
class _Run:
    """A job that runs: its place in the order, its processes, and what is known of it."""

    place: int
    verdict_pipe: int  # -1 once it has been read
    started: float
    deadline: float
    worker: _Child = field(default_factory=_Child)
    judge: _Child = field(default_factory=_Child)
    code: int = 0  # of the judge, as `_JUDGED` reads it; 0: it has sent none
    late: bool = False
    over: bool = False  # nothing that is still to come can matter: both processes are to go

    def stop(self) -> None:
        self.over = True
        self.worker.kill()
        self.judge.kill()

    def has_ended(self) -> bool:
        return self.worker.ended and self.judge.ended


class Sandbox:
    """A fork server and what is needed to grade with it; a context manager.

    Args:
        cpu: CPU seconds that a worker may use; the verdict is `cpu` beyond.
        memory: Address space of a worker in MB.
        wall: Seconds after which a job is stopped, whatever it does.
        jobs: Jobs that run at a time. Verdicts do not depend on it.
        packages: Packages that programs may import besides the standard library, for example `("numpy",)`.
        backend: `landlock`, `bubblewrap`, or `auto`: the first of them that this machine offers.
        allow_unsafe: Run even where neither is there: with limits alone, files and network open.
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
        for layer in layers:
            require_name("layer", layer, sorted(LAYERS))
        self.cpu, self.memory, self.wall, self.jobs = float(cpu), int(memory), float(wall), min(int(jobs), 64)
        self.layers = frozenset(layers)
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
        self._runs: dict[int, _Run] = {}  # both numbers of a run's children lead to it
        self._next_number = 0
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
        if self._control is None:
            self._server, self._control, self.uid = start_server(self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server and all its children. Can be called twice."""
        control, server = self._control, self._server
        self._control = self._server = None
        if control is not None:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)  # the server hears it even if a fork of this process holds it
            control.close()
        if server is not None:
            server.wait()

    @property
    def server_pid(self) -> int | None:
        """Process id of the fork server; None where it does not run."""
        return self._server.pid if self._server is not None else None

    def grade(self, jobs: Iterable[Job]) -> Iterator[Verdict]:
        """Yield a verdict for each job, in their order; jobs are taken as they are needed.

        Raises:
            InputError: A job is longer than 16 MB.
            RuntimeError: The sandbox is closed, the server has ended, or the kernel refused to confine a process.
        """
        if self._control is None:
            raise RuntimeError("the sandbox is closed: use it in a with statement")
        if self._runs:
            raise RuntimeError("the sandbox grades one sequence of jobs at a time")
        waiting = iter(jobs)
        finished: dict[int, Verdict] = {}
        taken, given, exhausted = 0, 0, False
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            try:
                while True:
                    while not exhausted and self._running() < self.jobs and taken - given < _AHEAD * self.jobs:
                        job = next(waiting, None)
                        if job is None:
                            exhausted = True
                        else:
                            selector.register(self._begin(job, taken).verdict_pipe, selectors.EVENT_READ)
                            taken += 1
                    if exhausted and given == taken:
                        return
                    for run in self._watch(selector):
                        finished[run.place] = self._verdict(run, selector)
                    while given in finished:
                        yield finished.pop(given)
                        given += 1
            finally:
                self._abandon(selector)

    def _running(self) -> int:
        return len(self._runs) // 2

    def _begin(self, job: Job, place: int) -> _Run:
        """Hand a job to a fresh worker and a fresh judge."""
        assert self._control is not None
        try:
            for_worker = encode_worker_job(job.program, job.setup, job.seed)
            for_judge = encode_judge_job(job.tests, job.entry_point, job.helpers, job.names, job.seed)
        except CodecError as error:
            raise InputError(f"job {place + 1} cannot be graded: {error}") from error
        verdict_pipe, verdict_end = os.pipe2(os.O_CLOEXEC)
        channels = [end.detach() for end in socket.socketpair()]
        worker_job, judge_job = _sealed(for_worker), _sealed(for_judge)
        now = time.monotonic()
        run = _Run(place, verdict_pipe, now, now + self.wall)
        number = self._next_number
        self._next_number += 2
        self._runs[number] = self._runs[number + 1] = run
        try:
            socket.send_fds(self._control, [REQUEST.pack(_WORKER, number)], [worker_job, channels[0]])
            socket.send_fds(self._control, [REQUEST.pack(_JUDGE, number + 1)], [judge_job, channels[1], verdict_end])
        finally:
            for descriptor in (worker_job, judge_job, *channels, verdict_end):
                os.close(descriptor)
        return run

    def _watch(self, selector: selectors.BaseSelector) -> list[_Run]:
        """Wait for the next thing to happen; return the runs that are over."""
        now = time.monotonic()
        next_deadline = min((run.deadline for run in self._runs.values() if not run.over), default=now + 1.0)
        ended = []
        for key, _ in selector.select(max(0.0, next_deadline - now)):
            if key.fileobj is self._control:
                ended += self._listen()
            else:
                self._read_code(next(run for run in self._runs.values() if run.verdict_pipe == key.fd), selector)
        now = time.monotonic()
        for run in self._runs.values():
            if not run.over and run.deadline <= now:
                run.late = True
                run.stop()
        return ended

    def _read_code(self, run: _Run, selector: selectors.BaseSelector) -> None:
        """Read the judge's byte, or that there is none, as nobody holds the pipe's other end any more."""
        byte = os.read(run.verdict_pipe, 1)
        run.code = byte[0] if byte else 0
        selector.unregister(run.verdict_pipe)
        os.close(run.verdict_pipe)
        run.verdict_pipe = -1
        run.stop()

    def _listen(self) -> list[_Run]:
        """Take what the server tells of one child; return its run if that has ended with it."""
        assert self._control is not None
        message, pidfds, _, _ = socket.recv_fds(self._control, REPLY.size, 1)
        if not message:
            raise RuntimeError("the sandbox's server has ended")
        kind, number, code, cpu, peak = REPLY.unpack(message)
        run = self._runs[number]
        child = run.judge if number % 2 else run.worker
        if kind == REFUSED:
            raise RuntimeError(f"a process could not be confined, and has not run: {os.strerror(code)}")
        if kind == STARTED:
            child.pidfd = pidfds[0]
            if run.over:
                child.kill()
        elif kind == ENDED:
            child.ended, child.used, child.peak = True, cpu, peak
            if child.pidfd is not None:
                os.close(child.pidfd)
            if run.has_ended():
                return [run]
        return []

    def _verdict(self, run: _Run, selector: selectors.BaseSelector) -> Verdict:
        """Say what became of a run whose processes have both ended, and forget it."""
        if run.verdict_pipe >= 0:
            self._read_code(run, selector)
        for number in [number for number, one in self._runs.items() if one is run]:
            del self._runs[number]
        worker, judge = run.worker.used, run.judge.used
        return Verdict(self._status(run), worker, time.monotonic() - run.started, worker + judge)

    def _status(self, run: _Run) -> Status:
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
        try:
            while self._runs:
                for run in self._watch(selector):
                    self._verdict(run, selector)
        except (RuntimeError, OSError):
            self._runs.clear()
            self.close()


def _sealed(content: bytes) -> int:
    """A file in memory that holds a job, and that nobody can change."""
    descriptor = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
