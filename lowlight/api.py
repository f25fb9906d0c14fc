"""lowlight.load_model and lowlight.enhance: paths, PIL images and arrays come out as they went in."""

import io
import logging
import numbers
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from lowlight.cli.jobs import is_done, plan
from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.imaging.pixels import GREY_WEIGHTS, as_float, as_levels, fill_hidden
from lowlight.inference.session import Session, load_session
from lowlight.io.exif import ABOUT_THE_PHOTO, EXIF_HEADER, ORIENTATION
from lowlight.io.ifd import EXIF_TABLE, GPS_TABLE
from lowlight.io.photo import Photo, notes_on, read_photo, write_photo
from lowlight.settings import EnhanceSettings

LOG = logging.getLogger(__name__)

KEPT = 2
"""Models that stay loaded between calls."""

NOT_IN_TIFF = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "HSV": "RGB"}
"""Modes of images that need another one to be kept whole."""

ROUNDING = 1e-5
"""By how much floats may lie outside [0, 1], as what was computed does; they are clipped."""

KINDS: dict[Any, tuple[Any, str]] = {
    bool: (bool | np.bool_, "True or False"),
    int | None: (numbers.Integral, "a whole number"),
    float | None: (numbers.Real, "a number"),
    str: (str, "text"),
    str | None: (str, "text"),
    str | Path | None: (str | Path, "a path"),
}
"""By annotation, what is taken for it, and what people call that."""

LUMA = np.array(GREY_WEIGHTS, np.float32)

Kind = TypeVar("Kind", str, Path, Image.Image, np.ndarray)


class Model:
    """A loaded model, as `load_model` gives it."""

    def __init__(self, session: Session):
        self._session = session

    def __repr__(self) -> str:
        return f"<lowlight.Model {self.name}>"

    @property
    def name(self) -> str:
        """The model's name, such as model_12."""
        return self._session.name

    @property
    def controls(self) -> frozenset[str]:
        """The controls that the model has, of the fields of `lowlight.controls.Controls`."""
        return self._session.controls

    def enhance(
        self,
        photo: Kind,
        *,
        output: str | Path | None = None,
        overwrite: bool = False,
        quality: int | None = None,
        strip_metadata: bool = False,
        max_megapixels: float | None = None,
        compare: bool = False,
        **controls: Any,
    ) -> Kind:
        """Enhance one photo, as main.py does.

        What of a file is left out or could not be read is a warning of the logger `lowlight`.

        Parameters
        ----------
        photo : str, Path, PIL.Image.Image or numpy.ndarray
            An array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), the last with alpha, in sRGB: uint8, uint16, or
            floats in [0, 1]. Of an image, what EXIF says of its orientation is applied.
        output : str or Path, optional
            Of a path: the folder or file of the result. Default: beside the photo, night.jpg as night_enhanced.jpg.
        overwrite : bool
            Of a path: write over a result that is there.
        quality, strip_metadata
            Of a path: as for `lowlight.io.photo.write_photo`.
        max_megapixels : float, optional
            Of a path: as for `lowlight.io.photo.read_photo`.
        compare : bool
            Give the photo and its result side by side.
        **controls
            Fields of `lowlight.controls.Controls`, such as ``exposure=0.5``.

        Returns
        -------
        str, Path, PIL.Image.Image or numpy.ndarray
            As `photo`, which is left as it is: the path of the result, an image of its mode as far as 8 bits RGB, L and
            their alphas go (I;16 stays), or an array of its shape and dtype.

        Raises
        ------
        UserError
            If the photo is none, a result is there already, a value is out of its range or of another type, the model
            does not have a control, or what is of a path alone is given with an image or an array.
        """
        _refuse_other_kinds(
            Model.enhance,
            output=output,
            overwrite=overwrite,
            quality=quality,
            strip_metadata=strip_metadata,
            max_megapixels=max_megapixels,
            compare=compare,
        )
        wanted = Controls(**controls)
        self._session.check(wanted)
        if isinstance(photo, np.ndarray | Image.Image):
            _refuse_for_files(output, overwrite, quality, strip_metadata, max_megapixels)

        def run(read: Photo) -> Photo:
            return self._session.enhance(read, wanted, compare)

        if isinstance(photo, np.ndarray):
            array = np.asarray(photo)  # one that is masked would reckon by rules of its own
            return _to_array(run(_of_array(array)), array)
        if isinstance(photo, str | Path):
            job = _job(Path(photo), output, overwrite, quality, max_megapixels)
            result = run(read_photo(job.source, max_megapixels, levels=True))
            job.target.parent.mkdir(parents=True, exist_ok=True)
            write_photo(job.target, result, quality, strip_metadata)
            for note in notes_on(result, job.target.suffix, strip_metadata):
                LOG.warning("%s: %s", job.source, note)
            kind: Any = type(photo)  # a type checker takes what is a path and an image, too, for possible
            return kind(job.target)
        if isinstance(photo, Image.Image):
            return _to_image(run(_of_image(photo)))
        raise UserError(f"A photo is a path, a PIL image or an array. Received: {type(photo).__name__}.")


def load_model(
    model: str | int | Path | None = None,
    *,
    tile: int | None = None,
    device: str = "auto",
    best: bool = False,
    models_url: str | None = None,
    engine: str = "auto",
) -> Model:
    """Load a model, to enhance many photos with it.

    Parameters
    ----------
    model : str, int or Path, optional
        Number or name of a model, a run's folder, a weights file with its card, or a .keras or .h5 file. Default: that
        of main.py.
    tile : int, optional
        Largest side of what is run at once, in pixels; smaller takes less memory.
    device : {"auto", "cpu", "gpu"}
        What to run on. auto: a GPU if there is one that can be used.
    best : bool
        Self-ensemble: the mean over the 8 flips and rotations of each photo; cleaner, in eight times the time.
    models_url : str, optional
        Where a missing model comes from, as for main.py.
    engine : {"auto", "tensorflow", "onnx", "openvino"}
        What runs the model. auto: TensorFlow if it is loaded already, or else what loads first.

    Raises
    ------
    UserError
        If there is no such model, tile, device or engine, or a value is of another type.
    """
    _refuse_other_kinds(load_model, tile=tile, device=device, best=best, models_url=models_url, engine=engine)
    return Model(load_session(model, tile, device, models_url, best, engine))


def enhance(
    photo: Kind,
    model: str | int | Path | None = None,
    *,
    tile: int | None = None,
    device: str = "auto",
    best: bool = False,
    engine: str = "auto",
    **options: Any,
) -> Kind:
    """Enhance one photo: short for ``load_model(model).enhance(photo)``. The model stays loaded for the next call.

    Parameters
    ----------
    photo : str, Path, PIL.Image.Image or numpy.ndarray
        As for `Model.enhance`.
    model, tile, device, best, engine
        As for `load_model`.
    **options
        As for `Model.enhance`.

    Returns
    -------
    str, Path, PIL.Image.Image or numpy.ndarray
        As `photo`.

    Raises
    ------
    UserError
        As `load_model` and `Model.enhance`.
    """
    _refuse_other_kinds(enhance, tile=tile, device=device, best=best, engine=engine)  # some could not be kept by
    return _kept(None if model is None else str(model), tile, device, best, engine).enhance(photo, **options)


@lru_cache(KEPT)
def _kept(model, tile, device, best, engine) -> Model:
    return load_model(model, tile=tile, device=device, best=best, engine=engine)


def _refuse_other_kinds(function, **given):
    for name, value in given.items():
        annotation = function.__annotations__[name]
        kind, words = KINDS[annotation]
        truth = isinstance(value, bool) and annotation is not bool  # which Python takes for 0 or 1
        if value is not None and (truth or not isinstance(value, kind)):
            raise UserError(f"{name} must be {words}. Received: {value!r}.")


def _job(path, output, overwrite, quality, max_megapixels):
    """By the rules of main.py: no photo is written over."""
    if path.is_dir():
        raise UserError(f"That is a folder. Received: {path}. Name a photo, or use lowlight.cli.batch.enhance_all.")
    where, suffix = (path.parent, "_enhanced") if output is None else (Path(output), None)
    settings = EnhanceSettings(
        (path,), where, suffix=suffix, overwrite=overwrite, quality=quality, max_megapixels=max_megapixels
    )
    job, *others = plan(settings)
    if others:
        raise UserError(f"That pattern names {1 + len(others)} photos. Received: {path}. Name one of them.")
    if is_done(job, settings):
        raise UserError(f"The result is there already. Received: {job.target}. Pass overwrite=True, or another output.")
    return job


def _refuse_for_files(*options):
    """Of what has no file nothing is written, and nobody would notice."""
    names = ("output", "overwrite", "quality", "strip_metadata", "max_megapixels")
    for name, value in zip(names, options, strict=True):
        if value is not None and value is not False:
            raise UserError(f"Of an array or image no file is read or written. Received: {name}={value}. Leave it out.")


def _of_array(array) -> Photo:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or not array.size:
        raise UserError(f"An array must be (H, W), or (H, W, 1, 3 or 4). Received: {array.shape}.")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.uint8, np.uint16) and not np.issubdtype(array.dtype, np.floating):
        raise UserError(
            f"An array must be uint8, uint16 or of floats. Received: {array.dtype}. Convert it to one of them."
        )
    levels = array if array.dtype in (np.uint8, np.uint16) else array.astype(np.float32)
    if levels.dtype == np.float32 and not (levels.min() >= -ROUNDING and levels.max() <= 1 + ROUNDING):
        raise UserError(f"Floats must be in [0, 1]. Received: {levels.min()} to {levels.max()}. Scale or clip them.")
    levels = levels.clip(0, 1) if levels.dtype == np.float32 else levels
    levels = levels.reshape(*array.shape[:2], channels)
    pixels = np.repeat(levels, 3, axis=2) if channels == 1 else levels[..., :3].copy()
    if channels == 4:
        fill_hidden(pixels, levels[..., 3] > 0)
    return Photo(pixels, levels[..., 3] if channels == 4 else None, grey=channels == 1)


def _to_array(photo, array) -> np.ndarray:
    """Of the dtype and the channels of the array."""
    result = (as_float(photo.pixels) @ LUMA)[..., None] if photo.grey else photo.pixels
    result = result if np.issubdtype(array.dtype, np.floating) else as_levels(result, 8 * array.dtype.itemsize)
    if photo.alpha is not None:
        result = np.dstack([result, np.tile(array[..., 3], (1, result.shape[1] // array.shape[1]))])
    return (result[..., 0] if array.ndim == 2 else result).astype(array.dtype, copy=False)


def _of_image(image) -> Photo:
    """By way of a file, so that all that is known of files holds for images, too."""
    file = io.BytesIO()
    try:
        image.load()  # which turns a TIFF upright, and takes that out of its EXIF
        exif, profile = image.getexif(), image.info.get("icc_profile")
        tags = {tag: exif[tag] for tag in {*ABOUT_THE_PHOTO, ORIENTATION} & exif.keys()}
        tags |= {tag: exif.get_ifd(tag) for tag in {EXIF_TABLE, GPS_TABLE} & exif.keys()}
        mode = "RGBA" if "transparency" in image.info else NOT_IN_TIFF.get(image.mode, image.mode)
        whole = image if mode == image.mode else image.convert(mode)
        whole.save(file, "TIFF", compression="raw", tiffinfo=tags, icc_profile=profile)
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises where pixels are missing
        raise UserError(
            f"The image has no pixels that can be read. Received: {image.mode}, {image.width} x {image.height} "
            f"({error}). Open it anew, or make another."
        ) from error
    file.seek(0)
    return read_photo(file, levels=True)


def _to_image(photo) -> Image.Image:
    deep = photo.grey and photo.depth == 16 and photo.alpha is None  # the one kind of 16 bits that Pillow has
    levels = as_levels(as_float(photo.pixels) @ LUMA if photo.grey else photo.pixels, 16 if deep else 8)
    image = Image.fromarray(levels)
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(as_levels(photo.alpha, 8)))
    image.info |= {"exif": EXIF_HEADER + photo.exif} if photo.exif else {}  # as Pillow's writer of JPEG wants it
    image.info |= {"icc_profile": photo.icc} if photo.icc else {}
    return image
