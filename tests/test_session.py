"""A model is run with the controls that it has, and on the device that was named."""

import numpy as np
import pytest

from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.inference.session import devices, load_session
from lowlight.io.photo import Photo
from tests.test_zoo import save_model


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    return load_session(str(folder), device="cpu")


@pytest.fixture
def photo():
    return Photo(np.random.default_rng(0).random((20, 30, 3), np.float32) * 0.2)


def test_half_the_strength_lies_half_way_and_none_leaves_the_photo_as_it_was(session, photo):
    before = photo.pixels.copy()
    full, half, none = (session.enhance(photo, Controls(strength=share)).pixels for share in (1, 0.5, 0))
    assert np.abs(full - before).max() > 0.1
    np.testing.assert_allclose(half, (full + before) / 2, atol=1e-6)
    np.testing.assert_array_equal(none, before)
    np.testing.assert_array_equal(photo.pixels, before)


def test_a_control_that_the_model_does_not_have_is_refused_by_name(session):
    session.check(Controls(strength=0.5))
    with pytest.raises(UserError, match="Received: exposure, white_balance .* has strength"):
        session.check(Controls(exposure=1, white_balance=False))


def test_a_model_with_controls_gets_them(session, photo, monkeypatch):
    told = []

    def enhancer(pixels, controls, overview=None, box=None):
        told.append(controls)
        return pixels

    monkeypatch.setattr(session, "enhancer", enhancer)
    monkeypatch.setattr(session, "controls", frozenset({"exposure", "strength"}))
    wanted = Controls(exposure=1, strength=0.5)
    session.check(wanted)
    np.testing.assert_array_equal(session.enhance(photo, wanted).pixels, photo.pixels)
    assert told == [wanted]


def test_levels_give_levels_and_floats_floats_and_alpha_stays(session):
    levels = np.random.default_rng(0).integers(0, 50, (20, 30, 3), np.uint8)
    alpha = np.full((20, 30), 9, np.uint8)
    given = levels, levels.astype(np.uint16) * 257, levels / np.float32(255)
    results = [session.enhance(Photo(pixels, alpha), Controls()) for pixels in given]
    floats = results[2].pixels
    np.testing.assert_array_equal(results[0].pixels, np.rint(floats * 255).astype(np.uint8))
    np.testing.assert_allclose(results[1].pixels, floats * 65535, atol=1)
    assert [result.pixels.dtype for result in results] == [np.uint8, np.uint16, np.float32]
    assert results[0].alpha is alpha
    both = session.enhance(Photo(levels, alpha), Controls(), compare=True)
    assert both.pixels.shape == (20, 60, 3)
    assert both.alpha.shape == (20, 60)


@pytest.mark.skipif("gpu:0" in devices(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(tmp_path):
    save_model(tmp_path)
    with pytest.raises(UserError, match="Received: gpu. Known: cpu:0"):
        load_session(str(tmp_path), device="gpu")


@pytest.mark.parametrize(
    "values", [{"exposure": 3.1}, {"shadows": -4}, {"highlights": float("nan")}, {"strength": -0.1}, {"denoise": 2}]
)
def test_controls_out_of_range_are_refused(values):
    with pytest.raises(UserError, match="must be a number from"):
        Controls(**values)
