"""Darkening follows the model that its module states; pairs and samples are made alike each time."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lowlight.data import synthetic
from lowlight.data.noise import add_noise
from lowlight.data.pairs import load_split
from lowlight.data.synthetic import darken, write_pairs, write_samples
from lowlight.errors import UserError
from lowlight.io.lock import holding
from lowlight.io.photo import ImageError
from tests.conftest import ROOT, scene

NOISELESS = {"shot": 1e-9, "read": 0.0, "balance": (1, 1, 1), "quality": 100}


def flat(value, side=32):
    return np.full((side, side, 3), value, np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


def bytes_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def shipped_pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("made") / "synthetic")


@pytest.fixture
def clean_folder(tmp_path):
    folder = tmp_path / "clean"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(scene(seed, 60, 80)).save(folder / f"photo{seed}.png")
    return folder


@pytest.mark.parametrize(
    ("value", "stops", "expected"),
    [
        (255, 1, 188),  # 1 / 2 = 0.5, which sRGB encodes as 187.5
        (188, 1, 137),  # 0.503 / 2 = 0.251 -> 0.5385 * 255
        (188, 3, 71),  # 0.503 / 8 = 0.0629 -> 0.278 * 255
        (10, 2, 2.5),  # below 0.0031308 sRGB is linear: 10 / 4
    ],
)
def test_each_stop_halves_linear_light(value, stops, expected):
    assert darken(flat(value), rng(), stops, **NOISELESS).mean() == pytest.approx(expected, abs=0.6)


def test_a_white_balance_error_scales_channels_in_linear_light():
    dark = darken(flat(188), rng(), 1, **NOISELESS | {"balance": (2.0, 1.0, 0.25)})
    np.testing.assert_allclose(dark.mean(axis=(0, 1)), [188, 137, 71], atol=1.5)


@pytest.mark.parametrize("signal", [0.0, 0.002, 0.02, 0.3])
@pytest.mark.parametrize(("shot", "read"), [(1e-3, 2e-3), (4e-3, 1e-2)])
def test_noise_on_a_flat_patch_has_the_mean_and_variance_of_the_model(signal, shot, read):
    noisy = add_noise(np.full((500, 500), signal), rng(), shot, read)
    variance = shot * signal + read**2
    assert noisy.mean() == pytest.approx(signal, abs=4 * np.sqrt(variance / noisy.size))
    assert noisy.var() == pytest.approx(variance, rel=0.02)


def test_shot_noise_counts_photons():
    """Without read noise there are whole multiples of `shot` only, none below zero."""
    counts = add_noise(np.full(1000, 0.01), rng(), shot=2e-3, read=0.0) / 2e-3
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    assert counts.min() >= 0
    assert counts.mean() == pytest.approx(5, rel=0.1)


def test_a_dark_photo_is_noisier_where_more_shot_noise_is_asked_for():
    mild, strong = (darken(flat(128, 128), rng(), 3, shot, balance=(1, 1, 1)).std() for shot in (1e-4, 4e-3))
    assert strong > 2 * mild


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_drawn_is_drawn_from_the_generator_alone_and_darkens(seed):
    clean = scene(seed)
    dark = darken(clean, rng(seed))
    np.testing.assert_array_equal(dark, darken(clean, rng(seed)))
    assert not np.array_equal(dark, darken(clean, rng(seed + 1)))
    assert (dark.dtype, dark.shape) == (np.uint8, clean.shape)
    assert dark.mean() < 0.7 * clean.mean()


def test_a_photo_that_is_not_8_bit_rgb_is_refused():
    for wrong in (flat(1).astype(float), flat(1)[..., 0]):
        with pytest.raises(ValueError, match="Received"):
            darken(wrong, rng())


def test_pairs_without_a_dataset_pass_all_checks_and_no_photo_is_on_both_sides(shipped_pairs):
    split = load_split(shipped_pairs)
    assert len(split.train) >= 24
    assert len(split.val) >= 6
    assert split.test == ()
    photos = [{pair.name.rsplit("_", 1)[0] for pair in part} for part in (split.train, split.val)]
    assert not photos[0] & photos[1]
    assert len(photos[0] | photos[1]) == len(synthetic.SAMPLES)
    with Image.open(split.val[0].low) as low:
        assert low.size == (synthetic.CROP, synthetic.CROP)


def test_the_high_side_is_an_untouched_crop_of_the_clean_photo(clean_folder, tmp_path):
    folder = write_pairs(tmp_path / "pairs", clean_folder)
    for path in (folder / "high").iterdir():
        clean = Image.open(clean_folder / f"{path.name.split('_')[0]}.png")
        np.testing.assert_array_equal(Image.open(path), clean)  # the photo is smaller than a crop


def test_the_same_seed_gives_the_same_files_and_another_one_others(clean_folder, tmp_path):
    one, two, other = (write_pairs(tmp_path / str(i), clean_folder, seed) for i, seed in enumerate((7, 7, 8)))
    assert bytes_of(one) == bytes_of(two)
    assert bytes_of(one) != bytes_of(other)


def test_complete_pairs_are_reused_and_others_made_anew(clean_folder, tmp_path):
    folder = write_pairs(tmp_path / "pairs", clean_folder)
    whole = bytes_of(folder)
    kept = next((folder / "high").iterdir())
    kept.write_bytes(b"marked")
    write_pairs(folder, clean_folder)
    assert kept.read_bytes() == b"marked"
    next((folder / "low").iterdir()).unlink()
    write_pairs(folder, clean_folder)
    assert bytes_of(folder) == whole
    write_pairs(folder, clean_folder, seed=1)
    assert bytes_of(folder) != whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "pairs"]


def test_a_folder_in_other_use_is_left_alone(clean_folder):
    before = bytes_of(clean_folder)
    with pytest.raises(UserError, match="folder of their own"):
        write_pairs(clean_folder)
    assert bytes_of(clean_folder) == before


def test_a_place_that_cannot_be_written_is_refused(clean_folder):
    for place in (clean_folder / "photo0.png", clean_folder / "photo0.png" / "pairs"):
        with pytest.raises(UserError, match="cannot be written"):
            write_pairs(place, clean_folder)


def test_nothing_half_written_is_left_where_a_clean_photo_is_broken(clean_folder, tmp_path):
    whole = (clean_folder / "photo2.png").read_bytes()
    (clean_folder / "photo2.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"photo2\.png"):
        write_pairs(tmp_path / "pairs", clean_folder)
    assert [path.name for path in tmp_path.iterdir()] == ["clean"]


def test_that_pairs_are_made_is_said_and_what_a_killed_process_left_goes(clean_folder, tmp_path, news):
    (tmp_path / ".pairs.part" / "new" / "low").mkdir(parents=True)
    with holding(tmp_path / ".pairs.lock"), pytest.raises(UserError, match="Another process makes pairs there"):
        write_pairs(tmp_path / "pairs", clean_folder)
    write_pairs(tmp_path / "pairs", clean_folder)
    assert "Making pairs of 3 clean photos" in news.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "pairs"]


def test_pairs_that_are_made_beside_them_are_left_alone(clean_folder, tmp_path):
    theirs = tmp_path / ".pairs-2-abcd1234" / "new"
    theirs.mkdir(parents=True)
    with holding(tmp_path / ".pairs-2.lock"):
        write_pairs(tmp_path / "pairs", clean_folder)
    assert theirs.is_dir()


def test_pairs_that_another_process_made_meanwhile_are_not_made_anew(clean_folder, tmp_path, monkeypatch):
    """It may have begun to learn from them."""

    @contextmanager
    def after_another(path):
        monkeypatch.undo()
        write_pairs(tmp_path / "pairs", clean_folder)
        next((tmp_path / "pairs" / "low").iterdir()).write_bytes(b"marked")
        yield True

    monkeypatch.setattr(synthetic, "holding", after_another)
    write_pairs(tmp_path / "pairs", clean_folder)
    assert b"marked" in [path.read_bytes() for path in (tmp_path / "pairs" / "low").iterdir()]


def test_clean_folders_that_give_no_pairs_are_refused(clean_folder, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        write_pairs(tmp_path / "pairs", tmp_path / "nowhere")
    for path in clean_folder.iterdir():
        Image.fromarray(flat(200)).save(path)
    with pytest.raises(UserError, match="too little"):
        write_pairs(tmp_path / "pairs", clean_folder)
    for seed in range(2):
        (clean_folder / f"photo{seed}.png").unlink()
    with pytest.raises(UserError, match="Two clean photos or more"):
        write_pairs(tmp_path / "pairs", clean_folder)


def test_a_photo_that_scikit_image_does_not_ship_is_named(monkeypatch):
    sample = synthetic.SAMPLES[0]._replace(file="nothing.png")
    monkeypatch.setattr(synthetic, "SAMPLES", (sample,))
    with pytest.raises(UserError, match=r"ships no nothing\.png"):
        write_pairs(ROOT / "never")
    assert not (ROOT / "never").exists()


def test_the_sample_photos_are_what_the_project_makes_them(tmp_path):
    made = write_samples(tmp_path)
    assert [path.name for path in made] == sorted(path.name for path in (ROOT / "test" / "low").iterdir())
    for path in made:
        np.testing.assert_array_equal(Image.open(path), Image.open(ROOT / "test" / "low" / path.name), path.name)
        assert 15 < np.mean(Image.open(path)) < 50
