"""Files that are broken at random, for a few seconds; `python -m tests.fuzz` goes on for as long as is wanted."""

from dataclasses import replace

import numpy as np
import pytest

from lowlight.io.worker import Worker
from tests import fuzz


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    return fuzz.make_starts(tmp_path_factory.mktemp("starts"), fuzz.Settings())


def test_every_kind_has_a_start_that_is_read(starts, tmp_path):
    assert len(starts) >= 20
    with Worker() as worker:
        for kind, files in starts.items():
            path = tmp_path / f"whole.{kind}"
            path.write_bytes(files[0])
            assert fuzz.outcome_of(worker, path) == ("read", ""), kind


def test_broken_files_are_read_or_refused(starts, tmp_path):
    settings = replace(fuzz.Settings(), seconds=5, keep=tmp_path / "finds")
    counts, finds = fuzz.search(starts, tmp_path, settings)
    assert not finds
    assert counts


def test_what_did_harm_does_none_now(tmp_path):
    with Worker() as worker:
        for path in sorted(fuzz.FINDS.iterdir()):
            assert fuzz.outcome_of(worker, path)[0] in ("read", "refused"), path


def test_a_number_gives_the_same_broken_file_again(starts):
    files = starts["png"]
    made = [fuzz.broken(np.random.default_rng(number), files) for number in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
