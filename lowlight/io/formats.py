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
    """What reads and writes it in place of Pillow; a system that has no such package does without."""
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
        notes="also JPEG-LS; text: its comment; what was without loss is written so; gain maps and videos of motion "
        "photos are left out",
    ),
    Format(
        "PNG",
        (".png",),
        (".png",),
        bits_read=(1, 2, 4, 8, 16),
        bits_written=(8, 16),
        colour="cICP, ICC, cHRM and gAMA, EXIF that says Adobe RGB",
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
        notes="whole numbers and floats; grey, RGB, CMYK, YCbCr, L\\*a\\*b\\*, palettes; packed by LZW, Deflate, "
        "PackBits, CCITT, JPEG, JPEG 2000, JPEG XL, JPEG XR, LERC, WebP, PNG, LZMA, Zstandard",
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
        bits_written=(8, 10, 12),
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
        bits_written=(8, 10, 12),
        colour="ICC, nclx, EXIF that says Adobe RGB",
        metadata_read=(EXIF, XMP, ICC),
        metadata_written=(EXIF, XMP, ICC),
        alpha=True,
        package="pillow-heif",
        result=".png",
        notes="colour is written at half the resolution, as by cameras",
    ),
    Format(
        "BMP",
        (".bmp",),
        (".bmp",),
        bits_read=(1, 4, 8),
        bits_written=(8,),
        colour="ICC",
        metadata_read=(DPI,),
        metadata_written=(DPI,),
    ),
    Format(
        "JPEG XL",
        (".jxl",),
        bits_read=(8, 10, 12, 16),
        colour="its own numbers, or ICC where it was packed with loss",
        metadata_read=(EXIF, XMP),
        result=".png",
        notes="of an animation the first picture alone",
    ),
    Format(
        "JPEG 2000",
        (".jp2", ".j2k", ".jpf", ".jpx", ".j2c"),
        bits_read=(8, 10, 12, 16),
        colour="ICC",
        metadata_read=(EXIF, XMP, IPTC),
        result=".png",
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
        notes="DNG is cut to the picture that it names (DefaultCropSize); not what LibRaw does not know, as DNG of "
        "JPEG XL",
    ),
)
"""JPEG to raw: the end of a name says what is written; what is read is known by its content."""


INTRODUCTION = """# Formats of photos

Made by `python -m lowlight.io.formats` from the table that the program and its tests use. What a file is is known by
its content; its name decides what the result is written as, unless `--format` does.

"""

NOTES = """
What else is promised:

- **Colour.** Results are sRGB. What a photo's numbers mean is taken from the first of: `cICP` of PNG; ICC profile;
  `nclx` of AVIF and HEIC; `cHRM` and `gAMA` of PNG, unless it has `sRGB`; EXIF that says Adobe RGB (DCF:
  ColorSpace 65535 and R03). Else it is sRGB.
- **HDR.** PQ and HLG become sRGB, with a word. Diffuse white is 203 nits (75 % of HLG, read as scene light; ITU-R
  BT.2408). Where something is brighter, the brightest channel goes through the curve of ITU-R BT.2390, 5.4.1, and the
  others with it. Gain maps are left out, with a word: the base picture is what is read.
- **Range of TIFFs.** Of floats 1, 255 or 65535 is white, whichever fits all but the highest thousandth; what is above,
  below or no number is clipped. MaxSampleValue and SMaxSampleValue count where they say a whole number of bits.
- **Which picture.** Of a TIFF the largest; thumbnails, masks and smaller copies, in any order and in SubIFDs, do not
  count. Stacks of OME and ImageJ with three channels are RGB, with others they are refused. Of a HEIC the main
  one, as it says itself. Of other files with several pictures the first is read, with a word; `--frame N` takes
  another, `--all-frames` each.
- **Metadata.** EXIF stays in its place to the byte, but for what has to be true of the result: orientation, size and
  colour space. Thumbnails are left out, and with a word content credentials (C2PA), which vouch for the file as it was.
  XMP loses what speaks of the file and not of the picture: motion photos, gain maps, other items, sizes. IPTC goes into
  JPEG, PNG and TIFF. What is longer than 64 KB has no place in a JPEG, and its extended XMP is not read; that, and what
  else has no place in a format, is told. `--strip-metadata` leaves none of it.
- **Loss.** JPEG and WebP that were packed without loss are written so; other JPEGs at their own quality, or at 90.
- **Limits.** What says that it is larger than `--max-megapixels`, or than its bytes can hold, is refused before
  anything is decoded. A JPEG that lacks its last bytes is read, with a word, if at most 1 % of the picture is missing;
  one that is damaged amid its pixels is read, with a word where its decoder notices, as is a TIFF packed as JPEG.
"""


def _is_here(form: Format) -> bool:
    if form.name == "AVIF":
        return bool(features.check("avif"))
    return form.package is None or importlib.util.find_spec(form.package.replace("-", "_")) is not None


FORMATS = {suffix: form.name.upper() for form in TABLE if _is_here(form) for suffix in form.written}
"""What is written, by the end of the name."""

IMAGE_SUFFIXES = frozenset(suffix for form in TABLE for suffix in form.suffixes)
"""What is read, by the end of the name; a package that is missing is named in the error."""

HELD = {form.name.upper(): form.metadata_written for form in TABLE}
"""What belongs to a photo and has a place in a format."""

WITHOUT_ALPHA = {form.name.upper() for form in TABLE if form.written and not form.alpha}


def result_suffix(suffix: str) -> str:
    """What the name of a result ends in, for a photo whose name ends in `suffix`.

    The same where it can be written; for raws .tif, which holds the 16 bits that they are developed to and their
    EXIF; else .png.
    """
    if suffix.lower() in FORMATS:
        return suffix
    return next((form.result for form in TABLE if suffix.lower() in form.suffixes), None) or ".png"


def markdown() -> str:
    """The table as docs/formats.md has it; `python -m lowlight.io.formats` prints it."""
    head = ("Format", "Names", "Written", "Bits read", "Bits written", "Colour", "Metadata read", "and written", "Also")
    rows = [head, ("---",) * len(head), *(_row(form) for form in TABLE)]
    return INTRODUCTION + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n" + NOTES


def _row(form) -> tuple[str, ...]:
    also = [] if form.written else [f"results are {form.result}"]
    also += ["transparency"] if form.alpha else []
    return (
        form.name,
        " ".join(suffix.removeprefix(".") for suffix in form.suffixes),
        "yes" if form.written else "no",
        ", ".join(map(str, form.bits_read)),
        ", ".join(map(str, form.bits_written)) or "-",
        form.colour,
        ", ".join(form.metadata_read) or "-",
        ", ".join(form.metadata_written) or "-",
        "; ".join([*also, *([form.notes] if form.notes else [])]) or "-",
    )


if __name__ == "__main__":
    print(markdown(), end="")
