"""What a PNG holds in ways that few others do."""

import io

import numpy as np
import pytest
from PIL import Image

from lowlight.io.photo import ImageError, read_photo
from tests.conftest import scene
from tests.test_io_colour import TO_P3, chunks, error, linear, png, srgb


def narrow(unit, depth):
    """Levels of video (ITU-R BT.709, BT.2100) of what is in [0, 1]."""
    return np.rint((219 * unit + 16) * 2 ** (depth - 8)).astype(f"uint{depth}")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("wide", [False, True], ids=["sRGB", "Display P3"])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_png_of_video_levels_is_read_from_black_to_white(depth, wide, alpha):
    """PNG, third edition, 11.3.2.6: the last number of cICP."""
    picture = scene(1, 40, 60)
    levels = narrow(srgb(linear(picture) @ TO_P3.T) if wide else picture / 255, depth)
    clear = np.linspace(0, 2**depth - 1, 40 * 60).reshape(40, 60).astype(levels.dtype)
    clear[0, 0] = 2**depth - 1
    cicp = (b"cICP", bytes((12 if wide else 1, 13, 0, 0)))
    difference, photo = error(png(np.dstack([levels, clear]) if alpha else levels, cicp), picture)
    assert difference < (0.6 if depth == 8 else 0.2)
    assert photo.depth == depth
    assert photo.notes == ()
    assert not alpha or (photo.alpha == clear).all()


@pytest.mark.parametrize("mode", ["L", "P"])
def test_video_levels_of_grey_and_of_palettes_count_and_what_is_beyond_white_is_told(mode):
    levels = np.tile(np.array([0, 16, 125, 235, 255], np.uint8), (3, 1))
    file = io.BytesIO()
    Image.fromarray(levels).convert(mode).save(file, "PNG")
    data = file.getvalue()
    photo = read_photo(io.BytesIO(data[:33] + chunks((b"cICP", bytes((1, 13, 0, 0)))) + data[33:]))
    np.testing.assert_allclose(photo.pixels[0, :, 0] * 255, [0, 0, 127, 255, 255], atol=0.6)
    assert any("brighter than white" in note for note in photo.notes)


@pytest.mark.filterwarnings("error")
def test_a_palette_with_levels_of_transparency_is_read_without_a_word():
    few, file = Image.fromarray(scene(1, 40, 60)).quantize(200), io.BytesIO()
    few.save(file, "PNG", transparency=bytes(range(56, 256)))
    photo = read_photo(io.BytesIO(file.getvalue()), levels=True)
    np.testing.assert_array_equal(photo.pixels, np.asarray(few.convert("RGB")))
    np.testing.assert_array_equal(photo.alpha, np.asarray(few) + 56)
    assert photo.notes == ()


def test_a_png_that_was_packed_for_iphones_is_called_so():
    data = png(scene(1, 20, 30)).getvalue()
    made = data[:8] + chunks((b"CgBI", bytes.fromhex("50002002"))) + data[8:]
    with pytest.raises(ImageError, match=r"packed for iPhones \(CgBI\) are not; undo it by: pngcrush -revert"):
        read_photo(io.BytesIO(made))
