"""Which photos are learnt from: what folders of --also and --clean hold, but for what is held out; how often a set is
drawn from, and what a card says of it."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lowlight.data import splits
from lowlight.data.pairs import load_split
from lowlight.data.samplers import CleanSource
from lowlight.data.splits import clean_photos, listed_pairs
from lowlight.errors import UserError
from lowlight.io.photo import ImageError
from lowlight.settings import TrainingSettings
from lowlight.zoo.recipes import RECIPES
from tests.conftest import scene, write_pair
from tests.test_sources import ramp


def write_listed(folder, targets=12):
    (folder / "images").mkdir(parents=True)
    rows = []
    for target in range(targets):
        names = [f"{target}-{side}.jpg" for side in ("dark", "darker", "well")]
        for name in names:
            Image.fromarray(ramp()).save(folder / "images" / name)
        rows += [f"{name},{names[2]}" for name in names[:2]]
    (folder / "pairs.csv").write_text("\n".join(["low,high", *rows]))


def test_one_target_in_six_is_held_out_with_all_its_partners(tmp_path):
    write_listed(tmp_path / "more")
    used, held = listed_pairs(tmp_path / "more")
    assert (len(used), len(held)) == (20, 4)
    assert not {pair.high for pair in used} & {pair.high for pair in held}


def test_a_list_saved_by_excel_is_read(tmp_path):
    write_listed(tmp_path)
    (tmp_path / "pairs.csv").write_text((tmp_path / "pairs.csv").read_text(), encoding="utf-8-sig")
    assert len(listed_pairs(tmp_path)[0]) == 20


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("low,other\na.jpg,b.jpg", "must have columns low and high"),
        ("low,high\na.jpg,b.jpg", "2 photos that are not there: a.jpg, b.jpg"),
        ("low,high\n", "naming no pair"),
        (None, "There is no list of pairs"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises(UserError, match=reason):
        listed_pairs(tmp_path)


def test_a_fifth_of_the_clean_photos_is_held_out(tmp_path):
    for index in range(10):
        Image.fromarray(ramp()).save(tmp_path / f"{index}.png")
    used, held = clean_photos(tmp_path)
    assert [path.name for path in held] == ["0.png", "1.png"]
    assert len(used) == 8


def test_one_of_two_clean_photos_is_held_out(tmp_path):
    for name in "ab":
        Image.fromarray(ramp()).save(tmp_path / f"{name}.png")
    assert clean_photos(tmp_path) == ([tmp_path / "b.png"], [tmp_path / "a.png"])


@pytest.mark.parametrize("count", [None, 1])
def test_too_few_clean_photos_are_refused(tmp_path, count):
    if count:
        Image.fromarray(ramp()).save(tmp_path / "only.png")
    with pytest.raises(UserError, match="clean photos"):
        clean_photos(tmp_path if count else tmp_path / "none")


@pytest.fixture
def sets(tmp_path):
    """Folders as of --data, --also and --clean."""
    for seed in range(4):
        write_pair(tmp_path / "data", f"data{seed}", scene(seed, 16, 24))
    for seed in range(12):
        write_pair(tmp_path / "also" / "images", f"{seed:02}", scene(seed + 20, 16, 24))
        write_pair(tmp_path / "clean", f"clean{seed}", scene(seed + 40, 16, 24))
    rows = [f"low/{seed:02}.png,high/{seed:02}.png" for seed in range(12)]
    (tmp_path / "also" / "pairs.csv").write_text("\n".join(["low,high", *rows]))
    return TrainingSettings(12, str(tmp_path / "data"), also=(tmp_path / "also",), clean=(tmp_path / "clean" / "high",))


@pytest.mark.parametrize(
    ("name", "licence"), [("imagenette2-320", "Imagenette"), ("imagenet_samples", "ImageNet"), ("holiday", "not known")]
)
def test_a_card_names_the_terms_of_the_clean_photos_that_it_knows(sets, tmp_path, name, licence):
    folder = (tmp_path / "clean" / "high").rename(tmp_path / name)
    plan = dataclasses.replace(RECIPES[12], crop=16)
    about = splits.sources(dataclasses.replace(sets, clean=(folder,)), plan, load_split(sets.data))[2]
    assert about["clean"][0]["licence"].startswith(licence)


def test_what_validation_and_test_measure_is_in_no_set_either(sets, monkeypatch):
    data = Path(sets.data)
    rows = [f"low/data{seed}.png,high/data{seed}.png" for seed in range(4)]
    (data / "pairs.csv").write_text("\n".join(["low,high", *rows]))
    (data / "split.json").write_text('{"train": ["data1"], "val": ["data2"], "test": ["data3"]}')
    monkeypatch.chdir(data)  # the same photos by another path
    settings, plan = (
        dataclasses.replace(sets, also=(data,), clean=(Path("high"),)),
        dataclasses.replace(RECIPES[12], crop=16),
    )
    (_, own), (_, also), (_, clean) = splits.sources(settings, plan, load_split(data))[0]
    assert {pair.high.stem for source in (own, also) for pair in source.photos.items} == {"data1"}
    assert {photo.stem for group in clean.groups for photo in group.items} == {"data1"}


def test_a_folder_whose_photos_are_all_held_out_is_refused_with_that(sets):
    table = sets.also[0] / "pairs.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:2]))
    with pytest.raises(UserError, match="also with nothing that is not held out"):
        splits.sources(sets, dataclasses.replace(RECIPES[12], crop=16), load_split(sets.data))


def test_each_set_has_its_own_share_and_what_is_held_out_is_in_none(sets):
    split = load_split(sets.data)
    plan = dataclasses.replace(RECIPES[12], mixture=(0.5, 0.3, 0.2), exposure_mixture=(0.1, 0.2, 0.7), crop=16)
    crops, exposures, about = splits.sources(sets, plan, split)
    assert [share for share, _ in crops] == [0.5, 0.3, 0.2]
    assert [share for share, _ in exposures] == [0.1, 0.2, 0.7]
    assert [source for _, source in crops] == [source for _, source in exposures]
    data, also, clean = (source for _, source in crops)
    pairs, held_pairs = listed_pairs(sets.also[0])
    photos, held_photos = clean_photos(sets.clean[0])
    assert data.photos.items == list(split.train)
    assert also.photos.items == pairs
    assert [group.items for group in clean.groups] == [
        [pair.high for pair in split.train],
        [pair.high for pair in pairs],
        photos,
    ]
    used = {path for pair in (*data.photos.items, *also.photos.items) for path in (pair.low, pair.high)}
    used |= {path for group in clean.groups for path in group.items}
    held = {path for pair in (*split.val, *held_pairs) for path in (pair.low, pair.high)} | set(held_photos)
    assert len(held) == 2 * len(split.val) + 2 * 2 + 2
    assert not used & held
    assert (about["also"][0]["train"], about["also"][0]["held_out"]) == (10, 2)
    assert (about["clean"][0]["train"], about["clean"][0]["held_out"]) == (10, 2)
    assert (data.relit, also.relit) == (0.5, splits.RELIT)
    assert data.lifted
    assert also.lifted
    without, _, _ = splits.sources(sets, dataclasses.replace(plan, settings={}), split)
    assert not any(source.lifted for _, source in without[:2])


def test_several_folders_of_more_pairs_have_one_share_among_them(sets, tmp_path):
    shutil.copytree(sets.also[0], tmp_path / "second")
    plan = dataclasses.replace(RECIPES[12], mixture=(0.5, 0.3, 0.2), exposure_mixture=(0.1, 0.2, 0.7), crop=16)
    both = dataclasses.replace(sets, also=(*sets.also, tmp_path / "second"))
    crops, exposures, _ = splits.sources(both, plan, load_split(sets.data))
    assert [share for share, _ in crops] == [0.5, 0.15, 0.15, 0.2]
    assert [share for share, _ in exposures] == [0.1, 0.1, 0.1, 0.7]


def test_photos_that_no_crop_fits_into_or_that_cannot_be_read_are_left_out_with_a_word(sets, news):
    plan, split = dataclasses.replace(RECIPES[12], crop=16), load_split(sets.data)
    (clean,), (also,) = sets.clean, sets.also
    Image.fromarray(ramp(15, 40)).save(clean / "clean7.png")
    (clean / "clean8.png").write_bytes(b"no photo")
    Image.fromarray(ramp(40, 9)).save(also / "images" / "low" / "03.png")
    pairs, more, photos = (source for _, source in splits.sources(sets, plan, split)[0])
    assert len(pairs.photos) == len(split.train)
    assert "03-03" not in {pair.name for pair in more.photos.items}
    assert not {path.name for path in photos.groups[-1].items} & {"clean7.png", "clean8.png"}
    assert [len(group) for group in photos.groups] == [len(split.train), 9, 8]
    assert "also: 1 of 10 is left out: 1 smaller than crops of 16 pixels: 03.png (9x40)" in news.text
    assert (
        "high: 2 of 10 are left out: 1 smaller than crops of 16 pixels: clean7.png (40x15); 1 unreadable" in news.text
    )


def test_a_folder_without_a_photo_that_a_crop_fits_into_is_refused(sets):
    with pytest.raises(UserError, match=r"also with 10 smaller than crops of 32 pixels: .*\(24x16\)"):
        splits.sources(sets, dataclasses.replace(RECIPES[12], crop=32), load_split(sets.data))


def test_half_of_the_clean_photos_are_references_however_many_others_there_are(tmp_path):
    groups = [[tmp_path / name] for name in ("lol", "sice", "one", "two", "three", "four")]
    assert CleanSource(groups, references=2).shares == pytest.approx([0.25, 0.25, *4 * [0.125]])
    assert CleanSource(groups[:2], references=2).shares == pytest.approx([0.5, 0.5])
    assert CleanSource(groups[2:]).shares == pytest.approx(4 * [0.25])


def test_what_is_no_pair_is_left_out_of_more_pairs_with_a_word(sets, news):
    lows, highs = (sets.also[0] / "images" / side for side in ("low", "high"))
    Image.fromarray(ramp(16, 40)).save(lows / "02.png")
    exchanged = (lows / "03.png").read_bytes(), (highs / "03.png").read_bytes()
    (highs / "03.png").write_bytes(exchanged[0])
    (lows / "03.png").write_bytes(exchanged[1])
    (lows / "04.png").write_bytes((lows / "04.png").read_bytes()[:-200])
    (_, (_, more), _), _, about = splits.sources(sets, dataclasses.replace(RECIPES[12], crop=16), load_split(sets.data))
    assert [pair.low.name for pair in more.photos.items] == ["01.png", "05.png", *(f"{n:02}.png" for n in range(7, 12))]
    assert about["also"][0]["train"] == 7
    assert "also: 3 of 10 are left out: 1 with sides of two sizes: 02-02 (40x16 and 24x16); 1 with a low" in news.text


def test_a_clean_photo_whose_header_alone_can_be_read_is_said_once_and_another_one_drawn(tmp_path, news):
    for seed in range(3):
        Image.fromarray(scene(seed, 40, 40)).save(tmp_path / f"{seed}.png")
    broken = tmp_path / "1.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    source = CleanSource([sorted(tmp_path.iterdir())])
    rng = np.random.default_rng(0)
    assert all(source.draw_crop(rng, 16).low.shape == (16, 16, 3) for _ in range(20))
    assert news.text.count("a clean photo is left out: ") == 1
    assert "1.png" in news.text
    with pytest.raises(ImageError):
        CleanSource([[broken]]).draw_crop(rng, 16)


def test_synthetic_pairs_and_the_run_do_not_share_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"pairs are made in that folder\. Received: --output .*synthetic"):
        splits.load_pairs(TrainingSettings(8, "synthetic", output=tmp_path / "synthetic"))
    assert not (tmp_path / "synthetic").exists()


def test_pairs_made_of_one_source_stay_while_those_of_another_are_made_for_the_next_run(tmp_path):
    made = []
    for clean in ("one/photos", "two/photos", "one/../one/photos"):
        for seed in range(2):
            write_pair(tmp_path / clean, clean[:3] + str(seed), scene(seed, 60, 60))
        high = tmp_path / clean / "high"
        settings = TrainingSettings(8, "synthetic", clean=(high,), output=tmp_path / "runs" / "run")
        split, about = splits.load_pairs(settings)
        assert about["name"] == "synthetic, high"
        made.append(split)
    assert all(pair.low.is_file() for split in made for pair in split.train)
    assert made[0].train == made[2].train
    assert len(list((tmp_path / "runs").glob("synthetic_high_*"))) == 2


def test_a_run_in_the_folder_of_its_pairs_is_refused_whose_split_it_would_write_over(tmp_path):
    for seed in range(4):
        write_pair(tmp_path / "set", str(seed), scene(seed, 40, 40))
    with pytest.raises(UserError, match=r"written over that of the pairs\. Received: --output .*set"):
        splits.load_pairs(TrainingSettings(8, tmp_path / "set", output=tmp_path / "x" / ".." / "set"))


def test_photos_that_synthetic_pairs_are_validated_on_are_not_learnt_from(tmp_path):
    for seed in range(22):
        write_pair(tmp_path / "set", f"{seed:02}", scene(seed, 60, 60))
    clean = tmp_path / "set" / "high"
    settings = TrainingSettings(12, "synthetic", clean=(clean,), output=tmp_path / "runs" / "run")
    split, _ = splits.load_pairs(settings)
    crops, _, _ = splits.sources(settings, dataclasses.replace(RECIPES[12], crop=16), split)
    learnt = {path.stem for group in crops[-1][1].groups for path in group.items if path.parent == clean}
    validated = {pair.name.split("_")[0] for pair in split.val}
    assert len(validated) == 3
    assert learnt
    assert not learnt & validated
