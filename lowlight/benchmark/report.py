"""From scores to files: tables and plots of one model in statistics/model_NN, of all models in statistics/README.md."""

import csv
import io
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

from lowlight.benchmark import plots, tables
from lowlight.benchmark.rows import current_rows
from lowlight.errors import UserError
from lowlight.io import atomic
from lowlight.io.lock import waiting
from lowlight.metrics.evaluate import with_current_names
from lowlight.system import counted

LOG = logging.getLogger(__name__)

CHARTED = ("psnr", "mae", "mse")

SHEET = "ladder.png"
HELD_OUT = "held_out.csv"
BREAKDOWN = "breakdown.csv"

LIGHT_SHEET = "light.png"
LIGHT_CAPTION = "Clean photos taken in four kinds of light, and what the default model makes of them"

SHEET_CAPTION = "Three dark photos and what each model makes of them"

CLOSED = ("The statistics cannot be written", "Give --statistics another folder.")
"""What is said before and after a file or folder that cannot be written."""


def write(path: Path, content: str | bytes) -> None:
    """Write a file, under a temporary name first; its folder is made.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, content)
    except OSError as error:
        fault, advice = CLOSED
        raise UserError(f"{fault}. Received: {path} ({error.strerror}). {advice}") from error


def write_report(
    statistics: Path,
    summary: dict,
    rows: dict[str, dict[str, list[dict]]],
    examples: Sequence[plots.Example],
    history: Path | None = None,
) -> None:
    """Write the folder of one model; the same scores give the same bytes.

    Parameters
    ----------
    statistics : Path
        Gets ``<name>/`` with images.csv, summary.json, photos.png, and plots of PSNR, MAE and MSE.
    summary : dict
        Of `lowlight.benchmark.run.summarise`.
    rows : dict
        By part ("val", "test") and method, what `lowlight.metrics.evaluate.evaluate` gave.
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
    name, keep_last = summary["name"], summary["recipe"].get("keep_last", False)
    write(folder / "images.csv", _images_csv(rows))
    write(folder / "summary.json", json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n")
    part = next(iter(rows))
    for key in CHARTED:
        of_photos = {
            f"{tables.shortened(method)} (mean {tables.shown(summary['scores'][part][method], key)})": [
                row[key] for row in of_method
            ]
            for method, of_method in rows[part].items()
        }
        split = tables.SPLIT_LABELS[part]
        plot = plots.metric(key, tables.LABELS[key], epochs, of_photos, split, name, keep_last)
        write(folder / f"{key}.png", plot)
    if epochs:
        write(folder / "loss.png", plots.loss(epochs, summary["recipe"]["loss"], name, keep_last))
    write(folder / "photos.png", plots.photos(examples))


def earlier_cost(folder: Path, card: dict) -> dict | None:
    """What an earlier report of the same weights says they cost, if there is one."""
    summary = summary_of(folder, card["weights"]["sha256"])
    return summary and summary.get("cost")


def make_folder(folder: Path) -> None:
    """Make the folder of a model's report.

    Raises
    ------
    UserError
        If it cannot be made or written, or what is beside it cannot be read, which `write_overview` will need.
    """
    atomic.make_folder(folder, *CLOSED)
    _overview(folder.parent)


def tell_if_replaced(folder: Path, card: dict) -> None:
    """Say that the report in a model's folder, if it is of other weights, such as of another run, is written over."""
    if (folder / "summary.json").is_file() and not summary_of(folder, card["weights"]["sha256"]):
        LOG.warning("%s told of other weights, and is written over; --statistics DIR keeps both", folder)


def write_overview(statistics: Path) -> None:
    """Write README.md and its charts from the summaries of all models measured so far.

    Models are compared only where the baselines agree, which shows that the photos were the same; those measured on
    other photos get a table and charts of their own.
    """
    text = None
    while text != (now := _overview(statistics)):  # another process may have measured meanwhile
        text = now
        _write_charts(statistics)
        write(statistics / "README.md", text)


def _overview(statistics) -> str:
    sections = [
        "# Statistics\n\n"
        "Every model measured so far, beside what needs no training. Written by `performance_old.py` and "
        "`performance_latest.py`; a model's folder holds its curves, the scores of each photo and examples.\n"
    ]
    sections += [_section(group, suffix) for suffix, group in _by_suffix(statistics)]
    if (statistics / SHEET).is_file():
        sections.append(f"## The same photos through every model\n\n![{SHEET_CAPTION}]({SHEET})\n")
    if rows := current_sets(statistics, HELD_OUT):
        sections.append(tables.held_out_section(rows))
    if rows := current_sets(statistics, BREAKDOWN):
        sections.append(tables.breakdown_section(rows))
    if (statistics / LIGHT_SHEET).is_file():
        sections.append(f"![{LIGHT_CAPTION}]({LIGHT_SHEET})\n")
    return "\n".join(sections)


def _write_charts(statistics):
    groups = _by_suffix(statistics)
    for suffix, group in groups:
        for key in CHARTED:
            plot = plots.bars(key, tables.LABELS[key], _bars(group, key), len(group[0]["baselines"]))
            write(statistics / f"{key}{suffix}.png", plot)
        write(statistics / f"cost{suffix}.png", plots.cost(_points(group), tables.SPLIT_LABELS[tables.parts(group)[0]]))
    number = len(groups) + 1
    while (statistics / f"cost_{number}.png").exists():  # of groups that are no more
        for key in (*CHARTED, "cost"):
            (statistics / f"{key}_{number}.png").unlink(missing_ok=True)
        number += 1


def write_sets(path: Path, rows: Sequence[dict]) -> None:
    """Write held_out.csv or breakdown.csv.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        Of `lowlight.benchmark.held_out.score_sets` or `lowlight.benchmark.breakdown.score_sets`.
    """
    scores = [key for key in (*tables.SAVED_DIGITS, *tables.BREAKDOWN) if any(key in row for row in rows)]
    columns = ["set", "photos", "method", "weights", *dict.fromkeys(scores)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write(path, text.getvalue())


def update_sets(path: Path, change: Callable[[list[dict]], list[dict]]) -> None:
    """Write held_out.csv or breakdown.csv anew from the rows that it holds; no other process does so meanwhile.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    atomic.make_folder(path.parent, *CLOSED)
    with waiting(atomic.lock_of(path, path.parent)):
        write_sets(path, change(read_sets(path)))


def read_sets(path: Path) -> list[dict]:
    """The rows that `write_sets` wrote; none if it did not.

    Raises
    ------
    UserError
        If the file is not as it was written, such as by a spreadsheet that has commas for decimals.
    """
    if not path.is_file():
        return []
    texts = ("set", "method", "weights")
    with path.open(newline="", encoding="utf-8-sig") as file, _as_written(path):
        rows = [
            {key: row[key] for key in texts}
            | {key: json.loads(text) for key, text in row.items() if text and key not in texts}
            for row in csv.DictReader(file)
        ]
    return [with_current_names(row) for row in rows]


def current_sets(statistics: Path, name: str) -> list[dict]:
    """The rows of held_out.csv or breakdown.csv that go with the models' reports beside: none of earlier weights."""
    weights = {summary["name"]: summary["weights"]["sha256"] for group in _groups(statistics) for summary in group}
    return current_rows(read_sets(statistics / name), weights, others=True)


@contextmanager
def _as_written(path):
    """What is found of a file that somebody else has changed, as a line."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"Statistics are not as they were written. Received: {path} ({type(error).__name__}: {error}). Put it "
            "back, or delete it and measure anew."
        ) from None


def summaries(statistics: Path) -> dict[str, dict]:
    """By model, in the order of their names, what was measured of those that were measured on the same photos."""
    groups = _groups(statistics)
    return {summary["name"]: summary for summary in groups[0]} if groups else {}


def comparison(statistics: Path) -> str:
    """The table of README.md, in Markdown, over the models that were measured on the same photos; empty if none was."""
    groups = _groups(statistics)
    return "\n".join([*tables.markdown(groups[0], with_ideas=False), "", tables.legend(groups[0])]) if groups else ""


def _groups(statistics) -> list[list[dict]]:
    """Summaries of the models that were measured on the same photos, the largest group first."""
    groups: dict[str, list[dict]] = {}
    for path in sorted(statistics.glob("*/summary.json")):
        summary = _read_summary(path)
        groups.setdefault(_fingerprint(summary), []).append(summary)
    return sorted(groups.values(), key=len, reverse=True)


def _by_suffix(statistics) -> list[tuple[str, list[dict]]]:
    """The groups, each with what the names of its charts end in."""
    return [(f"_{number}" if number > 1 else "", group) for number, group in enumerate(_groups(statistics), start=1)]


def _section(group, suffix):
    split = group[0]["split"]
    counts = ", ".join(counted(split[part], f"{tables.SPLIT_LABELS[part]} photo") for part in tables.parts(group))
    lines = [f"## {counts}\n", f"Split: {split['source']}.\n", *tables.markdown(group), "", tables.legend(group), ""]
    notes = dict.fromkeys(note for summary in group for note in (*summary["notes"], summary["protocol"]))
    lines += [*(f"- {note}" for note in ["Models are chosen by the validation split only.", *notes]), ""]
    lines += [*(f"![{tables.LABELS[key]} of every method]({key}{suffix}.png)\n" for key in CHARTED)]
    lines += [f"![PSNR against multiplications for a pixel](cost{suffix}.png)\n"]
    return "\n".join(lines)


def _points(group) -> dict[str, tuple[float, float]]:
    """Multiplications for a pixel, and PSNR on the first part, by model."""
    part = tables.parts(group)[0]
    return {
        summary["name"]: (summary["cost"]["macs_per_pixel"], summary["scores"][part][summary["name"]]["psnr"])
        for summary in group
    }


def _bars(group, key):
    """The mean by method and part."""
    result: dict[str, dict[str, float]] = {}
    for part in tables.parts(group):
        for name, scores in tables.methods(group, part):
            result.setdefault(name, {})[tables.SPLIT_LABELS[part]] = scores[key]
    return result


def _fingerprint(summary):
    scores = {
        part: {name: methods[name] for name in summary["baselines"]} for part, methods in summary["scores"].items()
    }
    return json.dumps(scores, sort_keys=True)


def _images_csv(rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = {key for methods in rows.values() for of_photos in methods.values() for key in of_photos[0]}
    columns = [key for key in tables.SAVED_DIGITS if key in measured]
    writer.writerow(["split", "image", "method", *columns])
    for part, methods in rows.items():
        for method, of_photos in methods.items():
            for row in of_photos:
                values = (f"{row[key]:.{tables.SAVED_DIGITS[key]}f}" if key in row else "" for key in columns)
                writer.writerow([part, row["name"], method, *values])
    return text.getvalue()


def _keep_history(folder, summary, source):
    """Rows of the training's history, which the folder keeps; none if there is no history of these weights."""
    kept = folder / "history.csv"
    if source and source.is_file():
        write(kept, source.read_text(encoding="utf-8"))
    elif kept.is_file() and not summary_of(folder, summary["weights"]["sha256"]):
        kept.unlink()
        (folder / "loss.png").unlink(missing_ok=True)
    if not kept.is_file():
        return []
    with kept.open(newline="", encoding="utf-8") as file:
        # A stage leaves empty what it does not measure.
        return [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(file)]


def _read_summary(path) -> dict:
    with _as_written(path):
        summary = json.loads(path.read_text(encoding="utf-8"))
        summary["scores"] = {
            part: {name: with_current_names(scores) for name, scores in of_part.items()}
            for part, of_part in summary["scores"].items()
        }
    return summary


def summary_of(folder: Path, sha256: str) -> dict | None:
    """The summary.json in a model's folder, if it is of the weights with that SHA-256."""
    path = folder / "summary.json"
    summary = _read_summary(path) if path.is_file() else None
    return summary if summary and summary["weights"]["sha256"] == sha256 else None
