"""Colour profiles: whatever a photo's levels mean, as sRGB."""

import io
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from lowlight.imaging.pixels import Levels, bands

SPACES = {1: "gray", 3: "rgb", 4: "cmyk"}


@cache
def srgb_profile() -> bytes:
    """What is put into photos with colour."""
    return _srgb().tobytes()


@cache
def grey_profile() -> bytes:
    """What is put into photos without colour, where a profile of three channels has no place: sRGB's curve alone."""
    import imagecodecs

    encoded = np.linspace(0, 1, 1024)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    return imagecodecs.cms_profile("gray", transferfunction=linear.astype(np.float32))


def converter(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """A function that gives any part of an 8-bit image as RGB, by its profile if it has one that can be used."""
    profile = image.info.get("icc_profile")
    if not profile:
        return _plain
    mode = image.mode if image.mode in ("RGB", "L", "CMYK") else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return _plain  # broken, or of another colour space: the numbers are the best that is known
    return lambda part: transform.apply(part.convert(mode))


def deep_levels(values: np.ndarray, colours: int, profile: bytes | None, with_alpha: bool = True) -> Levels:
    """What was decoded of a photo of 16 bits a channel.

    Parameters
    ----------
    values : (H, W, C) uint16 array
        As it lies in the file.
    colours : int
        How many of the channels are colour: 1, 3 or 4 (CMYK).
    profile : bytes, optional
    with_alpha : bool
        Whether the channel after those, if there is one, is transparency.
    """
    alpha = values[..., colours] if with_alpha and values.shape[2] > colours else None
    return Levels(_deep_to_srgb(values[..., :colours], profile), alpha, colours == 1)


def _deep_to_srgb(levels, profile) -> np.ndarray:
    """(H, W, 3) uint16; without a usable profile grey and RGB are taken for sRGB, and CMYK for plain ink."""
    import imagecodecs

    space = SPACES[levels.shape[2]]
    unit = np.arange(0, 65536, 13107, dtype=np.uint16)  # 6 levels a channel show whether a profile changes anything
    probe = np.stack(np.meshgrid(*[unit] * levels.shape[2]), axis=-1).reshape(1, -1, levels.shape[2])

    def transform(part):
        # Unoptimised, for else LittleCMS takes a coarse table, as much as 19 of 255 levels off between Adobe RGB and
        # sRGB; it is 0.2 s a megapixel.
        return imagecodecs.cms_transform(
            part,
            profile,
            srgb_profile(),
            colorspace=space,
            outcolorspace="rgb",
            flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,
        )

    try:
        plain = not profile or np.abs(transform(probe) - _plain_deep(probe).astype(int)).max() < 64
    except (ValueError, imagecodecs.CmsError):
        plain = True
    if plain and space == "rgb":
        return levels
    result = np.empty((*levels.shape[:2], 3), np.uint16)
    for rows in bands(*levels.shape[:2]):
        part = np.ascontiguousarray(levels[rows])
        result[rows] = _plain_deep(part) if plain else transform(part)
    return result


def _plain(part) -> Image.Image:
    return part.convert("RGB")


def _plain_deep(levels) -> np.ndarray:
    if levels.shape[2] < 4:
        return np.broadcast_to(levels, (*levels.shape[:2], 3))
    white = np.uint32(65535)
    return ((white - levels[..., :3]) * (white - levels[..., 3:]) // white).astype(np.uint16)


@cache
def _srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
