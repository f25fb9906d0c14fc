"""What Pillow decodes: 8-bit pictures of any mode, a band of rows at a time."""

import logging
import os
import struct
from typing import BinaryIO

import numpy as np
from PIL import GifImagePlugin, Image

from lowlight.imaging.pixels import Levels, bands
from lowlight.io import exif
from lowlight.io.colour import Meaning, levels_of, meaning
from lowlight.io.contents import Contents
from lowlight.io.icc import GREY_MODES, converter
from lowlight.io.limits import LOSSLESS, PREDICTED, refuse_if_too_small
from lowlight.io.xmp import credentials_left_out

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it finds odd in a file is no news

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit only warns; `limits` and the reader of photos refuse

SUFFIXES = {"GIF": ".png", "BMP": ".bmp", "WEBP": ".webp", "DIB": ".bmp"}

FILE_HEAD, V5 = 14, 124
"""Bytes of a BMP's header, and of version 5 of that of its picture, from whose beginning places are counted."""

EMBEDDED = b"DEBM"
"""That the profile is in the file."""

LARGEST_PROFILE = 2**24


def open_image(file: BinaryIO, frame: int) -> Contents:
    """The header of a GIF, BMP or WebP."""
    image = Image.open(file, formats=list(SUFFIXES))
    packed = file.seek(0, os.SEEK_END)
    width, height = image.size
    refuse_if_too_small(
        width, height, width * height * 3, packed * (PREDICTED if image.format == "WEBP" else LOSSLESS), packed
    )
    block = exif.bare(image.info.get("exif", b""))
    means = meaning(image.info.get("icc_profile") or _profile_of_bmp(file), exif=block)
    file.seek(0)
    notes = credentials_left_out(file.read()) if image.format == "WEBP" else []
    comment = image.info.get("comment", b"") if image.format == "GIF" else b""

    def read():
        if frame:
            image.seek(frame)
        return decode(image, means, notes)

    return Contents(
        size=(height, width),
        read=read,
        suffix=SUFFIXES[image.format or "BMP"],
        exif=block,
        orientation=exif.orientation(block),
        xmp=_bytes(image.info.get("xmp")),
        comment=_bytes(comment),
        dpi=image.info.get("dpi"),
        tagged=means.tagged,
        frames=_frames(image, file),
        lossless=image.format == "WEBP" and _is_lossless(file),
        notes=notes,
    )


def decode(image: Image.Image, means: Meaning, notes: list[str]) -> Levels:
    """The pixels of an image as sRGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Of 8 bits a channel or fewer, at the picture that is wanted.
    means : Meaning
        Of its numbers.
    notes : list of str
        Is added to, if the user should know how it was read.

    Raises
    ------
    OSError, ValueError, SyntaxError
        What Pillow raises where it is broken.
    """
    with_alpha = image.has_transparency_data
    if with_alpha and image.mode == "P":
        image = image.convert("RGBA")  # of parts that are converted to RGB Pillow warns
    grey = image.mode in GREY_MODES
    if means.cicp or means.narrow:
        mode = ("L" if grey else "RGB") + ("A" if with_alpha else "")
        values = np.asarray(image.convert(mode))
        return levels_of(values.reshape(*values.shape[:2], -1), 1 if grey else 3, means, with_alpha, notes)
    to_rgb = converter(image, means.icc, notes)
    colour = np.empty((image.height, image.width, 3), np.uint8)
    alpha = np.empty(colour.shape[:2], np.uint8) if with_alpha else None
    for rows in bands(*colour.shape[:2]):
        part = image.crop((0, rows.start, image.width, rows.stop))
        colour[rows] = np.asarray(to_rgb(part))
        if alpha is not None:
            alpha[rows] = np.asarray(part.convert("RGBA"))[..., 3]
    return Levels(colour, alpha, grey)


def _profile_of_bmp(file) -> bytes | None:
    """That of a BMP whose header says that it has one in it (BITMAPV5HEADER), which Pillow does not read."""
    file.seek(0)
    head = file.read(FILE_HEAD + V5)
    if len(head) < FILE_HEAD + V5 or struct.unpack_from("<2s12xI", head) != (b"BM", V5) or head[70:74] != EMBEDDED:
        return None
    place, length = struct.unpack_from("<II", head, 126)
    file.seek(FILE_HEAD + place)
    return file.read(min(length, LARGEST_PROFILE)) or None


def _frames(image, file) -> int:
    if not isinstance(image, GifImagePlugin.GifImageFile):
        return getattr(image, "n_frames", 1)
    file.seek(0)
    return max(1, _frames_of_gif(file.read()))


def _frames_of_gif(data) -> int:
    """Block by block, for Pillow looks into each frame (GIF89a, 18 to 23)."""
    place, frames = 13 + (3 * 2 ** (1 + (data[10] & 7)) if data[10] & 128 else 0), 0
    while place < len(data) and data[place] in b"!,":
        if data[place] == 0x21:
            place += 2
        else:
            flags = data[place + 9] if place + 9 < len(data) else 0
            place += 11 + (3 * 2 ** (1 + (flags & 7)) if flags & 128 else 0)
            frames += 1
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
    return frames


def _is_lossless(file) -> bool:
    file.seek(12)
    head = file.read(2**16)
    return head.startswith(b"VP8L") or (head.startswith(b"VP8X") and b"VP8L" in head and b"VP8 " not in head)


def _bytes(value) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
