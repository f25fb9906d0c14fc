"""What a frame of a clip says beside its pixels, by the names that FFmpeg has for it (AVFrameSideDataType)."""

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

MASTERING, MASTERED = "MASTERING_DISPLAY_METADATA", struct.Struct("22i")
"""The screen that a clip was made on, and its AVMasteringDisplayMetadata: ratios, of x and y of red, green, blue and
white, and of the darkest and brightest light; and whether the one and the other are known."""

OF_THE_LIGHT = {
    "CONTENT_LIGHT_LEVEL": "its light levels (MaxCLL, MaxFALL) are left out: the result has others",
    "DYNAMIC_HDR_PLUS": "its HDR10+ metadata are left out: the result has other light",
    "DOVI_METADATA": "its Dolby Vision metadata are left out: the result has other light",
}
"""What does not hold for a brighter clip, and what is told of each."""

OF_THE_VIEW = {
    "SPHERICAL": "what says that it shows all around (360°) is left out",
    "STEREO3D": "what says that it is stereoscopic (3D) is left out",
    "A53_CC": "its closed captions are left out",
}
"""What is not written, and what is told of each."""

MAY_BE_0 = ("CONTENT_LIGHT_LEVEL", "STEREO3D")
"""Of which 0 says that nothing is known, or that there is one view."""

ABOUT = (MASTERING, *OF_THE_LIGHT, *OF_THE_VIEW)
"""All that a clip is asked for once."""


def said(frame: Any, names: Sequence[str] = ABOUT) -> dict[str, bytes]:
    """What a frame says beside its pixels.

    Parameters
    ----------
    frame : av.VideoFrame
    names : sequence of str
        What it is asked for, by FFmpeg's names.

    Returns
    -------
    dict
        By name, the bytes of what it says.
    """
    _take_unknown_kinds()
    data = frame.side_data  # PyAV 17 to 19 look up names alike, and go through it in two ways
    return {name: bytes(found) for name in names if (found := data.get(name)) is not None}


@cache
def _take_unknown_kinds() -> None:
    """PyAV before 19 refuses a frame that says anything of a kind that is newer than its own list of them."""
    from av.sidedata.sidedata import Type

    if "_missing_" in vars(Type):
        return

    def unnamed(kind, number):
        made = object.__new__(kind)
        made._name_, made._value_ = f"KIND_{number}", number
        return made

    kinds: Any = Type
    kinds._missing_ = classmethod(unnamed)


def left_out(said: dict[str, bytes], hdr: bool) -> tuple[str, ...]:
    """What is not kept, each as a phrase.

    Parameters
    ----------
    said : dict
        What the first frame says, by FFmpeg's names.
    hdr : bool
        Whether it is HDR, so that what it says of its light counts.
    """
    told = OF_THE_VIEW | (OF_THE_LIGHT if hdr else {})
    return tuple(note for name, note in told.items() if name in said and (name not in MAY_BE_0 or any(said[name])))


def mastering(said: dict[str, bytes]) -> str:
    """The screen that an HDR clip was made on, as x265 takes it (SMPTE ST 2086); empty if that is not said.

    Parameters
    ----------
    said : dict
        As for `left_out`.
    """
    numbers = MASTERED.unpack(said[MASTERING]) if said.get(MASTERING) else ()
    if not (numbers and all(numbers[-2:]) and all(numbers[1:20:2])):
        return ""
    red, green, blue, white, (darkest, brightest) = np.reshape(
        [above / below for above, below in zip(numbers[:20:2], numbers[1:20:2], strict=True)], (5, 2)
    )
    points = {"G": green, "B": blue, "R": red, "WP": white}
    text = "".join(f"{name}({x * 50000:.0f},{y * 50000:.0f})" for name, (x, y) in points.items())
    return f"{text}L({brightest * 10000:.0f},{darkest * 10000:.0f})"
