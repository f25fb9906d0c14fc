"""Folders and buckets alike: what lies in them, reading, and writing whole files or none, by fsspec."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lowlight.errors import UserError
from lowlight.io import atomic
from lowlight.io.photo import IMAGE_SUFFIXES

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}
"""What fsspec needs for a kind of bucket."""


class Storage:
    """A folder or a bucket.

    Parameters
    ----------
    url : str
        A path, or PROTOCOL://BUCKET/FOLDER.

    Raises
    ------
    UserError
        If there is no such protocol, or its package is not installed.
    """

    def __init__(self, url: str):
        self.url = url
        try:
            self.files, self.root = fsspec.url_to_fs(url)
        except (ImportError, ValueError) as error:
            package = PACKAGES.get(url.partition("://")[0])
            advice = f"Install it: pip install {package}." if package else "Give a path, s3://…, gs://… or az://…"
            raise UserError(f"{url} cannot be reached. Received: {error}. {advice}") from None
        self.root = self.root.rstrip("/")

    def names(self) -> list[str]:
        """Files below, as paths from here, sorted; none if there is no such folder.

        Raises
        ------
        UserError
            If it cannot be looked into.
        """
        with self._told():
            self.files.invalidate_cache()
            found = self.files.find(self.root) if self.files.exists(self.root) else []
        return sorted(path.removeprefix(self.root).lstrip("/") for path in found if path != self.root)

    def photos(self) -> list[str]:
        """As `names`, of photos alone; hidden files and folders are left out."""
        return [name for name in self.names() if _is_photo(PurePosixPath(name))]

    def path(self, name: str) -> str:
        """Of a file, as people write it."""
        return f"{self.url.rstrip('/')}/{name}"

    def has(self, name: str) -> bool:
        """Whether a file is there now."""
        self.files.invalidate_cache(self._parent(name))
        return self.files.exists(f"{self.root}/{name}")

    def read(self, name: str) -> bytes:
        """All of a file."""
        return self.files.cat_file(f"{self.root}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, over one that is there."""
        if self.local:
            path = Path(self.root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(path, data)
        else:  # a bucket shows an object only once all of it is there
            self.files.pipe_file(f"{self.root}/{name}", data)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Write a file as its content comes.

        Raises
        ------
        UserError
            If it cannot be opened.
        """
        with self._told():
            if self.local:
                Path(self.root, name).parent.mkdir(parents=True, exist_ok=True)
            file = self.files.open(f"{self.root}/{name}", "wb")
        with file:
            yield file

    def key(self) -> str:
        """Equal for two spellings of one folder."""
        return f"{self.files.protocol}:{os.path.realpath(self.root) if self.local else self.root}"

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return isinstance(self.files, LocalFileSystem)

    def _parent(self, name) -> str:
        return str(PurePosixPath(f"{self.root}/{name}").parent)

    @contextmanager
    def _told(self):
        """What a file system raises at a whole folder, as a line; each has kinds of its own."""
        try:
            yield
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"{self.url} cannot be used. Received: {reason}. Check its name and your access.") from None


def _is_photo(path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden
