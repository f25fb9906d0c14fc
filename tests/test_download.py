"""Models are downloaded from a server of the test's own, which does to them what servers do."""

import errno
import gc
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import requests

from lowlight.cli import info
from lowlight.errors import UserError
from lowlight.io import atomic
from lowlight.zoo import cards, download, registry
from tests.conftest import ROOT, files_of_at_most
from tests.test_zoo import save_model

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTENT = bytes(range(256)) * 40


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder; `ways` says how the first requests are answered, one by one, the later ones like the last."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.ways, self.asked = folder, ["whole"], []
        self.url = f"http://127.0.0.1:{self.server_port}/models"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        server = self.server
        way = server.ways[min(len(server.asked), len(server.ways) - 1)]
        server.asked.append(self.path)
        content = (server.folder / self.path.rsplit("/", 1)[-1]).read_bytes()
        if isinstance(way, int):
            self.send_error(way)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if way == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if way in ("cut", "stall"):
            content = content[: len(content) // 2]
        self.wfile.write(content)
        if way == "stall":
            time.sleep(2)

    def log_message(self, *facts):
        pass


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file").write_bytes(CONTENT)
    with Server(folder) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No long waits: neither for a silent server nor before a second try."""
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    yield
    gc.collect()  # sockets that requests leaves open after an error are closed here, with a warning


def fetch(server, folder, sha256=None):
    return download.fetch("file", sha256 or registry.sha256(server.folder / "file"), len(CONTENT), folder, server.url)


def test_a_file_arrives_whole_and_is_asked_for_once(server, tmp_path):
    assert fetch(server, tmp_path / "new" / "models").read_bytes() == CONTENT
    assert server.asked == ["/models/file"]
    assert [path.name for path in (tmp_path / "new" / "models").iterdir()] == ["file"]


@pytest.mark.parametrize("way", ["corrupt", "cut", "stall", 404, 503])
def test_a_download_that_fails_is_tried_once_more(server, tmp_path, way):
    server.ways = [way, "whole"]
    assert fetch(server, tmp_path / "models").read_bytes() == CONTENT
    assert len(server.asked) == 2


@pytest.mark.parametrize("way", ["corrupt", "cut", "stall", 404, 503])
def test_what_fails_twice_is_told_in_one_line_and_leaves_nothing(server, tmp_path, way):
    server.ways = [way]
    with pytest.raises(UserError, match=rf"{server.url}.*--models-url") as caught:
        fetch(server, tmp_path / "models")
    assert len(server.asked) == 2
    assert list((tmp_path / "models").iterdir()) == []
    if isinstance(way, int):
        assert str(way) in str(caught.value)


def test_a_corrupt_download_is_refused_with_both_hashes(server, tmp_path):
    with pytest.raises(UserError, match=rf"sha256 {registry.sha256(server.folder / 'file')}, not {'0' * 64}"):
        fetch(server, tmp_path / "models", "0" * 64)


def test_a_file_that_was_here_before_stays_when_its_download_fails(server, tmp_path):
    (tmp_path / "file").write_bytes(b"older")
    server.ways = [404]
    with pytest.raises(UserError, match="404"):
        fetch(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == b"older"


def test_a_silent_server_is_not_waited_for_for_ever(server, tmp_path, monkeypatch):
    waited = []

    def get(url, stream, timeout):
        waited.append(timeout)
        raise requests.Timeout("timed out")

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(UserError, match="The download failed. Received: timed out"):
        fetch(server, tmp_path / "models")
    assert waited == [download.TIMEOUT] * 2


def test_no_server_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match="The download failed"):
        download.fetch("file", "0" * 64, 1, tmp_path, "http://127.0.0.1:9/")


def test_a_folder_that_cannot_be_written_is_told_and_no_address_is_blamed(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be kept there. Received: .*Not a directory.*LOWLIGHT_HOME") as told:
        fetch(server, tmp_path / "file" / "models")
    assert "--models-url" not in str(told.value)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_who_may_read_the_folder_may_read_what_was_downloaded(server, tmp_path):
    before = os.umask(0o022)
    try:
        assert fetch(server, tmp_path / "models").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_a_full_disk_is_told_and_no_address_is_blamed(server, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "_sync", full)
    with pytest.raises(UserError, match=rf"disk is full. Received: file of {len(CONTENT)} bytes .*/models. Make room"):
        fetch(server, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="by POSIX' limits on files")
def test_a_disk_that_becomes_full_within_the_last_bytes_is_no_other_file(server, tmp_path):
    with files_of_at_most(len(CONTENT) - 100), pytest.raises(UserError, match="File too large"):
        fetch(server, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


KILLED = """
import os
import shutil
import signal
import sys
from pathlib import Path

from lowlight.zoo import download


def chunks(url):
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)


download._chunks = chunks
download.fetch("file", "0" * 64, 100, Path(sys.argv[1]), "https://example.org")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_what_a_killed_download_left_is_removed_by_the_next_one(server, tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path / "models"], cwd=ROOT).returncode == -signal.SIGKILL
    assert len(list((tmp_path / "models").iterdir())) == 1
    fetch(server, tmp_path / "models")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["file"]


def test_files_come_from_this_machine_too(server, tmp_path):
    address = server.folder.as_uri()
    path = download.fetch("file", registry.sha256(server.folder / "file"), len(CONTENT), tmp_path / "models", address)
    assert path.read_bytes() == CONTENT
    with pytest.raises(UserError, match="No such file"):
        download.fetch("other", "0" * 64, 1, tmp_path / "models", address)


def test_a_repository_on_the_hub_is_asked_for_one_revision(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url.removesuffix("/models"))
    revision = "0123456789abcdef0123456789abcdef01234567"
    download.fetch(
        "file", registry.sha256(server.folder / "file"), len(CONTENT), tmp_path, f"hf://someone/models@{revision}/ten"
    )
    assert server.asked == [f"/someone/models/resolve/{revision}/ten/file"]


@pytest.mark.parametrize("address", ["hf://someone/models", "hf://someone/models@main", "ftp://x/", "models", ""])
def test_an_address_of_no_known_form_is_refused(address):
    with pytest.raises(UserError, match=r"Received: .*Known: http\(s\)"):
        download.base_url(address)


@pytest.fixture
def zoo_on_server(server, tmp_path, monkeypatch):
    """A manifest of two models, which are on the server alone."""
    monkeypatch.setattr(registry, "MODELS", server.folder)
    monkeypatch.setattr(registry, "MANIFEST", tmp_path / "here" / "manifest.json")
    (tmp_path / "here").mkdir()
    save_model(server.folder, 3, 17.0)
    save_model(server.folder, 10, 20.0)
    registry.write_manifest()
    monkeypatch.setattr(registry, "MODELS", tmp_path / "here")
    return server


def test_a_missing_model_is_downloaded_and_used(zoo_on_server, monkeypatch):
    registry.load_network(3, zoo_on_server.url)
    assert registry.is_here("model_03")
    monkeypatch.setenv("LOWLIGHT_MODELS_URL", zoo_on_server.url)
    registry.load_network("model_10")
    asked = len(zoo_on_server.asked)
    registry.load_network(10)
    assert len(zoo_on_server.asked) == asked == 4


def test_the_onnx_file_comes_with_the_weights_or_without_tensorflow_there_is_nothing_to_run(
    zoo_on_server, tmp_path, monkeypatch
):
    folder = zoo_on_server.folder
    (folder / "model_10.onnx").write_bytes(b"graph")
    card = cards.read(folder / "model_10.json")
    facts = {"file": "model_10.onnx", "sha256": registry.sha256(folder / "model_10.onnx"), "bytes": 5}
    card["exports"] = {"onnx": facts | {"of": card["weights"]["sha256"]}}
    registry.write_card(folder / "model_10.json", card)
    monkeypatch.setattr(registry, "MODELS", folder)
    registry.write_manifest()
    monkeypatch.setattr(registry, "MODELS", tmp_path / "here")
    found = registry.files_of(10, zoo_on_server.url)
    assert registry.onnx_of(*found) == registry.MODELS / "model_10.onnx"
    registry.files_of(10, zoo_on_server.url)
    assert [path.rsplit("/", 1)[1] for path in zoo_on_server.asked] == [
        "model_10.json",
        "model_10.onnx",
        "model_10.weights.h5",
    ]


def test_a_spoilt_file_is_fetched_again_if_it_is_one_of_ours(zoo_on_server):
    registry.files_of(3, zoo_on_server.url)
    weights = registry.MODELS / "model_03.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"not those that the card names.*--models-url"):
        registry.files_of(3)
    registry.files_of(3, zoo_on_server.url)
    assert registry.sha256(weights) == registry.sha256(zoo_on_server.folder / weights.name)


def test_a_spoilt_card_is_fetched_again_if_it_is_one_of_ours_and_hides_no_other_model(zoo_on_server, caplog):
    registry.files_of(3, zoo_on_server.url)
    card = registry.MODELS / "model_03.json"
    card.write_bytes(card.read_bytes()[:-100])
    with pytest.raises(UserError, match="card cannot be read"):
        registry.files_of(3)
    assert [entry["name"] for entry in registry.available()] == ["model_03", "model_10"]
    assert "model_03.json" in caplog.text
    registry.files_of(3, zoo_on_server.url)
    assert card.read_bytes() == (zoo_on_server.folder / card.name).read_bytes()


def test_ones_own_model_is_never_overwritten_by_a_download(zoo_on_server):
    save_model(registry.MODELS, 3, 30.0, seed=1)
    card, weights = registry.files_of(3, zoo_on_server.url)
    assert card["training"]["val_psnr"] == 30.0
    weights.write_bytes(b"spoilt")
    with pytest.raises(UserError, match="not those that the card names"):
        registry.files_of(3, zoo_on_server.url)
    weights.with_name("model_03.json").write_bytes(b"spoilt")
    with pytest.raises(UserError, match="card cannot be read"):
        registry.files_of(3, zoo_on_server.url)
    assert zoo_on_server.asked == []


def test_the_weights_of_a_run_are_not_looked_for_among_those_to_download(zoo_on_server, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(zoo_on_server.folder / "model_03.json", tmp_path / "run")
    with pytest.raises(UserError, match=f"The weights are missing. Received: {tmp_path}/run/model_03.weights.h5"):
        registry.files_of(tmp_path / "run", zoo_on_server.url)
    assert zoo_on_server.asked == []


def test_the_address_that_is_given_comes_first_then_the_environments_then_the_manifests(zoo_on_server, monkeypatch):
    registry.write_card(registry.MANIFEST, {"url": "https://c.example", "default": None, "models": []})
    assert registry.address_of_models() == "https://c.example"
    monkeypatch.setenv("LOWLIGHT_MODELS_URL", "https://b.example")
    assert registry.address_of_models() == "https://b.example"
    assert registry.address_of_models("https://a.example") == "https://a.example"


def test_without_an_address_a_missing_model_says_how_to_get_it(zoo_on_server):
    with pytest.raises(UserError, match=r"model_03 is missing.*LOWLIGHT_MODELS_URL"):
        registry.load_network(3)


def test_what_is_only_looked_for_is_not_downloaded(zoo_on_server):
    with pytest.raises(UserError, match="model_03 is missing"):
        registry.check(3)
    registry.check(3, zoo_on_server.url)
    with pytest.raises(UserError, match="no such model"):
        registry.check(7, zoo_on_server.url)
    assert zoo_on_server.asked == []


def test_of_each_model_it_is_told_where_it_is(zoo_on_server, monkeypatch, tmp_path, capsys):
    """As in the installed package: the default model comes with it, others are downloaded into the cache."""
    monkeypatch.setattr(registry, "MODELS", tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    save_model(tmp_path / "here", 10)
    save_model(tmp_path / "cache", 12)
    assert info.inform() == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert sorted(lines) == [
        f"models in {tmp_path / 'cache'}: model_12",
        f"models in {tmp_path / 'here'}: model_10",
        f"models to download from where --models-url says into {tmp_path / 'cache'}: model_03",
    ]
    monkeypatch.setenv("LOWLIGHT_MODELS_URL", "https://example.org")
    assert info.inform() == 0
    assert f"download from https://example.org into {tmp_path / 'cache'}: model_03" in capsys.readouterr().out


def test_models_are_listed_before_they_are_here_and_downloaded_all_at_once(zoo_on_server, capsys):
    assert info.show() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("model_03 ")
    assert lines[2].startswith("model_10 *")
    assert "to download" in lines[1]
    assert info.download("all", zoo_on_server.url) == 0
    assert capsys.readouterr().out.count(".weights.h5") == 2
    assert info.show() == 0
    assert "to download" not in capsys.readouterr().out


def test_a_download_stops_at_the_size_that_the_file_should_have(server, tmp_path):
    (server.folder / "file").write_bytes(CONTENT * 100)
    with pytest.raises(UserError, match=f"more than {len(CONTENT)} bytes"):
        fetch(server, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
