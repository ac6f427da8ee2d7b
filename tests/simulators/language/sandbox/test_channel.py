"""A channel gives whole messages, or says that the other side is gone or talks no sense."""

import os
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.language.sandbox.channel import CALL, Channel, ChannelError, PeerGoneError
from sandtable.simulators.language.sandbox.codec import MAX_BYTES


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_a_message_larger_than_the_kernel_s_buffer_arrives_whole(ends):
    one, other = ends
    content = os.urandom(1_000_000)
    writer = threading.Thread(target=Channel(one.fileno()).send, args=(7, CALL, content))
    writer.start()
    assert Channel(other.fileno()).receive() == (7, CALL, content)
    writer.join()


def test_a_message_that_ends_early_means_that_the_other_side_is_gone(ends):
    one, other = ends
    one.sendall(struct.pack(">IBI", 1, CALL, 10) + b"123")
    one.shutdown(socket.SHUT_WR)
    with pytest.raises(PeerGoneError):
        Channel(other.fileno()).receive()


def test_nobody_reads(ends):
    one, other = ends
    other.close()
    with pytest.raises(PeerGoneError):
        Channel(one.fileno()).send(1, CALL, b"")


def test_a_message_that_is_too_long_is_not_waited_for(ends):
    one, other = ends
    one.sendall(struct.pack(">IBI", 1, CALL, MAX_BYTES + 1))
    with pytest.raises(ChannelError):
        Channel(other.fileno()).receive()


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_messages_or_an_end(data):
    one, other = socket.socketpair()
    with one, other:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        channel = Channel(other.fileno())
        with pytest.raises((PeerGoneError, ChannelError)):  # at the latest where the bytes end
            all(channel.receive() for _ in iter(int, 1))
