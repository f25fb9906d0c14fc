"""How bright a photo is and should be: means by hand, and what the controls move."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlight.controls import RANGES, Controls
from lowlight.errors import UserError
from lowlight.imaging.exposure import (
    BLACK,
    STOP,
    WHOLE,
    adjust_exposure,
    between_bars,
    exposure_map,
    overview,
    part_of,
    thumbnail,
)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200), st.integers(1, 200))
def test_a_thumbnail_has_the_mean_of_its_photo(height, width):
    photo = np.random.default_rng(0).random((height, width, 3)).astype(np.float32)
    small = thumbnail(photo)
    assert small.shape == (64, 64, 3)
    means = (side.mean(axis=(0, 1), dtype=np.float64) for side in (small, photo))  # float32 sums are off by 2e-5
    np.testing.assert_allclose(*means, atol=1e-6)


def test_each_cell_of_a_thumbnail_is_the_mean_of_its_pixels():
    photo = np.random.default_rng(0).integers(0, 256, (128, 192, 3), dtype=np.uint8)
    by_hand = photo.reshape(64, 2, 64, 3, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(thumbnail(photo), by_hand, atol=1e-5)


def test_a_part_of_a_photo_has_the_thumbnail_of_that_part_alone():
    photo = np.random.default_rng(0).random((100, 80, 3)).astype(np.float32)
    np.testing.assert_allclose(thumbnail(photo, (0.2, 0.25, 0.8, 1.0)), thumbnail(photo[20:80, 20:]), atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200), st.integers(1, 200))
def test_an_overview_holds_the_thumbnail_of_a_photo_that_is_not_large(height, width):
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    seen = overview(photo)
    assert seen.shape == (64, 64, 5)
    np.testing.assert_allclose(seen[..., :3], thumbnail(photo), atol=1e-5)


def test_an_overview_tells_how_bright_the_brightest_is_and_how_grainy_all_is():
    rng = np.random.default_rng(0)
    flat = np.full((640, 640, 3), 0.2, np.float32)
    lamp = flat.copy()
    lamp[:10, :10, 1] = 1  # all of the first cell
    np.testing.assert_allclose(overview(flat)[..., 3], 0.2, atol=1e-5)
    assert overview(lamp)[0, 0, 3] == pytest.approx(1, abs=1e-5)
    lamp[:10, 1:10] = 0.2  # a tenth of it
    assert overview(lamp)[0, 0, 3] == pytest.approx(0.1 ** (1 / 8), abs=1e-3)
    noisy = flat + rng.normal(0, 0.05, flat.shape).astype(np.float32)
    assert overview(noisy)[..., 4].mean() == pytest.approx(0.05 * (2 / np.pi) ** 0.5, rel=0.02)
    edges = flat.copy()
    edges[300:, :] = 0.8
    assert overview(edges)[..., 4].max() < 1e-6


def test_of_a_large_photo_an_overview_is_taken_once_it_is_scaled_down():
    photo = np.random.default_rng(0).integers(0, 256, (2051, 2049, 3), dtype=np.uint8)
    halved = photo[:2050, :2048].reshape(1025, 2, 1024, 2, 3).mean(axis=(1, 3), dtype=np.float32) / 255
    np.testing.assert_allclose(overview(photo), overview(halved), atol=1e-5)


@pytest.mark.parametrize(("top", "left"), [(80, 0), (0, 200), (100, 60)])
def test_what_lies_between_black_bars_has_the_overview_that_it_has_alone(top, left):
    rng = np.random.default_rng(0)
    inside = np.tile(np.linspace(0.1, 0.3, 640 - 2 * left)[:, None], (640 - 2 * top, 1, 3)).astype(np.float32)
    photo = np.pad(inside, ((top, top), (left, left), (0, 0))) + rng.random((640, 640, 3), np.float32) / 510
    box = between_bars(overview(photo))
    seen = part_of(overview(photo), box)
    np.testing.assert_allclose(box, [top / 640, left / 640, 1 - top / 640, 1 - left / 640], atol=2.1 / 64)
    np.testing.assert_allclose(seen[..., :3], thumbnail(inside), atol=0.02)


@pytest.mark.parametrize("frame", [(1, 1, 1), (0.94, 0.94, 0.9), (0.1, 0.1, 0.4)])
def test_a_frame_of_any_colour_does_not_count_either(frame):
    inside = np.tile(np.linspace(0.1, 0.3, 400)[:, None], (440, 1, 3)).astype(np.float32)
    photo = np.full((640, 640, 3), frame, np.float32)
    photo[100:540, 120:520] = inside
    box = between_bars(overview(photo))
    np.testing.assert_allclose(box, [100 / 640, 120 / 640, 540 / 640, 520 / 640], atol=2.1 / 64)
    np.testing.assert_allclose(part_of(overview(photo), box)[..., :3], thumbnail(inside), atol=0.02)


def test_black_that_is_no_bar_is_part_of_the_photo():
    for top, bottom, dark in ((100, 0, 0), (100, 200, 0), (0, 0, 640), (100, 100, 400), (320, 320, 0)):
        photo = np.full((640, 640, 3), 0.3, np.float32)
        photo[:top] = photo[640 - bottom :] = photo[: top + 100, :dark] = 0
        assert between_bars(overview(photo)) == WHOLE


def test_a_level_is_the_logarithm_of_each_cells_mean():
    small = np.zeros((64, 64, 3), np.float32)
    small[:8, 8:16] = 0.5
    found = exposure_map(small)
    assert found.shape == (8, 8, 1)
    assert found[0, 1, 0] == pytest.approx(np.log(0.52))
    assert found[1, 1, 0] == pytest.approx(np.log(0.02))


MEANS = np.array([0.0, 0.05, 0.2, 0.45, 0.7, 0.95])
TARGET = np.log(MEANS + BLACK)


def changes(**settings):
    return adjust_exposure(TARGET, Controls(**settings)) - TARGET


def test_exposure_moves_all_that_is_not_black_or_white_by_its_stops():
    assert changes(exposure=1)[1:4] == pytest.approx([STOP] * 3)
    assert changes(exposure=-1)[1:] == pytest.approx([-STOP] * 5)
    assert np.exp(adjust_exposure(TARGET, Controls(exposure=3))).max() <= 1 + BLACK + 1e-6


def test_shadows_move_dim_cells_alone_and_highlights_bright_ones():
    assert changes(shadows=1)[:3] == pytest.approx([STOP] * 3)
    assert changes(shadows=1)[4:] == pytest.approx([0, 0], abs=1e-6)
    assert changes(highlights=-1)[:3] == pytest.approx([0] * 3, abs=1e-6)
    assert changes(highlights=-1)[4:] == pytest.approx([-STOP] * 2)


@pytest.mark.parametrize("name", ["exposure", "shadows", "highlights"])
def test_more_stops_are_never_darker(name):
    maps = [adjust_exposure(TARGET, Controls(**{name: stops})) for stops in np.linspace(-3, 3, 13)]
    assert (np.diff(maps, axis=0) >= 0).all()
    assert maps[0].sum() < maps[6].sum() < maps[12].sum()


@pytest.mark.parametrize("name", RANGES)
def test_controls_out_of_their_range_are_refused(name):
    with pytest.raises(UserError, match=f"{name} .*Received: 9"):
        dataclasses.replace(Controls(), **{name: 9})
