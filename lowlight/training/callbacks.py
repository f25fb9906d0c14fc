"""What happens while `fit` runs: learning rate, averages, clock, state on disk, progress line, and signals to stop."""

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lowlight.backend import keras
from lowlight.errors import UserError
from lowlight.system import heeded_signals

if TYPE_CHECKING:
    from lowlight.training.trainer import Trainer

LOOK_EVERY = 8
"""Steps between two looks at the loss, the averages and the learning rate."""


class Watch(keras.callbacks.Callback):
    """Looks up from the work every few steps: rate, averages, clock, state on disk, progress line."""

    def __init__(self, trainer: "Trainer"):
        super().__init__()
        self.trainer = trainer
        self.interrupted = 0
        """The number of the signal that asked to stop, if one did."""
        self.looks = trainer.state.total_steps // LOOK_EVERY
        self.saved_at, self.save_seconds = time.monotonic(), 0.0

    def start(self) -> None:
        """Take the time from here."""
        self.since = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        self.trainer.state.waited += time.monotonic() - self.since
        if self.trainer.state.total_steps % LOOK_EVERY == 0:
            self._sync()
            self.model.optimizer.learning_rate = self.trainer.rate

    def on_train_batch_end(self, batch, logs=None):
        state = self.trainer.state
        state.step, state.total_steps = state.step + 1, state.total_steps + 1
        now = time.monotonic()
        state.seconds, self.since = state.seconds + now - self.since, now
        if state.total_steps % LOOK_EVERY == 0:
            self._sync()
            self._check(logs["loss"])
            self._average()
        self.trainer.progress.step(state, self.trainer.batches.steps, self.trainer.done, logs)
        # Saving may take a fiftieth of the time: every few seconds for small models, minutes for large ones. Not after
        # the last step of an epoch, whose scores would be lost with the process.
        due = now - self.saved_at > max(5.0, 50 * self.save_seconds)
        if due and state.step < self.trainer.batches.steps:
            self._sync()
            self.trainer.save_state()
            self.saved_at, self.save_seconds = time.monotonic(), time.monotonic() - now
        if self.interrupted or self.trainer.done >= 1:
            self._sync()
            self.model.stop_training = True

    def _check(self, loss):
        if not np.isfinite(loss):
            raise UserError(
                f"Training diverged: the loss is no number any more. Received: {loss} at step "
                f"{self.trainer.state.total_steps}. Give a lower --learning-rate, and --overwrite to start anew."
            )

    def _average(self):
        """Average over few steps at first, or the first, random weights would stay in for long."""
        self.looks += 1
        if self.trainer.averages and self.trainer.plan.average:
            momentum = self.trainer.plan.average**LOOK_EVERY
            self.trainer.update_averages(min(momentum, (1 + self.looks) / (10 + self.looks)))

    def _sync(self):
        if keras.backend.backend() == "jax":  # fit holds the variables' values elsewhere while it runs
            self.model.jax_state_sync()


@contextlib.contextmanager
def stop_on_signal(watch: Watch) -> Iterator[None]:
    """The first Ctrl-C, or other signal to end, asks `watch` to stop after the step; a second one ends at once."""

    def stop(signum, frame):
        watch.interrupted = signum
        restore()

    def restore():
        for signum, handler in previous.items():
            signal.signal(signum, handler)

    previous = {signum: signal.signal(signum, stop) for signum in heeded_signals()}
    try:
        yield
    finally:
        restore()
