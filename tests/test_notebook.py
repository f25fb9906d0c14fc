"""The notebook for Colab, run from top to bottom with a tiny preset, and its parts that only Colab would run."""

import json
import re
import shutil
import sys
import types
import zipfile
from pathlib import Path

import pytest

from lowlight.zoo import registry
from tests.conftest import ROOT, scene, write_pair

NOTEBOOK = ROOT / "notebooks" / "train_on_colab.ipynb"

TINY = """
MODEL = 8
DATA = "synthetic"
OPTIONS = "--epochs 1 --batch-size 8 --crop 16"
"""


def cells():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def source(name):
    return "".join(next(cell["source"] for cell in cells() if cell["id"] == name))


@pytest.mark.slow
def test_the_notebook_trains_measures_enhances_and_packs_in_one_go(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    monkeypatch.setenv("LOWLIGHT_WORK", str(tmp_path / "work"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(TINY))
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()

    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "Installed: nothing" in said, "this environment lacks a package of requirements.txt"
    assert "epoch 1" in said
    assert "PSNR (dB)" in said
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 4
    work = tmp_path / "work" / "synthetic"
    assert (work / "photos" / "chelsea.png").is_file()
    with zipfile.ZipFile(work / "model_08.zip") as archive:
        names = set(archive.namelist())
    assert {"model_08/model_08.weights.h5", "model_08/model_08.json", "model_08/history.csv"} <= names
    assert {"statistics/README.md", "statistics/model_08/summary.json"} <= names
    assert not any(name.endswith("state.npz") for name in names)


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """Colab's parts, with its folder here: Drive cannot be connected, and `sent` are the files that are uploaded."""

    def mount(place):
        raise ValueError("mount failed")

    parts = types.SimpleNamespace(sent=[], folder=tmp_path / "content")
    modules = {
        "google": types.ModuleType("google"),
        "google.colab": types.SimpleNamespace(
            drive=types.SimpleNamespace(mount=mount),
            files=types.SimpleNamespace(upload=lambda: dict.fromkeys(parts.sent, b"")),
        ),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    parts.folder.mkdir()
    return parts


def run_cells(colab, *cells, **names):
    """What cells leave, given what those before them did."""
    for cell in cells:
        exec(source(cell).replace("/content", str(colab.folder)), names)
    return names


def without_project(colab, **names):
    """What the cells before `data` leave, but for the project, of which no test has a use."""
    (colab.folder / "lowlight").mkdir()
    (colab.folder / "lowlight" / "train_latest.py").touch()
    return run_cells(colab, "settings", "places", "project") | names


@pytest.fixture
def archive(tmp_path):
    """A zip of pairs."""
    write_pair(tmp_path / "lol_dataset" / "our485", "1", scene(0))
    return shutil.make_archive(tmp_path / "lol", "zip", tmp_path, "lol_dataset")


def test_a_zip_of_pairs_is_unpacked_and_nothing_of_another_one_stays(colab, archive):
    (colab.folder / "pairs" / "high").mkdir(parents=True)
    names = run_cells(colab, "data", **without_project(colab, DATA=archive))
    assert (names["PAIRS"] / "lol_dataset" / "our485" / "low" / "1.png").is_file()
    assert [path.name for path in names["PAIRS"].iterdir()] == ["lol_dataset"]


def test_without_drive_what_is_made_is_kept_in_colab_and_that_is_said(colab, capsys):
    names = run_cells(colab, "settings", "places")
    assert names["RUN"] == colab.folder / "work" / "synthetic" / "model_10"
    assert "Drive was not connected (mount failed): what is made here is lost" in capsys.readouterr().out


def test_without_drive_photos_in_drive_cannot_be_had(colab):
    names = run_cells(colab, "settings") | {"DATA": f"{colab.folder}/drive/MyDrive/LOL"}
    with pytest.raises(AssertionError, match="Drive, where .*/drive/MyDrive/LOL should be, was not connected"):
        run_cells(colab, "places", **names)


def test_an_uploaded_zip_is_kept_so_that_it_need_not_be_sent_again_after_a_restart(colab, archive):
    names = without_project(colab, DATA="upload")
    with pytest.raises(AssertionError, match="Nothing is no whole zip"):
        run_cells(colab, "data", **names)
    cut = colab.folder / "cut.zip"
    cut.write_bytes(Path(archive).read_bytes()[:-100])
    colab.sent = [str(cut)]
    with pytest.raises(AssertionError, match="cut.zip is no whole zip. Run this cell again"):
        run_cells(colab, "data", **names)
    colab.sent = [archive]
    first = run_cells(colab, "data", **names)["PAIRS"]
    colab.sent = []
    assert run_cells(colab, "data", **names)["PAIRS"] == first
    assert (first / "lol_dataset" / "our485" / "low" / "1.png").is_file()


@pytest.mark.parametrize(
    ("data", "message"), [("lost.zip", "There is no lost.zip"), (str(ROOT / "README.md"), "README.md is no zip")]
)
def test_a_wrong_place_of_photos_is_told(colab, data, message):
    with pytest.raises(AssertionError, match=message):
        run_cells(colab, "data", **without_project(colab, DATA=data))


def test_after_a_wrong_source_another_one_can_be_named(colab, archive, tmp_path):
    names = run_cells(colab, "settings", "places") | {"SOURCE": archive}
    with pytest.raises(AssertionError, match="is not in .*lol.zip. Name another SOURCE"):
        run_cells(colab, "project", **names)
    names["SOURCE"] = f"file://{tmp_path}/nowhere"
    with pytest.raises(AssertionError, match="nowhere cannot be cloned"):
        run_cells(colab, "project", **names)
    (tmp_path / "right" / "lowlight-main").mkdir(parents=True)
    (tmp_path / "right" / "lowlight-main" / "train_latest.py").touch()
    names["SOURCE"] = shutil.make_archive(tmp_path / "right", "zip", tmp_path / "right")
    assert run_cells(colab, "project", **names)["PROJECT"] == colab.folder / "lowlight" / "lowlight-main"


def test_cells_can_be_run_again_outside_colab(tmp_path, monkeypatch):
    monkeypatch.chdir(NOTEBOOK.parent)
    monkeypatch.setenv("LOWLIGHT_WORK", str(tmp_path))
    names = {}
    for cell in ("settings", "places", "project") * 2:
        exec(source(cell), names)
    assert names["PROJECT"] == ROOT
    assert names["RUN"] == tmp_path / "synthetic" / "model_10"


def test_what_is_missing_is_installed_and_what_is_here_is_pinned(tmp_path, monkeypatch):
    commands = []
    (tmp_path / "requirements.txt").write_text("numpy>=1\npillow<1\n# a comment\n-r other.txt\nno-such-package>=3\n")
    names = {"WORK": tmp_path, "PROJECT": tmp_path}
    exec("import subprocess, sys", names)
    monkeypatch.setattr(names["subprocess"], "run", lambda command, check: commands.append(command))
    exec(source("install"), names)
    ((*_, pins, package),) = commands
    assert package == "no-such-package>=3"
    assert any(line.startswith("numpy==") for line in (tmp_path / "installed.txt").read_text().splitlines())
    assert pins == str(tmp_path / "installed.txt")


def test_the_notebook_is_kept_without_outputs():
    for cell in cells():
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_models_that_it_tells_of_are_those_that_it_makes():
    """A name alone is the shipped model's, also where a folder of that name lies in the working folder."""
    text = "".join("".join(cell["source"]) for cell in cells() if cell["cell_type"] == "markdown")
    models = re.findall(r"main\.py [^`]*--model (\S+)`", text)
    assert models
    assert not {entry["name"] for entry in registry.available()}.intersection(models)
