"""The 8 symmetries of a photo (flips and rotations), by number from 0, which leaves it as it is, to 7."""

import numpy as np

SYMMETRIES = range(8)


def apply_symmetry(image: np.ndarray, symmetry: int) -> np.ndarray:
    """Flip or rotate an (H, W, ...) array: 4 transposes it, then 2 and 1 flip its columns and rows. A view, no copy."""
    if symmetry & 4:
        image = image.swapaxes(0, 1)
    return image[:: -1 if symmetry & 1 else 1, :: -1 if symmetry & 2 else 1]


def undo_symmetry(image: np.ndarray, symmetry: int) -> np.ndarray:
    """The inverse of `apply_symmetry`."""
    image = image[:: -1 if symmetry & 1 else 1, :: -1 if symmetry & 2 else 1]
    return image.swapaxes(0, 1) if symmetry & 4 else image


def apply_symmetry_to_box(box: np.ndarray, symmetry: int) -> np.ndarray:
    """Where a part of a photo (top, left, bottom, right, 0 to 1) lies after `apply_symmetry`."""
    top, left, bottom, right = box[[1, 0, 3, 2]] if symmetry & 4 else box
    if symmetry & 1:
        top, bottom = 1 - bottom, 1 - top
    if symmetry & 2:
        left, right = 1 - right, 1 - left
    return np.array([top, left, bottom, right])
