"""What two processes of a machine send each other: pixels go through memory that both map, and are copied once."""

import mmap
import os
import pickle
import socket
import struct
from typing import Any

HEAD = struct.Struct("<QQ")
"""Before each message: bytes of its pickle, and of the buffers that come with it."""


def send(connection: socket.socket, message: Any) -> None:
    """Send what can be pickled.

    Arrays go through a file that lies in memory, where there is such a thing; else with the rest.

    Raises
    ------
    OSError
        If the other side is closed.
    """
    buffers: list[pickle.PickleBuffer] = []
    by_file = hasattr(os, "memfd_create")
    inner = pickle.dumps(message, 5, buffer_callback=buffers.append if by_file else None)
    views = [buffer.raw() for buffer in buffers]
    file = _in_memory(views) if views else None
    if file is None:
        data = pickle.dumps(([], pickle.dumps(message, 5) if views else inner))
        connection.sendall(HEAD.pack(len(data), 0) + data)
        return
    sizes = [view.nbytes for view in views]
    data = pickle.dumps((sizes, inner))
    try:
        socket.send_fds(connection, [HEAD.pack(len(data), sum(sizes))], [file])
    finally:
        os.close(file)
    connection.sendall(data)


def _in_memory(views) -> int | None:
    """A file in memory that holds these bytes; None where a limit on the size of files (ulimit -f) is below them."""
    file = os.memfd_create("pixels")
    try:
        for view in views:
            while view.nbytes:
                view = view[os.write(file, view) :]
    except OSError:
        os.close(file)
        return None
    return file


def receive(connection: socket.socket) -> Any:
    """Wait for what was sent; arrays in it are writable, and not copied.

    Raises
    ------
    EOFError
        If the other side is closed.
    """
    head, files, _, _ = socket.recv_fds(connection, HEAD.size, 1)
    head += _exactly(connection, HEAD.size - len(head)) if head else b""
    if not head:
        raise EOFError
    length, total = HEAD.unpack(head)
    sizes, inner = pickle.loads(_exactly(connection, length))
    if not total:
        return pickle.loads(inner, buffers=[b""] * len(sizes))
    try:
        shared = memoryview(mmap.mmap(files[0], total))
    finally:
        os.close(files[0])
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return pickle.loads(inner, buffers=[shared[a : a + size] for a, size in zip(starts, sizes, strict=True)])


def _exactly(connection, length) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(length - len(data), 2**20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
