"""What a model's card and the manifest of models hold, and the reading of both, which may come from strangers."""

import json
import types
import typing
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from lowlight.errors import UserError

PlainName = Annotated[str, "leads nowhere else"]
"""Files lie beside their card: a path could lead out of the folder."""


class Architecture(TypedDict):
    """Which graph: a name in `lowlight.networks.architectures.BUILDERS`, and its settings."""

    name: str
    settings: dict[str, Any]


class File(TypedDict):
    """A file beside the card."""

    file: PlainName
    sha256: str
    bytes: int


class Training(TypedDict):
    """How it was trained; there is more in it, for people."""

    val_psnr: float | None


class Export(TypedDict):
    """The model for another runtime, and the sha256 of the weights that it was made of."""

    file: PlainName
    sha256: str
    of: str


class ModelCard(TypedDict):
    """What is read of a card, model_NN.json; there is more in it, for people."""

    name: PlainName
    generation: NotRequired[str | None]
    idea: NotRequired[str]
    architecture: Architecture
    parameters: int
    recipe: NotRequired[dict[str, Any]]
    data: NotRequired[dict[str, Any]]
    training: Training
    weights: File
    versions: NotRequired[dict[str, Any]]
    metrics: NotRequired[dict[str, dict[str, float | None]] | None]
    validation: NotRequired[dict[str, Any] | None]
    exports: NotRequired[dict[str, Export]]


class WholeCard(TypedDict):
    """What is read of the card of a file that holds a whole model, NAME.json; `lowlight export --beside` writes it."""

    name: PlainName
    weights: File
    exports: NotRequired[dict[str, Export]]


class Entry(TypedDict):
    """What the manifest says of a model: that of its card by which to choose, and all of its files."""

    name: str
    idea: str
    parameters: int
    val_psnr: float | None
    metrics: dict[str, dict[str, float | None]] | None
    files: list[File]


class Manifest(TypedDict):
    """manifest.json: the project's models, which of them is the default, and where missing files come from."""

    url: str | None
    default: str | None
    models: list[Entry]


UNKNOWN: dict[str, Any] = {"recipe": {}, "data": {"name": "not known", "split": None}, "versions": {}}
"""What stands for a field that only measuring makes use of."""

WORDS = {
    dict: "an object",
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    types.NoneType: "null",
}


def sets_of(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The sets that a model learnt from, as its card describes them: the pairs, more pairs, and clean photos.

    Those of the card itself come first, then those of earlier trainings that its weights went through.
    """
    found: dict[tuple, dict[str, Any]] = {}
    for data in (card.get("data", {}), *(stage["data"] for stage in stages_of(card) if stage.get("data"))):
        more = [data.get(kind) or [] for kind in ("also", "clean")]
        # Cards of before several sets of a kind could be given hold the one itself.
        for one in (data, *(one for kind in more for one in ([kind] if isinstance(kind, dict) else kind))):
            found.setdefault((one.get("name"), one.get("licence")), one)
    return list(found.values())


def stages_of(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The trainings that a model's weights went through, one after the other, as far as its card tells.

    Parameters
    ----------
    card : dict
        One of before there were stages tells of each part's training alone.

    Returns
    -------
    list of dict
        `part`, `minutes` and more of each; empty if the model was not trained here.
    """
    parts = {"training": "whole", "guess_training": "exposure"}
    return card.get("stages") or [
        {"part": part, "data": card.get("data")} | card[name] for name, part in parts.items() if card.get(name)
    ]


def refuse_without_training(card: dict[str, Any], received: str) -> None:
    """A file that holds a whole model tells of no training that one could go on with.

    Raises
    ------
    UserError
        If the card is that of such a file; it says what was `received`.
    """
    if "training" not in card:
        raise UserError(
            f"Only a model with a card can be gone on with. Received: {received}, a file without one. Name a model by "
            "its number, or a run's folder."
        )


def read(path: Path, kind: type = ModelCard) -> dict[str, Any]:
    """Read a card.

    Parameters
    ----------
    path : Path
    kind : type
        What it must hold: `ModelCard` or `WholeCard`.

    Raises
    ------
    UserError
        If the file cannot be read, a field is missing or of another type, or a file's name leads elsewhere.
    """
    return UNKNOWN | _read(path, kind, "the card", "Copy or train it anew.")


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest; without a file it is empty.

    Raises
    ------
    UserError
        As `read`.
    """
    if not path.is_file():
        return {"url": None, "default": None, "models": []}
    return _read(path, Manifest, "the manifest", "Copy it anew.")


def of_whole(path: Path, facts: File) -> dict[str, Any]:
    """The card of a file that holds a whole model, with what was exported from it.

    Parameters
    ----------
    path : Path
    facts : File
        Of it.
    """
    exports = {}
    with suppress(UserError):  # there is none, or the file of that name is something else
        exports = read(path.with_suffix(".json"), WholeCard).get("exports", {})
    rest = {"name": path.stem, "generation": None, "parameters": None, "weights": facts, "exports": exports}
    return UNKNOWN | rest


def entry(card: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of a card, but for the files."""
    facts = {"name": card["name"], "idea": card.get("idea", ""), "parameters": card.get("parameters")}
    return facts | {"val_psnr": card["training"]["val_psnr"], "metrics": card.get("metrics")}


def _read(path, kind, what, cure) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{what.capitalize()} cannot be read. Received: {path} ({reason}). {cure}") from error
    if fault := _fault(found, kind, what):
        raise UserError(f"{what.capitalize()} is not as it must be. Received: {path}, where {fault}. {cure}")
    return found


def _fault(value, kind, where) -> str | None:
    """What is wrong with a value for a type of those above; None if nothing is."""
    if kind is Any:
        return None
    if kind == PlainName:
        return _fault(value, str, where) or _not_plain(value, where)
    if typing.is_typeddict(kind):
        return _fault(value, dict, where) or next(filter(None, _faults_of_fields(value, kind, where)), None)
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is NotRequired:
        return _fault(value, arguments[0], where)
    if origin is types.UnionType:
        faults = [_fault(value, argument, where) for argument in arguments]
        return faults[0] if all(faults) else None
    allowed = (int, float) if origin is float else origin
    if not isinstance(value, allowed) or (isinstance(value, bool) and origin is not bool):
        return f"{where} is {_shown(value)} and not {WORDS[origin]}"
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (_fault(inner, arguments[-1], _below(where, key)) for key, inner in inside if arguments)
    return next(filter(None, found), None)


def _faults_of_fields(value, kind, where):
    for name, expected in typing.get_type_hints(kind, include_extras=True).items():
        if name in value:
            yield _fault(value[name], expected, _below(where, name))
        elif typing.get_origin(expected) is not NotRequired:
            yield f"{_below(where, name)} is missing"


def _below(where, name) -> str:
    return name if where.startswith("the ") else f"{where}.{name}"


def _shown(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _not_plain(name, where) -> str | None:
    plain = name not in ("", ".", "..") and not any(mark in name for mark in "/\\:\0")
    return None if plain else f"{where} is {_shown(name)} and not the plain name of a file beside it"
