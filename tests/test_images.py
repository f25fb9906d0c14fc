"""Photos of every kind are read upright, as RGB, and written back with what belongs to them."""

import dataclasses
import io
import math
import re
import struct
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin
from PIL.PngImagePlugin import PngInfo

from lowlight.imaging.pixels import as_float, as_levels
from lowlight.io.formats import FORMATS, WITHOUT_ALPHA, result_suffix
from lowlight.io.photo import (
    ImageError,
    Photo,
    encode,
    image_size,
    list_images,
    read_photo,
    read_rgb,
    write_photo,
)
from tests import corpus, material
from tests.conftest import scene


@pytest.fixture
def pixels():
    return scene(1, 40, 60)


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    return corpus.make(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def good(entries):
    return [entry for entry in entries if entry.kind == "good"]


def save(folder, name, image, **options):
    path = folder / name
    image.save(path, **options)
    return path


def without(entries, sound):
    """Names of the entries that something does not hold of."""
    return [entry.path.name for entry in entries if not sound(entry)]


def shows(pixels, entry, tolerance=0.0) -> bool:
    """Whether (H, W, 3) pixels are the picture of an entry, where there is something to be seen."""
    if pixels.shape != entry.picture.shape:
        return False
    seen = np.ones(pixels.shape[:2], bool) if entry.alpha is None else entry.alpha > 0
    difference = np.abs(as_float(pixels) - entry.picture)[seen]
    return not seen.any() or difference.mean() * 255 <= entry.tolerance + tolerance


def test_the_corpus_is_as_large_as_it_should_be(entries):
    assert len({entry.path for entry in entries}) == len(entries) >= 60
    assert len([entry for entry in entries if entry.kind == "bad"]) > 80


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning", "ignore:Truncated File Read:UserWarning")
def test_every_good_photo_of_the_corpus_is_read_right(good):
    def sound(entry):
        photo = read_photo(entry.path)
        alpha = None if photo.alpha is None else as_float(photo.alpha)
        assert photo.pixels.dtype == np.float32
        return (
            shows(photo.pixels, entry)
            and (alpha is None) == (entry.alpha is None)
            and (alpha is None or np.abs(alpha - entry.alpha).max() < 0.02)
            and (photo.grey, photo.depth, bool(photo.icc)) == (entry.grey, entry.depth, entry.profile)
        )

    assert not without(good, sound)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning", "ignore:Truncated File Read:UserWarning")
def test_size_and_8_bit_rgb_of_the_corpus_are_right_too(good):
    assert not without(good, lambda entry: shows(read_rgb(entry.path), entry, tolerance=0.5))
    assert not without(good, lambda entry: image_size(entry.path) == entry.picture.shape[:2])


@pytest.mark.filterwarnings("ignore:Truncated File Read:UserWarning")
def test_every_bad_photo_of_the_corpus_is_refused_by_its_name(entries):
    for read in (read_photo, read_rgb):
        for entry in entries:
            if entry.kind == "bad":
                with pytest.raises(ImageError, match=re.escape(entry.path.name)) as caught:
                    read(entry.path)
                assert re.search(entry.message, str(caught.value)), entry.path.name


def test_folders_and_links_to_nothing_are_not_listed(entries):
    listed = list_images(entries[0].path.parent)
    assert set(listed) == {entry.path for entry in entries}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning", "ignore:Truncated File Read:UserWarning")
def test_every_good_photo_of_the_corpus_is_written_back_as_what_it_was(good, tmp_path):
    def sound(entry):
        photo = read_photo(entry.path, levels=True)
        target = tmp_path / (entry.path.stem + result_suffix(entry.path.suffix))
        write_photo(target, photo)
        again = read_photo(target)
        form = FORMATS[target.suffix.lower()]
        deep, opaque = form in ("PNG", "TIFF"), form in WITHOUT_ALPHA
        return (
            shows(again.pixels, entry, tolerance=5)
            and (again.alpha is None) == (entry.alpha is None or opaque)
            and (again.alpha is None or np.array_equal(again.alpha, photo.alpha) or form == "AVIF")
            and (again.grey == entry.grey or form in ("WEBP", "AVIF"))
            and again.depth == (entry.depth if deep else 8)
            and (bool(again.icc) == entry.profile or form == "BMP")
        )

    assert not without(good, sound)


def about(path):
    """Camera, latitude, exposure time, orientation and XMP of a file, as Pillow finds them."""
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        position, exposure = exif.get_ifd(ExifTags.IFD.GPSInfo), exif.get_ifd(ExifTags.IFD.Exif)
        return (
            exif.get(ExifTags.Base.Model),
            position.get(ExifTags.GPS.GPSLatitude),
            exposure.get(ExifTags.Base.ExposureTime),
            exif.get(ExifTags.Base.Orientation, 1),
            image.info.get("xmp"),
        )


ALL = (material.CAMERA, material.LATITUDE, material.EXPOSURE, 1, material.XMP)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", sorted({*FORMATS} - {".bmp"}))
def test_exif_gps_and_xmp_come_through_from_every_format_to_every_other(suffix, depth, good, tmp_path):
    told = [entry for entry in good if entry.metadata]
    assert len(told) >= 5
    for entry in told:
        photo = dataclasses.replace(read_photo(entry.path), depth=depth)
        write_photo(tmp_path / f"out{suffix}", photo)
        assert about(tmp_path / f"out{suffix}") == ALL, entry.path.name
        again = dataclasses.replace(read_photo(tmp_path / f"out{suffix}"), depth=depth)
        write_photo(tmp_path / f"again{suffix}", again)
        assert about(tmp_path / f"again{suffix}") == ALL, entry.path.name
        write_photo(tmp_path / f"bare{suffix}", photo, strip_metadata=True)
        assert about(tmp_path / f"bare{suffix}") == (None, None, None, 1, None)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_once_and_its_tags_are_reset(orientation, suffix, pixels, tmp_path):
    xmp = f'<x:xmpmeta tiff:Orientation="{orientation}" caption="dusk"/>'.encode()
    lies = Image.fromarray(np.ascontiguousarray(material.lying(pixels, orientation)))
    lies.save(tmp_path / "in.jpg", exif=material.exif(orientation), xmp=xmp, quality=95)
    photo = read_photo(tmp_path / "in.jpg")
    write_photo(tmp_path / f"out.{suffix}", photo)
    assert about(tmp_path / f"out.{suffix}") == (*ALL[:4], b'<x:xmpmeta caption="dusk"/>')
    assert np.abs(read_rgb(tmp_path / f"out.{suffix}").astype(int) - pixels).mean() < 5


def test_the_thumbnail_in_the_exif_which_shows_the_dark_photo_is_left_out(pixels, tmp_path):
    small = io.BytesIO()
    Image.fromarray(pixels).resize((6, 4)).save(small, "JPEG")
    first = struct.pack("<HHHI4sI", 1, 0x0110, 2, 4, b"ABC\0", 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(small.getvalue()), 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + first + second + small.getvalue()
    path = save(tmp_path, "in.jpg", Image.fromarray(pixels), exif=exif)
    with Image.open(path) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1)
    write_photo(tmp_path / "out.jpg", read_photo(path))
    with Image.open(tmp_path / "out.jpg") as written:
        assert written.getexif()[ExifTags.Base.Model] == "ABC"
        assert not written.getexif().get_ifd(ExifTags.IFD.IFD1)
    assert small.getvalue() not in (tmp_path / "out.jpg").read_bytes()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_come_through_to_the_last(suffix, channels, tmp_path):
    deep = material.deep_picture(channels).squeeze()
    if channels == 4:
        deep[..., 3] = np.maximum(deep[..., 3], 1)  # for colour that nobody sees is not kept
    path = tmp_path / f"in.{suffix}"
    if suffix == "png":
        path.write_bytes(imagecodecs.png_encode(deep))
    else:
        kind = {1: {}, 3: {"photometric": "rgb"}, 4: {"photometric": "rgb", "extrasamples": ["unassalpha"]}}[channels]
        tifffile.imwrite(path, deep, **kind)
    for target in (tmp_path / "out.png", tmp_path / "out.tif"):
        write_photo(target, read_photo(path))
        written = imagecodecs.png_decode(target.read_bytes()) if target.suffix == ".png" else tifffile.imread(target)
        np.testing.assert_array_equal(written, deep)


def test_16_bit_colour_is_converted_as_finely_as_8_bit_colour():
    levels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    files = [io.BytesIO(), io.BytesIO()]
    Image.fromarray(levels).save(files[0], "PNG", icc_profile=material.adobe_rgb())
    tifffile.imwrite(files[1], levels.astype(np.uint16) * 257, photometric="rgb", iccprofile=material.adobe_rgb())
    shallow, deep = (read_photo(io.BytesIO(file.getvalue())).pixels for file in files)
    assert np.abs(shallow - deep).max() * 255 < 1


def test_a_float_tiff_brighter_than_1_is_scaled_and_nothing_that_is_no_number_remains(tmp_path):
    values = np.linspace(0, 4, 20 * 30, dtype=np.float32).reshape(20, 30)
    values[3, 3] = np.nan
    tifffile.imwrite(tmp_path / "bright.tif", values)
    photo = read_photo(tmp_path / "bright.tif")
    np.testing.assert_allclose(photo.pixels[..., 0], np.nan_to_num(values) / 4, atol=1e-5)


def test_levels_are_the_floats_in_a_quarter_or_half_of_the_memory(good):
    for entry in good:
        if entry.path.name in ("jpg_RGB.jpg", "deep_rgba.png"):
            photo, levels = read_photo(entry.path), read_photo(entry.path, levels=True)
            assert levels.pixels.dtype == (np.uint16 if entry.depth == 16 else np.uint8)
            np.testing.assert_array_equal(as_float(levels.pixels), photo.pixels)
            np.testing.assert_array_equal(as_levels(photo.pixels, entry.depth), levels.pixels)
            assert encode(photo, ".png") == encode(levels, ".png")


def test_hidden_colour_is_replaced_by_that_around_it(pixels, tmp_path):
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[10:30, 20:45] = 0
    alpha[5, :5] = 1
    read = []
    for hidden in (0, 255):
        garbage = np.where(alpha[..., None] == 0, np.uint8(hidden), pixels)
        path = save(tmp_path, "cut_out.png", Image.fromarray(np.dstack([garbage, alpha])))
        read.append(read_photo(path).pixels)
    np.testing.assert_array_equal(read[0], read[1])
    np.testing.assert_array_equal(read[0][alpha > 0], as_float(pixels)[alpha > 0])
    assert np.abs(read[0][10, 20:45] - read[0][9, 20:45]).mean() < 0.05
    assert read[0].min() >= pixels.min() / 255


@pytest.mark.parametrize(("quality", "written"), [(75, 90), (90, 90), (93, 93), (98, 98), (100, 100)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_is_written_at_its_own_quality_or_at_90(quality, written, subsampling, pixels, tmp_path):
    path = save(tmp_path, "in.jpg", Image.fromarray(pixels), quality=quality, subsampling=subsampling)
    photo = read_photo(path)
    assert (photo.quality, photo.subsampling) == (quality, subsampling)
    write_photo(tmp_path / "out.jpg", photo)
    again = read_photo(tmp_path / "out.jpg")
    assert (again.quality, again.subsampling) == (written, subsampling)


def test_a_photo_that_was_no_jpeg_becomes_one_without_chroma_subsampling(pixels):
    with Image.open(io.BytesIO(encode(Photo(pixels), ".jpg"))) as image:
        assert JpegImagePlugin.get_sampling(image) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_the_quality_can_be_chosen(suffix, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    small, large = (len(encode(Photo(noise), suffix, quality)) for quality in (20, 98))
    assert small < large / 2


def test_a_photo_can_come_from_and_go_to_a_stream(good):
    for entry in good:
        if entry.metadata:
            photo = read_photo(io.BytesIO(entry.path.read_bytes()))
            assert shows(photo.pixels, entry)
            assert FORMATS[photo.suffix] == FORMATS[entry.path.suffix]
            assert about(io.BytesIO(encode(photo, photo.suffix))) == ALL


def test_a_stream_that_is_no_photo_is_refused():
    with pytest.raises(ImageError, match="not a photo"):
        read_photo(io.BytesIO(b"Dear diary, today"))
    with pytest.raises(ImageError, match=r"Received: \.gif"):
        encode(Photo(np.zeros((4, 4, 3), np.float32)), ".gif")


@pytest.mark.parametrize(
    ("suffix", "result"), [(".JPG", ".JPG"), (".webp", ".webp"), (".NEF", ".tif"), (".dng", ".tif"), ("", ".png")]
)
def test_results_keep_the_format_where_it_can_be_written(suffix, result):
    assert result_suffix(suffix) == result


@pytest.mark.parametrize(("kind", "package"), [("heic", "pillow-heif"), ("dng", "rawpy")])
def test_a_missing_package_is_named_with_how_to_install_it(kind, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    path = tmp_path / f"phone.{kind}"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" if kind == "heic" else b"II*\0\x08\0\0\0\0\0\0\0")
    with pytest.raises(ImageError, match=f"phone.{kind} needs {package} .* pip install {package}"):
        read_photo(path)


def test_a_grey_photo_gets_a_profile_of_one_channel(good, tmp_path):
    entry = next(entry for entry in good if entry.path.name == "grey_profile.png")
    for suffix in ("png", "jpg", "tif"):
        write_photo(tmp_path / f"out.{suffix}", read_photo(entry.path))
        with Image.open(tmp_path / f"out.{suffix}") as written:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(written.info["icc_profile"]))
            assert (written.mode, profile.profile.xcolor_space.strip()) == ("L", "GRAY")
        assert np.abs(read_rgb(tmp_path / f"out.{suffix}") / 255 - entry.picture).mean() * 255 < 4


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


def test_a_photo_without_metadata_gets_none(pixels, tmp_path):
    write_photo(tmp_path / "out.jpg", read_photo(save(tmp_path, "bare.png", Image.fromarray(pixels))))
    with Image.open(tmp_path / "out.jpg") as written:
        assert not written.getexif()
        assert "icc_profile" not in written.info


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_every_format_is_written_and_read_back(suffix, pixels, tmp_path):
    photo = Photo(pixels.astype(np.float32) / 255)
    path = tmp_path / f"photo{suffix}"
    write_photo(path, photo)
    assert np.abs(read_rgb(path).astype(int) - pixels).mean() < 5
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_missing_file_and_a_folder_named_like_a_photo_are_refused(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(ImageError, match="a.jpg"):
        read_rgb(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="not there"):
        read_rgb(tmp_path / "b.jpg")


def test_a_photo_above_the_limit_is_refused_with_the_limit(pixels, tmp_path, monkeypatch):
    monkeypatch.setattr("lowlight.io.photo.LARGEST_MEGAPIXELS", 0.002)
    path = save(tmp_path, "huge.png", Image.fromarray(pixels))
    for read in (read_rgb, read_photo):
        with pytest.raises(ImageError, match="60x40 pixels, above 0.002 megapixels. --max-megapixels"):
            read(path)
    assert read_photo(path, limit_megapixels=math.inf).pixels.shape == (40, 60, 3)


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
        write_photo(tmp_path / "out.jpg", Photo(np.zeros((4, 4, 3), np.float32)))
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"Received: out.gif"):
        write_photo(tmp_path / "out.gif", Photo(np.zeros((4, 4, 3), np.float32)))


def test_photos_are_listed_in_natural_order_without_hidden_and_other_files(tmp_path):
    for name in ("10.png", "9.JPG", "b.webp", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["9.JPG", "10.png", "b.webp"]
