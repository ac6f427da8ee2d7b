"""The rules that the kernel holds worker and judge to: what landlock lets them read, which system calls seccomp allows.

Made once, by the grader; the server inherits them as descriptors and hands them on to every child (confinement.py). So
the packages `landlock` and `pyseccomp` (landlock(7), seccomp(2)) are imported outside of it.

Both are needed: landlock alone lets fork, chmod, utime, setuid, unshare and inotify through; seccomp, which sees
numbers and no paths, lets every file be read.
"""

import ctypes
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any

# Memory, reading what is open, time, and questions about oneself. Every other call fails with EPERM instead of killing:
# a program that merely tries (time.sleep, threading) gets an error from Python and is judged by what it answers, and a
# refusal costs the kernel nothing more. Calls of a foreign architecture (x32, i386) kill.
ALLOWED_CALLS = (
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise",
    "read", "readv", "pread64", "write", "writev", "lseek", "close", "getdents64",
    "fstat", "newfstatat", "stat", "lstat", "statx", "access", "faccessat", "faccessat2", "getcwd",
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "getrandom",
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "sched_getaffinity",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "exit", "exit_group",
)  # fmt: skip
_FCNTL_ALLOWED = (1, 2, 3)  # F_GETFD, F_SETFD, F_GETFL
_FUTEX_WAKE, _FUTEX_OPERATION = 1, 0x7F  # without the flags PRIVATE and CLOCK_REALTIME
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
_NET_BIND_AND_CONNECT_TCP = 0b11
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3


@dataclass(frozen=True)
class Offers:
    """What this machine offers to confine processes with.

    Attributes:
        landlock_abi: Version of landlock's interface; 0 where it is missing.
        seccomp: Whether filters can be made and loaded.
        bubblewrap: Path of `bwrap` where it can make a sandbox here, else None.
        uid: The effective user.
        missing: One sentence for each thing that is not there.
    """

    landlock_abi: int
    seccomp: bool
    bubblewrap: str | None
    uid: int
    missing: tuple[str, ...]


class _RulesetAttributes(ctypes.Structure):
    """`struct landlock_ruleset_attr`; the package knows its first field."""

    _fields_ = [("handled_fs", ctypes.c_uint64), ("handled_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


def probe() -> Offers:
    """What this machine offers; nothing is changed, and nothing foreign runs."""
    missing = []
    abi = 0
    try:
        abi = landlock_abi()
    except ImportError:
        missing.append("the package landlock is not installed (pip install 'sandtable[language]')")
    except OSError as error:
        missing.append(f"landlock: the kernel does not offer it ({error.strerror})")
    seccomp = False
    try:
        seccomp = bool(seccomp_program())
    except ImportError:
        missing.append("the package pyseccomp is not installed (pip install 'sandtable[language]')")
    except (RuntimeError, OSError) as error:
        missing.append(f"seccomp: {error} (Debian and Ubuntu: apt install libseccomp2)")
    bubblewrap = shutil.which("bwrap")
    if abi == 0 and bubblewrap is None:
        missing.append("bubblewrap, which could replace landlock, is not installed (apt install bubblewrap)")
    return Offers(abi, seccomp, bubblewrap, os.geteuid() if hasattr(os, "geteuid") else -1, tuple(missing))


def landlock_abi() -> int:
    """Version of the kernel's landlock interface.

    Raises:
        ImportError: The package is missing.
        OSError: The kernel has none.
    """
    from landlock import landlock_abi_version

    ctypes.set_errno(0)  # the package takes an old error of this thread for its own
    return int(landlock_abi_version())


def landlock_ruleset(layers: frozenset[str], readable: tuple[str, ...]) -> int | None:
    """A landlock ruleset for the layers `landlock` (files) and `scope` (TCP, abstract sockets, signals).

    Args:
        layers: Which of the two to make; others are ignored.
        readable: Files and folders that can be read; a folder stands for all below it. No file can be written, made or
            executed.

    Returns:
        Its open descriptor; None where the kernel has nothing for these layers.
    """
    from landlock.plumbing import FSAccess, PathBeneathAttr, RulesetAttr, get_add_rule, get_create_ruleset

    abi = landlock_abi()
    files = int(FSAccess.all()) if "landlock" in layers else 0
    tcp = _NET_BIND_AND_CONNECT_TCP if "scope" in layers and abi >= 4 else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if "scope" in layers and abi >= 6 else 0
    if not files | tcp | scoped:
        return None
    # An older kernel knows fewer fields, and takes a longer structure whose further fields are zero.
    attributes = _RulesetAttributes(files, tcp, scoped)
    pointer = ctypes.cast(ctypes.byref(attributes), ctypes.POINTER(RulesetAttr))
    ctypes.set_errno(0)
    descriptor = int(get_create_ruleset()(pointer, ctypes.sizeof(attributes), 0))
    for path in readable if files else ():
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = _READ_FILE | _READ_DIRECTORY if os.path.isdir(path) else _READ_FILE
        ctypes.set_errno(0)
        get_add_rule()(descriptor, 1, ctypes.byref(PathBeneathAttr(rights, beneath)), 0)
        os.close(beneath)
    return descriptor


def seccomp_program() -> bytes:
    """The allow-list as BPF instructions, which a child can load with a single call.

    Files can be opened for reading alone; the one socket there is can be read and written like a file, so nothing of
    what only sockets have (addresses, flags such as MSG_OOB) is in reach; a lock that would have to wait for another
    thread (there is none) aborts.

    Raises:
        ImportError: The package pyseccomp is missing.
        RuntimeError, OSError: libseccomp is missing, or it or the kernel refuses.
    """
    import pyseccomp

    allow = pyseccomp.ALLOW
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(1))
    for name in ALLOWED_CALLS:
        if _exists(pyseccomp, name):
            rules.add_rule(allow, name)
    writing = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)
    rules.add_rule(allow, "openat", pyseccomp.Arg(2, pyseccomp.MASKED_EQ, writing, os.O_RDONLY))
    for command in _FCNTL_ALLOWED:
        rules.add_rule(allow, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    rules.add_rule(allow, "futex", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _FUTEX_OPERATION, _FUTEX_WAKE))
    nothing = pyseccomp.EQ, 0
    rules.add_rule(allow, "prlimit64", pyseccomp.Arg(0, *nothing), pyseccomp.Arg(2, *nothing))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _exists(pyseccomp: Any, name: str) -> bool:
    try:
        return int(pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)) >= 0
    except (OSError, ValueError):
        return False
