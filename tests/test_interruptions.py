"""main.py is killed or stopped in the midst of a folder: nothing is half-written, and the next run does the rest."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

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
batch.registry.files_of = lambda *model: ({"name": "none"}, None)
batch.registry.onnx_of = lambda *model: None
sys.exit(system.run(lambda: batch.enhance_all(parse.parse(settings.EnhanceSettings, None))))
"""


ON_A_SMALL_DISK = """
import errno
from lowlight.io import atomic

def sync(file, files=[], sync=atomic._sync):
    files.append(file.name)
    if len(files) > 5:
        raise OSError(errno.ENOSPC, "No space left on device")
    sync(file)

atomic._sync = sync
"""
"""Which holds five results."""

FULL = Path("/dev/full")

needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="by Linux' device that is always full")


def start(*words, before="", **pipes):
    """A process that runs some code, and then main.py with these words, without a model."""
    command = [sys.executable, "-c", before + WITHOUT_MODEL, *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
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


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda signum: signum.name)
def test_a_signal_to_end_finishes_the_photo_in_hand_says_so_and_is_the_exit_status(folders, signum):
    source, target = folders
    process = start(source, "-o", target)
    wait_for_results(target, 5, process)
    process.send_signal(signum)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert errors == "stopped\n"
    done = results(target)
    assert 5 <= len(done) < 30
    assert f"{len(done)} done, 0 skipped, 0 failed" in output
    assert len(list(target.iterdir())) == len(done)


def test_ctrl_c_ends_a_wait_for_standard_input(tmp_path):
    process = start("-", "--json", tmp_path / "log", stdin=subprocess.PIPE)
    while process.poll() is None and not (tmp_path / "log").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
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
    assert process.communicate()[1] == "stopped: nobody reads the output any more\n"
    assert process.returncode == 1
    results(target)


def test_two_runs_on_one_folder_do_each_photo_once(folders):
    source, target = folders
    processes = [start(source, "-o", target, "--json", target.with_name(f"log{number}")) for number in range(2)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    lines = "".join(target.with_name(f"log{number}").read_text() for number in range(2)).splitlines()
    done = [record["out"] for record in map(json.loads, lines) if record["status"] == "done"]
    assert len(done) == len(set(done)) == 30
    assert len(results(target)) == len(list(target.iterdir())) == 30


@pytest.mark.parametrize("how", ["", "--overwrite", "--in-place"])
def test_a_full_disk_ends_the_run_in_a_line_and_the_same_command_goes_on(folders, how):
    """Each photo after it would take its seconds, and fail."""
    source, target = folders
    words = [source, how] if how == "--in-place" else [source, "-o", target, *filter(None, [how])]
    process = start(*words, before=ON_A_SMALL_DISK)
    output, errors = process.communicate()
    left = "makes all results anew" if how == "--overwrite" else "goes on with 5.png and 24 more"
    place = source if how == "--in-place" else target
    failed, ended = errors.splitlines()
    assert failed == f"failed: {place / '5.png'} cannot be written: No space left on device."
    assert ended == f"error: The disk is full. Make room: the same command {left}: {place}"
    assert process.returncode == 1
    assert output.startswith("5 done, 0 skipped, 1 failed")
    done = 0 if how == "--overwrite" else 5
    assert f"{30 - done} done, {done} skipped, 0 failed" in start(*words).communicate()[0]


@needs_full_device
@pytest.mark.parametrize("words", [(), ("--verbose",)])
def test_a_full_standard_output_costs_the_lines_alone(folders, words):
    source, target = folders
    with FULL.open("w") as full:
        process = start(source, "-o", target, *words, stdout=full)
        assert process.communicate()[1] == "error: Standard output cannot be written: No space left on device.\n"
    assert process.returncode == 1
    assert len(results(target)) == 30


@needs_full_device
@pytest.mark.parametrize("name", ["-", str(FULL)])
def test_json_that_cannot_be_written_is_told_in_a_line(folders, name):
    source, target = folders
    with FULL.open("w") as full:
        process = start(source, "-o", target, "--json", name, stdout=full)
        lines = process.communicate()[1].splitlines()
    assert process.returncode == 1
    assert sum("JSON cannot be written (No space left on device)" in line for line in lines) == 1
    assert not any("Traceback" in line for line in lines)
    results(target)


@needs_full_device
def test_a_result_that_standard_output_does_not_hold_has_failed(folders):
    with FULL.open("w") as full, (folders[0] / "0.png").open("rb") as photo:
        process = start("-", stdin=photo, stdout=full)
        failed, count = process.communicate()[1].splitlines()
    assert failed == "failed: Standard output cannot be written: No space left on device."
    assert count.startswith("0 done, 0 skipped, 1 failed")
    assert process.returncode == 1


@pytest.mark.skipif(os.name != "posix", reason="by POSIX' limits on files")
def test_a_result_that_is_cut_short_has_failed_also_where_python_does_not_buffer(folders, tmp_path):
    """A first write that is short, as on a disk that becomes full."""
    streams = f"< '{folders[0] / '0.png'}' > '{tmp_path / 'cut'}'"
    command = f"ulimit -f 20; trap '' XFSZ; exec '{sys.executable}' -c \"$0\" - {streams}"
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    run = subprocess.run(
        ["bash", "-c", command, WITHOUT_MODEL], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert run.stderr.startswith("failed: Standard output cannot be written: File too large.\n0 done"), run.stderr
    assert run.returncode == 1


@pytest.mark.skipif(os.name != "posix", reason="by a shell")
@pytest.mark.parametrize(
    ("closed", "line", "status"),
    [
        (">&-", "error: Standard output cannot be written: Bad file descriptor.\n", 1),
        ("2>&-", "", 0),
        ("<&-", "", 0),
        ("<&- >&- 2>&-", "", 1),
    ],
)
def test_closed_streams_cost_what_would_have_been_said_alone(folders, closed, line, status):
    source, target = folders
    command = f"exec '{sys.executable}' -c \"$0\" '{source}' -o '{target}' {closed}"
    run = subprocess.run(["bash", "-c", command, WITHOUT_MODEL], cwd=ROOT, capture_output=True, text=True)
    assert (run.stderr, run.returncode) == (line, status)
    assert len(results(target)) == 30


@pytest.mark.skipif(os.name != "posix", reason="by a shell")
@pytest.mark.parametrize(("closed", "stream"), [("<&-", "input cannot be read"), (">&-", "output cannot be written")])
def test_a_photo_from_or_to_a_closed_stream_has_failed(folders, closed, stream):
    command = f"exec '{sys.executable}' -c \"$0\" - < '{folders[0] / '0.png'}' {closed}"
    run = subprocess.run(["bash", "-c", command, WITHOUT_MODEL], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr.startswith(f"failed: Standard {stream}: Bad file descriptor.\n0 done")
    assert run.returncode == 1


def test_lack_of_memory_is_told_in_words(folders):
    source, target = folders
    code = WITHOUT_MODEL.replace("time.sleep(0.01)", "raise MemoryError")
    run = subprocess.run(
        [sys.executable, "-c", code, str(source / "0.png"), "-o", str(target)], cwd=ROOT, capture_output=True
    )
    assert b"0.png: there is not enough memory. Close other programs" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert run.returncode == 1
