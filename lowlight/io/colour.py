"""What the numbers of a photo mean, from all that its file may say, and the photo as sRGB."""

import struct
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from lowlight.imaging.pixels import Levels, scaled
from lowlight.imaging.srgb import decoded
from lowlight.imaging.transfer import HLG, PQ
from lowlight.io import hdr
from lowlight.io.exif import says_adobe_rgb
from lowlight.io.icc import deep_levels

UNKNOWN = 2
"""ITU-T H.273: unspecified."""

SRGB = 13

PRIMARIES = {
    1: (0.64, 0.33, 0.30, 0.60, 0.15, 0.06),  # BT.709, sRGB
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08),  # BT.470 M
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06),  # BT.601, 625 lines
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # BT.601, 525 lines
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049),  # film
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI P3
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
"""x and y of red, green and blue, by their number in ITU-T H.273, table 2."""

D65 = (0.3127, 0.3290)

WHITES = {4: (0.310, 0.316), 8: (0.310, 0.316), 11: (0.314, 0.351)}

GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}

CAMERA_CURVES = {1, 6, 14, 15}
"""Of BT.709, BT.601 and BT.2020, which are one."""

NARROW = 16, 235
"""Black and white of video, of 255 (ITU-R BT.709); with more bits they are followed by zeros."""

TONE_MAPPED = "HDR ({}): light up to 203 nits is kept, what is brighter is rolled off"


class Meaning(NamedTuple):
    """What the numbers of a photo mean."""

    icc: bytes | None = None
    """A profile, from the file or made of what it says; None: sRGB."""
    cicp: tuple[int, int] | None = None
    """Primaries and transfer (ITU-T H.273) of an HDR still, which no profile can describe."""
    tagged: bool = False
    """Whether the file has a profile, or says that it is other than sRGB."""
    narrow: bool = False
    """Whether black is 16 of 255, and white 235, as in video; else the numbers go from one end to the other."""


def meaning(
    icc: bytes | None = None,
    cicp: tuple[int, int] | None = None,
    chromaticities: Sequence[float] | None = None,
    gamma: float | None = None,
    exif: bytes = b"",
    as_video: bool = False,
) -> Meaning:
    """Decide what holds where a file says several things: ICC, else CICP, else chromaticities and gamma, else EXIF.

    Of a PNG with CICP, which goes before its profile, the profile is not given here. A photo of BT.709's primaries and
    camera curve is taken for sRGB where `as_video`: encoders of AVIF and HEIC write that of any photo.

    Parameters
    ----------
    icc : bytes, optional
    cicp : tuple of int, optional
        Primaries and transfer of ITU-T H.273. PQ and HLG hold against a profile that means the same, roughly.
    chromaticities : 8 floats, optional
        x and y of white, red, green and blue.
    gamma : float, optional
        The exponent that PNG's gAMA holds: of light, to get the numbers.
    exif : bytes
    as_video : bool
    """
    inside = _cicp_of(icc) if icc else None
    cicp = inside or cicp
    primaries, transfer = cicp or (UNKNOWN, UNKNOWN)
    if transfer in (PQ, HLG) and (not icc or inside or _means_hdr(icc)):
        return Meaning(cicp=(primaries if primaries in PRIMARIES else 9, transfer), tagged=True)
    if icc:
        return Meaning(icc, tagged=True)
    if cicp and (primaries, transfer) != (UNKNOWN, UNKNOWN):
        return _made_up(_profile_of(primaries, transfer, as_video))
    if gamma or chromaticities:
        return _made_up(_profile_of_png(tuple(chromaticities or ()), gamma))
    if says_adobe_rgb(exif):
        return Meaning(_adobe_rgb(), tagged=True)
    return Meaning()


def _made_up(profile) -> Meaning:
    return Meaning(profile, tagged=profile is not None)


def levels_of(values: np.ndarray, colours: int, means: Meaning, with_alpha: bool, notes: list[str]) -> Levels:
    """What was decoded of a photo, as sRGB.

    Parameters
    ----------
    values : (H, W, C) uint8 or uint16 array
        As it lies in the file.
    colours : int
        How many of the channels are colour: 1, 3 or 4 (CMYK).
    means : Meaning
    with_alpha : bool
        Whether the channel after those, if there is one, is transparency.
    notes : list of str
        Is added to, if the user should know how it was read.
    """
    if means.narrow:
        values = np.concatenate([_stretched(values[..., :colours], notes), values[..., colours:]], axis=2)
    if means.cicp is None or colours == 4:
        return deep_levels(values, colours, means.icc, with_alpha, notes)
    primaries, transfer = means.cicp
    colour, rolled_off = hdr.to_sdr(
        np.broadcast_to(values[..., :colours], (*values.shape[:2], 3)), transfer, matrix_to_srgb(primaries)
    )
    if rolled_off:
        notes.append(TONE_MAPPED.format("PQ" if transfer == PQ else "HLG"))
    else:
        notes.append(f"HDR ({'PQ' if transfer == PQ else 'HLG'}), written as sRGB")
    alpha = values[..., colours] if with_alpha and values.shape[2] > colours else None
    if alpha is not None and alpha.dtype == np.uint8:
        alpha = alpha.astype(np.uint16) * 257
    return Levels(colour, alpha, colours == 1)


def _stretched(values, notes) -> np.ndarray:
    """Of video's levels all; what lies beyond black and white is cut off."""
    one = 2 ** (8 * values.itemsize - 8)
    black, white = NARROW[0] * one, NARROW[1] * one
    if values.min(initial=black) < black or values.max(initial=white) > white:
        notes.append("what is darker than black of video, or brighter than white, is cut off")
    return scaled(values.astype(np.int32) - black, white - black)


@cache
def matrix_to_srgb(primaries: int) -> np.ndarray:
    """(3, 3): from linear light of primaries of ITU-T H.273 to that of sRGB's; white stays white."""
    return np.linalg.inv(to_xyz(1)) @ to_xyz(primaries)


def to_xyz(primaries: int) -> np.ndarray:
    """(3, 3): from linear light of primaries of ITU-T H.273, with white as D65, to CIE XYZ."""
    x, y = np.reshape(PRIMARIES[primaries], (3, 2)).T
    columns = np.stack([x, y, 1 - x - y]) / y
    white_x, white_y = D65
    return columns * np.linalg.solve(columns, [white_x / white_y, 1, (1 - white_x - white_y) / white_y])


def _cicp_of(icc) -> tuple[int, int] | None:
    """ICC.1:2022, 9.2.17: a profile may say PQ and HLG by number."""
    (count,) = struct.unpack_from(">I", icc.ljust(132, b"\0"), 128)
    for number in range(min(count, 100)):
        entry = icc[132 + 12 * number : 144 + 12 * number]
        if len(entry) == 12 and entry[:4] == b"cicp":
            (offset,) = struct.unpack_from(">I", entry, 4)
            numbers = icc[offset + 8 : offset + 10]
            return (numbers[0], numbers[1]) if len(numbers) == 2 and numbers[1] in (PQ, HLG) else None
    return None


def _means_hdr(icc) -> bool:
    text = icc.replace(b"\0", b"")
    return any(word in text for word in (b"PQ", b"HLG", b"2100", b"2084"))


@cache
def _profile_of(primaries, transfer, as_video) -> bytes | None:
    """None if it is sRGB, or of no kind that is known."""
    primaries = primaries if primaries in PRIMARIES else 1
    if primaries == 1 and (transfer in (UNKNOWN, SRGB) or (as_video and transfer in CAMERA_CURVES)):
        return None
    white = WHITES.get(primaries, D65)
    return _made((*white, *PRIMARIES[primaries]), _curve(transfer))


def _curve(transfer):
    signal = np.linspace(0, 1, 4096)
    if transfer in GAMMAS:
        return signal ** GAMMAS[transfer]
    if transfer in CAMERA_CURVES:  # ITU-R BT.2020, table 4, turned round
        return np.where(signal < 4.5 * 0.018054, signal / 4.5, ((signal + 0.099297) / 1.099297) ** (1 / 0.45))
    return decoded(signal)


@cache
def _profile_of_png(chromaticities, gamma) -> bytes | None:
    """None if it is sRGB, nearly: a gamma within 5 % of 1 / 2.2 is its curve, as libpng has it."""
    plain = gamma is None or abs(gamma * 2.2 - 1) < 0.05
    like_srgb = not chromaticities or np.allclose(chromaticities, (*D65, *PRIMARIES[1]), atol=0.002)
    if plain and like_srgb:
        return None
    signal = np.linspace(0, 1, 4096)
    return _made(chromaticities or (*D65, *PRIMARIES[1]), decoded(signal) if plain else signal ** (1 / gamma))


def _made(chromaticities, curve) -> bytes | None:
    import imagecodecs

    white, primaries = chromaticities[:2], chromaticities[2:]
    try:
        return imagecodecs.cms_profile(
            "rgb",
            whitepoint=[*white, 1.0],
            primaries=[part for x, y in np.reshape(primaries, (3, 2)) for part in (float(x), float(y), 1.0)],
            transferfunction=curve.astype(np.float32),
        )
    except (ValueError, imagecodecs.CmsError):
        return None  # no colours that can be: nobody knows what is meant


@cache
def _adobe_rgb() -> bytes:
    import imagecodecs

    return imagecodecs.cms_profile("adobergb")
