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


def converter(image: Image.Image, profile: bytes | None, notes: list[str]) -> Callable[[Image.Image], Image.Image]:
    """A function that gives any part of an 8-bit image as RGB, by its profile if it has one that can be used.

    Parameters
    ----------
    image : PIL.Image.Image
    profile : bytes, optional
    notes : list of str
        Is added to if it cannot be used.
    """
    if not profile or image.mode == "LAB":  # whose numbers mean the same in all profiles
        return _plain
    grey = image.mode in GREY_MODES
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES.get(source.profile.xcolor_space.strip(), "RGB")
        if (mode == "L" and not grey) or (mode == "CMYK") != (image.mode == "CMYK"):
            raise ValueError("a profile of other colours")
        with_table = (source.profile.clut or {}).get(ImageCms.Intent.PERCEPTUAL, (True,))[ImageCms.Direction.INPUT]
        # Of all but matrices LittleCMS would make a coarse table, which is as much as 30 levels off.
        flags = ImageCms.Flags.NOOPTIMIZE if with_table or mode != "RGB" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError, ValueError):  # the numbers are the best that is known
        notes.append(not_used(image.mode))
        return _plain
    if mode == "L":  # as a table of all levels, in a tenth of the time
        table = np.asarray(transform.apply(Image.fromarray(np.arange(256, dtype=np.uint8)[None])))[0]
        return lambda part: Image.fromarray(table[np.asarray(part.convert(mode))])
    return lambda part: transform.apply(part.convert(mode))


def deep_levels(values: np.ndarray, colours: int, profile: bytes | None, with_alpha: bool, notes: list[str]) -> Levels:
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
    notes : list of str
        Is added to if the profile cannot be used.
    """
    alpha = values[..., colours] if with_alpha and values.shape[2] > colours else None
    return Levels(_to_srgb(values[..., :colours], profile, notes), alpha, colours == 1)


def _to_srgb(levels, profile, notes) -> np.ndarray:
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
        notes.append(not_used(space))
        plain = True
    if plain and space == "rgb":
        return np.ascontiguousarray(levels)
    result = np.empty((*levels.shape[:2], 3), levels.dtype)
    for rows in bands(*levels.shape[:2]):
        part = np.ascontiguousarray(levels[rows])
        result[rows] = _plain_levels(part) if plain else transform(part)
    return result


def not_used(space: str) -> str:
    """What a user should be told of a profile that cannot be used for a picture of RGB, grey or CMYK."""
    taken = "plain ink" if space.upper() == "CMYK" else "sRGB"
    return f"its colour profile cannot be used (broken, or for other channels): taken for {taken}"


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
