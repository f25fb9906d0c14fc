"""Camera simulation: clean photos degraded as in bad light, drawn anew for every crop, never written to disk.

The order is that of light: it falls by some stops, everywhere or only where the scene is dim; the sensor adds shot and
read noise behind a Bayer mosaic (Foi et al. 2008), whose colours white balance then multiplies and demosaicking spreads
over neighbours, so that the noise is coloured and blotchy (Brooks et al. 2019, "Unprocessing images for learned raw
denoising"), unless the photo was scaled down since; the file is sRGB in 8 bits, often JPEG. Of the mosaic only the
noise is made: the picture keeps its detail.

A crop and the thumbnail of its whole photo are put through one and the same `Camera`.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from lowlight.data.lights import night_of_lights
from lowlight.data.noise import Residue, draw_noise, log_uniform, mosaic_noise, pixel_noise, residue_noise
from lowlight.data.synthetic import through_jpeg
from lowlight.imaging.exposure import WHOLE, smoothstep
from lowlight.imaging.pixels import mean_of_colours, row_of
from lowlight.imaging.srgb import to_linear, to_srgb

SMALL = 128
"""Side in pixels of what stands for the whole photo: pixels of it, not means, as noise lifts what it is clipped at."""

EXPOSURES = 2
"""How often these pixels are exposed, for their mean: a thumbnail of a real photo averages many pixels of noise."""

DARKEST_MEANS = 1e-3, 4e-2
"""Of linear light, between which the darkest photos are, that people still hope to see something in."""

BACKLIGHT = 0.3, 0.4
"""Linear light of a scene's brighter part. Below the first that is a lit subject before the dark, never a light that
stands behind something; from the second on it is such a light; between them it may be either."""


@dataclasses.dataclass(frozen=True)
class Camera:
    """How one photo is taken; the default takes it as it is."""

    stops: float = 0.0
    """By how much exposure falls."""
    dim_only: float | None = None
    """Darken only what is dimmer than this share of the scene, as against the light; None darkens all."""
    night: float | None = None
    """Make what is brighter than this share of the scene black, in the truth too, as a sky at night; None leaves it."""
    low_key: tuple[float, float] | None = None
    """Darken what is dimmer than this share of the scene by so many stops, in the truth too, as behind what a lamp or
    a low sun picks out; None leaves it, and so does a scene whose brighter part is a sky, a window or the like."""
    lights: bool = False
    """Show a night with lights (`lowlight.data.lights`) instead, in the truth too; of whole photos alone."""
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Error of white balance: gains of red, green and blue."""
    shot: float = 0.0
    """Variance of the noise of a sensor's signal of 1, in linear light."""
    read: float = 0.0
    """Standard deviation of the noise of no signal."""
    sensor: tuple[float, float, float] = (2.0, 1.0, 1.7)
    """What white balance multiplies the sensor's red, green and blue by."""
    mosaic: bool = True
    """Each pixel has one colour and takes the others from its neighbours; else it has all, as if scaled down since."""
    smear: float = 0.0
    """Sigma in pixels of the blur that the camera's own denoising gives to noise."""
    sigma: float = 0.0
    """Standard deviation of white Gaussian noise on the finished file, of 255."""
    black: float = 0.0
    """Added to all, as by haze or a wrong black level, of 1 in the file."""
    residue: Residue | None = None
    """Noise that the camera's processing has left on the file."""
    quality: int | None = None
    """Of JPEG; None leaves it out."""
    subsampled: bool = True
    """Whether JPEG keeps colour at half the resolution."""


RESTORATION = {"as it is": 0.1, "noisy": 0.55, "dark": 0.175, "dim": 0.14, "night": 0.035}
"""Shares of the kinds of shots that restoration learns from: noise most of all."""

EXPOSURE = {"as it is": 0.2, "noisy": 0.2, "dark": 0.12, "dim": 0.32, "low key": 0.12, "night": 0.04}
"""Those that exposure learns from: many are right as they are, noisy or not, for made-up darkness soon misleads."""


def draw(rng: np.random.Generator, kinds: Mapping[str, float] = RESTORATION) -> Camera:
    """A camera and a light, of kinds in these shares; dim ones are dark only where the scene is dim.

    For restoration one shot in three of those that are not dark is so around what is lit, and should stay so. Noise of
    each kind comes with every light, or it would tell how dark a photo is.
    """
    kind = rng.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values()))
    around = (rng.uniform(0.7, 0.85), rng.uniform(1.5, 6))
    low_key = around if kind == "low key" or ("low key" not in kinds and rng.random() < 0.35) else None
    if kind == "as it is":
        return Camera(low_key=low_key)
    if kind in ("noisy", "low key"):
        most = 1 if kind == "noisy" else 3
        stops = rng.uniform(0, most) if rng.random() < 0.5 else 0.0
        return Camera(stops=stops, low_key=low_key, **draw_noise(rng, (0.35, 0.45, 0.2), 55, 18))
    return Camera(
        stops=rng.uniform(1, 4.5) if kind == "dim" else rng.uniform(0.3, 5.5),
        dim_only=rng.uniform(0.35, 0.92) if kind == "dim" else None,
        night=rng.uniform(0.4, 0.7) if kind == "night" else None,
        balance=_balance(rng),
        black=rng.uniform(0, 0.02) if rng.random() < 0.35 else 0.0,
        **draw_noise(rng, (0.2, 0.35, 0.45), 15, 8),
    )


def relit(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A dark photo as another exposure would have been, with another curve, haze, cast and noise at times.

    It is 1.7 stops less to 1.3 more, or, one time in four, whatever makes it as dark as the darkest are.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
        sRGB, of a real camera.
    rng : numpy.random.Generator

    Returns
    -------
    (H, W, 3) uint8 array
    """
    stops = rng.uniform(-1.7, 1.3)
    if rng.random() < 0.25:
        mean = log_uniform(rng, *DARKEST_MEANS)
        stops = min(1.3, np.log2(mean / (to_linear(photo[::4, ::4]).mean() + 1e-4)))
    gamma = np.exp(rng.uniform(-0.25, 0.25)) if rng.random() < 0.3 else 1.0
    gains = 2.0**stops * np.array(_balance(rng) if rng.random() < 0.7 else (1.0, 1.0, 1.0))
    black = rng.uniform(0, 0.03) if rng.random() < 0.35 else 0.0
    curves = to_srgb(to_linear(np.arange(256))[:, None] * gains, rounded=False) ** gamma * (1 - black) + black
    lit = _through(curves, photo)
    if rng.random() < 0.5:
        lit += rng.normal(0, log_uniform(rng, 0.5, 12) / 255, lit.shape)
    return _rounded(lit)


def draw_black(rng: np.random.Generator) -> np.ndarray:
    """By how much black is lifted in a file, of 1, in red, green and blue; three times in four by nothing."""
    if rng.random() < 0.75:
        return np.zeros(3, np.float32)
    return (rng.uniform(0, 0.03) * np.exp(rng.normal(0, 0.15, 3))).astype(np.float32)


def lifted(photo: np.ndarray, black: np.ndarray) -> np.ndarray:
    """A photo whose black is lifted, as by a wrong black level or flare; white stays.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array, or float array in [0, 1]
    black : (3,) array
        By `draw_black`.

    Returns
    -------
    (H, W, 3) array of the same type
    """
    if not black.any():
        return photo
    if photo.dtype != np.uint8:
        return photo * (1 - black) + black
    return _through(np.rint(np.arange(256)[:, None] * (1 - black) + 255 * black).astype(np.uint8), photo)


def styled(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A good photo as others like theirs, which is right, too: half of them lighter or darker by a gamma, all tinted.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
        sRGB.
    rng : numpy.random.Generator

    Returns
    -------
    (H, W, 3) uint8 array
    """
    gamma = rng.uniform(0.75, 1.35) if rng.random() < 0.5 else 1.0
    curves = (np.arange(256)[:, None] / 255) ** gamma * np.exp(rng.normal(0, 0.06, 3))
    return _through(_rounded(curves), photo)


def is_noisy_alone(camera: Camera) -> bool:
    """Whether noise, with or without JPEG, is all that a camera does to a photo: its exposure stays right."""
    return camera != Camera() and not camera.stops and camera.low_key is None


def is_backlit(photo: np.ndarray, share: float) -> bool:
    """Whether the brighter part of a photo can be a light that stands behind the rest.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
        sRGB.
    share : float
        Of the photo, from 0 to 1, that is not of the brighter part.
    """
    light = to_linear(pixels_of(photo, WHOLE), np.float32)
    return _mean_light(light, _bright_shares([light, light], WHOLE, share)[0]) >= BACKLIGHT[0]


def degrade_crop(
    clean: np.ndarray, small: np.ndarray, box: np.ndarray, camera: Camera, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Degrade a part of a photo, and the whole of it, as a camera would.

    Parameters
    ----------
    clean : (h, w, 3) uint8 array
        The part, sRGB.
    small : (`SMALL`, `SMALL`, 3) uint8 array
        Pixels of the whole photo, by `pixels_of`.
    box : (4,) array
        Top, left, bottom and right of the part in the whole, 0 to 1.
    camera : Camera
    rng : numpy.random.Generator

    Returns
    -------
    low, high, low of the whole, high of the whole : uint8 arrays, shaped as `clean` and `small`
        Low of the whole is the mean of several exposures, if there is noise.
    """
    dark, light, dark_whole, whole = _lights(clean, small, box, camera, rng, np.float32)  # twice as fast as float64
    low = _file(dark, camera, rng)
    exposures = EXPOSURES if camera.shot or camera.sigma or camera.residue else 1
    taken = [_file(dark_whole, camera, rng, sparse=True) for _ in range(exposures)]
    low_whole = np.rint(np.mean(taken, axis=0, dtype=np.float32)).astype(np.uint8)
    if not _changes_truth(camera):
        return low, clean, low_whole, small
    return low, to_srgb(light), low_whole, to_srgb(whole)


def degrade(clean: np.ndarray, camera: Camera, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Degrade all of a photo, pixel by pixel, as a camera would.

    Parameters
    ----------
    clean : (H, W, 3) uint8 array
        sRGB.
    camera : Camera
    rng : numpy.random.Generator

    Returns
    -------
    low, high : (H, W, 3) uint8 arrays
    """
    if camera.lights:
        clean = night_of_lights(clean, rng)
    dark, light, _, _ = _lights(clean, pixels_of(clean, WHOLE), WHOLE, camera, rng, np.float64)
    return _file(dark, camera, rng), to_srgb(light) if _changes_truth(camera) else clean


def pixels_of(photo: np.ndarray, frame: Sequence[float] | np.ndarray) -> np.ndarray:
    """`SMALL` x `SMALL` pixels of a part of a photo, evenly spread.

    Parameters
    ----------
    photo : (H, W, 3) array
    frame : four floats
        Top, left, bottom and right of the part, in shares of the photo's sides.

    Returns
    -------
    (`SMALL`, `SMALL`, 3) array of the same type
    """
    middles = (np.arange(SMALL) + 0.5) / SMALL
    spans = ((frame[0], frame[2], photo.shape[0]), (frame[1], frame[3], photo.shape[1]))
    rows, columns = (((start + (stop - start) * middles) * side).astype(int) for start, stop, side in spans)
    return photo.take(rows, axis=0).take(columns, axis=1)


def _through(curves, photo):
    """A (H, W, 3) uint8 photo, each colour through its own of the (256, 3) curves."""
    return np.stack([curves[photo[..., colour], colour] for colour in range(3)], axis=-1)


def _rounded(photo) -> np.ndarray:
    """Levels of a photo of floats, uint8; what lies outside [0, 1] is clipped. The floats are overwritten."""
    np.clip(photo, 0, 1, out=photo)
    photo *= 255
    return np.rint(photo, out=photo).astype(np.uint8)


def _changes_truth(camera) -> bool:
    """Else linear light of the truth comes back as the photo that it was."""
    return camera.night is not None or camera.low_key is not None


def _lights(clean, small, box, camera, rng, dtype):
    """The light that falls on the sensor, and that of the truth: of a part, and of the whole."""
    truth = [to_linear(small, dtype), to_linear(clean, dtype)]
    if camera.night is not None:
        skies = _bright_shares(truth, box, camera.night)
        truth = [light * (1 - sky) for light, sky in zip(truth, skies, strict=True)]
    if camera.low_key is not None:
        share, stops = camera.low_key
        lit = _bright_shares(truth, box, share)
        if _mean_light(truth[0], lit[0]) < BACKLIGHT[1]:
            truth = [light * 2.0 ** (-stops * (1 - subject)) for light, subject in zip(truth, lit, strict=True)]
    lit = [0.0, 0.0] if camera.dim_only is None else _bright_shares(truth, box, camera.dim_only)
    seen = truth
    if camera.residue and camera.residue.early:
        seen = [
            _with_early(light, camera.residue, rng, sparse) for light, sparse in zip(truth, (True, False), strict=True)
        ]
    dark = [light * 2.0 ** (-camera.stops * (1 - kept)) for light, kept in zip(seen, lit, strict=True)]
    return dark[1], truth[1], dark[0], truth[0]


def _mean_light(light, weights) -> float:
    return float(np.average(mean_of_colours(light), weights=weights[..., 0]))


def _with_early(light, residue, rng, sparse) -> np.ndarray:
    """Linear light of a scene as a noisy photo shows it."""
    photo = to_srgb(light, rounded=False)
    return to_linear(_rounded(photo + residue_noise(photo, rng, residue, sparse)), light.dtype)


def _balance(rng) -> tuple[float, float, float]:
    return math.exp(rng.uniform(-0.2, 0.2)), 1.0, math.exp(rng.uniform(-0.2, 0.2))


def _bright_shares(lights, box, share):
    """How far each pixel of the whole, and of the part in a box, belongs to the brighter part of the scene, 0 to 1.

    A smooth map of the whole follows the edges of the scene by a guided filter (He et al. 2013), computed small and
    applied to the part's own brightness (He & Sun 2015, "Fast guided filter").
    """
    guides = [np.sqrt(mean_of_colours(light)) for light in lights]
    guide = guides[0]
    soft = gaussian_filter(guide, 2)
    threshold = float(np.quantile(soft, share))  # as a NumPy scalar it would make all of it float64
    target = np.clip((soft - threshold) / 0.1 + 0.5, 0, 1)
    mean, goal = uniform_filter(guide, 9), uniform_filter(target, 9)
    slope = (uniform_filter(guide * target, 9) - mean * goal) / (uniform_filter(guide**2, 9) - mean**2 + 1e-3)
    lines = [uniform_filter(line, 9) for line in (slope, goal - slope * mean)]
    shares = []
    for brightness, place in zip(guides, (None, box), strict=True):
        slope, offset = lines if place is None else (_part(line, place, brightness.shape) for line in lines)
        shares.append(smoothstep(slope * brightness + offset)[..., None])
    return shares


def _part(small, box, shape):
    """A part of a (`SMALL`, `SMALL`) map, bilinearly enlarged to a shape."""
    axes = []
    for start, stop, side in ((box[0], box[2], shape[0]), (box[1], box[3], shape[1])):
        place = np.clip((start + (stop - start) * (np.arange(side) + 0.5) / side) * SMALL - 0.5, 0, SMALL - 1)
        axes.append(np.maximum(0, 1 - np.abs(place[:, None] - np.arange(SMALL))).astype(small.dtype))
    return axes[0] @ small @ axes[1].T


def _file(light, camera, rng, sparse=False) -> np.ndarray:
    """The file, uint8, of the light on the sensor; pixels of a `sparse` picture are too far apart to share noise."""
    if camera.balance != Camera.balance:
        light = light * row_of(camera.balance, light)
    if camera.shot:
        sensor = camera.shot, camera.read, camera.sensor
        light = light + (
            mosaic_noise(light, rng, *sensor, camera.smear) if camera.mosaic else pixel_noise(light, rng, *sensor)
        )
    photo = to_srgb(light, rounded=False)
    if camera.black:
        photo = photo * (1 - camera.black) + camera.black
    if camera.sigma:
        photo = photo + camera.sigma / 255 * rng.standard_normal(photo.shape, photo.dtype)
    if camera.residue and not camera.residue.early:
        photo = photo + residue_noise(photo, rng, camera.residue, sparse)
    photo = _rounded(photo)
    return through_jpeg(photo, camera.quality, camera.subsampled) if camera.quality and not sparse else photo
