"""Models in other formats: what they give is what Keras gives, and a stranger can run them."""

import runpy
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.export import check, formats, run
from lowlight.imaging.exposure import overview
from lowlight.imaging.pixels import as_levels
from lowlight.inference.engines import KerasGraph, OnnxGraph
from lowlight.inference.enhancer import Enhancer
from lowlight.inference.session import load_session
from lowlight.io.photo import read_rgb
from lowlight.settings import ExportSettings
from lowlight.zoo import cards, registry
from tests.conftest import ROOT
from tests.test_zoo import save_model

FORMATS = ["onnx", "litert", "saved_model", "openvino"]


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "MODELS", tmp_path)
    monkeypatch.setattr(registry, "MANIFEST", tmp_path / "manifest.json")
    save_model(tmp_path)
    return tmp_path


def needed(form):
    for module in {"onnx": ["tf2onnx"], "openvino": ["tf2onnx", "openvino"]}.get(form, []):
        pytest.importorskip(module)


def run_example(form, path, folder, monkeypatch):
    """In this process, for what it imports is loaded here; none of it may be of this project."""
    script = ROOT / "examples" / f"{form}_photo.py"
    assert "lowlight" not in script.read_text(encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [script.name, str(path), "night.png", "bright.png"])
    warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")  # the example says so itself
    runpy.run_path(str(script), run_name="__main__")


def test_nobody_is_told_of_an_export(models, tmp_path, monkeypatch):
    needed("openvino")
    telemetry, told = pytest.importorskip("openvino_telemetry"), []
    monkeypatch.setattr(telemetry.Telemetry, "send_event", lambda *event, **more: told.append(event))
    run.export(ExportSettings(model="10", format="openvino", output=tmp_path / "out"))
    assert not told


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_the_default_model_is_exported_and_its_example_gives_what_the_program_gives(
    form, tmp_path, caplog, monkeypatch
):
    needed(form)
    monkeypatch.setattr(check, "SIZES", check.SIZES[:2])  # the second is of several tiles, as the third
    caplog.set_level("INFO")
    path = run.export(ExportSettings(format=form, output=tmp_path))
    assert "in levels of 8 bits" in caplog.text
    card = path.with_name(f"{path.name}.md").read_text(encoding="utf-8")
    assert "| photo | batch x height x width x 3 |" in card
    assert "academic research" in card
    assert (
        len((ROOT / "examples" / f"{form}_photo.py").read_text(encoding="utf-8").split("Image\n\n")[1].splitlines())
        <= 20
    )
    photo = as_levels(check.dark_photo(210, 333), 8)
    Image.fromarray(photo).save(tmp_path / "night.png")
    run_example(form, path, tmp_path, monkeypatch)
    # The program takes the mean of 8 predicted exposures, by symmetries of the photo; the example takes the first.
    enhancer = Enhancer(OnnxGraph(registry.onnx_of(*registry.files_of(registry.default())), "cpu"))
    (maps,) = enhancer.predictor({"overview": np.stack([overview(photo)] * 8)})
    expected = enhancer(photo, target_exposure=maps[0]).astype(int)
    assert np.abs(read_rgb(tmp_path / "bright.png") - expected).max() <= 1
    assert expected.mean() > 2 * photo.mean()


def test_a_model_of_the_ladder_is_exported_with_its_gain_and_no_other_inputs(models, tmp_path, caplog, monkeypatch):
    needed("onnx")
    import onnx

    def difference(ours, reference):
        assert {layer.compute_dtype for layer in reference.model.layers} == {"float32"}
        return compared(ours, reference)

    compared = check.largest_difference
    monkeypatch.setattr(check, "largest_difference", difference)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model_10.float16.onnx.md").write_text("- Weights: sha256 of others.")
    place = models / "model_10.json"
    registry.write_card(place, cards.read(place) | {"data": {"name": "own pairs", "licence": "not known"}})
    path = run.export(ExportSettings(model="10", output=tmp_path / "out", float16=True))
    assert path == tmp_path / "out" / "model_10.float16.onnx"
    graph = onnx.load(path)
    assert [put.name for put in graph.graph.input] == ["gain", "photo"]
    assert [put.name for put in graph.graph.output] == ["output"]
    facts = {entry.key: entry.value for entry in graph.metadata_props}
    assert (facts["precision"], facts["stride"], facts["name"]) == ("float16", "16", "model_10")
    assert not any(side.dim_value for side in graph.graph.input[1].type.tensor_type.shape.dim[:3])
    assert "was of other weights, and is replaced" in caplog.text
    assert sorted(file.name for file in path.parent.iterdir()) == ["model_10.float16.onnx", "model_10.float16.onnx.md"]
    lines = path.with_name(f"{path.name}.md").read_text(encoding="utf-8").splitlines()
    assert "- Trained on own pairs. Its terms: not known." in lines
    assert f"- This file: sha256 {registry.sha256(path)}." in lines
    assert "- Computes in float16; batch, height and width are free, the last two multiples of 16." in lines
    assert "| photo | batch x height x width x 3 | the photo or a tile of it, sRGB in [0, 1] |" in lines


@pytest.mark.parametrize("form", FORMATS)
def test_the_example_runs_a_model_that_takes_but_a_gain(form, models, tmp_path, monkeypatch):
    needed(form)
    path = run.export(ExportSettings(model="10", format=form, output=tmp_path / "out"))
    photo = as_levels(check.dark_photo(70, 45), 8)
    Image.fromarray(photo).save(tmp_path / "night.png")
    run_example(form, path, tmp_path, monkeypatch)
    expected = Enhancer(registry.build(*registry.files_of(10))[0])(photo).astype(int)
    assert np.abs(read_rgb(tmp_path / "bright.png") - expected).max() <= 1


def test_a_file_beside_the_weights_is_in_card_and_manifest_until_the_weights_change(models):
    needed("onnx")
    path = run.export(ExportSettings(model="10", beside=True))
    card, weights = registry.files_of(10)
    assert registry.onnx_of(card, weights) == path == models / "model_10.onnx"
    assert registry._listed("model_10")["model_10.onnx"]["sha256"] == registry.sha256(path)
    save_model(models, val_psnr=21.0)
    registry.write_manifest()
    assert registry.onnx_of(*registry.files_of(10)) is None
    assert "model_10.onnx" not in registry._listed("model_10")


def test_a_file_beside_a_model_from_elsewhere_is_run_until_either_changes(tmp_path, monkeypatch):
    needed("onnx")
    monkeypatch.setattr(registry, "write_manifest", lambda: pytest.fail("it is of the models of the project"))
    own = tmp_path / "own.keras"
    photo = keras.Input((None, None, 3), name="photo")
    keras.Model(photo, keras.layers.Conv2D(3, 3, padding="same", activation="sigmoid")(photo)).save(own)
    (tmp_path / "own.json").write_text('{"class_name": "Functional"}')
    assert registry.onnx_of(*registry.files_of(own)) is None
    with pytest.raises(UserError, match="is not its card. Received: .*own.json for own.keras. Move it"):
        run.export(ExportSettings(model=str(own), beside=True))
    (tmp_path / "own.json").unlink()
    path = run.export(ExportSettings(model=str(own), beside=True))
    assert run.export(ExportSettings(model=str(own), beside=True)) == path
    assert registry.onnx_of(*registry.files_of(own)) == path == tmp_path / "own.onnx"
    assert load_session(own, engine="onnx").engine == "onnx"
    content = own.read_bytes()
    own.write_bytes(content + b"more")
    assert registry.onnx_of(*registry.files_of(own)) is None
    own.write_bytes(content)
    path.write_bytes(path.read_bytes() + b"more")
    assert registry.onnx_of(*registry.files_of(own)) is None


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_gives_something_else_is_not_kept(form, models, tmp_path, monkeypatch):
    needed(form)
    monkeypatch.setattr(check, "largest_difference", lambda *graphs: {"96x64": 0.5})
    with pytest.raises(UserError, match="not what Keras gives. Received: 0.5 levels of 8 bits at 96x64"):
        run.export(ExportSettings(model="10", format=form, output=tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("form", ["saved_model", "openvino"])
def test_what_consists_of_several_files_takes_the_place_of_all_that_were_there(form, models, tmp_path, monkeypatch):
    needed(form)
    monkeypatch.setattr(check, "largest_difference", lambda *graphs: {"96x64": 0.0})
    settings = ExportSettings(model="10", format=form, output=tmp_path / "out")
    path = run.export(settings)
    before = sorted(file.relative_to(tmp_path) for file in (tmp_path / "out").rglob("*"))
    if form == "saved_model":
        (path / "older").touch()
    else:
        path.with_suffix(".bin").write_bytes(b"older")
    assert run.export(settings) == path
    assert sorted(file.relative_to(tmp_path) for file in (tmp_path / "out").rglob("*")) == before
    assert form == "saved_model" or len(path.with_suffix(".bin").read_bytes()) > 1000


def test_a_folder_that_cannot_be_made_is_told_in_a_line(models, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="^The output folder cannot be written. Received: .*out .* --output another"):
        run.export(ExportSettings(model="10", format="saved_model", output=tmp_path / "out"))


def test_another_backend_of_keras_is_told_of(models, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="backend that does not export.* Received: jax. Set KERAS_BACKEND=tensorflow"):
        run.export(ExportSettings(model="10", format="saved_model", output=tmp_path / "out"))


def test_only_what_float16_holds_without_loss_is_stored_in_it():
    needed("onnx")
    from onnx import helper, numpy_helper

    exact = np.linspace(0, 1, 257, dtype="f4").astype("f2").astype("f4")
    arrays = {"exact": exact, "inexact": exact + np.float32(1e-5), "few": exact[:255]}
    graph = helper.make_graph([], "graph", [], [], [numpy_helper.from_array(a, name) for name, a in arrays.items()])
    formats._halve(graph)
    stored = {tensor.name: str(numpy_helper.to_array(tensor).dtype) for tensor in graph.initializer}
    assert stored == {"exact/half": "float16", "inexact": "float32", "few": "float32"}
    assert [(node.op_type, *node.input, *node.output) for node in graph.node] == [("Cast", "exact/half", "exact")]


@pytest.mark.parametrize(
    ("controls", "fixed", "moved", "tilings"),
    [
        (6, (None, None), check.ALL_MOVED, [[1024, 1024], [256, 256]]),
        (1, (None, None), Controls(strength=0.9), [[1024, 1024], [256, 256]]),
        (1, (64, 64), Controls(strength=0.9), [[1024, 1024]]),
    ],
)
def test_files_are_compared_whole_and_in_tiles_with_and_without_controls(controls, fixed, moved, tilings, monkeypatch):
    asked = []

    class Recorder:
        def __init__(self, graph):
            self.graph, self.tiles, self.fixed, self.controls = graph, [1024, 1024], fixed, range(controls)

        def __call__(self, photo, controls):
            asked.append((self.graph, photo.shape[:2], self.tiles, controls))
            return np.full_like(photo, 0.5 if (self.graph, self.tiles, controls) == ("ours", tilings[-1], moved) else 0)

    monkeypatch.setattr(check, "Enhancer", Recorder)
    found = check.largest_difference("ours", "theirs")
    assert found == {"96x64": 127.5, "211x333": 127.5, "480x400": 127.5}
    for graph in ("ours", "theirs"):
        for size in check.SIZES:
            of = [facts[2:] for facts in asked if facts[:2] == (graph, size)]
            assert of == [(tiles, controls) for tiles in tilings for controls in (Controls(), moved)]


@pytest.mark.parametrize("different", [{"a": 0.0, "b": float("inf")}, {"a": float("nan")}])
def test_what_is_no_number_is_far_from_any(different):
    with pytest.raises(UserError, match="Received: (inf|nan) levels"):
        run._refuse_far(different, run.CLOSE_HALF, Path("model_08.onnx"))


def test_values_beyond_what_a_file_computes_in_are_a_difference_without_end(monkeypatch):
    monkeypatch.setattr(check, "SIZES", [(16, 16)])
    photo = keras.Input((16, 16, 3), name="photo")
    usual, endless = (
        KerasGraph(keras.Model({"photo": photo}, keras.layers.Rescaling(scale)(photo))) for scale in (1.0, float("inf"))
    )
    assert check.largest_difference(usual, usual) == {"16x16": 0.0}
    assert check.largest_difference(endless, usual) == {"16x16": float("inf")}


def test_the_size_that_is_told_is_that_of_all_files(tmp_path):
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    sizes = {"saved/graph.pb": 3, "saved/variables/data": 4, "model.xml": 5, "model.bin": 6, "model.onnx": 7}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(bytes(size))
    assert [run._size(tmp_path / name) for name in ("saved", "model.xml", "model.onnx")] == [7, 11, 7]


def test_that_a_file_takes_the_place_of_another_runs_is_said(tmp_path, caplog):
    path = tmp_path / "model_08.onnx"
    run._warn_of_other_weights(path, "0123")
    path.with_name("model_08.onnx.md").write_text("- Weights: sha256 0123.")
    run._warn_of_other_weights(path, "0123")
    assert not caplog.text
    run._warn_of_other_weights(path, "4567")
    assert "model_08.onnx was of other weights, and is replaced; --output names another folder" in caplog.text


def test_what_a_format_needs_is_named_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"tensorflow and tf2onnx and onnx and onnxruntime must.*pip install '/.*\[export\]'"
    ):
        run.export(ExportSettings())


def test_litert_which_has_no_layers_in_float16_is_not_asked_for_them():
    with pytest.raises(UserError, match="Received: --float16 with --format litert. Leave"):
        ExportSettings(format="litert", float16=True)


def test_beside_the_weights_goes_onnx_in_float32_alone():
    with pytest.raises(UserError, match="--beside with --format litert"):
        ExportSettings(format="litert", beside=True)
    with pytest.raises(UserError, match="--beside with --float16"):
        ExportSettings(float16=True, beside=True)
    with pytest.raises(UserError, match="--beside and --output elsewhere"):
        ExportSettings(output=Path("elsewhere"), beside=True)
