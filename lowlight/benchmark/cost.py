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


KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")
"""Attributes of layers; a separable convolution has the last two."""


def macs_per_pixel(model: keras.Model) -> int:
    """Multiply-accumulate operations of the layers with a kernel, for each pixel of a large photo.

    Parameters
    ----------
    model : keras.Model
        As for `lowlight.inference.enhancer.Enhancer`. Layers of graphs inside the graph count, too, and each layer as
        often as it is used.

    Returns
    -------
    int
        Rounded. Layers without a kernel, such as sums and normalisation, count as nothing.
    """
    inputs = {
        name: np.zeros((1, *(side or LARGE for side in tensor.shape[1:])), np.float32)
        for name, tensor in model.input.items()
    }
    counts: list[int] = []
    weighted = _weighted(model)
    for layer in weighted:
        layer.call = _counting(layer, counts)
    try:
        model(inputs, training=False)
    finally:
        for layer in weighted:
            del layer.call
    return round(sum(counts) / max(math.prod(array.shape[1:3]) for array in inputs.values()))


def _weighted(model) -> set[keras.Layer]:
    """Layers with a kernel, at any depth."""
    inner = {layer for part in model.layers if isinstance(part, keras.Model) for layer in _weighted(part)}
    return inner | {layer for layer in model.layers if any(hasattr(layer, kernel) for kernel in KERNELS)}


def _counting(layer, counts) -> Callable:
    """What the layer does, but what it costs is added to a list each time."""
    size = sum(math.prod(getattr(layer, kernel).shape) for kernel in KERNELS if hasattr(layer, kernel))
    call = layer.call

    def counted(inputs, **options):
        outputs = call(inputs, **options)
        # A transposed convolution applies its kernel at each pixel that goes in, any other at each that comes out.
        applied = inputs if isinstance(layer, keras.layers.Conv2DTranspose) else outputs
        counts.append(size * math.prod(applied.shape[1:-1]))
        return outputs

    return counted


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
