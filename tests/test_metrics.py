"""Metrics against hand arithmetic, the formulas of their papers, and scikit-image."""

import numpy as np
import pytest
import skimage.data
import skimage.metrics

from lowlight.metrics import quality

ALL = (quality.psnr, quality.psnr_gt_mean, quality.mae, quality.mse, quality.ssim, quality.score)


def plain(red, green, blue, side=16):
    """A (side, side, 3) uint8 photo of one colour."""
    return np.full((side, side, 3), (red, green, blue), np.uint8)


@pytest.fixture(scope="module")
def photos():
    """A real photo and a dark, noisy copy of it, both uint8."""
    truth = skimage.data.astronaut()[100:180, 200:296]
    noise = np.random.default_rng(0).normal(0, 6, truth.shape)
    return truth, np.clip(truth * 0.4 + noise, 0, 255).astype(np.uint8)


def test_mae_mse_and_psnr_of_a_shift_by_51_levels_are_as_by_hand():
    # 51/255 = 0.2, so MAE 0.2, MSE 0.04 and PSNR -10 log10(0.04) = 13.9794 dB.
    truth, output = plain(100, 100, 100), plain(151, 151, 151)
    assert quality.mae(truth, output) == pytest.approx(0.2)
    assert quality.mse(truth, output) == pytest.approx(0.04)
    assert quality.psnr(truth, output) == pytest.approx(13.9794, abs=1e-4)


def test_an_output_above_the_truth_errs_as_much_as_one_below():
    truth = plain(100, 100, 100)
    assert quality.mae(truth, plain(90, 90, 90)) == quality.mae(truth, plain(110, 110, 110))


def test_psnr_and_mse_agree_with_scikit_image(photos):
    truth, output = photos
    assert quality.psnr(truth, output) == pytest.approx(skimage.metrics.peak_signal_noise_ratio(truth, output))
    expected = skimage.metrics.mean_squared_error(truth / 255, output / 255)
    assert quality.mse(truth, output) == pytest.approx(expected)


def test_ssim_of_a_single_window_is_the_formula_of_wang_2004():
    rng = np.random.default_rng(1)
    truth, output = rng.integers(0, 256, (2, 11, 11, 3), dtype=np.uint8)
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(window, window)[..., None] / window.sum() ** 2
    x, y = truth / 255, output / 255
    mean_x, mean_y = ((weights * side).sum((0, 1)) for side in (x, y))
    var_x, var_y = ((weights * side**2).sum((0, 1)) - mean**2 for side, mean in ((x, mean_x), (y, mean_y)))
    covariance = (weights * x * y).sum((0, 1)) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    assert quality.ssim(truth, output) == pytest.approx(ssim.mean(), rel=1e-9)


def test_ssim_agrees_with_scikit_image_on_floats(photos):
    truth, output = photos
    expected = skimage.metrics.structural_similarity(
        truth / 255,
        output / 255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=2,
    )
    assert quality.ssim(truth, output) == pytest.approx(expected)


def test_gt_mean_matches_grey_means_as_by_hand():
    # Grey of the output: 0.299*50 + 0.587*50 + 0.114*100 = 55.7; times 100/55.7 the colour is (89.8, 89.8, 179.5), so
    # in 8 bits it is off by 10, 10 and 80 levels: MSE 6600/3/255^2 = 0.033833, PSNR 14.7066 dB.
    truth, output = plain(100, 100, 100), plain(50, 50, 100)
    assert quality.psnr_gt_mean(truth, output) == pytest.approx(14.7066, abs=1e-4)


def test_gt_mean_forgives_exposure_but_not_clipping():
    assert quality.psnr_gt_mean(plain(100, 60, 20), plain(50, 30, 10)) == np.inf
    half_white = plain(40, 40, 40)
    half_white[:8] = 250
    flat = plain(145, 145, 145)
    assert quality.psnr_gt_mean(half_white, flat) < 10


def test_a_black_output_is_scored_as_it_is():
    truth = plain(51, 51, 51)
    assert quality.psnr_gt_mean(truth, plain(0, 0, 0)) == pytest.approx(quality.psnr(truth, plain(0, 0, 0)))


def test_equal_photos_score_perfectly(photos):
    truth, _ = photos
    assert quality.score(truth, truth) == {"psnr": np.inf, "psnr_gt_mean": np.inf, "mae": 0, "mse": 0, "ssim": 1}


def test_floats_are_clipped_and_rounded_as_a_saved_file_would_be(photos):
    truth, output = photos
    floats = output / 255 + np.random.default_rng(2).uniform(-0.4, 0.4, output.shape) / 255
    assert quality.score(truth / 255, floats) == quality.score(truth, output)
    assert quality.mse(plain(255, 0, 255), np.where(plain(1, 0, 1), 1.7, -0.6)) == 0


def test_a_photo_smaller_than_the_window_has_no_ssim_but_all_else():
    scores = quality.score(plain(100, 100, 100, side=10), plain(151, 151, 151, side=10))
    assert np.isnan(scores["ssim"])
    assert scores["mae"] == pytest.approx(0.2)


def test_ssim_can_be_left_out(photos):
    assert list(quality.score(*photos, with_ssim=False)) == ["psnr", "psnr_gt_mean", "mae", "mse"]


@pytest.mark.parametrize("metric", ALL)
def test_bad_photos_are_refused_with_what_was_received(metric):
    photo = plain(1, 2, 3)
    with pytest.raises(ValueError, match=r"one shape.*Received: \(16, 16, 3\) and \(8, 16, 3\)"):
        metric(photo, photo[:8])
    with pytest.raises(ValueError, match=r"one shape.*Received: \(16, 16\)"):
        metric(photo[..., 0], photo[..., 0])
    with pytest.raises(ValueError, match=r"one shape.*Received: \(0, 16, 3\)"):
        metric(photo[:0], photo[:0])
    with pytest.raises(ValueError, match="uint8 or floats.*Received: int64"):
        metric(photo, photo.astype(np.int64))
    with pytest.raises(ValueError, match="finite.*Received: nan"):
        metric(photo, np.full(photo.shape, np.nan))
    with pytest.raises(ValueError, match="finite.*Received: nan or infinity"):
        metric(photo, np.where(np.arange(photo.size).reshape(photo.shape) == 5, np.inf, 0.5))
    with pytest.raises(ValueError, match=r"in \[0, 1\]. Received: 1 to 3"):
        metric(photo.astype(np.float32), photo)


@pytest.mark.parametrize("beyond", [0.001, 0.003])
def test_a_truth_of_floats_may_lie_beyond_black_and_white_by_rounding_alone(beyond):
    """A level is 1/255, 0.0039."""
    truth = np.full((16, 16, 3), 0.5)
    for odd in (-beyond, 1 + beyond):
        truth[0, 0, 0] = odd
        assert quality.mse(truth, quality.to_8_bits(truth)) == 0
        truth[0, 0, 0] += np.sign(odd - 0.5) * 0.004
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            quality.mse(truth, quality.to_8_bits(truth))
