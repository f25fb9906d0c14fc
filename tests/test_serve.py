"""The command `serve`: what it says, what it refuses, and how it stops."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.conftest import ROOT
from tests.test_web import jpeg
from tests.test_zoo import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    return str(folder)


def test_a_model_that_cannot_be_loaded_leaves_no_traceback_at_the_start(model, tmp_path):
    code = f"""
import uvicorn
from lowlight.errors import UserError
from lowlight.web.server import serve
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio
def refuse(self, model):
    raise UserError("The model's weights are not all finite numbers.")
Studio.controls_of = refuse
uvicorn.Server.run = lambda self, sockets: None
serve(ServeSettings(model={model!r}, port=0))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--port", "99999"), "Received: 99999"),
        (("--max-photos", "0"), "--max-photos 0"),
        (("--model", "99"), "Received: 99"),
        (("--root-path", "photos"), "Received: photos"),
        (("--port", "TAKEN"), "cannot be listened at"),
    ],
)
def test_wrong_words_get_one_line_and_status_2(words, message):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [str(taken.getsockname()[1]) if word == "TAKEN" else word for word in words]
        command = [sys.executable, "-m", "lowlight", "serve", *words]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_ctrl_c_amid_photos_says_one_line_begins_no_other_and_leaves_nothing_behind(tmp_path):
    import httpx

    command = [sys.executable, "-m", "lowlight", "serve", "--port", "0"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    address = server.stdout.readline().split()[0]

    def ask():
        with contextlib.suppress(httpx.HTTPError):
            photo = {"photo": ("night.jpg", jpeg(800, 1200))}
            answers.append(httpx.post(f"{address}/api/enhance", files=photo, timeout=60))

    answers: list = []
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(list(tmp_path.glob("**/photo.jpg"))) < len(threads):
        threading.Event().wait(0.05)
    server.send_signal(signal.SIGINT)
    _, told = server.communicate(timeout=60)
    for thread in threads:
        thread.join()
    assert (server.returncode, told) == (130, "stopped\n")
    cut_off = [answer for answer in answers if answer.status_code != 200]
    assert cut_off
    assert {(answer.status_code, answer.json()["error"][:17]) for answer in cut_off} == {(503, "The server stops.")}
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_takes_long_to_load_does_not_hold_up_the_end(model):
    code = f"""
import time, uvicorn
from lowlight.web.server import serve
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio
def load(self, name):
    while True:
        time.sleep(0.01)
Studio._load = load
uvicorn.Server.run = lambda self, sockets: None
print(serve(ServeSettings(model={model!r}, port=0)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (result.stdout.splitlines()[-1], result.stderr) == ("0", "")


def test_what_is_written_late_does_not_stay(model, tmp_path):
    code = f"""
import tempfile, time
from pathlib import Path
import anyio, uvicorn
from lowlight.web.server import serve
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio
Studio.controls_of = lambda self, model: None
def write(folder):
    time.sleep(1)
    folder.mkdir(parents=True, exist_ok=True)  # as Gradio does
    (folder / "night.jpg").touch()
async def answer():
    with anyio.move_on_after(0.1):
        await anyio.to_thread.run_sync(write, Path(tempfile.gettempdir(), "page"), abandon_on_cancel=True)
uvicorn.Server.run = lambda self, sockets: anyio.run(answer)
serve(ServeSettings(model={model!r}, port=0))
"""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=120)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_to_end_is_the_exit_status(model):
    code = f"""
import signal, sys, uvicorn
from lowlight import system
from lowlight.web.server import serve
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio
Studio.controls_of = lambda self, model: None
uvicorn.Server.run = lambda self, sockets: signal.raise_signal(signal.SIGTERM)
sys.exit(system.run(lambda: serve(ServeSettings(model={model!r}, port=0))))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (result.returncode, result.stderr) == (128 + signal.SIGTERM, "stopped\n")


def test_there_is_a_public_link_only_if_it_is_asked_for(model):
    code = f"""
import gradio.networking, uvicorn
from lowlight.web.server import serve
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio
Studio.controls_of = lambda self, model: None
uvicorn.Server.run = lambda self, sockets: None
gradio.networking.setup_tunnel = lambda *arguments: "https://public.example"
for share in (False, True):
    print(serve(ServeSettings(model={model!r}, port=0, share=share)), share)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    private, public = result.stdout.split("0 False")
    assert "http://127.0.0.1:" in private
    assert "public.example" not in private
    assert "public.example" in public


def test_an_address_of_ip_version_6_is_told_as_browsers_take_it(model):
    code = f"""
import uvicorn
from lowlight.web.server import serve
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio
Studio.controls_of = lambda self, model: None
uvicorn.Server.run = lambda self, sockets: None
serve(ServeSettings(model={model!r}, host="::1", port=0))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    if "cannot be listened at" in result.stderr:
        pytest.skip("This machine has no IPv6")
    assert result.stdout.startswith("http://[::1]:"), result.stderr
