"""lowlight COMMAND: what the words say comes before the file of settings, and that before the preset."""

import contextlib
import os
import pty
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image, ImageDraw

import lowlight
from lowlight import commands
from lowlight.cli.complete import TAILS
from lowlight.cli.parse import TABLES, parse
from lowlight.cli.presets import PHOTOS
from lowlight.errors import UserError
from lowlight.settings import CompletionSettings, EnhanceSettings, TrainingSettings
from lowlight.system import run, spinner
from tests.conftest import ROOT, scene


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_preset_is_overruled_by_the_file_and_both_by_the_words(folder):
    (folder / "lowlight.toml").write_text('preset = "night"\nquality = 92\nshadows = 1\n[train]\nminutes = 60\n')
    read = parse(EnhanceSettings, None, ["a.jpg", "--shadows", "2"])
    assert (read.quality, read.preset, str(read.inputs[0])) == (92, "night", "a.jpg")
    assert (read.controls.shadows, read.controls.strength) == (2, PHOTOS["night"]["strength"])
    assert not read.controls.white_balance
    assert parse(EnhanceSettings, None, ["a.jpg"]).controls.shadows == 1
    assert parse(EnhanceSettings, None, ["a.jpg", "--preset", "bright"]).controls.exposure == 0.5
    assert parse(TrainingSettings, None, ["--model", "8"], command="train").minutes == 60


def test_a_preset_may_be_named_in_any_way_that_a_file_has_for_it(folder):
    (folder / "lowlight.toml").write_text('preset = ["bright"]')
    assert parse(EnhanceSettings, None, ["a.jpg"]).controls.exposure == PHOTOS["bright"]["exposure"]


def test_a_file_may_hold_any_number_however_it_is_written(folder):
    (folder / "lowlight.toml").write_text("exposure = -1e-5\nshadows = -0.5\n")
    read = parse(EnhanceSettings, None, ["a.jpg"])
    assert (read.controls.exposure, read.controls.shadows) == (-1e-5, -0.5)


def test_a_preset_for_a_gpu_sets_what_trains_on_it_and_is_overruled_by_the_words(folder):
    read = parse(TrainingSettings, None, ["--model", "12", "--preset", "colab-t4", "--minutes", "5"], command="train")
    assert (read.batch_scale, read.mixed_precision, read.minutes) == (4, True, 5)
    for name in ("colab-t4", "h100"):
        parse(TrainingSettings, None, ["--preset", name], command="train")


@pytest.mark.parametrize(("given", "then"), [(None, "1"), ("0", "0")])
def test_training_asks_for_onednn_unless_that_is_said_otherwise(given, then, folder, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", given or "")
    if given is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    with pytest.raises(UserError, match="nowhere"):
        commands.train(TrainingSettings(model=8, data="nowhere"))
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == then


@pytest.mark.parametrize(
    ("kind", "command", "name"), [(EnhanceSettings, "enhance", "h100"), (TrainingSettings, "train", "night")]
)
def test_a_preset_for_another_command_is_refused_as_what_it_is(kind, command, name, folder):
    with pytest.raises(UserError, match=f"^Argument --preset: invalid choice: '{name}'"):
        parse(kind, None, ["--preset", name], command=command)


def test_where_models_come_from_is_refused_where_none_is_downloaded():
    with pytest.raises(UserError, match="Received: --models-url without --download"):
        commands.dispatch(["models", "--models-url", "https://example.org"], "")


def test_what_a_file_switches_on_can_be_switched_off_and_the_other_way_round(folder):
    (folder / "mine.toml").write_text(
        'inputs = ["holiday"]\noverwrite = true\nwhite-balance = false\n', encoding="utf-8-sig"
    )
    read = parse(EnhanceSettings, None, ["--config", "mine.toml"])
    assert read.overwrite
    assert not read.controls.white_balance
    assert [str(path) for path in read.inputs] == ["holiday"]
    read = parse(EnhanceSettings, None, ["--config=mine.toml", "--no-overwrite", "--white-balance"])
    assert not read.overwrite
    assert read.controls.white_balance


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qualty = 92", "mine.toml. There is no such option. Received: --qualty"),
        ('quality = "high"', "mine.toml"),
        ("quality = 900", "quality must be a number from 1 to 100"),
        ("quality =", "cannot be read. Received: mine.toml"),
        ("[enhence]\nquality = 92", "Received: mine.toml with enhence. Known: .*\\[enhance\\]"),
        ("[controls]\nexposure = 1", "Received: mine.toml with controls. Known"),
        ("enhance = 5", "Received: mine.toml with enhance. Known"),
        ("quality = [90, 80]", "mine.toml. --quality has one value. Received: 90, 80"),
        ("overwrite = 1", "Argument --overwrite: it takes no value \\(in a file true or false\\). Received: '1'"),
        ("[train]\nepochs = 3", "sets nothing of this command. Received: mine.toml. Put settings below .enhance."),
        ('config = "other.toml"', "names no other. Received: mine.toml with config = other.toml"),
    ],
)
def test_a_setting_in_a_file_that_cannot_be_used_is_told_with_the_files_name(text, said, folder):
    (folder / "mine.toml").write_text(text)
    with pytest.raises(UserError, match=said):
        parse(EnhanceSettings, None, ["--config", "mine.toml"])
    with pytest.raises(UserError, match="Received: nowhere.toml"):
        parse(EnhanceSettings, None, ["--config", "nowhere.toml"])


def test_a_file_may_have_a_table_for_each_command():
    assert commands.COMMANDS.keys() == TABLES


def test_the_script_takes_engine_ray_as_the_command_does(folder, monkeypatch):
    told = []
    monkeypatch.setitem(commands.COMMANDS, "cluster", commands.COMMANDS["cluster"]._replace(run=told.append))
    words = ["s3://a/b", "-o", "s3://c", "--engine", "ray", "--address", "auto"]
    commands.dispatch(words, "")
    monkeypatch.setattr(sys, "argv", ["main.py", *words])
    runpy.run_path(str(ROOT / "main.py"))["main"]()
    assert told[0] == told[1]
    assert told[0].address == "auto"


def night(lamps):
    """A dark sky, houses that are hardly seen, and lamps: many tell the model that it is night, a few do not."""
    rng = np.random.default_rng(0)
    image = Image.new("RGB", (240, 160), (9, 10, 16))
    draw = ImageDraw.Draw(image)
    for x in range(10, 230, 28):
        draw.rectangle((x, 70, x + 20, 150), fill=(14, 13, 16))
    for x, y in rng.integers(10, 150, (lamps, 2)):
        draw.ellipse((x, y, x + 6, y + 6), fill=(255, 210, 140))
    return np.clip(np.asarray(image) + rng.normal(0, 2.5, (160, 240, 3)), 0, 255).astype(np.uint8)


def page():
    """Lines of print on paper, in a dim, warm light."""
    image = Image.new("RGB", (240, 160), (70, 62, 45))
    for y in range(15, 150, 12):
        ImageDraw.Draw(image).text((12, y), "the quick brown fox jumps over the dog", fill=(18, 16, 12))
    noise = np.random.default_rng(0).normal(0, 2.5, (160, 240, 3))
    return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def test_each_preset_does_to_photos_of_its_kind_what_it_says():
    photo, lamps, paper = scene(0, 120, 160) // 6, night(3), page()
    plain = lowlight.enhance(photo).astype(int)
    natural = lowlight.enhance(photo, **PHOTOS["natural"]).astype(int)
    assert np.abs(natural - photo).mean() < 0.9 * np.abs(plain - photo).mean()
    assert lowlight.enhance(photo, **PHOTOS["bright"]).mean() > plain.mean() + 10
    assert lamps.mean() < lowlight.enhance(lamps, **PHOTOS["night"]).mean() < 0.7 * lowlight.enhance(lamps).mean()
    many = night(14)
    assert lowlight.enhance(many).mean() < many.mean() + 5
    assert lowlight.enhance(many, **PHOTOS["night"]).mean() > many.mean() - 1
    white, ink = (np.percentile(lowlight.enhance(paper, **PHOTOS["documents"]), share) for share in (90, 4))
    assert white > np.percentile(lowlight.enhance(paper), 90) + 10
    assert ink < white / 2


def test_each_command_is_found_by_its_name_and_the_rest_is_photos(monkeypatch):
    called = []
    for name, command in commands.COMMANDS.items():
        found = command._replace(run=lambda settings, name=name: called.append((name, settings)) or 0)
        monkeypatch.setitem(commands.COMMANDS, name, found)
    for words in (
        ["models"],
        ["train", "--model", "8"],
        ["serve"],
        ["export"],
        ["measure"],
        ["enhance", "train"],
        ["x.jpg"],
    ):
        assert commands.dispatch(words, "") == 0
    assert [name for name, _ in called] == ["models", "train", "serve", "export", "measure", "enhance", "enhance"]
    assert [str(settings.inputs[0]) for _, settings in called[-2:]] == ["train", "x.jpg"]


@pytest.mark.parametrize(("word", "meant"), [("trian", "train"), ("model", "models"), ("Export", "export")])
def test_a_misspelt_command_is_taken_for_no_photo(word, meant, folder):
    with pytest.raises(UserError, match=f"Received: {word}. Perhaps you meant {meant}. See --help"):
        commands.dispatch([word, "--model", "8"], "")
    (folder / word).mkdir()
    with pytest.raises(UserError, match="no photos to enhance"):
        commands.dispatch([word], "")
    with pytest.raises(UserError, match=f"no such photo or folder. Received: {word}s.jpg"):
        commands.dispatch([f"{word}s.jpg"], "")


def test_training_takes_the_generation_of_the_model(monkeypatch):
    told = []
    monkeypatch.setattr("lowlight.training.trainer.train", lambda settings, generation: told.append(generation))
    for number in (2, 8):
        assert commands.train(TrainingSettings(model=number)) == 0
    assert told == ["old", "latest"]
    with pytest.raises(UserError, match="Use the script"):
        commands.train(TrainingSettings(model=8), "old")


def test_help_lists_the_commands_and_models_are_shown(capsys):
    assert commands.dispatch(["--help"], "all of it") == 0
    assert capsys.readouterr().out == "all of it\n"
    assert commands.dispatch(["models"], "") == 0
    assert "model_12 *" in capsys.readouterr().out


TYPED = {
    "lowlight ex": "export",
    "lowlight enhance --exp": "--exposure",
    "lowlight --mod": "--model --models-url",
    "lowlight night.jpg --preset ni": "night",
    "lowlight export --format o": "onnx openvino",
    "lowlight comp": "completion",
    "lowlight completion z": "zsh",
    "lowlight train --fl": "",
    "lowlight night": "",
}
"""By what is typed at a prompt of bash, what it is completed to; by nothing, it is to names of files."""

PRESS_TAB = """
source "$1"
for line in "${@:2}"; do
  COMP_WORDS=($line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
  _shtab_lowlight
  echo "${COMPREPLY[*]}"
done
complete -p lowlight
"""


def test_bash_completes_commands_options_and_else_names_of_files(folder, capsys):
    assert commands.dispatch(["completion", "bash"], "") == 0
    (folder / "tab.bash").write_text(capsys.readouterr().out)
    words = ["bash", "-c", PRESS_TAB, "tab", "./tab.bash", *TYPED]
    environment = {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=100)
    *found, registered = done.stdout.splitlines()
    assert dict(zip(TYPED, found, strict=True)) == TYPED, done.stderr
    assert registered == "complete -o default -o filenames -F _shtab_lowlight lowlight"


PRESS_TAB_IN_ZSH = """
compdef() {}
_files() {}
_arguments() { print -rl -- "$@" }
typeset -A compstate=(nmatches 1)
eval "$(<$1)"
words=(lowlight export --format "") CURRENT=4
_lowlight
"""


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_completes_the_options_of_a_command_as_it_has_them(folder, capsys):
    assert commands.dispatch(["completion", "zsh"], "") == 0
    (folder / "tab.zsh").write_text(capsys.readouterr().out)
    words = ["zsh", "-f", "-c", PRESS_TAB_IN_ZSH, "tab", "./tab.zsh"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=100)
    (told,) = [line for line in done.stdout.splitlines() if "--format[" in line]
    assert told.endswith(":(onnx litert saved_model openvino)"), done.stderr


def test_zsh_tells_what_commands_do_and_reads_the_script_without_running_it(capsys):
    assert commands.dispatch(["completion", "zsh"], "") == 0
    script = capsys.readouterr().out
    assert "\n    models:'Show the models that there are, with their scores.'\n" in script
    assert script.endswith("compdef _lowlight lowlight\n")
    assert '\n_shtab_lowlight "$@"\n' not in script, "that would be called as the script is read"


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes_commands_options_and_names_of_files(folder, capsys):
    assert commands.dispatch(["completion", "fish"], "") == 0
    (folder / "tab.fish").write_text(capsys.readouterr().out)
    (folder / "night.jpg").touch()
    typed = TYPED | {"lowlight night": "night.jpg", "lowlight export --model nig": "night.jpg"}
    press = [f"echo (complete --do-complete '{line}' | string split --fields 1 \\t)" for line in typed]
    words = ["fish", "--no-config", "--command", "; ".join(["source tab.fish", *press])]
    done = subprocess.run(words, env=os.environ | {"HOME": str(folder)}, capture_output=True, text=True, check=True)
    assert dict(zip(typed, done.stdout.splitlines(), strict=True)) == typed, done.stderr


def test_the_shells_to_complete_in_are_those_that_are_known(capsys):
    assert get_args(get_args(get_type_hints(CompletionSettings, include_extras=True)["shell"])[0]) == tuple(TAILS)
    with pytest.raises(UserError, match="SHELL: invalid choice: 'tcsh'"):
        commands.dispatch(["completion", "tcsh"], "")
    with pytest.raises(UserError, match="Received: no SHELL"):
        commands.dispatch(["completion"], "")
    with pytest.raises(SystemExit):
        commands.dispatch(["completion", "--help"], "")
    assert "lowlight completion fish | source" in capsys.readouterr().out


def test_what_is_not_installed_is_told_with_what_installs_it(capsys):
    def needs(package):
        raise ModuleNotFoundError(f"No module named {package!r}", name=f"{package}.part")

    assert run(lambda: needs("gradio")) == 2
    assert f"no gradio. Install it by: pip install '{ROOT}[web]'" in capsys.readouterr().err
    assert run(lambda: needs("psutil")) == 2
    assert f"no psutil. Install it by: pip install '{ROOT}'" in capsys.readouterr().err
    assert run(lambda: needs("other")) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "lowlight", "nowhere.jpg"],
        ["main.py", "nowhere.jpg"],
        ["train_old.py", "--nonsense"],
        ["train_latest.py", "--nonsense"],
        ["performance_old.py", "--nonsense"],
        ["performance_latest.py", "--nonsense"],
    ],
    ids=lambda words: words[0],
)
def test_at_a_terminal_a_line_appears_before_anything_is_loaded(words, tmp_path):
    """0.3 s are promised; here it is only that nothing heavy is loaded before, because other programs run, too."""
    terminal, end = pty.openpty()
    words = [sys.executable, "-X", "importtime", *(str(ROOT / word) if ".py" in word else word for word in words)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    program = subprocess.Popen(words, stderr=end, stdout=subprocess.PIPE, cwd=tmp_path, env=environment)
    os.close(end)
    said, limit = "", time.monotonic() + 100
    while "lowlight 0" not in said and time.monotonic() < limit:
        said += os.read(terminal, 4096).decode()
    before = said.partition("lowlight 0")[0]
    assert "lowlight.cli.hello" in before
    assert not {"argparse", "numpy", "PIL", "rich"} & {line.split("|")[-1].strip() for line in before.splitlines()}
    with contextlib.suppress(OSError):  # the program has closed its end
        while True:
            os.read(terminal, 4096)
    program.communicate(timeout=100)
    assert program.returncode == 2
    os.close(terminal)


def test_a_terminal_shows_what_is_waited_for_and_other_programs_are_told_nothing(monkeypatch, capfd):
    terminal, end = pty.openpty()
    shown = ""
    with os.fdopen(end, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with spinner("loading TensorFlow"):
            while "loading TensorFlow" not in shown:  # the spinner turns until the test is given up
                shown += os.read(terminal, 4096).decode()
    os.close(terminal)
    with spinner("loading TensorFlow"):
        pass
    assert capfd.readouterr() == ("", "")


def lines_of_docs():
    text = (ROOT / "docs" / "package.md").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.startswith("lowlight ")]


@pytest.mark.parametrize("line", lines_of_docs())
def test_each_command_of_the_documentation_is_understood(line, monkeypatch):
    for name, command in commands.COMMANDS.items():
        monkeypatch.setitem(commands.COMMANDS, name, command._replace(run=lambda settings: 0))
    assert commands.dispatch(line.split()[1:], "") == 0
