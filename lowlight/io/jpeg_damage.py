"""Whether a JPEG is damaged: what libjpeg warns of while it decodes, which nobody hears who asks for pixels."""

import logging
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from lowlight.io import ifd
from lowlight.io.ifd import LONG, SHORT

DAMAGED = "it is damaged, and part of the picture may be wrong (libjpeg: {})"

CORRUPT = "Corrupt JPEG data: "
"""What libjpeg's warnings of damage begin with; others are of what it can do without."""

TOO_MUCH = re.compile(r"\d+ extraneous bytes before marker 0x(\w\w)")

FILLING = b"\0\xff"
"""What some cameras put before a marker."""

END, SCAN = 0xD9, 0xDA
"""Markers; those above are of what is beside the picture (ITU-T T.81, table B.1)."""

PHOTOMETRIC = {1: 1, 3: 6, 4: 5}
"""Of a TIFF, by the channels: grey, YCbCr, CMYK."""

JPEG_IN_TIFF = 7


def damage(data: bytes, height: int, width: int, channels: int, scan: int) -> list[str]:
    """A line if the pixels of a JPEG are damaged where a decoder can know; of one changed bit it often cannot.

    Parameters
    ----------
    data : bytes
        A JPEG of 8 bits that has an end.
    height, width, channels : int
        As its header says.
    scan : int
        Where its first scan begins, about.
    """
    if channels not in PHOTOMETRIC:
        return []
    told = _said(_as_tiff(data, height, width, channels), 0)
    return [DAMAGED.format(message) for message in told if not _is_filling(message, data, scan)]


def damage_in_tiff(file: BinaryIO, page: int) -> list[str]:
    """The same of a page of a TIFF, counted from 0, that is packed as JPEG; a line for all of its parts."""
    file.seek(0)
    told = [message for message in _said(file.read(), page) if _marker(message) <= SCAN]
    return [DAMAGED.format(told[0])] if told else []


def _said(tiff, page) -> list[str]:
    """What libjpeg says is corrupt."""
    import imagecodecs

    with _warnings() as found:
        try:
            imagecodecs.tiff_decode(tiff, index=page, verbose=1)
        except Exception:  # what libtiff does not take says nothing of the JPEG
            return []
    return [message.partition(CORRUPT)[2] for message in found if CORRUPT in message]


def _as_tiff(data, height, width, channels) -> bytes:
    """A JPEG as the one strip of a TIFF: libtiff hands on what libjpeg says, and imagecodecs what libtiff does."""

    def head(place):
        numbers = {
            **{256: width, 257: height, 259: JPEG_IN_TIFF, 262: PHOTOMETRIC[channels]},
            **{273: place, 277: channels, 278: height, 279: len(data)},
        }
        table = {tag: ifd.Entry(tag, LONG, 1, struct.pack("<I", number)) for tag, number in numbers.items()}
        table[258] = ifd.Entry(258, SHORT, channels, struct.pack("<H", 8) * channels)
        return ifd.block("<", {0: table})

    return head(len(head(0))) + data


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What imagecodecs logs in this thread; it goes nowhere else."""
    found: list[str] = []
    thread = threading.get_ident()

    def take(record):
        if record.thread == thread:
            found.append(record.getMessage())
        return record.thread != thread

    logger = logging.getLogger("imagecodecs")
    logger.addFilter(take)
    try:
        yield found
    finally:
        logger.removeFilter(take)


def _is_filling(message, data, scan) -> bool:
    """Whether what libjpeg could do without is none of the picture."""
    if _marker(message) != END:
        return _marker(message) > SCAN
    count = int(message.split()[0])
    end = data.find(bytes([0xFF, END]), scan)
    return not data[max(0, end - count) : end].strip(FILLING)


def _marker(message) -> int:
    """Before which there is too much, if that is what is told; else 0."""
    match = TOO_MUCH.match(message)
    return int(match[1], 16) if match else 0
