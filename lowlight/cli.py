"""What all scripts share: settings from the command line, errors as one line, exit statuses."""

import contextlib
import ctypes
import io
import itertools
import os
import platform
import re
import sys
import warnings
from collections.abc import Callable
from typing import TypeVar

import tyro

from lowlight.errors import UserError

Settings = TypeVar("Settings")

FAILED = 1
BAD_USAGE = 2
INTERRUPTED = 130


def parse(kind: type[Settings], description: str | None) -> Settings:
    """Settings of one kind (a dataclass) from the command line.

    Raises
    ------
    UserError
        If the words are none of its options, or their values are not of the kinds that they must be.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                kind, description=description, config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
            )
    except SystemExit as end:
        if end.code == BAD_USAGE:
            raise UserError(_without_box(said.getvalue())) from None
        raise


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
        status = main()
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # who reads the output, such as head, has heard enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _without_box(message) -> str:
    """The first paragraph of what tyro says in a box, and the option that it takes for the one that was meant."""
    lines = [line.strip(" │") for line in re.sub(r"[╭╮╰╯]", "│", message).splitlines()]
    text = " ".join(itertools.takewhile(lambda line: line and not line.startswith("─"), lines[1:]))
    meant = re.search(r"Perhaps you meant:\s+(--[\w-]+)", " ".join(lines))
    return f"{text.rstrip('.')}. {f'Perhaps you meant {meant[1]}. ' if meant else ''}See --help."


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
