"""A whole run but for the model: what is written, what is told, what is kept. The model doubles the brightness."""

import errno
import io
import json
import os
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lowlight.cli import batch
from lowlight.cli.jobs import Job
from lowlight.errors import UserError
from lowlight.inference.session import Session
from lowlight.io import atomic
from lowlight.io.lock import holding
from lowlight.io.photo import ImageError, Photo, encode, image_size, read_rgb
from lowlight.settings import EnhanceSettings
from lowlight.zoo import cards, registry
from tests import corpus
from tests.conftest import Here


class Doubler(Session):
    """What a model does, without one."""

    def __init__(self, *settings):
        self.card = {"name": "doubler", "weights": {"sha256": "0"}}
        self.controls, self.scope, self.process = frozenset(), nullcontext, os.getpid()

    def enhancer(self, pixels, controls, overview=None, box=None):
        white = np.iinfo(pixels.dtype).max
        return np.minimum(pixels.astype(int) * 2, white).astype(pixels.dtype)


@pytest.fixture
def enhance(tmp_path, monkeypatch):
    """Run as main.py does, into the folder out."""
    monkeypatch.setattr(batch, "Session", Doubler)

    def run(*inputs, **options):
        where = {} if options.get("in_place") else {"output": tmp_path / "out"}
        return batch.enhance_all(EnhanceSettings(inputs, **(where | options)))

    return run


def doubled(path):
    return np.minimum(read_rgb(path).astype(int) * 2, 255)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_comes_from_standard_input_can_go_out_in_another_format(photos, monkeypatch, capsysbinary):
    content = io.BytesIO((photos / "night 0.png").read_bytes())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=content))
    monkeypatch.setattr(batch, "Session", Doubler)
    assert batch.enhance_all(EnhanceSettings((Path("-"),), format="tiff")) == 0
    with Image.open(io.BytesIO(capsysbinary.readouterr().out)) as image:
        assert (image.format, image.size) == ("TIFF", (50, 30))


def test_for_one_photo_each_file_of_the_model_is_looked_at_once_and_those_of_others_not_at_all(
    photos, tmp_path, monkeypatch
):
    looks = []

    def noted(look):
        return lambda path: looks.append(path.name) or look(path)

    monkeypatch.setattr(registry, "sha256", noted(registry.sha256))
    monkeypatch.setattr(cards, "read", noted(cards.read))
    assert batch.enhance_all(EnhanceSettings((photos / "night 0.png",), tmp_path / "out", engine="onnx")) == 0
    assert sorted(looks) == [f"{registry.default()}{suffix}" for suffix in (".json", ".onnx", ".weights.h5")]


def test_tensorflow_is_for_many_megapixels_and_not_for_what_cannot_be_counted(enhance, photos, monkeypatch):
    """Its seconds of loading are worth it for a clip, and for no photo from standard input."""
    asked = []
    monkeypatch.setattr(batch, "choose", lambda *facts: asked.append(facts[-1]) or "onnx")
    monkeypatch.setattr(batch, "enhance_stream", lambda *all: None)
    enhance(photos)
    assert asked.pop() == pytest.approx(3 * 30 * 50 / 1e6)
    (photos / "broken.png").write_bytes(b"no photo")
    enhance(photos, overwrite=True)
    assert asked.pop() == pytest.approx(3 * 30 * 50 / 1e6)
    batch.enhance_all(EnhanceSettings((Path("-"),)))
    assert asked.pop() == 0
    (photos / "clip.mp4").write_bytes(b"no clip")
    enhance(photos / "clip.mp4")
    assert asked.pop() > batch.MANY_MEGAPIXELS


def test_what_a_photo_may_take_to_read_is_by_its_pixels(enhance, photos, monkeypatch):
    seen = []
    read = batch.read_apart
    monkeypatch.setattr(batch, "read_apart", lambda *facts: seen.append(facts[-1]) or read(*facts))
    assert enhance(photos / "night 0.png") == 0
    assert seen == [50 * 30]


def test_the_tree_of_folders_is_kept(enhance, photos, tmp_path):
    (photos / "deep" / "er").mkdir(parents=True)
    (photos / "night 1.png").rename(photos / "deep" / "er" / "night 0.png")
    assert enhance(photos, recursive=True) == 0
    assert files(tmp_path / "out") == ["deep/er/night 0.png", "night 0.png", "night 2.png"]
    result = read_rgb(tmp_path / "out" / "deep" / "er" / "night 0.png")
    np.testing.assert_array_equal(result, doubled(photos / "deep" / "er" / "night 0.png"))


def test_a_photo_that_gives_its_place_to_its_result_is_kept_and_not_enhanced_twice(
    enhance, photos, monkeypatch, capsys
):
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    assert enhance(photos, in_place=True) == 0
    assert "3 done, 0 skipped, 0 failed" in capsys.readouterr().out
    after = {path.name: path.read_bytes() for path in photos.iterdir()}
    for name, content in before.items():
        assert after[f"{name}.orig"] == content
        assert after[name] != content
    monkeypatch.setattr(batch, "Session", None)  # no model is loaded where all is done
    assert enhance(photos, in_place=True) == 0
    assert "0 done, 3 skipped, 0 failed" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == after


def test_a_backup_by_another_program_is_told_by_name_with_what_to_do(enhance, photos, capsys):
    (photos / "night 1.png.orig").write_bytes(b"of another program")
    assert enhance(photos, in_place=True) == 0
    skipped, counted = capsys.readouterr().out.splitlines()
    assert "2 done, 1 skipped, 0 failed" in counted
    assert skipped.startswith(f"skipped, for a backup is there: {photos / 'night 1.png.orig'}. To enhance")
    (photos / "a.png").write_bytes((photos / "night 1.png").read_bytes())
    assert enhance(photos, in_place=True) == 0
    assert enhance(photos, in_place=True) == 0
    assert "night 1.png.orig and 1 more. To" in capsys.readouterr().out


def test_a_dry_run_finds_out_that_there_is_no_such_model(enhance, photos):
    with pytest.raises(UserError, match="no such model. Received: 99"):
        enhance(photos, dry_run=True, model="99")


def test_photo_and_result_are_put_side_by_side(enhance, photos, tmp_path):
    assert enhance(photos, compare=True) == 0
    pixels = read_rgb(tmp_path / "out" / "night 0_compare.png")
    np.testing.assert_array_equal(pixels[:, :50], read_rgb(photos / "night 0.png"))
    np.testing.assert_array_equal(pixels[:, 50:], doubled(photos / "night 0.png"))


def test_what_cannot_be_read_or_written_is_told_in_a_line_each_and_the_rest_goes_on(
    enhance, photos, tmp_path, capsys, monkeypatch
):
    def full(path, *rest):
        if path.name == "night 1.png":
            raise ImageError(f"{path} cannot be written: No space left on device.")
        write(path, *rest)

    write = batch.write_photo
    monkeypatch.setattr(batch, "write_photo", full)
    (photos / "gone.png").symlink_to("nowhere")
    (photos / "line\nbreak\x1b[31m\u202e.png").write_text("no photo")
    (tmp_path / "out" / "night 2.png").mkdir(parents=True)
    assert enhance(photos, photos / "gone.png") == 1
    said = capsys.readouterr()
    assert "1 done, 0 skipped, 4 failed" in said.out
    lines = said.err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("failed: ") for line in lines)
    for words in ("gone.png is not there", "line break?[31m?.png", "No space left on device", "night 2.png"):
        assert sum(words in line for line in lines) == 1
    assert files(tmp_path / "out") == ["night 0.png"]


@pytest.mark.filterwarnings("ignore")
def test_of_a_folder_of_awkward_photos_each_good_one_comes_out_and_each_bad_one_is_named(enhance, tmp_path, capsys):
    entries = corpus.make(tmp_path / "in")
    assert enhance(tmp_path / "in", recursive=True, json=str(tmp_path / "log")) == 1
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    by_source = {record["in"]: record for record in records}
    assert len(records) == len(by_source) == len(entries) >= 60
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert len(lines) == sum(entry.kind == "bad" for entry in entries) >= 10
    for entry in entries:
        record = by_source[str(entry.path)]
        if entry.kind == "bad":
            assert record["status"] == "failed"
            assert " ".join(str(entry.path).split()) in " ".join(record["reason"].split())
        else:
            assert (record["status"], record["reason"]) == ("done", None)
            assert image_size(Path(record["out"])) == entry.picture.shape[:2]
    assert len(files(tmp_path / "out")) == sum(entry.kind == "good" for entry in entries)


def test_a_subfolder_that_cannot_be_made_costs_its_photos_alone(enhance, photos, tmp_path, capsys):
    (photos / "deep").mkdir()
    (photos / "night 1.png").rename(photos / "deep" / "night 1.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").write_text("in the way")
    assert enhance(photos, recursive=True) == 1
    assert "2 done, 0 skipped, 1 failed" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="named pipes of POSIX")
def test_a_pipe_beside_photos_is_told_and_not_opened(enhance, photos, tmp_path, capsys, monkeypatch):
    looks = []
    monkeypatch.setattr(batch, "count_pixels", lambda worker, source: looks.append(source.name) or 1)
    os.mkfifo(tmp_path / "pipe.jpg")
    assert enhance(tmp_path / "pipe.jpg", photos / "night 0.png") == 1
    assert set(looks) == {"night 0.png"}
    assert "pipe.jpg is a pipe or a device" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"suffix": "_bright"}, {"in_place": True}])
def test_a_name_too_long_for_its_result_costs_that_photo_alone(enhance, photos, capsys, options):
    (photos / "night 1.png").rename(photos / f"{'a' * 251}.png")
    assert enhance(photos, **options) == 1
    said = capsys.readouterr()
    assert "2 done, 0 skipped, 1 failed" in said.out
    assert "File name too long" in said.err


def test_a_results_folder_that_is_taken_away_meanwhile_is_made_anew(enhance, photos, tmp_path, monkeypatch):
    def load(*settings):
        (tmp_path / "out").rmdir()
        return Doubler()

    monkeypatch.setattr(batch, "Session", load)
    assert enhance(photos) == 0
    assert len(files(tmp_path / "out")) == 3


def test_a_place_in_which_nothing_can_be_made_is_told_by_the_photos_name(enhance, photos, capsys, monkeypatch):
    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(batch, "holding", closed)
    assert enhance(photos / "night 0.png", in_place=True) == 1
    assert f"failed: {photos}/night 0.png cannot be written: Permission denied." in capsys.readouterr().err


def test_a_photo_that_another_process_is_at_or_has_done_meanwhile_is_left_to_it(
    enhance, photos, tmp_path, monkeypatch, capsys
):
    source, target = photos / "night 0.png", tmp_path / "out" / "night 0.png"
    target.parent.mkdir()

    def reasons():
        assert enhance(source, json=str(tmp_path / "log")) == 0
        (record,) = map(json.loads, (tmp_path / "log").read_text().splitlines())
        return record["status"], record["reason"]

    with holding(atomic.lock_of(target, tmp_path / "out")):
        assert reasons() == ("skipped", "another process is at it")
    assert "(1 skipped, for another process is at them: should that one fail, run this" in capsys.readouterr().out
    assert not target.exists()

    @contextmanager
    def after_another(lock):
        target.write_bytes(b"of the other process")
        yield True

    monkeypatch.setattr(batch, "holding", after_another)
    assert reasons() == ("skipped", "the result is there")
    assert "(results that exist are skipped: --overwrite makes them anew)" in capsys.readouterr().out
    assert target.read_bytes() == b"of the other process"


@pytest.mark.skipif(os.name != "posix", reason="named pipes of POSIX")
def test_what_cannot_be_done_is_told_also_where_a_result_is_there_and_before_anything_is_done(
    enhance, photos, tmp_path, capsys
):
    os.mkfifo(photos / "pipe.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pipe.png").touch()
    for options, told in (({"dry_run": True}, "1 to do, 0 to skip"), ({}, "1 done, 0 skipped, 1 failed")):
        assert enhance(photos / "pipe.png", photos / "night 0.png", **options) == 1
        said = capsys.readouterr()
        assert told in said.out
        assert "pipe.png is a pipe or a device" in said.err


@pytest.mark.parametrize("content", [b"no photo", None], ids=["broken", "small"])
def test_what_no_header_tells_the_size_of_is_read_alone(photos, content):
    path = photos / "night 0.png"
    if content:
        path.write_bytes(content)
    assert batch._weigh(Job(path, path), Here()) == (batch.MOST_MEMORY if content else 50 * 30 * batch.BYTES_PER_PIXEL)


def test_lack_of_memory_is_told_in_words_whatever_the_engine_calls_it(enhance, photos, capsys, monkeypatch):
    def scarce(*arguments, **options):
        raise RuntimeError("Non-zero status code returned while running Transpose node: std::bad_alloc")

    monkeypatch.setattr(Doubler, "enhancer", scarce)
    assert enhance(photos / "night 0.png") == 1
    assert f"failed: {photos}/night 0.png: there is not enough memory." in capsys.readouterr().err


def test_what_the_system_refuses_is_told_in_its_words(enhance, photos, tmp_path, monkeypatch, capsys):
    def full(path, *facts):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out"))

    monkeypatch.setattr(batch, "write_photo", full)
    assert enhance(photos / "night 0.png") == 1
    assert capsys.readouterr().err == f"failed: {photos}/night 0.png: No space left on device ({tmp_path}/out).\n"


def test_a_photo_that_is_done_within_a_tick_of_the_clock_is_told_like_others(enhance, photos, capsys, monkeypatch):
    monkeypatch.setattr("lowlight.cli.progress.time", SimpleNamespace(monotonic=lambda: 7.0))
    assert enhance(photos) == 0
    assert "3 done, 0 skipped, 0 failed in 0.0 s" in capsys.readouterr().out


def test_photos_above_the_limit_are_refused(enhance, photos, capsys):
    Image.new("RGB", (100, 100)).save(photos / "large.png")
    assert enhance(photos, max_megapixels=0.005) == 1
    said = capsys.readouterr()
    assert "3 done, 0 skipped, 1 failed" in said.out
    assert "large.png" in said.err


def test_quality_and_metadata_are_as_asked_for(enhance, photos, tmp_path):
    exif = Image.Exif()
    exif[0x0110] = "Box"
    noise = np.random.default_rng(0).integers(0, 99, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(photos / "a.jpg", exif=exif, quality=95)
    sizes = []
    for options in ({}, {"quality": 30}, {"strip_metadata": True}):
        assert enhance(photos / "a.jpg", overwrite=True, **options) == 0
        with Image.open(tmp_path / "out" / "a.jpg") as image:
            sizes.append((tmp_path / "out" / "a.jpg").stat().st_size)
            assert (image.getexif().get(0x0110) == "Box") == (not options.get("strip_metadata"))
    assert sizes[1] < sizes[0] / 2


def test_what_is_too_long_for_a_jpeg_is_told(enhance, photos, monkeypatch, capsysbinary):
    exif = Image.Exif()
    exif[0x010E] = "a long description" * 4000
    content = encode(Photo(read_rgb(photos / "night 0.png"), exif=exif.tobytes(), xmp=b"<x/>".ljust(70000)), ".png")
    source = photos / "long.png"
    source.write_bytes(content)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert enhance(source, format="jpg") == 0
    assert batch.enhance_all(EnhanceSettings((Path("-"),), format="jpg", quiet=True)) == 0
    limit = "is left out: a JPEG holds no more than 64 KB of it"
    told = [f"note: {name}: its {what} {limit}" for name in (source, "-") for what in ("EXIF", "XMP")]
    assert capsysbinary.readouterr().err.decode().splitlines() == told
    assert enhance(source) == enhance(source, format="jpg", overwrite=True, strip_metadata=True) == 0
    assert not capsysbinary.readouterr().err


def test_each_photo_has_a_record_in_json(enhance, photos, tmp_path, capsys):
    (photos / "broken.png").touch()
    (tmp_path / "out").mkdir()
    Image.new("RGB", (1, 1)).save(tmp_path / "out" / "night 0.png")
    assert enhance(photos, json=str(tmp_path / "log.jsonl")) == 1
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    by_name = {Path(record["in"]).name: record for record in records}
    assert len(records) == len(by_name) == 4
    done = by_name["night 1.png"]
    assert (done["status"], done["reason"], done["width"], done["height"]) == ("done", None, 50, 30)
    assert done["out"] == str(tmp_path / "out" / "night 1.png")
    assert done["in_bytes"] == (photos / "night 1.png").stat().st_size
    assert done["out_bytes"] == Path(done["out"]).stat().st_size
    assert 0 < done["seconds"] < 5
    assert by_name["night 0.png"]["status"] == "skipped"
    assert by_name["broken.png"]["status"] == "failed"
    assert "broken.png" in by_name["broken.png"]["reason"]
    capsys.readouterr()
    assert enhance(photos, json="-", dry_run=True, overwrite=True) == 0
    said = capsys.readouterr()
    assert {json.loads(line)["status"] for line in said.out.splitlines()} == {"planned"}
    assert "4 to do" in said.err


def test_much_little_or_nothing_is_told(enhance, photos, capsys):
    (photos / "broken.png").touch()
    assert enhance(photos, quiet=True) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert enhance(photos, verbose=True, overwrite=True) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert f"done: {photos / 'night 0.png'} -> " in lines[0]
    assert "s to load the model" in lines[-1]
