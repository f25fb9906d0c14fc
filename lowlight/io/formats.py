"""The formats of photos in one table: what is read, what is written, and what comes through."""

import importlib.util
from typing import NamedTuple

from PIL import features

from lowlight.io.raw import RAW_SUFFIXES

EXIF, XMP, IPTC, TEXT, DPI, ICC = "EXIF", "XMP", "IPTC", "text", "dpi", "ICC"

ALL_COLOUR = "ICC, or EXIF that says Adobe RGB"


class Format(NamedTuple):
    """A format of photos."""

    name: str
    suffixes: tuple[str, ...]
    written: tuple[str, ...] = ()
    """Which of those results are written with."""
    bits_read: tuple[int, ...] = (8,)
    bits_written: tuple[int, ...] = ()
    colour: str = ALL_COLOUR
    """What is understood of what it says about its colours, in this order."""
    metadata_read: tuple[str, ...] = ()
    metadata_written: tuple[str, ...] = ()
    alpha: bool = False
    """Whether a result has transparency, if the photo has."""
    package: str | None = None
    """What has to be installed for it, besides what always is."""
    result: str | None = None
    """What the name of a result ends in, where it is not written itself."""
    notes: str = ""


TABLE = (
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jfif", ".jpe", ".jps", ".mpo"),
        (".jpg", ".jpeg", ".jfif", ".jpe", ".jps"),
        bits_read=(8, 12, 16),
        bits_written=(8,),
        metadata_read=(EXIF, XMP, IPTC, TEXT, DPI, ICC),
        metadata_written=(EXIF, XMP, IPTC, TEXT, DPI, ICC),
        result=".jpg",
        notes="text: its comment; what was without loss is written so; gain maps and videos of motion photos are "
        "left out",
    ),
    Format(
        "PNG",
        (".png",),
        (".png",),
        bits_read=(1, 2, 4, 8, 16),
        bits_written=(8, 16),
        colour="ICC, cICP, cHRM and gAMA, EXIF that says Adobe RGB",
        metadata_read=(EXIF, XMP, IPTC, TEXT, DPI, ICC),
        metadata_written=(EXIF, XMP, IPTC, TEXT, DPI, ICC),
        alpha=True,
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        (".tif", ".tiff"),
        bits_read=(1, 2, 4, 8, 10, 12, 14, 16, 32),
        bits_written=(8, 16),
        metadata_read=(EXIF, XMP, IPTC, DPI, ICC),
        metadata_written=(EXIF, XMP, IPTC, DPI, ICC),
        alpha=True,
        notes="whole numbers and floats; packed by LZW, Deflate, PackBits, CCITT, JPEG, JPEG 2000, JPEG XL, JPEG XR, "
        "LERC, WebP, PNG, LZMA, Zstandard",
    ),
    Format(
        "WebP",
        (".webp",),
        (".webp",),
        bits_written=(8,),
        metadata_read=(EXIF, XMP, ICC),
        metadata_written=(EXIF, XMP, ICC),
        alpha=True,
        notes="what was without loss is written so",
    ),
    Format(
        "AVIF",
        (".avif",),
        (".avif",),
        bits_read=(8, 10, 12),
        bits_written=(8,),
        colour="ICC, nclx, EXIF that says Adobe RGB",
        metadata_read=(EXIF, XMP, ICC),
        metadata_written=(EXIF, XMP, ICC),
        alpha=True,
    ),
    Format(
        "HEIF",
        (".heic", ".heif", ".hif"),
        (".heic", ".heif", ".hif"),
        bits_read=(8, 10, 12),
        bits_written=(8, 10),
        colour="ICC, nclx, EXIF that says Adobe RGB",
        metadata_read=(EXIF, XMP, ICC),
        metadata_written=(EXIF, XMP, ICC),
        alpha=True,
        package="pillow-heif",
        result=".png",
    ),
    Format(
        "BMP",
        (".bmp",),
        (".bmp",),
        bits_read=(1, 4, 8),
        bits_written=(8,),
        colour="sRGB",
        metadata_read=(DPI,),
        metadata_written=(DPI,),
    ),
    Format(
        "JPEG XL",
        (".jxl",),
        bits_read=(8, 10, 12, 16),
        colour="its own numbers; a profile is not read",
        metadata_read=(EXIF, XMP),
        result=".png",
    ),
    Format(
        "JPEG 2000", (".jp2", ".j2k", ".jpf", ".jpx", ".j2c"), bits_read=(8, 10, 12, 16), colour="ICC", result=".png"
    ),
    Format("PNM", (".ppm", ".pgm", ".pbm", ".pnm"), bits_read=(1, 8, 16), colour="sRGB", result=".png"),
    Format(
        "Raw",
        tuple(sorted(RAW_SUFFIXES)),
        bits_read=(10, 12, 14, 16),
        colour="the camera's",
        metadata_read=(EXIF,),
        package="rawpy",
        result=".tif",
    ),
)
"""JPEG to raw: the end of a name says what is written; what is read is known by its content."""


def _is_here(form: Format) -> bool:
    if form.name == "AVIF":
        return bool(features.check("avif"))
    return form.package is None or importlib.util.find_spec(form.package.replace("-", "_")) is not None


FORMATS = {suffix: form.name.upper() for form in TABLE if _is_here(form) for suffix in form.written}
"""What is written, by the end of the name."""

IMAGE_SUFFIXES = frozenset(suffix for form in TABLE for suffix in form.suffixes)
"""What is read, by the end of the name; some needs a package more, which the error names if it is missing."""

WITHOUT_ALPHA = {form.name.upper() for form in TABLE if form.written and not form.alpha}


def result_suffix(suffix: str) -> str:
    """What the name of a result ends in, for a photo whose name ends in `suffix`.

    The same where it can be written; for raws .tif, which holds the 16 bits that they are developed to and their
    EXIF; else .png.
    """
    if suffix.lower() in FORMATS:
        return suffix
    return next((form.result for form in TABLE if suffix.lower() in form.suffixes), None) or ".png"
