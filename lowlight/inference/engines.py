"""What runs a model's graph: Keras, ONNX Runtime or OpenVINO, each behind the same two things.

`shapes` lists the inputs, `function` gives a callable for some of the outputs. The last two load in a fraction of a
second and know nothing of Keras; they run what `lowlight.export` wrote.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lowlight.errors import UserError
from lowlight.system import fastest_precision, how_to_install

if TYPE_CHECKING:
    import keras

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]

STRIDES = (16, 32, 64, 128)
"""Of which one divides the sides of what a graph takes: `lowlight.networks.architectures.STRIDE`, or that of a deeper
graph from elsewhere."""

ENGINES = {"tensorflow": "TensorFlow", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}
"""What people call them."""

MODULES = {"tensorflow": "keras", "onnx": "onnxruntime", "openvino": "openvino"}
"""By engine, what must be installed."""

MANY_MEGAPIXELS = 20
"""From here up TensorFlow, where it is several times as fast, makes up for the seconds that it takes to load."""


def onnx_runtime() -> Any:
    """ONNX Runtime, imported so that it does not tell its makers that it runs, as version 1.32 would."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def openvino() -> Any:
    """OpenVINO, imported so that it does not tell its makers that it runs; it does without the module for that."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class Graph(Protocol):
    """A model that tiles can be run through."""

    shapes: dict[str, tuple[int | None, ...]]
    """Of each input by its name, without the batch; None where any size will do."""
    outputs: tuple[str, ...]
    """Names of what it gives; "output" is the photo."""
    stride: int
    """What height and width of `photo` must be multiples of."""

    def function(self, *outputs: str, batch: int = 1) -> Run:
        """A function from the inputs by name, float32 arrays with a batch of so many, to the named outputs in order.

        Inputs that do not bear on these outputs can be left out: "guess", the predicted exposure map, depends on
        `overview` alone, and nothing else does.
        """


def bearing(shapes: dict[str, Any], outputs: Sequence[str]) -> list[str]:
    """Names of the inputs that bear on some outputs, as `Graph.function` has it."""
    return [name for name in shapes if (name == "overview") == (tuple(outputs) == ("guess",))]


class KerasGraph:
    """A Keras model; when its weights change, so does what its functions give.

    Parameters
    ----------
    model : keras.Model
        Inputs and outputs by name, as in `lowlight.networks.architectures`.

    Raises
    ------
    UserError
        If it gives photos of another size than it is given.
    """

    def __init__(self, model: "keras.Model"):
        self.model = model
        self.shapes = {name: tuple(tensor.shape[1:]) for name, tensor in model.input.items()}
        self.tensors = model.output if isinstance(model.output, dict) else {"output": model.output}
        self.outputs = tuple(self.tensors)
        self.stride = 1 if all(self.shapes["photo"][:2]) else self._stride()

    def function(self, *outputs: str, batch: int = 1) -> Run:
        """As `Graph.function`."""
        from lowlight.backend import keras

        inputs = {name: self.model.input[name] for name in bearing(self.shapes, outputs)}
        return _compiled(keras.Model(inputs, [self.tensors[name] for name in outputs]), batch)

    def _stride(self) -> int:
        """What the sides of photos must be multiples of, or the graph's levels do not fit together."""
        from lowlight.backend import keras

        for stride in STRIDES:
            shape = (1, *(side or 3 * stride for side in self.shapes["photo"][:2]), 3)
            spec = {
                name: keras.KerasTensor(shape if name == "photo" else (1, *sides))
                for name, sides in self.shapes.items()
            }
            with contextlib.suppress(ValueError):
                output = self.model.compute_output_spec(spec)
                if tuple((output["output"] if isinstance(output, dict) else output).shape) == shape:
                    return stride
        raise UserError("The model does not give photos of the size that it is given.")


class OnnxGraph:
    """An ONNX file that `lowlight.export` wrote, in ONNX Runtime.

    Parameters
    ----------
    path : Path
    device : {"auto", "cpu", "gpu"}
        auto: a GPU if the installed ONNX Runtime has one.

    Raises
    ------
    UserError
        If ONNX Runtime cannot use the device, or read the file.
    """

    def __init__(self, path: Path, device: str = "auto"):
        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised; what else it would print is for those who write graphs
        providers = _providers(device)
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:  # of classes that ONNX Runtime does not export
            raise UserError(f"The graph cannot be loaded. Received: {path} ({error}). Export it anew.") from error
        self.shapes = {put.name: tuple(map(_size, put.shape[1:])) for put in self.session.get_inputs()}
        self.outputs = tuple(put.name for put in self.session.get_outputs())
        self.stride = int(self.session.get_modelmeta().custom_metadata_map["stride"])

    def function(self, *outputs: str, batch: int = 1) -> Run:
        """As `Graph.function`."""
        wanted = bearing(self.shapes, outputs)
        # The runtime wants all inputs of the file; those that do not bear on the outputs are as small as can be.
        rest = {
            name: np.zeros((batch, *(side or self.stride for side in shape)), np.float32)
            for name, shape in self.shapes.items()
            if name not in wanted
        }
        return lambda inputs: self.session.run(list(outputs), {name: inputs[name] for name in wanted} | rest)


class OpenVinoGraph:
    """An ONNX file that `lowlight.export` wrote, in OpenVINO.

    Parameters
    ----------
    path : Path
    device : {"auto", "cpu", "gpu"}
        auto: the CPU, in the precision that the file computes in.
    """

    def __init__(self, path: Path, device: str = "auto"):
        self.device = "GPU" if device == "gpu" else "CPU"
        self.core = openvino().Core()
        if self.device not in {name.split(".")[0] for name in self.core.available_devices}:
            raise UserError(
                f"OpenVINO has no such device. Received: {device}. Known: {', '.join(self.core.available_devices)}."
            )
        self.model = self.core.read_model(path)
        self.shapes = {
            port.any_name: tuple(int(str(side)) if side.is_static else None for side in port.partial_shape[1:])
            for port in self.model.inputs
        }
        self.outputs = tuple(port.any_name for port in self.model.outputs)
        self.stride = int(self.model.get_rt_info(["framework", "stride"]).astype(str))

    def function(self, *outputs: str, batch: int = 1) -> Run:
        """As `Graph.function`."""
        results = [self.model.output(name).node for name in outputs]
        wanted = bearing(self.shapes, outputs)
        part = openvino().Model(results, [self.model.input(name).node for name in wanted])
        compiled = self.core.compile_model(part, self.device, {"INFERENCE_PRECISION_HINT": "f32"})
        ports = [compiled.output(name) for name in outputs]

        def run(inputs):
            # Each run is a request of its own: threads that share one are refused, and its results are written over.
            found = compiled.infer_new_request({name: inputs[name] for name in wanted})
            return [found[port] for port in ports]

        return run


GRAPHS: dict[str, Callable[[Path, str], Graph]] = {"onnx": OnnxGraph, "openvino": OpenVinoGraph}
"""By name, the engines that run an ONNX file."""


def graph_of(model: Any) -> Graph:
    """A model as a graph that tiles can be run through; a Keras model is wrapped."""
    return model if hasattr(model, "function") else KerasGraph(model)


def installed() -> list[str]:
    """Engines that can be used here, by name; nothing is loaded."""
    return [engine for engine, module in MODULES.items() if module in sys.modules or importlib.util.find_spec(module)]


def choose(engine: str, exported: bool, device: str = "auto", megapixels: float = 0.0) -> str:
    """Name of the engine for a job.

    Parameters
    ----------
    engine : {"auto", "tensorflow", "onnx", "openvino"}
        auto: what is done first. ONNX Runtime loads in half a second; TensorFlow takes many, and is faster then if it
        has a GPU or a CPU that multiplies bfloat16.
    exported : bool
        Whether the model has an ONNX file.
    device : {"auto", "cpu", "gpu"}
    megapixels : float
        How much is to be done, about.

    Raises
    ------
    UserError
        If the engine is not installed, or cannot run the model.
    """
    here = installed()
    if engine not in ("auto", *ENGINES):
        raise UserError(f"There is no such engine. Received: {engine}. Choose one of: auto, {', '.join(ENGINES)}.")
    if engine != "auto":
        if engine not in here:
            raise UserError(
                f"That engine is not installed. Received: --engine {engine}. Installed: {', '.join(here) or 'none'}. "
                f"{how_to_install(engine) if engine != 'onnx' else 'Install it by: pip install onnxruntime'}"
            )
        if engine != "tensorflow" and not exported:
            raise UserError(
                f"The model has no ONNX file. Received: --engine {engine}. Make one where TensorFlow is installed, by "
                "lowlight export --beside, or choose another model or engine."
            )
        return engine
    if "tensorflow" not in here:
        if not exported:
            raise UserError(
                "The model has no ONNX file, and TensorFlow is not installed. Received: --engine auto. Choose another "
                f"model. {how_to_install('tensorflow')}"
            )
        return choose("onnx" if "onnx" in here or "openvino" not in here else "openvino", exported)
    if "onnx" not in here or not exported or device == "gpu" or _is_loaded():
        return "tensorflow"
    faster = _has_gpu() or fastest_precision() != "float32"
    return "tensorflow" if megapixels > MANY_MEGAPIXELS and faster else "onnx"


def _is_loaded() -> bool:
    """Whether TensorFlow's seconds are spent already."""
    return MODULES["tensorflow"] in sys.modules


def _has_gpu() -> bool:
    """Whether there is a GPU of a kind that TensorFlow can use; on Windows it uses none."""
    return any(Path("/dev").glob("nvidia[0-9]"))


def _providers(device) -> list[str]:
    gpus = [name for name in onnx_runtime().get_available_providers() if name == "CUDAExecutionProvider"]
    if device == "gpu" and not gpus:
        raise UserError(
            "ONNX Runtime has no GPU here. Received: --device gpu. Leave it out, or install onnxruntime-gpu, or choose "
            "--engine tensorflow."
        )
    return ["CPUExecutionProvider"] if device == "cpu" else [*gpus, "CPUExecutionProvider"]


def _size(side) -> int | None:
    return side if isinstance(side, int) else None


def _compiled(model, batch) -> Run:
    """One graph for photos of all sizes, where that can be; Keras alone would trace anew for new ones."""
    from lowlight.backend import keras

    if keras.backend.backend() != "tensorflow":
        return lambda inputs: keras.tree.flatten(model.predict_on_batch(inputs))
    import tensorflow as tf

    def call(inputs):
        return model(inputs, training=False)

    signature = {name: tf.TensorSpec((batch, *tensor.shape[1:]), tf.float32) for name, tensor in model.input.items()}
    run = tf.function(call, input_signature=[signature])
    try:
        run.get_concrete_function()
    except TypeError:  # Keras 3.14.1 to 3.15.1 enlarges bilinearly only what has a known size
        run = tf.function(call)
    # Keras gives a list of one output as that output.
    return lambda inputs: [np.asarray(output) for output in keras.tree.flatten(run(inputs))]
