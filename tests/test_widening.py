"""A wider model begins with the function of the narrower one, and its copies are told apart by training."""

import numpy as np
import pytest

from lowlight.backend import keras, layers
from lowlight.imaging.exposure import exposure_map, overview, thumbnail
from lowlight.networks import architectures
from lowlight.networks.widening import widen
from lowlight.training.objectives import RESTORATION, part_of
from tests.conftest import scene

NARROW = {"widths": [4, 6, 8], "blocks": [1, 1, 1]}
WIDE = NARROW | {"widths": [8, 18, 16]}


@pytest.fixture(scope="module")
def trained():
    """Narrow, as after training: no weight is zero."""
    model = architectures.build("global_local", **NARROW)
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.normal(0, 0.05, w.shape).astype("f4") for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def photo():
    photo = scene(1, 64, 64).astype("f4") / 2550
    return {
        "photo": photo[None],
        "thumbnail": thumbnail(photo)[None],
        "box": np.array([[0, 0, 1, 1]], "f4"),
        "level": exposure_map(thumbnail(photo * 8))[None],
        "white_balance": np.ones((1, 1), "f4"),
        "overview": overview(photo)[None],
    }


def test_the_wider_model_gives_the_same_picture_whatever_the_noise(trained, photo):
    expected = trained(photo, training=False)
    wide = architectures.build("global_local", **WIDE)
    kernels = []
    for seed in (0, 1):
        widen(trained, wide, seed)
        kernels.append(wide.get_layer("encoder_2_1_1").get_weights()[0])
        for name, found in wide(photo, training=False).items():
            np.testing.assert_allclose(found, expected[name], atol=2e-5, err_msg=name)
    assert not np.array_equal(*kernels)


def test_weights_have_the_variance_of_random_ones_of_that_width(trained):
    wide = architectures.build("global_local", **WIDE)
    widen(trained, wide)
    for name, factor in (("encoder_1_1_1", 2), ("encoder_2_1_1", 3), ("up_1", 3)):
        narrow_kernel, wide_kernel = (model.get_layer(name).get_weights()[0] for model in (trained, wide))
        assert wide_kernel.var() * factor == pytest.approx(narrow_kernel.var(), rel=0.2), name


def test_a_model_as_wide_takes_the_weights_as_they_are(trained):
    same = architectures.build("global_local", **NARROW)
    widen(trained, same)
    for found, expected in zip(same.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_first_step_tells_the_copies_of_a_channel_apart(trained, photo):
    wide = architectures.build("global_local", **WIDE)
    widen(trained, wide)
    copies = wide.get_layer("stem").get_weights()[0]
    np.testing.assert_array_equal(copies[..., 0], copies[..., 1])
    part = part_of(wide, RESTORATION)
    part.compile(keras.optimizers.SGD(0.1), loss={"output": "mse"})
    part.train_on_batch({name: photo[name] for name in part.input}, {"output": photo["photo"] * 5})
    copies = wide.get_layer("stem").get_weights()[0]
    assert not np.array_equal(copies[..., 0], copies[..., 1])


def test_batch_normalisation_is_widened_too():
    def net(width):
        photo = keras.Input((None, None, 3))
        x = layers.Conv2D(width, 3, name="conv")(photo)
        x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
        return keras.Model(photo, layers.Conv2DTranspose(3, 2, name="output")(x))

    narrow, wide = net(4), net(12)
    rng = np.random.default_rng(0)
    narrow.set_weights([rng.random(w.shape).astype("f4") for w in narrow.get_weights()])
    widen(narrow, wide)
    pixels = rng.random((1, 16, 16, 3)).astype("f4")
    np.testing.assert_allclose(wide(pixels), narrow(pixels), rtol=1e-4)


def test_channels_that_are_no_multiple_are_refused(trained):
    with pytest.raises(ValueError, match="repeated as a whole. Received: 4 for .*stem.*, which has 6"):
        widen(trained, architectures.build("global_local", **NARROW | {"widths": [6, 6, 8]}))


def test_a_layer_that_the_other_has_not_is_named_alone():
    more, less = (architectures.build("global_local", **NARROW, black_point=has) for has in (True, False))
    with pytest.raises(ValueError, match="Received: black_share, which the other has not.$"):
        widen(more, less)
