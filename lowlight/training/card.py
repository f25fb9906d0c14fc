"""What a model's card tells of its training: recipe, data, and the stages as they ran."""

import dataclasses
from pathlib import Path
from typing import Any, Protocol

from lowlight.backend import keras
from lowlight.data.loaders import Batches
from lowlight.data.pairs import Split
from lowlight.settings import TrainingSettings
from lowlight.system import machine, versions
from lowlight.training.checkpoint import State
from lowlight.zoo import registry
from lowlight.zoo.cards import stages_of
from lowlight.zoo.recipes import Recipe, Stage


class Training(Protocol):
    """What a card tells of: a `lowlight.training.trainer.Trainer`."""

    settings: TrainingSettings
    recipe: Recipe
    """Of all stages."""
    plan: Recipe
    """Of the stage that is trained."""
    stage: Stage
    split: Split
    about: dict[str, Any]
    """The data."""
    batches: Batches
    state: State
    folder: Path
    measured: keras.Model
    earlier: dict[str, Any]
    """The card of the model that it started from, if it did."""
    started_from: dict[str, Any] | None


def write(trainer: Training) -> None:
    """Write the card of the weights that lie in a run's folder."""
    plan, split = trainer.plan, trainer.split
    weights = trainer.folder / f"{plan.name}{registry.WEIGHTS_SUFFIX}"
    data = {"train": len(split.train), "val": len(split.val), "test": len(split.test), "split": split.source}
    earlier = trainer.earlier
    stages = [*stages_of(earlier), *trainer.state.stages, facts(trainer)]
    card: dict[str, Any] = {
        "name": plan.name,
        "generation": plan.generation,
        "idea": plan.idea,
        "architecture": plan.graph,
        "parameters": trainer.measured.count_params(),
        "recipe": dataclasses.asdict(trainer.recipe)
        | {"seed": trainer.settings.seed, "mixed_precision": trainer.settings.mixed_precision},
        "data": trainer.about | data,
        "training": _training(trainer),
        "stages": stages,
        "weights": registry.facts_of(weights),
        "versions": versions(),
    }
    if trainer.settings.part and earlier["name"] == plan.name:  # the rest is as it was, as is what its card tells
        card["recipe"] = earlier["recipe"]
        card["training"] = earlier["training"] | {"val_psnr": _val_psnr(trainer)}
    if trainer.settings.all_pairs:
        card["validation"] = validated(earlier)
    elif trainer.started_from and {"validation", "has_seen_validation"} & earlier.keys():
        card["has_seen_validation"] = True
    registry.write_card(trainer.folder / f"{plan.name}.json", card)


def facts(trainer: Training) -> dict[str, Any]:
    """What a card says of the stage that is trained, as far as it is."""
    plan, state = trainer.plan, trainer.state
    steps = state.total_steps - state.stage_began["steps"]
    loss = {} if trainer.stage.part == "exposure" else {"loss": plan.loss}
    remembered = {"remembered": True} if trainer.settings.remember else {}
    return {
        **loss,
        **remembered,
        "part": trainer.stage.part or "whole",
        "steps": steps,
        "samples": steps * trainer.batches.batch_size,
        "batch_size": trainer.batches.batch_size,
        "minutes": round((state.seconds - state.stage_began["seconds"]) / 60, 1),
        "learning_rate": plan.learning_rate,
        "final_rate": plan.final_rate,
        "seed": trainer.settings.seed,
        "mixture": list(plan.exposure_mixture if trainer.stage.part == "exposure" else plan.mixture),
        "data": trainer.about,
        "started_from": trainer.started_from,
        "machine": machine(),
    }


def validated(card: dict) -> dict | None:
    """A model's scores on validation, before it saw those pairs."""
    return card.get("validation") or card.get("metrics", {}).get("val")


def _training(trainer) -> dict:
    state = trainer.state
    samples = sum(stage["samples"] for stage in [*state.stages, facts(trainer)] if stage["part"] != "exposure")
    return {
        "epochs": round(state.epoch + state.step / trainer.batches.steps, 2),
        "steps": state.total_steps,
        "crops": samples,
        "megapixels": round(samples * trainer.plan.crop**2 / 1e6, 1),
        "minutes": round(state.seconds / 60, 1),
        "waited_for_data": round(state.waited / max(state.seconds, 1e-9), 3),
        "machine": machine(),
        "best_epoch": round(state.best_epoch, 2),
        "val_psnr": _val_psnr(trainer),
        "started_from": trainer.started_from,
    }


def _val_psnr(trainer) -> float:
    if trainer.settings.all_pairs:
        return trainer.earlier["training"]["val_psnr"]
    return round(trainer.state.best_psnr, 4)
