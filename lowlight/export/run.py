"""lowlight export: write a model for another runtime, check it, and say in a card beside it what it is."""

import importlib.util
import logging
import shutil
from contextlib import suppress
from pathlib import Path

from lowlight.errors import UserError
from lowlight.io import atomic
from lowlight.settings import ExportSettings
from lowlight.system import how_to_install, spinner
from lowlight.zoo import cards, registry

LOG = logging.getLogger(__name__)

CLOSE = 1e-3
"""Levels of 8 bits by which a file in float32 may differ from Keras; more is an error."""

CLOSE_HALF = 8.0
"""The same for a file that computes in float16."""


def export(settings: ExportSettings) -> Path:
    """Write a model in another format, compare it with Keras, and write its card.

    Parameters
    ----------
    settings : ExportSettings

    Returns
    -------
    Path
        The file; of a SavedModel, the folder.

    Raises
    ------
    UserError
        If there is no such model, what the format needs is not installed, the file cannot be written or would take the
        place of another, or what it gives is not what Keras gives; then nothing is left behind.
    """
    _refuse_missing(settings.format)
    card, weights = registry.files_of(settings.model, settings.models_url)
    if settings.beside:
        _refuse_another_card(weights.with_name(f"{card['name']}.json"), weights)
    folder = weights.parent if settings.beside else settings.output
    atomic.make_folder(folder)
    with spinner("loading TensorFlow"):  # now that all is known to be right
        from lowlight import backend
        from lowlight.export import check, formats, graphs
        from lowlight.inference.engines import KerasGraph

    backend.refuse_without_graphs()
    network, _ = registry.build(card, weights, "mixed_float16" if settings.float16 else "float32")
    reference = KerasGraph(registry.build(card, weights, "float32")[0] if settings.float16 else network)
    facts = {
        "name": card["name"],
        "stride": str(reference.stride),
        "weights_sha256": card["weights"]["sha256"],
        "precision": "float16" if settings.float16 else "float32",
    }
    path = folder / f"{card['name']}{'.float16' if settings.float16 else ''}{formats.SUFFIXES[settings.format]}"
    part = folder / f"part-{path.name}"
    try:
        with spinner("writing the file, and comparing it with Keras"):
            formats.WRITERS[settings.format](network, part, facts)
            differences = check.largest_difference(graphs.opened(settings.format, part, reference), reference)
        _refuse_far(differences, CLOSE_HALF if settings.float16 else CLOSE, path)
        _warn_of_other_weights(path, facts["weights_sha256"])
        _move(part, path)
    except OSError as error:
        raise UserError(
            f"The file cannot be written. Received: {path} ({error}). Give --output another folder."
        ) from error
    finally:
        _remove(part)
    measured = ", ".join(f"{difference:.1g} at {size}" for size, difference in differences.items())
    message = "%s: %.3g MB; from Keras it differs by at most %s, in levels of 8 bits"
    LOG.info(message, path, _size(path) / 1e6, measured)
    if settings.beside:
        _note(card, weights, path, differences)
    else:
        _write_card(path, card, facts, settings.format, reference, differences)
    return path


def _refuse_missing(form):
    needed = {"onnx": ["tf2onnx", "onnx", "onnxruntime"], "openvino": ["tf2onnx", "onnx", "openvino"]}.get(form, [])
    missing = [name for name in ["tensorflow", *needed] if not importlib.util.find_spec(name)]
    if missing:
        raise UserError(
            f"To write that format, {' and '.join(missing)} must be installed. Received: --format {form}. "
            f"{how_to_install('export,openvino' if form == 'openvino' else 'export')}"
        )


def _refuse_another_card(place, weights):
    """Where the card is going to be, there is nothing yet, or the card of these weights."""
    with suppress(UserError):
        if not place.exists() or cards.read(place, cards.WholeCard)["weights"]["file"] == weights.name:
            return
    raise UserError(
        f"What lies beside the model is not its card. Received: {place} for {weights.name}. Move it, or rename the "
        "model."
    )


def _refuse_far(differences, close, path):
    size, worst = max(differences.items(), key=lambda item: item[1])
    if not worst <= close:
        raise UserError(
            f"What the file gives is not what Keras gives. Received: {worst:.2g} levels of 8 bits at {size}, where "
            f"{close:g} is the most, for {path.name}. Nothing was kept; try other versions of the converter."
        )


def _warn_of_other_weights(path, sha256):
    """Runs of one model have one name, so the file of one takes the place of another's."""
    known = _card_of(path)
    if known.is_file() and sha256 not in known.read_text(encoding="utf-8"):
        LOG.warning("%s was of other weights, and is replaced; --output names another folder", path)


def _note(card, weights, path, differences):
    """Put the file into the model's card, and the card's new hash into the manifest."""
    levels = {size: float(f"{difference:.2g}") for size, difference in differences.items()}
    facts = registry.facts_of(path) | {"of": card["weights"]["sha256"], "levels_from_keras": levels}
    place = weights.with_name(f"{card['name']}.json")
    registry.write_card(place, card | {"exports": card.get("exports", {}) | {"onnx": facts}})
    if place.parent == registry.MANIFEST.parent:
        registry.write_manifest()


def _write_card(path, card, facts, form, reference, differences):
    """A card for people, beside the file."""
    learnt = [part for part in cards.sets_of(card) if part.get("licence")]
    inputs = [f"| {name} | {_shape(shape)} | {MEANINGS[name]} |" for name, shape in reference.shapes.items()]
    outputs = [f"| {name} | {MEANINGS[name]} |" for name in reference.outputs]
    lines = [
        f"# {card['name']}, as {form}",
        "",
        f"{card.get('idea', '')} Made by `lowlight export --model {card['name']} --format {form}`.",
        "",
        f"- Computes in {facts['precision']}; batch, height and width are free, the last two multiples of "
        f"{facts['stride']}.",
        f"- Weights: sha256 {facts['weights_sha256']}.",
        *([f"- This file: sha256 {registry.sha256(path)}."] if path.is_file() else []),
        "- Largest difference from Keras, in levels of 8 bits: "
        + ", ".join(f"{value:.1g} at {size}" for size, value in differences.items())
        + "; whole and in tiles, with and without controls.",
        *(f"- Trained on {part['name']}. Its terms: {part['licence']}." for part in learnt),
        "",
        "| input (float32) | shape | what it is |",
        "| --- | --- | --- |",
        *inputs,
        "",
        "| output (float32) | what it is |",
        "| --- | --- |",
        *outputs,
        "",
        f"`examples/{form}_photo.py` of the project runs it in 20 lines without the project.",
        "",
    ]
    _card_of(path).write_text("\n".join(line.strip() for line in lines), encoding="utf-8")


def _card_of(path) -> Path:
    return path.with_name(f"{path.name}.md")


MEANINGS = {
    "photo": "the photo or a tile of it, sRGB in [0, 1]",
    "gain": "0.4 / mean of the whole photo, at most 25",
    "thumbnail": "mean colours of 64x64 cells of the whole photo",
    "overview": "the same, then the brightest of each cell and its noise (`lowlight.imaging.exposure.overview`)",
    "level": "target exposure map of 8x8 cells, log(mean + 0.02): the output `guess`, adjusted at will",
    "box": "where the tile lies in the photo: top, left, bottom, right, 0 to 1; the whole is 0 0 1 1",
    "white_balance": "1 corrects the colour of the light, 0 leaves it",
    "output": "the enhanced photo; clip it to [0, 1]",
    "base": "the same before denoising",
    "guess": "predicted exposure map of 8x8 cells; it depends on `overview` alone",
    "right": "the same before the identity gate, which leaves photos that are well lit",
}


def _shape(shape) -> str:
    sides = iter(("height", "width"))
    return " x ".join(["batch", *(str(side) if side else next(sides) for side in shape)])


def _size(path) -> int:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path, *_companions(path)]
    return sum(file.stat().st_size for file in files)


def _companions(path) -> list[Path]:
    """The weights of an OpenVINO file lie beside it."""
    weights = path.with_suffix(".bin")
    return [weights] if path.suffix == ".xml" and weights.is_file() else []


def _move(part, path):
    for companion in _companions(part):
        companion.replace(path.with_suffix(".bin"))
    if path.is_dir():
        shutil.rmtree(path)
    part.replace(path)


def _remove(part):
    if part.is_dir():
        shutil.rmtree(part)
    for file in (part, *_companions(part)):
        file.unlink(missing_ok=True)
