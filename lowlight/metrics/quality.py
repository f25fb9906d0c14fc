"""How near an output is to the truth: each photo at its own size, in RGB, as the 8-bit file that would be saved."""

import numpy as np
from skimage.metrics import structural_similarity

from lowlight.imaging.pixels import GREY_WEIGHTS

SSIM_WINDOW = 11
"""Side in pixels of the Gaussian window of `ssim`; smaller photos have no SSIM."""


def score(truth: np.ndarray, output: np.ndarray, with_ssim: bool = True) -> dict[str, float]:
    """All metrics of one photo.

    Parameters
    ----------
    truth, output : (H, W, 3) uint8 array in [0, 255], or float array in [0, 1]
        Floats are clipped and rounded to 8 bits first, as a saved file would be.
    with_ssim : bool
        Without it, `ssim` (which takes most of the time) is left out.

    Returns
    -------
    dict
        `psnr` and `psnr_gt_mean` in dB, `mae` and `mse` on [0, 1], and `ssim`.

    Raises
    ------
    ValueError
        If the shapes differ, are not (H, W, 3), or values are not numbers; or if the truth is no photo on [0, 1].
    """
    truth, output = _as_files(truth, output)
    scores = {metric.__name__: metric(truth, output) for metric in (psnr, psnr_gt_mean, mae, mse)}
    return scores | {"ssim": ssim(truth, output)} if with_ssim else scores


def psnr(truth: np.ndarray, output: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, ``-10 log10(mse)``; infinite where the two are equal.

    Parameters and errors as in `score`.
    """
    error = mse(truth, output)
    return float(-10 * np.log10(error)) if error else float("inf")


def psnr_gt_mean(truth: np.ndarray, output: np.ndarray) -> float:
    """PSNR in dB once the output is as bright as the truth: what is left beside a wrong exposure.

    The output is multiplied by mean(grey(truth)) / mean(grey(output)), clipped to [0, 1] and rounded to 8 bits; grey
    is 0.299 R + 0.587 G + 0.114 B. Papers that follow the evaluation of KinD (Zhang et al. 2019) and LLFlow (Wang et
    al. 2022) report this number, which looks at the truth, as their PSNR. A black output stays as it is.

    Parameters and errors as in `score`.
    """
    truth, output = _as_files(truth, output)
    mean_of_truth, mean_of_output = (photo.mean(axis=(0, 1)) @ GREY_WEIGHTS for photo in (truth, output))
    if mean_of_output:
        output = output / 255 * (mean_of_truth / mean_of_output)
    return psnr(truth, output)


def mae(truth: np.ndarray, output: np.ndarray) -> float:
    """Mean absolute error on [0, 1]. Parameters and errors as in `score`."""
    return float(np.abs(_difference(truth, output)).mean())


def mse(truth: np.ndarray, output: np.ndarray) -> float:
    """Mean squared error on [0, 1]. Parameters and errors as in `score`."""
    return float(np.square(_difference(truth, output)).mean())


def ssim(truth: np.ndarray, output: np.ndarray) -> float:
    """Structural similarity with a Gaussian window (Wang et al. 2004), the mean over red, green and blue.

    The window is 11x11 with sigma 1.5, the covariance that of the whole window (not of a sample); a border of 5
    pixels, where the window would reach over the edge, does not count.

    Returns
    -------
    float
        At most 1; nan for a photo with a side below 11 pixels, in which no window fits.

    Parameters and errors as in `score`.
    """
    truth, output = _as_files(truth, output)
    if min(truth.shape[:2]) < SSIM_WINDOW:
        return float("nan")
    similarity = structural_similarity(
        truth,
        output,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    return float(similarity)


def to_8_bits(photo: np.ndarray) -> np.ndarray:
    """A photo as a saved file holds it: floats are clipped to [0, 1] and rounded to uint8; uint8 stays as it is."""
    if photo.dtype == np.uint8:
        return photo
    return np.rint(np.clip(photo, 0, 1) * 255).astype(np.uint8)


def _difference(truth, output):
    truth, output = _as_files(truth, output)
    return (truth.astype(np.float64) - output) / 255


def _as_files(truth, output):
    truth, output = np.asarray(truth), np.asarray(output)
    if truth.shape != output.shape or truth.ndim != 3 or truth.shape[2] != 3 or not truth.size:
        raise ValueError(f"Both photos must be of one shape (H, W, 3). Received: {truth.shape} and {output.shape}.")
    for name, photo in (("truth", truth), ("output", output)):
        if photo.dtype == np.uint8:
            continue
        if not np.issubdtype(photo.dtype, np.floating):
            raise ValueError(f"The {name} must hold uint8 or floats. Received: {photo.dtype}.")
        if not np.isfinite(photo).all():
            raise ValueError(f"The {name} must hold finite numbers only. Received: nan or infinity among them.")
        # An output may overshoot and is clipped; a truth beyond [0, 1] was read on another scale.
        if photo is truth and (photo.min() < -1 / 255 or photo.max() > 1 + 1 / 255):
            raise ValueError(f"A float truth must lie in [0, 1]. Received: {photo.min():.4g} to {photo.max():.4g}.")
    return to_8_bits(truth), to_8_bits(output)
