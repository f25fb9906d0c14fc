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


def raw_size(raw) -> tuple[int, int]:
    """Height and width once it is developed."""
    height, width = raw.sizes.iheight, raw.sizes.iwidth
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


def develop(raw) -> np.ndarray:
    """Develop a raw as the camera saw it: its own white balance, no brightening.

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

    srgb = rawpy.ColorSpace.sRGB
    try:
        return raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, output_bps=16, output_color=srgb, gamma=(2.4, 12.92)
        )
    except rawpy.LibRawError as error:
        raise ValueError(_reason(error)) from error


def _reason(error) -> str:
    text = error.args[0] if error.args else error
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
