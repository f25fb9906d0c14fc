"""Of a TIFF the photo is read, at its own brightness, whatever it is packed in and whatever lies beside it."""

import dataclasses
import io
import re
import struct
import tracemalloc

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from lowlight.io.icc import srgb_profile
from lowlight.io.photo import ImageError, Photo, count_frames, encode, image_size, read_photo, write_photo
from lowlight.io.tiff import READ_AT_ONCE
from tests.conftest import scene

MAX_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE = 281, 341


@pytest.fixture(scope="module")
def picture():
    return scene(1, 40, 60)


def tiff(*pages, **options):
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:
        for page in pages:
            levels, more = page if isinstance(page, tuple) else (page, {})
            colours = "rgb" if levels.ndim == 3 and levels.shape[2] >= 3 else "minisblack"
            writer.write(levels, **{"photometric": colours, "metadata": None} | more)
    return io.BytesIO(file.getvalue())


def difference(file, picture):
    photo = read_photo(file)
    assert photo.pixels.shape == picture.shape
    return np.abs(photo.pixels * 255 - picture).mean()


THUMBNAIL = {"subfiletype": 1}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("layout", ["thumbnail first", "unflagged", "in SubIFDs", "mask", "thumbnail last", "two"])
def test_the_full_size_picture_is_read_wherever_it_lies(layout, deep, picture):
    full = picture.astype(np.uint16) * 257 if deep else picture
    small = np.ascontiguousarray(255 - full[::4, ::4])
    mask = (np.zeros((40, 60), bool), {"subfiletype": 4, "photometric": "mask"})
    pages = {
        "thumbnail first": [(small, THUMBNAIL), full],
        "unflagged": [small, full],
        "in SubIFDs": [(small, THUMBNAIL | {"subifds": 2}), (np.ascontiguousarray(full[::2, ::2]), THUMBNAIL), full],
        "mask": [mask, full, mask],
        "thumbnail last": [(full, {"compression": "zlib"}), (small, THUMBNAIL)],
        "two": [(small, THUMBNAIL), (small[::2], THUMBNAIL), (full, {"compression": "lzw"})],
    }[layout]
    file = tiff(*pages)
    photo = read_photo(file)
    assert np.abs(photo.pixels * 255 - picture).mean() < 0.01
    assert not photo.notes
    assert photo.depth == (16 if deep else 8)


def test_of_several_pages_each_can_be_chosen_and_the_rest_is_told(picture, tmp_path):
    path = tmp_path / "pages.tif"
    pages = [picture, 255 - picture, picture[:, ::-1]]
    path.write_bytes(tiff((np.ascontiguousarray(picture[::4, ::4]), THUMBNAIL), *pages).getvalue())
    assert "it holds 3 pictures" in read_photo(path).notes[0]
    assert count_frames(path) == 3
    for number, page in enumerate(pages, 1):
        photo = read_photo(path, frame=number)
        assert not photo.notes
        np.testing.assert_array_equal(np.rint(photo.pixels * 255), page)
    for number in (0, 4):
        with pytest.raises(ImageError, match=f"--frame {number} of 3"):
            read_photo(path, frame=number)


@pytest.mark.parametrize("axes", ["CYX", "YXC", "TCYX", "ZYX", "TZCYX"])
@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_channels_of_microscopes_are_colours_and_times_and_depths_are_pictures(kind, axes, picture):
    deep = picture.astype(np.uint16) * 257
    stack = np.moveaxis(deep, 2, 0)
    if axes == "YXC":
        pytest.importorskip("tifffile")
        stack, axes = deep, "YXS"
    elif axes == "ZYX":
        stack = np.stack([deep[..., 0], deep[..., 1]])
    elif len(axes) > 3:
        stack = np.stack([stack, 65535 - stack]).reshape(*(2, 1)[: len(axes) - 3], *stack.shape)
    if kind == "imagej" and axes == "YXS":
        stack = picture
    file = io.BytesIO()
    if kind == "ome":
        rgb = {"photometric": "rgb"} if axes == "YXS" else {"photometric": "minisblack"}
        tifffile.imwrite(file, stack, ome=True, metadata={"axes": axes}, **rgb)
    else:
        tifffile.imwrite(file, stack, imagej=True, metadata={"axes": axes})
    photo = read_photo(io.BytesIO(file.getvalue()))
    expected = np.repeat(picture[..., :1], 3, 2) if axes == "ZYX" else picture
    assert np.abs(photo.pixels * 255 - expected).mean() < 0.01
    assert bool(photo.notes) == (axes[0] in "TZ")


@pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
def test_the_result_of_a_stack_does_not_say_that_it_is_one(kind, picture):
    file = io.BytesIO()
    stack = np.moveaxis(picture.astype(np.uint16) * 257, 2, 0)
    tifffile.imwrite(file, stack, photometric="minisblack", metadata={"axes": "CYX"}, **{kind: True})
    photo = read_photo(io.BytesIO(file.getvalue()), frame=1)
    written = encode(photo, ".tif")
    with tifffile.TiffFile(io.BytesIO(written)) as result:
        assert (result.pages.first.description, result.asarray().shape[:2]) == ("", picture.shape[:2])
    np.testing.assert_array_equal(read_photo(io.BytesIO(written)).pixels, photo.pixels)
    assert not any(word in encode(photo, ".jpg") for word in (b"ImageJ=", b"OME>", b'"shape":'))


@pytest.mark.parametrize(
    ("words", "kept"), [("ImageJ=1.54f\nimages=3", ""), ("A meadow in ImageJ", "A meadow in ImageJ")]
)
def test_a_description_stays_unless_it_is_of_a_stack(words, kept):
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription], exif[ExifTags.Base.Model] = words, "Box"
    photo = Photo(np.zeros((4, 6, 3), np.uint8), exif=exif.tobytes())
    with tifffile.TiffFile(io.BytesIO(encode(photo, ".tif"))) as result:
        assert (result.pages.first.description, result.pages.first.tags["Model"].value) == (kept, "Box")


def test_channels_that_are_no_colours_are_refused(picture):
    for channels in (2, 4, 5):
        file = io.BytesIO()
        stack = np.zeros((channels, 40, 60), np.uint16)
        tifffile.imwrite(file, stack, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
        with pytest.raises(ImageError, match=f"{channels} channels"):
            read_photo(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("white", [1, 255, 65535])
def test_what_is_white_in_floats_is_told_by_the_bulk_of_them(white, kind, picture):
    values = (picture / 255 * white).astype(np.float64)
    for odd in (None, np.nan, np.inf, -np.inf, -3, 1000 * white):
        changed = values.copy()
        if odd is not None:
            changed[9, 9, 0] = odd
        with np.errstate(over="ignore"):
            changed = changed.astype(kind)
        assert difference(tiff(changed), picture) < 0.5, odd


def test_a_float_picture_of_whole_numbers_has_255_for_white_however_dark_it_is(picture):
    dark = (picture // 20).astype(np.float32)
    assert difference(tiff(dark), dark) < 0.01


@pytest.mark.parametrize("tag", [MAX_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_largest_value_that_a_tiff_names_is_white(bits, tag, picture):
    white = 2**bits - 1
    levels = np.rint(picture / 255 * white).astype(np.uint16)
    kind = "H"
    file = tiff((levels, {"extratags": [(tag, kind, 3, (white,) * 3, True)]}))
    assert difference(file, picture) < 0.1


@pytest.mark.parametrize(
    ("levels", "word"),
    [
        (lambda p: p.astype(np.uint16), "of its 3 channels the first is read, as grey"),
        (lambda p: np.float32(p[..., 0]) * 4.01, "its numbers go up to 10[0-9][0-9], and 65535 is taken for white"),
        (lambda p: np.float32(p[..., 0]) / 99, r"its numbers go up to [12]\.\d+, which is taken for white"),
        (lambda p: p[..., 0].astype(np.int16) - 99, "its numbers below 0 are taken for black"),
    ],
    ids=["channels", "floats up to 1023", "floats above 1", "below 0"],
)
def test_what_a_tiff_leaves_open_is_told(levels, word, picture):
    file = tiff((levels(picture), {"photometric": "minisblack", "planarconfig": "contig"}))
    assert re.match(word, read_photo(file).notes[0])


@pytest.mark.parametrize(("unit", "number"), [("INCH", 2), ("CENTIMETER", 3)])
def test_the_resolution_of_a_tiff_stays_in_its_unit(unit, number, picture):
    photo = read_photo(tiff((picture, {"resolution": (118, 59), "resolutionunit": unit})))
    with tifffile.TiffFile(io.BytesIO(encode(photo, ".tif"))) as result:
        tags = result.pages.first.tags
        assert (tags["XResolution"].value, tags["YResolution"].value) == ((118, 1), (59, 1))
        assert tags["ResolutionUnit"].value == number


@pytest.mark.parametrize(("resolution", "kept"), [((7200, 100), 72), ((1, 3), 1 / 3), ((5, 0), None), ((0, 1), None)])
def test_a_resolution_is_a_ratio_and_one_that_is_none_is_left_out(resolution, kept, picture):
    data = tiff((picture, {"resolution": ((65535, 255),) * 2, "resolutionunit": "INCH"})).getvalue()
    known = struct.pack("<II", 257, 1)
    assert data.count(known) == 2
    photo = read_photo(io.BytesIO(data.replace(known, struct.pack("<II", *resolution))))
    with tifffile.TiffFile(io.BytesIO(encode(photo, ".tif"))) as result:
        tags = result.pages.first.tags
        above, below = tags["XResolution"].value
        assert above / below == pytest.approx(kept or 1)
        assert tags["ResolutionUnit"].value == (2 if kept else 1)  # none


@pytest.mark.parametrize(("colours", "alpha"), [(1, False), (1, True), (3, False), (3, True)])
def test_a_written_tiff_says_which_of_its_channels_are_colours_and_that_it_is_srgb(colours, alpha, picture):
    pixels = picture if colours == 3 else np.repeat(picture[..., :1], 3, 2)
    photo = Photo(pixels, alpha=pixels[..., 0] if alpha else None, grey=colours == 1, icc=srgb_profile())
    with tifffile.TiffFile(io.BytesIO(encode(photo, ".tif"))) as result:
        page = result.pages.first
        assert page.samplesperpixel == colours + alpha
        assert page.extrasamples == (2,) * alpha  # unassociated alpha (TIFF 6.0, section 18)
        assert page.iccprofile == srgb_profile()


@pytest.mark.parametrize("length", range(4, 8))
def test_what_cameras_say_is_kept_wherever_it_comes_to_lie(length, picture):
    """Tables begin at even places (TIFF 6.0, section 2), which what lies before them may not end at."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "L" * length
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSMapDatum] = "D" * length
    levels = np.ascontiguousarray(picture[:, : 2 * length + 1])
    written = Image.open(io.BytesIO(encode(Photo(levels, exif=exif.tobytes()), ".tif")))
    written.load()
    assert written.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] == "L" * length
    assert written.getexif().get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSMapDatum] == "D" * length
    for place in (written.tag_v2[ExifTags.IFD.Exif], written.tag_v2[ExifTags.IFD.GPSInfo]):
        assert place % 2 == 0


def test_12_bits_packed_into_a_tiff_are_read(picture):
    levels = np.rint(picture / 255 * 4095).astype(np.uint16)
    file = tiff((levels, {"bitspersample": 12}))
    assert difference(file, picture) < 0.05


def test_a_dark_picture_of_16_bits_stays_dark_and_is_told(picture):
    levels = picture.astype(np.uint16) * 16
    photo = read_photo(tiff(levels))
    assert np.abs(photo.pixels * 65535 - levels).max() < 1
    assert "MaxSampleValue" in photo.notes[0]


COMPRESSIONS = {
    "jpeg2000": {"compressionargs": {"level": 0}},
    "jpegxl": {},
    "jpegxr": {"compressionargs": {"level": 1.0}},
    "lerc": {},
    "webp": {"compressionargs": {"lossless": True}},
    "png": {},
    "lzma": {},
    "zstd": {},
    "zlib": {},
    "lzw": {},
    "packbits": {},
    "jpeg": {"compressionargs": {"level": 95}},
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("tiles", [False, True])
def test_every_compression_is_read_without_a_word_on_stderr(compression, tiles, picture, capfd):
    options = {"compression": compression} | COMPRESSIONS[compression] | ({"tile": (16, 16)} if tiles else {})
    file = tiff((picture, options))
    assert difference(file, picture) < (3 if compression in ("jpeg", "jpegxr") else 0.01)
    assert not capfd.readouterr().err


@pytest.mark.parametrize("extra", [1, 2])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_channels_beside_the_colours_do_not_matter_where_nobody_says_what_they_are(kind, colours, extra, picture):
    levels = picture[..., :colours].astype(kind) * (257 if kind == np.uint16 else 1)
    more = np.full((40, 60, extra), 77, kind)
    photometric = "rgb" if colours == 3 else "minisblack"
    page = np.concatenate([levels, more], 2)
    file = tiff((page, {"photometric": photometric, "extrasamples": ["unspecified"] * extra, "planarconfig": "contig"}))
    photo = read_photo(file)
    expected = picture if colours == 3 else np.repeat(picture[..., :1], 3, 2)
    assert np.abs(photo.pixels * 255 - expected).mean() < 0.01
    assert photo.alpha is None
    assert f"of its {colours + extra} channels" in photo.notes[0]


@pytest.mark.parametrize("meaning", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_transparency_is_found_behind_other_channels(kind, meaning, picture):
    clear = np.tile(np.linspace(50, 255, 60).astype(np.uint8), (40, 1))
    shown = np.rint(picture * (clear[..., None] / 255)) if meaning == "assocalpha" else picture
    levels = np.dstack([shown, 255 - clear, clear]).astype(kind) * (257 if kind == np.uint16 else 1)
    photo = read_photo(tiff((levels, {"photometric": "rgb", "extrasamples": ["unspecified", meaning]})))
    np.testing.assert_array_equal(photo.alpha // (257 if kind == np.uint16 else 1), clear)
    assert np.abs(photo.pixels * 255 - picture).max() < 6
    assert photo.notes[0].startswith("of its 5 channels 3 are read, as colours, and one as transparency")


@pytest.mark.parametrize(("mark", "told"), [(b"8BIMLayr", True), (b"MIB861rL", True), (b"8BIMPatt", False)])
def test_layers_of_photoshop_are_told(mark, told, picture):
    data = b"Adobe Photoshop Document Data Block\0" + mark + bytes(99)
    photo = read_photo(tiff((picture, {"extratags": [(37724, 7, len(data), data, True)]})))
    assert any("layers" in note for note in photo.notes) == told


def ycbcr(picture, across, down):
    """Clumps of levels of brightness and two of colour, as TIFF 6.0 has them in section 21."""
    y, cb, cr = np.moveaxis(np.asarray(Image.fromarray(picture).convert("YCbCr")), 2, 0)
    height, width = y.shape
    clumps = y.reshape(height // down, down, width // across, across).swapaxes(1, 2).reshape(-1, across * down)
    return np.column_stack([clumps, cb[::down, ::across].ravel(), cr[::down, ::across].ravel()]).astype(np.uint8)


def ycbcr_tiff(strips, rows=40, across=1, down=1, compression=1, rationals=()):
    """A TIFF of 60x40 pixels, of so many rows in a strip; `rationals` are tags and their numbers, in 10,000ths."""
    lengths = [len(strip) for strip in strips]
    starts = [600 + sum(lengths[:number]) for number in range(len(strips))]
    entries = [(256, 3, 1, 60), (257, 3, 1, 40), (258, 3, 3, 400), (259, 3, 1, compression), (262, 3, 1, 6)]
    entries += [(277, 3, 1, 3), (278, 3, 1, rows)]
    more = np.array([8, 8, 8, 0], "<u2").tobytes()
    for tag, numbers in ((273, starts), (279, lengths)):
        entries.append((tag, 4, len(strips), numbers[0] if len(strips) == 1 else 400 + len(more)))
        more += np.array(numbers, "<u4").tobytes()
    for tag, numbers in ((530, ()), *rationals):
        place = 400 + len(more) if numbers else across | down << 16
        entries.append((tag, 5 if numbers else 3, len(numbers) or 2, place))
        more += np.array([[round(1e4 * number), 10_000] for number in numbers], "<u4").tobytes()
    rows = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + rows + bytes(4)
    return io.BytesIO(head.ljust(400, b"\0") + more.ljust(200, b"\0") + b"".join(strips))


def smooth(picture):
    return np.asarray(Image.fromarray(picture).resize((15, 10)).resize((60, 40), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2), (4, 2)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rows", [40, 16])
def test_ycbcr_without_jpeg_is_read(rows, packed, across, down, picture):
    parts = [ycbcr(smooth(picture)[top : top + rows], across, down).tobytes() for top in range(0, 40, rows)]
    strips = [imagecodecs.zlib_encode(part) if packed else part for part in parts]
    photo = read_photo(ycbcr_tiff(strips, rows, across, down, 8 if packed else 1))
    assert np.abs(photo.pixels * 255 - smooth(picture)).mean() < (1.5 if across == 1 else 12)


def test_ycbcr_of_television_is_read_as_its_tags_say(picture):
    """Of ITU-R BT.709: other shares of the colours, and black, white and colours at 16, 235 and 16 to 240."""
    y = smooth(picture) @ (0.2126, 0.7152, 0.0722) / 255
    blue, red = ((smooth(picture)[..., colour] / 255 - y) / scale for colour, scale in ((2, 1.8556), (0, 1.5748)))
    data = np.rint(np.dstack([16 + 219 * y, 128 + 224 * blue, 128 + 224 * red])).astype(np.uint8).tobytes()
    tags = ((529, (0.2126, 0.7152, 0.0722)), (532, (16, 235, 128, 240, 128, 240)))
    assert difference(ycbcr_tiff([data], rationals=tags), smooth(picture)) < 1


def test_a_turned_tiff_is_turned_by_every_reader(picture, tmp_path):
    lies = np.ascontiguousarray(np.rot90(picture))
    for number, options in enumerate(({}, {"compression": "jpegxl"}, {"compression": "zlib"})):
        path = tmp_path / f"{number}.tif"
        path.write_bytes(tiff((lies, options | {"extratags": [(274, "H", 1, 6, True)]})).getvalue())
        assert image_size(path) == (40, 60)
        assert difference(io.BytesIO(path.read_bytes()), picture) < 0.01


def test_big_tiff_keeps_what_it_says(picture, tmp_path):
    file = io.BytesIO()
    tags = [(271, "s", 0, "Leica", True), (700, "B", 9, b"<x:xmp/>\n", True)]
    tifffile.imwrite(file, picture, bigtiff=True, photometric="rgb", metadata=None, extratags=tags)
    photo = read_photo(io.BytesIO(file.getvalue()))
    assert b"Leica" in photo.exif
    assert photo.xmp.startswith(b"<x:xmp/>")
    assert dataclasses.replace(photo).depth == 8


@pytest.mark.parametrize(
    "options", [{"compression": "zlib", "predictor": True, "rowsperstrip": 16}, {"tile": (128, 128)}]
)
def test_a_large_tiff_is_read_and_written_in_little_more_memory_than_its_picture_takes(options, tmp_path):
    """Strip by strip; what libraries allocate themselves, as zlib and libtiff, is not counted."""
    levels = np.tile(np.random.default_rng(0).integers(0, 9000, (300, 400, 3), np.uint16), (5, 5, 1))
    tifffile.imwrite(tmp_path / "in.tif", levels, photometric="rgb", metadata=None, **options)
    tracemalloc.start()
    try:
        photo = read_photo(tmp_path / "in.tif", levels=True)
        reading = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        write_photo(tmp_path / "out.tif", photo)
        writing = tracemalloc.get_traced_memory()[1] - photo.pixels.nbytes
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), levels)
    assert reading < levels.nbytes + 4 * READ_AT_ONCE
    assert writing < 3 * READ_AT_ONCE
