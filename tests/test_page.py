"""The page in a browser, as a photographer uses it: drop, compare, adjust, save; and a file that is no photo."""

import contextlib
import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from lowlight.io.photo import read_photo
from tests.conftest import ROOT, scene

pytestmark = pytest.mark.slow

pytest.importorskip("selenium", reason="selenium is not installed")
pytest.importorskip("fastapi_offline", reason="the extra web is not installed")
DRIVER = shutil.which("chromedriver")
if DRIVER is None:
    pytest.skip("Chromium and its driver are not installed", allow_module_level=True)

PATIENCE = 180  # seconds; a machine may be busy with other things

PICTURES = """
const found = [...document.querySelectorAll("#before-after img")];
return found.length == 2 && found.every(one => one.complete) ? found.map(one => one.src) : null;
"""

COVERED = """
const label = arguments[0];
window.scrollBy(0, label.getBoundingClientRect().top - 60);
const {x, y} = label.getBoundingClientRect();
return document.elementFromPoint(x + 5, y + 5).closest("[id]").id;
"""
"""What is seen where a label has been scrolled to under the photo."""

CLOSED_LATE = """
const ask = window.fetch;
const late = async (part, stream) => {
  if (new TextDecoder().decode(part).includes("close_stream")) await new Promise(resume => setTimeout(resume, 5000));
  stream.enqueue(part);
};
window.fetch = async (what, how) => {
  const answer = await ask(what, how);
  if (!String(what).includes("/queue/data")) return answer;
  return new Response(answer.body.pipeThrough(new TransformStream({transform: late})), answer);
};
"""
"""Holds the end of each stream of answers back, as a busy machine does."""


@contextlib.contextmanager
def served(place, *options):
    """The address of a server with the shipped models; in the end it leaves nothing behind in the place."""
    command = [sys.executable, "-m", "lowlight", "serve", "--port", "0", *options]
    environment = os.environ | {"TMPDIR": str(place)}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().split()[0]
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stdout.close()
    assert not list(place.glob("lowlight-*"))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(tmp_path_factory.mktemp("server"), "--max-photos", "3") as address:
        yield address


@pytest.fixture
def downloads(tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture
def browser(downloads):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def night(tmp_path):
    """A dark photo, larger than what is shown, that names its camera."""
    exif = Image.Exif()
    exif[0x0110] = "Box"
    Image.fromarray(scene(0, 600, 1400) // 8).save(tmp_path / "night.jpg", exif=exif, quality=95)
    return tmp_path / "night.jpg"


def open_at(browser, address, width, height):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700},
    )
    browser.get(address)


def until(what):
    """What a function gives, once it gives something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(LookupError):
            if found := what():
                return found
        time.sleep(0.1)
    raise AssertionError(f"nothing came within {PATIENCE} seconds")


def find(browser, selector):
    return until(lambda: browser.find_elements("css selector", selector)[0])


def drop(browser, *paths):
    find(browser, "#drop input[type=file]").send_keys("\n".join(map(str, paths)))


def shown(browser):
    """The addresses of the pictures before and after, once both are seen."""
    return until(lambda: browser.execute_script(PICTURES))


def picture(source):
    with urllib.request.urlopen(source, timeout=PATIENCE) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def requested(browser):
    messages = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    sent = (message["params"] for message in messages if message["method"] == "Network.requestWillBeSent")
    return {one["request"]["url"] for one in sent}


def test_a_photo_is_compared_adjusted_and_saved_at_full_size_and_nothing_is_asked_from_elsewhere(
    browser, address, night, downloads
):
    from selenium.webdriver import ActionChains, Keys

    open_at(browser, address, 1400, 900)
    drop(browser, night)
    before, after = map(picture, shown(browser))
    assert before.shape == after.shape == (549, 1280, 3)
    assert after.mean() > 2 * before.mean()
    assert "1400 × 600" in find(browser, "#facts").text

    handle = find(browser, "#before-after [data-testid=slider]")
    seen = find(browser, "#before-after img").rect
    middle = seen["x"] + seen["width"] / 2 - handle.rect["width"] / 2
    until(lambda: abs(handle.rect["x"] - middle) < 2)
    ActionChains(browser).drag_and_drop_by_offset(find(browser, "#before-after .icon-wrap"), 200, 0).perform()
    assert until(lambda: abs(handle.rect["x"] - middle - 200) < 5)

    old = shown(browser)[1]
    number = find(browser, "#exposure input[type=number]")
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys("1", Keys.ENTER)
    until(lambda: shown(browser)[1] != old)
    brighter = picture(shown(browser)[1])
    assert brighter.mean() > after.mean() + 5

    find(browser, "#enhance").click()
    until(lambda: find(browser, "#download").is_displayed())
    assert "night_enhanced.jpg" in find(browser, "#report").text
    assert "1400 × 600" in find(browser, "#report").text
    find(browser, "#download").click()
    file = until(lambda: [path for path in downloads.iterdir() if path.suffix == ".jpg"][0])
    assert file.name == "night_enhanced.jpg"
    result = read_photo(file)
    assert result.pixels.shape == (600, 1400, 3)
    assert b"Box" in result.exif
    assert abs(255 * result.pixels.mean() - brighter.mean()) < 4

    choice = find(browser, "#preset input")
    choice.send_keys(Keys.CONTROL, "a")
    choice.send_keys("Night", Keys.ENTER)
    until(lambda: find(browser, "#strength input[type=number]").get_attribute("value") == "0.5")
    assert not find(browser, "#white_balance input").is_selected()
    until(lambda: not browser.find_elements("css selector", "#download"))  # it is not what is shown any more
    assert find(browser, "#report").text == ""

    outside = {url for url in requested(browser) if not url.startswith((address, "data:", "blob:", "chrome:"))}
    assert not outside


def test_what_is_asked_for_while_the_answers_to_something_else_end_is_answered(browser, address, night):
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": CLOSED_LATE})
    open_at(browser, address, 1400, 900)
    drop(browser, night)
    shown(browser)
    find(browser, "#enhance").click()
    until(lambda: find(browser, "#download").is_displayed())


def test_of_several_files_a_wrong_one_is_named_and_the_others_come_as_one_zip_on_a_phone(
    browser, address, night, tmp_path, downloads
):
    (tmp_path / "diary.jpg").write_text("Dear diary")
    Image.fromarray(scene(1, 90, 120) // 8).save(tmp_path / "small.png")
    Image.fromarray(scene(2, 90, 120) // 8).save(tmp_path / "fourth.png")
    open_at(browser, address, 390, 844)
    drop(browser, night, tmp_path / "diary.jpg", tmp_path / "small.png", tmp_path / "fourth.png")
    first = shown(browser)[0]
    problems = find(browser, "#problems").text
    assert "diary.jpg is not a photo" in problems
    assert "Only the first 3 of 4 photos" in problems
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390

    browser.find_elements("css selector", "#strip button.thumbnail-item")[1].click()
    until(lambda: shown(browser)[0] != first)
    assert picture(shown(browser)[0]).shape == (90, 120, 3)

    browser.execute_script("window.scrollTo(0, 500)")
    top = "return document.getElementById('before-after').getBoundingClientRect().top"
    assert until(lambda: browser.execute_script(top) == 0), "the photo went out of sight"
    covered = browser.execute_script(COVERED, find(browser, "#model [data-testid=block-info]"))
    assert covered == "before-after", "a label lies over the photo"
    browser.execute_script("document.getElementById('enhance').click()")
    until(lambda: find(browser, "#download").is_displayed())
    browser.execute_script("document.getElementById('download').click()")
    file = until(lambda: [path for path in downloads.iterdir() if path.suffix == ".zip"][0])
    names = until(lambda: shutil.unpack_archive(file, tmp_path / "all") or list((tmp_path / "all").iterdir()))
    assert {path.name for path in names} == {"night_enhanced.jpg", "small_enhanced.png"}


def test_a_number_can_be_typed_without_errors_stays_and_is_put_back_alone(browser, address, night):
    from selenium.webdriver import Keys

    open_at(browser, address, 1400, 900)
    drop(browser, night)
    old = first = shown(browser)[1]
    field = find(browser, "#exposure input[type=number]")
    for keys, left in ((Keys.DELETE, "0"), ("9", "3"), ("-1.5", "-1.5")):
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(keys)
        if keys != Keys.DELETE:  # the same picture again
            new = until(lambda: [after for after in shown(browser)[1:] if after != old])  # noqa: B023
            old = new[0]
        field.send_keys(Keys.TAB)
        assert until(lambda: field.get_attribute("value")) == left
    find(browser, "#preset input").click()
    find(browser, "#title").click()  # nothing was chosen
    time.sleep(2)
    assert field.get_attribute("value") == "-1.5"
    find(browser, "#exposure .reset-button").click()
    until(lambda: shown(browser)[1] == first)
    assert not browser.find_elements("css selector", ".toast-body")


def test_a_model_that_does_not_know_a_control_has_it_switched_off(browser, address, night):
    from selenium.webdriver import Keys

    open_at(browser, address, 1400, 900)
    drop(browser, night)
    old = shown(browser)[1]
    choice = find(browser, "#model input")
    choice.send_keys(Keys.CONTROL, "a")
    choice.send_keys("Model 8", Keys.ENTER)
    until(lambda: not find(browser, "#exposure input[type=number]").is_enabled())
    assert find(browser, "#strength input[type=number]").is_enabled()
    assert not find(browser, "#preset input").is_enabled()
    until(lambda: shown(browser)[1] != old)


class Proxy(BaseHTTPRequestHandler):
    """Shows a server at /photos, and nothing beside it."""

    behind = ""

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection(self.behind, timeout=PATIENCE)
        with contextlib.closing(behind), contextlib.suppress(ConnectionError):
            behind.request(self.command, self.path.removeprefix("/photos"), body, dict(self.headers))
            answer = behind.getresponse()
            self.send_response(answer.status if self.path.startswith("/photos/") else 404)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1():
                self.wfile.write(part)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *facts):
        """Say nothing."""


def test_behind_a_proxy_the_page_is_at_a_path_of_its_own(browser, night, tmp_path, monkeypatch):
    with served(tmp_path, "--root-path", "/photos") as address, ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        monkeypatch.setattr(Proxy, "behind", address.removeprefix("http://"))
        threading.Thread(target=proxy.serve_forever).start()
        try:
            open_at(browser, f"http://127.0.0.1:{proxy.server_port}/photos/", 1400, 900)
            drop(browser, night)
            assert picture(shown(browser)[1]).shape == (549, 1280, 3)
            browser.get(f"http://127.0.0.1:{proxy.server_port}/photos/api/docs")
            assert until(lambda: find(browser, "a[href='/photos/']").text) == "/photos/"
        finally:
            proxy.shutdown()
