"""Keras, loaded without the lines about the machine that TensorFlow prints; import it from here.

Set TF_CPP_MIN_LOG_LEVEL=0 to see them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def fastest_precision() -> str:
    """Name of the dtype policy for graphs that bear half precision: bfloat16 where the CPU multiplies it as such."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        flags = ""
    return "mixed_bfloat16" if "avx512_bf16" in flags else "float32"


@contextmanager
def computing(precision: str) -> Iterator[None]:
    """Layers that are made here compute so: a name of Keras' dtype policies, such as "mixed_bfloat16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


__all__ = ["computing", "fastest_precision", "keras", "layers", "ops"]
