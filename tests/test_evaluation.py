"""Scores of methods on pairs: by hand on photos of one colour, and what is written where by `measure`."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import lowlight
from lowlight.errors import UserError
from lowlight.evaluation import BASELINES, choose_examples, evaluate, mean, measure, perform, summarise
from lowlight.pairs import Pair, Split
from lowlight.settings import PerformanceSettings


def make_pair(folder, name, low, high):
    """Write one pair of 12x16 photos: each side a level of grey, or an array."""
    paths = []
    for side, value in (("low", low), ("high", high)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        pixels = np.full((12, 16, 3), value, np.uint8) if np.isscalar(value) else value
        Image.fromarray(pixels).save(folder / side / f"{name}.png")
        paths.append(folder / side / f"{name}.png")
    return Pair(name, *paths)


@pytest.fixture
def grey_pairs(tmp_path):
    """Three pairs whose highs are 51, 102 and 153 levels above their lows (0.2, 0.4 and 0.6)."""
    return tuple(make_pair(tmp_path / "our485", f"p{i}", 20, 20 + 51 * i) for i in (1, 2, 3))


def test_each_row_scores_its_own_photo_in_the_pairs_order(grey_pairs):
    rows = evaluate(BASELINES["untouched input"], grey_pairs)
    assert [row["name"] for row in rows] == ["p1", "p2", "p3"]
    assert [row["mae"] for row in rows] == pytest.approx([0.2, 0.4, 0.6])
    assert [row["mse"] for row in rows] == pytest.approx([0.04, 0.16, 0.36])


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


def test_an_output_that_is_no_number_names_the_photo(grey_pairs):
    with pytest.raises(UserError, match=r"Received: nan or infinity for .*p1\.png"):
        evaluate(lambda photo: photo * np.nan, grey_pairs)


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
    assert mean([{"name": "a", "psnr": math.inf}, {"name": "b", "psnr": 20.0}]) == {"psnr": 60.0}


def test_photos_without_ssim_are_left_out_of_its_mean():
    assert mean([{"name": "a", "ssim": math.nan}, {"name": "b", "ssim": 0.5}]) == {"ssim": 0.5}
    assert math.isnan(mean([{"name": "a", "ssim": math.nan}])["ssim"])


def test_a_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="Received: none"):
        mean([])


def test_best_median_and_worst_are_chosen_by_psnr(grey_pairs):
    rows = evaluate(BASELINES["untouched input"], grey_pairs)
    best, median, worst = choose_examples("validation", "model_10", BASELINES["untouched input"], grey_pairs, rows)
    assert best.title == "validation, best: photo p1"
    assert median.title == "validation, median: photo p2"
    assert worst.title == "validation, worst: photo p3"
    assert best.captions[0] == "input  13.98 dB"
    assert [int(photo[0, 0, 0]) for photo in worst.photos] == [20, 20, 173]


@pytest.mark.parametrize(("count", "titles"), [(1, ["best"]), (2, ["best", "worst"])])
def test_few_photos_are_each_shown_once(grey_pairs, count, titles):
    rows = evaluate(BASELINES["untouched input"], grey_pairs[:count])
    examples = choose_examples("test", "model_10", BASELINES["untouched input"], grey_pairs[:count], rows)
    assert [example.title.split()[1].strip(":") for example in examples] == titles


CARD = {
    "name": "model_10",
    "generation": "latest",
    "idea": "Everything.",
    "parameters": 1234,
    "recipe": {"loss": "mae"},
    "weights": {"file": "model_10.weights.h5", "sha256": "ab", "bytes": 1},
    "versions": {"keras": "3.15.1"},
}


def card_for(split):
    """A card that says its model was trained on a split."""
    counts = {part: len(getattr(split, part)) for part in ("train", "val", "test")}
    return CARD | {"data": {"name": "LOL v1", "split": split.source} | counts}


@pytest.fixture
def split(tmp_path, grey_pairs):
    """One train, two val and one test pair, the last in eval15."""
    test = make_pair(tmp_path / "eval15", "t", 20, 71)
    return Split(grey_pairs[:1], grey_pairs[1:], (test,), "split.json of the data folder")


@pytest.fixture
def zoo(tmp_path, split, monkeypatch):
    """A zoo with one model, which adds 0.4, so that TensorFlow is not needed; keeps the card that is written."""
    models = tmp_path / "models"
    fake = SimpleNamespace(written=[], card=card_for(split), WEIGHTS_SUFFIX=".weights.h5")
    fake.load = lambda model: ("network", fake.card)
    fake.card_of = lambda model: (fake.card, models / "model_10.weights.h5")
    fake.versions = lambda: {"keras": "3.14.0"}
    fake.write_card = lambda path, card: fake.written.append((path, card))
    enhance = SimpleNamespace(Enhancer=lambda network: lambda photo: photo + np.float32(0.4))
    for name, module in (("zoo", fake), ("enhance", enhance)):
        monkeypatch.setitem(sys.modules, f"lowlight.{name}", module)
        monkeypatch.setattr(lowlight, name, module, raising=False)
    return fake


def test_measuring_gives_model_and_baselines_on_both_parts_and_fills_the_card(tmp_path, split, zoo, capsys):
    summary = measure(10, split, tmp_path / "statistics")
    # Val is p2, met exactly (100 dB in the mean), and p3, off by 0.2: 13.9794 dB; the test photo is off by 0.2.
    assert summary["scores"]["val"]["model_10"]["psnr"] == pytest.approx((100 + 13.9794) / 2, abs=1e-4)
    assert summary["scores"]["test"]["model_10"]["psnr"] == pytest.approx(13.9794, abs=1e-4)
    assert set(summary["scores"]["val"]) == {"model_10", *BASELINES}
    ((path, card),) = zoo.written
    assert path == tmp_path / "models" / "model_10.json"
    assert card == zoo.card | {"metrics": {part: summary["scores"][part]["model_10"] for part in ("val", "test")}}
    printed = capsys.readouterr().out
    assert "13.98" in printed
    assert "histogram equalisation" in printed
    assert (tmp_path / "statistics" / "model_10" / "summary.json").is_file()


def test_an_empty_part_has_no_rows(tmp_path, split, zoo):
    without_test = Split(split.train, split.val, (), split.source)
    assert list(measure(10, without_test, tmp_path / "statistics")["scores"]) == ["val"]
    with pytest.raises(UserError, match="Received: empty val and test"):
        measure(10, Split(split.train, (), (), "x"), tmp_path / "statistics")


def test_the_card_keeps_its_metrics_when_other_pairs_are_measured(tmp_path, split, zoo):
    elsewhere = Split((), split.val, (), "scenes found automatically")
    summary = measure(10, elsewhere, tmp_path / "statistics")
    assert not summary["trained_on_this_split"]
    assert summary["notes"] == ["model_10 was trained on other pairs (LOL v1): it may have seen some of these."]
    assert zoo.written == []


def test_a_card_that_cannot_be_written_is_told_and_spoils_nothing(tmp_path, split, zoo):
    def read_only(path, card):
        raise OSError(30, "Read-only file system")

    zoo.write_card = read_only
    told = []
    measure(10, split, tmp_path / "statistics", announce=told.append)
    assert "model_10.json (Read-only file system)" in told[0]
    assert (tmp_path / "statistics" / "README.md").is_file()


def test_only_eval15_is_said_to_have_near_twins(split):
    rows = {"val": {"untouched input": evaluate(BASELINES["untouched input"], split.val)}}
    (note,) = summarise(card_for(split), split, rows, {})["notes"]
    assert "14 of its 15 scenes have a near twin in our485" in note
    own = Split(split.train, split.val, split.val[:1], split.source)
    assert summarise(card_for(own), own, rows, {})["notes"] == []


def test_statistics_that_cannot_be_written_are_told_before_the_work(tmp_path, split, zoo, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("lowlight.evaluation.evaluate", lambda *a, **k: pytest.fail("measured first"))
    with pytest.raises(UserError, match=r"Received: .*file.*--statistics"):
        measure(10, split, tmp_path / "file")


def test_settings_that_do_not_go_together_are_refused(zoo):
    with pytest.raises(UserError, match="only with --evaluate-only. Received: --weights here"):
        perform(PerformanceSettings(model=10, weights=Path("here")), "latest")
    with pytest.raises(UserError, match=r"Model 2 is of the old generation"):
        perform(PerformanceSettings(model=2, evaluate_only=True), "latest")
