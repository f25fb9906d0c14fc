"""A photo as a file of some format, with what belongs to it as far as the format holds it."""

import dataclasses
import io
import math
import struct
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from lowlight.imaging.pixels import GREY_WEIGHTS, as_float, as_levels, bands
from lowlight.io.avif import write_deep_avif
from lowlight.io.contents import Photo
from lowlight.io.exif import EXIF_HEADER, truthful, without_orientation
from lowlight.io.formats import EXIF, HELD, IPTC, TEXT, WITHOUT_ALPHA, XMP
from lowlight.io.heif import register_heic
from lowlight.io.jpeg import ICC_HEAD, XMP_HEAD, photoshop_with
from lowlight.io.png import write_png
from lowlight.io.tiff_write import write_tiff

SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90, "subsampling": "4:4:4", "speed": 8},
    "HEIF": {"quality": 90, "enc_params": {"preset": "ultrafast"}},
}
"""Encoders are to be fast: a longer search makes AVIF and HEIC hardly smaller. HEIC has colour at half the
resolution, as from cameras: profiles Main and Main 10 of HEVC hold no more, and not all viewers have others."""

LOWEST_JPEG_QUALITY = 90
"""A dark photo may have been saved more coarsely than it can be looked at once it is bright."""

LONGEST_SEGMENT = 65533
"""Bytes that a segment of a JPEG can hold, beside its length (ITU-T T.81, B.1.1.4)."""

LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}
"""Pixels that libjpeg, libwebp and libavif write."""

COMMENT = "Comment"
"""The keyword of a PNG's text that is what others call a comment."""


def save(file: BinaryIO, photo: Photo, form: str, quality: int | None, strip_metadata: bool) -> None:
    """Write a photo into a file that can be read, too.

    Parameters
    ----------
    file : binary file
    photo : Photo
    form : str
        A value of `lowlight.io.formats.FORMATS`.
    quality : int, optional
    strip_metadata : bool

    Raises
    ------
    OSError, ValueError, RuntimeError, struct.error
        If the format cannot hold the photo, or the file cannot be written.
    """
    height, width = photo.pixels.shape[:2]
    most = LONGEST_SIDE.get(form, math.inf)
    if max(height, width) > most:
        raise ValueError(
            f"{form} holds at most {most} pixels a side. Received: {width}x{height}. Write it as PNG or TIFF"
        )
    about = {} if strip_metadata else _about(photo)
    quality = None if quality is None else int(quality)  # of NumPy's integers encoders take none
    if form == "TIFF":
        write_tiff(file, _levels(photo, photo.depth), photo.icc, **_some(about, "exif", "xmp", "iptc", "dpi"))
    elif form == "PNG":
        write_png(file, _levels(photo, photo.depth), photo.icc, **_some(about, "exif", "xmp", "iptc", "dpi", "text"))
    elif form == "JPEG":
        _write_jpeg(file, photo, quality, about)
    elif form == "BMP":
        _image(photo, False).save(file, form, **_some(about, "dpi"))
    else:
        _write_others(file, photo, form, quality, about)


def left_out(photo: Photo, form: str) -> list[str]:
    """What belongs to a photo and has no place in a format, or would have if it were shorter: a line for each."""
    about = _about(photo)
    told = {"exif": EXIF, "xmp": XMP, "iptc": IPTC, "text": TEXT}
    names = [name for key, name in told.items() if key in about and name not in HELD[form]]
    if form == "JPEG":  # whose text is a comment alone
        names += [f"text ({keyword})" for keyword in about.get("text", {}) if keyword != COMMENT]
    lines = [f"its {name} is left out: {form} has no place for it" for name in names]
    if form == "JPEG":
        long = [name for _, content, name in _segments(None, about) if len(content) > LONGEST_SEGMENT]
        lines += [f"its {name} is left out: a JPEG holds no more than 64 KB of it" for name in long]
    return lines


def _about(photo) -> dict[str, Any]:
    """What belongs to a photo and is not empty."""
    text, comment = dict(photo.text), photo.comment
    if comment and not text:
        text[COMMENT] = comment.rstrip(b"\0").decode("utf-8", "replace")
    if not comment and COMMENT in text:
        comment = text[COMMENT].encode()
    height, width = photo.pixels.shape[:2]
    found = {
        "exif": truthful(photo.exif, height, width),
        "xmp": photo.xmp,
        "iptc": photo.iptc,
        "comment": comment,
        "text": text,
        "dpi": photo.dpi,
    }
    return {name: value for name, value in found.items() if value}


def _some(about, *names) -> dict[str, Any]:
    return {name: about[name] for name in names if name in about}


def _write_jpeg(file, photo, quality, about):
    options = dict(SAVE_OPTIONS["JPEG"])
    if photo.quality is not None:
        options = {"quality": max(photo.quality, LOWEST_JPEG_QUALITY), "subsampling": photo.subsampling}
    if quality is not None:
        options["quality"] = quality
    bare = io.BytesIO()
    if photo.lossless and photo.quality is not None and quality is None:  # a JPEG; of others few viewers would show it
        import imagecodecs

        bare.write(imagecodecs.jpeg8_encode(_levels(dataclasses.replace(photo, alpha=None), 8), lossless=True))
    else:
        _image(photo, False).save(bare, "JPEG", **options, **_some(about, "dpi"))
    data = bare.getvalue()
    place = 4 + struct.unpack(">H", data[4:6])[0] if data[2:4] == b"\xff\xe0" else 2  # JFIF's segment comes first
    file.write(data[:place])
    for kind, content, _ in _segments(photo.icc, about):
        if len(content) <= LONGEST_SEGMENT:
            file.write(struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content)
    file.write(memoryview(data)[place:])


def _segments(icc, about):
    """Of a JPEG: kind, content, and what it is called."""
    if "exif" in about:
        yield 0xE1, EXIF_HEADER + about["exif"], "EXIF"
    if "xmp" in about:
        yield 0xE1, XMP_HEAD + about["xmp"], "XMP"
    step = LONGEST_SEGMENT - len(ICC_HEAD) - 2
    parts = [icc[start : start + step] for start in range(0, len(icc or b""), step)]
    for number, part in enumerate(parts):
        yield 0xE2, ICC_HEAD + bytes((number + 1, len(parts))) + part, "ICC profile"
    if "iptc" in about:
        yield 0xED, photoshop_with(about["iptc"]), "IPTC"
    if "comment" in about:
        yield 0xFE, about["comment"], "comment"


def _write_others(file, photo, form, quality, about):
    options = SAVE_OPTIONS[form] | {"icc_profile": photo.icc} | _some(about, "exif", "xmp")
    if quality is not None:
        options["quality"] = quality
    elif photo.lossless and form == "WEBP":
        options |= {"lossless": True, "quality": 0, "exact": True}
    if form == "AVIF" and "exif" in options:
        options["exif"] = without_orientation(options["exif"])
    if form == "AVIF" and photo.depth == 16:
        del options["subsampling"]
        write_deep_avif(file, _levels(photo, 16), 12 if photo.bits == 12 else 10, **options)
        return
    if form == "HEIF":
        register_heic()
        if photo.depth == 16:
            _write_deep_heic(file, photo, options)
            return
    _image(photo, photo.alpha is not None and form not in WITHOUT_ALPHA).save(file, form, **options)


def _write_deep_heic(file, photo, options):
    import pillow_heif

    levels = as_levels(photo.pixels, 16)
    if photo.alpha is not None:
        levels = np.dstack([levels, as_levels(photo.alpha, 16)])
    mode = "RGBA;16" if levels.shape[2] == 4 else "RGB;16"
    pillow_heif.options.SAVE_HDR_TO_12_BIT = photo.bits == 12  # else 10
    heic = pillow_heif.from_bytes(mode, levels.shape[1::-1], levels.tobytes())
    heic[0].info["icc_profile"] = options.pop("icc_profile")
    heic.save(file, **options)


def is_transparent(photo: Photo) -> bool:
    """Whether a photo is transparent anywhere. Some BMPs have no alpha but 0, and are opaque."""
    return photo.alpha is not None and bool(photo.alpha.any()) and photo.alpha.min() < np.iinfo(photo.alpha.dtype).max


def _image(photo, with_alpha) -> Image.Image:
    """As 8-bit image, without transparency on white, made in bands: at no time is there a second copy of the photo."""
    height, width = photo.pixels.shape[:2]
    mode = ("L" if photo.grey else "RGB") + ("A" if with_alpha else "")
    image = Image.new(mode, (width, height))
    on_white = not with_alpha and is_transparent(photo)
    for rows in bands(height, width):
        pixels = photo.pixels[rows]
        if on_white:
            share = as_float(photo.alpha[rows])[..., None]
            pixels = as_float(pixels) * share + (1 - share)
        band = Image.fromarray(as_levels(pixels, 8))
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
