"""Files are read in a process of their own: what it may do without harm to the rest, and what it must not change."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from io import BytesIO

import numpy as np
import psutil
import pytest
from PIL import Image

from lowlight.cli.batch import enhance_all
from lowlight.io import worker as module
from lowlight.io.photo import ImageError, read_photo
from lowlight.io.worker import Limits, Worker, limits_for, read_apart
from lowlight.settings import EnhanceSettings
from tests.conftest import ROOT, scene
from tests.misbehaving import abort, count, count_and_crash, crash, doubled, grow, grumble, hang, leave, mutter, pid
from tests.test_zoo import save_model

pytestmark = pytest.mark.skipif(not module.POSSIBLE, reason="there are no sockets that pass files on")


@pytest.fixture(scope="module")
def shared():
    with Worker() as worker:
        yield worker


def test_results_come_back_as_they_are(shared, tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (100, 30, 3), np.uint16)
    found = shared.call(doubled, tmp_path, values)
    np.testing.assert_array_equal(found["twice"], 2 * values)
    np.testing.assert_array_equal(found["half"], values[::2].astype(np.float32) / 2)
    assert found["none"].shape == (0, 30, 3)
    found["twice"][:] = 7  # what is given is the caller's


def test_a_photo_is_read_as_in_this_process(shared, photos):
    path = next(photos.iterdir())
    here, apart = read_photo(path, levels=True), read_apart(shared, path)
    np.testing.assert_array_equal(apart.pixels, here.pixels)
    assert (apart.depth, apart.suffix, apart.icc) == (here.depth, here.suffix, here.icc)
    np.testing.assert_array_equal(read_apart(shared, BytesIO(path.read_bytes())).pixels, here.pixels)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (crash, "its decoder crashed (SIGSEGV)."),
        (abort, "its decoder crashed (SIGABRT) (libtiny: not enough bits)."),
        (leave, "its decoder gave up."),
        (hang, "it takes more than 1 s."),
        (grow, "it needs more than 0.5 GiB of memory."),
        (grumble, "decoder error -2 (libtiny: strip 3 is odd)."),
    ],
)
def test_whatever_a_file_does_is_told_in_one_line_and_the_next_is_read(shared, tmp_path, function, reason):
    path = tmp_path / "bad.jpg"
    start = time.monotonic()
    with pytest.raises(ImageError) as caught:
        shared.call(function, path, limits=Limits(2**29, 1))
    assert str(caught.value) == f"{path} cannot be read: {reason}"
    assert time.monotonic() - start < 5
    assert shared.call(mutter, path) == "well"
    with pytest.raises(ImageError, match=r"error -2 \(libtiny: strip 3 is odd\)\.$"):  # and not what was muttered
        shared.call(grumble, path)


def test_one_process_serves_many_files_and_is_replaced_when_it_is_gone(shared, tmp_path):
    first = shared.call(pid, tmp_path)
    assert shared.call(pid, tmp_path) == first != os.getpid()
    shared.process.kill()
    shared.process.wait()
    assert shared.call(pid, tmp_path) != first


def test_why_no_process_can_be_started_is_told_and_the_next_call_tries_again(shared, tmp_path, monkeypatch):
    def exhausted(*words, **pipes):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    shared.close()
    monkeypatch.setattr(subprocess, "Popen", exhausted)
    with pytest.raises(OSError, match="Resource temporarily unavailable"):
        shared.call(pid, tmp_path)
    monkeypatch.undo()
    assert shared.call(mutter, tmp_path) == "well"


def test_items_come_in_order_and_what_fails_amid_them_is_told(shared, tmp_path):
    items = list(shared.iterate(count, tmp_path, 9))
    assert [number for number, _ in items] == list(range(9))
    assert all((pixels == number).all() for number, pixels in items)
    items = shared.iterate(count_and_crash, tmp_path)
    assert next(items) == 1
    with pytest.raises(ImageError, match="crashed"):
        next(items)
    items = shared.iterate(count, tmp_path, 9)
    next(items)
    items.close()
    assert shared.call(mutter, tmp_path) == "well"


def test_calls_of_many_threads_do_not_mix(shared, tmp_path):
    wrong = []

    def ask(number):
        for _ in range(20):
            values = np.full((3, 3), number)
            if not (shared.call(doubled, tmp_path, values)["twice"] == 2 * number).all():
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    script = (
        "import os, pathlib\nfrom lowlight.io.worker import Worker\nfrom tests.misbehaving import pid\n"
        "worker = Worker()\nprint(worker.call(pid, pathlib.Path()), flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    number = int(done.stdout)
    for _ in range(100):
        if not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.1)
    else:
        pytest.fail("it still runs")


def test_limits_follow_what_the_header_says(tmp_path):
    (tmp_path / "a").write_bytes(bytes(10**6))
    small, large = limits_for(tmp_path / "a"), limits_for(tmp_path / "a", 4000 * 6000)
    assert small.memory < 1.1 * 2**30
    assert large.memory > small.memory + 24e6 * 16
    assert large.seconds > small.seconds


@pytest.mark.filterwarnings("ignore")
def test_photos_that_crash_or_hang_do_not_stop_a_folder(photos, tmp_path, capfd, monkeypatch):
    """As a decoder would: the worker is told to run what crashes, for one photo, and what hangs, for another."""
    (tmp_path / "model").mkdir()
    save_model(tmp_path / "model")
    bad = {"night 0.png": crash, "night 1.png": hang}
    call = Worker.call

    def by_name(self, function, path, *arguments, limits):
        function = bad.get(path.name, function) if function is module.read_photo else function
        return call(self, function, path, *(() if function in bad.values() else arguments), limits=Limits(2**30, 2))

    monkeypatch.setattr(Worker, "call", by_name)
    Image.fromarray(scene(5)).save(photos / "night 9.png")
    settings = EnhanceSettings((photos,), tmp_path / "out", model=str(tmp_path / "model"))
    assert enhance_all(settings) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["night 2.png", "night 9.png"]
    said = capfd.readouterr()
    assert "2 done, 0 skipped, 2 failed" in said.out
    assert "night 0.png cannot be read: its decoder crashed (SIGSEGV)." in said.err
    assert "night 1.png cannot be read: it takes more than 2 s." in said.err
