"""A photo of any size in tiles: padded by reflection, run tile by tile, and blended where tiles overlap.

NumPy alone: what runs a tile is given as a function.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lowlight.imaging.pixels import as_float, as_levels

OVERLAP = 128
"""Pixels that neighbouring tiles share, at least; a quarter of tiles so small that this would be more."""

MARGIN = 16
"""Reflected pixels around the photo: without them the graph sees black there, and the photo's rim comes out worse."""

RunTile = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From a tile, (h, w, 3) float32 in [0, 1], and its box (top, left, bottom and right in the photo, as shares of the
photo's sides) to the result, of the tile's shape."""


class Span(NamedTuple):
    """A tile along one side of the photo; `weights` (stop - start,) add up to 1 over the tiles at each pixel."""

    start: int
    stop: int
    weights: np.ndarray


class Axis(NamedTuple):
    """One side of a photo: how it is padded, and cut into tiles."""

    side: int
    """Pixels of the photo."""
    before: int
    """Pixels of padding before the photo."""
    sources: np.ndarray
    """For each pixel of the padded side, the pixel of the photo that it shows."""
    spans: list[Span]


def plan_axis(side: int, tile: int, stride: int, fixed: bool) -> Axis:
    """Pad one side of a photo and cut it into tiles.

    Parameters
    ----------
    side, tile : int
        Pixels of the photo, and of the largest tile; the latter a multiple of `stride`.
    stride : int
        The sides of tiles are multiples of it, as the network's strided layers need.
    fixed : bool
        Whether all tiles must be of `tile` pixels.
    """
    if fixed:
        step = tile - _overlap(tile, stride)
        padding = tile + max(0, _ceil(side - tile, step)) * step - side
        before = padding // 2
    else:
        before = MARGIN
        padding = _ceil(side + 2 * MARGIN, stride) * stride - side
    sources = _reflected(side, before, padding - before)
    return Axis(side, before, sources, spans(len(sources), tile, stride))


def run_in_tiles(photo: np.ndarray, rows: Axis, columns: Axis, run_tile: RunTile, strength: float = 1.0) -> np.ndarray:
    """Run a photo in rows of tiles; beside the photo and its result, only one row of tiles is in memory.

    Parameters
    ----------
    photo : (H, W, 3) float32 array in [0, 1], or uint8 or uint16 array of levels
    rows, columns : Axis
        By `plan_axis`, of H and W.
    run_tile : callable
    strength : float
        Share of the change that is kept, 0 to 1.

    Returns
    -------
    (H, W, 3) array of the photo's type
        Floats are clipped to [0, 1].
    """
    result = np.empty_like(photo)
    width = len(columns.sources)
    carried = np.zeros((0, width, 3), np.float32)
    for down, following in zip(rows.spans, [*rows.spans[1:], None], strict=True):
        band = np.zeros((down.stop - down.start, width, 3), np.float32)
        band[: len(carried)] = carried
        strip = photo.take(rows.sources[down.start : down.stop], axis=0)
        for across in columns.spans:
            tile = as_float(strip.take(columns.sources[across.start : across.stop], axis=1))
            output = run_tile(tile, _box(down, across, rows, columns))
            # In rows of all colours: NumPy is slow at products along an axis of three.
            weights = np.outer(down.weights, across.weights.repeat(3)).reshape(output.shape)
            band[:, across.start : across.stop] += np.multiply(output, weights, out=weights)
        done = (following.start if following else down.stop) - down.start
        _finish(result, photo, band[:done], down.start, rows.before, columns.before, strength)
        carried = band[done:].copy()
    return result


def spans(length: int, tile: int, stride: int) -> list[Span]:
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


def _finish(result, photo, band, start, top, left, strength):
    """Put finished rows of the padded photo into the result, in the result's type."""
    first, last = max(start, top), min(start + len(band), top + len(photo))
    if first >= last:
        return
    if not np.isfinite(band.sum()):
        raise FloatingPointError("the model gives values that are not finite")
    rows = np.s_[first - top : last - top]
    band = band[first - start : last - start, left : left + photo.shape[1]]
    np.clip(band, 0, 1, out=band)
    if strength != 1:
        before = as_float(photo[rows])
        band = before + np.float32(strength) * (band - before)
    result[rows] = band if photo.dtype == np.float32 else as_levels(band, 8 * photo.dtype.itemsize)


def _box(down, across, rows, columns) -> np.ndarray:
    """Where a tile of the padded photo lies in the photo: top, left, bottom, right, as shares of its sides."""
    edges = [span - axis.before for span, axis in ((down.start, rows), (across.start, columns))]
    edges += [span - axis.before for span, axis in ((down.stop, rows), (across.stop, columns))]
    return np.array(edges) / np.array([rows.side, columns.side] * 2)


def _reflected(side, before, after) -> np.ndarray:
    """Which pixel of a side each pixel of the padded side shows, as NumPy's "reflect" has it."""
    period = max(1, 2 * (side - 1))
    places = np.arange(-before, side + after) % period
    return np.minimum(places, period - places)


def _overlap(tile, stride) -> int:
    return min(OVERLAP, tile // 4) // stride * stride


def _ramp(length) -> np.ndarray:
    """From 0 to 1 over the middle half: at its rim a tile sees padding where the photo goes on."""
    return np.clip((np.arange(length) + 0.5) / length * 2 - 0.5, 0, 1).astype(np.float32)


def _ceil(number, divisor) -> int:
    return -(-number // divisor)
