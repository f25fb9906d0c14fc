"""Sets that no model has seen: what is in them, and the table that comes of them."""

import csv
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from lowlight.benchmark import held_out, report, tables
from lowlight.data.pairs import read_pair
from lowlight.errors import UserError
from lowlight.io.photo import read_rgb
from tests.conftest import scene, write_pair


@pytest.fixture
def clean(tmp_path):
    """Ten clean photos; the first two are held out."""
    folder = tmp_path / "clean"
    folder.mkdir()
    for seed in range(10):
        Image.fromarray(scene(seed)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def also(tmp_path):
    """Six pairs; the first is held out."""
    for seed in range(6):
        write_pair(tmp_path / "pairs", str(seed), scene(seed))
    rows = [f"low/{seed}.png,high/{seed}.png" for seed in range(6)]
    (tmp_path / "pairs" / "pairs.csv").write_text("\n".join(["low,high", *rows]))
    return tmp_path / "pairs"


@pytest.fixture(autouse=True)
def without_bm3d(monkeypatch):
    """As where that package, which takes 20 seconds a photo, is not installed."""
    monkeypatch.setitem(sys.modules, "bm3d", None)


def identity(name):
    return lambda photo: photo


def sets(also, clean, folder):
    return held_out.real_sets(also) | held_out.degraded_sets(clean, folder / "degraded")


def test_every_set_is_scored_with_baselines_and_models(clean, also, tmp_path):
    rows = held_out.score_sets({"model_00": "ab"}, identity, sets([also], [clean], tmp_path))
    assert {row["set"]: row["photos"] for row in rows} == {
        "pairs, held out": 1,
        "pairs, left alone": 1,
    } | dict.fromkeys(held_out.DEGRADATIONS, 2)
    by_name = {(row["set"], row["method"]): row for row in rows}
    assert by_name["well lit", "model_00"]["psnr"] == 100
    assert by_name["noise, sigma 25", "model_00"]["psnr"] == pytest.approx(20.5, abs=1.5)
    denoised = by_name["noise, sigma 50", "non-local means, known sigma"]["psnr"]
    assert denoised > by_name["noise, sigma 50", "untouched input"]["psnr"] + 3
    assert ("3 stops dark", "non-local means, known sigma") not in by_name


def test_a_folder_that_is_not_given_has_no_sets(also, tmp_path):
    assert set(sets([also], [], tmp_path)) == {"pairs, held out", "pairs, left alone"}


def test_all_pairs_of_an_unseen_folder_are_a_set(also):
    (also / "pairs.csv").unlink()
    found = held_out.real_sets(unseen=[also])
    assert {name: len(pairs) for name, pairs in found.items()} == {"pairs, unseen": 6, "pairs, left alone": 6}
    assert all(pair.low == pair.high for pair in found["pairs, left alone"])


@pytest.mark.parametrize(
    ("place", "data"),
    [
        ("pairs", {"name": "LOL v1", "also": [{"name": "pairs"}]}),
        ("pairs", {"name": "synthetic", "clean": [{"name": "pairs"}]}),
        ("pairs", {"name": "own pairs, pairs"}),
        ("our485", {"name": "LOL v1"}),
    ],
)
def test_pairs_that_a_model_learnt_from_are_not_measured_as_unseen(place, data, tmp_path, monkeypatch):
    write_pair(tmp_path / place, "night", scene(1))
    monkeypatch.chdir(tmp_path / place)
    others = {"name": "model_01", "data": {"name": "LOL v2"}, "training": {"minutes": 1.0}}
    card = others | {"name": "model_12", "stages": [{"part": "whole", "data": data}]}
    assert list(held_out.real_sets(unseen=[Path()], cards=[others])) == [f"{place}, unseen", f"{place}, left alone"]
    with pytest.raises(UserError, match=r"Received: --unseen \., of which model_12 learnt all, by its card"):
        held_out.real_sets(unseen=[Path()], cards=[others, card])


def test_what_is_held_out_of_one_option_but_was_learnt_by_another_is_not_measured_on(also, tmp_path):
    def card(name):
        return {"name": "mine", "data": {"name": name, "also": [{"name": "pairs"}], "clean": [{"name": "high"}]}}

    assert held_out.real_sets([also], cards=[card("LOL v1")])
    assert held_out.degraded_sets([also / "high"], tmp_path, [card("synthetic")])
    with pytest.raises(UserError, match="Received: --also .*pairs, of which mine learnt all"):
        held_out.real_sets([also], cards=[card("own pairs, pairs")])
    with pytest.raises(UserError, match="Received: --clean .*high, of which mine learnt all"):
        held_out.degraded_sets([also / "high"], tmp_path, [card("synthetic, high")])


@pytest.mark.parametrize("name", ["own pairs", "not known"])
def test_a_card_that_does_not_name_its_pairs_is_told(name, also, news):
    held_out.real_sets(unseen=[also], cards=[{"name": "mine", "data": {"name": name}}])
    assert f"mine may have learnt from {also}: its card does not name its pairs" in news.text


def test_an_unseen_set_may_be_one_scene_and_its_broken_pairs_can_be_left_out(tmp_path):
    write_pair(tmp_path / "one", "night", scene(1))
    assert len(held_out.real_sets(unseen=[tmp_path / "one"])["one, unseen"]) == 1
    (tmp_path / "one" / "low" / "night.png").write_bytes(b"no photo")
    write_pair(tmp_path / "one", "day", scene(2))
    with pytest.raises(UserError, match="--skip-bad-pairs"):
        held_out.real_sets(unseen=[tmp_path / "one"])
    found = held_out.real_sets(unseen=[tmp_path / "one"], skip_bad=True)
    assert [pair.name for pair in found["one, unseen"]] == ["day"]


def test_sets_of_folders_that_are_called_alike_are_not_mixed_up(also, tmp_path):
    other = tmp_path / "other" / "pairs"
    for seed in range(6, 9):
        write_pair(other, str(seed), scene(seed))
    found = held_out.real_sets([also], [other])
    assert {name: len(pairs) for name, pairs in found.items()} == {
        "pairs, held out": 1,
        "pairs, unseen": 3,
        "pairs, left alone": 4,
    }
    with pytest.raises(UserError, match=r"names of their folders\. Received: --unseen .*other"):
        held_out.real_sets(unseen=[also, other])
    with pytest.raises(UserError, match="Received: --also "):
        held_out.real_sets([also, also])


def test_noise_of_every_kind_is_cleaned_by_means_that_know_how_strong_it_is(clean, tmp_path):
    found = {name: pairs for name, pairs in sets([], [clean], tmp_path).items() if name in ("blotches", "well lit")}
    by_name = {(row["set"], row["method"]): row for row in held_out.score_sets({}, identity, found)}
    assert by_name["blotches", "non-local means, known sigma"]["psnr"] > by_name["blotches", "untouched input"]["psnr"]
    assert ("well lit", "non-local means, known sigma") not in by_name


def test_photos_with_real_noise_are_as_bright_as_without_and_are_cleaned_by_means_that_know_how_strong_it_is(tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(4):
        high = scene(seed)
        noisy = np.clip(high + rng.normal(1 - seed % 2 * 2, 20, high.shape), 0, 255).astype(np.uint8)
        write_pair(tmp_path / "shots", str(seed), high, noisy)  # of which half are a little brighter
    with pytest.raises(UserError, match="with a low that is brighter than its high"):
        held_out.real_sets(unseen=[tmp_path / "shots"])
    found = held_out.noisy_sets([tmp_path / "shots"])
    assert {name: len(pairs) for name, pairs in found.items()} == {"shots, real noise": 4}
    rows = held_out.score_sets({}, identity, found)
    psnr = {row["method"]: row["psnr"] for row in rows}
    assert psnr["non-local means, known sigma"] > psnr["untouched input"] + 2
    assert "Of photos with real noise the truth" in tables.held_out_section(rows)
    write_pair(tmp_path / "dark", "a", scene(0), scene(0) // 2)
    with pytest.raises(UserError, match=r"with sides that are not equally bright: a \(mean"):
        held_out.noisy_sets([tmp_path / "dark"])
    with pytest.raises(UserError, match="Received: --noisy .*shots, of which mine learnt all"):
        held_out.noisy_sets([tmp_path / "shots"], cards=[{"name": "mine", "data": {"name": "own pairs, shots"}}])


def test_a_baseline_whose_package_is_missing_keeps_its_earlier_rows(clean, tmp_path, monkeypatch):
    found = {"noise, sigma 25": sets([], [clean], tmp_path)["noise, sigma 25"]}
    without = held_out.score_sets({}, identity, found)
    assert "CBM3D, known sigma" not in {row["method"] for row in without}
    package, asked = ModuleType("bm3d"), []
    package.__spec__ = ModuleSpec("bm3d", None)
    package.bm3d_rgb = lambda photo, sigma: asked.append(sigma) or photo + 2 * (photo > 0.5)
    monkeypatch.setitem(sys.modules, "bm3d", package)
    with_it = held_out.score_sets({}, identity, found, without)
    assert asked == [25 / 255] * 2
    assert [row for row in with_it if row["method"] != "CBM3D, known sigma"] == without
    monkeypatch.setitem(sys.modules, "bm3d", None)
    assert held_out.score_sets({}, identity, found, with_it) == with_it


def test_what_is_known_of_the_same_weights_and_photos_is_not_measured_again(also, clean, tmp_path):
    first = held_out.score_sets({"model_00": "ab", "model_01": "cd"}, identity, sets([also], [clean], tmp_path))
    path = tmp_path / report.HELD_OUT
    report.write_sets(path, first)
    assert report.read_sets(path) == first
    loaded = []

    def load(name):
        loaded.append(name)
        return lambda photo: photo * 0.5

    models = {"model_00": "ab", "model_01": "new"}
    again = held_out.score_sets(models, load, sets([also], [clean], tmp_path), report.read_sets(path))
    assert set(loaded) == {"model_01"}
    kept = [row for row in again if row["method"] != "model_01"]
    assert kept == [row for row in first if row["method"] != "model_01"]
    (clean / "0.png").unlink()
    held_out.score_sets(models, load, sets([], [clean], tmp_path), first)
    assert set(loaded) == {"model_00", "model_01"}


def test_means_over_real_pairs_are_of_methods_that_were_measured_on_all_of_them():
    rows = [("one, held out", 1, "a", 10), ("two, unseen", 3, "a", 20), ("one, held out", 1, "b", 30), ("x", 5, "b", 9)]
    rows = [dict(zip(("set", "photos", "method", "psnr"), row, strict=True)) for row in rows]
    assert held_out.on_real_pairs(rows) == {"a": (17.5, 4)}


def test_degradations_are_the_same_each_time_and_their_truth_is_the_photo(clean, tmp_path):
    photos = sorted(clean.iterdir())[:2]
    first, second = (
        held_out.degrade_all(photos, held_out.DEGRADATIONS["3 stops dark"], tmp_path / name) for name in "ab"
    )
    for path, one, two in zip(photos, first, second, strict=True):
        np.testing.assert_array_equal(read_pair(one)[0], read_pair(two)[0])
        np.testing.assert_array_equal(read_pair(one)[1], read_rgb(path))
        assert read_pair(one)[0].mean() < read_rgb(path).mean() / 2


def test_clean_photos_that_are_called_alike_are_told_apart(tmp_path):
    photos = [tmp_path / name for name in ("a/1.png", "b/1.png", "b/1.bmp", "b/2.png")]
    for seed, path in enumerate(photos):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(scene(seed)).save(path)
    pairs = held_out.degrade_all(photos, held_out.DEGRADATIONS["well lit"], tmp_path / "alike")
    assert len({pair.name for pair in pairs}) == len(photos)
    for path, pair in zip(photos, pairs, strict=True):
        np.testing.assert_array_equal(read_pair(pair)[1], read_rgb(path))
    pairs = held_out.degrade_all(photos[2:], held_out.DEGRADATIONS["well lit"], tmp_path / "unlike")
    assert [pair.name for pair in pairs] == ["1", "2"]


def test_the_table_has_a_row_for_each_method_and_the_best_in_bold(tmp_path):
    untouched = {"set": "well lit", "photos": 2, "method": "untouched input", "weights": "", "psnr": 100.0, "ssim": 1.0}
    model = {"set": "well lit", "photos": 2, "method": "model_12", "weights": "ab", "psnr": 35.678, "ssim": 0.9712}
    noise = {"set": "noise", "photos": 3, "method": "model_12", "weights": "ab", "psnr": 28.3, "ssim": 0.8}
    rows = [untouched, model | {"psnr_oracle": 36.0}, noise]
    report.write_sets(tmp_path / report.HELD_OUT, rows)
    report.write_overview(tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert "| method | well lit (2) | noise (3) |" in readme
    assert "| untouched input | **100.00** / 1.000 |  |" in readme
    assert "| model_12 | 35.68 / 0.971 | **28.30** / 0.800 |" in readme
    with (tmp_path / "held_out.csv").open() as file:
        assert [row["psnr_oracle"] for row in csv.DictReader(file)] == ["", "36.0", ""]


def test_models_that_are_told_the_exposure_stand_beside_what_is_told_the_noise(tmp_path):
    row = {"set": "noise, sigma 25", "photos": 2, "weights": ""}
    told = {"psnr": 29.65, "ssim": 0.864, "psnr_oracle": 30.51, "ssim_oracle": 0.869}
    elsewhere = {"set": "well lit", "photos": 2, "weights": "ab", "method": "model_12"} | told
    rows = [row | {"method": "CBM3D, known sigma", "psnr": 31.15, "ssim": 0.872}, row | {"method": "model_12"} | told]
    report.write_sets(tmp_path / report.HELD_OUT, [*rows, elsewhere])
    report.write_overview(tmp_path)
    cleaning = (tmp_path / "README.md").read_text().split("Of noise alone", 1)[1]
    assert "| method | noise, sigma 25 (2) |\n" in cleaning
    assert "| model_12 | 30.51 / 0.869 |\n| CBM3D, known sigma | **31.15** / 0.872 |\n" in cleaning
    report.write_sets(tmp_path / report.HELD_OUT, [rows[0], elsewhere])
    report.write_overview(tmp_path)
    assert "Of noise alone" not in (tmp_path / "README.md").read_text()


def test_metrics_under_their_former_names_are_still_read(tmp_path):
    (tmp_path / "held_out.csv").write_text("set,photos,method,weights,psnr,psnr_told\nnoise,3,model_12,ab,28.3,30.5\n")
    (row,) = report.read_sets(tmp_path / report.HELD_OUT)
    assert (row["psnr"], row["psnr_oracle"]) == (28.3, 30.5)
