"""Photos that come into a folder are given once they are complete, and once."""

import threading
import time
from contextlib import nullcontext
from math import inf
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from lowlight.cli import batch
from lowlight.cli.progress import Reporter
from lowlight.cli.watch import check, watch
from lowlight.errors import UserError
from lowlight.settings import EnhanceSettings
from lowlight.zoo import registry
from tests.test_batch import Doubler, files


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """An empty folder, and a list that grows by what is watched there."""
    monkeypatch.setattr("lowlight.cli.watch.LOOK", 0.02)
    monkeypatch.setattr("lowlight.cli.watch.SETTLED", 0.2)
    folder, stop, given = tmp_path / "in", threading.Event(), []
    folder.mkdir()

    def look(**options):
        settings = EnhanceSettings((folder,), tmp_path / "out", watch=True, **options)
        given.extend(watch(settings, stop))

    threads = []

    def start(**options):
        threads.append(threading.Thread(target=look, kwargs=options))
        threads[0].start()
        return folder, given

    yield start
    stop.set()
    threads[0].join(5)
    assert not threads[0].is_alive()


def wait_for(condition):
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_a_photo_is_given_once_it_has_stopped_growing(watched):
    folder, given = watched()
    with (folder / "a.jpg").open("wb", buffering=0) as file:
        for _ in range(15):
            file.write(b"more")
            time.sleep(0.04)
            assert given == []
    wait_for(lambda: given)
    time.sleep(0.5)
    assert [job.source.name for job in given] == ["a.jpg"]


def test_photos_whose_results_are_there_are_left_out(watched, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jpg").touch()
    folder, given = watched()
    (folder / "a.jpg").touch()
    (folder / "b.jpg").touch()
    wait_for(lambda: given)
    assert [job.source.name for job in given] == ["b.jpg"]


def test_a_photo_that_changes_is_given_again(watched):
    folder, given = watched()
    (folder / "a.jpg").write_bytes(b"cut")
    wait_for(lambda: len(given) == 1)
    (folder / "a.jpg").write_bytes(b"complete")
    wait_for(lambda: len(given) == 2)


def test_a_photo_that_comes_back_with_its_disk_is_given_again_unless_its_result_is_there(watched, tmp_path):
    folder, given = watched()
    (folder / "a.jpg").touch()
    (folder / "b.jpg").touch()
    wait_for(lambda: len(given) == 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jpg").touch()
    folder.rename(tmp_path / "unplugged")
    time.sleep(0.2)
    (tmp_path / "unplugged").rename(folder)
    wait_for(lambda: len(given) == 3)
    assert given[2].source.name == "b.jpg"


def test_that_a_folder_is_gone_is_told_once_each_time(watched, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("lowlight.cli.watch.tell", told.append)
    folder, given = watched()
    for times in (1, 2):
        folder.rename(tmp_path / "unplugged")
        wait_for(lambda times=times: len(told) == times)
        time.sleep(0.1)  # some looks later
        (tmp_path / "unplugged").rename(folder)
        (folder / f"{times}.jpg").touch()
        wait_for(lambda times=times: len({job.source for job in given}) == times)
    assert told == [f"waiting: {folder} is not there any more"] * 2


def test_two_photos_that_would_write_one_result_do_not(watched):
    folder, given = watched(format="png")
    (folder / "a.jpg").touch()
    wait_for(lambda: len(given) == 1)
    (folder / "a.webp").touch()
    wait_for(lambda: len(given) == 2)
    assert given[0].problem is None
    assert "would write the result of" in given[1].problem


def test_only_folders_can_be_watched_and_results_go_elsewhere(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UserError, match="Only folders"):
        check(EnhanceSettings((tmp_path / "a.jpg",), tmp_path / "out", watch=True))
    with pytest.raises(UserError, match="over photos"):
        check(EnhanceSettings((tmp_path,), tmp_path, watch=True))
    assert check(EnhanceSettings((tmp_path,), tmp_path, watch=True, suffix="_b")) == []
    assert check(EnhanceSettings((tmp_path,), tmp_path / "out", watch=True)) == []
    assert check(EnhanceSettings((tmp_path,), watch=True, in_place=True)) == []


def test_for_a_watch_the_engine_is_chosen_that_is_done_first_with_much(monkeypatch):
    chosen = []
    monkeypatch.setattr(batch, "choose", lambda *facts: chosen.append(facts[-1]) or "onnx")
    monkeypatch.setattr(registry, "onnx_of", lambda *facts: None)
    monkeypatch.setattr(batch, "Session", Doubler)
    settings, reporter = EnhanceSettings((Path("photos"),), watch=True), SimpleNamespace(loading=nullcontext)
    batch._load({"name": "doubler"}, None, [], None, settings, reporter)
    assert chosen == [inf]


def test_ctrl_c_ends_the_watch_and_what_was_done_is_counted(photos, tmp_path, monkeypatch, capsys):
    class Once(Doubler):
        def enhance(self, photo, controls, compare=False):
            if len(list(tmp_path.glob("out/night*.png"))) == 3:  # whole ones: what is being written is hidden
                raise KeyboardInterrupt
            return super().enhance(photo, controls, compare)

    monkeypatch.setattr(batch, "Session", Once)
    monkeypatch.setattr("lowlight.cli.watch.LOOK", 0.02)
    monkeypatch.setattr("lowlight.cli.watch.SETTLED", 0.1)
    monkeypatch.setattr("lowlight.cli.progress.Reporter.finished", _adding(photos, "late.png"))
    with pytest.raises(KeyboardInterrupt):
        batch.enhance_all(EnhanceSettings((photos,), tmp_path / "out", watch=True))
    assert "3 done, 0 skipped, 0 failed" in capsys.readouterr().out
    assert files(tmp_path / "out") == ["night 0.png", "night 1.png", "night 2.png"]


def _adding(folder, name):
    """Let a photo come into the folder once three have been told of."""
    finished = Reporter.finished

    def adding(reporter, task):
        finished(reporter, task)
        if reporter.counts["done"] == 3:
            Image.new("RGB", (9, 9)).save(folder / name)

    return adding
