"""lowlight.enhance: one photo, from Python; paths, PIL images and arrays come out as they went in."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from lowlight.controls import Controls
from lowlight.engine import Engine
from lowlight.errors import UserError
from lowlight.images import Photo, read_photo, write_photo
from lowlight.jobs import is_done, plan
from lowlight.settings import EnhanceSettings

KEPT = 2
"""Models that stay loaded between calls."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""What red, green and blue count for in grey (ITU-R BT.601, as in Pillow)."""

Kind = TypeVar("Kind", str, Path, Image.Image, np.ndarray)


def enhance(
    photo: Kind,
    model: str | int | None = None,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    quality: int | None = None,
    strip_metadata: bool = False,
    max_megapixels: float | None = None,
    compare: bool = False,
    tile: int | None = None,
    device: str = "auto",
    **controls: Any,
) -> Kind:
    """Enhance one photo, as main.py does. The model stays loaded for the next call.

    Parameters
    ----------
    photo : str, Path, PIL.Image.Image or numpy.ndarray
        An array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), the last with alpha, in sRGB: uint8, uint16, or floats in
        [0, 1]. Of an image, what EXIF says of its orientation is applied.
    model : str or int, optional
        As for `lowlight.zoo.files_of`. Default: the best.
    output : str or Path, optional
        Of a path: the folder or file of the result. Default: beside the photo, night.jpg as night_enhanced.jpg.
    overwrite : bool
        Of a path: write over a result that is there.
    quality, strip_metadata
        Of a path: as for `lowlight.images.write_photo`.
    max_megapixels : float, optional
        Of a path: as for `lowlight.images.read_photo`.
    compare : bool
        Give the photo and its result side by side.
    tile : int, optional
        As for `lowlight.enhancer.Enhancer`.
    device : {"auto", "cpu", "gpu"}
    **controls
        Fields of `lowlight.controls.Controls`.

    Returns
    -------
    str, Path, PIL.Image.Image or numpy.ndarray
        As `photo`, which is left as it is: the path of the result, an image of its mode as far as 8 bits RGB, L and
        their alphas go (I;16 stays), or an array of its shape and dtype.

    Raises
    ------
    UserError
        If the photo or the model is none, a result is there already, or a value is out of its range.
    """
    wanted = Controls(**controls)

    def run(read: Photo) -> Photo:
        engine = _engine(None if model is None else str(model), tile, device)
        engine.check(wanted)
        return engine.enhance(read, wanted, compare)

    if isinstance(photo, np.ndarray):
        return _to_array(run(_of_array(photo)), photo)
    if isinstance(photo, Image.Image):
        return _to_image(run(_of_image(photo)))
    if not isinstance(photo, str | Path):
        raise UserError(f"A photo is a path, a PIL image or an array. Received: {type(photo).__name__}.")
    job = _job(Path(photo), output, overwrite)
    result = run(read_photo(job.source, max_megapixels))
    job.target.parent.mkdir(parents=True, exist_ok=True)
    write_photo(job.target, result, quality, strip_metadata)
    return type(photo)(job.target)


_engine = lru_cache(KEPT)(Engine)


def _job(path, output, overwrite):
    """By the rules of main.py: no photo is written over."""
    if path.is_dir():
        raise UserError(f"That is a folder. Received: {path}. Name a photo, or use lowlight.batch.enhance_all.")
    where, suffix = (path.parent, "_enhanced") if output is None else (Path(output), None)
    settings = EnhanceSettings((path,), where, suffix=suffix, overwrite=overwrite)
    (job,) = plan(settings)
    if is_done(job, settings):
        raise UserError(f"The result is there already. Received: {job.target}. Pass overwrite=True, or another output.")
    return job


def _of_array(array) -> Photo:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or not array.size:
        raise UserError(f"An array must be (H, W), or (H, W, 1, 3 or 4). Received: {array.shape}.")
    if array.dtype in (np.uint8, np.uint16):
        white = np.iinfo(array.dtype).max
    elif np.issubdtype(array.dtype, np.floating):
        white = 1
        if not (np.min(array) >= 0 and np.max(array) <= 1):
            raise UserError(f"Floats must be in [0, 1]. Received: {np.min(array)} to {np.max(array)}.")
    else:
        raise UserError(f"An array must be uint8, uint16 or of floats. Received: {array.dtype}.")
    colour = array.reshape(*array.shape[:2], channels)[..., :3]
    pixels = np.divide(colour, white, dtype=np.float32, casting="unsafe")
    return Photo(np.repeat(pixels, 3, axis=2) if channels == 1 else pixels, grey=channels == 1)


def _to_array(photo, array) -> np.ndarray:
    """Of the shape and type of the array, and with its alpha."""
    pixels = (photo.pixels @ LUMA)[..., None] if photo.grey else photo.pixels
    result = pixels.astype(array.dtype) if np.issubdtype(array.dtype, np.floating) else _levels(pixels, array.dtype)
    if array.ndim == 3 and array.shape[2] == 4:
        alpha = np.tile(array[..., 3:], (1, result.shape[1] // array.shape[1], 1))
        result = np.concatenate([result, alpha], axis=2)
    return result[..., 0] if array.ndim == 2 else result


def _of_image(image) -> Photo:
    """By way of a file, so that all that is known of files holds for images, too."""
    exif, profile = image.getexif(), image.info.get("icc_profile")
    if image.has_transparency_data or image.mode in ("HSV", "RGBX"):
        image = image.convert("RGBA")
    file = io.BytesIO()
    image.save(file, "TIFF", exif=exif, icc_profile=profile)
    file.seek(0)
    return read_photo(file)


def _to_image(photo) -> Image.Image:
    deep = photo.grey and photo.depth == 16 and photo.alpha is None  # the one kind of 16 bits that Pillow has
    pixels = photo.pixels @ LUMA if photo.grey else photo.pixels
    image = Image.fromarray(_levels(pixels, np.uint16 if deep else np.uint8))
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    image.info |= {"exif": photo.exif} if photo.exif else {}
    image.info |= {"icc_profile": photo.icc} if photo.icc else {}
    return image


def _levels(pixels, dtype) -> np.ndarray:
    return np.rint(pixels * np.float32(np.iinfo(dtype).max)).astype(dtype)
