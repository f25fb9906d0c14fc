"""Run a model on a photo of any size: pad, whole or in blended tiles, crop."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lowlight.architectures import STRIDE
from lowlight.backend import keras
from lowlight.errors import UserError
from lowlight.exposure import gain

TILE = 1024
"""Side in pixels of the squares that a larger photo is run in."""

OVERLAP = 128
"""Pixels that neighbouring tiles share, at least; a quarter of tiles so small that this would be more."""

SMALLEST_TILE = 8 * STRIDE

MARGIN = 16
"""Reflected pixels around the photo: without them the graph sees black there, and the photo's rim errs by 7 % more."""


class Enhancer:
    """A model as a function from photo to photo.

    Parameters
    ----------
    model : keras.Model
        Of `lowlight.architectures`, with its weights; when they change, so does what the enhancer gives.
    tile : int, optional
        Largest side of the tiles in pixels, a multiple of 16 from 128 up. Default: 1024.

    Raises
    ------
    UserError
        If `tile` is not as it must be.
    """

    def __init__(self, model: keras.Model, tile: int | None = None):
        self.tile = TILE if tile is None else tile
        if self.tile < SMALLEST_TILE or self.tile % STRIDE:
            raise UserError(
                f"The side of tiles must be a multiple of {STRIDE} from {SMALLEST_TILE} up. Received: {self.tile}."
            )
        self.inputs = tuple(model.input)
        self.run = _compiled(model)

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """Enhance a photo.

        Parameters
        ----------
        photo : (H, W, 3) float32 array in [0, 1]
            Of any size from 1x1 up.

        Returns
        -------
        (H, W, 3) float32 array in [0, 1]
        """
        height, width = photo.shape[:2]
        inputs = {"gain": np.reshape(gain(photo), (1, 1, 1, 1))}
        bottom, right = (MARGIN + (-side - 2 * MARGIN) % STRIDE for side in (height, width))
        padded = np.pad(photo, ((MARGIN, bottom), (MARGIN, right), (0, 0)), "reflect")
        result = np.zeros_like(padded)
        for rows in spans(padded.shape[0], self.tile):
            for columns in spans(padded.shape[1], self.tile):
                window = np.s_[rows.start : rows.stop, columns.start : columns.stop]
                inputs["photo"] = padded[window][None]
                output = self.run({name: inputs[name] for name in self.inputs})[0]
                result[window] += output * rows.weights[:, None, None] * columns.weights[:, None]
        result = result[MARGIN:-bottom, MARGIN:-right]
        return np.clip(result, 0, 1, out=result)


class Span(NamedTuple):
    """A tile along one side of the photo; `weights` (stop - start,) add up to 1 over the tiles at each pixel."""

    start: int
    stop: int
    weights: np.ndarray


def spans(length: int, tile: int) -> list[Span]:
    """Tiles that cover a side: the fewest, of one size, each fading into the next over what they share.

    Parameters
    ----------
    length, tile : int
        In pixels, multiples of 16, so that every tile begins where the strided layers' grid does.
    """
    if length <= tile:
        return [Span(0, length, np.ones(length, np.float32))]
    overlap = min(OVERLAP, tile // 4 // STRIDE * STRIDE)
    count = _ceil(length - overlap, tile - overlap)
    size = _ceil(length + (count - 1) * overlap, count * STRIDE) * STRIDE
    starts = [(length - size) * i // (count - 1) // STRIDE * STRIDE for i in range(count)]
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


def _ramp(length) -> np.ndarray:
    """From 0 to 1 over the middle half: at its rim a tile sees padding where the photo goes on."""
    return np.clip((np.arange(length) + 0.5) / length * 2 - 0.5, 0, 1).astype(np.float32)


def _ceil(number, divisor) -> int:
    return -(-number // divisor)


def _compiled(model) -> Callable[[dict], np.ndarray]:
    """One graph for photos of all sizes; Keras alone would trace anew for new ones."""
    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch
    import tensorflow as tf

    signature = {name: tf.TensorSpec((1, *tensor.shape[1:]), tf.float32) for name, tensor in model.input.items()}
    run = tf.function(lambda inputs: model(inputs, training=False), input_signature=[signature])
    return lambda inputs: run(inputs).numpy()
