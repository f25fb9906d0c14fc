"""What can be set of the server; the text under a field is its --help."""

import dataclasses
from typing import Literal

from lowlight.errors import UserError
from lowlight.settings import option

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names under which a machine knows itself, and nobody else knows it."""


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """Settings of the server.

    Raises
    ------
    UserError
        If a limit leaves nothing to serve.
    """

    model: str | None = None
    """The model that the page starts with: a number, or a run's folder as for main.py. Default: see --list-models
    there."""
    host: str = "127.0.0.1"
    """Address to listen at. The default is for this machine alone; 0.0.0.0 serves the network, without a password."""
    port: int = 7860
    """Port to listen at; 0 takes any that is free."""
    root_path: str = ""
    """Path at which a proxy shows the server and which it takes off of what it passes on, such as /photos."""
    share: bool = False
    """Also ask Gradio's servers for a public link, which anybody who knows it can use for three days."""
    max_photos: int = 20
    """Most photos that the page takes at once."""
    max_megapixels: float = 100
    """Refuse photos with more millions of pixels than this."""
    max_megabytes: int = 200
    """Refuse files that are larger than this."""
    queue: int = 16
    """Most requests that wait for their turn; one photo is worked on at a time, and further requests are refused."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """What to run on. auto: a GPU if there is one that can be used."""

    @property
    def is_private(self) -> bool:
        """Whether photos stay on this machine."""
        return self.host in LOOPBACK and not self.share

    def __post_init__(self):
        for name in ("max_photos", "max_megapixels", "max_megabytes", "queue"):
            if not getattr(self, name) > 0:
                raise UserError(f"A limit must be more than 0. Received: {option(name)} {getattr(self, name)}.")
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise UserError(f"That path begins with / and ends without, as /photos. Received: {self.root_path}.")
        if not 0 <= self.port < 2**16:
            raise UserError(f"A port is a number from 0 to 65535. Received: {self.port}.")
