"""Scenes that are right as they are, dark as they are: many small lights in the dark, and lit subjects before it.

Of the first, stars, lamps and fireworks, no public set of good photos that a model can learn from has many, so they are
made up. One lamp, or the moon, is no such scene: a photo that is too dark has them, too. The second, such as a player
on a stage or an owl by flash, are found among the photos.
"""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter1d

from lowlight.data.noise import log_uniform
from lowlight.imaging.srgb import to_linear, to_srgb

SKY = 1.0, 30.0
"""Levels, of 255, between which the dark of a night lies."""

LIGHT = 180.0
"""Level of the brightest point, at least: a night whose lights are dim is a photo that is too dark."""


LIT = 110
"""Level, of 255, above which a pixel's brightest colour is of what is lit."""

LIT_SHARE = 0.01, 0.4
"""Share of the photo that is lit, where the lit part is a subject."""

LOW_KEY = 68
"""Level below which the mean of a photo is that is mostly dark."""

GROUND, PEAK = 50, 150
"""Levels, of the brightest colour: a fifth of the photo is below the one, a hundredth above the other. A photo that is
too dark has no such bright parts, and one that is bright no such dark ones."""

RIM = 0.12
"""Width of the rim of a photo, of its sides."""

LIT_RIM = 0.08, 0.5
"""Share of the rim that is lit at most: either this much, or so much of the share of the middle. More is a window, a
sky or a wall, and no subject."""


def shows_lit_subject(photo: np.ndarray) -> bool:
    """Whether a good photo shows a lit subject before the dark: little of it bright, next to none of that at the rim.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
        sRGB, of any size from 1x1 up.

    Returns
    -------
    bool
    """
    brightest = photo.max(axis=2)
    lit = brightest > LIT
    if photo.mean() >= LOW_KEY or not LIT_SHARE[0] < lit.mean() < LIT_SHARE[1]:
        return False
    dark, bright = np.quantile(brightest, (0.2, 0.99))
    top, left = (int(RIM * side) for side in lit.shape)
    middle = lit[top : lit.shape[0] - top, left : lit.shape[1] - left]
    rim = (lit.sum() - middle.sum()) / max(1, lit.size - middle.size)
    return bool(dark < GROUND and bright > PEAK and rim < max(LIT_RIM[0], LIT_RIM[1] * middle.mean()))


def night_of_lights(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A night with lights, of a photo's size; the photo is what lies below in the dark.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
        sRGB.
    rng : numpy.random.Generator

    Returns
    -------
    (H, W, 3) uint8 array
    """
    scene = _sky(photo.shape[:2], rng)
    if rng.random() < 0.5:
        scene = _with_ground(scene, photo, rng)
    light = (_stars, _lamps, _sparks)[rng.choice(3, p=(0.5, 0.35, 0.15))](photo.shape[:2], rng)
    light *= max(1.0, LIGHT / light.max())
    return np.rint(np.clip(scene + light, 0, 255)).astype(np.uint8)


def _sky(shape, rng) -> np.ndarray:
    """(H, W, 3) levels: brighter to one side, at times cloudy."""
    clouds = rng.uniform(0.5, 1.0, (4, 4)) if rng.random() < 0.5 else np.ones((4, 4))
    clouds *= np.linspace(rng.uniform(0.3, 1), 1, 4)[:: rng.choice([-1, 1]), None]
    smooth = np.asarray(Image.fromarray(clouds.astype(np.float32)).resize(shape[::-1], Image.Resampling.BICUBIC))
    return log_uniform(rng, *SKY) * smooth[..., None] * _tint(rng, 0.3)


def _with_ground(scene, photo, rng) -> np.ndarray:
    """The photo, in next to no light, below a rough horizon."""
    height, width = scene.shape[:2]
    rough = np.interp(np.arange(width), np.linspace(0, width, 12), rng.uniform(0, 0.2, 12))
    ground = np.arange(height)[:, None] > height * (rng.uniform(0.5, 0.95) - rough)
    unlit = to_srgb(to_linear(photo, np.float32) * 2.0 ** -rng.uniform(4, 10))
    return np.where(ground[..., None], unlit, scene).astype(np.float32)


def _stars(shape, rng) -> np.ndarray:
    """Many points, few of them bright; at times drawn out to trails."""
    count = int(log_uniform(rng, 6e-4, 2e-2) * shape[0] * shape[1]) + 5
    points = _points(shape, rng.integers(0, shape, (count, 2)), 30 * (1 + rng.pareto(1.2, count)), rng)
    if rng.random() < 0.2:
        length = int(rng.integers(3, 40))
        return uniform_filter1d(points, length, axis=int(rng.integers(2)), mode="constant") * length**0.7
    sigma = rng.uniform(0.4, 1.3)
    return gaussian_filter(points, (sigma, sigma, 0)) * (1 + 6 * sigma**2)


def _lamps(shape, rng) -> np.ndarray:
    """Discs of light, in focus or out of it, with a glow around them."""
    layer, largest, colour = np.zeros((*shape, 3), np.float32), rng.uniform(0.005, 0.03) * min(shape), _tint(rng, 0.5)
    for _ in range(int(log_uniform(rng, 25, 250))):
        place, radius = rng.integers(0, shape), 0.7 + largest * rng.random()
        starts = np.maximum(0, (place - radius).astype(int))
        part = tuple(slice(start, int(middle + radius) + 2) for start, middle in zip(starts, place, strict=True))
        rows, columns = (np.arange(shape[axis])[part[axis]] - place[axis] for axis in range(2))
        lit = np.clip(radius - np.hypot(rows[:, None], columns), 0, 1)[..., None]
        layer[part] += lit * (rng.uniform(60, 300) * colour * _tint(rng, 0.4))
    glow = rng.uniform(0, 0.5) * gaussian_filter(layer, (largest, largest, 0))
    return layer + glow


def _sparks(shape, rng) -> np.ndarray:
    """Bursts of rays, as of fireworks."""
    scene = np.zeros((*shape, 3), np.float32)
    for _ in range(rng.integers(1, 4)):
        rays, reach = int(rng.integers(20, 120)), rng.uniform(0.1, 0.4) * min(shape)
        angles = rng.uniform(0, 2 * np.pi, (rays, 1))
        along = rng.uniform(0.1, 1, (rays, 1)) * np.linspace(0.1, 1, 60) * reach
        centre = rng.uniform(0.2, 0.8, 2) * shape
        places = np.stack([centre[0] + along * np.sin(angles), centre[1] + along * np.cos(angles)], -1).reshape(-1, 2)
        places = places.astype(int)[((places >= 0) & (places < shape)).all(1)]
        scene += _points(shape, places, rng.uniform(80, 250, len(places)), rng)
    return gaussian_filter(scene, (0.7, 0.7, 0)) * 3


def _points(shape, places, brightness, rng) -> np.ndarray:
    """(H, W, 3) levels of points at (N, 2) places, all of nearly one colour."""
    points = np.zeros((*shape, 3), np.float32)
    colours = _tint(rng, 0.3) * np.exp(rng.normal(0, 0.15, (len(places), 3)))
    np.add.at(points, (places[:, 0], places[:, 1]), np.minimum(brightness, 3000)[:, None] * colours)
    return points


def _tint(rng, spread) -> np.ndarray:
    """Gains of red, green and blue, the largest of them 1."""
    gains = np.exp(rng.normal(0, spread, 3))
    return (gains / gains.max()).astype(np.float32)
