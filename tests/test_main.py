"""main.py as a photographer runs it: good photos, bad photos, wrong words."""

import importlib.metadata
import io
import json
import re
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
from tests.conftest import ROOT, scene
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


def test_bad_photos_are_named_and_the_rest_goes_on(model, photos, tmp_path, script, capsys):
    good = (photos / "night 0.png").read_bytes()
    (photos / "cut.png").write_bytes(good[: len(good) // 2])
    (photos / "diary.jpg").write_text("Dear diary")
    (photos / "empty.webp").touch()
    assert script("main.py", photos, "-o", tmp_path / "out", "--model", model) == 1
    said = capsys.readouterr()
    assert "3 done, 0 skipped, 3 failed" in said.out
    lines = said.err.splitlines()
    assert len(lines) == 3
    for name, line in zip(("cut.png", "diary.jpg", "empty.webp"), lines, strict=True):
        assert name in line
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_photo_from_standard_input_goes_to_standard_output_in_its_format(photos):
    dark = io.BytesIO()
    Image.open(photos / "night 0.png").save(dark, "JPEG")
    command = [sys.executable, ROOT / "main.py", "-", "-v"]
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


WRONG = [
    (("nowhere",), "Received: nowhere"),
    (("EMPTY",), "no photos"),
    (("PHOTOS", "-o", "FILE/below"), "cannot be written"),
    (("PHOTOS", "--model", "99"), "Received: 99"),
    (("PHOTOS", "--format", "gif"), "Received: gif"),
    (("PHOTOS", "-o", "PHOTOS"), "over a photo"),
    (("PHOTOS", "--json", "night.JPG"), "JSON would be written over a photo"),
    (("PHOTOS", "--json", "night.mp4"), "JSON would be written over a photo or clip"),
    (("PHOTOS", "--json", "nowhere/x.jsonl"), "Received: --json nowhere/x.jsonl (No such file or directory)"),
    (("PHOTOS", "--in-place", "--suffix", "_b"), "--in-place and --suffix"),
    (("PHOTOS", "--exposure", "9"), "Received: 9.0"),
    (("PHOTOS", "--tile", "many"), "--tile"),
    (("PHOTOS", "--frame", "-1"), "counted from 1"),
    (("PHOTOS", "--qality", "3"), "Perhaps you meant --quality"),
    (("-", "FILE/below"), "Standard input is one photo"),
]
"""Words, and a part of the line that they get."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """To `WRONG` words, by number."""
    folder = tmp_path_factory.mktemp("answers")
    for name in ("empty", "photos"):
        (folder / name).mkdir()
    (folder / "file").touch()
    Image.fromarray(scene(0, 30, 50)).save(folder / "photos" / "night 0.png")
    places = {"EMPTY": "empty", "PHOTOS": "photos", "FILE/below": "file/below"}
    return _in_one_process(
        [[str(folder / places[word]) if word in places else word for word in words] for words, _ in WRONG]
    )


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[message for _, message in WRONG])
def test_wrong_words_get_one_clear_line_and_status_2_without_tensorflow(number, answers):
    status, _, errors, heavy = answers[number]
    assert status == 2
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert WRONG[number][1] in line
    assert not heavy


def test_help_the_list_of_models_and_a_run_with_nothing_to_do_do_not_import_tensorflow(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).touch()
    told = _in_one_process(
        [
            ["--help"],
            ["--version"],
            ["--list-models"],
            ["--download", registry.default()],
            [str(photos), "-o", str(tmp_path)],
            [str(photos), "-o", str(tmp_path / "out"), "--dry-run"],
        ]
    )
    assert [(status, heavy) for status, _, _, heavy in told] == [(0, [])] * 6
    assert "3 to do, 0 to skip; nothing was done" in told[-1][1]
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


RUN_ALL = """
import contextlib, io, json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv = ["main.py", *words]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            runpy.run_path("main.py", run_name="__main__")
        except SystemExit as end:
            status = end.code
    heavy = sorted({"keras", "tensorflow"} & set(sys.modules))
    print(json.dumps([status, output.getvalue(), errors.getvalue(), heavy]))
"""


def _in_one_process(runs):
    """Of main.py with each of these words in turn, in a new process: status, output, errors, what heavy it loaded."""
    command = [sys.executable, "-c", RUN_ALL, json.dumps(runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("policy", "said"), [("float32", "precision: float32\n"), ("mixed_bfloat16", "bfloat16 for")])
def test_info_tells_in_which_precision_models_compute(policy, said, monkeypatch, capsys):
    monkeypatch.setattr(system, "fastest_precision", lambda: policy)
    assert info.inform() == 0
    assert said in capsys.readouterr().out


def test_info_knows_engines_that_packages_of_other_names_bring(monkeypatch, capsys):
    distribution = importlib.metadata.Distribution.from_name

    def renamed(name):
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return distribution("onnxruntime" if name == "onnxruntime-gpu" else name)

    known = importlib.metadata.packages_distributions() | {"onnxruntime": ["onnxruntime-gpu"]}
    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", renamed)
    monkeypatch.setattr(info, "packages_distributions", lambda: known, raising=False)
    assert info.inform() == 0
    assert re.search(r"ONNX Runtime \d", capsys.readouterr().out)
