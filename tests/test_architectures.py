"""The ladder's graphs: sizes, names, exact parameter counts."""

from functools import cache

import numpy as np
import pytest

from lowlight.errors import UserError
from lowlight.export import check
from lowlight.imaging.exposure import overview, thumbnail
from lowlight.inference.engines import OnnxGraph
from lowlight.networks import architectures
from lowlight.zoo import registry
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


def reach(model):
    """How far, in pixels, a pixel of the photo bears on the output."""
    photo = np.random.default_rng(0).random((1, 48, 48, 3), np.float32)
    other = photo.copy()
    other[0, 24, 24] += 1
    changed = np.asarray(model({"photo": photo})) != np.asarray(model({"photo": other}))
    rows, columns = np.nonzero(changed.any(axis=(0, 3)))
    return max(np.abs(rows - 24).max(initial=0), np.abs(columns - 24).max(initial=0))


@pytest.mark.parametrize(
    ("number", "silent", "pixels"),
    [(1, None, 5), (2, None, 9), (3, None, 9), (6, None, 9), (5, "block_4", 0), (6, "block_4", 2), (6, "block_3", 5)],
)
def test_a_pixel_is_seen_as_far_as_dilations_and_inner_skip_connections_carry_it(number, silent, pixels):
    """Each 3x3 convolution adds its dilation: 1 five times, or 1, 2, 4, 1, 1. A skip goes around a silent block."""
    plan = recipe(number)
    model = architectures.build(plan.architecture, **plan.settings)
    if silent:
        norm = model.get_layer(f"{silent}_norm")
        norm.set_weights([np.zeros_like(value) for value in norm.get_weights()])
    assert reach(model) == pixels


@pytest.mark.parametrize("number", [n for n in RECIPES if (registry.MODELS / f"model_{n:02}.onnx").is_file()])
def test_shipped_weights_compute_what_they_did_when_they_were_exported(number):
    """A graph of other dilations, curves or constants would take the same weights."""
    card, weights = registry.files_of(number)
    exported = OnnxGraph(registry.onnx_of(card, weights), "cpu")
    model, _ = registry.build(card, weights, "float32")
    photo = check.dark_photo(32, 48) / 3 + np.float32(0.03)  # whose black is lifted
    dark = {"photo": photo[None], "thumbnail": thumbnail(photo)[None], "overview": overview(photo)[None]}
    inputs = {name: dark.get(name, value) for name, value in inputs_of(model).items()}
    outputs = model(inputs, training=False)
    for name in {"output", "guess"} & set(exported.outputs):
        (found,) = exported.function(name)(inputs)
        np.testing.assert_allclose(found, outputs[name] if isinstance(outputs, dict) else outputs, atol=1e-3)


def test_only_models_that_normalise_brightness_ask_for_the_gain():
    assert [number for number in RECIPES if "gain" in build(number).input] == [7, 8, 9, 10]


def test_an_unknown_architecture_or_model_is_named():
    with pytest.raises(UserError, match="Received: resnet"):
        architectures.build("resnet")
    with pytest.raises(UserError, match="Received: 99"):
        recipe(99)
    with pytest.raises(UserError, match="_old.py"):
        recipe(2, "latest")
