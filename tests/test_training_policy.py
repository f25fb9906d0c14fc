"""What a recipe asks for is what happens: losses, rates, clipping, stages, averages, and which weights are kept.

Each of these could be lost without an error, and a long training would only be a little worse.
"""

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from lowlight.backend import keras, layers
from lowlight.data.pairs import Split
from lowlight.errors import UserError
from lowlight.imaging.exposure import BLACK
from lowlight.networks import architectures
from lowlight.settings import TrainingSettings
from lowlight.training import checkpoint, progress, validation
from lowlight.training import trainer as training
from lowlight.training.checkpoint import State
from lowlight.training.devices import Processes
from lowlight.training.losses import mae
from lowlight.training.objectives import compiled
from lowlight.training.trainer import Trainer, train
from lowlight.zoo import registry
from lowlight.zoo.recipes import RECIPES, Recipe, Stage
from tests.conftest import make_pair, scene

RATE = 0.01


def tiny() -> keras.Model:
    """Three filters: one 1x1 convolution."""
    photo = keras.Input((None, None, 3), name="photo")
    return keras.Model({"photo": photo}, layers.Conv2D(3, 1, name="output")(photo))


def test_small_gradients_survive_in_float16():
    halved = architectures.build("residual_unet", "mixed_float16")
    assert isinstance(compiled(RECIPES[10], halved, None).optimizer, keras.optimizers.LossScaleOptimizer)
    assert not isinstance(compiled(RECIPES[10], tiny(), None).optimizer, keras.optimizers.LossScaleOptimizer)


def eager(plan, model, part=None) -> keras.Model:
    """Compiled by a plan, and run step by step: to trace a graph would take longer than these few steps."""
    model = compiled(plan, model, part)
    model.run_eagerly = True
    return model


@pytest.fixture(autouse=True)
def _tiny_and_eager(monkeypatch):
    monkeypatch.setitem(architectures.BUILDERS, "tiny", tiny)
    monkeypatch.setattr(training, "compiled", eager)


def recipe(**changes) -> Recipe:
    """A recipe of seconds: `tiny` in crops of 16, with no batch of two epochs alike."""
    plan = Recipe(99, "An idea.", "A reason.", "tiny", {}, 12, learning_rate=RATE, final_rate=0.01, epochs=4)
    return dataclasses.replace(plan, **{"crop": 16, "batch_size": 2, "crops_per_photo": 4} | changes)


@pytest.fixture
def pairs(tmp_path) -> Split:
    found = [make_pair(tmp_path / "set", str(seed), scene(seed, 32, 32) // 8, scene(seed, 32, 32)) for seed in range(3)]
    return Split(tuple(found[:2]), tuple(found[2:]), (), "by hand")


@pytest.fixture
def begun(pairs, tmp_path):
    """What makes a trainer of a stage of a plan, where the run stands as told."""

    def begin(plan, number=0, state=None, **settings):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        return Trainer(
            plan, number, TrainingSettings(99, output=folder, **settings), pairs, {}, state or State({}), Processes()
        )

    return begin


def identities() -> keras.Model:
    """Outputs as of a global-local model, that are its inputs at first."""
    photo, overview = keras.Input((16, 16, 3), name="photo"), keras.Input((8, 8, 1), name="overview")
    base = layers.Dense(3, use_bias=False, kernel_initializer="identity", name="base")(photo)
    exposure = layers.Dense(1, use_bias=False, kernel_initializer="ones", name="guess")(overview)
    outputs = {"output": layers.Identity(name="output")(base), "base": base}
    outputs |= {"guess": exposure, "right": layers.Identity(name="right")(exposure)}
    return keras.Model({"photo": photo, "overview": overview}, outputs)


@pytest.mark.parametrize(("name", "cost"), [("output", 0.1), ("base", 0.02), ("guess", 0.005), ("right", 0.005)])
def test_an_error_in_each_output_of_a_global_local_model_costs_what_it_should(name, cost):
    """By 0.1 everywhere: the output counts once, its base a fifth, each map of exposure a twentieth."""
    model = eager(dataclasses.replace(RECIPES[11], loss="mae"), identities())
    inputs = {"photo": np.full((1, 16, 16, 3), 0.4, "f4"), "overview": np.full((1, 8, 8, 1), np.log(0.5), "f4")}
    truths = {"output": inputs["photo"], "base": inputs["photo"], "guess": inputs["overview"]}
    truths["right"] = inputs["overview"]
    wrong = np.full((1, 8, 8, 1), np.log(0.6), "f4") if name in ("guess", "right") else inputs["photo"] + 0.1
    losses = [model.test_on_batch(inputs, of, return_dict=True)["loss"] for of in (truths, truths | {name: wrong})]
    assert losses[1] - losses[0] == pytest.approx(cost, rel=1e-3)


@pytest.mark.parametrize(("clip", "norm"), [(None, 40), (1.0, 1)])
def test_gradients_are_clipped_to_the_norm_of_the_recipe(clip, norm):
    """The first moment of Adam is a tenth of the gradient after one step."""
    model = eager(recipe(loss="mse", clip=clip), tiny())
    model.train_on_batch({"photo": np.ones((1, 16, 16, 3), "f4")}, np.full((1, 16, 16, 3), 100, "f4"))
    (moment,) = (np.asarray(v) for v in model.optimizer.variables if "momentum" in v.path and "kernel" in v.path)
    found = 10 * np.linalg.norm(moment)
    assert found == pytest.approx(1, rel=1e-3) if clip else found > norm


def test_weights_decay_by_what_the_recipe_says_where_there_is_no_gradient():
    model = eager(recipe(loss="mse", weight_decay=0.5), tiny())
    before = model.get_weights()[0]
    black = np.zeros((1, 16, 16, 3), "f4")
    model.train_on_batch({"photo": black}, black)
    np.testing.assert_allclose(model.get_weights()[0], before * (1 - RATE * 0.5), rtol=1e-5)


def test_an_empty_name_to_start_from_is_no_start_from_nothing(begun):
    with pytest.raises(UserError, match="There is no such model. Received: "):
        begun(recipe(), start="")


def test_weights_and_crops_begin_alike_for_one_seed_and_otherwise_for_another(begun):
    one, again, other = (begun(recipe(), seed=seed) for seed in (1, 1, 2))
    for look in (lambda trainer: trainer.model.get_weights()[0], lambda trainer: trainer.batches[0][1]):
        np.testing.assert_array_equal(look(one), look(again))
        assert not np.array_equal(look(one), look(other))


@pytest.mark.parametrize("mixed", [True, False])
def test_half_precision_is_computed_in_if_it_is_asked_for_and_the_weights_stay_whole(begun, mixed):
    plan = recipe(architecture="residual_unet", settings={"widths": (4, 4, 4, 4)})
    model = begun(plan, mixed_precision=mixed).model
    assert any("float16" in layer.compute_dtype for layer in model.layers) == mixed
    assert {weight.dtype for weight in model.weights} == {"float32"}


@pytest.mark.parametrize(("flips", "most"), [(True, 4), (False, 1)])
def test_crops_are_flipped_only_if_the_recipe_says_so(begun, flips, most):
    """Of two photos, each of them one crop."""
    batches = begun(recipe(crop=32, crops_per_photo=32, flips=flips)).batches
    seen = {truth.tobytes() for index in range(len(batches)) for truth in batches[index][1]}
    assert len(seen) == 2 * most


def test_the_rate_rises_over_the_steps_of_the_warm_up_and_falls_over_the_stage(begun):
    trainer = begun(recipe(warm_up=9))
    assert trainer.rate == pytest.approx(RATE / 10)
    trainer.state.total_steps = 4
    assert trainer.rate == pytest.approx(RATE / 2)
    trainer.state.total_steps = 9
    assert trainer.rate == pytest.approx(RATE)
    trainer.state.epoch = 2
    assert trainer.rate == pytest.approx(RATE * 0.01**0.5)
    trainer.state.epoch = 4
    assert trainer.rate == pytest.approx(RATE * 0.01)
    trainer.state.epoch, trainer.state.step, trainer.state.total_steps = 0, 1, 0
    assert trainer.rate == pytest.approx(RATE * 0.01 ** (1 / 16) * 10 / 16)  # it is over after a tenth of the stage


def test_a_stage_lasts_its_share_of_the_epochs_or_minutes(begun):
    plan = recipe(stages=(Stage(None, 0.75), Stage(None, 0.25, {"learning_rate": 0.5})))
    first = begun(plan, state=State({}, epoch=1, step=2))
    assert first.done == pytest.approx(1.5 / 3)
    began = {"epoch": 3, "steps": 12, "seconds": 45.0}
    second = begun(plan, 1, State({}, epoch=3, step=2, stage=1, stage_began=began))
    assert second.done == pytest.approx(0.5 / 1)
    by_time = begun(plan, 1, State({}, epoch=3, seconds=51.0, stage=1, stage_began=began), minutes=1)
    assert by_time.done == pytest.approx(6 / 15)
    assert float(by_time.schedule(0.0)) == pytest.approx(0.5)


def test_a_run_that_is_stopped_goes_on_at_the_rate_where_it_stood(pairs, tmp_path, monkeypatch, interrupted_after):
    """Of eight steps an epoch; the rate is set every eight, which is at its beginning."""
    monkeypatch.setitem(RECIPES, 99, recipe(crops_per_photo=8))
    settings = TrainingSettings(99, epochs=3, output=tmp_path / "run")

    with interrupted_after(9), pytest.raises(KeyboardInterrupt):
        train(settings, "latest", (pairs, {"name": "tiny", "licence": "none"}))
    train(settings, "latest", (pairs, {"name": "tiny", "licence": "none"}))
    with (tmp_path / "run" / "history.csv").open() as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([RATE, RATE * 0.01 ** (1 / 3), RATE * 0.01 ** (2 / 3)], rel=1e-3)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize(("rate", "crops"), [(1e20, 4), (1e38, 4), (1e38, 1)])
def test_what_diverges_between_two_looks_is_said_and_not_kept(pairs, tmp_path, monkeypatch, rate, crops):
    """In the fewer steps than there are between two looks: the epoch's mean tells, the scores do, or have no end."""
    monkeypatch.setitem(RECIPES, 99, recipe(loss="mse", crops_per_photo=crops))
    settings = TrainingSettings(99, epochs=1, learning_rate=rate, output=tmp_path / "run")
    with pytest.raises(UserError, match="Training diverged: .* Received: (nan|inf) at step"):
        train(settings, "latest", (pairs, {"name": "tiny", "licence": "none"}))
    assert not list((tmp_path / "run").glob("model_99*"))


def test_weights_that_the_last_step_spoils_are_not_kept_where_nothing_is_validated(pairs, tmp_path, monkeypatch):
    """The loss of a step, which was finite, is that of the weights before it."""

    def spoilt(trainer, callbacks):
        history = fit(trainer, callbacks)
        trainer.model.set_weights([weight * np.nan for weight in trainer.model.get_weights()])
        return history

    monkeypatch.setitem(RECIPES, 99, recipe())
    settings, about = TrainingSettings(99, epochs=1, output=tmp_path / "first"), {"name": "tiny", "licence": "none"}
    card = registry.files_of(train(settings, "latest", (pairs, about)))[0]
    registry.write_card(tmp_path / "first" / "model_99.json", card | {"metrics": {"val": {"psnr": 12.34}}})
    further = TrainingSettings(99, epochs=1, output=tmp_path / "run", start=str(tmp_path / "first"), all_pairs=True)
    fit = Trainer._fit
    monkeypatch.setattr(Trainer, "_fit", spoilt)
    with pytest.raises(UserError, match="Training diverged: the weights are no numbers any more. Received: nan at"):
        train(further, "latest", (pairs, about))
    assert not list((tmp_path / "run").glob("model_99*"))


def test_pairs_that_are_called_alike_but_are_others_are_not_gone_on_with(pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, 99, recipe())
    settings, about = TrainingSettings(99, epochs=1, output=tmp_path / "run"), {"name": "tiny", "licence": "none"}
    train(settings, "latest", (pairs, about))
    others = [make_pair(tmp_path / "other", pair.name, scene(7, 32, 32) // 9, scene(7, 32, 32)) for pair in pairs.train]
    with pytest.raises(UserError, match=r"a run with another size of the pairs' files \(.*\). Give the same again"):
        train(settings, "latest", (dataclasses.replace(pairs, train=tuple(others)), about))


def test_a_run_is_not_begun_in_the_folder_of_another_model(pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, 99, recipe())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model_10.json").write_text("{}")
    settings = TrainingSettings(99, epochs=1, output=tmp_path / "run", overwrite=True)
    with pytest.raises(UserError, match="holds another model. Received: .*run with model_10 for model_99"):
        train(settings, "latest", (pairs, {"name": "tiny", "licence": "none"}))


def test_a_run_that_was_begun_under_former_names_goes_on_under_the_new_ones(tmp_path):
    facts = dataclasses.asdict(State({"views": [1.0]}, history=[{"epoch": 1, "val_psnr_told": 21.5}]))
    del facts["arrays"]
    np.savez(tmp_path / "state.npz", facts=np.array(json.dumps(facts)))
    now = {"exposure_mixture": [1.0], checkpoint.SIZE: 5}  # which was not known then
    checkpoint.save(checkpoint.open_run(tmp_path, now, False, False), tmp_path)
    assert (tmp_path / "history.csv").read_text() == "epoch,val_psnr_oracle\n1,21.5\n"
    assert checkpoint.load(tmp_path).made_by == now


def test_a_finished_run_that_is_gone_on_with_is_not_finished(tmp_path):
    checkpoint.save(State({"seed": 0}, total_steps=9, finished=True), tmp_path)
    state = checkpoint.open_run(tmp_path, {"seed": 0}, resume=True, overwrite=False)
    assert (state.total_steps, state.finished) == (9, False)


def flat(value):
    """Weights of `tiny` that are all one value."""
    return [np.full((1, 1, 3, 3), value, "f4"), np.full(3, value, "f4")]


@pytest.mark.parametrize(("keep_last", "kept"), [(False, 0.25), (True, 0.5)])
def test_the_weights_of_the_lowest_validation_loss_are_kept_or_the_last_if_the_recipe_says_so(
    begun, monkeypatch, keep_last, kept
):
    trainer = begun(recipe(keep_last=keep_last))
    for weight, loss in ((0.125, 0.3), (0.25, 0.1), (0.5, 0.2)):
        monkeypatch.setattr(training, "validate", lambda *_, loss=loss, **__: {"val_loss": loss, "val_psnr": 20.0})
        trainer.model.set_weights(flat(weight))
        trainer._validate_and_keep(1)
    np.testing.assert_array_equal(registry.load_network(trainer.folder)[0].get_weights()[1], [kept] * 3)


@pytest.mark.parametrize(("average", "kept"), [(None, 1.0), (0.9, 0.5)])
def test_the_averaged_weights_are_what_is_validated_and_kept(begun, monkeypatch, average, kept):
    trainer = begun(recipe(average=average))
    trainer.model.set_weights(flat(1.0))
    if average:
        trainer.averages.values = flat(0.25)
        trainer.averages.move(flat(1.0), 2 / 3)
    seen = []

    def validate(enhancer, *_, **__):
        seen.append(enhancer(np.zeros((16, 16, 3), "f4")).max())
        return {"val_loss": 1.0, "val_psnr": 20.0}

    monkeypatch.setattr(training, "validate", validate)
    trainer._validate_and_keep(1)
    assert seen == pytest.approx([kept])
    np.testing.assert_allclose(registry.load_network(trainer.folder)[0].get_weights()[1], [kept] * 3)


def test_while_a_model_trains_its_averages_follow_its_weights(begun):
    trainer = begun(recipe(average=0.999, epochs=2, crops_per_photo=8))
    before = [array.copy() for array in trainer.averages.values]
    trainer.run()
    for first, average, last in zip(before, trainer.averages.values, trainer.model.get_weights(), strict=True):
        assert 0 < np.abs(average - first).max() < np.abs(last - first).max()


def test_a_run_that_has_had_its_epochs_says_that_nothing_is_left_to_train(begun, news):
    plan = recipe(epochs=1, keep_last=True)
    trained = begun(plan)
    trained.run()
    assert "nothing is left" not in news.text
    begun(plan, state=trained.state).run()
    assert "nothing is left to train after 1 epoch," in news.text


def test_what_is_left_of_a_training_is_seen_on_a_terminal_of_80_columns(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=shown, force_terminal=True, width=80))
    row = {"epoch": 9, "minutes": 60, "learning_rate": 1e-3, "loss": 0.1, "psnr": 20, "val_loss": 0.1, "val_psnr": 20}
    with progress.TrainingProgress() as line:
        line.epoch_ended(row | {"val_psnr_oracle": 27}, 20)
        line.step(State({}, epoch=10, step=1234), 1240, 0.5, {"loss": -0.5})
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue()).splitlines()[-1]
    assert "step 1234/1240" in last
    assert "val PSNR 20.00" in last
    assert last.endswith("left")


class Recorder:
    """In place of an enhancer: as bright as it is told, and as it was where it is not; it notes what it is told."""

    takes_exposure_map = True

    def __init__(self):
        self.given = []

    def __call__(self, photo, target_exposure=None):
        self.given.append(target_exposure)
        return photo if target_exposure is None else np.full_like(photo, np.exp(target_exposure[0, 0, 0]) - BLACK)


def test_validation_gives_the_exposure_of_the_reference_or_none(tmp_path):
    pair = make_pair(tmp_path, "a", 51, 102)
    oracle, own = Recorder(), Recorder()
    scores = validation.validate(oracle, [pair], mae)
    assert oracle.given[0] is None
    np.testing.assert_allclose(oracle.given[1], np.log(0.4 + 0.02), atol=1e-5)
    assert scores["val_loss"] == pytest.approx(0, abs=1e-5)
    assert scores.keys() == {"val_loss", "val_psnr", "val_mae", "val_mse", "val_psnr_oracle"}
    assert (scores["val_psnr"], scores["val_psnr_oracle"]) == (pytest.approx(13.9794, abs=1e-4), 100)
    alone = validation.validate(own, [pair], mae, oracle=False)
    assert alone["val_loss"] == pytest.approx(0.2, abs=1e-5)
    assert "val_psnr_oracle" not in alone
    assert own.given == [None]


@pytest.mark.parametrize(("part", "oracle"), [(None, True), ("restoration", True), ("exposure", False)])
def test_where_exposure_learns_validation_has_to_predict_it(begun, monkeypatch, part, oracle):
    monkeypatch.setitem(architectures.BUILDERS, "global_local", identities)
    plan = recipe(architecture="global_local", stages=(Stage(part),))
    asked = []

    def validate(*_, oracle=True):
        asked.append(oracle)
        return {"val_loss": 1.0, "val_psnr": 20.0}

    monkeypatch.setattr(training, "validate", validate)
    begun(plan)._validate_and_keep(1)
    assert asked == [oracle]
