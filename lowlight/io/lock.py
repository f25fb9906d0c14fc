"""Locks between processes, which end with the process that holds them, however it ends."""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ModuleNotFoundError:
    import msvcrt  # Windows


PAUSE = 0.01
"""Seconds between two tries to take a lock that someone else holds."""


@contextmanager
def holding(path: Path) -> Iterator[bool]:
    """Hold the lock of this name while the context lasts, unless someone else does.

    Parameters
    ----------
    path : Path
        A name for the lock alone, in a folder that can be written; the file is there while the lock is held. A killed
        process leaves the file behind, but not the lock.

    Yields
    ------
    bool
        Whether it is held now; False if another process, or another call in this one, holds it.

    Raises
    ------
    OSError
        If the file cannot be made.
    """
    file = _taken(path)
    try:
        yield file is not None
    finally:
        if file is not None:
            _release(file, path)


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold the lock of this name, as `holding` does, once nobody else does: for what is short.

    Parameters and errors as of `holding`.
    """
    while True:
        with holding(path) as mine:
            if mine:
                yield
                return
        time.sleep(PAUSE)


def take(file: IO[Any], without_locks: bool, shared: bool = False) -> bool:
    """Lock an open file until it is closed, without waiting.

    Parameters
    ----------
    file : file
        Open for reading and writing.
    without_locks : bool
        What is returned on file systems that have no locks.
    shared : bool
        Together with others that share it, to see whether someone has it alone; on Windows all have it alone.

    Returns
    -------
    bool
        Whether that worked: no one else had it locked.
    """
    try:
        if os.name == "nt":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return without_locks
    return True


def is_at(file: IO[Any], path: Path | str) -> bool:
    """Whether an open file still has this name: who had it locked before may have removed it after it was opened."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))  # noqa: PTH116
    return False


def without_links(path: str, flags: int) -> int:
    """For `open`: make files that everyone may read, as it does, but go through no link."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _taken(path) -> IO[bytes] | None:
    while True:
        file = open(path, "a+b", opener=without_links)  # noqa: PTH123, SIM115
        if not take(file, without_locks=True):
            swept = take(file, without_locks=True, shared=True)
            file.close()
            if swept:  # by someone who only looks whether it was left behind
                continue
            return None
        if is_at(file, path):
            return file
        file.close()


def _release(file, path):
    with contextlib.suppress(OSError):  # Windows removes no open file; then it stays, and does no harm
        path.unlink()
    file.close()
