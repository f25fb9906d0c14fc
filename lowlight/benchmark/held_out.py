"""How models do on what they were not made for: other cameras, every kind of bad light, and photos that are fine.

The photos are those that `lowlight.data.samplers` holds out: of more pairs, and of clean photos, which
`lowlight.data.camera` degrades, the same way each time. Baselines stand beside the models.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.exposure import equalize_adapthist
from skimage.restoration import denoise_nl_means

from lowlight.benchmark import tables
from lowlight.data import camera
from lowlight.data.camera import Camera
from lowlight.data.pairs import Pair
from lowlight.data.samplers import clean_photos, listed_pairs
from lowlight.io.photo import read_rgb
from lowlight.metrics.evaluate import BASELINES, Method, evaluate, mean

LOG = logging.getLogger(__name__)

SIGMAS = (15, 25, 50)
STOPS = (1, 3, 5)

_NIGHT: dict[str, Any] = {"shot": 5e-4, "read": 5e-4, "balance": (1.1, 1.0, 0.9), "quality": 95}

DEGRADATIONS = {
    "well lit": Camera(),
    **{f"noise, sigma {sigma}": Camera(sigma=sigma) for sigma in SIGMAS},
    **{f"{stops} stop{'s' * (stops > 1)} dark": Camera(stops=stops, **_NIGHT) for stops in STOPS},
    "against the light": Camera(stops=3, dim_only=0.6, shot=2e-4, read=2e-4),
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
    also: Sequence[Path] = (),
    clean: Sequence[Path] = (),
    known: Sequence[dict] = (),
) -> list[dict]:
    """Score models and baselines on every held-out set.

    Parameters
    ----------
    models : mapping of str to str
        SHA-256 of the models' weights, by name.
    load : callable
        Gives the enhancer of a model by its name.
    also, clean : sequences of Path
        Folders of more pairs, each a set of its own, and of clean photos, as for training.
    known : sequence of dict
        Rows of an earlier call. Those of the same weights are taken over, if a set's untouched photos score as then.

    Returns
    -------
    list of dict
        For each set and method: `set`, `photos` (how many), `method`, `weights` (the start of their SHA-256), and the
        means of the metrics.

    Raises
    ------
    UserError
        If a folder is not as it must be.
    """
    load = cache(load)
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, pairs in _sets(Path(folder), also, clean).items():
            baselines = BASELINES | {"CLAHE": clahe} | _denoisers(name)
            facts = {"set": name, "photos": len(pairs)}
            earlier = _usable(known, facts | _scored("untouched input", "", BASELINES["untouched input"], pairs, name))
            for method, weights in (dict.fromkeys(baselines, "") | dict(models)).items():
                row = earlier.get((method, weights[:HASH]))
                rows.append(row or facts | _scored(method, weights, baselines.get(method) or load(method), pairs, name))
            best = max((row for row in rows if row["set"] == name), key=lambda row: row["psnr"])
            LOG.info("%s: %d photos, best %.2f dB (%s)", name, len(pairs), best["psnr"], best["method"])
    return rows


def on_real_pairs(rows: Sequence[dict]) -> dict[str, tuple[float, int]]:
    """By method, the mean PSNR over all held-out photos that are real pairs, and how many they are.

    Parameters
    ----------
    rows : sequence of dict
        Of `measure`.
    """
    found: dict[str, list[tuple[float, int]]] = {}
    for row in rows:
        if row["set"] not in DEGRADATIONS:
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
        low, high = camera.take_whole(photo, degradation, rng)
        pair = Pair(path.stem, *(folder / side / f"{path.stem}.png" for side in ("low", "high")))
        for file, pixels in ((pair.low, low), (pair.high, high)):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file, compress_level=1)
        pairs.append(pair)
    return pairs


def _sets(folder, also, clean) -> dict[str, list[Pair]]:
    sets = {}
    for more in also:
        sets[f"{more.name}, held out"] = listed_pairs(more)[1]
    if clean:
        photos = [photo for more in clean for photo in clean_photos(more)[1]]
        for index, (name, degradation) in enumerate(DEGRADATIONS.items()):
            sets[name] = degrade_all(photos, degradation, folder / str(index))
    return sets


def _denoisers(name) -> dict[str, Method]:
    sigma = DEGRADATIONS[name].sigma if name in DEGRADATIONS else 0
    return {"non-local means, known sigma": non_local_means(sigma / 255)} if sigma else {}
