"""How far what an exported file gives is from what Keras gives, photo for photo."""

import itertools
import math

import numpy as np

from lowlight.controls import Controls
from lowlight.inference.engines import Graph
from lowlight.inference.enhancer import Enhancer

SIZES = ((96, 64), (211, 333), (480, 400))
"""Height and width of the photos that are compared: below a tile, odd, and of several tiles."""

TILE = 256

ALL_MOVED = Controls(exposure=0.5, shadows=1.0, highlights=-0.5, denoise=0.5, strength=0.9, white_balance=False)
"""Every control away from its default."""


def largest_difference(graph: Graph, reference: Graph) -> dict[str, float]:
    """The largest difference of any value of any photo, in levels of 8 bits, by size; inf if one is no number.

    Each photo is enhanced whole and in tiles, as the model likes it and with every control that it has moved.
    """
    ours, theirs = Enhancer(graph), Enhancer(reference)
    wholes = ours.tiles
    tilings = [wholes] if all(ours.fixed) else [wholes, [TILE, TILE]]
    moved = ALL_MOVED if len(ours.controls) > 1 else Controls(strength=ALL_MOVED.strength)
    differences = {}
    for height, width in SIZES:
        photo, most = dark_photo(height, width), 0.0
        for tiles, controls in itertools.product(tilings, (Controls(), moved)):
            ours.tiles = theirs.tiles = tiles
            try:
                most = max(most, float(np.abs(ours(photo, controls) - theirs(photo, controls)).max()) * 255)
            except FloatingPointError:  # beyond what float16 holds
                most = math.inf
        differences[f"{height}x{width}"] = most
    return differences


def dark_photo(height: int, width: int) -> np.ndarray:
    """A dark, noisy photo with edges and a lamp, (height, width, 3) float32 in [0, 1]; always the same."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    scene = 0.08 + 0.06 * np.sin(9 * x)[..., None] * np.cos(7 * y[..., None] + np.arange(3, dtype=np.float32))
    scene[height // 3 : height // 2, width // 4 : width // 2] *= 0.4
    scene[: height // 8, : width // 8] = 0.9
    return np.clip(scene + rng.normal(0, 0.02, scene.shape), 0, 1).astype(np.float32)
