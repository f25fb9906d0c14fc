"""Surfaces that good photos seldom show, for restoration to learn noise on: vivid colours, soft ones, flat ones.

What public photos have in plenty is texture in muted colours, and their own grain, which noise is then taken for.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from lowlight.data.noise import log_uniform

FLAT_SIDE = 192
"""Pixels of each side of a picture of flat shapes, at least."""


def draw_colours(rng: np.random.Generator) -> np.ndarray:
    """Other colours for a scene: red, green and blue in another order, paler or up to 2.7 times as vivid.

    Returns
    -------
    (3, 3) array
        For `recoloured`.
    """
    vividness = rng.uniform(0.5, 2.7)
    return (vividness * np.eye(3)[rng.permutation(3)] + (1 - vividness) / 3).astype(np.float32)


def recoloured(photo: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """A photo in other colours.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
        sRGB.
    colours : (3, 3) array
        By `draw_colours`.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    return _levels(photo.astype(np.float32) @ colours.T)


def softened(photo: np.ndarray) -> np.ndarray:
    """A photo without its finest detail, as cameras of many pixels show no such detail either.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array

    Returns
    -------
    (H, W, 3) uint8 array
    """
    height, width = photo.shape[:2]
    return np.asarray(Image.fromarray(photo).reduce(2).resize((width, height), Image.Resampling.BICUBIC))


def flat_shapes(photo: np.ndarray, rng: np.random.Generator, side: int = FLAT_SIDE) -> np.ndarray:
    """Discs and polygons that cover one another, each of one colour, in uneven light: dead leaves (Lee et al. 2001).

    Such pictures teach denoising well (Achddou et al. 2021, "Synthetic images as a regularity prior for image
    restoration neural networks"): what varies on a flat surface is noise. One half of them lie on the photo itself:
    the noise that they show is on its texture, too.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
        Whose colours they have.
    rng : numpy.random.Generator
    side : int
        Pixels of each side.

    Returns
    -------
    (side, side, 3) uint8 array
    """
    count = int(log_uniform(rng, 8, 250))
    places = rng.integers(0, photo.shape[:2], (count + 1, 2))
    colours = photo[places[:, 0], places[:, 1]]
    size = 2 * side, 2 * side  # for smooth edges
    if rng.random() < 0.5:
        part = min(side, *photo.shape[:2])
        top, left = (int(rng.integers(length - part + 1)) for length in photo.shape[:2])
        canvas = Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC, (left, top, left + part, top + part))
    else:
        canvas = Image.new("RGB", size, tuple(map(int, colours[0])))
    draw = ImageDraw.Draw(canvas)
    for colour in colours[1:]:
        _add_shape(draw, tuple(map(int, colour)), 2 * side, rng)
    few = Image.fromarray(np.exp(rng.normal(0, 0.25, (3, 3))).astype(np.float32))
    light = np.asarray(few.resize((side, side), Image.Resampling.BICUBIC))
    picture = np.asarray(canvas.reduce(2)) * light[..., None]
    blur = rng.uniform(0, 1.2)
    return _levels(gaussian_filter(picture, (blur, blur, 0)))


def _levels(pixels) -> np.ndarray:
    """uint8, of floats from 0 to 255; what lies outside is clipped."""
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


def _add_shape(draw, colour, size, rng) -> None:
    """Small ones are many: radii of density r^-2, as in natural scenes."""
    radius = size / rng.uniform(3, 60)
    middle = rng.uniform(0, size, 2)
    if rng.random() < 0.5:
        draw.ellipse([*(middle - radius), *(middle + radius * rng.uniform(0.3, 1, 2))], fill=colour)
        return
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
    corners = middle + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    draw.polygon([tuple(corner) for corner in corners], fill=colour)
