"""Score methods on pairs of photos, by one protocol; a method takes a dark photo and gives a bright one."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from skimage.color import hsv2rgb, rgb2hsv
from skimage.exposure import equalize_hist

from lowlight.data.pairs import Pair, read_pair
from lowlight.errors import UserError
from lowlight.imaging.exposure import exposure_map, thumbnail
from lowlight.metrics import quality
from lowlight.system import tracked

Method = Callable[[np.ndarray], np.ndarray]
"""From a (H, W, 3) float32 photo in [0, 1] to another of the same shape, which is clipped and rounded to 8 bits."""

PROTOCOL = (
    "Whole photos at their own size, in RGB on [0, 1], the output clipped and rounded to 8 bits. Each number is the "
    "mean of the photos' values; a photo that equals its truth counts as 100 dB. SSIM: Gaussian window of 11x11, "
    "sigma 1.5, covariance of the whole window, mean of the three channels (Wang et al. 2004). GT-mean PSNR: after "
    "the output is multiplied by mean(grey(truth)) / mean(grey(output)) and clipped, so it looks at the truth and is "
    "no PSNR of the output itself. Oracle exposure: a model that takes a target exposure is given that of the truth, "
    "an 8x8 map, which shows how well it denoises however good the exposure is that it predicts itself."
)

NEAR_TWINS = (
    "The test split is LOL's eval15: 14 of its 15 scenes have a near twin in our485, which rewards memorised "
    "exposures. It is reported, never chosen by."
)

FORMER_NAMES = {"psnr_told": "psnr_oracle", "ssim_told": "ssim_oracle"}

LARGEST_PSNR = 100.0
"""In dB, what a photo counts in a mean that equals its truth, so that one perfect photo does not hide the others."""


def evaluate(
    method: Method, pairs: Sequence[Pair], with_ssim: bool = True, description: str | None = None
) -> list[dict]:
    """Score a method on each pair, at full size.

    Parameters
    ----------
    method : callable
        A baseline of `BASELINES`, a `lowlight.inference.enhancer.Enhancer`, or the like. Called from one thread, photo
        by photo.
    pairs : sequence of Pair
    with_ssim : bool
        Whether to measure SSIM too, which takes most of the time.
    description : str, optional
        Text beside a progress bar, which is shown on a terminal only; no bar without it.

    Returns
    -------
    list of dict
        For each pair, in order: `name`, and the metrics of `lowlight.metrics.quality.score`; for an enhancer that
        takes a target exposure also `psnr_oracle` and `ssim_oracle`, when that is the truth's
        (`lowlight.imaging.exposure.exposure_map`).

    Raises
    ------
    ImageError
        If a photo cannot be read.
    UserError
        If an output holds nan or infinity.
    ValueError
        If an output is not of the truth's shape.
    """
    workers = os.cpu_count() or 1
    scores = []
    with ThreadPoolExecutor(workers) as pool:
        for pair in tracked(pairs, description) if description else pairs:
            low, truth = read_pair(pair)
            photo = low.astype(np.float32) / 255
            output, oracle = _finite(method(photo), pair), None
            if getattr(method, "takes_exposure_map", False):
                target = exposure_map(thumbnail(truth))
                oracle = quality.to_8_bits(method(photo, target_exposure=target))  # type: ignore[call-arg]
            scores.append(pool.submit(_score, truth, quality.to_8_bits(output), oracle, with_ssim))
            if len(scores) > workers:  # or the photos that wait for their score would fill the memory
                scores[-workers - 1].result()
        return [{"name": pair.name} | future.result() for pair, future in zip(pairs, scores, strict=True)]


def with_current_names(scores: dict) -> dict:
    """Scores with the metrics' names of today, as files of earlier versions have some under others."""
    return {FORMER_NAMES.get(key, key): value for key, value in scores.items()}


def mean(rows: Iterable[dict]) -> dict[str, float]:
    """Mean of each metric over the rows of `evaluate`.

    A photo that equals its truth counts as `LARGEST_PSNR`; photos too small for SSIM are left out of its mean, which
    is nan if no photo has one.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("A mean needs at least one row. Received: none.")
    return {key: _mean([row[key] for row in rows], key.startswith("psnr")) for key in rows[0] if key != "name"}


def untouched(photo: np.ndarray) -> np.ndarray:
    """The dark photo itself."""
    return photo


def gamma(photo: np.ndarray) -> np.ndarray:
    """Each value to the power of 0.4."""
    return photo**0.4


def equalised(photo: np.ndarray) -> np.ndarray:
    """Histogram equalisation of V in HSV over the whole photo, in its 256 levels, by scikit-image.

    Hue and saturation stay, as Gonzalez and Woods advise for colour photos (Digital Image Processing, "Histogram
    Processing of Color Images"): equalising red, green and blue one by one would shift the colours.
    """
    hsv = rgb2hsv(photo)
    hsv[..., 2] = equalize_hist(quality.to_8_bits(hsv[..., 2]))
    return hsv2rgb(hsv)


UNTOUCHED = "untouched input"

BASELINES: dict[str, Method] = {
    UNTOUCHED: untouched,
    "gamma 0.4": gamma,
    "histogram equalisation": equalised,
}
"""What needs no training; a model that is worth something is better."""


def _score(truth, output, oracle, with_ssim):
    scores = quality.score(truth, output, with_ssim)
    if oracle is not None:
        scores["psnr_oracle"] = quality.psnr(truth, oracle)
        if with_ssim:
            scores["ssim_oracle"] = quality.ssim(truth, oracle)
    return scores


def _mean(values, is_psnr):
    numbers = [min(value, LARGEST_PSNR) if is_psnr else value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def _finite(output, pair):
    if not np.isfinite(output).all():
        raise UserError(
            f"The model's output is not a photo. Received: nan or infinity for {pair.low}. Its training went astray: "
            "train it again, at a lower learning rate."
        )
    return output
