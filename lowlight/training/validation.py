"""What is measured while a model trains."""

from collections.abc import Callable, Sequence

import numpy as np

from lowlight.backend import ops
from lowlight.data.pairs import Pair, read_pair
from lowlight.imaging.exposure import exposure_map, thumbnail
from lowlight.inference.enhancer import Enhancer
from lowlight.metrics import quality
from lowlight.metrics.evaluate import mean
from lowlight.training.losses import mse


def validate(enhancer: Enhancer, pairs: Sequence[Pair], loss: Callable, oracle: bool = True) -> dict[str, float]:
    """Means over whole photos, as history.csv names them.

    A model that takes an exposure map is judged by its loss with the reference's (oracle exposure): how bright an
    unseen reference is cannot be read off the dark photo, and would decide by luck which weights are kept.

    Parameters
    ----------
    enhancer : Enhancer
    pairs : sequence of Pair
    loss : callable
        One of `lowlight.training.losses.LOSSES`.
    oracle : bool
        Whether to give the reference's exposure map; False where its prediction is what learns.
    """
    rows = []
    for pair in pairs:
        low, high = read_pair(pair)
        photo, truth = low.astype(np.float32) / 255, high.astype(np.float32) / 255
        output = enhancer(photo)
        row = quality.score(truth, output, with_ssim=False)
        if enhancer.takes_exposure_map and oracle:
            output = enhancer(photo, target_exposure=exposure_map(thumbnail(truth)))
            row["psnr_oracle"] = quality.psnr(truth, output)
        row["loss"] = float(ops.convert_to_numpy(loss(truth[None], output[None]))[0])
        rows.append(row)
    means = mean(rows)
    return {f"val_{key}": means[key] for key in ("loss", "psnr", "mae", "mse", "psnr_oracle") if key in means}


def psnr(truth, output):
    """PSNR in dB of each image of a batch, clipped and rounded to 8 bits, for the training curve."""
    output = ops.round(ops.clip(ops.cast(output, "float32"), 0, 1) * 255) / 255
    return -10 * ops.log10(ops.maximum(mse(ops.cast(truth, "float32"), output), 1e-10))
