"""What one worker does: it holds a loaded model and takes photos from storage to storage, a few at a time."""

import io
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol

import pyarrow as pa
import ray

from lowlight.cli.batch import BYTES_PER_PIXEL, MOST_PHOTOS
from lowlight.cli.pipeline import MemoryBudget, Task, overlap
from lowlight.cli.progress import DONE, FAILED, why_failed
from lowlight.cluster.settings import MODEL_GB, ClusterSettings
from lowlight.cluster.storage import Storage
from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.io.photo import Photo, encode, image_size, notes_on, read_photo

TRIES = 3
"""How often a photo is tried: whose storage did not answer, or at which a worker was lost."""

PAUSE = 1.0
"""Seconds before storage is asked again, the first time; then twice as long."""

RECORD = pa.schema(
    [
        ("in", pa.string()),
        ("out", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("notes", pa.list_(pa.string())),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("in_bytes", pa.int64()),
        ("out_bytes", pa.int64()),
        ("seconds", pa.float64()),
        ("worker", pa.string()),
    ]
)
"""What is told of each photo."""


class Model(Protocol):
    """What a worker holds: `lowlight.inference.session.Session`, or what stands in for it."""

    def enhance(self, photo: Photo, controls: Controls) -> Photo:
        """Enhance a photo."""


class Attempts:
    """Counts, outside of the workers, how often a photo was begun and not ended: so often was a worker lost at it."""

    def __init__(self):
        self.begun: Counter[str] = Counter()

    def counts(self, names: Sequence[str]) -> list[int]:
        """Of these photos."""
        return [self.begun[name] for name in names]

    def begin(self, name: str) -> None:
        """A worker takes a photo."""
        self.begun[name] += 1

    def end(self, name: str) -> None:
        """Whatever became of it, the worker is still there."""
        self.begun.pop(name, None)


class Item:
    """A photo on its way."""

    def __init__(self, name: str, target: str):
        self.name, self.target = name, target
        self.data: bytes | None = None
        self.error: Exception | None = None


class File(io.BytesIO):
    """The bytes of a file, and its name, by whose ending some formats are told apart."""

    def __init__(self, data: bytes, name: str):
        super().__init__(data)
        self.name = name


class Worker:
    """Takes batches of names to batches of records; Ray makes one of each worker process.

    Parameters
    ----------
    settings : ClusterSettings
    make_model : callable
        Makes the model ready, from the settings.
    attempts : actor handle of `Attempts`
    """

    def __init__(self, settings: ClusterSettings, make_model: Callable[[ClusterSettings], Model], attempts: Any):
        self.settings, self.attempts = settings, attempts
        self.source, self.goal = Storage(settings.input), Storage(settings.output)
        self.model = make_model(settings)
        self.name = f"{ray.util.get_node_ip_address()}:{os.getpid()}"
        self.memory = int((settings.memory - MODEL_GB) * 1e9)

    def __call__(self, batch: pa.Table) -> pa.Table:
        items = [Item(row["name"], row["target"]) for row in batch.to_pylist()]
        lost = dict(zip(items, ray.get(self.attempts.counts.remote([item.name for item in items])), strict=True))
        records = [self._given_up(item) for item in items if lost[item] >= TRIES]
        records += self._run([item for item in items if lost[item] < TRIES], alone=any(lost.values()))
        return pa.Table.from_pylist(records, schema=RECORD)

    def _run(self, items, alone) -> list[dict]:
        """Records of photos; they are taken one at a time if a worker was lost at one of them, to learn at which."""
        records: list[dict] = []
        overlap(
            items,
            weigh=self._fetch,
            read=self._decode,
            run=self._enhance,
            write=self._store,
            report=lambda task: records.append(self._record(task)),
            budget=MemoryBudget(self.memory, 1 if alone else MOST_PHOTOS),
        )
        return records

    def _fetch(self, item) -> int:
        """Bytes that the photo will take, told from its header."""
        ray.get(self.attempts.begin.remote(item.name))
        try:
            if not self.settings.overwrite and self.goal.has(item.target):
                item.error = WrittenBefore()
                return 0
            item.data = _patiently(lambda: self.source.read(item.name))
            height, width = image_size(self._file(item))
        except Exception as error:  # is told when the photo's turn has come
            item.error = error
            return 0
        need = height * width * BYTES_PER_PIXEL
        if need > self.memory:
            item.error = UserError(
                f"{self.source.path(item.name)} is too large: {width}x{height} pixels need {need / 1e9:.1f} GB beside "
                f"the model. Give more --memory than {self.settings.memory:g}."
            )
        return need

    def _decode(self, task):
        item = task.job
        if item.error:
            raise item.error
        task.photo = read_photo(self._file(item), self.memory / BYTES_PER_PIXEL / 1e6, levels=True)
        height, width = task.photo.pixels.shape[:2]
        task.facts |= {"width": width, "height": height, "in_bytes": len(item.data)}
        item.data = None

    def _enhance(self, task):
        task.photo = self.model.enhance(task.photo, self.settings.controls)

    def _store(self, task):
        settings, target = self.settings, task.job.target
        form = PurePosixPath(target).suffix
        task.facts["notes"] = notes_on(task.photo, form, settings.strip_metadata)
        data = encode(task.photo, form, settings.quality, settings.strip_metadata)
        _patiently(lambda: self.goal.write(target, data))
        task.facts["out_bytes"] = len(data)

    def _file(self, item) -> File:
        return File(item.data, self.source.path(item.name))

    def _record(self, task: Task) -> dict:
        item = task.job
        self.attempts.end.remote(item.name)
        if isinstance(task.error, WrittenBefore):
            return self._told(item, DONE, "the result came meanwhile, from a worker that was lost or another run")
        seconds = round(sum(task.seconds), 4)
        if task.error is None:
            return self._told(item, DONE, None) | task.facts | {"seconds": seconds}
        reason = why_failed(task.error, self.source.path(item.name))
        return self._told(item, FAILED, reason) | task.facts | {"seconds": seconds}

    def _given_up(self, item) -> dict:
        return self._told(item, FAILED, f"{self.source.path(item.name)}: {TRIES} workers were lost at it.")

    def _told(self, item, status, reason) -> dict:
        return {
            "in": self.source.path(item.name),
            "out": self.goal.path(item.target),
            "status": status,
            "reason": reason,
            "worker": self.name,
        }


class WrittenBefore(Exception):  # noqa: N818
    """The result is there since this run began."""


def load_model(settings: ClusterSettings) -> Model:
    """The model, on the worker's share of the machine; loads TensorFlow."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, round(settings.cpus))))
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else the first worker takes all of a shared GPU
    from lowlight.inference.session import load_session

    device = "gpu" if settings.gpus else "cpu"
    session = load_session(
        settings.model, settings.tile, device, settings.models_url, settings.best, settings.engine, math.inf
    )
    session.check(settings.controls)
    return session


def _patiently(ask: Callable[[], Any]) -> Any:
    """What storage answers, asked again if it fails; but not for what is not there or not allowed."""
    for number in range(TRIES - 1):
        try:
            return ask()
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except Exception:
            time.sleep(PAUSE * 2**number)
    return ask()
