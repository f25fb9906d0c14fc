"""AVIF of more than 8 bits, with what belongs to it: Pillow writes 8, and imagecodecs the picture alone."""

import struct
from typing import BinaryIO

import numpy as np

from lowlight.io import bmff
from lowlight.io.bmff import FULL_BOX

PRIMARIES, TRANSFER, MATRIX = 1, 13, 6
"""Of sRGB, in YCbCr as by ITU-R BT.601 (ITU-T H.273)."""

PICTURE = 1
"""Number of the item that libavif makes of the picture; transparency is the next."""

LOCATION = struct.Struct(">HHHII")
"""As libavif writes them: number of the item, source, extents (1), place, length."""

LOCATIONS_AT = FULL_BOX + 4

XMP_TYPE = b"application/rdf+xml"


def write_deep_avif(
    file: BinaryIO,
    levels: np.ndarray,
    bits: int,
    quality: int,
    speed: int,
    icc_profile: bytes | None = None,
    exif: bytes = b"",
    xmp: bytes = b"",
) -> None:
    """Write an AVIF (AV1 Image File Format 1.1; ISO/IEC 23008-12); what has no colour without loss.

    Parameters
    ----------
    file : binary file
    levels : (H, W) or (H, W, 2 to 4) uint16 array
        Levels of 16 bits.
    bits : {10, 12}
    quality : int
        1 to 100.
    speed : int
        0 to 10.
    icc_profile, exif, xmp : bytes, optional
        EXIF from its byte order on.

    Raises
    ------
    ValueError
        If it cannot be encoded.
    """
    import imagecodecs

    kinds = imagecodecs.AVIF.PIXEL_FORMAT  # by their names some versions take "444", others "YUV444"
    try:
        bare = imagecodecs.avif_encode(
            ((levels.astype(np.uint32) * (2**bits - 1) + 2**15) // (2**16 - 1)).astype(np.uint16),
            level=quality,
            speed=speed,
            bitspersample=bits,
            pixelformat=kinds.YUV444 if levels.ndim == 3 and levels.shape[2] > 2 else kinds.YUV400,
            primaries=PRIMARIES,
            transfer=TRANSFER,
            matrix=MATRIX,
        )
    except imagecodecs.AvifError as error:
        raise ValueError(error) from error
    file.write(_completed(bare, icc_profile, exif, xmp))


def _completed(bare, icc, exif, xmp) -> bytes:
    """The file with a profile, and with EXIF and XMP at its end, as items that describe the picture."""
    (start,) = struct.unpack_from(">I", bare)
    (length,) = struct.unpack_from(">I", bare, start)
    parts = dict(bmff.inside(bare[start + 8 + FULL_BOX : start + length]))
    first = 1 + struct.unpack_from(">H", parts[b"iinf"], FULL_BOX)[0]
    found = [(b"Exif", b"Exif\0", struct.pack(">I", 0) + exif)] if exif else []
    found += [(b"mime", b"XMP\0" + XMP_TYPE + b"\0", xmp)] if xmp else []
    items = dict(enumerate(found, first))
    if icc:
        parts[b"iprp"] = _with_profile(parts[b"iprp"], icc)
    if items:
        heads = (struct.pack(">B3xHH", 2, number, 0) + kind + name for number, (kind, name, _) in items.items())
        parts[b"iinf"] = _added(parts[b"iinf"], FULL_BOX, (_box(b"infe", head) for head in heads))
        references = (_box(b"cdsc", struct.pack(">HHH", number, 1, PICTURE)) for number in items)
        parts[b"iref"] = parts.get(b"iref", bytes(FULL_BOX)) + b"".join(references)
    growth = len(_meta(parts)) + LOCATION.size * len(items) - length
    parts[b"iloc"] = _located(
        parts[b"iloc"], growth, {number: data for number, (_, _, data) in items.items()}, len(bare)
    )
    tail = b"".join(data for _, _, data in found)
    return bare[:start] + _meta(parts) + bare[start + length :] + (_box(b"mdat", tail) if tail else b"")


def _box(kind, content) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _meta(parts) -> bytes:
    return _box(b"meta", bytes(FULL_BOX) + b"".join(_box(kind, content) for kind, content in parts.items()))


def _added(content, at, more) -> bytes:
    """Boxes at the end of others, whose number lies at a place."""
    more = list(more)
    (count,) = struct.unpack_from(">H", content, at)
    return content[:at] + struct.pack(">H", count + len(more)) + content[at + 2 :] + b"".join(more)


def _with_profile(properties, icc) -> bytes:
    """One property more, and the picture's list of them, which is the first, longer by it."""
    (known, listed), (_, lists) = bmff.inside(properties)
    number = 1 + len(list(bmff.inside(listed)))
    at = FULL_BOX + 4 + 2
    end = at + 1 + lists[at]
    lists = lists[:at] + bytes([lists[at] + 1]) + lists[at + 1 : end] + bytes([number]) + lists[end:]
    return _box(known, listed + _box(b"colr", b"prof" + icc)) + _box(b"ipma", lists)


def _located(iloc, growth, items, end) -> bytes:
    """Where items lie: what was there that much further, more of them in a box at the end."""
    rows = [
        (number, source, extents, place + growth, length)
        for number, source, extents, place, length in LOCATION.iter_unpack(iloc[LOCATIONS_AT:])
    ]
    place = end + growth + 8
    for number, data in items.items():
        rows.append((number, 0, 1, place, len(data)))
        place += len(data)
    head = iloc[: LOCATIONS_AT - 2] + struct.pack(">H", len(rows))
    return head + b"".join(LOCATION.pack(*row) for row in rows)
