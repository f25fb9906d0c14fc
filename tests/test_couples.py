"""Which folder is which side of pairs: told by names before light, and never guessed."""

import pytest

from lowlight.data.couples import place_of, told_by_light
from tests.conftest import scene
from tests.test_layouts import dark, refusal, save, write_sides


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
