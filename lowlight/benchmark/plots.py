"""Pictures of scores, as the bytes of PNG files; the same scores give the same bytes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from lowlight.benchmark.tables import shortened

STYLE = {
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
}

TRAIN, VALIDATION, TEST = "#d55e00", "#0072b2", "#009e73"
"""Colours that also the colour-blind tell apart (Okabe and Ito)."""

PALE = {VALIDATION: "#99c6e0", TEST: "#99d8c7"}

BASELINE_LOOKS = (("#666666", "s"), ("#cc79a7", "^"), ("#e69f00", "D"))


class Example(NamedTuple):
    """One block of `photos`, such as input, output and truth."""

    title: str
    captions: Sequence[str]
    photos: Sequence[np.ndarray]
    """Each (H, W, 3) uint8."""


def metric(
    key: str,
    label: str,
    epochs: Sequence[dict],
    of_photos: dict[str, list[float]],
    part: str,
    name: str,
    keep_last: bool = False,
) -> bytes:
    """One metric over the epochs (if there is a history) and for each photo.

    Parameters
    ----------
    key, label : str
        Column of the history, and what the axis is called.
    epochs : sequence of dict
        Rows of history.csv; may be empty.
    of_photos : dict
        For each method by its text in the legend, baselines first and the model last, the photos' values in one order.
    part, name : str
        Of the split and the model, for the titles.
    keep_last : bool
        Whether the weights of the last epoch were kept, not those of the lowest validation loss.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(13 if epochs else 8, 5.5), layout="constrained")
        axes = figure.subplots(1, 2 if epochs else 1, squeeze=False)[0]
        name = shortened(name)
        if epochs:
            _draw_epochs(axes[0], epochs, key, label, f"{name}: {label} while training", keep_last)
        _draw_photos(axes[-1], of_photos, label, f"{name}: each {part} photo, at full size")
        return _png(figure)


def loss(epochs: Sequence[dict], loss_name: str, name: str, keep_last: bool = False) -> bytes:
    """The loss over the epochs."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(8, 5.5), layout="constrained")
        title = f"{shortened(name)}: loss while training"
        _draw_epochs(figure.subplots(), epochs, "loss", f"loss ({loss_name})", title, keep_last)
        return _png(figure)


def bars(key: str, label: str, values: dict[str, dict[str, float]], baselines: int = 0) -> bytes:
    """One bar for each method and part of the split.

    Parameters
    ----------
    key, label : str
        The metric, and what the axis is called.
    values : dict
        By method, by part.
    baselines : int
        How many of the methods, from the first on, are paler than the others.
    """
    parts = list(next(iter(values.values())))
    colours = (VALIDATION, TEST)[: len(parts)]
    width = 0.8 / len(parts)
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(9, 1.4 + 0.55 * len(values)), layout="constrained")
        axes = figure.subplots()
        for offset, (part, colour) in enumerate(zip(parts, colours, strict=True)):
            heights = [methods[part] for methods in values.values()]
            places = [place + (offset - (len(parts) - 1) / 2) * width for place in range(len(values))]
            drawn = axes.barh(places, heights, width * 0.92, color=colour)
            for bar in drawn[:baselines]:
                bar.set_color(PALE[colour])
            axes.bar_label(drawn, fmt="%.2f" if key == "psnr" else "%.4f", padding=3, fontsize=9)
        axes.set_yticks(range(len(values)), map(shortened, values))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.1, y=0.02)
        axes.set_xlabel(label)
        axes.set_title(f"{label}: {'higher' if key == 'psnr' else 'lower'} is better", loc="left")
        axes.legend(
            handles=[Patch(color=c, label=p) for c, p in zip(colours, parts, strict=True)],
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(parts),
            borderaxespad=0,
        )
        return _png(figure)


def cost(points: dict[str, tuple[float, float]], part: str) -> bytes:
    """Quality against cost: one point a model.

    Parameters
    ----------
    points : dict
        By model, multiplications for a pixel and mean PSNR in dB.
    part : str
        Of the split, for the axis.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(9, 5.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(*zip(*points.values(), strict=True), "o", color=VALIDATION)
        for index, (name, point) in enumerate(sorted(points.items(), key=lambda item: item[1][1])):
            side = (-7, "right") if index % 2 else (7, "left")  # in turn, or the names of near points would overlap
            axes.annotate(shortened(name), point, (side[0], -3), textcoords="offset points", ha=side[1], fontsize=9)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, position: f"{value:,.0f}")
        axes.xaxis.set_minor_formatter(lambda value, position: f"{value:,.0f}" if str(value)[0] in "25" else "")
        axes.margins(x=0.2, y=0.12)
        axes.set(xlabel="multiply-accumulate operations for each pixel", ylabel=f"PSNR (dB), {part}")
        axes.set_title("Quality against cost: up and to the left is better", loc="left")
        return _png(figure)


def photos(examples: Sequence[Example], width: int = 400, columns: int = 3) -> bytes:
    """A sheet of photos: one block an example, its photos from left to right and from top to bottom.

    Parameters
    ----------
    examples : sequence of Example
    width : int
        Largest side of a photo in pixels; larger ones are made smaller, pixels of small ones 2, 3 ... times as wide.
    columns : int
        How many photos stand side by side.
    """
    title_font, caption_font = _font("DejaVuSans-Bold.ttf", 17), _font("DejaVuSans.ttf", 15)
    gap, text = 12, 26
    shown = [[_thumbnail(photo, width) for photo in example.photos] for example in examples]
    row_heights = [max(photo.height for photo in row) + text + gap for row in shown]
    heights = [text + -(-len(row) // columns) * height for row, height in zip(shown, row_heights, strict=True)]
    sheet = Image.new("RGB", (gap + columns * (width + gap), sum(heights) + gap), "white")
    draw = ImageDraw.Draw(sheet)
    top = gap
    for example, row, row_height, height in zip(examples, shown, row_heights, heights, strict=True):
        draw.text((gap, top), example.title, "black", title_font)
        for index, (caption, photo) in enumerate(zip(example.captions, row, strict=True)):
            left, down = gap + index % columns * (width + gap), top + text + index // columns * row_height
            draw.text((left, down), caption, "black", caption_font)
            sheet.paste(photo, (left, down + text))
        top += height
    buffer = io.BytesIO()
    sheet.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _draw_epochs(axes, epochs, key, label, title, keep_last):
    numbers = [row["epoch"] for row in epochs]
    marker = "o" if len(epochs) <= 40 else None
    looks = {"markersize": 4, "marker": marker}
    validation = [row[f"val_{key}"] for row in epochs]
    of_another = "next stage" + ", whose loss is another one" * (key == "loss")
    begun = [i for i in range(1, len(epochs)) if epochs[i].get("stage") != epochs[i - 1].get("stage")]
    places, train, shown = (np.insert(v, begun, np.nan) for v in (numbers, [row[key] for row in epochs], validation))
    axes.plot(places, train, color=TRAIN, label="train (crops, in training mode)", **looks)
    axes.plot(places, shown, color=VALIDATION, lw=2, label="validation (whole photos, as measured)", **looks)
    for i in begun:
        axes.axvline(numbers[i - 1], color="#666666", ls="--", lw=1, label=of_another if i == begun[0] else None)
    best, why = _kept(epochs, keep_last)
    value = f"{validation[best]:.2f} dB" if key == "psnr" else f"{validation[best]:.4f}"
    axes.axvline(numbers[best], color=VALIDATION, ls=":", lw=1)
    axes.plot(
        numbers[best],
        validation[best],
        marker="*",
        markersize=15,
        color=VALIDATION,
        ls="none",
        label=f"kept, {why}: epoch {numbers[best]:.4g}{f', {value}' if np.isfinite(validation[best]) else ''}",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=label, xlim=(0, numbers[-1] * 1.04))
    axes.set_title(title, loc="left")
    _legend_below(axes)


def _kept(epochs, keep_last) -> tuple[int, str]:
    """Which epoch's weights were kept, and why: the last, or, of the last stage, that of the lowest validation loss."""
    stage = epochs[-1].get("stage")
    losses = {number: row["val_loss"] for number, row in enumerate(epochs) if row.get("stage") == stage}
    losses = {number: value for number, value in losses.items() if np.isfinite(value)}
    if keep_last or not losses:
        return len(epochs) - 1, "the last"
    return min(losses, key=losses.__getitem__), "of the lowest validation loss"


def _draw_photos(axes, of_photos, label, title):
    *_, values_of_model = of_photos.values()
    order = np.argsort(values_of_model, kind="stable")
    places = range(1, len(order) + 1)
    for (method, values), (colour, marker) in zip(of_photos.items(), (*BASELINE_LOOKS, (VALIDATION, "o")), strict=True):
        is_model = values is values_of_model
        finite = [value if np.isfinite(value) else np.nan for value in np.array(values)[order]]
        looks = {"markersize": 6, "ls": "-"} if is_model else {"markersize": 4, "ls": "none"}
        axes.plot(places, finite, marker=marker, color=colour, label=method, **looks)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="photos, sorted by the model's value", ylabel=label)
    axes.set_title(title, loc="left")
    _legend_below(axes)


def _legend_below(axes):
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)


def _png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _thumbnail(photo, side):
    image = Image.fromarray(photo)
    times = side // max(image.size)
    if times > 1:
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _font(name, size):
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)
