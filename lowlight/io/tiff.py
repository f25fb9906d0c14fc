"""TIFF: read where it has more than 8 bits a channel, which Pillow would cut to 8; written with all its metadata."""

import logging
import struct
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lowlight.imaging.pixels import Levels, as_levels, bands
from lowlight.io.exif import ABOUT_THE_PHOTO
from lowlight.io.icc import deep_levels

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

TIFF_COLOURS = {"MINISWHITE": 1, "MINISBLACK": 1, "RGB": 3, "SEPARATED": 4}

ASSOCIATED_ALPHA = 1

RESOLUTION = (ExifTags.Base.XResolution, ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit)

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it finds odd in a file is no news


def tiff_page(file: BinaryIO):
    """The first picture of a TIFF as a `tifffile.TiffPage`, or None if it cannot be made out; needs `file` open."""
    import tifffile

    try:
        page = tifffile.TiffFile(file).pages.first
    except (tifffile.TiffFileError, ValueError, KeyError, IndexError, TypeError, struct.error):
        return None
    return page if isinstance(page, tifffile.TiffPage) else None


def read_tiff(page, profile: bytes | None) -> Levels:
    """Decode a TIFF of more than 8 bits a channel, integers or floats.

    Integers of 32 bits that would fit into 16, and floats that lie in [0, 1], are taken as they are; of larger floats
    the largest is taken for white.

    Raises
    ------
    ValueError
        If it is broken or of a kind that is not known.
    """
    photometric = getattr(page.photometric, "name", str(page.photometric))
    if photometric not in TIFF_COLOURS:
        raise ValueError(f"TIFF of {page.bitspersample} bits and kind {photometric} is not known")
    try:
        values = page.asarray(maxworkers=1)
    except RuntimeError as error:  # what the codecs raise
        raise ValueError(error) from error
    if page.axes.startswith("Z"):
        values = values[0]
    if page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    values = _sixteen_bits(values.reshape(*values.shape[:2], -1), page.bitspersample)
    colours = TIFF_COLOURS[photometric]
    if values.shape[2] < colours:
        raise ValueError(f"{photometric} in {values.shape[2]} channels")
    if photometric == "MINISWHITE":
        values[..., 0] = 65535 - values[..., 0]
    if page.extrasamples[:1] == (ASSOCIATED_ALPHA,):
        _divide(values, colours)
    return deep_levels(values, colours, profile, with_alpha=page.extrasamples[:1] > (0,))


def write_tiff(file: BinaryIO, levels: np.ndarray, exif: bytes, icc: bytes | None, xmp: bytes) -> None:
    """Write (H, W) or (H, W, C) uint8 or uint16 levels, C from 2 to 4, with what belongs to them, as a TIFF.

    `file` must be readable too.
    """
    import tifffile

    about = Image.Exif()
    about.load(exif)
    sub_ifds = [tag for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo) if tag in about]
    plain = {tag: about[tag] for tag in ABOUT_THE_PHOTO.difference(RESOLUTION, sub_ifds) if tag in about}
    if xmp:
        plain[ExifTags.Base.XMLPacket] = xmp
    tags = [_extra_tag(tag, value) for tag, value in plain.items() if isinstance(value, str | bytes | int)]
    tags += [(tifffile.TIFF.TAGS[tag], "I", 1, 0, True) for tag in sub_ifds]
    across, down, unit = (about.get(tag, 1) for tag in RESOLUTION)
    known = unit in (2, 3) and all(0 < side < 2**31 for side in (across, down))
    channels = 1 if levels.ndim == 2 else levels.shape[2]
    tifffile.imwrite(
        file,
        levels,
        byteorder="<",
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        compressionargs={"level": 1},
        predictor=True,
        resolution=(float(across), float(down)) if known else None,
        resolutionunit=unit if known else None,
        iccprofile=icc,
        metadata=None,
        software=False,
        extratags=tags,
    )
    for tag in sub_ifds:
        _append_ifd(file, tag, about)


def _sixteen_bits(values, bits) -> np.ndarray:
    if values.dtype.kind == "f":
        values = np.nan_to_num(values.astype(np.float32, copy=False))
        return as_levels(values / max(1, float(values.max(initial=0))), 16)
    white = 2 ** (bits - (values.dtype.kind == "i")) - 1
    if bits == 32 and values.max(initial=0) <= 65535:
        white = 65535
    if white == 65535 and values.dtype == np.uint16:
        return values
    return np.rint(np.clip(values, 0, white) * (65535 / white)).astype(np.uint16)


def _divide(values, colours):
    for rows in bands(*values.shape[:2]):
        alpha = np.maximum(values[rows, :, colours : colours + 1], 1).astype(np.float64)
        values[rows, :, :colours] = np.minimum(np.rint(values[rows, :, :colours] / alpha * 65535), 65535)


def _extra_tag(tag, value) -> tuple:
    """(code, type, count, value, only once), as tifffile wants it."""
    if isinstance(value, str):
        return int(tag), "s", 0, value.encode(), True
    if isinstance(value, bytes):
        return int(tag), "B", len(value), value, True
    return int(tag), "I", 1, value, True


def _append_ifd(file, tag, exif):
    """Put a table of EXIF at the end of a TIFF, and where it is into the tag that names it; tifffile cannot."""
    ifd = ImageFileDirectory_v2(group=tag)
    ifd.update(exif.get_ifd(tag))
    if tag == ExifTags.IFD.Exif and ExifTags.IFD.Interop in ifd:
        ifd[ExifTags.IFD.Interop] = exif.get_ifd(ExifTags.IFD.Interop)
    file.seek(4)
    (start,) = struct.unpack("<I", file.read(4))
    file.seek(start)
    (count,) = struct.unpack("<H", file.read(2))
    codes = [struct.unpack_from("<H", file.read(12))[0] for _ in range(count)]
    offset = file.seek(0, 2)
    offset += file.write(b"\0" * (offset % 2))
    file.write(ifd.tobytes(offset))
    file.seek(start + 2 + 12 * codes.index(tag) + 8)
    file.write(struct.pack("<I", offset))
