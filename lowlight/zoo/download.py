"""Fetch files of known sha256 from an address: http(s), file, or a repository on the Hugging Face Hub."""

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lowlight.errors import UserError
from lowlight.io import atomic
from lowlight.system import disk_full

TIMEOUT = 30.0
"""Seconds without a byte from the server after which a download counts as failed."""

CHUNK = 2**16
"""Bytes that are read at once."""

HUB = "https://huggingface.co"

FORMS = "http(s)://…, file:///…, or hf://OWNER/REPOSITORY@REVISION[/FOLDER] with the 40 digits of a revision"

CLOSED = (
    "Models cannot be kept there",
    "Let it be written; the installed package takes another folder from the environment variable LOWLIGHT_HOME, too.",
)
"""What is said before and after a folder that cannot be written."""


def fetch(file: str, sha256: str, size: int, folder: Path, address: str) -> Path:
    """Download a file; nothing is put into the folder under its name before it is verified.

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
    import requests

    url, path = base_url(address), folder / file
    atomic.make_folder(folder, *CLOSED)
    print(f"downloading {file} from {address}", file=sys.stderr)
    try:
        try:
            _store(f"{url}{file}", path, sha256, size)
        except (requests.RequestException, _AnotherFileError):
            time.sleep(1)
            _store(f"{url}{file}", path, sha256, size)
    except _AnotherFileError as error:
        raise UserError(
            f"What was downloaded, twice, is another file. Received: {file} from {address} with sha256 {error}, not "
            f"{sha256}. Name another address by --models-url."
        ) from error
    except OSError as error:  # as those of requests are, too
        if disk_full(error):
            raise UserError(f"The disk is full. Received: {file} of {size} bytes for {folder}. Make room.") from error
        raise UserError(
            f"The download failed. Received: {error} for {url}{file}. Try later, or name another address by "
            "--models-url."
        ) from error
    return path


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


class _AnotherFileError(Exception):
    """With the hash of what was downloaded."""


def _store(url, path, sha256, size):
    """Write what is at an address into a file, which has this hash and so many bytes, or not at all."""
    digest, received = hashlib.sha256(), 0
    with atomic.replacing(path) as file:
        for chunk in _chunks(url):
            received += len(chunk)
            if received > size:
                raise UserError(
                    f"What is downloaded is larger than the file should be. Received: more than {size} bytes. Name "
                    "another address by --models-url."
                )
            digest.update(chunk)
            file.write(chunk)
        if digest.hexdigest() != sha256:
            raise _AnotherFileError(digest.hexdigest())


def _chunks(url) -> Iterator[bytes]:
    import requests

    if url.startswith("file:"):
        with Path(url2pathname(urlsplit(url).path)).open("rb") as source:
            while chunk := source.read(CHUNK):
                yield chunk
        return
    with requests.get(url, stream=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
        yield from response.iter_content(CHUNK)
