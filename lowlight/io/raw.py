"""Photos as cameras' sensors saw them, developed by LibRaw."""

import io
from typing import BinaryIO

import numpy as np
from PIL import Image

from lowlight.io.exif import tiff_exif

RAW_SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "kdc", "mef", "mos", "mrw"),
        *("nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)

RAW_HEADS = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"\0MRM", b"FOVb", b"II\x1a\0\0\0HEAPCCDR")

WHOLE = slice(None), slice(None)
"""All rows and columns."""

OTHER_HEADS = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"BM", b"GIF8")


def is_raw(head: bytes, suffix: str) -> bool:
    """Whether a file that begins so (at least 16 bytes) and whose name ends so is a raw.

    Most raws are built like a TIFF; there the name counts, but not against what begins like a photo of another kind.
    """
    if head.startswith(RAW_HEADS) or head[:10] == b"II*\0\x10\0\0\0CR" or head[4:12] == b"ftypcrx ":
        return True
    return suffix.lower() in RAW_SUFFIXES and not head.startswith(OTHER_HEADS)


def open_raw(file: BinaryIO):
    """A raw as a `rawpy.RawPy`.

    Raises
    ------
    ModuleNotFoundError
        If rawpy is not installed.
    ValueError
        If it is no raw that LibRaw knows.
    """
    import rawpy

    file.seek(0)
    try:
        return rawpy.imread(file)
    except rawpy.LibRawError as error:
        raise ValueError(_reason(error)) from error


def shown(raw) -> tuple[slice, slice]:
    """Rows and columns of a DNG, before it is turned, that are the picture: without the rim that developing needs.

    (DNG 1.7, DefaultCropOrigin and DefaultCropSize.)
    """
    sizes = raw.sizes
    top, left = sizes.crop_top_margin - sizes.top_margin, sizes.crop_left_margin - sizes.left_margin
    bottom, right = top + sizes.crop_height, left + sizes.crop_width
    if 0 <= top < bottom <= sizes.iheight and 0 <= left < right <= sizes.iwidth and sizes.pixel_aspect == 1:
        return slice(top, bottom), slice(left, right)
    return WHOLE


def raw_size(raw, box: tuple[slice, slice]) -> tuple[int, int]:
    """Height and width of a part of a raw, once it is developed."""
    height, width = (
        len(range(side)[part]) for side, part in zip((raw.sizes.iheight, raw.sizes.iwidth), box, strict=True)
    )
    return (width, height) if raw.sizes.flip & 4 else (height, width)


def raw_exif(raw, file: BinaryIO) -> bytes:
    """The EXIF of the raw itself if it is built like a TIFF, else that of its preview."""
    import rawpy

    block = tiff_exif(file)
    if block:
        return block
    try:
        preview = raw.extract_thumb()
    except rawpy.LibRawError:
        return b""
    if preview.format != rawpy.ThumbFormat.JPEG:
        return b""
    with Image.open(io.BytesIO(preview.data)) as image:
        return image.info.get("exif", b"")


def develop(raw, box: tuple[slice, slice]) -> np.ndarray:
    """Develop a part of a raw as the camera saw it: its own white balance, no brightening.

    Returns
    -------
    (H, W, 3) uint16 array, or (H, W, 1) of a sensor without colour filters
        Upright, sRGB.

    Raises
    ------
    ValueError
        If the raw is broken.
    """
    import rawpy

    srgb, flip = rawpy.ColorSpace.sRGB, raw.sizes.flip  # which developing without turning sets to 0
    try:
        picture = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, output_bps=16, output_color=srgb, gamma=(2.4, 12.92), user_flip=0
        )
    except rawpy.LibRawError as error:
        raise ValueError(_reason(error)) from error
    turned = picture[box][:: -1 if flip & 2 else 1, :: -1 if flip & 1 else 1]
    return np.ascontiguousarray(turned.swapaxes(0, 1) if flip & 4 else turned)


def _reason(error) -> str:
    text = error.args[0] if error.args else error
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
