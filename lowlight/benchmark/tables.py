"""Scores as tables: for the terminal, and in Markdown for statistics/README.md and the README."""

import math
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from rich.box import SIMPLE_HEAD
from rich.table import Table

from lowlight.system import counted
from lowlight.zoo.recipes import RECIPES

SPLIT_LABELS = {"val": "validation", "test": "test"}

PAIRED, LEFT_ALONE, NOISY = (", held out", ", unseen"), ", left alone", ", real noise"
"""What the names of sets of real photos end in: of pairs, of good photos, and of noisy ones beside clean ones."""

KNOWN_NOISE = ", known sigma"
"""What the names of baselines end in that clean, and are told how strong the noise is."""

LABELS = {
    "psnr": "PSNR (dB)",
    "psnr_gt_mean": "GT-mean PSNR (dB)",
    "mae": "MAE",
    "mse": "MSE",
    "ssim": "SSIM",
    "psnr_oracle": "oracle exposure: PSNR (dB)",
    "ssim_oracle": "oracle exposure: SSIM",
}

SHOWN_DIGITS = {"psnr": 2, "psnr_gt_mean": 2, "mae": 4, "mse": 4, "ssim": 3, "psnr_oracle": 2, "ssim_oracle": 3}
SAVED_DIGITS = {"psnr": 4, "psnr_gt_mean": 4, "mae": 6, "mse": 8, "ssim": 4, "psnr_oracle": 4, "ssim_oracle": 4}

BREAKDOWN = {
    "psnr": "as it is",
    "psnr_worst": "its worst photo",
    "psnr_mean": "mean exposure of the truth",
    "psnr_oracle": "exposure map of the truth",
    "psnr_curve": "and the best curves",
    "map_error": "map: mean absolute error",
    "map_bias": "bias",
    "map_spread": "spread of the bias",
}
"""What `lowlight.benchmark.breakdown` measures, and what its table calls it; decibels have 2 digits there, logs 3."""


LONGEST_NAME = 22
"""Characters of a model's name that a terminal and charts have room for: that of somebody's file may be longer."""


def table(summaries: Sequence[dict], part: str) -> Table:
    """The means of models, measured together, over one part of the split, as a table for the terminal."""
    title = f"{SPLIT_LABELS[part]}: {counted(summaries[0]['split'][part], 'photo')}"
    result = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    result.add_column("method", no_wrap=True)
    labels = _labels(summaries)
    for key, long in labels.items():
        label = long.replace(" exposure:", "")
        values = [shown(scores, key) for _, scores in methods(summaries, part)]
        widest = max(map(len, values + label.split()))
        result.add_column(label, justify="right", min_width=widest)  # nothing is cut on a narrow terminal
    for name, scores in methods(summaries, part):
        style = None if name in summaries[0]["baselines"] else "bold"
        result.add_row(shortened(name), *(shown(scores, key) for key in labels), style=style)
    return result


def shortened(name: str, most: int = LONGEST_NAME) -> str:
    """A name of so many characters at most, its middle left out if need be: its two ends tell more."""
    kept = most - 1
    return name if len(name) <= most else f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"


def rounded(scores: dict[str, float]) -> dict[str, float | None]:
    """Metrics as summary.json holds them; None for what cannot be measured, as JSON has no nan."""
    return {key: None if math.isnan(value) else round(value, SAVED_DIGITS[key]) for key, value in scores.items()}


def markdown(group: Sequence[dict], with_ideas: bool = True) -> list[str]:
    """Lines of a table in Markdown: baselines, then models; `with_ideas` adds what each model is to teach.

    Parameters
    ----------
    group : sequence of dict
        Summaries of models that were measured on the same photos.
    with_ideas : bool
    """
    labels = _labels(group)
    head = ["method", "parameters", "MACs/px", "s/MP", "trained", "change (dB)", *labels.values()]
    lines = [
        _line(head + ["the one new idea, and why"] * with_ideas),
        _line(["---"] + ["---:"] * (len(head) - 1) + ["---"] * with_ideas),
    ]
    scores = {part: dict(methods(group, part)) for part in parts(group)}
    models = {summary["name"]: summary for summary in group}
    plans = {name: RECIPES.get(summary["recipe"].get("number")) for name, summary in models.items()}
    ideas = {name: f"{plan.idea} {plan.why}" for name, plan in plans.items() if plan}
    for name in scores[parts(group)[0]]:
        cells = [name, "", "", "", "", ""]
        if name in models:
            cells = [f"[{name}]({quote(name)}/)", *_costs(models[name], group)]
        values = [" / ".join(shown(of_part[name], key) for of_part in scores.values()) for key in labels]
        lines.append(_line([*cells, *values, *([ideas.get(name, "")] if with_ideas else [])]))
    return lines


def legend(group: Sequence[dict]) -> str:
    """What the columns of `markdown` mean."""
    measured = " / ".join(SPLIT_LABELS[part] for part in parts(group))
    machines = " and ".join(dict.fromkeys(summary["cost"]["machine"] for summary in group))
    return (
        f"Scores: {measured}. MACs/px: multiply-accumulate operations for each pixel. s/MP: seconds for a million "
        f"pixels ({machines}). Trained: for how long, and on how many million pixels. Change: PSNR on "
        f"{SPLIT_LABELS[parts(group)[0]]} against the model before."
    )


def held_out_section(rows: Sequence[dict]) -> str:
    """The section of README.md on held_out.csv: methods against sets, PSNR / SSIM, the best of a set in bold."""
    real = [row for row in rows if row["set"].endswith((*PAIRED, LEFT_ALONE))]
    noisy = any(row["set"].endswith(NOISY) for row in rows)
    of_noise = " Of photos with real noise the truth is the same photo without." if noisy else ""
    made = [_held_out_table(some) for some in (real, [row for row in rows if row not in real]) if some]
    return (
        "## On other cameras and in other light\n\n"
        "PSNR in dB / SSIM; in brackets, how many photos, none of which any model was trained on. First real pairs of "
        "other cameras, and their good photos, which should be left as they are. Then clean photos, degraded by "
        "`lowlight.data.camera`: as they are, with noise of several kinds, darkened with a sensor's noise, and dimmed "
        "by 3 stops only where the scene is dim; the truth is the clean photo. Last, made-up nights with many small "
        f"lights in their place, which should stay dark.{of_noise}\n\n"
        + "\n\n".join(made)
        + "\n"
        + _cleaning_section(rows)
    )


def breakdown_section(rows: Sequence[dict]) -> str:
    """The section of README.md on breakdown.csv: for each set, what each model loses where."""
    lines = [_line(["set (photos)", "method", *BREAKDOWN.values()]), _line(["---"] * 2 + ["---:"] * len(BREAKDOWN))]
    for row in rows:
        values = [(key, row.get(key)) for key in BREAKDOWN]
        cells = ["" if value is None else f"{value:.{2 if key.startswith('psnr') else 3}f}" for key, value in values]
        lines.append(_line([f"{row['set']} ({row['photos']})", row["method"], *cells]))
    return (
        "## Where real photos are lost\n\n"
        "PSNR in dB of each model as it is, and of its worst photo; with the mean of its exposure map set to the "
        "truth's; with the truth's map; and with the best curve for each colour after that, which no model could know. "
        "Then the error of the map that it predicts, in log units: a stop is 0.315, and below 0 is too dark.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def _cleaning_section(rows) -> str:
    """Models told how bright the truth is beside what cleans and does nothing else; nothing if no noise was cleaned."""
    noisy = {row["set"] for row in rows if row["method"].endswith(KNOWN_NOISE)}
    told = [
        row | {"psnr": row["psnr_oracle"], "ssim": row["ssim_oracle"]}
        for row in rows
        if row["set"] in noisy and row.get("psnr_oracle") is not None
    ]
    if not told:
        return ""
    cleaned = [row for row in rows if row["method"].endswith(KNOWN_NOISE)]
    return (
        "\nOf noise alone, as above, but models that take a target exposure are given the truth's, as those that clean "
        "are given the noise: what is left is how well they clean.\n\n" + _held_out_table(told + cleaned) + "\n"
    )


def _held_out_table(rows) -> str:
    sets = {row["set"]: row["photos"] for row in rows}
    best = {name: max(row["psnr"] for row in rows if row["set"] == name) for name in sets}
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        psnr = shown(row, "psnr") if row["psnr"] < best[row["set"]] else f"**{shown(row, 'psnr')}**"
        cells.setdefault(row["method"], {})[row["set"]] = f"{psnr} / {shown(row, 'ssim')}"
    return "\n".join(
        [
            _line(["method", *(f"{name} ({photos})" for name, photos in sets.items())]),
            _line(["---"] + ["---:"] * len(sets)),
            *(_line([method, *(of_method.get(name, "") for name in sets)]) for method, of_method in cells.items()),
        ]
    )


def parts(group: Sequence[dict]) -> list[str]:
    """Of the split, those that were measured."""
    return [part for part in SPLIT_LABELS if part in group[0]["scores"]]


def methods(group: Sequence[dict], part: str) -> Iterator[tuple[str, dict]]:
    """Baselines first, then the models: pairs of name and scores."""
    first = group[0]["scores"][part]
    yield from ((name, first[name]) for name in group[0]["baselines"])
    yield from ((summary["name"], summary["scores"][part][summary["name"]]) for summary in group)


def shown(scores: dict, key: str) -> str:
    """A metric with as many digits as it is worth; a dash where it is missing."""
    value = scores.get(key)
    return "–" if value is None else f"{value:.{SHOWN_DIGITS[key]}f}"


def _labels(group) -> dict[str, str]:
    """The metrics that any of the models has; only those that take a target exposure have an oracle's."""
    found = {key for summary in group for of_part in summary["scores"].values() for key in of_part[summary["name"]]}
    return {key: label for key, label in LABELS.items() if key in found}


def _costs(summary, group) -> list[str]:
    """What a model costs, and how much better it is on the first part than the model before it."""
    cost, part = summary["cost"], parts(group)[0]
    psnr = {of["recipe"].get("number"): of["scores"][part][of["name"]]["psnr"] for of in group}
    number = summary["recipe"].get("number", 0)
    change = f"{psnr[number] - psnr[number - 1]:+.2f}" if number - 1 in psnr else ""
    return [
        f"{summary['parameters']:,}",
        f"{cost['macs_per_pixel']:,}",
        f"{cost['seconds_per_megapixel']:.2f}",
        _trained(summary),
        change,
    ]


def _trained(summary) -> str:
    training, stages = summary["training"], summary.get("stages", [])
    if len(stages) > 1:
        return f"{sum(stage['minutes'] for stage in stages):.0f} min in {len(stages)} stages"
    return f"{_amount(training['minutes'])} min, {_amount(training['megapixels'])} MP" if training else ""


def _amount(number) -> str:
    """Without decimals, but where there would be nothing left."""
    return f"{number:,.0f}" if number >= 1 else f"{number:.1g}"


def _line(cells):
    return f"| {' | '.join(cells)} |"
