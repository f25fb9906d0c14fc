"""Run a model on a photo of any size: pad, whole or in blended tiles, crop."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

from lowlight.architectures import STRIDE
from lowlight.backend import keras
from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.exposure import gain, level, moved, thumbnail, wish
from lowlight.turns import TURNS, turned, turned_back

TILE = 1024
"""Side in pixels of the squares that a larger photo is run in."""

OVERLAP = 128
"""Pixels that neighbouring tiles share, at least; a quarter of tiles so small that this would be more."""

SMALLEST_TILE = 8 * STRIDE

STRIDES = (STRIDE, 2 * STRIDE, 4 * STRIDE, 8 * STRIDE)

MARGIN = 16
"""Reflected pixels around the photo: without them the graph sees black there, and the photo's rim comes out worse."""

COARSE = 15
"""Changes wider than this, in pixels, are of colour and brightness; finer ones are cleaning, and can be kept less."""

AS_GUESSED = Controls()

ALL_CONTROLS = frozenset(field.name for field in dataclasses.fields(Controls))


class Enhancer:
    """A model as a function from photo to photo.

    Parameters
    ----------
    model : keras.Model
        With its weights, and inputs by name as in `lowlight.architectures`; when the weights change, so does what the
        enhancer gives. Height and width of `photo` may be fixed: larger photos are run in tiles of that size, smaller
        ones in the midst of their reflections.
    tile : int, optional
        Largest side of the tiles in pixels, a multiple of 16 from 128 up. Default: 1024.
    best : bool
        Run each photo in its 8 flips and rotations and give the mean: cleaner, in eight times the time.

    Raises
    ------
    UserError
        If `tile` is not as it must be, or cannot be chosen.
    """

    def __init__(self, model: keras.Model, tile: int | None = None, best: bool = False):
        self.inputs = tuple(model.input)
        self.fixed = tuple(model.input["photo"].shape[1:3])
        self.stride = 1 if all(self.fixed) else _stride(model)
        if tile is not None:
            self._check(tile)
        self.turns = TURNS if best else TURNS[:1]
        self.tiles = [side or tile or TILE for side in self.fixed]
        self.takes_level = "level" in self.inputs
        self.controls = ALL_CONTROLS if self.takes_level else frozenset({"strength"})
        output = model.output["output"] if isinstance(model.output, dict) else model.output
        self.run = _compiled(keras.Model(model.input, output))
        if self.takes_level:
            small = {"thumbnail": model.input["thumbnail"]}
            self.guess = _compiled(keras.Model(small, model.output["guess"]))
            self.run_with_base = _compiled(keras.Model(model.input, [output, model.output["base"]]))

    def __call__(
        self, photo: np.ndarray, controls: Controls = AS_GUESSED, wished: np.ndarray | None = None
    ) -> np.ndarray:
        """Enhance a photo.

        Parameters
        ----------
        photo : (H, W, 3) float32 array in [0, 1]
            Of any size from 1x1 up.
        controls : Controls
            Those named in the attribute `controls` are obeyed.
        wished : (8, 8, 1) float32 array, optional
            How bright to make each region, by `lowlight.exposure.level`, if the model takes that (`takes_level`).
            Default: as the model guesses it, and as it is where it is nearly right.

        Returns
        -------
        (H, W, 3) float32 array in [0, 1]
        """
        if self.takes_level and wished is None:
            wished = self._wish(thumbnail(photo))
        results = (self._turned(photo, turn, controls, wished) for turn in self.turns)
        result = next(results)
        for another in results:
            result += another
        if len(self.turns) > 1:
            result /= len(self.turns)
        np.clip(result, 0, 1, out=result)
        return result if controls.strength == 1 else photo + np.float32(controls.strength) * (result - photo)

    def _turned(self, photo, turn, controls, wished) -> np.ndarray:
        """Run a photo turned, and turn the result back."""
        wished = None if wished is None else turned(wished, turn)
        return turned_back(self._run(np.ascontiguousarray(turned(photo, turn)), controls, wished), turn)

    def _run(self, photo, controls, wished) -> np.ndarray:
        """Run a photo whole or in tiles; what comes out is not clipped."""
        inputs = self._of_whole(photo, controls, wished)
        around = [self._around(side, fixed) for side, fixed in zip(photo.shape, self.fixed, strict=False)]
        padded = np.pad(photo, (*around, (0, 0)), "reflect")
        result = np.zeros_like(padded)
        for rows in spans(padded.shape[0], self.tiles[0], self.stride):
            for columns in spans(padded.shape[1], self.tiles[1], self.stride):
                window = np.s_[rows.start : rows.stop, columns.start : columns.stop]
                inputs["photo"] = padded[window][None]
                inputs["box"] = _box(rows, columns, around, photo.shape)
                output = self._tile({name: inputs[name] for name in self.inputs}, controls.denoise)
                result[window] += output * rows.weights[:, None, None] * columns.weights[:, None]
        (top, _), (left, _) = around
        return result[top : top + photo.shape[0], left : left + photo.shape[1]]

    def _tile(self, inputs, denoise) -> np.ndarray:
        """Run a tile; of what the cleaning changes, leave the fine part out as far as it is not to be cleaned."""
        if denoise == 1 or not self.takes_level:
            return self.run(inputs)[0]
        output, base = (np.asarray(photo[0]) for photo in self.run_with_base(inputs))
        change = output - base
        return output - (1 - denoise) * (change - uniform_filter(change, (COARSE, COARSE, 1)))

    def _of_whole(self, photo, controls, wished) -> dict[str, np.ndarray]:
        """The inputs that are the same for all tiles."""
        if not self.takes_level:
            return {"gain": np.reshape(gain(photo), (1, 1, 1, 1))}
        return {
            "thumbnail": thumbnail(photo)[None],
            "level": moved(wished, controls)[None],
            "white_balance": np.full((1, 1), controls.white_balance, np.float32),
        }

    def _wish(self, small) -> np.ndarray:
        """How bright each region should be, as the model guesses it, but as it is where that is nearly right."""
        return wish(level(small), self.guess({"thumbnail": small[None]})[0])

    def _around(self, side, fixed) -> tuple[int, int]:
        """Pixels to add before and after a side of the photo, so that tiles fit."""
        if fixed is None:
            return MARGIN, _ceil(side + 2 * MARGIN, self.stride) * self.stride - side - MARGIN
        step = fixed - _overlap(fixed, self.stride)
        more = fixed + max(0, _ceil(side - fixed, step)) * step - side
        return more // 2, more - more // 2

    def _check(self, tile):
        if any(self.fixed):
            raise UserError(
                f"The model fixes the side of tiles itself, to {self.fixed}. Received: {tile}. Leave it out."
            )
        unit = max(STRIDE, self.stride)
        if tile < SMALLEST_TILE or tile % unit:
            raise UserError(
                f"The side of tiles must be a multiple of {unit} from {SMALLEST_TILE} up. Received: {tile}."
            )


class Span(NamedTuple):
    """A tile along one side of the photo; `weights` (stop - start,) add up to 1 over the tiles at each pixel."""

    start: int
    stop: int
    weights: np.ndarray


def spans(length: int, tile: int, stride: int = STRIDE) -> list[Span]:
    """Tiles that cover a side: the fewest, of one size, each fading into the next over what they share.

    Parameters
    ----------
    length, tile, stride : int
        In pixels, the first two multiples of the last, so that every tile begins where the strided layers' grid does.
    """
    if length <= tile:
        return [Span(0, length, np.ones(length, np.float32))]
    overlap = _overlap(tile, stride)
    count = _ceil(length - overlap, tile - overlap)
    size = _ceil(length + (count - 1) * overlap, count * stride) * stride
    starts = [(length - size) * i // (count - 1) // stride * stride for i in range(count)]
    found = []
    for start, before, after in zip(starts, [None, *starts], [*starts[1:], None], strict=False):
        weights = np.ones(size, np.float32)
        if before is not None:
            shared = before + size - start
            weights[:shared] = _ramp(shared)
        if after is not None:
            shared = start + size - after
            weights[-shared:] = 1 - _ramp(shared)
        found.append(Span(start, start + size, weights))
    return found


def _box(rows, columns, around, shape) -> np.ndarray:
    """Where a tile of the padded photo lies in the photo: top, left, bottom, right, as shares of its sides."""
    (top, _), (left, _) = around
    edges = [rows.start - top, columns.start - left, rows.stop - top, columns.stop - left]
    return np.array([edges], np.float32) / np.array([*shape[:2], *shape[:2]], np.float32)


def _overlap(tile, stride) -> int:
    return min(OVERLAP, tile // 4) // stride * stride


def _ramp(length) -> np.ndarray:
    """From 0 to 1 over the middle half: at its rim a tile sees padding where the photo goes on."""
    return np.clip((np.arange(length) + 0.5) / length * 2 - 0.5, 0, 1).astype(np.float32)


def _ceil(number, divisor) -> int:
    return -(-number // divisor)


def _stride(model) -> int:
    """What the sides of photos must be multiples of, or the graph's levels do not fit together."""
    for stride in STRIDES:
        shape = (1, *(side or 3 * stride for side in model.input["photo"].shape[1:3]), 3)
        spec = {
            name: keras.KerasTensor(shape if name == "photo" else (1, *tensor.shape[1:]))
            for name, tensor in model.input.items()
        }
        with contextlib.suppress(ValueError):
            output = model.compute_output_spec(spec)
            if tuple((output["output"] if isinstance(output, dict) else output).shape) == shape:
                return stride
    raise UserError("The model does not give photos of the size that it is given.")


def _compiled(model) -> Callable[[dict], np.ndarray]:
    """One graph for photos of all sizes, where that can be; Keras alone would trace anew for new ones."""
    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch
    import tensorflow as tf

    def call(inputs):
        return model(inputs, training=False)

    signature = {name: tf.TensorSpec((1, *tensor.shape[1:]), tf.float32) for name, tensor in model.input.items()}
    run = tf.function(call, input_signature=[signature])
    try:
        run.get_concrete_function()
    except TypeError:  # Keras 3.14.1 to 3.15.1 enlarges bilinearly only what has a known size
        run = tf.function(call)
    return lambda inputs: keras.tree.map_structure(np.asarray, run(inputs))
