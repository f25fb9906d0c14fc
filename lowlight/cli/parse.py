"""Settings from the words of the command line, over those of a file and of a preset."""

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from lowlight.cli import arguments
from lowlight.cli.presets import PRESETS
from lowlight.errors import UserError
from lowlight.settings import option

Settings = TypeVar("Settings")

REMEMBERED = Path("lowlight.toml")
"""Settings of the folder in which a command is given."""

ALTERNATIVES = {"epochs": "minutes", "minutes": "epochs"}
"""Options of which one is given, and what stands for it in a place that comes later does not count."""

DEFAULT = "enhance"
"""The command that is meant where none is named; a photo of a command's name is given after it. Its settings may stand
in a file before any table, those of others in tables of their names."""

TABLES = {DEFAULT, "cluster", "train", "measure", "average", "serve", "export", "models", "completion"}
"""Those names."""


def parse(
    kind: type[Settings],
    description: str | None,
    words: Sequence[str] | None = None,
    prog: str | None = None,
    command: str | None = DEFAULT,
) -> Settings:
    """Settings of one kind (a dataclass) from the command line.

    What the words do not say is as in the file of --config, or else of lowlight.toml in the working folder; what that
    does not say is as in the preset, and the rest by default.

    Parameters
    ----------
    kind : type
        The dataclass.
    description : str or None
        The first lines of --help.
    words : sequence of str, optional
        Default: those that the program was started with.
    prog : str, optional
        The program's name in --help.
    command : str or None
        Whose settings are meant, in a file; None: a file has none of them.

    Raises
    ------
    UserError
        If the words, or a file, name none of its options, their values are not of the kinds that they must be, or the
        file of --config has none for the command.
    """
    words = list(sys.argv[1:] if words is None else words)
    parser = arguments.parser(kind, description, prog)
    said = parser.told(words)
    remembered = _remembered(parser, said, command) if command else {}
    return arguments.settings(kind, _over(said, remembered))


def _remembered(parser, said, command) -> dict[str, Any]:
    """What a preset, and over it a file, say where the words do not."""
    place = said.get("config") or REMEMBERED
    told = _from_file(place, command) if said.get("config") or REMEMBERED.is_file() else {}
    if said.get("config") and not told:
        raise UserError(f"The file sets nothing of this command. Received: {place}. Put settings below [{command}].")
    try:
        read = parser.told(_as_words(told))
        _refuse_lists_of_one_value(told, read)
        preset = PRESETS.get(command, {}).get(said.get("preset") or read.get("preset", ""), {})
        return _over(read, parser.told(_as_words(preset)))
    except UserError as error:
        raise UserError(f"A setting in a file cannot be used. Received: {place}. {error}") from None


def _refuse_lists_of_one_value(told, read):
    """A list is an option given as often, of which the last would count where there can be one alone."""
    for name, values in told.items():
        if isinstance(values, list) and len(values) > 1 and not isinstance(read[name], list):
            raise UserError(f"{option(name)} has one value. Received: {', '.join(map(str, values))}. Give one.")


def _over(upper, lower) -> dict[str, Any]:
    """What two places say, where the upper one comes first, also with the other one of two alternatives."""
    return {name: value for name, value in lower.items() if ALTERNATIVES.get(name) not in upper} | upper


def _from_file(path, command) -> dict[str, Any]:
    """The settings of a command in a file, by the options' names."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as Windows saves it
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"The file of settings cannot be read. Received: {path} ({reason}). Correct it.") from error
    wrong = [name for name, value in content.items() if isinstance(value, dict) != (name in TABLES)]
    if wrong:
        raise UserError(
            f"Tables are called as commands are, and nothing else. Received: {path} with {wrong[0]}. Known: "
            f"{', '.join(f'[{name}]' for name in sorted(TABLES))}."
        )
    told = content.get(command, {})
    if command == DEFAULT:
        told = {name: value for name, value in content.items() if not isinstance(value, dict)} | told
    if "config" in told:
        raise UserError(
            f"A file of settings names no other. Received: {path} with config = {told['config']}. Put the settings "
            "into one, and name it by --config."
        )
    return {name.replace("-", "_"): value for name, value in told.items()}


def _as_words(told) -> list[str]:
    """Settings as the command line would have them."""
    words: list[str] = []
    for name, value in told.items():
        values = value if isinstance(value, list) else [value]
        if name == "inputs":
            words[:0] = map(str, values)
        elif isinstance(value, bool):
            words.append(option(name if value else f"no_{name}"))
        else:
            words += [f"{option(name)}={one}" for one in values]  # one word: -1e-05 alone is an option
    return words
