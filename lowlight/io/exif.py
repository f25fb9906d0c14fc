"""What a photo says about itself in EXIF, and that it is still true of what is written."""

import io
import struct
import warnings
from functools import cache
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin

from lowlight.io import ifd
from lowlight.io.ifd import BROKEN, EXIF_TABLE, GPS_TABLE, INTEROP_TABLE, LONG, SHORT

warnings.filterwarnings("ignore", "Corrupt EXIF data|Truncated File Read", UserWarning)  # Pillow's; no news to a user

EXIF_HEADER = b"Exif\0\0"

ABOUT_THE_PHOTO = {
    ExifTags.Base[name].value
    for name in (
        *("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright"),
        *("XResolution", "YResolution", "ResolutionUnit", "Rating", "RatingPercent"),
        *("XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"),
        *("DocumentName", "PageName"),
    )
}
"""The tags of a TIFF, and so of a camera's raw, that do not say how its pixels lie in the file."""

DESCRIPTION = ExifTags.Base.ImageDescription.value

OF_STACKS = (b"ImageJ=", b"SCIFIO=", b'{"shape":')
"""How descriptions begin by which ImageJ and tifffile know again how pixels lie in the file."""

WIDTH, HEIGHT, COLOUR_SPACE, INTEROP_INDEX, ORIENTATION = 0xA002, 0xA003, 0xA001, 0x0001, 0x0112

IMAGE_WIDTH, IMAGE_HEIGHT = 0x0100, 0x0101

PARTS = {EXIF_TABLE: "how it was taken", GPS_TABLE: "the place", INTEROP_TABLE: "interoperability"}
"""What the tables are about."""


def bare(exif: bytes) -> bytes:
    """A block of EXIF from its byte order on, whatever is before that in a file."""
    exif = exif.removeprefix(EXIF_HEADER)
    return exif if exif[:2] in (b"II", b"MM") else b""


def about_the_photo(table: ifd.Table) -> ifd.Table:
    """The tags of a TIFF that do not say how its pixels lie in the file, neither in words."""
    found = {tag: entry for tag, entry in table.items() if tag in ABOUT_THE_PHOTO}
    words = found[DESCRIPTION].data.rstrip(b"\0 \r\n\t") if DESCRIPTION in found else b""
    if words.startswith(OF_STACKS) or words.endswith(b"OME>"):
        del found[DESCRIPTION]
    return found


def tiff_exif(file: BinaryIO) -> bytes:
    """What a TIFF, or a raw that is built like one, says about the photo, as a block of EXIF."""
    try:
        order, found, _ = ifd.tables(ifd.at_of(file))
        found[0] = about_the_photo(found[0])
        return ifd.block(order, found)
    except BROKEN:
        return b""


def tables_of(exif: bytes) -> tuple[str, dict[int, ifd.Table]]:
    """Byte order and tables of a block of EXIF; none if it is broken: it must not stop the photo."""
    try:
        order, found, _ = ifd.tables(ifd.within(bare(exif)))
    except BROKEN:
        return "<", {0: {}}
    return order, found


def orientation(exif: bytes) -> int:
    """How the pixels lie, 1 to 8; 1, which is upright, also where it is not said or makes no sense."""
    order, found = tables_of(exif)
    entry = found[0].get(ORIENTATION)
    value = ifd.number(entry, order) if entry else 1
    return value if value in range(1, 9) else 1


def lost_parts(exif: bytes) -> list[str]:
    """What of a block of EXIF cannot be read, though the rest can: a line, or none."""
    lost = [PARTS[tag] for tag in ifd.lost(tables_of(exif)[1])]
    return [f"its EXIF is broken in part; left out: {', '.join(lost)}"] if lost else []


def says_adobe_rgb(exif: bytes) -> bool:
    """Whether the file follows DCF's option for Adobe RGB: no number for its colour space, and R03."""
    order, found = tables_of(exif)
    space = found.get(EXIF_TABLE, {}).get(COLOUR_SPACE)
    index = found.get(INTEROP_TABLE, {}).get(INTEROP_INDEX)
    value = ifd.number(space, order) if space else 0
    return value == 2 or (value == 65535 and index is not None and index.data.startswith(b"R03"))


def truthful(exif: bytes, height: int, width: int) -> bytes:
    """EXIF as it is put into a file of upright sRGB pixels.

    Orientation, size and colour space say what is written; the thumbnail, which would show the photo as it was, and
    tags that name a broken table are left out. All else stays where it was, to the byte: makers' notes say where their
    parts lie.

    Parameters
    ----------
    exif : bytes
        Is left out if it is broken.
    height, width : int
        Of what is written.

    Returns
    -------
    bytes
        From its byte order on; empty if nothing remains.
    """
    made = bytearray(bare(exif))
    try:
        _cut_lost(made)
        order, found, after = ifd.tables(ifd.within(bytes(made)))
        if not found[0].keys() - {ORIENTATION} and len(found) == 1:
            return b""
        _cut_thumbnail(made, order, after)
        for table, tag, value in (
            (0, ORIENTATION, 1),
            (0, IMAGE_WIDTH, width),
            (0, IMAGE_HEIGHT, height),
            (EXIF_TABLE, WIDTH, width),
            (EXIF_TABLE, HEIGHT, height),
            (EXIF_TABLE, COLOUR_SPACE, 1),
        ):
            entry = found.get(table, {}).get(tag)
            if entry:
                kind, letter = (SHORT, "HH") if value < 65536 and entry.type == SHORT else (LONG, "I")
                values = (value, 0)[: len(letter)]
                struct.pack_into(f"{order}HI{letter}", made, entry.at + 2, kind, 1, *values)
        index = found.get(INTEROP_TABLE, {}).get(INTEROP_INDEX)
        if index and index.data.startswith(b"R03"):
            made[index.where : index.where + 3] = b"R98"
    except BROKEN:
        return b""
    return bytes(made)


def without_orientation(exif: bytes) -> bytes:
    """EXIF without that tag, all else in its place; Pillow writes EXIF that has it anew for AVIF, and loses texts."""
    made = bytearray(exif)
    try:
        order, found, _ = ifd.tables(ifd.within(exif))
        _cut(made, order, found, 0, ORIENTATION)
    except BROKEN:
        return exif
    return bytes(made)


def _cut_lost(made: bytearray):
    order, found, _ = ifd.tables(ifd.within(bytes(made)))
    for tag in ifd.lost(found):
        _cut(made, order, found, ifd.PARENTS[tag], tag)


def _cut(made: bytearray, order, found, table, tag):
    """Take a tag out of a table; those behind it move up."""
    start = ifd.number(found[0][table], order) if table else struct.unpack_from(order + "I", made, 4)[0]
    entries, after = ifd.table(ifd.within(bytes(made)), order, start, False)
    at = entries[tag].at
    made[at : after + 4] = made[at + 12 : after + 4] + bytes(12)
    (count,) = struct.unpack_from(order + "H", made, start)
    struct.pack_into(order + "H", made, start, count - 1)


def _cut_thumbnail(made: bytearray, order, after):
    if after + 4 > len(made):
        return
    (second,) = struct.unpack_from(order + "I", made, after)
    struct.pack_into(order + "I", made, after, 0)
    try:
        thumbnail, _ = ifd.table(ifd.within(bytes(made)), order, second, False) if second else ({}, 0)
    except BROKEN:
        return
    place, length = (ifd.number(thumbnail[tag], order) if tag in thumbnail else 0 for tag in (0x0201, 0x0202))
    if not 8 < place < len(made):
        return
    if place + length >= len(made) and place > second:
        del made[place:]  # where nearly all have it
    else:
        made[place : place + length] = bytes(min(length, len(made) - place))


def jpeg_encoding(image: JpegImagePlugin.JpegImageFile) -> tuple[int, int]:
    """How a JPEG was made.

    Returns
    -------
    quality : int
        The lowest, 1 to 100, whose quantisation is no coarser on the whole, of brightness as of colour.
    subsampling : int
        Colour at full resolution (0), at half the width (1), or half of both sides (2); 0 for what is rare.
    """
    coarseness = [sum(image.quantization[number]) for number in sorted(image.quantization)[:2]]
    finer = (quality for quality in range(1, 100) if all(map(int.__le__, _coarseness(quality), coarseness)))
    return next(finer, 100), max(0, JpegImagePlugin.get_sampling(image))


@cache
def _coarseness(quality) -> list[int]:
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return [sum(table) for table in getattr(image, "quantization", {}).values()]


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A picture (H, W, ...) turned upright from how EXIF says that it lies (1 to 8); other numbers leave it."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
