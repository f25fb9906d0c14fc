"""Stills of high dynamic range (PQ and HLG) as sRGB, whose white is that of paper in them."""

import numpy as np

from lowlight.imaging.pixels import bands
from lowlight.imaging.srgb import to_srgb as encode
from lowlight.imaging.transfer import PQ, hlg_to_scene, nits_to_pq, pq_to_nits

WHITE_NITS = 203
"""Of diffuse white (ITU-R BT.2408); sRGB's white in the result."""

HLG_WHITE = 0.265
"""Scene light of diffuse white in HLG: its signal is 75 % (ITU-R BT.2408)."""

LUMINOUS = 0.9999
"""The share of pixels that decides how bright the brightest is: a few that are stuck do not."""


def to_sdr(levels: np.ndarray, transfer: int, to_srgb: np.ndarray) -> tuple[np.ndarray, bool]:
    """Light of an HDR still as sRGB.

    Up to 203 nits nothing but the code changes, if nothing is brighter. Else the brightest of red, green and blue goes
    through the curve of ITU-R BT.2390 (5.4.1), which rolls off from about half of white on, and the others with it,
    so that hues stay. HLG is read as scene light (ITU-R BT.2408, 5.1), without the gamma of a bright screen.

    Parameters
    ----------
    levels : (H, W, 3) uint8 or uint16 array
        Full range.
    transfer : int
        `PQ` or `HLG`.
    to_srgb : (3, 3) array
        From linear light of the photo's primaries to that of sRGB's.

    Returns
    -------
    srgb : (H, W, 3) uint16 array
    rolled_off : bool
        Whether there was light above white.
    """
    white = 255 if levels.dtype == np.uint8 else 65535
    light = _light(np.arange(white + 1) / white, transfer).astype(np.float32)
    counts = sum(np.bincount(levels[rows].max(2).ravel(), minlength=white + 1) for rows in bands(*levels.shape[:2]))
    brightest = np.searchsorted(np.cumsum(counts), LUMINOUS * levels.shape[0] * levels.shape[1])
    peak = float(light[brightest])
    gains = np.ones_like(light)
    if peak > 1.02:
        gains[1:] = _rolled_off(light[1:], peak) / np.maximum(light[1:], 1e-9)
    result = np.empty(levels.shape, np.uint16)
    matrix = to_srgb.T.astype(np.float32)
    for rows in bands(*levels.shape[:2]):
        part = levels[rows]
        linear = (light[part] * gains[part.max(2)][..., None]) @ matrix
        result[rows] = np.rint(encode(linear, rounded=False) * 65535)
    return result, peak > 1.02


def _light(signal, transfer):
    """1 is diffuse white."""
    return pq_to_nits(signal) / WHITE_NITS if transfer == PQ else hlg_to_scene(signal) / HLG_WHITE


def _rolled_off(light, peak):
    """ITU-R BT.2390, 5.4.1: a cubic in PQ's code from a knee up, so that `peak` comes to be white."""
    most = nits_to_pq(peak * WHITE_NITS)
    code = np.minimum(nits_to_pq(light * WHITE_NITS) / most, 1)
    white = nits_to_pq(WHITE_NITS) / most
    knee = max(0.0, 1.5 * white - 0.5)
    t = np.maximum(code - knee, 0) / (1 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return pq_to_nits(np.where(code < knee, code, curve) * most) / WHITE_NITS
