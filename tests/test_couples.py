"""Which folder is which side of pairs: told by names before light, and never guessed."""

import pytest

from lowlight.data.couples import place_of, told_by_light
from tests.conftest import scene
from tests.test_layouts import (
    dark,
    load,
    one_folder,
    one_side_called_otherwise,
    refusal,
    save,
    sequences_with_flat_targets,
    write_sides,
)


def test_what_a_model_made_is_not_taken_for_the_truth(tmp_path):
    write_sides(tmp_path, "low", "predicted", range(4))
    assert "low with 4 photos (the low side), predicted with 4 photos" in refusal(tmp_path)


@pytest.mark.parametrize(("word", "other"), [("low", "high"), ("high", "low")])
def test_where_one_of_two_folders_is_called_a_side_its_name_counts_and_not_its_light(word, other, tmp_path):
    """Here the light tells the opposite."""
    save(tmp_path / word / "a.png", scene(1) if word == "low" else dark(1))
    save(tmp_path / "edited" / "a.png", dark(1) if word == "low" else scene(1))
    places = [place_of(tmp_path / name, [tmp_path / name / "a.png"], [name]) for name in (word, "edited")]
    for order in (places, places[::-1]):
        assert {place.folder.name: place.side for place in told_by_light(order)} == {word: word, "edited": other}


def test_the_sides_of_two_datasets_are_no_pairs(tmp_path):
    save(tmp_path / "one" / "train" / "low" / "a.png", dark(1))
    save(tmp_path / "two" / "train" / "high" / "a.png", scene(1))
    assert refusal(tmp_path).startswith("No pairs are understood")


def test_two_parts_are_no_sides_of_each_other_whose_photos_are_called_alike(tmp_path):
    for seed in range(4):
        save(tmp_path / "train" / f"{seed}.png", dark(seed) if seed % 2 else scene(seed))
        save(tmp_path / "test" / f"{seed}.png", scene(seed + 9) if seed % 2 else dark(seed + 9))
    assert refusal(tmp_path).startswith("No pairs are understood")


def test_the_deepest_words_of_a_path_tell_the_side_and_the_part(tmp_path):
    write_sides(tmp_path / "Dark photos to test" / "train", "low", "high", range(6))
    write_sides(tmp_path / "Dark photos to test" / "test", "low", "high", (20, 21))
    split, _ = load(tmp_path)
    assert (len(split.train + split.val), len(split.test)) == (6, 2)


def test_cameras_are_told_apart_also_where_the_parts_are_below_the_sides(tmp_path):
    for camera, seed in (("Nikon", 0), ("Sony", 10)):
        for part, count in (("train", 4), ("test", 2)):
            for shot in range(count):
                for side, change in (("low", dark), ("high", scene)):
                    save(tmp_path / camera / side / part / f"{shot}.png", change(seed + shot + 5 * (part == "test")))
    split, _ = load(tmp_path)
    assert {pair.name for pair in split.test} == {"Nikon/0", "Nikon/1", "Sony/0", "Sony/1"}
    assert len(split.train + split.val) == 8


@pytest.mark.parametrize(
    ("layout", "count"), [(sequences_with_flat_targets, 12), (one_side_called_otherwise, 6)], ids=["frames", "light"]
)
def test_sides_may_lie_in_the_folder_of_their_camera(layout, count, tmp_path):
    layout(tmp_path / "Sony")
    assert len(load(tmp_path)[0].train + load(tmp_path)[0].val) == count


def test_one_folder_below_each_side_is_no_scene(tmp_path):
    write_sides(tmp_path, "low/images", "high/images", range(6))
    split, _ = load(tmp_path)
    assert len(split.train + split.val) == 6


def test_a_photo_beside_pairs_in_one_folder_whose_name_tells_no_side_is_in_no_ones_way(tmp_path):
    one_folder(tmp_path)
    save(tmp_path / "panorama.png", scene(9))
    assert len(load(tmp_path)[0].train + load(tmp_path)[0].val) == 6


def test_a_frame_that_is_called_as_another_scene_is_not_what_that_scene_should_look_like(tmp_path):
    for number in range(4):
        save(tmp_path / "low" / f"{number}" / "frame.png", dark(number))
        save(tmp_path / "high" / "walk" / f"{number}.png", scene(number))
    assert refusal(tmp_path).startswith("No pairs are understood")


def test_pairs_beside_the_part_of_another_set_are_refused_with_both_readings(tmp_path):
    write_sides(tmp_path, "low", "high", range(4))
    write_sides(tmp_path / "LOL" / "test", "low", "high", (20, 21))
    message = refusal(tmp_path)
    assert f"--low {tmp_path}/low --high {tmp_path}/high" in message
    assert f"--low {tmp_path}/LOL/test/low --high {tmp_path}/LOL/test/high" in message


def test_two_folders_without_a_name_in_common_or_with_a_broken_photo_are_refused_with_what_to_do(tmp_path):
    for name, photo in (("a", "sea"), ("b", "hill")):
        save(tmp_path / name / f"{photo}.png", scene(1))
    assert "a with 1 photo, b with 1 photo. Say which is which by --low DIR" in refusal(tmp_path)
    (tmp_path / "a" / "hill.png").write_bytes(b"no photo")
    message = refusal(tmp_path)
    assert "Which of two folders is the dark one cannot be seen. Received: " in message
    assert "hill.png" in message
    assert "--low DIR --high DIR" in message


def test_hidden_folders_are_not_searched_and_others_six_levels_deep(tmp_path):
    write_sides(tmp_path / "1" / "2" / "3" / "4" / "5", "low", "high", range(4))
    write_sides(tmp_path / ".trash", "low", "high", range(4))
    split, told = load(tmp_path)
    assert len(split.train + split.val) == 4
    assert "Understood: 1/2/3/4/5/low + 1/2/3/4/5/high" in told


def test_pairs_to_measure_alone_are_refused_and_sides_whose_folders_are_called_otherwise(tmp_path):
    write_sides(tmp_path / "val", "low", "high", range(4))
    write_sides(tmp_path / "test", "low", "high", (20, 21))
    assert "There is no part to train on. Received: val and test." in refusal(tmp_path)
    for seed in range(4):
        save(tmp_path / "dark" / f"a{seed}" / "1.png", dark(seed))
        save(tmp_path / "light" / f"b{seed}" / "1.png", scene(seed))
    message = refusal(None, low=tmp_path / "dark", high=tmp_path / "light")
    assert f"have no names in common. Received: {tmp_path}/dark/a0, " in message
