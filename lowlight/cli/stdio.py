"""One photo from standard input, its result to standard output."""

import io
import sys

from lowlight.cli.jobs import Job
from lowlight.cli.pipeline import Task, attempt
from lowlight.cli.progress import Reporter
from lowlight.errors import UserError
from lowlight.inference.session import Session
from lowlight.io.photo import encode, notes_on
from lowlight.io.worker import Worker, read_apart
from lowlight.settings import EnhanceSettings
from lowlight.system import give_up


def enhance_stream(job: Job, session: Session, settings: EnhanceSettings, reporter: Reporter, worker: Worker) -> None:
    """Enhance the photo that standard input holds, in the format that it has, or --format.

    In this thread alone, so that Ctrl-C ends a wait for input. What goes wrong is reported, not raised.

    Parameters
    ----------
    job : Job
        What the reporter is told that it is.
    session : Session
    settings : EnhanceSettings
    reporter : Reporter
    worker : Worker
        Where the photo is decoded.
    """

    def read(task):
        data = _input()
        task.photo = read_apart(worker, io.BytesIO(data), settings.max_megapixels, settings.frame)
        notes = notes_on(task.photo, settings.ending or task.photo.suffix, settings.strip_metadata)
        task.facts |= {"in_bytes": len(data)} | ({"notes": notes} if notes else {})

    def run(task):
        task.photo = session.enhance(task.photo, settings.controls, settings.compare)

    def write(task):
        result = encode(task.photo, settings.ending or task.photo.suffix, settings.quality, settings.strip_metadata)
        _output(result)
        task.facts |= {"out_bytes": len(result)}

    task = Task(job)
    for step in (read, run, write):
        attempt(step, task)
    reporter.finished(task)


def _input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise UserError(f"Standard input cannot be read: {error.strerror}.") from error


def _output(data):
    """All of it: where Python is told not to buffer, one call may write a part."""
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[sys.stdout.buffer.write(rest) :]
        sys.stdout.buffer.flush()
    except OSError as error:
        give_up(sys.stdout)
        raise UserError(f"Standard output cannot be written: {error.strerror}.") from error
