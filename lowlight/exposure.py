"""How much a photo must be brightened, decided once for the whole photo so that its parts agree."""

import numpy as np

LEVEL = 0.4
"""The mean, on [0, 1], to which a photo is brought: near the mean of well-lit photos."""

LARGEST_GAIN = 25.0
"""A black photo holds nothing but noise; beyond this factor only the noise would grow."""


def gain(photo: np.ndarray) -> np.float32:
    """Factor that brings the mean of a whole photo to `LEVEL`.

    Parameters
    ----------
    photo : (H, W, 3) float array in [0, 1], or uint8 array in [0, 255]
        The whole photo, never a tile or a crop of it.

    Returns
    -------
    numpy.float32
        Between `LEVEL` (a white photo) and `LARGEST_GAIN` (a black one).
    """
    mean = float(np.mean(photo, dtype=np.float64))
    if photo.dtype == np.uint8:
        mean /= 255
    return np.float32(LEVEL / max(mean, LEVEL / LARGEST_GAIN))
