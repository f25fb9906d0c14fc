"""Formats that are read, and not written: JPEG 2000, and PBM, PGM, PPM."""

import io
import os
import re
import struct
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from lowlight.imaging.pixels import Levels, scaled, unassociated
from lowlight.io import bmff, exif
from lowlight.io.colour import levels_of, meaning
from lowlight.io.contents import Contents
from lowlight.io.jpeg import iptc_of_photoshop
from lowlight.io.limits import PREDICTED, refuse_if_too_small
from lowlight.io.pillow import decode

JPEG_2000_HEADS = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")

PNM_HEAD = re.compile(rb"P([1-6])\s")

SPACE = rb"(?:\s|#[^\n]*\n)+"
"""Between numbers of a PNM, which may be comments."""

PNM_HEADER = re.compile(rb"P([1-6])" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})(?:" + SPACE + rb"(\d{1,5}))?\s")

CMYK, SRGB_SPACE, GREY_SPACE, SYCC = 12, 16, 17, 18
"""Numbers of colour spaces in JPEG 2000 (ISO/IEC 15444-1, table I.10; 15444-2, table M.25)."""

SUBSAMPLED = {(1, 1), (2, 1), (2, 2)}
"""How many pixels, across and down, a number of a channel may stand for. Where they differ colours are YCbCr."""

TRANSPARENT, PREMULTIPLIED = 1, 2
"""What a channel may be that is no colour (ISO/IEC 15444-1, I.5.3.6)."""

PROFILES = (2, 3)
"""Ways in which its colours are said that are profiles."""

EXIF_IN_JPEG_2000 = (b"JpgTiffExif->JP2", bytes.fromhex("0537cdab9d0c4431a72afa561f2a113e"))
XMP_IN_JPEG_2000 = (bytes.fromhex("be7acfcb97a942e89c71999491e3afac"),)
IPTC_IN_JPEG_2000 = (
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"),
    bytes.fromhex("09a14e97c0b442e0bebf36df6f0ce36f"),
)
PHOTOSHOP_IN_JPEG_2000 = (bytes.fromhex("2c4c0100850440b9a03e562148d6dfeb"),)
"""UUIDs of boxes, as exiftool and Photoshop write them; only that of XMP is in a standard (XMP, part 3, 1.1.4)."""

LONGEST_HEADER = 2**16


def open_jpeg_2000(file: BinaryIO) -> Contents:
    """The header of a JPEG 2000 (ISO/IEC 15444-1), in a file of boxes or without.

    Raises
    ------
    ValueError, struct.error, IndexError
        If it is broken, or too small for what it says.
    """
    about = _about_jpeg_2000(file)
    codestream, space = about.codestream, about.space
    right, bottom, left, top = struct.unpack(">4I", codestream[8:24])
    (channels,), depth = struct.unpack(">H", codestream[40:42]), (codestream[42] & 127) + 1
    width, height = right - left, bottom - top
    packed = file.seek(0, os.SEEK_END)
    needed = width * height * channels * (1 if depth <= 8 else 2)
    steps = [tuple(codestream[at : at + 2]) for at in range(43, 43 + 3 * channels, 3)]
    if steps[:1] != [(1, 1)] or len(set(steps)) > 2 or not set(steps) <= SUBSAMPLED:
        sizes = ", ".join("x".join(map(str, step)) for step in steps)
        raise ValueError(f"a JPEG 2000 of channels of such sizes ({sizes}) is not known; save it as TIFF, PNG or JPEG")
    refuse_if_too_small(width, height, needed, packed * PREDICTED, packed)
    block = exif.bare(about.said(EXIF_IN_JPEG_2000))
    means = meaning(about.icc, exif=block)
    notes: list[str] = []

    def read() -> Levels:
        import imagecodecs

        file.seek(0)
        try:
            values = imagecodecs.jpeg2k_decode(file.read())
        except imagecodecs.Jpeg2kError as error:
            raise ValueError(error) from error
        values = values.reshape(*values.shape[:2], -1)
        if codestream[42] > 127:  # signed: around the middle grey, which is 0
            values = (values.astype(np.int32) + 2 ** (depth - 1)).astype(np.uint16)
        values = scaled(values, 2 ** (about.bits_of_palette or depth) - 1)
        colours = 4 if space == CMYK else 1 if values.shape[2] < 3 else 3
        transparent = not about.kinds or bool(about.kinds & {TRANSPARENT, PREMULTIPLIED})
        if values.shape[2] > colours and not transparent:
            notes.append(f"what its channels are after the first {colours} is not said: they are left out")
        if values.shape[2] > colours and PREMULTIPLIED in about.kinds:
            values = unassociated(values, colours)
        return levels_of(values, colours, means, transparent, notes)

    return Contents(
        size=(height, width),
        read=read,
        suffix=".png",
        exif=block,
        orientation=exif.orientation(block),
        xmp=about.said(XMP_IN_JPEG_2000),
        iptc=about.said(IPTC_IN_JPEG_2000) or iptc_of_photoshop(about.said(PHOTOSHOP_IN_JPEG_2000)),
        tagged=means.tagged,
        notes=notes,
    )


class _Jpeg2000(NamedTuple):
    """What a JPEG 2000 says of itself."""

    codestream: bytes
    """Its beginning."""
    boxes: dict[bytes, bytes]
    """Of metadata, by their UUID."""
    icc: bytes | None = None
    space: int = SRGB_SPACE
    bits_of_palette: int = 0
    kinds: frozenset[int] = frozenset()
    """What its channels are, if it says that."""

    def said(self, names) -> bytes:
        return next((self.boxes[name] for name in names if name in self.boxes), b"")


def _about_jpeg_2000(file) -> _Jpeg2000:
    file.seek(0)
    head = file.read(100)
    if head.startswith(JPEG_2000_HEADS[0]):
        return _Jpeg2000(head, {})
    found: dict[bytes, bytes] = {}
    named: dict[bytes, bytes] = {}
    for kind, data in bmff.boxes(file):
        if kind == b"uuid":
            named.setdefault(data[:16], data[16:])
        found.setdefault(kind, data)
    if b"jp2c" not in found:
        raise ValueError("it has no picture")
    inner = list(bmff.inside(found.get(b"jp2h", b"")))
    colours = [content for kind, content in inner if kind == b"colr" and content]
    icc = next((content[3:] for content in colours if content[0] in PROFILES), None)
    spaces = [struct.unpack(">I", content[3:7])[0] for content in colours if content[0] == 1 and len(content) >= 7]
    known = [space for space in spaces if space in (CMYK, SRGB_SPACE, GREY_SPACE, SYCC)]
    if spaces and not known and icc is None:
        raise ValueError(f"a JPEG 2000 of the colour space {spaces[0]} is not known; save it as TIFF, PNG or JPEG")
    space = CMYK if icc and icc[16:20] == b"CMYK" else [*known, SRGB_SPACE][0]
    palette = next((content for kind, content in inner if kind == b"pclr" and len(content) > 3), None)
    channels = next((content[2:] for kind, content in inner if kind == b"cdef"), b"")
    kinds = frozenset(kind for _, kind, _ in struct.iter_unpack(">HHH", channels[: len(channels) // 6 * 6]))
    return _Jpeg2000(
        found[b"jp2c"],
        named,
        icc,
        space,
        bits_of_palette=(palette[3] & 127) + 1 if palette else 0,
        kinds=kinds,
    )


def open_pnm(file: BinaryIO) -> Contents:
    """The header of a PBM, PGM or PPM; Pillow reads those of 8 bits.

    Raises
    ------
    ValueError
        If it is broken, or too small for what it says.
    """
    file.seek(0)
    match = PNM_HEADER.match(file.read(LONGEST_HEADER))
    if not match:
        raise ValueError("a PNM without a size")
    kind, width, height = (int(match[number]) for number in (1, 2, 3))
    white = 1 if kind in (1, 4) else int(match[4] or 255)
    channels = 3 if kind in (3, 6) else 1
    packed = file.seek(0, os.SEEK_END)
    refuse_if_too_small(width, height, width * height * channels, packed * 8, packed)

    def read() -> Levels:
        file.seek(0)
        data = file.read()
        if white < 256:
            with Image.open(io.BytesIO(data), formats=["PPM"]) as image:
                return decode(image, meaning(), [])
        if kind < 4:  # as grey that is wider, for Pillow keeps more than 8 bits of grey alone
            head = b"P2 %d %d %d\n" % (width * channels, height, white)
            with Image.open(io.BytesIO(head + data[match.end() :]), formats=["PPM"]) as image:
                values = np.asarray(image).reshape(height, width, channels).astype(np.uint16)
            return levels_of(values, channels, meaning(), False, [])
        if len(data) < match.end() + width * height * channels * 2:
            raise ValueError("it is cut short")
        stored = np.frombuffer(data, ">u2", width * height * channels, match.end())
        values = scaled(stored.reshape(height, width, channels).astype(np.uint16), white)
        return levels_of(values, channels, meaning(), False, [])

    return Contents(size=(height, width), read=read, suffix=".png")
