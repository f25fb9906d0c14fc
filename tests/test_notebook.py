"""The notebook for Colab, run from top to bottom with a tiny preset, and its parts that only Colab would run."""

import json
import shutil
import zipfile

import pytest

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
    assert (tmp_path / "work" / "photos" / "chelsea.png").is_file()
    with zipfile.ZipFile(tmp_path / "work" / "model_08.zip") as archive:
        names = set(archive.namelist())
    assert {"model_08/model_08.weights.h5", "model_08/model_08.json", "model_08/history.csv"} <= names
    assert {"statistics/README.md", "statistics/model_08/summary.json"} <= names
    assert not any(name.endswith("state.npz") for name in names)


def test_a_zip_of_pairs_is_unpacked(tmp_path):
    write_pair(tmp_path / "lol_dataset" / "our485", "1", scene(0))
    archive = shutil.make_archive(tmp_path / "lol", "zip", tmp_path, "lol_dataset")
    names = {"DATA": archive, "WORK": tmp_path / "work", "IN_COLAB": False, "Path": type(tmp_path), "shutil": shutil}
    exec(source("project").split("if IN_COLAB")[0], names)
    exec(source("data"), names)
    assert (names["PAIRS"] / "lol_dataset" / "our485" / "low" / "1.png").is_file()


def test_what_is_missing_is_installed_and_what_is_here_is_pinned(tmp_path, monkeypatch):
    commands = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy>=1\npillow<1\n# a comment\n-r other.txt\nno-such-package>=3\n")
    names = {"WORK": tmp_path, "Path": type(tmp_path)}
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
