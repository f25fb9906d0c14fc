"""Make dark, noisy photos from clean ones, for training without a dataset and for the sample photos.

The model, in the order in which light becomes a file:

1. The sRGB photo is decoded to linear light `x` in [0, 1] (IEC 61966-2-1).
2. Exposure falls by `stops` and white balance errs by a gain per channel: ``y = x * balance / 2**stops``.
3. Shot noise is Poisson and read noise Gaussian, so that the variance grows linearly with the signal:
   ``shot * Poisson(y / shot) + Normal(0, read)`` has mean `y` and variance ``shot * y + read**2``.
   Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 2008.
4. The result is clipped, encoded as sRGB, rounded to 8 bits, and goes through a JPEG file.

Noise levels are drawn as in Brooks et al., "Unprocessing images for learned raw denoising", CVPR 2019: `shot` evenly
in its logarithm, and ``log(read**2) = 2.18 * log(shot) + 1.20`` with a scatter of 0.26. Their range of `shot` is
0.0001 to 0.012, for raw files; here it ends at `SHOT`, as noise is less in a photo that was scaled down since.
What is left out: demosaicking, which would spread the noise over neighbouring pixels, and clipped highlights.

The sample photos in test/low are made by ``python -m lowlight.data.synthetic test/low``.
"""

import io
import itertools
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from lowlight.data import scenes
from lowlight.data.matching import Pair
from lowlight.data.noise import add_noise, log_uniform, read_noise
from lowlight.errors import UserError
from lowlight.imaging.srgb import to_linear, to_srgb
from lowlight.io.lock import holding
from lowlight.io.photo import list_images, read_rgb
from lowlight.system import counted

LOG = logging.getLogger(__name__)

STOPS = (2.0, 4.5)
SHOT = (1e-4, 4e-3)
BALANCE = 0.2
"""Red and blue are off by a factor of up to exp(0.2), either way; green is the reference."""
QUALITY = (85, 97)

CROP = 192
CROPS_PER_PHOTO = 8
VALIDATION_EVERY = 10

FITTING = 0.85
"""A crop without shapes that survive the dark is drawn again: below this rank correlation the checks of
`lowlight.data.pairs` could take low and high for different scenes."""


class Sample(NamedTuple):
    """A photo that scikit-image ships, free of restrictions, and how it becomes a sample in test/low."""

    file: str
    origin: str
    stops: float
    shot: float
    balance: tuple[float, float, float]


SAMPLES = (
    Sample("astronaut.png", "Eileen Collins; NASA, public domain", 3.7, 2e-3, (1.15, 1.0, 0.8)),
    Sample("brick.png", "Brick wall; CC0Textures, CC0", 4.0, 2e-3, (1.2, 1.0, 0.75)),
    Sample("camera.png", "Cameraman; Lav Varshney, CC0", 4.0, 1e-3, (1.0, 1.0, 1.1)),
    Sample("chelsea.png", "Chelsea the cat; Stefan van der Walt, CC0", 4.0, 6e-4, (1.1, 1.0, 0.85)),
    Sample("coffee.png", "Cup of coffee; Rachel Michetti, CC0", 3.5, 1.5e-3, (1.2, 1.0, 0.8)),
    Sample("rocket.jpg", "Falcon 9 before launch; SpaceX, public domain", 2.3, 3e-4, (0.9, 1.0, 1.1)),
)


def darken(
    clean: np.ndarray,
    rng: np.random.Generator,
    stops: float | None = None,
    shot: float | None = None,
    read: float | None = None,
    balance: Sequence[float] | None = None,
    quality: int | None = None,
) -> np.ndarray:
    """Dark, noisy version of a clean photo; what is not given is drawn.

    Parameters
    ----------
    clean : (H, W, 3) uint8 array
        sRGB.
    rng : numpy.random.Generator
    stops : float, optional
        By how much exposure falls: each stop halves the light. Drawn from `STOPS`.
    shot, read : float, optional
        Variance of the shot noise of a signal of 1, and standard deviation of the read noise, in linear light.
    balance : three floats, optional
        Gain of red, green and blue.
    quality : int, optional
        Of the JPEG file, 1 to 100. Drawn from `QUALITY`.

    Returns
    -------
    (H, W, 3) uint8 array
        sRGB.

    Raises
    ------
    ValueError
        If `clean` is not 8-bit RGB.
    """
    if clean.dtype != np.uint8 or clean.ndim != 3 or clean.shape[2] != 3:
        raise ValueError(f"A photo is an (H, W, 3) uint8 array. Received: {clean.shape} {clean.dtype}.")
    if stops is None:
        stops = rng.uniform(*STOPS)
    if shot is None:
        shot = log_uniform(rng, *SHOT)
    if read is None:
        read = read_noise(rng, shot)
    if balance is None:
        balance = tuple(np.exp(rng.uniform(-BALANCE, BALANCE, 3) * (1, 0, 1)))
    if quality is None:
        quality = int(rng.integers(QUALITY[0], QUALITY[1] + 1))
    light = to_linear(clean) * np.asarray(balance) / 2**stops
    return through_jpeg(to_srgb(add_noise(light, rng, shot, read)), quality)


def through_jpeg(photo: np.ndarray, quality: int, subsampled: bool = True) -> np.ndarray:
    """What a JPEG file of that quality (1 to 100) makes of a uint8 photo; `subsampled` halves its colour alone."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality, subsampling=2 if subsampled else 0)
    return np.asarray(Image.open(file))


def write_pairs(folder: Path, clean: Path | None = None, seed: int = 0) -> Path:
    """Write pairs for training: crops of clean photos and their dark versions.

    Parameters
    ----------
    folder : Path
        Gets low/, high/ and split.json. Left as it is if it holds these very pairs already; never half written.
    clean : Path, optional
        Folder of clean photos. Default: those of `SAMPLES`, as the installed scikit-image has them.
    seed : int
        The same seed gives the same files.

    Returns
    -------
    Path
        `folder`. No photo gives pairs to both train and val.

    Raises
    ------
    UserError
        If there are fewer than two clean photos, one cannot be read, or `folder` is in other use, another process
        making pairs there among it, or not writable.
    """
    folder = Path(folder)
    photos = _clean_photos(clean)
    sizes = [[path.name, path.stat().st_size] for path in photos]
    recipe = {"seed": seed, "photos": sizes, "crop": CROP, "crops_per_photo": CROPS_PER_PHOTO}
    if _is_complete(folder, recipe):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with holding(folder.parent / f".{folder.name}.lock") as mine:
            if not mine:
                raise UserError(f"Another process makes pairs there. Received: {folder}. Wait for its end.")
            if not _is_complete(folder, recipe):  # another process may have made them, and use them by now
                _replace(folder, photos, seed, recipe)
    except OSError as error:
        raise UserError(f"Pairs cannot be written. Received: {folder}, {error}. Name another folder.") from None
    return folder


def sources_of(pairs: Sequence[Pair], clean: Path) -> set[Path]:
    """The photos of a folder that some of the pairs by `write_pairs` were made of.

    Parameters
    ----------
    pairs : sequence of Pair
        Of the folder that `write_pairs` wrote.
    clean : Path
        Its folder of clean photos.

    Raises
    ------
    UserError
        If there are fewer than two clean photos.
    """
    photos = _clean_photos(clean)
    return {photos[int(pair.name.rsplit("_", 2)[1])] for pair in pairs}


def write_samples(folder: Path) -> list[Path]:
    """Write the sample photos: the same bytes each time, with the same versions of NumPy and Pillow.

    Returns
    -------
    list of Path
        The files, one for each of `SAMPLES`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for index, sample in enumerate(SAMPLES):
        rng = np.random.default_rng(index)
        dark = darken(read_rgb(shipped(sample)), rng, sample.stops, sample.shot, balance=sample.balance, quality=95)
        written.append((folder / sample.file).with_suffix(".png"))
        Image.fromarray(dark).save(written[-1], optimize=True)
    return written


def _clean_photos(clean) -> list[Path]:
    return sorted(shipped(sample) for sample in SAMPLES) if clean is None else photos_in(clean)


def photos_in(clean: Path) -> list[Path]:
    """The photos of a folder of clean ones, by name.

    Raises
    ------
    UserError
        If there is no such folder, or it has fewer than two photos: one at least is held out.
    """
    if not clean.is_dir():
        raise UserError(f"There is no such folder of clean photos. Received: {clean}. Check its name.")
    photos = list_images(clean)
    if len(photos) < 2:
        raise UserError(
            f"Two clean photos or more are needed, one of them for validation. Received: {clean} with {len(photos)}."
        )
    return photos


def shipped(sample: Sample) -> Path:
    """Where the installed scikit-image keeps a photo; its `skimage.data` would download one that is missing.

    Raises
    ------
    UserError
        If it is not there.
    """
    package = find_spec("skimage")
    path = Path(package.origin or "").parent / "data" / sample.file if package else Path(sample.file)
    if not path.is_file():
        raise UserError(f"scikit-image ships no {sample.file} here. Reinstall it, or name photos by --clean DIR.")
    return path


def _replace(folder, photos, seed, recipe):
    if folder.is_dir() and any(folder.iterdir()) and not _split_of(folder).get("made_by"):
        raise UserError(f"Synthetic pairs need a folder of their own. Received: {folder}. Name another or empty it.")
    LOG.info("Making pairs of %s in %s ...", counted(len(photos), "clean photo"), folder)
    place = folder.parent / f".{folder.name}.part"
    if place.exists():
        shutil.rmtree(place)  # by a process that was killed
    try:
        _write_all(place / "new", photos, seed, recipe)
        if folder.is_dir():
            folder.rename(place / "old")
        (place / "new").rename(folder)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _write_all(folder, photos, seed, recipe):
    for side in ("low", "high"):
        (folder / side).mkdir(parents=True)
    names_by_photo = []
    for index, path in enumerate(photos):
        names = []
        for number, pair in enumerate(_pairs_of(read_rgb(path), np.random.default_rng((seed, index)))):
            names.append(f"{path.stem}_{index}_{number}")
            for side, pixels in zip(("low", "high"), pair, strict=True):
                Image.fromarray(pixels).save(folder / side / f"{names[-1]}.png")
        names_by_photo += [names] if names else []
    if len(names_by_photo) < 2:
        raise UserError(f"The photos show too little to tell in the dark. Received: {len(photos)}. Give others.")
    val = [name for names in names_by_photo[::VALIDATION_EVERY] for name in names]
    train = [name for names in names_by_photo for name in names if name not in val]
    content = {"train": train, "val": val, "test": [], "source": "by source photo", "made_by": recipe}
    (folder / "split.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def _pairs_of(clean, rng):
    """`CROPS_PER_PHOTO` crops and their dark versions; fewer where the photo has too little to see."""
    height, width = np.minimum(clean.shape[:2], CROP)
    found = 0
    for _ in range(4 * CROPS_PER_PHOTO):
        top, left = rng.integers(0, np.array(clean.shape[:2]) - (height, width) + 1)
        high = clean[top : top + height, left : left + width]
        low = darken(high, rng)
        if scenes.descriptor(low) @ scenes.descriptor(high) > FITTING:
            yield low, high
            found += 1
        if found == CROPS_PER_PHOTO:
            return


def _split_of(folder) -> dict:
    try:
        content = json.loads((folder / "split.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_complete(folder, recipe) -> bool:
    split = _split_of(folder)
    if split.get("made_by") != recipe:
        return False
    names = itertools.product(("low", "high"), split["train"] + split["val"])
    return all((folder / side / f"{name}.png").is_file() for side, name in names)


def main() -> int:
    """Write the sample photos into the folder named on the command line."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise UserError("Usage: python -m lowlight.data.synthetic FOLDER")
    try:
        for path in write_samples(Path(sys.argv[1])):
            print(path)
    except OSError as error:
        raise UserError(f"Samples cannot be written. Received: {sys.argv[1]}, {error}.") from None
    return 0


if __name__ == "__main__":
    from lowlight.system import run

    sys.exit(run(main))
