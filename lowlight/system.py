"""The process and its machine: exit statuses, errors as one line, and what computes here."""

import ctypes
import io
import logging
import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lowlight.errors import UserError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def run(main: Callable[[], int]) -> int:
    """Run a script and give its exit status.

    Parameters
    ----------
    main : callable
        The script; returns its own exit status (0 all done, 1 some photos failed).

    Returns
    -------
    int
        What `main` returned; 2 after a `UserError`, shown as one line; 130 after Ctrl-C; 1 if nobody reads the output.
    """
    _keep_freed_memory()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn those who write programs
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        with _news_on_standard_output():
            status = main()
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # who reads the output, such as head, has heard enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


class _Printer(logging.Handler):
    """Print each message, to whatever standard output is at that time."""

    def emit(self, record):
        print(self.format(record), flush=True)


@contextmanager
def _news_on_standard_output() -> Iterator[None]:
    """Show what the logger `lowlight` has to say as plain lines; it is silent in programs that do not ask for it."""
    logger, handler = logging.getLogger("lowlight"), _Printer()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


def fastest_precision() -> str:
    """Name of the dtype policy for graphs that bear half precision: bfloat16 where the CPU multiplies it as such."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        flags = ""
    return "mixed_bfloat16" if "avx512_bf16" in flags else "float32"


def machine() -> str:
    """What computes here: the processor's kind, its cores, and the devices that Keras uses."""
    from lowlight.backend import keras  # loads TensorFlow

    return f"{platform.machine()}, {os.cpu_count()} cores; {', '.join(keras.distribution.list_devices())}"


def _keep_freed_memory():
    """Have glibc keep what a step frees for the next one, in one arena.

    TensorFlow frees and takes the same large buffers at every step; giving each back to the system and having it
    cleared again took a third of the training time on a CPU.
    """
    if platform.libc_ver()[0] == "glibc":
        arena_max, mmap_max, trim_threshold = -8, -4, -1
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(arena_max, 1)
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
