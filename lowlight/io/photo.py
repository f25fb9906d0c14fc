"""Read and write photos: any kind upright as sRGB, and back with what belongs to them."""

import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import UnidentifiedImageError

from lowlight.errors import UserError
from lowlight.imaging.pixels import as_float, as_levels, fill_hidden
from lowlight.io import encode as encoders
from lowlight.io import exif, xmp
from lowlight.io.atomic import replacing
from lowlight.io.contents import Contents, Photo
from lowlight.io.formats import FORMATS, IMAGE_SUFFIXES, WITHOUT_ALPHA
from lowlight.io.icc import grey_profile, srgb_profile
from lowlight.io.probe import cuts_told, identify

LARGEST_MEGAPIXELS = 250
"""A photo with more pixels is taken for a decompression bomb, unless told otherwise."""

HOW_TO_CHOOSE = "; --frame and --all-frames choose"
"""Which picture of several, in what is told of such a file."""


NAMELESS = "the photo"
"""What an error calls a photo that came without a name, as from standard input."""


class ImageError(UserError):
    """A photo cannot be read or written."""


def list_images(folder: Path) -> list[Path]:
    """Photos directly in a folder, by the end of their names, 2 before 10; hidden files are left out."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return sorted((path for path in found if not path.name.startswith(".")), key=_natural)


def image_size(path: Path | BinaryIO) -> tuple[int, int]:
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


def read_photo(
    source: Path | BinaryIO, limit_megapixels: float | None = None, levels: bool = False, frame: int | None = None
) -> Photo:
    """Read a photo, whatever its kind, with what is needed to write it back.

    The content counts, not the name. The orientation that EXIF names is applied, colours become sRGB by what the file
    says of them, colour that nobody sees under full transparency is replaced by that around it. Raws are developed
    with the camera's white balance and not brightened; HDR is rolled off above the white of paper.

    Parameters
    ----------
    source : Path or binary file
        A file is read to its end.
    limit_megapixels : float, optional
        Larger photos are refused. Default: `LARGEST_MEGAPIXELS`.
    levels : bool
        Give the pixels as uint8 or uint16, by the photo's depth, which is a quarter or half of the memory;
        `lowlight.imaging.pixels.as_float` makes floats of any part of them. Default: as float32.
    frame : int, optional
        Which of several pictures, from 1. Default: the first; of a TIFF the largest, of a HEIC the main one.

    Raises
    ------
    ImageError
        If the file is no photo, is cut short, or is too large, or the package that reads it is not installed.
    """
    with _opened(source, limit_megapixels, frame) as contents:
        orientation = contents.orientation
        colour, alpha, grey = contents.read()
        quality, subsampling = contents.jpeg or (None, 0)
        lost = exif.lost_parts(contents.exif)
        about: dict[str, Any] = {
            "grey": grey,
            "exif": contents.exif,
            "icc": (grey_profile() if grey else srgb_profile()) if contents.tagged else None,
            "xmp": xmp.truthful(contents.xmp),
            "iptc": contents.iptc,
            "comment": contents.comment,
            "text": contents.text,
            "dpi": contents.dpi,
            "depth": 8 if colour.dtype == np.uint8 else 16,
            "bits": contents.bits,
            "suffix": contents.suffix,
            "quality": quality,
            "subsampling": subsampling,
            "lossless": contents.lossless,
            "notes": tuple(dict.fromkeys([*contents.notes, *contents.look(), *lost, *_of_several(contents, frame)])),
        }
    del contents  # and with it the decoded image, of which `colour` is a copy
    pixels = exif.upright(colour, orientation)
    del colour
    if alpha is not None:
        alpha = exif.upright(alpha, orientation)
        fill_hidden(pixels, alpha > 0)
    return Photo(pixels if levels else as_float(pixels), alpha, **about)


def count_frames(path: Path) -> int:
    """How many pictures a file holds, without thumbnails.

    Raises
    ------
    ImageError
        If the file is no photo.
    """
    with _opened(path) as contents:
        return contents.frames


def write_photo(path: Path, photo: Photo, quality: int | None = None, strip_metadata: bool = False) -> None:
    """Write a photo in the format that the end of its name says, under a temporary name first.

    What the format cannot hold is left out (`lowlight.io.formats` has a table). EXIF comes to say the size, orientation
    and colours that are written.

    Parameters
    ----------
    path : Path
    photo : Photo
    quality : int, optional
        Of JPEG, WebP, AVIF and HEIC, from 1 to 100. Default: for a photo that was a JPEG its own, but no less than 90;
        else so high that the loss is hardly seen.
    strip_metadata : bool
        Leave out all that belongs to the photo; only the colour profile stays, for it says what the pixels mean.

    Raises
    ------
    ImageError
        If the format is unknown or the file cannot be written; nothing is left behind then.
    """
    form = _format(path.suffix, path.name)
    try:
        with replacing(path) as file:
            encoders.save(file, photo, form, quality, strip_metadata)
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be written: {reason}.") from error


def notes_on(photo: Photo, form: str, strip_metadata: bool = False) -> list[str]:
    """What a user should be told of how a photo was read, and of what is too long to be written, or has no place.

    Parameters
    ----------
    photo : Photo
    form : str
        A key of `FORMATS`.
    strip_metadata : bool
        As for `write_photo`.

    Raises
    ------
    ImageError
        If the format is unknown.
    """
    written = _format(form, form)
    lost = ["its transparency is left out: white lies behind it"] if encoders.is_transparent(photo) else []
    left_out = [] if strip_metadata else encoders.left_out(photo, written)
    return [*photo.notes, *(lost if written in WITHOUT_ALPHA else []), *left_out]


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
        encoders.save(file, photo, _format(form, form), quality, strip_metadata)
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        raise ImageError(f"The photo cannot be written as {form}: {error}.") from error
    return file.getvalue()


@contextmanager
def _opened(source, limit_megapixels=None, frame=None) -> Iterator[Contents]:
    """A photo whose header is read; what goes wrong with it, then or later, is told in one line."""
    name = source if isinstance(source, Path) else getattr(source, "name", NAMELESS)
    limit = LARGEST_MEGAPIXELS if limit_megapixels is None else limit_megapixels
    try:
        opened = source.open("rb") if isinstance(source, Path) else io.BytesIO(source.read())
        with opened as file, cuts_told(file):
            contents = identify(file, Path(str(name)).suffix, None if frame is None else max(0, frame - 1))
            height, width = contents.size
            if height * width > limit * 1e6:
                size = f"{width}x{height}"
                raise ImageError(
                    f"{name} is too large: {size} pixels, above {limit:g} megapixels. --max-megapixels lifts the limit."
                )
            if frame is not None and not 1 <= frame <= contents.frames:
                raise ImageError(f"{name} holds fewer pictures. Received: --frame {frame} of {contents.frames}.")
            yield contents
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is. --max-megapixels refuses such photos.") from error
    except ModuleNotFoundError as error:
        package = (error.name or "").replace("_", "-")
        raise ImageError(f"{name} needs {package} to be read. Install it: pip install {package}") from error
    except UnidentifiedImageError as error:
        what = "What was given is not a photo" if name == NAMELESS else f"{name} is not a photo, whatever its name says"
        raise ImageError(f"{what}.") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name} is not there.") from error
    except Exception as error:  # decoders raise all kinds of errors at what is broken
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise ImageError(f"{name} cannot be read: {reason}.") from error


def _of_several(contents, frame) -> list[str]:
    if contents.frames < 2 or frame is not None:
        return []
    which = {".tif": "the largest", ".heic": "the main one"}.get(contents.suffix, "the first")
    return [f"it holds {contents.frames} pictures, of which {which} is read{HOW_TO_CHOOSE}"]


def _format(suffix, name) -> str:
    try:
        return FORMATS[suffix.lower()]
    except KeyError:
        known = ", ".join(sorted(FORMATS))
        raise ImageError(f"Photos cannot be written so. Received: {name}. Known: {known}.") from None


def _natural(path):
    return [(int(part), "") if part.isdecimal() else (0, part.lower()) for part in re.split(r"(\d+)", path.name)]
