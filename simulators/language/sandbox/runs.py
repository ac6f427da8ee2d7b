"""A job that runs, as the grader sees it: two processes, a pipe for a byte, and a deadline."""

import contextlib
import fcntl
import os
import signal
import socket
from dataclasses import dataclass, field

from sandtable.simulators.language.sandbox.server import REQUEST

_WORKER, _JUDGE = b"w", b"j"


@dataclass
class Child:
    """A process of a running job.

    Attributes:
        pidfd: Its descriptor, once it has been started.
        ended: Whether it has ended.
        used: Its CPU seconds, once it has ended.
        peak: The most memory that it held, in bytes, once it has ended.
    """

    pidfd: int | None = None
    ended: bool = False
    used: float = 0.0
    peak: int = 0

    def kill(self) -> None:
        """End it, if it runs."""
        if self.pidfd is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and the server's word of it is on the way
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def delay(self) -> float:
        """Seconds in which it could have run, but the processors were busy with others; 0 where nobody counts."""
        if self.pidfd is None:
            return 0.0
        with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{self.pidfd}", encoding="ascii") as known:
            pid = next(line.split()[1] for line in known if line.startswith("Pid:"))
            with open(f"/proc/{pid}/schedstat", encoding="ascii") as counted:
                return int(counted.read().split()[1]) / 1e9
        return 0.0

    def close(self) -> None:
        """Let go of its descriptor."""
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.pidfd = None


@dataclass
class Run:
    """A job that runs.

    Attributes:
        place: Its place in the order of jobs.
        started: When it was handed out, on the monotonic clock.
        deadline: When it is stopped.
        verdict_pipe: Where the judge's byte comes from; None once it has been read.
        code: The judge's byte; 0 if it has sent none.
        late: Whether the deadline came first.
        over: Whether nothing that is still to come can matter; both processes are to go.
    """

    place: int
    started: float
    deadline: float
    verdict_pipe: int | None = None
    code: int = 0
    late: bool = False
    over: bool = False
    worker: Child = field(default_factory=Child)
    judge: Child = field(default_factory=Child)

    def begin(self, control: socket.socket, number: int, for_worker: bytes, for_judge: bytes) -> int:
        """Have the server fork both processes; return the pipe's end for reading.

        Args:
            control: To the server.
            number: The worker's; the judge has the next.
            for_worker: What the worker is told.
            for_judge: What the judge is told.
        """
        self.verdict_pipe, verdict_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        handed_on = [verdict_end]
        try:
            handed_on += [end.detach() for end in socket.socketpair()]
            for content in (for_worker, for_judge):
                handed_on.append(_sealed(content))
            _, *channels, worker_job, judge_job = handed_on
            socket.send_fds(control, [REQUEST.pack(_WORKER, number)], [worker_job, channels[0]])
            socket.send_fds(control, [REQUEST.pack(_JUDGE, number + 1)], [judge_job, channels[1], verdict_end])
        finally:
            for descriptor in handed_on:
                os.close(descriptor)
        return self.verdict_pipe

    def is_late(self, wall: float, now: float) -> bool:
        """Whether its time is over; at its deadline it gets back what its processes waited for a processor.

        Args:
            wall: Seconds that it has.
            now: On the monotonic clock.
        """
        if self.deadline <= now:
            self.deadline = self.started + wall + self.worker.delay() + self.judge.delay()
        return self.deadline <= now

    def read_code(self) -> None:
        """Read the judge's byte, or that there is none, as nobody holds the other end any more; it is over then."""
        if self.verdict_pipe is not None:
            byte = b""
            with contextlib.suppress(BlockingIOError):  # none, and a fork of the grader has the other end
                byte = os.read(self.verdict_pipe, 1)
            os.close(self.verdict_pipe)
            self.verdict_pipe = None
            self.code = byte[0] if byte else 0
        self.stop()

    def stop(self) -> None:
        """End both processes; one that is still to be started ends when it is."""
        self.over = True
        self.worker.kill()
        self.judge.kill()

    def has_ended(self) -> bool:
        """Whether both processes have."""
        return self.worker.ended and self.judge.ended

    def close(self) -> None:
        """Let go of all descriptors."""
        self.worker.close()
        self.judge.close()
        if self.verdict_pipe is not None:
            os.close(self.verdict_pipe)
        self.verdict_pipe = None


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
