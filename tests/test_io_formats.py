"""The table of formats is true: each is read and written as it says, and the page about them is made of it."""

import io
import struct
import zlib
from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from lowlight.imaging.pixels import as_float
from lowlight.io import bmff, formats, heif, jpeg
from lowlight.io.exif import EXIF_HEADER
from lowlight.io.formats import FORMATS, TABLE
from lowlight.io.icc import grey_profile, srgb_profile
from lowlight.io.photo import ImageError, Photo, count_frames, encode, image_size, notes_on, read_photo
from lowlight.io.xmp import CREDENTIALS_LEFT_OUT, GAIN_MAP_LEFT_OUT
from tests import material
from tests.conftest import scene

PICTURE = scene(1, 40, 60)

BY_NAME = {form.name.upper(): form for form in TABLE}


SAMPLES = list(material.samples())


@pytest.mark.parametrize(("name", "data", "shown", "depth"), [pytest.param(*row, id=row[0]) for row in SAMPLES])
def test_every_kind_of_file_is_read(name, data, shown, depth):
    photo = read_photo(io.BytesIO(data))
    expected = np.repeat(shown[..., None], 3, 2) if shown.ndim == 2 else shown
    assert photo.pixels.shape == expected.shape
    assert np.abs(photo.pixels * 255 - expected).mean() < (7 if name == "GIF" else 3.5)
    assert (photo.depth, photo.grey) == (depth, shown.ndim == 2)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("PAM", b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nENDHDR\n123"),
        ("PFM", b"PF\n1 1\n-1.0\n" + bytes(12)),
        ("Targa", material.encoded(PICTURE, format="TGA")),
        ("JPEG XR", imagecodecs.jpegxr_encode(PICTURE)),
        ("of icons", material.encoded(PICTURE[:32, :32], format="ICO")),
    ],
)
def test_a_picture_of_a_kind_that_is_not_read_is_called_so(kind, data):
    with pytest.raises(ImageError, match=rf"pictures of that kind \({kind}\) are not; save it as TIFF"):
        read_photo(io.BytesIO(data))
    with pytest.raises(ImageError, match=r"^What was given is not a photo\.$"):
        read_photo(io.BytesIO(b"Dear diary"))


@pytest.mark.parametrize("data", [row[1] for row in SAMPLES], ids=[row[0] for row in SAMPLES])
def test_a_file_cut_short_is_refused_or_read(data):
    for share in (0.02, 0.3, 0.7):
        with suppress(ImageError):
            read_photo(io.BytesIO(data[: int(len(data) * share)]))


@pytest.mark.parametrize("form", ["WEBP", "AVIF", "HEIF", "TIFF", "JPEG2000", "JPEG XL", "JPEG, 12 bits"])
def test_a_file_that_says_it_is_longer_or_has_no_end_is_told_to_be_cut_short(form):
    heif.register_heic()
    data = next((data for name, data, *_ in SAMPLES if name == form), None) or material.encoded(PICTURE, format=form)
    with pytest.raises(ImageError, match="cut short"):
        read_photo(io.BytesIO(data[: len(data) * 3 // 4]))


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


CREDENTIALS = box(b"jumb", box(b"jumd", b"c2pa\0\x11\0\x10\x80\0\0\xaa\08\x9bq\3c2pa\0") + bytes(40))
"""Of C2PA 2.1, 11.1.4.2, but for what they say."""


def with_credentials(form):
    """Where C2PA 2.1, annex A, puts them."""
    data = b"" if form in ("TIFF", "JPEG XL") else material.encoded(PICTURE, format=form)
    if form == "JPEG":
        segment = b"JP\0\1\0\0\0\1" + CREDENTIALS
        return data[:2] + struct.pack(">BBH", 0xFF, 0xEB, 2 + len(segment)) + segment + data[2:]
    if form == "PNG":
        chunk = b"caBX" + CREDENTIALS
        return (
            data[:33] + struct.pack(">I", len(CREDENTIALS)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
        )
    if form == "WEBP":
        more = b"C2PA" + struct.pack("<I", len(CREDENTIALS)) + CREDENTIALS + bytes(len(CREDENTIALS) % 2)
        return data[:4] + struct.pack("<I", len(data) - 8 + len(more)) + data[8:] + more
    if form == "TIFF":
        file = io.BytesIO()
        tags = [(52545, 7, len(CREDENTIALS), CREDENTIALS, True)]
        tifffile.imwrite(file, PICTURE, photometric="rgb", metadata=None, extratags=tags)
        return file.getvalue()
    if form == "JPEG XL":
        return imagecodecs.jpegxl_encode(PICTURE, usecontainer=True) + CREDENTIALS
    name = bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(4) + b"manifest\0" + bytes(8)
    return data + box(b"uuid", name + CREDENTIALS)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "JPEG XL"])
def test_content_credentials_which_do_not_hold_for_a_result_are_told(form):
    heif.register_heic()
    assert read_photo(io.BytesIO(with_credentials(form))).notes == (CREDENTIALS_LEFT_OUT,)


def test_an_animation_in_jpeg_xl_is_told():
    frames = np.stack([PICTURE, 255 - PICTURE])
    data = imagecodecs.jpegxl_encode(frames, photometric="rgb", lossless=True)
    for number in (None, 1):
        photo = read_photo(io.BytesIO(data), frame=number)
        assert (np.rint(photo.pixels * 255) == PICTURE).all()
        assert photo.notes == ("it is an animation, of which the first picture is read",)
    with pytest.raises(ImageError, match="of an animated JPEG XL the first picture alone is; leave out --frame"):
        read_photo(io.BytesIO(data), frame=2)


def test_a_jpeg_ls_without_its_end_is_refused_before_its_decoder_looks_for_it_for_seconds():
    (data,) = (row[1] for row in SAMPLES if row[0] == "JPEG-LS")
    with pytest.raises(ImageError, match="it is cut short"):
        read_photo(io.BytesIO(data[: len(data) // 3]))


def test_a_png_with_a_broken_text_is_read_and_one_with_broken_pixels_is_not():
    data = material.encoded(PICTURE, format="PNG")
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
        else material.encoded(PICTURE, format=form, lossless=True)
    )
    photo = read_photo(io.BytesIO(data))
    again = read_photo(io.BytesIO(encode(photo, suffix)))
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert again.lossless
    assert len(encode(photo, suffix, quality=50)) < len(encode(photo, suffix))


def test_a_jpeg_of_a_webp_without_loss_is_one_that_all_viewers_show():
    photo = read_photo(io.BytesIO(material.encoded(PICTURE, format="WEBP", lossless=True)))
    assert photo.lossless
    baseline = 0xC0  # ITU-T T.81, table B.1
    assert jpeg.read_header(io.BytesIO(encode(photo, ".jpg"))).kind == baseline


@pytest.mark.parametrize("suffix", [".jpg", ".jfif", ".jpe", ".tif", ".png", ".webp"])
def test_the_page_of_formats_and_the_names_are_those_of_the_table(suffix):
    assert (ROOT / "docs" / "formats.md").read_text(encoding="utf-8") == formats.markdown()
    assert FORMATS[suffix] in BY_NAME
    assert suffix in formats.IMAGE_SUFFIXES


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("suffix", sorted({".avif", ".heic"} & set(FORMATS)))
def test_10_and_12_bits_come_out_as_many(suffix, bits):
    ramp = np.add.outer(np.arange(96) * 511, np.arange(128) * 131).astype(np.uint16)
    photo = Photo(np.dstack([ramp, ramp[:, ::-1], ramp[::-1]]), depth=16, bits=bits)
    written = encode(photo, suffix, quality=100)
    assert bmff.still(io.BytesIO(written)).bits == bits
    again = read_photo(io.BytesIO(written), levels=True)
    assert again.bits == bits
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 300
    assert len(np.unique(again.pixels[..., 1])) > 2 ** (bits - 1)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("beside", [False, True])
def test_each_picture_of_an_animated_png_can_be_read_also_one_that_is_not_shown(beside, count, tmp_path):
    pictures = [PICTURE, 255 - PICTURE, PICTURE[::-1]][: count + 1]
    first, *others = map(Image.fromarray, pictures)
    first.save(tmp_path / "a.png", save_all=True, append_images=others, default_image=beside)
    assert count_frames(tmp_path / "a.png") == len(pictures)
    for number, picture in enumerate(pictures, 1):
        photo = read_photo(tmp_path / "a.png", frame=number, levels=True)
        np.testing.assert_array_equal(photo.pixels, picture)


UNDEFINED, DISPARITY, THUMBNAIL = 0, 0x020002, 0x010001
"""Kinds of pictures in an MPO (CIPA DC-007, 5.2.3.3.1)."""


@pytest.mark.parametrize(
    ("kinds", "size", "count"),
    [
        ([UNDEFINED], (60, 40), 2),
        ([UNDEFINED], (30, 20), 1),
        ([DISPARITY], (60, 40), 2),
        ([THUMBNAIL], (60, 40), 1),
        ([THUMBNAIL, DISPARITY], (60, 40), 2),
        ([THUMBNAIL, UNDEFINED], (60, 40), 2),
    ],
)
def test_pictures_of_an_mpo_are_counted_without_thumbnails_and_each_can_be_read(kinds, size, count, tmp_path):
    shown = [Image.fromarray(scene(2 + number, 40, 60)).resize(size) for number in range(len(kinds))]
    file, path = io.BytesIO(), tmp_path / "a.mpo"
    Image.fromarray(PICTURE).save(file, "MPO", save_all=True, append_images=shown, quality=95, subsampling=0)
    data = bytearray(file.getvalue())
    with Image.open(file) as image:
        entries = image.mpinfo[0xB002]
    for entry, kind in zip(entries[1:], kinds, strict=True):
        place = data.index(struct.pack("<II", entry["Size"], entry["DataOffset"])) - 4
        data[place : place + 4] = struct.pack("<I", kind)
    path.write_bytes(data)
    assert count_frames(path) == count
    assert [f"holds {count} pictures" in note for note in read_photo(path).notes] == [True] * (count > 1)
    views = [PICTURE, *(np.asarray(view) for view, kind in zip(shown, kinds, strict=True) if kind != THUMBNAIL)]
    for number in range(1, count + 1):
        assert np.abs(read_photo(path, frame=number).pixels * 255 - views[number - 1]).mean() < 4
    with_gain_map = read_photo(io.BytesIO(data + b"urn:iso:std:iso:ts:21496:-1"))
    assert UNDEFINED not in kinds or with_gain_map.notes == (GAIN_MAP_LEFT_OUT,)


@pytest.mark.parametrize("grey", [False, True])
def test_each_picture_of_an_avif_of_10_bits_can_be_read(grey):
    deep = material.deep_picture(3)[..., 0 if grey else slice(3)] >> 6
    frames = np.stack([deep, 1023 - deep, deep[::-1]])
    data = imagecodecs.avif_encode(frames, bitspersample=10, level=100, pixelformat="400" if grey else "444")
    for number, frame in enumerate(frames, 1):
        photo = read_photo(io.BytesIO(data), frame=number)
        expected = np.repeat(frame[..., None], 3, 2) if grey else frame
        assert (photo.depth, photo.grey, photo.notes) == (16, grey, ())
        np.testing.assert_allclose(photo.pixels, expected / 1023, atol=1e-4)
    np.testing.assert_array_equal(read_photo(io.BytesIO(data)).pixels, read_photo(io.BytesIO(data), frame=1).pixels)


@pytest.mark.skipif(".heic" not in FORMATS, reason="needs pillow-heif")
@pytest.mark.parametrize("deep", [False, True])
def test_of_a_burst_in_a_heic_the_main_picture_is_read_and_each_can_be(deep):
    """Which of them that is, the file says: seldom the first."""
    import pillow_heif

    burst = pillow_heif.HeifFile()
    for level in (40, 120, 200):
        pixels = np.full((64, 96, 3), level * (257 if deep else 1), np.uint16 if deep else np.uint8)
        burst.add_frombytes("RGB;16" if deep else "RGB", (96, 64), pixels.tobytes())
    file = io.BytesIO()
    burst.save(file, quality=100, primary_index=1)
    shown = [read_photo(io.BytesIO(file.getvalue()), frame=number).pixels.mean() * 255 for number in (None, 1, 2, 3)]
    np.testing.assert_allclose(shown, (120, 40, 120, 200), atol=1)
    (note,) = read_photo(io.BytesIO(file.getvalue())).notes
    assert note.startswith("it holds 3 pictures, of which the main one is read")


@pytest.mark.parametrize("mode", ["RGBa", "RGBa;16"])
def test_colours_of_a_heic_that_were_multiplied_by_transparency_are_divided_by_it(mode):
    import pillow_heif

    kind = np.uint16 if mode.endswith("16") else np.uint8
    levels = np.full((40, 60, 4), np.array([0.1, 0.2, 0.4, 0.5]) * np.iinfo(kind).max, kind)
    file = io.BytesIO()
    pillow_heif.from_bytes(mode, (60, 40), levels.tobytes()).save(file, quality=95)
    photo = read_photo(io.BytesIO(file.getvalue()))
    np.testing.assert_allclose(photo.pixels, np.broadcast_to([0.2, 0.4, 0.8], (40, 60, 3)), atol=0.02)
    np.testing.assert_allclose(as_float(photo.alpha), 0.5, atol=0.01)


def test_what_a_scanner_calls_a_page_and_all_comments_of_a_jpeg_are_kept():
    file, names = io.BytesIO(), {ExifTags.Base.DocumentName: "diary", ExifTags.Base.PageName: "page 7"}
    Image.fromarray(PICTURE).save(file, "TIFF", tiffinfo=names)
    for suffix in (".tif", ".jpg"):
        with Image.open(io.BytesIO(encode(read_photo(io.BytesIO(file.getvalue())), suffix))) as image:
            assert names.items() <= dict(image.getexif()).items()
    data = material.encoded(PICTURE, format="JPEG", comment=b"second")
    assert read_photo(io.BytesIO(data[:2] + b"\xff\xfe\0\x08first\0" + data[2:])).comment == b"first\nsecond"


@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_an_avif_of_10_bits_has_what_belongs_to_the_photo(grey, with_alpha):
    """As Pillow reads it, by libavif."""
    pixels = np.repeat(np.arange(64 * 48, dtype=np.uint16).reshape(48, 64, 1) * 20, 3, 2)
    alpha = np.full((48, 64), 30000, np.uint16) if with_alpha else None
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "Jane Doe"
    about = {"exif": exif.tobytes().removeprefix(EXIF_HEADER), "xmp": b"<x:xmpmeta/>", "icc": srgb_profile()}
    photo = Photo(pixels, alpha, grey, depth=16, **about)
    with Image.open(io.BytesIO(encode(photo, ".avif"))) as image:
        assert image.mode.endswith("A") == with_alpha
        assert image.getexif()[ExifTags.Base.Copyright] == "Jane Doe"
        assert image.info["xmp"] == photo.xmp
        assert image.info["icc_profile"] == photo.icc
        shown = np.asarray(image.convert("RGB"), float)
    assert np.abs(shown - pixels / 257).mean() < 1.5
    with Image.open(io.BytesIO(encode(photo, ".avif", strip_metadata=True))) as image:
        assert not {"exif", "xmp"} & set(image.info)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_dng_is_as_large_as_it_says_without_the_rim_around_it(orientation, tmp_path):
    lies = material.lying(PICTURE, orientation)
    crop = [(50719, "2I", 2, (4, 1, 2, 1), True), (50720, "2I", 2, (30, 1, 24, 1), True)]
    for path, area in ((tmp_path / "all.dng", []), (tmp_path / "active.dng", [(50829, "I", 4, (2, 2, 38, 38), True)])):
        material.write_dng(path, lies, orientation, [*crop, *area])
        top, left = (4, 6) if area else (2, 4)
        image = Image.fromarray(np.ascontiguousarray(lies[top : top + 24, left : left + 30]))
        image.getexif()[ExifTags.Base.Orientation] = orientation
        expected = np.asarray(ImageOps.exif_transpose(image))
        photo = read_photo(path)
        assert image_size(path) == photo.pixels.shape[:2] == expected.shape[:2]
        assert np.abs(photo.pixels * 255 - expected).mean() < 3


def test_a_dng_that_libraw_does_not_know_is_told_with_why(tmp_path):
    material.write_dng(tmp_path / "new.dng", PICTURE, compression="jpegxl_dng")
    with pytest.raises(ImageError, match="JPEG XL; save it as"):
        read_photo(tmp_path / "new.dng")


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_a_panorama_that_is_too_long_for_a_format_is_told_with_what_holds_it(suffix, capfd):
    photo = Photo(np.zeros((2, 70000, 3), np.uint8))
    with pytest.raises(ImageError, match=r"at most \d+ pixels a side. Received: 70000x2. Write it as PNG or TIFF\.$"):
        encode(photo, suffix)
    assert capfd.readouterr() == ("", "")
    assert read_photo(io.BytesIO(encode(photo, ".png"))).pixels.shape == (2, 70000, 3)


def test_the_result_of_what_is_not_written_has_a_format_that_is():
    for form in TABLE:
        for suffix in form.suffixes:
            assert FORMATS[formats.result_suffix(suffix).lower()]


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_what_is_transparent_lies_on_white_where_it_has_no_place_and_that_is_told(suffix):
    pixels, alpha = np.zeros((48, 48, 3), np.uint8), np.repeat(np.uint8([0, 128, 255]), 16)[:, None].repeat(48, 1)
    photo = Photo(pixels, alpha)
    shown = read_photo(io.BytesIO(encode(photo, suffix)), levels=True).pixels[[4, 24, 44], 24, 1]
    np.testing.assert_allclose(shown, [255, 127, 0], atol=3)
    assert len(notes_on(photo, suffix)) == 1
    assert notes_on(photo, ".png") == []
    for nowhere in (0, 255):
        opaque = Photo(pixels, np.full_like(alpha, nowhere))
        assert notes_on(opaque, suffix) == []
        assert read_photo(io.BytesIO(encode(opaque, suffix))).pixels.max() < 0.02


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
    if with_alpha and not form.alpha:
        pixels = (as_float(pixels) + 1) / 2  # half of it is seen, on white
    assert again.pixels.shape == pixels.shape
    lossless = suffix in (".png", ".tif", ".bmp")
    error = as_float(again.pixels) - as_float(pixels)
    if suffix == ".heic":  # as cameras write it, with colour at half the resolution
        error = error @ np.float32((0.299, 0.587, 0.114))
    small = min(size) < 16  # where a block that is packed has more edge than picture
    assert np.abs(error).mean() * 255 <= (0.6 if lossless else 60 if small else 8)
    assert again.depth == (16 if depth == 16 and max(form.bits_written) > 8 else 8)
    assert (again.alpha is not None) == (with_alpha and form.alpha)
    assert bool(again.icc) == (tagged and "ICC" in form.metadata_written)
