"""Fetch files of known sha256 from an address: http(s), file, or a repository on the Hugging Face Hub."""

import errno
import io
import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lowlight.errors import UserError
from lowlight.io import atomic

TIMEOUT = 30.0
"""Seconds without a byte from the server after which a download counts as failed."""

HUB = "https://huggingface.co"

FORMS = "http(s)://…, file:///…, or hf://OWNER/REPOSITORY@REVISION[/FOLDER] with the 40 digits of a revision"

CLOSED = (
    "Models cannot be kept there",
    "Let it be written; the installed package takes another folder from the environment variable LOWLIGHT_HOME, too.",
)
"""What is said before and after a folder that cannot be written."""


def fetch(file: str, sha256: str, size: int, folder: Path, address: str) -> Path:
    """Download a file, unless the folder holds it already; nothing is put there under its name before it is verified.

    A download that fails or is not what it should be is tried once more.

    Parameters
    ----------
    file : str
        Name of the file below the address and in the folder.
    sha256 : str
        Hash of what it must hold, in hexadecimal.
    size : int
        Bytes that it has; a download stops there.
    folder : Path
        Made if it does not exist.
    address : str
        See `base_url`.

    Returns
    -------
    Path
        The file in the folder.

    Raises
    ------
    UserError
        If the address is of no known form, the download fails twice, is larger than it should be, its hash is another
        one twice, the folder cannot be written, or the disk is full.
    """
    import pooch
    import requests

    url = base_url(address)
    pooch.get_logger().setLevel("ERROR")
    library = pooch.create(folder, url, registry={file: f"sha256:{sha256}"}, retry_if_failed=1)
    print(f"downloading {file} from {address}", file=sys.stderr)
    try:
        library.fetch(file, downloader=partial(_download, size=size))
    except ValueError as error:
        raise UserError(
            f"What was downloaded, twice, is another file. Received: {file} from {address} with sha256 "
            f"{_other_hash(str(error), sha256)}, not {sha256}. Name another address by --models-url."
        ) from error
    except (OSError, requests.RequestException) as error:
        atomic.make_folder(folder, *CLOSED)
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise UserError(f"The disk is full. Received: {file} of {size} bytes for {folder}. Make room.") from error
        raise UserError(
            f"The download failed. Received: {error} for {url}{file}. Try later, or name another address by "
            "--models-url."
        ) from error
    return folder / file


def base_url(address: str) -> str:
    """Where files lie, as a URL that ends in a slash.

    Parameters
    ----------
    address : str
        A folder on a server (http, https), on this machine (file), or in a repository on the Hugging Face Hub, pinned
        to a revision: ``hf://owner/repository@revision/folder``. The environment variable HF_ENDPOINT names another
        hub.

    Raises
    ------
    UserError
        If it is of no known form, or the revision is not pinned: what a branch holds may change.
    """
    hub = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)@([0-9a-f]{40})(/.*)?", address)
    if hub:
        repository, revision, folder = hub.groups()
        url = f"{os.environ.get('HF_ENDPOINT', HUB).rstrip('/')}/{repository}/resolve/{revision}{folder or ''}"
    elif urlsplit(address).scheme in ("http", "https", "file"):
        url = address
    else:
        raise UserError(f"Models cannot be downloaded from there. Received: {address}. Known: {FORMS}.")
    return f"{url.rstrip('/')}/"


class _Limited(io.BufferedWriter):
    """A file that takes so many bytes and no more; all of them, or it tells why not."""

    def __init__(self, path: str, size: int):
        super().__init__(io.FileIO(path, "w"))
        self.size = size

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self.size:
            raise UserError(
                f"What is downloaded is larger than the file should be. Received: more than {self.size} bytes. Name "
                "another address by --models-url."
            )
        return super().write(data)


def _download(url: str, output_file: str, library: object, size: int) -> None:
    import pooch

    Path(output_file).unlink()  # pooch made it for its owner alone; made anew, all who use the folder may read it
    with _Limited(output_file, size) as target:
        if not url.startswith("file:"):
            pooch.HTTPDownloader(timeout=TIMEOUT)(url, target, library)
            return
        with Path(url2pathname(urlsplit(url).path)).open("rb") as source:
            shutil.copyfileobj(source, target)


def _other_hash(message, sha256) -> str:
    return next((found for found in re.findall(r"\b[0-9a-f]{64}\b", message) if found != sha256), "unknown")
