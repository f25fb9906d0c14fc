"""ONNX Runtime and OpenVINO give what Keras gives, load no Keras, and are chosen where they are done first."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import uniform_filter

from lowlight import backend
from lowlight.backend import keras
from lowlight.errors import UserError
from lowlight.export import check
from lowlight.imaging.pixels import as_levels, box_mean
from lowlight.inference import engines
from lowlight.inference.enhancer import Enhancer
from lowlight.io.photo import image_size
from lowlight.settings import TrainingSettings
from lowlight.training.objectives import precision
from lowlight.training.trainer import train
from lowlight.zoo import registry
from tests.conftest import ROOT
from tests.test_zoo import save_model


@pytest.fixture(scope="module")
def shipped():
    """Card, weights and ONNX file of the default model."""
    card, weights = registry.files_of(registry.default())
    onnx = registry.onnx_of(card, weights)
    assert onnx, (
        "The default model's ONNX file is not of its weights. Make it anew by: python -m lowlight export --beside"
    )
    return card, weights, onnx


def test_the_default_model_has_an_onnx_file_that_is_hashed_in_the_manifest(shipped):
    card, weights, onnx = shipped
    assert registry._listed(card["name"])[onnx.name]["sha256"] == registry.sha256(onnx)
    assert weights.stat().st_size + onnx.stat().st_size < 10e6


@pytest.mark.slow
def test_the_shipped_onnx_file_gives_what_keras_gives_whole_in_tiles_and_with_controls(shipped):
    card, weights, onnx = shipped
    reference = engines.KerasGraph(registry.build(card, weights, "float32")[0])
    differences = check.largest_difference(engines.OnnxGraph(onnx, "cpu"), reference)
    assert max(differences.values()) <= 1e-3


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_file_is_the_same_by_onnx_runtime_and_tensorflow_within_a_level(precision, shipped):
    card, weights, onnx = shipped
    photo = as_levels(check.dark_photo(300, 400), 8)
    ours = Enhancer(engines.OnnxGraph(onnx, "cpu"))(photo).astype(int)
    theirs = Enhancer(registry.build(card, weights, precision)[0])(photo)
    assert np.mean(np.abs(ours - theirs) > 1) <= 0.001


@pytest.mark.parametrize("engine", sorted(engines.GRAPHS))
def test_several_threads_use_one_model_at_once(engine, shipped):
    pytest.importorskip(engines.MODULES[engine])
    enhancer = Enhancer(engines.GRAPHS[engine](shipped[2], "cpu"))
    photos = [check.dark_photo(64, 48 + 16 * number) for number in range(6)]
    expected = [enhancer(photo) for photo in photos]
    with ThreadPoolExecutor(len(photos)) as threads:
        for found, alone in zip(threads.map(enhancer, photos), expected, strict=True):
            np.testing.assert_array_equal(found, alone)


def test_a_model_from_elsewhere_is_run_by_the_same_tiles(tmp_path, monkeypatch):
    """Free and fixed sizes, inputs but the photo, and a batch: what `Graph` promises, of a graph made by hand."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    shape = ["batch", "height", "width", 3]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["photo", "gain"], ["output"])],
        "bright",
        [
            helper.make_tensor_value_info("photo", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("gain", TensorProto.FLOAT, ["batch", 1, 1, 1]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"stride": "16"})
    onnx.save(model, tmp_path / "bright.onnx")
    photo = check.dark_photo(150, 170)
    made = engines.OnnxGraph(tmp_path / "bright.onnx", "cpu")
    assert made.shapes == {"photo": (None, None, 3), "gain": (1, 1, 1)}
    expected = np.clip(photo * (0.4 / photo.mean()), 0, 1)
    np.testing.assert_allclose(Enhancer(made, tile=128)(photo), expected, atol=1e-5)


def test_a_file_that_is_no_graph_and_a_device_that_is_not_there_are_refused(tmp_path, shipped):
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="cannot be loaded. Received: .*bad.onnx"):
        engines.OnnxGraph(tmp_path / "bad.onnx")
    with pytest.raises(UserError, match="has no GPU here"):
        engines.OnnxGraph(shipped[2], "gpu")
    with pytest.raises(UserError, match="^ONNX Runtime"):  # the file is not to blame
        engines.OnnxGraph(shipped[2], "gpu")


def test_an_onnx_file_of_other_weights_is_not_used(tmp_path):
    save_model(tmp_path)
    card, weights = registry.files_of(tmp_path)
    (tmp_path / "model_10.onnx").write_bytes(b"graph")
    facts = {"file": "model_10.onnx", "sha256": registry.sha256(tmp_path / "model_10.onnx"), "bytes": 5}
    assert registry.onnx_of(card, weights) is None
    for of, found in ((card["weights"]["sha256"], tmp_path / "model_10.onnx"), ("other", None)):
        assert registry.onnx_of(card | {"exports": {"onnx": facts | {"of": of}}}, weights) == found
    changed = card | {"exports": {"onnx": facts | {"of": card["weights"]["sha256"], "sha256": "other"}}}
    assert registry.onnx_of(changed, weights) is None


@pytest.mark.parametrize(
    ("installed", "exported", "megapixels", "half_precision", "chosen"),
    [
        (["onnx"], True, 2, False, "onnx"),
        (["onnx"], True, 1000, True, "onnx"),
        (["openvino"], True, 2, False, "openvino"),
        (["tensorflow"], True, 2, False, "tensorflow"),
        (["tensorflow", "onnx"], True, 2, True, "onnx"),
        (["tensorflow", "onnx"], True, 1000, True, "tensorflow"),
        (["tensorflow", "onnx"], True, 1000, False, "onnx"),
        (["tensorflow", "onnx"], False, 2, False, "tensorflow"),
    ],
)
def test_auto_takes_what_is_done_first(installed, exported, megapixels, half_precision, chosen, monkeypatch):
    monkeypatch.setattr(engines, "installed", lambda: installed)
    precision = "mixed_bfloat16" if half_precision else "float32"
    monkeypatch.setattr(engines, "fastest_precision", lambda: precision)
    monkeypatch.setattr(engines, "_has_gpu", lambda: False)
    monkeypatch.setattr(engines, "_is_loaded", lambda: False)
    assert engines.choose("auto", exported, megapixels=megapixels) == chosen


def test_much_goes_by_tensorflow_where_there_is_a_gpu_for_it(monkeypatch):
    monkeypatch.setattr(engines, "installed", lambda: ["tensorflow", "onnx"])
    monkeypatch.setattr(engines, "fastest_precision", lambda: "float32")
    monkeypatch.setattr(engines, "_is_loaded", lambda: False)
    monkeypatch.setattr(engines, "_has_gpu", lambda: True)
    assert [engines.choose("auto", True, megapixels=megapixels) for megapixels in (19, 21)] == ["onnx", "tensorflow"]


def test_what_is_named_is_taken_and_without_tensorflow_onnx_runtime_before_openvino(monkeypatch):
    monkeypatch.setattr(engines, "installed", lambda: ["onnx", "openvino"])
    assert engines.choose("auto", exported=True) == "onnx"
    assert engines.choose("openvino", exported=True, megapixels=1000) == "openvino"
    monkeypatch.setattr(engines, "installed", lambda: [*engines.ENGINES])
    assert engines.choose("tensorflow", exported=False) == "tensorflow"
    monkeypatch.setattr(engines, "installed", list)
    with pytest.raises(UserError, match="not installed.* pip install onnxruntime"):
        engines.choose("auto", exported=True)


def test_auto_takes_tensorflow_where_it_is_loaded_or_a_gpu_is_asked_for(monkeypatch):
    monkeypatch.setattr(engines, "installed", lambda: ["tensorflow", "onnx"])
    monkeypatch.setattr(engines, "_is_loaded", lambda: True)
    assert engines.choose("auto", exported=True) == "tensorflow"
    monkeypatch.setattr(engines, "_is_loaded", lambda: False)
    assert engines.choose("auto", exported=True, device="gpu") == "tensorflow"


@pytest.mark.parametrize(
    ("engine", "installed", "exported", "said"),
    [
        (
            "openvino",
            ["onnx"],
            True,
            r"not installed. Received: --engine openvino. Installed: onnx.*pip install '/.*\[openvino\]'",
        ),
        ("tensorflow", ["onnx"], True, r"pip install '/.*\[tensorflow\]'"),
        ("onnx", ["tensorflow", "onnx"], False, "no ONNX file.*export --beside"),
        ("torch", ["onnx"], True, "no such engine. Received: torch. Choose one of: auto, tensorflow, onnx, openvino"),
        ("auto", ["onnx"], False, r"TensorFlow is not installed.*pip install '/.*\[tensorflow\]'"),
    ],
)
def test_an_engine_that_cannot_run_the_model_is_refused_with_what_to_do(engine, installed, exported, said, monkeypatch):
    monkeypatch.setattr(engines, "installed", lambda: installed)
    with pytest.raises(UserError, match=said):
        engines.choose(engine, exported)


@pytest.mark.parametrize("engine", engines.GRAPHS)
def test_a_photo_by_another_engine_loads_neither_keras_nor_scipy_and_leaves_nothing_but_its_result(engine, tmp_path):
    Image.fromarray(as_levels(check.dark_photo(40, 60), 8)).save(tmp_path / "night.png")
    code = (
        f"import sys; sys.argv = ['lowlight', 'night.png', '-o', 'out', '--engine', '{engine}', '--denoise', '0.5']\n"
        "from lowlight.__main__ import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    status = end.code\n"
        "print(status, sorted({'keras', 'tensorflow', 'scipy', 'h5py', 'skimage', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        timeout=100,
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    assert image_size(tmp_path / "out" / "night.png") == (40, 60)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"night.png", "out"}, "telemetry would keep a number of the machine in the home folder"


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({"backend": "none such"}, "backend that is not here.*Received: .*none such. Set KERAS_BACKEND=tensorflow"),
        ({"image_data_format": "channels_first"}, "Received: image_data_format channels_first in ~/.keras/keras.json"),
    ],
)
def test_keras_that_is_set_up_for_something_else_is_told_in_a_line(configured, said, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(configured))
    done = subprocess.run(
        [sys.executable, "main.py", "test/low", "-o", tmp_path / "out", "--engine", "tensorflow"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"KERAS_HOME": str(tmp_path)},
        timeout=100,
    )
    assert re.fullmatch(f"error: .*{said}.*\n", done.stderr)
    assert done.returncode == 2


def test_a_backend_that_lists_no_devices_runs_on_the_processor_and_one_that_does_not_train_is_told(monkeypatch):
    monkeypatch.setattr("keras.src.distribution.distribution_lib.distribution_lib", None)  # as with PyTorch
    assert (backend.devices(), backend.devices("cpu"), backend.devices("gpu")) == (["cpu:0"], ["cpu:0"], [])
    assert precision(True) == "mixed_bfloat16"
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(UserError, match="does not train.* Received: openvino. Set KERAS_BACKEND=tensorflow"):
        train(TrainingSettings(8), "latest")


@pytest.mark.parametrize("shape", [(40, 50, 3), (5, 9, 3), (1, 1, 3), (40, 2, 1)])
def test_the_mean_of_the_square_around_each_pixel_is_that_of_scipy(shape):
    pixels = np.random.default_rng(0).random(shape, np.float32)
    np.testing.assert_allclose(box_mean(pixels, 15), uniform_filter(pixels, (15, 15, 1)), atol=1e-6)
