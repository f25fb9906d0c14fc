"""Settings from the words of the command line, over those of a file and of a preset."""

import contextlib
import io
import itertools
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from lowlight.cli.presets import PRESETS
from lowlight.errors import UserError
from lowlight.system import EXIT_USAGE

Settings = TypeVar("Settings")

REMEMBERED = Path("lowlight.toml")
"""Settings of the folder in which a command is given."""

FIRST = "enhance"
"""The command whose settings stand in a file before any table; those of others are in tables of their names."""


def parse(
    kind: type[Settings],
    description: str | None,
    words: Sequence[str] | None = None,
    prog: str | None = None,
    command: str = FIRST,
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
    command : str
        Whose settings are meant, in a file.

    Raises
    ------
    UserError
        If the words, or a file, name none of its options, or their values are not of the kinds that they must be.
    """
    words = list(sys.argv[1:] if words is None else words)
    told = _from_file(words, command)
    preset = _value_of("--preset", words) or told.get("preset")
    remembered = PRESETS.get(command, {}).get(str(preset), {}) | told
    if not remembered:
        return _parsed(kind, words, description, prog, (tyro.conf.FlagCreatePairsOff,))
    try:
        base = _parsed(kind, _as_words(remembered))
    except UserError as error:
        place = _value_of("--config", words) or REMEMBERED
        raise UserError(f"A setting in a file cannot be used. Received: {place}. {error}") from None
    return _parsed(kind, words, description, prog, default=base)


def _parsed(kind, words, description=None, prog=None, config=(), **default) -> Any:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                kind,
                args=list(words),
                description=description,
                prog=prog,
                config=(*config, tyro.conf.DisallowNone),
                **default,
            )
    except SystemExit as end:
        if end.code == EXIT_USAGE:
            raise UserError(_without_box(said.getvalue())) from None
        raise


def _from_file(words, command) -> dict[str, Any]:
    """The settings of a command in the file that is named, or remembered, by the options' names."""
    named = _value_of("--config", words)
    path = Path(named) if named else REMEMBERED
    if not named and not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"The file of settings cannot be read. Received: {path} ({error}). Correct it.") from error
    told = content.get(command, {})
    if command == FIRST:
        told = {name: value for name, value in content.items() if not isinstance(value, dict)} | told
    return {name.replace("-", "_"): value for name, value in told.items()}


def _as_words(told: dict[str, Any]) -> list[str]:
    """Settings as the command line would have them."""
    words: list[str] = []
    for name, value in told.items():
        option = name.replace("_", "-")
        if name == "inputs":
            words[:0] = value if isinstance(value, list) else [value]
        elif isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", str(value)]
    return words


def _value_of(option, words) -> str | None:
    """The value that the words give an option, the last of several."""
    found = None
    for word, following in zip(words, [*words[1:], None], strict=False):
        if word == option:
            found = following
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found


def _without_box(message) -> str:
    """The first paragraph of what tyro says in a box, and the option that it takes for the one that was meant."""
    lines = [line.strip(" │") for line in re.sub(r"[╭╮╰╯]", "│", message).splitlines()]
    text = " ".join(itertools.takewhile(lambda line: line and not line.startswith("─"), lines[1:]))
    meant = re.search(r"Perhaps you meant:\s+(--[\w-]+)", " ".join(lines))
    return f"{text.rstrip('.')}. {f'Perhaps you meant {meant[1]}. ' if meant else ''}See --help."
