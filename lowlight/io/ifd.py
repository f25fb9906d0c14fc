"""The tables of tags of which EXIF and TIFF are made, byte for byte, so that nothing in them changes on its way.

TIFF 6.0, section 2. Pillow writes texts anew, and loses what is not ASCII.
"""

import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import BinaryIO, NamedTuple

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
"""Bytes of a value, by its type."""

SHORT, LONG = 3, 4

MOST_TAGS = 2000
LARGEST_VALUE = 2**24
"""More of either is no EXIF, and would only take memory."""

EXIF_TABLE, GPS_TABLE, INTEROP_TABLE = 0x8769, 0x8825, 0xA005
"""Tags that say where another table is."""

XMP, IPTC = 700, 33723

PARENTS = {EXIF_TABLE: 0, GPS_TABLE: 0, INTEROP_TABLE: EXIF_TABLE}
"""Which table those tags are in."""

BROKEN = (ValueError, KeyError, IndexError, OverflowError, struct.error, OSError)
"""What reading tables that are broken may raise."""


class Entry(NamedTuple):
    """A tag and its values."""

    tag: int
    type: int
    number: int
    """How many values."""
    data: bytes
    """In the byte order of the file."""
    at: int = 0
    """Where in the file the tag is, and ..."""
    where: int = 0
    """... where its values are."""


Table = dict[int, Entry]


def at_of(file: BinaryIO) -> Callable[[int, int], bytes]:
    """A function that reads so many bytes of a file from a place."""

    def read(offset, size):
        file.seek(offset)
        return file.read(size)

    return read


def within(block: bytes) -> Callable[[int, int], bytes]:
    """The same for bytes in memory."""
    return lambda offset, size: block[offset : offset + size]


def byte_order(head: bytes) -> str:
    """The sign for `struct`; ValueError if there is none."""
    if head[:2] not in (b"II", b"MM"):
        raise ValueError("no byte order")
    return "<" if head[:2] == b"II" else ">"


def tables(read: Callable[[int, int], bytes]) -> tuple[str, dict[int, Table], int]:
    """The first table, under 0, and those of EXIF, GPS and interoperability, under the tags that name them.

    Those but the first are left out where they are broken, or not where their tags say.

    Returns
    -------
    order : str
        Of bytes, as `struct` has it.
    tables : dict
    next : int
        Where the place of the second table is said, which is a thumbnail's.
    """
    head = read(0, 16)
    order = byte_order(head)
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    start = struct.unpack(order + "Q", head[8:16])[0] if big else struct.unpack(order + "I", head[4:8])[0]
    first, after = table(read, order, start, big)
    found = {0: first}
    for tag, parent in PARENTS.items():
        entry = found.get(parent, {}).get(tag)
        if entry and len(entry.data) in (4, 8):
            with suppress(*BROKEN):
                found[tag] = table(read, order, number(entry, order), big)[0]
    return order, found, after


def lost(found: dict[int, Table]) -> list[int]:
    """Tags that name a table which is left out."""
    return [tag for tag, parent in PARENTS.items() if tag in found.get(parent, {}) and tag not in found]


def number(entry: Entry, order: str, otherwise: int = 0) -> int:
    """The first value of a tag, if it is a whole number; else what is given as `otherwise`."""
    letter = {1: "B", SHORT: "H", LONG: "I", 13: "I", 16: "Q"}.get(entry.type)
    if letter is None or len(entry.data) < struct.calcsize(letter):
        return otherwise
    return struct.unpack_from(order + letter, entry.data)[0]


def block(order: str, found: dict[int, Table], start: int = 8) -> bytes:
    """Tables as a block of EXIF; the places of tables are made anew.

    Parameters
    ----------
    order : {"<", ">"}
        Of bytes, which the entries' data are in.
    found : dict
        As `tables` gives it.
    start : int
        Where in the block the first table is to lie.

    Returns
    -------
    bytes
        From its byte order on; empty if the first table is.
    """
    first, exif, gps, interop = (dict(found.get(tag, {})) for tag in (0, EXIF_TABLE, GPS_TABLE, INTEROP_TABLE))
    below = ((exif, INTEROP_TABLE, interop), (first, EXIF_TABLE, exif), (first, GPS_TABLE, gps))
    for table, tag, inner in below:
        table.pop(tag, None)
        if inner:
            table[tag] = Entry(tag, LONG, 1, bytes(4))
    parts = []
    place = start + _length(first)
    for table, tag, inner in below:
        if inner:
            table[tag] = table[tag]._replace(data=struct.pack(order + "I", place))
            parts.append(serialised(order, inner.values(), place))
            place += _length(inner)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    return b"".join([head, serialised(order, first.values(), start), *parts]) if first else b""


def serialised(order: str, entries: Iterable[Entry], offset: int) -> bytes:
    """A table, to lie at `offset`; no other follows it."""
    entries = sorted(entries)
    rows, values = [], []
    place = offset + 2 + 12 * len(entries) + 4
    for entry in entries:
        row = struct.pack(order + "HHI", entry.tag, entry.type, entry.number)
        if len(entry.data) <= 4:
            rows.append(row + entry.data.ljust(4, b"\0"))
            continue
        rows.append(row + struct.pack(order + "I", place))
        values.append(entry.data + b"\0" * (len(entry.data) % 2))
        place += len(values[-1])
    return struct.pack(order + "H", len(entries)) + b"".join(rows) + bytes(4) + b"".join(values)


def _length(table):
    return 2 + 12 * len(table) + 4 + sum(len(e.data) + len(e.data) % 2 for e in table.values() if len(e.data) > 4)


def table(read: Callable[[int, int], bytes], order: str, start: int, big: bool) -> tuple[Table, int]:
    """The table at a place, and where the place of the next one is said.

    Parameters
    ----------
    read : callable
        By `at_of` or `within`.
    order : {"<", ">"}
        Of bytes.
    start : int
        Where the table begins.
    big : bool
        Whether the file is a BigTIFF.

    Raises
    ------
    ValueError, struct.error
        If there is none.
    """
    count_of, entry_of, width = ("Q", "HHQ8s", 20) if big else ("H", "HHI4s", 12)
    head = struct.calcsize(order + count_of)
    count = struct.unpack(order + count_of, read(start, head))[0]
    if count > MOST_TAGS:
        raise ValueError(f"{count} tags")
    rows = read(start + head, count * width)
    found: Table = {}
    for number_of in range(len(rows) // width):
        at = start + head + number_of * width
        tag, kind, values, inline = struct.unpack_from(order + entry_of, rows, number_of * width)
        # Of BigTIFF's 8-byte numbers only places are known, which are not kept.
        size = {16: 8, 17: 8, 18: 8}.get(kind) or SIZES.get(kind, 0)
        size *= values
        if not 0 < size <= LARGEST_VALUE:
            continue
        place = at + width - len(inline)
        if size > len(inline):
            place = struct.unpack(order + ("Q" if big else "I"), inline)[0]
            data = read(place, size)
        else:
            data = inline[:size]
        if len(data) == size:
            found[tag] = Entry(tag, kind, values, data, at, place)
    return found, start + head + count * width
