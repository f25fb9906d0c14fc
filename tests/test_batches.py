"""What the models see: pairs stay pairs through crops, flips, epochs and restarts."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest

from lowlight.data.loaders import Crops, Patches, fitting_crop
from lowlight.data.pairs import Pair, read_pair
from lowlight.errors import UserError
from lowlight.imaging.exposure import gain
from tests.conftest import write_pair


@pytest.fixture
def pairs(tmp_path):
    """Three pairs in which every pixel of low tells its place, and high is low plus 100."""
    found = []
    for index in range(3):
        low = np.random.default_rng(index).integers(0, 100, (40, 56, 3), dtype=np.uint8)
        write_pair(tmp_path, str(index), low + 100, low)
        name = f"{index}.png"
        found.append(Pair(str(index), tmp_path / "low" / name, tmp_path / "high" / name))
    return found


def crops(pairs, **changes):
    settings = {"crop": 16, "crops_per_photo": 8, "batch_size": 4, "seed": 0, "flips": True}
    batches = Crops(pairs, **settings | changes)
    batches.inputs = ("photo", "gain")
    return batches


def test_threads_do_not_mix_up_each_others_random_numbers(pairs, monkeypatch):
    """Keras' generator seeds NumPy's, which all threads share, and then draws: another may come between."""

    def seed_and_wait(number, seed=np.random.seed):
        seed(number)
        time.sleep(2e-3)

    batches = crops(pairs)
    alone = [batches[i][0]["photo"] for i in range(6)]
    monkeypatch.setattr(np.random, "seed", seed_and_wait)
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(lambda i: batches[i][0]["photo"], range(6)))
    np.testing.assert_array_equal(together, alone)


def test_the_shares_of_two_processes_are_each_batch_once(pairs):
    whole, *shares = crops(pairs), crops(pairs), crops(pairs)
    for number, batches in enumerate(shares):
        batches.share = slice(number, None, 2)
    for epoch, index in ((0, 0), (0, 3), (1, 5)):
        for batches in (whole, *shares):
            batches.epoch = epoch
        (all_of_it, _), *parts = (batches[index] for batches in (whole, *shares))
        for number, (inputs, _) in enumerate(parts):
            np.testing.assert_array_equal(inputs["photo"], all_of_it["photo"][number::2])


def contains(photo, crop):
    windows = np.lib.stride_tricks.sliding_window_view(photo, crop.shape)
    return bool((windows == crop).all(axis=(-1, -2, -3)).any())


def test_low_and_high_get_the_same_crop_and_transform(pairs):
    for inputs, truth in (crops(pairs)[i] for i in range(6)):
        np.testing.assert_allclose(truth, inputs["photo"] + 100 / 255, atol=1e-6)


def test_a_shuffled_side_is_not_a_pair_any_more(pairs):
    """What the test above rests on: with partners exchanged, the same check fails."""
    exchanged = [Pair(a.name, a.low, b.high) for a, b in zip(pairs, pairs[1:] + pairs[:1], strict=True)]
    inputs, truth = crops(exchanged)[0]
    assert np.abs(truth - inputs["photo"] - 100 / 255).max() > 0.05


def test_flips_are_drawn_and_are_all_that_happens_to_a_crop(pairs):
    photos = [read_pair(pair)[0] for pair in pairs]
    seen = set()
    batches = crops(pairs)
    for index in range(len(batches)):
        for crop in np.round(batches[index][0]["photo"] * 255).astype(np.uint8):
            flips = {"none": crop, "both": crop[::-1, ::-1], "up": crop[::-1], "side": crop[:, ::-1]}
            found = [name for name, flipped in flips.items() if any(contains(p, flipped) for p in photos)]
            assert len(found) == 1
            seen.update(found)
    assert seen == {"none", "both", "up", "side"}


def test_the_gain_is_that_of_the_whole_photo_not_of_the_crop(pairs):
    gains = {float(gain(read_pair(pair)[0])) for pair in pairs}
    inputs, _ = crops(pairs)[0]
    assert inputs["gain"].shape == (4, 1, 1, 1)
    assert {float(g) for g in inputs["gain"].ravel()} <= gains


def test_an_epoch_is_the_same_whenever_and_from_wherever_it_is_drawn(pairs):
    whole, resumed = crops(pairs), crops(pairs)
    whole.epoch = resumed.epoch = 3
    resumed.first = 2
    assert len(resumed) == len(whole) - 2
    np.testing.assert_array_equal(whole[2][1], resumed[0][1])


def test_another_epoch_and_another_seed_give_other_crops(pairs):
    first, other_seed, later = crops(pairs), crops(pairs, seed=1), crops(pairs)
    later.epoch = 1
    assert not np.array_equal(first[0][1], later[0][1])
    assert not np.array_equal(first[0][1], other_seed[0][1])


def test_photos_that_do_not_fit_in_memory_are_read_anew_and_give_the_same_batches(pairs):
    kept, read = crops(pairs), crops(pairs)
    read.photos.free = 0
    np.testing.assert_array_equal(kept[1][1], read[1][1])
    assert not read.photos.kept
    assert kept.photos.kept


def test_the_old_generation_has_every_pixel_of_the_set_in_memory(pairs, news):
    patches = Patches(pairs, crop=32, batch_size=2, seed=0)
    assert len(patches.lows) == 3 * 2 * 2
    np.testing.assert_array_equal(patches.highs, patches.lows + 100)
    low = read_pair(pairs[0])[0]
    np.testing.assert_array_equal(patches.lows[3], low[8:, 24:])
    assert "memory" in news.text


def test_a_patch_has_the_gain_of_its_whole_photo(pairs):
    patches = Patches(pairs, crop=32, batch_size=12, seed=0)
    patches.inputs = ("photo", "gain")
    inputs, _ = patches[0]
    photos = [read_pair(pair)[0] for pair in pairs]
    for patch, given in zip(np.rint(inputs["photo"] * 255).astype(np.uint8), inputs["gain"], strict=True):
        (photo,) = (photo for photo in photos if contains(photo, patch))
        np.testing.assert_array_equal(given, np.full((1, 1, 1), gain(photo)))


def test_an_epoch_of_the_old_generation_shows_each_patch_once(pairs):
    patches = Patches(pairs, crop=32, batch_size=4, seed=0)
    seen = np.concatenate([patches[i][1] for i in range(len(patches))])
    assert len({patch.tobytes() for patch in seen}) == 12


def test_a_set_that_does_not_fit_in_memory_is_refused(pairs, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 1000}))
    with pytest.raises(UserError, match="does not fit"):
        Patches(pairs, crop=32, batch_size=2, seed=0)


@pytest.mark.parametrize(("short", "refused"), [(0, False), (1, True)])
def test_a_set_is_refused_if_two_copies_of_it_do_not_fit_in_memory(pairs, monkeypatch, short, refused):
    """Of 12 patches of 32x32 pixels in three colours, two sides: 73,728 bytes."""
    memory = type("Memory", (), {"available": 2 * 73_728 - short})
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    with pytest.raises(UserError, match="does not fit") if refused else nullcontext():
        Patches(pairs, crop=32, batch_size=2, seed=0)


def test_the_smallest_side_of_all_photos_is_what_a_crop_fits_into(pairs, tmp_path):
    def with_one_of(height, width):
        write_pair(tmp_path, "odd", np.zeros((height, width, 3), np.uint8))
        return [*pairs, Pair("odd", tmp_path / "low" / "odd.png", tmp_path / "high" / "odd.png")]

    assert fitting_crop(with_one_of(100, 25), 32, 8) == 24
    assert fitting_crop(with_one_of(16, 100), 32, 16) == 16
    with pytest.raises(UserError, match="at least 16 pixels wide and high. Received: odd with a side of 15"):
        fitting_crop(with_one_of(15, 100), 32, 16)


def test_a_crop_that_photos_do_not_hold_shrinks_which_is_said(pairs, news):
    assert fitting_crop(pairs, 32, 16) == 32
    assert not news.text
    assert fitting_crop(pairs, 128, 16) == 32
    assert "crops are of 32 pixels in place of 128" in news.text
    assert pairs[0].name in news.text


def test_a_crop_that_photos_do_not_hold_shrinks_and_a_wrong_one_is_refused(pairs):
    assert fitting_crop(pairs, 128, 16) == 32
    assert fitting_crop(pairs, 16, 16) == 16
    for wrong in (100, 0, -16):
        with pytest.raises(UserError, match=f"Received: --crop {wrong}"):
            fitting_crop(pairs, wrong, 16)
