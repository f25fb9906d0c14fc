"""Photos of every kind are read upright, as RGB, and written back with what belongs to them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from lowlight import images
from lowlight.images import ImageError, image_size, list_images, read_photo, read_rgb, write_photo
from tests.conftest import scene

ORIENTATION, CAMERA = 0x0112, 0x0110


@pytest.fixture
def pixels():
    return scene(1, 40, 60)


def save(folder, name, image, **options):
    path = folder / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_comes_out_upright_and_the_tag_is_reset(orientation, pixels, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION], exif[CAMERA] = orientation, "Kodak Brownie"
    path = save(tmp_path, "turned.png", Image.fromarray(pixels), exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert (expected.shape == (60, 40, 3)) == (orientation >= 5)
    np.testing.assert_array_equal(read_rgb(path), expected)
    assert image_size(path) == expected.shape[:2]
    write_photo(tmp_path / "out.png", read_photo(path))
    with Image.open(tmp_path / "out.png") as written:
        np.testing.assert_array_equal(np.asarray(written), expected)
        assert written.getexif().get(ORIENTATION, 1) == 1
        assert written.getexif()[CAMERA] == "Kodak Brownie"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F"])
def test_every_mode_is_read_as_the_same_picture(mode, pixels, tmp_path):
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    if mode in ("I", "I;16"):
        image = Image.fromarray((grey.astype(np.uint16) * 257).astype("u2"))
        image = image.convert("I") if mode == "I" else image
    elif mode == "F":
        image = Image.fromarray(grey.astype(np.float32) / 255)
    else:
        image = Image.fromarray(pixels).convert(mode)
    path = save(tmp_path, "photo.tif", image)
    expected = pixels if mode in ("P", "RGB", "RGBA", "CMYK") else np.repeat(grey[..., None], 3, axis=2)
    if mode == "1":
        expected = np.asarray(Image.fromarray(pixels).convert("1").convert("RGB"))
    tolerance = {"P": 40, "CMYK": 2}.get(mode, 1)
    assert np.abs(read_rgb(path).astype(int) - expected).mean() <= tolerance
    photo = read_photo(path)
    assert photo.pixels.dtype == np.float32
    assert photo.pixels.shape == (40, 60, 3)
    assert np.abs(photo.pixels * 255 - read_rgb(path)).max() <= 0.51


def test_grey_of_16_bits_keeps_levels_that_8_bits_would_not_hold(tmp_path):
    ramp = np.tile(np.arange(0, 1024, dtype="u2"), (8, 1))
    photo = read_photo(save(tmp_path, "deep.png", Image.fromarray(ramp)))
    assert len(np.unique(photo.pixels)) == 1024
    np.testing.assert_allclose(photo.pixels[0, :, 0], np.arange(1024) / 65535, atol=1e-7)


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_transparency_comes_through_untouched(suffix, pixels, tmp_path):
    alpha = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    image = Image.fromarray(np.dstack([pixels, alpha]))
    write_photo(tmp_path / f"out.{suffix}", read_photo(save(tmp_path, "in.png", image)))
    with Image.open(tmp_path / f"out.{suffix}") as written:
        assert written.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(written)[..., 3], alpha)


def test_a_transparent_palette_colour_stays_transparent(pixels, tmp_path):
    image = Image.fromarray(pixels).quantize(16)
    photo = read_photo(save(tmp_path, "palette.png", image, transparency=3))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(image) == 3)


def test_grey_photos_stay_grey_even_if_a_model_gives_them_colour(pixels, tmp_path):
    photo = read_photo(save(tmp_path, "grey.jpg", Image.fromarray(pixels).convert("L")))
    photo.pixels[..., 0] += 0.1
    write_photo(tmp_path / "out.jpg", photo)
    with Image.open(tmp_path / "out.jpg") as written:
        assert written.mode == "L"


def profile_with_red_and_green_exchanged():
    """The sRGB profile, the names of two of its tags (each of 4 letters) exchanged."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")


def test_a_profile_other_than_srgb_is_converted_and_the_result_says_srgb(pixels, tmp_path):
    path = save(tmp_path, "profiled.png", Image.fromarray(pixels), icc_profile=profile_with_red_and_green_exchanged())
    assert np.abs(read_rgb(path)[..., [1, 0, 2]].astype(int) - pixels).max() <= 2
    write_photo(tmp_path / "out.png", read_photo(path))
    with Image.open(tmp_path / "out.png") as written:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(written.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_a_broken_profile_does_not_stop_a_photo(pixels, tmp_path):
    path = save(tmp_path, "odd.png", Image.fromarray(pixels), icc_profile=b"not a profile")
    np.testing.assert_array_equal(read_rgb(path), pixels)


def test_a_photo_without_metadata_gets_none(pixels, tmp_path):
    write_photo(tmp_path / "out.jpg", read_photo(save(tmp_path, "bare.png", Image.fromarray(pixels))))
    with Image.open(tmp_path / "out.jpg") as written:
        assert not written.getexif()
        assert "icc_profile" not in written.info


@pytest.mark.parametrize("suffix", sorted(images.FORMATS))
def test_every_format_is_written_and_read_back(suffix, pixels, tmp_path):
    photo = images.Photo(pixels.astype(np.float32) / 255)
    path = tmp_path / f"photo{suffix}"
    write_photo(path, photo)
    assert np.abs(read_rgb(path).astype(int) - pixels).mean() < 3
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_content_counts_not_the_name(pixels, tmp_path):
    path = save(tmp_path, "really_a_png.jpg", Image.fromarray(pixels), format="PNG")
    np.testing.assert_array_equal(read_rgb(path), pixels)


def test_the_first_frame_of_several_is_read(pixels, tmp_path):
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    path = save(tmp_path, "frames.tiff", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_rgb(path), pixels)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_a_truncated_file_is_refused_by_its_name(suffix, kept, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path, f"cut.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    for read in (read_rgb, read_photo):
        with pytest.raises(ImageError, match=f"cut.{suffix}"):
            read(path)


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"Dear diary, today", "not a photo")])
def test_files_that_are_no_photos_are_refused(content, message, tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_rgb(path)


def test_a_missing_file_and_a_folder_named_like_a_photo_are_refused(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(ImageError, match="a.jpg"):
        read_rgb(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="not there"):
        read_rgb(tmp_path / "b.jpg")


def test_a_photo_above_the_limit_is_refused_with_the_limit(pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGEST_MEGAPIXELS", 0.002)
    with pytest.raises(ImageError, match="60x40 pixels, above 0.002 megapixels"):
        read_rgb(save(tmp_path, "huge.png", Image.fromarray(pixels)))


def test_a_png_text_bomb_is_refused(pixels, tmp_path):
    text = PngInfo()
    text.add_text("comment", "0" * 80_000_000, zip=True)
    with pytest.raises(ImageError, match="bomb.png"):
        read_rgb(save(tmp_path, "bomb.png", Image.fromarray(pixels), pnginfo=text))


def test_nothing_is_left_of_a_photo_that_cannot_be_written(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ImageError, match="No space left"):
        write_photo(tmp_path / "out.png", images.Photo(np.zeros((4, 4, 3), np.float32)))
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"Received: out.gif"):
        write_photo(tmp_path / "out.gif", images.Photo(np.zeros((4, 4, 3), np.float32)))


def test_photos_are_listed_in_natural_order_without_hidden_and_other_files(tmp_path):
    for name in ("10.png", "9.JPG", "b.webp", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["9.JPG", "10.png", "b.webp"]
