"""What can be set of a run on many workers; the text under a field is its --help."""

import dataclasses
from typing import Annotated, Literal

from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.settings import Argument, check_quality, check_suffix


@dataclasses.dataclass(frozen=True)
class ClusterSettings:
    """Settings of lowlight cluster.

    Raises
    ------
    UserError
        If one is out of its range.
    """

    input: Annotated[str, Argument(positional=True)]
    """Folder or bucket with the photos, with all that lies below: a path, s3://…, gs://…, az://…"""
    output: Annotated[str, Argument("-o")]
    """Folder or bucket for the results, which lie below it as the photos do below theirs."""
    model: str | None = None
    """As for enhancing here."""
    address: str | None = None
    """Of a Ray cluster, or the word auto for that of this machine. Default: Ray is started here, on all cores."""
    workers: int | None = None
    """How many at most. Default: as many as there is room for."""
    cpus: float = 1
    """Cores of each worker."""
    gpus: float = 0
    """GPUs of each worker; 0.25 lets four share one."""
    memory: float = 3
    """GB of memory of each worker: Ray starts no more than fit, and photos that need more are refused."""
    records: str | None = None
    """File for a record of every photo, .jsonl or .parquet. Default: records/TIME-ID.jsonl in the output."""
    overwrite: bool = False
    """Make results anew that exist already, instead of skipping them."""
    suffix: str = ""
    """Add this to the results' names."""
    format: str | None = None
    """Write all results so: png, jpg, webp, tiff, bmp, avif or heic. Default: as each photo."""
    quality: int | None = None
    """Of JPEG, WebP, AVIF and HEIC results, 1 to 100. Default: as good as the photo or better."""
    strip_metadata: bool = False
    """Leave EXIF, place and camera out of the results."""
    tile: int | None = None
    """Largest side of what is run at once, in pixels; smaller takes less memory. Default: 1024, or less if memory is
    short."""
    best: bool = False
    """Self-ensemble: the mean over the 8 flips and rotations of each photo; cleaner, in eight times the time."""
    engine: Literal["auto", "tensorflow", "onnx", "openvino"] = "auto"
    """What runs the model. auto: of those installed, what does very many photos first."""
    controls: Controls = Controls()
    """How the result shall look, where the model has the control."""
    models_url: str | None = None
    """Where missing models come from, as for enhancing here."""
    quiet: Annotated[bool, Argument("-q")] = False
    """Tell only what failed."""

    @property
    def ending(self) -> str | None:
        """What the names of all results end in, with the dot; None if each ends as its photo's."""
        return f".{self.format.lower().removeprefix('.')}" if self.format else None

    def __post_init__(self):
        check_quality(self.quality, self.ending)
        check_suffix(self.suffix)
        if self.workers is not None and self.workers < 1:
            raise UserError(f"There must be at least one worker. Received: --workers {self.workers}.")
        if not (self.cpus > 0 and self.gpus >= 0):
            raise UserError(f"Each worker needs a share of a core. Received: --cpus {self.cpus} --gpus {self.gpus}.")
        if not self.memory > MODEL_GB:
            raise UserError(
                f"A worker needs more than {MODEL_GB} GB, which the model takes. Received: --memory {self.memory:g}."
            )


MODEL_GB = 1.5
"""Of memory, that a worker takes with its model before it has a photo, about."""
