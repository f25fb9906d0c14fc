"""Words on the command line become settings, or one line that says what is wrong with them."""

import dataclasses
import sys

import pytest

from lowlight.cli.parse import parse
from lowlight.errors import UserError
from lowlight.settings import PREDICTED, EnhanceSettings, TrainingSettings
from lowlight.system import run


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tile", "wide"], r"--tile.*wide.* See --help\."),
        (["--resursive"], r"--resursive. Perhaps you meant --recursive. See --help\."),
        (["--device", "tpu"], r"'tpu'.*'auto', 'cpu', 'gpu'.* See --help\."),
        (["--model"], r"--model.* See --help\."),
        (["--strength", "1.5"], r"strength must be a number from 0 to 1. Received: 1.5\."),
        (["--denoise", "nan"], r"Received: nan\."),
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
