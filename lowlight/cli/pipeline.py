"""Read ahead, run, and write behind, each in a thread of its own, within a limit on memory."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

CTRL_C = 0.5
"""Seconds after which a waiting main thread looks whether Ctrl-C was pressed; only Windows does not wake it."""


@dataclass
class Task:
    """A job on its way: each step takes what the one before left in `photo`."""

    job: Any
    """A `lowlight.cli.jobs.Job`, or whatever else the steps know."""
    weight: int = 0
    """Bytes that it takes on its way."""
    photo: Any = None
    facts: dict[str, Any] = field(default_factory=dict)
    """What is reported of the job in the end, next to its names and its status."""
    error: Exception | None = None
    claim: ExitStack = field(default_factory=ExitStack)
    """What the job holds until it is written or has failed."""
    seconds: list[float] = field(default_factory=list)
    """That the steps took: reading, running, writing."""


class Skip(Exception):  # noqa: N818
    """Raised by a step: nothing is to be done; why is the message."""


class Taken(Skip):
    """Another process is at it."""


Step = Callable[[Task], None]


class MemoryBudget:
    """What may be in memory at once: several photos that fit into `size` bytes together, or one of any size.

    Parameters
    ----------
    size : int
        Bytes.
    most : int
        Photos, however small.
    """

    def __init__(self, size: int, most: int):
        self.size, self.most = size, most
        self.closed = threading.Event()
        self.weights: list[int] = []
        self.change = threading.Condition()

    def acquire(self, weight: int) -> bool:
        """Wait until there is memory for it; False if the budget was closed."""
        with self.change:
            self.change.wait_for(lambda: self.closed.is_set() or self._fits(weight))
            if not self.closed.is_set():
                self.weights.append(weight)
            return not self.closed.is_set()

    def release(self, weight: int) -> None:
        """Give the memory back."""
        with self.change:
            self.weights.remove(weight)
            self.change.notify_all()

    def close(self) -> None:
        """Let nothing in any more."""
        with self.change:
            self.closed.set()
            self.change.notify_all()

    def _fits(self, weight) -> bool:
        return not self.weights or (len(self.weights) < self.most and sum(self.weights) + weight <= self.size)


def overlap(
    jobs: Iterable[Any],
    weigh: Callable[[Any], int],
    read: Step,
    run: Step,
    write: Step,
    report: Step,
    budget: MemoryBudget,
) -> None:
    """Take jobs through three steps, of which three photos can be at one each at a time; the order is kept.

    Parameters
    ----------
    jobs : iterable
        Is gone through in the reader's thread, and may wait there until `budget.closed`.
    weigh : callable
        Bytes that a job will take; called before it is read.
    read, run, write : callable
        The steps. `run` is called in this thread alone. What a step raises becomes the task's error, and the steps
        after it are left out.
    report : callable
        Called in the writer's thread with each task once it is written or has failed. What it raises ends all: no
        photo after it is run.
    budget : MemoryBudget
        Is closed in the end. After Ctrl-C, what has been run is still written.
    """
    # Ctrl-C cannot come amid a call of a SimpleQueue; in Queue it would leave a lock taken for ever.
    ready: SimpleQueue[Task | None] = SimpleQueue()
    finished: SimpleQueue[Task | None] = SimpleQueue()
    claims: set[ExitStack] = set()

    def reading():
        try:
            for job in jobs:
                task = Task(job, weigh(job))
                claims.add(task.claim)
                if not budget.acquire(task.weight):
                    break
                attempt(read, task)
                ready.put(task)
        finally:
            ready.put(None)

    def writing():
        try:
            while task := finished.get():
                attempt(write, task)
                task.photo = None
                task.claim.close()
                claims.discard(task.claim)
                budget.release(task.weight)
                report(task)
        finally:
            budget.close()

    with _let_go(claims), ThreadPoolExecutor(2) as threads:
        try:
            reader, writer = threads.submit(reading), threads.submit(writing)
            while (task := _next(ready)) and not budget.closed.is_set():
                attempt(run, task)
                finished.put(task)
        finally:
            finished.put(None)  # first: the writer closes the budget, too, if Ctrl-C comes here once more
            budget.close()
        reader.result()
        writer.result()


def attempt(step: Step, task: Task) -> None:
    """Take a task one step further, unless it has failed; whatever is wrong with one, the next may be right."""
    if task.error is not None:
        return
    start = time.perf_counter()
    try:
        step(task)
    except Exception as error:
        task.error = error.with_traceback(None)  # which would hold the photo
        task.photo = None
    task.seconds.append(time.perf_counter() - start)


@contextmanager
def _let_go(claims) -> Iterator[None]:
    """In the end, of what tasks hold that got no further."""
    try:
        yield
    finally:
        while claims:
            claims.pop().close()


def _next(queue) -> Task | None:
    while True:
        try:
            return queue.get(timeout=CTRL_C)
        except Empty:
            continue
