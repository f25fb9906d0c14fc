"""The global-local graph: exposure is decided once for the whole photo, what is noise is decided close by.

A thumbnail of the whole photo and a target exposure map give a colour matrix and a tone curve that varies over the
photo (a low-resolution network that steers a full-resolution one: Gharbi et al. 2017, HDRNet; colour matrix and gamma:
Cui et al. 2022, IAT). A U-Net from half resolution down then denoises tile by tile, conditioned on the whole photo by
feature-wise scale and shift (Perez et al. 2018, FiLM).

Names of inputs, outputs and layers stay as they are in weights and ONNX files that are out there: `level` is the target
exposure map, `guess` the predicted one.
"""

import numpy as np

from lowlight.backend import computing, keras, layers, ops
from lowlight.imaging.exposure import BLACK, CELLS, LARGEST_GAIN, OVERVIEW, TARGET_MEAN, THUMBNAIL
from lowlight.networks.blocks import coarse, conv, residual_decoder, residual_encoder

DARKEST, BRIGHTEST = 1e-3, 0.97
"""Between these the curve's slope follows from the brightness by arithmetic; at 0 and 1 it would be infinite."""

GATE = 0.55
"""The identity gate: cells that should change by less than this, in log units (1.7 stops), change only in part."""

NOISE_FLOOR = 0.004
"""Noise of one level of 255 is the least that counts."""

SIDE = THUMBNAIL // CELLS
"""Of a cell in the thumbnail. Pools are given it twice: without strides Keras 3.15 pools wrongly by JAX."""

CORED = 16
"""Side in pixels of the squares over which coring measures how much denoising changes."""

FEATURES = 64
"""Width of the features of the whole photo, per cell and in all."""


def global_local(widths=(32, 48, 64, 96), blocks=(2, 1, 2, 2), black_point=False, coring=0.0) -> keras.Model:
    """Exposure from a thumbnail, denoising by a U-Net of residual blocks.

    Built for half precision, the U-Net alone computes so.

    Parameters
    ----------
    widths, blocks : sequences of int
        Channels and residual blocks at 1/2, 1/4, 1/8 and 1/16 of the resolution.
    black_point : bool
        Take off the base what lifts the black of a dark photo: a wrong black level, flare, or noise that was clipped.
    coring : float
        Levels of 255: where denoising would change the base by less than this, it does so only in part; 0: no coring.

    Returns
    -------
    keras.Model
        Inputs by name: `photo` (B, H, W, 3) in [0, 1], a tile or the whole; `thumbnail` (B, 64, 64, 3) of the whole
        photo, and `level` (B, 8, 8, 1), its target exposure map, both as by `lowlight.imaging.exposure`; `box` (B, 4),
        the tile's top, left, bottom and right in the whole photo, 0 to 1; `white_balance` (B, 1), from 0, which
        leaves the colour of the light as it is, to 1; `overview` (B, 64, 64, 5) of a whole photo. Outputs: `output`
        (B, H, W, 3), not clipped; `base` (B, H, W, 3), before denoising; `right` (B, 8, 8, 1), the exposure map that
        is predicted for the photo of the overview, and `guess`, the same behind the identity gate; nothing else depends
        on these two.
    """
    with computing("float32"):
        photo = keras.Input((None, None, 3), name="photo")
        thumbnail = keras.Input((THUMBNAIL, THUMBNAIL, 3), name="thumbnail")
        box = keras.Input((4,), name="box")
        level = keras.Input((CELLS, CELLS, 1), name="level")
        white_balance = keras.Input((1,), name="white_balance")
        overview = keras.Input((THUMBNAIL, THUMBNAIL, OVERVIEW), name="overview")
        guess, right = _predicted_exposure(overview)
        own = _exposure_map(thumbnail)
        seen = _cell_features(_with_normalised(thumbnail, "look_at"), (16, 32, FEATURES), "look")
        known, whole = _conditioning(seen, own, level)
        clear, clear_own = _less_black(photo, thumbnail, level, own, whole) if black_point else (photo, own)
        base = _base(clear, clear_own, box, level, white_balance, known, whole)
        photos = layers.Concatenate(name="photos")([photo, base])
    correction, mask = _denoising(photos, whole, widths, blocks)
    with computing("float32"):
        smooth = coarse(base)
        detail = layers.Multiply(name="kept_detail")([mask, layers.Subtract(name="detail")([base, smooth])])
        output = layers.Add(name="output")([smooth, detail, correction])
        output = _cored(base, output, coring) if coring else output
    inputs = {"photo": photo, "thumbnail": thumbnail, "box": box, "level": level, "white_balance": white_balance}
    inputs["overview"] = overview
    return keras.Model(inputs, {"output": output, "base": base, "guess": guess, "right": right})


def _exposure_map(thumbnail):
    """As `lowlight.imaging.exposure.exposure_map`."""
    means = ops.mean(ops.average_pool(thumbnail, SIDE, SIDE), axis=-1, keepdims=True)
    return ops.log(means + BLACK)


def _with_normalised(thumbnail, name):
    """The photo as it is, and at the mean of well-lit ones."""
    mean = ops.mean(thumbnail, axis=(1, 2, 3), keepdims=True)
    bright = ops.minimum(thumbnail * (TARGET_MEAN / ops.maximum(mean, TARGET_MEAN / LARGEST_GAIN)), 1.0)
    return layers.Concatenate(name=name)([thumbnail, bright])


def _cell_features(x, widths, name):
    """(B, 8, 8, widths[-1]): what the cells of the photo show."""
    for index, filters in enumerate(widths, 1):
        x = layers.Conv2D(filters, 3, 2, "same", activation="relu", name=f"{name}_{index}")(x)
    return x


def _predicted_exposure(overview, width=96):
    """(B, 8, 8, 1), twice: the predicted exposure map behind the identity gate, and before it.

    It shares no layer with restoration, so that it can be trained for itself. The statistics of a cell generalise to
    photos of any kind; what the cells show is soon overfitted, so half of that is dropped in training.
    """
    thumbnail, brightest, noise = overview[..., :3], overview[..., 3:4], overview[..., 4:]
    own, exposed = _exposure_map(thumbnail), _with_normalised(thumbnail, "guess_exposed")
    shown = layers.Concatenate(name="guess_look_at")([exposed, brightest, _log_noise(noise)])
    seen = _cell_features(shown, (width // 4, width // 2, width), "guess_look")
    seen = layers.SpatialDropout2D(0.5, name="guess_forgets")(seen)
    brightness = [own, _exposure_map(brightest), ops.log(ops.max_pool(brightest, SIDE, SIDE) + BLACK)]
    rest = [_log_noise(ops.average_pool(noise, SIDE, SIDE)), ops.average_pool(exposed[..., 3:], SIDE, SIDE)]
    cells = layers.Concatenate(name="guess_numbers")([*brightness, *rest])
    cells = layers.Conv2D(width, 1, activation="relu", name="guess_cells")(cells)
    x = conv(layers.Concatenate(name="guess_from")([cells, seen, own]), width, "guess_1")
    context = layers.Dense(width, activation="relu", name="guess_context")(_pooled(x, "guess"))
    x = layers.Add(name="guess_in_context")([x, layers.Reshape((1, 1, width), name="guess_everywhere")(context)])
    x = conv(x, width, "guess_2")
    usual = keras.initializers.Constant(-0.9)  # a mean of 0.4
    right = layers.Conv2D(1, 1, kernel_initializer="zeros", bias_initializer=usual, name="guess")(x)
    return _identity_gate(own, right), right


def _log_noise(noise):
    """From 0, for none, in log units."""
    return ops.log(noise + NOISE_FLOOR) - float(np.log(NOISE_FLOOR))


def _identity_gate(own, right):
    """`right`, but where the photo is nearly so, its own exposure map: what is well lit comes out as it went in."""
    difference = right - own
    t = ops.minimum(ops.abs(difference) / GATE, 1.0)
    return own + difference * t * t * (3 - 2 * t)


def _conditioning(seen, own, level):
    """Features of the cells, (B, 8, 8, 64), and of the whole photo, (B, 64), with its target exposure map."""
    x = layers.Concatenate(name="told")([seen, own, level, level - own])
    x = conv(x, FEATURES, "known")
    return x, layers.Dense(FEATURES, activation="relu", name="whole")(_pooled(x, "known"))


def _less_black(photo, thumbnail, level, own, whole):
    """The photo without what lifts its black, and its exposure map.

    Of the darkest of each colour (Chavez 1988, dark-object subtraction) a share is taken off that the network predicts,
    and nothing where the photo is not to become brighter: it is right as it is.
    """
    usual = keras.initializers.Constant(-1.0)  # a quarter
    share = layers.Dense(1, "sigmoid", kernel_initializer="zeros", bias_initializer=usual, name="black_share")(whole)
    brightened = 1 - ops.exp(-ops.relu(ops.mean(level - own, axis=(1, 2, 3))))
    black = _darkest(thumbnail) * ops.reshape(share, (-1, 1, 1, 1)) * ops.reshape(brightened, (-1, 1, 1, 1))
    return _without(photo, black), _exposure_map(_without(thumbnail, black))


def _darkest(thumbnail):
    """(B, 1, 1, 3): of each colour the least of 16 x 16 means, which noise hardly reaches; something is always left."""
    darkest = ops.min(ops.average_pool(thumbnail, 4, 4), axis=(1, 2), keepdims=True)
    return ops.minimum(darkest, 0.75 * ops.mean(thumbnail, axis=(1, 2, 3), keepdims=True))


def _without(image, black):
    return ops.relu(image - black) / (1 - black)


def _base(photo, own, box, level, white_balance, known, whole):
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
    rows = _bilinear_weights(ops.ones_like(photo[:, :, 0, 0]), top, bottom)
    columns = _bilinear_weights(ops.ones_like(photo[:, 0, :, 0]), left, right)
    return ops.einsum("bhjk,bwj->bhwk", ops.einsum("bhi,bijk->bhjk", rows, maps), columns)


def _bilinear_weights(ones, start, stop):
    """(B, L, 8): what each cell counts at each of L pixels, from (B, L) ones; beyond the photo, its rim."""
    place = start + (stop - start) * (ops.cumsum(ones, axis=1) - 0.5) / ops.sum(ones, axis=1, keepdims=True)
    cell = ops.clip(place * CELLS - 0.5, 0.0, CELLS - 1.0)
    return ops.relu(1.0 - ops.abs(ops.expand_dims(cell, -1) - ops.arange(CELLS, dtype="float32")))


def _denoising(photos, whole, widths, blocks):
    """What to add (B, H, W, 3), and how much of the finest detail to keep (B, H, W, 3)."""
    levels = residual_encoder(photos, widths, blocks)
    scale, shift = (
        layers.Reshape((1, 1, widths[-1]), name=name)(_from_zero(widths[-1], f"film_{name}")(whole))
        for name in ("scale", "shift")
    )
    x = layers.Add(name="film")([levels[-1], layers.Multiply(name="scaled")([levels[-1], scale]), shift])
    return residual_decoder(x, levels, widths, blocks)


def _cored(base, output, coring):
    """The output, but the base where they differ by little: what is clean keeps what noise it has, pixel by pixel.

    The difference times P / (P + coring^2), as by a Wiener filter, P being its power in a square of pixels. Squares do
    not show: where their shares differ, the difference is about as small as `coring`.
    """
    change = output - base
    power = ops.mean(ops.average_pool(ops.square(change), CORED, CORED), axis=-1, keepdims=True)
    made = layers.UpSampling2D(CORED, name="made")(power / (power + (coring / 255) ** 2))
    return base + made * change


def _from_zero(units, name):
    return layers.Dense(units, kernel_initializer="zeros", name=name)


def _pooled(x, name):
    pools = layers.GlobalAveragePooling2D(name=f"{name}_mean")(x), layers.GlobalMaxPooling2D(name=f"{name}_most")(x)
    return layers.Concatenate(name=f"{name}_pooled")(pools)


def _logit(mean):
    mean = ops.clip(mean, DARKEST, BRIGHTEST)
    return ops.log(mean) - ops.log(1 - mean)
