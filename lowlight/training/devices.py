"""On what a model learns: on one device, on several of this machine, or in several processes, each with its own."""

import dataclasses
import json
import logging
import os
import pickle
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lowlight.backend import CLUSTER, keras
from lowlight.errors import UserError
from lowlight.settings import TrainingSettings
from lowlight.system import heeded_signals

LOG = logging.getLogger(__name__)

LOST = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError", "InternalError")
"""What TensorFlow raises in a process when another one of the cluster is gone."""


@contextmanager
def distributed(devices: Literal["one", "all"]) -> Iterator[None]:
    """Models that are made here have their weights on one device, or the same weights on all of this process.

    Each of several devices computes the gradients of its part of a batch, and all apply their sum (synchronous data
    parallelism, TensorFlow's MirroredStrategy). They are the GPUs or, where there is none, the logical CPUs.

    Raises
    ------
    UserError
        If Keras does not run on TensorFlow.
    """
    if devices == "one" or shared(devices):
        yield
        return
    tf = _tensorflow()
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    with tf.distribute.MirroredStrategy([device.name for device in found]).scope():
        yield


class Processes:
    """Processes that learn together, each from its part of every batch; one alone, unless there is a strategy.

    TensorFlow's MultiWorkerMirroredStrategy joins them and sums what they found. `fit` of Keras 3 does not work under
    it (keras-team/keras#20585), so each process fits by itself, and its optimizer takes the mean of all gradients.

    Parameters
    ----------
    strategy : tf.distribute.MultiWorkerMirroredStrategy, optional
    number : int
        Of this process, from 0: the chief, which alone writes what is learnt.
    """

    def __init__(self, strategy: Any = None, number: int = 0):
        self.strategy, self.number = strategy, number
        self.count = strategy.num_replicas_in_sync if strategy else 1
        self.sums: Any = _tensorflow().function(self._reduced) if strategy else None

    def average(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Have an optimizer apply the mean of the gradients of all processes."""
        if self.strategy is None:
            return
        apply = optimizer.apply

        def apply_mean(gradients, trainable_variables=None):
            apply([total / self.count for total in self._reduced(gradients)], trainable_variables)

        optimizer.apply = apply_mean

    def share(self, batch_size: int) -> slice:
        """Which examples of each batch are for this process.

        Raises
        ------
        UserError
            If they cannot be shared out evenly: the mean of the gradients would not be that of the batch.
        """
        if batch_size % self.count:
            raise UserError(
                f"Batches are shared out evenly. Received: batches of {batch_size} for {self.count} processes. Give "
                f"--batch-size a multiple of {self.count}, and pairs enough for one batch."
            )
        return slice(self.number, None, self.count)

    def of_chief(self, value: Any) -> Any:
        """What the chief gives here, whatever it is and the others give."""
        if self.strategy is None:
            return value
        sent = np.frombuffer(pickle.dumps(value), np.uint8).astype(np.int32) if self.number == 0 else None
        (size,) = self.sums([np.array(0 if sent is None else len(sent))])
        (received,) = self.sums([np.zeros(size, np.int32) if sent is None else sent])
        return pickle.loads(received.numpy().astype(np.uint8).tobytes())

    def agreed(self, seconds: float, signum: int) -> tuple[float, int]:
        """The chief's seconds, and the signal to end that any process has had, or 0: all have to end at one step."""
        if self.strategy is None:
            return seconds, signum
        (total,) = self.sums([np.array([seconds if self.number == 0 else 0.0, float(signum > 0)])])
        seconds, signals = total.numpy()
        return float(seconds), signum or (signal.SIGINT if signals else 0)

    @contextmanager
    def writing(self, settings: TrainingSettings) -> Iterator[TrainingSettings]:
        """Settings by which the chief writes where it should, and the others to a folder that is removed in the end.

        Raises
        ------
        UserError
            If another process is gone.
        """
        try:
            if self.number == 0:
                yield settings
                return
            logging.getLogger("lowlight.training").setLevel(logging.WARNING)  # the chief tells how it goes
            with tempfile.TemporaryDirectory() as folder:
                yield dataclasses.replace(settings, output=Path(folder))
        except Exception as error:
            if self.strategy is None or type(error).__name__ not in LOST:
                raise
            raise UserError(
                f"Another process of the training ended; what it wrote last says why. Received: {CLUSTER} with "
                f"{self.count} processes. Start all of them again: they go on from what was saved."
            ) from error

    def _reduced(self, tensors) -> list:
        """The sum of all processes' tensors, for each."""
        tf = _tensorflow()

        def together(*own):  # each on a device, by which it is found
            return tf.distribute.get_replica_context().all_reduce("SUM", [tf.identity(tensor) for tensor in own])

        results = self.strategy.run(together, args=tuple(tensors))
        return [self.strategy.experimental_local_results(total)[0] for total in results]


def shared(devices: Literal["one", "all"]) -> bool:
    """Whether this process is to train together with others, which `TF_CONFIG` names."""
    return devices == "all" and CLUSTER in os.environ


def joined(devices: Literal["one", "all"]) -> Processes:
    """The processes that `TF_CONFIG` names, once all of them are there; else, or for one device, this one alone.

    Raises
    ------
    UserError
        If Keras does not run on TensorFlow, which can be joined no more or is told what does not make sense, or this
        process has several GPUs.
    """
    if not shared(devices):
        return Processes()
    tf = _tensorflow()
    members, number = _members()
    LOG.info("process %d of %d, %s: waiting for the others", number + 1, len(members), members[number])
    try:
        with _ending_at_once():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise UserError(
            f"Processes are joined before a model is used. Received: {error}. Train by a command of its own: "
            "lowlight train."
        ) from error
    if strategy.num_replicas_in_sync != len(members):
        raise UserError(
            f"Each process trains on one GPU. Received: {len(strategy.extended.worker_devices)} of them. Start a "
            "process for each, with CUDA_VISIBLE_DEVICES=0, 1 …"
        )
    return Processes(strategy, number)


def _members() -> tuple[Sequence[str], int]:
    """All processes of the cluster, by HOST:PORT, and the number of this one."""
    given = os.environ[CLUSTER]
    try:
        config = json.loads(given)
        chiefs, task = config["cluster"].get("chief", []), config["task"]
        members = [*chiefs, *config["cluster"]["worker"]]
        number = int(task["index"]) + len(chiefs) * (task["type"] == "worker")
        if task["type"] not in ("chief", "worker") or not 0 <= number < len(members):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{CLUSTER} must be JSON that names all workers, and which of them this is. Received: {given}. Write it as "
            '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}.'
        ) from None
    return members, number


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Let signals to end do so while TensorFlow waits, where Python would hear of none."""
    previous = {signum: signal.signal(signum, signal.SIG_DFL) for signum in heeded_signals()}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _tensorflow() -> Any:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UserError(f"Several devices need TensorFlow. Received: --devices all with {backend}. Leave it out.")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # else it tells of every weight how the devices agree on it
    return tf
