"""Put a result in its photo's place, and keep the photo beside it."""

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowlight.io.atomic import replacing

BACKUP_SUFFIX = ".orig"


def backup_of(photo: Path) -> Path:
    """Where a photo is kept: night.jpg as night.jpg.orig, which no folder of photos is searched for."""
    return photo.with_name(photo.name + BACKUP_SUFFIX)


def is_replaced(photo: Path) -> bool:
    """Whether a result has taken the photo's place: there is a backup, and it is another picture.

    A run that was killed between the two steps leaves a backup that equals the photo.
    """
    backup = backup_of(photo)
    return backup.exists() and not (photo.exists() and filecmp.cmp(photo, backup, shallow=False))


@contextmanager
def backed_up(photo: Path) -> Iterator[None]:
    """Keep a photo while its result is written under its name; if that fails, all is as before.

    Raises
    ------
    OSError
        If the backup cannot be made, or is of another photo: it is never written over.
    """
    backup = backup_of(photo)
    if is_replaced(photo):
        raise FileExistsError(f"{backup} is another photo's backup; put it elsewhere")
    if not backup.exists():
        _keep(photo, backup)
    try:
        yield
    except BaseException:
        if not is_replaced(photo):
            backup.unlink()
        raise
    shutil.copymode(backup, photo)


def _keep(photo, backup):
    """By a second name for the same file, which costs nothing; by a copy where files can have only one."""
    try:
        os.link(photo, backup)
    except OSError:
        with photo.open("rb") as source, replacing(backup) as file:
            shutil.copyfileobj(source, file)
            file.flush()  # what is written later would change its time
            shutil.copystat(photo, file.name)
