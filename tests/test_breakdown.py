"""Where a photo's decibels are lost: each step undoes one fault, and no more than that."""

import numpy as np
import pytest

from lowlight.benchmark import breakdown, report
from lowlight.data.matching import Pair
from lowlight.imaging.exposure import exposure_map, thumbnail
from lowlight.inference.enhancer import Enhancer
from lowlight.metrics import quality
from tests.conftest import scene, write_pair


class Brightening(Enhancer):
    """Multiplies each pixel by what brings the whole to the mean of the map it is given; predicts it too dark."""

    def __init__(self, bias=-0.3):
        self.takes_exposure_map, self.bias = True, bias

    def predict_exposure(self, seen):
        return exposure_map(seen[..., :3]) + self.bias

    def __call__(self, photo, target_exposure=None, overview=None):
        own = exposure_map(thumbnail(photo))
        return photo * np.exp(target_exposure.mean() - own.mean())


class Uneven(Brightening):
    """Predicts one half too dark and the other too bright; keeps the maps that it is given."""

    def __init__(self):
        super().__init__(np.repeat([-0.5, 0.3], 4)[:, None, None])
        self.given = []

    def __call__(self, photo, target_exposure=None, overview=None):
        self.given.append(target_exposure)
        return super().__call__(photo, target_exposure)


def no_model(name):
    raise AssertionError(name)


def one_pair(folder):
    write_pair(folder, "a", scene(0))
    return Pair("a", folder / "low" / "a.png", folder / "high" / "a.png")


def test_a_map_that_is_evenly_too_dark_is_mended_by_the_right_mean():
    photo = scene(0)
    found = breakdown.lost(Brightening(bias=-0.3), photo, photo)
    assert found["map_error"] == pytest.approx(0.3, abs=1e-5)
    assert found["map_bias"] == pytest.approx(-0.3, abs=1e-5)
    assert found["psnr"] < 30
    assert found["psnr_mean"] > 45
    assert found["psnr_oracle"] > 45


def test_the_right_mean_leaves_a_map_as_uneven_as_it_was_predicted():
    photo, enhancer = scene(0), Uneven()
    breakdown.lost(enhancer, photo, photo)
    (predicted, shifted, oracle), true = enhancer.given, exposure_map(thumbnail(photo))
    np.testing.assert_allclose(predicted - true, np.broadcast_to(enhancer.bias, true.shape), atol=1e-5)
    np.testing.assert_allclose(shifted - predicted, 0.1, atol=1e-5)
    np.testing.assert_array_equal(oracle, true)


def test_the_best_curves_undo_any_change_of_levels_that_keeps_them_apart():
    truth = scene(1) // 2 * 2
    output = 255 - truth
    np.testing.assert_array_equal(breakdown.best_curves(truth, output), truth)


def test_the_best_curves_never_do_harm():
    noise = np.random.default_rng(0).normal(0, 20, (40, 60, 3))
    truth = scene(2, 40, 60)
    output = np.clip(truth + noise, 0, 255).astype(np.uint8)
    assert quality.psnr(truth, breakdown.best_curves(truth, output)) >= quality.psnr(truth, output)


def test_a_model_without_a_map_has_its_own_psnr_alone(tmp_path):
    sets = {"mine, unseen": [one_pair(tmp_path)]}
    rows = breakdown.score_sets({"model_10": "ab"}, lambda name: lambda photo: photo, sets)
    assert [row["method"] for row in rows] == ["untouched input", "model_10"]
    assert rows[0]["psnr"] == rows[1]["psnr"] == rows[1]["psnr_worst"]
    assert "psnr_oracle" not in rows[1]


def test_rows_of_the_same_weights_are_kept_and_the_table_shows_them(tmp_path):
    sets = {"mine, unseen": [one_pair(tmp_path)]}
    first = breakdown.score_sets({"model_12": "ab"}, lambda name: Brightening(), sets)
    path = tmp_path / report.BREAKDOWN
    report.write_sets(path, first)
    assert report.read_sets(path) == first
    assert breakdown.score_sets({"model_12": "ab"}, no_model, sets, first) == first
    report.write_overview(tmp_path)
    table = (tmp_path / "README.md").read_text()
    assert "| mine, unseen (1) | model_12 |" in table
    assert f"| {first[1]['map_bias']:.3f} | 0.000 |" in table
