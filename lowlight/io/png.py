"""PNG: chunk by chunk, so that nothing is decoded before its size is known, and no broken text stops the pixels."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from lowlight.imaging.pixels import Levels
from lowlight.io import exif
from lowlight.io.colour import UNKNOWN, Meaning, levels_of, meaning
from lowlight.io.contents import Contents
from lowlight.io.icc import not_used
from lowlight.io.jpeg import iptc_of_photoshop
from lowlight.io.limits import LOSSLESS, refuse_if_too_small
from lowlight.io.pillow import decode
from lowlight.io.xmp import credentials_left_out

SIGNATURE = b"\x89PNG\r\n\x1a\n"

FOR_IPHONES = b"CgBI"
"""Before the header of a PNG that Apple's tools have packed in a way of their own."""

PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"IEND", b"acTL", b"fcTL", b"fdAT"}
"""What the decoder is given."""

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By the colour type of the header."""

LARGEST_TEXT = 2**24
"""Bytes of a text or profile, unpacked; it is a bomb above."""

XMP_KEYWORD = "XML:com.adobe.xmp"

RAW_PROFILE = "Raw profile type "

METRE = 0.0254


def open_png(file: BinaryIO, frame: int) -> Contents:
    """The header of a PNG and all that is not pixels.

    Raises
    ------
    ValueError
        If it is broken, or holds less than it says.
    """
    chunks = dict[bytes, bytes]()
    text: dict[str, str] = {}
    packed = controls = beside = 0
    for kind, data, length in _chunks(file):
        controls += kind == b"fcTL"
        beside |= kind == b"IDAT" and not controls  # a first picture, which the animation does not show
        if kind in (b"IDAT", b"fdAT"):
            packed += length
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            text |= _text(kind, data)
        elif data is not None:
            chunks.setdefault(kind, data)
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    bits = depth * CHANNELS.get(colour, 4)
    refuse_if_too_small(width, height, (bits * width + 7) // 8 * height, packed * LOSSLESS, packed)
    icc = _profile(chunks)
    block = exif.bare(chunks.get(b"eXIf", b"") or _raw_profile(text, "exif") or _raw_profile(text, "APP1"))
    cicp = _cicp(chunks)
    said = None if cicp and UNKNOWN not in cicp else icc  # PNG, third edition, 4.3: CICP goes before a profile
    means = meaning(said, cicp, None if b"sRGB" in chunks else _chromaticities(chunks), _gamma(chunks), block)
    means = means._replace(narrow=cicp is not None and chunks[b"cICP"][3] == 0)
    notes = [not_used("RGB")] if icc is None and b"iCCP" in chunks else []
    notes += credentials_left_out(chunks.get(b"caBX", b""))
    frames = struct.unpack(">I", chunks[b"acTL"][:4])[0] if len(chunks.get(b"acTL", b"")) >= 4 else 1
    frames = max(1, min(frames, controls) + (beside if controls else 0))
    xmp = text.pop(XMP_KEYWORD, "").encode() or _raw_profile(text, "xmp")
    iptc = _raw_profile(text, "iptc") or _raw_profile(text, "8bim")
    return Contents(
        size=(height, width),
        read=lambda: _read(file, depth, frame, means, notes),
        suffix=".png",
        exif=block,
        orientation=exif.orientation(block),
        xmp=xmp,
        iptc=iptc_of_photoshop(iptc) if iptc.startswith(b"8BIM") else iptc,
        text={keyword: value for keyword, value in text.items() if not keyword.startswith(RAW_PROFILE)},
        dpi=_dpi(chunks.get(b"pHYs", b"")),
        tagged=means.tagged,
        frames=frames,
        notes=notes,
    )


def write_png(
    file: BinaryIO,
    levels: np.ndarray,
    icc: bytes | None = None,
    exif: bytes = b"",
    xmp: bytes = b"",
    text: dict[str, str] | None = None,
    iptc: bytes = b"",
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write a PNG.

    Parameters
    ----------
    file : binary file
    levels : (H, W) or (H, W, 2 to 4) uint8 or uint16 array
        Grey or RGB, and alpha as the second or fourth channel.
    icc, exif, xmp, iptc : bytes, optional
        EXIF from its byte order on.
    text : dict of str to str, optional
        By keyword; as Latin-1 where that can be, else as UTF-8.
    dpi : two floats, optional
        Across and down.
    """
    import imagecodecs

    # Run lengths take a third of the time of zlib's fastest search, and the noise in photos gives less to find.
    encoded = imagecodecs.png_encode(
        levels, level=1, strategy=imagecodecs.PNG.STRATEGY.RLE, filter=imagecodecs.PNG.FILTER.PAETH
    )
    file.write(encoded[:33])  # signature and header
    if icc:
        _write_chunk(file, b"iCCP", b"sRGB\0\0" + zlib.compress(icc))
    if dpi:
        _write_chunk(file, b"pHYs", struct.pack(">IIB", *(round(side / METRE) for side in dpi), 1))
    if exif:
        _write_chunk(file, b"eXIf", exif)
    if xmp:
        _write_chunk(file, b"iTXt", XMP_KEYWORD.encode() + b"\0\0\0\0\0" + xmp)
    if iptc:
        rows = iptc.hex()
        _write_chunk(file, b"tEXt", f"{RAW_PROFILE}iptc\0\niptc\n{len(iptc):8}\n{rows}\n".encode())
    for keyword, value in (text or {}).items():
        name = keyword.encode("latin-1", "replace")[:79] or b"Comment"
        try:
            _write_chunk(file, b"tEXt", name + b"\0" + value.encode("latin-1"))
        except UnicodeEncodeError:
            _write_chunk(file, b"iTXt", name + b"\0\0\0\0\0" + value.encode())
    file.write(memoryview(encoded)[33:])


def _chunks(file) -> Iterator[tuple[bytes, bytes | None, int]]:
    """Kind, content and length; None for the content of pixels. Chunks that may be left out are, where broken."""
    file.seek(len(SIGNATURE))
    first = True
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if first and kind == FOR_IPHONES:
            how = "undo it by: pngcrush -revert-iphone-optimizations"
            raise ValueError(f"PNGs that Xcode has packed for iPhones (CgBI) are not; {how}")
        if first and (kind != b"IHDR" or length < 13):
            raise ValueError("a PNG without a header")
        first = False
        if kind in (b"IDAT", b"fdAT"):
            start = file.tell()
            end = file.seek(0, 2)
            yield kind, None, min(length, max(0, end - start))
            file.seek(start + length + 4)
            continue
        if kind == b"IEND":
            return
        data = file.read(min(length, LARGEST_TEXT))
        file.seek(length - len(data) if len(data) == LARGEST_TEXT else 0, 1)
        checksum = file.read(4)
        whole = len(data) == length and checksum == struct.pack(">I", zlib.crc32(kind + data))
        if whole:
            yield kind, data, length
        elif kind == b"IHDR":
            raise ValueError("its header is broken")


def _pixels_alone(file) -> bytes:
    """The PNG without what is not pixels, which may be broken, or large."""
    end = file.seek(0, os.SEEK_END)
    file.seek(len(SIGNATURE))
    parts = [SIGNATURE]
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in PIXELS:
            parts += [head, file.read(min(length + 4, end - file.tell()))]
        else:
            file.seek(length + 4, os.SEEK_CUR)
        if kind == b"IEND":
            break
    return b"".join(parts)


def _read(file, depth, frame, means: Meaning, notes) -> Levels:
    data = _pixels_alone(file)
    if depth < 16 or frame:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.seek(frame)
            if image.mode == "L" and "transparency" in image.info:  # which Pillow does not scale with the levels
                image.info["transparency"] *= 255 // (2**depth - 1)
            return decode(image, means, notes)
    import imagecodecs

    try:
        values = imagecodecs.png_decode(data)
    except imagecodecs.PngError as error:
        raise ValueError(error) from error
    values = values.reshape(*values.shape[:2], -1)
    return levels_of(values, 1 if values.shape[2] < 3 else 3, means, True, notes)


def _text(kind, data) -> dict[str, str]:
    keyword, _, rest = data.partition(b"\0")
    name = keyword.decode("latin-1")
    try:
        if kind == b"tEXt":
            return {name: rest.decode("latin-1")}
        if kind == b"zTXt":
            return {name: _unpacked(rest[1:]).decode("latin-1")}
        packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[2]
        return {name: (_unpacked(rest) if packed else rest).decode()}
    except (zlib.error, UnicodeDecodeError, IndexError):
        return {}


def _unpacked(data) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(data, LARGEST_TEXT)
    if unpacker.unconsumed_tail:
        raise ValueError(f"a text in it unpacks to more than {LARGEST_TEXT // 2**20} MB")
    return content


def _profile(chunks) -> bytes | None:
    name, _, packed = chunks.get(b"iCCP", b"").partition(b"\0")
    if not name:
        return None
    try:
        return _unpacked(packed[1:])
    except zlib.error:
        return None


def _cicp(chunks) -> tuple[int, int] | None:
    numbers = chunks.get(b"cICP", b"")
    return (numbers[0], numbers[1]) if len(numbers) == 4 else None


def _chromaticities(chunks) -> list[float] | None:
    data = chunks.get(b"cHRM", b"")
    return [value / 100000 for value in struct.unpack(">8I", data)] if len(data) == 32 else None


def _gamma(chunks) -> float | None:
    data = chunks.get(b"gAMA", b"")
    value = struct.unpack(">I", data)[0] if len(data) == 4 and b"sRGB" not in chunks else 0
    return value / 100000 if 10000 <= value <= 1000000 else None


def _dpi(data) -> tuple[float, float] | None:
    if len(data) != 9 or data[8] != 1:
        return None
    across, down = struct.unpack(">II", data[:8])
    return (across * METRE, down * METRE) if across and down else None


def _raw_profile(text, name) -> bytes:
    """What ImageMagick and others put into texts, by lines: a name, a length, and the bytes as hexadecimal numbers."""
    lines = text.get(RAW_PROFILE + name, "").strip().splitlines()
    try:
        return bytes.fromhex("".join(lines[2:]))
    except ValueError:
        return b""


def _write_chunk(file, kind, data):
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
