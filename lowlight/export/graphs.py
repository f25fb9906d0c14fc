"""Exported files as graphs that tiles can be run through, to check what was written."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from lowlight.inference.engines import GRAPHS, Graph, Run


class SavedModelGraph:
    """A SavedModel folder that `lowlight.export.formats` wrote, as a `lowlight.inference.engines.Graph`."""

    def __init__(self, path: Path, like: Graph):
        import tensorflow as tf

        self.loaded = tf.saved_model.load(path)
        self.shapes, self.outputs, self.stride = like.shapes, like.outputs, like.stride

    def function(self, *outputs: str, batch: int = 1) -> Run:
        """As `Graph.function`."""
        run = self.loaded.signatures[_signature(outputs)]
        needed = run.structured_input_signature[1]

        def call(inputs):
            found = run(**{name: inputs[name] for name in needed})
            return [found[name].numpy() for name in outputs]

        return call


class LiteRtGraph:
    """A LiteRT file that `lowlight.export.formats` wrote, as a `lowlight.inference.engines.Graph`."""

    def __init__(self, path: Path, like: Graph):
        import tensorflow as tf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this one will go: then ai_edge_litert has it, which is no need today
            self.interpreter = tf.lite.Interpreter(str(path))
        self.shapes, self.outputs, self.stride = like.shapes, like.outputs, like.stride

    def function(self, *outputs: str, batch: int = 1) -> Run:
        """As `Graph.function`."""
        run = self.interpreter.get_signature_runner(_signature(outputs))
        needed = run.get_input_details()

        def call(inputs):
            found = run(**{name: inputs[name] for name in needed})
            return [np.array(found[name]) for name in outputs]

        return call


def opened(form: str, path: Path, like: Graph) -> Any:
    """An exported file as a graph; `like` is the one that it was made of."""
    kinds = {"saved_model": SavedModelGraph, "litert": LiteRtGraph}
    return GRAPHS[form](path, "cpu") if form in GRAPHS else kinds[form](path, like)


def _signature(outputs) -> str:
    return "guess" if outputs == ("guess",) else "serving_default"
