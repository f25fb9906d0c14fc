"""The side of a worker that is asked: it runs functions on files, and ends itself rather than take too much."""

import math
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from lowlight.errors import UserError
from lowlight.io.messages import receive, send

AHEAD = 2
"""Items of a sequence that may wait to be taken."""


def serve() -> None:
    """Answer calls from standard input, which is a socket, until it is closed."""
    # These are for the process that asks; this one ends with it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    while True:
        try:
            function, arguments, limits = receive(connection)
        except EOFError:
            return
        try:
            with _limited(limits):
                result = function(*arguments)
            if isinstance(result, Iterator):
                _serve_items(connection, result, limits)
            else:
                send(connection, ("result", result))
            del result
        except (BrokenPipeError, EOFError):
            return
        except MemoryError:
            send(connection, ("memory", None))
        except UserError as error:
            send(connection, ("user", str(error)))
        except Exception as error:
            send(connection, ("error", f"{type(error).__name__}: {error}"))


def _serve_items(connection, items, limits):
    """Each as a tuple of its own, and None after them; never more than `AHEAD` that were not taken."""
    waiting = 0
    while True:
        with _limited(limits):
            item = next(items, None)
        send(connection, ("result", None if item is None else (item,)))
        if item is None:
            break
        waiting += 1
        while waiting >= AHEAD:
            receive(connection)
            waiting -= 1
    for _ in range(waiting):
        receive(connection)


@contextmanager
def _limited(limits):
    """More memory is refused; at the end of the time the process ends itself, also where who asked is gone."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    size = psutil.Process().memory_info().vms + limits.memory
    if before[1] == resource.RLIM_INFINITY or size < before[1]:
        with suppress(ValueError, OSError):  # macOS has no such limit
            resource.setrlimit(resource.RLIMIT_AS, (size, before[1]))
    signal.alarm(math.ceil(limits.seconds) + 1)
    try:
        yield
    finally:
        signal.alarm(0)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, before)
