"""Functions that read files, run in a process of their own: it may crash, hang or grow, and only that file is lost.

A worker is another Python that is started, not forked: that is safe beside TensorFlow's threads, and while TensorFlow
loads it costs nothing. It runs `lowlight.io.serve`. What C libraries print about a file is caught, and becomes part of
the reason why it cannot be read.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from lowlight.errors import UserError
from lowlight.io.messages import receive, send
from lowlight.io.photo import NAMELESS, ImageError, Photo, image_size, read_photo

BOOT = "import sys; sys.path[:] = sys.argv[1:]; from lowlight.io.serve import serve; serve()"

HEADROOM = 2**30
"""Bytes that reading any file may take, beside what its pixels take."""

BYTES_PER_PIXEL = 48
"""That decoding a photo may take: the widest kinds have 16, and are converted."""

MOST_PIXELS = 10**10
"""That are believed of a header; reading refuses far fewer."""

CLIP_MEMORY = 4 * 2**30
"""Bytes that decoding a clip may take."""

SHORTEST, SECONDS_PER_MEGAPIXEL = 30.0, 2.0
"""Seconds that reading may take: many times what it takes where nothing is wrong, for machines may be slow or busy."""

SLOWEST_DISK = 5e6
"""Bytes a second."""

LOOK = 0.1
"""Seconds between two looks at how large a worker has become."""

MOST_KEPT = 2**30
"""Bytes that a worker may hold on to between files; then it is replaced."""

LONGEST_CHATTER = 200
"""Characters of what a library prints that are told."""

POSSIBLE = os.name == "posix" and hasattr(socket, "send_fds")
"""Elsewhere functions are run in this process, without protection."""


class Limits(NamedTuple):
    """What a call may take."""

    memory: int = HEADROOM
    """Bytes, beside what the process has before."""
    seconds: float = SHORTEST
    """For the result; of a sequence, for each item."""


HEADER = Limits()
"""What reading a header may take, and what else is small."""


class Worker:
    """A process that runs functions on files; a context, which ends it.

    Started at once, and anew whenever it has failed. One call at a time; calls of other threads wait.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: Any = None
        self._start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, function: Callable, *arguments: Any, limits: Limits = HEADER) -> Any:
        """The result of a function.

        Parameters
        ----------
        function : callable
            Of a module, not local to a function.
        *arguments
            The first is the file, or its path, which is named in an error.
        limits : Limits

        Raises
        ------
        ImageError
            If the file crashed the worker, or took more than the limits.
        UserError
            If the function raised one.
        OSError
            If no process can be started.
        """
        if not POSSIBLE:
            return function(*arguments)
        with self.lock:
            self._make_ready()
            with self._guarded(arguments[0], limits):
                send(self.socket, (function, arguments, limits))
                return self._answer(limits)

    def iterate(self, function: Callable, *arguments: Any, limits: Limits = HEADER) -> Generator[Any, None, None]:
        """The items that a function yields, some of which are made ahead; as `call`, otherwise.

        The worker is taken until the end of them.
        """
        if not POSSIBLE:
            yield from function(*arguments)
            return
        with self.lock:
            self._make_ready()
            done = False
            try:
                with self._guarded(arguments[0], limits):
                    send(self.socket, (function, arguments, limits))
                while not done:
                    with self._guarded(arguments[0], limits):
                        item = self._answer(limits)
                        done = item is None
                        if not done:
                            with suppress(OSError):  # if it is gone, there may still be answers
                                send(self.socket, None)
                    if not done:
                        yield item[0]
            finally:
                if not done:
                    self._end()  # it is amid the sequence

    def close(self) -> None:
        """End the process; the next call would start another."""
        with self.lock:
            self._end()

    def _start(self):
        if not POSSIBLE:
            return
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        with ExitStack() as opened:
            self.socket, theirs = map(opened.enter_context, socket.socketpair())
            self.chatter = opened.enter_context(tempfile.TemporaryFile())
            self.process = subprocess.Popen(
                [sys.executable, "-c", BOOT, *sys.path],
                stdin=theirs.fileno(),
                stdout=self.chatter,
                stderr=self.chatter,
                env=environment,
            )
            opened.pop_all()
            theirs.close()

    def _end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.socket.close()
            self.chatter.close()
            self.process = None

    def _make_ready(self):
        if self.process is not None and self._is_large():
            self._end()
        if self.process is None or self.process.poll() is not None:
            self._end()
            self._start()

    def _answer(self, limits) -> Any:
        self._await(limits)
        kind, value = receive(self.socket)
        if kind == "result":
            return value
        if kind == "memory":
            raise MemoryError
        raise UserError(value) if kind == "user" else RuntimeError(value)

    def _await(self, limits):
        """Wait for an answer to begin, and end the worker where it takes too much."""
        deadline = time.monotonic() + limits.seconds
        process = psutil.Process(self.process.pid)
        before = None
        while not select.select([self.socket], [], [], LOOK)[0]:
            with suppress(psutil.Error):
                now = process.memory_info().rss
                before = now if before is None else before
                if now - before > limits.memory:
                    self._end()
                    raise MemoryError
            if time.monotonic() > deadline:
                self._end()
                raise TimeoutError

    @contextmanager
    def _guarded(self, subject, limits):
        """What goes wrong with the worker is told of the file."""
        name = subject if isinstance(subject, Path) else NAMELESS
        try:
            yield
            self._clear()
        except UserError as error:
            raise ImageError(_with(str(error), self._clear())) from None
        except MemoryError:
            self._clear()
            need = f"{limits.memory / 2**30:.1f} GiB of memory"
            raise ImageError(f"{name} cannot be read: it needs more than {need}.") from None
        except TimeoutError:
            raise ImageError(f"{name} cannot be read: it takes more than {limits.seconds:.0f} s.") from None
        except (EOFError, OSError):
            reason = self._end_of_it()
            raise ImageError(_with(f"{name} cannot be read: {reason}.", self._clear())) from None
        except BaseException:
            self._end()  # its answer would be taken for that of the next call
            raise

    def _end_of_it(self) -> str:
        """Why the worker ended by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(SHORTEST)
        status = self.process.returncode
        if status is not None and status < 0:
            return f"its decoder crashed ({signal.Signals(-status).name})"
        return "its decoder gave up"

    def _clear(self) -> str:
        """What was printed since the last time."""
        if self.process is None:
            return ""
        size = os.fstat(self.chatter.fileno()).st_size
        if not size:
            return ""
        text = os.pread(self.chatter.fileno(), min(size, 2**16), max(0, size - 2**16)).decode(errors="replace")
        self.chatter.seek(0)
        self.chatter.truncate()
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1].strip()[:LONGEST_CHATTER] if lines else ""

    def _is_large(self) -> bool:
        try:
            return psutil.Process(self.process.pid).memory_info().rss > MOST_KEPT
        except psutil.Error:
            return False


def limits_for(source: Path | BytesIO, pixels: int = 0) -> Limits:
    """What reading a file may take: its header alone, if the size of its picture is not known yet."""
    pixels, size = min(pixels, MOST_PIXELS), 0
    with suppress(OSError):
        size = source.stat().st_size if isinstance(source, Path) else len(source.getbuffer())
    seconds = SHORTEST + SECONDS_PER_MEGAPIXEL * pixels / 1e6 + size / SLOWEST_DISK
    return Limits(HEADROOM + BYTES_PER_PIXEL * pixels + 3 * size, seconds)


def limits_for_clip(source: Path) -> Limits:
    """What a look at all its packets may take, or decoding a frame: decoders hold many of them, by the thread."""
    return limits_for(source)._replace(memory=CLIP_MEMORY)


def count_pixels(worker: Worker, source: Path | BytesIO) -> int:
    """Of a photo, by its header alone; errors as by `read_apart`."""
    height, width = worker.call(image_size, source, limits=limits_for(source))
    return height * width


def read_apart(
    worker: Worker,
    source: Path | BytesIO,
    limit_megapixels: float | None = None,
    frame: int | None = None,
    pixels: int | None = None,
) -> Photo:
    """Read a photo, of levels, as `lowlight.io.photo.read_photo` does.

    Parameters
    ----------
    worker : Worker
    source, limit_megapixels, frame
        As there.
    pixels : int, optional
        That its header tells of: what reading may take depends on them. Default: it is looked at.

    Raises
    ------
    ImageError
        As there, and as `Worker.call`.
    """
    pixels = count_pixels(worker, source) if pixels is None else pixels
    return worker.call(read_photo, source, limit_megapixels, True, frame, limits=limits_for(source, pixels))


def _with(text, chatter) -> str:
    """The reason, and what was printed about it, which is often the better one."""
    if not chatter or chatter in text:
        return text
    return f"{text.removesuffix('.')} ({chatter.removesuffix('.')})."
