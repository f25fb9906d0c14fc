"""Keras, loaded without the lines about the machine that TensorFlow prints; import it from here.

Set TF_CPP_MIN_LOG_LEVEL=0 to see them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what libraries write to the error stream, below Python, nowhere."""
    sys.stderr.flush()
    errors = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(errors, 2)
        os.close(errors)
        os.close(nowhere)


if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
    import keras
else:
    with _quiet():
        import keras

        keras.ops.zeros(1)  # the first computation has the devices looked for, which prints again

layers, ops = keras.layers, keras.ops

__all__ = ["keras", "layers", "ops"]
