"""What a card tells of a training: each number of its stage, and what of earlier ones still holds."""

import dataclasses
import json
from types import SimpleNamespace

import pytest

from lowlight.data.pairs import Pair, Split
from lowlight.settings import TrainingSettings
from lowlight.training import card
from lowlight.training.checkpoint import State
from lowlight.zoo import registry
from lowlight.zoo.recipes import RECIPES, Stage

RESTORED = {"part": "restoration", "samples": 320, "data": {"name": "pairs"}}
EARLIER = {
    "name": "model_12",
    "recipe": {"number": 12, "epochs": 99},
    "training": {"minutes": 150.0, "steps": 9000, "val_psnr": 20.5},
    "stages": [{"part": "whole", "samples": 99}],
}


def training(folder, learns="exposure", earlier=None, **settings):
    """A run in its second stage: 40 steps of 8 crops and 2 minutes were the first, 10 steps and 1 minute this one."""
    plan = dataclasses.replace(RECIPES[12], crop=100, batch_size=64, learning_rate=0.5, final_rate=0.25)
    photos = [Pair(name, folder / name, folder / name) for name in "abcdef"]
    (folder / "model_12.weights.h5").write_bytes(b"weights")
    state = State({}, epoch=2, step=4, total_steps=50, seconds=180.0, waited=18.0, stage=1, best_epoch=2.123, stages=[])
    state.stages, state.best_psnr = [RESTORED], 19.87654321
    state.stage_began = {"epoch": 2, "steps": 40, "seconds": 120.0}
    return SimpleNamespace(
        settings=TrainingSettings(12, seed=7, start="12" if earlier else None, **settings),
        recipe=RECIPES[12],
        plan=plan,
        stage=Stage(learns),
        split=Split(tuple(photos[:3]), tuple(photos[3:5]), tuple(photos[5:]), "by hand"),
        about={"name": "pairs", "licence": "none"},
        batches=SimpleNamespace(batch_size=64, steps=16),
        state=state,
        folder=folder,
        measured=SimpleNamespace(count_params=lambda: 12),
        earlier=earlier or {},
        started_from={"name": "model_12", "sha256": "0123"} if earlier else None,
    )


def written(trainer) -> dict:
    card.write(trainer)
    return json.loads((trainer.folder / "model_12.json").read_text())


def test_a_stage_is_told_by_its_own_steps_minutes_rate_and_shares(tmp_path):
    facts = card.facts(training(tmp_path))
    told = {name: facts[name] for name in ("part", "steps", "samples", "batch_size", "minutes", "seed")}
    assert told == {"part": "exposure", "steps": 10, "samples": 640, "batch_size": 64, "minutes": 1.0, "seed": 7}
    assert (facts["learning_rate"], facts["final_rate"]) == (0.5, 0.25)
    assert facts["mixture"] == list(RECIPES[12].exposure_mixture)
    assert not {"loss", "remembered"} & facts.keys()  # exposure has a loss of its own
    assert card.facts(training(tmp_path, remember=True))["remembered"]
    for part, name in (("restoration", "restoration"), (None, "whole")):
        facts = card.facts(training(tmp_path, part))
        assert (facts["part"], facts["loss"], facts["mixture"]) == (name, RECIPES[12].loss, list(RECIPES[12].mixture))


def test_the_card_tells_of_all_stages_and_of_the_whole_run(tmp_path):
    found = written(training(tmp_path))
    assert [stage["part"] for stage in found["stages"]] == ["restoration", "exposure"]
    expected = {"epochs": 2.25, "steps": 50, "minutes": 3.0, "waited_for_data": 0.1, "best_epoch": 2.12}
    # Whole photos that exposure learns from are no crops.
    expected |= {"crops": 320, "megapixels": 3.2, "val_psnr": 19.8765, "started_from": None}
    assert {name: found["training"][name] for name in expected} == expected
    assert found["data"] == {"name": "pairs", "licence": "none", "train": 3, "val": 2, "test": 1, "split": "by hand"}
    assert (found["recipe"]["number"], found["recipe"]["seed"], found["recipe"]["mixed_precision"]) == (12, 7, False)
    assert found["architecture"] == RECIPES[12].graph
    assert found["parameters"] == 12
    assert found["weights"] == registry.facts_of(tmp_path / "model_12.weights.h5")
    assert not {"validation", "has_seen_validation"} & found.keys()


def test_what_a_part_leaves_as_it_was_is_told_as_it_was_if_it_is_of_the_same_model(tmp_path):
    found = written(training(tmp_path, earlier=EARLIER))
    assert found["recipe"]["epochs"] == RECIPES[12].epochs  # all of the model was trained
    of_a_part = training(tmp_path, earlier=EARLIER, part="exposure")
    found = written(of_a_part)
    assert found["recipe"] == EARLIER["recipe"]
    assert found["training"] == EARLIER["training"] | {"val_psnr": 19.8765}
    assert [stage["part"] for stage in found["stages"]] == ["whole", "restoration", "exposure"]
    assert found["stages"][-1]["started_from"] == {"name": "model_12", "sha256": "0123"}
    of_a_part.earlier = EARLIER | {"name": "model_11"}
    found = written(of_a_part)
    assert found["recipe"]["epochs"] == RECIPES[12].epochs
    assert found["training"]["started_from"] == {"name": "model_12", "sha256": "0123"}


@pytest.mark.parametrize(
    ("earlier", "all_pairs", "told"),
    [
        ({"metrics": {"val": {"psnr": 20.1}}}, True, {"validation": {"psnr": 20.1}}),
        ({"validation": {"psnr": 20.2}}, True, {"validation": {"psnr": 20.2}}),
        ({"validation": {"psnr": 20.2}}, False, {"has_seen_validation": True}),
        ({"has_seen_validation": True}, False, {"has_seen_validation": True}),
        ({"metrics": {"val": {"psnr": 20.1}}}, False, {}),
    ],
)
def test_whether_validation_photos_were_learnt_from_is_told(earlier, all_pairs, told, tmp_path):
    found = written(training(tmp_path, earlier=EARLIER | earlier, all_pairs=all_pairs))
    assert {name: found[name] for name in ("validation", "has_seen_validation") if name in found} == told
    assert found["training"]["val_psnr"] == (20.5 if all_pairs else 19.8765)
