"""The 8 flips and rotations of a photo, by number from 0, which leaves it as it is, to 7."""

import numpy as np

TURNS = range(8)


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """Turn an (H, W, ...) array: 4 transposes it, then 2 and 1 flip its columns and rows. A view, not a copy."""
    if turn & 4:
        image = image.swapaxes(0, 1)
    return image[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]


def turned_back(image: np.ndarray, turn: int) -> np.ndarray:
    """Undo `turned`."""
    image = image[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]
    return image.swapaxes(0, 1) if turn & 4 else image


def turned_box(box: np.ndarray, turn: int) -> np.ndarray:
    """Where a part of a photo (top, left, bottom, right, 0 to 1) comes to lie when the photo is `turned`."""
    top, left, bottom, right = box[[1, 0, 3, 2]] if turn & 4 else box
    if turn & 1:
        top, bottom = 1 - bottom, 1 - top
    if turn & 2:
        left, right = 1 - right, 1 - left
    return np.array([top, left, bottom, right])
