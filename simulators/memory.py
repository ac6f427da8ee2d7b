"""How much memory is left, so that what cannot fit is refused with its name instead of killed without."""

import os
from pathlib import Path

from sandtable.simulators.errors import InputError

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Return the bytes of main memory that can still be taken, also within a container; None where nobody tells."""
    told = [left for left in (_of_machine(), _of_control_group()) if left is not None]
    return min(told, default=None)


def require_memory(needed: int, what: str, remedy: str) -> None:
    """Raise if an array of ``needed`` bytes has no room.

    Args:
        needed: Bytes.
        what: What takes them, with the argument to blame, for example ``"samples = 10000"``.
        remedy: What to do instead.

    Raises:
        InputError: There is less left.
    """
    available = available_bytes()
    if available is not None and needed > available:
        raise InputError(f"{what} needs {needed / 2**30:.3g} GiB of memory, {available / 2**30:.3g} are left; {remedy}")


def _of_machine() -> int | None:
    """Return what the kernel says is available, or else all there is."""
    if _MEMINFO.is_file():
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _of_control_group() -> int | None:
    """Return what a container's limit leaves."""
    try:
        limit = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        used = (_GROUP / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return None if limit == "max" else max(0, int(limit) - int(used))
