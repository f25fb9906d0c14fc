"""What is decided over the time of a clip: brightness follows the scene, and does not flicker."""

import numpy as np
import pytest

from lowlight.imaging.exposure import overview
from lowlight.inference.enhancer import Enhancer
from lowlight.inference.temporal import Smoothing
from tests.conftest import scene
from tests.test_enhancer import local_model
from tests.test_video import by_overview, enhance, frames_of, write_clip


def smoothed(lights, times):
    """The mean of what to decide from at each time, in log units; lights are of frames of one colour."""
    smoothing = Smoothing()
    for light, time in zip(lights, times, strict=True):
        smoothing.add(np.full((30, 40, 3), light, np.float32), time)
    return np.log(np.array([smoothing(time)[..., :3].mean() for time in times]) + 0.02)


def test_a_lasting_change_of_the_light_is_followed_slowly_and_from_before_it():
    times = np.arange(300) / 5
    found = smoothed(np.where(times < 30, 0.10, 0.12), times)
    assert found[0] == pytest.approx(np.log(0.12), abs=1e-3)
    assert found[-1] == pytest.approx(np.log(0.14), abs=1e-3)
    middle = (np.log(0.12) + np.log(0.14)) / 2
    assert np.interp(middle, found, times) == pytest.approx(30, abs=1)
    share = (np.interp((25, 35, 40), times, found) - np.log(0.12)) / np.log(0.14 / 0.12)
    assert share == pytest.approx([0.159, 0.841, 0.977], abs=0.03)  # of a normal distribution below -1, 1 and 2 sigma
    assert np.diff(found).max() < 0.02 * np.log(0.14 / 0.12)  # a frame lasts 0.2 s of the ten that it takes


def test_what_hums_is_decided_by_its_mean():
    found = smoothed(np.where(np.arange(200) % 7 < 3, 0.1, 0.103), np.arange(200) / 30)
    assert np.ptp(found) < 0.005


def test_beyond_a_cut_nothing_counts():
    times = np.arange(100) / 25
    found = smoothed(np.where(times < 2, 0.1, 0.5), times)
    np.testing.assert_allclose(found, np.log(np.where(times < 2, 0.12, 0.52)), atol=2e-3)


@pytest.mark.parametrize("light", [0.0, 1.0])
def test_what_is_decided_from_is_no_darker_than_black_and_no_brighter_than_white(light):
    smoothing = Smoothing()
    smoothing.add(np.full((30, 40, 3), light, np.float32), 0)
    found = smoothing(0)[..., :3]
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found, light, atol=2e-3)


def test_of_a_long_shot_few_overviews_are_kept():
    smoothing = Smoothing()
    for time in range(0, 300):
        smoothing.add(np.full((8, 8, 3), 0.2, np.float32), time / 30)
    (shot,) = smoothing.shots
    assert len(shot.overviews) == 10


def test_where_black_bars_are_is_decided_once_for_a_clip():
    smoothing = Smoothing()
    for time in range(4):  # the upper half of the picture is as black as the bars at first
        frame = np.tile(np.linspace(0, 0.008, 128, dtype=np.float32)[:, None], (128, 1, 3))  # bars are black enough
        frame[64 if time < 2 else 32 : 96] = 0.2
        smoothing.add(frame, time)
    np.testing.assert_allclose(smoothing.box, (0.25, 0, 0.75, 1), atol=1.1 / 64)


@pytest.fixture
def lamp(tmp_path):
    """A dark and noisy room, the light of which hums; a lamp comes and goes on the left; then another room."""
    rng = np.random.default_rng(0)
    frames = []
    for number in range(40):
        room = scene(0 if number < 30 else 9, 96, 128) / 8.0 * (1 if number < 30 else 4) * (1 + 0.05 * (number % 2))
        room[:, :32] += 60 if 10 <= number < 20 else 0
        frames.append(np.clip(room + rng.normal(0, 4, room.shape), 0, 255).astype(np.uint8))
    return write_clip(tmp_path / "lamp.mp4", frames, sound=False)


def test_brightness_jumps_no_more_than_that_of_the_clip(lamp, tmp_path):
    enhancer = Enhancer(local_model())
    enhance(lamp, tmp_path / "out.mp4", lambda pixels, overview: enhancer(pixels, overview=overview))
    jumps = [np.abs(np.diff(np.log(frames_of(path)[0].mean((1, 2, 3))))) for path in (lamp, tmp_path / "out.mp4")]
    assert jumps[1].max() <= jumps[0].max()
    assert jumps[1].mean() <= jumps[0].mean()


def test_what_is_far_from_a_lamp_does_not_flicker_when_it_comes(lamp, tmp_path):
    """By a gain alone, so that decisions are all that changes; each frame by itself would have the room flicker."""

    def by_own(pixels, small):
        return by_overview(pixels, overview(pixels))

    ranges = {}
    for run in (by_overview, by_own):
        enhance(lamp, tmp_path / "out.mp4", run)
        room = np.log(frames_of(tmp_path / "out.mp4")[0][:30, :, 64:].mean((1, 2, 3)))
        ranges[run] = np.abs(np.diff(room)).max()
    own = np.abs(np.diff(np.log(frames_of(lamp)[0][:30, :, 64:].mean((1, 2, 3))))).max()
    assert ranges[by_overview] <= own + 0.02
    assert ranges[by_own] > 4 * own
