"""Where a real photo's decibels are lost: in how bright it is made, region by region, in its tones, or in the rest.

Each model that takes a target exposure is scored in four ways: as it is; with the mean of its exposure map set to the
truth's; with the truth's map; and that output once more through the best curve for each colour, which no model could
know.
"""

import logging
from functools import partial

import numpy as np

from lowlight.benchmark import rows
from lowlight.data.pairs import read_pair
from lowlight.imaging.exposure import exposure_map, overview, thumbnail
from lowlight.inference.enhancer import Enhancer
from lowlight.metrics import quality
from lowlight.metrics.evaluate import LARGEST_PSNR, Method, mean
from lowlight.system import counted

LOG = logging.getLogger(__name__)

DIGITS = 4


def lost(enhancer: Method, low: np.ndarray, high: np.ndarray) -> dict[str, float]:
    """Break down the error of one photo.

    Parameters
    ----------
    enhancer : callable
        A `lowlight.inference.enhancer.Enhancer`, or another method.
    low, high : (H, W, 3) uint8 arrays
        The dark photo and its truth.

    Returns
    -------
    dict
        PSNR in dB: `psnr`; and where the model takes a target exposure `psnr_mean` (the mean of the predicted map is
        the truth's), `psnr_oracle` (the map is the truth's) and `psnr_curve` (and `best_curves` are applied). Of the
        map, in log units, of which a stop is 0.315: `map_error`, its mean absolute error, and `map_bias`, the mean of
        the predicted one minus the truth's.
    """
    photo = low.astype(np.float32) / 255
    if not isinstance(enhancer, Enhancer) or not enhancer.takes_exposure_map:
        return {"psnr": _psnr(high, quality.to_8_bits(enhancer(photo)))}
    seen, true = overview(photo), exposure_map(thumbnail(high))
    predicted = enhancer.predict_exposure(seen)
    error = predicted - true
    own, shifted, oracle = (
        quality.to_8_bits(enhancer(photo, target_exposure=target, overview=seen))
        for target in (predicted, predicted - error.mean(), true)
    )
    return {
        "psnr": _psnr(high, own),
        "psnr_mean": _psnr(high, shifted),
        "psnr_oracle": _psnr(high, oracle),
        "psnr_curve": _psnr(high, best_curves(high, oracle)),
        "map_error": float(np.abs(error).mean()),
        "map_bias": float(error.mean()),
    }


def best_curves(truth: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The output through the curve for each colour that makes its squared error least.

    That is, at each level, the mean of the truth where the output has that level.

    Parameters
    ----------
    truth, output : (H, W, 3) uint8 arrays

    Returns
    -------
    (H, W, 3) uint8 array
    """
    corrected = np.empty_like(output)
    for colour in range(3):
        levels = output[..., colour].ravel()
        counts = np.bincount(levels, minlength=256)
        sums = np.bincount(levels, truth[..., colour].ravel(), minlength=256)
        corrected[..., colour] = np.rint(sums / np.maximum(counts, 1)).astype(np.uint8)[output[..., colour]]
    return corrected


def _psnr(truth, output) -> float:
    return min(quality.psnr(truth, output), LARGEST_PSNR)


def _summary(enhancer, pairs, description) -> dict:
    LOG.info("%s: where %s lost", description, counted(len(pairs), "photo is", "photos are"))
    photos = [lost(enhancer, *read_pair(pair)) for pair in pairs]
    scores = mean(photos)
    scores["psnr_worst"] = min(photo["psnr"] for photo in photos)
    if "map_bias" in scores:
        scores["map_spread"] = float(np.std([photo["map_bias"] for photo in photos]))
    return {key: round(value, DIGITS) for key, value in scores.items()}


score_sets = partial(rows.score_sets, score=_summary)
"""Break down the error of models on sets of real pairs; parameters and rows as of `lowlight.benchmark.rows.score_sets`.

The scores are the means over the photos of what `lost` gives, `psnr_worst`, and `map_spread`, the standard deviation of
the bias.
"""
