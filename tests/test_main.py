"""main.py as a photographer runs it: good photos, bad photos, wrong words."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lowlight import system
from lowlight.cli import info
from lowlight.cli.batch import enhance_all
from lowlight.data.synthetic import SAMPLES, shipped
from lowlight.io.photo import read_rgb
from lowlight.io.worker import read_apart
from lowlight.settings import EnhanceSettings
from lowlight.zoo import registry
from tests.conftest import ROOT
from tests.test_zoo import save_model


def start(*arguments):
    command = [sys.executable, ROOT / "main.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


@pytest.fixture
def model(tmp_path):
    """Folder of a tiny model that brightens, and little else."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_model(folder)
    return folder


def test_photos_are_brightened_under_their_names_at_their_size_and_stay_as_they_were(model, photos, tmp_path):
    before = {path: path.read_bytes() for path in photos.iterdir()}
    result = start(photos, "-o", tmp_path / "out", "--model", model)
    assert result.returncode == 0, result.stderr
    assert "3 done, 0 skipped, 0 failed" in result.stdout
    assert result.stderr == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in before)
    for path, content in before.items():
        assert path.read_bytes() == content
        low, bright = read_rgb(path), read_rgb(tmp_path / "out" / path.name)
        assert bright.shape == low.shape
        assert bright.mean() > 3 * low.mean()


def test_bad_photos_are_named_and_the_rest_goes_on(model, photos, tmp_path):
    good = (photos / "night 0.png").read_bytes()
    (photos / "cut.png").write_bytes(good[: len(good) // 2])
    (photos / "diary.jpg").write_text("Dear diary")
    (photos / "empty.webp").touch()
    result = start(photos, "-o", tmp_path / "out", "--model", model)
    assert result.returncode == 1
    assert "3 done, 0 skipped, 3 failed" in result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    for name, line in zip(("cut.png", "diary.jpg", "empty.webp"), lines, strict=True):
        assert name in line
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_photo_from_standard_input_goes_to_standard_output_in_its_format(model, photos):
    dark = io.BytesIO()
    Image.open(photos / "night 0.png").save(dark, "JPEG")
    command = [sys.executable, ROOT / "main.py", "-", "--model", model, "-v"]
    result = subprocess.run(command, input=dark.getvalue(), capture_output=True, timeout=200)
    assert result.returncode == 0, result.stderr
    with Image.open(io.BytesIO(result.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (50, 30))
        assert np.asarray(image).mean() > 3 * np.asarray(Image.open(dark)).mean()
    assert b"1 done, 0 skipped, 0 failed" in result.stderr


def test_a_photo_that_memory_does_not_hold_is_named_and_the_rest_goes_on(model, photos, tmp_path, monkeypatch, capsys):
    def scarce(worker, path, *limits):
        if path.name == "night 1.png":
            raise MemoryError("Unable to allocate 9 GiB")
        return read_apart(worker, path, *limits)

    monkeypatch.setattr("lowlight.cli.batch.read_apart", scarce)
    assert enhance_all(EnhanceSettings((photos,), tmp_path / "out", str(model))) == 1
    said = capsys.readouterr()
    assert "2 done, 0 skipped, 1 failed" in said.out
    assert "night 1.png: there is not enough memory." in said.err


def test_results_that_exist_are_skipped_and_made_anew_on_demand(model, photos, tmp_path, capsys):
    settings = EnhanceSettings((photos,), tmp_path / "out", str(model))
    assert enhance_all(settings) == 0
    kept = tmp_path / "out" / "night 1.png"
    kept.write_bytes(b"precious")
    assert enhance_all(settings) == 0
    assert "0 done, 3 skipped" in capsys.readouterr().out
    assert kept.read_bytes() == b"precious"
    assert enhance_all(EnhanceSettings((photos,), tmp_path / "out", str(model), overwrite=True)) == 0
    assert read_rgb(kept).shape == (30, 50, 3)


def test_another_format_and_small_tiles_can_be_asked_for(model, photos, tmp_path):
    settings = EnhanceSettings((photos / "night 0.png",), tmp_path / "out", str(model), format="JPG", tile=128)
    assert enhance_all(settings) == 0
    with Image.open(tmp_path / "out" / "night 0.jpg") as image:
        assert image.format == "JPEG"


def test_without_flags_the_best_model_enhances_the_sample_photos(monkeypatch, tmp_path):
    """As `python main.py`, but into another folder: test/predicted is the user's."""
    settings = EnhanceSettings()
    assert settings.output == ROOT / "test" / "predicted"
    assert enhance_all(EnhanceSettings(output=tmp_path)) == 0
    assert registry.default() in {entry["name"] for entry in registry.available()}
    assert {path.stem for path in settings.inputs[0].iterdir()} == {Path(sample.file).stem for sample in SAMPLES}
    for sample in SAMPLES:
        before, bright = read_rgb(shipped(sample)), read_rgb((tmp_path / sample.file).with_suffix(".png"))
        assert bright.shape == before.shape
        assert 0.75 < bright.mean() / before.mean() < 1.35


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "Received: nowhere"),
        (("EMPTY",), "no photos"),
        (("PHOTOS", "-o", "FILE/below"), "cannot be written"),
        (("PHOTOS", "--model", "99"), "Received: 99"),
        (("PHOTOS", "--format", "gif"), "Received: gif"),
        (("PHOTOS", "-o", "PHOTOS"), "over a photo"),
        (("PHOTOS", "--json", "night.JPG"), "JSON would be written over a photo"),
        (("PHOTOS", "--json", "nowhere/x.jsonl"), "Received: --json nowhere/x.jsonl (No such file or directory)"),
        (("PHOTOS", "--in-place", "--suffix", "_b"), "--in-place and --suffix"),
        (("PHOTOS", "--exposure", "9"), "Received: 9.0"),
        (("PHOTOS", "--tile", "many"), "--tile"),
        (("PHOTOS", "--qality", "3"), "Perhaps you meant --quality"),
        (("-", "FILE/below"), "Standard input is one photo"),
    ],
)
def test_wrong_words_get_one_clear_line_and_status_2_without_tensorflow(arguments, message, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    places = {"EMPTY": "empty", "PHOTOS": "photos", "FILE/below": "file/below"}
    words = [tmp_path / places[word] if word in places else word for word in arguments]
    result = _importing(words)
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if not line.startswith("import time:")]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert " tensorflow\n" not in result.stderr
    assert " keras\n" not in result.stderr


def test_help_the_list_of_models_and_a_run_with_nothing_to_do_do_not_import_tensorflow(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).touch()
    for words in (
        ["--help"],
        ["--version"],
        ["--list-models"],
        ["--download", registry.default()],
        [photos, "-o", tmp_path],
        [photos, "-o", tmp_path / "out", "--dry-run"],
    ):
        result = _importing(words)
        assert result.returncode == 0
        assert " tensorflow\n" not in result.stderr
        assert " keras\n" not in result.stderr
    assert "3 to do, 0 to skip; nothing was done" in result.stdout
    assert not (tmp_path / "out").exists()


def test_models_are_listed_with_their_scores():
    lines = start("--list-models").stdout.splitlines()
    for entry, line in zip(registry.available(), lines[1:-1], strict=True):
        psnr = " / ".join(f"{entry['metrics'][part]['psnr']:.2f}" for part in ("val", "test"))
        assert line.startswith(entry["name"])
        assert psnr in line
        assert ("*" in line) == (entry["name"] == registry.default())


@pytest.mark.parametrize("file", ["keras-2.15 400x600.h5", "keras-3.3 free(colab).keras"])
def test_models_of_older_keras_enhance_photos_of_any_size(file, photos, tmp_path):
    settings = EnhanceSettings((photos / "night 0.png",), tmp_path / "out", str(ROOT / "tests" / "fixtures" / file))
    assert enhance_all(settings) == 0
    assert read_rgb(tmp_path / "out" / "night 0.png").shape == (30, 50, 3)


def test_a_photo_without_a_known_ending_is_written_as_png(model, photos, tmp_path):
    (photos / "night 0.png").rename(photos / "scan")
    assert enhance_all(EnhanceSettings((photos / "scan",), tmp_path / "out", str(model))) == 0
    assert np.asarray(Image.open(tmp_path / "out" / "scan.png")).shape == (30, 50, 3)


def _importing(words):
    """Run main.py so that every import is listed on stderr."""
    command = [sys.executable, "-X", "importtime", ROOT / "main.py", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize(("policy", "said"), [("float32", "precision: float32\n"), ("mixed_bfloat16", "bfloat16 for")])
def test_info_tells_in_which_precision_models_compute(policy, said, monkeypatch, capsys):
    monkeypatch.setattr(system, "fastest_precision", lambda: policy)
    assert info.inform() == 0
    assert said in capsys.readouterr().out
