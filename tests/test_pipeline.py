"""Reading, running and writing overlap, in order, within a limit on memory, and stop when they are told to."""

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lowlight.cli.jobs import Job
from lowlight.cli.pipeline import MemoryBudget, overlap

STEP = 0.03


class Line:
    """Three steps that take their time and remember what they did, for jobs that each weigh 10."""

    def __init__(self, count=10, budget=None, fails=()):
        self.jobs = [Job(Path(str(number)), Path(str(number))) for number in range(count)]
        self.budget = budget or MemoryBudget(10**6, 8)
        self.fails = fails
        self.reported, self.threads = [], {}

    def start(self, jobs=None):
        steps = [self.step("read"), self.step("run"), self.step("write")]
        overlap(jobs or self.jobs, lambda job: 10, *steps, self.reported.append, self.budget)

    def step(self, name):
        def step(task):
            self.threads.setdefault(name, set()).add(threading.get_ident())
            time.sleep(STEP)
            if (name, int(task.job.source.name)) in self.fails:
                raise ValueError(f"{name} cannot do {task.job.source}")

        return step

    def names(self):
        return [int(task.job.source.name) for task in self.reported]


def test_the_three_steps_overlap_and_the_order_is_kept():
    """While one is written, the next is run and the one after it read: each step waits until the others are there."""
    line, together = Line(12), threading.Barrier(3)

    def meeting(first, last):
        def step(task):
            if first <= int(task.job.source.name) <= last:
                together.wait(60)

        return step

    steps = meeting(2, 11), meeting(1, 10), meeting(0, 9)
    overlap(line.jobs, lambda job: 10, *steps, line.reported.append, line.budget)
    assert [task.error for task in line.reported] == [None] * 12
    assert line.names() == list(range(12))
    assert all(len(task.seconds) == 3 for task in line.reported)


def test_the_model_is_called_from_the_calling_thread_alone():
    line = Line(3)
    line.start()
    assert line.threads["run"] == {threading.get_ident()}
    assert line.threads["read"] != line.threads["run"] != line.threads["write"]


@pytest.mark.parametrize(
    ("budget", "most"),
    [(MemoryBudget(10, 8), 1), (MemoryBudget(5, 8), 1), (MemoryBudget(20, 8), 2), (MemoryBudget(10**6, 3), 3)],
)
def test_no_more_photos_are_in_memory_than_fit_into_the_budget_but_always_one(budget, most):
    line, read, held = Line(8, budget), [], []

    def run(task):
        while len(budget.weights) < most and len(read) < 8:  # the reader takes what it may
            time.sleep(0.001)
        time.sleep(STEP)  # nor more than that
        held.append(len(budget.weights))

    steps = read.append, run, lambda task: held.append(len(budget.weights))
    overlap(line.jobs, lambda job: 10, *steps, line.reported.append, budget)
    assert max(held) == most
    assert len(line.reported) == 8


def test_what_one_step_cannot_do_with_one_photo_leaves_the_others_alone():
    line = Line(6, fails={("read", 1), ("run", 2), ("write", 4)})
    line.start()
    failed = {int(task.job.source.name): str(task.error) for task in line.reported if task.error}
    assert failed == {1: "read cannot do 1", 2: "run cannot do 2", 4: "write cannot do 4"}
    assert line.names() == list(range(6))
    assert [len(task.seconds) for task in line.reported[:3]] == [3, 1, 2]
    assert all(task.error.__traceback__ is None for task in line.reported if task.error)  # which would hold the photo


def test_after_ctrl_c_what_was_run_is_written_and_nothing_else():
    line = Line(50)
    run = line.step("run")

    def interrupted(task):
        if task.job.source.name == "3":
            raise KeyboardInterrupt
        run(task)

    steps = line.step("read"), interrupted, line.step("write")
    with pytest.raises(KeyboardInterrupt):
        overlap(line.jobs, lambda job: 10, *steps, line.reported.append, line.budget)
    assert line.names() == [0, 1, 2]


def test_after_ctrl_c_no_more_is_looked_at_and_what_was_read_is_let_go():
    line = Line(50)
    weighed, claimed, free = [], [], []

    def read(task):
        claimed.append(task.job)
        task.claim.callback(free.append, task.job)

    def interrupted(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        overlap(
            line.jobs,
            lambda job: weighed.append(job) or 10,
            read,
            interrupted,
            line.step("write"),
            line.reported.append,
            MemoryBudget(10**6, 8),
        )
    assert 0 < len(claimed) <= len(weighed) <= 9
    assert set(free) == set(claimed)


def test_a_job_is_let_go_once_it_is_written():
    """Others may wait for it, and thousands that are held at once are more than a system allows."""
    line = Line(4)
    free, told = [], []

    def read(task):
        task.claim.callback(free.append, task.job)

    steps = read, line.step("run"), line.step("write")
    overlap(line.jobs, lambda job: 10, *steps, lambda task: told.append([*free]), line.budget)
    assert told == [line.jobs[: count + 1] for count in range(4)]


def test_jobs_that_are_done_take_no_memory():
    line = Line(0)
    claims, kept = [], []

    def jobs():
        yield from range(100)
        kept.extend(claim for claim in claims if claim())

    def read(task):
        claims.append(weakref.ref(task.claim))

    overlap(jobs(), lambda job: 10, read, id, id, id, line.budget)
    assert len(kept) <= line.budget.most + 1


def test_ctrl_c_as_the_threads_start_ends_them(monkeypatch):
    line = Line(50)

    def submit(pool, step):
        begun.append(step.__name__)
        start(pool, step)
        if step.__name__ == "writing":
            raise KeyboardInterrupt
        while len(line.budget.weights) < line.budget.most:  # until the reader waits for what will not come
            time.sleep(0.001)

    begun, start = [], ThreadPoolExecutor.submit
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        line.start()
    assert begun == ["reading", "writing"]
    assert line.budget.closed.is_set()


def test_jobs_that_wait_for_more_are_told_to_end():
    line = Line(2)

    def endless():
        yield from line.jobs
        while not line.budget.closed.wait(0.01):
            pass
        line.budget.close()

    threading.Timer(0.3, line.budget.close).start()
    line.start(endless())
    assert line.names() == [0, 1]


def test_what_goes_wrong_beside_the_photos_ends_it_all():
    line = Line(30)

    def vanishing():
        yield from line.jobs[:2]
        raise OSError("the folder is gone")

    with pytest.raises(OSError, match="the folder is gone"):
        line.start(vanishing())
    assert line.names() == [0, 1]
    line = Line(30)
    steps = [line.step(name) for name in ("read", "run", "write")]
    with pytest.raises(ZeroDivisionError):
        overlap(line.jobs, lambda job: 10, *steps, lambda task: 1 / 0, line.budget)


def test_what_cannot_be_reported_has_no_photo_after_it_run():
    line, ran, read = Line(30), [], []

    def run(task):
        ran.append(task.job)
        if len(ran) == 2:
            line.budget.closed.wait(60)

    def report(task):
        while len(read) < 5:  # photos that wait for their turn
            time.sleep(0.001)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        overlap(line.jobs, lambda job: 10, read.append, run, line.step("write"), report, line.budget)
    assert ran == line.jobs[:2]
