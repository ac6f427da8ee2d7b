"""The fork server: a small process that knows no job, and of which every worker and every judge is a fork.

It is started as a script (start.py) with one argument of settings and one environment variable, which it removes:
``python -s -P -S`` is ``-I -S`` but for the variables, because ``-I`` would ignore ``PYTHONHASHSEED`` too, and sets of
strings would be ordered anew in every run. For the same reason it turns address randomisation off for itself (sets of
classes, and of None before Python 3.12, are ordered by address).

What comes over its socket: a role, a number, and the descriptors that the child will hold; it passes them on unread.
What goes back: the child's pidfd, and when it has ended, what it used. When a child ends, its session and whatever it
left behind is killed; when the grader goes, everything is.
"""

import array
import contextlib
import ctypes
import errno
import fcntl
import gc
import importlib
import json
import math
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CHILD_DESCRIPTORS = 3  # the first of those that a role is given: the job, the channel, and the judge's verdict
REQUEST = struct.Struct("<cQ")  # role, number of the child
REPLY = struct.Struct("<cQidq")  # what happened, number of the child, wait status or errno, CPU seconds, peak bytes
STARTED, ENDED, REFUSED, READY = b"s", b"e", b"r", b"R"
ROLES = {b"w": "worker", b"j": "judge"}
PACKAGE = "sandtable.simulators.language.sandbox"

_RULESET, _CONTROL = 6, 7  # where the server keeps its own descriptors; what it receives gets higher numbers
_OPEN_FILES = 1024
_CPU_TIME = 2  # with a process's number: the clock of the time that it has run, to the nanosecond
_LEAST_WAIT = 0.001
_CHILDREN_BYTES = 1 << 16
_ASK, _ADDR_NO_RANDOMIZE, _PR_SET_CHILD_SUBREAPER = 0xFFFFFFFF, 0x0040000, 36
# Modules that programs import all the time: once here instead of once in each child; and those whose shared libraries
# lie outside of the standard library, which a child cannot read.
_PRELOADED = (
    "abc", "array", "base64", "binascii", "bisect", "bz2", "calendar", "cmath", "collections", "collections.abc",
    "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib",
    "heapq", "io", "itertools", "json", "lzma", "math", "numbers", "operator", "random", "re",
    "statistics", "string", "struct", "textwrap", "time", "traceback", "types", "typing", "unicodedata",
    "warnings", "zlib",
)  # fmt: skip


def main(settings: dict[str, Any]) -> None:
    """Serve until the grader closes its end of the socket."""
    _fix_addresses()
    gc.disable()  # what is imported stays
    os.environ.clear()
    os.environ.update(settings["environment"])
    _go_first()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    most = min(_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    control, ruleset, seccomp = _own_descriptors(settings)
    _make_package(settings["folder"])
    _import_random()
    confinement = importlib.import_module(f"{PACKAGE}.confinement")
    mains = {role: importlib.import_module(name).main for role, name in settings["roles"].items()}
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):  # an interpreter that was built without it
            importlib.import_module(name)
    _import_packages(settings["packages"])
    identity = confinement.server_identity(tuple(settings["readable"]))
    confinement.drop_bounding_set()
    ready = confinement.Confinement(
        frozenset(settings["layers"]), identity, ruleset, seccomp, settings["landlock_abi"]
    )
    ready.hide()
    limits = {role: confinement.Limits(**values) for role, values in settings["limits"].items()}
    sys.dont_write_bytecode = True
    sys.argv[1:] = sys.orig_argv[1:] = []
    gc.collect()
    gc.freeze()
    gc.enable()
    bounds = {role: ready.bounds(values) for role, values in limits.items()}
    for role in mains:
        _rehearse(ready, bounds[role])
    os.dup2(0, 2)
    importlib.import_module(f"{PACKAGE}.streams").discard_streams()
    Server(control, ready, limits, bounds, mains).serve(ready.uid)
    os._exit(0)  # nothing is left to tidy up


@dataclass
class Child:
    """A process that runs: its id, the grader's number for it, its CPU seconds, and when they could be used up.

    `stopped`: it was ended because they were.
    """

    pid: int
    number: int
    cpu: float
    due: float
    stopped: bool = False


class Server:
    """Forks a child a request, and tells what became of it.

    Args:
        control: The socket to the grader.
        confinement: Held ready for the children.
        limits: Of each role.
        bounds: Of each role, from its limits.
        mains: What each role runs; it is given the numbers of its descriptors.
    """

    def __init__(
        self,
        control: socket.socket,
        confinement: Any,
        limits: dict[str, Any],
        bounds: dict[str, Any],
        mains: dict[str, Any],
    ) -> None:
        self._control = control
        self._confinement = confinement
        self._limits = limits
        self._bounds = bounds
        self._mains = mains
        self._pid = os.getpid()
        self._told: int | None = None  # where the kernel tells this process's children
        with contextlib.suppress(OSError):
            self._told = os.open(f"/proc/self/task/{self._pid}/children", os.O_RDONLY)
        self._children: dict[int, Child] = {}  # by pidfd
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self, uid: int) -> None:
        """Say that everything is ready, and whom the children will be; answer until the grader closes the socket."""
        self._control.send(READY + str(uid).encode())
        while True:
            for descriptor, _ in self._poll.poll(self._watch_clocks()):
                if descriptor != self._control.fileno():
                    self._reap(descriptor)
                elif not self._answer():
                    self._end()
                    return

    def _answer(self) -> bool:
        descriptors = array.array("i")
        request, ancillary, _, _ = self._control.recvmsg(REQUEST.size, socket.CMSG_SPACE(4 * descriptors.itemsize))
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data)
        if not request:
            return False
        role, number = REQUEST.unpack(request)
        try:
            pid = os.fork()
        except OSError as error:
            self._control.send(REPLY.pack(REFUSED, number, error.errno, 0.0, 0))
        else:
            if pid == 0:
                self._become(ROLES[role], number, list(descriptors))
            self._tell_of(pid, number, self._limits[ROLES[role]].cpu)
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _become(self, role: str, number: int, descriptors: list[int]) -> None:
        """The child: never returns."""
        try:
            for place, descriptor in enumerate(descriptors, CHILD_DESCRIPTORS):
                os.dup2(descriptor, place)
            os.closerange(_CONTROL + 1, _OPEN_FILES)
            try:
                self._confinement.confine(self._bounds[role], self._pid)
            except Exception as error:  # `resource` makes a ValueError of some refusals
                code = (isinstance(error, OSError) and error.errno) or errno.EPERM
                os.write(_CONTROL, REPLY.pack(REFUSED, number, code, 0.0, 0))
                os._exit(1)
            self._control.detach()
            os.closerange(CHILD_DESCRIPTORS + len(descriptors), _CONTROL + 1)
            self._mains[role](*range(CHILD_DESCRIPTORS, CHILD_DESCRIPTORS + len(descriptors)))
        finally:
            os._exit(0)

    def _watch_clocks(self) -> float | None:
        """End whoever has used up its CPU time; return the milliseconds until somebody else could have."""
        now = time.monotonic()
        for pidfd, child in self._children.items():
            if child.due <= now:
                left = child.cpu - time.clock_gettime(~child.pid << 3 | _CPU_TIME)
                child.due = now + max(left, _LEAST_WAIT) if left > 0 else math.inf
                if left <= 0:
                    child.stopped = True
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        due = min((child.due for child in self._children.values()), default=math.inf)
        return None if due == math.inf else 1000.0 * (due - now)

    def _tell_of(self, pid: int, number: int, cpu: float) -> None:
        pidfd = os.pidfd_open(pid)
        due = time.monotonic() + cpu if "cpu" in self._confinement.layers else math.inf
        self._children[pidfd] = Child(pid, number, cpu, due)
        self._poll.register(pidfd, select.POLLIN)
        socket.send_fds(self._control, [REPLY.pack(STARTED, number, 0, 0.0, 0)], [pidfd])

    def _reap(self, pidfd: int) -> None:
        child = self._children.pop(pidfd)
        pid = child.pid
        self._poll.unregister(pidfd)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        _kill_group(pid)
        _, status, used = os.wait4(pid, 0)
        os.close(pidfd)
        self._kill_orphans()
        # Whoever was ended for its time has used it, though the kernel rounds down what it says afterwards.
        cpu = max(used.ru_utime + used.ru_stime, child.cpu if child.stopped else 0.0)
        self._control.send(REPLY.pack(ENDED, child.number, status, cpu, used.ru_maxrss * 1024))

    def _kill_orphans(self) -> None:
        """What a child forked and left (only without seccomp) is a child of this process now; it goes."""
        while orphans := self._own_children() - {child.pid for child in self._children.values()}:
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _own_children(self) -> set[int]:
        """Process ids; none where nobody tells them."""
        return set(map(int, os.pread(self._told, _CHILDREN_BYTES, 0).split())) if self._told is not None else set()

    def _end(self) -> None:
        for pidfd, child in self._children.items():
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            _kill_group(child.pid)
            os.waitpid(child.pid, 0)
        self._children.clear()
        self._kill_orphans()


def _fix_addresses() -> None:
    """Run again without address randomisation, if the grader could not start this process so (`fixed_addresses`)."""
    before = _personality(_ASK)
    if before >= 0 and not before & _ADDR_NO_RANDOMIZE and _personality(before | _ADDR_NO_RANDOMIZE) >= 0:
        os.execv(sys.executable, [*sys.orig_argv])


@contextlib.contextmanager
def fixed_addresses() -> Iterator[None]:
    """Start programs without address randomisation, where the kernel (or a container's rules) allows it.

    It is this thread's programs, and from their first instruction on; a server that had to ask for it by itself would
    start twice. What this process has mapped already stays where it is.
    """
    before = _personality(_ASK)
    if before >= 0:
        _personality(before | _ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        if before >= 0:
            _personality(before)


def _personality(wanted: int) -> int:
    """Set how the kernel runs this thread and the programs that it starts; return how it did before, or -1."""
    personality = ctypes.CDLL(None).personality
    personality.argtypes = (ctypes.c_ulong,)
    return int(personality(wanted))


def _go_first() -> None:
    """Should this machine run out of memory, the largest process of these ends, and not the grader or anyone else."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def _own_descriptors(settings: dict[str, Any]) -> tuple[socket.socket, int | None, bytes]:
    """Move what was inherited to fixed numbers, and keep the numbers of the children's descriptors taken."""
    with open(settings["seccomp"], "rb") as file:
        seccomp = file.read()
    inherited = {_CONTROL: settings["control"], _RULESET: settings["ruleset"]}
    moved = {place: fcntl.fcntl(number, fcntl.F_DUPFD, 64) for place, number in inherited.items() if number is not None}
    nothing = os.open(os.devnull, os.O_RDWR)
    for place in (0, 1, *range(CHILD_DESCRIPTORS, _CONTROL)):
        os.dup2(nothing, place)
    for place, descriptor in moved.items():
        os.dup2(descriptor, place)
    os.closerange(_CONTROL + 1, _OPEN_FILES)
    return socket.socket(fileno=_CONTROL), _RULESET if _RULESET in moved else None, seccomp


def _make_package(folder: str) -> None:
    """Let the modules of a folder be imported by their full names, without the packages above them."""
    parts = PACKAGE.split(".")
    for length in range(1, len(parts) + 1):
        module = types.ModuleType(".".join(parts[:length]))
        module.__path__ = [folder] if length == len(parts) else []
        sys.modules[module.__name__] = module


def _import_random() -> None:
    """Import `random` without its order to draw a new seed in every fork: worker and judge are given theirs."""
    register = os.register_at_fork
    vars(os)["register_at_fork"] = lambda **_: None
    try:
        importlib.import_module("random")
    finally:
        vars(os)["register_at_fork"] = register


def _import_packages(packages: dict[str, str]) -> None:
    """Import packages (name: folder in which it is found) once for all children; no other of their folder's."""
    for name, folder in packages.items():
        sys.path.append(folder)
        module = importlib.import_module(name)
        sys.path.remove(folder)
        if name == "numpy":
            module.random.seed(0)


def _rehearse(confinement: Any, bounds: Any) -> None:
    """Confine a child that does nothing: what the kernel refuses is known before anything foreign runs."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            confinement.confine(bounds, parent)
            os._exit(0)
        except Exception as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise SystemExit(1)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
