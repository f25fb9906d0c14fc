"""TIFFs in L*a*b*, in each of the three ways in which they may hold it, as sRGB."""

import numpy as np

from lowlight.imaging.pixels import bands
from lowlight.imaging.srgb import encoded
from lowlight.io.colour import to_xyz

LAB = ("CIELAB", "ICCLAB", "ITULAB")
"""PhotometricInterpretation 8, 9 and 10."""

D50 = (0.3457, 0.3585)
"""White, unless the file names another (Adobe Photoshop TIFF Technical Notes, 2002)."""

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""From XYZ to the answers of the cones (ICC.1:2022, annex E)."""

ITU = (0.0, 100.0, -21760 / 255, 21590 / 255, -19200 / 255, 31800 / 255)
"""Least and most of L*, a* and b* in ITULAB, unless the tag Decode says others (RFC 2301, 6.2.2)."""

WHITE_POINT, DECODE = 318, 433

WHOLE = 1
"""SampleFormat."""

JPEG = (6, 7, 9, 10)
"""Compressions."""


def lab_to_srgb(levels: np.ndarray, page) -> np.ndarray:
    """What a TIFF holds in L*a*b*; colours that sRGB does not have are clipped in linear light.

    Parameters
    ----------
    levels : (H, W, 3 or more) uint8 or uint16 array
        As they lie in the file.
    page : tifffile.TiffPage
        Of one of `LAB`.

    Returns
    -------
    array of the same shape and type
        Channels from the fourth on as they were.

    Raises
    ------
    ValueError
        If it is packed as JPEG, which its decoder would take for other colours, or of other numbers.
    """
    kind = page.photometric.name
    if (
        levels.shape[2] < 3
        or page.sampleformat != WHOLE
        or page.bitspersample not in (8, 16)
        or page.compression in JPEG
    ):
        raise ValueError(f"a TIFF of {kind} is known of 8 and 16 bits alone, and not packed as JPEG; save it as RGB")
    x, y = _ratios(page, WHITE_POINT, 2) or D50
    white = np.array([x / y, 1, (1 - x - y) / y])
    ranges = _ratios(page, DECODE, 6) or ITU
    to_light = (np.linalg.inv(to_xyz(1)) @ _adapted(white) * white).T.astype(np.float32)
    result = levels.copy()
    for rows in bands(*levels.shape[:2]):
        lightness, a, b = np.moveaxis(_numbers(levels[rows, :, :3], kind, ranges), -1, 0)
        f = (lightness + 16) / 116
        f = np.stack([f + a / 500, f, f - b / 200], -1)
        light = np.where(f > 6 / 29, f * f * f, 3 * (6 / 29) ** 2 * (f - 4 / 29))  # CIE 15:2018, 8.2.1
        colour = encoded(np.clip(light @ to_light, 0, 1))
        result[rows, :, :3] = np.rint(colour * np.iinfo(levels.dtype).max)
    return result


def _ratios(page, tag, count) -> list[float]:
    value = page.tags[tag].value if tag in page.tags else ()
    if not isinstance(value, tuple) or len(value) != 2 * count or not all(value[1::2]) or not value[2]:
        return []
    return [above / below for above, below in zip(value[::2], value[1::2], strict=True)]


def _numbers(levels, kind, ranges) -> np.ndarray:
    """L* from 0 to 100, a* and b* around 0; (H, W, 3)."""
    wide, most = levels.dtype == np.uint16, np.iinfo(levels.dtype).max
    if kind == "ITULAB":
        least, top = np.array(ranges[::2]), np.array(ranges[1::2])
        return (least + levels * ((top - least) / most)).astype(np.float32)
    one = 256 if wide else 1
    if kind == "CIELAB":
        signed = levels[..., 1:].view(np.int16 if wide else np.int8)
        return np.concatenate([levels[..., :1] * np.float32(100 / most), signed / np.float32(one)], -1)
    lightest = 0xFF00 if wide else 0xFF
    return np.concatenate([levels[..., :1] * np.float32(100 / lightest), levels[..., 1:] / np.float32(one) - 128], -1)


def _adapted(white) -> np.ndarray:
    """(3, 3): from XYZ seen under a white to XYZ seen under sRGB's."""
    cones = BRADFORD @ to_xyz(1) @ np.ones(3) / (BRADFORD @ white)
    return np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD
