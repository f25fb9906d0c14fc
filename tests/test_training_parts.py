"""What a training starts from, and which part of a model it trains: exposure, restoration, a wider graph, all pairs."""

import dataclasses
import signal

import numpy as np
import pytest

from lowlight.backend import keras
from lowlight.data.pairs import load_split
from lowlight.data.samplers import Remembered
from lowlight.errors import UserError
from lowlight.networks import architectures
from lowlight.settings import TrainingSettings
from lowlight.training import checkpoint, trainer
from lowlight.training.checkpoint import State
from lowlight.training.stages import adapted
from lowlight.training.trainer import Trainer, train
from lowlight.zoo import registry
from lowlight.zoo.recipes import RECIPES, Stage
from tests.test_training import history, quick


def as_trained(number, folder):
    """A folder as a training leaves it, but with fresh weights: to train takes seconds."""
    plan = RECIPES[number]
    weights = folder / f"{plan.name}.weights.h5"
    folder.mkdir()
    registry.save_weights(architectures.build(plan.architecture, **plan.settings), weights)
    card = {
        "name": plan.name,
        "generation": plan.generation,
        "architecture": plan.graph,
        "parameters": plan.parameters,
        "recipe": dataclasses.asdict(plan),
        "training": {"steps": 3, "val_psnr": None},
        "weights": {"file": weights.name, "sha256": registry.sha256(weights), "bytes": weights.stat().st_size},
    }
    registry.write_card(folder / f"{plan.name}.json", card)
    return folder


@pytest.mark.usefixtures("narrow")
def test_exposure_is_trained_alone_and_the_rest_stays_as_it_was(pairs_folder, tmp_path):
    whole = as_trained(11, tmp_path / "whole")
    changes = {
        "model": 11,
        "start": str(whole),
        "part": "exposure",
        "learning_rate": 1e-3,
        "crop": None,
        "batch_size": 16,
    }
    alone = quick(pairs_folder, tmp_path / "exposure", **changes)
    (before, card_before), (after, card) = (registry.load_network(folder) for folder in (whole, train(alone, "latest")))
    changed = {
        layer.name
        for layer, earlier in zip(after.layers, before.layers, strict=True)
        if any(not np.array_equal(*pair) for pair in zip(layer.get_weights(), earlier.get_weights(), strict=True))
    }
    assert changed
    assert all(name.startswith("guess") for name in changed)
    assert card["stages"][-1]["started_from"]["sha256"] == card_before["weights"]["sha256"]
    assert card["training"]["steps"] == card_before["training"]["steps"]
    assert card["recipe"] == card_before["recipe"]


@pytest.mark.usefixtures("narrow")
def test_what_a_model_predicted_is_what_it_is_to_predict_of_all_but_the_pairs_and_what_is_learnt(
    pairs_folder, tmp_path, monkeypatch
):
    whole = as_trained(12, tmp_path / "whole")
    changes = {"model": 12, "start": str(whole), "part": "exposure", "crop": None, "batch_size": 16}
    settings = quick(pairs_folder, tmp_path / "run", clean=(pairs_folder / "high",), remember=True, **changes)
    before, _ = registry.load_network(whole)
    remembered, draw = [], Remembered.draw_exposure

    def watched(self, rng):
        remembered.append(draw(self, rng))
        return remembered[-1]

    monkeypatch.setattr(Remembered, "draw_exposure", watched)
    _, card = registry.load_network(train(settings, "latest"))
    assert card["stages"][-1]["remembered"]
    parts = keras.Model(before.input["overview"], [before.output[name] for name in ("guess", "right")])
    for sample in [sample for sample in remembered if not sample.learnt][:3]:
        guess, right = parts.predict_on_batch(sample.overview[None].astype(np.float32))
        np.testing.assert_allclose(sample.exposure_map, guess[0], atol=1e-4)
        np.testing.assert_allclose(sample.right, right[0], atol=1e-4)
    assert remembered


@pytest.mark.usefixtures("narrow", "brief")
def test_a_recipe_goes_through_its_stages_and_a_run_stopped_between_them_goes_on_to_the_same_weights(
    pairs_folder, tmp_path, monkeypatch
):
    small = {"batch_size": 2, "crops_per_photo": 1, "warm_up": 0}
    parts = ("restoration", "exposure")
    plan = dataclasses.replace(RECIPES[11], keep_last=True, stages=tuple(Stage(part, 0.5, small) for part in parts))
    monkeypatch.setitem(RECIPES, 11, plan)
    monkeypatch.setattr(trainer, "validate", lambda *facts, **more: {"val_loss": 1.0, "val_psnr": 10.0})
    settings = dataclasses.replace(quick(pairs_folder, tmp_path / "one", model=11, epochs=2), batch_size=None)
    unbroken, card = registry.load_network(train(settings, "latest"))
    assert [stage["part"] for stage in card["stages"]] == list(parts)
    assert [stage.get("loss") for stage in card["stages"]] == [plan.loss, None]  # exposure has one of its own
    assert [row["stage"] for row in history(tmp_path / "one")] == ["1", "2"]

    begin = Trainer.__init__

    def fail_at_the_second(self, plan, number, *rest):
        if number:
            raise ZeroDivisionError
        begin(self, plan, number, *rest)

    monkeypatch.setattr(Trainer, "__init__", fail_at_the_second)
    settings = dataclasses.replace(settings, output=tmp_path / "two")
    with pytest.raises(ZeroDivisionError):
        train(settings, "latest")
    monkeypatch.setattr(Trainer, "__init__", begin)
    broken, _ = registry.load_network(train(settings, "latest"))
    for one, two in zip(unbroken.get_weights(), broken.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.usefixtures("narrow", "brief")
def test_a_run_that_is_stopped_at_the_end_of_a_stage_keeps_what_the_stage_has_learnt(
    pairs_folder, tmp_path, monkeypatch
):
    small = {"batch_size": 2, "crops_per_photo": 1, "warm_up": 0}
    stages = tuple(Stage(part, 0.5, small) for part in ("restoration", "exposure"))
    monkeypatch.setitem(RECIPES, 11, dataclasses.replace(RECIPES[11], keep_last=True, stages=stages))
    monkeypatch.setattr(trainer, "validate", lambda *facts, **more: {"val_loss": 1.0, "val_psnr": 10.0})
    settings = dataclasses.replace(quick(pairs_folder, tmp_path / "one", model=11, epochs=2), batch_size=None)
    unbroken, _ = registry.load_network(train(settings, "latest"))

    def score_and_stop(*facts, **more):
        monkeypatch.setattr(trainer, "validate", lambda *facts, **more: {"val_loss": 1.0, "val_psnr": 10.0})
        signal.raise_signal(signal.SIGINT)
        return {"val_loss": 1.0, "val_psnr": 10.0}

    monkeypatch.setattr(trainer, "validate", score_and_stop)
    settings = dataclasses.replace(settings, output=tmp_path / "two")
    with pytest.raises(KeyboardInterrupt):
        train(settings, "latest")
    assert checkpoint.load(tmp_path / "two").stage == 0
    broken, _ = registry.load_network(train(settings, "latest"))
    for one, two in zip(unbroken.get_weights(), broken.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_part_is_trained_as_the_recipe_has_it_in_its_own_stage():
    plan = dataclasses.replace(
        RECIPES[12], stages=(Stage("restoration", 0.5), Stage("exposure", 0.5, {"batch_size": 7}))
    )
    (stage,) = adapted(plan, TrainingSettings(12, part="exposure", start="12")).stages
    assert (stage.changes, stage.share) == ({"batch_size": 7}, 1.0)


def test_a_stage_may_measure_more_than_the_one_before_or_less(tmp_path):
    rows = [{"epoch": 1, "val_psnr": 20.0}, {"epoch": 2, "val_psnr_oracle": 21.5}]
    checkpoint.save(State({}, history=rows), tmp_path)
    assert (tmp_path / "history.csv").read_text() == "epoch,val_psnr,val_psnr_oracle\n1,20,\n2,,21.5\n"


def test_a_part_alone_has_the_whole_budget():
    settings = TrainingSettings(12, part="exposure", start="12", epochs=1)
    assert [(stage.part, stage.share) for stage in adapted(RECIPES[12], settings).stages] == [("exposure", 1.0)]


@pytest.mark.parametrize(("step", "epoch"), [(0, 2), (5, 3)])
def test_a_stage_begins_with_an_epoch_of_its_own_and_with_no_loss_to_stay_below(step, epoch):
    state = State({}, epoch=2, step=step, total_steps=25, seconds=9.0, best_loss=-1.0, arrays={"model": []})
    state.next_stage({"part": "restoration"}, [np.ones(3)])
    assert (state.epoch, state.step, state.stage, state.best_loss) == (epoch, 0, 1, None)
    assert state.stage_began == {"epoch": epoch, "steps": 25, "seconds": 9.0}
    assert (state.stages, list(state.arrays)) == ([{"part": "restoration"}], ["whole"])


def test_a_file_that_holds_a_whole_model_is_nothing_to_start_from(pairs_folder, tmp_path):
    photo = keras.Input((None, None, 3))
    keras.Model(photo, keras.layers.Conv2D(3, 1)(photo)).save(tmp_path / "own.keras")
    with pytest.raises(UserError, match="Only a model with a card .* Received: --start .*own.keras"):
        train(quick(pairs_folder, tmp_path / "run", start=str(tmp_path / "own.keras")), "latest")


@pytest.mark.usefixtures("narrow", "brief")
def test_a_wider_model_starts_from_a_narrower_one_and_its_card_tells_which(pairs_folder, tmp_path, monkeypatch):
    first = as_trained(11, tmp_path / "first")
    narrow, card_before = registry.load_network(first)
    settings = RECIPES[11].settings | {"widths": [16, 8], "coring": 1.0}
    plan = dataclasses.replace(RECIPES[12], settings=settings, stages=(Stage(),))
    monkeypatch.setitem(RECIPES, 12, plan)
    exposure = {"part": "exposure", "crop": None, "batch_size": 64}
    run = quick(pairs_folder, tmp_path / "wide", model=12, start=str(first), **exposure)
    wide, card = registry.load_network(train(run, "latest"))
    assert (narrow.get_layer("stem").filters, wide.get_layer("stem").filters) == (8, 16)
    assert card["recipe"]["number"] == 12
    assert card["stages"][-1]["started_from"]["sha256"] == card_before["weights"]["sha256"]
    with pytest.raises(
        UserError, match="as wide, or from a narrower one. Channels .* Received: 16 for .*, which has 8"
    ):
        train(quick(pairs_folder, tmp_path / "back", model=11, start=str(tmp_path / "wide")), "latest")


@pytest.mark.parametrize("changes", [{"model": 10, "start": "10"}, {"model": 11}])
def test_a_part_that_cannot_be_trained_is_refused(pairs_folder, tmp_path, changes):
    with pytest.raises(UserError, match="Received: --part exposure"):
        train(quick(pairs_folder, tmp_path / "run", part="exposure", **changes), "latest")


@pytest.mark.usefixtures("shallow", "brief")
def test_all_pairs_are_gone_on_with_once_the_scores_without_them_are_known(pairs_folder, tmp_path, news):
    first = train(quick(pairs_folder, tmp_path / "first"), "latest")
    more = quick(pairs_folder, tmp_path / "all", start=str(first), all_pairs=True)
    with pytest.raises(UserError, match="without scores in its card"):
        train(more, "latest")
    card = registry.load_network(first)[1]
    registry.write_card(first / "model_10.json", card | {"metrics": {"val": {"psnr": 12.34}}})
    _, card = registry.load_network(train(more, "latest"))
    assert card["data"]["train"] == len(load_split(pairs_folder).train) + len(load_split(pairs_folder).val)
    assert card["data"]["val"] == 0
    assert card["validation"] == {"psnr": 12.34}
    assert "nothing to validate on" in news.text
    further = quick(pairs_folder, tmp_path / "further", start=str(tmp_path / "all"), all_pairs=True)
    assert registry.load_network(train(further, "latest"))[1]["validation"] == {"psnr": 12.34}
    later = quick(pairs_folder, tmp_path / "later", start=str(tmp_path / "all"))
    assert registry.load_network(train(later, "latest"))[1]["has_seen_validation"]
    with pytest.raises(UserError, match="Received: --all-pairs without --start"):
        train(quick(pairs_folder, tmp_path / "none", all_pairs=True), "latest")
