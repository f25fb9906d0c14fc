"""TIFF, written with all its metadata."""

import struct
from typing import BinaryIO

import numpy as np

from lowlight.io import exif as exif_blocks
from lowlight.io import ifd
from lowlight.io.ifd import EXIF_TABLE, GPS_TABLE, INTEROP_TABLE, IPTC, XMP

RESOLUTION = (0x011A, 0x011B, 0x0128)
"""Tags of the resolution across and down, and of its unit."""

INCH, CENTIMETRE = 2, 3


def write_tiff(
    file: BinaryIO,
    levels: np.ndarray,
    icc: bytes | None = None,
    exif: bytes = b"",
    xmp: bytes = b"",
    iptc: bytes = b"",
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write a TIFF.

    Parameters
    ----------
    file : binary file
        For writing, reading and seeking.
    levels : (H, W) or (H, W, 2 to 4) uint8 or uint16 array
        Grey or RGB, and alpha as the second or fourth channel.
    icc, exif, xmp, iptc : bytes, optional
        EXIF from its byte order on; its byte order is that of the file.
    dpi : two floats, optional
        Across and down, where EXIF tells no resolution.
    """
    import tifffile

    order, found = exif_blocks.tables_of(exif)
    first = [entry for tag, entry in exif_blocks.about_the_photo(found[0]).items() if tag not in RESOLUTION]
    tags: list[tuple] = [(entry.tag, entry.type, entry.number, entry.data, True) for entry in first]
    tags += [(tag, 1 if tag == XMP else 7, len(data), data, True) for tag, data in ((XMP, xmp), (IPTC, iptc)) if data]
    tables = [tag for tag in (EXIF_TABLE, GPS_TABLE) if found.get(tag)]
    tags += [(tifffile.TIFF.TAGS[tag], "I", 1, 0, True) for tag in tables]  # by name: by number it leaves them out
    dots, unit = _resolution(found[0], order) or (dpi, INCH)
    channels = 1 if levels.ndim == 2 else levels.shape[2]
    tifffile.imwrite(
        file,
        levels,
        byteorder="<" if order == "<" else ">",
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        compressionargs={"level": 1},
        predictor=True,
        resolution=dots,
        resolutionunit=unit if dots else None,
        iccprofile=icc,
        metadata=None,
        software=False,
        extratags=tags,
    )
    for tag in tables:
        _append(file, tag, found, order)


def _resolution(table, order) -> tuple[tuple[float, float], int] | None:
    across, down, unit = (table.get(tag) for tag in RESOLUTION)
    if not (across and down and unit) or ifd.number(unit, order) not in (INCH, CENTIMETRE):
        return None
    if len(across.data) != 8 or len(down.data) != 8:
        return None
    sides = [
        above / below if below else 0.0
        for above, below in (struct.unpack(order + "II", e.data) for e in (across, down))
    ]
    return ((sides[0], sides[1]), ifd.number(unit, order)) if all(0 < side < 2**31 for side in sides) else None


def _append(file, tag, found, order):
    """Put a table at the end of a TIFF, and where it is into the tag that names it; tifffile cannot."""
    table = {number: entry for number, entry in found[tag].items() if number != INTEROP_TABLE}
    if tag == EXIF_TABLE and found.get(INTEROP_TABLE):
        place = _at_end(file, ifd.serialised(order, found[INTEROP_TABLE].values(), _end(file)))
        table[INTEROP_TABLE] = ifd.Entry(INTEROP_TABLE, ifd.LONG, 1, struct.pack(order + "I", place))
    place = _at_end(file, ifd.serialised(order, table.values(), _end(file)))
    (start,) = struct.unpack(order + "I", ifd.at_of(file)(4, 4))
    entry = ifd.table(ifd.at_of(file), order, start, False)[0][tag]
    file.seek(entry.at + 8)
    file.write(struct.pack(order + "I", place))


def _end(file) -> int:
    """Where an even place at the end is."""
    end = file.seek(0, 2)
    return end + end % 2


def _at_end(file, data) -> int:
    place = file.seek(0, 2)
    place += file.write(b"\0" * (place % 2))
    file.write(data)
    return place
