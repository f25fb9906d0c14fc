"""The global-local graph: it starts from a plain curve and obeys the target exposure and the controls."""

import numpy as np
import pytest

from lowlight.backend import keras
from lowlight.controls import Controls
from lowlight.imaging.exposure import WHOLE, exposure_map, overview, thumbnail
from lowlight.imaging.symmetry import apply_symmetry
from lowlight.inference.enhancer import Enhancer
from lowlight.networks import architectures
from lowlight.networks.widening import widen

SMALL = {"widths": (8, 8), "blocks": (1, 1)}


@pytest.fixture(scope="module")
def fresh():
    return architectures.build("global_local", **SMALL)


@pytest.fixture(scope="module")
def trained():
    """As after training: no weight is zero."""
    keras.utils.set_random_seed(3)
    model = architectures.build("global_local", **SMALL)
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.normal(0, 0.05, w.shape).astype("f4") for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def enhance(trained):
    return Enhancer(trained)


def with_coring(model, coring):
    """The same weights in a graph with coring."""
    cored = architectures.build("global_local", **SMALL, coring=coring)
    widen(model, cored)
    return cored


def picture(height=96, width=128, seed=0):
    """Dark, soft, with a bright corner."""
    rng = np.random.default_rng(seed)
    photo = rng.random((height, width, 3)).astype(np.float32) * 0.1 + 0.02
    photo[: height // 3, : width // 3] += 0.6
    return photo


def run(model, photo, exposure, box=WHOLE, white_balance=1.0):
    inputs = {
        "photo": photo[None],
        "thumbnail": thumbnail(photo)[None],
        "box": np.array([box], "f4"),
        "level": exposure[None],
        "white_balance": np.full((1, 1), white_balance, "f4"),
        "overview": overview(photo)[None],
    }
    return {name: np.asarray(array)[0] for name, array in model(inputs, training=False).items()}


def test_untrained_it_is_the_curve_that_the_target_asks_for(fresh):
    """Flat photo of x, target of w: logit(w) = logit(x) + log(s), so the curve must give w itself."""
    photo = np.full((64, 64, 3), 0.05, np.float32)
    found = run(fresh, photo, np.full((8, 8, 1), np.log(0.42 + 0.02), "f4"))
    np.testing.assert_allclose(found["base"], 0.42, atol=1e-3)
    np.testing.assert_allclose(found["output"], found["base"], atol=1e-5)


def test_black_stays_black_and_white_stays_white_whatever_the_target(fresh):
    photo = np.full((64, 64, 3), 0.2, np.float32)
    photo[:8], photo[8:16] = 0, 1
    for exposure in (0.1, 0.3, 0.5):
        base = run(fresh, photo, np.full((8, 8, 1), np.log(exposure + 0.02), "f4"))["base"]
        assert base[0].max() < 0.02
        assert base[12].min() > 0.99


def test_a_part_gets_the_curve_that_it_has_in_the_whole(trained):
    """Before denoising, a pixel depends on itself, its place and the thumbnail alone."""
    photo = picture(96, 128)
    exposure = exposure_map(thumbnail(np.sqrt(photo)))
    whole = run(trained, photo, exposure)["base"]
    inputs = {
        "photo": photo[None, 32:64, 64:128],
        "thumbnail": thumbnail(photo)[None],
        "box": np.array([[32 / 96, 64 / 128, 64 / 96, 1]], "f4"),
        "level": exposure[None],
        "white_balance": np.ones((1, 1), "f4"),
        "overview": overview(photo)[None],
    }
    part = np.asarray(trained(inputs)["base"])[0]
    np.testing.assert_allclose(part, whole[32:64, 64:128], atol=1e-5)


def test_without_white_balance_grey_stays_grey(trained):
    photo = np.repeat(picture()[..., :1], 3, axis=2)
    exposure = np.full((8, 8, 1), -0.9, "f4")
    assert np.ptp(run(trained, photo, exposure)["base"], axis=2).max() > 0.02
    assert np.ptp(run(trained, photo, exposure, white_balance=0.0)["base"], axis=2).max() < 1e-5


def test_the_enhancer_gives_the_model_the_inputs_of_the_whole_photo(trained, enhance):
    photo = picture(64, 96)
    padded = np.pad(photo, ((16, 16), (16, 16), (0, 0)), "reflect")
    exposure = np.full((8, 8, 1), -0.8, "f4")
    inputs = {
        "photo": padded[None],
        "thumbnail": thumbnail(photo)[None],
        "box": np.array([[-16 / 64, -16 / 96, 80 / 64, 112 / 96]], "f4"),
        "level": exposure[None],
        "white_balance": np.ones((1, 1), "f4"),
        "overview": overview(photo)[None],
    }
    expected = np.asarray(trained(inputs)["output"])[0, 16:-16, 16:-16]
    np.testing.assert_allclose(enhance(photo, target_exposure=exposure), np.clip(expected, 0, 1), atol=1e-5)


def test_a_photo_between_black_bars_comes_out_as_it_does_alone(enhance):
    photo = picture(128, 96)
    framed = np.pad(photo, ((0, 0), (160, 160), (0, 0)))
    alone, between = enhance(photo), enhance(framed)[:, 160:-160]
    np.testing.assert_allclose(between[16:-16, 16:-16], alone[16:-16, 16:-16], atol=0.08)


@pytest.mark.parametrize("coring", [0, 12.0])
def test_tiles_agree_with_the_whole(trained, coring):
    model = with_coring(trained, coring)
    photo = picture(300, 340)
    tiled = Enhancer(model, tile=256)(photo)
    assert np.abs(tiled - Enhancer(model)(photo)).max() <= 1 / 255


@pytest.mark.parametrize("name", ["exposure", "shadows", "highlights"])
def test_more_stops_give_a_brighter_photo(enhance, name):
    photo = picture()
    means = [enhance(photo, Controls(**{name: stops})).mean() for stops in (-2, -1, 0, 1, 2)]
    assert np.diff(means).min() > 0


def test_strength_blends_from_the_photo_to_the_result(enhance):
    photo = picture()
    whole = enhance(photo)
    np.testing.assert_array_equal(enhance(photo, Controls(strength=0)), photo)
    np.testing.assert_allclose(enhance(photo, Controls(strength=0.25)), photo + (whole - photo) / 4, atol=1e-6)


def test_less_denoising_keeps_more_of_what_is_fine_and_leaves_the_brightness(trained, enhance):
    photo = picture()
    exposure = np.full((8, 8, 1), -0.8, "f4")
    base = np.pad(photo, ((16, 16), (16, 16), (0, 0)), "reflect")
    box = (-16 / 96, -16 / 128, 112 / 96, 144 / 128)
    inputs = {"photo": base[None], "thumbnail": thumbnail(photo)[None], "box": np.array([box], "f4")}
    inputs |= {"level": exposure[None], "white_balance": np.ones((1, 1), "f4"), "overview": overview(photo)[None]}
    base = np.clip(np.asarray(trained(inputs)["base"])[0, 16:-16, 16:-16], 0, 1)
    results = [enhance(photo, Controls(denoise=share), exposure) for share in (0, 0.5, 1)]
    far = [np.abs(result - base).mean() for result in results]
    assert far[0] < far[1] < far[2]
    assert results[0].mean() == pytest.approx(results[2].mean(), abs=0.01)


def test_denoising_is_what_is_finer_than_15_pixels(trained):
    """Stripes 15 pixels wide have no mean over 15 pixels, so they go; a step has one, so it stays."""
    enhancer, columns = Enhancer(trained), np.arange(128)
    change = {
        "fine": 0.1 * np.sin(2 * np.pi * columns / 15),
        "coarse": 0.1 * (columns >= 64),
    }
    for name, profile in change.items():
        output = np.broadcast_to(0.5 + profile[:, None], (96, 128, 3)).astype("f4")
        enhancer.run_with_base = lambda inputs, output=output: (output[None], np.full_like(output, 0.5)[None])
        result = enhancer._denoised({}, denoise=0)[48, 16:-16, 0] - 0.5
        np.testing.assert_allclose(result[[0, -1]], [0, 0.1] if name == "coarse" else [0, 0], atol=2e-3)
        if name == "fine":
            assert np.abs(result).max() < 2e-3


@pytest.mark.parametrize("wanted", [True, False])
def test_white_balance_reaches_the_model(trained, wanted):
    enhancer, given = Enhancer(trained), []

    def run(inputs):
        given.append(inputs["white_balance"].item())
        return [inputs["photo"]]

    enhancer.run = run
    enhancer(picture(), Controls(white_balance=wanted))
    assert set(given) == {float(wanted)}


def test_by_self_ensemble_a_flipped_photo_gives_the_flipped_result(trained):
    """The mean over all symmetries cannot depend on how the photo lies; one run does."""
    best, exposure = Enhancer(trained, best=True), np.full((8, 8, 1), -0.8, "f4")
    photo = picture(64, 96)
    for symmetry in (3, 5):
        once = apply_symmetry(best(photo, target_exposure=exposure), symmetry)
        np.testing.assert_allclose(best(apply_symmetry(photo, symmetry), target_exposure=exposure), once, atol=1e-4)


@pytest.mark.parametrize(("right", "granted"), [(0.0, 0.0), (0.11, 0.11 * 0.104), (0.55, 0.55), (-2.0, -2.0)])
def test_what_is_nearly_right_stays_and_what_is_far_off_is_granted(fresh, right, granted):
    """Fresh, it predicts an exposure map of -0.9 everywhere."""
    photo = np.full((64, 64, 3), np.exp(-0.9 - right) - 0.02, np.float32)
    found = run(fresh, photo, np.full((8, 8, 1), -0.9, "f4"))
    np.testing.assert_allclose(found["right"], -0.9, atol=1e-6)
    np.testing.assert_allclose(found["guess"], -0.9 - right + granted, atol=1e-4)


def test_the_predicted_exposure_is_the_mean_over_all_symmetries_so_that_it_flips_with_the_photo(enhance):
    """One run of the graph depends on how the photo lies."""
    seen = overview(picture(64, 96))
    for symmetry in (1, 6):
        once = apply_symmetry(enhance.predict_exposure(seen), symmetry)
        np.testing.assert_allclose(enhance.predict_exposure(apply_symmetry(seen, symmetry)), once, atol=1e-5)
    (alone,) = enhance.predictor({"overview": np.stack([apply_symmetry(seen, symmetry) for symmetry in range(8)])})
    assert np.abs(apply_symmetry(alone[0], 1) - alone[1]).max() > 1e-3


def test_in_half_precision_it_gives_nearly_the_same(trained):
    half = architectures.build("global_local", "mixed_bfloat16", **SMALL)
    half.set_weights(trained.get_weights())
    photo, exposure = picture(), np.full((8, 8, 1), -0.8, "f4")
    full, fast = run(trained, photo, exposure), run(half, photo, exposure)
    np.testing.assert_array_equal(full["base"], fast["base"])
    assert fast["output"].dtype == np.float32
    assert np.abs(full["output"] - fast["output"]).mean() < 0.005


def test_what_lifts_the_black_of_a_dark_photo_is_taken_off_and_nothing_of_one_that_is_right():
    model, plain = (architectures.build("global_local", **SMALL, black_point=black) for black in (True, False))
    model.get_layer("black_share").set_weights([np.zeros((64, 1)), np.array([10.0])])  # all of it
    black = np.tile(np.arange(96) % 12 < 6, (128, 1)).T & np.tile(np.arange(128) % 16 < 8, (96, 1))
    lifted = np.where(black, 0.0, 0.1)[..., None].repeat(3, -1).astype("f4") * 0.97 + 0.03
    bases = [run(each, lifted, np.full((8, 8, 1), np.log(0.42), "f4"))["base"] for each in (model, plain)]
    assert bases[0][black].mean() < 0.08
    assert bases[1][black].mean() > 0.15
    own = exposure_map(thumbnail(lifted))
    np.testing.assert_allclose(run(model, lifted, own)["base"], run(plain, lifted, own)["base"], atol=1e-5)


def test_a_dark_photo_without_any_contrast_stays_finite(fresh):
    model = architectures.build("global_local", **SMALL, black_point=True)
    for value in (0.0, 0.02, 0.2, 1.0):
        found = run(model, np.full((32, 32, 3), value, "f4"), np.full((8, 8, 1), np.log(0.42), "f4"))
        assert all(np.isfinite(array).all() for array in found.values())
        if 0 < value < 1:
            np.testing.assert_allclose(found["base"], 0.4, atol=0.02)


def test_coring_keeps_little_of_a_weak_change_and_nearly_all_of_a_strong_one(trained):
    """Where the change is the same all around, P / (P + coring^2) of it, with P its square."""
    photo, exposure = np.full((96, 96, 3), 0.1, "f4"), np.full((8, 8, 1), -0.8, "f4")
    plain = run(trained, photo, exposure)
    whole = (plain["output"] - plain["base"])[32:64, 32:64]
    power = np.mean(np.square(whole))
    for share in (0.02, 0.5, 0.98):
        coring = 255 * np.sqrt(power * (1 - share) / share)
        found = run(with_coring(trained, coring), photo, exposure)
        np.testing.assert_array_equal(found["base"], plain["base"])
        np.testing.assert_allclose((found["output"] - found["base"])[32:64, 32:64], share * whole, rtol=0.1, atol=1e-6)


def test_coring_counts_the_change_nearby_so_that_it_takes_no_pixel_alone(trained):
    """Noise in one half: there the change is made as a whole, weak pixels of it, too."""
    photo, exposure = np.full((96, 128, 3), 0.1, "f4"), np.full((8, 8, 1), -0.8, "f4")
    photo[:, 64:] += np.random.default_rng(0).normal(0, 0.04, (96, 64, 1)).astype("f4")
    plain = run(trained, photo, exposure)
    change = plain["output"] - plain["base"]
    level = 255 * np.sqrt(np.mean(np.square(change[32:64, 96:])))
    found = run(with_coring(trained, level / 3), photo, exposure)
    made = (found["output"] - found["base"])[32:64, 96:]
    np.testing.assert_allclose(made, 0.9 * change[32:64, 96:], rtol=0.1, atol=1e-6)
