"""Photos that come into a folder are given once they are complete, and once."""

import threading
from contextlib import nullcontext
from math import inf
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from lowlight.cli import batch, jobs
from lowlight.cli.progress import Reporter
from lowlight.cli.watch import check, watch
from lowlight.errors import UserError
from lowlight.settings import EnhanceSettings
from lowlight.zoo import registry
from tests.test_batch import Doubler, files


class Looks(threading.Event):
    """Tells a watch to stop after some looks; between each two of them a second passes, in which something happens."""

    def __init__(self, between):
        super().__init__()
        self.between, self.now = iter(between), 0.0

    def monotonic(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        happens = next(self.between, self.set)
        return happens()


def nothing():
    """Time goes by."""


LONG = [nothing] * 5
"""After which what did not change meanwhile is complete."""


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """An empty folder; a function that has it watched while things happen; and a list that grows by what is given."""
    folder, given = tmp_path / "in", []
    folder.mkdir()

    def watch_while(*between, **options):
        looks = Looks(between)
        monkeypatch.setattr("lowlight.cli.watch.time", looks)
        given.extend(watch(EnhanceSettings((folder,), tmp_path / "out", watch=True, **options), looks))
        return [job.source.name for job in given]

    return folder, watch_while, given


def test_a_photo_is_given_once_it_has_stopped_growing(watched):
    folder, watch_while, given = watched

    def grow():
        assert given == []
        with (folder / "a.jpg").open("ab") as file:
            file.write(b"more")

    assert watch_while(*[grow, nothing] * 15, *LONG) == ["a.jpg"]


def test_photos_whose_results_are_there_are_left_out(watched, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jpg").touch()
    folder, watch_while, _ = watched
    (folder / "a.jpg").touch()
    (folder / "b.jpg").touch()
    assert watch_while(*LONG) == ["b.jpg"]


def test_a_photo_that_changes_is_given_again(watched):
    folder, watch_while, given = watched
    (folder / "a.jpg").write_bytes(b"cut")

    def complete():
        assert len(given) == 1
        (folder / "a.jpg").write_bytes(b"complete")

    assert watch_while(*LONG, complete, *LONG) == ["a.jpg"] * 2


def test_a_photo_that_comes_back_with_its_disk_is_given_again_unless_its_result_is_there(watched, tmp_path):
    folder, watch_while, given = watched
    (folder / "a.jpg").touch()
    (folder / "b.jpg").touch()

    def unplug():
        assert len(given) == 2
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.jpg").touch()
        folder.rename(tmp_path / "unplugged")

    def plug():
        (tmp_path / "unplugged").rename(folder)

    assert watch_while(*LONG, unplug, plug, *LONG) == ["a.jpg", "b.jpg", "b.jpg"]


def test_that_a_folder_is_gone_is_told_once_each_time(watched, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("lowlight.cli.watch.tell", told.append)
    folder, watch_while, _ = watched

    def unplug():
        folder.rename(tmp_path / "unplugged")

    def plug():
        (tmp_path / "unplugged").rename(folder)
        (folder / f"{len(told)}.jpg").touch()

    both = unplug, *LONG, plug, *LONG
    assert sorted(set(watch_while(*both, *both))) == ["1.jpg", "2.jpg"]
    assert told == [f"waiting: {folder} is not there any more"] * 2


def test_a_folder_that_fails_amid_a_look_is_looked_into_again(watched, monkeypatch):
    folder, watch_while, _ = watched
    (folder / "a.jpg").touch()
    faults = [UserError("Stale file handle")]

    def find(settings):
        if faults:
            raise faults.pop()  # the folder is back by now
        return jobs.find(settings)

    monkeypatch.setattr("lowlight.cli.watch.find", find)
    assert watch_while(*LONG) == ["a.jpg"]


def test_two_photos_that_would_write_one_result_do_not(watched):
    folder, watch_while, given = watched
    (folder / "a.jpg").touch()
    watch_while(*LONG, (folder / "a.webp").touch, *LONG, format="png")
    assert [job.source.name for job in given] == ["a.jpg", "a.webp"]
    assert given[0].problem is None
    assert "would write the result of" in given[1].problem


def test_only_folders_can_be_watched_and_results_go_elsewhere(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UserError, match="Only folders"):
        check(EnhanceSettings((tmp_path / "a.jpg",), tmp_path / "out", watch=True))
    with pytest.raises(UserError, match="Photos cannot be written in that format. Received: xyz"):
        check(EnhanceSettings((tmp_path,), tmp_path / "out", watch=True, format="xyz"))
    with pytest.raises(UserError, match="over photos"):
        check(EnhanceSettings((tmp_path,), tmp_path, watch=True))
    assert check(EnhanceSettings((tmp_path,), tmp_path, watch=True, suffix="_b")) == []
    assert check(EnhanceSettings((tmp_path,), tmp_path / "out", watch=True)) == []
    assert check(EnhanceSettings((tmp_path,), watch=True, in_place=True)) == []
    (tmp_path / "ring").symlink_to("ring")  # of which making the folder tells
    assert check(EnhanceSettings((tmp_path,), tmp_path / "ring", watch=True)) == []


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
