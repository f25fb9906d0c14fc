"""Which models exist, their files and cards, where missing ones come from, and how they are saved and loaded."""

import hashlib
import io
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lowlight import system
from lowlight.errors import UserError
from lowlight.io import atomic
from lowlight.settings import ROOT
from lowlight.zoo import cards

if TYPE_CHECKING:
    import keras

LOG = logging.getLogger(__name__)

WEIGHTS_SUFFIX = ".weights.h5"

_BESIDE_SCRIPTS = ROOT / "models"
_IN_PACKAGE = Path(__file__).resolve().parent.parent / "models"
"""Only the installed package has this folder, with the manifest and the default model."""


def _models_folder() -> Path:
    if not _IN_PACKAGE.is_dir():
        return _BESIDE_SCRIPTS
    import platformdirs

    return Path(os.environ.get("LOWLIGHT_HOME") or platformdirs.user_cache_path("lowlight"))


MANIFEST = (_IN_PACKAGE if _IN_PACKAGE.is_dir() else _BESIDE_SCRIPTS) / "manifest.json"
"""What the project's models are: scores, files, their hashes and sizes, where from; written by `write_manifest`."""

MODELS = _models_folder()
"""Where models are, and where missing ones are downloaded to: models/ beside the scripts; for the installed package the
folder in the environment variable LOWLIGHT_HOME, or the user's cache."""


def available() -> list[dict]:
    """What is known of each model, by name: those of the manifest, and those whose cards are in models/.

    A card that cannot be read is told by the logger `lowlight`, and hides no other.

    Returns
    -------
    list of dict
        `name`, `idea`, `parameters`, `val_psnr` (dB) and `metrics` (by part of the split, if it was measured).
    """
    entries = {entry["name"]: entry for entry in _manifest()["models"]}
    for path in _cards():
        try:
            card = cards.read(path)
        except UserError as error:
            LOG.warning("%s", error)
        else:
            entries[card["name"]] = cards.entry(card)
    return [entries[name] for name in sorted(entries)]


def default() -> str:
    """Name of the model that main.py uses: the manifest's default, or else the best on the validation photos.

    Raises
    ------
    UserError
        If there is none.
    """
    manifest = _manifest()
    chosen = manifest["default"]
    if chosen in {*(entry["name"] for entry in manifest["models"]), *(path.stem for path in _cards())}:
        return chosen
    entries = available()
    if not entries:
        raise UserError(f"There is no model to use. Received: no card in {MODELS}. Train one by train_latest.py.")
    return max(entries, key=lambda entry: entry["val_psnr"] or 0.0)["name"]


def _folders() -> list[Path]:
    """Where models are looked for: the one that comes with the package is not taken from an older download."""
    return list(dict.fromkeys((MANIFEST.parent, MODELS)))


def _cards() -> list[Path]:
    return [path for folder in reversed(_folders()) for path in sorted(folder.glob("model_*.json"))]


def name_of(model: str | int | Path) -> str:
    """What a model is called that may be given by its number: 12 is model_12."""
    return f"model_{int(str(model)):02}" if str(model).isdecimal() else str(model)


def folder_of(name: str) -> Path | None:
    """The folder that holds both files of a model; None if it is still to be downloaded."""
    files = (f"{name}.json", f"{name}{WEIGHTS_SUFFIX}")
    return next((folder for folder in _folders() if all((folder / file).is_file() for file in files)), None)


def is_here(name: str) -> bool:
    """Whether a model needs no download."""
    return folder_of(name) is not None


def address_of_models(address: str | None = None) -> str | None:
    """Where models are downloaded from: as given, or by LOWLIGHT_MODELS_URL, or by the manifest; None: nobody says."""
    return address or os.environ.get("LOWLIGHT_MODELS_URL") or _manifest()["url"]


def check(model: str | int | Path | None, address: str | None = None) -> None:
    """Is there such a model? Nothing is downloaded: what could be is taken for granted.

    Raises
    ------
    UserError
        As `files_of`, which has the parameters.
    """
    named = default() if model is None else model
    if not (address_of_models(address) and _listed(name_of(named))):
        files_of(named)


def files_of(model: str | int | Path | None, address: str | None = None) -> tuple[dict, Path]:
    """Card of a model and its weights file, which is the one that the card names; what is missing is downloaded.

    Parameters
    ----------
    model : int, str, Path or None
        Number or name of a model in models/ or the manifest; or a run's folder, a card, or a weights file with its
        card beside it; or a .keras or .h5 file that holds a whole model and gets a card here. None: `default`.
    address : str, optional
        Where to download from, as for `lowlight.zoo.download.base_url`. Default: the environment variable
        LOWLIGHT_MODELS_URL, or what the manifest says.

    Raises
    ------
    UserError
        If there is no such model, its card cannot be read, its weights are missing or others than the card's, or the
        download fails.
    """
    model = default() if model is None else model
    whole = Path(str(model))
    if _is_whole(whole):
        return cards.of_whole(whole, facts_of(whole)), whole
    path = _card_path(model, address)
    card = _card(path, address)
    weights, expected = path.with_name(card["weights"]["file"]), card["weights"]["sha256"]
    if weights.is_file() and sha256(weights) == expected:
        return card, weights
    listed = _listed(card["name"])
    if path.parent == MODELS and listed.get(weights.name, {}).get("sha256") == expected and address_of_models(address):
        for file in listed:  # the ONNX file, too; first, for weights that are here tell that all is
            if file not in (path.name, weights.name) and not path.with_name(file).is_file():
                _fetch(card["name"], file, address)
        _fetch(card["name"], weights.name, address)
    elif weights.is_file():
        raise UserError(
            f"The weights are not those that the card names. Received: {weights} with sha256 {sha256(weights)}, "
            f"not {expected}. Copy both files anew, or name an address to download from by --models-url."
        )
    else:
        raise UserError(
            f"The weights are missing. Received: {weights}. Copy them beside their card, or name an address to "
            "download from by --models-url."
        )
    return card, weights


def onnx_of(card: dict, weights: Path) -> Path | None:
    """The ONNX file of a model: beside its weights, named by its card, made of these weights; None if there is none.

    Parameters
    ----------
    card : dict
    weights : Path
        As `files_of` gives both.
    """
    facts = card.get("exports", {}).get("onnx")
    if facts is None or facts["of"] != card["weights"]["sha256"]:
        return None
    path = weights.with_name(facts["file"])
    return path if path.is_file() and sha256(path) == facts["sha256"] else None


def load_network(model: str | int | Path, address: str | None = None) -> tuple["keras.Model", dict]:
    """Find a model, build its network and load its weights.

    Returns
    -------
    network : keras.Model
    card : dict

    Raises
    ------
    UserError
        As `files_of` and `build`.
    """
    return build(*files_of(model, address))


def build(card: dict, weights: Path, precision: str | None = None) -> tuple["keras.Model", dict]:
    """Build the network of a card and load its weights, as `files_of` found them.

    Parameters
    ----------
    card : dict
    weights : Path
    precision : str, optional
        As for `lowlight.networks.architectures.build`. Default: the fastest that does no harm on this machine.

    Raises
    ------
    UserError
        If the card's architecture is not known or not that of the weights; if weights are not finite; after a fork of
        a process that has used a model; and as `lowlight.zoo.keras_import.import_model` for a file that holds a whole
        model.
    """
    from lowlight import backend  # loads TensorFlow: only once the files are known to be right
    from lowlight.networks import architectures
    from lowlight.zoo import keras_import, safety

    backend.refuse_after_fork()
    if _is_whole(weights):
        loaded = keras_import.import_model(weights)
        safety.check_finite(loaded, weights)
        return loaded, card | {"parameters": loaded.count_params()}
    name = card["architecture"]["name"]
    if name not in architectures.BUILDERS:
        raise UserError(
            f"There is no such architecture. Received: {name} in the card of {weights}. Known: "
            f"{', '.join(architectures.BUILDERS)}. Is it of a newer version of this program?"
        )
    if precision is None:
        precision = system.fastest_precision() if name in architectures.HALF else "float32"
    with safety.guarded(weights):
        built = architectures.build(name, precision, **card["architecture"]["settings"])
        built.load_weights(weights)
    safety.check_finite(built, weights)
    return built, card


def save_weights(model: "keras.Model", path: Path) -> None:
    """Write a model's weights, whole or not at all; kernels as float16, which halves the file.

    Parameters
    ----------
    model : keras.Model
    path : Path
        NAME.weights.h5, in a folder that is there.

    Raises
    ------
    OSError
        If the file cannot be written; none is left behind.
    """
    import h5py

    whole = _Memory()
    model.save_weights(whole)
    with h5py.File(whole) as source, h5py.File(path.name, "w", driver="core", backing_store=False) as target:
        source.visititems(lambda name, item: _copy_halved(item, target, name))
        target.flush()
        content = target.id.get_file_image()
    atomic.write(path, content)


def write_card(path: Path, card: dict) -> None:
    """Write a card, or the manifest, as JSON, whole or not at all."""
    atomic.write(path, json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_manifest(default: str | None = None) -> None:
    """Write manifest.json from the cards and weights in models/; the address stays, the default unless one is given.

    Raises
    ------
    UserError
        If a card cannot be read.
    OSError
        If weights are missing, or the file cannot be written.
    """
    models = []
    for path in sorted(MODELS.glob("model_*.json")):
        card = cards.read(path)
        weights = path.with_name(card["weights"]["file"])
        onnx = onnx_of(card, weights)
        files = [path, weights, *([onnx] if onnx else [])]
        models.append(cards.entry(card) | {"files": [facts_of(file) for file in files]})
    manifest = _manifest()
    write_card(MANIFEST, manifest | {"default": default or manifest["default"], "models": models})


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts_of(path: Path) -> cards.File:
    """What a card, or the manifest, says of a file beside it."""
    return {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}


class _Memory(io.BytesIO):
    """An HDF5 file in memory: where HDF5 itself meets a full disk, it ends the process.

    Keras takes a file for one of weights by what it is called.
    """

    def __str__(self):
        return f"memory{WEIGHTS_SUFFIX}"


def _copy_halved(item, target, name):
    """Put a group or an array of an HDF5 file into another; statistics and biases, which are few, stay as they are."""
    if hasattr(item, "dtype"):
        values = item[()]
        target.create_dataset(name, data=values.astype("float16") if values.ndim > 1 else values)
    else:
        target.require_group(name)
    target[name].attrs.update(item.attrs)


def _card_path(model, address) -> Path:
    name = name_of(model)
    path, ours = Path(name), MODELS / f"{name}.json"
    if path.name == name:  # a run's folder may be called as a model is
        for folder in _folders():
            if (folder / ours.name).is_file():
                return folder / ours.name
    if ours.name in _listed(name):
        _fetch(name, ours.name, address)
        return ours
    if name and path.is_dir():
        found = sorted(path.glob("model_*.json"))
        if len(found) == 1:
            return found[0]
    elif path.name.endswith(WEIGHTS_SUFFIX) and path.is_file():
        return path.with_name(path.name.removesuffix(WEIGHTS_SUFFIX) + ".json")
    elif path.suffix == ".json" and path.is_file():
        return path
    known = ", ".join(entry["name"] for entry in available()) or "none"
    what = "No model is read from what is there" if name and path.exists() else "There is no such model"
    raise UserError(
        f"{what}. Received: {model if name else 'no name'}. Known: {known}; or name a run's folder, a weights file "
        "with its card beside it, or a .keras or .h5 file."
    )


def _card(path, address) -> dict:
    """What a card holds; a spoilt one is fetched again, if the weights beside it show that it is one of ours."""
    weights = path.with_name(f"{path.stem}{WEIGHTS_SUFFIX}")
    try:
        return cards.read(path)
    except UserError:
        ours = _listed(path.stem).get(weights.name, {}).get("sha256") if path.parent == MODELS else None
        if not (ours and weights.is_file() and sha256(weights) == ours and address_of_models(address)):
            raise
        _fetch(path.stem, path.name, address)
        return cards.read(path)


def _is_whole(path) -> bool:
    """Whether a file holds graph and weights; the project's own weights have their graph in the card."""
    return path.suffix in (".keras", ".h5", ".hdf5") and not path.name.endswith(WEIGHTS_SUFFIX) and path.is_file()


def _manifest() -> dict:
    return cards.read_manifest(MANIFEST)


def _listed(name) -> dict[str, dict]:
    """By file of a model in the manifest, its sha256 and bytes."""
    return {
        file["file"]: file
        for entry in _manifest()["models"] if entry["name"] == name
        for file in entry["files"]
    }  # fmt: skip


def _fetch(name, file, address):
    address = address_of_models(address)
    if not address:
        raise UserError(
            f"A file of {name} is missing. Received: no {file} in {MODELS}, and no address to download it from. Give "
            "--models-url, or set LOWLIGHT_MODELS_URL."
        )
    from lowlight.zoo.download import fetch

    listed = _listed(name)[file]
    fetch(file, listed["sha256"], listed["bytes"], MODELS, address)
