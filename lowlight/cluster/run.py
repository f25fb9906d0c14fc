"""Enhance what lies in a folder or a bucket on all workers of a Ray cluster."""

import itertools
import json
import logging
import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lowlight.cli.jobs import refuse_unknown_format, result_name
from lowlight.cli.progress import DONE, FAILED, SKIPPED
from lowlight.cluster.settings import ClusterSettings
from lowlight.cluster.storage import Storage
from lowlight.cluster.worker import RECORD, Attempts, Model, Worker, load_model
from lowlight.errors import UserError
from lowlight.system import heeded_signals
from lowlight.zoo import registry

MOST_IN_BLOCK = 64
"""Photos that a worker is given at a time: so many are looked at again if it is lost."""

BLOCKS_A_WORKER = 4
"""At least so many, if there are photos enough, so that all workers end at about the same time."""

ROWS_IN_GROUP = 10_000
"""Of a Parquet file: records that are kept until they are written."""


def enhance_all(settings: ClusterSettings, make_model: Callable[[ClusterSettings], Model] = load_model) -> int:
    """Enhance all photos below a folder or a bucket.

    Parameters
    ----------
    settings : ClusterSettings
    make_model : callable
        Makes the model ready in each worker.

    Returns
    -------
    int
        Exit status: 0 if no photo failed, else 1.

    Raises
    ------
    UserError
        Before any work: if there are no photos, results would get in each other's way or over their sources, records
        cannot be written, there is no such model, or no worker fits into the cluster.
    """
    source, goal = Storage(settings.input), Storage(settings.output)
    targets = _plan(source, goal, settings)
    registry.files_of(settings.model, settings.models_url)
    there = set() if settings.overwrite else set(goal.names())
    due = [item for item in targets.items() if item[1] not in there]
    skipped = [item for item in targets.items() if item[1] in there]
    start, counts = time.monotonic(), Counter[str]()
    with _records(settings, goal) as (write, where):
        for block in itertools.chain(_skipped(skipped, source, goal), _enhanced(due, settings, make_model)):
            write(block)
            _tell(block, counts)
    if not settings.quiet:
        line = ", ".join(f"{counts[status]} {status}" for status in (DONE, SKIPPED, FAILED))
        print(f"{line} in {time.monotonic() - start:.1f} s; results in {goal.url}, records in {where}")
    return 1 if counts[FAILED] else 0


def _plan(source, goal, settings) -> dict[str, str]:
    """Names of photos, and of their results."""
    refuse_unknown_format(settings.ending)
    results = ""
    if goal.key().startswith(source.key() + "/"):
        results = goal.key().removeprefix(source.key() + "/") + "/"
    photos = [name for name in source.photos() if not (results and name.startswith(results))]
    if not photos:
        kind = "it must be a folder's or a bucket's"
        raise UserError(f"There are no photos to enhance. Received: {source.url}. Check its name: {kind}.")
    targets = {name: _target(PurePosixPath(name), settings) for name in photos}
    many = Counter(targets.values())
    for name, target in targets.items():
        if many[target] > 1 and not name.endswith(PurePosixPath(target).suffix):  # a.jpg beside a.png: a.jpg.png
            targets[name] = name + settings.suffix + PurePosixPath(target).suffix
    many = Counter(targets.values())
    if twice := [name for name, target in targets.items() if many[target] > 1]:
        received = ", ".join(twice[:3])
        raise UserError(f"Photos of one name would write one result. Received: {received}. Rename one of them.")
    if goal.key() == source.key() and targets.keys() & set(targets.values()):
        raise UserError(f"Results would be written over photos. Received: -o {goal.url}. Give another, or --suffix.")
    return targets


def _target(path, settings) -> str:
    return str(path.with_name(result_name(path, settings.ending, settings.suffix)))


def _enhanced(due, settings, make_model) -> Iterator[pa.Table]:
    """Records of all photos, block by block as they come."""
    if not due:
        return
    _connect(settings)
    try:
        workers = min(_most_workers(settings), len(due))
        size = max(1, min(MOST_IN_BLOCK, len(due) // (workers * BLOCKS_A_WORKER)))
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        counting = ray.remote(Attempts).options(
            num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here
        )
        attempts = counting.remote()
        ray.data.DataContext.get_current().enable_progress_bars = not settings.quiet
        blocks = [_named(due[first : first + size]) for first in range(0, len(due), size)]
        records = ray.data.from_arrow(blocks).map_batches(
            Worker,
            fn_constructor_args=(settings, make_model, attempts),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
            num_cpus=settings.cpus,
            num_gpus=settings.gpus,
            memory=settings.memory * 1e9,
        )
        yield from records.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:  # its last line is what a worker said that could not begin
        reason = str(error).strip().splitlines()[-1].removeprefix(f"{UserError.__module__}.{UserError.__name__}: ")
        raise UserError(reason) from None
    finally:
        ray.shutdown()


def _connect(settings):
    quiet = logging.ERROR if settings.quiet else logging.WARNING
    logging.getLogger(ray.data.__name__).setLevel(quiet)
    os.environ.setdefault("RAY_worker_niceness", "0")  # at Ray's own 15 workers wait for all else that a machine does
    handlers = {signum: signal.getsignal(signum) for signum in heeded_signals()}
    try:
        ray.init(settings.address, log_to_driver=False, logging_level=quiet)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise UserError(
            f"Ray cannot be reached or started. Received: --address {settings.address}, {error}. Start it by ray start."
        ) from None
    finally:
        for signum, handler in handlers.items():  # Ray has its own, which write down the stacks
            signal.signal(signum, handler)


def _named(items) -> pa.Table:
    names, targets = zip(*items, strict=True)
    return pa.table({"name": names, "target": targets})


def _most_workers(settings) -> int:
    """For how many there is room."""
    wanted = {"CPU": settings.cpus, "GPU": settings.gpus, "memory": settings.memory * 1e9}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(min(int(node.get(kind, 0) // share) for kind, share in wanted.items() if share) for node in nodes)
    if not room:
        cores, gpus, memory = (max(node.get(kind, 0) for node in nodes) for kind in wanted)
        raise UserError(
            f"No worker fits into the cluster. Received: --cpus {settings.cpus:g} --gpus {settings.gpus:g} --memory "
            f"{settings.memory:g}, and machines that give workers up to {cores:g} cores, {gpus:g} GPUs and "
            f"{memory / 1e9:.1f} GB. Ask for less."
        )
    return min(room, settings.workers or room)


@contextmanager
def _records(settings, goal) -> Iterator[tuple[Callable[[pa.Table], None], str]]:
    """What writes records, and where to."""
    if settings.records:
        folder, _, name = settings.records.replace("\\", "/").rpartition("/")
        storage = Storage(folder or ".")
    else:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        storage, name = goal, f"records/{now}-{secrets.token_hex(2)}.jsonl"  # others may begin in the same second
    if Path(name).suffix not in (".jsonl", ".parquet"):
        raise UserError(f"Records are .jsonl or .parquet. Received: --records {settings.records}. Rename it.")
    with storage.writing(name) as file:
        if name.endswith(".jsonl"):
            yield (lambda block: _write_lines(file, block)), storage.path(name)
        else:
            with pq.ParquetWriter(file, RECORD) as writer:
                waiting: list[pa.Table] = []

                def keep(block):
                    waiting.append(block)
                    if sum(map(len, waiting)) >= ROWS_IN_GROUP:
                        writer.write_table(pa.concat_tables(waiting))
                        waiting.clear()

                yield keep, storage.path(name)
                if waiting:
                    writer.write_table(pa.concat_tables(waiting))


def _write_lines(file, block):
    for record in block.to_pylist():
        file.write((json.dumps(record, ensure_ascii=False) + "\n").encode())
    file.flush()


def _skipped(items, source, goal) -> Iterator[pa.Table]:
    for first in range(0, len(items), ROWS_IN_GROUP):
        rows = [
            {"in": source.path(name), "out": goal.path(target), "status": SKIPPED, "reason": "the result is there"}
            for name, target in items[first : first + ROWS_IN_GROUP]
        ]
        yield pa.Table.from_pylist(rows, schema=RECORD)


def _tell(block, counts):
    for record in block.select(["status", "reason"]).to_pylist():
        counts[record["status"]] += 1
        if record["status"] == FAILED:
            print(f"failed: {' '.join(record['reason'].split())}", file=sys.stderr)
