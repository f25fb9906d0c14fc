"""Costs of graphs by hand arithmetic; times with stand-ins whose cost is known."""

import time

import keras

from lowlight.benchmark.cost import SIDE, macs_per_pixel, seconds_per_megapixel
from lowlight.networks import architectures


def test_convolutions_at_full_resolution_cost_their_kernels():
    by_hand = 9 * (3 * 32 + 32 * 64 + 64 * 64 + 64 * 32 + 32 * 3)
    assert macs_per_pixel(architectures.build("plain")) == by_hand


def test_lower_levels_cost_a_quarter_each_and_transposed_ones_what_goes_in():
    by_hand = 9 * 3 * 8 / 4 + 9 * 8 * 8 / 4  # level 1: strided and plain
    by_hand += 9 * 8 * 16 / 16 + 9 * 16 * 16 / 16  # level 2
    by_hand += 4 * 16 * 8 / 16 + 9 * 16 * 8 / 4  # up to level 1, and the convolution over both of its inputs
    by_hand += 4 * 8 * 4 / 4 + 9 * 4 * 3  # up to full resolution, and the logits
    assert macs_per_pixel(architectures.build("unet", widths=(8, 16))) == round(by_hand)


def test_a_graph_of_a_fixed_size_inside_another_is_counted_like_itself():
    x = inside = keras.Input((40, 60, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    inner = keras.Model(inside, keras.layers.Conv2D(3, 1)(x))
    photo = keras.Input((40, 60, 3), name="photo")
    assert macs_per_pixel(keras.Model({"photo": photo}, inner(photo))) == 9 * 3 * 8 + 8 * 3


def test_a_layer_counts_as_often_as_it_is_used():
    photo = x = keras.Input((None, None, 3), name="photo")
    shared = keras.layers.Conv2D(3, 3, padding="same")
    for _ in range(3):
        x = shared(x)
    assert macs_per_pixel(keras.Model({"photo": photo}, x)) == 3 * 9 * 3 * 3


def test_layers_of_a_graph_inside_another_are_counted_where_they_are_used():
    photo = keras.Input((None, None, 3), name="photo")
    down = keras.layers.Conv2D(4, 2, strides=2)(photo)
    level = keras.Sequential([keras.layers.Conv2D(4, 3, padding="same"), keras.layers.Conv2D(8, 1)])
    up = keras.layers.Conv2DTranspose(3, 2, strides=2)(level(down))
    by_hand = (4 * 3 * 4 + 9 * 4 * 4 + 4 * 8 + 4 * 8 * 3) / 4  # all once for four pixels
    assert macs_per_pixel(keras.Model({"photo": photo}, up)) == by_hand


def test_a_separable_convolution_costs_both_of_its_kernels():
    photo = keras.Input((None, None, 3), name="photo")
    x = keras.layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2)(photo)
    model = keras.Model({"photo": photo}, keras.layers.DepthwiseConv2D(5, padding="same")(x))
    assert macs_per_pixel(model) == (9 * 3 * 2 + 3 * 2 * 8) + 25 * 8
    assert [layer.call.__name__ for layer in model.layers[1:]] == ["call", "call"]


def test_a_graph_without_a_kernel_costs_nothing():
    photo = keras.Input((None, None, 3), name="photo")
    assert macs_per_pixel(keras.Model({"photo": photo}, keras.layers.ReLU()(photo))) == 0


def test_each_method_is_timed_on_a_photo_of_known_size():
    seen = []

    def method(photo):
        seen.append(photo.shape)
        time.sleep(0.02 if len(seen) > 1 else 0.5)

    seconds = seconds_per_megapixel({"a": method})
    assert set(seen) == {(SIDE, SIDE, 3)}
    assert 0.02 / (SIDE**2 / 1e6) <= seconds["a"] < 0.5
