"""Whether the file of a clip is as long as it says it is."""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from lowlight.io import bmff, transport

ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""What the object of an ASF begins with that says how long the file is (Microsoft's ASF specification, 3.2)."""

ASF_LIVE = 1
"""A flag there: the file was not finished, and its length means nothing."""

HEADER = 2**16
"""Bytes that are looked for what is said of the file."""

OWN_HEAD = 8
"""Bytes before the content of an AVI, which some cameras count, too."""

MOST_PARTS = 10000

OF_MP4 = (b"moov", b"moof", b"mdat")
"""Boxes of a clip; behind them some phones put what is no box."""

SEGMENT = b"\x18\x53\x80\x67"
"""Of a Matroska (RFC 9559, 5.1), behind its header."""


def is_cut(path: Path, form: str) -> bool:
    """Whether a clip lacks its end by what its file says; many do not say it.

    Parameters
    ----------
    path : Path
    form : str
        What FFmpeg calls the container.
    """
    if form == "mpegts":
        return transport.is_cut(path)
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        if "mp4" in form:
            return bmff.is_cut(file, OF_MP4)
        file.seek(0)
        end = {"asf": _end_of_asf, "avi": _end_of_avi, "matroska,webm": _end_of_matroska}.get(form)
        return end is not None and end(file) > length


def _end_of_asf(file) -> int:
    head = file.read(HEADER)
    place = head.find(ASF_PROPERTIES)
    if not 0 <= place <= len(head) - 92:
        return 0
    (length,), (flags,) = struct.unpack_from("<Q", head, place + 40), struct.unpack_from("<I", head, place + 88)
    return 0 if flags & ASF_LIVE else length


def _end_of_avi(file: BinaryIO) -> int:
    """Of the last of its parts, of which one of more than a gigabyte has several (OpenDML)."""
    place = 0
    for _ in range(MOST_PARTS):
        file.seek(place)
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] not in (b"AVI ", b"AVIX"):
            break
        place += 8 + struct.unpack_from("<I", head, 4)[0]
        place += place % 2
    return place - OWN_HEAD - 1  # the last byte may be there to make it even


def _end_of_matroska(file) -> int:
    head = file.read(HEADER)
    place = head.find(SEGMENT) + len(SEGMENT)
    if place < len(SEGMENT) or not head[place : place + 1].strip(b"\0"):
        return 0
    width = 9 - head[place].bit_length()
    size = int.from_bytes(head[place : place + width], "big") & (1 << 7 * width) - 1
    return 0 if size == (1 << 7 * width) - 1 else place + width + size  # all ones: of a recording that goes on
