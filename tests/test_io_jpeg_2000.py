"""A JPEG 2000 comes out in its colours, in whichever of its many ways it holds them."""

import io
import struct
from fractions import Fraction

import av
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from lowlight.io.photo import ImageError, read_photo
from tests import material
from tests.conftest import scene

PICTURE = scene(1, 40, 60)


@pytest.mark.parametrize("profile", [b"", material.cmyk_profile()], ids=["by number", "by a profile"])
def test_inks_of_a_jpeg_2000_are_no_colours_with_transparency(profile):
    inks = np.kron(np.random.default_rng(3).integers(0, 2, (5, 8, 4), np.uint8) * 255, np.ones((8, 8, 1), np.uint8))
    shown, file = np.asarray(material.cmyk(inks).convert("RGB")), io.BytesIO()
    material.cmyk(inks[..., [1, 0, 2, 3]] if profile else inks).save(file, "JPEG2000")
    data = file.getvalue()
    if profile:
        old, new = b"\0\0\0\x0fcolr\1\0\0\0\0\0\x0c", struct.pack(">I4s3s", 11 + len(profile), b"colr", b"\2\0\0")
        place = data.index(b"jp2h") - 4
        (length,) = struct.unpack_from(">I", data, place)
        head = struct.pack(">I", length - len(old) + len(new) + len(profile))
        data = data[:place] + head + data[place + 4 :].replace(old, new + profile)
    photo = read_photo(io.BytesIO(data))
    assert photo.alpha is None
    assert np.abs(photo.pixels * 255 - shown).mean() < 4


def box(kind, *content):
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def jpeg_2000(values, *about, bits=8):
    """In a file of boxes, of which some say what its channels are (ISO/IEC 15444-1, annex I)."""
    packed = imagecodecs.jpeg2k_encode(values, codecformat="J2K", reversible=True, mct=False, bitspersample=bits)
    channels = 1 if values.ndim == 2 else values.shape[2]
    size = struct.pack(">IIHBBBB", *values.shape[:2], channels, bits - 1, 7, 0, 0)
    header = box(b"jp2h", box(b"ihdr", size), box(b"colr", b"\1\0\0" + struct.pack(">I", 16)), *about)
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return io.BytesIO(start + header + box(b"jp2c", packed))


def channels_are(*kinds):
    rows = (struct.pack(">HHH", number, kind, place) for number, (kind, place) in enumerate(kinds))
    return box(b"cdef", struct.pack(">H", len(kinds)), *rows)


@pytest.mark.parametrize("bits", [4, 8])
def test_the_palette_of_a_jpeg_2000_has_a_depth_of_its_own(bits):
    image = Image.fromarray(PICTURE).quantize(2**bits)
    colours = np.resize(np.array(image.getpalette(), np.uint8), (2**bits, 3))
    palette = box(b"pclr", struct.pack(">H4B", len(colours), 3, 7, 7, 7), colours.tobytes())
    mapped = box(b"cmap", *(struct.pack(">HBB", 0, 1, number) for number in range(3)))
    photo = read_photo(jpeg_2000(np.asarray(image), palette, mapped, bits=bits), levels=True)
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["transparency", "premultiplied", "something else", "not said"])
def test_a_fourth_channel_of_a_jpeg_2000_is_what_the_file_says(kind):
    alpha = np.tile(np.linspace(40, 255, 60).astype(np.uint8), (40, 1))
    last = {"transparency": (1, 0), "premultiplied": (2, 0), "something else": (65535, 65535)}.get(kind)
    about = [channels_are((0, 1), (0, 2), (0, 3), last)] if last else []
    colours = np.rint(PICTURE * (alpha[..., None] / 255)).astype(np.uint8) if kind == "premultiplied" else PICTURE
    photo = read_photo(jpeg_2000(np.dstack([colours, alpha]), *about), levels=True)
    assert np.abs(photo.pixels.astype(int) - PICTURE).max() <= (4 if kind == "premultiplied" else 0)
    assert photo.notes == (
        ("what its channels are after the first 3 is not said: they are left out",) * (last == (65535,) * 2)
    )
    assert (photo.alpha is None) == (kind == "something else")
    if photo.alpha is not None:
        np.testing.assert_array_equal(photo.alpha, alpha)


def test_a_jpeg_2000_of_colours_that_are_not_known_is_told():
    data = imagecodecs.jpeg2k_encode(PICTURE, codecformat="JP2", reversible=True)
    for number in (11, 14):  # CMY, CIELab
        with pytest.raises(ImageError, match=f"a JPEG 2000 of the colour space {number} is not known"):
            read_photo(io.BytesIO(data.replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0" + bytes([number]))))


def gradients(height, width):
    """Colours that change so slowly that nothing is lost where pixels share them."""
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    parts = np.broadcast_arrays(25 + 205 * across, 50 + 130 * down, 230 - 100 * (down + across))
    return np.rint(np.stack(parts, axis=2)).astype(np.uint8)


def ycbcr_in_jpeg_2000(form, picture):
    """By FFmpeg, at all levels, as ISO/IEC 15444-1 has YCbCr."""
    encoder = av.CodecContext.create("jpeg2000", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.options = form, Fraction(1), {"format": "jp2", "pred": "dwt53"}
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format=form, src_colorspace=1, dst_colorspace=5, dst_color_range=2
    )
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


@pytest.mark.parametrize("form", ["yuv444p", "yuv422p", "yuv420p", "yuv444p12le", "yuv422p10le", "yuv420p10le"])
@pytest.mark.parametrize("sides", [(40, 60), (39, 59)])
def test_ycbcr_in_a_jpeg_2000_is_read_where_pixels_share_colour_too(form, sides):
    picture = gradients(*sides)
    photo = read_photo(io.BytesIO(ycbcr_in_jpeg_2000(form, picture)))
    assert photo.depth == (16 if form.endswith("le") else 8)
    assert np.abs(photo.pixels * 255 - picture).mean() < 3


def test_a_jpeg_2000_whose_channels_have_sizes_that_are_not_known_is_told(capfd):
    data = ycbcr_in_jpeg_2000("yuv420p", PICTURE)
    head = data.index(b"\xff\x4f\xff\x51") + 42
    for place in (head + 1, head + 4):
        broken = bytearray(data)
        broken[place : place + 2] = 4, 4
        with pytest.raises(ImageError, match="a JPEG 2000 of channels of such sizes"):
            read_photo(io.BytesIO(broken))
    assert not capfd.readouterr().err
