"""The server: photos over HTTP come back at full size with what belongs to them; what is wrong is told in a line."""

import asyncio
import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.io import worker
from lowlight.io.photo import read_photo
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import PREVIEW_SIDE, BusyError, Studio
from tests import misbehaving
from tests.conftest import ROOT, scene
from tests.test_zoo import save_model

for package in ("gradio", "fastapi_offline"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package}, of the extra web, is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    return str(folder)


@pytest.fixture(scope="module")
def studio(model):
    with contextlib.closing(Studio(ServeSettings(model=model, max_megapixels=4, max_megabytes=3))) as studio:
        yield studio


@pytest.fixture(scope="module")
def client(studio):
    from fastapi.testclient import TestClient

    from lowlight.web.rest import interface

    return TestClient(interface(studio, "http://127.0.0.1:7860"))


def jpeg(height=30, width=50, **options) -> bytes:
    """A dark photo from a camera called Box, as the bytes of a file."""
    exif = Image.Exif()
    exif[0x0110] = "Box"
    file = io.BytesIO()
    Image.fromarray(scene(0, height, width) // 8).save(file, "JPEG", exif=exif, quality=95, **options)
    return file.getvalue()


def test_a_photo_comes_back_brighter_at_its_size_with_its_metadata(client):
    answer = client.post("/enhance", files={"photo": ("night.JPG", jpeg())})
    assert answer.status_code == 200
    assert 'filename="night_enhanced.JPG"' in answer.headers["content-disposition"]
    assert float(answer.headers["x-seconds"]) >= 0
    result = read_photo(io.BytesIO(answer.content))
    assert result.pixels.shape == (30, 50, 3)
    assert b"Box" in result.exif
    assert result.pixels.mean() > 3 * read_photo(io.BytesIO(jpeg())).pixels.mean()


def test_sixteen_bits_and_transparency_come_back(client):
    import tifffile

    levels = np.dstack([scene(1, 30, 50), np.full((30, 50), 200, np.uint8)]).astype(np.uint16) * 32
    file = io.BytesIO()
    tifffile.imwrite(file, levels, photometric="rgb", extrasamples=["unassalpha"], metadata=None)
    answer = client.post("/enhance", files={"photo": ("deep.tif", file.getvalue())})
    with tifffile.TiffFile(io.BytesIO(answer.content)) as tiff:
        result = tiff.asarray()
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[..., 3], levels[..., 3])


def test_what_is_left_out_of_a_photo_is_told(client, studio, tmp_path):
    from lowlight.web.answers import _row

    file = io.BytesIO()
    frames = [Image.fromarray(scene(seed, 30, 50) // 8) for seed in range(3)]
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    answer = client.post("/enhance", files={"photo": ("night.tif", file.getvalue())})
    assert answer.headers["x-notes"] == "it holds 3 pictures, of which the largest is read"
    assert "x-notes" not in client.post("/enhance", files={"photo": ("night.jpg", jpeg())}).headers
    (tmp_path / "night.tif").write_bytes(file.getvalue())
    result = studio.enhance(tmp_path / "night.tif", "night.tif", tmp_path, studio.default, Controls())
    assert f"<span>{answer.headers['x-notes']}</span>" in _row(result)


def test_controls_are_form_fields(client):
    same = client.post("/enhance", files={"photo": ("night.png", _png())}, data={"strength": 0})
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(same.content))), scene(0, 30, 50) // 8)


def test_a_model_may_be_asked_for_by_its_number(client):
    by_number, by_name = (
        client.post("/enhance", files={"photo": ("night.png", _png())}, data={"model": model}).content
        for model in (10, "model_10")
    )
    assert by_number == by_name
    assert by_number.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "content", "data", "status", "message"),
    [
        ("diary.jpg", b"Dear diary", {}, 415, "diary.jpg is not a photo"),
        ("cut.jpg", jpeg()[:500], {}, 415, "cut.jpg cannot be read"),
        ("", b"", {}, 400, "photo"),
        ("wide.jpg", jpeg(2000, 2100), {}, 415, "wide.jpg is too large: 2100x2000 pixels, above 4 megapixels."),
        ("heavy.jpg", bytes(4_000_000), {}, 413, "too large: 4 MB"),
        ("heavy.jpg", bytes(5_000_000), {}, 413, "too large: 5 MB, above 3 MB. Send a smaller one."),
        ("night.jpg", jpeg(), {"exposure": 9}, 400, "exposure: Input should be less than or equal to 3. Received: 9"),
        ("night.jpg", jpeg(), {"exposure": 1}, 400, "does not have that control. Received: exposure"),
        ("night.jpg", jpeg(), {"exposur": 1}, 400, "no such field. Received: exposur. Known: photo, model, exposure"),
        ("night.jpg", jpeg(), {"strength": [1, 0]}, 400, "A field is given once. Received: strength 2 times."),
        ("night.jpg", jpeg(), {"strength": "x" * 9999}, 400, f"Received: {'x' * 100}. See"),
        ("night.jpg", jpeg(), {"model": "/etc/passwd"}, 400, "no such model here. Received: /etc/passwd"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_without_paths_of_the_server(client, name, content, data, status, message):
    answer = client.post("/enhance", files={"photo": (name, content)}, data=data)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert "/tmp" not in answer.json()["error"]
    assert "--max-megapixels" not in answer.json()["error"]


def test_a_photo_that_is_sent_as_text_or_not_at_all_is_asked_for(client):
    for form, received in (
        ({"files": {"photo": (None, "night.jpg")}}, "multipart/form-data, text."),
        ({"data": {"exposure": "1"}}, "application/x-www-form-urlencoded, no file."),
        ({"content": jpeg(), "headers": {"content-type": "image/jpeg"}}, "image/jpeg, no file."),
    ):
        answer = client.post("/enhance", **form)
        assert answer.status_code == 400
        assert answer.json()["error"].endswith(f"curl -F photo=@night.jpg. Received: {received}")
    answer = client.post("/enhance", files={"exposure": (None, "1")})
    assert (answer.status_code, answer.json()["error"].split(".")[0]) == (400, "photo: Field required")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/enhance", 405), ("GET", "/nothing", 404)])
def test_a_wrong_address_or_method_is_told_as_all_else(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert f"Received: {method} {path}" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/models", "/docs", "/openapi.json"])
def test_what_can_be_got_can_be_asked_for_by_head(client, path):
    answer = client.head(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == client.get(path).headers["content-type"]
    assert client.head("/enhance").status_code == 405


def test_a_photo_whose_asker_is_gone_by_its_turn_is_not_worked_on(client, studio, monkeypatch):
    request = client.build_request("POST", "/enhance", files={"photo": ("night.jpg", jpeg())})
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    scope = {"type": "http", "method": "POST", "path": "/enhance", "headers": headers, "query_string": b""}
    messages = iter([{"type": "http.request", "body": request.read()}])
    answers, read = [], []

    async def receive():
        return next(messages, {"type": "http.disconnect"})

    async def send(message):
        answers.append(message)

    monkeypatch.setattr(studio, "_read", lambda *arguments: read.append(arguments))
    asyncio.run(client.app(scope, receive, send))
    assert answers[0]["status"] == 400  # which nobody hears
    assert not read


@pytest.mark.parametrize("name", ["../../night.jpg", "n" * 300 + ".jpg", "Nacht über 東京.jpg", "..", "night"])
def test_names_of_any_kind_are_survived(client, name):
    answer = client.post("/enhance", files={"photo": (name, jpeg())})
    assert answer.status_code == 200, answer.text
    assert "/" not in answer.headers["content-disposition"].split("filename")[1].removeprefix("*=utf-8''")


def test_a_form_is_one_in_capitals_too_and_its_file_may_have_an_odd_name(client):
    head = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a\0b.jpg"\r\n\r\n'
    kind = {"content-type": "Multipart/Form-Data; boundary=x"}
    answer = client.post("/enhance", content=head + jpeg() + b"\r\n--x--\r\n", headers=kind)
    assert answer.status_code == 200, answer.text
    assert 'filename="ab_enhanced.jpg"' in answer.headers["content-disposition"]


def test_a_request_that_does_not_tell_its_length_is_refused(client):
    answer = client.post("/enhance", content=iter([b"part"]), headers={"content-type": "multipart/form-data"})
    assert answer.status_code == 411


def test_the_interface_is_described_and_its_page_loads_nothing_from_elsewhere(client, studio):
    described = client.get("/openapi.json").json()
    fields = described["components"]["schemas"][_body_of(described)]["properties"]
    assert fields["exposure"] | {"maximum": 3, "minimum": -3, "default": 0} == fields["exposure"]
    assert set(fields) == {"photo", "model", *Controls.__dataclass_fields__}
    assert {"200", "400", "413", "415", "503"} <= described["paths"]["/enhance"]["post"]["responses"].keys()
    assert "HTTPValidationError" not in described["components"]["schemas"]
    page = client.get("/docs").text
    assert "https://" not in page
    assert [model["name"] for model in client.get("/models").json() if model["default"]] == [studio.default]


def test_uploads_and_results_do_not_stay(client, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert client.post("/enhance", files={"photo": ("night.jpg", jpeg())}).status_code == 200
    assert client.post("/enhance", files={"photo": ("diary.jpg", b"Dear")}).status_code == 415
    assert list(tmp_path.iterdir()) == []


def test_uploads_to_the_page_are_deleted_within_the_hour(model):
    code = f"""
from lowlight.web.page import page
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio
print(*page(Studio(ServeSettings(model={model!r}))).delete_cache)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    between_looks, oldest = map(int, result.stdout.split())
    assert between_looks + oldest <= 3600


def test_of_files_that_are_dropped_together_one_that_is_too_large_is_told_and_the_others_are_taken(model, tmp_path):
    (tmp_path / "large.jpg").write_bytes(bytes(3_100_000))
    (tmp_path / "night.jpg").write_bytes(jpeg())
    code = f"""
from pathlib import Path
from fastapi.testclient import TestClient
from lowlight.web.answers import Answers
from lowlight.web.server import application
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio
studio = Studio(ServeSettings(model={model!r}, max_megabytes=3))
files = [("files", (name, Path(name).read_bytes())) for name in ("large.jpg", "night.jpg")]
taken = TestClient(application(studio, "")).post("/gradio_api/upload", files=files).json()
photos, *_, told = Answers(studio, Path()).take(taken, studio.default, 0.0, 0.0, 0.0, 1.0, 1.0, True)
print(*(photo.name for photo in photos), told)
studio.close()
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )
    assert result.stdout.startswith("night.jpg <"), result.stderr
    assert "large.jpg is too large: 4 MB, above 3 MB." in result.stdout


def test_who_comes_when_the_queue_is_full_is_told_so(studio, client):
    held = 0
    while studio._places.acquire(blocking=False):
        held += 1
    try:
        answer = client.post("/enhance", files={"photo": ("night.jpg", jpeg())})
    finally:
        studio._places.release(held)
    assert held == studio.settings.queue + 1
    assert answer.status_code == 503
    assert "busy" in answer.json()["error"]
    assert BusyError.__mro__[1] is UserError


def test_an_upload_that_was_deleted_meanwhile_is_asked_for_again(studio, tmp_path):
    with pytest.raises(UserError, match="night.jpg is no longer here"):
        studio.enhance(tmp_path / "gone.jpg", "night.jpg", tmp_path, studio.default, Controls())


@pytest.mark.skipif(not worker.POSSIBLE, reason="there are no sockets that pass files on")
def test_a_photo_that_crashes_its_decoder_is_told_and_the_server_goes_on(client, monkeypatch):
    def crash(worker, path, most):
        return worker.call(misbehaving.crash, path)

    with monkeypatch.context() as patch:
        patch.setattr("lowlight.web.studio.read_apart", crash)
        answer = client.post("/enhance", files={"photo": ("night.jpg", jpeg())})
    assert answer.status_code == 415
    assert answer.json()["error"] == "night.jpg cannot be read: its decoder crashed (SIGSEGV)."
    assert client.post("/enhance", files={"photo": ("night.jpg", jpeg())}).status_code == 200


def test_photos_are_worked_on_one_at_a_time(studio, tmp_path, monkeypatch):
    (tmp_path / "night.jpg").write_bytes(jpeg())
    inside, most = [], []
    read = studio._read

    def slow(*arguments):
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.05)
        inside.pop()
        return read(*arguments)

    monkeypatch.setattr(studio, "_read", slow)
    threads = [threading.Thread(target=studio.open, args=(tmp_path / "night.jpg", "night.jpg")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4


@pytest.mark.slow
def test_the_preview_is_small_and_as_bright_as_the_result(tmp_path):
    """By model 12, whose decisions for the whole photo see its grain, which a reduced copy has less of."""
    rng = np.random.default_rng(0)
    noisy = np.clip(scene(3, 900, 1300) / 8 + rng.normal(0, 6, (900, 1300, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "night.png")
    with contextlib.closing(Studio(ServeSettings(model="12"))) as studio:
        opened = studio.open(tmp_path / "night.png", "night.png")
        shown = studio.preview(opened, "model_12", Controls())
        assert max(shown.shape) == PREVIEW_SIDE
        result = studio.enhance(tmp_path / "night.png", "night.png", tmp_path, "model_12", Controls())
    assert result.path == tmp_path / "night_enhanced.png"
    assert (result.height, result.width) == (900, 1300)
    full = np.asarray(Image.open(result.path))
    assert abs(shown.mean() - full.mean()) < 2  # 4.2 by the copy's own overview


def test_a_server_that_stops_begins_no_photo(model, tmp_path):
    (tmp_path / "night.jpg").write_bytes(jpeg())
    studio = Studio(ServeSettings(model=model))
    studio.stop()
    studio.close()
    with pytest.raises(BusyError, match="The server stops"):
        studio.open(tmp_path / "night.jpg", "night.jpg")


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(scene(0, 30, 50) // 8).save(file, "PNG")
    return file.getvalue()


def _body_of(described) -> str:
    content = described["paths"]["/enhance"]["post"]["requestBody"]["content"]["multipart/form-data"]
    return content["schema"]["$ref"].rsplit("/", 1)[1]
