"""Messages between a judge and a worker, over a pair of connected descriptors.

A message is the number of the call that it belongs to, its kind and its length, then its content. A judge asks and then
reads the one answer with its own number: whatever else stands on the channel ends the conversation.

This module uses the standard library alone: processes load it that have no packages.
"""

import builtins
import os
import struct

from sandtable.simulators.language.sandbox.codec import MAX_BYTES

# What a judge asks
CALL = 1  # of a function: the answer is its value
CALL_KEEPING = 2  # the value stays with the worker: the answer is a handle, whatever it is
ITERATE = 3  # the answer is an iterator over a value that stayed with the worker
# What a worker answers
VALUE = 16
RAISED = 17  # an exception: its class and arguments
NOT_LOADED = 18  # the program itself raised, before any call
NOT_SENDABLE = 19  # there is a value, but none that could be written

# Exceptions of a program that are raised again in the judge: builtin classes, but for AssertionError, which there is a
# verdict, and for those that would end a loop of the tests as if it were done.
EXCEPTIONS = {
    value for value in vars(builtins).values() if isinstance(value, type) and issubclass(value, Exception)
} - {AssertionError, StopIteration, StopAsyncIteration}  # fmt: skip

_HEADER = struct.Struct(">IBI")
_PART = 1 << 18  # as much as a socket holds: what is set aside for a part should not be dearer than the part


class ChannelError(Exception):
    """The other side sent what is no message."""


class PeerGoneError(Exception):
    """The other side is gone."""


class Channel:
    """Messages over one descriptor, which is read and written.

    Args:
        descriptor: One end of a pair of sockets.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, number: int, kind: int, content: bytes) -> None:
        """Write one message; waits while the other side does not read.

        Raises:
            PeerGoneError: The other side is gone.
        """
        rest = memoryview(_HEADER.pack(number, kind, len(content)) + content)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError:
            raise PeerGoneError("nobody reads") from None

    def receive(self) -> tuple[int, int, bytes]:
        """Return number, kind and content of the next message; waits for it.

        Raises:
            PeerGoneError: The other side is gone, perhaps within a message.
            ChannelError: The message is longer than 16 MB; none of it is read.
        """
        number, kind, length = _HEADER.unpack(self._exactly(_HEADER.size))
        if length > MAX_BYTES:
            raise ChannelError("the message is too long")
        return number, kind, self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            try:
                part = os.read(self.descriptor, min(length, _PART))
            except OSError:
                raise PeerGoneError("nobody writes") from None
            if not part:
                raise PeerGoneError("nobody writes")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)
