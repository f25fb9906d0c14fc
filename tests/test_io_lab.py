"""TIFFs in L*a*b* come out in their colours, whichever of its three ways they are written in."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage.color import rgb2lab

from lowlight.io.icc import srgb_profile
from lowlight.io.photo import ImageError, read_photo
from tests.conftest import scene

CIELAB, ICCLAB, ITULAB = 8, 9, 10

WHITE_POINT, DECODE = 318, 433

COLOURS = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)

KNOWN = np.array([[[100, 0, 0], [0, 0, 0], [54.29, 80.81, 69.89], [87.82, -79.29, 80.99], [29.57, 68.30, -112.03]]])
"""Of `COLOURS`, seen under D50, as Bruce Lindbloom's calculator gives them (Bradford)."""


def lab_of(pixels):
    """By LittleCMS, of uint8 sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    levels = imagecodecs.cms_transform(
        pixels.astype(np.uint16) * 257,
        srgb_profile(),
        profile,
        colorspace="rgb",
        outcolorspace="lab",
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,
    )
    return levels / 65535 * (100, 255, 255) - (0, 128, 128)


def levels_of(lab, kind, depth):
    """TIFF 6.0, section 23; Adobe Photoshop TIFF Technical Notes, 2002; RFC 2301."""
    most, one = 2**depth - 1, 2 ** (depth - 8)
    dtype, signed = (np.uint8, np.int8) if depth == 8 else (np.uint16, np.int16)
    if kind == CIELAB:
        lightness = np.rint(lab[..., :1] / 100 * most).astype(dtype)
        return np.concatenate([lightness, np.rint(lab[..., 1:] * one).astype(signed).view(dtype)], -1)
    if kind == ICCLAB:
        return np.rint(lab * (2.55 * one, one, one) + (0, 128 * one, 128 * one)).astype(dtype)
    shifted = (lab / (100, 170, 200) + (0, 128 / 255, 96 / 255)) * most
    return np.rint(np.clip(shifted, 0, most)).astype(dtype)


def read(levels, kind, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, levels, photometric="rgb", metadata=None, **options)
    file.seek(0)
    with tifffile.TiffFile(file, mode="r+") as tiff:  # which writes no transparency beside L*a*b*
        tiff.pages.first.tags["PhotometricInterpretation"].overwrite(kind)
    return read_photo(io.BytesIO(file.getvalue()))


def error(photo, pixels):
    return np.abs(photo.pixels * 255 - pixels)


@pytest.mark.parametrize("kind", [CIELAB, ICCLAB])
def test_known_colours_of_16_bits_are_read(kind):
    photo = read(levels_of(KNOWN, kind, 16), kind)
    assert error(photo, COLOURS).max() < 0.5
    assert photo.depth == 16


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize(("depth", "tolerance"), [(8, 0.8), (16, 0.02)])
@pytest.mark.parametrize("kind", [CIELAB, ICCLAB, ITULAB])
def test_a_picture_is_what_littlecms_has_made_lab_of(kind, depth, tolerance, options):
    picture = 64 + scene(1, 40, 60) // 2  # ITULAB has no room for the strongest blue
    assert error(read(levels_of(lab_of(picture), kind, depth), kind, **options), picture).mean() < tolerance


def test_a_white_that_the_file_names_counts():
    d65 = (WHITE_POINT, "2I", 2, (31270, 100000, 32900, 100000), True)
    levels = levels_of(rgb2lab(COLOURS, illuminant="D65"), CIELAB, 16)
    assert error(read(levels, CIELAB, extratags=[d65]), COLOURS).max() < 0.5


def test_ranges_that_the_file_names_count():
    ranges = (DECODE, "2i", 6, (0, 1, 100, 1, -128, 1, 127, 1, -128, 1, 127, 1), True)
    levels = np.rint((KNOWN + (0, 128, 128)) / (100, 255, 255) * 65535).astype(np.uint16)
    assert error(read(levels, ITULAB, extratags=[ranges]), COLOURS).max() < 0.5


def test_transparency_stays_and_a_profile_changes_nothing():
    alpha = np.array([[0, 1, 300, 40000, 65535]], np.uint16)
    levels = np.dstack([levels_of(KNOWN, ICCLAB, 16), alpha])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    photo = read(levels, ICCLAB, extrasamples=["unassalpha"], iccprofile=profile)
    assert error(photo, COLOURS)[:, 1:].max() < 0.5  # of what is hidden, colour does not count
    np.testing.assert_array_equal(photo.alpha, alpha)
    assert photo.notes == ()


def test_lab_that_is_packed_as_jpeg_is_read_and_of_other_numbers_is_told():
    file = io.BytesIO()
    lab = ImageCms.profileToProfile(
        Image.fromarray(scene(1, 40, 60)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    lab.save(file, "TIFF", compression="jpeg", quality=95)
    assert error(read_photo(io.BytesIO(file.getvalue())), scene(1, 40, 60)).mean() < 8
    for levels in (KNOWN.astype(np.float32), np.zeros((2, 2, 3), np.int16)):
        with pytest.raises(ImageError, match="a TIFF of CIELAB is known of 8 and 16 bits alone"):
            read(levels, CIELAB)
