"""Standard streams of a process that has no descriptors for them: what is printed is gone, and there is no input."""

import io
import sys
from typing import Any


class _Nowhere(io.RawIOBase):
    """A file that takes everything and keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def discard_streams() -> None:
    """Make the standard streams of Python lead nowhere; no byte printed reaches a descriptor.

    The server does it once; its forks find it done, and have streams of their own all the same.
    """
    if type(getattr(getattr(sys.stderr, "buffer", None), "raw", None)) is _Nowhere:
        return
    sys.stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Nowhere()), encoding="utf-8", errors="replace")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(_Nowhere()), encoding="utf-8", errors="replace")
