"""From scores to files: tables and plots of one model in statistics/model_NN, of all models in statistics/README.md."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from lowlight import plots
from lowlight.errors import UserError

PARTS = {"val": "validation", "test": "test"}

LABELS = {
    "psnr": "PSNR (dB)",
    "psnr_gt_mean": "GT-mean PSNR (dB)",
    "mae": "MAE",
    "mse": "MSE",
    "ssim": "SSIM",
}

CHARTED = ("psnr", "mae", "mse")

SHOWN_DIGITS = {"psnr": 2, "psnr_gt_mean": 2, "mae": 4, "mse": 4, "ssim": 3}
SAVED_DIGITS = {"psnr": 4, "psnr_gt_mean": 4, "mae": 6, "mse": 8, "ssim": 4}


def table(summary: dict, part: str) -> Table:
    """The means of a summary over one part of the split, as a table for the terminal."""
    count = summary["split"][part]
    result = Table(title=f"{PARTS[part]}: {count} photo{'s' if count > 1 else ''}", title_justify="left")
    result.add_column("method", no_wrap=True)
    for label in LABELS.values():
        result.add_column(label, justify="right")
    for name, scores in _methods([summary], part):
        style = "bold" if name == summary["name"] else None
        result.add_row(name, *(_shown(scores, key) for key in LABELS), style=style)
    return result


def rounded(scores: dict[str, float]) -> dict[str, float | None]:
    """Metrics as summary.json holds them; None for what cannot be measured, as JSON has no nan."""
    return {key: None if math.isnan(value) else round(value, SAVED_DIGITS[key]) for key, value in scores.items()}


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
        Of `lowlight.evaluation.summarise`.
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
    _write(folder / "images.csv", _images_csv(rows))
    _write(folder / "summary.json", json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n")
    part = next(iter(rows))
    for key in CHARTED:
        of_photos = {
            f"{method} (mean {_shown(summary['scores'][part][method], key)})": [row[key] for row in of_method]
            for method, of_method in rows[part].items()
        }
        plot = plots.metric(key, LABELS[key], epochs, of_photos, PARTS[part], summary["name"])
        _write(folder / f"{key}.png", plot)
    if epochs:
        _write(folder / "loss.png", plots.loss(epochs, summary["recipe"]["loss"], summary["name"]))
    _write(folder / "photos.png", plots.photos(examples))
    write_readme(statistics)


def make_folder(folder: Path) -> None:
    """Make the folder of a model's report.

    Raises
    ------
    UserError
        If it cannot be made or written.
    """
    _write(folder / ".writable", "")
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
            _write(statistics / f"{key}{suffix}.png", plot)
    for key in CHARTED:  # of a group that is no more
        (statistics / f"{key}_{len(groups) + 1}.png").unlink(missing_ok=True)
    _write(statistics / "README.md", "\n".join(sections))


def comparison(statistics: Path) -> str:
    """The table of README.md, in Markdown, over the models that were measured on the same photos; empty if none was."""
    groups = _groups(statistics)
    return "\n".join(_table(groups[0])) if groups else ""


def _groups(statistics) -> list[list[dict]]:
    """Summaries of the models that were measured on the same photos, the largest group first."""
    groups: dict[str, list[dict]] = {}
    for path in sorted(statistics.glob("*/summary.json")):
        summary = json.loads(path.read_text(encoding="utf-8"))
        groups.setdefault(_fingerprint(summary), []).append(summary)
    return sorted(groups.values(), key=len, reverse=True)


def _section(group, suffix):
    parts = _parts(group)
    split = group[0]["split"]
    counts = ", ".join(f"{split[part]} {PARTS[part]} photos" for part in parts)
    lines = [f"## {counts}\n", f"Split: {split['source']}.\n", *_table(group)]
    notes = dict.fromkeys(note for summary in group for note in (*summary["notes"], summary["protocol"]))
    lines += ["", *(f"- {note}" for note in ["Models are chosen by the validation split only.", *notes]), ""]
    lines += [f"![{LABELS[key]} of every method]({key}{suffix}.png)\n" for key in CHARTED]
    return "\n".join(lines)


def _table(group) -> list[str]:
    parts = _parts(group)
    head = ["method", "parameters", *(f"{LABELS[key]}, {part}" for key in LABELS for part in parts)]
    lines = [_line(head), _line(["---"] * 2 + ["---:"] * (len(head) - 2))]
    by_part = {part: dict(_methods(group, part)) for part in parts}
    sizes = {summary["name"]: summary["parameters"] for summary in group}
    for name in by_part[parts[0]]:
        scores = [_shown(by_part[part][name], key) for key in LABELS for part in parts]
        link = f"[{name}]({name}/)" if name in sizes else name
        lines.append(_line([link, f"{sizes[name]:,}" if name in sizes else "", *scores]))
    return lines


def _line(cells):
    return f"| {' | '.join(cells)} |"


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
    writer.writerow(["split", "image", "method", *SAVED_DIGITS])
    for part, methods in rows.items():
        for method, of_photos in methods.items():
            for row in of_photos:
                writer.writerow([part, row["name"], method, *(f"{row[key]:.{n}f}" for key, n in SAVED_DIGITS.items())])
    return text.getvalue()


def _keep_history(folder, summary, source):
    """Rows of the training's history, which the folder keeps; none if there is no history of these weights."""
    kept = folder / "history.csv"
    if source and source.is_file():
        _write(kept, source.read_text(encoding="utf-8"))
    elif kept.is_file() and not _is_of(folder / "summary.json", summary["weights"]["sha256"]):
        kept.unlink()
        (folder / "loss.png").unlink(missing_ok=True)
    if not kept.is_file():
        return []
    with kept.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _is_of(path, sha256):
    return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["weights"]["sha256"] == sha256


def _write(path, content):
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
    except OSError as error:
        raise UserError(
            f"The statistics cannot be written. Received: {path} ({error.strerror}). Give --statistics another folder."
        ) from error
