"""What the page and the interface for programs do with a photo, one at a time; it knows nothing of either."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.imaging.exposure import overview
from lowlight.imaging.pixels import as_levels
from lowlight.inference.session import Session, load_session
from lowlight.io.photo import FORMATS, HOW_TO_CHOOSE, ImageError, Photo, notes_on, write_photo
from lowlight.io.worker import Worker, read_apart
from lowlight.web.settings import ServeSettings
from lowlight.zoo import registry

PREVIEW_SIDE = 1280
"""Longest side, in pixels, of the copy that is shown while controls are moved."""

KEPT = 2
"""Models that stay loaded."""

LONGEST_STEM = 80
"""Characters of a photo's name that its result's name keeps: files' names have an end."""

STOPS = "The server stops. Start it again, then ask again."

AS_GUESSED = Controls()


class BusyError(UserError):
    """More requests wait than the queue holds."""


class GoneError(UserError):
    """Whoever asked does not wait any more."""


@dataclass(frozen=True)
class Opened:
    """An uploaded photo: where it lies, and a reduced copy to preview on."""

    path: Path
    name: str
    height: int
    width: int
    size: int
    """Of the file, in bytes."""
    reduced: np.ndarray
    """(h, w, 3) uint8, sRGB, no side longer than `PREVIEW_SIDE`."""
    overview: np.ndarray
    """Of the whole photo, so that the preview is as bright as the result (`lowlight.imaging.exposure.overview`)."""
    grey: bool

    @property
    def is_reduced(self) -> bool:
        """Whether the preview is smaller than the photo."""
        return max(self.height, self.width) > PREVIEW_SIDE


@dataclass(frozen=True)
class Result:
    """A photo that was enhanced at full size."""

    path: Path
    height: int
    width: int
    size: int
    """Of the file, in bytes."""
    seconds: float
    notes: list[str]
    """What could not be read, or is left out."""


class Studio:
    """Models at work for many askers, who wait in a queue; to be closed in the end.

    Parameters
    ----------
    settings : ServeSettings

    Raises
    ------
    UserError
        If there is no such model.
    """

    def __init__(self, settings: ServeSettings):
        self.settings = settings
        self.default = registry.files_of(settings.model)[0]["name"]
        names = (entry["name"] for entry in registry.available())
        self.models = {name: name for name in names if registry.is_here(name)}
        if settings.model:
            self.models[self.default] = settings.model
        self._worker = Worker()
        self._work = threading.Lock()
        self._stopping = False
        self._places = threading.BoundedSemaphore(settings.queue + 1)
        self._session = lru_cache(KEPT)(self._load)

    def controls_of(self, model: str) -> frozenset[str]:
        """Names of the controls that a model obeys; it is loaded.

        Raises
        ------
        UserError
            If there is no such model here, or the queue is full.
        """
        with self._turn():
            return self._loaded(model).controls

    def open(self, path: Path, name: str) -> Opened:
        """Read an uploaded photo, and make the copy to preview on.

        Parameters
        ----------
        path : Path
        name : str
            What to call the photo in what is told of it.

        Raises
        ------
        UserError
            If it is no photo, or larger than the limits; or the queue is full.
        """
        with self._turn():
            photo = self._read(path, name)
            height, width = photo.pixels.shape[:2]
            reduced = Image.fromarray(as_levels(photo.pixels, 8))
            reduced.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS, reducing_gap=3)
            size = path.stat().st_size
            return Opened(path, name, height, width, size, np.asarray(reduced), overview(photo.pixels), photo.grey)

    def preview(self, opened: Opened, model: str, controls: Controls) -> np.ndarray:
        """The reduced copy, enhanced: as bright and as coloured as the photo would be.

        Returns
        -------
        (h, w, 3) uint8 array

        Raises
        ------
        UserError
            If there is no such model here, it does not know a control that is set, or the queue is full.
        """
        with self._turn():
            session = self._loaded(model, controls)
            pixels = session.enhance(Photo(opened.reduced), controls, overview=opened.overview).pixels
        if opened.grey:
            pixels = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))
        return pixels

    def enhance(
        self,
        path: Path,
        name: str,
        folder: Path,
        model: str,
        controls: Controls,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Result:
        """Enhance a photo at its full size, with what belongs to it, into a folder.

        Parameters
        ----------
        path, name
            As for `open`.
        folder : Path
            The result is called after `name` there: night.jpg is night_enhanced.jpg.
        model : str
        controls : Controls
        is_wanted : callable
            Whether whoever asked still waits, once the photo's turn has come.

        Raises
        ------
        GoneError
            If not.
        UserError
            As `open` and `preview`, or if the result cannot be written.
        """
        with self._turn():
            if not is_wanted():
                raise GoneError("Whoever asked for the photo has gone. Ask again.")
            start = time.perf_counter()
            session = self._loaded(model, controls)
            photo = session.enhance(self._read(path, name), controls)
            target = _free(folder, Path(name), photo.suffix)
            write_photo(target, photo)
            height, width = photo.pixels.shape[:2]
            notes = [note.replace(HOW_TO_CHOOSE, "") for note in notes_on(photo, target.suffix)]
        return Result(target, height, width, target.stat().st_size, time.perf_counter() - start, notes)

    def stop(self) -> None:
        """Begin no photo any more; those who wait are told so."""
        self._stopping = True

    def close(self) -> None:
        """Wait for the photo that is worked on, and end the process in which photos are read."""
        with self._work:
            self._worker.close()

    def _read(self, path, name) -> Photo:
        if not path.is_file():
            raise ImageError(f"{name} is no longer here, because uploads are deleted after a while. Upload it again.")
        most = self.settings.max_megabytes
        if path.stat().st_size > most * 1e6:
            raise ImageError(f"{name} is too large: {math.ceil(path.stat().st_size / 1e6)} MB, above {most} MB.")
        try:
            return read_apart(self._worker, path, self.settings.max_megapixels)
        except ImageError as error:  # the person knows neither where the server put it nor the server's options
            message = str(error).replace(str(path), name).replace(" --max-megapixels lifts the limit.", "")
            raise ImageError(message) from error

    def _load(self, name) -> Session:
        """For a long time of work, so that the fastest engine is worth its seconds of loading."""
        return load_session(self.models[name], device=self.settings.device, megapixels=math.inf)

    def _loaded(self, model, controls=AS_GUESSED) -> Session:
        name = registry.name_of(model)
        if name not in self.models:
            raise UserError(f"There is no such model here. Received: {model}. Known: {', '.join(self.models)}.")
        session = self._session(name)
        session.check(controls)
        return session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise BusyError("The server is busy: too many photos wait. Try again in a minute.")
        try:
            with self._work:
                if self._stopping:
                    raise BusyError(STOPS)
                yield
        finally:
            self._places.release()


def _free(folder, name, suffix) -> Path:
    """A name for a result that no other one in the folder has."""
    suffix = name.suffix if name.suffix.lower() in FORMATS else suffix
    stem = f"{name.stem[:LONGEST_STEM]}_enhanced"
    names = (f"{stem}{number}{suffix}" for number in ("", *(f"_{i}" for i in range(2, 1000))))
    return next(folder / free for free in names if not (folder / free).exists())
