"""Crops of clean photos in other colours, as flat shapes, and without their finest detail, for restoration to clean."""

from itertools import permutations

import numpy as np
import pytest
from PIL import Image

from lowlight.data import camera, samplers, surfaces
from lowlight.data.samplers import CleanSource
from lowlight.imaging.exposure import exposure_map, thumbnail


def random_photo(height=40, width=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def source_of(photo, folder, monkeypatch, recoloured=0.0, soft=0.0, flat=0.0):
    """Of one photo, which the camera takes as it is."""
    Image.fromarray(photo).save(folder / "photo.png")
    monkeypatch.setattr(camera, "draw", lambda rng, kinds=None: camera.Camera())
    monkeypatch.setattr(samplers, "RECOLOURED", recoloured)
    monkeypatch.setattr(samplers, "SOFT", soft)
    monkeypatch.setattr(samplers, "FLAT", flat)
    return CleanSource([[folder / "photo.png"]])


def test_other_colours_keep_grey_and_come_in_any_order_paler_or_more_vivid():
    drawn = np.array([surfaces.draw_colours(np.random.default_rng(seed)) for seed in range(600)])
    np.testing.assert_allclose(drawn.sum(axis=2), 1, atol=1e-6)  # what is grey stays as it is
    vividness = drawn.max(axis=2)[:, 0] - drawn.min(axis=2)[:, 0]
    assert (vividness.min(), vividness.max()) == pytest.approx((0.5, 2.7), abs=0.05)
    orders = [tuple(order) for order in drawn.argmax(axis=2)]
    assert {order: orders.count(order) / 600 for order in permutations(range(3))} == pytest.approx(
        dict.fromkeys(permutations(range(3)), 1 / 6), abs=0.05
    )


def test_a_photo_in_other_colours_is_its_colours_times_the_matrix_rounded_and_clipped():
    photo, colours = random_photo(), np.float32([[0, 2, -1], [-1, 0, 2], [2, -1, 0]])
    expected = np.clip(np.einsum("hwc,dc->hwd", photo.astype(int), colours.astype(int)), 0, 255)
    np.testing.assert_array_equal(surfaces.recoloured(photo, colours), expected)
    np.testing.assert_array_equal(surfaces.recoloured(photo, np.eye(3, dtype=np.float32)), photo)


def test_a_crop_and_its_whole_are_shown_in_the_same_colours_at_half_their_size(tmp_path, monkeypatch):
    photo = np.full((48, 48, 3), (200, 100, 0), np.uint8)
    photo[:, ::2] += 20
    source = source_of(photo, tmp_path, monkeypatch, recoloured=1.0)
    monkeypatch.setattr(surfaces, "draw_colours", lambda rng: np.float32([[0, 0, 1], [1, 0, 0], [0, 1, 0]]))
    for seed in range(8):
        crop = source.draw_crop(np.random.default_rng(seed), 16)
        np.testing.assert_array_equal(crop.low, np.full((16, 16, 3), (10, 210, 110)))
        np.testing.assert_array_equal(crop.high, crop.low)
        np.testing.assert_allclose(crop.thumbnail * 255, np.broadcast_to((10, 210, 110), (64, 64, 3)), atol=1e-3)
        np.testing.assert_allclose(crop.exposure_map, exposure_map(crop.thumbnail), atol=1e-5)


def test_so_many_crops_of_clean_photos_are_recoloured(tmp_path, monkeypatch):
    source = source_of(np.full((40, 40, 3), (120, 110, 100), np.uint8), tmp_path, monkeypatch, recoloured=0.4)
    rng = np.random.default_rng(0)
    changed = [(source.draw_crop(rng, 16).high[0, 0] != (120, 110, 100)).any() for _ in range(400)]
    assert np.mean(changed) == pytest.approx(0.4, abs=0.07)


def test_what_is_softened_has_lost_its_finest_detail_alone():
    fine = np.tile(np.uint8([[[0] * 3, [255] * 3]]), (31, 20, 1))
    assert np.ptp(surfaces.softened(fine)) <= 1
    assert surfaces.softened(random_photo(31, 41)).shape == (31, 41, 3)
    coarse = np.asarray(Image.fromarray(random_photo(4, 5)).resize((40, 32), Image.Resampling.BICUBIC))
    soft = surfaces.softened(coarse)
    assert np.abs(soft.astype(int) - coarse).mean() < 3
    np.testing.assert_allclose(thumbnail(soft), thumbnail(coarse), atol=0.03)


@pytest.mark.parametrize(("soft", "flat"), [(0.0, 0.0), (0.5, 0.0), (0.2, 0.5)])
def test_so_many_crops_are_softened_or_show_flat_shapes(soft, flat, tmp_path, monkeypatch):
    source = source_of(random_photo() // 2 + 64, tmp_path, monkeypatch, soft=soft, flat=flat)
    monkeypatch.setattr(samplers, "AT_HALF_SIZE", 0)
    monkeypatch.setattr(surfaces, "softened", lambda photo: np.zeros_like(photo))
    monkeypatch.setattr(surfaces, "flat_shapes", lambda photo, rng, side: np.full((side, side, 3), 255, np.uint8))
    rng = np.random.default_rng(0)
    means = np.array([source.draw_crop(rng, 16).high.mean() for _ in range(300)])
    assert np.mean(means == 0) == pytest.approx(soft, abs=0.08 if soft else 0)
    assert np.mean(means == 255) == pytest.approx(flat, abs=0.08 if flat else 0)


def test_flat_shapes_are_of_a_photos_colours_in_uneven_light_and_vary_at_edges_alone():
    photo = np.zeros((20, 20, 3), np.uint8)
    photo[..., 0] = np.linspace(60, 200, 20)
    for seed in range(10):
        picture = surfaces.flat_shapes(photo, np.random.default_rng(seed), 96)
        assert picture.shape == (96, 96, 3)
        assert not picture[..., 1:].any()
        steps = np.abs(np.diff(picture[..., 0].astype(int), axis=1))
        assert (steps <= 6).mean() > 0.7  # of noise a tenth
        assert np.ptp(picture[..., 0]) > 20


def test_half_of_the_flat_shapes_lie_on_the_photo(monkeypatch):
    monkeypatch.setattr(surfaces, "_add_shape", lambda *_: None)
    photo = np.zeros((16, 16, 3), np.uint8)
    photo[:, 8:] = 255
    grounds = [surfaces.flat_shapes(photo, np.random.default_rng(seed), 16) for seed in range(300)]
    on_photo = [ground[8, 0].max() < 10 and ground[8, 15].min() > 100 for ground in grounds]
    assert np.mean(on_photo) == pytest.approx(0.5, abs=0.08)


def test_flat_shapes_are_few_and_large_or_many_and_small():
    photo = np.zeros((20, 20, 3), np.uint8)
    photo[::2] = 255
    edges = [
        np.abs(np.diff(surfaces.flat_shapes(photo, np.random.default_rng(seed))[..., 0])).mean() for seed in range(40)
    ]
    assert min(edges) * 4 < max(edges)


def test_flat_shapes_are_as_large_as_a_crop_needs(tmp_path, monkeypatch):
    crop = source_of(random_photo(300, 300), tmp_path, monkeypatch, flat=1.0).draw_crop(np.random.default_rng(0), 256)
    assert crop.low.shape == (256, 256, 3)


def test_flat_shapes_are_of_a_photo_at_half_its_size(tmp_path, monkeypatch):
    source, shown = source_of(random_photo(60, 80), tmp_path, monkeypatch, flat=1.0), []
    monkeypatch.setattr(surfaces, "flat_shapes", lambda photo, rng, side: shown.append(photo.shape) or random_photo())
    source.draw_crop(np.random.default_rng(0), 16)
    assert shown == [(30, 40, 3)]
