"""What of a model is trained, in which precision, and what errors of its outputs cost."""

import dataclasses

import numpy as np
import pytest

from lowlight.networks import architectures
from lowlight.training import objectives
from lowlight.training.objectives import compiled, part_of
from lowlight.zoo.recipes import RECIPES
from tests.test_training_policy import identities


@pytest.mark.parametrize(("part", "outputs"), [("exposure", {"guess", "right"}), ("restoration", {"output", "base"})])
def test_a_part_takes_and_gives_what_is_its_own(part, outputs):
    model = architectures.build("global_local", widths=[8, 8], blocks=[1, 1])
    own = part_of(model, part)
    assert (set(own.input) == {"overview"}) == ("overview" in own.input) == (part == "exposure")
    assert set(own.output) == outputs
    assert part_of(model, None) is model


@pytest.mark.parametrize("wrong", ["guess", "right"])
def test_where_exposure_learns_the_map_behind_the_gate_and_that_before_it_cost_alike(wrong):
    model = compiled(RECIPES[11], part_of(identities(), "exposure"), "exposure")
    model.run_eagerly = True
    overview = np.full((1, 8, 8, 1), np.log(0.5), "f4")
    truths = {"guess": overview, "right": overview} | {wrong: np.full((1, 8, 8, 1), np.log(0.6), "f4")}
    # By 0.1 everywhere, in one of two maps; the other is right, whose squared error counts as one of 40 dB.
    cost = 0.5 * (0.1 + 0.02 * np.log(0.1**2 + 1e-4)) + 0.5 * 0.02 * np.log(1e-4)
    found = model.test_on_batch({"overview": overview}, truths, return_dict=True)["loss"]
    assert found == pytest.approx(cost, rel=1e-3)


def test_the_base_is_judged_by_its_brightness_alone():
    model = compiled(dataclasses.replace(RECIPES[11], loss="mae"), part_of(identities(), "restoration"), "restoration")
    model.run_eagerly = True
    photo = np.full((1, 16, 16, 3), 0.5, "f4")
    grain = photo + np.float32(0.1) * np.where(np.indices((16, 16)).sum(0) % 2, 1, -1)[None, ..., None].astype("f4")
    given = dict.fromkeys(model.input, photo)
    for base, cost in ((grain, 0.0), (photo + np.float32(0.1), 0.2 * 0.1)):
        truths = {"output": photo, "base": base}
        assert model.test_on_batch(given, truths, return_dict=True)["loss"] == pytest.approx(cost, abs=1e-6)


@pytest.mark.parametrize(("gpus", "half"), [(["gpu:0"], "mixed_float16"), ([], "mixed_bfloat16")])
def test_half_precision_is_that_of_the_device(gpus, half, monkeypatch):
    monkeypatch.setattr(objectives, "devices", lambda kind: gpus)
    assert (objectives.precision(True), objectives.precision(False)) == (half, "float32")
