"""What a still says about its colours is understood, whichever way it says it."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from lowlight.imaging.srgb import decoded, encoded
from lowlight.imaging.transfer import HLG, PQ, hlg_to_scene, nits_to_pq, pq_to_nits, scene_to_hlg
from lowlight.io import avif
from lowlight.io.hdr import to_sdr
from lowlight.io.icc import grey_profile
from lowlight.io.photo import read_photo
from tests.conftest import scene
from tests.material import adobe_rgb, cmyk, cmyk_profile

SRGB_XY = (0.3127, 0.329, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3_XY = (0.3127, 0.329, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)

TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""From linear sRGB: SMPTE EG 432-1 and ITU-R BT.2087."""


def linear(pixels):
    unit = pixels / 255
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


def srgb(light):
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def pq(light):
    power = (light * 203 / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light):
    scene_light = light * 0.265
    high = 0.17883277 * np.log(np.maximum(12 * scene_light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene_light <= 1 / 12, np.sqrt(3 * scene_light), high)


def camera_curve(light):
    return np.where(light < 0.018054, 4.5 * light, 1.099297 * light**0.45 - 0.099297)


@pytest.fixture(scope="module")
def picture():
    """With colours that fill sRGB."""
    pixels = scene(1, 40, 60).copy()
    pixels[:8, :, 0], pixels[:8, :, 1:] = np.linspace(0, 255, 60), 0
    pixels[8:16, :, 1], pixels[8:16, :, ::2] = np.linspace(255, 0, 60), 0
    return pixels


def chunks(*parts):
    """Of a PNG."""
    return b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def png(levels, *parts):
    """A PNG with chunks put before its pixels."""
    data = imagecodecs.png_encode(np.ascontiguousarray(levels))
    return io.BytesIO(data[:33] + chunks(*parts) + data[33:])


def chromaticities(values):
    return b"cHRM", struct.pack(">8I", *(round(value * 100000) for value in values))


def gamma(value):
    return b"gAMA", struct.pack(">I", round(value * 100000))


def error(file, picture, **options):
    photo = read_photo(file, **options)
    assert photo.pixels.shape == picture.shape
    return np.abs(photo.pixels * 255 - picture).mean(), photo


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("said", ["cicp", "chrm", "chrm alone", "both", "icc", "open"])
def test_display_p3_is_read_right_whichever_way_a_png_says_it(said, depth, picture):
    levels = np.rint(srgb(linear(picture) @ TO_P3.T) * (2**depth - 1)).astype(f"uint{depth}")
    cicp = (b"cICP", bytes((12, 13, 0, 1)))
    profile = rgb_profile(P3_XY, srgb_curve())
    icc = (b"iCCP", b"P3\0\0" + zlib.compress(profile))
    wrong = [chromaticities(SRGB_XY), gamma(1.0)]
    other = (b"iCCP", b"x\0\0" + zlib.compress(gamma_profile()))
    chunks = {
        "cicp": [cicp],
        "chrm": [chromaticities(P3_XY), gamma(0.45455)],
        "chrm alone": [chromaticities(P3_XY)],
        "both": [*wrong, other, cicp],  # CICP goes before all (PNG, third edition, 4.3)
        "icc": [icc, *wrong],  # and a profile before chromaticities
        "open": [icc, (b"cICP", bytes((2, 2, 0, 1))), *wrong],  # and where CICP leaves open what is meant
    }[said]
    difference, photo = error(png(levels, *chunks), picture)
    assert difference < 0.6
    assert photo.icc
    assert photo.depth == depth


def rgb_profile(xy, curve):
    primaries = [value for x, y in zip(xy[2::2], xy[3::2], strict=True) for value in (x, y, 1.0)]
    return imagecodecs.cms_profile("rgb", whitepoint=[*xy[:2], 1.0], primaries=primaries, transferfunction=curve)


def gamma_profile():
    return rgb_profile(SRGB_XY, (np.linspace(0, 1, 4096) ** 1.8).astype(np.float32))


def srgb_curve():
    return linear(np.linspace(0, 255, 4096)).astype(np.float32)


@pytest.mark.parametrize(("exponent", "tolerance"), [(1.0, 2), (1 / 1.8, 1), (0.45455, 1), (0.5, 1)])
def test_the_gamma_of_a_png_is_undone_unless_it_says_that_it_is_srgb(exponent, tolerance, picture):
    plain = abs(exponent - 0.45455) < 1e-9
    levels = picture if plain else np.rint(linear(picture) ** exponent * 255).astype(np.uint8)
    assert error(png(levels, gamma(exponent)), picture)[0] < tolerance
    assert error(png(picture, gamma(exponent), (b"sRGB", b"\0")), picture)[0] == 0
    deep = np.rint(linear(picture) ** exponent * 65535).astype(np.uint16)
    assert plain or error(png(deep, gamma(exponent)), picture)[0] < 0.3


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
def test_the_gamma_of_a_grey_png_counts_with_and_without_transparency(depth, alpha, picture):
    grey = picture[..., 1]
    levels = np.rint(linear(grey) ** (1 / 1.8) * (2**depth - 1)).astype(f"uint{depth}")
    if alpha:
        levels = np.dstack([levels, np.full_like(levels, 2**depth // 2)])
    photo = read_photo(png(levels, gamma(1 / 1.8)))
    assert np.abs(photo.pixels[..., 0] * 255 - grey).mean() < 1
    assert photo.grey
    assert (photo.alpha is not None) == alpha


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_grey_that_a_png_names_as_transparent_is_so_at_every_depth(depth):
    white = 2**depth - 1
    levels = np.array([0, 1, white - 1, white] * 2)
    row = int("".join(f"{level:0{depth}b}" for level in levels), 2).to_bytes(depth, "big")
    for hidden in (0, 1, white):
        made = chunks(
            (b"IHDR", struct.pack(">IIBBBBB", 8, 1, depth, 0, 0, 0, 0)),
            (b"tRNS", struct.pack(">H", hidden)),
            (b"IDAT", zlib.compress(b"\0" + row)),
            (b"IEND", b""),
        )
        photo = read_photo(io.BytesIO(b"\x89PNG\r\n\x1a\n" + made), levels=True)
        np.testing.assert_array_equal(photo.alpha[0], np.where(levels == hidden, 0, 255))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_a_profile_counts_in_every_mode(mode, picture):
    grey = mode.startswith("L")
    profile = imagecodecs.cms_profile("gray", gamma=1.8) if grey else gamma_profile()
    colours = Image.fromarray(picture).quantize(64).convert("RGB") if mode == "P" else Image.fromarray(picture)
    shown = np.asarray(colours.convert("L") if grey else colours)
    encoded = Image.fromarray(np.rint(linear(shown) ** (1 / 1.8) * 255).astype(np.uint8))
    image = encoded.quantize(256) if mode == "P" else encoded
    if mode.endswith("A"):
        image.putalpha(200)
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=profile)
    expected = np.repeat(shown[..., None], 3, 2) if grey else shown
    assert error(io.BytesIO(file.getvalue()), expected)[0] < 1.5


def test_a_colour_profile_of_a_grey_photo_counts(picture):
    levels = np.rint(linear(picture[..., 1]) ** (1 / 1.8) * 255).astype(np.uint8)
    for values in (levels, levels.astype(np.uint16) * 257):
        chunk = (b"iCCP", b"x\0\0" + zlib.compress(gamma_profile()))
        photo = read_photo(png(values, chunk))
        assert np.abs(photo.pixels[..., 0] * 255 - picture[..., 1]).mean() < 1.5


def test_all_levels_of_grey_and_of_inks_are_converted_finely(tmp_path):
    levels = np.arange(256, dtype=np.uint8)[None]
    Image.fromarray(levels).save(tmp_path / "grey.tif", icc_profile=imagecodecs.cms_profile("gray", gamma=1.8))
    expected = srgb((levels / 255) ** 1.8) * 255
    assert np.abs(read_photo(tmp_path / "grey.tif").pixels[..., 0] * 255 - expected).max() < 0.7
    straight = bytes(range(256))
    steep = bytes(np.rint(np.linspace(0, 1, 256) ** 4 * 255).astype(np.uint8))
    profile = cmyk_profile().replace(4 * straight, 4 * steep)
    inks = np.random.default_rng(1).integers(0, 256, (50, 50, 4), np.uint8)
    read = []
    for name, values in (("8.tif", inks), ("16.tif", inks.astype(np.uint16) * 257)):
        tifffile.imwrite(tmp_path / name, values, photometric="separated", iccprofile=profile)
        read.append(read_photo(tmp_path / name).pixels * 255)
    assert np.abs(read[0] - read[1]).max() < 0.7


@pytest.mark.parametrize("profile", [b"no profile", bytes(200), adobe_rgb()[:200], cmyk_profile()])
def test_a_profile_that_cannot_be_used_is_told(profile, picture, tmp_path):
    for name, values in (("8.tif", picture), ("16.tif", picture.astype(np.uint16) * 257)):
        tifffile.imwrite(tmp_path / name, values, photometric="rgb", iccprofile=profile)
        off, photo = error(tmp_path / name, picture)
        assert off == pytest.approx(0, abs=1e-3)
        assert ["profile cannot be used" in note for note in photo.notes] == [True]
    assert "plain ink" not in photo.notes[0]
    cmyk(np.dstack([picture, picture[..., 0]])).save(tmp_path / "cmyk.jpg", icc_profile=adobe_rgb())
    assert "plain ink" in read_photo(tmp_path / "cmyk.jpg").notes[0]


def test_a_profile_in_a_png_that_does_not_unpack_is_told(picture):
    assert "profile cannot be used" in read_photo(png(picture, (b"iCCP", b"x\0\0no zlib"))).notes[0]


def test_the_profile_of_a_grey_result_says_that_its_levels_are_as_those_of_srgb():
    """Also to Pillow's reader of profiles: grey of each level is sRGB of that level."""
    levels = np.arange(256, dtype=np.uint8)[None]
    profile = ImageCms.ImageCmsProfile(io.BytesIO(grey_profile()))
    shown = ImageCms.profileToProfile(Image.fromarray(levels), profile, srgb_profile(), outputMode="RGB")
    assert np.abs(np.asarray(shown).astype(int) - levels[..., None]).max() <= 1


def stills(signal, primaries, transfer, matrix):
    """The signal of a picture in every format that can say what it is."""
    deep, ten = np.rint(signal * 65535).astype(np.uint16), np.rint(signal * 1023).astype(np.uint16)
    yield png(deep, (b"cICP", bytes((primaries, transfer, 0, 1))))
    yield png(np.rint(signal * 255).astype(np.uint8), (b"cICP", bytes((primaries, transfer, 0, 1))))
    said = {"primaries": primaries, "transfer": transfer, "matrix": matrix}
    yield io.BytesIO(imagecodecs.avif_encode(ten, level=95, bitspersample=10, **said))
    heic = pillow_heif.from_bytes("RGB;16", (deep.shape[1], deep.shape[0]), deep.tobytes())
    file = io.BytesIO()
    heic.save(
        file,
        quality=-1,
        chroma="444",
        matrix_coefficients=matrix,
        color_primaries=primaries,
        transfer_characteristics=transfer,
    )
    yield io.BytesIO(file.getvalue())


@pytest.mark.parametrize(
    ("matrix", "curve", "primaries", "transfer", "tolerance"),
    [
        (TO_2020, pq, 9, 16, 2.5),
        (TO_P3, pq, 12, 16, 2.5),
        (np.eye(3), pq, 1, 16, 2.5),
        (TO_2020, hlg, 9, 18, 2.5),
        (TO_2020, camera_curve, 9, 14, 2.5),
        (TO_2020, srgb, 9, 13, 2.5),
        (TO_P3, srgb, 12, 13, 2),
        (np.eye(3), lambda light: light, 1, 8, 4),
        (np.eye(3), lambda light: light ** (1 / 2.2), 1, 4, 2),
    ],
)
def test_stills_look_the_same_in_every_colour_space_and_format(matrix, curve, primaries, transfer, tolerance, picture):
    signal = curve(np.clip(linear(picture) @ matrix.T, 0, 1))
    for file in stills(signal, primaries, transfer, 9 if primaries == 9 else 1):
        difference, photo = error(file, picture)
        assert difference < tolerance
        assert any("HDR" in note for note in photo.notes) == (transfer in (PQ, HLG))
        assert photo.icc


HDR_PROFILE = bytes(128) + struct.pack(">I4sII", 1, b"cicp", 144, 12) + b"cicp" + bytes((0, 0, 0, 0, 9, 16, 0, 1))
"""No more than a profile's tag that says PQ of BT.2020 (ICC.1:2022, 9.2.17)."""


def test_an_hdr_png_is_one_by_its_profile_too_and_by_cicp_whatever_its_profile_is(picture):
    levels = np.rint(pq(linear(picture) @ TO_2020.T) * 65535).astype(np.uint16)
    for profile, more in ((HDR_PROFILE, []), (gamma_profile(), [(b"cICP", bytes((9, 16, 0, 1)))])):
        difference, photo = error(png(levels, (b"iCCP", b"x\0\0" + zlib.compress(profile)), *more), picture)
        assert difference < 2.5
        assert any("HDR" in note for note in photo.notes)


@pytest.mark.parametrize("hdr", [True, False], ids=["that means it", "of another kind"])
def test_an_hdr_avif_with_a_profile_is_hdr_if_the_profile_means_it(hdr, picture, monkeypatch):
    monkeypatch.setattr(avif, "PRIMARIES", 9)
    monkeypatch.setattr(avif, "TRANSFER", PQ)
    signal = pq(linear(picture) @ TO_2020.T) if hdr else srgb(linear(picture) @ TO_P3.T)
    profile = rgb_profile(P3_XY, srgb_curve()) + (b"Rec2100 PQ" if hdr else b"")
    file = io.BytesIO()
    avif.write_deep_avif(file, np.rint(signal * 65535).astype(np.uint16), 10, 100, 8, profile)
    difference, photo = error(io.BytesIO(file.getvalue()), picture)
    assert difference < 2.5
    assert any("HDR" in note for note in photo.notes) == hdr


@pytest.mark.parametrize("depth", [8, 16])
def test_an_hdr_still_keeps_its_transparency(depth, picture):
    white = 2**depth - 1
    alpha = np.linspace(0, white, picture[..., 0].size).reshape(picture.shape[:2]).astype(f"uint{depth}")
    levels = np.rint(pq(linear(picture) @ TO_2020.T) * white).astype(alpha.dtype)
    photo = read_photo(png(np.dstack([levels, alpha]), (b"cICP", bytes((9, 16, 0, 1)))), levels=True)
    assert photo.pixels.dtype == photo.alpha.dtype == np.uint16
    np.testing.assert_allclose(photo.alpha / 65535, alpha / white, atol=1e-6)


@pytest.mark.parametrize(
    ("there", "back", "light", "signal"),
    [
        (nits_to_pq, pq_to_nits, (0, 100, 203, 1000, 10_000), (0, 0.5081, 0.5807, 0.7518, 1)),
        (scene_to_hlg, hlg_to_scene, (0, 1 / 48, 1 / 12, 0.2650, 1), (0, 0.25, 0.5, 0.75, 1)),
        (encoded, decoded, (0, 0.001, 0.0031308, 0.01, 0.2140, 1), (0, 0.01292, 0.04045, 0.0998528, 0.5, 1)),
    ],
    ids=["PQ", "HLG", "sRGB"],
)
def test_curves_have_the_values_of_their_standards(there, back, light, signal):
    """ITU-R BT.2100 and the levels in BT.2408; IEC 61966-2-1."""
    assert there(np.array(light, float)) == pytest.approx(signal, abs=1e-4)
    assert back(there(np.array(light, float))) == pytest.approx(light, rel=1e-4, abs=1e-6)


def test_light_above_white_is_rolled_off_and_keeps_its_order_and_hue():
    light = np.geomspace(0.01, 20, 400)
    signal = np.rint(pq(light[:, None] * np.array([1, 0.5, 0.25])) * 65535).astype(np.uint16)[None]
    result, rolled_off = to_sdr(signal, PQ, np.eye(3))
    assert rolled_off
    red, green, blue = linear(result[0].astype(float).T / 257)
    assert (np.diff(red) >= 0).all()
    assert red[-1] > 0.97
    np.testing.assert_allclose(red[light < 0.2], light[light < 0.2], rtol=0.02)
    np.testing.assert_allclose(green[50:], red[50:] / 2, rtol=0.02)
    np.testing.assert_allclose(blue[50:], red[50:] / 4, rtol=0.02)


def test_a_few_stuck_pixels_do_not_darken_an_hdr_still(picture):
    signal = pq(linear(picture) @ TO_2020.T)
    signal[3, 3] = 1
    large = np.tile(signal, (6, 6, 1))
    large[0, 0] = 1
    large[signal.shape[0] :][large[signal.shape[0] :] == 1] = 0.5
    levels = np.rint(large * 65535).astype(np.uint16)
    result, rolled_off = to_sdr(levels, PQ, np.linalg.inv(TO_2020))
    assert not rolled_off
    assert np.abs(result[50:, 70:] / 257 - np.tile(picture, (6, 6, 1))[50:, 70:]).mean() < 1


@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp"])
@pytest.mark.parametrize(("number", "index", "wide"), [(65535, "R03", 1), (65535, "R98", 0), (2, "", 1), (1, "R03", 0)])
def test_dcf_adobe_rgb_is_read_where_there_is_no_profile(number, index, wide, suffix, picture):
    adobe, standard = ImageCms.ImageCmsProfile(io.BytesIO(imagecodecs.cms_profile("adobergb"))), srgb_profile()
    encoded = ImageCms.profileToProfile(Image.fromarray(picture), standard, adobe)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Canon"
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.ColorSpace] = number
    if index:
        inner[ExifTags.IFD.Interop] = {1: index}
    file = io.BytesIO()
    options = {"lossless": True} if suffix == "webp" else {"quality": 98, "subsampling": 0}
    form = {"jpg": "JPEG", "tif": "TIFF", "webp": "WEBP"}[suffix]
    (encoded if wide else Image.fromarray(picture)).save(file, form, exif=exif, **options if suffix != "tif" else {})
    difference, photo = error(io.BytesIO(file.getvalue()), picture)
    assert difference < 2
    assert bool(photo.icc) == bool(wide)


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@pytest.mark.parametrize("bits", [10, 12])
def test_more_than_8_bits_of_an_avif_and_a_heic_are_read(bits, picture):
    ramp = np.linspace(0, 2**bits - 1, 60 * 40).reshape(40, 60)
    levels = np.rint(np.dstack([ramp, ramp[::-1], ramp[:, ::-1]])).astype(np.uint16)
    avif = imagecodecs.avif_encode(levels, level=100, bitspersample=bits)
    file = io.BytesIO()
    heic = pillow_heif.from_bytes("RGB;16", (60, 40), (levels << (16 - bits)).tobytes())
    heic.save(file, quality=-1, chroma="444")
    for data in (avif, file.getvalue()):
        photo = read_photo(io.BytesIO(data))
        assert photo.depth == 16
        assert np.abs(photo.pixels - levels / (2**bits - 1)).max() < 4 / 1023
        assert len(np.unique(photo.pixels[..., 0])) > 500


def test_tiffs_have_profiles_too_whatever_they_are_packed_in(picture):
    encoded = np.rint(linear(picture) ** (1 / 1.8) * 255).astype(np.uint8)
    profile = gamma_profile()
    for options in ({}, {"compression": "jpegxl"}, {"compression": "png"}, {"tile": (16, 16), "compression": "zstd"}):
        file = io.BytesIO()
        tifffile.imwrite(file, encoded, photometric="rgb", iccprofile=profile, metadata=None, **options)
        assert error(io.BytesIO(file.getvalue()), picture)[0] < 1.5
