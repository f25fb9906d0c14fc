"""Train a model by its recipe: compile, fit, validate by scene, keep the best, go on after a crash."""

import contextlib
import dataclasses
import gc
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lowlight.backend import keras
from lowlight.data import splits
from lowlight.data.loaders import Batches, Crops, GlobalCrops, Patches, fitting_crop
from lowlight.data.pairs import Split, write_split
from lowlight.errors import UserError
from lowlight.inference.enhancer import Enhancer
from lowlight.networks import architectures
from lowlight.settings import TrainingSettings
from lowlight.system import heeded_signals, machine
from lowlight.training import checkpoint
from lowlight.training.losses import LOSSES
from lowlight.training.objectives import GUESS, compiled, part_of, precision
from lowlight.training.progress import TrainingProgress
from lowlight.training.validation import validate
from lowlight.zoo import registry
from lowlight.zoo.recipes import Recipe, recipe

LOOK_EVERY = 8
"""Steps between two looks at the loss, the averages and the learning rate."""

VIEWS_A_CROP = 8
"""Of the whole photos that the guess learns from, so many are seen for each crop that a whole model would see."""


def train(
    settings: TrainingSettings,
    generation: str,
    announce: Callable[[str], None] = print,
    pairs: tuple[Split, dict] | None = None,
) -> Path:
    """Train a model, or go on training it; the best weights on validation are kept.

    Parameters
    ----------
    settings : TrainingSettings
    generation : {"old", "latest"}
        Of the script that asks; the model must be of it.
    announce : callable
        Takes each line of news.
    pairs : tuple of Split and dict, optional
        As `lowlight.data.splits.load` gives them, where they are loaded already.

    Returns
    -------
    Path
        The run's folder: weights, card, history.csv, split.json and the state to go on from.

    Raises
    ------
    UserError
        If settings, pairs or the output folder are not right.
    KeyboardInterrupt
        After Ctrl-C, once what was learnt is saved.
    """
    plan = _adapt(recipe(settings.model, generation), settings)
    split, about = pairs or splits.load(settings)
    plan = dataclasses.replace(plan, crop=fitting_crop(split.train, plan.crop, architectures.STRIDE))
    made_by = _unchangeable(plan, settings, split)
    with checkpoint.claimed(settings.run_folder):
        _train(plan, settings, split, about, made_by, announce)
    return settings.run_folder


def _train(plan, settings, split, about, made_by, announce):
    folder = settings.run_folder
    state = checkpoint.open_run(folder, made_by, settings.resume, settings.overwrite)
    write_split(split, folder / "split.json")
    if settings.all_pairs:
        split = dataclasses.replace(split, train=split.train + split.val, val=())
        plan = dataclasses.replace(plan, keep_last=True)
    if state.total_steps:
        announce(f"going on after step {state.total_steps} ({state.seconds / 60:.1f} minutes trained)")
    trainer = Trainer(plan, settings, split, about, state, announce)
    trainer.run()
    why = "the last" if plan.keep_last else "of the lowest validation loss"
    scored = f": validation PSNR {state.best_psnr:.2f} dB" if split.val else ""
    announce(f"kept the weights of epoch {state.best_epoch:.4g}, {why}{scored}; weights and card in {folder}")


class Trainer:
    """One run: the model that learns, its copy that is measured and saved, and where the run stands."""

    def __init__(
        self, plan: Recipe, settings: TrainingSettings, split: Split, about: dict, state: checkpoint.State, announce
    ):
        self.plan, self.settings, self.split, self.about = plan, settings, split, about
        self.state, self.announce, self.folder = state, announce, settings.run_folder
        keras.utils.set_random_seed(settings.seed)
        whole = architectures.build(plan.architecture, precision(settings.mixed_precision), **plan.settings)
        self.model = compiled(plan, part_of(whole, settings.part), settings.part)
        self.measured = architectures.build(plan.architecture, **plan.settings)
        self.learnt = part_of(self.measured, settings.part)
        self.enhancer = Enhancer(self.measured)
        self.started_from = self._start(settings.start, whole) if settings.start else None
        self.averages = self.model.get_weights() if plan.average else None
        if state.arrays:
            self._restore()
        self.batches = self._batches()
        self.batches.inputs = tuple(self.model.input)
        self.batches.outputs = tuple(self.model.output) if isinstance(self.model.output, dict) else ("output",)
        self.schedule = keras.optimizers.schedules.ExponentialDecay(plan.learning_rate, 1, plan.final_rate)

    def run(self) -> None:
        """Train to the end of the budget, or to Ctrl-C."""
        watch = Watch(self)
        with TrainingProgress(self.announce) as self.progress, _stop_on_interrupt(watch):
            while self.done < 1 or not self.state.history:
                self.batches.epoch, self.batches.first = self.state.epoch, self.state.step
                watch.start()
                history = self.model.fit(self.batches, verbose=0, shuffle=False, callbacks=[watch]).history
                gc.collect()  # else the thread that reads ahead, after a stop in an epoch, has the process never end
                if watch.interrupted and self.state.step < self.batches.steps:
                    self._validate_and_keep()
                    self.save_state()
                else:
                    self._end_epoch({name: _last(history, name) for name in ("loss", "psnr", "mae", "mse")})
                if watch.interrupted:
                    self.announce(f"stopped and saved after step {self.state.total_steps}; the same command goes on")
                    raise KeyboardInterrupt(watch.interrupted)

    @property
    def done(self) -> float:
        """Share of the budget that is used up."""
        if self.settings.minutes is not None:
            return min(1.0, self.state.seconds / (60 * self.settings.minutes))
        return min(1.0, (self.state.epoch + self.state.step / self.batches.steps) / self.plan.epochs)

    @property
    def rate(self) -> float:
        """The learning rate of now."""
        warmth = min(1.0, (self.state.total_steps + 1) / (self.plan.warm_up + 1))
        return warmth * float(self.schedule(self.done))

    def save_state(self) -> None:
        """Write all that is needed to go on from here."""
        self.state.arrays = {
            "model": [np.asarray(v) for v in _variables(self.model)],
            "optimizer": [np.asarray(v) for v in self.model.optimizer.variables],
            "averages": self.averages or [],
        }
        checkpoint.save(self.state, self.folder)

    def update_averages(self, momentum: float) -> None:
        """Move the averages towards the weights of now."""
        for average, weight in zip(self.averages or [], self.model.get_weights(), strict=True):
            average += (1 - momentum) * (weight - average)

    def _batches(self) -> Batches:
        plan, train, seed = self.plan, self.split.train, self.settings.seed
        if plan.generation == "old":
            return Patches(train, plan.crop, plan.batch_size, seed, self.announce)
        if plan.architecture != "global_local":
            return Crops(train, plan.crop, plan.crops_per_photo, plan.batch_size, seed, plan.flips)
        crops, views, more = splits.sources(self.settings, plan, self.split)
        self.about = self.about | more
        times = VIEWS_A_CROP if self.settings.part == GUESS else 1
        count, batch_size = times * len(train) * plan.crops_per_photo, times * plan.batch_size
        return GlobalCrops(crops, views, count, plan.crop, batch_size, seed)

    def _start(self, name, whole) -> dict:
        """Take the weights of a trained model; what its card calls them."""
        earlier, card = registry.load_network(name)
        if card.get("architecture") != {"name": self.plan.architecture, "settings": self.plan.settings}:
            raise UserError(
                f"The weights to start from are of another graph. Received: --start {name} for model "
                f"{self.plan.number}, a {self.plan.architecture}. Name a model of that graph."
            )
        for model in (whole, self.measured):
            model.set_weights(earlier.get_weights())
        if self.settings.all_pairs and not _validated(card):
            raise UserError(
                f"Weights that go on with the validation pairs must have been measured on them. Received: --start "
                f"{name} without scores in its card. Measure it (performance_latest.py --evaluate-only "
                f"--weights {name}), then: python -m lowlight.benchmark.publish --scores {name}"
            )
        self.earlier = card
        return {"name": card["name"], "sha256": card["weights"]["sha256"]}

    def _restore(self):
        owners = {"model": _variables(self.model), "optimizer": self.model.optimizer.variables}
        for owner, variables in owners.items():
            for variable, value in zip(variables, self.state.arrays[owner], strict=True):
                variable.assign(value)
        if self.averages:
            self.averages = self.state.arrays["averages"]

    def _end_epoch(self, train_scores):
        state = self.state
        if state.step >= self.batches.steps:
            state.epoch, state.step = state.epoch + 1, 0
        epoch = state.epoch + state.step / self.batches.steps
        rate = float(self.model.optimizer.learning_rate)
        val_scores = self._validate_and_keep(epoch)
        state.finished = self.done >= 1
        facts = {"epoch": epoch, "step": state.total_steps, "minutes": state.seconds / 60, "learning_rate": rate}
        state.history.append(facts | train_scores | val_scores)
        self.save_state()
        self._write_card()
        self.progress.epoch_ended(state.history[-1], state.best_psnr)

    def _validate_and_keep(self, epoch=None):
        """Score the validation photos, whole; keep the weights if their loss is the lowest so far.

        Not if their PSNR is the highest: that is decided by how bright the unseen truths happen to be.
        """
        start = time.monotonic()
        state = self.state
        self.learnt.set_weights(self.averages or self.model.get_weights())
        told = self.settings.part != GUESS
        scores = {"val_loss": np.nan, "val_psnr": np.nan}
        if self.split.val:
            scores = validate(self.enhancer, self.split.val, LOSSES[self.plan.loss], told)
        state.seconds += time.monotonic() - start
        if state.best_loss is None or scores["val_loss"] < state.best_loss or self.plan.keep_last:
            state.best_loss, state.best_psnr = scores["val_loss"], scores["val_psnr"]
            state.best_epoch = epoch if epoch is not None else state.epoch + state.step / self.batches.steps
            registry.save_weights(self.measured, self.folder / f"{self.plan.name}.weights.h5")
            self._write_card()
        return scores

    def _write_card(self):
        plan, split = self.plan, self.split
        weights = self.folder / f"{plan.name}.weights.h5"
        data = {"train": len(split.train), "val": len(split.val), "test": len(split.test), "split": split.source}
        card = {
            "name": plan.name,
            "generation": plan.generation,
            "idea": plan.idea,
            "architecture": {"name": plan.architecture, "settings": plan.settings},
            "parameters": self.measured.count_params(),
            "recipe": dataclasses.asdict(plan)
            | {"seed": self.settings.seed, "mixed_precision": self.settings.mixed_precision},
            "data": self.about | data,
            "training": self._training(),
            "weights": {"file": weights.name, "sha256": registry.sha256(weights), "bytes": weights.stat().st_size},
            "versions": registry.versions(),
        }
        if self.settings.part == GUESS:  # the rest is as it was, and so is what its card tells
            card["recipe"] = self.earlier["recipe"]
            card["training"] = self.earlier["training"] | {"val_psnr": self._val_psnr()}
            card["guess_training"] = self._guess_training()
        if self.settings.all_pairs:
            card["validation"] = _validated(self.earlier)
        elif self.started_from and {"validation", "has_seen_validation"} & self.earlier.keys():
            card["has_seen_validation"] = True
        registry.write_card(self.folder / f"{plan.name}.json", card)

    def _training(self) -> dict:
        state = self.state
        crops = state.total_steps * self.batches.batch_size
        return {
            "epochs": round(state.epoch + state.step / self.batches.steps, 2),
            "steps": state.total_steps,
            "crops": crops,
            "megapixels": round(crops * self.plan.crop**2 / 1e6, 1),
            "minutes": round(state.seconds / 60, 1),
            "machine": machine(),
            "best_epoch": round(state.best_epoch, 2),
            "val_psnr": self._val_psnr(),
            "started_from": self.started_from,
        }

    def _val_psnr(self) -> float:
        if self.settings.all_pairs:
            return self.earlier["training"]["val_psnr"]
        return round(self.state.best_psnr, 4)

    def _guess_training(self) -> dict:
        facts = self._training()
        facts["photos"] = facts.pop("crops")
        del facts["megapixels"]
        return facts | {"learning_rate": self.plan.learning_rate, "seed": self.settings.seed, "data": self.about}


class Watch(keras.callbacks.Callback):
    """Looks up from the work every few steps: rate, averages, clock, state on disk, progress line."""

    def __init__(self, trainer: Trainer):
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
        if self.interrupted or (self.trainer.settings.minutes and self.trainer.done >= 1):
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


def _last(history, name) -> float:
    """Of the model's one output, or of the first of several; nan where that is no photo."""
    return (history.get(name) or history.get(f"output_{name}") or [np.nan])[-1]


def _validated(card) -> dict | None:
    """A model's scores on validation, before it saw those pairs."""
    return card.get("validation") or card.get("metrics", {}).get("val")


def _adapt(plan, settings):
    """The recipe with what the command line changes in it."""
    if settings.part and (plan.architecture != "global_local" or not settings.start):
        raise UserError(
            f"A part is trained of models 11 and 12 alone, from trained weights. Received: --part {settings.part} for "
            f"model {plan.number}{'' if settings.start else ' without --start'}. Give both, or leave it out."
        )
    names = ("epochs", "batch_size", "learning_rate", "crop")
    changes = {name: value for name in names if (value := getattr(settings, name)) is not None}
    if settings.all_pairs and not settings.start:
        raise UserError(
            "All pairs are only to go on with. Received: --all-pairs without --start. Name trained weights."
        )
    for name, value in changes.items() | {("minutes", settings.minutes or 1)}:
        if value <= 0:
            raise UserError(f"--{name.replace('_', '-')} must be above 0. Received: {value}.")
    return dataclasses.replace(plan, **changes)


def _unchangeable(plan, settings, split):
    facts = dataclasses.asdict(plan) | {
        name: getattr(settings, name) for name in ("seed", "mixed_precision", "start", "part", "all_pairs")
    }
    facts |= {name: [str(folder) for folder in getattr(settings, name)] for name in ("also", "clean")}
    facts |= {"train pairs": [p.name for p in split.train], "val pairs": [p.name for p in split.val]}
    facts |= {"mixture": list(plan.mixture), "views": list(plan.views)}  # as JSON gives it back
    return {key: value for key, value in facts.items() if key not in ("epochs", "idea", "why")}


def _variables(model):
    """Weights, statistics and the random state of dropout."""
    return model.trainable_variables + model.non_trainable_variables


@contextlib.contextmanager
def _stop_on_interrupt(watch):
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
