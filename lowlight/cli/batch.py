"""Enhance many photos, and let no bad photo stop the rest."""

import errno
from collections.abc import Sequence
from contextlib import closing, nullcontext, suppress
from functools import partial
from math import inf

import psutil

from lowlight.cli.backup import backed_up
from lowlight.cli.jobs import Job, is_done, left_out, output_folder, passed_over, plan, without_effect
from lowlight.cli.pipeline import MemoryBudget, Skip, Taken, Task, overlap
from lowlight.cli.progress import FAILED, PLANNED, SKIPPED, Reporter
from lowlight.cli.stdio import enhance_stream
from lowlight.cli.watch import check, watch
from lowlight.errors import UserError
from lowlight.inference.engines import ENGINES, MANY_MEGAPIXELS, choose
from lowlight.inference.session import Session
from lowlight.inference.video import Clip, is_clip
from lowlight.io import atomic
from lowlight.io.lock import holding
from lowlight.io.photo import Photo, notes_on, write_photo
from lowlight.io.worker import Worker, count_pixels, read_apart
from lowlight.settings import EnhanceSettings
from lowlight.system import disk_full
from lowlight.zoo import registry

MOST_MEMORY = 2**30
"""Bytes that photos on their way may take, and no more than a quarter of what is free: one at a time, if need be."""

BYTES_PER_PIXEL = 16
"""Of a photo on its way, about: 6 for itself and its result, and what decoding or encoding takes meanwhile."""

MOST_PHOTOS = 8
"""On their way at once; more of them would help nothing."""


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
        sources, the output folder or the file of records cannot be written, or there is no such model, tile, device or
        control.
    OSError
        Once the disk is full: what would be enhanced from then on could not be kept. Its message says how to go on.
    """
    jobs = plan(settings) if not settings.watch else check(settings)
    found = None
    if settings.dry_run:
        registry.check(settings.model, settings.models_url)
    else:
        found = registry.files_of(settings.model, settings.models_url)
        if folder := output_folder(settings):
            atomic.make_folder(folder)
    with Reporter(settings) as reporter:
        reporter.without_effect(without_effect(jobs, settings))
        reporter.left_out(left_out(settings))
        reporter.passed_over(passed_over(settings))
        due = _due(jobs, settings, reporter)
        if found and (due or settings.watch):
            with Worker() as worker:  # which starts while the model loads
                _run(due, _load(*found, due, worker, settings, reporter), worker, settings, reporter)
    return 1 if reporter.counts[FAILED] else 0


def _due(jobs, settings, reporter) -> list[Job]:
    """What is left to do; the rest is reported."""
    due, replaced = [], []
    for job in jobs:
        if job.problem is None and is_done(job, settings):
            reporter.report(Task(job), SKIPPED, "the result is there")
            replaced += [job.source] * settings.in_place
        elif settings.dry_run:
            reporter.report(Task(job), FAILED if job.problem else PLANNED, job.problem)
        else:
            due.append(job)
    reporter.replaced(replaced)
    return due


def _load(card, weights, jobs, worker, settings, reporter) -> Session:
    """The model, by the engine that is done first with so many photos."""
    exported = registry.onnx_of(card, weights)
    megapixels = inf if settings.watch else _megapixels(jobs, worker)
    engine = choose(settings.engine, exported is not None, settings.device, megapixels)
    with reporter.loading(f"{card['name']} by {ENGINES[engine]}"):
        return Session(card, weights, exported, engine, settings.tile, settings.device, settings.best)


def _megapixels(jobs, worker) -> float:
    """Of the photos, about, counted no further than matters; what cannot be counted will hardly take long."""
    total = 0.0
    for job in jobs:
        if is_clip(job.source):  # of hundreds of frames
            total = inf
        elif not job.problem:
            with suppress(Exception):
                total += count_pixels(worker, job.source) / 1e6
        if total > MANY_MEGAPIXELS:
            break
    return total


def _run(jobs: Sequence[Job], session, worker, settings, reporter):
    session.check(settings.controls)
    reporter.expect(None if settings.watch else len(jobs))
    if settings.piped:
        enhance_stream(jobs[0], session, settings, reporter, worker)
        return
    budget = MemoryBudget(min(MOST_MEMORY, psutil.virtual_memory().available // 4), MOST_PHOTOS)
    overlap(
        watch(settings, budget.closed) if settings.watch else jobs,
        weigh=partial(_weigh, worker=worker),
        read=partial(_read, session=session, worker=worker, settings=settings),
        run=partial(_enhance, session=session, settings=settings, bar=reporter.bar),
        write=partial(_write, settings=settings),
        report=partial(_report, jobs=jobs, settings=settings, reporter=reporter),
        budget=budget,
    )


def _weigh(job, worker) -> int:
    if job.problem:  # it is not read: to open a pipe may wait for ever
        return 0
    try:
        return count_pixels(worker, job.source) * BYTES_PER_PIXEL
    except Exception:  # whatever it is, reading it will tell, or allow: then alone
        return MOST_MEMORY


def _read(task, session, worker, settings):
    if task.job.problem:
        raise UserError(task.job.problem)
    _claim(task, settings)
    source = task.job.source
    if is_clip(source):
        recipe = f"{session.card['weights']['sha256']} {settings.controls} {settings.compare} {settings.best}"
        task.photo = Clip(source, task.job.target, recipe, worker)
        task.facts["frames"] = task.photo.frames
    else:
        pixels = task.weight // BYTES_PER_PIXEL
        task.photo = read_apart(worker, source, settings.max_megapixels, task.job.frame, pixels)
        height, width = task.photo.pixels.shape[:2]
        task.facts |= {"width": width, "height": height}
    task.facts["in_bytes"] = source.stat().st_size


def _claim(task, settings):
    """Have the result to oneself, for another process may be at work on the same folder."""
    target = task.job.target
    lock = atomic.lock_of(target, output_folder(settings) or target.parent)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)  # who takes results away may have taken their folder, too
        held = task.claim.enter_context(holding(lock))
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror}.") from error
    if not held:
        raise Taken("another process is at it")
    if is_done(task.job, settings):
        raise Skip("the result is there")


def _enhance(task, session, settings, bar):
    if isinstance(task.photo, Clip):
        clip = task.photo

        def run(pixels, small):
            return session.enhance(Photo(pixels), settings.controls, settings.compare, small, clip.smoothing.box).pixels

        name = clip.source.name
        for frames, description in ((clip.look(), f"{name}: looking at it"), (clip.enhance(run), name)):
            with closing(frames):  # else it holds on to the worker after Ctrl-C
                for _ in bar.track(frames, clip.frames, description=description):
                    pass
        notes = list(clip.notes)
    else:
        task.photo = session.enhance(task.photo, settings.controls, settings.compare)
        notes = notes_on(task.photo, task.job.target.suffix, settings.strip_metadata)
    if notes:
        task.facts["notes"] = notes


def _write(task, settings):
    target = task.job.target
    with backed_up(target) if settings.in_place else nullcontext():
        if isinstance(task.photo, Clip):
            task.photo.write(settings.strip_metadata)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_photo(target, task.photo, settings.quality, settings.strip_metadata)
    task.facts["out_bytes"] = target.stat().st_size


def _report(task, jobs, settings, reporter):
    """Of a photo; if the disk is full, all ends, for those after it would be enhanced in vain."""
    reporter.finished(task)
    later = 0 if settings.watch else len(jobs) - jobs.index(task.job) - 1
    if disk_full(task.error) and (later or settings.watch):
        left = task.job.source.name + (f" and {later} more" if later else "")
        again = "makes all results anew" if settings.overwrite else f"goes on with {left}"
        words = f"The disk is full. Make room: the same command {again}"
        raise OSError(errno.ENOSPC, words, str(task.job.target.parent))
