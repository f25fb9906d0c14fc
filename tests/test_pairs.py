"""Pairs are found, checked and split by scene; what is no pair is refused by name."""

import io
import json
import re
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lowlight.data import scenes, splits
from lowlight.data.pairs import PairError, Split, load_split, read_pair, write_split
from lowlight.errors import UserError
from lowlight.settings import TrainingSettings
from tests.conftest import scene, write_pair


def load(folder, **options):
    return load_split(folder, **options)


def names(part):
    return [pair.name for pair in part]


def everything(split):
    return sorted(names(split.train + split.val + split.test))


def refusal(folder, **options):
    with pytest.raises(PairError) as error:
        load(folder, **options)
    return str(error.value)


def test_a_folder_of_pairs_is_split_into_train_and_val_with_no_test(pairs_folder):
    split = load(pairs_folder)
    assert everything(split) == [f"photo{i}" for i in range(8)]
    assert split.train
    assert split.val
    assert split.test == ()
    assert "8" in split.source


def test_read_pair_gives_the_pixels_of_both_sides(pairs_folder):
    pair = next(pair for pair in load(pairs_folder).train if pair.name == "photo2")
    low, high = read_pair(pair)
    np.testing.assert_array_equal(high, scene(2))
    np.testing.assert_array_equal(low, scene(2) // 10)


def test_partners_may_have_other_extensions_and_lie_in_two_folders(pairs_folder, tmp_path):
    for path in sorted((pairs_folder / "high").iterdir())[:3]:
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    apart = (pairs_folder / "high").rename(tmp_path / "bright")
    split = load(None, low=pairs_folder / "low", high=apart)
    assert len(everything(split)) == 8


def test_the_layout_of_lol_is_understood_and_eval15_is_the_test_split(tmp_path):
    for seed in range(6):
        write_pair(tmp_path / "our485", str(seed), scene(seed))
    for seed in (20, 21):
        write_pair(tmp_path / "eval15", str(seed), scene(seed))
    split = load(tmp_path)
    assert sorted(names(split.test)) == ["20", "21"]
    assert sorted(names(split.train + split.val)) == [str(seed) for seed in range(6)]


def test_validation_keeps_away_from_the_scenes_of_eval15(tmp_path):
    for seed in range(6):
        write_pair(tmp_path / "our485", str(seed), scene(seed))
    alone = load(tmp_path)
    near = names(alone.val)
    for name in near:
        write_pair(tmp_path / "eval15", f"1{name}", scene(int(name)))
    assert not set(names(load(tmp_path).val)) & set(near)


def test_exchanged_partners_are_refused_by_name(pairs_folder):
    high = pairs_folder / "high"
    (high / "photo3.png").rename(high / "other.png")
    (high / "photo5.png").rename(high / "photo3.png")
    (high / "other.png").rename(high / "photo5.png")
    message = refusal(pairs_folder)
    assert "2 whose sides do not show the same scene: photo3" in message
    assert "photo5" in message


def test_a_shuffled_side_is_refused(pairs_folder):
    files = sorted((pairs_folder / "low").iterdir())
    photos = [Image.open(path).copy() for path in files]
    for path, photo in zip(files, photos[1:] + photos[:1], strict=True):
        photo.save(path)
    assert "8 whose sides do not show the same scene" in refusal(pairs_folder)


def test_a_low_that_fits_another_high_better_by_far_is_refused(tmp_path):
    """Its own high is near enough to pass alone: the two share most of what they show."""
    rng = np.random.default_rng(0)
    right = scene(0).astype(float)
    wrong = np.clip(0.55 * right + 0.45 * scene(1) + rng.normal(0, 1, right.shape), 0, 255).astype(np.uint8)
    own = float(scenes.descriptor(scene(0)) @ scenes.descriptor(wrong))
    assert 0.55 < own < 0.84
    write_pair(tmp_path, "a", wrong, low=scene(0) // 10)
    write_pair(tmp_path, "c", scene(2))
    load(tmp_path)
    write_pair(tmp_path, "b", scene(0))
    assert "1 whose sides do not show the same scene: a" in refusal(tmp_path)


def test_low_given_twice_is_refused(pairs_folder, tmp_path):
    low = pairs_folder / "low"
    assert "same folder" in refusal(None, low=low, high=low)
    link = tmp_path / "link"
    link.symlink_to(low)
    assert "same folder" in refusal(None, low=low, high=link)


def test_a_copy_of_low_as_high_is_refused(pairs_folder):
    for path in (pairs_folder / "low").iterdir():
        (pairs_folder / "high" / path.name).write_bytes(path.read_bytes())
    message = refusal(pairs_folder)
    assert "8 with the same picture on both sides: photo0, photo1, photo2 and 5 more" in message


def test_a_low_that_is_just_as_bright_as_its_high_is_a_pair(pairs_folder):
    high = scene(9)
    write_pair(pairs_folder, "bright", high, np.concatenate([high[7::-1], high[8:]]))
    assert len(everything(load(pairs_folder))) == 9


def test_exchanged_sides_are_refused_with_a_hint(pairs_folder):
    message = refusal(None, low=pairs_folder / "high", high=pairs_folder / "low")
    assert "8 with a low that is brighter than its high" in message
    assert "look exchanged: name the darker by --low, the other by --high" in message


def truncate(folder):
    path = folder / "low" / "photo1.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_text(folder):
    (folder / "high" / "photo1.png").write_text("no photo")


def resize(folder):
    path = folder / "low" / "photo1.png"
    Image.open(path).resize((32, 24)).save(path)


def lose_partner(folder):
    (folder / "low" / "photo1.png").unlink()


def add_twin_file(folder):
    Image.open(folder / "low" / "photo1.png").save(folder / "low" / "photo1.jpg")


def blacken(folder):
    Image.new("RGB", (64, 48)).save(folder / "low" / "photo1.png")


BROKEN = {
    truncate: "1 unreadable: .*photo1.png",
    write_text: "1 unreadable: .*photo1.png",
    resize: r"1 with sides of two sizes: photo1 \(32x24 and 64x48\)",
    lose_partner: "1 without a partner in .*low: photo1.png",
    add_twin_file: r"1 with several files of one name on one side: low/photo1.* \+ low/photo1.* \+ high/photo1.png",
    blacken: "1 whose sides do not show the same scene: photo1",
}


@pytest.mark.parametrize(("breaks", "reason"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_pair_is_refused_by_name_or_left_out_if_asked(pairs_folder, breaks, reason, news):
    breaks(pairs_folder)
    message = refusal(pairs_folder)
    assert re.search(reason, message)
    assert "--skip-bad-pairs" in message
    split = load_split(pairs_folder, skip_bad=True)
    assert everything(split) == [f"photo{i}" for i in range(8) if i != 1]
    text = news.text
    assert re.search(reason, text)
    assert "Left out: 1 broken pair." in text


def test_the_summary_tells_counts_size_brightness_and_all_problems(pairs_folder, news):
    for index in range(5):
        (pairs_folder / "low" / f"photo{index}.png").unlink()
    load_split(pairs_folder, skip_bad=True)
    text = news.text
    assert text.startswith(f"Checking 3 pairs of {pairs_folder} ...\n")  # one of several, where --unseen names more
    means = [np.mean([f(scene(seed)).mean() for seed in (5, 6, 7)]) for f in (lambda x: x // 10, lambda x: x)]
    assert f"3 whole pairs, 64x48 pixels; mean brightness (0-255) low {means[0]:.0f}, high {means[1]:.0f}" in text
    assert "photo0.png, photo1.png, photo2.png, photo3.png, photo4.png\n" in text


def test_a_person_at_a_terminal_sees_how_far_the_checks_are(pairs_folder, monkeypatch):
    """Those of thousands of pairs take minutes."""
    terminal, file = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True
    for stream in (file, terminal):
        monkeypatch.setattr(sys, "stderr", stream)
        load_split(pairs_folder)
    assert "checking pairs" in terminal.getvalue()
    assert not file.getvalue()


def test_that_no_pair_is_whole_is_told_without_numbers(tmp_path, news):
    write_pair(tmp_path, "same", scene(0), scene(0))
    assert "There is no whole pair" in refusal(tmp_path, skip_bad=True)
    assert news.text.splitlines()[1] == "no whole pair"


def test_missing_folders_are_refused_with_what_is_there(tmp_path):
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "Received: no photos" in refusal(tmp_path)
    (tmp_path / "low").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "low" / "a.png")
    message = refusal(tmp_path)
    assert "low with 1 photo (the low side)" in message
    assert "--low DIR --high DIR" in message
    (tmp_path / "high").mkdir()
    assert "There are no photos" in refusal(None, low=tmp_path / "low", high=tmp_path / "high")
    assert "no such folder" in refusal(None, low=tmp_path / "low", high=tmp_path / "nowhere")


def test_one_side_an_archive_or_a_photo_in_place_of_the_folder_is_told_with_what_to_name(pairs_folder):
    assert "Received: low with 8 photos. Name the folder above it" in refusal(pairs_folder / "low")
    archive = shutil.make_archive(str(pairs_folder / "pairs"), "zip", pairs_folder, "low")
    assert "Received: " + archive + ", a file. Unpack it" in refusal(archive)
    assert "Name the folder that it is in" in refusal(pairs_folder / "low" / "photo1.png")


def test_half_of_a_choice_is_refused(pairs_folder):
    assert "both of its sides" in refusal(None, low=pairs_folder / "low")
    assert "both of its sides" in refusal(pairs_folder, low=pairs_folder / "low", high=pairs_folder / "high")
    assert "No folder" in refusal(None)


def write_json(folder, content):
    (folder / "split.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_split_json_is_followed_and_what_it_does_not_name_is_not_even_checked(pairs_folder, news):
    truncate(pairs_folder)
    (pairs_folder / "high" / "photo7.png").unlink()
    write_json(pairs_folder, {"train": ["photo2", "photo0"], "val": ["photo4"], "test": ["photo5", "gone"]})
    split = load_split(pairs_folder)
    assert (names(split.train), names(split.val), names(split.test)) == (["photo2", "photo0"], ["photo4"], ["photo5"])
    text = news.text
    assert "names 1 pair without photos: gone." in text
    assert "Not named by split.json, so left out: 4 pairs." in text


def test_split_json_may_hold_numbers_and_leave_the_test_split_to_eval15(tmp_path):
    for seed in range(4):
        write_pair(tmp_path / "our485", str(seed), scene(seed))
    write_pair(tmp_path / "eval15", "1", scene(21))
    write_json(tmp_path, {"train": [0, 1], "val": [3]})
    split = load(tmp_path)
    assert (names(split.train), names(split.val)) == (["0", "1"], ["3"])
    assert [pair.low.parent.parent.name for pair in split.test] == ["eval15"]


def test_split_json_may_begin_with_a_byte_order_mark_as_windows_saves_it(pairs_folder):
    (pairs_folder / "split.json").write_text('{"train": ["photo0"], "val": ["photo1"]}', encoding="utf-8-sig")
    assert names(load(pairs_folder).train) == ["photo0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no split"),
        ([1], r"is no split. Received: a list in place of an object"),
        ({"Train": ["photo0"], "Val": ["photo1"]}, "is no split. Received: Train, Val in place of train, val and test"),
        ({"train": [], "val": []}, "is no split. Received: train, val in place of"),
        ({"train": "photo0", "val": ["photo1"]}, "is no split. Received: a name in place of a list"),
        ({"train": ["photo0.png"], "val": ["photo1.png"]}, "Received: photo0.png, photo1.png for photo0, photo1,"),
        ({"train": ["photo0"], "val": []}, "val split is empty"),
        ({"train": ["gone"], "val": ["photo0"]}, "train split is empty"),
        ({"train": ["photo0"], "val": ["photo1", "photo0"]}, "more than once. Received: photo0"),
    ],
)
def test_a_split_json_that_cannot_be_followed_is_refused(pairs_folder, content, message):
    write_json(pairs_folder, content)
    assert message in refusal(pairs_folder)


def test_a_split_that_is_written_is_the_split_that_is_read(pairs_folder):
    first = load(pairs_folder)
    swapped = Split(first.val, first.train, (), "by hand")
    write_split(swapped, pairs_folder / "split.json")
    again = load(pairs_folder)
    assert (again.train, again.val, again.test) == (swapped.train, swapped.val, ())
    assert json.loads((pairs_folder / "split.json").read_text())["source"] == "by hand"
    assert [path.name for path in pairs_folder.iterdir() if path.is_file()] == ["split.json"]


def test_a_scene_that_is_in_train_and_in_val_is_told(pairs_folder, news):
    write_pair(pairs_folder, "twin", np.minimum(scene(0), 250))
    write_json(pairs_folder, {"train": ["photo0", "photo1"], "val": ["twin", "photo2"]})
    load_split(pairs_folder)
    assert "of 2 val pairs, 1 shows a scene that is in train too" in news.text


def test_pairs_of_a_single_scene_are_refused_with_what_would_mend_it(tmp_path):
    for gain in range(3):
        write_pair(tmp_path, str(gain), scene(0) - 10 * gain)
    message = refusal(tmp_path)
    assert "3 pairs of 1 scene (what looks alike or lies in one subfolder is one)" in message
    assert "split.json, in the folder that --data names" in message


@settings(max_examples=12, deadline=None)
@given(exposures=st.lists(st.integers(1, 4), min_size=2, max_size=9))
def test_photos_of_one_scene_are_never_in_train_and_in_val(exposures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    for seed, count in enumerate(exposures):
        for exposure in range(count):
            high = (scene(seed) * (1 - 0.15 * exposure)).astype(np.uint8)
            write_pair(folder, f"{seed}-{exposure}", high)
    split = load(folder)
    train, val = ({name.split("-")[0] for name in names(part)} for part in (split.train, split.val))
    assert train
    assert val
    assert not train & val
    assert split == load(folder)


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=20, max_size=60), avoid=st.sets(st.integers(0, 19), max_size=10))
def test_about_a_tenth_goes_to_validation_and_avoided_scenes_do_not(sizes, avoid):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    chosen = scenes.choose_validation(labels, 0.1, np.array(sorted(avoid), int))
    assert not set(labels[chosen]) & avoid
    assert abs(chosen.sum() - 0.1 * len(labels)) <= max(sizes)
    assert not set(labels[chosen]) & set(labels[~chosen])


def test_twins_of_twins_are_one_scene():
    """In a plane, 20 degrees apart: neighbours correlate by 0.94, the ends of the chain by 0.50."""
    angles = np.radians([0, 100, 40, 20, 60, 120])
    found = scenes.group(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    np.testing.assert_array_equal(found, [0, 1, 0, 0, 0, 1])


def test_a_thumbnail_keeps_only_the_order_of_brightness():
    high = scene(4, 128, 128)
    curve = (255 * (np.arange(256) / 255) ** 2.2).astype(np.uint8)
    grey = np.repeat(high[..., :1], 3, axis=2)
    assert scenes.descriptor(grey) @ scenes.descriptor(curve[grey]) > 0.99
    assert scenes.descriptor(grey) @ scenes.descriptor(255 - grey) == pytest.approx(-1, abs=1e-3)
    assert not scenes.descriptor(np.full((9, 9, 3), 7, np.uint8)).any()


@pytest.mark.parametrize(
    ("model", "options", "named"),
    [
        (8, {"data": "here", "also": ("more",)}, "--also"),
        (8, {"data": "here", "clean": ("more",)}, "--clean without --data synthetic"),
        (8, {"data": "synthetic", "also": ("more",)}, "--also"),
        (8, {"data": "synthetic", "clean": ("some", "more")}, "--clean more than once"),
        (12, {"data": "synthetic", "low": "some"}, "--low or --high"),
    ],
)
def test_folders_that_would_not_be_looked_at_are_refused(model, options, named):
    with pytest.raises(UserError, match=f"Received: {named}"):
        splits.load_pairs(TrainingSettings(model, **options))
