"""Scores of methods on pairs, by hand on photos of one colour."""

import math

import numpy as np
import pytest

from lowlight.errors import UserError
from lowlight.imaging.exposure import BLACK
from lowlight.metrics.evaluate import BASELINES, evaluate, mean
from tests.conftest import make_pair


def test_each_row_scores_its_own_photo_in_the_pairs_order(grey_pairs):
    rows = evaluate(BASELINES["untouched input"], grey_pairs)
    assert [row["name"] for row in rows] == ["p1", "p2", "p3"]
    assert [row["mae"] for row in rows] == pytest.approx([0.2, 0.4, 0.6])
    assert [row["mse"] for row in rows] == pytest.approx([0.04, 0.16, 0.36])


def test_it_is_the_output_that_gt_mean_brings_to_the_brightness_of_the_truth(tmp_path):
    # Grey of the output is 55.7: times 100/55.7 it is (89.8, 89.8, 179.5), 14.7066 dB from (100, 100, 100).
    output = np.tile(np.uint8([50, 50, 100]), (12, 16, 1))
    row = evaluate(BASELINES["untouched input"], [make_pair(tmp_path, "p", output, 100)])[0]
    assert row["psnr_gt_mean"] == pytest.approx(14.7066, abs=1e-4)


def test_a_method_gets_floats_and_its_output_is_rounded_like_a_file(grey_pairs):
    def method(photo):
        assert photo.dtype == np.float32
        assert photo.max() == pytest.approx(20 / 255)
        return photo + (51 + 0.4) / 255

    assert evaluate(method, grey_pairs[:1])[0]["psnr"] == math.inf


def test_an_output_above_one_is_clipped(tmp_path):
    pair = make_pair(tmp_path, "white", 100, 255)
    assert evaluate(lambda photo: photo + 5, [pair])[0]["mse"] == 0


def test_photos_keep_their_size_and_their_partner(tmp_path):
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(12):
        low = rng.integers(0, 256, (11 + i, 30 - i, 3), dtype=np.uint8)
        pairs.append(make_pair(tmp_path, str(i), low, 255 - low))
    assert all(row["psnr"] == math.inf for row in evaluate(lambda photo: 1 - photo, pairs))


def test_ssim_is_left_out_when_asked(grey_pairs):
    assert "ssim" not in evaluate(BASELINES["gamma 0.4"], grey_pairs, with_ssim=False)[0]


class Told:
    """As bright as it is told, and as it was where it is not."""

    takes_exposure_map = True

    def __call__(self, photo, target_exposure=None):
        return photo if target_exposure is None else np.full_like(photo, np.exp(target_exposure[0, 0, 0]) - BLACK)


def test_what_takes_an_exposure_map_is_scored_with_that_of_the_truth_too(grey_pairs):
    rows = evaluate(Told(), grey_pairs)
    assert [row["mae"] for row in rows] == pytest.approx([0.2, 0.4, 0.6])
    assert [(row["psnr_oracle"], row["ssim_oracle"]) for row in rows] == [(math.inf, 1)] * 3
    assert rows[0]["psnr"] == pytest.approx(13.9794, abs=1e-4)  # -10 log10(0.2**2)
    alone = evaluate(Told(), grey_pairs[:1], with_ssim=False)[0]
    assert "psnr_oracle" in alone
    assert "ssim_oracle" not in alone


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_no_number_names_the_photo(grey_pairs, value):
    with pytest.raises(UserError, match=r"Received: nan or infinity for .*p1\.png"):
        evaluate(lambda photo: photo * value, grey_pairs)


def test_gamma_is_the_power_of_0_4():
    photo = np.full((4, 4, 3), 0.25, np.float32)
    np.testing.assert_allclose(BASELINES["gamma 0.4"](photo), 0.574349, rtol=1e-5)  # 0.25**0.4 = 2**-0.8


def test_histogram_equalisation_ranks_brightness_and_keeps_the_colour():
    # Four equal quarters have cumulative shares 1/4, 2/4, 3/4 and 1, whatever their first brightness.
    photo = np.zeros((4, 4, 3), np.float32)
    for row, brightness in enumerate((0.02, 0.05, 0.06, 0.4)):
        photo[row] = (brightness, brightness / 2, 0)
    output = BASELINES["histogram equalisation"](photo)
    np.testing.assert_allclose(output[:, 0, 0], [0.25, 0.5, 0.75, 1], atol=1e-6)
    np.testing.assert_allclose(output[..., 1], output[..., 0] / 2, atol=1e-6)


def test_the_mean_of_psnr_is_the_mean_of_the_photos_decibels():
    assert mean([{"name": "a", "psnr": 10.0, "mae": 0.1}, {"name": "b", "psnr": 20.0, "mae": 0.3}]) == {
        "psnr": 15.0,
        "mae": pytest.approx(0.2),
    }


def test_a_perfect_photo_counts_as_100_db_in_the_mean():
    for kind in ("psnr", "psnr_gt_mean", "psnr_oracle"):
        assert mean([{"name": "a", kind: math.inf}, {"name": "b", kind: 20.0}]) == {kind: 60.0}


def test_photos_without_ssim_are_left_out_of_its_mean():
    assert mean([{"name": "a", "ssim": math.nan}, {"name": "b", "ssim": 0.5}]) == {"ssim": 0.5}
    assert math.isnan(mean([{"name": "a", "ssim": math.nan}])["ssim"])


def test_a_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="Received: none"):
        mean([])
