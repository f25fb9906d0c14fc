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
from tests import corpus
from tests.conftest import scene

PICTURE = scene(1, 40, 60)

BY_NAME = {form.name.upper(): form for form in TABLE}


SAMPLES = list(corpus.samples())


@pytest.mark.parametrize(("name", "data", "shown", "depth"), [pytest.param(*row, id=row[0]) for row in SAMPLES])
def test_every_kind_of_file_is_read(name, data, shown, depth):
    photo = read_photo(io.BytesIO(data))
    expected = np.repeat(shown[..., None], 3, 2) if shown.ndim == 2 else shown
    assert photo.pixels.shape == expected.shape
    assert np.abs(photo.pixels * 255 - expected).mean() < (7 if name == "GIF" else 3.5)
    assert (photo.depth, photo.grey) == (depth, shown.ndim == 2)


@pytest.mark.parametrize("data", [row[1] for row in SAMPLES], ids=[row[0] for row in SAMPLES])
def test_a_file_cut_short_is_refused_or_read(data):
    for share in (0.02, 0.3, 0.7):
        with suppress(ImageError):
            read_photo(io.BytesIO(data[: int(len(data) * share)]))


def test_a_png_with_a_broken_text_is_read_and_one_with_broken_pixels_is_not():
    data = corpus.encoded(PICTURE, format="PNG")
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
        else corpus.encoded(PICTURE, format=form, lossless=True)
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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    small = min(size) < 16  # where a block that is packed has more edge than picture
    assert error <= (0.6 if lossless else 60 if small else 8)
    assert again.depth == (16 if depth == 16 and max(form.bits_written) > 8 else 8)
    assert (again.alpha is not None) == (with_alpha and form.alpha)
    assert bool(again.icc) == (tagged and "ICC" in form.metadata_written)
