"""From scores to files: tables and plots of one model in statistics/model_NN, of all models in statistics/README.md."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from rich.table import Table

from lowlight import plots
from lowlight.errors import UserError
from lowlight.recipes import RECIPES

PARTS = {"val": "validation", "test": "test"}

LABELS = {
    "psnr": "PSNR (dB)",
    "psnr_gt_mean": "GT-mean PSNR (dB)",
    "mae": "MAE",
    "mse": "MSE",
    "ssim": "SSIM",
    "psnr_told": "told: PSNR (dB)",
    "ssim_told": "told: SSIM",
}

CHARTED = ("psnr", "mae", "mse")

SHEET = "ladder.png"
CROSS = "cross.csv"

SHEET_CAPTION = "Three dark photos and what each model makes of them"

SHOWN_DIGITS = {"psnr": 2, "psnr_gt_mean": 2, "mae": 4, "mse": 4, "ssim": 3, "psnr_told": 2, "ssim_told": 3}
SAVED_DIGITS = {"psnr": 4, "psnr_gt_mean": 4, "mae": 6, "mse": 8, "ssim": 4, "psnr_told": 4, "ssim_told": 4}


def table(summaries: Sequence[dict], part: str) -> Table:
    """The means of models, measured together, over one part of the split, as a table for the terminal."""
    count = summaries[0]["split"][part]
    result = Table(title=f"{PARTS[part]}: {count} photo{'s' if count > 1 else ''}", title_justify="left")
    result.add_column("method", no_wrap=True)
    labels = _labels(summaries)
    for label in labels.values():
        result.add_column(label, justify="right")
    for name, scores in _methods(summaries, part):
        style = None if name in summaries[0]["baselines"] else "bold"
        result.add_row(name, *(_shown(scores, key) for key in labels), style=style)
    return result


def rounded(scores: dict[str, float]) -> dict[str, float | None]:
    """Metrics as summary.json holds them; None for what cannot be measured, as JSON has no nan."""
    return {key: None if math.isnan(value) else round(value, SAVED_DIGITS[key]) for key, value in scores.items()}


def write(path: Path, content: str | bytes) -> None:
    """Write a file, under a temporary name first; its folder is made.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
    except OSError as error:
        raise UserError(
            f"The statistics cannot be written. Received: {path} ({error.strerror}). Give --statistics another folder."
        ) from error


def write_report(
    statistics: Path,
    summary: dict,
    rows: dict[str, dict[str, list[dict]]],
    examples: Sequence[plots.Example],
    history: Path | None = None,
) -> None:
    """Write the folder of one model, and README.md and charts over all models; the same scores give the same bytes.

    Parameters
    ----------
    statistics : Path
        Gets ``<name>/`` with images.csv, summary.json, photos.png, and plots of PSNR, MAE and MSE.
    summary : dict
        Of `lowlight.performance.summarise`.
    rows : dict
        By part ("val", "test") and method, what `lowlight.evaluation.evaluate` gave.
    examples : sequence of Example
        For photos.png.
    history : Path, optional
        The history.csv of the training. Without it one from an earlier report is kept if it is of the same weights.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    folder = statistics / summary["name"]
    epochs = _keep_history(folder, summary, history)
    write(folder / "images.csv", _images_csv(rows))
    write(folder / "summary.json", json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n")
    part = next(iter(rows))
    for key in CHARTED:
        of_photos = {
            f"{method} (mean {_shown(summary['scores'][part][method], key)})": [row[key] for row in of_method]
            for method, of_method in rows[part].items()
        }
        plot = plots.metric(key, LABELS[key], epochs, of_photos, PARTS[part], summary["name"])
        write(folder / f"{key}.png", plot)
    if epochs:
        write(folder / "loss.png", plots.loss(epochs, summary["recipe"]["loss"], summary["name"]))
    write(folder / "photos.png", plots.photos(examples))
    write_readme(statistics)


def earlier_cost(folder: Path, card: dict) -> dict | None:
    """What an earlier report of the same weights says they cost, if there is one."""
    summary = _earlier_summary(folder, card["weights"]["sha256"])
    return summary and summary.get("cost")


def make_folder(folder: Path) -> None:
    """Make the folder of a model's report.

    Raises
    ------
    UserError
        If it cannot be made or written.
    """
    write(folder / ".writable", "")
    (folder / ".writable").unlink()


def write_readme(statistics: Path) -> None:
    """Write README.md and its charts from the summaries of all models measured so far.

    Models are compared only where the baselines agree, which shows that the photos were the same; those measured on
    other photos get a table and charts of their own.
    """
    groups = _groups(statistics)
    sections = [
        "# Statistics\n\n"
        "Every model measured so far, beside what needs no training. Written by `performance_old.py` and "
        "`performance_latest.py`; a model's folder holds its curves, the scores of each photo and examples.\n"
    ]
    for number, group in enumerate(groups, start=1):
        suffix = "" if number == 1 else f"_{number}"
        sections.append(_section(group, suffix))
        for key in CHARTED:
            plot = plots.bars(key, LABELS[key], _bars(group, key), len(group[0]["baselines"]))
            write(statistics / f"{key}{suffix}.png", plot)
        write(statistics / f"cost{suffix}.png", plots.cost(_points(group), PARTS[_parts(group)[0]]))
    for key in (*CHARTED, "cost"):  # of a group that is no more
        (statistics / f"{key}_{len(groups) + 1}.png").unlink(missing_ok=True)
    if (statistics / SHEET).is_file():
        sections.append(f"## The same photos through every model\n\n![{SHEET_CAPTION}]({SHEET})\n")
    if (statistics / CROSS).is_file():
        sections.append(_cross_section(statistics / CROSS))
    write(statistics / "README.md", "\n".join(sections))


def write_cross(statistics: Path, rows: Sequence[dict]) -> None:
    """Write cross.csv, and README.md with its table.

    Parameters
    ----------
    statistics : Path
    rows : sequence of dict
        Of each set and method: `set`, `photos` (how many), `method`, and means of metrics.
    """
    columns = ["set", "photos", "method", *(key for key in SAVED_DIGITS if any(key in row for row in rows))]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write(statistics / CROSS, text.getvalue())
    write_readme(statistics)


def _cross_section(path) -> str:
    """Methods against sets: PSNR / SSIM, the best of a set in bold."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sets = {row["set"]: row["photos"] for row in rows}
    best = {name: max(float(row["psnr"]) for row in rows if row["set"] == name) for name in sets}
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        psnr = float(row["psnr"])
        shown = f"{psnr:.2f}" if psnr < best[row["set"]] else f"**{psnr:.2f}**"
        cells.setdefault(row["method"], {})[row["set"]] = f"{shown} / {float(row['ssim']):.3f}"
    lines = [
        _line(["method", *(f"{name} ({photos})" for name, photos in sets.items())]),
        _line(["---"] + ["---:"] * len(sets)),
        *(_line([method, *(of_method.get(name, "") for name in sets)]) for method, of_method in cells.items()),
    ]
    return (
        "## On other cameras and in other light\n\n"
        "PSNR in dB / SSIM; in brackets, how many photos, none of which any model was trained on. Held-out pairs: real "
        "photos of other cameras. The rest are clean photos, taken anew by `lowlight.camera`: as they are, with white "
        "noise, darkened with a sensor's noise, and darkened by 3 stops only where the scene is dim; the truth is the "
        "clean photo.\n\n" + "\n".join(lines) + "\n"
    )


def comparison(statistics: Path) -> str:
    """The table of README.md, in Markdown, over the models that were measured on the same photos; empty if none was."""
    groups = _groups(statistics)
    return "\n".join([*_table(groups[0], with_ideas=False), "", _legend(groups[0])]) if groups else ""


def _groups(statistics) -> list[list[dict]]:
    """Summaries of the models that were measured on the same photos, the largest group first."""
    groups: dict[str, list[dict]] = {}
    for path in sorted(statistics.glob("*/summary.json")):
        summary = json.loads(path.read_text(encoding="utf-8"))
        groups.setdefault(_fingerprint(summary), []).append(summary)
    return sorted(groups.values(), key=len, reverse=True)


def _section(group, suffix):
    split = group[0]["split"]
    counts = ", ".join(f"{split[part]} {PARTS[part]} photos" for part in _parts(group))
    lines = [f"## {counts}\n", f"Split: {split['source']}.\n", *_table(group), "", _legend(group), ""]
    notes = dict.fromkeys(note for summary in group for note in (*summary["notes"], summary["protocol"]))
    lines += [*(f"- {note}" for note in ["Models are chosen by the validation split only.", *notes]), ""]
    lines += [*(f"![{LABELS[key]} of every method]({key}{suffix}.png)\n" for key in CHARTED)]
    lines += [f"![PSNR against multiplications for a pixel](cost{suffix}.png)\n"]
    return "\n".join(lines)


def _table(group, with_ideas=True) -> list[str]:
    """Lines of the table: baselines, then models; `with_ideas` adds what each model is to teach."""
    labels = _labels(group)
    head = ["method", "parameters", "MACs/px", "s/MP", "trained", "change (dB)", *labels.values()]
    lines = [
        _line(head + ["the one new idea, and why"] * with_ideas),
        _line(["---"] + ["---:"] * (len(head) - 1) + ["---"] * with_ideas),
    ]
    scores = {part: dict(_methods(group, part)) for part in _parts(group)}
    models = {summary["name"]: summary for summary in group}
    plans = {name: RECIPES.get(summary["recipe"].get("number")) for name, summary in models.items()}
    ideas = {name: f"{plan.idea} {plan.why}" for name, plan in plans.items() if plan}
    for name in scores[_parts(group)[0]]:
        cells = [name, "", "", "", "", ""]
        if name in models:
            cells = [f"[{name}]({quote(name)}/)", *_costs(models[name], group)]
        values = [" / ".join(_shown(of_part[name], key) for of_part in scores.values()) for key in labels]
        lines.append(_line([*cells, *values, *([ideas.get(name, "")] if with_ideas else [])]))
    return lines


def _labels(group) -> dict[str, str]:
    """The metrics that any of the models has; only those that take a wish can be told one."""
    found = {key for summary in group for of_part in summary["scores"].values() for key in of_part[summary["name"]]}
    return {key: label for key, label in LABELS.items() if key in found}


def _costs(summary, group) -> list[str]:
    """What a model costs, and how much better it is on the first part than the model before it."""
    cost, training, part = summary["cost"], summary["training"], _parts(group)[0]
    psnr = {of["recipe"].get("number"): of["scores"][part][of["name"]]["psnr"] for of in group}
    number = summary["recipe"].get("number", 0)
    change = f"{psnr[number] - psnr[number - 1]:+.2f}" if number - 1 in psnr else ""
    return [
        f"{summary['parameters']:,}",
        f"{cost['macs_per_pixel']:,}",
        f"{cost['seconds_per_megapixel']:.2f}",
        f"{training['minutes']:.0f} min, {training['megapixels']:,.0f} MP" if training else "",
        change,
    ]


def _legend(group) -> str:
    parts = " / ".join(PARTS[part] for part in _parts(group))
    machines = " and ".join(dict.fromkeys(summary["cost"]["machine"] for summary in group))
    return (
        f"Scores: {parts}. MACs/px: multiply-accumulate operations for each pixel. s/MP: seconds for a million pixels "
        f"({machines}). Trained: for how long, and on how many million pixels. Change: PSNR on "
        f"{PARTS[_parts(group)[0]]} against the model before."
    )


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _points(group) -> dict[str, tuple[float, float]]:
    """Multiplications for a pixel, and PSNR on the first part, by model."""
    part = _parts(group)[0]
    return {
        summary["name"]: (summary["cost"]["macs_per_pixel"], summary["scores"][part][summary["name"]]["psnr"])
        for summary in group
    }


def _bars(group, key):
    """The mean by method and part."""
    result: dict[str, dict[str, float]] = {}
    for part in _parts(group):
        for name, scores in _methods(group, part):
            result.setdefault(name, {})[PARTS[part]] = scores[key]
    return result


def _parts(group):
    return [part for part in PARTS if part in group[0]["scores"]]


def _methods(group, part):
    """Baselines first, then the models: pairs of name and scores."""
    first = group[0]["scores"][part]
    yield from ((name, first[name]) for name in group[0]["baselines"])
    yield from ((summary["name"], summary["scores"][part][summary["name"]]) for summary in group)


def _fingerprint(summary):
    scores = {
        part: {name: methods[name] for name in summary["baselines"]} for part, methods in summary["scores"].items()
    }
    return json.dumps(scores, sort_keys=True)


def _shown(scores, key):
    value = scores.get(key)
    return "–" if value is None else f"{value:.{SHOWN_DIGITS[key]}f}"


def _images_csv(rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = {key for methods in rows.values() for of_photos in methods.values() for key in of_photos[0]}
    columns = [key for key in SAVED_DIGITS if key in measured]
    writer.writerow(["split", "image", "method", *columns])
    for part, methods in rows.items():
        for method, of_photos in methods.items():
            for row in of_photos:
                values = (f"{row[key]:.{SAVED_DIGITS[key]}f}" if key in row else "" for key in columns)
                writer.writerow([part, row["name"], method, *values])
    return text.getvalue()


def _keep_history(folder, summary, source):
    """Rows of the training's history, which the folder keeps; none if there is no history of these weights."""
    kept = folder / "history.csv"
    if source and source.is_file():
        write(kept, source.read_text(encoding="utf-8"))
    elif kept.is_file() and not _earlier_summary(folder, summary["weights"]["sha256"]):
        kept.unlink()
        (folder / "loss.png").unlink(missing_ok=True)
    if not kept.is_file():
        return []
    with kept.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _earlier_summary(folder, sha256) -> dict | None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return summary if summary and summary["weights"]["sha256"] == sha256 else None
