"""main.py is killed or stopped in the midst of a folder: nothing is half-written, and the next run does the rest."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

WITHOUT_MODEL = """
import sys, time
from lowlight import settings, system
from lowlight.cli import batch, parse

class Session:
    def __init__(self, *settings): pass
    def check(self, controls): pass
    def enhance(self, photo, controls, compare=False):
        time.sleep(0.01)
        return photo

batch.Session = Session
batch.registry.files_of = lambda *model: ({}, None)
sys.exit(system.run(lambda: batch.enhance_all(parse.parse(settings.EnhanceSettings, None))))
"""


def start(*words, **pipes):
    command = [sys.executable, "-c", WITHOUT_MODEL, *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
    if os.name == "posix":  # Ctrl-C as at a terminal, also where these tests run in the background, which ignores it
        pipes["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


@pytest.fixture
def folders(tmp_path):
    """Thirty photos of noise, which take their time to be written, and the folder of their results."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(30):
        Image.fromarray(rng.integers(0, 50, (150, 200, 3), np.uint8)).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in", tmp_path / "out"


def results(folder):
    """By name of each result, when it was written; each is whole."""
    found = {path.name: path for path in folder.glob("[!.]*")}
    for path in found.values():
        with Image.open(path) as image:
            image.load()
            assert image.size == (200, 150)
    return {name: path.stat().st_mtime_ns for name, path in found.items()}


def wait_for_results(folder, number, process):
    while process.poll() is None and len(list(folder.glob("[!.]*"))) < number:
        time.sleep(0.001)


def test_a_killed_run_leaves_no_half_written_result_and_the_next_one_touches_nothing_done(folders):
    source, target = folders
    rng = random.Random(0)
    done = {}
    for number in (1, 7, 15, 24):
        process = start(source, "-o", target)
        wait_for_results(target, number, process)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        process.communicate()
        found = results(target)
        assert done.items() <= found.items()
        done = found
    assert 24 <= len(done) < 30
    output, errors = start(source, "-o", target).communicate()
    assert f"{30 - len(done)} done, {len(done)} skipped, 0 failed" in output, errors
    assert done.items() <= results(target).items()
    assert len(list(target.iterdir())) == 30


def test_photos_that_give_their_places_to_results_survive_a_kill(folders):
    source, _ = folders
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    for number in (33, 45):
        process = start(source, "--in-place", "--strength", "0.5")
        wait_for_results(source, number, process)
        process.kill()
        process.communicate()
        for name, content in before.items():
            assert content in [path.read_bytes() for path in source.glob(f"{name}*")]
    process = start(source, "--in-place")
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    assert {path.name: path.read_bytes() for path in source.glob("*.orig")} == {
        f"{name}.orig": content for name, content in before.items()
    }
    assert len(results(source)) == 60


def test_ctrl_c_finishes_the_photo_in_hand_says_so_and_ends_with_130(folders):
    source, target = folders
    process = start(source, "-o", target)
    wait_for_results(target, 5, process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "stopped\n"
    done = results(target)
    assert 5 <= len(done) < 30
    assert f"{len(done)} done, 0 skipped, 0 failed" in output
    assert len(list(target.iterdir())) == len(done)


def test_ctrl_c_ends_a_wait_for_standard_input():
    process = start("-", stdin=subprocess.PIPE)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_names_that_are_no_text_are_told_all_the_same(folders):
    source, target = folders
    (source / "0.png").rename(source / "nacht\udce9.png")
    process = start(source / "nacht\udce9.png", "-o", target, "-v")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "1 done" in output
    assert (target / "nacht\udce9.png").exists()


def test_a_reader_that_has_heard_enough_does_no_harm(folders):
    source, target = folders
    process = start(source, "-o", target, "-v")
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.communicate()[1]
    assert process.returncode == 1
    results(target)
