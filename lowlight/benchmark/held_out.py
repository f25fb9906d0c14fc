"""How models do on what they were not made for: other cameras, every kind of bad light, and photos that are fine.

The photos are those that `lowlight.data.samplers` holds out: of more pairs, and of clean photos, which
`lowlight.data.camera` degrades, the same way each time. Baselines stand beside the models.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.exposure import equalize_adapthist
from skimage.restoration import denoise_nl_means

from lowlight.benchmark import tables
from lowlight.data import camera, splits
from lowlight.data.camera import Camera, Residue
from lowlight.data.pairs import Pair
from lowlight.data.samplers import clean_photos, listed_pairs
from lowlight.io.photo import read_rgb
from lowlight.metrics.evaluate import BASELINES, Method, evaluate, mean

LOG = logging.getLogger(__name__)

SIGMAS = (15, 25, 50)
STOPS = (1, 3, 5)

WHITE = tuple(f"noise, sigma {sigma}" for sigma in SIGMAS)

_NIGHT: dict[str, Any] = {"shot": 5e-4, "read": 5e-4, "balance": (1.1, 1.0, 0.9), "quality": 95}

DEGRADATIONS = {
    "well lit": Camera(),
    **{name: Camera(sigma=sigma) for name, sigma in zip(WHITE, SIGMAS, strict=True)},
    **{f"{stops} stop{'s' * (stops > 1)} dark": Camera(stops=stops, **_NIGHT) for stops in STOPS},
    "against the light": Camera(stops=3, dim_only=0.6, shot=2e-4, read=2e-4),
    "a sensor's noise": Camera(shot=4e-3, read=4e-3),
    "blotches": Camera(residue=Residue(8, 0.7, 8, 1.8, 0.3), quality=90),
    "noise in JPEG": Camera(sigma=20, quality=50),
}
"""How the clean photos are degraded; what a model gives is compared with the clean photo."""

HASH = 12
"""How many digits of a hash tell weights apart."""


def clahe(photo: np.ndarray) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of V in HSV, by scikit-image."""
    return equalize_adapthist(photo)


def non_local_means(sigma: float) -> Method:
    """Non-local means (Buades et al. 2005) with the noise's true sigma, by scikit-image."""

    def clean(photo):
        return denoise_nl_means(photo, 5, 6, h=0.8 * sigma, sigma=sigma, channel_axis=2, fast_mode=True)

    return clean


def measure(
    models: Mapping[str, str],
    load: Callable[[str], Method],
    sets: Mapping[str, Sequence[Pair]],
    known: Sequence[dict] = (),
) -> list[dict]:
    """Score models and baselines on sets of pairs.

    Parameters
    ----------
    models : mapping of str to str
        SHA-256 of the models' weights, by name.
    load : callable
        Gives the enhancer of a model by its name.
    sets : mapping of str to sequence of Pair
        By name, as of `real_sets` and `degraded_sets`.
    known : sequence of dict
        Rows of an earlier call. Those of the same weights are taken over, if a set's untouched photos score as then.

    Returns
    -------
    list of dict
        For each set and method: `set`, `photos` (how many), `method`, `weights` (the start of their SHA-256), and the
        means of the metrics.
    """
    load = cache(load)
    rows: list[dict] = []
    for name, pairs in sets.items():
        facts = {"set": name, "photos": len(pairs)}
        untouched = facts | _scored("untouched input", "", BASELINES["untouched input"], pairs, name)
        baselines = BASELINES | {"CLAHE": clahe} | _denoisers(name, untouched["mse"])
        earlier = _usable(known, untouched)
        for method, weights in (dict.fromkeys(baselines, "") | dict(models)).items():
            row = earlier.get((method, weights[:HASH]))
            rows.append(row or facts | _scored(method, weights, baselines.get(method) or load(method), pairs, name))
        best = max((row for row in rows if row["set"] == name), key=lambda row: row["psnr"])
        LOG.info("%s: %d photos, best %.2f dB (%s)", name, len(pairs), best["psnr"], best["method"])
    return rows


def real_sets(also: Sequence[Path] = (), unseen: Sequence[Path] = ()) -> dict[str, list[Pair]]:
    """Real pairs that no model learnt from, by set; and their good photos, each as a pair with itself.

    Parameters
    ----------
    also : sequence of Path
        Folders as for training: what is held out of them.
    unseen : sequence of Path
        Folders of pairs, as --data takes them, of which nothing is ever trained on: all of them.

    Raises
    ------
    UserError
        If a folder is not as it must be.
    """
    found = {f"{folder.name}, held out": listed_pairs(folder)[1] for folder in also}
    found |= {f"{folder.name}, unseen": splits.all_pairs(folder) for folder in unseen}
    targets = {
        f"{name.rsplit(', ', 1)[0]}{tables.LEFT_ALONE}": [
            Pair(high.stem, high, high) for high in sorted({pair.high for pair in pairs})
        ]
        for name, pairs in found.items()
    }
    return found | targets


def degraded_sets(clean: Sequence[Path], folder: Path) -> dict[str, list[Pair]]:
    """Clean photos that no model learnt from, degraded in each way of `DEGRADATIONS`.

    Parameters
    ----------
    clean : sequence of Path
        Folders of clean photos as for training: what is held out of them.
    folder : Path
        Gets the degraded photos.

    Raises
    ------
    UserError
        If a folder is not as it must be.
    """
    photos = [photo for more in clean for photo in clean_photos(more)[1]]
    return {
        name: degrade_all(photos, degradation, folder / str(index))
        for index, (name, degradation) in enumerate(DEGRADATIONS.items())
        if photos
    }


def on_real_pairs(rows: Sequence[dict]) -> dict[str, tuple[float, int]]:
    """By method, the mean PSNR over all photos of sets of real pairs, and how many they are.

    Parameters
    ----------
    rows : sequence of dict
        Of `measure`.
    """
    found: dict[str, list[tuple[float, int]]] = {}
    for row in rows:
        if row["set"].endswith(tables.PAIRED):
            found.setdefault(row["method"], []).append((row["psnr"], row["photos"]))
    counts = {method: sum(photos for _, photos in sets) for method, sets in found.items()}
    return {
        method: (sum(psnr * photos for psnr, photos in sets) / counts[method], counts[method])
        for method, sets in found.items()
    }


def _scored(method, weights, run, pairs, name) -> dict:
    scores = tables.rounded(mean(evaluate(run, pairs, description=f"{method}, {name}")))
    return {"method": method, "weights": weights[:HASH]} | scores


def _usable(known, untouched) -> dict[tuple[str, str], dict]:
    """Earlier rows of a set by method and weights; none if its photos were others."""
    rows = {(row["method"], row["weights"]): row for row in known if row["set"] == untouched["set"]}
    same = rows.get(("untouched input", "")) == untouched
    return rows if same else {}


def degrade_all(photos: Sequence[Path], degradation: Camera, folder: Path) -> list[Pair]:
    """Degrade clean photos, whole, into low/ and high/ of a folder; the same files each time."""
    pairs = []
    for index, path in enumerate(photos):
        photo = read_rgb(path)
        rng = np.random.default_rng(index)
        low, high = camera.degrade(photo, degradation, rng)
        pair = Pair(path.stem, *(folder / side / f"{path.stem}.png" for side in ("low", "high")))
        for file, pixels in ((pair.low, low), (pair.high, high)):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file, compress_level=1)
        pairs.append(pair)
    return pairs


def _denoisers(name, mse) -> dict[str, Method]:
    """For sets of noisy photos; they are given the level of noise."""
    degradation = DEGRADATIONS.get(name, Camera())
    noisy = degradation.sigma or ((degradation.shot or degradation.residue) and not degradation.stops)
    sigma = degradation.sigma / 255 if name in WHITE else mse**0.5
    return {"non-local means, known sigma": non_local_means(sigma)} if noisy else {}
