"""What a photo says about itself: EXIF with GPS, XMP, the quality of its JPEG."""

import io
import re
import struct
import warnings
from functools import cache
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin

warnings.filterwarnings("ignore", "Corrupt EXIF data|Truncated File Read", UserWarning)  # Pillow's; no news to a user

EXIF_HEADER = b"Exif\0\0"

ABOUT_THE_PHOTO = {
    ExifTags.Base[name]
    for name in (
        *("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright"),
        *("XResolution", "YResolution", "ResolutionUnit", "Rating", "RatingPercent"),
        *("XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"),
    )
} | {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}
"""The tags of a TIFF, and so of a camera's raw, that do not say how its pixels lie in the file."""

XMP_ORIENTATION = re.compile(rb'\s*tiff:Orientation="\d*"|<tiff:Orientation>\d*</tiff:Orientation>')


def read_exif(image: Image.Image) -> Image.Exif:
    """The EXIF of an image, empty if it is broken: it must not stop the photo."""
    try:
        return image.getexif()
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, struct.error):
        return Image.Exif()


def tiff_exif(file: BinaryIO) -> Image.Exif:
    """The EXIF of a TIFF or of a raw that is built like one; it stays in `file` until it is asked for."""
    exif = Image.Exif()
    file.seek(0)
    try:
        exif.load_from_fp(file)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, struct.error):
        return Image.Exif()
    return exif


def orientation(exif: Image.Exif) -> int:
    """How the pixels lie, 1 to 8; 1, which is upright, also where it is not said or makes no sense."""
    value = exif.get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def upright_exif(exif: Image.Exif, of_tiff: bool = False) -> bytes:
    """EXIF as it is put into files, without the orientation.

    The thumbnail is left out, which would show the photo as it was.

    Parameters
    ----------
    exif : Image.Exif
    of_tiff : bool
        Whether it comes from a TIFF, where the layout of the file stands among it; that is left out then.
    """
    try:
        for tag in list(exif):
            if tag == ExifTags.Base.Orientation or (of_tiff and tag not in ABOUT_THE_PHOTO):
                del exif[tag]
        return exif.tobytes() if len(exif) else b""
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, AttributeError, OverflowError, struct.error):
        return b""


def upright_xmp(xmp: bytes | str | None) -> bytes:
    """XMP without the orientation."""
    return XMP_ORIENTATION.sub(b"", xmp.encode() if isinstance(xmp, str) else xmp or b"")


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
