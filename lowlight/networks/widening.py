"""A wider network that computes what a trained narrower one does, as the start of its training (Net2Net)."""

import numpy as np

from lowlight.backend import keras, layers


def widen(narrow: keras.Model, wide: keras.Model, seed: int = 0) -> None:
    """Give `wide` the function of `narrow`: each channel is repeated, and what reads it divides its weights.

    After Chen et al. 2016 (Net2Net). The weights that read the copies of a channel differ by noise that adds up to
    zero, of the size that halves the variance of the weights when the width is doubled, as random weights have it, so
    that the copies are told apart from the first step on.

    Parameters
    ----------
    narrow, wide : keras.Model
        Of graphs with layers of the same names, those of `wide` with as many channels or a multiple; what it has beside
        them stays as it is.
    seed : int
        Of the noise.

    Raises
    ------
    ValueError
        If `wide` lacks a layer of `narrow`, or one is no multiple of it.
    """
    rng = np.random.default_rng(seed)
    found = {layer.name: layer for layer in wide.layers}
    for old in (layer for layer in narrow.layers if layer.weights):
        if old.name not in found:
            raise ValueError(f"Each layer needs one of its name. Received: {old.name}, which the other has not.")
        new = found[old.name]
        kernel_axes = (3, 2) if isinstance(new, layers.Conv2DTranspose) else (-2, -1)
        weights = []
        for value, variable in zip(old.get_weights(), new.weights, strict=True):
            reads, writes = kernel_axes if value.ndim > 1 else (None, 0)
            value = np.repeat(value, _factor(value, variable, writes), axis=writes)
            if reads is not None:
                value = _divided(value, _factor(value, variable, reads), reads, rng)
            weights.append(value)
        new.set_weights(weights)


def _factor(value, variable, axis) -> int:
    factor, rest = divmod(variable.shape[axis], value.shape[axis])
    if rest or not factor:
        raise ValueError(
            f"Channels are repeated as a whole. Received: {value.shape[axis]} for {variable.path}, which has "
            f"{variable.shape[axis]}."
        )
    return factor


def _divided(kernel, factor, axis, rng):
    """Repeated along an axis, so that the copies add up to the kernel."""
    if factor == 1:
        return kernel
    noise = rng.normal(0, kernel.std() / np.sqrt(factor), (factor, *kernel.shape))
    copies = kernel / factor + noise - noise.mean(axis=0)
    axis %= kernel.ndim
    shape = [size * factor if index == axis else size for index, size in enumerate(kernel.shape)]
    return np.stack(copies, axis + 1).reshape(shape)
