"""Colour profiles: whatever a photo's levels mean, as sRGB."""

import io
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from lowlight.imaging.pixels import Levels, bands
from lowlight.imaging.srgb import decoded

SPACES = {1: "gray", 3: "rgb", 4: "cmyk"}

MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
"""Of Pillow, for the colour spaces of profiles."""

GREY_MODES = {"1", "L", "LA", "La"}


@cache
def srgb_profile() -> bytes:
    """What is put into photos with colour."""
    return _srgb().tobytes()


@cache
def grey_profile() -> bytes:
    """What is put into photos without colour, where a profile of three channels has no place: sRGB's curve alone."""
    import imagecodecs

    linear = decoded(np.linspace(0, 1, 1024))
    return imagecodecs.cms_profile("gray", transferfunction=linear.astype(np.float32))


def converter(image: Image.Image, profile: bytes | None) -> Callable[[Image.Image], Image.Image]:
    """A function that gives any part of an 8-bit image as RGB, by its profile if it has one that can be used."""
    if not profile:
        return _plain
    grey = image.mode in GREY_MODES
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES.get(source.profile.xcolor_space.strip(), "RGB")
        if (mode == "L" and not grey) or (mode == "CMYK") != (image.mode == "CMYK"):
            return _plain
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return _plain  # broken, or of another colour space: the numbers are the best that is known
    return lambda part: transform.apply(part.convert(mode))


def deep_levels(values: np.ndarray, colours: int, profile: bytes | None, with_alpha: bool = True) -> Levels:
    """What was decoded of a photo into an array.

    Parameters
    ----------
    values : (H, W, C) uint8 or uint16 array
        As it lies in the file.
    colours : int
        How many of the channels are colour: 1, 3 or 4 (CMYK).
    profile : bytes, optional
    with_alpha : bool
        Whether the channel after those, if there is one, is transparency.
    """
    alpha = values[..., colours] if with_alpha and values.shape[2] > colours else None
    return Levels(_to_srgb(values[..., :colours], profile), alpha, colours == 1)


def _to_srgb(levels, profile) -> np.ndarray:
    """(H, W, 3); without a usable profile grey and RGB are taken for sRGB, and CMYK for plain ink."""
    import imagecodecs

    if levels.shape[2] == 1 and profile and profile[16:20] == b"RGB ":
        levels = np.broadcast_to(levels, (*levels.shape[:2], 3))
    space = SPACES[levels.shape[2]]
    white = np.iinfo(levels.dtype).max
    unit = np.arange(0, white + 1, white // 5, dtype=levels.dtype)  # 6 levels show whether a profile changes anything
    probe = np.stack(np.meshgrid(*[unit] * levels.shape[2]), axis=-1).reshape(1, -1, levels.shape[2])

    def transform(part):
        # Unoptimised, for else LittleCMS takes a coarse table, as much as 19 of 255 levels off between Adobe RGB and
        # sRGB; it is 0.2 s a megapixel.
        return imagecodecs.cms_transform(
            part[..., 0] if space == "gray" else part,
            profile,
            srgb_profile(),
            colorspace=space,
            outcolorspace="rgb",
            flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,
        )

    try:
        plain = not profile or np.abs(transform(probe) - _plain_levels(probe).astype(int)).max() <= white / 1024
    except (ValueError, imagecodecs.CmsError):
        plain = True
    if plain and space == "rgb":
        return np.ascontiguousarray(levels)
    result = np.empty((*levels.shape[:2], 3), levels.dtype)
    for rows in bands(*levels.shape[:2]):
        part = np.ascontiguousarray(levels[rows])
        result[rows] = _plain_levels(part) if plain else transform(part)
    return result


def _plain(part) -> Image.Image:
    return part.convert("RGB")


def _plain_levels(levels) -> np.ndarray:
    if levels.shape[2] < 4:
        return np.broadcast_to(levels, (*levels.shape[:2], 3))
    white = np.uint32(np.iinfo(levels.dtype).max)
    return ((white - levels[..., :3]) * (white - levels[..., 3:]) // white).astype(levels.dtype)


@cache
def _srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
