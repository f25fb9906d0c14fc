"""Run a model on a photo of any size: pad, whole or in blended tiles, crop."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import psutil
from scipy.ndimage import uniform_filter

from lowlight.backend import keras
from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.imaging.exposure import gain, moved, overview
from lowlight.imaging.pixels import as_float, as_levels
from lowlight.imaging.symmetry import TURNS, turned, turned_back, turned_box
from lowlight.networks.architectures import STRIDE

TILE = 1024
"""Side in pixels of the squares that a larger photo is run in, if memory allows."""

BYTES_A_PIXEL = 1500
"""Of memory, that a pixel of a tile takes on its way through the largest graph, about."""

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
        With its weights, and inputs by name as in `lowlight.networks.architectures`; when the weights change, so does
        what the enhancer gives. Height and width of `photo` may be fixed: larger photos are run in tiles of that size,
        smaller ones in the midst of their reflections.
    tile : int, optional
        Largest side of the tiles in pixels, a multiple of 16 from 128 up. Default: 1024, or less if memory is short; it
        is halved when memory runs out.
    best : bool
        Run each photo in its 8 flips and rotations and give the mean: cleaner, in eight times the time.

    Raises
    ------
    UserError
        If `tile` is not as it must be, or cannot be chosen.
    """

    def __init__(self, model: keras.Model, tile: int | None = None, best: bool = False):
        self.fixed = tuple(model.input["photo"].shape[1:3])
        self.stride = 1 if all(self.fixed) else _stride(model)
        if tile is not None:
            self._check(tile)
        self.turns = TURNS if best else TURNS[:1]
        self.tiles = [side or tile or _tile_for_memory() for side in self.fixed]
        self.takes_level = "level" in model.input
        self.controls = ALL_CONTROLS if self.takes_level else frozenset({"strength"})
        output = model.output["output"] if isinstance(model.output, dict) else model.output
        if self.takes_level:
            seen = model.input["overview"]
            self.guess = _compiled(keras.Model({"overview": seen}, model.output["guess"]), batch=len(TURNS))
            inputs = {name: tensor for name, tensor in model.input.items() if tensor is not seen}
            self.run_with_base = _compiled(keras.Model(inputs, [output, model.output["base"]]))
        else:
            inputs = model.input
        self.inputs = tuple(inputs)
        self.run = _compiled(keras.Model(inputs, output))

    def __call__(
        self,
        photo: np.ndarray,
        controls: Controls = AS_GUESSED,
        wished: np.ndarray | None = None,
        small: np.ndarray | None = None,
    ) -> np.ndarray:
        """Enhance a photo.

        Parameters
        ----------
        photo : (H, W, 3) float32 array in [0, 1], or uint8 or uint16 array of levels
            Of any size from 1x1 up.
        controls : Controls
            Those named in the attribute `controls` are obeyed.
        wished : (8, 8, 1) float32 array, optional
            How bright to make each region, by `lowlight.imaging.exposure.level`, if the model takes that
            (`takes_level`). Default: as the model guesses it, and as it is where it is nearly right.
        small : (64, 64, 5) float32 array, optional
            What to decide from for the whole photo, by `lowlight.imaging.exposure.overview`. Default: the photo's own.

        Returns
        -------
        (H, W, 3) array of the photo's type
        """
        whole = self._of_whole(photo, controls, wished, small)
        while True:
            try:
                return self._run(photo, whole, controls)
            except Exception as error:
                if not _out_of_memory(error) or any(self.fixed) or self.tiles[0] < 2 * SMALLEST_TILE:
                    raise
                unit = max(STRIDE, self.stride)
                self.tiles = [max(SMALLEST_TILE, side // 2 // unit * unit) for side in self.tiles]

    def guess_level(self, small: np.ndarray) -> np.ndarray:
        """How bright the model would make each region of a photo: the mean of its guesses for all turns of it.

        Parameters
        ----------
        small : (64, 64, 5) float32 array
            By `lowlight.imaging.exposure.overview`.

        Returns
        -------
        (8, 8, 1) float32 array
            As by `lowlight.imaging.exposure.level`.
        """
        guesses = self.guess({"overview": np.stack([turned(small, turn) for turn in TURNS])})
        return np.mean([turned_back(guess, turn) for guess, turn in zip(guesses, TURNS, strict=True)], axis=0)

    def _run(self, photo, whole, controls) -> np.ndarray:
        """Run a photo in rows of tiles; beside the photo and its result, only one row of tiles is in memory."""
        around = [self._around(side, fixed) for side, fixed in zip(photo.shape, self.fixed, strict=False)]
        sources = [_reflected(side, *more) for side, more in zip(photo.shape, around, strict=False)]
        down, across = (spans(len(a), b, self.stride) for a, b in zip(sources, self.tiles, strict=True))
        result = np.empty_like(photo)
        carried = np.zeros((0, len(sources[1]), 3), np.float32)
        for rows, following in zip(down, [*down[1:], None], strict=True):
            band = np.zeros((rows.stop - rows.start, len(sources[1]), 3), np.float32)
            band[: len(carried)] = carried
            for columns in across:
                tile = np.ix_(sources[0][rows.start : rows.stop], sources[1][columns.start : columns.stop])
                output = self._tile(as_float(photo[tile]), _box(rows, columns, around, photo.shape), whole, controls)
                band[:, columns.start : columns.stop] += output * rows.weights[:, None, None] * columns.weights[:, None]
            done = (following.start if following else rows.stop) - rows.start
            self._finish(result, photo, band[:done], rows.start, around, controls.strength)
            carried = band[done:].copy()
        return result

    def _finish(self, result, photo, band, start, around, strength):
        """Put finished rows of the padded photo into the result, as it holds them."""
        (top, _), (left, _) = around
        first, last = max(start, top), min(start + len(band), top + len(photo))
        if first >= last:
            return
        rows = np.s_[first - top : last - top]
        band = np.clip(band[first - start : last - start, left : left + photo.shape[1]], 0, 1)
        if strength != 1:
            before = as_float(photo[rows])
            band = before + np.float32(strength) * (band - before)
        result[rows] = band if photo.dtype == np.float32 else as_levels(band, 8 * photo.dtype.itemsize)

    def _tile(self, tile, box, whole, controls) -> np.ndarray:
        """Run a tile, in all the turns that are asked for."""
        turns = [turn for turn in self.turns if turn < 4 or not any(self.fixed)]
        result = np.zeros_like(tile)
        for turn in turns:
            inputs = {name: turned(value[0], turn)[None] if value.ndim == 4 else value for name, value in whole.items()}
            inputs |= {"photo": turned(tile, turn)[None], "box": turned_box(box, turn)[None]}
            inputs = {name: np.ascontiguousarray(inputs[name], np.float32) for name in self.inputs}
            result += turned_back(self._cleaned(inputs, controls.denoise), turn)
        return result / len(turns) if len(turns) > 1 else result

    def _cleaned(self, inputs, denoise) -> np.ndarray:
        """Of what the cleaning changes, the fine part as far as it is to be cleaned."""
        if denoise == 1 or not self.takes_level:
            return self.run(inputs)[0]
        output, base = (photo[0] for photo in self.run_with_base(inputs))
        change = output - base
        return output - (1 - denoise) * (change - uniform_filter(change, (COARSE, COARSE, 1)))

    def _of_whole(self, photo, controls, wished, small) -> dict[str, np.ndarray]:
        """The inputs that are the same for all tiles."""
        if not self.takes_level:
            return {"gain": np.reshape(gain(photo if small is None else small[..., :3]), (1, 1, 1, 1))}
        small = overview(photo) if small is None else small
        if wished is None:
            wished = self.guess_level(small)
        return {
            "thumbnail": small[None, ..., :3],
            "level": moved(wished, controls)[None],
            "white_balance": np.full((1, 1), controls.white_balance, np.float32),
        }

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
    return np.array(edges) / np.array([*shape[:2], *shape[:2]])


def _reflected(side, before, after) -> np.ndarray:
    """Which pixel of a side each pixel of the padded side is, as NumPy's "reflect" has it."""
    period = max(1, 2 * (side - 1))
    places = np.arange(-before, side + after) % period
    return np.minimum(places, period - places)


def _out_of_memory(error) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")


def _tile_for_memory() -> int:
    """The largest tile that half of the free memory holds."""
    side = int((psutil.virtual_memory().available / 2 / BYTES_A_PIXEL) ** 0.5)
    return int(np.clip(side // SMALLEST_TILE * SMALLEST_TILE, SMALLEST_TILE, TILE))


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


def _compiled(model, batch=1) -> Callable[[dict], np.ndarray]:
    """One graph for photos of all sizes, where that can be; Keras alone would trace anew for new ones."""
    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch
    import tensorflow as tf

    def call(inputs):
        return model(inputs, training=False)

    signature = {name: tf.TensorSpec((batch, *tensor.shape[1:]), tf.float32) for name, tensor in model.input.items()}
    run = tf.function(call, input_signature=[signature])
    try:
        run.get_concrete_function()
    except TypeError:  # Keras 3.14.1 to 3.15.1 enlarges bilinearly only what has a known size
        run = tf.function(call)
    return lambda inputs: keras.tree.map_structure(np.asarray, run(inputs))
