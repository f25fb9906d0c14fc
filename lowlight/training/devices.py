"""On which devices a model learns: on one, or on several that share each batch out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from lowlight.backend import keras
from lowlight.errors import UserError


@contextmanager
def distributed(devices: Literal["one", "all"]) -> Iterator[None]:
    """Models that are made here have their weights on one device, or the same weights on all of them.

    Each of several devices computes the gradients of its part of a batch, and all apply their sum (synchronous data
    parallelism, TensorFlow's MirroredStrategy). They are the GPUs or, where there is none, the logical CPUs.

    Raises
    ------
    UserError
        If Keras does not run on TensorFlow.
    """
    if devices == "one":
        yield
        return
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UserError(f"Several devices need TensorFlow. Received: --devices all with {backend}. Leave it out.")
    import tensorflow as tf

    tf.get_logger().setLevel("WARNING")  # it tells of every weight how the devices agree on it
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    with tf.distribute.MirroredStrategy([device.name for device in found]).scope():
        yield
