"""A photo that gives its place to its result is kept, whatever happens."""

import os
import shutil

import pytest

from lowlight.cli.backup import backed_up, backup_of, is_replaced


@pytest.fixture(params=["links", "copies"])
def photo(request, tmp_path, monkeypatch):
    """A photo, on a disk where a file can have two names, and on one where it cannot."""
    if request.param == "copies":
        monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(OSError("not supported")))
    photo = tmp_path / "night.jpg"
    photo.write_bytes(b"dark")
    photo.chmod(0o640)
    os.utime(photo, (1e9, 1e9))
    return photo


def replace(photo, content=b"bright"):
    part = photo.with_name(".part")
    part.write_bytes(content)
    part.replace(photo)


def test_the_photo_is_kept_beside_its_result(photo):
    assert not is_replaced(photo)
    with backed_up(photo):
        assert backup_of(photo).read_bytes() == b"dark"
        replace(photo)
    assert is_replaced(photo)
    assert photo.read_bytes() == b"bright"
    assert backup_of(photo).read_bytes() == b"dark"
    assert photo.stat().st_mode & 0o777 == 0o640
    assert backup_of(photo).stat().st_mtime == 1e9


def test_what_fails_once_the_result_is_there_does_not_cost_the_photo(photo):
    def interrupted():
        with backed_up(photo):
            replace(photo)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert backup_of(photo).read_bytes() == b"dark"
    assert photo.read_bytes() == b"bright"


def test_without_a_result_no_backup_stays(photo):
    with pytest.raises(OSError, match="disk full"), backed_up(photo):
        raise OSError("disk full")
    assert [path.name for path in photo.parent.iterdir()] == ["night.jpg"]
    assert photo.read_bytes() == b"dark"


def test_a_run_that_was_killed_between_backup_and_result_is_made_good(photo):
    shutil.copy(photo, backup_of(photo))
    assert not is_replaced(photo)
    with backed_up(photo):
        replace(photo)
    assert backup_of(photo).read_bytes() == b"dark"


def test_a_backup_is_never_written_over(photo):
    with backed_up(photo):
        replace(photo)
    with pytest.raises(FileExistsError, match="another photo's backup"), backed_up(photo):
        replace(photo, b"brighter")
    assert backup_of(photo).read_bytes() == b"dark"
    assert photo.read_bytes() == b"bright"
