"""Which plan a training goes by: a recipe, what the command line changes in it, and what it refuses."""

import dataclasses

import pytest

from lowlight.errors import UserError
from lowlight.settings import TrainingSettings
from lowlight.training import stages
from lowlight.zoo.recipes import RECIPES


def test_larger_batches_go_with_a_rate_larger_by_the_square_root_and_what_is_set_by_hand_stays():
    plan = RECIPES[12]
    scaled = stages.adapted(plan, TrainingSettings(12, batch_scale=4))
    assert (scaled.batch_size, scaled.learning_rate) == (4 * plan.batch_size, 2 * plan.learning_rate)
    before, after = plan.stages[1].changes, scaled.stages[1].changes
    assert (after["batch_size"], after["learning_rate"]) == (4 * before["batch_size"], 2 * before["learning_rate"])
    by_hand = TrainingSettings(12, batch_scale=4, batch_size=5, start="x", part="exposure")
    alone = stages.adapted(plan, by_hand)
    assert stages.planned(alone, alone.stages[0], by_hand).batch_size == 5
    assert stages.planned(alone, alone.stages[0], by_hand).learning_rate == 2 * before["learning_rate"]


def test_a_crop_asked_for_is_in_every_stage_as_small_as_the_smallest_photo_needs():
    settings = TrainingSettings(12, crop=512)
    plan = dataclasses.replace(stages.adapted(RECIPES[12], settings), crop=400)
    assert {stages.planned(plan, stage, settings).crop for stage in plan.stages} == {400}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"epochs": 3, "minutes": 5.0}, "--epochs 3 and --minutes 5. Give one"),
        ({"crop": 64, "part": "exposure", "start": "x"}, "--crop 64 with --part exposure"),
        ({"remember": True, "part": "restoration", "start": "x"}, "--remember without --part exposure"),
        ({"part": "exposure"}, "--part exposure for model 12 without --start. Give both"),
        ({"resume": True, "overwrite": True}, "--resume and --overwrite. Give one"),
    ],
)
def test_what_would_change_nothing_is_refused(words, said):
    with pytest.raises(UserError, match=said):
        stages.adapted(RECIPES[12], TrainingSettings(12, **words))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"minutes": float("nan")}, "--minutes must be a number above 0. Received: nan"),
        ({"minutes": 0.0}, "--minutes must be a number above 0. Received: 0"),
        ({"learning_rate": float("inf")}, "--learning-rate must be a number above 0. Received: inf"),
        ({"batch_scale": 0.0}, "--batch-scale must be a number above 0. Received: 0"),
        ({"workers": 0}, "--workers must be a number above 0. Received: 0"),
        ({"epochs": 0}, "--epochs must be a number above 0. Received: 0"),
        ({"learning_rate": 1e39}, r"--learning-rate must be from 1.175e-38 to 3.403e\+38. Received: 1e\+39"),
        ({"learning_rate": 1e-39}, "--learning-rate must be from 1.175e-38 to .* Received: 1e-39"),
        ({"batch_scale": 10**400}, r"--batch-scale must be from 0 to 1e\+09. Received: 1000"),
        ({"epochs": 10**400}, r"--epochs must be from 0 to 1e\+09. Received: 1000"),
        ({"workers": 10**6}, "--workers must be from 1 to 1024. Received: 1000000"),
        ({"seed": -1}, "--seed must be from 0 to 4294967295. Received: -1"),
        ({"seed": 2**32}, "--seed must be from 0"),
    ],
)
def test_numbers_out_of_range_are_refused(words, said):
    with pytest.raises(UserError, match=said):
        stages.adapted(RECIPES[12], TrainingSettings(12, **words))


def test_the_former_name_of_a_part_works_and_the_present_one_is_said(news):
    plan = RECIPES[11]
    (stage,) = stages.adapted(plan, TrainingSettings(11, start="earlier", part="guess")).stages
    assert stage.part == "exposure"
    assert "--part exposure" in news.text


def test_a_part_alone_has_all_of_the_budget_and_what_the_stage_of_that_part_changes():
    stage = next(stage for stage in RECIPES[12].stages if stage.part == "exposure")
    (alone,) = stages.adapted(RECIPES[12], TrainingSettings(12, start="earlier", part="exposure")).stages
    assert stage.share < 1
    assert alone == dataclasses.replace(stage, share=1.0)
