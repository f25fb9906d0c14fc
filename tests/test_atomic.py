"""Files are written whole or not at all, by however many processes at once."""

import contextlib
import errno
import os
import subprocess
import sys
import threading

import pytest

from lowlight.io import atomic, lock
from lowlight.io.lock import holding, take
from tests.conftest import ROOT

HELD = """
import sys, time
from pathlib import Path
from lowlight.io.atomic import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _new_process(monkeypatch):
    """As if no folder had been written into yet."""
    monkeypatch.setattr(atomic, "_swept", set())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def writer(path):
    """A process in the midst of writing a file."""
    process = subprocess.Popen([sys.executable, "-c", HELD, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    return process


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a"
    atomic.write(target, "old")

    def fail():
        with atomic.replacing(target) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_target_that_cannot_be_replaced_leaves_nothing_behind(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match=r"directory|denied"):
        atomic.write(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(("answer", "left"), [(errno.EIO, "old"), (errno.EINVAL, "new")])
def test_a_file_takes_its_place_once_the_disk_has_it_or_cannot_say_so(answer, left, tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(answer, os.strerror(answer))

    atomic.write(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", fsync)
    with contextlib.suppress(OSError):
        atomic.write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == left
    assert names(tmp_path) == ["a"]


def test_writers_of_one_target_do_not_share_a_temporary_file(tmp_path):
    contents = [bytes([letter]) * 300_000 for letter in b"abcdefgh"]
    threads = [threading.Thread(target=atomic.write, args=(tmp_path / "a", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert names(tmp_path) == ["a"]


def test_a_link_in_the_place_of_a_temporary_file_is_not_written_through(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("precious")
    tokens = iter(["00000000", "11111111"])
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda size: next(tokens))
    planted = tmp_path / f"{atomic.hidden_name(tmp_path / 'a')}.00000000.part"
    planted.symlink_to("precious")
    atomic.write(tmp_path / "a", "new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="Windows removes no open file")
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    process = writer(tmp_path / "b")
    (held,) = names(tmp_path)
    atomic.write(tmp_path / "a", "a")
    assert names(tmp_path) == [held, "a"]
    process.kill()
    process.communicate()
    atomic._swept.clear()
    atomic.write(tmp_path / "a", "a")
    assert names(tmp_path) == ["a"]


def test_a_folder_that_is_made_holds_nothing_also_of_what_was_left(tmp_path):
    folder = tmp_path / "a" / "b"
    atomic.make_folder(folder)
    assert names(folder) == []
    (folder / ".0123456789abcdef.01234567.part").touch()
    atomic._swept.clear()
    atomic.make_folder(folder)
    assert names(folder) == []


def test_a_lock_that_no_one_holds_is_removed_and_one_that_is_held_is_not(tmp_path):
    lock = atomic.lock_of(tmp_path / "a", tmp_path)
    with holding(lock):
        atomic.make_folder(tmp_path)
        assert names(tmp_path) == [lock.name]
    lock.touch()
    atomic._swept.clear()
    atomic.make_folder(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="Windows removes no open file")
def test_a_lock_that_another_made_under_the_name_meanwhile_is_left_to_it(tmp_path, monkeypatch):
    """Its file was removed, and a new one made, after this process had opened the old one to look at it."""
    lock = atomic.lock_of(tmp_path / "a", tmp_path)
    lock.touch()
    new = tmp_path / "new"
    new.touch()

    def replaced(file, *, without_locks, shared):
        new.replace(lock)
        return True

    monkeypatch.setattr(atomic, "take", replaced)
    atomic._remove_unless_held(str(lock))
    assert names(tmp_path) == [lock.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")
def test_a_lock_that_is_looked_at_whether_it_was_left_behind_can_be_taken_all_the_same(tmp_path, monkeypatch):
    path = atomic.lock_of(tmp_path / "a", tmp_path)
    path.touch()
    sweep = path.open("r+b")
    assert take(sweep, without_locks=False, shared=True)

    def taken(file, **how):
        tried.append(take(file, **how))
        if len(tried) == 2:  # the sweep, which the first try met, comes to its end
            path.unlink()
            sweep.close()
        return tried[-1]

    tried = []
    monkeypatch.setattr(lock, "take", taken)
    with holding(path) as held:
        assert held
        assert tried == [False, True, True]
        assert names(tmp_path) == [path.name]
        with holding(path) as again:
            assert not again


def test_other_hidden_files_stay(tmp_path):
    for name in (".0123456789abcdef.part", ".notes.part", ".0123456789abcdef.01234567.part.txt"):
        (tmp_path / name).touch()
    before = names(tmp_path)
    atomic.write(tmp_path / "a", "a")
    assert names(tmp_path) == [*before, "a"]


def test_a_name_as_long_as_names_can_be_can_be_written(tmp_path):
    atomic.write(tmp_path / ("n" * 255), "a")
    assert names(tmp_path) == ["n" * 255]
