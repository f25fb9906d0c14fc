"""Publish models: weights into models/, measured scores into cards and the manifest, pictures and tables into pages.

    python -m lowlight.benchmark.publish                      # scores, manifest, pictures and tables of what is there
    python -m lowlight.benchmark.publish runs/model_13        # put a run's weights, card and history into models/ first
    python -m lowlight.benchmark.publish --default 13         # and make this model the one that main.py uses
    python -m lowlight.benchmark.publish --scores runs/mine   # write the measured scores into a run's card, no more

Scores are those that performance_old.py and performance_latest.py wrote to statistics/ for these very weights.
"""

import argparse
import dataclasses
import logging
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lowlight.benchmark import held_out, plots, report, tables
from lowlight.data import splits
from lowlight.data.pairs import read_pair
from lowlight.data.synthetic import SAMPLES, shipped
from lowlight.errors import UserError
from lowlight.io import atomic
from lowlight.io.photo import read_rgb
from lowlight.metrics import quality
from lowlight.metrics.evaluate import UNTOUCHED
from lowlight.settings import ROOT
from lowlight.zoo import cards, registry
from lowlight.zoo.recipes import RECIPES

LOG = logging.getLogger(__name__)

STATISTICS = ROOT / "statistics"
PAGES = (ROOT / "README.md", ROOT / "docs" / "models.md")

SHOWN = ("astronaut", "coffee", "rocket")
IN_OTHER_LIGHT = {
    "astronaut": "against the light",
    "coffee": "noise, sigma 25",
    "chelsea": "5 stops dark",
    "rocket": "well lit",
}
"""Clean photos, and by which of `lowlight.benchmark.held_out.DEGRADATIONS` each is degraded."""

WIDTH = 330
"""Of each photo, in pixels."""


def put_into_models(run: str | Path) -> str:
    """Copy weights, card and history of a run into models/; gives the model's name.

    Without a history, as of a mean, that of earlier weights goes. What was exported from these very weights stays.

    Raises
    ------
    UserError
        If there is no such run, or it is a file without a card, or models/ cannot be written.
    """
    card, weights = registry.files_of(run)
    cards.refuse_without_training(card, str(run))
    name, history = card["name"], weights.with_name("history.csv")
    target = registry.MODELS / f"{name}{registry.WEIGHTS_SUFFIX}"
    try:
        atomic.write(target, weights.read_bytes())
        kept = registry.MODELS / f"{name}.history.csv"
        if history.is_file():
            atomic.write(kept, history.read_bytes())
        else:
            kept.unlink(missing_ok=True)
        place = registry.MODELS / f"{name}.json"
        if exports := _exports_of(card["weights"]["sha256"], place):
            card = card | {"exports": exports}
        registry.write_card(place, card | {"weights": card["weights"] | {"file": target.name}})
    except OSError as error:
        raise UserError(f"Models cannot be written. Received: {registry.MODELS} ({error.strerror}).") from error
    return name


def _exports_of(sha256, place) -> dict:
    """What an earlier card there tells of files that were made of the weights of that hash."""
    if not place.is_file():
        return {}
    exports = cards.read(place, cards.WholeCard).get("exports", {})
    return {form: facts for form, facts in exports.items() if facts["of"] == sha256}


def write_scores(model: str | Path, statistics: Path) -> bool:
    """Write what was measured of a model into its card, and its recipe's idea of today.

    Returns
    -------
    bool
        Whether these weights were measured, on the split that they were trained on.

    Raises
    ------
    UserError
        If there is no such model, or the card cannot be written.
    """
    card, weights = registry.files_of(model)
    summary = report.summary_of(statistics / card["name"], card["weights"]["sha256"])
    facts: dict = {}
    if summary and summary["trained_on_this_split"]:
        measured = {part: summary["scores"][part][card["name"]] for part in tables.parts([summary])}
        facts["metrics"] = {
            part: {key: scores[key] for key in tables.SAVED_DIGITS if key in scores}
            for part, scores in measured.items()
        }
        if card["training"]["val_psnr"] is None and "val" in measured:  # of a mean, which no training measured
            facts["training"] = card["training"] | {"val_psnr": measured["val"]["psnr"]}
    if plan := RECIPES.get(card.get("recipe", {}).get("number")):
        facts["idea"] = plan.idea
    path = weights.with_name(f"{weights.name.removesuffix(registry.WEIGHTS_SUFFIX)}.json")
    try:
        if card | facts != card:
            registry.write_card(path, card | facts)
    except OSError as error:
        raise UserError(f"The card cannot be written. Received: {path} ({error.strerror}).") from error
    return "metrics" in facts


def write_manifest(default: str | None = None) -> None:
    """Write models/manifest.json from the cards and weights beside it.

    Raises
    ------
    UserError
        If the default is no model in models/, a card cannot be read, or the file cannot be written.
    """
    if default is not None and not registry.is_here(default):
        raise UserError(f"The default must be in models/. Received: {default}. Publish its run first.")
    try:
        registry.write_manifest(default)
    except OSError as error:
        raise UserError(f"The manifest cannot be written. Received: {registry.MANIFEST} ({error.strerror}).") from error


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


def write_samples_sheet(path: Path, model: str) -> None:
    """Write a PNG with one row for each of `SHOWN`: sample, what `model` makes of it, and the clean photo."""
    report.write(path, plots.photos(_examples([model]), WIDTH))


def write_ladder_sheet(path: Path, models: Sequence[str]) -> None:
    """Write a PNG with a block for each of `SHOWN`: sample, what each of `models` makes of it, and the clean photo."""
    report.write(path, plots.photos(_examples(models), WIDTH * 3 // 4, columns=4))


def write_light_sheet(path: Path, model: str) -> None:
    """Write a PNG with a row for each of `IN_OTHER_LIGHT`: the dark photo, what `model` makes of it, the clean one."""
    from lowlight.inference.enhancer import Enhancer

    enhance = Enhancer(registry.load_network(model)[0])
    examples = []
    with tempfile.TemporaryDirectory() as folder:
        for sample in SAMPLES:
            light = IN_OTHER_LIGHT.get(Path(sample.file).stem)
            if light:
                (pair,) = held_out.degrade_all([shipped(sample)], held_out.DEGRADATIONS[light], Path(folder))
                low, truth = read_pair(pair)
                output = enhance(low)
                captions = (
                    f"{quality.psnr(truth, low):.1f} dB",
                    f"{model}  {quality.psnr(truth, output):.1f} dB",
                    "clean",
                )
                examples.append(plots.Example(f"{sample.origin}: {light}", captions, (low, output, truth)))
    report.write(path, plots.photos(examples, WIDTH))


def write_pages(statistics: Path) -> None:
    """Write the tables between the markers of `PAGES` anew, from a folder of statistics and the recipes.

    Raises
    ------
    UserError
        If a page cannot be written, shows the default model, which was not measured, or tells of LOL where other pairs
        were measured.
    """
    for page in PAGES:
        report.write(page, with_tables(page.read_text(encoding="utf-8"), statistics))


def with_tables(page: str, statistics: Path) -> str:
    """A page's text with what stands between its markers as the recipes and the statistics have it."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in page:
            before, _, rest = page.partition(start)
            page = f"{before}{start}{make(statistics)}\n{end}{rest.partition(end)[2]}"
    return page


def _numbers(statistics) -> str:
    """How good and how fast the default model is, in three lines; in two, if it was not measured on other cameras."""
    summary = _on_lol(statistics).get(registry.default())
    if summary is None:
        raise UserError(
            f"The default model was not measured, or on other pairs than most. Received: {registry.default()}, which "
            f"is not among those in {statistics}. Measure it first: performance_latest.py --evaluate-only"
        )
    scores, cost = summary["scores"]["val"], summary["cost"]
    before, after = scores[UNTOUCHED], scores[summary["name"]]
    others = held_out.on_real_pairs(report.current_sets(statistics, report.HELD_OUT))
    lines = [
        f"- **{after['psnr']:.1f} dB** PSNR on {summary['split']['val']} validation photos of LOL (dark photos as "
        f"they are: {before['psnr']:.1f} dB)",
    ]
    if summary["name"] in others:
        (real_before, photos), (real_after, _) = others[UNTOUCHED], others[summary["name"]]
        lines.append(
            f"- **{real_after:.1f} dB** on {photos} real photos of other cameras, held out of training (as they are: "
            f"{real_before:.1f} dB)"
        )
    lines.append(f"- **{cost['seconds_per_megapixel']:.2f} s** per megapixel without a GPU ({cost['machine']})")
    return "\n".join(lines)


def _models(statistics) -> str:
    """One line a model, to choose by."""
    default, others = registry.default(), held_out.on_real_pairs(report.current_sets(statistics, report.HELD_OUT))
    lines = [
        "| model | parameters | PSNR on LOL (dB) | PSNR on other cameras (dB) | s/MP | controls |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, summary in _on_lol(statistics).items():
        plan = RECIPES.get(summary["recipe"].get("number"))
        controls = "all" if plan and plan.architecture == "global_local" else "`--strength`"
        other = f"{others[name][0]:.1f}" if name in others else "–"
        psnr, seconds = summary["scores"]["val"][name]["psnr"], summary["cost"]["seconds_per_megapixel"]
        shown = f"**{name}**, the default" if name == default else name
        lines.append(f"| {shown} | {summary['parameters']:,} | {psnr:.1f} | {other} | {seconds:.2f} | {controls} |")
    return "\n".join(lines)


def _on_lol(statistics) -> dict[str, dict]:
    """What was measured of each model on the pairs that the pages speak of."""
    found = report.summaries(statistics)
    at_home = [summary for summary in found.values() if summary["trained_on_this_split"]]
    if found and not any(summary["trained_on"] == splits.LOL_V1 for summary in at_home):
        raise UserError(
            f"The pages tell of scores on LOL. Received: {statistics}, of other pairs. Leave --statistics out, or "
            "measure there with --data LOL."
        )
    return found


def _scores(statistics) -> str:
    return re.sub(r"\[([^]]+)\]\([^)]*/\)", r"\1", report.comparison(statistics))


def _ladder(statistics) -> str:
    lines = ["| model | generation | parameters | the one new idea, and why |", "| ---: | --- | ---: | --- |"]
    lines += [f"| {p.number} | {p.generation} | {p.parameters:,} | {p.idea} {p.why} |" for p in RECIPES.values()]
    return "\n".join(lines)


def _recipes(statistics) -> str:
    """What of each recipe differs from the one before."""
    lines, before = [], None
    for plan in RECIPES.values():
        facts = {k: v for k, v in dataclasses.asdict(plan).items() if k not in ("number", "idea", "why", "parameters")}
        new = {key: value for key, value in facts.items() if before is None or before[key] != value}
        lines.append(f"- **{plan.number}**: " + ", ".join(f"`{key}={value!r}`" for key, value in new.items()))
        before = facts
    return "\n".join(lines)


TABLES = {"numbers": _numbers, "models": _models, "scores": _scores, "ladder": _ladder, "recipes": _recipes}
"""What can stand between ``<!-- name -->`` and ``<!-- /name -->`` of a page."""


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


def _refuse_what_would_be_ignored(settings):
    given = {"--scores": settings.scores, "--tables": settings.tables, "a run": settings.runs}
    given["--default"] = settings.default
    named = [name for name, value in given.items() if value]
    if len(named) > 1 and {"--scores", "--tables"} & set(named):
        raise UserError(f"Only one of these can be done. Received: {' and '.join(named)}. Give them one by one.")


def main() -> int:
    """The command above."""
    parser = argparse.ArgumentParser("python -m lowlight.benchmark.publish", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", help="Folders of runs whose models are put into models/.")
    parser.add_argument("--default", help="Number or name of the model that main.py uses from now on.")
    parser.add_argument("--scores", metavar="RUN", help="Write the measured scores into this run's card, no more.")
    parser.add_argument("--statistics", type=Path, default=STATISTICS, help="Where the scores are.")
    parser.add_argument("--tables", action="store_true", help="Write the tables of pages only; no picture is made.")
    settings = parser.parse_args()
    _refuse_what_would_be_ignored(settings)
    if settings.scores:
        if not write_scores(settings.scores, settings.statistics):
            raise UserError(
                f"These weights were not measured on their validation pairs. Received: {settings.scores}. Measure them "
                f"first: performance_latest.py --evaluate-only --weights {settings.scores}"
            )
        return 0
    _on_lol(settings.statistics)  # before anything is written
    if not settings.tables:
        for run in settings.runs:
            LOG.info("%s is in models/", put_into_models(run))
        names = sorted(path.stem for path in registry.MODELS.glob("model_*.json"))
        for name in names:
            if not write_scores(name, settings.statistics):
                LOG.info(
                    "%s: not measured on its split with these weights; its card keeps the scores that it has", name
                )
        write_manifest(registry.name_of(settings.default) if settings.default else None)
        write_sheets(settings.statistics, names)
    report.write_overview(settings.statistics)
    write_pages(settings.statistics)
    return 0


if __name__ == "__main__":
    from lowlight.system import run

    sys.exit(run(main))
