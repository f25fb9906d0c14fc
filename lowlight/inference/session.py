"""A loaded model: on its device, in tiles of its size, with the photographer's controls."""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.inference import engines
from lowlight.inference.enhancer import Enhancer
from lowlight.io.photo import Photo
from lowlight.zoo import registry

DEVICES = ("auto", "cpu", "gpu")


class Session:
    """A network with its weights, its engine, its device and its tiles. TensorFlow is loaded only if it is the engine.

    Parameters
    ----------
    card : dict
    weights : Path
        As `lowlight.zoo.registry.files_of` gives both.
    exported : Path or None
        As `lowlight.zoo.registry.onnx_of` gives it.
    engine : {"tensorflow", "onnx", "openvino"}
        As `lowlight.inference.engines.choose` gives it.
    tile : int, optional
        As for `lowlight.inference.enhancer.Enhancer`.
    device : {"auto", "cpu", "gpu"}
    best : bool
        As for `lowlight.inference.enhancer.Enhancer`.

    Raises
    ------
    UserError
        If there is no such tile or device, or the weights cannot be loaded.
    """

    def __init__(
        self,
        card: dict,
        weights: Path,
        exported: Path | None,
        engine: str,
        tile: int | None = None,
        device: str = "auto",
        best: bool = False,
    ):
        if device not in DEVICES:
            raise UserError(f"There is no such device. Received: {device}. Choose one of: {', '.join(DEVICES)}.")
        self.card, self.process, self.engine = card, os.getpid(), engine
        self.scope: Callable[[], AbstractContextManager] = nullcontext
        if exported is not None and self.engine in engines.GRAPHS:
            self.enhancer = Enhancer(engines.GRAPHS[self.engine](exported, device), tile, best)
        else:
            if device == "cpu" and "tensorflow" not in sys.modules:
                os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # else TensorFlow takes a GPU's memory without using it
            self.scope = _scope(device)
            with self.scope():
                self.enhancer = Enhancer(registry.build(card, weights)[0], tile, best)
        self.controls = self.enhancer.controls

    @property
    def name(self) -> str:
        """The model's name, as its card has it."""
        return self.card["name"]

    def check(self, controls: Controls) -> None:
        """Does the model have the controls?

        Raises
        ------
        UserError
            If one is set that it does not have.
        """
        fields = dataclasses.fields(controls)
        changed = {field.name for field in fields if getattr(controls, field.name) != field.default}
        missing = sorted(changed - self.controls)
        if missing:
            raise UserError(
                f"The model does not have that control. Received: {', '.join(missing)} for {self.name}, which has "
                f"{', '.join(sorted(self.controls))}. Choose another model."
            )

    def enhance(
        self,
        photo: Photo,
        controls: Controls,
        compare: bool = False,
        overview: np.ndarray | None = None,
        box: Sequence[float] | None = None,
    ) -> Photo:
        """Enhance a photo; what belongs to it stays.

        Parameters
        ----------
        photo : Photo
        controls : Controls
            As `check` allows them.
        compare : bool
            Put the photo and its result side by side.
        overview : (64, 64, 5) float32 array, optional
        box : four floats, optional
            As for `lowlight.inference.enhancer.Enhancer`.

        Returns
        -------
        Photo
            Of levels if `photo` is, which wait in a quarter of the memory that floats take; else of floats.

        Raises
        ------
        UserError
            If this process was forked from the one that loaded the model.
        FloatingPointError
            If the model gives values that are not finite.
        """
        if os.getpid() != self.process:
            raise UserError(
                "The model was loaded before this process was forked, and cannot be run in it. Load it in each "
                'process, and start them by multiprocessing.get_context("spawn").'
            )
        with self.scope():
            pixels, alpha = self.enhancer(photo.pixels, controls, overview=overview, box=box), photo.alpha
        if compare:
            pixels = np.concatenate([photo.pixels, pixels], axis=1)
            alpha = None if alpha is None else np.concatenate([alpha, alpha], axis=1)
        return dataclasses.replace(photo, pixels=pixels, alpha=alpha)


def load_session(
    model: str | int | Path | None = None,
    tile: int | None = None,
    device: str = "auto",
    models_url: str | None = None,
    best: bool = False,
    engine: str = "auto",
    megapixels: float = 0.0,
) -> Session:
    """Find a model, download what is missing of it, and load it.

    Parameters
    ----------
    model, models_url
        As for `lowlight.zoo.registry.files_of`.
    tile, device, best
        As for `Session`.
    engine, megapixels
        As for `lowlight.inference.engines.choose`.

    Raises
    ------
    UserError
        As `lowlight.zoo.registry.files_of`, `lowlight.inference.engines.choose` and `Session`.
    """
    card, weights = registry.files_of(model, models_url)
    exported = registry.onnx_of(card, weights)
    engine = engines.choose(engine, exported is not None, device, megapixels)
    return Session(card, weights, exported, engine, tile, device, best)


def devices() -> list[str]:
    """What a model can run on: "cpu:0", "gpu:0" and so on. Loads TensorFlow."""
    from lowlight import backend

    return [name for kind in ("gpu", "cpu") for name in backend.devices(kind)]


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
