"""Saved models are found, checked before use, and load as they were."""

import json
import os
from functools import cache
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from lowlight.errors import UserError
from lowlight.networks import architectures
from lowlight.zoo import cards, registry


@cache
def small_network(seed):
    """Built once; who changes it changes a copy."""
    keras.utils.set_random_seed(seed)
    model = architectures.build("residual_unet", widths=(4, 4, 4, 4))
    model.layers[-2].set_weights([w + 0.01 for w in model.layers[-2].get_weights()])
    return model


def save_model(folder, number=10, val_psnr=20.0, seed=0):
    name, model = f"model_{number:02}", small_network(seed)
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


@pytest.mark.parametrize("relative", [True, False])
def test_a_run_whose_folder_is_called_as_a_model_is_not_that_model(relative, models, monkeypatch):
    save_model(models, val_psnr=20.0)
    run = models / "runs" / "model_10"
    run.mkdir(parents=True)
    save_model(run, val_psnr=15.0)
    monkeypatch.chdir(models)
    for named in (Path("runs/model_10"), "runs/model_10") if relative else (run, str(run)):
        card, weights = registry.files_of(named)
        assert (card["training"]["val_psnr"], weights.resolve().parent) == (15.0, run.resolve())


@pytest.mark.parametrize("how", ["10", 10, "model_10", "folder", "card", "weights"])
def test_a_model_is_found_by_number_name_folder_card_and_weights_and_loads_as_it_was(how, models):
    saved = save_model(models)
    paths = {"folder": models, "card": models / "model_10.json", "weights": models / "model_10.weights.h5"}
    loaded, card = registry.load_network(paths.get(how, how))
    assert card["name"] == "model_10"
    for left, right in zip(saved.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=2**-11 if left.ndim > 1 else 0, atol=3e-8)


@pytest.mark.parametrize("fastest", ["mixed_bfloat16", "float32"])
def test_a_model_is_run_in_the_precision_that_is_fastest_here(fastest, models, monkeypatch):
    save_model(models)
    monkeypatch.setattr("lowlight.system.fastest_precision", lambda: fastest)
    found = {layer.compute_dtype for layer in registry.load_network(10)[0].layers}
    assert ("bfloat16" in found) == (fastest == "mixed_bfloat16")


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
    registry.write_manifest("model_10")
    assert registry.default() == "model_10"


def test_a_model_in_the_folder_is_what_its_card_says_and_not_what_the_manifest_says_of_its_name(models):
    save_model(models, 10, 20.0)
    registry.write_manifest()
    save_model(models, 10, 21.0)
    assert [entry["val_psnr"] for entry in registry.available()] == [21.0]


def test_a_model_without_a_score_is_not_the_default_if_another_has_one(models):
    for number, psnr in ((7, None), (9, 18.0), (10, None)):
        save_model(models, number, psnr)
    assert registry.default() == "model_09"


def test_what_comes_with_the_package_is_not_taken_from_an_older_download(models, monkeypatch):
    (models / "package").mkdir()
    monkeypatch.setattr(registry, "MANIFEST", models / "package" / "manifest.json")
    save_model(models / "package", 10, 21.0)
    save_model(models, 10, 20.0)
    assert registry.files_of(10)[0]["training"]["val_psnr"] == 21.0
    assert registry.folder_of("model_10") == models / "package"
    assert [entry["val_psnr"] for entry in registry.available()] == [21.0]


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
        names = [file["file"] for file in entry["files"]]
        assert names[:2] == [f"{entry['name']}.json", f"{entry['name']}.weights.h5"]
        assert names[2:] in ([], [f"{entry['name']}.onnx"])
        for file in entry["files"]:
            assert registry.sha256(registry.MODELS / file["file"]) == file["sha256"]
            assert (registry.MODELS / file["file"]).stat().st_size == file["bytes"]
        assert registry.files_of(entry["name"])[0]["training"]["val_psnr"] == entry["val_psnr"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda manifest: None, "cannot be read"),
        (lambda manifest: [], "the manifest is [] and not an object"),
        (lambda manifest: manifest | {"default": 12}, "default is 12 and not text"),
        (lambda manifest: manifest | {"models": {}}, "models is {} and not a list"),
        (lambda manifest: manifest | {"models": [{"name": "a"}]}, "models.0.idea is missing"),
        (lambda manifest: manifest | {"models": [manifest["models"][0] | {"files": [{"file": "../a"}]}]}, "plain name"),
    ],
)
def test_a_spoilt_manifest_is_told_with_what_is_wrong_in_it(models, change, words):
    save_model(models)
    registry.write_manifest()
    spoilt = change(json.loads(registry.MANIFEST.read_text()))
    registry.MANIFEST.write_text(json.dumps(spoilt) if spoilt is not None else registry.MANIFEST.read_text()[:-9])
    for ask in (registry.available, registry.default, lambda: registry.files_of(11)):
        with pytest.raises(UserError) as told:
            ask()
        assert f"Received: {registry.MANIFEST}" in str(told.value)
        assert words in str(told.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: [], "the card is [] and not an object"),
        (lambda card: card | {"weights": 3}, "weights is 3 and not an object"),
        (lambda card: card | {"weights": {"file": "a"}}, "weights.sha256 is missing"),
        (lambda card: card | {"name": None}, "name is null and not text"),
        (lambda card: card | {"parameters": True}, "parameters is true and not a whole number"),
        (lambda card: card | {"training": {"val_psnr": "20"}}, 'training.val_psnr is "20" and not a number'),
        (lambda card: card | {"metrics": {"val": 1}}, "metrics.val is 1 and not an object"),
        (lambda card: card | {"metrics": {"val": {"psnr": "20"}}}, 'metrics.val.psnr is "20" and not a number'),
        (lambda card: card | {"architecture": {"name": "resnet", "settings": {}}}, "no such architecture"),
        (lambda card: card | {"architecture": {"name": "residual_unet", "settings": {"wings": 2}}}, "wings"),
        (lambda card: card | {"architecture": {"name": "residual_unet", "settings": {"widths": "no"}}}, "built"),
        (lambda card: card | {"weights": card["weights"] | {"file": "../model_10.weights.h5"}}, "plain name"),
        (lambda card: card | {"weights": card["weights"] | {"file": "/etc/passwd"}}, "plain name"),
        (lambda card: card | {"exports": {"onnx": {"file": "a/b", "sha256": "", "of": ""}}}, "plain name"),
        *(
            (lambda card, name=name: card | {"name": name}, "plain name")
            for name in ("a\\b", "C:a", "..", ".", "", "a\0b")
        ),
    ],
)
def test_a_card_that_is_none_is_refused_with_the_field(models, change, words):
    save_model(models)
    path = models / "model_10.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError) as told:
        registry.load_network(10)
    assert words in str(told.value)
    assert str(models) in str(told.value)


@pytest.mark.parametrize("content", [b"\xff{}", b"[" * 10**5, b""])
def test_what_is_no_card_at_all_is_refused_in_a_line(models, content):
    path = models / "model_10.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^The card cannot be read. Received: {path} .*Copy or train it anew.$"):
        cards.read(path)


def test_a_model_is_here_once_both_of_its_files_are(models):
    save_model(models)
    assert registry.is_here("model_10")
    (models / "model_10.weights.h5").unlink()
    assert not registry.is_here("model_10")


def test_a_folder_of_two_models_is_neither(models):
    run = models / "run"
    run.mkdir()
    for number in (7, 10):
        save_model(run, number)
    with pytest.raises(UserError, match=f"No model is read from what is there. Received: {run}"):
        registry.files_of(run)


def test_kernels_are_saved_in_half_the_bytes_and_all_else_whole(models):
    save_model(models)
    kinds = set()
    with h5py.File(models / "model_10.weights.h5") as file:
        file.visititems(
            lambda name, item: kinds.add((item.ndim > 1, str(item.dtype))) if hasattr(item, "dtype") else None
        )
    assert kinds == {(True, "float16"), (False, "float32")}


def test_a_card_of_before_stages_tells_of_its_trainings_part_by_part():
    before = {"training": {"minutes": 9.0}, "guess_training": {"minutes": 2.0}, "data": {"name": "pairs"}}
    told = [(stage["part"], stage["minutes"], stage["data"]["name"]) for stage in cards.stages_of(before)]
    assert told == [("whole", 9.0, "pairs"), ("exposure", 2.0, "pairs")]
    assert cards.stages_of({}) == []


def test_sets_of_one_name_and_two_licences_are_two():
    data = {"name": "own pairs", "licence": "a", "also": [{"name": "own pairs", "licence": "b"}]}
    assert [part["licence"] for part in cards.sets_of({"data": data})] == ["a", "b"]


def test_weights_that_are_not_finite_are_refused_by_name(models):
    save_model(models)
    saved, _ = registry.load_network(10)
    saved.layers[-2].set_weights([w * np.nan for w in saved.layers[-2].get_weights()])
    weights, path = models / "model_10.weights.h5", models / "model_10.json"
    registry.save_weights(saved, weights)
    card = json.loads(path.read_text())
    registry.write_card(path, card | {"weights": card["weights"] | {"sha256": registry.sha256(weights)}})
    with pytest.raises(UserError, match=r"not all finite.*model_10\.weights\.h5, in \w+/kernel"):
        registry.load_network(10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_model_is_not_loaded_in_a_process_that_was_forked_after_one_was_used(models):
    save_model(models)
    registry.load_network(10)
    child = os.fork()
    if not child:
        try:
            registry.load_network(10)
        except UserError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_the_sets_of_a_card_are_told_one_by_one_also_in_cards_of_before():
    pairs, one, two = {"name": "pairs"}, {"name": "one"}, {"name": "two"}
    old, new = pairs | {"also": one}, pairs | {"also": [one, two], "clean": []}
    assert [part["name"] for part in cards.sets_of({"data": old})] == ["pairs", "one"]
    assert [part["name"] for part in cards.sets_of({"data": new})] == ["pairs", "one", "two"]


def test_the_sets_that_weights_learnt_from_before_a_training_went_on_from_them_are_told_too():
    own, theirs, clean = ({"name": name, "licence": name} for name in ("own pairs", "LOL v1", "clean"))
    before = {"data": theirs | {"clean": [clean]}, "training": {"minutes": 9.0}}
    stages = [*cards.stages_of(before), {"part": "whole", "data": own}]
    assert cards.sets_of({"data": own, "stages": stages}) == [own, theirs | {"clean": [clean]}, clean]


def test_a_model_of_another_form_is_told_apart_from_none(models):
    (models / "exported").mkdir()
    (models / "exported" / "saved_model.pb").touch()
    (models / "model.onnx").touch()
    for name in ("exported", "model.onnx"):
        with pytest.raises(UserError, match=f"^No model is read from what is there. Received: .*{name}. Known"):
            registry.files_of(models / name)
    with pytest.raises(UserError, match="^There is no such model. Received: .*absent"):
        registry.files_of(models / "absent")
