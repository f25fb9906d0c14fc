"""PNG of 16 bits a channel, which Pillow would cut to 8."""

import struct
import zlib
from typing import BinaryIO

import numpy as np

from lowlight.imaging.pixels import Levels
from lowlight.io.exif import EXIF_HEADER
from lowlight.io.icc import deep_levels


def is_deep_png(head: bytes) -> bool:
    """Whether a file that begins so (at least 25 bytes) is a PNG of 16 bits a channel."""
    return head.startswith(b"\x89PNG") and head[24:25] == b"\x10"


def read_png(data: bytes, profile: bytes | None) -> Levels:
    """Decode a PNG of 16 bits a channel.

    Raises
    ------
    ValueError
        If it is broken.
    """
    import imagecodecs

    try:
        values = imagecodecs.png_decode(data)
    except imagecodecs.PngError as error:
        raise ValueError(error) from error
    values = values.reshape(*values.shape[:2], -1)
    return deep_levels(values, 1 if values.shape[2] < 3 else 3, profile)


def write_png(file: BinaryIO, levels: np.ndarray, exif: bytes, icc: bytes | None, xmp: bytes) -> None:
    """Write (H, W) or (H, W, C) uint16 levels, C from 2 to 4, with what belongs to them, as a PNG."""
    import imagecodecs

    # Run lengths take a third of the time of zlib's fastest search, and the noise in photos gives less to find.
    encoded = imagecodecs.png_encode(
        levels, level=1, strategy=imagecodecs.PNG.STRATEGY.RLE, filter=imagecodecs.PNG.FILTER.PAETH
    )
    file.write(encoded[:33])  # signature and header
    if icc:
        _write_chunk(file, b"iCCP", b"sRGB\0\0" + zlib.compress(icc))
    if exif:
        _write_chunk(file, b"eXIf", exif.removeprefix(EXIF_HEADER))
    if xmp:
        _write_chunk(file, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    file.write(memoryview(encoded)[33:])


def _write_chunk(file, kind, data):
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
