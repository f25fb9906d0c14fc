"""Losses against hand arithmetic and scikit-image."""

import numpy as np
import pytest
from keras import ops
from skimage import data
from skimage.metrics import structural_similarity

from lowlight.training import losses
from lowlight.training.validation import psnr


@pytest.fixture
def images():
    truth = data.astronaut()[100:164, 100:180].astype(np.float32) / 255
    noisy = truth + 0.1 * np.random.default_rng(0).normal(size=truth.shape).astype(np.float32)
    return truth[None], noisy[None]


def test_ssim_is_that_of_scikit_image_by_wang_2004(images):
    truth, noisy = images
    expected = structural_similarity(
        truth[0], noisy[0], channel_axis=2, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert float(losses.ssim(truth, noisy)[0]) == pytest.approx(expected, abs=1e-5)


def test_each_loss_gives_one_value_an_image_and_the_value_of_hand_arithmetic():
    truth, output = np.zeros((2, 16, 16, 3), "f4"), np.full((2, 16, 16, 3), 0.3, "f4")
    expected = {"mae": 0.3, "mse": 0.09, "charbonnier": (0.09 + 1e-6) ** 0.5}
    for name, value in expected.items():
        np.testing.assert_allclose(ops.convert_to_numpy(losses.LOSSES[name](truth, output)), [value] * 2, rtol=1e-5)


def test_psnr_while_a_model_trains_is_that_of_each_image_clipped_and_rounded_as_a_file_is():
    truth = np.stack([np.zeros((16, 16, 3)), np.ones((16, 16, 3))]).astype("f4")
    output = np.stack([np.full((16, 16, 3), 51.4 / 255), np.full((16, 16, 3), 1.7)]).astype("f4")
    expected = [13.9794, 100]  # -10 log10(0.2**2), and the most
    np.testing.assert_allclose(ops.convert_to_numpy(psnr(truth, output)), expected, rtol=1e-4)
    in_half = ops.convert_to_numpy(psnr(truth, ops.cast(output, "bfloat16")))
    np.testing.assert_allclose(in_half, expected, rtol=1e-2)


def test_exposure_is_judged_by_pixel_values_and_their_squared_error():
    truth, predicted = np.log(np.full((2, 8, 8, 1), 0.5, "f4")), np.log(np.full((2, 8, 8, 1), 0.3, "f4"))
    np.testing.assert_allclose(losses.exposure_mae(truth, predicted), [0.2] * 2, rtol=1e-5)
    expected = 0.2 + 0.02 * np.log(0.04 + 1e-4)
    np.testing.assert_allclose(losses.of_exposure(truth, predicted), [expected] * 2, rtol=1e-4)


def test_brightness_is_that_of_squares_of_16_pixels():
    output = np.tile(np.repeat([0.6, 0.2], 16)[None, None, :, None], (2, 32, 1, 3)).astype("f4")
    noise = ((np.indices((32, 32)) // 8).sum(0)[None, ..., None] % 2 - 0.5).astype("f4")
    np.testing.assert_allclose(losses.brightness(0 * output + 0.4, output + noise), [0.2] * 2, rtol=1e-5)


def test_the_loss_by_psnr_adds_the_logarithm_of_the_squared_error(images):
    truth, output = images
    total, pixels = losses.charbonnier_ssim_psnr(truth, output), losses.charbonnier(truth, output)
    lacking = 0.15 * (1 - np.asarray(losses.ssim(truth, output)))
    squared = np.mean((np.asarray(truth) - np.asarray(output)) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(np.asarray(total - pixels), lacking + 0.04 * np.log(squared + 1e-4), rtol=1e-3)


def test_the_structural_loss_adds_a_quarter_of_what_lacks_in_ssim(images):
    total, pixels = losses.charbonnier_ssim(*images), losses.charbonnier(*images)
    np.testing.assert_allclose(np.asarray(total - pixels), 0.25 * (1 - np.asarray(losses.ssim(*images))), rtol=1e-4)
