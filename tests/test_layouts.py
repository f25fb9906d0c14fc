"""Public datasets are read from their own folders as they come; what is not clear is refused with what to do."""

import shutil

import numpy as np
import pytest
from PIL import Image

from lowlight.data.pairs import PairError, load_split
from tests.conftest import news_of, scene


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def dark(seed, divisor=10):
    return scene(seed) // divisor


def write_sides(folder, low, high, seeds, low_name="{}.png", high_name="{}.png"):
    for seed in seeds:
        save(folder / low / low_name.format(seed), dark(seed))
        save(folder / high / high_name.format(seed), scene(seed))


def lol(root):
    write_sides(root / "our485", "low", "high", range(6))
    write_sides(root / "eval15", "low", "high", (20, 21))


def lol_of_kaggle(root):
    lol(root / "lol_dataset")


def lol_v2_real(root):
    names = "low{:05}.png", "normal{:05}.png"
    write_sides(root / "Train", "Low", "Normal", range(6), *names)
    write_sides(root / "Test", "Low", "Normal", (690, 691), *names)


def lol_v2_synthetic(root):
    write_sides(root / "Train", "Low", "Normal", range(6), *["r{:03}da54ft.png"] * 2)
    write_sides(root / "Test", "Low", "Normal", (20, 21), *["r{:03}da54ft.png"] * 2)


def lsrw(root):
    write_sides(root / "Training data" / "Huawei", "low", "high", range(3), "{}.jpg", "{}.jpg")
    write_sides(root / "Training data" / "Nikon", "low", "high", range(3, 6), "{}.jpg", "{}.jpg")
    write_sides(root / "Eval" / "Huawei", "low", "high", (20,), "{}.jpg", "{}.jpg")
    write_sides(root / "Eval" / "Nikon", "low", "high", (21,), "{}.jpg", "{}.jpg")


def sid(root):
    for number in (1, 2, 3, 10001, 10002, 20001):
        for burst, seconds in ((0, "0.04"), (0, "0.1"), (1, "0.04")):
            divisor = 20 if seconds == "0.04" else 8 + burst
            save(root / "short" / f"{number:05}_{burst:02}_{seconds}s.png", dark(number, divisor))
        save(root / "long" / f"{number:05}_00_10s.png", scene(number))


def sid_of_sony(root):
    sid(root / "Sony")


def sice(root):
    for part in ("Dataset_Part1", "Dataset_Part2"):
        for number in (1, 2, 3):
            seed = number + 10 * (part == "Dataset_Part2")
            save(root / part / "Label" / f"{number}.JPG", (scene(seed) * 0.8).astype(np.uint8))
            for exposure, gain in ((1, 0.1), (2, 0.4), (3, 1.0)):
                save(root / part / str(number) / f"{exposure}.JPG", (scene(seed) * gain).astype(np.uint8))


def smid(root):
    for number in range(4):
        for frame in range(3):
            save(root / "SMID_LQ" / f"{number:04}" / f"{frame:04}.png", dark(number, 9 + frame))
        save(root / "SMID_Long" / f"{number:04}" / "0001.png", scene(number))


def sequences_with_flat_targets(root):
    for number in range(4):
        for frame in range(3):
            save(root / "short" / f"{number:04}" / f"{frame:04}.png", dark(number, 9 + frame))
        save(root / "long" / f"{number:04}.png", scene(number))


def fivek(root):
    for number in range(1, 5):
        name = f"a{number:04}.jpg"
        save(root / "input" / name, dark(number, 3))
        for expert in "ABCDE":
            save(root / f"expert{expert}" / name, (scene(number) * (1 if expert == "C" else 0.9)).astype(np.uint8))
    save(root / "input" / "a0009.jpg", scene(9))
    save(root / "expertC" / "a0009.jpg", (scene(9) * 0.9).astype(np.uint8))


def split_tree(root):
    write_sides(root / "train", "low", "high", range(6))
    write_sides(root / "test", "low", "high", (20, 21))


def split_tree_inside_the_sides(root):
    for side, change in (("low", dark), ("high", scene)):
        for seed in (*range(6), 20, 21):
            save(root / side / ("train" if seed < 20 else "test") / f"{seed}.png", change(seed))


def parts_named_with_sides(root):
    write_sides(root, "train_low", "train_high", range(6))
    write_sides(root, "test_low", "test_high", (20, 21))


def low_normal(root):
    write_sides(root, "Low", "Normal", range(6))


def input_gt(root):
    write_sides(root, "input", "gt", range(6), "{}_in.png", "{}_gt.png")


def low_high(root):
    write_sides(root, "Low", "High", range(6), "{}.jpg", "{}.png")


def one_folder(root):
    write_sides(root, ".", ".", range(6), "night{}_low.png", "night{}_high.png")


def a_folder_for_each_pair(root):
    for seed in range(6):
        write_sides(root, f"night{seed}", f"night{seed}", (seed,), "input.png", "gt.jpg")


def a_folder_for_each_scene(root):
    for seed in range(3):
        save(root / f"night{seed}" / "high.png", scene(seed))
        for shot in (1, 2):
            save(root / f"night{seed}" / f"low_{shot}.png", dark(seed, 8 + shot))


def a_folder_for_each_scene_with_sides(root):
    for seed in range(3):
        save(root / f"night{seed}" / "high" / "tripod.png", scene(seed))
        for shot in (1, 2):
            save(root / f"night{seed}" / "low" / f"{shot}.png", dark(seed, 8 + shot))


def a_folder_for_each_scene_with_one_side(root):
    for seed in range(3):
        save(root / f"night{seed}" / "high.png", scene(seed))
        for shot in (1, 2):
            save(root / f"night{seed}" / "low" / f"{shot}.png", dark(seed, 8 + shot))


def any_names(root):
    write_sides(root, "Sony A7", "Sony A7 tripod", range(6), "DSC0{}-handheld.jpg", "tripod DSC0{}.jpg")


def one_side_called_otherwise(root):
    write_sides(root, "low", "retouched", range(6))


def table(root):
    write_sides(root / "images", ".", ".", range(6), "{}_0.jpg", "{}_t.jpg")
    lines = ["low,high", *(f"{seed}_0.jpg,{seed}_t.jpg" for seed in range(6))]
    (root / "pairs.csv").write_text("\n".join(lines))


def table_with_paths(root):
    write_sides(root, "a", "b", range(6))
    lines = ["id,input,target", *(f"{seed},a/{seed}.png,b/{seed}.png" for seed in range(6))]
    (root / "list.csv").write_text("\n".join(lines), encoding="utf-8-sig")


LAYOUTS = {
    lol: (6, 2, "our485/low + our485/high (train), eval15/low + eval15/high (test)"),
    lol_of_kaggle: (6, 2, "lol_dataset/our485/low + lol_dataset/our485/high"),
    lol_v2_real: (6, 2, "Train/Low + Train/Normal (train), Test/Low + Test/Normal (test); names alike but for"),
    lol_v2_synthetic: (6, 2, "Train/Low + Train/Normal"),
    lsrw: (6, 2, "Huawei/low + Training data/Huawei/high, Training data/Nikon/low"),
    sid: (
        9,
        6,
        "short + long; several lows to one high, by names without exposure times; 9 train; 6 test; 3 val",
    ),
    sid_of_sony: (9, 6, "Sony/short + Sony/long"),
    sice: (12, 0, "Dataset_Part1/1 + Dataset_Part1/Label"),
    smid: (12, 0, "several lows to one high"),
    sequences_with_flat_targets: (12, 0, "several lows to one high"),
    fivek: (4, 0, "input + expertC; not read: expertA, expertB, expertD and 1 more"),
    split_tree: (6, 2, "train/low + train/high"),
    split_tree_inside_the_sides: (6, 2, "low/train + high/train"),
    parts_named_with_sides: (6, 2, "train_low + train_high"),
    low_normal: (6, 0, "Low + Normal"),
    input_gt: (6, 0, "input + gt; names alike but for what all"),
    low_high: (6, 0, "Low + High"),
    one_folder: (6, 0, "names alike but for the word"),
    a_folder_for_each_pair: (6, 0, "night0 + night0, night1 + night1, night2 + night2 and 3 more"),
    a_folder_for_each_scene: (6, 0, "night2 + night2; several lows to one high"),
    a_folder_for_each_scene_with_sides: (6, 0, "night2/low + night2/high; several lows to one high"),
    a_folder_for_each_scene_with_one_side: (6, 0, "night2/low + night2; several lows to one high"),
    any_names: (6, 0, "Sony A7 + Sony A7 tripod; names alike but for what all"),
    one_side_called_otherwise: (6, 0, "low + retouched"),
    table: (6, 0, "pairs.csv, a table of 6 pairs"),
    table_with_paths: (6, 0, "list.csv, a table of 6 pairs"),
}


def load(folder, **options):
    with news_of() as news:
        split = load_split(folder, **options)
    return split, news.text


def refusal(folder, **options):
    with pytest.raises(PairError) as error:
        load(folder, **options)
    return str(error.value)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_dataset_is_read_as_it_comes(layout, tmp_path):
    learnt, tested, said = LAYOUTS[layout]
    layout(tmp_path)
    split, told = load(tmp_path)
    parts = split.train + split.val
    if layout in (sid, sid_of_sony):  # which has scenes of its own for validation
        assert len(split.val) == 3
        parts = split.train
    assert len(parts) == learnt
    assert len(split.test) == tested
    assert split.val
    (line,) = [line for line in told.splitlines() if line.startswith("Understood: ")]
    assert said in line
    for pair in split.train + split.val + split.test:
        low, high = (np.asarray(Image.open(path), float) for path in (pair.low, pair.high))
        assert low.mean() < high.mean()
        assert np.corrcoef(low.ravel(), high.ravel())[0, 1] > 0.9


def test_the_pairs_of_a_dataset_are_the_right_ones(tmp_path):
    sid(tmp_path)
    split, _ = load(tmp_path)
    assert {(pair.low.name[:5], pair.high.name[:5]) for pair in split.test} == {("10001",) * 2, ("10002",) * 2}
    assert {pair.name for pair in split.val} == {"20001_00_0.04s", "20001_00_0.1s", "20001_01_0.04s"}


@pytest.mark.parametrize("layout", [sice, smid, sequences_with_flat_targets], ids=lambda layout: layout.__name__)
def test_the_lows_of_one_high_are_never_in_train_and_in_val(layout, tmp_path):
    layout(tmp_path)
    split, _ = load(tmp_path)
    train, val = ({pair.high for pair in part} for part in (split.train, split.val))
    assert not train & val


def test_frames_of_a_scene_are_one_scene_whatever_they_show(tmp_path):
    """Each frame of a sequence shows something else here, as where the camera moves."""
    for number in range(4):
        for frame in range(3):
            write_sides(tmp_path, f"low/{number:04}", f"high/{number:04}", [100 * number + frame])
    split, _ = load(tmp_path)
    train, val = ({pair.high.parent.name for pair in part} for part in (split.train, split.val))
    assert train
    assert not train & val


def test_sides_may_be_given_with_a_folder_for_each_scene(tmp_path):
    smid(tmp_path)
    split, _ = load(None, low=tmp_path / "SMID_LQ", high=tmp_path / "SMID_Long")
    assert len(split.train + split.val) == 12
    assert {pair.low.parent.name == pair.high.parent.name for pair in split.train} == {True}


def test_a_validation_part_is_used_as_it_is(tmp_path):
    for part, seeds in (("train", range(4)), ("valid", (10, 11)), ("test", (20,))):
        write_sides(tmp_path / part, "low", "high", seeds)
    split, told = load(tmp_path)
    assert [pair.name for pair in split.val] == ["10", "11"]
    assert [pair.name for pair in split.test] == ["20"]
    assert "the dataset's own parts" in told


def test_exposures_brighter_than_their_label_are_left_out_and_told(tmp_path):
    sice(tmp_path)
    assert "6 lows that are brighter than their high are left out" in load(tmp_path)[1]


def test_the_exposure_that_is_the_label_itself_is_left_out_and_told(tmp_path):
    sice(tmp_path)
    for part in ("Dataset_Part1", "Dataset_Part2"):
        shutil.copy(tmp_path / part / "Label" / "1.JPG", tmp_path / part / "1" / "4.JPG")
    assert "\n2 lows that are the same picture as their high are left out.\n" in load(tmp_path)[1]
    shutil.rmtree(tmp_path / "Dataset_Part2")
    assert "\n1 low that is the same picture as its high is left out.\n" in load(tmp_path)[1]


def both_datasets_of_lol_v2(root):
    lol_v2_real(root / "Real_captured")
    lol_v2_synthetic(root / "Synthetic")


def two_dark_folders(root):
    write_sides(root, "input", "gt", range(4))
    write_sides(root, "dark", "gt", range(4))


def experts_without_the_usual_one(root):
    write_sides(root, "input", "expertA", range(4))
    write_sides(root, "input", "expertB", range(4))


def pairs_beside_parts(root):
    write_sides(root, "low", "high", range(4))
    write_sides(root / "train", "low", "high", range(4))


def neither_is_darker(root):
    for seed in range(4):
        write_sides(root, *("ab" if seed % 2 else "ba"), [seed])


def two_tables(root):
    table(root)
    (root / "pairs.csv").rename(root / "mine.csv")
    (root / "yours.csv").write_text((root / "mine.csv").read_text())


AMBIGUOUS = {
    both_datasets_of_lol_v2: ["Give --data {0}/Real_captured or --data {0}/Synthetic."],
    two_dark_folders: ["--low {0}/dark --high {0}/gt or --low {0}/input --high {0}/gt"],
    experts_without_the_usual_one: ["--low {0}/input --high {0}/expertA or --low {0}/input --high {0}/expertB"],
    pairs_beside_parts: ["--low {0}/low --high {0}/high", "--low {0}/train/low --high {0}/train/high"],
    neither_is_darker: ["--low {0}/a --high {0}/b or --low {0}/b --high {0}/a"],
    two_tables: ["--data {0}/mine.csv or --data {0}/yours.csv"],
}


@pytest.mark.parametrize("layout", AMBIGUOUS, ids=lambda layout: layout.__name__)
def test_what_can_be_read_in_several_ways_is_refused_with_the_options_that_choose(layout, tmp_path):
    layout(tmp_path)
    message = refusal(tmp_path)
    assert "can be read in several ways" in message
    for reading in AMBIGUOUS[layout]:
        assert reading.format(tmp_path) in message


def test_each_reading_that_a_refusal_offers_works(tmp_path):
    both_datasets_of_lol_v2(tmp_path)
    assert len(load(tmp_path / "Real_captured")[0].test) == 2
    two_tables(tmp_path / "tables")
    assert load(tmp_path / "tables" / "mine.csv")[0].val


def test_names_without_anything_in_common_are_refused_with_what_to_rename(tmp_path):
    for side, names in (("low", ("sea", "hill", "moor")), ("high", ("one", "two", "six"))):
        for seed, name in enumerate(names):
            save(tmp_path / side / f"{name}.png", scene(seed) // (10 if side == "low" else 1))
    message = refusal(tmp_path)
    assert "No photo has a partner by its name. Received: hill.png" in message
    assert "1.png and 1.jpg" in message
    assert "CSV" in message


def test_folders_that_tell_nothing_are_refused_with_the_options(tmp_path):
    for name in ("a", "b", "c"):
        for seed in range(3):
            save(tmp_path / name / f"{seed}.png", scene(seed))
    message = refusal(tmp_path)
    assert "a with 3 photos, b with 3 photos, c with 3 photos" in message
    assert "--low DIR --high DIR" in message
    assert "rename" in message


def test_low_and_high_are_taken_where_other_folders_could_be_a_side_too(tmp_path):
    write_sides(tmp_path, "low", "high", range(4))
    write_sides(tmp_path, "dark crops", "normal maps", range(4))
    split, told = load(tmp_path)
    assert {pair.low.parent.name for pair in split.train} == {"low"}
    assert "not read: dark crops, normal maps" in told


def test_links_to_folders_elsewhere_are_followed_and_those_that_lead_back_are_not(tmp_path):
    write_sides(tmp_path / "elsewhere", "input", "gt", range(6))
    root = tmp_path / "data"
    (root / "more").mkdir(parents=True)
    for link, target in {"low": "elsewhere/input", "high": "elsewhere/gt"}.items():
        (root / link).symlink_to(tmp_path / target)
    for link, target in {"up": tmp_path, "same": root, "self": "self"}.items():
        (root / "more" / link).symlink_to(target)
    (tmp_path / "elsewhere" / "input" / "back").symlink_to(root)
    split, told = load(root)
    assert len((*split.train, *split.val, *split.test)) == 6
    assert "Understood: low + high" in told
    assert "not read" not in told
