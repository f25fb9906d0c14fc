"""What a run reports: a progress bar, a line for what failed, a JSON record for each photo, the count at the end."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as Progressing
from rich.text import Text

from lowlight.cli.backup import BACKUP_SUFFIX, backup_of
from lowlight.cli.jobs import KNOWN
from lowlight.cli.pipeline import Skip, Taken, Task
from lowlight.errors import UserError
from lowlight.settings import STANDARD_STREAM, EnhanceSettings
from lowlight.system import NO_MEMORY, one_line, out_of_memory, say, spinner, tell


class SpeedColumn(ProgressColumn):
    """Megapixels a second, where they are counted."""

    def render(self, task: Progressing) -> Text:
        """As the field `speed` has it."""
        return Text(task.fields.get("speed", ""))


COLUMNS = (
    MofNCompleteColumn(),
    BarColumn(),
    SpeedColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.description}", markup=False),
)
"""Of the bar: how many of how many, how fast, how long still, and which was done last."""

FEW = 3
"""Names that one line has, where there may be many."""

DONE, SKIPPED, FAILED, PLANNED = "done", "skipped", "failed", "planned"


class Reporter:
    """Counts what became of the photos, and reports it; a context, which reports the count when it ends.

    Parameters
    ----------
    settings : EnhanceSettings
        What to report, and where to.

    Raises
    ------
    UserError
        If the file of JSON records cannot be written.
    """

    def __init__(self, settings: EnhanceSettings):
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.taken = 0
        self.model_seconds = 0.0
        self.start = self.begun = time.monotonic()
        console = Console(stderr=True)
        silent = settings.quiet or not console.is_terminal
        self.bar = Progress(*COLUMNS, console=console, transient=True, disable=silent)
        self.task = self.bar.add_task("", total=None, speed="")
        self.megapixels = 0.0
        self.stdout_taken = settings.piped or settings.json == str(STANDARD_STREAM)
        self.records = _opened(settings.json)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.bar.stop()
        if self.records and self.settings.json != str(STANDARD_STREAM):
            with suppress(OSError):  # of which it was told when it was met first
                self.records.close()
        if not isinstance(error, UserError):
            with suppress(OSError) if error else nullcontext():
                self._say(self._count())

    @contextmanager
    def loading(self, what: str) -> Iterator[None]:
        """Show that something is loaded, which may take seconds; a line of its own if errors are shown nowhere."""
        with nullcontext() if self.bar.disable else spinner(f"loading {what}"):
            yield

    def expect(self, number: int | None) -> None:
        """Now that the model is loaded, show a progress bar for so many photos; None: nobody knows how many."""
        self.begun = time.monotonic()
        self.bar.update(self.task, total=number)
        self.bar.start()

    def without_effect(self, options: Sequence[str]) -> None:
        """Report in a line which options change nothing, for there are clips alone."""
        if options:
            self._say(f"of photos alone, and without effect on a clip: {', '.join(options)}")

    def left_out(self, found: dict[str, int]) -> None:
        """Report in a line what could be taken, and is not."""
        if found:
            self._say(f"left out: {', '.join(f'{count} {what}' for what, count in found.items())}")

    def passed_over(self, kinds: Counter[str]) -> None:
        """Report in a line what kinds of files are no photos that can be read."""
        if kinds:
            self._say(one_line(f"passed over: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}"))

    def replaced(self, photos: Sequence[Path]) -> None:
        """Report in a line which photos have a backup, and are skipped for it: it may be of another program."""
        if photos:
            names = ", ".join(str(backup_of(photo)) for photo in photos[:FEW])
            more = f" and {len(photos) - FEW} more" if len(photos) > FEW else ""
            self._say(
                one_line(
                    f"skipped, for a backup is there: {names}{more}. To enhance a photo all the same, put its "
                    f"{BACKUP_SUFFIX} back in its place; or elsewhere, if another program made it"
                )
            )

    def finished(self, task: Task) -> None:
        """Report a photo that was run, or that failed."""
        self.model_seconds += sum(task.seconds[1:2])
        self.taken += isinstance(task.error, Taken)
        self.report(task, *_outcome(task))
        height, width = task.facts.get("height", 0), task.facts.get("width", 0)
        self.megapixels += height * width / 1e6
        speed = self.megapixels / max(time.monotonic() - self.begun, 1e-9)  # Windows' clock goes by 1/64 s
        told = f"{speed:.1f} MP/s" if self.megapixels else ""
        self.bar.update(self.task, advance=1, description=task.job.source.name, speed=told)

    def report(self, task: Task, status: str, reason: str | None = None) -> None:
        """Report what became of a photo, or will.

        Raises
        ------
        OSError
            If the JSON records cannot be written any more, or nobody reads them or the lines.
        """
        source, target = map(str, task.job[:2])
        seconds = round(sum(task.seconds), 4)
        self.counts[status] += 1
        if self.records:
            record = {"in": source, "out": target, "status": status, "reason": reason, **task.facts}
            try:
                print(json.dumps(record | {"seconds": seconds}), file=self.records, flush=True)
            except BrokenPipeError:
                raise
            except OSError as error:
                reason = f"The JSON cannot be written ({error.strerror}). Make room, and run it again"
                raise OSError(error.errno, reason, self.settings.json) from error
        for note in task.facts.get("notes", ()):
            tell(one_line(f"note: {source}: {note}"))
        if status == FAILED:
            tell(f"failed: {one_line(reason)}")
        elif status == PLANNED:
            self._say(one_line(f"{status}: {source} -> {target}"))
        elif self.settings.verbose:
            self._say(one_line(f"{status}: {source} -> {target} ({reason or f'{seconds:.2f} s'})"))

    def _count(self) -> str:
        if self.settings.dry_run:
            return f"{self.counts[PLANNED]} to do, {self.counts[SKIPPED]} to skip; nothing was done"
        line = ", ".join(f"{self.counts[status]} {status}" for status in (DONE, SKIPPED, FAILED))
        line += f" in {time.monotonic() - self.start:.1f} s"
        if self.settings.verbose:
            line += f" ({self.begun - self.start:.1f} s to load the model, {self.model_seconds:.1f} s in it)"
        if self.settings.piped:
            return line
        line += "; results in the photos' places" if self.settings.in_place else f"; results in {self.settings.output}"
        if self.taken:
            line += f" ({self.taken} skipped, for another process is at them: should that one fail, run this again)"
        if self.counts[SKIPPED] == self.taken or self.settings.in_place:
            return line
        return f"{line} (results that exist are skipped: --overwrite makes them anew)"

    def _say(self, line):
        """To standard output, unless that is for something else."""
        if self.settings.quiet:
            return
        if self.stdout_taken:
            tell(line)
        else:
            say(line)


def _opened(name):
    if name is None:
        return None
    if name == str(STANDARD_STREAM):
        return sys.stdout
    if Path(name).suffix.lower() in KNOWN:
        raise UserError(f"JSON would be written over a photo or clip. Received: --json {name}. Name a file of its own.")
    try:
        return Path(name).open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"The file for JSON cannot be written. Received: --json {name} ({error.strerror}). Name another."
        ) from error


def _outcome(task) -> tuple[str, str | None]:
    if isinstance(task.error, Skip):
        return SKIPPED, str(task.error)
    return (DONE, None) if task.error is None else (FAILED, why_failed(task.error, task.job.source))


def why_failed(error: Exception, source: Path | str) -> str:
    """Why a photo failed, in a line that names it."""
    if out_of_memory(error):
        return f"{source}: {NO_MEMORY}"
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        known = error.filename is None or str(error.filename) == str(source)
        return f"{source}: {error.strerror}{'' if known else f' ({error.filename})'}."
    return f"{source}: {type(error).__name__}: {error}"
