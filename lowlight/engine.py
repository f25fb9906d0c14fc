"""A model made ready to run: on its device, in tiles of its size, with the photographer's controls."""

import dataclasses
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from lowlight import zoo
from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.images import Photo
from lowlight.levels import as_float, as_levels


class Engine:
    """A model, its device, its tiles. TensorFlow is loaded with the first one.

    Parameters
    ----------
    model : str, optional
        As for `lowlight.zoo.files_of`. Default: the best.
    tile : int, optional
        As for `lowlight.enhancer.Enhancer`.
    device : {"auto", "cpu", "gpu"}
    models_url : str, optional
        As for `lowlight.zoo.files_of`.

    Raises
    ------
    UserError
        If there is no such model, tile or device.
    """

    def __init__(
        self, model: str | None = None, tile: int | None = None, device: str = "auto", models_url: str | None = None
    ):
        self.name = model or zoo.best()
        zoo.files_of(self.name, models_url)
        if device == "cpu" and "tensorflow" not in sys.modules:
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # else TensorFlow takes a GPU's memory without using it
        self.scope = _scope(device)
        from lowlight.enhancer import Enhancer

        with self.scope():
            self.enhancer: Callable[..., np.ndarray] = Enhancer(zoo.load(self.name, models_url)[0], tile)
        self.controls: frozenset[str] = getattr(self.enhancer, "controls", frozenset())

    def check(self, controls: Controls) -> None:
        """Does the model have the controls?

        Raises
        ------
        UserError
            If one is set that it does not have. Strength it always has.
        """
        fields = dataclasses.fields(controls)
        changed = {field.name for field in fields if getattr(controls, field.name) != field.default}
        missing = sorted(changed - self.controls - {"strength"})
        if missing:
            raise UserError(
                f"The model cannot be told that. Received: {', '.join(missing)} for {self.name}, which knows "
                f"{', '.join(sorted(self.controls | {'strength'}))}. Choose another model."
            )

    def enhance(self, photo: Photo, controls: Controls, compare: bool = False) -> Photo:
        """Enhance a photo; what belongs to it stays.

        Parameters
        ----------
        photo : Photo
        controls : Controls
            As `check` allows them.
        compare : bool
            Put the photo and its result side by side.

        Returns
        -------
        Photo
            Of levels if `photo` is, which wait in a quarter of the memory that floats take; else of floats.
        """
        floats = as_float(photo.pixels)
        pixels, alpha = self._run(floats, controls), photo.alpha
        if compare:
            pixels = np.concatenate([floats, pixels], axis=1)
            alpha = None if alpha is None else np.concatenate([alpha, alpha], axis=1)
        if photo.pixels.dtype != np.float32:
            pixels = as_levels(pixels, 8 * photo.pixels.dtype.itemsize)
        return dataclasses.replace(photo, pixels=pixels, alpha=alpha)

    def _run(self, pixels, controls) -> np.ndarray:
        with self.scope():
            if self.controls:
                return self.enhancer(pixels, controls)
            result = self.enhancer(pixels)
        if controls.strength < 1:
            result -= pixels
            result *= np.float32(controls.strength)
            result += pixels
        return result


def devices() -> list[str]:
    """What a model can run on: "cpu:0", "gpu:0" and so on. Loads TensorFlow."""
    from lowlight.backend import keras

    return [name for kind in ("gpu", "cpu") for name in keras.distribution.list_devices(kind)]


def _scope(device) -> Callable[[], AbstractContextManager]:
    """What graphs are built and run in."""
    if device == "auto":
        return nullcontext
    found = [name for name in devices() if name.startswith(device)]
    if not found:
        raise UserError(
            f"There is no such device, or the backend cannot use it. Received: {device}. Known: "
            f"{', '.join(devices())}. Leave it out, or see --info."
        )
    from lowlight.backend import keras

    return lambda: keras.device(found[0])
