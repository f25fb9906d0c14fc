"""Read and write photos: any kind upright as sRGB, and back with what belongs to them."""

import importlib.util
import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError, features
from PIL.PngImagePlugin import PngInfo

from lowlight.errors import UserError
from lowlight.imaging.pixels import as_float, as_levels, bands, fill_hidden
from lowlight.io import exif
from lowlight.io.atomic import replacing
from lowlight.io.icc import grey_profile, srgb_profile
from lowlight.io.png16 import write_png
from lowlight.io.probe import Contents, identify, register_heic
from lowlight.io.raw import RAW_SUFFIXES
from lowlight.io.tiff import write_tiff

HEIC_SUFFIXES = (".heic", ".heif", ".hif")

FORMATS = (
    {
        ".jpg": "JPEG",
        ".jpeg": "JPEG",
        ".png": "PNG",
        ".webp": "WEBP",
        ".tif": "TIFF",
        ".tiff": "TIFF",
        ".bmp": "BMP",
    }
    | ({".avif": "AVIF"} if features.check("avif") else {})
    | (dict.fromkeys(HEIC_SUFFIXES, "HEIF") if importlib.util.find_spec("pillow_heif") else {})
)
"""What is written, by the end of the name."""

IMAGE_SUFFIXES = frozenset({*FORMATS, *HEIC_SUFFIXES, *RAW_SUFFIXES})
"""What is read, by the end of the name; some needs a package more, which the error names if it is missing."""

WITHOUT_ALPHA = {"JPEG", "BMP"}

SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {"compress_level": 1, "compress_type": zlib.Z_RLE},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90, "subsampling": "4:4:4", "speed": 8},
    "HEIF": {"quality": 90, "enc_params": {"preset": "ultrafast"}},
}
"""Encoders are to be fast: a longer search makes AVIF and HEIC hardly smaller, and PNG of photos not at all, for in
their noise there is nothing to find but runs."""

LOWEST_JPEG_QUALITY = 90
"""A dark photo may have been saved more coarsely than it can be looked at once it is bright."""

LONGEST_SEGMENT = 65000
"""Bytes of EXIF, or of XMP, that a JPEG can hold, about."""

LARGEST_MEGAPIXELS = 250
"""A photo with more pixels is taken for a decompression bomb, unless told otherwise."""

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601), as Pillow has them."""

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit only warns where this one refuses


class ImageError(UserError):
    """A photo cannot be read or written."""


@dataclass(frozen=True)
class Photo:
    """A photo and what belongs to it."""

    pixels: np.ndarray
    """(H, W, 3), upright, sRGB: float32 in [0, 1], or levels (uint8 or uint16)."""
    alpha: np.ndarray | None = None
    """(H, W) uint8 or uint16, or None if the photo is opaque."""
    grey: bool = False
    """Whether the file had no colour; then what is written has none."""
    exif: bytes = b""
    """With GPS; without the orientation, which the pixels have taken on."""
    icc: bytes | None = None
    """The profile that `pixels` have, if the file had one."""
    xmp: bytes = b""
    """Without the orientation."""
    depth: int = 8
    """Bits a channel, 8 or 16: 16 if the file had more than 8, and then written where the format can."""
    suffix: str = ".png"
    """What the name of a file of the photo's own format ends in, or of that which its result is written in."""
    quality: int | None = None
    """Of the JPEG that the photo was, as encoders count it, 1 to 100; None if it was none."""
    subsampling: int = 0
    """Of the JPEG that the photo was: colour at full resolution (0), at half the width (1), or half of both (2)."""


def list_images(folder: Path) -> list[Path]:
    """Photos directly in a folder, by the end of their names, 2 before 10; hidden files are left out."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return sorted((path for path in found if not path.name.startswith(".")), key=_natural)


def result_suffix(suffix: str) -> str:
    """What the name of a result ends in, for a photo whose name ends in `suffix`.

    The same where it can be written; for raws .tif, which holds the 16 bits that they are developed to and their
    EXIF; else .png.
    """
    if suffix.lower() in FORMATS:
        return suffix
    return ".tif" if suffix.lower() in RAW_SUFFIXES else ".png"


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of a photo once it is upright, from its header alone.

    Raises
    ------
    ImageError
        If the file is no photo.
    """
    with _opened(path) as contents:
        return contents.size if contents.orientation < 5 else contents.size[::-1]


def read_rgb(path: Path) -> np.ndarray:
    """Read a photo as 8-bit RGB.

    Returns
    -------
    (H, W, 3) uint8 array
        Upright and in sRGB. Transparency is dropped.

    Raises
    ------
    ImageError
        If the file is no photo, is cut short, or is too large.
    """
    with _opened(path) as contents:
        return as_levels(exif.upright(contents.read().colour, contents.orientation), 8)


def read_photo(source: Path | BinaryIO, limit_megapixels: float | None = None, levels: bool = False) -> Photo:
    """Read a photo, whatever its kind, with what is needed to write it back.

    The content counts, not the name. The orientation that EXIF names is applied, a colour profile other than sRGB is
    converted to sRGB, colour that nobody sees under full transparency is replaced by that around it. Of several
    frames the first is read. Raws are developed with the camera's white balance and not brightened.

    Parameters
    ----------
    source : Path or binary file
        A file is read to its end.
    limit_megapixels : float, optional
        Larger photos are refused. Default: `LARGEST_MEGAPIXELS`.
    levels : bool
        Give the pixels as uint8 or uint16, by the photo's depth, which is a quarter or half of the memory;
        `lowlight.imaging.pixels.as_float` makes floats of any part of them. Default: as float32.

    Raises
    ------
    ImageError
        If the file is no photo, is cut short, or is too large, or the package that reads it is not installed.
    """
    with _opened(source, limit_megapixels) as contents:
        orientation = contents.orientation
        colour, alpha, grey = contents.read()
        quality, subsampling = contents.jpeg or (None, 0)
        about: dict[str, Any] = {
            "grey": grey,
            "exif": exif.upright_exif(contents.exif, contents.of_tiff),
            "icc": (grey_profile() if grey else srgb_profile()) if contents.profile else None,
            "xmp": exif.upright_xmp(contents.xmp),
            "depth": 8 if colour.dtype == np.uint8 else 16,
            "suffix": contents.suffix,
            "quality": quality,
            "subsampling": subsampling,
        }
    del contents  # and with it the decoded image, of which `colour` is a copy
    pixels = exif.upright(colour, orientation)
    del colour
    if alpha is not None:
        alpha = exif.upright(alpha, orientation)
        fill_hidden(pixels, alpha > 0)
    return Photo(pixels if levels else as_float(pixels), alpha, **about)


def write_photo(path: Path, photo: Photo, quality: int | None = None, strip_metadata: bool = False) -> None:
    """Write a photo in the format that the end of its name says, under a temporary name first.

    What the format cannot hold is left out: BMP has no metadata, BMP and JPEG have no transparency, and 16 bits are
    for PNG and TIFF.

    Parameters
    ----------
    path : Path
    photo : Photo
    quality : int, optional
        Of JPEG, WebP, AVIF and HEIC, from 1 to 100. Default: for a photo that was a JPEG its own, but no less than 90;
        else so high that the loss is hardly seen.
    strip_metadata : bool
        Leave EXIF and XMP out; the colour profile stays, for it says what the pixels mean.

    Raises
    ------
    ImageError
        If the format is unknown or the file cannot be written; nothing is left behind then.
    """
    form = _format(path.suffix, path.name)
    try:
        with replacing(path) as file:
            _save(file, photo, form, quality, strip_metadata)
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be written: {reason}.") from error


def encode(photo: Photo, form: str, quality: int | None = None, strip_metadata: bool = False) -> bytes:
    """A photo as the bytes of a file.

    Parameters
    ----------
    photo, quality, strip_metadata
        As for `write_photo`.
    form : str
        A key of `FORMATS`, such as the photo's own `suffix`.

    Raises
    ------
    ImageError
        If the format is unknown or cannot hold the photo.
    """
    file = io.BytesIO()
    try:
        _save(file, photo, _format(form, form), quality, strip_metadata)
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        raise ImageError(f"The photo cannot be written as {form}: {error}.") from error
    return file.getvalue()


@contextmanager
def _opened(source, limit_megapixels=None) -> Iterator[Contents]:
    """A photo whose header is read; what goes wrong with it, then or later, is told in one line."""
    name = source if isinstance(source, Path) else getattr(source, "name", "the photo")
    limit = LARGEST_MEGAPIXELS if limit_megapixels is None else limit_megapixels
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source.read()) as file:
            contents = identify(file, Path(str(name)).suffix)
            height, width = contents.size
            if height * width > limit * 1e6:
                size = f"{width}x{height}"
                raise ImageError(
                    f"{name} is too large: {size} pixels, above {limit:g} megapixels. --max-megapixels lifts the limit."
                )
            yield contents
    except (ImageError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").replace("_", "-")
        raise ImageError(f"{name} needs {package} to be read. Install it: pip install {package}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a photo, whatever its name says.") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name} is not there.") from error
    except Exception as error:  # decoders raise all kinds of errors at what is broken
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise ImageError(f"{name} cannot be read: {reason}.") from error


def _format(suffix, name) -> str:
    try:
        return FORMATS[suffix.lower()]
    except KeyError:
        known = ", ".join(sorted(FORMATS))
        raise ImageError(f"Photos cannot be written so. Received: {name}. Known: {known}.") from None


def _save(file, photo, form, quality, strip_metadata):
    exif, xmp = (b"", b"") if strip_metadata else (photo.exif, photo.xmp)
    with_alpha = photo.alpha is not None and form not in WITHOUT_ALPHA
    if form == "TIFF":
        write_tiff(file, _levels(photo, photo.depth), exif, photo.icc, xmp)
        return
    if form == "PNG" and photo.depth == 16:
        write_png(file, _levels(photo, 16), exif, photo.icc, xmp)
        return
    options = dict(SAVE_OPTIONS.get(form, {}))
    if form == "JPEG":
        exif, xmp = (data if len(data) < LONGEST_SEGMENT else b"" for data in (exif, xmp))
        if photo.quality is not None:
            options = {"quality": max(photo.quality, LOWEST_JPEG_QUALITY), "subsampling": photo.subsampling}
    if form != "BMP":
        options |= {"icc_profile": photo.icc} | ({"exif": exif} if exif else {})
    if quality is not None and "quality" in options:
        options["quality"] = quality
    if xmp and form == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode(errors="replace"))
    elif xmp and form != "BMP":
        options["xmp"] = xmp
    if form == "HEIF":
        register_heic()
    _image(photo, with_alpha).save(file, form, **options)


def _image(photo, with_alpha) -> Image.Image:
    """As 8-bit image, made in bands: at no time is there a second copy of the photo beside it."""
    height, width = photo.pixels.shape[:2]
    mode = ("L" if photo.grey else "RGB") + ("A" if with_alpha else "")
    image = Image.new(mode, (width, height))
    for rows in bands(height, width):
        band = Image.fromarray(as_levels(photo.pixels[rows], 8))
        if photo.grey:
            band = band.convert("L")
        if with_alpha:
            band.putalpha(Image.fromarray(as_levels(photo.alpha[rows], 8)))
        image.paste(band, (0, rows.start))
    return image


def _levels(photo, depth) -> np.ndarray:
    """As uint8 or uint16, (H, W) or (H, W, 2 to 4)."""
    levels = as_levels(photo.pixels, depth)
    if photo.grey:
        levels = np.rint(levels @ np.array(GREY_WEIGHTS, np.float32)).astype(levels.dtype)
    return levels if photo.alpha is None else np.dstack([levels, as_levels(photo.alpha, depth)])


def _natural(path):
    return [(int(part), "") if part.isdecimal() else (0, part.lower()) for part in re.split(r"(\d+)", path.name)]
