"""What the README shows: a picture made by the default model, its scores, and the ladder of models.

Run ``python -m lowlight.benchmark.publish`` to make the pictures in statistics/ anew, and the tables between the
README's markers; ``performance_latest.py --all --evaluate-only`` does so, too, after measuring.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lowlight.benchmark import plots, report
from lowlight.data.pairs import read_pair
from lowlight.data.synthetic import SAMPLES, shipped
from lowlight.io.photo import read_rgb
from lowlight.metrics import quality
from lowlight.settings import ROOT
from lowlight.zoo import registry
from lowlight.zoo.recipes import RECIPES

SHOWN = ("astronaut", "coffee", "rocket")
IN_OTHER_LIGHT = {
    "astronaut": "against the light",
    "coffee": "noise, sigma 25",
    "chelsea": "5 stops dark",
    "rocket": "well lit",
}
"""Clean photos, and how of `lowlight.benchmark.held_out.DEGRADATIONS` each is taken."""

WIDTH = 330
"""Of each photo, in pixels."""


def write_sheets(statistics: Path, models: Sequence[str]) -> None:
    """Write samples.png and light.png, made by the default model, and ladder.png, by each of `models`.

    Raises
    ------
    UserError
        If a model or a photo is missing.
    """
    write_samples_sheet(statistics / "samples.png", registry.default())
    write_ladder_sheet(statistics / report.SHEET, models)
    write_light_sheet(statistics / report.LIGHT_SHEET, registry.default())
    report.write_readme(statistics)


def write_samples_sheet(path: Path, model: str) -> None:
    """Write a PNG with one row for each of `SHOWN`: sample, what `model` makes of it, and the clean photo."""
    report.write(path, plots.photos(_examples([model]), WIDTH))


def write_ladder_sheet(path: Path, models: Sequence[str]) -> None:
    """Write a PNG with a block for each of `SHOWN`: sample, what each of `models` makes of it, and the clean photo."""
    report.write(path, plots.photos(_examples(models), WIDTH * 3 // 4, columns=4))


def write_light_sheet(path: Path, model: str) -> None:
    """Write a PNG with a row for each of `IN_OTHER_LIGHT`: the shot, what `model` makes of it, and the clean photo."""
    from lowlight.benchmark import held_out
    from lowlight.inference.enhancer import Enhancer

    enhance = Enhancer(registry.load_network(model)[0])
    examples = []
    with tempfile.TemporaryDirectory() as folder:
        for sample in SAMPLES:
            degradation = IN_OTHER_LIGHT.get(Path(sample.file).stem)
            if degradation:
                (pair,) = held_out.degrade_all([shipped(sample)], held_out.DEGRADATIONS[degradation], Path(folder))
                low, truth = read_pair(pair)
                output = enhance(low)
                captions = (
                    f"{quality.psnr(truth, low):.1f} dB",
                    f"{model}  {quality.psnr(truth, output):.1f} dB",
                    "clean",
                )
                examples.append(plots.Example(f"{sample.origin}: {degradation}", captions, (low, output, truth)))
    report.write(path, plots.photos(examples, WIDTH))


def with_tables(readme: str, statistics: Path) -> str:
    """The README's text with its tables as the recipes and the statistics have them."""
    scores = report.comparison(statistics).replace("](model_", "](statistics/model_")
    ladder = ["| model | generation | parameters | the one new idea, and why |", "| ---: | --- | ---: | --- |"]
    ladder += [f"| {p.number} | {p.generation} | {p.parameters:,} | {p.idea} {p.why} |" for p in RECIPES.values()]
    for name, table in (("scores", scores), ("ladder", "\n".join(ladder))):
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = readme.partition(start)
        readme = f"{before}{start}{table}\n{end}{rest.partition(end)[2]}"
    return readme


def write_readme() -> None:
    """Write the tables between the README's markers anew, from statistics/ and the recipes.

    Raises
    ------
    UserError
        If the README cannot be written.
    """
    readme = ROOT / "README.md"
    report.write(readme, with_tables(readme.read_text(encoding="utf-8"), ROOT / "statistics"))


def main() -> int:
    """Make pictures and tables, whatever the command line says."""
    write_sheets(ROOT / "statistics", [entry["name"] for entry in registry.available()])
    write_readme()
    return 0


def _examples(models) -> list[plots.Example]:
    from lowlight.inference.enhancer import Enhancer

    enhancers = {name: Enhancer(registry.load_network(name)[0]) for name in models}
    return [_example(sample, enhancers) for sample in SAMPLES if Path(sample.file).stem in SHOWN]


def _example(sample, enhancers) -> plots.Example:
    low = read_rgb(ROOT / "test" / "low" / f"{Path(sample.file).stem}.png")
    truth = read_rgb(shipped(sample))
    outputs = {name: quality.to_8_bits(enhancer(low.astype("float32") / 255)) for name, enhancer in enhancers.items()}
    captions = [f"{name}  {quality.psnr(truth, output):.1f} dB" for name, output in outputs.items()]
    return plots.Example(
        sample.origin, ["dark and noisy", *captions, "before darkening"], [low, *outputs.values(), truth]
    )


if __name__ == "__main__":
    from lowlight.system import run

    sys.exit(run(main))
