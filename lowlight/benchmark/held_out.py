"""How models do on what they were not made for: other cameras, every kind of degradation, and photos that are fine.

The photos are those that `lowlight.data.splits` holds out: of more pairs, and of clean photos, which
`lowlight.data.camera` degrades, the same way each time. Baselines stand beside the models.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.exposure import equalize_adapthist
from skimage.restoration import denoise_nl_means

from lowlight.benchmark import rows, tables
from lowlight.data import camera
from lowlight.data.camera import Camera
from lowlight.data.noise import Residue
from lowlight.data.pairs import Pair, load_all
from lowlight.data.splits import LOL_V1, OWN_PAIRS, clean_photos, is_lol, listed_pairs, made_of, name_of, own_pairs
from lowlight.errors import UserError
from lowlight.io.photo import read_rgb
from lowlight.metrics.evaluate import BASELINES, UNTOUCHED, Method, evaluate, mean
from lowlight.system import counted
from lowlight.zoo.cards import UNKNOWN, sets_of

LOG = logging.getLogger(__name__)

WITHOUT_NAME = {OWN_PAIRS, UNKNOWN["data"]["name"]}
"""What cards call pairs of which they may know no more."""

SIGMAS = (15, 25, 50)
STOPS = (1, 3, 5)

WHITE_NOISE = {f"noise, sigma {sigma}": Camera(sigma=sigma) for sigma in SIGMAS}

OTHER_NOISE = {
    "a sensor's noise": Camera(shot=4e-3, read=4e-3),
    "blotches": Camera(residue=Residue(8, 0.7, 8, 1.8, 0.3), quality=90),
    "noise in JPEG": Camera(sigma=20, quality=50),
}

_NIGHT: dict[str, Any] = {"shot": 5e-4, "read": 5e-4, "balance": (1.1, 1.0, 0.9), "quality": 95}

DEGRADATIONS = {
    "well lit": Camera(),
    **WHITE_NOISE,
    **{f"{stops} stop{'s' * (stops > 1)} dark": Camera(stops=stops, **_NIGHT) for stops in STOPS},
    "against the light": Camera(stops=3, dim_only=0.6, shot=2e-4, read=2e-4),
    **OTHER_NOISE,
    "lights in the dark": Camera(lights=True),
}
"""How the clean photos are degraded; what a model gives is compared with the clean photo, or the night in its place."""


def clahe(photo: np.ndarray) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of V in HSV, by scikit-image."""
    return equalize_adapthist(photo)


def non_local_means(sigma: float) -> Method:
    """Non-local means (Buades et al. 2005) with the noise's true sigma, by scikit-image."""

    def clean(photo):
        return denoise_nl_means(photo, 5, 6, h=0.8 * sigma, sigma=sigma, channel_axis=2, fast_mode=True)

    return clean


def block_matching(sigma: float) -> Method:
    """CBM3D (Dabov et al. 2007) with the noise's true sigma, by the package bm3d.

    Parameters
    ----------
    sigma : float
        Standard deviation of white noise, of 1.

    Returns
    -------
    callable
        From a photo, (H, W, 3) float array in [0, 1], to a clean one of its shape. It raises ImportError where the
        package is not installed.
    """

    def clean(photo):
        from bm3d import bm3d_rgb  # for research alone, so that nothing but this benchmark may need it

        return np.clip(bm3d_rgb(photo, sigma), 0, 1)

    return clean


def real_sets(
    also: Sequence[Path] = (), unseen: Sequence[Path] = (), skip_bad: bool = False, cards: Sequence[dict] = ()
) -> dict[str, list[Pair]]:
    """Real pairs that no model learnt from, by set; and their good photos, each as a pair with itself.

    Parameters
    ----------
    also : sequence of Path
        Folders as for training: what is held out of them.
    unseen : sequence of Path
        Folders of pairs, as --data takes them, of which nothing is ever trained on: all of them.
    skip_bad : bool
        Leave broken pairs of `unseen` out instead of raising.
    cards : sequence of dict
        Of the models that are to be measured.

    Raises
    ------
    UserError
        If a folder is not as it must be, two of one kind have the same name, or a model learnt from all pairs of one,
        by its card.
    """
    _refuse_names_alike("--also", also)
    _refuse_names_alike("--unseen", unseen)
    found: dict[str, list[Pair]] = {}
    for folder in also:
        learnt, found[f"{name_of(folder)}, held out"] = listed_pairs(folder)
        _refuse_learnt("--also", folder, {_as_data(folder, learnt)}, cards)
    for folder in unseen:
        found[f"{name_of(folder)}, unseen"] = _never_learnt("--unseen", folder, cards, load_all(folder, skip_bad))
    targets: dict[str, set[Path]] = {}
    for name, pairs in found.items():
        targets.setdefault(name.rsplit(", ", 1)[0], set()).update(pair.high for pair in pairs)
    return found | {
        f"{name}{tables.LEFT_ALONE}": [Pair(high.stem, high, high) for high in sorted(photos)]
        for name, photos in targets.items()
    }


def degraded_sets(clean: Sequence[Path], folder: Path, cards: Sequence[dict] = ()) -> dict[str, list[Pair]]:
    """Clean photos that no model learnt from, degraded in each way of `DEGRADATIONS`.

    Parameters
    ----------
    clean : sequence of Path
        Folders of clean photos as for training: what is held out of them.
    folder : Path
        Gets the degraded photos.
    cards : sequence of dict
        Of the models that are to be measured.

    Raises
    ------
    UserError
        If a folder is not as it must be, or a model learnt from pairs that were made of one, by its card.
    """
    for more in clean:
        _refuse_learnt("--clean", more, {made_of(more)}, cards)
    photos = [photo for more in clean for photo in clean_photos(more)[1]]
    return {
        name: degrade_all(photos, degradation, folder / str(index))
        for index, (name, degradation) in enumerate(DEGRADATIONS.items())
        if photos
    }


def noisy_sets(folders: Sequence[Path], skip_bad: bool = False, cards: Sequence[dict] = ()) -> dict[str, list[Pair]]:
    """Pairs of photos with real noise and the same ones without, as bright, by set.

    Parameters
    ----------
    folders : sequence of Path
        Folders of pairs, as --data takes them, of which nothing is ever trained on: all of them.
    skip_bad, cards
        As for `real_sets`.

    Raises
    ------
    UserError
        As `real_sets`.
    """
    _refuse_names_alike("--noisy", folders)
    return {
        f"{name_of(folder)}{tables.NOISY}": _never_learnt("--noisy", folder, cards, load_all(folder, skip_bad, True))
        for folder in folders
    }


def on_real_pairs(scored: Sequence[dict]) -> dict[str, tuple[float, int]]:
    """By method, the mean PSNR over all photos of sets of real pairs, and how many they are.

    Methods that were not measured on all of these sets are left out: their means would be of other photos.

    Parameters
    ----------
    scored : sequence of dict
        Rows of `score_sets`.
    """
    found: dict[str, list[tuple[float, int]]] = {}
    for row in scored:
        if row["set"].endswith(tables.PAIRED):
            found.setdefault(row["method"], []).append((row["psnr"], row["photos"]))
    counts = {method: sum(photos for _, photos in sets) for method, sets in found.items()}
    return {
        method: (sum(psnr * photos for psnr, photos in sets) / counts[method], counts[method])
        for method, sets in found.items()
        if counts[method] == max(counts.values())
    }


def degrade_all(photos: Sequence[Path], degradation: Camera, folder: Path) -> list[Pair]:
    """Degrade clean photos, whole, into low/ and high/ of a folder; the same files each time.

    Parameters
    ----------
    photos : sequence of Path
    degradation : Camera
    folder : Path
        Made if need be, with both of its sides.

    Returns
    -------
    list of Pair
        As the photos are ordered.

    Raises
    ------
    ImageError
        If a photo cannot be read.
    """
    pairs = []
    for index, (path, name) in enumerate(zip(photos, _names(photos), strict=True)):
        photo = read_rgb(path)
        rng = np.random.default_rng(index)
        low, high = camera.degrade(photo, degradation, rng)
        pair = Pair(name, *(folder / side / f"{name}.png" for side in ("low", "high")))
        for file, pixels in ((pair.low, low), (pair.high, high)):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file, compress_level=1)
        pairs.append(pair)
    return pairs


def _refuse_names_alike(option, folders):
    """Sets are called as their folders are."""
    by_name: dict[str, Path] = {}
    for folder in folders:
        name = name_of(folder)
        if name in by_name:
            raise UserError(
                f"Sets are told apart by the names of their folders. Received: {option} {by_name[name]} and {folder}. "
                "Rename one, or leave it out."
            )
        by_name[name] = folder


def _as_data(folder, pairs) -> str:
    """What a card calls pairs that were those of --data."""
    return LOL_V1 if is_lol(pairs) else own_pairs(folder)


def _never_learnt(option, folder, cards, pairs) -> list[Pair]:
    """These pairs, if no model learnt from them as far as its card tells."""
    _refuse_learnt(option, folder, {name_of(folder), _as_data(folder, pairs)}, cards)
    for card in cards:
        if any(one["name"] in WITHOUT_NAME for one in sets_of(card)):
            LOG.warning("%s may have learnt from %s: its card does not name its pairs", card["name"], folder)
    return pairs


def _refuse_learnt(option, folder, names, cards):
    """A card names its sets as their folders are called."""
    for card in cards:
        if any(one["name"] in names for one in sets_of(card)):
            raise UserError(
                f"What is measured on was never learnt from. Received: {option} {folder}, of which {card['name']} "
                "learnt all, by its card. Leave it out, or rename the folder if it is another set."
            )


def _names(photos) -> list[str]:
    """What photos are called, with their number where two are called alike, such as of two folders."""
    stems = [path.stem for path in photos]
    if len({stem.lower() for stem in stems}) == len(stems):
        return stems
    return [f"{index}-{stem}" for index, stem in enumerate(stems)]


def _scores(method, pairs, description) -> dict:
    scores = tables.rounded(mean(evaluate(method, pairs, description=description)))
    LOG.info("%s: %s, %.2f dB", description, counted(len(pairs), "photo"), scores["psnr"])
    return scores


def _baselines(name, untouched) -> Mapping[str, Method | None]:
    """Of every set; those that denoise are given the noise of a set. None: its package is not installed."""
    methods = {method: run for method, run in BASELINES.items() if method != UNTOUCHED} | {"CLAHE": clahe}
    if name in WHITE_NOISE:
        sigma = WHITE_NOISE[name].sigma / 255
        by_blocks = block_matching(sigma) if find_spec("bm3d") else None
        told = {"non-local means": non_local_means(sigma), "CBM3D": by_blocks}
        return methods | {method + tables.KNOWN_NOISE: run for method, run in told.items()}
    if name in OTHER_NOISE or name.endswith(tables.NOISY):
        return methods | {f"non-local means{tables.KNOWN_NOISE}": non_local_means(untouched["mse"] ** 0.5)}
    return methods


score_sets = partial(rows.score_sets, score=_scores, baselines=_baselines)
"""Score models and baselines on sets of pairs, as of `real_sets` and `degraded_sets`.

Parameters and rows as of `lowlight.benchmark.rows.score_sets`; the scores are the means of the metrics.
"""
