"""The work of performance_old.py and performance_latest.py: train or load models, score them, write statistics/."""

import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console

from lowlight.benchmark import plots, report, tables
from lowlight.benchmark.rows import current_rows, merged_rows
from lowlight.data import splits
from lowlight.data.pairs import Pair, Split, read_pair
from lowlight.errors import UserError
from lowlight.metrics import quality
from lowlight.metrics.evaluate import BASELINES, NEAR_TWINS, PROTOCOL, Method, evaluate, mean, with_current_names
from lowlight.settings import PerformanceSettings, TrainingSettings, option
from lowlight.system import machine, spinner, versions
from lowlight.zoo import registry
from lowlight.zoo.cards import stages_of
from lowlight.zoo.recipes import recipe

LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    import keras

    from lowlight.inference.enhancer import Enhancer


OBEYED = ("model", "data", "low", "high", "clean", "also", "skip_bad_pairs", "config", "output")
"""Settings of training that measuring obeys, too."""

FIRST_BROKEN_DOWN = 10
"""From this model on it is worth knowing where a photo is lost."""


class Candidate(NamedTuple):
    """A model that is to be measured."""

    network: "keras.Model"
    enhancer: "Enhancer"
    card: dict
    weights: Path


def perform(settings: PerformanceSettings, generation: str) -> list[dict]:
    """Train a model and measure it, or measure one or all that are trained.

    Parameters
    ----------
    settings : PerformanceSettings
    generation : {"old", "latest"}
        Of the script that asks; the model must be of it.

    Returns
    -------
    list of dict
        Of `measure`.

    Raises
    ------
    UserError
        If settings, pairs, weights or a folder are not right.
    """
    refuse_what_would_be_ignored(settings)
    if settings.evaluate_only:
        return _measure_trained(settings, generation)
    plan = recipe(settings.model, generation)  # refused before the pairs are checked
    pairs = splits.load_pairs(settings)
    report.make_folder(settings.statistics / plan.name)  # what cannot be written is told before hours of training
    with spinner("loading TensorFlow"):
        from lowlight.training.devices import shared
        from lowlight.training.trainer import train

    if shared(settings.devices):
        raise UserError(
            "Several processes train, one measures. Received: --devices all with TF_CONFIG. Train by lowlight train; "
            "then measure the run in one process: --evaluate-only --weights FOLDER."
        )
    return measure_models([train(settings, generation, pairs=pairs)], pairs[0], settings.statistics)


def measure_models(models: Sequence[str | int | Path], split: Split, statistics: Path) -> list[dict]:
    """Score models and the baselines on validation and test, print the tables, and write the reports.

    Parameters
    ----------
    models : sequence of str, int or Path
        Each as for `lowlight.zoo.registry.load_network`. The history of the training is history.csv in a run's folder,
        and NAME.history.csv in models/.
    split : Split
        Its `val` and `test` are measured; an empty one has no rows.
    statistics : Path
        Gets a folder for each model, and README.md over all models measured so far.

    Returns
    -------
    list of dict
        What each summary.json holds.

    Raises
    ------
    UserError
        If there is no such model, nothing to measure on, or a folder that cannot be written.
    """
    parts = {part: pairs for part in tables.SPLIT_LABELS if (pairs := getattr(split, part))}
    if not parts:
        raise UserError(f"There are no pairs to measure on. Received: empty val and test ({split.source}).")
    with spinner("loading TensorFlow, and what is measured"):
        candidates = {candidate.card["name"]: candidate for candidate in map(_candidate, models)}
    for name, candidate in candidates.items():
        report.make_folder(statistics / name)
        report.tell_if_replaced(statistics / name, candidate.card)
    costs = _costs(candidates, statistics)
    baselines = _rows(BASELINES, parts)
    summaries = []
    for name, candidate in candidates.items():
        summary, rows, examples = _measured(candidate, split, parts, baselines, costs[name])
        report.write_report(statistics, summary, rows, examples, _history(candidate))
        summaries.append(summary)
    report.write_overview(statistics)
    notes = dict.fromkeys(note for summary in summaries for note in summary["notes"])
    Console().print(*(tables.table(summaries, part) for part in parts), *notes, sep="\n")
    LOG.info("tables and plots are in %s; README.md there compares all models measured so far", statistics)
    return summaries


def summarise(
    card: dict, split: Split, rows: dict[str, dict[str, list[dict]]], cost: dict, versions: dict[str, str]
) -> dict:
    """The facts of summary.json: what was measured, on what and how, and the means by part and method.

    Parameters
    ----------
    card : dict
        Of the model.
    split : Split
    rows : dict
        By part ("val", "test") and method, what `lowlight.metrics.evaluate.evaluate` gave.
    cost : dict
        `macs_per_pixel`, `seconds_per_megapixel` and `machine`.
    versions : dict of str to str
        Of packages, by which was measured.

    Returns
    -------
    dict
        Of what JSON holds; None for what could not be measured.
    """
    data = card["data"]
    counts = {part: len(getattr(split, part)) for part in ("train", *tables.SPLIT_LABELS)}
    notes = []
    if learnt := _learnt_from_validation(card, split):
        counts |= {"train": counts["train"] + counts["val"], "val": 0}
        notes.append(
            f"{card['name']} went on with the validation pairs, too, once all was chosen: its scores on validation are "
            "those of the weights that it went on from."
        )
    at_home = data["split"] == split.source and all(data[part] == count for part, count in counts.items())
    if not at_home:
        notes.append(f"{card['name']} was trained on other pairs ({data['name']}): it may have seen some of these.")
    elif card.get("has_seen_validation"):
        at_home = False
        notes.append(
            f"{card['name']} started from weights that went on with validation pairs: it may have seen some of these."
        )
    if any(pair.low.parent.parent.name == "eval15" for pair in split.test):
        notes.append(NEAR_TWINS)
    scores = {
        part: {method: tables.rounded(mean(of_photos)) for method, of_photos in methods.items()}
        for part, methods in rows.items()
    }
    if learnt and "val" in scores:
        scores["val"][card["name"]] = with_current_names(card["validation"])
    return {
        **{key: card[key] for key in ("name", "generation", "parameters", "recipe", "weights")},
        "training": card.get("training"),
        "stages": [{key: stage[key] for key in ("part", "minutes")} for stage in stages_of(card)],
        "trained_on": data["name"],
        "trained_on_this_split": at_home,
        "protocol": PROTOCOL,
        "baselines": list(BASELINES),
        "split": {"source": split.source} | {part: len(getattr(split, part)) for part in rows},
        "notes": notes,
        "versions": {"trained": card["versions"], "measured": versions},
        "cost": cost,
        "scores": scores,
    }


def choose_examples(
    part: str, name: str, method: Method, pairs: Sequence[Pair], rows: Sequence[dict]
) -> list[plots.Example]:
    """The best, the median and the worst photo by PSNR, each with input, output and truth.

    Parameters
    ----------
    part, name : str
        Of the split and the model, for titles and captions.
    method : callable
        The model.
    pairs : sequence of Pair
    rows : sequence of dict
        What `lowlight.metrics.evaluate.evaluate` gave for these pairs, in their order.
    """
    order = sorted(range(len(rows)), key=lambda i: rows[i]["psnr"], reverse=True)
    ranks = {len(order) // 2: "median", len(order) - 1: "worst", 0: "best"}  # of two photos, best and worst
    examples = []
    for rank in sorted(ranks):
        index = order[rank]
        low, truth = read_pair(pairs[index])
        output = quality.to_8_bits(method(low.astype(np.float32) / 255))
        title = f"{part}, {ranks[rank]}: photo {tables.shortened(pairs[index].name, 60)}"
        captions = (
            f"input  {quality.psnr(truth, low):.2f} dB",
            f"{tables.shortened(name, 18)}  {rows[index]['psnr']:.2f} dB  (GT mean {rows[index]['psnr_gt_mean']:.2f})",
            "truth",
        )
        examples.append(plots.Example(title, captions, (low, output, truth)))
    return examples


def refuse_what_would_be_ignored(settings: PerformanceSettings) -> None:
    """Are all options of use together?

    Raises
    ------
    UserError
        If one would change nothing.
    """
    if settings.all and (not settings.evaluate_only or settings.model is not None or settings.weights):
        raise UserError("All models are only measured. Give --evaluate-only with --all, and no --model or --weights.")
    if (settings.unseen or settings.noisy) and not _takes_sets(settings):
        sets = "Sets that no model learnt from are measured with all models, or with weights that are named."
        raise UserError(f"{sets} Give --all or --weights with --unseen and --noisy.")
    if settings.weights and not settings.evaluate_only:
        raise UserError(f"Weights are measured only with --evaluate-only. Received: --weights {settings.weights}.")
    if not settings.evaluate_only:
        return
    ignored = {field.name for field in dataclasses.fields(TrainingSettings)} - set(OBEYED)
    if settings.weights:
        ignored |= {"model"}
    if not _takes_sets(settings):
        ignored |= {"also"} | (set() if settings.data == "synthetic" else {"clean"})
    if settings.data != "synthetic":
        ignored |= {"output"}
    given = [
        option(field.name)
        for field in dataclasses.fields(settings)
        if field.name in ignored and getattr(settings, field.name) != field.default
    ]
    if given:
        raise UserError(
            f"With --evaluate-only nothing is trained. Received: {', '.join(given)}, which would change nothing. Leave "
            "it out."
        )


def _takes_sets(settings) -> bool:
    """Whether what is held out of --also and --clean, and all of --unseen and --noisy, is measured on."""
    return settings.all or bool(settings.weights)


def _measure_trained(settings, generation) -> list[dict]:
    if settings.all:
        registry.default()  # refuses an empty models/ at once
        models = [entry["name"] for entry in registry.available()]
    else:
        models = [settings.weights or recipe(settings.model, generation).number]
    found = {model: registry.files_of(model)[0] for model in models}  # absent ones are told before pairs are checked
    if settings.model is not None:
        _tell_of_a_run_that_is_not_measured(TrainingSettings(settings.model).run_folder, *found.values())
    to_darken, clean = (), settings.clean
    if settings.data == "synthetic" and not settings.all:  # --clean names what these pairs are made of
        to_darken, clean = clean, to_darken
    split = splits.load_pairs(dataclasses.replace(settings, also=(), clean=to_darken))[0]
    if not (settings.also or settings.unseen or settings.noisy or clean):
        return measure_models(models, split, settings.statistics)
    from lowlight.benchmark import held_out

    with tempfile.TemporaryDirectory() as folder:  # what is wrong with the sets is told before the long work
        cards = list(found.values())
        real = held_out.real_sets(settings.also, settings.unseen, settings.skip_bad_pairs, cards)
        degraded = held_out.degraded_sets(clean, Path(folder), cards)
        degraded |= held_out.noisy_sets(settings.noisy, settings.skip_bad_pairs, cards)
        summaries = measure_models(models, split, settings.statistics)
        _measure_sets(settings, {card["name"]: (model, card) for model, card in found.items()}, split, real, degraded)
    return summaries


def _tell_of_a_run_that_is_not_measured(run, card):
    own = run / f"{card['name']}{registry.WEIGHTS_SUFFIX}"
    if own.is_file() and registry.facts_of(own)["sha256"] != card["weights"]["sha256"]:
        LOG.warning("what is measured is the model in models/; --weights %s in place of --model measures your run", run)


def _measure_sets(settings, models, split, real, degraded):
    """What no model learnt from: held_out.csv and breakdown.csv. Rows of other models and sets stay."""
    from lowlight.benchmark import breakdown, held_out

    hashes = {name: card["weights"]["sha256"] for name, (_, card) in models.items()}
    late = {name: card for name, (_, card) in models.items() if card["recipe"].get("number", 0) >= FIRST_BROKEN_DOWN}
    best = {name: hashes[name] for name in late}
    unseeing = {name: best[name] for name in best if not {"validation", "has_seen_validation"} & late[name].keys()}

    @cache
    def load(name):
        return _candidate(models[name][0]).enhancer

    def update(name, score):
        """Read again what is kept: another process may have measured while this one did."""
        path = settings.statistics / name
        current = partial(current_rows, models=hashes, others=not settings.all)
        scored = score(current(report.read_sets(path)))
        report.update_sets(path, lambda rows: merged_rows(current(rows), scored))

    update(report.HELD_OUT, lambda known: held_out.score_sets(hashes, load, real | degraded, known))
    if best:
        validation = {"validation": split.val} if split.val else {}
        sets = real | {name: pairs for name, pairs in degraded.items() if name == "well lit"}
        update(
            report.BREAKDOWN,
            lambda known: [
                *breakdown.score_sets(unseeing, load, validation, known),
                *breakdown.score_sets(best, load, sets, known),
            ],
        )
    report.write_overview(settings.statistics)


def _candidate(model) -> Candidate:
    from lowlight.inference.enhancer import Enhancer

    card, weights = registry.files_of(model)
    network, card = registry.build(card, weights)
    return Candidate(network, Enhancer(network), card, weights)


def _measured(candidate, split, parts, baselines, cost) -> tuple[dict, dict[str, dict], list[plots.Example]]:
    """The summary of a model; and of the parts that it has not learnt from, the rows of all methods and examples."""
    name, enhancer = candidate.card["name"], candidate.enhancer
    learnt = _learnt_from_validation(candidate.card, split)
    unseen = {part: pairs for part, pairs in parts.items() if part == "test" or not learnt}
    if not unseen:
        raise UserError(f"{name} learnt from all pairs that could be measured. Received: no test pairs.")
    of_model = _rows({name: enhancer}, unseen)
    of_all = {part: baselines[part] | of_model.get(part, {}) for part in parts}
    examples = [
        example
        for part, pairs in unseen.items()
        for example in choose_examples(tables.SPLIT_LABELS[part], name, enhancer, pairs, of_model[part][name])
    ]
    summary = summarise(candidate.card, split, of_all, cost, versions())
    return summary, {part: of_all[part] for part in unseen}, examples


def _learnt_from_validation(card, split) -> bool:
    """Whether a model went on with all pairs, and they are those of this split."""
    data, pairs = card["data"], len(split.train) + len(split.val)
    return "validation" in card and (data["split"], data["train"]) == (split.source, pairs)


def _history(candidate) -> Path | None:
    if not candidate.card["recipe"]:
        return None
    of_run = candidate.weights.with_name("history.csv")
    return of_run if of_run.is_file() else candidate.weights.with_name(f"{candidate.card['name']}.history.csv")


def _costs(candidates, statistics) -> dict[str, dict]:
    """As in earlier reports of these weights on this machine; if one has none, all are timed, to be comparable."""
    from lowlight.benchmark import cost

    here = machine()
    earlier = {name: report.earlier_cost(statistics / name, c.card) for name, c in candidates.items()}
    known = {name: found for name, found in earlier.items() if found and found["machine"] == here}
    if len(known) == len(candidates):
        return known
    seconds = cost.seconds_per_megapixel({name: c.enhancer for name, c in candidates.items()})
    return {
        name: {
            "macs_per_pixel": cost.macs_per_pixel(c.network),
            "seconds_per_megapixel": round(seconds[name], 3),
            "machine": here,
        }
        for name, c in candidates.items()
    }


def _rows(methods, parts) -> dict[str, dict[str, list[dict]]]:
    return {
        part: {name: evaluate(method, pairs, description=f"{name}, {part}") for name, method in methods.items()}
        for part, pairs in parts.items()
    }
