"""What a photo's file is, by its content."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import UnidentifiedImageError

from lowlight.errors import UserError
from lowlight.imaging.pixels import Levels
from lowlight.io import bmff, exif
from lowlight.io.colour import levels_of, meaning
from lowlight.io.contents import Contents
from lowlight.io.heif import is_avif, is_heic, open_heif
from lowlight.io.jpeg import open_jpeg
from lowlight.io.jpeg_xl import JPEG_XL_HEADS, open_jpeg_xl
from lowlight.io.others import JPEG_2000_HEADS, PNM_HEAD, open_jpeg_2000, open_pnm
from lowlight.io.pillow import open_image
from lowlight.io.png import SIGNATURE, open_png
from lowlight.io.raw import WHOLE, develop, is_raw, open_raw, raw_exif, raw_size, shown
from lowlight.io.tiff import TIFF_HEADS, is_dng, open_tiff, unread_dng

HEAD = 64

BOXES = (b"ftyp", b"jP  ", b"JXL ")
"""How the first box of HEIC and AVIF, JPEG 2000 and JPEG XL is called."""

OTHERS = (
    (b"8BPS", "Photoshop's"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?R", "Radiance HDR"),
    (b"P7\n", "PAM"),
    (b"PF\n", "PFM"),
    (b"Pf\n", "PFM"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\0\0\1\0", "of icons"),
    (b"gimp xcf", "GIMP's"),
    (b"\x0a\x05\x01\x08", "PCX"),
    (b"\x01\xda", "SGI"),
    (b"SIMPLE  =", "FITS"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"<svg", "SVG"),
    (b"<?xml", "SVG, or other XML"),
    (b"icns", "of icons"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"II\xbc", "JPEG XR"),
    (b"SDPX", "DPX"),
    (b"XPDS", "DPX"),
)
"""Beginnings of pictures of kinds that are not read."""

TARGA_END = b"TRUEVISION-XFILE.\0"


def identify(file: BinaryIO, suffix: str, frame: int | None = None) -> Contents:
    """Read the header of a photo; nothing is decoded.

    Parameters
    ----------
    file : binary file
        At its beginning; must stay open until the pixels are read.
    suffix : str
        Of its name, which only tells raws from TIFFs.
    frame : int, optional
        Which of several pictures, from 0. Default: the first, but of a TIFF the largest, and of a HEIC the main one.

    Raises
    ------
    ModuleNotFoundError
        If the package that reads such a file is not installed.
    ValueError
        If it is a picture of a kind that is not read.
    UnidentifiedImageError
        If it is no photo.
    Exception
        Of any kind, if it is broken.
    """
    head = file.read(HEAD)
    if not head:
        raise ValueError("it is empty")
    number = frame or 0
    if head.startswith(b"\xff\xd8\xff"):
        return open_jpeg(file, number)
    if head.startswith(SIGNATURE):
        return open_png(file, number)
    if is_raw(head, suffix) or (head.startswith(TIFF_HEADS) and is_dng(file)):
        return _raw(file)
    if head.startswith(TIFF_HEADS):
        return open_tiff(file, frame)
    if is_avif(head) or is_heic(head):
        return open_heif(file, head, frame)
    if head.startswith(JPEG_XL_HEADS):
        return open_jpeg_xl(file, number)
    if head.startswith(JPEG_2000_HEADS):
        return open_jpeg_2000(file)
    if PNM_HEAD.match(head):
        return open_pnm(file)
    if head.startswith((b"GIF8", b"BM", b"RIFF")):
        file.seek(0)
        return open_image(file, number)
    if kind := _other_kind(file, head):
        raise ValueError(f"pictures of that kind ({kind}) are not; save it as TIFF, PNG or JPEG")
    raise UnidentifiedImageError


@contextmanager
def cuts_told(file: BinaryIO) -> Iterator[None]:
    """Where a file goes wrong that says it is longer than it is, say so, whatever its decoder says.

    Raises
    ------
    ValueError
        In place of what decoders raise.
    """
    try:
        yield
    except (UserError, MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:
        if _is_cut(file):
            raise ValueError("it is cut short") from error
        raise


def _is_cut(file) -> bool:
    file.seek(0)
    head = file.read(HEAD)
    if head.startswith(b"RIFF") and len(head) == HEAD:
        return struct.unpack("<I", head[4:8])[0] + 8 > file.seek(0, os.SEEK_END)
    return head[4:8] in BOXES and bmff.is_cut(file)


def _other_kind(file, head) -> str | None:
    file.seek(max(0, file.seek(0, os.SEEK_END) - len(TARGA_END)))
    if file.read() == TARGA_END:
        return "Targa"
    return next((kind for start, kind in OTHERS if head.startswith(start)), None)


def _raw(file) -> Contents:
    with _explained(file):
        raw = open_raw(file)
    box = shown(raw) if is_dng(file) else WHOLE

    def read() -> Levels:
        with _explained(file):
            levels = develop(raw, box)
        return levels_of(levels, levels.shape[2], meaning(), False, [])

    return Contents(
        size=raw_size(raw, box),
        read=read,
        exif=exif.bare(raw_exif(raw, file)),
        suffix=".tif",
        tagged=True,
    )


@contextmanager
def _explained(file) -> Iterator[None]:
    """Say why LibRaw, which does not, refuses a DNG."""
    try:
        yield
    except ValueError as error:
        packing = unread_dng(file)
        if packing is None:
            raise
        how = "save it as TIFF, or as a DNG packed as JPEG without loss"
        raise ValueError(f"LibRaw knows no DNG of {packing}; {how}") from error
