"""Read and write photos: any mode upright as RGB, and back with what belongs to them."""

import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError, features

from lowlight.errors import UserError

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
} | ({".avif": "AVIF"} if features.check("avif") else {})
"""What is read and written, by the end of the name."""

IMAGE_SUFFIXES = frozenset(FORMATS)

WITHOUT_ALPHA = {"JPEG", "BMP"}

SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {"compress_level": 4},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
}

DEEP_GREY = {"I", "I;16", "I;16L", "I;16B", "I;16N", "F"}
GREY_MODES = {"1", "L", "LA", "La"} | DEEP_GREY

LARGEST_MEGAPIXELS = 250
"""A photo with more pixels is taken for a decompression bomb."""

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit only warns where this one refuses


class ImageError(UserError):
    """A photo cannot be read or written."""


@dataclass(frozen=True)
class Photo:
    """A photo and what belongs to it."""

    pixels: np.ndarray
    """(H, W, 3) float32 in [0, 1], upright, sRGB."""
    alpha: np.ndarray | None = None
    """(H, W) uint8, or None if the photo is opaque."""
    grey: bool = False
    """Whether the file had no colour; then what is written has none."""
    exif: bytes = b""
    """Without the orientation, which the pixels have taken on."""
    icc: bytes | None = None
    """An sRGB profile, if the file had a profile."""
    depth: int = 8
    """Bits a channel, 8 or 16: what the file had, and what is written where the format can."""
    xmp: bytes = b""
    """Without the orientation."""
    quality: int | None = None
    """Of the JPEG that the photo was, as encoders count it (1 to 100), or None."""
    subsampling: int = 0
    """Of the JPEG that the photo was: 0 for colour at full resolution, 1 at half the width, 2 at half both sides."""


def list_images(folder: Path) -> list[Path]:
    """Photos directly in a folder, by the end of their names, 2 before 10; hidden files are left out."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return sorted((path for path in found if not path.name.startswith(".")), key=_natural)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of a photo once it is upright, from its header alone.

    Raises
    ------
    ImageError
        If the file is no photo.
    """
    with _opened(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        return image.size if turned else image.size[::-1]


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
    with _opened(path) as image:
        pixels = _rgb(ImageOps.exif_transpose(image))
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels * 255).astype(np.uint8)


def read_photo(path: Path | BinaryIO, limit_megapixels: float | None = None) -> Photo:
    """Read a photo, whatever its mode, with what is needed to write it back.

    The orientation that EXIF names is applied, a colour profile other than sRGB is converted to sRGB. Of several
    frames the first is read; 16-bit colour comes as 8-bit, 16-bit grey in full.

    Raises
    ------
    ImageError
        If the file is no photo, is cut short, or is too large.
    """
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        pixels = _rgb(upright)
        exif = upright.getexif()
        return Photo(
            pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels,
            np.asarray(upright.convert("RGBA").getchannel("A")) if upright.has_transparency_data else None,
            upright.mode in GREY_MODES,
            exif.tobytes() if exif else b"",
            _srgb_profile() if image.info.get("icc_profile") else None,
        )


def result_suffix(suffix: str) -> str:
    """What the name of a result ends in, for a photo whose name ends in `suffix`: the same where it can be written."""
    return suffix if suffix.lower() in FORMATS else ".png"


def encode(photo: Photo, form: str, quality: int | None = None, strip_metadata: bool = False) -> bytes:
    """A photo as the bytes of a file; `form` is a key of `FORMATS`."""
    raise NotImplementedError


def write_photo(path: Path, photo: Photo, quality: int | None = None, strip_metadata: bool = False) -> None:
    """Write a photo in the format that the end of its name says, under a temporary name first.

    What the format cannot hold is left out: BMP has no metadata, and BMP and JPEG have no transparency.

    Raises
    ------
    ImageError
        If the format is unknown or the file cannot be written; nothing is left behind then.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise ImageError(f"Photos cannot be written so. Received: {path.name}. Known: {', '.join(sorted(FORMATS))}.")
    pixels = np.rint(np.clip(photo.pixels, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if photo.grey:
        image = image.convert("L")
    if photo.alpha is not None and form not in WITHOUT_ALPHA:
        image.putalpha(Image.fromarray(photo.alpha))
    options = dict(SAVE_OPTIONS.get(form, {}))
    if form != "BMP":
        options |= {"exif": photo.exif, "icc_profile": photo.icc}
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            image.save(file, form, **options)
        part.replace(path)
    except (OSError, ValueError) as error:
        part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be written: {reason}.") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _opened(path) -> Iterator[Image.Image]:
    """An image whose header is read; what goes wrong with it, then or later, is told in one line."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST_MEGAPIXELS * 1e6:
                size = f"{image.width}x{image.height}"
                raise ImageError(f"{path} is too large: {size} pixels, above {LARGEST_MEGAPIXELS} megapixels.")
            yield image
    except UnidentifiedImageError as error:
        kind = "is empty" if not path.stat().st_size else "is not a photo, whatever its name says"
        raise ImageError(f"{path} {kind}.") from error
    except FileNotFoundError as error:
        raise ImageError(f"{path} is not there.") from error
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise ImageError(f"{path} cannot be read: {error}.") from error


def _rgb(image) -> np.ndarray:
    """(H, W, 3): uint8, or float32 in [0, 1] for deep grey, whose levels 8 bits would not hold."""
    if image.mode in DEEP_GREY:
        values = np.asarray(image).astype(np.float32)
        white = 65535 if image.mode != "F" else max(1.0, float(np.nanmax(values)))
        return np.repeat(np.clip(np.nan_to_num(values) / white, 0, 1)[..., None], 3, axis=2)
    profile = image.info.get("icc_profile")
    if profile:
        if image.mode not in ("RGB", "L", "CMYK"):
            image = image.convert("RGB")
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            image = ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB") or image
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile, or one of another colour space: the numbers are the best that is known
    return np.asarray(image.convert("RGB"))


@cache
def _srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _srgb_profile() -> bytes:
    return _srgb().tobytes()


def _natural(path):
    return [(int(part), "") if part.isdecimal() else (0, part.lower()) for part in re.split(r"(\d+)", path.name)]
