"""The mean of models: of all weights or a part, with a card that tells of what, and what has none."""

import dataclasses

import numpy as np
import pytest

from lowlight.backend import keras
from lowlight.errors import UserError
from lowlight.io.lock import holding
from lowlight.settings import AverageSettings
from lowlight.system import versions
from lowlight.training.average import average
from lowlight.zoo import registry
from lowlight.zoo.recipes import RECIPES
from tests.test_training_parts import as_trained

pytestmark = pytest.mark.usefixtures("narrow")


def with_facts(folder, number=11, **facts):
    """A model of its own weights, and these facts in its card."""
    path = as_trained(number, folder) / f"model_{number:02}.json"
    registry.write_card(path, registry.load_network(folder)[1] | facts)
    return str(folder)


def weights(model):
    return {v.path: np.asarray(v) for v in registry.load_network(model)[0].weights}


def stage(seed, **facts):
    return {"part": "exposure", "minutes": 1.0, "steps": 9, "seed": seed} | facts


def test_the_mean_is_of_all_weights_and_its_card_tells_of_which_models(tmp_path):
    sets = [{"name": name, "licence": f"that of {name}"} for name in ("one", "two", "three")]
    first = with_facts(
        tmp_path / "first",
        stages=[stage(1)],
        data={"name": "pairs", "clean": sets[:2], "also": None},
        metrics={"val": {"psnr": 20.0}},
        training={"val_psnr": 20.0},
        versions={"keras": "3.0"},
        exports={},
    )
    data = {"name": "pairs", "clean": sets[1:], "also": sets[:1]}
    second = with_facts(tmp_path / "second", stages=[stage(1), stage(2)], data=data)
    mean = average(AverageSettings((first, second), output=tmp_path / "mean"))
    one, two, both = weights(first), weights(second), weights(mean)
    for path, value in both.items():
        np.testing.assert_allclose(value, (one[path] + two[path]) / 2, rtol=1e-3, atol=1e-6)  # saved in half precision
    card = registry.load_network(mean)[1]
    assert [of.get("seed") for of in card["stages"]] == [1, 2, None]
    assert [of["sha256"] for of in card["stages"][-1]["mean_of"]] == [
        registry.load_network(model)[1]["weights"]["sha256"] for model in (first, second)
    ]
    assert card["data"]["clean"] == sets
    assert card["data"]["also"] == sets[:1]
    assert card["stages"][-1]["part"] == "whole"
    assert not {"metrics", "exports"} & card.keys()
    assert card["training"]["val_psnr"] is None
    assert card["versions"] == versions()
    assert "has_seen_validation" not in card


def test_a_model_that_is_named_twice_counts_twice(tmp_path):
    first, second = with_facts(tmp_path / "first"), with_facts(tmp_path / "second")
    folder = average(AverageSettings((first, first, second), output=tmp_path / "mean"))
    mean, one, two = weights(folder), weights(first), weights(second)
    for path, value in mean.items():
        np.testing.assert_allclose(value, (2 * one[path] + two[path]) / 3, rtol=1e-3, atol=1e-6)
    of = registry.load_network(folder)[1]["stages"][-1]["mean_of"]
    assert [entry["times"] for entry in of] == [2, 1]


def test_the_mean_of_a_part_leaves_the_rest_as_it_is_in_the_first_also_if_that_is_wider(tmp_path, monkeypatch):
    second = with_facts(tmp_path / "second", has_seen_validation=True, name="model_12")
    settings = RECIPES[11].settings | {"widths": [16, 8]}
    monkeypatch.setitem(RECIPES, 11, dataclasses.replace(RECIPES[11], settings=settings))
    first = with_facts(tmp_path / "first")
    before = weights(first)
    with pytest.raises(
        UserError, match="same graph have a mean. Received: .*first and .*second, which differ in it.* --part exposure"
    ):
        average(AverageSettings((first, second), output=tmp_path / "mean"))
    mean = average(AverageSettings((first, second), "exposure", tmp_path / "mean"))
    changed = {path for path, value in weights(mean).items() if not np.array_equal(value, before[path])}
    assert changed
    assert all(path.startswith("guess") for path in changed)
    card = registry.load_network(mean)[1]
    assert card["has_seen_validation"]
    assert card["stages"][-1]["part"] == "exposure"
    assert sorted(path.name for path in mean.iterdir()) == ["model_11.json", "model_11.weights.h5"]


def test_a_mean_has_seen_validation_if_one_model_has_which_was_scored_before(tmp_path):
    first = with_facts(tmp_path / "first", validation={"psnr": 20.0})
    second = with_facts(tmp_path / "second")
    card = registry.load_network(average(AverageSettings((first, second), output=tmp_path / "mean")))[1]
    assert card["has_seen_validation"]
    assert "validation" not in card


def test_what_has_no_mean_is_refused(tmp_path):
    first = with_facts(tmp_path / "first")
    with pytest.raises(UserError, match="two models or more. Received: 12"):
        AverageSettings(("12",))
    with pytest.raises(UserError, match="have no parts. Received: --part exposure"):
        average(AverageSettings(("10", "10"), "exposure", tmp_path / "mean"))
    with pytest.raises(UserError, match="Received: --output .*first"):
        average(AverageSettings((first, first), output=tmp_path / "first"))
    with pytest.raises(UserError, match="have no parts. Received: --part exposure for .*first 10"):
        average(AverageSettings((first, "10"), "exposure", tmp_path / "mean"))
    for models in ((first, "10"), (first, first, "10")):
        with pytest.raises(UserError, match=r"and 10, which differ in it\. Name models of one graph\.$"):
            average(AverageSettings(models, output=tmp_path / "mean"))
    assert not list((tmp_path / "mean").glob("*"))
    before = weights(first)
    again = weights(average(AverageSettings((first, first), output=tmp_path / "first", overwrite=True)))
    for path, value in again.items():
        np.testing.assert_array_equal(value, before[path])


def test_a_file_without_a_card_has_no_mean_and_nothing_is_written(tmp_path):
    photo = keras.Input((None, None, 3))
    keras.Model(photo, keras.layers.Conv2D(3, 1)(photo)).save(tmp_path / "own.keras")
    own = str(tmp_path / "own.keras")
    with pytest.raises(UserError, match="Only a model with a card .* Received: .*own.keras"):
        average(AverageSettings((own, own), output=tmp_path / "mean"))
    assert not (tmp_path / "mean").exists()


def test_a_run_that_could_go_on_is_not_averaged_over(tmp_path):
    first = with_facts(tmp_path / "first")
    (tmp_path / "first" / "state.npz").write_bytes(b"")
    before = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    with pytest.raises(UserError, match="A run goes on in that folder. Received: --output .*first"):
        average(AverageSettings((first, first), output=tmp_path / "first", overwrite=True))
    assert {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()} == before


def test_models_whose_weights_alone_are_alike_have_no_mean(tmp_path):
    with pytest.raises(UserError, match="Received: 5 and 6, which differ in it"):  # skip connections have no weights
        average(AverageSettings(("5", "6"), output=tmp_path / "mean"))


def test_a_folder_where_a_process_trains_is_left_alone(tmp_path):
    first = with_facts(tmp_path / "first")
    (tmp_path / "mean").mkdir()
    with holding(tmp_path / "mean" / ".lock") as mine:
        assert mine
        with pytest.raises(UserError, match="Another process trains in that folder"):
            average(AverageSettings((first, first), output=tmp_path / "mean"))


def test_a_folder_holds_one_model(tmp_path):
    first = with_facts(tmp_path / "first")
    (tmp_path / "mean").mkdir()
    (tmp_path / "mean" / "model_10.json").write_text("{}")
    with pytest.raises(UserError, match="holds another model. Received: .*mean with model_10 for model_11"):
        average(AverageSettings((first, first), output=tmp_path / "mean", overwrite=True))
