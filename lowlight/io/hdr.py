"""Stills of high dynamic range (PQ and HLG) as sRGB, whose white is that of paper in them."""

import numpy as np

from lowlight.imaging.pixels import bands

PQ, HLG = 16, 18
"""ITU-T H.273, transfer characteristics."""

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
        linear = np.clip((light[part] * gains[part.max(2)][..., None]) @ matrix, 0, 1)
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
        result[rows] = np.rint(encoded * 65535)
    return result, peak > 1.02


def _light(signal, transfer):
    """1 is diffuse white."""
    return _pq_nits(signal) / WHITE_NITS if transfer == PQ else _hlg_scene(signal) / HLG_WHITE


def _pq_nits(signal):
    """SMPTE ST 2084, 5.2."""
    root = signal ** (32 / 2523)
    return 10000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)


def _pq_signal(nits):
    power = (nits / 10000) ** (2610 / 16384)
    return ((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def _hlg_scene(signal):
    """ITU-R BT.2100, table 5."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _rolled_off(light, peak):
    """ITU-R BT.2390, 5.4.1: a cubic in PQ's code from a knee up, so that `peak` comes to be white."""
    most = _pq_signal(peak * WHITE_NITS)
    code = np.minimum(_pq_signal(light * WHITE_NITS) / most, 1)
    white = _pq_signal(WHITE_NITS) / most
    knee = max(0.0, 1.5 * white - 0.5)
    t = np.maximum(code - knee, 0) / (1 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return _pq_nits(np.where(code < knee, code, curve) * most) / WHITE_NITS
