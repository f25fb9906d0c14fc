"""Which stages a training goes through, and by which plan each: a recipe, and what the command line changes in it."""

import dataclasses
import logging
import math

import numpy as np

from lowlight.errors import UserError
from lowlight.settings import TrainingSettings, option
from lowlight.zoo.recipes import EXPOSURE_STAGE, Recipe, Stage

LOG = logging.getLogger(__name__)

FORMER_PARTS = {"guess": "exposure"}
"""What parts were called before."""

SET_BY_HAND = ("epochs", "batch_size", "learning_rate", "crop")

FLOAT32 = np.finfo(np.float32)

RANGES = {"learning_rate": (float(FLOAT32.tiny), float(FLOAT32.max)), "workers": (1, 1024)}
"""What a device holds, and how many threads a system does."""

RANGE = (0, 1e9)
"""Of all else: more would end with Python's floats."""


def adapted(plan: Recipe, settings: TrainingSettings) -> Recipe:
    """A recipe with what the command line changes in it.

    Raises
    ------
    UserError
        If settings are out of range or do not go together.
    """
    if settings.part in FORMER_PARTS:
        LOG.warning("--part %s is called --part %s now", settings.part, FORMER_PARTS[settings.part])
    _refuse_contradictions(plan, settings)
    changes = _by_hand(settings)
    _refuse_out_of_range(changes, settings)
    if settings.part:
        plan = dataclasses.replace(plan, stages=(_stage_of(FORMER_PARTS.get(settings.part, settings.part), plan),))
    return dataclasses.replace(_scaled(plan, settings.batch_scale), **changes)


def planned(plan: Recipe, stage: Stage, settings: TrainingSettings) -> Recipe:
    """The plan of one stage; what was set by hand holds in every stage, as the plan has it by now."""
    by_hand = {name: getattr(plan, name) for name in _by_hand(settings)}
    return dataclasses.replace(plan, **(stage.changes | by_hand | {"stages": (stage,)}))


def _refuse_contradictions(plan, settings):
    if settings.part and (plan.architecture != "global_local" or not settings.start):
        raise UserError(
            f"A part is trained of models 11 and up alone, from trained weights. Received: --part {settings.part} for "
            f"model {plan.number}{'' if settings.start else ' without --start'}. Give both, or leave it out."
        )
    if settings.all_pairs and not settings.start:
        raise UserError(
            "All pairs are only to go on with. Received: --all-pairs without --start. Name trained weights."
        )
    if settings.resume and settings.overwrite:
        raise UserError("A run is gone on with or begun anew. Received: --resume and --overwrite. Give one of them.")
    if settings.epochs is not None and settings.minutes is not None:
        raise UserError(
            f"A training ends by epochs or by minutes. Received: --epochs {settings.epochs} and --minutes "
            f"{settings.minutes:g}. Give one of them."
        )
    if settings.remember and settings.part not in ("exposure", *FORMER_PARTS):
        raise UserError("What is remembered is exposure. Received: --remember without --part exposure. Give both.")
    if settings.crop is not None and settings.part in ("exposure", *FORMER_PARTS):
        raise UserError(
            f"Exposure is learnt from whole photos. Received: --crop {settings.crop} with --part {settings.part}. "
            "Leave it out."
        )


def _refuse_out_of_range(changes, settings):
    counts = {name: getattr(settings, name) for name in ("minutes", "batch_scale", "workers")}
    for name, value in (changes | counts).items():
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{option(name)} must be a number above 0. Received: {value}.")
        least, most = RANGES.get(name, RANGE)
        if value is not None and not least <= value <= most:
            raise UserError(f"{option(name)} must be from {least:.4g} to {most:.4g}. Received: {value}.")
    if not 0 <= settings.seed < 2**32:
        raise UserError(f"--seed must be from 0 to {2**32 - 1}. Received: {settings.seed}.")


def _stage_of(part, plan) -> Stage:
    """All of a training, for one part; by the plan's own stage of that part if there is one."""
    known = {stage.part: stage for stage in (EXPOSURE_STAGE, *plan.stages)}
    found = known.get(part, Stage(part))
    return dataclasses.replace(found, share=1.0)


def _scaled(plan, factor) -> Recipe:
    """With batches `factor` times as large; Adam's learning rate goes by the square root (Malladi et al. 2022)."""
    by = {"batch_size": factor, "learning_rate": factor**0.5}

    def scaled(values):
        return {name: value * by.get(name, 1) for name, value in values.items()}

    stages = tuple(dataclasses.replace(stage, changes=scaled(stage.changes)) for stage in plan.stages)
    return dataclasses.replace(plan, stages=stages, **scaled({name: getattr(plan, name) for name in by}))


def _by_hand(settings) -> dict:
    return {name: value for name in SET_BY_HAND if (value := getattr(settings, name)) is not None}
