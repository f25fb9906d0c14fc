"""Write files whole or not at all: under a temporary name, which becomes the file's own once all of it is on the disk.

Each writer makes a temporary file of its own, so that two processes can write one target: the later one stays, whole.
A killed process leaves its temporary file behind, without the lock that it held on it; the next process that writes
into the folder removes it.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lowlight.errors import UserError
from lowlight.io.lock import is_at, take, without_links

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.([0-9a-f]{8}\.part|lock)")
"""What `replacing` writes into, and the locks of `lock_of`."""

WITHOUT_SYNC = {errno.EINVAL, errno.ENOTSUP}
"""What file systems answer that have no fsync."""

_swept: set[Path] = set()
"""Folders in which this process has looked for what killed ones left."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write; if all goes well, it takes the place of `path` in one step, and else it is removed.

    Parameters
    ----------
    path : Path
        In a folder that is there. What it names stays as it is until then. A link is replaced, not followed.

    Yields
    ------
    BinaryIO
        Empty, for writing, reading and seeking; its `name` is its temporary path.

    Raises
    ------
    OSError
        If the file cannot be made, written or named.
    """
    _sweep(path.parent)
    with _temporary(path) as file:
        part = Path(file.name)
        try:
            yield file
            file.flush()
            _sync(file)
            if os.name == "nt":
                file.close()  # Windows renames no open file; elsewhere the lock is kept until it has its name
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):  # which a full disk gives once more
                file.close()
            part.unlink(missing_ok=True)
            raise


def write(path: Path, content: bytes | str) -> None:
    """Write a whole file, as `replacing` does; text as UTF-8.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def lock_of(path: Path, folder: Path) -> Path:
    """The name, in a folder, of a lock for who writes a file (see `lowlight.io.lock.holding`)."""
    return folder / f".{_digest(path.absolute())}.lock"


def make_folder(
    folder: Path, fault: str = "The output folder cannot be written", advice: str = "Give --output another one."
) -> None:
    """Make a folder, if need be, in which files can be made.

    Parameters
    ----------
    folder : Path
    fault, advice : str
        What an error says before the folder, and after it.

    Raises
    ------
    UserError
        If they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with _temporary(folder / "probe") as file:
            pass
        Path(file.name).unlink()
    except OSError as error:
        raise UserError(f"{fault}. Received: {folder} ({error.strerror}). {advice}") from error


def hidden_name(path: Path) -> str:
    """A hidden name, without suffix, for what belongs to a file and lies beside it.

    It holds no part of the file's name, which may be as long as names can be.
    """
    return f".{_digest(path.name)}"


def _digest(name) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _temporary(path) -> BinaryIO:
    while True:
        part = path.with_name(f"{hidden_name(path)}.{secrets.token_hex(4)}.part")
        try:
            file = open(part, "x+b", opener=without_links)  # noqa: PTH123, SIM115
        except FileExistsError:
            continue
        # Before the lock was taken, another process may have thought that the file was left behind.
        if take(file, without_locks=True) and part.exists():
            return file
        file.close()


def _sync(file):
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in WITHOUT_SYNC:
            raise


def _sweep(folder):
    """Once for each folder, remove temporary files that no process holds any more."""
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_unless_held(entry.path)


def _remove_unless_held(path):
    with contextlib.suppress(OSError):
        if os.name == "nt":
            Path(path).unlink()  # which Windows refuses while the file is open
            return
        with open(path, "r+b", opener=without_links) as file:  # noqa: PTH123
            if take(file, without_locks=False, shared=True) and is_at(file, path):
                Path(path).unlink()
