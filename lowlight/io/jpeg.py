"""JPEG and JPEG-LS: segments, and pixels of 8 bits, of 12, without loss, and without the last bytes of the file."""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, JpegImagePlugin

from lowlight.imaging.pixels import Levels, scaled
from lowlight.io import exif
from lowlight.io.colour import Meaning, levels_of, meaning
from lowlight.io.contents import Contents
from lowlight.io.exif import jpeg_encoding
from lowlight.io.jpeg_damage import damage
from lowlight.io.limits import JPEG, refuse_if_too_small
from lowlight.io.pillow import decode
from lowlight.io.xmp import credentials_left_out, left_out

JPEG_LS = 0xF7
"""ITU-T T.87, table C.1."""

FRAMES = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {JPEG_LS}
"""Markers of a header of a frame (ITU-T T.81, table B.1)."""

LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF, JPEG_LS}

ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a segment."""

COMMENT, SCAN, END = 0xFE, 0xDA, 0xD9

END_MARKER = b"\xff\xd9"

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"

EXTENDED_XMP_HEAD = b"http://ns.adobe.com/xmp/extension/\0"
"""Of what is longer than a segment (XMP specification, part 3, 1.1.3.1)."""

ICC_HEAD = b"ICC_PROFILE\0"

PHOTOSHOP_HEAD = b"Photoshop 3.0\0"

IPTC_RESOURCE = 0x0404

MISSING = 0.01
"""The share of a picture that may be missing, if it is told."""


class Header(NamedTuple):
    """What a JPEG says before its first scan."""

    kind: int
    precision: int
    height: int
    width: int
    channels: int
    segments: list[tuple[int, bytes]]
    scan: int
    """Where the first scan begins, about."""


def open_jpeg(file: BinaryIO, frame: int) -> Contents:
    """The header of a JPEG and its metadata.

    Raises
    ------
    ValueError
        If it is broken, or too small for what it says.
    """
    header = read_header(file)
    packed = file.seek(0, 2) - sum(len(data) for _, data in header.segments)
    needed = header.height * header.width * header.channels * (1 if header.precision == 8 else 2)
    refuse_if_too_small(header.width, header.height, needed, packed * JPEG, packed)
    block = exif.bare(_segment(header, 0xE1, exif.EXIF_HEADER))
    xmp = _segment(header, 0xE1, XMP_HEAD)
    means = meaning(_profile(header), exif=block)
    notes: list[str] = []
    if _segment(header, 0xE1, EXTENDED_XMP_HEAD):
        notes.append("its extended XMP, beyond the first 64 KB, is left out")
    file.seek(0)
    image = _by_pillow(file) if header.precision == 8 and header.kind != JPEG_LS else None
    views = _views(image, file)
    return Contents(
        size=(header.height, header.width),
        read=lambda: _read(file, header, image, views[min(frame, len(views) - 1)], means, notes),
        suffix=".jpg",
        exif=block,
        orientation=exif.orientation(block),
        xmp=xmp,
        iptc=iptc_of_photoshop(b"".join(_segments_of(header, 0xED, PHOTOSHOP_HEAD))),  # more than one holds goes on
        comment=b"\n".join(data.rstrip(b"\0") for kind, data in header.segments if kind == COMMENT),
        dpi=_dpi(_segment(header, 0xE0, b"JFIF\0")),
        tagged=means.tagged,
        frames=len(views),
        jpeg=jpeg_encoding(image) if image is not None else (95, 0),
        lossless=header.kind in LOSSLESS,
        notes=notes,
        look=list if frame else lambda: _damage(file, header, image),
    )


def read_header(file: BinaryIO) -> Header:
    """All segments before the first scan, and what the first frame header says.

    Raises
    ------
    ValueError
        If there is no frame before it.
    """
    segments: list[tuple[int, bytes]] = []
    frame = None
    for kind, data in _segments(file):
        if kind in FRAMES and frame is None and len(data) >= 6:
            frame = (kind, *struct.unpack(">BHHB", data[:6]))
        elif kind >= 0xE0:
            segments.append((kind, data))
    if frame is None:
        raise ValueError("a JPEG without a picture, or cut short before it")
    kind, precision, height, width, channels = frame
    return Header(kind, precision, height, width, channels, segments, file.tell())


def photoshop_with(iptc: bytes) -> bytes:
    """A JPEG segment's content that holds records of IPTC alone."""
    resource = b"8BIM" + struct.pack(">HHI", IPTC_RESOURCE, 0, len(iptc)) + iptc
    return PHOTOSHOP_HEAD + resource + b"\0" * (len(iptc) % 2)


def iptc_of_photoshop(data: bytes) -> bytes:
    """The records of IPTC among resources of Photoshop."""
    place = 0
    while data[place : place + 4] == b"8BIM" and place + 12 <= len(data):
        (number,) = struct.unpack_from(">H", data, place + 4)
        name = data[place + 6] + 1
        place += 6 + name + name % 2
        if place + 4 > len(data):
            break
        (length,) = struct.unpack_from(">I", data, place)
        if number == IPTC_RESOURCE:
            return data[place + 4 : place + 4 + length]
        place += 4 + length + length % 2
    return b""


def _segments(file) -> Iterator[tuple[int, bytes]]:
    file.seek(2)
    while byte := file.read(1):
        if byte != b"\xff":
            continue  # what is not allowed there, and skipped by all
        while (kind := file.read(1)) == b"\xff":
            pass
        if not kind or kind[0] in (SCAN, END):
            return
        if kind[0] in ALONE or kind[0] == 0:
            continue
        length = file.read(2)
        if len(length) == 2:
            yield kind[0], file.read(max(0, struct.unpack(">H", length)[0] - 2))


def _segment(header, kind, head) -> bytes:
    return next(_segments_of(header, kind, head), b"")


def _segments_of(header, kind, head) -> Iterator[bytes]:
    return (data[len(head) :] for number, data in header.segments if number == kind and data.startswith(head))


def _profile(header) -> bytes | None:
    parts = {
        data[12]: data[14:] for kind, data in header.segments if kind == 0xE2 and data[:12] == ICC_HEAD and data[12:13]
    }
    return b"".join(parts[number] for number in sorted(parts)) or None


def _dpi(jfif) -> tuple[float, float] | None:
    if len(jfif) < 7 or jfif[2] not in (1, 2):
        return None
    across, down = struct.unpack(">HH", jfif[3:7])
    per_inch = 1 if jfif[2] == 1 else 2.54
    return (across * per_inch, down * per_inch) if across and down else None


def _by_pillow(file) -> JpegImagePlugin.JpegImageFile | None:
    try:
        image = Image.open(file, formats=["JPEG"])
    except (OSError, SyntaxError, ValueError):
        return None
    return image if isinstance(image, JpegImagePlugin.JpegImageFile) else None


def _views(image, file) -> list[int]:
    """Numbers of the pictures of an MPO (CIPA DC-007, 5.2.3.3), without thumbnails, gain maps and depth.

    What the kind of a picture is left open of counts if it is as large as the first.
    """
    entries = (getattr(image, "mpinfo", None) or {}).get(0xB002, [])
    kinds = [str(entry.get("Attribute", {}).get("MPType", "")) if isinstance(entry, dict) else "" for entry in entries]
    views = [0, *(number for number, kind in enumerate(kinds) if number and kind.startswith("Multi-Frame"))]
    undefined = [number for number, kind in enumerate(kinds) if number and kind == "Undefined"]
    file.seek(0)
    if undefined and not left_out(file.read()):
        size = image.size
        views += [number for number in undefined if _size(image, number) == size]
        image.seek(0)
    return sorted(views)


def _size(image, number) -> tuple[int, int] | None:
    try:
        image.seek(number)
    except (OSError, SyntaxError, ValueError, EOFError):
        return None
    return image.size


def _read(file, header, image, frame, means: Meaning, notes) -> Levels:
    file.seek(0)
    data = file.read()
    notes += left_out(data) + credentials_left_out(data)  # other pictures and videos lie behind the first
    whole = data.find(END_MARKER, header.scan) >= 0
    if image is None:
        return _by_imagecodecs(data, whole, header, means, notes)
    if not whole:
        return _without_its_end(data, means, notes)
    if frame:
        image.seek(frame)
    return decode(image, means, notes)


def _damage(file, header, image) -> list[str]:
    file.seek(0)
    data = file.read()
    if image is None or data.find(END_MARKER, header.scan) < 0:  # of which decoders tell
        return []
    return damage(data, header.height, header.width, header.channels, header.scan)


def _by_imagecodecs(data, whole, header, means, notes) -> Levels:
    """JPEG-LS, 12 bits, 16 bits without loss, and whatever else Pillow's library does not read."""
    import imagecodecs

    if not whole:
        raise ValueError("it is cut short")  # of which decoders say nothing, or take seconds
    try:
        if header.kind == JPEG_LS:
            values = imagecodecs.jpegls_decode(data)
        else:
            values = imagecodecs.jpeg_decode(data, bitspersample=header.precision)
    except Exception as error:  # each of its decoders has a kind of its own
        raise ValueError(f"a JPEG of {header.precision} bits that is broken or not known ({error})") from error
    values = scaled(values.reshape(*values.shape[:2], -1), 2**header.precision - 1)
    return levels_of(values, values.shape[2], means, False, notes)


def _without_its_end(data, means, notes) -> Levels:
    """What is whole without the last bytes, or nearly: then the rest is the same whatever stands in their place."""
    cut = data.rstrip(b"\0\xff")  # with which some programs and cards fill what did not come

    def read(tail):
        with Image.open(io.BytesIO(cut + tail + END_MARKER), formats=["JPEG"]) as image:
            return decode(image, means, notes)

    first, missing = read(b""), np.zeros((), bool)
    for tail in (b"\x5a\xa5" * 64, b"\0" * 128):
        missing = missing | (read(tail).colour != first.colour).any(2)
        if missing.mean() > MISSING:
            raise ValueError("it is cut short")
    notes.append("its last bytes are missing" + (f", and {missing.mean():.1%} of the picture" if missing.any() else ""))
    return first
