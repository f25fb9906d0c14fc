"""TIFF: which of its pictures is the photo, how large it really is, and its pixels whatever they are packed in."""

import io
import logging
import math
import os
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from lowlight.imaging.pixels import GREY_WEIGHTS, Levels, scaled, unassociated
from lowlight.io import exif, ifd
from lowlight.io.colour import Meaning, levels_of, meaning
from lowlight.io.contents import Contents
from lowlight.io.exif import ORIENTATION
from lowlight.io.ifd import IPTC, XMP
from lowlight.io.jpeg import iptc_of_photoshop
from lowlight.io.jpeg_damage import JPEG_IN_TIFF, damage_in_tiff
from lowlight.io.jpeg_xl import open_jpeg_xl
from lowlight.io.lab import LAB, lab_to_srgb
from lowlight.io.limits import HARMLESS, LOSSLESS, PREDICTED, refuse_if_too_small
from lowlight.io.others import open_jpeg_2000
from lowlight.io.pillow import decode, open_image
from lowlight.io.png import open_png
from lowlight.io.tiff_range import white_of
from lowlight.io.xmp import credentials_left_out

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

COLOURS = dict.fromkeys(LAB, 3) | {
    **{"MINISWHITE": 1, "MINISBLACK": 1, "RGB": 3, "SEPARATED": 4, "YCBCR": 3, "PALETTE": 3},
}

ASSOCIATED_ALPHA = 1

BY_PILLOW = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
"""Compressions of which libtiff, as it comes with Pillow, reads all that there is."""

RAW = {1, 5, 8, 32773, 32946}
"""Compressions that know nothing of colours."""

WITHIN: dict[int, Callable[[BinaryIO], Contents]] = {
    34712: open_jpeg_2000,
    34933: partial(open_png, frame=0),
    50001: partial(open_image, frame=0),
    50002: partial(open_jpeg_xl, frame=0),
}
"""Compressions whose parts are files of other formats."""

REDUCED, MASK = 1, 4
"""Bits of NewSubfileType."""

MOST_PAGES = 1000
"""That are looked at."""

MOST_SEGMENTS = 2**22

READ_AT_ONCE = 2**22
"""Bytes of strips or tiles, about, that are in memory beside the picture."""

DNG_VERSION = 50706

JPEG_XL_IN_DNG = 52546
"""Compression, of DNG 1.7."""

UNREADABLE = (ValueError, KeyError, IndexError, TypeError, RuntimeError, struct.error)
"""What tifffile raises where tables are broken."""

PHOTOSHOP, ICC, CREDENTIALS = 34377, 34675, 52545

LAYERS = 37724
"""Adobe Photoshop TIFF Technical Notes, 2002: ImageSourceData."""

LAYERS_MARK = re.compile(rb"8BIM(Layr|Lr16|Lr32)|MIB8(ryaL|61rL|23rL)")
"""What layers of 8, 16 and 32 bits are called in there, in both byte orders."""

YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, REFERENCE_BLACK_WHITE = 529, 530, 532

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it finds odd in a file is no news


def is_dng(file: BinaryIO) -> bool:
    """Whether a TIFF is a raw of that kind, whatever its name ends in."""
    try:
        return DNG_VERSION in ifd.tables(ifd.at_of(file))[1][0]
    except ifd.BROKEN:
        return False


def unread_dng(file: BinaryIO) -> str | None:
    """What a DNG is packed as, if it is what LibRaw does not unpack."""
    import tifffile

    file.seek(0)
    try:
        picture, *_ = _chosen(_pictures(_tops(tifffile.TiffFile(file))), None)
    except UNREADABLE:
        return None
    return "JPEG XL" if picture.compression == JPEG_XL_IN_DNG else "floats" if picture.sampleformat == 3 else None


def open_tiff(file: BinaryIO, frame: int | None) -> Contents:
    """The header of a TIFF: of its largest picture, or of one by number, without thumbnails and masks.

    Raises
    ------
    ValueError
        If it is broken, or too small for what it says.
    """
    import tifffile

    file.seek(0)
    try:
        tiff = tifffile.TiffFile(file)
        tops, stack = _tops(tiff), _stack(tiff)
        pictures = _pictures(tops)
    except UNREADABLE as error:
        raise ValueError(f"its tables are broken ({error})") from error
    page, frames, values = _chosen(pictures, frame) if stack is None else _of_stack(stack, frame or 0)
    _refuse_too_small(page, file, 0 if stack is None else math.prod(stack.shape))
    notes: list[str] = []
    order = tiff.byteorder
    tags = ifd.table(ifd.at_of(file), order, page.offset, tiff.is_bigtiff)[0]
    first = ifd.table(ifd.at_of(file), order, tiff.pages.first.offset, tiff.is_bigtiff)[0] | tags
    block = exif.tiff_exif(file)
    raw = {tag: first[tag].data if tag in first else b"" for tag in (XMP, IPTC, PHOTOSHOP)}
    notes += credentials_left_out(first[CREDENTIALS].data if CREDENTIALS in first else b"")
    iptc, whole = raw[IPTC].rstrip(b"\0"), iptc_of_photoshop(raw[PHOTOSHOP])
    means = meaning(tags[ICC].data if ICC in tags else None, exif=block)
    turned = ifd.number(tags[ORIENTATION], order, 1) if ORIENTATION in tags else 1
    height, width = page.imagelength, page.imagewidth
    index = None if stack is not None or page not in tops else tops.index(page)

    def read() -> Levels:
        return _read(file, page, index, values, turned, means, notes)

    return Contents(
        size=(width, height) if turned in (5, 6, 7, 8) else (height, width),
        read=read,
        suffix=".tif",
        exif=block,
        xmp=raw[XMP],
        iptc=whole if whole.startswith(iptc) else iptc,  # which ImageMagick cuts off
        tagged=means.tagged,
        frames=frames,
        notes=notes,
        look=list if index is None or page.compression != JPEG_IN_TIFF else partial(damage_in_tiff, file, index),
    )


def _tops(tiff) -> list[Any]:
    """Its pages, without those below them; as many as are looked at."""
    found: list[Any] = []
    for number in range(MOST_PAGES):
        try:
            page = tiff.pages[number]
        except IndexError:
            break
        if page.offset in {other.offset for other in found[:1]}:  # a ring
            break
        found.append(page)
    return found


def _pictures(tops) -> list[Any]:
    """Its pages and those below them, in order, but for thumbnails and masks: flagged, or half as large at most."""
    import tifffile

    found = []
    for page in tops:
        found += [page, *(list(page.pages)[:MOST_PAGES] if getattr(page, "subifds", None) else [])]
    pages = [page for page in found if isinstance(page, tifffile.TiffPage) and page.imagelength and page.imagewidth]
    whole = [page for page in pages if not page.subfiletype & (REDUCED | MASK)] or pages
    tallest, widest = (
        max((getattr(page, side) for page in whole), default=0) for side in ("imagelength", "imagewidth")
    )
    return [page for page in whole if 2 * page.imagelength > tallest or 2 * page.imagewidth > widest]


def _chosen(pictures, frame) -> tuple[Any, int, Callable[[], np.ndarray]]:
    """The largest picture, or one by number; how many there are, and its pixels as (H, W, C)."""
    if not pictures:
        raise ValueError("it has no picture, or is cut short before it")
    areas = [page.imagelength * page.imagewidth for page in pictures]
    page = pictures[areas.index(max(areas)) if frame is None else min(frame, len(pictures) - 1)]
    return page, len(pictures), partial(_values, page)


def _stack(tiff):
    """What OME or ImageJ says that several pages, or planes of one, are together; None if nothing."""
    if not (tiff.is_ome or tiff.is_imagej):
        return None
    series = tiff.series[0] if tiff.series else None
    return series if series is not None and (series.ndim > 2 and series.axes not in ("YXS", "SYX")) else None


def _of_stack(series, frame) -> tuple[Any, int, Callable[[], np.ndarray]]:
    """The same of a stack, by its first page."""
    axes, shape = series.axes, series.shape
    size = dict(zip(axes, shape, strict=True))
    if size.get("C", 1) not in (1, 3) and "S" not in axes:
        raise ValueError(f"a stack of {size['C']} channels ({axes}), of which nobody says what colours they are")
    others = "".join(axis for axis in axes if axis not in "CSYX")
    order = [axes.index(axis) for axis in others + "YX" + "".join(axis for axis in axes if axis in "CS")]

    def values():
        whole = series.asarray(maxworkers=1, buffersize=READ_AT_ONCE).transpose(order)
        return whole.reshape(-1, size["Y"], size["X"], math.prod(size.get(axis, 1) for axis in "CS"))[frame]

    return series.keyframe, math.prod(size[axis] for axis in others), values


def _refuse_too_small(page, file, samples=0):
    """Look at the sizes before anything is decoded."""
    size = file.seek(0, os.SEEK_END)
    height, width = page.imagelength, page.imagewidth
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    tall, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip or height, width)
    tall, wide = min(tall, height) if not page.is_tiled else tall, max(1, wide)
    segments = -(-height // max(1, tall)) * -(-width // wide) * planes * max(1, page.imagedepth)
    packed = sum(page.databytecounts)
    sample = max(1, page.bitspersample) / 8
    needed = math.ceil(max(samples, height * width * page.samplesperpixel) * sample)
    of_segment = tall * wide * page.samplesperpixel * sample
    what = f"it says that it is {width}x{height} pixels large"
    if segments > MOST_SEGMENTS or (segments > len(page.dataoffsets) and not page.is_contiguous):
        raise ValueError(f"{what}, in {segments} parts, but holds {len(page.dataoffsets)}")
    if of_segment > HARMLESS and of_segment > 4 * needed:
        raise ValueError(f"{what}, in parts of {wide}x{tall}")
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + length > size or not length:
            raise ValueError("it is cut short")
    refuse_if_too_small(
        width, height, needed, min(packed, size) * (LOSSLESS if page.compression in BY_PILLOW else PREDICTED), packed
    )
    _refuse_larger_inside(page, file, tall, wide)


def _refuse_larger_inside(page, file, tall, wide):
    """Parts that are files of their own must not be larger than the TIFF says."""
    opener = WITHIN.get(page.compression)
    if opener is None:
        return
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        height, width = opener(io.BytesIO(file.read(length))).size
        if height > tall or width > wide:
            raise ValueError(f"a part of {wide}x{tall} pixels holds {width}x{height}")


def _read(file, page, index, values, turned, means: Meaning, notes) -> Levels:
    kind = _kind(page)
    notes += _left_out(page, file, kind)
    simple = page.bitspersample <= 8 and page.sampleformat == 1 and page.compression in BY_PILLOW
    plain = not (kind in ("YCBCR", *LAB) and page.compression in RAW) and not _is_narrow(page)
    if index is not None and simple and plain:
        try:
            return _by_pillow(file, index, means, notes)
        except (OSError, ValueError, KeyError, SyntaxError, TypeError, IndexError):
            pass  # of a kind that it does not know; if it is broken, that will be seen, too
    levels = _by_tifffile(page, kind, values, means, notes)
    alpha = None if levels.alpha is None else exif.upright(levels.alpha, turned)
    return Levels(exif.upright(levels.colour, turned), alpha, levels.grey)


def _left_out(page, file, kind) -> list[str]:
    """What there is beside the picture, its colours and its transparency: a line for each."""
    told, channels, clear = [], page.samplesperpixel, any(page.extrasamples)
    if channels > COLOURS.get(kind, channels) + clear:
        which = "the first is read, as grey" if COLOURS[kind] == 1 else f"{COLOURS[kind]} are read, as colours"
        told.append(
            f"of its {channels} channels {which}{', and one as transparency' if clear else ''}: of the rest nothing "
            "says what it is"
        )
    if LAYERS in page.tags:
        file.seek(page.tags[LAYERS].valueoffset)
        if LAYERS_MARK.search(file.read(min(page.tags[LAYERS].count, READ_AT_ONCE))):
            told.append("its layers are left out: the picture of all of them is read")
    return told


def _by_pillow(file, index, means, notes) -> Levels:
    """Upright: Pillow turns TIFFs."""
    file.seek(0)
    image = Image.open(file, formats=["TIFF"])
    if index:
        image.seek(index)
    return decode(image, means, notes)


def _kind(page) -> str:
    return getattr(page.photometric, "name", str(page.photometric))


def _values(page) -> np.ndarray:
    """(H, W, C), or (H, W) with a palette, as they lie in the file."""
    values = page.asarray(maxworkers=1, buffersize=READ_AT_ONCE)
    if page.axes.startswith("Z"):
        values = values[0]
    if page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    return values.reshape(*values.shape[:2], -1)


def _by_tifffile(page, kind, values, means, notes) -> Levels:
    if kind not in COLOURS:
        raise ValueError(f"a TIFF of colours of the kind {kind} is not known; save it as RGB")
    if page.sampleformat in (5, 6):
        raise ValueError("a TIFF of complex numbers is no photo")
    try:
        decoded = _from_ycbcr(page) if kind == "YCBCR" and page.compression in RAW else values()
    except (RuntimeError, NotImplementedError, TypeError, KeyError, IndexError, AttributeError, struct.error) as error:
        raise ValueError(f"its pixels are broken, or packed in a way that is not known ({error})") from error
    if kind == "PALETTE":
        decoded, white = np.moveaxis(page.colormap, 0, -1)[decoded[..., 0]], 255.0 if _is_narrow(page) else 65535.0
    elif kind in LAB:  # whose numbers mean the same whatever else the file says
        decoded, white, means = lab_to_srgb(decoded, page), float(np.iinfo(decoded.dtype).max), Meaning()
    else:
        white = white_of(page, decoded, notes)
    stacked = kind == "MINISBLACK" and decoded.shape[2] == 3 and page.samplesperpixel == 1
    colours = 3 if stacked else COLOURS[kind]
    if decoded.shape[2] < colours:
        raise ValueError(f"{kind} in {decoded.shape[2]} channels")
    levels = scaled(decoded, white)
    clear = next((place for place, meant in enumerate(page.extrasamples) if meant), None)
    if clear:
        levels = levels[..., [*range(colours), colours + clear]]
    if kind == "MINISWHITE":
        levels = levels.copy()
        levels[..., 0] = np.iinfo(levels.dtype).max - levels[..., 0]
    if clear is not None and page.extrasamples[clear] == ASSOCIATED_ALPHA:
        levels = unassociated(levels, colours)
    return levels_of(levels, colours, means, clear is not None, notes)


def _is_narrow(page) -> bool:
    """Whether its palette goes up to 255, as some programs write it, and not to 65535, as TIFF 6.0 has it."""
    return page.colormap is not None and page.colormap.max(initial=0) < 256


def _from_ycbcr(page) -> np.ndarray:
    """TIFF 6.0, section 21, also where colours have half the sides and lie between the levels of brightness."""
    tag = {
        code: page.tags[code].value
        for code in (YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, REFERENCE_BLACK_WHITE)
        if code in page.tags
    }
    across, down = tag.get(YCBCR_SUBSAMPLING, (2, 2))
    values = (_values(page) if (across, down) == (1, 1) else _unclumped(page, across, down)).astype(np.float32)
    red, green, blue = _ratios(tag.get(YCBCR_COEFFICIENTS)) or GREY_WEIGHTS
    levels = _ratios(tag.get(REFERENCE_BLACK_WHITE)) or (0, 255, 128, 255, 128, 255)
    black, white = np.array(levels[::2], np.float32), np.array(levels[1::2], np.float32)
    y, cb, cr = np.moveaxis((values - black) / np.maximum(white - black, 1) * (255, 127, 127), -1, 0)
    r, b = cr * (2 - 2 * red) + y, cb * (2 - 2 * blue) + y
    return np.rint(np.clip(np.stack([r, (y - blue * b - red * r) / green, b], -1), 0, 255)).astype(np.uint8)


def _ratios(value) -> list[float]:
    if not value:
        return []
    return [above / (below or 1) for above, below in zip(value[::2], value[1::2], strict=True)]


def _unclumped(page, across, down) -> np.ndarray:
    import tifffile

    if page.is_tiled or page.bitspersample != 8 or page.planarconfig == 2:
        raise ValueError("a TIFF in YCbCr of such a layout is not known")
    unpack = tifffile.TIFF.DECOMPRESSORS[page.compression]
    height, width = page.imagelength, page.imagewidth
    columns, result = -(-width // across), []
    for number, (offset, length) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        page.parent.filehandle.seek(offset)
        rows = min(page.rowsperstrip, height - number * page.rowsperstrip)
        lines = -(-rows // down)
        strip = np.frombuffer(unpack(page.parent.filehandle.read(length)), np.uint8)
        clumps = strip[: lines * columns * (across * down + 2)].reshape(lines, columns, across * down + 2)
        y = (
            clumps[..., :-2]
            .reshape(lines, columns, down, across)
            .swapaxes(1, 2)
            .reshape(lines * down, columns * across)
        )
        colours = clumps[..., -2:].repeat(down, 0).repeat(across, 1)
        result.append(np.dstack([y, colours])[:rows, :width])
    return np.concatenate(result)
