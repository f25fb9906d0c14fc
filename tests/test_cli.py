"""Words on the command line become settings, or one line that says what is wrong with them."""

import dataclasses
import errno
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest

from lowlight.cli import arguments
from lowlight.cli.parse import parse
from lowlight.cluster.settings import ClusterSettings
from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.settings import PREDICTED, Argument, EnhanceSettings, TrainingSettings
from lowlight.system import disk_full, run


def settings_of(monkeypatch, *words, kind=EnhanceSettings):
    monkeypatch.setattr(sys, "argv", ["main.py", *words])
    return parse(kind, "What it does.")


def test_without_words_all_is_as_it_was(monkeypatch):
    settings = settings_of(monkeypatch)
    assert settings == EnhanceSettings()
    assert settings.output == PREDICTED
    assert [path.name for path in settings.inputs] == ["low"]


def test_controls_are_options_like_the_others(monkeypatch):
    words = ["a.jpg", "--exposure", "-1.5", "--shadows", "2", "--strength", "0.5", "--no-white-balance"]
    controls = settings_of(monkeypatch, *words).controls
    assert dataclasses.astuple(controls) == (-1.5, 2, 0, 0.5, 1, False)
    for number in ("-1e-3", "-.1E-2", "-0.1e-02"):
        assert settings_of(monkeypatch, "a.jpg", "--exposure", number).controls.exposure == -0.001


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tile", "wide"], r"--tile.*wide.* See --help\."),
        (["--resursive"], r"--resursive. Perhaps you meant --recursive. See --help\."),
        (["--device", "tpu"], r"'tpu'.*auto.*cpu.*gpu.* See --help\."),
        (["--model"], r"--model.* See --help\."),
        (["--strength", "1.5"], r"strength must be a number from 0 to 1. Received: 1.5\."),
        (["--denoise", "nan"], r"Received: nan\."),
        ([""], r"the name is empty\. Received: ''\."),
        (["photos", "--output", ""], r"--output.*the name is empty\. Received: ''\."),
    ],
)
def test_wrong_words_are_told_in_one_line_without_a_box(monkeypatch, words, message):
    with pytest.raises(UserError, match=message) as error:
        settings_of(monkeypatch, *words)
    assert not set("│╭╰─\n") & set(str(error.value))


def test_the_scripts_that_train_say_it_the_same_way(monkeypatch):
    with pytest.raises(UserError, match="Perhaps you meant --epochs"):
        settings_of(monkeypatch, "--epoch", "3", kind=TrainingSettings)


def test_help_ends_well(monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        settings_of(monkeypatch, "--help")
    assert end.value.code == 0
    assert "--in-place" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [(UserError("Two\n lines."), 2, "error: Two lines.\n"), (KeyboardInterrupt(), 130, "stopped\n")],
)
def test_errors_become_a_line_and_an_exit_status(error, status, line, capsys):
    def fail():
        raise error

    assert run(fail) == status
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(("number", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)])
def test_a_full_disk_is_known_by_what_an_error_was_raised_from_or_amid(number, full):
    """As when PyAV's call back into Python, or closing a file, fails for it."""
    amid, told = ValueError("nor closed"), UserError("a.mp4 cannot be written")
    amid.__context__ = OSError(number, "it cannot be written")
    told.__cause__ = amid
    assert disk_full(told) == full
    assert not disk_full(None)


@dataclasses.dataclass(frozen=True)
class Basic:
    size: int = 3
    """In pixels, 100% of it."""


@dataclasses.dataclass(frozen=True)
class Everything(Basic):
    photos: Annotated[tuple[Path, ...], Argument(positional=True)] = (Path("low"),)
    """To enhance."""
    also: tuple[Path, ...] = ()
    """More of them."""
    way: Literal["fast", "best"] = "fast"
    """How."""
    loud: Annotated[bool, Argument("-l")] = False
    """Say more."""
    tidy: bool = True
    """Leave nothing behind."""
    place: Annotated[str | None, Argument(metavar="FILE|-")] = None
    """Where."""
    suffix: str = ""
    """At the end."""
    controls: Controls = Controls()
    """How it looks."""


def everything(*words):
    return arguments.settings(Everything, arguments.parser(Everything).told(words))


def test_each_kind_of_field_is_an_option_of_its_kind():
    assert everything() == Everything()
    assert everything("a.jpg", "-l", "b.jpg").photos == (Path("a.jpg"), Path("b.jpg"))
    assert everything("--also", "x", "--also=y").also == (Path("x"), Path("y"))
    assert everything("--size", "-4", "--way", "best", "--no-tidy", "--place", "-").size == -4
    assert everything("--exposure", "-1.5").controls == Controls(exposure=-1.5)
    assert everything("--no_tidy", "--loud") == Everything(tidy=False, loud=True)
    assert everything("--", "--odd.jpg").photos == (Path("--odd.jpg"),)
    assert everything("-").photos == (Path("-"),)


def test_help_keeps_the_lines_of_commands_and_fills_those_of_sentences():
    said = arguments.parser(Basic, f"What it does. {'word ' * 40}\n\n    one command\n    another").format_help()
    assert "\n\n    one command\n    another\n" in said
    assert max(map(len, said.splitlines())) <= 100


def test_help_shows_the_text_under_each_field_also_an_inherited_one(capsys):
    with pytest.raises(SystemExit):
        everything("--help")
    said = capsys.readouterr().out
    assert "In pixels, 100% of it. Default: 3." in said
    assert re.search(r"--place FILE\|- +Where\.\n", said)
    assert re.search(r"--suffix STR +At the end\.\n", said)
    assert "--no-tidy" in said
    assert "--tidy" not in said.replace("--no-tidy", "")
    assert "--no-loud" not in said
    assert re.search(r"--exposure FLOAT +Brighter", said)


@pytest.mark.parametrize("word", ["--siz", "--sise", "--way=bst", "--loud=1", "-x"])
def test_no_word_is_guessed_at(word):
    with pytest.raises(UserError):
        everything(word)


@pytest.mark.parametrize("words", [["--also", ""], ["--also="], [""], ["--", ""]])
def test_an_empty_word_is_no_path(words):
    with pytest.raises(UserError, match="the name is empty. Received: ''"):
        everything(*words)


def test_what_must_be_given_is_asked_for_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert arguments.parser(ClusterSettings).format_help().count("Must be given.") == 2
    with pytest.raises(UserError, match="no INPUT"):
        parse(ClusterSettings, "", [])
    with pytest.raises(UserError, match="no --output"):
        parse(ClusterSettings, "", ["in"])
    (tmp_path / "lowlight.toml").write_text('[cluster]\noutput = "out"')
    assert parse(ClusterSettings, "", ["in"], command="cluster").output == "out"


def test_a_list_in_a_file_is_the_option_given_as_often(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lowlight.toml").write_text('[train]\nalso = ["a", "b"]')
    assert parse(TrainingSettings, "", [], command="train").also == (Path("a"), Path("b"))
    assert parse(TrainingSettings, "", ["--also", "c"], command="train").also == (Path("c"),)


def test_of_two_alternatives_that_of_the_words_comes_first_then_the_files_then_the_presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--preset", "h100"]
    assert parse(TrainingSettings, "", words, command="train").minutes == 30
    settings = parse(TrainingSettings, "", [*words, "--epochs", "3"], command="train")
    assert (settings.epochs, settings.minutes) == (3, None)
    (tmp_path / "lowlight.toml").write_text("[train]\nepochs = 4")
    settings = parse(TrainingSettings, "", words, command="train")
    assert (settings.epochs, settings.minutes) == (4, None)
    settings = parse(TrainingSettings, "", ["--minutes", "5"], command="train")
    assert (settings.epochs, settings.minutes) == (None, 5)
