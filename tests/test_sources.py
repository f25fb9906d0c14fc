"""Crops and exposure samples: a crop lies where its box says, and its thumbnail and exposure maps are of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lowlight.data import camera, samplers
from lowlight.data.camera import DARKEST_MEANS
from lowlight.data.loaders import GlobalCrops
from lowlight.data.pairs import Pair
from lowlight.data.samplers import (
    CleanSource,
    CropSample,
    ExposureSample,
    PairSource,
    Remembered,
    framing,
    window,
)
from lowlight.imaging.exposure import BLACK, WHOLE, exposure_map, thumbnail
from lowlight.imaging.srgb import to_linear
from lowlight.imaging.symmetry import SYMMETRIES, apply_symmetry, apply_symmetry_to_box, undo_symmetry
from tests.conftest import make_pair, write_pair


def ramp(height=90, width=120):
    """Red tells the row, green the column."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[..., 0] = np.arange(height)[:, None]
    photo[..., 1] = np.arange(width)
    return photo


@pytest.fixture
def pair(tmp_path):
    write_pair(tmp_path, "a", ramp() + 100, ramp())
    return Pair("a", tmp_path / "low" / "a.png", tmp_path / "high" / "a.png")


@settings(deadline=None, max_examples=50)
@given(st.integers(32, 90), st.integers(32, 90), st.integers(0, 99))
def test_a_crop_lies_where_its_box_says_within_the_frame(height, width, seed):
    rng = np.random.default_rng(seed)
    frame = framing((height, width, 3), 32, rng)
    part, box = window((height, width, 3), 32, frame, rng)
    size = np.array([height, width])
    in_photo = np.tile(frame[:2], 2) + box * np.tile(frame[2:] - frame[:2], 2)
    expected = [part[0].start, part[1].start, part[0].stop, part[1].stop]
    np.testing.assert_allclose(in_photo * np.tile(size, 2), expected, atol=1e-6)
    assert (box > -0.04).all()
    assert (box < 1.04).all()
    assert part[0].stop <= height
    assert part[1].stop <= width


def test_half_of_the_frames_are_whole_photos_and_the_others_have_at_least_three_fifths_of_each_side():
    rng = np.random.default_rng(0)
    frames = np.array([framing((400, 300, 3), 32, rng) for _ in range(1000)])
    whole = (frames == WHOLE).all(axis=1)
    sides = frames[~whole, 2:] - frames[~whole, :2]
    assert whole.mean() == pytest.approx(0.5, abs=0.05)
    assert sides.min() == pytest.approx(0.6, abs=0.01)
    assert sides.max() == pytest.approx(1, abs=0.01)
    assert frames.min() >= 0
    assert frames.max() <= 1


@pytest.mark.parametrize(("crop", "share"), [(16, 0.4), (32, 0.0)])
def test_two_clean_photos_of_five_are_shown_at_half_their_size_if_a_crop_fits_in(crop, share, tmp_path, monkeypatch):
    """Columns of black and white are grey then."""
    Image.fromarray(np.tile(np.uint8([[[0] * 3, [255] * 3]]), (48, 24, 1))).save(tmp_path / "photo.png")
    monkeypatch.setattr(camera, "draw", lambda rng, kinds=None: camera.Camera())
    for share_of_others in ("RECOLOURED", "FLAT", "SOFT"):
        monkeypatch.setattr(samplers, share_of_others, 0)
    source, rng = CleanSource([[tmp_path / "photo.png"]]), np.random.default_rng(0)
    grey = [np.ptp(source.draw_crop(rng, crop).high) == 0 for _ in range(400)]
    assert np.mean(grey) == pytest.approx(share, abs=0.07 if share else 0)


def test_photos_are_kept_while_half_of_the_free_memory_lasts(monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 500}))
    memory, reads = samplers.Memory("abc", lambda item: (reads.append(item), np.zeros(100, np.uint8))[1:]), []
    for _ in range(2):
        for index in range(3):
            memory[index]
    assert reads == ["a", "b", "c", "c"]


def test_a_crop_sample_describes_the_whole_that_its_crop_lies_in(pair):
    for seed in range(20):
        sample = PairSource([pair]).draw_crop(np.random.default_rng(seed), 32)
        np.testing.assert_array_equal(sample.high, sample.low + 100)
        reds = sample.thumbnail[:, 0, 0] * 255
        height = np.interp((sample.box[0] * 64, sample.box[2] * 64), np.arange(64) + 0.5, reds)
        assert height == pytest.approx((sample.low[0, 0, 0] - 0.5, sample.low[-1, 0, 0] + 0.5), abs=1)


def test_the_black_of_a_crop_and_of_its_whole_is_lifted_alike(tmp_path, monkeypatch):
    dark, light = np.full((32, 32, 3), 5, np.uint8), np.full((32, 32, 3), 200, np.uint8)
    source = PairSource([make_pair(tmp_path, "a", dark, light)], lifted=True)
    monkeypatch.setattr(camera, "draw_black", lambda rng: np.array([0.02, 0.01, 0.0]))
    sample = source.draw_crop(np.random.default_rng(0), 16)
    np.testing.assert_array_equal(sample.low[0, 0], [10, 8, 5])
    np.testing.assert_allclose(sample.thumbnail[0, 0] * 255, [10.0, 7.5, 5.0], atol=0.01)
    np.testing.assert_array_equal(sample.high, 200)


def test_black_is_lifted_in_one_crop_of_four_and_by_eight_levels_or_so_at_most():
    drawn = np.array([camera.draw_black(np.random.default_rng(seed)) for seed in range(800)])
    lifted = drawn.any(axis=1)
    assert lifted.mean() == pytest.approx(0.25, abs=0.04)
    assert 0.01 < drawn[lifted].mean() < 0.02
    assert drawn.max() < 0.06


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_box_is_flipped_with_its_photo(symmetry):
    """The part cut out of the flipped photo is the flipped part."""
    photo = ramp(80, 120)
    box = np.array([0.25, 0.5, 0.75, 0.9])
    part = photo[20:60, 60:108]
    around = apply_symmetry(photo, symmetry)
    top, left, bottom, right = np.round(apply_symmetry_to_box(box, symmetry) * np.tile(around.shape[:2], 2)).astype(int)
    np.testing.assert_array_equal(around[top:bottom, left:right], apply_symmetry(part, symmetry))


def test_the_eight_symmetries_are_all_different():
    photo = ramp(20, 20)
    assert len({apply_symmetry(photo, symmetry).tobytes() for symmetry in SYMMETRIES}) == 8
    for symmetry in SYMMETRIES:
        np.testing.assert_array_equal(undo_symmetry(apply_symmetry(photo, symmetry), symmetry), photo)


def test_batches_have_all_that_the_graph_wants_and_the_same_ones_each_time(pair):
    mixture = [(0.5, PairSource([pair])), (0.5, CleanSource([[pair.high]]))]
    batches = GlobalCrops(mixture, mixture, 16, 32, 4, seed=0)
    batches.inputs = ("photo", "thumbnail", "box", "level", "white_balance", "overview")
    batches.outputs = ("output", "base", "guess")
    inputs, truth = batches[1]
    assert {name: array.shape for name, array in inputs.items()} == {
        "photo": (4, 32, 32, 3),
        "thumbnail": (4, 64, 64, 3),
        "box": (4, 4),
        "level": (4, 8, 8, 1),
        "white_balance": (4, 1),
        "overview": (4, 64, 64, 5),
    }
    assert {name: array.shape for name, array in truth.items()} == {
        "output": (4, 32, 32, 3),
        "base": (4, 32, 32, 3),
        "guess": (4, 8, 8, 1),
    }
    np.testing.assert_array_equal(inputs["photo"], batches[1][0]["photo"])
    assert not np.array_equal(inputs["photo"], batches[2][0]["photo"])


def test_for_exposure_alone_no_crop_is_drawn(pair, monkeypatch):
    batches = GlobalCrops([(1, PairSource([pair]))], [(1, PairSource([pair]))], 16, 32, 4, seed=0)
    batches.inputs, batches.outputs = ("overview",), ("guess",)
    monkeypatch.setattr(PairSource, "draw_crop", None)
    inputs, truth = batches[0]
    assert inputs.keys() == {"overview"}
    assert truth["guess"].shape == (4, 8, 8, 1)


def test_an_exposure_sample_is_of_a_dark_photo_and_the_exposure_of_its_reference(pair):
    for seed in range(10):
        sample = PairSource([pair], relit=0.0).draw_exposure(np.random.default_rng(seed))
        means = (exposure_map(sample.overview.astype(np.float32)), sample.exposure_map)
        brightness = [np.exp(mean) - BLACK for mean in means]
        np.testing.assert_allclose(brightness[0] + 100 / 255, brightness[1], atol=2e-3)


def test_exposure_samples_of_pairs_have_had_more_light_or_less_than_the_photo(tmp_path):
    grey = np.full((40, 40, 3), 100, np.uint8)
    write_pair(tmp_path, "a", grey + 100, grey)
    source = PairSource([Pair("a", tmp_path / "low" / "a.png", tmp_path / "high" / "a.png")], relit=1.0)
    samples = [source.draw_exposure(np.random.default_rng(seed)) for seed in range(200)]
    values = np.rint([sample.overview[..., 1].mean() * 255 for sample in samples]).astype(int)
    stops = np.log2(to_linear(values) / to_linear(100))
    assert stops.max() == pytest.approx(1.3, abs=0.6)  # a gamma of exp(0.25) at most comes with it
    assert 0.6 < (stops > -1.7).mean() < 0.9
    assert to_linear(values.min()) == pytest.approx(DARKEST_MEANS[0], abs=1e-3)
    assert np.ptp([sample.exposure_map for sample in samples]) < 1e-5


def test_dark_frames_show_the_darkest_part_of_a_photo():
    photo = np.full((60, 80, 3), 200, np.uint8)
    photo[:, :30] = 10

    def mean(frame):
        top, left, bottom, right = frame * (60, 80, 60, 80)
        return photo[round(top) : round(bottom), round(left) : round(right)].mean()

    randoms = [np.random.default_rng(seed) for seed in range(40)]
    dark = np.mean([mean(samplers.dark_framing(photo, rng)) for rng in randoms])
    usual = np.mean([mean(framing(photo.shape, 16, rng)) for rng in randoms])
    assert dark < 0.7 * usual


def test_nights_with_lights_are_dark_and_are_to_stay_so(tmp_path, monkeypatch):
    monkeypatch.setattr(camera, "draw", lambda rng, kinds: camera.Camera())
    Image.fromarray(np.full((80, 80, 3), 200, np.uint8)).save(tmp_path / "photo.png")
    source = CleanSource([[tmp_path / "photo.png"]])
    samples = [source.draw_exposure(np.random.default_rng(seed)) for seed in range(300)]
    nights = [sample for sample in samples if sample.learnt]
    assert len(nights) / 300 == pytest.approx(samplers.NIGHTS, abs=0.05)
    means = [night.overview[..., :3].astype(np.float32).mean() for night in nights]
    assert np.quantile(means, 0.8) < 0.3  # of a photo this small, trails of stars may fill much
    for night in nights:
        assert night.overview[..., 3].max() > 0.5
        np.testing.assert_allclose(night.exposure_map, exposure_map(night.overview.astype(np.float32)), atol=0.01)
        np.testing.assert_array_equal(night.exposure_map, night.right)
    sample = nights[0]
    assert Remembered(Fixed(sample), None).draw_exposure(None) is sample


def test_what_is_remembered_is_aimed_at_instead_of_the_reference(pair):
    source = PairSource([pair], relit=0.0)

    def predict(inputs):
        mean = inputs["overview"].mean(axis=(1, 2, 3)).reshape(-1, 1, 1, 1)
        return {"guess": np.tile(mean, (1, 8, 8, 1)), "right": np.tile(-mean, (1, 8, 8, 1))}

    told, sample = (one.draw_exposure(np.random.default_rng(3)) for one in (source, Remembered(source, predict)))
    np.testing.assert_array_equal(sample.overview, told.overview)
    np.testing.assert_allclose(sample.exposure_map, sample.overview.astype(np.float32).mean(), rtol=1e-4)
    np.testing.assert_array_equal(sample.right, -sample.exposure_map)
    crops = [one.draw_crop(np.random.default_rng(3), 8) for one in (source, Remembered(source, predict))]
    for of_source, of_remembered in zip(*crops, strict=True):
        np.testing.assert_array_equal(of_source, of_remembered)


@pytest.mark.parametrize(("bright", "kept"), [(230, 1.0), (100, 1 / 8)])
def test_what_is_not_a_light_behind_falls_dark_with_the_rest(tmp_path, monkeypatch, bright, kept):
    """Else a lit subject before the dark, which is right as it is, would look like a photo against the light."""
    photo = np.full((80, 80, 3), 30, np.uint8)
    photo[:, 40:] = bright
    Image.fromarray(photo).save(tmp_path / "photo.png")
    monkeypatch.setattr(camera, "draw", lambda rng, kinds: camera.Camera(stops=3, dim_only=0.5))
    monkeypatch.setattr(samplers, "framing", lambda shape, crop, rng: np.array(WHOLE))
    monkeypatch.setattr(samplers, "NIGHTS", 0)
    sample = CleanSource([[tmp_path / "photo.png"]]).draw_exposure(np.random.default_rng(0))
    light = to_linear(np.rint(sample.overview[16:48, 48:, 1].astype(np.float32) * 255).astype(np.uint8)).mean()
    assert light == pytest.approx(to_linear(np.uint8(bright)) * kept, rel=0.1)


def test_exposure_samples_are_the_same_in_whatever_order_they_are_drawn_and_the_newest_are_kept(pair, monkeypatch):
    monkeypatch.setattr(samplers, "POOL_SIZE", 6)
    mixture = [(0.5, PairSource([pair])), (0.5, CleanSource([[pair.high]]))]
    here, there = samplers.ExposurePool(mixture, 0), samplers.ExposurePool(mixture, 0)

    def numbers(pool, drawn, seeds=range(40)):
        for seed in seeds:
            pool.draw(np.random.default_rng(seed), drawn * samplers.DRAWS_PER_NEW_SAMPLE)
        return {number for number, _ in pool.kept.values()}

    assert numbers(here, 3) == {0, 1, 2}
    assert numbers(here, 8) == {2, 3, 4, 5, 6, 7}
    assert numbers(there, 8, reversed(range(40))) == {2, 3, 4, 5, 6, 7}
    for place in range(6):
        np.testing.assert_array_equal(here.kept[place][1].overview, there.kept[place][1].overview)


def test_sources_give_their_shares_of_the_crops():
    class Flat:
        def __init__(self, value):
            self.value = value

        def draw_crop(self, rng, crop):
            photo = np.full((crop, crop, 3), self.value, np.uint8)
            return samplers.CropSample(photo, photo, thumbnail(photo), np.zeros((8, 8, 1)), np.array(WHOLE))

        def draw_exposure(self, rng):
            return samplers.ExposureSample(np.zeros((64, 64, 5)), np.zeros((8, 8, 1)), np.zeros((8, 8, 1)))

    batches = GlobalCrops([(3, Flat(0)), (1, Flat(255))], [(1, Flat(0))], 400, 16, 400, seed=0)
    assert batches[0][0]["photo"].mean() == pytest.approx(0.25, abs=0.06)


def test_as_many_exposure_samples_are_relit_as_the_source_says(tmp_path):
    source = PairSource([make_pair(tmp_path, "a", 100, 200)], relit=0.25)
    samples = [source.draw_exposure(np.random.default_rng(seed)).overview[..., :3] for seed in range(400)]
    relit = np.mean([np.abs(sample - 100 / 255).max() > 1e-3 for sample in samples])
    assert relit == pytest.approx(0.25, abs=0.06)


def test_the_exposure_to_aim_at_is_that_of_the_reference(tmp_path):
    source = PairSource([make_pair(tmp_path, "a", 51, 102)], relit=0.0)
    rng = np.random.default_rng(0)
    for sample in (source.draw_crop(rng, 8), source.draw_exposure(rng)):
        np.testing.assert_allclose(sample.exposure_map, np.log(0.4 + 0.02), atol=1e-5)


class Fixed:
    """A source of one sample of exposure."""

    def __init__(self, sample):
        self.draw_exposure = lambda rng: sample


class Ramp:
    """A photo of which each pixel tells its place, and a crop of it."""

    def __init__(self):
        self.photo = np.zeros((64, 64, 3), np.uint8)
        self.photo[..., 0], self.photo[..., 1] = np.arange(64)[:, None], np.arange(64)

    def draw_crop(self, rng, crop):
        part = self.photo[8 : 8 + crop, 40 : 40 + crop]
        small = thumbnail(self.photo)
        return CropSample(part, part, small, exposure_map(small), np.array([8, 40, 8 + crop, 40 + crop]) / 64)

    def draw_exposure(self, rng):
        small = thumbnail(self.photo)
        return ExposureSample(np.pad(small, ((0, 0), (0, 0), (0, 2))), *[exposure_map(small)] * 2)


def test_a_crop_its_box_its_thumbnail_and_both_exposure_maps_come_in_one_symmetry():
    batches = GlobalCrops([(1, Ramp())], [(1, Ramp())], 64, 16, 64, seed=0)
    batches.inputs = ("photo", "thumbnail", "box", "level", "overview")
    batches.outputs = ("output", "guess")
    inputs, truths = batches[0]
    lie = set()
    for index in range(64):
        top, left, bottom, right = np.rint(inputs["box"][index] * 64).astype(int)
        crop, small = inputs["photo"][index], inputs["thumbnail"][index]
        np.testing.assert_allclose(small[top:bottom, left:right], crop, atol=1e-6)
        np.testing.assert_array_equal(truths["output"][index], crop)
        np.testing.assert_allclose(inputs["level"][index], exposure_map(small), atol=1e-6)
        np.testing.assert_allclose(truths["guess"][index], exposure_map(inputs["overview"][index]), atol=1e-6)
        lie.add(crop[0, :2].tobytes())
    assert len(lie) == 8
