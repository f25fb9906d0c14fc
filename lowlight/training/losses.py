"""Losses: functions of truth and output, both (B, H, W, 3), giving one value an image, (B,)."""

import numpy as np

from lowlight.backend import ops

STRUCTURE_WEIGHT = 0.25
LESS_STRUCTURE_WEIGHT = 0.15
"""Beside a loss that counts PSNR, too."""

LOG_WEIGHT = 0.02


def mae(truth, output):
    """Mean absolute error of each image."""
    return ops.mean(ops.abs(output - truth), axis=(1, 2, 3))


def mse(truth, output):
    """Mean squared error of each image."""
    return ops.mean(ops.square(output - truth), axis=(1, 2, 3))


def charbonnier(truth, output, epsilon=1e-3):
    """Mean absolute error, rounded off at zero (Charbonnier et al. 1994), of each image."""
    return ops.mean(ops.sqrt(ops.square(output - truth) + epsilon**2), axis=(1, 2, 3))


def charbonnier_ssim(truth, output):
    """Charbonnier loss + 0.25 (1 - SSIM): the pixels and the structure (Zhao et al. 2017)."""
    return charbonnier(truth, output) + STRUCTURE_WEIGHT * (1 - ssim(truth, output))


def charbonnier_ssim_psnr(truth, output):
    """Charbonnier loss + 0.15 (1 - SSIM) + 0.04 log MSE: the last is PSNR (as a loss: Chen et al. 2021, HINet)."""
    structure = LESS_STRUCTURE_WEIGHT * (1 - ssim(truth, output))
    return charbonnier(truth, output) + structure + 2 * _log_mse(truth, output)


def ssim(truth, output):
    """Structural similarity (Wang et al. 2004) of each image: Gaussian window, sigma 1.5, data range 1.

    Sides of at least 11 pixels; only whole windows count.
    """
    truth, output = ops.cast(truth, "float32"), ops.cast(output, "float32")
    moments = [truth, output, truth * truth, output * output, truth * output]
    blurred = _gaussian_blur(ops.concatenate(moments, axis=-1))
    mean_t, mean_o, square_t, square_o, product = ops.split(blurred, 5, axis=-1)
    variance_t, variance_o = square_t - mean_t**2, square_o - mean_o**2
    covariance = product - mean_t * mean_o
    luminance = (2 * mean_t * mean_o + 0.01**2) / (mean_t**2 + mean_o**2 + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (variance_t + variance_o + 0.03**2)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


def _gaussian_blur(x, radius=5, sigma=1.5):
    window = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    window = (window / window.sum()).astype("float32")
    column = np.tile(window[:, None, None, None], (1, 1, x.shape[-1], 1))
    return ops.depthwise_conv(ops.depthwise_conv(x, column), column.swapaxes(0, 1))


def brightness(truth, output, size=16):
    """Mean absolute error of each image once both are averaged over squares of 16x16 pixels."""
    return mae(*(ops.average_pool(image, size, size) for image in (truth, output)))


def exposure_mae(truth, predicted):
    """Mean absolute error of each exposure map (`lowlight.imaging.exposure`, (B, 8, 8, 1)), as pixel values."""
    return mae(ops.exp(truth), ops.exp(predicted))


def of_exposure(truth, predicted):
    """Error of each exposure map, (B, 8, 8, 1), as pixel values: the mean absolute one and the log of the squared one.

    The latter is what PSNR counts, for which a photo that is left alone by mistake or changed without need costs most.
    """
    return exposure_mae(truth, predicted) + _log_mse(ops.exp(truth), ops.exp(predicted))


def _log_mse(truth, output):
    """What PSNR counts: each image alike, however large its error; beyond 40 dB no more is gained."""
    return LOG_WEIGHT * ops.log(mse(truth, output) + 1e-4)


LOSSES = {loss.__name__: loss for loss in (mae, mse, charbonnier, charbonnier_ssim, charbonnier_ssim_psnr)}
