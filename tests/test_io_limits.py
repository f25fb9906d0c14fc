"""What says that it is larger than it can be is refused before anything is decoded, whatever the format."""

import io
import resource
import struct
import time
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from lowlight.io.photo import ImageError, _opened, read_photo
from tests.conftest import scene

SIDE = 15000
"""225 megapixels: below the limit for photos."""


def saved(form, **options):
    file = io.BytesIO()
    Image.fromarray(scene(1, 40, 60)).save(file, form, **options)
    return bytearray(file.getvalue())


def patched(data, after, skip, numbers):
    """Some bytes after a mark exchanged."""
    place = data.find(after) + skip
    data[place : place + len(numbers)] = numbers
    return bytes(data)


def png(width, height, colour=2, depth=8):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def tiff(changes, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, scene(1, 40, 60), photometric="rgb", metadata=None, **options)
    data = bytearray(file.getvalue())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, place)
        if tag in changes:
            struct.pack_into("<HII", data, place + 2, 4, 1, changes[tag])
    return bytes(data)


WIDTH, HEIGHT, SAMPLES, ROWS, TILE_WIDTH, TILE_HEIGHT = 256, 257, 277, 278, 322, 323
SIDES = struct.pack(">HH", SIDE, SIDE)
LONG_SIDES = struct.pack(">II", SIDE, SIDE)


def hostile():
    yield "a PNG", png(SIDE, SIDE)
    yield "a deep PNG with transparency", png(SIDE, SIDE, 6, 16)
    yield "a tall PNG", png(96, 2**30)
    yield "a JPEG", patched(saved("JPEG"), b"\xff\xc0", 5, SIDES)
    yield "a progressive JPEG", patched(saved("JPEG", progressive=True), b"\xff\xc2", 5, SIDES)
    jpeg = patched(saved("JPEG"), b"\xff\xc0", 5, SIDES)
    yield "a JPEG of little but metadata", jpeg[:2] + (b"\xff\xe1\xff\xff" + bytes(65533)) * 30 + jpeg[2:]
    yield "a GIF", b"GIF89a" + struct.pack("<HHBBB", SIDE, SIDE, 0, 0, 0) + b"," + struct.pack("<4HB", 0, 0, 1, 1, 0)
    yield "a BMP", b"BM" + struct.pack("<IHHIIiiHH6I", 100, 0, 0, 54, 40, SIDE, SIDE, 1, 24, *(0,) * 6) + bytes(46)
    yield "a WebP", patched(saved("WEBP", lossless=True), b"VP8L", 9, struct.pack("<I", 16382 | 15000 << 14))
    yield "an AVIF", patched(saved("AVIF"), b"ispe", 8, LONG_SIDES)
    yield (
        "a JPEG 2000",
        patched(bytearray(imagecodecs.jpeg2k_encode(scene(1, 40, 60))), b"\xff\x4f\xff\x51", 8, LONG_SIDES),
    )
    for kind in b"123456":
        yield f"a PNM of kind {kind - 48}", b"P%c %d %d 255\n" % (kind, SIDE, SIDE) + b"1 " * 40
    sides = {WIDTH: SIDE, HEIGHT: SIDE}
    yield "a TIFF of one strip", tiff(sides | {ROWS: SIDE}, compression="zlib")
    yield "a TIFF of many strips", tiff(sides | {ROWS: 1}, compression="zlib")
    yield "a TIFF of small tiles", tiff(sides | {TILE_WIDTH: 1, TILE_HEIGHT: 1}, tile=(16, 16))
    yield "a TIFF of large tiles", tiff({TILE_WIDTH: 2**26}, compression="zlib", tile=(16, 16))
    yield "a TIFF of many channels", tiff({SAMPLES: 60000})
    yield "a wide TIFF", tiff({WIDTH: 2**32 - 1}, compression="zlib")
    inside = imagecodecs.jpegxl_encode(np.zeros((640, 600, 3), np.uint8))
    yield "a TIFF with a larger picture inside", with_strip(inside, 50002)
    yield "a TIFF with a larger PNG inside", with_strip(png(SIDE, 600), 34933)


def with_strip(data, compression):
    values = (
        (256, 60),
        (257, 40),
        (258, 8),
        (259, compression),
        (262, 2),
        (273, 200),
        (277, 3),
        (278, 40),
        (279, len(data)),
    )
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values)
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", len(values)) + rows + bytes(4)).ljust(200, b"\0") + data


@pytest.mark.parametrize(("kind", "data"), list(hostile()), ids=lambda value: value if isinstance(value, str) else "")
def test_what_cannot_be_as_large_as_it_says_is_refused_at_once(kind, data):
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError) as caught:
        read_photo(io.BytesIO(data))
    assert "\n" not in str(caught.value)
    assert "MemoryError" not in str(caught.value)
    assert time.monotonic() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes


def test_a_large_photo_that_is_one_is_not_refused():
    pixels = np.repeat(scene(1, 400, 600), 13, axis=0)
    for data in (imagecodecs.png_encode(pixels, level=1), imagecodecs.jpeg8_encode(pixels, level=80)):
        assert read_photo(io.BytesIO(data), levels=True).pixels.shape == pixels.shape


def test_a_ring_of_pages_ends(tmp_path):
    file = io.BytesIO()
    tifffile.imwrite(file, scene(1, 40, 60), photometric="rgb", metadata=None)
    data = bytearray(file.getvalue())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    assert read_photo(io.BytesIO(bytes(data))).pixels.shape == (40, 60, 3)


def test_a_png_that_says_it_has_more_frames_than_it_has_is_of_one_picture():
    data = png(8, 8)
    animation = b"acTL" + struct.pack(">II", 2**31 - 1, 0)
    chunk = struct.pack(">I", 8) + animation + struct.pack(">I", zlib.crc32(animation))
    (file := io.BytesIO(data[:33] + chunk + data[33:])).name = "a.png"
    with _opened(file) as contents:
        assert contents.frames == 1
