"""The README's picture is what the shipped model makes of the sample photos."""

import numpy as np
from PIL import Image

from lowlight import showcase, zoo
from tests.conftest import ROOT


def test_the_picture_in_the_readme_is_made_by_the_shipped_weights(tmp_path):
    showcase.write_samples_sheet(tmp_path / "samples.png", zoo.best())
    with Image.open(tmp_path / "samples.png") as made, Image.open(ROOT / "statistics" / "samples.png") as shipped:
        assert made.size == shipped.size
        difference = np.abs(np.asarray(made, int) - np.asarray(shipped, int))
    assert difference.mean() < 1  # rounding differs between machines, weights would differ by much more


def test_the_tables_in_the_readme_are_those_of_the_recipes_and_the_statistics():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert showcase.with_tables(readme, ROOT / "statistics") == readme
    assert "| 1 | old | 75,651 |" in readme
