"""What a worker and a judge do to themselves before they touch a foreign byte.

`confine` runs in a fresh fork of the server (server.py), which holds everything ready: the landlock ruleset is an open
descriptor, the seccomp program is in memory, every function of the C library is bound. So a child spends less than a
millisecond here. What the rules say stands in kernel_rules.py, which runs in the grader.

The layers, in the order in which they are put on; each stops something that the others let through:

- `session`: a session of its own, so that no signal to a group reaches anyone else.
- `limits`: no file may grow, 16 descriptors, no core file, no processes (users other than root).
- `memory`, `cpu`: address space and CPU time (`Limits`).
- `identity`: started as root, user and group 65534 without further groups; where that user cannot read the interpreter,
  all capabilities are dropped instead. Anyone else stays who they are.
- `dumpable`: nobody of the same user may trace it or read its memory.
- `landlock`: of all files, the standard library can be read, and nothing can be written.
- `scope`: no TCP, no abstract socket, no signal to a process outside (landlock too, from kernel 6.7 and 6.12 on).
- `seccomp`: a list of allowed system calls; every other fails with EPERM.

`no_new_privs` and the kernel's order to die with the server are no layer: they are always on.
This module uses the standard library alone: the server loads it without any package.
"""

import ctypes
import os
import resource
import signal
from dataclasses import dataclass

LAYERS = frozenset({"session", "limits", "memory", "cpu", "identity", "dumpable", "landlock", "scope", "seccomp"})
NOBODY = 65534
DESCRIPTORS = 16

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_PR_CAPBSET_DROP, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 28, 47, 4
_SECCOMP_MODE_FILTER = 2
_SECUREBITS_NO_ROOT = 0b11101111  # being root gives no capability, nothing is kept or raised, and so it stays
_CAPABILITY_VERSION_3 = 0x20080522
_LANDLOCK_RESTRICT_SELF = 446  # the same number on every architecture
_LANDLOCK_NO_LOG = 1  # denials of this process are no lines of the audit log (landlock ABI 7)


class _SeccompProgram(ctypes.Structure):
    """`struct sock_fprog`: how many instructions of 8 bytes, and where they are."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
_capset = _libc.capset
_capset.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
_OF_ITSELF = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
_NO_CAPABILITIES = (ctypes.c_uint32 * 6)()
_syscall = _libc.syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_uint)
_syscall.restype = ctypes.c_long


@dataclass(frozen=True)
class Limits:
    """What one process may use.

    Attributes:
        cpu: CPU seconds after which the server ends it.
        signal: CPU seconds after which the kernel sends SIGXCPU, and ends it one later. Counted in ticks of the clock:
            on a busy machine this is early by a tenth, so it is no measure, but it needs nobody who watches.
        memory: Address space in MB of 2**20 bytes.
    """

    cpu: float
    signal: int
    memory: int


class Confinement:
    """Everything that a child needs to confine itself, held ready by the server.

    Args:
        layers: The names of the layers to put on; all of `LAYERS` but in tests and under `allow_unsafe`.
        identity: `"nobody"`, `"no capabilities"` or `"as is"` (see `server_identity`).
        ruleset: Open descriptor of a landlock ruleset; None if there is none.
        seccomp: The filter as BPF instructions; empty if there is none.
        landlock_abi: Version of the kernel's interface; 0 if there is none.
    """

    def __init__(
        self, layers: frozenset[str], identity: str, ruleset: int | None, seccomp: bytes, landlock_abi: int
    ) -> None:
        self.layers = layers
        self.identity = identity
        self.uid = NOBODY if identity == "nobody" and "identity" in layers else os.geteuid()
        self.ruleset = ruleset
        self._landlock_flags = _LANDLOCK_NO_LOG if landlock_abi >= 7 else 0
        self._instructions = ctypes.create_string_buffer(seccomp, len(seccomp))
        self._program = _SeccompProgram(len(seccomp) // 8, ctypes.addressof(self._instructions))
        self._seccomp = bool(seccomp)

    def hide(self) -> None:
        """Close this process's memory to others of the same user; the server's, too, though it holds no secret."""
        if "dumpable" in self.layers:
            _check(_prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")

    def bounds(self, limits: Limits) -> list[tuple[int, tuple[int, int]]]:
        """What `confine` sets: resources of the kernel, each with its soft and its hard limit; lower ones are kept."""
        wanted = []
        if "limits" in self.layers:
            wanted += [(resource.RLIMIT_FSIZE, 0, 0), (resource.RLIMIT_CORE, 0, 0), (resource.RLIMIT_NPROC, 0, 0)]
            wanted += [(resource.RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)]
        if "memory" in self.layers:
            wanted += [(resource.RLIMIT_AS, limits.memory << 20, limits.memory << 20)]
        if "cpu" in self.layers:
            wanted += [(resource.RLIMIT_CPU, limits.signal, limits.signal + 1)]
        return [(what, _lowered(what, soft, hard)) for what, soft, hard in wanted]

    def confine(self, bounds: list[tuple[int, tuple[int, int]]], parent: int) -> None:
        """Put the layers on this process, for good.

        Args:
            bounds: Of CPU time, memory and all else (`bounds`), known before the fork.
            parent: Process id of the server; this process ends when that one does.

        Raises:
            OSError: The kernel refused a layer. Nothing foreign may run then.
        """
        layers = self.layers
        if "session" in layers:
            os.setsid()
        for what, bound in bounds:
            resource.setrlimit(what, bound)
        if "identity" in layers:
            _take_identity(self.identity)
        _check(_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG")
        if os.getppid() != parent:
            raise OSError("the server has ended")
        self.hide()
        _check(_prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
        if self.ruleset is not None:
            _check(_syscall(_LANDLOCK_RESTRICT_SELF, self.ruleset, self._landlock_flags), "landlock_restrict_self")
        if self._seccomp and "seccomp" in layers:
            program = ctypes.addressof(self._program)
            _check(_prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0), "PR_SET_SECCOMP")


def server_identity(files: tuple[str, ...]) -> str:
    """Whom children should become, asked by the server once.

    Args:
        files: What the children must be able to read.

    Returns:
        `"nobody"`: started as root, and user 65534 can read all files; `"no capabilities"`: as root, but it cannot;
        `"as is"`: not started as root.
    """
    if os.geteuid() != 0:
        return "as is"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _take_identity("nobody")
            for name in files:
                os.close(os.open(name, os.O_RDONLY))
            code = 0
        finally:
            os._exit(code)
    return "nobody" if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 else "no capabilities"


def drop_bounding_set() -> None:
    """No capability can come back to this process's children; those it has now stay until they change identity."""
    if os.geteuid() == 0:
        for capability in range(64):
            if _prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                return


def _take_identity(identity: str) -> None:
    if identity == "nobody":
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    elif identity == "no capabilities":
        os.setgroups([])
        _check(_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "PR_CAP_AMBIENT")
        _check(_prctl(_PR_SET_SECUREBITS, _SECUREBITS_NO_ROOT, 0, 0, 0), "PR_SET_SECUREBITS")
        _check(_capset(ctypes.addressof(_OF_ITSELF), ctypes.addressof(_NO_CAPABILITIES)), "capset")


def _lowered(what: int, soft: int, hard: int) -> tuple[int, int]:
    """Return limits that are no higher than this process's own hard one."""
    _, before = resource.getrlimit(what)
    return (soft, hard) if before == resource.RLIM_INFINITY else (min(soft, before), min(hard, before))


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
