"""What publishing writes: weights, scores and the manifest; pages show pictures and tables of what is shipped."""

import csv
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from lowlight.benchmark import publish, report
from lowlight.errors import UserError
from lowlight.metrics import evaluate
from lowlight.zoo import registry
from tests.conftest import ROOT
from tests.test_zoo import save_model


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty models/, and a run beside it."""
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(registry, "MODELS", tmp_path / "models")
    monkeypatch.setattr(registry, "MANIFEST", tmp_path / "models" / "manifest.json")
    return tmp_path / "models"


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    save_model(folder)
    (folder / "history.csv").write_text("epoch\n1\n")
    return folder


def write_summary(statistics, sha256, at_home=True):
    scores = {"val": {"untouched input": {"psnr": 7.0}, "model_10": {"psnr": 21.5}}}
    summary = {"weights": {"sha256": sha256}, "trained_on_this_split": at_home, "scores": scores}
    (statistics / "model_10").mkdir(parents=True, exist_ok=True)
    (statistics / "model_10" / "summary.json").write_text(json.dumps(summary))


@pytest.mark.parametrize("words", [["--scores", "run", "--default", "10"], ["--tables", "run"]])
def test_words_of_which_some_would_be_ignored_are_refused(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["publish", *words])
    with pytest.raises(UserError, match=f"Received: {words[0]} and "):
        publish.main()


def test_a_run_is_put_into_models_with_its_scores_and_a_manifest(models, run, tmp_path):
    assert publish.put_into_models(run) == "model_10"
    assert (models / "model_10.weights.h5").read_bytes() == (run / "model_10.weights.h5").read_bytes()
    assert (models / "model_10.history.csv").read_text() == "epoch\n1\n"
    sha256 = registry.files_of("model_10")[0]["weights"]["sha256"]
    write_summary(tmp_path / "statistics", sha256)
    assert publish.write_scores("model_10", tmp_path / "statistics")
    publish.write_manifest("model_10")
    manifest = json.loads((models / "manifest.json").read_text())
    assert manifest["default"] == "model_10"
    assert manifest["models"][0]["metrics"] == {"val": {"psnr": 21.5}}
    assert manifest["models"][0]["files"][0]["sha256"] == registry.sha256(models / "model_10.json")
    with pytest.raises(UserError, match="Received: model_11. Publish its run first"):
        publish.write_manifest("model_11")


def test_what_was_exported_from_the_same_weights_stays_in_the_card(models, run):
    publish.put_into_models(run)
    card = json.loads((models / "model_10.json").read_text())
    own = {"file": "model_10.onnx", "sha256": "a" * 64, "of": card["weights"]["sha256"]}
    registry.write_card(models / "model_10.json", card | {"exports": {"onnx": own, "litert": own | {"of": "b" * 64}}})
    publish.put_into_models(run)
    assert json.loads((models / "model_10.json").read_text())["exports"] == {"onnx": own}


def test_a_file_that_holds_a_whole_model_is_not_put_into_models(models, tmp_path):
    (tmp_path / "mine.keras").write_bytes(b"a model")
    with pytest.raises(UserError, match="mine.keras, a file without one"):
        publish.put_into_models(tmp_path / "mine.keras")
    assert not (tmp_path / "models" / "mine.weights.h5").exists()


def test_a_mean_has_no_history_and_the_score_that_was_measured(models, run, tmp_path):
    (models / "model_10.history.csv").write_text("epoch\n2\n")
    (run / "history.csv").unlink()
    card, _ = registry.files_of(run)
    registry.write_card(run / "model_10.json", card | {"training": card["training"] | {"val_psnr": None}})
    publish.put_into_models(run)
    assert not (models / "model_10.history.csv").exists()
    write_summary(tmp_path / "statistics", card["weights"]["sha256"])
    assert publish.write_scores("model_10", tmp_path / "statistics")
    assert registry.files_of("model_10")[0]["training"]["val_psnr"] == 21.5


@pytest.mark.parametrize(("sha256", "at_home"), [("another", True), (None, False)])
def test_scores_of_other_weights_or_other_pairs_are_not_put_into_a_card(run, tmp_path, sha256, at_home, monkeypatch):
    card, _ = registry.files_of(run)
    write_summary(tmp_path / "statistics", sha256 or card["weights"]["sha256"], at_home)
    words = ["publish", "--scores", str(run), "--statistics", str(tmp_path / "statistics")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(UserError, match="Measure them first: performance_latest.py --evaluate-only --weights"):
        publish.main()
    assert registry.files_of(run)[0].get("metrics") == card.get("metrics")
    write_summary(tmp_path / "statistics", card["weights"]["sha256"])
    assert publish.main() == 0
    assert registry.files_of(run)[0]["metrics"] == {"val": {"psnr": 21.5}}


def test_the_picture_in_the_readme_is_made_by_the_shipped_weights(tmp_path):
    publish.write_samples_sheet(tmp_path / "samples.png", registry.default())
    with Image.open(tmp_path / "samples.png") as made, Image.open(ROOT / "statistics" / "samples.png") as shipped:
        assert made.size == shipped.size
        difference = np.abs(np.asarray(made, int) - np.asarray(shipped, int))
    assert difference.mean() < 1  # rounding differs between machines, weights would differ by much more


@pytest.mark.parametrize("page", publish.PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_recipes_and_the_statistics(page):
    text = page.read_text(encoding="utf-8")
    assert publish.with_tables(text, ROOT / "statistics") == text
    assert text.count("<!-- /") >= 2


def test_a_default_that_was_not_measured_on_all_other_cameras_has_no_number_for_them(tmp_path):
    for summary in (ROOT / "statistics").glob("*/summary.json"):
        (tmp_path / summary.parent.name).mkdir()
        (tmp_path / summary.parent.name / summary.name).write_bytes(summary.read_bytes())
    lines = (ROOT / "statistics" / report.HELD_OUT).read_text().splitlines(keepends=True)
    lines = [line for line in lines if not line.startswith(f'"brackets, held out",38,{registry.default()},')]
    (tmp_path / report.HELD_OUT).write_text("".join(lines))
    page = "<!-- numbers -->\n<!-- /numbers -->\n<!-- models -->\n<!-- /models -->"
    assert publish.with_tables(page, ROOT / "statistics").count("real photos of other cameras") == 1
    written = publish.with_tables(page, tmp_path)
    assert "real photos of other cameras" not in written
    (row,) = [line for line in written.splitlines() if f"**{registry.default()}**" in line]
    assert "| – |" in row


def test_what_earlier_weights_scored_on_other_cameras_is_not_told_of_later_ones(tmp_path):
    shutil.copytree(ROOT / "statistics", tmp_path, dirs_exist_ok=True)
    name = registry.default()
    of_default = tmp_path / name / "summary.json"
    summary = json.loads(of_default.read_text())
    of_default.write_text(json.dumps(summary | {"weights": summary["weights"] | {"sha256": "of later weights"}}))
    written = publish.with_tables("<!-- numbers -->\n<!-- /numbers -->", tmp_path)
    assert "validation photos of LOL" in written
    assert "real photos of other cameras" not in written
    report.write_overview(tmp_path)
    held_out = (tmp_path / "README.md").read_text().partition("## On other cameras")[2]
    assert "model_13 |" in held_out
    assert f"{name} |" not in held_out


@pytest.mark.parametrize("other", [{"trained_on": "own pairs"}, {"trained_on_this_split": False}])
def test_scores_on_other_pairs_are_not_told_as_those_on_lol(other, tmp_path, monkeypatch):
    summary = json.loads((ROOT / "statistics" / registry.default() / "summary.json").read_text()) | other
    (tmp_path / registry.default()).mkdir()
    (tmp_path / registry.default() / "summary.json").write_text(json.dumps(summary))
    page = tmp_path / "README.md"
    page.write_text("<!-- numbers -->\n<!-- /numbers -->\n<!-- models -->\n<!-- /models -->\n")
    before = page.read_text()
    monkeypatch.setattr(publish, "PAGES", (page,))
    monkeypatch.setattr(sys, "argv", ["publish", "--tables", "--statistics", str(tmp_path)])
    with pytest.raises(UserError, match="tell of scores on LOL. Received: .*, of other pairs"):
        publish.main()
    assert page.read_text() == before
    for name in ("numbers", "models"):
        with pytest.raises(UserError, match="tell of scores on LOL"):
            publish.with_tables(f"<!-- {name} -->\n<!-- /{name} -->\n", tmp_path)


def test_a_default_that_was_not_measured_is_told_in_a_line(tmp_path):
    with pytest.raises(UserError, match=f"Received: {registry.default()}, which is not among those in"):
        publish.with_tables("<!-- numbers -->\n<!-- /numbers -->", tmp_path)


def test_the_scores_in_the_pages_are_the_means_of_those_of_the_photos():
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    head = next(cells for cells in lines if "GT-mean PSNR (dB)" in cells)
    for name in (entry["name"] for entry in registry.available()):
        cells = next(cells for cells in lines if cells[0] == name and len(cells) == len(head))
        with (ROOT / "statistics" / name / "images.csv").open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["method"] == name]
        card = registry.files_of(name)[0]
        of_parts = [card["validation"]] if "validation" in card else []  # it has seen those photos since
        for part, count in (("val", 50), ("test", 15))[len(of_parts) :]:
            of_part = [row for row in rows if row["split"] == part]
            assert len(of_part) == count
            keys = ("psnr", "psnr_gt_mean", "mae", "mse", "ssim")
            of_parts.append(evaluate.mean([{key: float(row[key]) for key in keys} for row in of_part]))
        for key, column, digits in (
            ("psnr", "PSNR (dB)", 2),
            ("psnr_gt_mean", "GT-mean PSNR (dB)", 2),
            ("mae", "MAE", 4),
            ("mse", "MSE", 4),
            ("ssim", "SSIM", 3),
        ):
            shown = [float(value) for value in cells[head.index(column)].split(" / ")]
            for value, of_part in zip(shown, of_parts, strict=True):
                assert abs(value - of_part[key]) <= 0.56 * 10**-digits  # rounded twice
