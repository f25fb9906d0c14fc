"""Saved models are found, checked before use, and load as they were."""

import json

import keras
import numpy as np
import pytest

from lowlight.errors import UserError
from lowlight.networks import architectures
from lowlight.zoo import registry


def save_model(folder, number=10, val_psnr=20.0):
    keras.utils.set_random_seed(number)
    name = f"model_{number:02}"
    model = architectures.build("residual_unet", widths=(4, 4, 4, 4))
    model.layers[-2].set_weights([w + 0.01 for w in model.layers[-2].get_weights()])
    weights = folder / f"{name}.weights.h5"
    registry.save_weights(model, weights)
    card = {
        "name": name,
        "idea": "An idea.",
        "parameters": model.count_params(),
        "architecture": {"name": "residual_unet", "settings": {"widths": [4, 4, 4, 4]}},
        "training": {"val_psnr": val_psnr},
        "weights": {"file": weights.name, "sha256": registry.sha256(weights), "bytes": weights.stat().st_size},
    }
    registry.write_card(folder / f"{name}.json", card)
    return model


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "MODELS", tmp_path)
    monkeypatch.setattr(registry, "MANIFEST", tmp_path / "manifest.json")
    return tmp_path


@pytest.mark.parametrize("how", ["10", 10, "model_10", "folder", "card", "weights"])
def test_a_model_is_found_by_number_name_folder_card_and_weights_and_loads_as_it_was(how, models):
    saved = save_model(models)
    paths = {"folder": models, "card": models / "model_10.json", "weights": models / "model_10.weights.h5"}
    loaded, card = registry.load_network(paths.get(how, how))
    assert card["name"] == "model_10"
    for left, right in zip(saved.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=2**-11 if left.ndim > 1 else 0, atol=3e-8)


def test_what_was_loaded_is_saved_without_further_loss_and_no_other_file_is_left(models):
    save_model(models)
    loaded, card = registry.load_network(10)
    again = models / "again"
    again.mkdir()
    registry.save_weights(loaded, again / "model_10.weights.h5")
    sha256 = registry.sha256(again / "model_10.weights.h5")
    registry.write_card(again / "model_10.json", card | {"weights": card["weights"] | {"sha256": sha256}})
    for left, right in zip(loaded.get_weights(), registry.load_network(again)[0].get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert sorted(path.name for path in again.iterdir()) == ["model_10.json", "model_10.weights.h5"]


def test_weights_that_cannot_be_written_leave_no_file(models, monkeypatch):
    saved = save_model(models)
    before = {path.name: path.read_bytes() for path in models.iterdir()}

    def full(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(registry, "_copy_halved", full)
    with pytest.raises(OSError, match="No space left"):
        registry.save_weights(saved, models / "model_10.weights.h5")
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before


def test_the_default_is_what_the_manifest_says_or_what_validation_likes_best(models):
    for number, psnr in ((7, 18.0), (9, 21.0), (10, 20.0)):
        save_model(models, number, psnr)
    assert [card["name"] for card in registry.available()] == ["model_07", "model_09", "model_10"]
    assert registry.default() == "model_09"
    registry.write_manifest()
    manifest = json.loads(registry.MANIFEST.read_text())
    registry.write_card(registry.MANIFEST, manifest | {"default": "model_07"})
    registry.write_manifest()
    assert registry.default() == "model_07"


def test_weights_of_the_same_model_have_the_same_bytes(models):
    saved = save_model(models)
    registry.save_weights(saved, models / "again.weights.h5")
    assert registry.sha256(models / "again.weights.h5") == registry.sha256(models / "model_10.weights.h5")


def test_weights_that_were_altered_are_refused_with_both_hashes(models):
    save_model(models)
    path = models / "model_10.weights.h5"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=registry.sha256(path)):
        registry.load_network(10)


def test_what_is_missing_or_broken_is_named(models):
    with pytest.raises(UserError, match="Received: 10"):
        registry.load_network(10)
    with pytest.raises(UserError, match="no model"):
        registry.default()
    save_model(models)
    with pytest.raises(UserError, match="Known: model_10"):
        registry.files_of("11")
    (models / "model_10.weights.h5").unlink()
    with pytest.raises(UserError, match="missing"):
        registry.load_network(10)
    (models / "model_10.json").write_text("{")
    with pytest.raises(UserError, match="card"):
        registry.files_of("model_10")


def test_a_card_is_valid_json_and_never_half_written(models):
    save_model(models)
    before = (models / "model_10.json").read_text()
    with pytest.raises(ValueError, match="JSON"):
        registry.write_card(models / "model_10.json", {"val_psnr": float("nan")})
    assert (models / "model_10.json").read_text() == before
    assert json.loads(before)["name"] == "model_10"


def test_the_manifest_names_the_files_that_the_project_ships():
    manifest = json.loads(registry.MANIFEST.read_text())
    assert [entry["name"] for entry in manifest["models"]] == [card["name"] for card in registry.available()]
    for entry in manifest["models"]:
        assert [file["file"] for file in entry["files"]] == [f"{entry['name']}.json", f"{entry['name']}.weights.h5"]
        for file in entry["files"]:
            assert registry.sha256(registry.MODELS / file["file"]) == file["sha256"]
            assert (registry.MODELS / file["file"]).stat().st_size == file["bytes"]
        assert registry.files_of(entry["name"])[0]["training"]["val_psnr"] == entry["val_psnr"]
