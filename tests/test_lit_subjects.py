"""What exposure learns as it is where all else is remembered, beside nights: lit subjects, noise, a light behind."""

import numpy as np
import pytest
from PIL import Image

from lowlight.data import camera, samplers
from lowlight.data.lights import shows_lit_subject
from lowlight.data.samplers import CleanSource
from lowlight.imaging.exposure import WHOLE, exposure_map, thumbnail


def lit(rows, columns, ground=20, level=180, shape=(80, 120)):
    """A photo of one dark level, but for what is lit."""
    photo = np.full((*shape, 3), ground, np.uint8)
    photo[rows, columns] = level
    return photo


def with_peak(photo):
    photo[38:42, 40:70] = 255
    return photo


@pytest.mark.parametrize(
    ("photo", "shown"),
    [
        (lit(slice(30, 50), slice(40, 70)), True),
        (lit(slice(60, 80), slice(40, 70)), True),  # an eighth of the rim
        (lit(slice(0, 20), slice(0, 120)), False),  # a sky
        (lit(slice(40, 42), slice(50, 52)), False),  # a lamp
        (lit(slice(30, 50), slice(40, 70), level=105), False),  # lit too little, as by a lack of light
        (lit(slice(30, 50), slice(40, 70), ground=60), False),  # before no dark
        (lit(slice(10, 70), slice(10, 110)), False),  # mostly lit
        (with_peak(lit(slice(10, 70), slice(30, 90), ground=0, level=112)), True),
        (with_peak(lit(slice(10, 70), slice(20, 100), ground=0, level=112)), False),  # half of it lit, if dimly
        (lit(slice(10, 70), slice(30, 86), ground=0, level=255), False),  # bright as a whole
        (lit(slice(30, 50), slice(40, 70), level=130), False),  # nothing in it is bright
        (lit(slice(46, 80), slice(15, 105), level=160), False),  # half as much of the rim as of the middle
        (np.zeros((1, 1, 3), np.uint8), False),
    ],
)
def test_a_lit_subject_is_some_of_a_dark_photo_and_hardly_of_its_rim(photo, shown):
    assert shows_lit_subject(photo) is shown


def test_lit_subjects_are_looked_for_and_are_to_stay_before_the_dark(tmp_path, monkeypatch):
    monkeypatch.setattr(camera, "draw", lambda rng, kinds: camera.Camera(stops=2))
    monkeypatch.setattr(camera, "styled", lambda photo, rng: photo)
    monkeypatch.setattr(samplers, "framing", lambda shape, crop, rng: np.array(WHOLE))
    monkeypatch.setattr(samplers, "NIGHTS", 0)
    for name in range(9):
        Image.fromarray(np.full((80, 120, 3), 150, np.uint8)).save(tmp_path / f"{name}.png")
    photo = lit(slice(30, 50), slice(40, 70))
    Image.fromarray(photo).save(tmp_path / "subject.png")
    source = CleanSource([sorted(tmp_path.glob("*.png"))])
    samples = [source.draw_exposure(np.random.default_rng(seed)) for seed in range(200)]
    subjects = [sample for sample in samples if sample.learnt]
    assert len(subjects) / 200 == pytest.approx(samplers.LIT_SUBJECTS, abs=0.06)
    for subject in subjects:
        np.testing.assert_allclose(subject.overview[..., :3], thumbnail(photo), atol=2e-3)
        np.testing.assert_array_equal(subject.exposure_map, exposure_map(thumbnail(photo)))
    alone = CleanSource([[tmp_path / "0.png"]])
    assert not any(alone.draw_exposure(np.random.default_rng(seed)).learnt for seed in range(20))


@pytest.mark.parametrize(("level", "learnt"), [(230, True), (100, False)])
def test_what_stands_against_the_light_is_learnt_and_what_is_a_lit_subject_there_is_not(
    tmp_path, monkeypatch, level, learnt
):
    monkeypatch.setattr(camera, "draw", lambda rng, kinds: camera.Camera(stops=3, dim_only=0.5))
    monkeypatch.setattr(samplers, "NIGHTS", 0)
    monkeypatch.setattr(samplers, "LIT_SUBJECTS", 0)
    Image.fromarray(lit(slice(0, 80), slice(60, 120), level=level)).save(tmp_path / "photo.png")
    assert CleanSource([[tmp_path / "photo.png"]]).draw_exposure(np.random.default_rng(0)).learnt is learnt


def test_each_lit_subject_is_shown_equally_often_however_few_photos_lie_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(samplers, "NIGHTS", 0)
    monkeypatch.setattr(samplers, "LIT_SUBJECTS", 1)
    groups = [[tmp_path / "few0.png"], [tmp_path / f"many{name}.png" for name in range(9)]]
    for group, level in zip(groups, (170, 210), strict=True):
        for path in group:
            Image.fromarray(lit(slice(30, 50), slice(40, 70), level=level)).save(path)
    source = CleanSource(groups)
    photos = [source._lit_subject(np.random.default_rng(seed)) for seed in range(300)]
    assert np.mean([photo.max() == 170 for photo in photos]) == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("shot", "learnt"),
    [
        (camera.Camera(sigma=20), True),
        (camera.Camera(shot=1e-3, read=1e-3), True),
        (camera.Camera(), False),
        (camera.Camera(sigma=20, stops=0.5), False),
        (camera.Camera(sigma=20, low_key=(0.8, 2)), False),
    ],
)
def test_a_photo_that_is_noisy_and_nothing_else_is_learnt(tmp_path, monkeypatch, shot, learnt):
    monkeypatch.setattr(camera, "draw", lambda rng, kinds: shot)
    monkeypatch.setattr(samplers, "NIGHTS", 0)
    monkeypatch.setattr(samplers, "LIT_SUBJECTS", 0)
    photo = lit(slice(0, 80), slice(0, 120), level=150)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    sample = CleanSource([[tmp_path / "photo.png"]]).draw_exposure(np.random.default_rng(0))
    assert sample.learnt is learnt
    assert not learnt or sample.exposure_map.mean() == pytest.approx(exposure_map(thumbnail(photo)).mean(), abs=1e-3)
