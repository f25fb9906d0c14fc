"""The boxes of ISO/IEC 14496-12, in which HEIC, AVIF, JPEG XL and JPEG 2000 lie."""

import io
import os
import struct
from collections.abc import Collection, Iterator
from typing import BinaryIO, NamedTuple

LARGEST = 2**24
"""Bytes of a box that is read; pixels are in larger ones, what is known of them is not."""

CODESTREAMS = (b"jxlc", b"jxlp", b"jp2c")
"""Boxes of pixels that begin with what they say of themselves."""

BEGINNING = 2**16
"""Bytes of those that are read."""

MOST_BOXES = 10000

FULL_BOX = 4
"""Bytes of version and flags."""


class Still(NamedTuple):
    """What a HEIC or AVIF says of its primary picture (ISO/IEC 23008-12)."""

    bits: int = 8
    cicp: tuple[int, int] | None = None
    """Primaries and transfer."""
    icc: bytes | None = None
    size: tuple[int, int] | None = None
    """Height and width."""


def boxes(file: BinaryIO, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes of a file; of pixels the beginning, and nothing of others that are large."""
    for kind, place, size in _places(file, start):
        file.seek(place)
        length = BEGINNING if kind in CODESTREAMS else LARGEST
        if kind in CODESTREAMS or (size is not None and size <= LARGEST):
            yield kind, file.read(length if size is None else min(size, length))
        else:
            yield kind, b""


def is_cut(file: BinaryIO, kinds: Collection[bytes] | None = None) -> bool:
    """Whether the last box of a file, if it is of one of these kinds, says that it goes on beyond its end."""
    length = file.seek(0, os.SEEK_END)
    sized = ((kind, place + size) for kind, place, size in _places(file, 0) if size is not None)
    return any(end > length for kind, end in sized if kinds is None or kind in kinds)


def _places(file, place) -> Iterator[tuple[bytes, int, int | None]]:
    """Kind of the boxes of a file, where their content begins, and how long it is, if it says so."""
    for _ in range(MOST_BOXES):
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        inner = 8
        if length == 1 and len(head) == 16:
            (length,), inner = struct.unpack(">Q", head[8:]), 16
        if 0 < length < inner or length >= 2**62:  # longer than any file
            return
        yield kind, place + inner, length - inner if length else None
        if length == 0:
            return
        place += length


def inside(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes within a box."""
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        length = length or len(data) - place
        if length < 8:
            return
        yield kind, data[place + 8 : place + length]
        place += length


def still(file: BinaryIO) -> Still:
    """What a HEIC or AVIF says of its primary picture; nothing where it makes no sense."""
    found = _about_items(file)
    try:
        wide = found[b"pitm"][:1] != b"\0"
        (primary,) = struct.unpack_from(">I" if wide else ">H", found[b"pitm"], FULL_BOX)
        properties = dict(inside(found[b"iprp"]))
        listed = list(inside(properties[b"ipco"]))
        return _described([listed[index - 1] for index in _of_item(properties[b"ipma"], primary) if index])
    except (KeyError, IndexError, struct.error):
        return Still()


def items(file: BinaryIO) -> bytes:
    """The lists of a HEIC's or AVIF's items and of their properties, in which names can be looked for."""
    found = _about_items(file)
    return found.get(b"iinf", b"") + found.get(b"iprp", b"")


def exif(file: BinaryIO) -> bytes:
    """The EXIF of a HEIC or AVIF, to the byte, from its byte order on; nothing where it is not in one piece."""
    found = _about_items(file)
    try:
        listed = found[b"iinf"]
        entries = (data for _, data in inside(listed[FULL_BOX + (4 if listed[0] else 2) :]))
        numbers = (_number_of(entry, b"Exif") for entry in entries)
        place, length = _location(found[b"iloc"], next(number for number in numbers if number is not None))
        file.seek(place)
        data = file.read(min(length, LARGEST))
        (before,) = struct.unpack_from(">I", data)
    except (KeyError, IndexError, StopIteration, OverflowError, struct.error):
        return b""
    return data[4 + before :]


def _about_items(file) -> dict[bytes, bytes]:
    return dict(inside(next((data for kind, data in boxes(file) if kind == b"meta"), b"")[FULL_BOX:]))


def _number_of(entry, kind) -> int | None:
    """The number of an item, if it is of that kind."""
    layout = ">I2x4s" if entry[0] > 2 else ">H2x4s"
    number, found = struct.unpack_from(layout, entry, FULL_BOX)
    return number if found == kind else None


def _location(iloc, item) -> tuple[int, int]:
    """Where an item is in the file, and how long; KeyError if it is elsewhere, or in pieces."""
    stream, version = io.BytesIO(iloc), iloc[0]

    def number(size):
        return int.from_bytes(stream.read(size), "big")

    stream.seek(FULL_BOX)
    sizes = number(2)
    place_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(min(number(4 if version > 1 else 2), MOST_BOXES)):
        found = number(4 if version > 1 else 2)
        method, source = number(2) & 15 if version else 0, number(2)
        base, pieces = number(base_size), number(2)
        index = index_size if version else 0
        if found == item and pieces == 1 and not method and not source:
            stream.seek(index, os.SEEK_CUR)
            return base + number(place_size), number(length_size)
        stream.seek(pieces * (index + place_size + length_size), os.SEEK_CUR)
    raise KeyError(item)


def _of_item(ipma, item) -> list[int]:
    """Numbers of the properties of an item, from 1."""
    wide, large = ipma[0] > 0, ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, FULL_BOX)
    place = FULL_BOX + 4
    for _ in range(min(count, MOST_BOXES)):
        (number,) = struct.unpack_from(">I" if wide else ">H", ipma, place)
        place += 4 if wide else 2
        many = ipma[place]
        place += 1
        width = 2 if large else 1
        rows = ipma[place : place + many * width]
        place += many * width
        if number == item:
            values = struct.unpack(f">{many}{'H' if large else 'B'}", rows)
            return [value & (0x7FFF if large else 0x7F) for value in values]
    return []


def _described(properties) -> Still:
    known = Still()
    for kind, data in properties:
        if kind == b"pixi" and len(data) > FULL_BOX + 1:
            known = known._replace(bits=max(data[FULL_BOX + 1 :]))
        elif kind == b"av1C" and len(data) > 2 and known.bits == 8:
            known = known._replace(bits=12 if data[2] & 0x20 else 10 if data[2] & 0x40 else 8)
        elif kind == b"hvcC" and len(data) > 17 and known.bits == 8:
            known = known._replace(bits=8 + (data[17] & 7))
        elif kind == b"ispe" and len(data) >= 12:
            width, height = struct.unpack_from(">II", data, FULL_BOX)
            known = known._replace(size=(height, width))
        elif kind == b"colr" and data[:4] == b"nclx" and len(data) >= 8:
            known = known._replace(cicp=struct.unpack_from(">HH", data, 4))
        elif kind == b"colr" and data[:4] in (b"prof", b"rICC"):
            known = known._replace(icc=data[4:])
    return known
