"""What is looked at before weights that strangers made are used: what they unpack to, and whether they are numbers."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from lowlight.backend import keras
from lowlight.errors import UserError

LARGEST = 4 * 2**30
"""Bytes that a model may unpack to."""

SMALL, MOST_PER_BYTE = 2**26, 20
"""What a file may unpack to in any case, and beyond that for each of its bytes; weights can hardly be packed."""

WIDEST = 2**14
"""Channels that a layer may have."""


def check_archive(path: Path) -> None:
    """Look at what a .keras file unpacks to, before it is.

    Raises
    ------
    UserError
        If that is too much.
    zipfile.BadZipFile
        If it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        _check_size(path, sum(member.file_size for member in archive.infolist()))
        if damaged := archive.testzip():  # HDF5 jumps to and fro, of which Python 3.13 checks nothing
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {damaged!r}")
        for member in archive.infolist():
            if member.filename.endswith(".h5"):
                with archive.open(member) as file:
                    check_hdf5(path, file)


def check_hdf5(path: Path, file: IO[bytes] | None = None) -> None:
    """Look at what the arrays of an HDF5 file unpack to, and whether they are in it.

    Parameters
    ----------
    path : Path
        Is named in an error.
    file : binary file, optional
        What to read in its place.

    Raises
    ------
    UserError
        If that is too much, or some are in other files.
    """
    with h5py.File(file or path) as weights:
        _check_size(path, sum(_sizes(path, weights)))


def check_finite(model: keras.Model, path: Path) -> None:
    """Raise `UserError` if a weight of a model is not finite; the file is named, and where in it."""
    for variable in model.variables:
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            raise UserError(
                f"The model's weights are not all finite numbers. Received: {path}, in {variable.path}. Its training "
                "went wrong: train it anew, or choose another model."
            )


def check_widths(config: object, path: Path) -> None:
    """Raise `UserError` if a layer in a model's configuration is wider than any that could be meant."""
    values = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for key, value in values:
        if key in ("filters", "units", "input_dim", "output_dim") and isinstance(value, int) and value > WIDEST:
            raise UserError(
                f"The model is too large. Received: {path} with {key} of {value}, above {WIDEST}. Choose another one."
            )
        check_widths(value, path)


@contextmanager
def guarded(weights: Path) -> Iterator[None]:
    """Check a file of weights; what then goes wrong with the architecture that its card names becomes one line.

    Raises
    ------
    UserError
    """
    try:
        check_hdf5(weights)
        yield
    except UserError:
        raise
    except Exception as error:  # builders, Keras and h5py raise anything at settings and weights that do not fit
        reason = " ".join(str(error).split())
        raise UserError(
            "The model cannot be built as its card says. Received: "
            f"{weights} ({type(error).__name__}: {reason[:200]}). Copy card and weights anew."
        ) from error


def _sizes(path, group) -> Iterator[int]:
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise UserError(f"The model's file leads to others. Received: {path} with a link {name}. Save it anew.")
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _sizes(path, item)
        elif item.external or item.is_virtual:
            raise UserError(f"The model's file leads to others. Received: {path} with {name}. Save it anew.")
        else:
            yield item.size * item.dtype.itemsize


def _check_size(path, size):
    allowed = min(LARGEST, max(SMALL, MOST_PER_BYTE * path.stat().st_size))
    if size > allowed:
        raise UserError(
            f"The model's file unpacks to more than it can hold. Received: {path}, which unpacks to {size} bytes, "
            f"above {allowed}. Copy or save it anew."
        )
