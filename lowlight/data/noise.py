"""The noise of photos: white, of a sensor behind its mosaic, or as a camera's own processing has left it."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from lowlight.imaging.pixels import mean_of_colours, row_of

RED, GREEN, BLUE = range(3)

_SITES = (
    (RED, np.s_[::2, ::2]),
    (GREEN, np.s_[::2, 1::2]),
    (GREEN, np.s_[1::2, ::2]),
    (BLUE, np.s_[1::2, 1::2]),
)
"""Of which colour the samples of the Bayer pattern are, and where."""

MANY = 20
"""From so many photons on, a float32 count of them is Gaussian: its skewness would be less than a quarter."""


@dataclasses.dataclass(frozen=True)
class Residue:
    """Noise as a camera's own processing leaves it: demosaicked, half denoised, sharpened, and so coarse and
    coloured."""

    luma: float
    """Standard deviation of what all colours share, in levels of 255."""
    luma_blur: float
    """Sigma of its blotches, in pixels."""
    chroma: float
    """Standard deviation of what each colour has of its own."""
    chroma_blur: float
    slope: float
    """By how much it is stronger in white than in middle grey, as a share; black has as much less."""
    sharpening: float = 0.0
    """How much of its own finest detail is added once more."""
    early: bool = False
    """It was there before the light fell, which then dims it, too."""


def draw_noise(
    rng: np.random.Generator, shares: Sequence[float], most_white: float, most_residue: float
) -> dict[str, Any]:
    """Noise of a kind, and what JPEG makes of it, as fields of `lowlight.data.camera.Camera`.

    Parameters
    ----------
    rng : numpy.random.Generator
    shares : three floats
        Of white noise, `Residue` and a sensor's noise; their sum is 1.
    most_white, most_residue : float
        Largest standard deviation of the first two, in levels of 255.
    """
    kind = np.searchsorted(np.cumsum(shares), rng.random(), side="right")
    if kind == 0:
        sigma = rng.uniform(0, most_white) if rng.random() < 0.7 else log_uniform(rng, 0.5, most_white)
        return {"sigma": sigma} | _jpeg(rng, 0.5)
    if kind == 1:
        return {"residue": _residue(rng, most_residue)} | _jpeg(rng, 0.7)
    return _sensor(rng) | _jpeg(rng, 0.5)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two positive ones, whose logarithm is evenly spread."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def read_noise(rng: np.random.Generator, shot: float) -> float:
    """Read noise of a sensor of that shot noise, as of real ones, with their scatter (Brooks et al. 2019)."""
    return math.exp((2.18 * math.log(shot) + 1.20 + rng.normal(0, 0.26)) / 2)


def add_noise(light: np.ndarray, rng: np.random.Generator, shot: float, read: float) -> np.ndarray:
    """Poisson-Gaussian noise of variance ``shot * light + read**2`` on linear light (float array, any shape).

    Of float32 it is Gaussian alone where there are `MANY` photons, in a fraction of the time.
    """
    if light.dtype != np.float32:
        return shot * rng.poisson(light / shot) + read * rng.standard_normal(light.shape)
    noisy = light + np.sqrt(shot * light + read**2) * rng.standard_normal(light.shape, np.float32)
    few = light < shot * MANY
    dim = light[few]
    noisy[few] = shot * rng.poisson(dim / shot) + read * rng.standard_normal(dim.shape, np.float32)
    return noisy


def pixel_noise(
    light: np.ndarray, rng: np.random.Generator, shot: float, read: float, sensor: Sequence[float]
) -> np.ndarray:
    """Noise of all three colours at each pixel, white-balanced.

    Parameters
    ----------
    light : (H, W, 3) float array
        Linear, in [0, 1].
    rng : numpy.random.Generator
    shot, read : float
        As of `add_noise`, before white balance.
    sensor : three floats
        What white balance multiplies red, green and blue by.

    Returns
    -------
    (H, W, 3) float array
        To add to the light.
    """
    gains = row_of(sensor, light)
    signal = np.clip(light, 0, 1) / gains
    return gains * (add_noise(signal, rng, shot, read) - signal)


def mosaic_noise(
    light: np.ndarray,
    rng: np.random.Generator,
    shot: float,
    read: float,
    sensor: Sequence[float],
    smear: float = 0.0,
) -> np.ndarray:
    """Noise of one sample a pixel, of the colour that the Bayer pattern has there, white-balanced and demosaicked.

    Parameters and result as of `pixel_noise`, and the sigma in pixels of the blur that denoising gives to it.
    """
    gains, lit = np.asarray(sensor, light.dtype), np.clip(light, 0, 1)
    signal, scale = np.empty_like(light[..., 0]), np.empty_like(light[..., 0])
    for colour, sites in _SITES:
        signal[sites], scale[sites] = lit[(*sites, colour)] / gains[colour], gains[colour]
    noise = scale * (add_noise(signal, rng, shot, read) - signal)
    planes = np.zeros((3, *noise.shape), noise.dtype)
    for colour, sites in _SITES:
        planes[(colour, *sites)] = noise[sites]
    spread = [_filled(planes[RED]), _filled_green(planes[GREEN]), _filled(planes[BLUE])]
    return np.stack([gaussian_filter(plane, smear) if smear else plane for plane in spread], axis=-1)


def residue_noise(photo: np.ndarray, rng: np.random.Generator, residue: Residue, sparse: bool = False) -> np.ndarray:
    """Residue, to add to a photo.

    Parameters
    ----------
    photo : (H, W, 3) float array
        sRGB in [0, 1].
    rng : numpy.random.Generator
    residue : Residue
    sparse : bool
        Its pixels are too far apart to share noise.

    Returns
    -------
    (H, W, 3) float array
    """
    shape = photo.shape[:2]
    luma = residue.luma * _field(shape, 0 if sparse else residue.luma_blur, rng)
    planes = [luma + residue.chroma * _field(shape, 0 if sparse else residue.chroma_blur, rng) for _ in range(3)]
    if residue.sharpening and not sparse:
        planes = [plane + residue.sharpening * (plane - gaussian_filter(plane, 1)) for plane in planes]
    strength = 1 + residue.slope * (2 * mean_of_colours(photo) - 1)
    return np.stack([plane * strength / 255 for plane in planes], axis=-1)


def _filled(plane) -> np.ndarray:
    """Bilinear demosaicking of red or blue: zeros between samples get the mean of their neighbours, by rows, then by
    columns."""
    for _ in range(2):
        padded = np.pad(plane, ((1, 1), (0, 0)), "reflect")
        plane = (plane + (padded[:-2] + padded[2:]) / 2).T
    return plane


def _filled_green(plane) -> np.ndarray:
    """The same of green, whose samples lie as on a chessboard: each zero has four neighbours."""
    padded = np.pad(plane, 1, "reflect")
    return plane + (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4


def _residue(rng, most) -> Residue:
    return Residue(
        luma=log_uniform(rng, 1.5, most),
        luma_blur=rng.uniform(0, 1.2),
        chroma=log_uniform(rng, 0.3, 0.8 * most),
        chroma_blur=rng.uniform(0.4, 2.6) if rng.random() < 0.8 else rng.uniform(2.6, 6),
        slope=rng.uniform(-0.8, 0.8),
        sharpening=rng.uniform(0, 1.5) if rng.random() < 0.3 else 0.0,
        early=rng.random() < 0.3,
    )


def _jpeg(rng, share) -> dict[str, Any]:
    """A JPEG file in that share of the photos: three in ten of low quality."""
    if rng.random() > share:
        return {}
    quality = rng.integers(20, 60) if rng.random() < 0.3 else rng.integers(60, 99)
    return {"quality": int(quality), "subsampled": bool(rng.random() < 0.6)}


def _sensor(rng) -> dict[str, Any]:
    """Of a good camera or a bad one, denoised by it or not; levels as in Brooks et al. 2019, and fainter."""
    shot = log_uniform(rng, 3e-5, 1e-2)
    read = read_noise(rng, shot)
    sensor = rng.uniform(1.2, 2.4), 1.0, rng.uniform(1.2, 2.4)
    mosaic = rng.random() < 0.7
    smear = rng.uniform(0.4, 1.5) if mosaic and rng.random() < 0.5 else 0.0
    return {"shot": shot, "read": read, "sensor": sensor, "mosaic": mosaic, "smear": smear}


def _field(shape, blur, rng) -> np.ndarray:
    """Gaussian noise of unit deviation, correlated over that sigma."""
    field = rng.standard_normal(shape, np.float32)
    if blur < 0.3:
        return field
    field = gaussian_filter(field, blur, mode="wrap", truncate=3)
    return field / max(float(field.std()), 1e-6)
