"""A folder of awkward photos, and what is to become of each."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.material import (
    XMP,
    adobe_rgb,
    cmyk,
    cmyk_profile,
    deep_picture,
    exif,
    fading,
    lying,
    picture_of,
    samples,
    write_dng,
    write_monochrome_dng,
)

SUFFIXES = {
    "JPEG XL": ".jxl",
    "J2K": ".j2k",
    "JP2": ".jp2",
    "JPEG": ".jfif",
    "TIFF": ".tif",
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
        levels = fading(*pixels.shape[:2])
        image.putalpha(Image.fromarray(levels))
        alpha = levels / 255
    image.save(path, **options)
    grey = mode in ("1", "L", "LA")
    expected = np.asarray(Image.fromarray(pixels).convert(mode).convert("RGB")) if expected is None else expected
    return _good(path, expected, tolerance=tolerance, alpha=alpha, grey=grey)


def _modes(folder) -> Iterator[Entry]:
    pixels = picture_of()
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
    pixels, deep = picture_of(), deep_picture()
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
    pixels, deep = picture_of(), deep_picture()
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
    shown = np.asarray(cmyk(inks[..., [1, 0, 2, 3]]).convert("RGB"))
    cmyk(inks).save(folder / "inks.tif", icc_profile=cmyk_profile())
    yield _good(folder / "inks.tif", shown, tolerance=4, profile=True)
    deep_inks = inks.astype(np.uint16) * 257
    tifffile.imwrite(
        folder / "inks_deep.tif", deep_inks, photometric="separated", iccprofile=cmyk_profile(), metadata=None
    )
    yield _good(folder / "inks_deep.tif", shown, tolerance=4, depth=16, profile=True)
    broken = _saved(folder / "broken_profile.jpg", pixels, tolerance=5, icc_profile=b"not a profile")
    yield broken._replace(profile=True)


def _metadata(folder) -> Iterator[Entry]:
    pixels = picture_of()
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
    pixels = picture_of()
    for name in AWKWARD_NAMES:
        yield _saved(folder / name, pixels, tolerance=5, format="JPEG")
    yield _saved(folder / "really_png.jpg", pixels, format="PNG")
    yield _saved(folder / "really_jpeg.png", pixels, tolerance=5, format="JPEG")
    yield _saved(folder / "really_gif.png", pixels, "P", format="GIF")
    yield _saved(folder / "really_webp.tif", pixels, tolerance=5, format="WEBP")
    yield _saved(folder / "really_jpeg.nef", pixels, tolerance=5, format="JPEG")
    for height, width in ((1, 1), (1, 5000), (5000, 1), (2, 3), (17, 1)):
        for suffix in ("jpg", "png", "webp", "tif", "bmp"):
            yield _saved(folder / f"{height}x{width}.{suffix}", picture_of(4, height, width), tolerance=12)


def _extras(folder) -> Iterator[Entry]:
    pixels = picture_of()
    heic = pillow_heif.from_pillow(Image.fromarray(pixels))
    heic.save(folder / "phone.heic", quality=95, chroma="444", exif=exif().tobytes(), xmp=XMP)
    yield _good(folder / "phone.heic", pixels, tolerance=3, metadata=True)
    for orientation in range(2, 9):
        path = folder / f"turned_{orientation}.heic"
        heic = pillow_heif.from_pillow(Image.fromarray(np.ascontiguousarray(lying(pixels, orientation))))
        heic.save(path, quality=95, chroma="444", exif=exif(orientation).tobytes())
        yield _good(path, pixels, tolerance=3)
    for name in ("camera.dng", "really_dng.tif"):
        write_dng(folder / name, pixels)
        yield _good(folder / name, pixels, tolerance=4, depth=16, profile=True)
    write_dng(folder / "turned_8.dng", lying(pixels, 8), orientation=8)
    yield _good(folder / "turned_8.dng", pixels, tolerance=4, depth=16, profile=True)
    write_monochrome_dng(folder / "monochrome.dng", pixels[..., 1])
    yield _good(folder / "monochrome.dng", pixels[..., 1], tolerance=1, depth=16, grey=True, profile=True)
    write_dng(folder / "whole.dng", pixels)
    for cut in CUTS:
        path = folder / f"{100 * cut:.0f}%_cut.dng"
        path.write_bytes((folder / "whole.dng").read_bytes()[: int(cut * (folder / "whole.dng").stat().st_size)])
        yield Entry(path, "bad")
    (folder / "whole.dng").unlink()


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
    texts = {
        "diary.jpg": ("Dear diary, today", "not a photo"),
        "diary.webp": ("Dear", "not a photo"),
        "program.jpg": (program, r"of that kind \(PostScript\)"),
        "drawing.png": (
            '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
            r"of that kind \(SVG, or other",
        ),
    }
    for name, (text, message) in texts.items():
        (folder / name).write_text(text)
        yield Entry(folder / name, "bad", message=message)
    file = io.BytesIO()
    Image.new("1", (1, 1)).save(file, "PNG")
    header = b"IHDR" + struct.pack(">2I5B", 30000, 30000, 8, 2, 0, 0, 0)
    bomb = file.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + file.getvalue()[33:]
    (folder / "bomb.png").write_bytes(bomb)
    yield Entry(folder / "bomb.png", "bad", message="30000x30000 pixels")
