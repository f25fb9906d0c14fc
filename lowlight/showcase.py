"""What the README shows: a picture made by the best model in models/, its scores, and the ladder of models.

Run ``python -m lowlight.showcase`` to make statistics/samples.png anew, and the tables between the README's markers.
"""

import sys
from pathlib import Path

from lowlight import metrics, plots, report, zoo
from lowlight.images import read_rgb
from lowlight.recipes import RECIPES
from lowlight.settings import ROOT
from lowlight.synthetic import SAMPLES, shipped

SHOWN = ("astronaut", "coffee", "rocket")
WIDTH = 330
"""Of each photo, in pixels."""


def write_samples_sheet(path: Path, model: str) -> None:
    """Write a PNG with one row for each of `SHOWN`: sample, what `model` makes of it, and the clean photo.

    Raises
    ------
    UserError
        If the model or a photo is missing.
    """
    from lowlight.enhance import Enhancer

    network, card = zoo.load(model)
    enhancer = Enhancer(network)
    examples = []
    for sample in SAMPLES:
        name = Path(sample.file).stem
        if name in SHOWN:
            low, truth = read_rgb(ROOT / "test" / "low" / f"{name}.png"), read_rgb(shipped(sample))
            output = metrics.to_8_bits(enhancer(low.astype("float32") / 255))
            captions = ("dark and noisy", f"{card['name']}  {metrics.psnr(truth, output):.1f} dB", "before darkening")
            examples.append(plots.Example(sample.origin, captions, (low, output, truth)))
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(plots.photos(examples, WIDTH))
    part.replace(path)


def with_tables(readme: str, statistics: Path) -> str:
    """The README's text with its tables as the recipes and the statistics have them."""
    scores = report.comparison(statistics).replace("](model_", "](statistics/model_")
    ladder = ["| model | generation | parameters | the one new idea |", "| ---: | --- | ---: | --- |"]
    ladder += [f"| {p.number} | {p.generation} | {p.parameters:,} | {p.idea} |" for p in RECIPES.values()]
    for name, table in (("scores", scores), ("ladder", "\n".join(ladder))):
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = readme.partition(start)
        readme = f"{before}{start}{table}\n{end}{rest.partition(end)[2]}"
    return readme


def main() -> int:
    """Make picture and tables, whatever the command line says."""
    statistics, readme = ROOT / "statistics", ROOT / "README.md"
    write_samples_sheet(statistics / "samples.png", zoo.best())
    readme.write_text(with_tables(readme.read_text(encoding="utf-8"), statistics), encoding="utf-8")
    return 0


if __name__ == "__main__":
    from lowlight.cli import run

    sys.exit(run(main))
