"""What pages say can be done, can be done: commands are run, or parsed if they would train, serve or wait for long."""

import ast
import dataclasses
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from lowlight import commands
from lowlight.benchmark.run import refuse_what_would_be_ignored
from lowlight.cli.parse import parse
from lowlight.settings import PerformanceSettings, TrainingSettings
from lowlight.training import stages, trainer
from lowlight.zoo import recipes, registry
from tests.conftest import ROOT, scene, write_pair, write_shots
from tests.test_video import write_clip

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
WORKED_EXAMPLE = ROOT / "docs" / "add-a-model.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

NOT_RUN = (
    "python -m pip", "pip install", "python -m pytest", "python -m mkdocs", "pre-commit", ".ci/run", "curl", "eval",
    "pipx install", "uv tool install", "docker ",
    "python benchmarks/", "python -m tests.", "lowlight serve", "lowlight cluster", "lowlight completion",
    "lowlight export", "python -m lowlight ", "python -m lowlight.benchmark.publish", "python -m lowlight.data",
)  # fmt: skip
"""They install, serve, measure for minutes or change the project: `test_programs_that_are_not_run_exist`."""


QUESTIONS = {"--list-models", "--info", "--dry-run", "models"}
"""Words of commands that write no photo."""


class Line(NamedTuple):
    page: Path
    command: str

    def __str__(self):
        return f"{self.page.name}: {self.command}"


def blocks(page, *languages):
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def lines(*pages):
    found = [
        Line(page, line.split("  # ")[0].strip())
        for page in pages
        for block in blocks(page, "", "sh", "bash")
        for line in block.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return list(dict.fromkeys(found))


def is_run(line):
    return not line.command.startswith(NOT_RUN) and "--engine ray" not in line.command and line.page != WORKED_EXAMPLE


def is_training(line):
    return re.match(r"python (train|performance)_|lowlight (train|measure)", line.command) is not None


ALL = lines(*PAGES)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the photos, the clip, and the models that pages speak of."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("holiday/1.jpg", "holiday/2.jpg", "night.jpg", "incoming/3.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(scene(1, 30, 50) // 8).save(folder / name)
    write_clip(folder / "clip.mp4", [scene(1, 32, 48) // 8] * 3)
    for name in ("runs/model_10", "runs/model_11"):
        (folder / name).mkdir(parents=True)
        for file in (ROOT / "models").glob(f"{Path(name).name}.*"):
            shutil.copy(file, folder / name)
    foreign = ROOT / "tests" / "fixtures" / "keras-2.15 free(colab).keras"
    shutil.copy(foreign, folder / "my model(colab).keras")
    return folder


@pytest.fixture
def run(script, monkeypatch):
    """A function that runs a command as at a prompt in a folder, in this process."""

    def run(words, folder):
        monkeypatch.chdir(folder)
        return script(*words[1:]) if words[0] == "python" else commands.dispatch(words[1:], "")

    return run


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in ALL if is_run(line) and not is_training(line)], ids=str)
def test_commands_of_pages_work(line, place, run):
    words = shlex.split(line.command)
    if "--watch" in words or "ADDRESS" in words:
        parse(commands.EnhanceSettings, None, words[2:])
    elif "<" in words:
        command = line.command.replace("python main.py", f"{shlex.quote(sys.executable)} {ROOT / 'main.py'}")
        assert subprocess.run(command, shell=True, cwd=place, timeout=120).returncode == 0
        with Image.open(place / "bright.jpg") as image:
            assert image.size == (50, 30)
    elif line.page.name != "README.md" and not {"models", "average"} & set(words):
        assert run([*words, *["--dry-run"] * ("--dry-run" not in words)], place) == 0
    else:
        before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
        assert run(words, place) == 0
        made = [path for path in place.rglob("*") if path.is_file() and path not in before]
        assert made or QUESTIONS & set(words)
        for path in made:
            path.unlink()
        for path, content in before.items():
            path.write_bytes(content)


@pytest.mark.parametrize("line", [line for line in ALL if is_run(line) and is_training(line)], ids=str)
def test_commands_that_train_are_understood(line):
    words = shlex.split(line.command)
    measures = "performance" in words[1] or words[1] == "measure"
    settings = parse(PerformanceSettings if measures else TrainingSettings, None, words[2:])
    if measures:
        refuse_what_would_be_ignored(settings)
    if settings.model is not None:
        generation = re.search("old|latest", words[1])
        plan = recipes.recipe(settings.model, generation and generation[0])
        if not getattr(settings, "evaluate_only", False):
            assert stages.adapted(plan, settings).number == settings.model


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """A folder with the datasets that pages speak of, each with few small photos."""
    folder = tmp_path_factory.mktemp("datasets")
    for name in ("PAIRS", "LOL/our485", "LOL/eval15", "SICE/images", "BRACKETS/images", "OTHER_CAMERA"):
        for seed in range(2 if "15" in name else 8):
            write_pair(folder / name, f"{name[:2]}{seed}", scene(seed + 10 * len(name)))
    for name in ("SICE", "BRACKETS"):
        rows = [f"low/{name[:2]}{seed}.png,high/{name[:2]}{seed}.png" for seed in range(8)]
        (folder / name / "pairs.csv").write_text("\n".join(["low,high", *rows]))
    for name in ("POLYU", "CC15"):
        write_shots(folder / name)
    (folder / "BSDS").mkdir()
    for seed in range(5):
        Image.fromarray(scene(seed + 90)).save(folder / "BSDS" / f"{seed}.png")
    return folder


@pytest.fixture
def hardly_trained(monkeypatch, blank_plots):
    """A training ends after its first batch, of which nothing is learnt; two models are measured, on no clock."""

    def look_at_a_batch(trainer, callbacks):
        assert trainer.batches[0]
        trainer.state.step += 1
        trainer.state.total_steps += 1
        return {}

    monkeypatch.setattr(trainer.Trainer, "_fit", look_at_a_batch)
    monkeypatch.setattr(trainer.Trainer, "done", 1.0)
    monkeypatch.setattr(trainer, "validate", lambda *facts, **more: {"val_loss": 1.0, "val_psnr": 10.0})
    available = [entry for entry in registry.available() if entry["name"] in ("model_08", "model_10")]
    monkeypatch.setattr(registry, "available", lambda: available)
    monkeypatch.setattr("lowlight.benchmark.cost.seconds_per_megapixel", lambda methods: dict.fromkeys(methods, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({line.command for line in ALL if is_run(line) and is_training(line)}))
def test_commands_of_pages_that_train_and_measure_work(
    command, datasets, place, run, tmp_path, hardly_trained, monkeypatch
):
    for folder in datasets.iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    shutil.copy(place / "my model(colab).keras", tmp_path)
    for name in ("model_11", "exposure_11"):
        shutil.copytree(place / "runs" / "model_11", tmp_path / "runs" / name)
    words = shlex.split(command)
    measures = "performance" in words[1] or words[1] == "measure"
    settings = parse(PerformanceSettings if measures else TrainingSettings, None, words[2:])
    if not getattr(settings, "evaluate_only", False):  # a run begins in a folder that holds no other model
        shutil.rmtree(tmp_path / settings.run_folder, ignore_errors=True)
    if "--start" not in words:
        for number in (10, 11, 12):
            narrow = recipes.RECIPES[number].settings | {"widths": [8], "blocks": [1]}
            plan = dataclasses.replace(recipes.RECIPES[number], settings=narrow)
            monkeypatch.setitem(recipes.RECIPES, number, plan)
    if measures and settings.weights and not (tmp_path / settings.weights).exists():  # which is of the line before
        assert run(["python", "train_latest.py", "--model", "10", "--data", settings.data], tmp_path) == 0
    if "--resume" in words:
        assert run([word for word in words if word != "--resume"], tmp_path) == 0
    assert run(words, tmp_path) == 0
    if measures:
        assert list((tmp_path / settings.statistics).glob("*/summary.json"))
    if "--evaluate-only" not in words:
        assert (tmp_path / settings.run_folder / "history.csv").is_file()
    if measures and "--evaluate-only" not in words:
        (card,) = (tmp_path / settings.run_folder).glob("model_*.json")
        summary = tmp_path / settings.statistics / card.stem / "summary.json"
        trained, measured = (json.loads(path.read_text())["weights"]["sha256"] for path in (card, summary))
        assert trained == measured  # not those of the published model of that name


PROGRAMS = ("python -m lowlight", "python -m tests.", "python benchmarks/")


@pytest.mark.parametrize("line", [line for line in ALL if line.command.startswith(PROGRAMS)], ids=str)
def test_programs_that_are_not_run_exist(line):
    words = shlex.split(line.command)
    module = ROOT / (Path(*words[2].split(".")) if words[1] == "-m" else Path(words[1]).with_suffix(""))
    assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()


def test_every_command_is_of_a_known_program():
    programs = re.compile(r"python (main|(train|performance)_(old|latest))\.py|lowlight ")
    assert [str(line) for line in ALL if is_run(line) and not programs.match(line.command)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_pages_is_python(page):
    for block in blocks(page, "python"):
        ast.parse(block)


def test_the_fifteen_questions_are_answered_by_files_and_names_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*\?) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == 15
    for question, answer in rows:
        files = [name for name in re.findall(r"`([\w/.]+)`", answer) if "/" in name or name.endswith(".py")]
        assert len(files) <= 2, question
        found = [path for name in files for path in (ROOT / name, ROOT / "lowlight" / name) if path.exists()]
        assert len(found) == len(files), answer
        code = "".join(path.read_text(encoding="utf-8") for path in found if path.is_file())
        for name in set(re.findall(r"`(\w+)`", answer)):
            assert re.search(rf"^(class|def|    def)? ?{name}\b", code, re.MULTILINE), (question, name)


def test_the_readme_is_short_and_its_first_two_commands_are_those_that_ci_takes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    first, second = "".join(blocks(ROOT / "README.md", "sh")).splitlines()[:2]
    assert first == "python -m pip install -r requirements.txt && python main.py"
    assert second == "python -m pip install -r requirements-dev.txt && python -m pytest -n auto"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_in_pages_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.slow
def test_the_worked_example_is_complete(tmp_path, run, monkeypatch):
    from lowlight.networks import architectures

    monkeypatch.setattr(architectures, "BUILDERS", dict(architectures.BUILDERS))
    before = dict(recipes.RECIPES)
    Image.fromarray(scene(1, 30, 50) // 8).save(tmp_path / "night.jpg")
    for index in range(2):  # in place of the photos that --data synthetic would take, which train for longer
        write_pair(tmp_path / "pairs", str(index), scene(index, 64, 96))
    try:
        names: dict = {}
        for block in blocks(WORKED_EXAMPLE, "python"):
            exec(compile(block, str(WORKED_EXAMPLE), "exec"), names)
        assert recipes.RECIPES[90].parameters == architectures.build("tiny").count_params()
        for line in lines(WORKED_EXAMPLE):
            if "publish" not in line.command:
                words = [word.replace("synthetic", str(tmp_path / "pairs")) for word in shlex.split(line.command)]
                assert run(words, tmp_path) == 0, line
    finally:
        recipes.RECIPES.clear()
        recipes.RECIPES.update(before)
    assert (tmp_path / "out" / "night.jpg").is_file()
    assert "model_90" in (tmp_path / "measured" / "README.md").read_text()


@pytest.mark.parametrize("name", ["crops", "interruptions", "speed", "step", "worker"])
def test_each_command_that_a_benchmark_tells_of_is_understood(name, monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, benchmark)
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec.loader.exec_module(benchmark)
    told = re.findall(rf"python benchmarks/{name}\.py([^#\n]*)", benchmark.__doc__)
    assert told
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lowlight.toml").write_text("quality = 92")  # of photos, and of no benchmark
    for words in told:
        parse(benchmark.Settings, None, words.split(), command=None)
