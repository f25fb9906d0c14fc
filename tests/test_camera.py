"""What a camera makes of a clean photo: light by arithmetic, noise by its statistics."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import convolve
from scipy.stats import kstest, norm

from lowlight.data import noise
from lowlight.data.camera import (
    EXPOSURES,
    SMALL,
    Camera,
    degrade,
    degrade_crop,
    draw,
    is_backlit,
    pixels_of,
    relit,
    styled,
)
from lowlight.data.lights import LIGHT
from lowlight.data.noise import MANY, Residue, add_noise, draw_noise, mosaic_noise, read_noise, residue_noise
from lowlight.imaging.srgb import encoded, to_linear, to_srgb
from tests.conftest import scene

WHOLE = (0.0, 0.0, 1.0, 1.0)


def shot(photo, camera, seed=0):
    low, high, _, _ = degrade_crop(photo, pixels_of(photo, WHOLE), np.array(WHOLE), camera, np.random.default_rng(seed))
    return low, high


@pytest.fixture
def photo():
    return scene(3, 160, 200)


def test_the_default_camera_takes_the_photo_as_it_is(photo):
    low, high = shot(photo, Camera())
    np.testing.assert_array_equal(low, photo)
    np.testing.assert_array_equal(high, photo)


def test_each_stop_halves_the_light(photo):
    low, high = shot(photo, Camera(stops=2))
    np.testing.assert_array_equal(high, photo)
    np.testing.assert_allclose(to_linear(low), to_linear(photo) / 4, atol=0.005)


def test_noise_has_the_variance_of_its_green_samples_spread_by_demosaicking():
    """Where the mosaic is green, the sample itself stands; elsewhere the mean of four."""
    grey = np.full((200, 200, 3), 188, np.uint8)
    light = to_linear(grey)[0, 0, 0]
    low, _ = shot(grey, Camera(shot=2e-3, read=0.01, sensor=(1.0, 1.0, 1.0)))
    sites = (np.add.outer(np.arange(200), np.arange(200)) % 2 == 1)[1:-1, 1:-1]
    noise = (to_linear(low) - light)[1:-1, 1:-1, 1]
    assert noise[sites].var() == pytest.approx(2e-3 * light + 1e-4, rel=0.1)
    assert noise[~sites].var() == pytest.approx((2e-3 * light + 1e-4) / 4, rel=0.1)
    assert noise.mean() == pytest.approx(0, abs=1e-3)


def test_white_balance_makes_red_and_blue_noisier():
    grey = np.full((200, 200, 3), 120, np.uint8)
    low, _ = shot(grey, Camera(shot=2e-3, sensor=(2.0, 1.0, 1.0)))
    spread = to_linear(low).std(axis=(0, 1))
    assert spread[0] > 1.2 * spread[2]


def test_white_balance_multiplies_the_noise_of_the_dimmer_light_that_a_mosaic_sees():
    """Of a gain g the sensor has 1/g of the light: of shot noise the variance is g times as large, of read noise g²."""
    light = np.full((200, 200, 3), 0.5)
    noise = mosaic_noise(light, np.random.default_rng(0), 2e-3, 0.01, (2.0, 1.0, 3.0))
    assert noise[::2, ::2, 0].var() == pytest.approx(2 * 2e-3 * 0.5 + 4 * 1e-4, rel=0.05)
    assert noise[1::2, 1::2, 2].var() == pytest.approx(3 * 2e-3 * 0.5 + 9 * 1e-4, rel=0.05)


def test_read_noise_goes_with_shot_noise_as_in_real_cameras():
    """Brooks et al. 2019: the logarithm of its variance is normal, of mean 2.18 log(shot) + 1.20 and deviation 0.26."""
    rng = np.random.default_rng(0)
    variances = np.array([read_noise(rng, 0.01) ** 2 for _ in range(2000)])
    assert np.median(variances) == pytest.approx(1.449e-4, rel=0.03)
    assert np.log(variances).std() == pytest.approx(0.26, rel=0.05)


def test_cleaned_noise_is_smoother():
    grey = np.full((200, 200, 3), 120, np.uint8)
    rough, smooth = (shot(grey, Camera(shot=2e-3, smear=smear))[0].astype(float) for smear in (0, 1))
    assert np.diff(smooth, axis=0).std() < 0.6 * np.diff(rough, axis=0).std()


def test_noise_of_a_photo_that_was_scaled_down_since_is_that_of_each_pixel_alone():
    grey = np.full((200, 200, 3), 188, np.uint8)
    light = to_linear(grey)[0, 0, 0]
    low, _ = shot(grey, Camera(shot=2e-3, read=0.01, sensor=(2.0, 1.0, 1.0), mosaic=False))
    noise = to_linear(low) - light
    assert noise[..., 1].var() == pytest.approx(2e-3 * light + 1e-4, rel=0.1)
    assert noise[..., 0].var() == pytest.approx(4 * (2e-3 * light / 2 + 1e-4), rel=0.1)
    neighbours = np.corrcoef(noise[:, 1:, 1].ravel(), noise[:, :-1, 1].ravel())[0, 1]
    assert abs(neighbours) < 0.03


def test_gaussian_noise_has_its_sigma():
    low, _ = shot(np.full((200, 200, 3), 128, np.uint8), Camera(sigma=25))
    assert low.std() == pytest.approx(25, rel=0.05)


def plain_residue(**changes):
    return Residue(**({"luma": 6.0, "luma_blur": 0.0, "chroma": 4.0, "chroma_blur": 0.0, "slope": 0.0} | changes))


def test_what_processing_left_is_shared_grain_and_each_colours_own():
    low, high = shot(np.full((300, 300, 3), 128, np.uint8), Camera(residue=plain_residue()))
    noise = low.astype(float) - high
    assert noise.std() == pytest.approx((6**2 + 4**2) ** 0.5, rel=0.05)
    assert np.cov(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1] == pytest.approx(6**2, rel=0.1)


def test_coarse_noise_keeps_its_strength_and_resembles_its_neighbours():
    low, high = shot(np.full((300, 300, 3), 128, np.uint8), Camera(residue=plain_residue(luma=0.0, chroma_blur=2.0)))
    noise = (low.astype(float) - high)[..., 1]
    assert noise.std() == pytest.approx(4, rel=0.1)
    assert np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] > 0.8


@pytest.mark.parametrize(("level", "strength"), [(0.0, 0.6), (0.5, 1.0), (1.0, 1.4)])
def test_what_processing_left_may_be_stronger_in_the_light_than_in_the_dark(level, strength):
    residue = plain_residue(slope=0.4, chroma=0.0)
    noise = residue_noise(np.full((200, 200, 3), level), np.random.default_rng(0), residue)
    assert noise.std() * 255 == pytest.approx(6 * strength, rel=0.02)


def test_pixels_that_are_far_apart_share_no_noise():
    residue = plain_residue(luma_blur=1.2, chroma_blur=2.6, sharpening=1.5)
    noise = residue_noise(np.full((200, 200, 3), 0.5), np.random.default_rng(0), residue, sparse=True)
    assert noise.std() * 255 == pytest.approx((6**2 + 4**2) ** 0.5, rel=0.02)
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


class Dice:
    """A generator that gives numbers in turn, and the middle of every range."""

    def __init__(self, *numbers):
        self.numbers = iter(numbers)

    def random(self):
        return next(self.numbers)

    def uniform(self, low, high):
        return (low + high) / 2


def test_what_is_made_as_dark_as_the_darkest_is_never_made_much_brighter():
    """A photo at the level of 1 would have to be made four stops brighter."""
    photo = np.ones((8, 8, 3), np.uint8)
    result = relit(photo, Dice(0.1, 0.9, 0.9, 0.9, 0.9))
    assert result[0, 0, 0] == np.rint(255 * encoded(to_linear(photo) * 2**1.3))[0, 0, 0] == 2


def test_sharpening_makes_the_finest_noise_stronger_and_leaves_the_coarse():
    grey = np.full((320, 320, 3), 0.5)
    plain, sharp = (
        residue_noise(grey, np.random.default_rng(0), plain_residue(sharpening=sharpening)) for sharpening in (0.0, 1.0)
    )
    coarse = [noise.reshape(20, 16, 20, 16, 3).mean(axis=(1, 3)).std() for noise in (plain, sharp)]
    assert sharp.std() > 1.5 * plain.std()
    assert coarse[1] == pytest.approx(coarse[0], rel=0.1)


@pytest.mark.parametrize(("kind", "share"), [(0, 0.5), (1, 0.7), (2, 0.5)])
def test_of_noise_of_each_kind_some_went_through_jpeg(kind, share):
    """Half of it; of what a camera has processed, more."""
    rng = np.random.default_rng(0)
    drawn = [draw_noise(rng, np.eye(3)[kind], 55, 18) for _ in range(1000)]
    assert {("sigma", "residue", "shot")[kind]} == {"sigma", "residue", "shot"} & drawn[0].keys()
    qualities = [noise["quality"] for noise in drawn if "quality" in noise]
    assert len(qualities) / 1000 == pytest.approx(share, abs=0.05)
    assert (min(qualities), max(qualities)) == (20, 98)
    assert np.mean(np.array(qualities) < 60) == pytest.approx(0.3, abs=0.05)


def test_noise_is_no_stronger_than_it_may_be():
    rng = np.random.default_rng(0)
    sigmas = [draw_noise(rng, (1, 0, 0), 55, 18)["sigma"] for _ in range(500)]
    residues = [draw_noise(rng, (0, 1, 0), 55, 18)["residue"] for _ in range(500)]
    assert 50 < max(sigmas) <= 55
    assert 17 < max(residue.luma for residue in residues) <= 18
    assert max(residue.chroma for residue in residues) <= 0.8 * 18


def test_noise_that_was_there_before_the_light_fell_falls_with_it():
    grey = np.full((300, 300, 3), 160, np.uint8)
    late, early = (shot(grey, Camera(stops=3, residue=plain_residue(early=early)))[0].std() for early in (False, True))
    assert early == pytest.approx(late / 8 ** (1 / 2.2), rel=0.15)


def test_jpeg_may_keep_colour_at_full_resolution():
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:, ::2, 0] = 255
    full, half = (shot(photo, Camera(quality=95, subsampled=subsampled))[0] for subsampled in (False, True))
    assert np.abs(full.astype(int) - photo).mean() < 0.5 * np.abs(half.astype(int) - photo).mean()


def against_the_light():
    """Left half dim, right half bright."""
    photo = np.full((160, 200, 3), 60, np.uint8)
    photo[:, 100:] = 220
    return photo


def test_against_the_light_only_what_is_dim_falls_dark():
    photo = against_the_light()
    low, high = shot(photo, Camera(stops=3, dim_only=0.5))
    np.testing.assert_array_equal(high, photo)
    assert to_linear(low[:, :80]) == pytest.approx(to_linear(photo[:, :80]) / 8, abs=0.01)
    assert np.abs(low[:, 120:].astype(int) - 220).max() <= 3


def test_a_night_sky_is_black_in_the_truth_too():
    low, high = shot(against_the_light(), Camera(stops=1, night=0.5))
    assert high[:, 120:].max() <= 3
    assert low[:, 120:].max() <= 3
    assert high[:, :80].min() >= 57


def test_what_is_around_a_lit_subject_is_dark_in_the_truth_too_but_not_around_a_window():
    window = against_the_light()
    np.testing.assert_array_equal(shot(window, Camera(low_key=(0.5, 3)))[1], window)
    photo = np.where(window > 200, np.uint8(150), window)
    low, high = shot(photo, Camera(stops=1, low_key=(0.5, 3)))
    assert to_linear(high[:, :80]) == pytest.approx(to_linear(photo[:, :80]) / 8, abs=0.01)
    assert np.abs(high[:, 120:].astype(int) - 150).max() <= 3
    assert to_linear(low) == pytest.approx(to_linear(high) / 2, abs=0.01)


@pytest.mark.parametrize("shape", [(160, 200), (16, 16), (1, 1)])
def test_a_night_shows_bright_lights_in_the_dark_and_is_right_as_it_is(photo, shape):
    for seed in range(20):
        low, high = degrade(photo[: shape[0], : shape[1]], Camera(lights=True), np.random.default_rng(seed))
        np.testing.assert_array_equal(low, high)
        assert low.shape == (*shape, 3)
        assert low.max() >= LIGHT
        if shape == (160, 200):
            assert np.median(low) < 80 < photo.mean()


def test_a_night_may_be_noisy_but_not_in_the_truth(photo):
    low, high = degrade(photo, Camera(lights=True, sigma=10), np.random.default_rng(2))
    clean, _ = degrade(photo, Camera(lights=True), np.random.default_rng(2))
    np.testing.assert_array_equal(high, clean)
    assert np.std(low.astype(float) - high) > 3


@pytest.mark.parametrize(("bright", "backlit"), [(220, True), (160, True), (100, False)])
def test_what_is_bright_is_a_light_behind_only_if_it_is_bright_enough(bright, backlit):
    window = against_the_light()
    assert is_backlit(np.where(window > 200, np.uint8(bright), window), 0.5) == backlit


def test_a_part_is_taken_as_it_is_in_the_whole():
    """Noise apart: the crop and the same place of the whole photo come from one light and one camera."""
    photo = np.asarray(scene(1, SMALL, SMALL))
    camera = Camera(stops=3, dim_only=0.5, low_key=(0.7, 2), balance=(1.1, 1, 0.9), black=0.01)
    rng = np.random.default_rng(0)
    box = np.array([0.25, 0.5, 0.75, 1.0])
    part = photo[32:96, 64:]
    low, high, low_whole, high_whole = degrade_crop(part, photo, box, camera, rng)
    np.testing.assert_array_equal(high, high_whole[32:96, 64:])
    assert np.abs(low.astype(int) - low_whole[32:96, 64:]).max() <= 1


@pytest.mark.parametrize(
    "kind", [{"sigma": 20}, {"shot": 1e-2, "mosaic": False}, {"residue": plain_residue()}], ids=str
)
def test_of_the_whole_noise_is_averaged_as_in_a_thumbnail_of_many_pixels(kind):
    grey = np.full((SMALL, SMALL, 3), 128, np.uint8)
    low, _, low_whole, _ = degrade_crop(grey, grey, np.array(WHOLE), Camera(**kind), np.random.default_rng(0))
    assert low_whole.std() == pytest.approx(low.std() / EXPOSURES**0.5, rel=0.05)


def test_of_the_whole_pixels_are_too_far_apart_for_jpeg():
    stripes = np.zeros((SMALL, SMALL, 3), np.uint8)
    stripes[:, ::2, 0] = 255
    low, _, low_whole, _ = degrade_crop(stripes, stripes, np.array(WHOLE), Camera(quality=20), np.random.default_rng(0))
    assert (low != stripes).any()
    np.testing.assert_array_equal(low_whole, stripes)


def test_cameras_are_drawn_of_every_kind():
    rng = np.random.default_rng(0)
    cameras = [draw(rng) for _ in range(2000)]
    as_it_is = [dataclasses.replace(camera, low_key=None) == Camera() for camera in cameras]
    assert np.mean(as_it_is) == pytest.approx(0.1, abs=0.03)
    assert np.mean([camera.low_key is not None for camera in cameras]) == pytest.approx(0.2275, abs=0.03)
    assert max(camera.stops for camera in cameras if camera.low_key) <= 1
    assert np.mean([camera.dim_only is not None for camera in cameras]) == pytest.approx(0.14, abs=0.03)
    assert np.mean([camera.night is not None for camera in cameras]) == pytest.approx(0.035, abs=0.02)
    assert max(camera.stops for camera in cameras) <= 5.5


def test_white_balance_is_off_by_a_fifth_at_most_and_green_is_what_it_is_off_from():
    rng = np.random.default_rng(0)
    drawn = [draw(rng, {"dark": 1.0}).balance for _ in range(1000)]
    red, green, blue = np.log(drawn).T
    assert not green.any()
    for colour in (red, blue):
        assert (colour.min(), colour.max()) == pytest.approx((-0.2, 0.2), abs=0.01)


def test_half_of_the_good_photos_are_shown_by_another_gamma_and_all_by_a_tint():
    """Of photos of a quarter: it is 0.25 ** gamma, with each colour off by 6 % or so; what is black stays black."""
    photo = np.zeros((1, 2, 3), np.uint8)
    photo[0, 1] = 64
    shown = np.array([styled(photo, np.random.default_rng(seed)) for seed in range(2000)])
    assert not shown[:, 0, 0].any()
    gammas = np.log(shown[:, 0, 1].astype(float) / 255) / np.log(64 / 255)  # and the tint, of 0.04 here
    means = gammas.mean(axis=1)
    assert np.mean(np.abs(means - 1) > 0.1) == pytest.approx(0.5 * (0.15 + 0.25) / 0.6, abs=0.06)
    assert np.quantile(means, (0.01, 0.99)) == pytest.approx((0.75, 1.35), abs=0.05)
    assert np.diff(np.log(shown[:, 0, 1].astype(float))).std() == pytest.approx(0.06 * 2**0.5, rel=0.1)


def test_noise_of_each_kind_comes_with_every_light():
    rng = np.random.default_rng(1)
    cameras = [draw(rng) for _ in range(2000)]
    kinds = lambda c: c.sigma, lambda c: c.shot and not c.mosaic, lambda c: c.residue  # noqa: E731
    for kind in kinds:
        noisy = [camera for camera in cameras if kind(camera)]
        assert min(camera.stops for camera in noisy) < 0.5
        assert max(camera.stops for camera in noisy) > 4


def test_photons_are_counted_one_by_one_where_they_are_few_also_in_float32():
    """Without read noise each value is a whole number of photons, of variance as of mean (Poisson)."""
    assert MANY**-0.5 < 0.25  # the skewness of their number
    light = np.full(100_000, 0.3 * MANY * 1e-3, np.float32)
    counts = add_noise(light, np.random.default_rng(0), 1e-3, 0.0) / 1e-3
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
    assert counts.mean() == pytest.approx(0.3 * MANY, rel=0.01)
    assert counts.var() == pytest.approx(0.3 * MANY, rel=0.02)


@pytest.mark.parametrize("photons", [0.9 * MANY, 1.1 * MANY, 50 * MANY])
def test_noise_has_one_mean_and_variance_in_float32_and_float64(photons):
    light = np.full(200_000, photons * 1e-4, np.float32)
    for kind in (np.float32, np.float64):
        noisy = add_noise(light.astype(kind), np.random.default_rng(1), 1e-4, 2e-4)
        assert noisy.dtype == kind
        assert noisy.mean() == pytest.approx(photons * 1e-4, rel=0.005)
        assert noisy.var() == pytest.approx(photons * 1e-8 + 4e-8, rel=0.02)
    assert photons < MANY or kstest(noisy, norm(light[0], noisy.std()).cdf).statistic < 0.05


@pytest.mark.parametrize("shape", [(6, 8), (7, 9)])
def test_demosaicking_is_bilinear_with_mirrored_rims(shape, monkeypatch):
    """As by SciPy's convolution of each colour's samples."""
    samples = np.random.default_rng(0).normal(size=shape)
    monkeypatch.setattr(noise, "add_noise", lambda signal, rng, shot, read: signal + samples)
    found = mosaic_noise(np.full((*shape, 3), 0.5), np.random.default_rng(0), 1e-3, 0.0, (2.0, 1.0, 3.0))
    rows, columns = np.indices(shape) % 2
    full = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    sites = (rows + columns == 0, rows + columns == 1, rows + columns == 2)
    for colour, (at, gain, fill) in enumerate(zip(sites, (2, 1, 3), (full, cross, full), strict=True)):
        expected = convolve(np.where(at, gain * samples, 0), fill, mode="mirror")
        np.testing.assert_allclose(found[..., colour], expected, atol=1e-12)


def test_a_table_encodes_light_as_the_curve_does():
    light = np.random.default_rng(0).random((500, 500, 3), np.float32) ** 4
    error = to_srgb(light, rounded=False) - encoded(light.astype(np.float64))
    assert np.abs(error).max() < 1 / 30 / 255


@pytest.mark.parametrize(
    "camera", [Camera(stops=2, dim_only=0.5, balance=(1.1, 1, 0.9), black=0.01), Camera(night=0.6)]
)
def test_a_crop_without_noise_is_as_the_same_photo_degraded_in_full_precision(camera, photo):
    """But for rounding."""
    rng = np.random.default_rng(0)
    for quick, exact in zip(shot(photo, camera), degrade(photo, camera, rng), strict=True):
        assert np.abs(quick.astype(int) - exact).max() <= 1
