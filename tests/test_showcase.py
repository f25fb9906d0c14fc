"""The README's picture is what the shipped model makes of the sample photos."""

import csv

import numpy as np
from PIL import Image

from lowlight.benchmark import publish
from lowlight.metrics import evaluate
from lowlight.zoo import registry
from tests.conftest import ROOT


def test_the_picture_in_the_readme_is_made_by_the_shipped_weights(tmp_path):
    publish.write_samples_sheet(tmp_path / "samples.png", registry.default())
    with Image.open(tmp_path / "samples.png") as made, Image.open(ROOT / "statistics" / "samples.png") as shipped:
        assert made.size == shipped.size
        difference = np.abs(np.asarray(made, int) - np.asarray(shipped, int))
    assert difference.mean() < 1  # rounding differs between machines, weights would differ by much more


def test_the_tables_in_the_readme_are_those_of_the_recipes_and_the_statistics():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert publish.with_tables(readme, ROOT / "statistics") == readme
    assert "| 1 | old | 75,651 |" in readme


def test_the_scores_in_the_readme_are_the_means_of_those_of_the_photos():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in readme.splitlines()]
    head = next(cells for cells in lines if "GT-mean PSNR (dB)" in cells)
    for name in (entry["name"] for entry in registry.available()):
        cells = next(cells for cells in lines if cells[0] == f"[{name}](statistics/{name}/)")
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
