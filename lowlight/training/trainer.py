"""Train a model by its recipe: compile, fit, validate by scene, keep the best, go on after a crash."""

import contextlib
import dataclasses
import gc
import json
import logging
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from lowlight.backend import keras, refuse_without_training
from lowlight.data import splits
from lowlight.data.loaders import Batches, Crops, GlobalCrops, Patches, check_crop, fitting_crop
from lowlight.data.pairs import Split, write_split
from lowlight.data.samplers import Remembered
from lowlight.errors import UserError
from lowlight.inference.enhancer import Enhancer
from lowlight.metrics.evaluate import evaluate, mean, untouched
from lowlight.networks import architectures
from lowlight.networks.widening import widen
from lowlight.settings import TrainingSettings
from lowlight.system import counted
from lowlight.training import card, checkpoint, stages
from lowlight.training.callbacks import (
    Averages,
    Clock,
    Ending,
    Finite,
    LearningRate,
    Saving,
    refuse_if_diverged,
    stop_on_signal,
)
from lowlight.training.devices import Processes, distributed, joined
from lowlight.training.losses import LOSSES
from lowlight.training.objectives import EXPOSURE, compiled, part_of, precision
from lowlight.training.progress import TrainingProgress
from lowlight.training.validation import validate
from lowlight.zoo import cards, registry
from lowlight.zoo.recipes import Recipe, recipe

LOG = logging.getLogger(__name__)

MORE = {"widths", "black_point", "coring"}
"""Settings of a graph with which it can start from the weights of one that has fewer channels, no black point, or no
coring."""


def train(
    settings: TrainingSettings,
    generation: str,
    pairs: tuple[Split, dict] | None = None,
) -> Path:
    """Train a model, or go on training it; the best weights on validation are kept.

    What happens is said to the logger `lowlight.training`, a line an epoch.

    Parameters
    ----------
    settings : TrainingSettings
    generation : {"old", "latest"}
        Of the script that asks; the model must be of it.
    pairs : tuple of Split and dict, optional
        As `lowlight.data.splits.load_pairs` gives them, where they are loaded already.

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
    refuse_without_training()
    plan = stages.adapted(recipe(settings.model, generation), settings)
    check_crop(plan.crop, architectures.STRIDE)  # before the pairs are checked, which takes a while; so is the next
    if settings.start is not None:
        registry.check(settings.start)
    split, about = pairs or splits.load_pairs(settings)
    plan = dataclasses.replace(plan, crop=fitting_crop(split.train, plan.crop, architectures.STRIDE))
    made_by = _unchangeable(plan, settings, split)
    processes = joined(settings.devices)
    with processes.writing(settings) as own, checkpoint.claimed(own.run_folder, _again(settings)):
        _train(plan, own, split, about, made_by, processes)
    return settings.run_folder


def _train(plan, settings, split, about, made_by, processes):
    folder = settings.run_folder
    checkpoint.refuse_another(folder, plan.name)
    state = processes.of_chief(checkpoint.open_run(folder, made_by, settings.resume, settings.overwrite))
    if processes.number:
        state.best_loss = None  # the best weights are the chief's; here are none yet
    write_split(split, folder / "split.json")
    if settings.all_pairs:
        split = dataclasses.replace(split, train=split.train + split.val, val=())
        plan = dataclasses.replace(plan, keep_last=True)
    if state.total_steps:
        LOG.info("going on after step %s (%.1f minutes trained)", state.total_steps, state.seconds / 60)
    # Else NumPy's threads, where batches are made, fight the framework's inside small matrix products.
    with threadpool_limits(1, user_api="blas"):
        for number in range(min(state.stage, len(plan.stages) - 1), len(plan.stages)):
            Trainer(plan, number, settings, split, about, state, processes).run()
    why = "the last" if plan.keep_last else "of the lowest validation loss"
    scored = f": validation PSNR {state.best_psnr:.2f} dB" if split.val else ""
    LOG.info("kept the weights of epoch %.4g, %s%s; weights and card in %s", state.best_epoch, why, scored, folder)
    if split.val:
        _warn_if_worse_than_untouched(split.val, state.best_psnr)
    LOG.info("steps waited for data in %.1f%% of the time", 100 * state.waited / max(state.seconds, 1e-9))


def _warn_if_worse_than_untouched(pairs, psnr):
    """Weights that are dead, as after a learning rate far too high, have a finite loss like others."""
    before = mean(evaluate(untouched, pairs, with_ssim=False))["psnr"]
    if psnr < before:
        LOG.warning(
            "validation photos come out worse than they are untouched (%.2f dB): train for longer, or give a lower "
            "--learning-rate",
            before,
        )


class Trainer:
    """One stage of a run: the part that learns, the whole model that is measured and saved, where the run stands."""

    def __init__(
        self,
        recipe: Recipe,
        number: int,
        settings: TrainingSettings,
        split: Split,
        about: dict,
        state: checkpoint.State,
        processes: Processes,
    ):
        self.recipe, self.stage = recipe, recipe.stages[number]
        self.last = number + 1 == len(recipe.stages)
        self.plan, self.part = stages.planned(recipe, self.stage, settings), self.stage.part
        self.settings, self.split, self.about = settings, split, about
        self.state, self.folder = state, settings.run_folder
        if len(recipe.stages) > 1:
            LOG.info("stage %s of %s: %s", number + 1, len(recipe.stages), self.part or "the whole model")
        plan = self.plan
        keras.utils.set_random_seed(settings.seed)
        with distributed(settings.devices):
            self.whole = architectures.build(plan.architecture, precision(settings.mixed_precision), **plan.settings)
            self.model = compiled(plan, part_of(self.whole, self.part), self.part)
        self.processes = processes
        processes.average(self.model.optimizer)
        self.measured = architectures.build(plan.architecture, **plan.settings)
        self.learnt = part_of(self.measured, self.part)
        self.enhancer = Enhancer(self.measured)
        self.earlier: dict = {}
        self.started_from = self._start(settings.start) if settings.start is not None else None
        if state.arrays:
            self._restore()
        self.averages = self._averages()
        self.batches = self._batches()
        self.batches.inputs = tuple(self.model.input)
        self.batches.workers = settings.workers
        self.batches.share = processes.share(self.batches.batch_size)
        self.batches.outputs = tuple(self.model.output) if isinstance(self.model.output, dict) else ("output",)
        self.schedule = keras.optimizers.schedules.ExponentialDecay(plan.learning_rate, 1, plan.final_rate)

    def run(self) -> None:
        """Train to the end of the stage's budget, or to Ctrl-C.

        Raises
        ------
        UserError
            If the loss or a weight is no number any more, or a photo cannot be read.
        KeyboardInterrupt
            After a signal to end, once what was learnt is saved; with the number of the signal.
        """
        ending = Ending(self.state, lambda: self.done >= 1, self.processes)
        if self.done >= 1 and self.state.history and self.last:
            epochs, minutes = self.state.epoch, self.state.seconds / 60
            LOG.warning(
                "nothing is left to train after %s, %.1f minutes: give more of them", counted(epochs, "epoch"), minutes
            )
        with TrainingProgress() as self.progress, stop_on_signal(ending):
            callbacks = self._callbacks(ending)
            while self.done < 1 or not self.state.history:
                self.batches.epoch, self.batches.first = self.state.epoch, self.state.step
                history = self._fit(callbacks)
                gc.collect()  # else the thread that reads ahead, after a stop in an epoch, has the process never end
                if ending.signal and self.state.step < self.batches.steps:
                    self.save_state()  # first: scores take minutes, and whoever asked may not wait
                    LOG.info("stopping: step %s is saved; scores follow, or Ctrl-C again", self.state.total_steps)
                    self._validate_and_keep()
                    self.save_state()
                else:
                    self._end_epoch({name: _last(history, name) for name in ("loss", "psnr", "mae", "mse")})
                    ending.agree()
                if ending.signal:
                    next_time = "the run is finished" if self.state.finished else f"{_again(self.settings)} goes on"
                    LOG.info("stopped and saved after step %s; %s", self.state.total_steps, next_time)
                    raise KeyboardInterrupt(ending.signal)
        if not self.last:
            self._take_over()  # gone on with at its end, a stage has measured nothing
            self.state.next_stage(card.facts(self), self.measured.get_weights())
            checkpoint.save(self.state, self.folder)

    def _fit(self, callbacks) -> dict:
        try:
            return self.model.fit(self.batches, verbose=0, shuffle=False, callbacks=callbacks).history
        except Exception:
            if self.batches.error:
                raise self.batches.error from None
            raise

    @property
    def done(self) -> float:
        """Share of the stage's budget that is used up."""
        began, share = self.state.stage_began, self.stage.share
        if self.settings.minutes is not None:
            return min(1.0, (self.state.seconds - began["seconds"]) / (60 * self.settings.minutes * share))
        epochs = self.state.epoch + self.state.step / self.batches.steps - began["epoch"]
        return min(1.0, epochs / (self.plan.epochs * share))

    @property
    def rate(self) -> float:
        """The learning rate of now."""
        steps = self.state.total_steps - self.state.stage_began["steps"]
        warmth = min(1.0, max((steps + 1) / (self.plan.warm_up + 1), 10 * self.done))  # a brief run is no warm-up alone
        return warmth * float(self.schedule(self.done))

    def save_state(self) -> None:
        """Write all that is needed to go on from here."""
        self.state.arrays = {
            "model": [np.asarray(v) for v in _variables(self.model)],
            "optimizer": [np.asarray(v) for v in self.model.optimizer.variables],
            "averages": self.averages.values if self.averages else [],
            "whole": self.measured.get_weights() if self.state.stage else [],
        }
        checkpoint.save(self.state, self.folder)

    def _callbacks(self, ending) -> list[keras.callbacks.Callback]:
        """In the order in which they act after a step: saved is what the others have brought up to date."""
        state, steps = self.state, self.batches.steps

        def show(batch, logs):
            self.progress.step(state, steps, self.done, logs)

        return [
            Clock(state),
            LearningRate(state, lambda: self.rate, self.plan.warm_up),
            Finite(state),
            *filter(None, [self.averages]),
            keras.callbacks.LambdaCallback(on_train_batch_end=show),
            Saving(state, steps, self.save_state),
            ending,
        ]

    def _averages(self) -> Averages | None:
        if not self.plan.average:
            return None
        return Averages(self.state, self.plan.average, self.state.arrays.get("averages") or self.model.get_weights())

    def _batches(self) -> Batches:
        plan, train, seed = self.plan, self.split.train, self.settings.seed
        if plan.generation == "old":
            return Patches(train, plan.crop, plan.batch_size, seed)
        if plan.architecture != "global_local":
            return Crops(train, plan.crop, plan.crops_per_photo, plan.batch_size, seed, plan.flips)
        crops, exposures, more = splits.sources(self.settings, plan, self.split)
        if self.settings.remember:
            predict = self.before.predict_on_batch
            exposures = [exposures[0], *((share, Remembered(source, predict)) for share, source in exposures[1:])]
        self.about = self.about | more
        return GlobalCrops(crops, exposures, len(train) * plan.crops_per_photo, plan.crop, plan.batch_size, seed)

    def _start(self, name) -> dict:
        """Take the weights of a trained model; what its card calls them."""
        earlier, its_card = registry.load_network(name)
        cards.refuse_without_training(its_card, f"--start {name}")
        if _but_for_more(its_card["architecture"]) != _but_for_more(self.plan.graph):
            raise UserError(
                f"The weights to start from are of another graph. Received: --start {name} for model "
                f"{self.plan.number}, a {self.plan.architecture}. Name a model of that graph."
            )
        try:
            for model in (self.whole, self.measured):
                widen(earlier, model, self.settings.seed)
        except ValueError as error:
            raise UserError(
                f"A model starts from one that is as wide, or from a narrower one. {error} Name another by --start."
            ) from error
        if self.settings.all_pairs and not card.validated(its_card):
            raise UserError(
                f"Weights that go on with the validation pairs must have been measured on them. Received: --start "
                f"{name} without scores in its card. Measure it (performance_latest.py --evaluate-only "
                f"--weights {name}), then: python -m lowlight.benchmark.publish --scores {name}"
            )
        self.earlier = its_card
        if self.settings.remember:
            self.before = part_of(earlier, EXPOSURE)
        return {"name": its_card["name"], "sha256": its_card["weights"]["sha256"]}

    def _restore(self):
        if whole := self.state.arrays.get("whole"):
            self.whole.set_weights(whole)
            self.measured.set_weights(whole)
        if "model" not in self.state.arrays:
            return
        owners = {"model": _variables(self.model), "optimizer": self.model.optimizer.variables}
        for owner, variables in owners.items():
            for variable, value in zip(variables, self.state.arrays[owner], strict=True):
                variable.assign(value)

    def _take_over(self):
        """Give the model that is measured what has been learnt: the averages, where there are any."""
        self.learnt.set_weights(self.averages.values if self.averages else self.model.get_weights())

    def _end_epoch(self, train_scores):
        state = self.state
        if state.step >= self.batches.steps:
            state.epoch, state.step = state.epoch + 1, 0
        epoch = state.epoch + state.step / self.batches.steps
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        val_scores = self._validate_and_keep(epoch)
        state.finished = self.last and self.done >= 1
        facts = {"epoch": epoch, "step": state.total_steps, "minutes": state.seconds / 60, "learning_rate": rate}
        if len(self.recipe.stages) > 1:
            facts["stage"] = state.stage + 1
        state.history.append(facts | train_scores | val_scores)
        self.save_state()
        card.write(self)
        self.progress.epoch_ended(state.history[-1], state.best_psnr)

    def _validate_and_keep(self, epoch=None):
        """Score the validation photos, whole; keep the weights if their loss is the lowest so far.

        Not if their PSNR is the highest: that is decided by how bright the unseen truths happen to be.
        """
        start = time.monotonic()
        state = self.state
        self._take_over()
        scores = {"val_loss": np.nan, "val_psnr": np.nan}
        if self.split.val:
            with contextlib.suppress(FloatingPointError):  # the last step has spoilt the weights
                scores = validate(self.enhancer, self.split.val, LOSSES[self.plan.loss], oracle=self.part != EXPOSURE)
            refuse_if_diverged(scores["val_loss"], state)
        total = sum(np.sum(weight, dtype=float) for weight in self.learnt.get_weights())
        refuse_if_diverged(total, state, "the weights are no numbers")  # of which no loss may tell: it is from before
        state.seconds += time.monotonic() - start
        if state.best_loss is None or scores["val_loss"] < state.best_loss or self.plan.keep_last:
            state.best_loss, state.best_psnr = scores["val_loss"], scores["val_psnr"]
            state.best_epoch = epoch if epoch is not None else state.epoch + state.step / self.batches.steps
            if not (self.folder / checkpoint.STATE).exists():
                self.save_state()  # first: weights without a state are not trained over
            registry.save_weights(self.measured, self.folder / f"{self.plan.name}{registry.WEIGHTS_SUFFIX}")
            card.write(self)
        return scores


def _again(settings) -> str:
    """Which command goes on with a run that stops."""
    return "the same command" + " without --overwrite" * settings.overwrite


def _but_for_more(graph) -> dict:
    """What a card calls a graph, but for the settings with which it goes on from one without them."""
    settings = {name: value for name, value in graph["settings"].items() if name not in MORE}
    return graph | {"settings": settings}


def _last(history, name) -> float:
    """Of the model's one output, or of the first of several; nan where that is no photo."""
    return (history.get(name) or history.get(f"output_{name}") or [np.nan])[-1]


def _unchangeable(plan, settings, split) -> dict:
    """What a run cannot change midway, as JSON gives it back."""
    facts = dataclasses.asdict(plan) | {
        name: getattr(settings, name) for name in ("seed", "mixed_precision", "start", "part", "all_pairs")
    }
    facts |= {"remember": True} if settings.remember else {}
    facts |= {name: [str(folder) for folder in getattr(settings, name)] for name in ("also", "clean")}
    facts |= {"train pairs": [p.name for p in split.train], "val pairs": [p.name for p in split.val]}
    facts[checkpoint.SIZE] = sum(photo.stat().st_size for p in split.train for photo in (p.low, p.high))
    return json.loads(json.dumps({key: value for key, value in facts.items() if key not in ("epochs", "idea", "why")}))


def _variables(model):
    """Weights, statistics and the random state of dropout."""
    return model.trainable_variables + model.non_trainable_variables
