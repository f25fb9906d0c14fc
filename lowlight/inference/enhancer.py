"""A network as a function from photo to photo: whole or in tiles, in one symmetry or all eight."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import psutil

from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.imaging import exposure
from lowlight.imaging.pixels import box_mean
from lowlight.imaging.symmetry import SYMMETRIES, apply_symmetry, apply_symmetry_to_box, undo_symmetry
from lowlight.inference.engines import STRIDES, Run, graph_of
from lowlight.inference.tiling import plan_axis, run_in_tiles
from lowlight.system import out_of_memory

STRIDE = STRIDES[0]

TILE = 1024
"""Side in pixels of the squares that a larger photo is run in, if memory allows."""

BYTES_A_PIXEL = 1500
"""Of memory, that a pixel of a tile takes on its way through the largest graph, about."""

SMALLEST_TILE = 8 * STRIDE

DETAIL_SCALE = 15
"""Changes wider than this, in pixels, are of colour and brightness; finer ones are denoising, and can be kept less."""

DEFAULTS = Controls()
ALL_CONTROLS = frozenset(field.name for field in dataclasses.fields(Controls))


class Enhancer:
    """A network as a function from photo to photo.

    Parameters
    ----------
    model : keras.Model or lowlight.inference.engines.Graph
        With its weights, and inputs by name as in `lowlight.networks.architectures`; when the weights change, so does
        what the enhancer gives. Height and width of `photo` may be fixed: larger photos are run in tiles of that size,
        smaller ones in the midst of their reflections.
    tile : int, optional
        Largest side of the tiles in pixels, a multiple of 16 from 128 up. Default: 1024, or less if memory is short; it
        is halved when memory runs out.
    best : bool
        Self-ensemble: run each photo in its 8 flips and rotations and give the mean. Cleaner, in eight times the time.

    Attributes
    ----------
    takes_exposure_map : bool
        Whether the network can be given a target exposure map.
    controls : frozenset of str
        The fields of `lowlight.controls.Controls` that it obeys.

    Raises
    ------
    UserError
        If `tile` is not as it must be, or cannot be chosen.
    """

    def __init__(self, model: Any, tile: int | None = None, best: bool = False):
        graph = graph_of(model)
        self.fixed = tuple(graph.shapes["photo"][:2])
        self.stride = graph.stride
        if tile is not None:
            self._check(tile)
        self.symmetries = SYMMETRIES if best else SYMMETRIES[:1]
        self.tiles = [side or tile or _tile_for_memory() for side in self.fixed]
        self.takes_exposure_map = "level" in graph.shapes
        self.controls = ALL_CONTROLS if self.takes_exposure_map else frozenset({"strength"})
        self.graph = graph
        self.inputs = tuple(name for name in graph.shapes if name != "overview")

    def __call__(
        self,
        photo: np.ndarray,
        controls: Controls = DEFAULTS,
        target_exposure: np.ndarray | None = None,
        overview: np.ndarray | None = None,
        box: Sequence[float] | None = None,
    ) -> np.ndarray:
        """Enhance a photo.

        Parameters
        ----------
        photo : (H, W, 3) float32 array in [0, 1], or uint8 or uint16 array of levels
            Of any size from 1x1 up.
        controls : Controls
            Those named in the attribute `controls` are obeyed.
        target_exposure : (8, 8, 1) float32 array, optional
            How bright to make each region, by `lowlight.imaging.exposure.exposure_map`, if the network takes that
            (`takes_exposure_map`). Default: as the network predicts it.
        overview : (64, 64, 5) float32 array, optional
            What to decide from for the whole photo, by `lowlight.imaging.exposure.overview`. Default: the photo's own.
        box : four floats, optional
            Where the picture that is decided for lies in the photo: its top, left, bottom and right, in shares of the
            photo's sides. Default: all of it, but for bars or a frame of one colour.

        Returns
        -------
        (H, W, 3) array of the photo's type
        """
        if overview is None and self.takes_exposure_map:
            overview = exposure.overview(photo)
        if box is None:
            box = exposure.WHOLE
            if overview is not None and target_exposure is None:
                box = exposure.between_bars(overview)
        shared = self._of_whole(photo, controls, target_exposure, overview, box)
        top, left, bottom, right = box

        def run_tile(tile, place):
            place = (place - (top, left, top, left)) / (bottom - top, right - left, bottom - top, right - left)
            return self._run_tile(tile, place, shared, controls.denoise)

        while True:
            rows, columns = (
                plan_axis(side, tile, self.stride, fixed is not None)
                for side, tile, fixed in zip(photo.shape[:2], self.tiles, self.fixed, strict=True)
            )
            try:
                return run_in_tiles(photo, rows, columns, run_tile, controls.strength)
            except Exception as error:
                if not out_of_memory(error) or any(self.fixed) or self.tiles[0] < 2 * SMALLEST_TILE:
                    raise
                unit = max(STRIDE, self.stride)
                self.tiles = [max(SMALLEST_TILE, side // 2 // unit * unit) for side in self.tiles]

    def predict_exposure(self, overview: np.ndarray) -> np.ndarray:
        """The exposure map that the network would give a photo: the mean of its predictions for all symmetries of it.

        Parameters
        ----------
        overview : (64, 64, 5) float32 array
            By `lowlight.imaging.exposure.overview`.

        Returns
        -------
        (8, 8, 1) float32 array
            As by `lowlight.imaging.exposure.exposure_map`.
        """
        (maps,) = self.predictor({"overview": np.stack([apply_symmetry(overview, index) for index in SYMMETRIES])})
        return np.mean([undo_symmetry(of_one, index) for of_one, index in zip(maps, SYMMETRIES, strict=True)], axis=0)

    @cached_property
    def run(self) -> Run:
        """From the inputs of a tile to its output; made when first needed, as that takes part of a second."""
        return self.graph.function("output")

    @cached_property
    def run_with_base(self) -> Run:
        """From the inputs of a tile to its output, and to what that was before denoising."""
        return self.graph.function("output", "base")

    @cached_property
    def predictor(self) -> Run:
        """From the overviews of a photo in all symmetries, (8, 64, 64, 5), to their exposure maps, (8, 8, 8, 1)."""
        return self.graph.function("guess", batch=len(SYMMETRIES))

    def _run_tile(self, tile, box, shared, denoise) -> np.ndarray:
        """Run a tile, in all the symmetries that are asked for."""
        symmetries = [index for index in self.symmetries if index < 4 or not any(self.fixed)]
        result: Any = 0
        for index in symmetries:
            inputs = {
                name: apply_symmetry(value[0], index)[None] if value.ndim == 4 else value
                for name, value in shared.items()
            }
            inputs |= {"photo": apply_symmetry(tile, index)[None], "box": apply_symmetry_to_box(box, index)[None]}
            inputs = {name: np.ascontiguousarray(inputs[name], np.float32) for name in self.inputs}
            result = undo_symmetry(self._denoised(inputs, denoise), index) + result
        return result / len(symmetries)

    def _denoised(self, inputs, denoise) -> np.ndarray:
        """The output; of what denoising changes, the fine part as far as `denoise` (0 to 1) says."""
        if denoise == 1 or not self.takes_exposure_map:
            return self.run(inputs)[0][0]
        output, base = (photo[0] for photo in self.run_with_base(inputs))
        change = output - base
        return output - (1 - denoise) * (change - box_mean(change, DETAIL_SCALE))

    def _of_whole(self, photo, controls, target_exposure, overview, box) -> dict[str, np.ndarray]:
        """The inputs that are the same for all tiles."""
        if not self.takes_exposure_map:
            gain = exposure.gain(photo if overview is None else overview[..., :3])
            return {"gain": np.reshape(gain, (1, 1, 1, 1))}
        overview = exposure.part_of(overview, box)
        if target_exposure is None:
            target_exposure = self.predict_exposure(overview)
        return {
            "thumbnail": overview[None, ..., :3],
            "level": exposure.adjust_exposure(target_exposure, controls)[None],
            "white_balance": np.full((1, 1), controls.white_balance, np.float32),
        }

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


def _tile_for_memory() -> int:
    """The largest tile that half of the free memory holds."""
    side = int((psutil.virtual_memory().available / 2 / BYTES_A_PIXEL) ** 0.5)
    return int(np.clip(side // SMALLEST_TILE * SMALLEST_TILE, SMALLEST_TILE, TILE))
