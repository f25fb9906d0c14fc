"""A folder of awkward photos, and what is to become of each."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.conftest import scene

HEIGHT, WIDTH = 40, 60

CAMERA, LATITUDE, EXPOSURE = "Kodak Brownie", (48.0, 12.0, 30.0), 0.25
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a caption</x:xmpmeta>"

SUFFIXES = {
    "JPEG XL": ".jxl",
    "J2K": ".j2k",
    "JP2": ".jp2",
    "JPEG": ".jfif",
    "PP": ".ppm",
    "PG": ".pgm",
    "PB": ".pbm",
} | {
    "BMP": ".bmp",
    "GIF": ".png",
}
"""Of the names of `samples`."""

CUTS = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)

AWKWARD_NAMES = (
    "with spaces  in it.jpg",
    " leading.jpg",
    "quo'te\".jpg",
    "new\nline.jpg",
    "-dash.jpg",
    "100%20$HOME;`ls`.jpg",
    "[ab]*?.jpg",
    "märchen-夜.jpg",
    "🌃🎆.jpg",
    "LOUD.JPG",
    "two.dots.jpeg",
    "x" * 196 + ".jpg",
    "y" * 251 + ".jpg",
)


class Entry(NamedTuple):
    """A photo of the corpus."""

    path: Path
    kind: str
    """good or bad: bad ones must be told by name, and stop nothing."""
    picture: np.ndarray | None = None
    """(H, W, 3) float32 in [0, 1], upright, sRGB: what reading gives, about."""
    tolerance: float = 1
    """Mean difference from `picture`, in levels of 255, that is no mistake."""
    alpha: np.ndarray | None = None
    """(H, W) float in [0, 1], if there is transparency; `picture` counts only where it is above 0."""
    grey: bool = False
    depth: int = 8
    metadata: bool = False
    """Whether it has `CAMERA`, `LATITUDE` and `EXPOSURE` in its EXIF, and `XMP`."""
    profile: bool = False
    """Whether it has a colour profile; then the result has sRGB's."""
    message: str = ""
    """For bad ones: a regular expression that the error matches."""


def make(folder: Path) -> list[Entry]:
    """Write the corpus into a folder (made if need be), and something that is no photo: a folder named like one, and
    links that lead nowhere or round in a ring.

    HEIC and raw are part of it if the packages that make and read them are installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.jpg").mkdir()
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "lost.jpg").symlink_to("nowhere.jpg")
    (folder / "ring").symlink_to(".")
    makers = (_modes, _deep, _orientations, _profiles, _metadata, _names_and_sizes, _extras, _rare, _bad)
    return [entry for maker in makers for entry in maker(folder)]


def exif(orientation: int = 1) -> Image.Exif:
    """With `CAMERA`, `LATITUDE` and `EXPOSURE`."""
    made = Image.Exif()
    made[ExifTags.Base.Orientation], made[ExifTags.Base.Model] = orientation, CAMERA
    made.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = EXPOSURE
    made.get_ifd(ExifTags.IFD.GPSInfo).update({ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: LATITUDE})
    return made


def lying(picture: np.ndarray, orientation: int) -> np.ndarray:
    """A picture as it lies in a file of that orientation: row 0 and column 0 are what EXIF 2.3, 4.6.4 A, says."""
    return {
        1: lambda p: p,  # top, left
        2: lambda p: p[:, ::-1],  # top, right
        3: lambda p: p[::-1, ::-1],  # bottom, right
        4: lambda p: p[::-1],  # bottom, left
        5: lambda p: np.swapaxes(p, 0, 1),  # left, top
        6: lambda p: np.rot90(p),  # right, top
        7: lambda p: np.rot90(p)[:, ::-1],  # right, bottom
        8: lambda p: np.rot90(p, -1),  # left, bottom
    }[orientation](picture)


def adobe_rgb() -> bytes:
    """A profile wider than sRGB."""
    return imagecodecs.cms_profile("adobergb")


def cmyk_profile() -> bytes:
    """A profile in which cyan and magenta have changed places: ink that is 0 or full gives what it says exactly."""
    corners = np.stack(np.meshgrid(*[[0, 255]] * 4, indexing="ij"), axis=-1).reshape(1, 16, 4).astype(np.uint8)
    inks = _cmyk(corners[..., [1, 0, 2, 3]]).convert("RGB")
    lab = ImageCms.profileToProfile(
        inks, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    table = np.asarray(lab).reshape(16, 3) + np.array([0, 128, 128], np.uint8)  # a* and b* are signed in Pillow
    straight = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + 4 * straight + table.tobytes() + 3 * straight
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut))
    white = struct.pack(">3i", 63190, 65536, 54061)
    header = struct.pack(">I4xI4s4s4s12x4s28x", 144 + len(lut), 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp") + white
    return header.ljust(128, b"\0") + tags + lut


def _picture(seed=1, height=HEIGHT, width=WIDTH):
    return scene(seed, height, width)


def _good(path, pixels, **expected) -> Entry:
    picture = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 65535)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    return Entry(path, "good", picture, **expected)


def _saved(path, pixels, mode="RGB", tolerance=1.0, expected=None, **options) -> Entry:
    """8-bit RGB pixels as an image of some mode; `expected` if that is another picture."""
    image = Image.fromarray(pixels).convert(mode)
    alpha = None
    if mode in ("RGBA", "LA"):
        levels = _alpha(*pixels.shape[:2])
        image.putalpha(Image.fromarray(levels))
        alpha = levels / 255
    image.save(path, **options)
    grey = mode in ("1", "L", "LA")
    expected = np.asarray(Image.fromarray(pixels).convert(mode).convert("RGB")) if expected is None else expected
    return _good(path, expected, tolerance=tolerance, alpha=alpha, grey=grey)


def _alpha(height, width):
    """From nothing to all, whole columns of either at the ends."""
    return np.tile(np.clip(np.linspace(-40, 295, width), 0, 255).astype(np.uint8), (height, 1))


def _modes(folder) -> Iterator[Entry]:
    pixels = _picture()
    by_format = {
        "jpg": ("RGB", "L", "CMYK"),
        "png": ("RGB", "RGBA", "L", "LA", "P", "1"),
        "webp": ("RGB", "RGBA"),
        "tif": ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK"),
        "bmp": ("RGB", "L", "P", "1"),
        "avif": ("RGB", "RGBA"),
    }
    lossy = {"jpg": 5, "webp": 5, "avif": 4}
    for suffix, modes in by_format.items():
        for mode in modes:
            yield _saved(folder / f"{suffix}_{mode}.{suffix}", pixels, mode, tolerance=lossy.get(suffix, 1))
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        path = folder / f"{compression}.tiff"
        yield _saved(path, pixels, tolerance=5 if compression == "jpeg" else 1, compression=compression)
    yield _saved(folder / "lossless.webp", pixels, lossless=True)
    yield _saved(folder / "progressive.jpg", pixels, tolerance=5, progressive=True, quality=80)
    frames = [Image.fromarray(255 - pixels)]
    for name in ("frames.tif", "frames.png", "frames.webp"):
        yield _saved(folder / name, pixels, tolerance=5, save_all=True, append_images=frames)
    palette = Image.fromarray(pixels).quantize(16)
    palette.save(folder / "transparent palette.png", transparency=3)
    seen = (np.asarray(palette) != 3).astype(float)
    yield _good(folder / "transparent palette.png", np.asarray(palette.convert("RGB")), alpha=seen)
    Image.fromarray(np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])).save(folder / "nothing seen.png")
    yield _good(folder / "nothing seen.png", pixels, alpha=np.zeros(pixels.shape[:2]))


def deep_picture(channels: int = 3) -> np.ndarray:
    """(H, W, channels) uint16 with levels that 8 bits do not hold; the fourth channel is for transparency."""
    fine = np.random.default_rng(2).integers(0, 257, (HEIGHT, WIDTH, 4), np.uint16)
    pixels = np.dstack([_picture(), _alpha(HEIGHT, WIDTH)]).astype(np.uint16) * 257
    deep = np.minimum(pixels, 65000) + fine
    deep[..., 3][pixels[..., 3] == 0] = 0
    return np.ascontiguousarray(deep[..., :channels])


def _deep(folder) -> Iterator[Entry]:
    grey, rgb, rgba = deep_picture(1)[..., 0], deep_picture(3), deep_picture(4)
    alpha = rgba[..., 3] / 65535
    with_grey, with_alpha = {"depth": 16, "grey": True}, {"depth": 16, "alpha": alpha}
    for name, pixels in (("grey", grey), ("rgb", rgb), ("rgba", rgba), ("grey_alpha", np.dstack([grey, rgba[..., 3]]))):
        (folder / f"deep_{name}.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
        more = {"depth": 16, "grey": "grey" in name, "alpha": alpha if name.endswith("a") else None}
        colour = pixels if pixels.ndim == 2 else pixels[..., :1] if pixels.shape[2] == 2 else pixels[..., :3]
        yield _good(folder / f"deep_{name}.png", colour.squeeze(), tolerance=0.01, **more)
    tiffs = {
        "grey": (grey, {}, with_grey),
        "white_is_0": (65535 - grey, {"photometric": "miniswhite"}, with_grey),
        "rgb": (rgb, {"compression": "zlib", "predictor": True}, {"depth": 16}),
        "lzw": (rgb, {"compression": "lzw"}, {"depth": 16}),
        "big_endian": (rgb, {"byteorder": ">"}, {"depth": 16}),
        "planes": (np.moveaxis(rgb, 2, 0), {"planarconfig": "separate"}, {"depth": 16}),
        "tiles": (rgb, {"tile": (16, 16), "compression": "zlib"}, {"depth": 16}),
        "rgba": (rgba, {"extrasamples": ["unassalpha"]}, with_alpha),
        "grey_alpha": (rgba[..., [0, 3]], {"extrasamples": ["unassalpha"]}, {**with_alpha, "grey": True}),
        "32_bits": (rgb.astype(np.uint32) * 65537, {}, {"depth": 16}),
        "float": ((rgb / 65535).astype(np.float32), {}, {"depth": 16}),
        "float_grey": ((grey / 65535).astype(np.float32), {}, with_grey),
        "half": ((rgb / 65535).astype(np.float16), {}, {"depth": 16}),
        "cmyk": (65535 - np.dstack([rgb, np.full_like(grey, 65535)]), {"photometric": "separated"}, {"depth": 16}),
    }
    for name, (pixels, options, more) in tiffs.items():
        path = folder / f"deep_{name}.tif"
        colours = {"photometric": "minisblack" if more.get("grey") else "rgb"}
        tifffile.imwrite(path, pixels, **colours | options, metadata=None)
        yield _good(path, grey if more.get("grey") else rgb, tolerance=0.1 if name == "half" else 0.01, **more)
    premultiplied = np.dstack([np.rint(rgb * alpha[..., None]).astype(np.uint16), rgba[..., 3]])
    path = folder / "deep_premultiplied.tif"
    tifffile.imwrite(path, premultiplied, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    yield _good(path, rgb, tolerance=0.1, **with_alpha)


def _orientations(folder) -> Iterator[Entry]:
    pixels, deep = _picture(), deep_picture()
    for orientation in range(1, 9):
        lies = Image.fromarray(np.ascontiguousarray(lying(pixels, orientation)))
        suffixes = ("jpg", "png", "tif", "webp", "avif") if orientation in (3, 6) else ("jpg", "tif")
        for suffix in suffixes:
            path = folder / f"turned_{orientation}.{suffix}"
            lies.save(path, exif=exif(orientation), **{"quality": 95} if suffix in ("jpg", "webp", "avif") else {})
            yield _good(path, pixels, tolerance=5)
        path = folder / f"turned_{orientation}_deep.tif"
        tag = (ExifTags.Base.Orientation, "H", 1, orientation, True)
        tifffile.imwrite(path, lying(deep, orientation), photometric="rgb", metadata=None, extratags=[tag])
        yield _good(path, deep, tolerance=0.01, depth=16)
    Image.fromarray(lying(pixels, 6)).convert("L").save(folder / "turned_grey.tif", exif=exif(6))
    yield _good(folder / "turned_grey.tif", np.asarray(Image.fromarray(pixels).convert("L")), grey=True)


def _profiles(folder) -> Iterator[Entry]:
    pixels, deep = _picture(), deep_picture()
    srgb, wide = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(adobe_rgb()))
    in_wide = np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), srgb, wide))
    for suffix in ("jpg", "png", "tif", "webp", "avif"):
        path = folder / f"wide.{suffix}"
        options = {} if suffix in ("png", "tif") else {"quality": 95}
        yield _saved(path, in_wide, tolerance=5, expected=pixels, icc_profile=adobe_rgb(), **options)._replace(
            profile=True
        )
    linear = imagecodecs.cms_transform(
        deep, ImageCms.ImageCmsProfile(srgb).tobytes(), adobe_rgb(), colorspace="rgb", outcolorspace="rgb", flags=0x100
    )
    tifffile.imwrite(folder / "wide_deep.tif", linear, photometric="rgb", iccprofile=adobe_rgb(), metadata=None)
    yield _good(folder / "wide_deep.tif", deep, tolerance=0.5, depth=16, profile=True)
    grey = np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))
    lighter = np.rint(255 * (grey / 255) ** (1.8 / 2.2)).astype(np.uint8)
    profile = imagecodecs.cms_profile("gray", gamma=1.8)
    Image.fromarray(grey).save(folder / "grey_profile.png", icc_profile=profile)
    yield _good(folder / "grey_profile.png", lighter, tolerance=4, grey=True, profile=True)
    inks = np.kron(np.random.default_rng(3).integers(0, 2, (5, 8, 4), np.uint8) * 255, np.ones((8, 8, 1), np.uint8))
    shown = np.asarray(_cmyk(inks[..., [1, 0, 2, 3]]).convert("RGB"))
    _cmyk(inks).save(folder / "inks.tif", icc_profile=cmyk_profile())
    yield _good(folder / "inks.tif", shown, tolerance=4, profile=True)
    deep_inks = inks.astype(np.uint16) * 257
    tifffile.imwrite(
        folder / "inks_deep.tif", deep_inks, photometric="separated", iccprofile=cmyk_profile(), metadata=None
    )
    yield _good(folder / "inks_deep.tif", shown, tolerance=4, depth=16, profile=True)
    broken = _saved(folder / "broken_profile.jpg", pixels, tolerance=5, icc_profile=b"not a profile")
    yield broken._replace(profile=True)


def _cmyk(inks) -> Image.Image:
    return Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes())


def _metadata(folder) -> Iterator[Entry]:
    pixels = _picture()
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    with_xmp = Image.Exif()
    with_xmp.load(exif().tobytes())
    with_xmp[ExifTags.Base.XMLPacket] = XMP
    in_format = {"png": {"pnginfo": text}, "tif": {"exif": with_xmp}}
    for suffix in ("jpg", "png", "tif", "webp", "avif"):
        options = {"exif": exif()} | in_format.get(suffix, {"xmp": XMP, "quality": 95})
        yield _saved(folder / f"about.{suffix}", pixels, tolerance=5, **options)._replace(metadata=True)
    broken = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x69\x87\x04\0\x01\0\0\0\xff\xff\xff\x7f" * 3
    yield _saved(folder / "broken_exif.jpg", pixels, tolerance=5, exif=broken)


def _names_and_sizes(folder) -> Iterator[Entry]:
    pixels = _picture()
    for name in AWKWARD_NAMES:
        yield _saved(folder / name, pixels, tolerance=5, format="JPEG")
    yield _saved(folder / "really_png.jpg", pixels, format="PNG")
    yield _saved(folder / "really_jpeg.png", pixels, tolerance=5, format="JPEG")
    yield _saved(folder / "really_gif.png", pixels, "P", format="GIF")
    yield _saved(folder / "really_webp.tif", pixels, tolerance=5, format="WEBP")
    yield _saved(folder / "really_jpeg.nef", pixels, tolerance=5, format="JPEG")
    for height, width in ((1, 1), (1, 5000), (5000, 1), (2, 3), (17, 1)):
        for suffix in ("jpg", "png", "webp", "tif", "bmp"):
            yield _saved(folder / f"{height}x{width}.{suffix}", _picture(4, height, width), tolerance=12)


def _extras(folder) -> Iterator[Entry]:
    pixels = _picture()
    try:
        import pillow_heif
    except ModuleNotFoundError:
        pass
    else:
        heic = pillow_heif.from_pillow(Image.fromarray(pixels))
        heic.save(folder / "phone.heic", quality=95, chroma="444", exif=exif().tobytes(), xmp=XMP)
        yield _good(folder / "phone.heic", pixels, tolerance=3, metadata=True)
        for orientation in range(2, 9):
            path = folder / f"turned_{orientation}.heic"
            heic = pillow_heif.from_pillow(Image.fromarray(np.ascontiguousarray(lying(pixels, orientation))))
            heic.save(path, quality=95, chroma="444", exif=exif(orientation).tobytes())
            yield _good(path, pixels, tolerance=3)
    try:
        import rawpy  # noqa: F401
    except ModuleNotFoundError:
        return
    for name in ("camera.dng", "really_dng.tif"):
        write_dng(folder / name, pixels)
        yield _good(folder / name, pixels, tolerance=4, depth=16, profile=True)
    write_dng(folder / "turned_8.dng", lying(pixels, 8), orientation=8)
    yield _good(folder / "turned_8.dng", pixels, tolerance=4, depth=16, profile=True)
    write_dng(folder / "whole.dng", pixels)
    for cut in CUTS:
        path = folder / f"{100 * cut:.0f}%_cut.dng"
        path.write_bytes((folder / "whole.dng").read_bytes()[: int(cut * (folder / "whole.dng").stat().st_size)])
        yield Entry(path, "bad")
    (folder / "whole.dng").unlink()


def write_dng(path: Path, pixels: np.ndarray, orientation: int = 1) -> None:
    """(H, W, 3) uint8 sRGB as a camera with sRGB's own primaries would have seen it, through a filter of RGGB."""
    encoded = pixels / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    from_xyz = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
    tags = [
        (272, "s", 0, CAMERA, True),
        (274, "H", 1, orientation, True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, bytes((0, 1, 1, 2)), True),
        (50706, "B", 4, bytes((1, 4, 0, 0)), True),
        (50708, "s", 0, CAMERA, True),
        (50721, "2i", 9, [part for value in from_xyz for part in (round(value * 10000), 10000)], True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
        (50778, "H", 1, 21, True),
    ]
    levels = np.rint(mosaic * 65535).astype(np.uint16)
    tifffile.imwrite(path, levels, photometric="cfa", metadata=None, software=False, extratags=tags)


def encoded(pixels: np.ndarray, **options) -> bytes:
    """An array as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


def samples() -> Iterator[tuple[str, bytes, np.ndarray, int]]:
    """Files of kinds that not all programs read: name, content, what it shows, about, and bits."""
    picture = _picture()
    deep = picture.astype(np.uint16) * 257
    twelve = np.rint(picture / 255 * 4095).astype(np.uint16)
    grey = picture[..., 1]
    yield "JPEG XL", imagecodecs.jpegxl_encode(picture, lossless=True), picture, 8
    yield "JPEG XL with loss", imagecodecs.jpegxl_encode(picture, distance=1), picture, 8
    # imagecodecs says of 16 bits that they are linear light, and so they are.
    unit = picture / 255
    light = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    yield "JPEG XL, 16 bits", imagecodecs.jpegxl_encode(np.rint(light * 65535).astype(np.uint16)), picture, 16
    yield "JPEG XL, in boxes", imagecodecs.jpegxl_encode(picture, lossless=True, usecontainer=True), picture, 8
    yield "JPEG XL, grey", imagecodecs.jpegxl_encode(grey, lossless=True), grey, 8
    for name in ("J2K", "JP2"):
        yield name, imagecodecs.jpeg2k_encode(picture, codecformat=name, reversible=True), picture, 8
        yield f"{name}, 16 bits", imagecodecs.jpeg2k_encode(deep, codecformat=name, reversible=True), picture, 16
        yield f"{name}, grey", imagecodecs.jpeg2k_encode(grey, codecformat=name, reversible=True), grey, 8
    yield "JPEG, 12 bits", imagecodecs.jpeg8_encode(twelve, level=95, bitspersample=12), picture, 16
    yield "JPEG without loss", imagecodecs.jpeg8_encode(picture, lossless=True), picture, 8
    yield "JPEG without loss, 16 bits", imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=16), picture, 16
    yield "JPEG-LS", imagecodecs.jpegls_encode(picture), picture, 8
    yield "JPEG-LS, 16 bits, grey", imagecodecs.jpegls_encode(deep[..., 1]), grey, 16
    yield "PPM", encoded(picture, format="PPM"), picture, 8
    yield "PGM", encoded(grey, format="PPM"), grey, 8
    yield "PPM, 16 bits", b"P6\n# a comment\n60 40\n65535\n" + deep.astype(">u2").tobytes(), picture, 16
    yield "PGM, 12 bits", b"P5 60 40 4095\n" + twelve[..., 1].astype(">u2").tobytes(), grey, 16
    yield "PBM", encoded(grey > 99, format="PPM"), np.where(grey > 99, 255, 0), 8
    yield "BMP", encoded(picture, format="BMP"), picture, 8
    yield "GIF", encoded(picture, format="GIF"), picture, 8


def _rare(folder) -> Iterator[Entry]:
    for number, (name, data, shown, depth) in enumerate(samples()):
        suffix = next(suffix for mark, suffix in SUFFIXES.items() if name.startswith(mark))
        path = folder / f"rare_{number}{suffix}"
        path.write_bytes(data)
        linear = name == "JPEG XL, 16 bits"
        yield _good(path, shown.astype(np.uint8), tolerance=7, depth=depth, grey=shown.ndim == 2, profile=linear)


def _bad(folder) -> Iterator[Entry]:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = {}
    for suffix in ("jpg", "png", "webp", "tif", "bmp", "avif"):
        file = io.BytesIO()
        Image.fromarray(noise).save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
        whole[f"cut.{suffix}"] = file.getvalue()
    deep = noise.astype(np.uint16) * 257
    file = io.BytesIO()
    tifffile.imwrite(file, deep, photometric="rgb", compression="zlib", metadata=None)
    whole |= {"cut_deep.png": imagecodecs.png_encode(deep), "cut_deep.tif": file.getvalue()}
    for name, data in whole.items():
        for cut in CUTS:
            path = folder / f"{100 * cut:.0f}%_{name}"
            path.write_bytes(data[: int(cut * len(data))])
            yield Entry(path, "bad")
    for name in ("empty.jpg", "empty.png", "empty.tif", "empty.dng"):
        (folder / name).touch()
        yield Entry(folder / name, "bad", message="empty")
    program = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n0 0 moveto\n%%EOF\n"
    for name, text in (("diary.jpg", "Dear diary, today"), ("diary.webp", "Dear"), ("program.jpg", program)):
        (folder / name).write_text(text)
        yield Entry(folder / name, "bad", message=r"of that kind \(PostScript\)" if text is program else "not a photo")
    file = io.BytesIO()
    Image.new("1", (1, 1)).save(file, "PNG")
    header = b"IHDR" + struct.pack(">2I5B", 30000, 30000, 8, 2, 0, 0, 0)
    bomb = file.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + file.getvalue()[33:]
    (folder / "bomb.png").write_bytes(bomb)
    yield Entry(folder / "bomb.png", "bad", message="30000x30000 pixels")
