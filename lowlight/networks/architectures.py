"""One builder per architecture: photo in, photo out, as Functional-API graphs of any image size.

Inputs go by name, as a dict: `photo` (B, H, W, 3) in [0, 1] and, where the graph wants it, `gain` (B, 1, 1, 1)
from `lowlight.imaging.exposure.gain` of the whole photo. H and W are multiples of `STRIDE`. The output (B, H, W, 3) is
float32 and not clipped.
"""

from lowlight.backend import computing, keras, layers
from lowlight.errors import UserError
from lowlight.networks.blocks import coarse, conv, conv_norm, residual_decoder, residual_encoder, up
from lowlight.networks.global_local import global_local

STRIDE = 16
"""Sides of what goes in are multiples of this, so that every level of the deepest graph has whole pixels."""


def build(name: str, precision: str = "float32", **settings) -> keras.Model:
    """Build an architecture with fresh weights.

    Parameters
    ----------
    name : str
        A key of `BUILDERS`.
    precision : str
        In which to compute: "float32", or "mixed_bfloat16" or "mixed_float16", which keep weights and outputs in
        float32.
    **settings
        Arguments of the builder, such as widths or the dropout rate.

    Raises
    ------
    UserError
        If no architecture has that name.
    """
    if name not in BUILDERS:
        raise UserError(f"There is no architecture of that name. Received: {name}. Known: {', '.join(BUILDERS)}.")
    with computing(precision):
        return BUILDERS[name](**settings)


def plain() -> keras.Model:
    """3x3 convolutions at full resolution; their output is added to the photo."""
    photo = _photo()
    x = photo
    for index, filters in enumerate((32, 64, 64, 32), 1):
        x = conv(x, filters, f"conv_{index}")
    x = layers.Conv2D(3, 3, padding="same", name="correction")(x)
    return _model(photo, _sum(photo, x))


def dilated() -> keras.Model:
    """`plain` with batch normalisation, and two dilated convolutions in the middle (Yu & Koltun 2016)."""
    photo = _photo()
    x = photo
    for index, (filters, dilation) in enumerate(((32, 1), (64, 2), (64, 4), (32, 1)), 1):
        x = conv_norm(x, filters, f"block_{index}", dilation)
    x = layers.Conv2D(3, 3, padding="same", name="correction")(x)
    return _model(photo, _sum(photo, x))


def sigmoid(dropout: float = 0.1, skips: bool = False, normalised: bool = False) -> keras.Model:
    """`dilated` with dropout (Srivastava et al. 2014) in the middle and a sigmoid in place of the sum.

    With `skips`, the first features join the last ones, and the second the third. With `normalised`, the photo times
    `gain` is a second input.
    """
    photo, gain, x = _inputs(normalised)
    first = conv_norm(x, 32, "block_1")
    second = conv_norm(first, 64, "block_2", dilation=2)
    x = layers.Dropout(dropout, name="dropout")(second)
    x = conv_norm(x, 64, "block_3", dilation=4)
    if skips:
        x = layers.Add(name="skip_2")([x, second])
    x = conv_norm(x, 32, "block_4")
    if skips:
        x = layers.Add(name="skip_1")([x, first])
    return _model(photo, _sigmoid(x), gain)


def unet(widths=(24, 48, 96), dropout: float = 0.1, normalised: bool = False) -> keras.Model:
    """Encoder-decoder (Ronneberger et al. 2015): two convolutions a level, the first level at half resolution.

    With `normalised`, the photo times `gain` is a second input.
    """
    photo, gain, x = _inputs(normalised)
    skips = []
    for level, width in enumerate(widths, 1):
        x = conv_norm(x, width, f"down_{level}", strides=2)
        x = conv_norm(x, width, f"encoder_{level}")
        skips.append(x)
    x = layers.Dropout(dropout, name="dropout")(skips.pop())
    for level in range(len(skips), 0, -1):
        x = up(x, widths[level - 1], f"up_{level}")
        x = layers.Concatenate(name=f"skip_{level}")([x, skips[level - 1]])
        x = conv_norm(x, widths[level - 1], f"decoder_{level}")
    return _model(photo, _sigmoid(up(x, widths[0] // 2, "up_0")), gain)


def residual_unet(widths=(32, 48, 64, 96), blocks=(1, 1, 2, 2), dropout: float = 0.0) -> keras.Model:
    """U-Net of residual blocks, from half resolution down, that corrects the photo times `gain`.

    Dropout is of the two coarsest levels, which see enough of a photo to overfit to it. No batch normalisation: a
    crop of a dark wall has other statistics than the photo. What is finer than 2x2 pixels is mostly noise; the features
    need not carry it, but say by a mask where it stays. Built for half precision, the U-Net alone computes so.
    """
    with computing("float32"):
        photo, gain = _photo(), _gain()
        bright = _brightened(photo, gain)
        photos = layers.Concatenate(name="photos")([photo, bright])
    levels = residual_encoder(photos, widths, blocks)
    levels[-2:] = [layers.Dropout(dropout, name=f"dropout_{i}")(level) for i, level in enumerate(levels[-2:], 1)]
    correction, mask = residual_decoder(levels[-1], levels, widths, blocks)
    with computing("float32"):
        smooth = coarse(bright)
        detail = layers.Multiply(name="kept_detail")([layers.Subtract(name="detail")([bright, smooth]), mask])
        return _model(photo, _sum(layers.Add(name="base")([smooth, detail]), correction), gain)


BUILDERS = {
    "plain": plain,
    "dilated": dilated,
    "sigmoid": sigmoid,
    "unet": unet,
    "residual_unet": residual_unet,
    "global_local": global_local,
}

HALF = {"residual_unet", "global_local"}
"""Which graphs compute their heavy part in half precision where that is faster."""


def _photo():
    return keras.Input((None, None, 3), name="photo")


def _gain():
    return keras.Input((1, 1, 1), name="gain")


def _inputs(normalised):
    """The photo, its gain if it is to be normalised, and what the first layer sees of them."""
    photo = _photo()
    if not normalised:
        return photo, None, photo
    gain = _gain()
    return photo, gain, layers.Concatenate(name="photos")([photo, _brightened(photo, gain)])


def _brightened(photo, gain):
    """The photo at the set brightness; what would be brighter than white is white."""
    return layers.ReLU(max_value=1.0, name="brightened")(layers.Multiply(name="photo_times_gain")([photo, gain]))


def _sum(base, correction):
    return layers.Add(name="output", dtype="float32")([base, correction])


def _sigmoid(x):
    x = layers.Conv2D(3, 3, padding="same", name="logits")(x)
    return layers.Activation("sigmoid", name="output", dtype="float32")(x)


def _model(photo, output, gain=None):
    return keras.Model({"photo": photo} if gain is None else {"photo": photo, "gain": gain}, output)
