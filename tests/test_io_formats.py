"""The table of formats is true: each is read and written as it says, and the page about them is made of it."""

import io
from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lowlight.imaging.pixels import as_float
from lowlight.io import formats
from lowlight.io.formats import FORMATS, TABLE
from lowlight.io.icc import grey_profile, srgb_profile
from lowlight.io.photo import ImageError, Photo, encode, read_photo
from tests.conftest import scene

PICTURE = scene(1, 40, 60)

BY_NAME = {form.name.upper(): form for form in TABLE}


def encoded(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


def samples():
    """Files of kinds that people have, and what they show, about."""
    deep = PICTURE.astype(np.uint16) * 257
    twelve = np.rint(PICTURE / 255 * 4095).astype(np.uint16)
    grey = PICTURE[..., 1]
    yield "JPEG XL", imagecodecs.jpegxl_encode(PICTURE, lossless=True), PICTURE, 8
    yield "JPEG XL with loss", imagecodecs.jpegxl_encode(PICTURE, distance=1), PICTURE, 8
    # imagecodecs says of 16 bits that they are linear light, and so they are.
    unit = PICTURE / 255
    light = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    yield "JPEG XL, 16 bits", imagecodecs.jpegxl_encode(np.rint(light * 65535).astype(np.uint16)), PICTURE, 16
    yield "JPEG XL, in boxes", imagecodecs.jpegxl_encode(PICTURE, lossless=True, usecontainer=True), PICTURE, 8
    yield "JPEG XL, grey", imagecodecs.jpegxl_encode(grey, lossless=True), grey, 8
    for name in ("J2K", "JP2"):
        yield name, imagecodecs.jpeg2k_encode(PICTURE, codecformat=name, reversible=True), PICTURE, 8
        yield f"{name}, 16 bits", imagecodecs.jpeg2k_encode(deep, codecformat=name, reversible=True), PICTURE, 16
        yield f"{name}, grey", imagecodecs.jpeg2k_encode(grey, codecformat=name, reversible=True), grey, 8
    yield "JPEG, 12 bits", imagecodecs.jpeg8_encode(twelve, level=95, bitspersample=12), PICTURE, 16
    yield "JPEG without loss", imagecodecs.jpeg8_encode(PICTURE, lossless=True), PICTURE, 8
    yield "JPEG without loss, 16 bits", imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=16), PICTURE, 16
    yield "PPM", encoded(PICTURE, format="PPM"), PICTURE, 8
    yield "PGM", encoded(grey, format="PPM"), grey, 8
    yield "PPM, 16 bits", b"P6\n# a comment\n60 40\n65535\n" + deep.astype(">u2").tobytes(), PICTURE, 16
    yield "PGM, 12 bits", b"P5 60 40 4095\n" + twelve[..., 1].astype(">u2").tobytes(), grey, 16
    yield "PBM", encoded(grey > 99, format="PPM"), np.where(grey > 99, 255, 0), 8
    yield "BMP", encoded(PICTURE, format="BMP"), PICTURE, 8
    yield "GIF", encoded(PICTURE, format="GIF"), PICTURE, 8


@pytest.mark.parametrize(("name", "data", "shown", "depth"), [pytest.param(*row, id=row[0]) for row in samples()])
def test_every_kind_of_file_is_read(name, data, shown, depth):
    photo = read_photo(io.BytesIO(data))
    expected = np.repeat(shown[..., None], 3, 2) if shown.ndim == 2 else shown
    assert photo.pixels.shape == expected.shape
    assert np.abs(photo.pixels * 255 - expected).mean() < (7 if name == "GIF" else 3.5)
    assert (photo.depth, photo.grey) == (depth, shown.ndim == 2)


@pytest.mark.parametrize("data", [row[1] for row in samples()], ids=[row[0] for row in samples()])
def test_a_file_cut_short_is_refused_or_read(data):
    for share in (0.02, 0.3, 0.7):
        with suppress(ImageError):
            read_photo(io.BytesIO(data[: int(len(data) * share)]))


def test_a_png_with_a_broken_text_is_read_and_one_with_broken_pixels_is_not():
    data = encoded(PICTURE, format="PNG")
    text = b"\0\0\0\x03tEXta\0b\xff\xff\xff\xff"
    assert (np.rint(read_photo(io.BytesIO(data[:33] + text + data[33:])).pixels * 255) == PICTURE).all()
    broken = bytearray(data)
    broken[len(data) // 2] ^= 255
    with pytest.raises(ImageError):
        read_photo(io.BytesIO(bytes(broken)))


@pytest.mark.parametrize(("form", "suffix"), [("JPEG", ".jpg"), ("WEBP", ".webp")])
def test_what_was_packed_without_loss_is_written_so(form, suffix):
    data = (
        imagecodecs.jpeg8_encode(PICTURE, lossless=True)
        if form == "JPEG"
        else encoded(PICTURE, format=form, lossless=True)
    )
    photo = read_photo(io.BytesIO(data))
    again = read_photo(io.BytesIO(encode(photo, suffix)))
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert again.lossless
    assert len(encode(photo, suffix, quality=50)) < len(encode(photo, suffix))


@pytest.mark.parametrize("suffix", [".jpg", ".jfif", ".jpe", ".tif", ".png", ".webp"])
def test_the_page_of_formats_and_the_names_are_those_of_the_table(suffix):
    assert (ROOT / "docs" / "formats.md").read_text(encoding="utf-8") == formats.markdown()
    assert FORMATS[suffix] in BY_NAME
    assert suffix in formats.IMAGE_SUFFIXES


def test_the_result_of_what_is_not_written_has_a_format_that_is():
    for form in TABLE:
        for suffix in form.suffixes:
            assert FORMATS[formats.result_suffix(suffix).lower()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    suffix=st.sampled_from(sorted(set(FORMATS) & {".jpg", ".png", ".tif", ".webp", ".avif", ".bmp", ".heic"})),
    depth=st.sampled_from([8, 16]),
    grey=st.booleans(),
    with_alpha=st.booleans(),
    tagged=st.booleans(),
    size=st.tuples(st.integers(1, 40), st.integers(1, 60)),
    seed=st.integers(0, 100),
)
def test_what_is_written_is_read_back_as_the_table_says(suffix, depth, grey, with_alpha, tagged, size, seed):
    form = BY_NAME[FORMATS[suffix]]
    random = np.random.default_rng(seed)
    smooth = Image.fromarray(random.integers(0, 256, (3, 3, 3), np.uint8)).resize(size[::-1], Image.Resampling.BICUBIC)
    pixels = np.asarray(smooth).astype(np.uint16) * 257 if depth == 16 else np.asarray(smooth)
    if grey:
        pixels = np.repeat(pixels[..., :1], 3, 2)
    alpha = np.full(size, 2 ** (depth - 1), pixels.dtype) if with_alpha else None
    icc = (grey_profile() if grey else srgb_profile()) if tagged else None
    photo = Photo(pixels, alpha, grey, icc=icc, depth=depth)
    again = read_photo(io.BytesIO(encode(photo, suffix)), levels=True)
    assert again.pixels.shape == pixels.shape
    lossless = suffix in (".png", ".tif", ".bmp")
    error = np.abs(as_float(again.pixels) - as_float(pixels)).mean() * 255
    assert error <= (0.6 if lossless else 8)
    assert again.depth == (16 if depth == 16 and max(form.bits_written) > 8 else 8)
    assert (again.alpha is not None) == (with_alpha and form.alpha)
    assert bool(again.icc) == (tagged and "ICC" in form.metadata_written)
