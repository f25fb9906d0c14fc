"""Which models exist, their files and cards, and how they are saved and loaded."""

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from lowlight.errors import UserError

if TYPE_CHECKING:
    import keras

MODELS = Path(__file__).resolve().parent.parent / "models"
WEIGHTS_SUFFIX = ".weights.h5"


def available() -> list[dict]:
    """Cards of the models in models/, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(MODELS.glob("model_*.json"))]


def best() -> str:
    """Name of the model in models/ with the highest PSNR on the validation photos.

    Raises
    ------
    UserError
        If models/ holds none.
    """
    cards = available()
    if not cards:
        raise UserError(f"There is no model to use. Received: no card in {MODELS}. Train one by train_latest.py.")
    return max(cards, key=lambda card: card["training"]["val_psnr"])["name"]


def card_of(model: str | int | Path) -> tuple[dict, Path]:
    """Card of a model, and its weights file.

    Parameters
    ----------
    model : int, str or Path
        Number or name of a model in models/; or a run's folder, a card, or a weights file with its card beside it.

    Raises
    ------
    UserError
        If there is no such model, or its card cannot be read.
    """
    path = _card_path(model)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        return card, path.with_name(card["weights"]["file"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The model's card cannot be read. Received: {path} ({error!r}). Train or copy it anew."
        ) from error


def load(model: str | int | Path) -> tuple["keras.Model", dict]:
    """Build a model and load its weights, once they are the ones that its card names.

    Returns
    -------
    model : keras.Model
    card : dict

    Raises
    ------
    UserError
        As `card_of`, and if the weights are missing or others than the card's.
    """
    card, weights = card_of(model)
    if not weights.is_file():
        raise UserError(f"The weights are missing. Received: {weights}. Copy them beside their card.")
    found = sha256(weights)
    if found != card["weights"]["sha256"]:
        raise UserError(
            f"The weights are not those that the card names. Received: {weights} with sha256 {found}, "
            f"not {card['weights']['sha256']}. Copy both files anew."
        )
    from lowlight import architectures  # loads Keras and TensorFlow: only once the files are known to be right

    built = architectures.build(card["architecture"]["name"], **card["architecture"]["settings"])
    built.load_weights(weights)
    return built, card


def save_weights(model: "keras.Model", path: Path) -> None:
    """Write a model's weights, under a temporary name first."""
    part = path.with_name(f".part-{path.name}")  # Keras insists on the suffix
    model.save_weights(part)
    part.replace(path)


def write_card(path: Path, card: dict) -> None:
    """Write a card as JSON, under a temporary name first."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("keras", "numpy", "tensorflow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _card_path(model) -> Path:
    name = f"model_{int(model):02}" if str(model).isdecimal() else str(model)
    path = Path(name)
    if (MODELS / f"{name}.json").is_file():
        return MODELS / f"{name}.json"
    if path.is_dir():
        cards = sorted(path.glob("model_*.json"))
        if len(cards) == 1:
            return cards[0]
    elif path.name.endswith(WEIGHTS_SUFFIX) and path.is_file():
        return path.with_name(path.name.removesuffix(WEIGHTS_SUFFIX) + ".json")
    elif path.suffix == ".json" and path.is_file():
        return path
    known = ", ".join(card["name"] for card in available()) or "none"
    raise UserError(
        f"There is no such model. Received: {model}. Known: {known}; or name a run's folder or weights file."
    )
