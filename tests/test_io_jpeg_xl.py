"""A JPEG XL comes out in its colours, by whichever of its ways to say what they are."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lowlight.io.photo import read_photo
from tests.conftest import scene
from tests.material import adobe_rgb

FIXTURES = Path(__file__).parent / "fixtures"
"""Of `scene(1, 40, 60)`, taken for Adobe RGB, by cjxl 0.7, which tells of a profile that it cannot put into numbers."""


@pytest.fixture(scope="module")
def shown():
    profile = ImageCms.ImageCmsProfile(io.BytesIO(adobe_rgb()))
    srgb = ImageCms.profileToProfile(Image.fromarray(scene(1, 40, 60)), profile, ImageCms.createProfile("sRGB"))
    return np.asarray(srgb).astype(int)


@pytest.mark.parametrize(("way", "depth"), [("with loss", 16), ("by numbers", 8)])
def test_adobe_rgb_is_read_by_its_profile_where_that_was_used_to_pack_it_and_by_numbers(way, depth, shown):
    """Of what was packed with loss and a profile the decoder gives light, of which 8 bits would be too coarse."""
    photo = read_photo(FIXTURES / f"Adobe RGB, {way}.jxl")
    assert np.abs(photo.pixels * 255 - shown).mean() < 2
    assert len(np.unique(photo.pixels[photo.pixels < 0.3])) > 40  # 20 of 8 bits of light
    assert photo.depth == depth
    assert photo.icc
    assert photo.notes == ()


def test_a_profile_that_is_not_read_is_told():
    photo = read_photo(FIXTURES / "Adobe RGB, without loss.jxl", levels=True)
    np.testing.assert_array_equal(photo.pixels, scene(1, 40, 60))
    assert photo.notes == ("its colour profile is not read: taken for sRGB",)
