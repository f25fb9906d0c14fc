"""What happens while `fit` runs, each in a callback of its own: clock, rate, averages, state on disk, and its end."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import numpy as np

from lowlight.backend import keras
from lowlight.errors import UserError
from lowlight.system import heeded_signals
from lowlight.training.checkpoint import State
from lowlight.training.devices import Processes

LOOK_EVERY = 8
"""Steps between two looks at the loss, the averages and the learning rate."""


class Clock(keras.callbacks.Callback):
    """Counts the steps, their seconds, and those of the seconds that a step waited for its batch."""

    def __init__(self, state: State):
        super().__init__()
        self.state = state

    def on_train_begin(self, logs=None):
        self.since = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        self.state.waited += time.monotonic() - self.since

    def on_train_batch_end(self, batch, logs=None):
        state, now = self.state, time.monotonic()
        state.step, state.total_steps = state.step + 1, state.total_steps + 1
        state.seconds, self.since = state.seconds + now - self.since, now


class LearningRate(keras.callbacks.Callback):
    """Sets the learning rate to what `rate()` gives, at each step of a stage's warm-up and every few steps."""

    def __init__(self, state: State, rate: Callable[[], float], warm_up: int):
        super().__init__()
        self.state, self.rate, self.warm_up = state, rate, warm_up

    def on_train_batch_begin(self, batch, logs=None):
        steps = self.state.total_steps - self.state.stage_began["steps"]
        if steps <= self.warm_up or self.state.total_steps % LOOK_EVERY == 0:
            _sync(self.model)
            self.model.optimizer.learning_rate = self.rate()


class Finite(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more."""

    def __init__(self, state: State):
        super().__init__()
        self.state = state

    def on_train_batch_end(self, batch, logs=None):
        if self.state.total_steps % LOOK_EVERY == 0:
            refuse_if_diverged(logs["loss"], self.state)

    def on_epoch_end(self, epoch, logs=None):
        refuse_if_diverged(logs["loss"], self.state)


def refuse_if_diverged(value: float, state: State, what: str = "the loss is no number") -> None:
    """What is no number any more is neither gone on with nor kept.

    Raises
    ------
    UserError
        If the value is not finite; it says `what` that means.
    """
    if not np.isfinite(value):
        raise UserError(
            f"Training diverged: {what} any more. Received: {value} at step {state.total_steps}. Give a lower "
            "--learning-rate, and --overwrite to start anew."
        )


class Averages(keras.callbacks.Callback):
    """The exponential moving average of the weights, `values`, as `model.get_weights()` orders them.

    Parameters
    ----------
    state : State
    momentum : float
        Of a step; it is moved every few steps by as much.
    values : list of array
        Where the averages begin; they are changed in place.
    """

    def __init__(self, state: State, momentum: float, values: list[np.ndarray]):
        super().__init__()
        self.state, self.momentum, self.values = state, momentum**LOOK_EVERY, values
        self.looks = state.total_steps // LOOK_EVERY

    def on_train_batch_end(self, batch, logs=None):
        if self.state.total_steps % LOOK_EVERY == 0:
            _sync(self.model)
            self.looks += 1
            # Over few steps at first, or the first, random weights would stay in for long.
            self.move(self.model.get_weights(), min(self.momentum, (1 + self.looks) / (10 + self.looks)))

    def move(self, weights: list[np.ndarray], momentum: float) -> None:
        """Move the averages towards some weights."""
        for average, weight in zip(self.values, weights, strict=True):
            average += (1 - momentum) * (weight - average)


class Saving(keras.callbacks.Callback):
    """Calls `save()` every few seconds for small models, minutes for large ones: it may take a fiftieth of the time.

    Not after the last of the `steps` of an epoch, whose scores would be lost with the process.
    """

    def __init__(self, state: State, steps: int, save: Callable[[], None]):
        super().__init__()
        self.state, self.steps, self.save = state, steps, save
        self.saved_at, self.took = time.monotonic(), 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if now - self.saved_at > max(5.0, 50 * self.took) and self.state.step < self.steps:
            _sync(self.model)
            self.save()
            self.saved_at, self.took = time.monotonic(), time.monotonic() - now


class Ending(keras.callbacks.Callback):
    """Stops once `is_over()`, or when a signal asked to; of several processes all at one step.

    Parameters
    ----------
    state : State
    is_over : callable
        Whether the budget is used up.
    processes : Processes
    """

    def __init__(self, state: State, is_over: Callable[[], bool], processes: Processes):
        super().__init__()
        self.state, self.is_over, self.processes = state, is_over, processes
        self.asked = 0
        """The number of the signal that asked this process to stop, if one did."""
        self.signal = 0
        """That of the signal which all processes stop for."""

    def agree(self) -> None:
        """Have all processes know how long the chief has trained, and whether one was asked to stop."""
        self.state.seconds, self.signal = self.processes.agreed(self.state.seconds, self.asked)

    def on_train_batch_end(self, batch, logs=None):
        self.agree()
        if self.signal or self.is_over():
            _sync(self.model)
            self.model.stop_training = True


def _sync(model):
    if keras.backend.backend() == "jax":  # fit holds the variables' values elsewhere while it runs
        model.jax_state_sync()


@contextlib.contextmanager
def stop_on_signal(ending: Ending) -> Iterator[None]:
    """The first Ctrl-C, or other signal to end, asks `ending` to stop after the step; a second one ends at once."""

    def stop(signum, frame):
        ending.asked = signum
        restore()

    def restore():
        for signum, handler in previous.items():
            signal.signal(signum, handler)

    previous = {signum: signal.signal(signum, stop) for signum in heeded_signals()}
    try:
        yield
    finally:
        restore()
