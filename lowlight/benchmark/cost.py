"""What a model costs: multiplications for a pixel, and seconds for a megapixel on this machine."""

import math
import time
from collections.abc import Callable

import numpy as np

from lowlight.backend import keras
from lowlight.networks.architectures import STRIDE

SIDE = 960
"""Of the photo that is timed, in pixels; it is run in one tile."""

LARGE = 16 * STRIDE
"""Side in pixels of the photo that multiplications are counted for: every level of the graphs has whole pixels."""

ROUNDS = 3


def macs_per_pixel(model: keras.Model) -> int:
    """Multiply-accumulate operations of the layers with a kernel, for each pixel of a large photo.

    Parameters
    ----------
    model : keras.Model
        As for `lowlight.inference.enhancer.Enhancer`. Of a graph inside the graph only the one is counted that does
        all the work.

    Returns
    -------
    int
        Rounded. Layers without a kernel, such as sums and normalisation, count as nothing.
    """
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if inner and len(model.layers) == 1 + len(model.inputs):
        return macs_per_pixel(inner[0])
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    probe = keras.Model(model.inputs, [(layer.input, layer.output) for layer in weighted])
    spec = [keras.KerasTensor((1, *(side or LARGE for side in tensor.shape[1:]))) for tensor in model.inputs]
    total = 0
    for layer, (before, after) in zip(weighted, probe.compute_output_spec(spec), strict=True):
        # A transposed convolution applies its kernel at each pixel that goes in, any other at each that comes out.
        applied = before if isinstance(layer, keras.layers.Conv2DTranspose) else after
        total += math.prod(layer.kernel.shape) * math.prod(applied.shape[1:-1])
    return round(total / max(math.prod(tensor.shape[1:3]) for tensor in spec))


def seconds_per_megapixel(methods: dict[str, Callable[[np.ndarray], np.ndarray]]) -> dict[str, float]:
    """Time each method on the same photo, all in turn, so that what else the machine does slows all alike.

    Parameters
    ----------
    methods : dict
        By name, functions from photo to photo, such as `lowlight.inference.enhancer.Enhancer`.

    Returns
    -------
    dict
        By name, the shortest of `ROUNDS` times, in seconds for a million pixels.
    """
    photo = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32) / 8
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(1 + ROUNDS):  # the first one builds graphs and is not counted
        for name, method in methods.items():
            start = time.perf_counter()
            method(photo)
            times[name].append(time.perf_counter() - start)
    return {name: min(seconds[1:]) / (SIDE**2 / 1e6) for name, seconds in times.items()}
