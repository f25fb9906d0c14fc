"""Layer blocks: functions that take a tensor (B, H, W, channels) and return one."""

from lowlight.backend import layers


def conv(x, filters, name, dilation=1):
    """3x3 convolution and ReLU; (B, H, W, C) to (B, H, W, filters)."""
    return layers.Conv2D(
        filters, 3, padding="same", dilation_rate=dilation, activation="relu", name=name
    )(x)  # fmt: skip


def conv_norm(x, filters, name, dilation=1, strides=1):
    """3x3 convolution, batch normalisation (Ioffe & Szegedy 2015), ReLU; strides of 2 halve height and width."""
    x = layers.Conv2D(
        filters, 3, strides, "same", dilation_rate=dilation, use_bias=False, name=f"{name}_conv"
    )(x)  # fmt: skip
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=name)(x)


def residual(x, filters, name):
    """Two 3x3 convolutions around a shortcut, without normalisation (He et al. 2016; Lim et al. 2017, EDSR)."""
    y = conv(x, filters, f"{name}_1")
    y = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2")(y)
    return layers.Add(name=name)([x, y])


def residuals(x, filters, count, name):
    """`count` residual blocks in a row; shape in = shape out."""
    for index in range(count):
        x = residual(x, filters, f"{name}_{index + 1}")
    return x


def down(x, filters, name):
    """2x2 convolution with a stride of 2; (B, H, W, C) to (B, H/2, W/2, filters)."""
    return layers.Conv2D(filters, 2, strides=2, name=name)(x)


def up(x, filters, name):
    """2x2 transposed convolution with a stride of 2; (B, H, W, C) to (B, 2H, 2W, filters).

    Its windows do not overlap, so it is a 1x1 convolution followed by pixel shuffle (Shi et al. 2016), in one
    layer that every version of Keras has and that leaves no checkerboard of unequal overlaps.
    """
    return layers.Conv2DTranspose(filters, 2, strides=2, name=name)(x)


def residual_encoder(photos, widths, blocks):
    """What each level of a U-Net of residual blocks gives, from half the photos' sides down, each at half the former's.

    Parameters
    ----------
    photos : (B, H, W, C) tensor
    widths, blocks : sequences of int
        Channels and residual blocks of each level.
    """
    x = layers.Conv2D(widths[0], 3, strides=2, padding="same", name="stem")(photos)
    levels = []
    for level, (width, count) in enumerate(zip(widths, blocks, strict=True), 1):
        x = x if level == 1 else down(x, width, f"down_{level}")
        x = residuals(x, width, count, f"encoder_{level}")
        levels.append(x)
    return levels


def residual_decoder(x, levels, widths, blocks):
    """A correction and a mask in [0, 1], both (B, H, W, 3): what to add, and how much of the finest detail to keep.

    Parameters
    ----------
    x : tensor
        In place of the coarsest of `levels`; the finer ones are added.
    levels : list of tensors
        As `residual_encoder` gives them.
    widths, blocks : sequences of int
        As there.
    """
    for level in range(len(levels) - 1, 0, -1):
        x = up(x, widths[level - 1], f"up_{level}")
        x = layers.Add(name=f"skip_{level}")([x, levels[level - 1]])
        x = residuals(x, widths[level - 1], blocks[level - 1], f"decoder_{level}")
    mask = layers.Conv2D(3, 3, padding="same", activation="sigmoid", kernel_initializer="zeros", name="mask_half")(x)
    correction = layers.Conv2DTranspose(3, 2, strides=2, kernel_initializer="zeros", name="correction")(x)
    return correction, layers.UpSampling2D(2, name="mask")(mask)


def coarse(x):
    """Without what is finer than 2x2 pixels."""
    return layers.UpSampling2D(2, name="coarse")(layers.AveragePooling2D(2, name="coarse_half")(x))
