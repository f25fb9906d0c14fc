"""Score methods on pairs of photos, by one protocol; a method takes a dark photo and gives a bright one."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from skimage.color import hsv2rgb, rgb2hsv
from skimage.exposure import equalize_hist

from lowlight import metrics, plots, report
from lowlight.errors import UserError
from lowlight.pairs import Pair, Split, read_pair
from lowlight.recipes import recipe
from lowlight.settings import PerformanceSettings

Method = Callable[[np.ndarray], np.ndarray]
"""From a (H, W, 3) float32 photo in [0, 1] to another of the same shape, which is clipped and rounded to 8 bits."""

PROTOCOL = (
    "Whole photos at their own size, in RGB on [0, 1], the output clipped and rounded to 8 bits. Each number is the "
    "mean of the photos' values; a photo that equals its truth counts as 100 dB. SSIM: Gaussian window of 11x11, "
    "sigma 1.5, covariance of the whole window, mean of the three channels (Wang et al. 2004). GT-mean PSNR: after "
    "the output is multiplied by mean(grey(truth)) / mean(grey(output)) and clipped, so it looks at the truth and is "
    "no PSNR of the output itself."
)

NEAR_TWINS = (
    "The test split is LOL's eval15: 14 of its 15 scenes have a near twin in our485, which rewards memorised "
    "exposures. It is reported, never chosen by."
)

LARGEST_PSNR = 100.0
"""In dB, what a photo counts in a mean that equals its truth, so that one perfect photo does not hide the others."""


def evaluate(
    method: Method, pairs: Sequence[Pair], with_ssim: bool = True, description: str | None = None
) -> list[dict]:
    """Score a method on each pair, at full size.

    Parameters
    ----------
    method : callable
        A baseline of `BASELINES`, a `lowlight.enhance.Enhancer`, or the like. Called from one thread, photo by photo.
    pairs : sequence of Pair
    with_ssim : bool
        Whether to measure SSIM too, which takes most of the time.
    description : str, optional
        Text beside a progress bar, which is shown on a terminal only; no bar without it.

    Returns
    -------
    list of dict
        For each pair, in order: `name`, and the metrics of `lowlight.metrics.score`.

    Raises
    ------
    ImageError
        If a photo cannot be read.
    UserError
        If an output holds nan or infinity.
    ValueError
        If an output is not of the truth's shape.
    """
    workers = os.cpu_count() or 1
    console = Console(stderr=True)
    hidden = description is None or not console.is_terminal
    scores = []
    with ThreadPoolExecutor(workers) as pool:
        for pair in track(pairs, description or "", console=console, transient=True, disable=hidden):
            low, truth = read_pair(pair)
            output = metrics.to_8_bits(_finite(method(low.astype(np.float32) / 255), pair))
            scores.append(pool.submit(metrics.score, truth, output, with_ssim))
            if len(scores) > workers:  # or the photos that wait for their score would fill the memory
                scores[-workers - 1].result()
        return [{"name": pair.name} | future.result() for pair, future in zip(pairs, scores, strict=True)]


def mean(rows: Iterable[dict]) -> dict[str, float]:
    """Mean of each metric over the rows of `evaluate`.

    A photo that equals its truth counts as `LARGEST_PSNR`; photos too small for SSIM are left out of its mean, which
    is nan if no photo has one.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("A mean needs at least one row. Received: none.")
    return {key: _mean([row[key] for row in rows], key.startswith("psnr")) for key in rows[0] if key != "name"}


def untouched(photo: np.ndarray) -> np.ndarray:
    """The dark photo itself."""
    return photo


def gamma(photo: np.ndarray) -> np.ndarray:
    """Each value to the power of 0.4."""
    return photo**0.4


def equalised(photo: np.ndarray) -> np.ndarray:
    """Histogram equalisation of V in HSV over the whole photo, in its 256 levels, by scikit-image.

    Hue and saturation stay, as Gonzalez and Woods advise for colour photos (Digital Image Processing, "Histogram
    Processing of Color Images"): equalising red, green and blue one by one would shift the colours.
    """
    hsv = rgb2hsv(photo)
    hsv[..., 2] = equalize_hist(metrics.to_8_bits(hsv[..., 2]))
    return hsv2rgb(hsv)


BASELINES: dict[str, Method] = {
    "untouched input": untouched,
    "gamma 0.4": gamma,
    "histogram equalisation": equalised,
}
"""What needs no training; a model that is worth something is better."""


def perform(settings: PerformanceSettings, generation: str) -> dict:
    """Train a model and measure it, or measure one that is trained: the work of performance_old.py and _latest.py.

    Parameters
    ----------
    settings : PerformanceSettings
    generation : {"old", "latest"}
        Of the script that asks; the model must be of it.

    Returns
    -------
    dict
        Of `measure`.

    Raises
    ------
    UserError
        If settings, pairs, weights or a folder are not right.
    """
    if settings.weights and not settings.evaluate_only:
        raise UserError(f"Weights are measured only with --evaluate-only. Received: --weights {settings.weights}.")
    from lowlight import dataset, zoo

    if settings.evaluate_only:
        model = settings.weights or recipe(settings.model, generation).number
        zoo.card_of(model)  # told at once if absent, before the pairs are checked
        return measure(model, dataset.load(settings)[0], settings.statistics)
    from lowlight.training import train

    run = train(settings, generation)
    split, _ = dataset.load(settings, announce=lambda line: None)
    return measure(run, split, settings.statistics, run)


def measure(
    model: str | int | Path,
    split: Split,
    statistics: Path,
    run: Path | None = None,
    announce: Callable[[str], None] = print,
) -> dict:
    """Score a model and the baselines on validation and test, print the table, and write the report.

    Parameters
    ----------
    model : str, int or Path
        As for `lowlight.zoo.load`.
    split : Split
        Its `val` and `test` are measured; an empty one has no rows.
    statistics : Path
        Gets the folder of the model, and README.md over all models measured so far.
    run : Path, optional
        Folder with the history.csv of the training. Default: the folder of the weights.
    announce : callable
        Takes each line of news.

    Returns
    -------
    dict
        What summary.json holds. The metrics are also added to the model's card, if it was trained on this split.

    Raises
    ------
    UserError
        If there is no such model, nothing to measure on, or a folder that cannot be written.
    """
    from lowlight import zoo
    from lowlight.enhance import Enhancer

    parts = {part: pairs for part in report.PARTS if (pairs := getattr(split, part))}
    if not parts:
        raise UserError(f"There are no pairs to measure on. Received: empty val and test ({split.source}).")
    network, card = zoo.load(model)
    weights = zoo.card_of(model)[1]
    report.make_folder(statistics / card["name"])
    enhancer = Enhancer(network)
    methods: dict[str, Method] = BASELINES | {card["name"]: enhancer}
    rows = {
        part: {name: evaluate(method, pairs, description=f"{name}, {part}") for name, method in methods.items()}
        for part, pairs in parts.items()
    }
    summary = summarise(card, split, rows, zoo.versions())
    Console().print(*(report.table(summary, part) for part in parts), *summary["notes"], sep="\n")
    examples = [
        example
        for part, pairs in parts.items()
        for example in choose_examples(report.PARTS[part], card["name"], enhancer, pairs, rows[part][card["name"]])
    ]
    report.write_report(statistics, summary, rows, examples, (run or weights.parent) / "history.csv")
    if summary["trained_on_this_split"]:
        scores = {part: summary["scores"][part][card["name"]] for part in parts}
        path = weights.with_name(f"{weights.name.removesuffix(zoo.WEIGHTS_SUFFIX)}.json")
        try:
            zoo.write_card(path, card | {"metrics": scores})
        except OSError as error:
            announce(f"the scores are not in the model's card, which cannot be written: {path} ({error.strerror})")
    announce(f"tables and plots are in {statistics / card['name']} and {statistics / 'README.md'}")
    return summary


def summarise(card: dict, split: Split, rows: dict[str, dict[str, list[dict]]], versions: dict[str, str]) -> dict:
    """The facts of summary.json: what was measured, on what and how, and the means by part and method."""
    data = card["data"]
    at_home = data["split"] == split.source and all(data[part] == len(getattr(split, part)) for part in report.PARTS)
    notes = []
    if not at_home:
        notes.append(f"{card['name']} was trained on other pairs ({data['name']}): it may have seen some of these.")
    if any(pair.low.parent.parent.name == "eval15" for pair in split.test):
        notes.append(NEAR_TWINS)
    return {
        **{key: card[key] for key in ("name", "generation", "idea", "parameters", "recipe", "weights")},
        "trained_on": data["name"],
        "trained_on_this_split": at_home,
        "protocol": PROTOCOL,
        "baselines": list(BASELINES),
        "split": {"source": split.source} | {part: len(getattr(split, part)) for part in rows},
        "notes": notes,
        "versions": {"trained": card["versions"], "measured": versions},
        "scores": {
            part: {method: report.rounded(mean(of_photos)) for method, of_photos in methods.items()}
            for part, methods in rows.items()
        },
    }


def choose_examples(
    part: str, name: str, method: Method, pairs: Sequence[Pair], rows: Sequence[dict]
) -> list[plots.Example]:
    """The best, the median and the worst photo by PSNR, each with input, output and truth."""
    order = sorted(range(len(rows)), key=lambda i: rows[i]["psnr"], reverse=True)
    ranks = {len(order) // 2: "median", len(order) - 1: "worst", 0: "best"}  # of two photos, best and worst
    examples = []
    for rank in sorted(ranks):
        index = order[rank]
        low, truth = read_pair(pairs[index])
        output = metrics.to_8_bits(method(low.astype(np.float32) / 255))
        title = f"{part}, {ranks[rank]}: photo {pairs[index].name}"
        captions = (
            f"input  {metrics.psnr(truth, low):.2f} dB",
            f"{name}  {rows[index]['psnr']:.2f} dB  (GT mean {rows[index]['psnr_gt_mean']:.2f})",
            "truth",
        )
        examples.append(plots.Example(title, captions, (low, output, truth)))
    return examples


def _mean(values, is_psnr):
    numbers = [min(value, LARGEST_PSNR) if is_psnr else value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def _finite(output, pair):
    if not np.isfinite(output).all():
        raise UserError(
            f"The model's output is not a photo. Received: nan or infinity for {pair.low}. Its training went astray: "
            "train it again, at a lower learning rate."
        )
    return output
