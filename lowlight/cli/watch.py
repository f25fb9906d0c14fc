"""Photos that come into folders, each once it has stopped growing."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lowlight.cli.jobs import Job, find, is_done, key, real, refuse_unknown_format
from lowlight.errors import UserError
from lowlight.settings import EnhanceSettings
from lowlight.system import tell

LOOK = 1.0
"""Seconds between two looks into the folders."""

SETTLED = 2.0
"""Seconds that a file's size and time must stay the same before it counts as complete."""


class Sight(NamedTuple):
    """What a file looked like, and since when."""

    stamp: tuple[int, int] | None
    since: float
    taken: bool = False


def check(settings: EnhanceSettings) -> list[Job]:
    """Can what is named be watched? Until it is, there is nothing to do.

    Raises
    ------
    UserError
        If an input is no folder, or the results would be new photos, or of no known format.
    """
    refuse_unknown_format(settings.ending)
    for path in settings.inputs:
        if not path.is_dir():
            raise UserError(f"Only folders can be watched. Received: {path}. Name the folder that photos come into.")
        if not settings.in_place and not settings.name_suffix and real(path) == real(settings.output):
            raise UserError(
                f"Results would be written over photos. Received: {path} for both. Give --output another folder, or "
                "--suffix."
            )
    return []


def watch(settings: EnhanceSettings, stop: threading.Event) -> Iterator[Job]:
    """Look again and again, and give each photo that wants a result, until `stop`.

    A photo that changes after it was given is given again, if its result may be made anew.
    """
    sights: dict[Path, Sight] = {}
    owners: dict[str, Path] = {}
    gone: set[Path] = set()
    while not stop.is_set():
        before, sights = sights, {}  # what went away, perhaps amid its turn, and comes back is looked at anew
        for job in _jobs(settings, gone):
            sight = _look(job.source, before.get(job.source))
            settled = sight.taken is False and time.monotonic() - sight.since >= SETTLED
            sights[job.source] = sight._replace(taken=sight.taken or settled)
            if not settled or is_done(job, settings):
                continue
            owner = owners.setdefault(key(job.target), job.source)
            clash = None if owner == job.source else f"{job.source} would write the result of {owner}"
            yield job if clash is None else job._replace(problem=clash)
        stop.wait(LOOK)


def _jobs(settings, gone) -> Iterator[Job]:
    """Of the folders that are there; one that is not, such as that of a disk that is pulled out, may come back."""
    for folder in settings.inputs:
        try:
            jobs = find(dataclasses.replace(settings, inputs=(folder,)))
        except UserError:  # for a moment, or for long: a disk of the network may fail in many ways
            if folder not in gone:
                tell(f"waiting: {folder} is not there any more")
            gone.add(folder)
        else:
            gone.discard(folder)
            yield from jobs


def _look(path, before) -> Sight:
    try:
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
    except OSError:  # it went away, or cannot be looked at: reading it will tell
        stamp = None
    return before if before and before.stamp == stamp else Sight(stamp, time.monotonic())
