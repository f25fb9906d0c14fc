"""The ladder's graphs: sizes, names, exact parameter counts."""

from functools import cache

import numpy as np
import pytest

from lowlight.errors import UserError
from lowlight.networks import architectures
from lowlight.zoo.recipes import RECIPES, recipe


@cache
def build(number):
    """A model's graph, made once: no test changes it."""
    plan = recipe(number)
    return architectures.build(plan.architecture, **plan.settings)


def inputs_of(model, height=32, width=48, batch=1):
    rng = np.random.default_rng(0)
    inputs = {
        "photo": rng.random((batch, height, width, 3), np.float32),
        "gain": np.full((batch, 1, 1, 1), 3, "f4"),
        "thumbnail": rng.random((batch, 64, 64, 3), np.float32),
        "overview": rng.random((batch, 64, 64, 5), np.float32),
        "box": np.tile(np.array([0, 0, 1, 1], "f4"), (batch, 1)),
        "level": np.full((batch, 8, 8, 1), -0.5, "f4"),
        "white_balance": np.ones((batch, 1), "f4"),
    }
    return {name: inputs[name] for name in model.input}


@pytest.mark.parametrize("number", RECIPES)
def test_each_graph_has_the_parameters_that_its_recipe_states(number):
    assert build(number).count_params() == RECIPES[number].parameters


@pytest.mark.parametrize("number", RECIPES)
def test_photos_of_any_size_that_is_a_multiple_of_the_stride_come_out_at_their_size(number):
    model = build(number)
    assert model.input["photo"].shape == (None, None, None, 3)
    for height, width in ((16, 16), (32, 48)):
        output = model(inputs_of(model, height, width), training=False)
        output = np.asarray(output["output"] if isinstance(output, dict) else output)
        assert output.shape == (1, height, width, 3)
        assert output.dtype == np.float32


@pytest.mark.parametrize("number", RECIPES)
def test_every_layer_with_weights_has_a_name_of_its_own_choosing(number):
    for layer in build(number).layers:
        if layer.weights:
            default = "".join("_" + c.lower() if c.isupper() else c for c in type(layer).__name__).lstrip("_")
            assert not layer.name.startswith(default.replace("conv2_d", "conv2d"))


@pytest.mark.parametrize("number", RECIPES)
def test_no_graph_holds_code_in_a_lambda(number):
    assert not any(type(layer).__name__ == "Lambda" for layer in build(number).layers)


def test_model_10_starts_from_the_brightened_photo_with_half_of_its_finest_detail():
    model = build(10)
    inputs = inputs_of(model)
    bright = np.minimum(inputs["photo"] * inputs["gain"], 1)
    coarse = bright.reshape(1, 16, 2, 24, 2, 3).mean(axis=(2, 4)).repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(np.asarray(model(inputs)), (bright + coarse) / 2, atol=1e-6)


def test_only_models_that_normalise_brightness_ask_for_the_gain():
    assert [number for number in RECIPES if "gain" in build(number).input] == [7, 8, 9, 10]


def test_an_unknown_architecture_or_model_is_named():
    with pytest.raises(UserError, match="Received: resnet"):
        architectures.build("resnet")
    with pytest.raises(UserError, match="Received: 99"):
        recipe(99)
    with pytest.raises(UserError, match="_old.py"):
        recipe(2, "latest")
