"""Load whole models that other people saved, by Keras 3 or by Keras 2, without running code from their files.

Keras is given a copy of the file. Its configuration was looked through first, holds nothing of the training, and says
everything in the words of the Keras that reads it.
"""

import inspect
import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py

from lowlight.backend import keras
from lowlight.errors import UserError
from lowlight.zoo import safety

LAMBDAS = ("Lambda", "__lambda__")

BARRED = (
    *("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"),
    *("IntegerLookup", "StringLookup", "TextVectorization"),
)
"""Keras's own layers that run what is not Keras, or read further files."""

HOMES = (keras.activations, keras.dtype_policies, keras.layers, keras.mixed_precision, keras.ops)
"""Where the parts of an ordinary model come from."""

OTHER_PARTS = (
    *("Functional", "Model", "Sequential", "SeedGenerator"),
    *("__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"),
)

TRAINING = ("compile_config", "_initializer", "_regularizer", "_constraint")
"""Ends of the keys of a configuration that only training needs; what is there may be the author's own."""

UNUSED = ("groups", "noise_shape", "renorm_momentum", "trainable")
"""Settings that other versions wrote also for layers that make no use of them, and that others refuse there."""

FROM_8_BITS = 0.01
"""A model that rescales by less than this has been given levels of 8 bits, by 1/255 or 1/127.5."""

SIDE = 256
"""A model for photos of any size is checked at this one, which the strides of common graphs divide."""


def import_model(path: Path) -> keras.Model:
    """Load a whole model from a `.keras` or `.h5` file.

    Parameters
    ----------
    path : Path
        Saved by `model.save`, with or without its compiled state, which is not loaded.

    Returns
    -------
    keras.Model
        As `lowlight.networks.architectures` builds them: inputs by name, the `photo` (B, H, W, 3) and, where the
        file's model has this second input, too, `gain`; one output of the photo's shape. H and W may be fixed.

    Raises
    ------
    UserError
        If the file is missing or broken; if it holds no whole model, or code, or layers that are not Keras's own; or
        if the model's inputs and outputs are others, or photos from 0 to 255.
    """
    path = Path(path)
    suffix = _suffix(path)
    version = ""
    try:
        safety.check_archive(path) if suffix == ".keras" else safety.check_hdf5(path)
        config, version = _read(path, suffix)
        safety.check_widths(config, path)
        _check_parts(config, path)
        _check_range(config, path)
        return _photo_to_photo(_rebuilt(path, suffix, _translated(config, version)), path)
    except UserError:
        raise
    except Exception as error:  # zipfile, h5py and Keras raise anything, from KeyError up, on a broken or strange file
        raise UserError(f"The model cannot be loaded. Received: {path} ({_line(error)}). {_remedy(version)}") from error


def _suffix(path) -> str:
    """What a file of this content is named, for Keras goes by the name, and Keras 2 wrote either kind under both."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "there is no such file"
        raise UserError(f"A model is loaded from a .keras or .h5 file. Received: {path} ({found}). Check the path.")
    if zipfile.is_zipfile(path):
        return ".keras"
    if h5py.is_hdf5(path):
        return ".h5"
    raise UserError(
        f"The file is no saved model, or only the beginning of one. Received: {path} ({path.stat().st_size} bytes, "
        "neither zip nor HDF5). Copy or download it anew, or save the model anew as .keras."
    )


def _read(path, suffix) -> tuple[dict, str]:
    """Configuration of a file's model without that of its training; and the version of Keras that wrote it."""
    if suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            if "config.json" not in archive.namelist():
                raise _no_model(path, "a zip file without a model's config.json")
            written = archive.read("config.json")  # tf_keras is Keras 2 beside Keras 3
            config = json.loads(written.replace(b'"module": "tf_keras.', b'"module": "keras.'))
            version = json.loads(archive.read("metadata.json"))["keras_version"]
    else:
        with h5py.File(path) as file:
            if "model_config" not in file.attrs:
                raise _no_model(path, "weights without the layers that they belong to")
            config = json.loads(file.attrs["model_config"])
            version = file.attrs.get("keras_version", "2.0")
    return _without_training(config), version.decode() if isinstance(version, bytes) else version


def _no_model(path, found) -> UserError:
    return UserError(
        f"The file does not hold a whole model. Received: {path} ({found}). "
        "Save the model anew by model.save, or give its weights with their card, which names the architecture."
    )


def _without_training(config):
    if isinstance(config, dict):
        return {key: _without_training(value) for key, value in config.items() if not key.endswith(TRAINING)}
    return [_without_training(value) for value in config] if isinstance(config, list) else config


def _parts(config) -> Iterator[dict]:
    """Every object that a configuration describes, at any depth."""
    if isinstance(config, dict) and "class_name" in config:
        yield config
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for value in list(inner):
        yield from _parts(value)


def _check_parts(config, path) -> None:
    for part in _parts(config):
        name = part["config"] if part["class_name"] == "function" else part["class_name"]
        if name in LAMBDAS:
            raise UserError(
                f"Code from files is not run. Received: {path}, which holds a Lambda layer or a lambda. "
                "Save the model anew with one of Keras's own layers in its place."
            )
        if not _keras_own(name, part.get("module", "keras")):
            raise UserError(
                f"The model needs code that is not Keras's own. Received: {path} with {name}. "
                "Save the model anew with Keras's own layers only."
            )


def _keras_own(name, module) -> bool:
    if name in BARRED or not module or module.split(".")[0] not in ("keras", "builtins"):
        return False
    # Operators between tensors are layers of Keras 3 without a public name.
    return name in OTHER_PARTS or module.startswith("keras.src.ops.") or any(hasattr(home, name) for home in HOMES)


def _translated(config, version) -> dict:
    """A configuration as the installed Keras would write it, where Keras does not see to that itself."""
    for part in _parts(config):
        settings = part["config"]
        if version < "3" and isinstance(settings, dict):
            _modernise(part, settings)
        if isinstance(kind := getattr(keras.layers, part["class_name"], None), type):
            for key in settings.keys() - _arguments(kind):
                if settings[key] is None or settings[key] is False or key in UNUSED:
                    del settings[key]
    return config


def _modernise(part, settings) -> None:
    """Put the words of Keras 3 for those of Keras 2 in one object of a configuration."""
    name = part["class_name"]
    if name == "Functional" and "module" in part:
        part |= {"module": "keras", "class_name": "Model", "registered_name": None}
    if name == "LeakyReLU" and "alpha" in settings:
        settings["negative_slope"] = settings.pop("alpha")
    if name != "InputLayer" and "module" in part:
        settings.pop("batch_input_shape", None)  # the first layer's; an InputLayer has it, too
    if isinstance(settings.get("dtype"), dict):
        settings["dtype"] = settings["dtype"]["config"]["name"]
    if isinstance(settings.get("axis"), list) and len(settings["axis"]) == 1:
        settings["axis"] = settings["axis"][0]
    if "output_layers" in settings:
        _renumber(settings)


def _renumber(graph) -> None:
    """Count a nested model's calls from 0 up: in Keras 2 its own making was call 0.

    Keras 3 still counts so where a nested Functional model is a graph's output.
    """
    nested = {layer["name"]: layer["class_name"] for layer in graph["layers"] if "layers" in layer["config"]}
    for layer in graph["layers"]:
        for call in layer["inbound_nodes"]:
            for source in call:
                source[1] -= source[0] in nested
    for end in graph["output_layers"]:
        end[1] -= nested.get(end[0]) == "Sequential"


def _arguments(kind) -> set[str]:
    """Names of all arguments that a class takes, those included that it hands on to the classes it is made of."""
    names: set[str] = set()
    for ancestor in kind.__mro__:
        if "__init__" in vars(ancestor):
            parameters = inspect.signature(ancestor.__init__).parameters
            names |= parameters.keys()
            if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()):
                break
    return names


def _check_range(config, path) -> None:
    """What photos in [0, 1] would be black to is refused."""
    for part in _parts(config):
        scale = part["config"].get("scale") if part["class_name"] == "Rescaling" else None
        if isinstance(scale, float) and 0 < scale < FROM_8_BITS:
            raise UserError(
                f"The model takes photos from 0 to 255, and is given such from 0 to 1. Received: {path} with a "
                f"Rescaling layer of {scale:.3g}. Save the model anew without it."
            )


def _rebuilt(path, suffix, config) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how the model was written; what was loaded is checked afterwards
        copy = Path(folder, f"model{suffix}")
        _copy(path, copy, json.dumps(config))
        return keras.models.load_model(copy, compile=False, safe_mode=True)


def _copy(path, copy, config) -> None:
    """Copy a model's file with another configuration."""
    if copy.suffix == ".h5":
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = config
        return
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        target.writestr("config.json", config)
        for member in source.namelist():
            if member in ("metadata.json", "model.weights.h5"):
                with source.open(member) as old, target.open(member, "w", force_zip64=True) as new:
                    shutil.copyfileobj(old, new)


def _photo_to_photo(model, path) -> keras.Model:
    """The model with its inputs by name; or an error, if they and its output are not what they must be."""
    inputs = {tensor.name: tensor for tensor in model.inputs}
    if len(inputs) == 1:
        inputs = {"photo": model.inputs[0]}
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in inputs.items()}
    photo, gain = shapes.get("photo", ()), shapes.get("gain", (1, 1, 1))
    known = inputs.keys() <= {"photo", "gain"} and all(tensor.dtype.startswith("float") for tensor in inputs.values())
    if known and len(photo) == 3 and photo[2] == 3 and gain == (1, 1, 1) and len(model.outputs) == 1:
        named = _named(model, inputs)
        size = (photo[0] or SIDE, photo[1] or SIDE, 3)
        trial = {name: keras.KerasTensor((1, *(size if name == "photo" else gain))) for name in inputs}
        if tuple(named.compute_output_spec(trial).shape[1:]) == size:
            return named
    raise UserError(
        "The model does not turn a photo into another of its size. "
        f"Received: {path} with inputs {_shapes(model.inputs)} and outputs {_shapes(model.outputs)}. "
        "Give a model with one input and one output, both of shape (B, H, W, 3) and floating."
    )


def _named(model, inputs) -> keras.Model:
    output = model.outputs[0]
    if all(tensor.name == name for name, tensor in inputs.items()):
        return keras.Model(inputs, output)
    photo = keras.Input(inputs["photo"].shape[1:], name="photo")  # Keras wants the input's own name in the dict
    return keras.Model({"photo": photo}, keras.Model(inputs["photo"], output)(photo))


def _shapes(tensors) -> str:
    return ", ".join(f"{tuple(tensor.shape)} {tensor.dtype}" for tensor in tensors)


def _line(error) -> str:
    """What an error says at last, in one short line."""
    text = " ".join(str(error).rsplit("Exception encountered:")[-1].split())
    return f"{type(error).__name__}: {text if len(text) <= 200 else text[:199] + '…'}"


def _remedy(version) -> str:
    if _numbers(version) > _numbers(keras.__version__):
        return f"It is by Keras {version}, newer than the {keras.__version__} here: update Keras."
    return "Copy it anew, or save the model anew by Keras 3 as .keras."


def _numbers(version) -> list[int]:
    return [int(number) for number in version.split(".")[:2] if number.isdecimal()]
