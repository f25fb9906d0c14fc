"""What is put on the Hugging Face Hub: folders that hf:// loads, cards that the Hub reads, a Space that starts."""

import http.server
import importlib.util
import os
import subprocess
import sys
import threading
import urllib.request
from functools import partial

import pytest

from lowlight.errors import UserError
from lowlight.metrics.evaluate import with_current_names
from lowlight.web.hub import HubSettings, main, model_card, publish
from lowlight.zoo import cards, registry
from tests.conftest import ROOT
from tests.test_zoo import save_model

for package in ("huggingface_hub", "gradio", "fastapi_offline"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package}, of the extra web, is not installed", allow_module_level=True)

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder laid out as the Hub serves it: OWNER/REPOSITORY/resolve/REVISION."""
    made = tmp_path_factory.mktemp("made")
    served = tmp_path_factory.mktemp("served")
    for folder in publish(HubSettings(made, owner="me")):
        (served / "me" / folder.name / "resolve").mkdir(parents=True)
        folder.rename(served / "me" / folder.name / "resolve" / REVISION)
    return served


def repository(hub, name):
    return hub / "me" / name / "resolve" / REVISION


@pytest.fixture
def endpoint(hub, monkeypatch):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=hub))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_loaded_from_its_folder_by_a_pinned_address(endpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "MODELS", tmp_path / "models")
    card, weights = registry.files_of("12", f"hf://me/lowlight-model-12@{REVISION}")
    assert card["name"] == "model_12"
    assert weights.read_bytes() == (ROOT / "models" / "model_12.weights.h5").read_bytes()


def test_each_published_model_has_a_card_that_says_what_ours_says(hub):
    from huggingface_hub import ModelCard

    names = [entry["name"] for entry in registry.available()]
    assert names
    for name in names:
        ours, _ = registry.files_of(name)
        card = ModelCard.load(repository(hub, f"lowlight-model-{int(name.split('_')[1])}") / "README.md")
        assert (card.data.library_name, card.data.pipeline_tag) == ("keras", "image-to-image")
        assert card.data.license == "other"
        said = {(result.dataset_split, result.metric_type): result.metric_value for result in card.data.eval_results}
        labels = {"val": "validation", "test": "test"}
        assert said == {
            (labels[part], key): value
            for part, scores in ours["metrics"].items()
            for key, value in with_current_names(scores).items()
        }
        for learnt in cards.sets_of(ours):
            assert learnt["licence"] in card.text
        assert ours["idea"] in card.text
        assert "{" not in card.text


def test_a_model_of_which_little_is_known_has_a_card_that_says_so(tmp_path):
    save_model(tmp_path)
    card = cards.read(tmp_path / "model_10.json")
    text = model_card(card, "me")
    assert "It was not measured." in text
    assert "How it was trained is not known." in text
    assert "- not known, whose licence is not known" in text
    assert "lowlight-model-mine@REVISION" in model_card(card | {"name": "model_mine", "metrics": None}, "me")


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="must be empty"):
        publish(HubSettings(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_settings_for_photos_are_none_of_the_hubs(tmp_path, monkeypatch):
    (tmp_path / "lowlight.toml").write_text("exposure = 0.5")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hub", "made"])
    monkeypatch.setattr("lowlight.web.hub.publish", lambda settings: [settings.folder])
    assert main() == 0


@pytest.mark.slow
def test_the_space_starts_from_its_own_folder(hub):
    from huggingface_hub import SpaceCard

    space = repository(hub, "lowlight-space")
    facts = SpaceCard.load(space / "README.md").data
    assert (facts.sdk, facts.app_file) == ("gradio", "app.py")
    assert "gradio" in (space / "requirements.txt").read_text()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PORT": "0"}
    command = [sys.executable, space / "app.py"]
    server = subprocess.Popen(command, cwd=space, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[0].replace("0.0.0.0", "127.0.0.1")
        with urllib.request.urlopen(f"{address}/", timeout=30) as answer:
            assert b"lowlight" in answer.read()
        with urllib.request.urlopen(f"{address}/api/models", timeout=30) as answer:
            assert b'"model_12"' in answer.read()
    finally:
        server.terminate()
        server.wait(timeout=60)
        server.stdout.close()
