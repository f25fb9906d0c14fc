"""Photos of any size come out at their size, and tiles agree with the whole."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.imaging.exposure import LARGEST_GAIN, gain
from lowlight.imaging.pixels import fill_hidden
from lowlight.inference.enhancer import Enhancer
from lowlight.inference.tiling import spans
from lowlight.networks import architectures


def local_model():
    """Looks 4 pixels far; small tiles leave 8 at their rim out, so that they must agree exactly."""
    photo = keras.Input((None, None, 3), name="photo")
    whole_gain = keras.Input((1, 1, 1), name="gain")
    x = keras.layers.Multiply()([photo, whole_gain])
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    x = keras.layers.Conv2DTranspose(3, 2, strides=2)(x)
    return keras.Model({"photo": photo, "gain": whole_gain}, keras.layers.Activation("sigmoid")(x))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return local_model()


@pytest.fixture(scope="module")
def enhancers(model):
    return {tile: Enhancer(model, tile) for tile in (128, 144, 1024)}


def photo_of(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), np.float32) * 0.2


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([128, 144]))
def test_tiles_give_what_the_whole_gives_at_any_size(enhancers, height, width, tile):
    photo = photo_of(height, width)
    tiled, whole = enhancers[tile](photo), enhancers[1024](photo)
    assert tiled.shape == whole.shape == photo.shape
    assert np.abs(tiled - whole).max() <= 1e-5


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(8, 64))
def test_the_weights_of_tiles_add_up_to_one_everywhere(length, tile):
    length, tile = 16 * length, 16 * tile
    total = np.zeros(length)
    for span in spans(length, tile, 16):
        assert span.start % 16 == 0
        assert span.stop - span.start <= tile
        total[span.start : span.stop] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_the_gain_is_decided_once_for_the_whole_photo(enhancers):
    """One half dark, one half bright: tiles of their own gains would differ at the border."""
    photo = np.concatenate([photo_of(128, 200), photo_of(128, 200) * 4], axis=1)
    assert np.abs(enhancers[128](photo) - enhancers[1024](photo)).max() <= 1e-5


def test_the_enhancer_is_the_model_with_reflections_around_the_photo(model, enhancers):
    photo = photo_of(32, 48)
    padded = np.pad(photo, ((16, 16), (16, 16), (0, 0)), "reflect")
    inputs = {"photo": padded[None], "gain": np.reshape(gain(photo), (1, 1, 1, 1))}
    np.testing.assert_allclose(enhancers[1024](photo), np.asarray(model(inputs))[0, 16:-16, 16:-16], atol=1e-6)


def fixed_model(height, width):
    """Looks 1 pixel far, and takes photos of one size only."""
    photo = keras.Input((height, width, 3), name="photo")
    return keras.Model({"photo": photo}, keras.layers.AveragePooling2D(3, 1, "same")(photo))


@pytest.mark.parametrize("size", [(40, 60), (10, 20), (100, 50), (41, 61), (200, 300), (1, 1)])
def test_a_model_of_a_fixed_size_takes_photos_of_all_sizes_by_tiles_and_reflections(size):
    keras.utils.set_random_seed(0)
    photo = photo_of(*size)
    output = Enhancer(fixed_model(40, 60))(photo)
    assert output.shape == photo.shape
    whole = np.asarray(fixed_model(*size)({"photo": photo[None]}))[0]
    np.testing.assert_allclose(output[1:-1, 1:-1], whole[1:-1, 1:-1], atol=1e-6)


def test_a_photo_of_the_fixed_size_is_run_as_it_is():
    photo, model = photo_of(40, 60), fixed_model(40, 60)
    np.testing.assert_array_equal(Enhancer(model)(photo), np.asarray(model({"photo": photo[None]}))[0])
    with pytest.raises(UserError, match=r"fixes the side of tiles itself, to \(40, 60\). Received: 128"):
        Enhancer(model, 128)


def test_self_ensemble_of_a_fixed_size_leaves_out_what_would_turn_the_photo():
    photo, model = photo_of(40, 60), fixed_model(40, 60)
    np.testing.assert_allclose(Enhancer(model, best=True)(photo), Enhancer(model)(photo), atol=1e-6)


def deep_model(levels):
    """A U-Net whose photos must have sides that 2**levels divides."""
    photo = x = keras.Input((None, None, 3), name="photo")
    skips = []
    for _ in range(levels):
        skips.append(x)
        x = keras.layers.MaxPooling2D(2)(x)
    for skip in reversed(skips):
        x = keras.layers.Concatenate()([keras.layers.Conv2DTranspose(3, 2, strides=2)(x), skip])
    return keras.Model({"photo": photo}, keras.layers.Conv2D(3, 1)(x))


@pytest.mark.parametrize("levels", [2, 4, 6])
def test_deeper_graphs_than_ours_get_sides_that_fit(levels):
    enhancer = Enhancer(deep_model(levels), 256)
    assert enhancer.stride == max(16, 2**levels)
    assert enhancer(photo_of(50, 300)).shape == (50, 300, 3)
    if enhancer.stride > 16:
        with pytest.raises(UserError, match=f"must be a multiple of {enhancer.stride} from .* Received: 144"):
            Enhancer(deep_model(levels), 144)


def test_a_graph_that_changes_the_size_is_refused():
    photo = keras.Input((None, None, 3), name="photo")
    with pytest.raises(UserError, match="does not give photos of the size"):
        Enhancer(keras.Model({"photo": photo}, keras.layers.UpSampling2D(2)(photo)))


def test_outputs_are_clipped_and_the_input_is_left_alone():
    photo = keras.Input((None, None, 3), name="photo")
    enhancer = Enhancer(keras.Model({"photo": photo}, keras.layers.Rescaling(9.0, -1.0)(photo)))
    low = photo_of(20, 20)
    kept = low.copy()
    output = enhancer(low)
    assert output.min() == 0
    assert output.max() <= 1
    np.testing.assert_array_equal(low, kept)


def test_photos_of_many_sizes_do_not_trace_the_graph_anew(model):
    traces = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return x

    photo = keras.Input((None, None, 3), name="photo")
    enhancer = Enhancer(keras.Model({"photo": photo}, Counting()(photo)))
    enhancer(photo_of(10, 10))
    traces.clear()
    for size in (16, 40, 100):
        enhancer(photo_of(size, size + 7))
    assert traces == []


def test_a_graph_that_wants_to_know_its_size_is_run_too():
    photo = keras.Input((None, None, 3), name="photo")
    x = keras.layers.AveragePooling2D(2)(photo)
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    enhancer = Enhancer(keras.Model({"photo": photo}, x))
    for size in (16, 100):
        grey = np.full((size, size + 7, 3), 0.25, np.float32)
        np.testing.assert_allclose(enhancer(grey), grey, atol=1e-6)


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_levels_come_out_as_levels_as_the_floats_would_be_rounded(enhancers, kind, white):
    levels = np.random.default_rng(0).integers(0, white // 4, (150, 301, 3), dtype=kind)
    for strength in (1.0, 0.3):
        result = enhancers[128](levels, Controls(strength=strength))
        floats = enhancers[128](levels.astype(np.float32) / white, Controls(strength=strength))
        assert result.dtype == kind
        assert np.abs(result / white - floats).max() <= 0.51 / white + 1e-6


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[ONNXRuntimeError] : 6 : Status Message: std::bad_alloc")],
    ids=["python", "onnx"],
)
def test_when_memory_runs_out_smaller_tiles_are_tried(error, model):
    enhancer = Enhancer(model, tile=512)
    whole, sizes = enhancer.run, []

    def run(inputs):
        sizes.append(inputs["photo"].shape[1])
        if sizes[-1] > 256:
            raise error
        return whole(inputs)

    enhancer.run = run
    photo = photo_of(600, 700)
    np.testing.assert_allclose(enhancer(photo), Enhancer(model)(photo), atol=1e-5)
    assert max(sizes) > 256
    assert sizes[-1] <= 256

    def never(inputs):
        raise error

    enhancer.run = never
    with pytest.raises(type(error)):
        enhancer(photo)


def test_little_free_memory_makes_small_tiles(model, monkeypatch):
    for free, side in ((64 * 2**30, 1024), (2**30, 512), (1000, 128)):
        monkeypatch.setattr("psutil.virtual_memory", lambda free=free: SimpleNamespace(available=free))
        assert Enhancer(model).tiles == [side, side]


def test_new_weights_count_without_a_new_enhancer(model):
    copy = keras.models.clone_model(model)
    enhancer = Enhancer(copy)
    before = enhancer(photo_of(16, 16))
    copy.set_weights([weight + 0.5 for weight in copy.get_weights()])
    assert np.abs(enhancer(photo_of(16, 16)) - before).max() > 0.01


def test_every_model_of_the_ladder_can_be_run():
    for name in architectures.BUILDERS:
        assert Enhancer(architectures.build(name))(photo_of(20, 30)).shape == (20, 30, 3)


@pytest.mark.parametrize("tile", [0, -128, 112, 200])
def test_a_tile_that_cannot_be_is_refused(model, tile):
    with pytest.raises(UserError, match=f"Received: {tile}"):
        Enhancer(model, tile)


def test_the_gain_brings_the_mean_to_the_level_and_has_a_limit():
    assert gain(np.full((4, 4, 3), 0.1, np.float32)) == pytest.approx(4)
    assert gain(np.full((4, 4, 3), 51, np.uint8)) == pytest.approx(2)
    assert gain(np.zeros((4, 4, 3), np.uint8)) == LARGEST_GAIN


def test_hidden_pixels_get_the_mean_of_the_nearest_visible_ones():
    """In a square of 2x2 those of 10 and 13, in the next one that of 100, and beyond them the mean of both squares."""
    pixels = np.zeros((2, 8, 1), np.uint8).repeat(3, 2)
    pixels[0, 0], pixels[1, 1], pixels[1, 2] = 10, 13, 100
    visible = pixels[..., 0] > 0
    fill_hidden(pixels, visible)
    near = [[10, 12, 100, 100], [12, 13, 100, 100]]  # 11.5 is rounded to the even one
    np.testing.assert_array_equal(pixels[:, :4, 1], near)
    np.testing.assert_array_equal(pixels[:, 4:], 56)  # of 11.5 and 100, 55.75
    nothing = np.full((2, 2, 3), 7, np.uint8)
    fill_hidden(nothing, np.zeros((2, 2), bool))
    assert (nothing == 7).all()
