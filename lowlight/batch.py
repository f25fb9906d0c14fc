"""Enhance many photos: decide what goes where before work starts, and let no bad photo stop the rest."""

import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

from lowlight import zoo
from lowlight.errors import UserError
from lowlight.images import FORMATS, IMAGE_SUFFIXES, list_images, read_photo, write_photo
from lowlight.settings import EnhanceSettings


class Job(NamedTuple):
    """One photo and where its result goes."""

    source: Path
    target: Path


def enhance_all(settings: EnhanceSettings) -> int:
    """Enhance the photos that the settings name.

    TensorFlow is imported only once a photo has to be run.

    Returns
    -------
    int
        Exit status: 0 if no photo failed, else 1.

    Raises
    ------
    UserError
        Before any work: if an input is missing or holds no photo, results would get in each other's way or over their
        sources, the output folder cannot be written, or there is no such model.
    """
    jobs = plan(settings.inputs, settings.output, settings.format)
    model = settings.model or zoo.best()
    zoo.files_of(model, settings.models_url)
    _make_writable(settings.output)
    due = jobs if settings.overwrite else [job for job in jobs if not job.target.exists()]
    start = time.monotonic()
    failed = _enhance(due, model, settings.tile) if due else 0
    parts = [f"{len(due) - failed} done", f"{len(jobs) - len(due)} skipped", f"{failed} failed"]
    hint = " (results that exist are skipped: --overwrite makes them anew)" if len(due) < len(jobs) else ""
    print(f"{', '.join(parts)} in {time.monotonic() - start:.1f} s; results in {settings.output}{hint}")
    return 1 if failed else 0


def plan(inputs: Sequence[Path], output: Path, form: str | None = None) -> list[Job]:
    """Which photos there are, and where each result goes: under the photo's own name, in the output folder.

    Parameters
    ----------
    inputs : sequence of Path
        Photos, whatever their names end in, and folders, whose photos are taken.
    output : Path
    form : str, optional
        What the names of the results end in, without the dot. Default: as the photos' own.

    Raises
    ------
    UserError
        If there is nothing to do, or results would be written over each other or over a source.
    """
    if form and f".{form.lower()}" not in FORMATS:
        raise UserError(f"Photos cannot be written in that format. Received: {form}. Known: {_known_formats()}.")
    sources = [photo for path in inputs for photo in _photos(path)]
    jobs = [Job(source, output / _target_name(source, form)) for source in dict.fromkeys(sources)]
    if not jobs:
        raise UserError(
            f"There are no photos to enhance. Received: {', '.join(map(str, inputs))}. Known: {_known_formats()}."
        )
    times = Counter(job.target for job in jobs)
    twice = [job for job in jobs if times[job.target] > 1]
    if twice:
        raise UserError(
            f"Photos of one name would write one result. Received: {twice[0].source} and {twice[1].source}. "
            "Enhance them one after the other, into two folders."
        )
    taken = {source.resolve() for source in sources}
    for job in jobs:
        if job.target.resolve() in taken:
            raise UserError(
                f"A result would be written over a photo. Received: {job.target}. Give --output another folder."
            )
    return jobs


def _photos(path) -> list[Path]:
    if path.is_dir():
        return list_images(path)
    if not path.exists():
        raise UserError(f"There is no such photo or folder. Received: {path}. Check its name.")
    return [path]


def _target_name(source, form) -> str:
    if form:
        return f"{source.stem}.{form.lower()}"
    return source.name if source.suffix.lower() in IMAGE_SUFFIXES else f"{source.name}.png"


def _known_formats() -> str:
    return ", ".join(sorted(suffix.removeprefix(".") for suffix in FORMATS))


def _make_writable(folder):
    probe = folder / ".writable.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"The output folder cannot be written. Received: {folder} ({error.strerror}). Give --output another one."
        ) from error


def _enhance(jobs, model, tile) -> int:
    """Run the jobs; tell what fails on stderr and give how many did."""
    from lowlight.enhancer import Enhancer  # loads TensorFlow

    enhancer = Enhancer(zoo.load(model)[0], tile)
    console = Console(stderr=True)
    failed = 0
    for job in track(jobs, "enhancing", console=console, transient=True, disable=not console.is_terminal):
        try:
            photo = read_photo(job.source)
            write_photo(job.target, dataclasses.replace(photo, pixels=enhancer(photo.pixels)))
        except Exception as error:  # whatever is wrong with one photo, the next one may be right
            failed += 1
            reason = str(error) if isinstance(error, UserError) else f"{job.source}: {type(error).__name__}: {error}"
            print(f"failed: {' '.join(reason.split())}", file=sys.stderr)
    return failed
