"""The global-local graph: how bright is decided once for the whole photo, what is noise is decided close by.

A thumbnail of the whole photo, and a map of how bright each of its regions is wished to be, give a colour matrix and a
tone curve that varies over the photo (a low-resolution network that steers a full-resolution one: Gharbi et al. 2017,
HDRNet; colour matrix and gamma: Cui et al. 2022, IAT). A U-Net from half resolution down then cleans tile by tile, told
by feature-wise scale and shift (Perez et al. 2018, FiLM) what the whole photo is like.
"""

import numpy as np

from lowlight.backend import computing, keras, layers, ops
from lowlight.imaging.exposure import BLACK, CELLS, LARGEST_GAIN, OVERVIEW, THUMBNAIL
from lowlight.imaging.exposure import TARGET_MEAN as LEVEL
from lowlight.networks.blocks import conv, residual_decoder, residual_encoder

DARKEST, BRIGHTEST = 1e-3, 0.97
"""Between these the curve's slope follows from the brightness by arithmetic; at 0 and 1 it would be infinite."""

NEARLY_RIGHT = 0.55
"""Levels that should differ by less than this from what they are, in log units (1.7 stops), are moved only in part."""

FAINTEST = 0.004
"""Grain of one level of 255 is the least that counts."""

FEATURES = 64
"""Width of what is known of the whole photo, per cell and in all."""


def global_local(widths=(32, 48, 64, 96), blocks=(2, 1, 2, 2)) -> keras.Model:
    """Exposure from a thumbnail, cleaning by a U-Net of residual blocks.

    Built for half precision, the U-Net alone computes so.

    Parameters
    ----------
    widths, blocks : sequences of int
        Channels and residual blocks at 1/2, 1/4, 1/8 and 1/16 of the resolution.

    Returns
    -------
    keras.Model
        Inputs by name: `photo` (B, H, W, 3) in [0, 1], a tile or the whole; `thumbnail` (B, 64, 64, 3) and `level`
        (B, 8, 8, 1) of the whole photo, by `lowlight.imaging.exposure`, the latter as it is wished to be; `box` (B,
        4), the tile's top, left, bottom and right in the whole photo, 0 to 1; `white_balance` (B, 1), from 0, which
        leaves the colour of the light as it is, to 1; `overview` (B, 64, 64, 5) of a whole photo. Outputs: `output`
        (B, H, W, 3), not clipped; `base` (B, H, W, 3), before cleaning; `guess` (B, 8, 8, 1), the level that the photo
        of the overview should have, or its own where that is nearly right, and `right`, whether nearly so or not;
        nothing else depends on these two.
    """
    with computing("float32"):
        photo = keras.Input((None, None, 3), name="photo")
        thumbnail = keras.Input((THUMBNAIL, THUMBNAIL, 3), name="thumbnail")
        box = keras.Input((4,), name="box")
        level = keras.Input((CELLS, CELLS, 1), name="level")
        white_balance = keras.Input((1,), name="white_balance")
        overview = keras.Input((THUMBNAIL, THUMBNAIL, OVERVIEW), name="overview")
        guess, right = _guess(overview)
        own = _level(thumbnail)
        known, whole = _known(_looked(_exposed(thumbnail, "look_at"), (16, 32, FEATURES), "look"), own, level)
        base = _base(photo, box, own, level, white_balance, known, whole)
        photos = layers.Concatenate(name="photos")([photo, base])
    correction, mask = _cleaning(photos, whole, widths, blocks)
    with computing("float32"):
        coarse = layers.UpSampling2D(2, name="coarse")(layers.AveragePooling2D(2, name="coarse_half")(base))
        detail = layers.Multiply(name="kept_detail")([mask, layers.Subtract(name="detail")([base, coarse])])
        output = layers.Add(name="output")([coarse, detail, correction])
    inputs = {"photo": photo, "thumbnail": thumbnail, "box": box, "level": level, "white_balance": white_balance}
    inputs["overview"] = overview
    return keras.Model(inputs, {"output": output, "base": base, "guess": guess, "right": right})


def _level(thumbnail):
    """As `lowlight.imaging.exposure.level`."""
    means = ops.mean(ops.average_pool(thumbnail, THUMBNAIL // CELLS), axis=-1, keepdims=True)
    return ops.log(means + BLACK)


def _exposed(thumbnail, name):
    """The photo as it is and at the set brightness."""
    mean = ops.mean(thumbnail, axis=(1, 2, 3), keepdims=True)
    bright = ops.minimum(thumbnail * (LEVEL / ops.maximum(mean, LEVEL / LARGEST_GAIN)), 1.0)
    return layers.Concatenate(name=name)([thumbnail, bright])


def _looked(x, widths, name):
    """(B, 8, 8, widths[-1]): what the cells of the photo show."""
    for index, filters in enumerate(widths, 1):
        x = layers.Conv2D(filters, 3, 2, "same", activation="relu", name=f"{name}_{index}")(x)
    return x


def _guess(overview, width=96):
    """(B, 8, 8, 1), twice: the level to bring such a photo to, and the one that would be right.

    It shares no layer with what cleans, so that it can be trained for itself. What is known of each cell in numbers
    holds for photos of any kind; what the cells show is soon known by heart, so half of that is dropped in training.
    """
    thumbnail, brightest, grain = overview[..., :3], overview[..., 3:4], overview[..., 4:]
    own, exposed = _level(thumbnail), _exposed(thumbnail, "guess_exposed")
    looked_at = layers.Concatenate(name="guess_look_at")([exposed, brightest, _grain(grain)])
    seen = _looked(looked_at, (width // 4, width // 2, width), "guess_look")
    seen = layers.SpatialDropout2D(0.5, name="guess_forgets")(seen)
    side = THUMBNAIL // CELLS
    brightness = [own, _level(brightest), ops.log(ops.max_pool(brightest, side) + BLACK)]
    rest = [_grain(ops.average_pool(grain, side)), ops.average_pool(exposed[..., 3:], side)]
    cells = layers.Concatenate(name="guess_numbers")([*brightness, *rest])
    cells = layers.Conv2D(width, 1, activation="relu", name="guess_cells")(cells)
    x = conv(layers.Concatenate(name="guess_from")([cells, seen, own]), width, "guess_1")
    context = layers.Dense(width, activation="relu", name="guess_context")(_pooled(x, "guess"))
    x = layers.Add(name="guess_in_context")([x, layers.Reshape((1, 1, width), name="guess_everywhere")(context)])
    x = conv(x, width, "guess_2")
    usual = keras.initializers.Constant(-0.9)  # a mean of 0.4
    right = layers.Conv2D(1, 1, kernel_initializer="zeros", bias_initializer=usual, name="guess")(x)
    return _where_not_nearly_right(own, right), right


def _grain(grain):
    """From 0, for none, in log units."""
    return ops.log(grain + FAINTEST) - float(np.log(FAINTEST))


def _where_not_nearly_right(own, right):
    """`right`, but where the photo is nearly so, the photo's own level: what is well lit comes out as it went in."""
    difference = right - own
    t = ops.minimum(ops.abs(difference) / NEARLY_RIGHT, 1.0)
    return own + difference * t * t * (3 - 2 * t)


def _known(seen, own, level):
    """Features of the cells, (B, 8, 8, 64), and of the whole photo, (B, 64), once it is told how bright to be."""
    x = layers.Concatenate(name="told")([seen, own, level, level - own])
    x = conv(x, FEATURES, "known")
    return x, layers.Dense(FEATURES, activation="relu", name="whole")(_pooled(x, "known"))


def _base(photo, box, own, level, white_balance, known, whole):
    """(s x / (1 + (s - 1) x)) ^ gamma, with x the photo times a colour matrix: black stays black, white stays white."""
    matrix = layers.Reshape((3, 3), name="matrix")(_from_zero(9, "matrix_change")(whole)) + ops.eye(3)
    tone = layers.Reshape((2, 1, 3), name="tone")(_from_zero(6, "tone_change")(whole))
    kept = 1 - ops.expand_dims(white_balance, -1)
    grey = ops.log(ops.maximum(ops.sum(matrix, axis=2, keepdims=True), 0.1))
    matrix = matrix * ops.exp(-kept * (grey - ops.mean(grey, axis=1, keepdims=True)))
    tone = tone - ops.expand_dims(kept, -1) * (tone - ops.mean(tone, axis=3, keepdims=True))
    slopes, exponents = tone[:, :1], tone[:, 1:]
    maps = layers.Conv2D(2, 3, padding="same", kernel_initializer="zeros", name="maps")(known)
    slope, exponent = ops.split(maps, 2, axis=-1)
    slope = slope + _logit(ops.exp(level) - BLACK) - _logit(ops.exp(own) - BLACK)
    sliced = _sliced(ops.concatenate([slope, exponent], axis=-1), photo, box)
    slope, exponent = ops.split(sliced, 2, axis=-1)
    x = ops.clip(ops.einsum("bhwc,bdc->bhwd", photo, matrix), 1e-5, 1.0)
    s = ops.exp(slope) * ops.exp(slopes)
    exponent = ops.exp(exponent) * ops.exp(exponents)
    # The power, in the two steps that a CPU does twice as fast as the one.
    return ops.exp(exponent * ops.log(s * x / (1 + (s - 1) * x)))


def _sliced(maps, photo, box):
    """(B, 8, 8, K) maps of the whole photo, bilinearly at each pixel of the tile: (B, H, W, K)."""
    top, left, bottom, right = ops.split(box, 4, axis=-1)
    rows = _shares(ops.ones_like(photo[:, :, 0, 0]), top, bottom)
    columns = _shares(ops.ones_like(photo[:, 0, :, 0]), left, right)
    return ops.einsum("bhjk,bwj->bhwk", ops.einsum("bhi,bijk->bhjk", rows, maps), columns)


def _shares(ones, start, stop):
    """(B, L, 8): the share that each cell has at each of L pixels, from (B, L) ones; beyond the photo, its rim."""
    place = start + (stop - start) * (ops.cumsum(ones, axis=1) - 0.5) / ops.sum(ones, axis=1, keepdims=True)
    cell = ops.clip(place * CELLS - 0.5, 0.0, CELLS - 1.0)
    return ops.relu(1.0 - ops.abs(ops.expand_dims(cell, -1) - ops.arange(CELLS, dtype="float32")))


def _cleaning(x, whole, widths, blocks):
    """What to add (B, H, W, 3), and how much of the finest detail to keep (B, H, W, 3)."""
    x = layers.Conv2D(widths[0], 3, strides=2, padding="same", name="stem")(x)
    levels = residual_encoder(x, widths, blocks)
    scale, shift = (
        layers.Reshape((1, 1, widths[-1]), name=name)(_from_zero(widths[-1], f"film_{name}")(whole))
        for name in ("scale", "shift")
    )
    x = layers.Add(name="film")([levels[-1], layers.Multiply(name="scaled")([levels[-1], scale]), shift])
    x = residual_decoder(x, levels, widths, blocks)
    mask = layers.Conv2D(3, 3, padding="same", activation="sigmoid", kernel_initializer="zeros", name="mask_half")(x)
    correction = layers.Conv2DTranspose(3, 2, strides=2, kernel_initializer="zeros", name="correction")(x)
    return correction, layers.UpSampling2D(2, name="mask")(mask)


def _from_zero(units, name):
    return layers.Dense(units, kernel_initializer="zeros", name=name)


def _pooled(x, name):
    pools = layers.GlobalAveragePooling2D(name=f"{name}_mean")(x), layers.GlobalMaxPooling2D(name=f"{name}_most")(x)
    return layers.Concatenate(name=f"{name}_pooled")(pools)


def _logit(mean):
    mean = ops.clip(mean, DARKEST, BRIGHTEST)
    return ops.log(mean) - ops.log(1 - mean)
