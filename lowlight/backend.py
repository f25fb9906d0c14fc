"""Keras, loaded without the lines about the machine that TensorFlow prints; import it from here.

Set TF_CPP_MIN_LOG_LEVEL=0 to see them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lowlight.errors import UserError

ADDRESS_SPACE = 2816 * 2**20
"""Bytes of addresses that TensorFlow needs to start."""

CLUSTER = "TF_CONFIG"
"""The environment variable by which TensorFlow is told of the other processes of a cluster, and which this one is."""

OTHER_BACKENDS = ("jax", "jaxlib", "torch")
"""Packages that Keras computes with where it is told to; requirements.txt brings TensorFlow alone."""


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


def _check_address_space() -> None:
    """TensorFlow, which reserves far more addresses than it uses memory, aborts the process when it gets too few."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise UserError(
            f"There is not enough memory for TensorFlow. Received: a limit of {limit // 2**20} MiB on addresses. Lift "
            f"it to {ADDRESS_SPACE // 2**20} MiB or more (ulimit -v)."
        )


_check_address_space()

try:
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        import keras
    else:
        with _quiet():
            import keras

            if CLUSTER not in os.environ:  # other processes are to be joined before the first computation
                keras.ops.zeros(1)  # which has the devices looked for, and that prints again
except (ModuleNotFoundError, ValueError) as error:
    if isinstance(error, ModuleNotFoundError) and error.name not in OTHER_BACKENDS:
        raise
    raise UserError(
        f"Keras is set to a backend that is not here, by KERAS_BACKEND or ~/.keras/keras.json. Received: {error}. Set "
        "KERAS_BACKEND=tensorflow in the environment."
    ) from error
if keras.config.image_data_format() != "channels_last":
    raise UserError(
        "Models here have their colours last, and Keras is set otherwise. Received: image_data_format "
        f"{keras.config.image_data_format()} in ~/.keras/keras.json. Set channels_last there."
    )

_process = os.getpid()


def refuse_after_fork() -> None:
    """TensorFlow's threads do not come along when a process forks; in the child it would wait for them for ever.

    Raises
    ------
    UserError
        If this process was forked from one that had loaded Keras.
    """
    if os.getpid() != _process:
        raise UserError(
            "This process was forked from one that had used a model, where none can be run. Start processes by "
            'multiprocessing.get_context("spawn"), or fork before the first model is loaded.'
        )


LEARNING = ("tensorflow", "jax", "torch")
"""Backends by which Keras trains; others, such as openvino, run models alone."""


def refuse_without_training() -> None:
    """Not every backend of Keras trains.

    Raises
    ------
    UserError
        If Keras is set to one that does not.
    """
    _refuse_unless(LEARNING, "train")


def refuse_without_graphs() -> None:
    """What models are exported from is a graph of TensorFlow's.

    Raises
    ------
    UserError
        If Keras is set to another backend.
    """
    _refuse_unless(("tensorflow",), "export")


def _refuse_unless(able, what):
    if keras.backend.backend() not in able:
        raise UserError(
            f"Keras is set to a backend that does not {what}, by KERAS_BACKEND or ~/.keras/keras.json. Received: "
            f"{keras.backend.backend()}. Set KERAS_BACKEND=tensorflow in the environment."
        )


def devices(kind: str | None = None) -> list[str]:
    """What Keras can run on, as "cpu:0", "gpu:0" and so on; of one kind, cpu or gpu, if it is named."""
    try:
        return keras.distribution.list_devices(kind)
    except AttributeError:  # Keras has no such list with PyTorch and OpenVINO
        return [] if kind == "gpu" else ["cpu:0"]


layers, ops = keras.layers, keras.ops


@contextmanager
def computing(precision: str) -> Iterator[None]:
    """Layers that are made here compute so: a name of Keras' dtype policies, such as "mixed_bfloat16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


__all__ = ["CLUSTER", "computing", "devices", "keras", "layers", "ops", "refuse_after_fork"]
