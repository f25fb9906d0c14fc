"""Write a network in the format of another runtime; height, width and batch stay free.

Every writer freezes the network first: weights and the constants that Keras captured become part of the graph. (Keras'
own ONNX export leaves three constants of models 11 and 12 as inputs that nobody can fill.)
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lowlight.backend import keras
from lowlight.inference.engines import bearing, openvino

OPSET = 18
"""Of ONNX: from December 2022, which every runtime of today reads."""


def write_onnx(network: keras.Model, path: Path, facts: dict[str, str]) -> None:
    """Write an ONNX file, whose inputs and outputs have the network's names.

    Kernels that float16 holds without loss are stored so, which halves the file and changes no value.

    Parameters
    ----------
    network : keras.Model
    path : Path
    facts : dict
        Written into the file's metadata.
    """
    import onnx
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with _quiet():
        frozen = convert_variables_to_constants_v2(_traced(network))
        proto, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=[tensor.name for tensor in frozen.inputs],
            output_names=[tensor.name for tensor in frozen.outputs],
            opset=OPSET,
        )
    names = {tensor.name: tensor.name.removesuffix(":0") for tensor in frozen.inputs}
    names |= {tensor.name: name for tensor, name in zip(frozen.outputs, sorted(_outputs(network)), strict=True)}
    _rename(proto.graph, names)
    _halve(proto.graph)
    for key, value in facts.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    proto.doc_string, proto.graph.name = "", facts["name"]
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def write_saved_model(network: keras.Model, path: Path, facts: dict[str, str]) -> None:
    """Write a SavedModel folder: `serving_default` gives the photo, and `guess`, where there is one, the exposure.

    Parameters as of `write_onnx`; the facts have no place in it.
    """
    import tensorflow as tf

    module = tf.Module()
    module.kept = [variable.value for variable in network.variables]
    with _quiet():
        traced = {name: _traced(keras.Model(*ends)) for name, ends in _signatures(network).items()}
        tf.saved_model.save(module, path, traced)


def write_litert(network: keras.Model, path: Path, facts: dict[str, str]) -> None:
    """Write a LiteRT (.tflite) file with the signatures of `write_saved_model`; parameters as there."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder, _quiet():
        write_saved_model(network, Path(folder) / "saved", facts)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            f"{folder}/saved", signature_keys=[*_signatures(network)]
        )  # fmt: skip
        path.write_bytes(converter.convert())


def write_openvino(network: keras.Model, path: Path, facts: dict[str, str]) -> None:
    """Write OpenVINO's two files: path, which ends in .xml, and its weights beside it, which end in .bin.

    Parameters as of `write_onnx`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "network.onnx"
        write_onnx(network, source, facts)
        model = openvino().Core().read_model(source)  # convert_model forks, to tell Google Analytics of it
        for key, value in facts.items():
            model.set_rt_info(value, ["framework", key])
        openvino().save_model(model, path, compress_to_fp16=False)


WRITERS = {"onnx": write_onnx, "litert": write_litert, "saved_model": write_saved_model, "openvino": write_openvino}

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "saved_model": "", "openvino": ".xml"}
"""What each format's name ends in; a SavedModel is a folder."""


def _outputs(network) -> dict[str, Any]:
    return network.output if isinstance(network.output, dict) else {"output": network.output}


def _signatures(network) -> dict[str, tuple[dict, dict]]:
    """By name of what can be asked for, its inputs and its outputs."""
    outputs = _outputs(network)
    parts = {"serving_default": [name for name in outputs if name not in ("guess", "right")]}
    parts |= {"guess": ["guess"]} if "guess" in outputs else {}
    return {
        name: (
            {key: network.input[key] for key in bearing(network.input, wanted)},
            {key: outputs[key] for key in wanted},
        )
        for name, wanted in parts.items()
    }


def _traced(network):
    """The network as a TensorFlow function of float32 inputs of any batch, height and width."""
    import tensorflow as tf

    def call(**inputs):
        found = network(inputs, training=False)
        return found if isinstance(found, dict) else {"output": found}

    spec = {name: tf.TensorSpec((None, *tensor.shape[1:]), tf.float32) for name, tensor in network.input.items()}
    return tf.function(call).get_concrete_function(**spec)


def _rename(graph, names):
    """Give inputs and outputs of an ONNX graph other names, wherever they are used."""
    for put in (*graph.input, *graph.output):
        put.name = names[put.name]
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(end, end) for end in ends]


def _halve(graph):
    """Store what float16 holds without loss in float16, with a cast that runtimes work out once, when they load."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        halved = values.astype(np.float16) if values.dtype == np.float32 and values.size >= 256 else None
        if halved is None or not np.array_equal(halved.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halved, f"{name}/half"))
        casts.append(helper.make_node("Cast", [f"{name}/half"], [name], name=f"{name}/cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what converters tell of their own work."""
    loggers = [logging.getLogger(name) for name in ("root", "tensorflow", "tf2onnx", "absl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
