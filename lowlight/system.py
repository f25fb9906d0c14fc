"""The process and its machine: Ctrl-C and other signals, exit statuses, errors as one line, what computes here."""

import contextlib
import ctypes
import errno
import faulthandler
import gc
import io
import logging
import os
import platform
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn, TextIO, TypeVar

from lowlight.errors import UserError
from lowlight.settings import ROOT

Item = TypeVar("Item")

EXIT_FAILED = 1
EXIT_USAGE = 2

NO_MEMORY = "there is not enough memory. Close other programs, or lift the limit on memory (ulimit -v)."

FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""What systems answer when a disk, or the share of it that a user has, is full."""

BY_SIGNAL = 128
"""Added to the number of the signal that ended a process, as shells do."""

GRACE = 30.0
"""Seconds that libraries have to clear up at the end of the process."""

COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys and does not show: control characters, and those that turn the direction of writing."""

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask to end: Ctrl-C, another process or the system, a terminal that is closed."""

EXTRAS = {
    "fastapi_offline": "web",
    "fsspec": "cluster",
    "gradio": "web",
    "h5py": "tensorflow",
    "huggingface_hub": "web",
    "keras": "tensorflow",
    "matplotlib": "train",
    "pyarrow": "cluster",
    "ray": "cluster",
    "scipy": "train",
    "skimage": "train",
    "tensorflow": "tensorflow",
    "threadpoolctl": "train",
}
"""By package that only a part of the program needs, the extra of this one that installs it."""

NEEDED = {
    "PIL",
    "imagecodecs",
    "numpy",
    "onnxruntime",
    "pillow_heif",
    "platformdirs",
    "psutil",
    "rawpy",
    "requests",
    "rich",
    "shtab",
    "tifffile",
}
"""Packages that come with this one, and may be absent beside a clone's scripts."""


_unsaid: list[OSError] = []
"""Why lines could not be written to standard output."""


def train_by_onednn() -> None:
    """Have TensorFlow, which is not loaded yet, compute by oneDNN, unless TF_ENABLE_ONEDNN_OPTS says otherwise.

    By default it does not where a CPU has AVX2 alone. There a training step takes longer without; enhancing does not.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def run(main: Callable[[], int]) -> int:
    """Run a script and give its exit status.

    Parameters
    ----------
    main : callable
        The script; returns its own exit status (0 all done, 1 some photos failed).

    Returns
    -------
    int
        What `main` returned; 2 after a `UserError`, or if an extra is not installed, in one line; 1 if the system or
        memory fails, or the output cannot be written or nobody reads it, in one line, too; 128 and the number of the
        signal after Ctrl-C (130) or another signal to end; 1 after any other error, which is the program's own, and
        shown with its traceback.
    """
    _keep_freed_memory()
    _replace_closed_streams()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn those who write programs
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        with _ending_as_ctrl_c(), _news_on_standard_output():
            status = _status(main)
    except KeyboardInterrupt as stop:
        tell("stopped")
        status = BY_SIGNAL + (stop.args[0] if stop.args else signal.SIGINT)
    if status:
        gc.collect()  # else what an error in training left has the process never end: a thread that reads ahead
    try:
        sys.stdout.flush()
    except OSError as error:
        _unsaid.append(error)
    if _unsaid:
        give_up(sys.stdout)
        tell(f"error: Standard output cannot be written: {_unsaid.pop(0).strerror}.")
        _unsaid.clear()
        status = status or EXIT_FAILED
    return status


def end(status: int) -> NoReturn:
    """End the process with the status that `run` gave, also if a library's thread does not end.

    After an error in training one may wait for ever for a batch to be asked for.
    """
    timer = threading.Timer(GRACE, os._exit, (status,))
    timer.daemon = True
    timer.start()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    faulthandler.dump_traceback_later(2 * GRACE, exit=True, file=nowhere)  # this needs no Python that still runs
    sys.exit(status)


def say(line: str) -> None:
    """Write a line to standard output; if it cannot be written, such as to a full disk, `run` tells so at the end.

    Raises
    ------
    BrokenPipeError
        If nobody reads it.
    """
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _unsaid.append(error)


def one_line(text: object) -> str:
    """A text on one line, with nothing in it that commands a terminal: names of files may hold anything."""
    return COMMANDS.sub("?", " ".join(str(text).split()))


def counted(count: int, one: str, many: str | None = None) -> str:
    """How many there are, as "1 pair" and "2 pairs"; what more than one is called has an s more, unless it is given."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def tell(line: str) -> None:
    """Write a line to standard error, if that can be written."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        give_up(sys.stderr)


@contextmanager
def spinner(line: str) -> Iterator[None]:
    """Show a person at a terminal what is being done, such as loading TensorFlow, while it takes seconds."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    # The stream that the terminal shows, whatever a library does meanwhile to the usual one.
    with (
        open(os.dup(sys.stderr.fileno()), "w", encoding="utf-8") as stream,  # noqa: PTH123
        Console(file=stream, force_terminal=True).status(f"{line} …"),
    ):
        yield


def tracked(items: Sequence[Item], line: str) -> Iterable[Item]:
    """The items, one by one; a person at a terminal is shown by a bar how many were taken."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, line, console=console, transient=True, disable=not console.is_terminal)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: in Python, TensorFlow or PyTorch; ONNX Runtime tells by its message alone."""
    if isinstance(error, MemoryError) or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError"):
        return True
    return any(words in str(error) for words in ("Failed to allocate memory", "std::bad_alloc"))


def disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from or amid, says that a disk is full."""
    while error is not None and getattr(error, "errno", None) not in FULL:
        error = error.__cause__ or error.__context__
    return error is not None


def how_to_install(extra: str | None) -> str:
    """A sentence that says how an extra, or all but the extras, is installed: that of the clone that runs, or of the
    package."""
    place = ROOT if ROOT.is_absolute() else "lowlight"
    return f"Install it by: pip install '{place}{f'[{extra}]' if extra else ''}'"


def give_up(stream: TextIO) -> None:
    """Let what cannot be written go nowhere, so that the end of the process does not try again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


def heeded_signals() -> list[int]:
    """Signals to end that this process does not ignore, as it does under nohup, and that can be handled here."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [signum for signum in STOPPING if signal.getsignal(signum) not in (signal.SIG_IGN, None)]


def _status(main) -> int:
    try:
        return main()
    except SystemExit as end:  # after --help
        return int(end.code or 0)
    except UserError as error:
        tell(f"error: {one_line(error)}")
        return EXIT_USAGE
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS.keys() | NEEDED:
            tell(traceback.format_exc().rstrip())
            return EXIT_FAILED
        tell(f"error: That needs what is not installed. Received: no {package}. {how_to_install(EXTRAS.get(package))}")
        return EXIT_USAGE
    except BrokenPipeError:  # who reads the output, such as head, has heard enough
        give_up(sys.stdout)
        tell("stopped: nobody reads the output any more")
        return EXIT_FAILED
    except MemoryError:
        tell(f"error: {NO_MEMORY}")
        return EXIT_FAILED
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        tell(f"error: {error.strerror or error}{where}")
        return EXIT_FAILED
    except Exception:
        tell(traceback.format_exc().rstrip())
        return EXIT_FAILED


@contextmanager
def _ending_as_ctrl_c() -> Iterator[None]:
    """Other signals to end do what Ctrl-C does, and say which they were."""

    def stop(signum, frame):
        raise KeyboardInterrupt(signum)

    others = [signum for signum in heeded_signals() if signal.getsignal(signum) == signal.SIG_DFL]
    for signum in others:
        signal.signal(signum, stop)
    try:
        yield
    finally:
        for signum in others:
            signal.signal(signum, signal.SIG_DFL)


def _replace_closed_streams():
    """Open what the caller has closed in such a way that using it fails; else files that are opened take its place."""
    for number, name, flags in ((0, "stdin", os.O_WRONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


class _Printer(logging.Handler):
    """Print each message, to whatever standard output is at that time."""

    def emit(self, record):
        say(self.format(record))


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
    return "mixed_bfloat16" if "avx512_bf16" in _processor() else "float32"


def _processor() -> str:
    """What Linux says of the processor."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return ""


def machine() -> str:
    """What computes here: the processor's kind, whether in bfloat16, its cores, and the devices that Keras uses."""
    from lowlight.backend import devices  # loads TensorFlow

    half = " with bfloat16" if fastest_precision() == "mixed_bfloat16" else ""
    return f"{platform.machine()}{half}, {counted(os.cpu_count() or 1, 'core')}; {', '.join(devices())}"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("keras", "numpy", "tensorflow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


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
