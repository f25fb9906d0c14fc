"""Pixels as the levels that files hold (uint8 or uint16) and as floats, a band of rows at a time to save memory."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

BAND = 2**20
"""Pixels that are converted at once, about; what a conversion needs besides its result stays in tens of megabytes."""

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601), as Pillow, OpenCV and TIFF have them."""


class Levels(NamedTuple):
    """The pixels of a file as they lie in it."""

    colour: np.ndarray
    """(H, W, 3) uint8 or uint16, sRGB."""
    alpha: np.ndarray | None
    """(H, W), of the same type."""
    grey: bool


def bands(height: int, width: int) -> Iterator[slice]:
    """Rows of a picture, cut into slices of about `BAND` pixels."""
    step = max(1, BAND // width)
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def as_float(levels: np.ndarray) -> np.ndarray:
    """Levels as float32 in [0, 1]; floats are given back as they are.

    Parameters
    ----------
    levels : uint8, uint16 or float array
        Of any shape.
    """
    if levels.dtype.kind == "f":
        return levels.astype(np.float32, copy=False)
    return np.divide(levels, _white(levels.dtype), dtype=np.float32)


def as_levels(pixels: np.ndarray, depth: int) -> np.ndarray:
    """Pixels as levels of 8 or 16 bits, rounded; what has them is given back as it is.

    Parameters
    ----------
    pixels : (H, W, ...) uint8, uint16 or float32 array
        Floats are clipped to [0, 1].
    depth : int
        8 or 16.
    """
    target = np.dtype(np.uint8 if depth == 8 else np.uint16)
    if pixels.dtype == target:
        return pixels
    levels = np.empty(pixels.shape, target)
    for rows in bands(*pixels.shape[:2]):
        levels[rows] = np.rint(np.clip(as_float(pixels[rows]), 0, 1) * np.float32(_white(target)))
    return levels


def scaled(values: np.ndarray, white: float) -> np.ndarray:
    """Levels of any depth as those of 8 or 16 bits, rounded; what has them is given back as it is.

    Parameters
    ----------
    values : (H, W, ...) array of whole numbers or floats
        What is below 0 or above `white`, or no number, is clipped.
    white : float
        The level of white; up to 255 of whole numbers become 8 bits, all else 16.

    Returns
    -------
    array of the same shape, uint8 or uint16
    """
    target = np.dtype(np.uint8 if white <= 255 and values.dtype.kind != "f" else np.uint16)
    if values.dtype == target and white == _white(target):
        return values
    levels = np.empty(values.shape, target)
    factor = np.float64(_white(target) / white)
    for rows in bands(*values.shape[:2]):
        part = values[rows]
        if part.dtype.kind == "f":
            part = np.nan_to_num(part.astype(np.promote_types(part.dtype, np.float32)), nan=0, posinf=white, neginf=0)
        levels[rows] = np.rint(np.clip(part, 0, white) * factor)
    return levels


def unassociated(levels: np.ndarray, colours: int) -> np.ndarray:
    """Levels of which colours were multiplied by transparency, divided by it again, rounded.

    Parameters
    ----------
    levels : (H, W, C) uint8 or uint16 array
    colours : int
        How many of the channels are colour; the next one is transparency.

    Returns
    -------
    (H, W, C) array of the same type
    """
    white = _white(levels.dtype)
    result = levels.copy()
    for rows in bands(*levels.shape[:2]):
        alpha = np.maximum(levels[rows, :, colours : colours + 1], 1).astype(np.float64)
        result[rows, :, :colours] = np.minimum(np.rint(levels[rows, :, :colours] / alpha * white), white)
    return result


def mean_of_colours(pixels: np.ndarray) -> np.ndarray:
    """The mean of red, green and blue, as a product: NumPy is slow to take it over so short an axis.

    Parameters
    ----------
    pixels : (H, W, 3) float array
        In any range.

    Returns
    -------
    (H, W) array of the same type
    """
    return pixels @ np.full(3, 1 / 3, pixels.dtype)


def row_of(colours: Sequence[float], pixels: np.ndarray) -> np.ndarray:
    """A row of pixels of one colour, to compute with pixels: NumPy is slow to broadcast over so short an axis.

    Parameters
    ----------
    colours : three floats
    pixels : (H, W, 3) float array

    Returns
    -------
    (W, 3) array of the same type
    """
    return np.tile(np.asarray(colours, pixels.dtype), (pixels.shape[1], 1))


def box_mean(pixels: np.ndarray, side: int) -> np.ndarray:
    """The mean of the square around each pixel; beyond its rim the picture is mirrored, rim and all.

    Parameters
    ----------
    pixels : (H, W, C) float32 array
    side : int
        Of the square, odd.

    Returns
    -------
    (H, W, C) float32 array
    """
    height, width, half = *pixels.shape[:2], side // 2
    padded = np.pad(pixels, ((half, half), (half, half), (0, 0)), "symmetric")
    rows = padded[:height].copy()
    for shift in range(1, side):
        rows += padded[shift : shift + height]
    total = rows[:, :width].copy()
    for shift in range(1, side):
        total += rows[:, shift : shift + width]
    return total / np.float32(side**2)


def fill_hidden(pixels: np.ndarray, visible: np.ndarray) -> None:
    """Give hidden pixels the mean colour of the nearest visible ones, in place; else the model sees what nobody does.

    Each is filled from the picture at half the size, where blocks without a visible pixel have been filled so too
    (the pull-push of Gortler et al. 1996, The Lumigraph, without its smoothing).

    Parameters
    ----------
    pixels : (H, W, 3) uint8, uint16 or float32 array
    visible : (H, W) bool array
        If nothing is visible, nothing is filled.
    """
    if visible.all() or not visible.any():
        return
    height, width = visible.shape
    sums = np.zeros(((height + 1) // 2, (width + 1) // 2, 3), np.float32)
    counts = np.zeros((*sums.shape[:2], 1), np.float32)
    corners = [np.s_[top::2, left::2] for top in (0, 1) for left in (0, 1)]
    for corner in corners:
        seen = visible[corner][..., None]
        rows, columns = seen.shape[:2]
        sums[:rows, :columns] += pixels[corner] * seen
        counts[:rows, :columns] += seen
    half = np.divide(sums, counts, out=sums, where=counts > 0)
    fill_hidden(half, counts[..., 0] > 0)
    if pixels.dtype != np.float32:
        np.rint(half, out=half)
    for corner in corners:
        hidden = ~visible[corner]
        rows, columns = hidden.shape
        pixels[corner][hidden] = half[:rows, :columns][hidden].astype(pixels.dtype)


def _white(dtype) -> int:
    return 255 if dtype == np.uint8 else 65535
