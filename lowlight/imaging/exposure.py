"""Exposure: how bright a photo is and should be, as one gain or a map, for the whole photo so that its parts agree."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lowlight.controls import Controls
from lowlight.imaging.pixels import as_float, bands, mean_of_colours

TARGET_MEAN = 0.4
"""The mean, on [0, 1], to which a photo is brought: near the mean of well-lit photos."""

LARGEST_GAIN = 25.0
"""A black photo holds nothing but noise; beyond this factor only the noise would grow."""

THUMBNAIL = 64
"""Side in pixels of what a global-local model sees of the whole photo."""

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""Top, left, bottom and right of all of a photo, in shares of its sides."""

OVERVIEW = 5
"""Channels of what exposure is predicted from: `overview` says which."""

OVERVIEW_PIXELS = 2**20
"""Of larger photos an overview is taken once they are scaled down to about this, so that noise and texture, which are
finer the more pixels there are, mean the same."""

BAR_CHANGE, BAR_NOISE = 0.012, 0.0008
"""By how much cells of a bar differ, and their noise, at most: more than a lossy encoder leaves."""

CELLS = 8
"""Cells along each side of an exposure map, whatever the photo's shape."""

BLACK = 0.02
"""Added to a cell's brightness before its logarithm is taken: about the least that one sees in a print."""

STOP = np.log(2) / 2.2
"""A stop in an exposure map: twice the light is 2 ** (1 / 2.2) times the value in an sRGB file."""

DIM, BRIGHT = 0.25, 0.65
"""Cells whose mean is at most the one are shadows, at least the other highlights; between them, partly both."""


def gain(photo: np.ndarray) -> np.float32:
    """Factor that brings the mean of a whole photo to `TARGET_MEAN`.

    Parameters
    ----------
    photo : (H, W, 3) float array in [0, 1], or uint8 or uint16 array of levels
        The whole photo, never a tile or a crop of it.

    Returns
    -------
    numpy.float32
        Between `TARGET_MEAN` (a white photo) and `LARGEST_GAIN` (a black one).
    """
    mean = float(np.mean(photo, dtype=np.float64)) / (1 if photo.dtype.kind == "f" else np.iinfo(photo.dtype).max)
    return np.float32(TARGET_MEAN / max(mean, TARGET_MEAN / LARGEST_GAIN))


def thumbnail(photo: np.ndarray, box: Sequence[float] | np.ndarray = WHOLE, side: int = THUMBNAIL) -> np.ndarray:
    """The whole photo, or a part of it, squashed to a square: the mean of each cell, split pixels by their share.

    Parameters
    ----------
    photo : (H, W, 3) float32 array in [0, 1], or uint8 or uint16 array of levels
        Of any size from 1x1 up.
    box : four floats
        Top, left, bottom and right of the part, in shares of the photo's sides.
    side : int
        Cells along each side.

    Returns
    -------
    (side, side, 3) float32 array in [0, 1]
    """
    height, width, channels = photo.shape
    rows, columns = _cell_weights(height, box[0], box[2], side), _cell_weights(width, box[1], box[3], side)
    flat = np.zeros((side, width * channels), np.float32)
    for band in bands(height, width):
        flat += rows[:, band] @ as_float(photo[band]).reshape(-1, width * channels)
    return np.einsum("jw,iwc->ijc", columns, flat.reshape(side, width, channels), optimize=True).astype(np.float32)


def overview(photo: np.ndarray) -> np.ndarray:
    """What the exposure of a photo is predicted from: its thumbnail, and what a mean hides.

    A photo that is dark by intent still has bright lamps; one that is underexposed has none, and noise.

    Parameters
    ----------
    photo : (H, W, 3) float32 array in [0, 1], or uint8 or uint16 array of levels
        Of any size from 1x1 up.

    Returns
    -------
    (64, 64, `OVERVIEW`) float32 array in [0, 1]
        Of each cell: the means of red, green and blue; how bright its brightest pixels are, as the power mean of the
        largest of the three with an exponent of 8; and its noise, the mean of half of |a - b - c + d| over squares of
        2x2 pixels, which is the standard deviation of white noise times 0.8, and 0 for level and upright edges.
    """
    photo = _scaled_down(photo, max(1, math.isqrt(photo.shape[0] * photo.shape[1] // OVERVIEW_PIXELS)))
    height, width = photo.shape[:2]
    rows, columns = _cell_weights(height, 0, 1, THUMBNAIL), _cell_weights(width, 0, 1, THUMBNAIL)
    flat = np.zeros((THUMBNAIL, width * OVERVIEW), np.float32)
    for band in bands(height, width):
        features = _features(as_float(photo[band.start : band.stop + 1]), band.stop - band.start)
        flat += rows[:, band] @ features.reshape(-1, width * OVERVIEW)
    means = np.einsum("jw,iwc->ijc", columns, flat.reshape(THUMBNAIL, width, OVERVIEW), optimize=True)
    means[..., 3] **= 1 / 8
    return means.astype(np.float32)


def between_bars(overview: np.ndarray) -> tuple[float, float, float, float]:
    """Where the picture lies between two bars of one size and colour, as of a frame, or a clip of another shape.

    With black ones a photo would be taken for darker than it is, and come out white; in a white frame it would stay
    dark.

    Parameters
    ----------
    overview : (64, 64, `OVERVIEW`) float array
        By `overview`.

    Returns
    -------
    four floats
        Top, left, bottom and right of the picture, in shares of the photo's sides; `WHOLE`, if there are no bars.
    """
    as_corner = np.abs(overview[..., :4] - overview[0, 0, :4]).max(axis=2) <= BAR_CHANGE
    shows = ~as_corner | (overview[..., 4] > BAR_NOISE)
    (top, bottom), (left, right) = _between_bars(shows), _between_bars(shows.T)
    return top, left, bottom, right


def part_of(overview: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """The overview of a part of a photo, from that of the photo.

    Parameters
    ----------
    overview : (64, 64, `OVERVIEW`) float array
    box : four floats
        Top, left, bottom and right of the part, in shares of the photo's sides.

    Returns
    -------
    (64, 64, `OVERVIEW`) float32 array
    """
    if tuple(box) == WHOLE:
        return overview
    rows, columns = (_cell_weights(THUMBNAIL, box[i], box[i + 2], THUMBNAIL) for i in range(2))
    return np.einsum("ih,jw,hwc->ijc", rows, columns, overview, optimize=True).astype(np.float32)


def exposure_map(small: np.ndarray) -> np.ndarray:
    """Exposure map: the logarithm of each cell's mean + `BLACK`.

    Parameters
    ----------
    small : (64, 64, 3 or more) float array in [0, 1]
        From `thumbnail` or `overview`.

    Returns
    -------
    (8, 8, 1) float32 array
        From -3.9 (black) to 0.02 (white).
    """
    side = THUMBNAIL // CELLS
    means = small[..., :3].reshape(CELLS, side, CELLS, side, 3).mean(axis=(1, 3, 4))
    return np.log(means + BLACK)[..., None].astype(np.float32)


def adjust_exposure(target: np.ndarray, controls: Controls) -> np.ndarray:
    """Change a target exposure map by stops, all of it or only its dim (`shadows`) or bright (`highlights`) cells.

    Parameters
    ----------
    target : (8, 8, 1) float array
        As a model predicts it.
    controls : Controls

    Returns
    -------
    (8, 8, 1) float32 array
        No darker than black, no brighter than white.
    """
    bright = smoothstep((np.exp(target) - BLACK - DIM) / (BRIGHT - DIM))
    stops = controls.exposure + controls.shadows * (1 - bright) + controls.highlights * bright
    return np.clip(target + STOP * stops, np.log(BLACK), np.log(1 + BLACK)).astype(np.float32)


def smoothstep(t: np.ndarray) -> np.ndarray:
    """From 0 to 1 as t does, level at both ends: float array of any shape, clipped to [0, 1] first."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _between_bars(shows) -> tuple[float, float]:
    """From where to where lines of cells lie between bars, in shares; their outermost may be in part of a bar."""
    found = np.flatnonzero(shows.any(1))
    start, stop = (found[0] + 1, found[-1]) if found.size else (0, 0)
    alike = start > 1 and stop < THUMBNAIL - 1 and abs(start + stop - THUMBNAIL) <= 1
    # What is flat because it is dark, or sky, ends somewhere here, somewhere there.
    if stop - start < CELLS or not alike or 2 * min(shows[start].sum(), shows[stop - 1].sum()) < shows.any(0).sum():
        return 0.0, 1.0
    return start / THUMBNAIL, stop / THUMBNAIL


def _scaled_down(photo, factor) -> np.ndarray:
    """The means of squares of `factor` pixels a side; what is left over at the far rims is left out."""
    if factor == 1:
        return photo
    height, width = (side // factor for side in photo.shape[:2])
    means = np.empty((height, width, 3), np.float32)
    for band in bands(height, width * factor**2):
        part = as_float(photo[band.start * factor : band.stop * factor, : width * factor])
        # As a sum of the squares' corners and so on: NumPy is slow to take a mean over axes so short.
        means[band] = sum(part[i::factor, j::factor] for i in range(factor) for j in range(factor)) / factor**2
    return means


def _features(pixels, height) -> np.ndarray:
    """(height, W, 5): what an overview takes the means of, from as many rows of a photo and the next one."""
    crossed = pixels[1:, 1:] - pixels[1:, :-1] - pixels[:-1, 1:] + pixels[:-1, :-1]
    noise = np.zeros((height, pixels.shape[1], 1), np.float32)
    noise[: len(crossed), : crossed.shape[1], 0] = mean_of_colours(np.abs(crossed)) / 2
    pixels = pixels[:height]
    # As max over the last axis, which NumPy is slow to reduce when it is that short.
    brightest = np.maximum(np.maximum(pixels[..., :1], pixels[..., 1:2]), pixels[..., 2:])
    return np.concatenate([pixels, brightest**8, noise], axis=2)


@lru_cache(maxsize=8)  # of a large photo they take megabytes
def _cell_weights(length, start, stop, cells) -> np.ndarray:
    """(cells, length): the share that each pixel of a side has in the mean of each cell from `start` to `stop`."""
    edges = np.linspace(start * length, stop * length, cells + 1)
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.clip(covered, 0, None) / (edges[1] - edges[0])).astype(np.float32)
