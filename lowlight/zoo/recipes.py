"""The ladder of models: each recipe holds all that training needs, and adds one idea to the one before."""

import dataclasses
from typing import Any, Literal

from lowlight.errors import UserError


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a training: what of the model learns, for how much of the budget, and what differs from the recipe."""

    part: Literal["exposure", "restoration"] | None = None
    """What learns, as `lowlight.training.objectives.part_of` has it; None: all of the model."""
    share: float = 1.0
    """Of the epochs or minutes of the whole training."""
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of the recipe that have other values in this stage."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one model is built and trained."""

    number: int
    idea: str
    """The one new idea, in a sentence."""
    why: str
    """What that idea is good for, and what the shipped weights showed of it."""
    architecture: str
    """A name in `lowlight.networks.architectures.BUILDERS`, and its settings."""
    settings: dict[str, Any]
    parameters: int
    """How many the graph has, those of batch normalisation's statistics included."""
    generation: Literal["old", "latest"] = "latest"
    loss: str = "mae"
    """A name in `lowlight.training.losses.LOSSES`."""
    mixture: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """Shares of the crops: of the pairs of --data, of --also, and of clean photos darkened on the fly."""
    exposure_mixture: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """The same shares, of the whole photos that the prediction of exposure learns from."""
    crop: int = 128
    """Side of the square crops in pixels. Old: the grid of patches that the photos are cut into."""
    batch_size: int = 8
    crops_per_photo: int = 16
    """Crops of each photo in an epoch (latest)."""
    epochs: int = 20
    learning_rate: float = 1e-3
    final_rate: float = 0.02
    """The learning rate at the end, as a share of the first; 1 keeps one rate."""
    warm_up: int = 0
    """Steps over which the learning rate rises from nothing; a tenth of the stage, if that is less."""
    weight_decay: float = 0.0
    """Decoupled from the gradient (Loshchilov & Hutter 2019, AdamW)."""
    clip: float | None = None
    """Largest norm of a variable's gradient."""
    flips: bool = True
    keep_last: bool = False
    """Keep the last weights instead of those of the lowest validation loss: where more is learnt than is validated."""
    stages: tuple[Stage, ...] = (Stage(),)
    """What is trained one after the other; their shares add up to 1."""
    average: float | None = None
    """Momentum of the exponential moving average of the weights, which is what is saved; None saves the last."""

    @property
    def name(self) -> str:
        """What the model's files are called."""
        return f"model_{self.number:02}"

    @property
    def graph(self) -> dict[str, Any]:
        """The architecture and its settings, as a card holds them."""
        return {"name": self.architecture, "settings": self.settings}


def recipe(number: int | None, generation: str | None = None) -> Recipe:
    """Recipe of a model by its number.

    Raises
    ------
    UserError
        If there is no such model, or it is of another generation than asked for.
    """
    if number is None:
        raise UserError(f"No model was named. Give --model N. Known: 1 to {max(RECIPES)}.")
    if number not in RECIPES:
        raise UserError(f"There is no such model to train. Received: {number}. Known: 1 to {max(RECIPES)}.")
    found = RECIPES[number]
    if generation and found.generation != generation:
        raise UserError(
            f"Model {number} is of the {found.generation} generation. Received: {number} for a script of the "
            f"{generation} one. Use the script whose name ends in _{found.generation}.py."
        )
    return found


EXPOSURE_STAGE = Stage(
    "exposure", 0.25, {"batch_size": 64, "crops_per_photo": 128, "learning_rate": 1e-3, "weight_decay": 0.1}
)
"""Small photos, seen many times: large batches, and weight decay against overfitting."""

_MODEL_1 = Recipe(
    1,
    "Plain 3x3 convolutions at full resolution, their output added to the photo.",
    "The start: a pixel is corrected by the 11x11 pixels around it, too few to know what it shows.",
    "plain",
    {},
    75_651,
    generation="old",
    crop=208,
    batch_size=8,
    epochs=10,
    final_rate=1.0,
    flips=False,
)
_MODEL_2 = dataclasses.replace(
    _MODEL_1,
    number=2,
    idea="Batch normalisation, and dilated convolutions that see wider.",
    why="The receptive field is 19x19 pixels; in the 300 steps that it had, normalisation took more than that gave.",
    architecture="dilated",
    parameters=76_227,
)
_MODEL_3 = dataclasses.replace(
    _MODEL_2,
    number=3,
    idea="Dropout against overfitting, and a sigmoid output in place of the sum.",
    why="Never out of range: the sigmoid gives back what normalisation took.",
    architecture="sigmoid",
)
_MODEL_4 = dataclasses.replace(
    _MODEL_3,
    number=4,
    idea="The same graph with ImageDataGenerator's flips and an exponentially decaying rate.",
    why="Flipped scenes are new scenes, and a falling rate lets weights settle; in few steps neither counts for much.",
    generation="latest",
    crops_per_photo=6,
    final_rate=0.02,
    flips=True,
)
_MODEL_5 = dataclasses.replace(
    _MODEL_4,
    number=5,
    idea="Small crops in small batches: many more, cheaper updates.",
    why="Twelve times as many steps in the same time: worth half a decibel here, and one on the test.",
    crop=96,
    batch_size=4,
    crops_per_photo=16,
)
_MODEL_6 = dataclasses.replace(
    _MODEL_5,
    number=6,
    idea="Skip connections inside: the late layers see the early features.",
    why="Fine detail passes by the dilated layers, and gradients reach the first; a graph so shallow hardly needs it.",
    settings={"skips": True},
)
_MODEL_7 = dataclasses.replace(
    _MODEL_6,
    number=7,
    idea="Brightness normalisation: the photo times a gain, decided once for all of it, is a second input.",
    why="No crop has to show how dark its photo is: worth nearly two decibels here.",
    settings={"skips": True, "normalised": True},
    parameters=77_091,
)
_MODEL_8 = dataclasses.replace(
    _MODEL_7,
    number=8,
    idea="Encoder-decoder (U-Net): most work at half resolution and below, where it is cheap and sees far.",
    why="As good for a sixth of the multiplications: in the same time it saw three times as many pixels.",
    architecture="unet",
    settings={"normalised": True},
    parameters=240_075,
    crop=128,
    batch_size=8,
    epochs=20,
)
_MODEL_9 = dataclasses.replace(
    _MODEL_8,
    number=9,
    idea="A structural loss (SSIM) beside the pixel loss.",
    why="SSIM pays for edges and texture where the pixel loss is content with blur: 0.05 more of it for the same PSNR.",
    loss="charbonnier_ssim",
)
_MODEL_10 = dataclasses.replace(
    _MODEL_9,
    number=10,
    idea="Residual blocks, averaged weights, more dropout; a mask keeps the finest detail only where it is no noise.",
    why="Deeper, and steadier; noise that is masked away need not be subtracted pixel by pixel.",
    architecture="residual_unet",
    parameters=837_094,
    settings={"dropout": 0.3},
    weight_decay=0.05,
    average=0.999,
)

_MODEL_11 = dataclasses.replace(
    _MODEL_10,
    number=11,
    idea="Global and local: a thumbnail of the whole photo decides colour and exposure by region; a U-Net denoises.",
    why="Given the target exposure, the U-Net need not predict it; and the target can be changed by hand.",
    architecture="global_local",
    settings={},
    parameters=1_282_640,
    epochs=40,
    warm_up=200,
    weight_decay=1e-4,
    clip=1.0,
)
_MODEL_12 = dataclasses.replace(
    _MODEL_11,
    number=12,
    idea="Model 11 for real photos: several cameras, and clean photos degraded by camera simulation.",
    why="What is well lit stays, what is against the light is lifted, and noise of every kind has been seen.",
    settings={"black_point": True},
    parameters=1_282_705,
    mixture=(0.24, 0.18, 0.58),
    exposure_mixture=(0.14, 0.28, 0.58),
    keep_last=True,
    loss="charbonnier_ssim_psnr",
    stages=(Stage("restoration", 0.75), EXPOSURE_STAGE),
)
_MODEL_13 = dataclasses.replace(
    _MODEL_12,
    number=13,
    idea="Twice the channels: capacity, for those who have a GPU or patience.",
    why="It began as model 12, widened: noise and LOL's dark photos come out a little cleaner; model 12 is faster.",
    settings={"widths": [64, 96, 128, 192], "black_point": True},
    parameters=3_908_017,
)

_LADDER = (
    (_MODEL_1, _MODEL_2, _MODEL_3)
    + (_MODEL_4, _MODEL_5, _MODEL_6, _MODEL_7, _MODEL_8, _MODEL_9, _MODEL_10)
    + (_MODEL_11, _MODEL_12, _MODEL_13)
)
RECIPES = {plan.number: plan for plan in _LADDER}
