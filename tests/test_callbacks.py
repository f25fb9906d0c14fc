"""What happens while a model trains, step by step: time is counted, averages move, the state is saved."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from lowlight.training import callbacks
from lowlight.training.checkpoint import State


@pytest.fixture
def at(monkeypatch):
    """A function that sets what the clock shows at each look at it."""

    def at(*times):
        monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=partial(next, iter(times))))

    return at


def weights(value):
    return [np.full((2, 3), value, np.float32), np.full(3, value, np.float32)]


def model_of(value):
    return SimpleNamespace(get_weights=lambda: weights(value))


def test_seconds_are_counted_from_one_step_to_the_next_and_those_that_it_waited_for_its_batch(at):
    at(100, 103, 110, 112, 120)
    clock = callbacks.Clock(State({}, step=4, total_steps=20, seconds=1000.0, waited=50.0))
    clock.on_train_begin()
    for step in range(2):
        clock.on_train_batch_begin(step)
        clock.on_train_batch_end(step)
    state = clock.state
    assert (state.step, state.total_steps, state.seconds, state.waited) == (6, 22, 1020.0, 55.0)


@pytest.mark.parametrize(
    ("warm_up", "looks"),
    [(0, [3, 8, 16]), (2, [3, 4, 5, 8, 16])],
)
def test_the_rate_is_set_at_each_step_of_the_warm_up_of_a_stage_and_every_eight(warm_up, looks):
    """Else the first steps of a later stage would be at the whole rate, and all of a brief one at that of its first."""
    state = State({}, stage_began={"epoch": 1, "steps": 3, "seconds": 2.0})
    asked = []
    callback = callbacks.LearningRate(state, lambda: asked.append(state.total_steps), warm_up)
    callback.set_model(SimpleNamespace(optimizer=SimpleNamespace()))
    for state.total_steps in range(3, 20):
        callback.on_train_batch_begin(state.total_steps)
    assert asked == looks


@pytest.mark.parametrize(
    ("steps", "kept"),
    [(7, 1), (8, 2 / 11), (80_000, 0.99**8)],
    ids=["between two looks", "at the first look", "later"],
)
def test_averages_keep_little_of_the_first_weights_and_later_the_momentum_of_eight_steps(steps, kept):
    """Of the first n looks (1 + n) / (10 + n) at most, as TensorFlow's moving averages do with their updates."""
    state = State({}, total_steps=steps - 1)
    averages = callbacks.Averages(state, 0.99, weights(1.0))
    averages.set_model(model_of(0.0))
    state.total_steps = steps
    averages.on_train_batch_end(0)
    for average, expected in zip(averages.values, weights(kept), strict=True):
        np.testing.assert_allclose(average, expected, rtol=1e-6)


def saved_after(steps, steps_of_epoch) -> list[int]:
    """After which of so many steps the state is saved."""
    state, saved = State({}), []
    saving = callbacks.Saving(state, steps_of_epoch, lambda: saved.append(state.step))
    saving.set_model(model_of(0.0))
    for step in range(1, steps + 1):
        state.step = step
        saving.on_train_batch_end(step)
    return saved


def test_the_state_is_saved_every_few_seconds_of_an_epoch_but_not_after_its_last_step(at):
    at(0, 4, 6, 6, 6, 10, 12, 12, 12, 99)  # at the start, after each step, and twice after each saving
    assert saved_after(5, steps_of_epoch=5) == [2, 4]


def test_a_large_model_is_saved_so_seldom_that_it_takes_a_fiftieth_of_the_time(at):
    at(0, 6, 6, 8, 106, 109, 109, 109)  # saving takes two seconds the first time: a hundred pass after it
    assert saved_after(3, steps_of_epoch=9) == [1, 3]
