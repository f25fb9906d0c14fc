"""What awkward photos are made of: pictures, EXIF, profiles, and files of kinds that not all programs read."""

import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageCms

from tests.conftest import scene

HEIGHT, WIDTH = 40, 60

CAMERA, LATITUDE, EXPOSURE = "Kodak Brownie", (48.0, 12.0, 30.0), 0.25

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a caption</x:xmpmeta>"


def picture_of(seed: int = 1, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(height, width, 3) uint8."""
    return scene(seed, height, width)


def fading(height: int, width: int) -> np.ndarray:
    """Transparency from nothing to all, whole columns of either at the ends."""
    return np.tile(np.clip(np.linspace(-40, 295, width), 0, 255).astype(np.uint8), (height, 1))


def deep_picture(channels: int = 3) -> np.ndarray:
    """(H, W, channels) uint16 with levels that 8 bits do not hold; the fourth channel is for transparency."""
    fine = np.random.default_rng(2).integers(0, 257, (HEIGHT, WIDTH, 4), np.uint16)
    pixels = np.dstack([picture_of(), fading(HEIGHT, WIDTH)]).astype(np.uint16) * 257
    deep = np.minimum(pixels, 65000) + fine
    deep[..., 3][pixels[..., 3] == 0] = 0
    return np.ascontiguousarray(deep[..., :channels])


def exif(orientation: int = 1) -> Image.Exif:
    """With `CAMERA`, `LATITUDE` and `EXPOSURE`."""
    made = Image.Exif()
    made[ExifTags.Base.Orientation], made[ExifTags.Base.Model] = orientation, CAMERA
    made.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = EXPOSURE
    made.get_ifd(ExifTags.IFD.GPSInfo).update({ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: LATITUDE})
    return made


def lying(picture: np.ndarray, orientation: int) -> np.ndarray:
    """A picture as it lies in a file of that orientation: row 0 and column 0 are what EXIF 2.3, 4.6.4 A, says."""
    return {
        1: lambda p: p,  # top, left
        2: lambda p: p[:, ::-1],  # top, right
        3: lambda p: p[::-1, ::-1],  # bottom, right
        4: lambda p: p[::-1],  # bottom, left
        5: lambda p: np.swapaxes(p, 0, 1),  # left, top
        6: lambda p: np.rot90(p),  # right, top
        7: lambda p: np.rot90(p)[:, ::-1],  # right, bottom
        8: lambda p: np.rot90(p, -1),  # left, bottom
    }[orientation](picture)


def cmyk(inks: np.ndarray) -> Image.Image:
    """Of (H, W, 4) uint8."""
    return Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes())


def adobe_rgb() -> bytes:
    """A profile wider than sRGB."""
    return imagecodecs.cms_profile("adobergb")


def cmyk_profile() -> bytes:
    """A profile in which cyan and magenta have changed places: ink that is 0 or full gives what it says exactly."""
    corners = np.stack(np.meshgrid(*[[0, 255]] * 4, indexing="ij"), axis=-1).reshape(1, 16, 4).astype(np.uint8)
    inks = cmyk(corners[..., [1, 0, 2, 3]]).convert("RGB")
    lab = ImageCms.profileToProfile(
        inks, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    table = np.asarray(lab).reshape(16, 3) + np.array([0, 128, 128], np.uint8)  # a* and b* are signed in Pillow
    straight = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + 4 * straight + table.tobytes() + 3 * straight
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut))
    white = struct.pack(">3i", 63190, 65536, 54061)
    header = struct.pack(">I4xI4s4s4s12x4s28x", 144 + len(lut), 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp") + white
    return header.ljust(128, b"\0") + tags + lut


def linear_light(pixels: np.ndarray) -> np.ndarray:
    """Light in [0, 1] of uint8 sRGB (IEC 61966-2-1), written here so that what is tested does not test itself."""
    signal = pixels / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def write_dng(path: Path, pixels: np.ndarray, orientation: int = 1, more: Sequence[tuple] = (), **options) -> None:
    """(H, W, 3) uint8 sRGB as a camera with sRGB's own primaries would have seen it, through a filter of RGGB.

    More tags, and options, are those of tifffile.
    """
    linear = linear_light(pixels)
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    from_xyz = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
    tags = [
        (272, "s", 0, CAMERA, True),
        (274, "H", 1, orientation, True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, bytes((0, 1, 1, 2)), True),
        (50706, "B", 4, bytes((1, 4, 0, 0)), True),
        (50708, "s", 0, CAMERA, True),
        (50721, "2i", 9, [part for value in from_xyz for part in (round(value * 10000), 10000)], True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
        (50778, "H", 1, 21, True),
        *more,
    ]
    levels = np.rint(mosaic * 65535).astype(np.uint16)
    tifffile.imwrite(path, levels, photometric="cfa", metadata=None, software=False, extratags=tags, **options)


def write_monochrome_dng(path: Path, grey: np.ndarray) -> None:
    """(H, W) uint8 sRGB as a camera would have seen it that has no colour filters."""
    tags = [(50706, "B", 4, bytes((1, 4, 0, 0)), True), (50708, "s", 0, CAMERA, True)]
    levels = np.rint(linear_light(grey) * 65535).astype(np.uint16)
    tifffile.imwrite(path, levels, photometric="minisblack", metadata=None, software=False, extratags=tags)
    with tifffile.TiffFile(path, mode="r+") as tiff:  # which writes no linear raw of one channel
        tiff.pages.first.tags["PhotometricInterpretation"].overwrite(tifffile.PHOTOMETRIC.LINEAR_RAW)


def encoded(pixels: np.ndarray, **options) -> bytes:
    """An array as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


def samples() -> Iterator[tuple[str, bytes, np.ndarray, int]]:
    """Files of kinds that not all programs read: name, content, what it shows, about, and bits."""
    picture = picture_of()
    deep = picture.astype(np.uint16) * 257
    twelve = np.rint(picture / 255 * 4095).astype(np.uint16)
    grey = picture[..., 1]
    yield "JPEG XL", imagecodecs.jpegxl_encode(picture, lossless=True), picture, 8
    yield "JPEG XL with loss", imagecodecs.jpegxl_encode(picture, distance=1), picture, 8
    # imagecodecs says of 16 bits that they are linear light, and so they are.
    light = linear_light(picture)
    yield "JPEG XL, 16 bits", imagecodecs.jpegxl_encode(np.rint(light * 65535).astype(np.uint16)), picture, 16
    yield "JPEG XL, in boxes", imagecodecs.jpegxl_encode(picture, lossless=True, usecontainer=True), picture, 8
    yield "JPEG XL, grey", imagecodecs.jpegxl_encode(grey, lossless=True), grey, 8
    for name in ("J2K", "JP2"):
        yield name, imagecodecs.jpeg2k_encode(picture, codecformat=name, reversible=True), picture, 8
        yield f"{name}, 16 bits", imagecodecs.jpeg2k_encode(deep, codecformat=name, reversible=True), picture, 16
        yield f"{name}, grey", imagecodecs.jpeg2k_encode(grey, codecformat=name, reversible=True), grey, 8
    in_ycbcr = np.asarray(Image.fromarray(picture).convert("YCbCr"))
    sycc = imagecodecs.jpeg2k_encode(in_ycbcr, codecformat="JP2", reversible=True, mct=False)
    yield "JP2 in YCbCr", sycc.replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x12"), picture, 8
    signed = (grey.astype(np.int16) - 128).astype(np.int8)
    yield "J2K, signed", imagecodecs.jpeg2k_encode(signed, codecformat="J2K", reversible=True), grey, 8
    yield "JPEG, 12 bits", imagecodecs.jpeg8_encode(twelve, level=95, bitspersample=12), picture, 16
    yield "JPEG without loss", imagecodecs.jpeg8_encode(picture, lossless=True), picture, 8
    yield "JPEG without loss, 16 bits", imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=16), picture, 16
    yield "JPEG-LS", imagecodecs.jpegls_encode(picture), picture, 8
    yield "JPEG-LS, 16 bits, grey", imagecodecs.jpegls_encode(deep[..., 1]), grey, 16
    yield "PPM", encoded(picture, format="PPM"), picture, 8
    yield "PGM", encoded(grey, format="PPM"), grey, 8
    yield "PPM, 16 bits", b"P6\n# a comment\n60 40\n65535\n" + deep.astype(">u2").tobytes(), picture, 16
    text = " ".join(map(str, deep.ravel())).encode()
    yield "PPM, 16 bits, as text", b"P3\n# a comment\n60 40\n65535\n" + text, picture, 16
    fine = b"P6 60 40 65535\n" + deep_picture().astype(">u2").tobytes()
    yield "PPM, 16 bits, with a line break behind it", fine + b"\n", picture, 16
    yield "PPM, 16 bits, with another behind it", fine + fine[:-6] + bytes(6), picture, 16
    yield "PGM, 12 bits", b"P5 60 40 4095\n" + twelve[..., 1].astype(">u2").tobytes(), grey, 16
    yield "PBM", encoded(grey > 99, format="PPM"), np.where(grey > 99, 255, 0), 8
    few = Image.fromarray(picture).quantize(256)
    yield "TIFF, palette up to 255", _narrow_palette(few), np.asarray(few.convert("RGB")), 8
    yield "BMP", encoded(picture, format="BMP"), picture, 8
    yield "GIF", encoded(picture, format="GIF"), picture, 8


def _narrow_palette(image) -> bytes:
    """A TIFF with levels of 8 bits in its palette, where TIFF 6.0 has 16."""
    colours = np.array(image.getpalette(), np.uint16).reshape(-1, 3)
    file = io.BytesIO()
    palette = np.pad(colours, ((0, 256 - len(colours)), (0, 0))).T
    tifffile.imwrite(file, np.asarray(image), photometric="palette", colormap=palette, metadata=None)
    return file.getvalue()
