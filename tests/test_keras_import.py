"""Whole models that others saved load as they were, by two generations of Keras, and nothing in them is run."""

import json
import re
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
from conftest import ROOT
from fixtures import make_legacy
from keras import layers

from lowlight.errors import UserError
from lowlight.networks import architectures
from lowlight.zoo import keras_import, registry, safety

FIXTURES = ROOT / "tests/fixtures"
BOTH = pytest.mark.parametrize("suffix", [".keras", ".h5"])


def image(*size):
    return keras.Input((*(size or (None, None)), 3))


def conv(x, filters=3, **settings):
    return layers.Conv2D(filters, 3, padding="same", **settings)(x)


def small_model(change=conv):
    photo = image()
    return keras.Model(photo, conv(change(photo)))


def run(model, photo):
    return np.asarray(model({"photo": photo}, training=False))


def refused(path, match, *more):
    """The file is refused by one line that says where, and all of the expressions."""
    with pytest.raises(UserError, match=match) as raised:
        keras_import.import_model(path)
    message = str(raised.value)
    assert f"Received: {path}" in message
    assert "\n" not in message
    for expression in more:
        assert re.search(expression, message)


@BOTH
def test_a_model_for_photos_from_0_to_255_is_refused_and_one_from_minus_1_to_1_is_not(suffix, tmp_path):
    for scale in (1 / 255, 1 / 127.5):
        small_model(layers.Rescaling(scale, -1.0)).save(tmp_path / f"levels{suffix}")
        refused(tmp_path / f"levels{suffix}", "photos from 0 to 255", f"Rescaling layer of {scale:.3g}")
    for scale in (2.0, 0.5):
        small_model(layers.Rescaling(scale, -1.0)).save(tmp_path / f"photos{suffix}")
        keras_import.import_model(tmp_path / f"photos{suffix}")


def rewrite(path, change):
    """Change the configuration in a .keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("version", ["2.15", "3.3"])
@pytest.mark.parametrize("name", make_legacy.FILES)
def test_models_of_older_keras_give_what_they_gave_there(name, version):
    size = make_legacy.FILES[name]
    model = keras_import.import_model(FIXTURES / f"keras-{version} {name}")
    output = run(model, make_legacy.photo(size or make_legacy.SMALL))[0]
    expected = np.load(FIXTURES / f"keras-{version}.npz")[name]
    assert model.input["photo"].shape == (None, *(size or (None, None)), 3)
    np.testing.assert_allclose(output[make_legacy.CROP] if size else output, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.1


def test_a_model_by_the_keras_2_that_is_installed_beside_keras_3_is_one_by_keras_2(tmp_path):
    name, path = "free(colab).keras", tmp_path / "model.keras"
    shutil.copy(FIXTURES / f"keras-2.15 {name}", path)
    rewrite(path, lambda config: config.update(module="tf_keras.src.engine.functional"))
    output = run(keras_import.import_model(path), make_legacy.photo(make_legacy.SMALL))[0]
    np.testing.assert_allclose(output, np.load(FIXTURES / "keras-2.15.npz")[name], rtol=0, atol=1e-5)


@BOTH
@pytest.mark.parametrize("compiled", [True, False])
def test_models_of_this_keras_load_with_and_without_a_metric_of_the_authors(compiled, suffix, tmp_path):
    model = make_legacy.build((32, 48))
    if compiled:
        model.compile("adam", "mse", metrics=[make_legacy.psnr])
    model.save(tmp_path / f"mine (1) [new]{suffix}")
    photo = make_legacy.photo((32, 48))
    expected = model(photo, training=False)
    loaded = keras_import.import_model(tmp_path / f"mine (1) [new]{suffix}")
    np.testing.assert_allclose(run(loaded, photo), expected, rtol=0, atol=1e-5)


@BOTH
@pytest.mark.parametrize(("name", "settings"), [("plain", {}), ("residual_unet", {"widths": (4, 4), "blocks": (1, 1)})])
def test_models_of_our_own_load_with_the_inputs_they_have(name, settings, suffix, tmp_path):
    model = architectures.build(name, **settings)
    model.save(tmp_path / f"ours{suffix}")
    loaded = keras_import.import_model(tmp_path / f"ours{suffix}")
    assert loaded.input.keys() == model.input.keys()
    inputs = {"photo": make_legacy.photo((32, 48)), "gain": np.full((1, 1, 1, 1), 3, "float32")}
    inputs = {key: inputs[key] for key in model.input}
    np.testing.assert_allclose(loaded(inputs), model(inputs), rtol=0, atol=1e-6)


@BOTH
def test_a_sequential_model_loads(suffix, tmp_path):
    model = keras.Sequential([image(), layers.Conv2D(4, 3, padding="same"), layers.Dropout(0.1), layers.Conv2D(3, 1)])
    model.save(tmp_path / f"model{suffix}")
    photo = make_legacy.photo((8, 8))
    np.testing.assert_allclose(
        run(keras_import.import_model(tmp_path / f"model{suffix}"), photo), model(photo), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(("suffix", "other"), [(".keras", ".h5"), (".h5", ".keras"), (".h5", ".weights.h5")])
def test_the_content_counts_and_not_the_suffix(suffix, other, tmp_path):
    small_model().save(tmp_path / f"model{suffix}")
    (tmp_path / f"model{suffix}").rename(tmp_path / f"model{other}")
    keras_import.import_model(tmp_path / f"model{other}")


def test_a_model_may_be_called_as_keras_1_and_2_mostly_were(tmp_path):
    small_model().save(tmp_path / "model.h5")
    (tmp_path / "model.h5").rename(tmp_path / "model.hdf5")
    assert registry.load_network(tmp_path / "model.hdf5")[1]["name"] == "model"


def test_initializers_regularizers_constraints_and_losses_of_the_authors_are_not_needed(tmp_path):
    def initializer(shape, dtype=None):
        return keras.ops.ones(shape, dtype)

    def penalty(weights):
        return keras.ops.sum(weights)

    def limit(weights):
        return keras.ops.clip(weights, -1, 1)

    inner = small_model()
    inner.compile("adam", loss=make_legacy.psnr, metrics=[make_legacy.psnr])
    own = {"kernel_initializer": initializer, "kernel_regularizer": penalty, "kernel_constraint": limit}
    small_model(lambda x: conv(inner(x), **own)).save(tmp_path / "model.keras")
    keras_import.import_model(tmp_path / "model.keras")


@BOTH
@pytest.mark.parametrize("where", ["top", "model in a model", "wrapper"])
def test_a_lambda_layer_is_refused_and_not_run(where, suffix, tmp_path):
    trace = tmp_path / "trace"

    def function(x):
        from pathlib import Path

        Path(str(trace)).touch()
        return x

    hidden = layers.Lambda(function)
    changes = {"top": hidden, "model in a model": small_model(hidden), "wrapper": layers.TimeDistributed(hidden)}
    small_model(changes[where]).save(tmp_path / f"model{suffix}")
    trace.unlink()
    refused(tmp_path / f"model{suffix}", "Code from files is not run", "Lambda")
    assert not trace.exists()


def test_a_lambda_layer_of_keras_2_is_refused(tmp_path):
    path = tmp_path / "model.h5"
    shutil.copy(FIXTURES / "keras-2.15 400x600.h5", path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1] |= {"class_name": "Lambda", "config": {"function": ["4wEA", None, None]}}
        file.attrs["model_config"] = json.dumps(config)
    refused(path, "Code from files is not run")


@pytest.mark.parametrize(
    "activation",
    [
        {"module": "builtins", "class_name": "__lambda__", "config": {"value": {"code": "4wEA"}}},
        {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "function"},
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/"}, "registered_name": None},
    ],
)
def test_functions_of_other_kinds_are_refused(activation, tmp_path):
    small_model().save(tmp_path / "model.keras")
    rewrite(
        tmp_path / "model.keras", lambda config: config["config"]["layers"][1]["config"].update(activation=activation)
    )
    refused(tmp_path / "model.keras", "Code from files|code that is not Keras's own")


class Brighten(layers.Layer):
    def call(self, x):
        return 2 * x


@BOTH
def test_a_layer_of_the_authors_is_named(suffix, tmp_path):
    small_model(Brighten()).save(tmp_path / f"model{suffix}")
    refused(tmp_path / f"model{suffix}", "not Keras's own", "Brighten", "Save the model anew")


def test_settings_of_a_newer_keras_that_are_not_in_use_do_no_harm(tmp_path):
    small_model().save(tmp_path / "model.keras")
    unused = {"newest": None, "latest": False}
    rewrite(tmp_path / "model.keras", lambda config: config["config"]["layers"][1]["config"].update(unused))
    keras_import.import_model(tmp_path / "model.keras")


def test_the_slope_of_a_leaky_layer_of_keras_2_is_taken_over():
    config = {"module": "keras.layers", "class_name": "LeakyReLU", "config": {"name": "leaky", "alpha": 0.1}}
    assert keras_import._translated(config, "2.15.0")["config"] == {"name": "leaky", "negative_slope": 0.1}


def test_a_newer_keras_is_named_where_its_file_does_not_load(tmp_path, monkeypatch):
    small_model().save(tmp_path / "model.keras")
    rewrite(tmp_path / "model.keras", lambda config: config["config"]["layers"][1]["config"].update(newest=7))
    monkeypatch.setattr(keras, "__version__", "3.2.1")
    refused(tmp_path / "model.keras", "newer than the 3.2.1 here: update Keras", "newest")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_what_is_no_model_is_told_from_what_is_half_a_model(suffix, tmp_path):
    path = tmp_path / f"some (colab) [1]{suffix}"
    refused(path, "no such file")
    path.mkdir()
    refused(path, "a folder")
    path.rmdir()
    for content in (b"", b"Not found", bytes(range(256)) * 9):
        path.write_bytes(content)
        refused(path, "no saved model", f"{len(content)} bytes")
    small_model().save(path)
    whole = path.read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:length])
        refused(path, "no saved model|cannot be loaded", "anew")


def test_a_damaged_zip_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    small_model().save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    refused(path, "cannot be loaded", "CRC")


def test_weights_alone_are_told_from_a_model(tmp_path):
    model = small_model()
    model.save_weights(tmp_path / "model.weights.h5")
    refused(tmp_path / "model.weights.h5", "not hold a whole model", "card", r"model\.save")
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("photo.png", "")
    refused(tmp_path / "model.keras", "not hold a whole model")


def two_inputs():
    photos = [image(), image()]
    return keras.Model(photos, layers.Add()(photos))


def two_outputs():
    photo = image()
    return keras.Model(photo, [conv(photo), conv(photo)])


def gain_of_another_shape():
    photo, gain = keras.Input((None, None, 3), name="photo"), keras.Input((3,), name="gain")
    return keras.Model([photo, gain], layers.Multiply()([photo, layers.Reshape((1, 1, 3))(gain)]))


def of(photo, output):
    return keras.Model(photo, output(photo))


@BOTH
@pytest.mark.parametrize(
    "build",
    [
        two_inputs,
        two_outputs,
        lambda: of(image(), layers.Conv2D(1, 1)),
        lambda: of(image(), layers.Conv2D(3, 3, padding="valid")),
        lambda: of(image(64, 64), layers.MaxPooling2D()),
        lambda: of(keras.Input((None, None, 1)), layers.Conv2D(3, 1)),
        lambda: of(keras.Input((3,)), layers.Dense(3)),
        lambda: of(keras.Input((None, None, 3), dtype="uint8"), lambda photo: conv(layers.Rescaling(1.0)(photo))),
        gain_of_another_shape,
    ],
)
def test_a_model_that_does_not_make_a_photo_of_a_photo_is_refused_with_its_shapes(build, suffix, tmp_path):
    build().save(tmp_path / f"model{suffix}")
    refused(tmp_path / f"model{suffix}", "does not turn a photo into", r"\(None, .*3\)", r"\(B, H, W, 3\)")


def test_a_model_whose_weights_are_not_finite_is_refused_by_name(tmp_path):
    model = small_model()
    model.layers[-1].set_weights([np.full_like(array, np.nan) for array in model.layers[-1].get_weights()])
    model.save(tmp_path / "m.keras")
    with pytest.raises(UserError, match=r"not all finite numbers\. Received: .*m\.keras, in \w+/kernel"):
        registry.load_network(tmp_path / "m.keras")


def test_a_packed_model_that_unpacks_to_far_more_than_it_has_bytes_is_refused(tmp_path):
    small_model().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more", bytes(safety.SMALL))
    refused(tmp_path / "m.keras", "unpacks to more than it can hold")


def test_arrays_that_unpack_to_far_more_than_the_file_has_bytes_are_refused(tmp_path):
    small_model().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.create_dataset("more", (2**40,), np.float32, chunks=(2**20,), compression="gzip")
    refused(tmp_path / "m.h5", "unpacks to more than it can hold")


def test_arrays_in_other_files_are_not_read(tmp_path):
    small_model().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file["more"] = h5py.ExternalLink("other.h5", "/")
    refused(tmp_path / "m.h5", "leads to others")


def unpacked(file):
    file.create_dataset("below/more", (2**40,), np.float32, chunks=(2**20,), compression="gzip")


def wide(file):
    """A quarter of what is allowed, by the number of values alone."""
    file.create_dataset("more", (safety.SMALL // 4,), np.float64, chunks=(2**20,), compression="gzip")


def linked(file):
    file["below/more"] = h5py.ExternalLink("other.h5", "/")


def lying_elsewhere(file):
    file.create_dataset("below/more", (4,), np.float32, external=[("other.bin", 0, 16)])


def seen_elsewhere(file):
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("below/more", layout)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (unpacked, "unpacks to more"),
        (wide, "unpacks to more"),
        (linked, "leads to others.* with a link more"),
        (lying_elsewhere, "leads to others.* with more"),
        (seen_elsewhere, "leads to others.* with more"),
    ],
)
def test_weights_are_looked_at_to_their_depth_also_those_in_a_zip(harm, said, tmp_path):
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        harm(file)
    with pytest.raises(UserError, match=said), safety.guarded(tmp_path / "model.weights.h5"):
        pytest.fail("was used")
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    with pytest.raises(UserError, match=f"{said}"):
        safety.check_archive(tmp_path / "model.keras")


def test_layers_of_absurd_width_are_refused_before_they_are_made(tmp_path):
    def widen(config):
        config["config"]["layers"][1]["config"]["filters"] = 10**9

    small_model().save(tmp_path / "m.keras")
    rewrite(tmp_path / "m.keras", widen)
    refused(tmp_path / "m.keras", "too large", "filters of 1000000000")
