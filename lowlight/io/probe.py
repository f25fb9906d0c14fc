"""What a photo's file is, by its content, and what lies in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin

from lowlight.imaging.pixels import Levels, bands
from lowlight.io.exif import jpeg_encoding, orientation, read_exif, tiff_exif
from lowlight.io.icc import converter, srgb_profile
from lowlight.io.png16 import is_deep_png, read_png
from lowlight.io.raw import DNG_VERSION, develop, is_raw, open_raw, raw_exif, raw_size
from lowlight.io.tiff import TIFF_HEADS, read_tiff, tiff_page

SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "GIF": ".png",
    "BMP": ".bmp",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "AVIF": ".avif",
    "HEIF": ".heic",
}
"""What Pillow reads here, and what the names of results end in. What else it knows is left alone: for one, it runs a
program."""

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

GREY_MODES = {"1", "L", "LA", "La"}


@dataclass(frozen=True)
class Contents:
    """A photo whose header is read; valid while its file is open."""

    size: tuple[int, int]
    """Height and width, before `orientation` is applied."""
    read: Callable[[], Levels]
    """Decodes the pixels; raises what the decoder raises."""
    exif: Image.Exif
    orientation: int
    """1 to 8, as EXIF counts; 1 where decoding turns the photo upright."""
    suffix: str
    """What the name of its result ends in, where nothing else is wanted."""
    profile: bytes | None = None
    xmp: bytes | str | None = None
    of_tiff: bool = False
    jpeg: tuple[int, int] | None = None
    """Quality and subsampling, if it is one (`lowlight.io.exif.jpeg_encoding`)."""


def identify(file: BinaryIO, suffix: str) -> Contents:
    """Read the header of a photo.

    Parameters
    ----------
    file : binary file
        At its beginning; must stay open until the pixels are read.
    suffix : str
        Of its name, which only tells raws from TIFFs.

    Raises
    ------
    ModuleNotFoundError
        If the package that reads such a file is not installed.
    Exception
        Of any kind, if it is no photo, or broken.
    """
    head = file.read(64)
    if not head:
        raise ValueError("it is empty")
    file.seek(0)
    if is_raw(head, suffix):
        return _raw(file)
    if head.startswith(TIFF_HEADS):
        page = tiff_page(file)
        file.seek(0)
        if page and DNG_VERSION in page.tags:
            return _raw(file)
        if page and page.bitspersample > 8:
            return _deep_tiff(page, file)
    return _image(file, head)


def register_heic() -> None:
    """Have Pillow read and write HEIC.

    Raises
    ------
    ModuleNotFoundError
        If pillow-heif is not installed.
    """
    import pillow_heif

    pillow_heif.register_heif_opener()


def _raw(file) -> Contents:
    raw = open_raw(file)
    return Contents(
        size=raw_size(raw),
        read=lambda: Levels(develop(raw), None, grey=False),
        exif=raw_exif(raw, file),
        orientation=1,
        suffix=".tif",
        profile=srgb_profile(),
        of_tiff=True,
    )


def _deep_tiff(page, file) -> Contents:
    profile, xmp = (page.tags[tag].value if tag in page.tags else None for tag in ("InterColorProfile", "XMP"))
    exif = tiff_exif(file)
    return Contents(
        size=(page.imagelength, page.imagewidth),
        read=lambda: read_tiff(page, profile),
        exif=exif,
        orientation=orientation(exif),
        suffix=".tif",
        profile=profile,
        xmp=xmp,
        of_tiff=True,
    )


def _image(file, head) -> Contents:
    """What Pillow reads; but of a PNG of 16 bits only what is not pixels."""
    formats = [form for form in SUFFIXES if form != "HEIF"]
    if head[4:8] == b"ftyp" and b"avi" not in head and any(brand in head for brand in HEIC_BRANDS):
        register_heic()
        formats = ["HEIF"]
    image = Image.open(file, formats=formats)
    profile = image.info.get("icc_profile")
    exif = read_exif(image)

    def read_deep():
        file.seek(0)
        return read_png(file.read(), profile)

    return Contents(
        size=(image.height, image.width),
        read=read_deep if is_deep_png(head) else lambda: _decode(image),
        exif=exif,
        orientation=1 if image.format == "TIFF" else orientation(exif),
        suffix=SUFFIXES.get(image.format or "", ".jpg"),  # MPO, the rest, is a JPEG with more behind it
        profile=profile,
        xmp=image.info.get("xmp"),
        of_tiff=image.format == "TIFF",
        jpeg=jpeg_encoding(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else None,
    )


def _decode(image) -> Levels:
    to_rgb = converter(image)
    colour = np.empty((image.height, image.width, 3), np.uint8)
    alpha = np.empty(colour.shape[:2], np.uint8) if image.has_transparency_data else None
    for rows in bands(*colour.shape[:2]):
        part = image.crop((0, rows.start, image.width, rows.stop))
        colour[rows] = np.asarray(to_rgb(part))
        if alpha is not None:
            alpha[rows] = np.asarray(part.convert("RGBA"))[..., 3]
    return Levels(colour, alpha, image.mode in GREY_MODES)
