"""BMP: the profile that version 5 of its header may hold."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from lowlight.io.photo import read_photo
from tests.material import adobe_rgb, picture_of


def version_5(pixels, profile, kind) -> bytes:
    """By Microsoft's description of BITMAPV5HEADER: rows from below, blue first; the profile behind them."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels[::-1, :, ::-1]).tobytes()  # of a width that needs no padding
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + bytes(16)
    header += kind + bytes(48) + struct.pack("<4I", 4, 124 + len(rows), len(profile), 0)
    return b"BM" + struct.pack("<IHHI", 138 + len(rows) + len(profile), 0, 0, 138) + header + rows + profile


@pytest.mark.parametrize(("kind", "heeded"), [(b"DEBM", True), (b"BGRs", False)])
def test_a_profile_counts_where_the_header_says_that_there_is_one(kind, heeded):
    picture = picture_of()
    srgb, wide = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(adobe_rgb()))
    stored = np.asarray(ImageCms.profileToProfile(Image.fromarray(picture), srgb, wide))
    photo = read_photo(io.BytesIO(version_5(stored, adobe_rgb(), kind)), levels=True)
    expected = picture if heeded else stored
    assert np.abs(photo.pixels.astype(int) - expected).mean() < 1
    assert (photo.icc is not None) == heeded


def test_a_profile_that_is_cut_off_is_told_and_the_picture_is_read():
    data = version_5(picture_of(), adobe_rgb(), b"DEBM")
    for lost in (10, len(adobe_rgb()) - 20):
        photo = read_photo(io.BytesIO(data[:-lost]), levels=True)
        np.testing.assert_array_equal(photo.pixels, picture_of())
        assert any("colour profile cannot be used" in note for note in photo.notes)
